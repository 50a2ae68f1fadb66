"""The play of the demo: three telephones call, key the PIN, speak in turn, and hang up.

Everything is real: a bridge as its own processes, SIP and RTP over loopback, a PIN keyed by
RFC 4733. Nothing is believed because a command was accepted: whether the greeting was there, and
who heard whom, is found in what each telephone recorded.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from bridge.demo.findings import GREETED, Findings, Greeted, Heard
from bridge.demo.greeting import Prompts
from bridge.demo.handset import Handset, HandsetError
from bridge.demo.hearing import RATE, Match, Samples, heard, level_dbfs, voice
from bridge.demo.own_bridge import OwnBridge
from bridge.errors import BridgeError
from config.errors import ConfigError

__all__ = ["CAST", "Audience", "rehearse"]

CAST: Final[tuple[tuple[str, str], ...]] = (("ada", "PCMU"), ("ben", "PCMA"), ("cleo", "PCMU"))
"""Names, and the only codec that each offers: what they hear of each other is transcoded."""

WORDS_S: Final = 2.4
LISTEN_S: Final = 15.0
QUIET_DBFS: Final = -55.0
RECORDER_LAG_S: Final = 0.6
"""A recorder writes in blocks: what is in the file is up to a quarter second old."""

ECHO_S: Final = 1.2
"""How long after the last word somebody is still listened to."""


class Audience(Protocol):
    """Who watches."""

    def step(self, text: str) -> None:
        """Take what happens now."""

    def phone(self, name: str, event: dict[str, Any]) -> None:
        """Take what a telephone reports; called in a thread of its own."""


@dataclass
class _Player:
    """One telephone of the play."""

    handset: Handset
    codec: str
    up_at: float = 0.0
    greeting: Match | None = None
    greeted_at: float = 0.0
    keyed_at: float = 0.0
    joined_at: float = 0.0
    words: Samples = field(default_factory=lambda: np.zeros(0, np.int16))
    spoke_at: float = 0.0

    @property
    def name(self) -> str:
        return self.handset.name

    def heard_since(self, at: float) -> tuple[Samples, float]:
        """Return what was heard since a time of the monotonic clock, and when it begins."""
        first = max(0, round((at - self.handset.recording_started) * RATE))
        return self.handset.heard()[first:], self.handset.recording_started + first / RATE


def rehearse(folder: Path, audience: Audience) -> Findings:
    """Play it once.

    Args:
        folder: an empty folder; the bridge's data and all sound are in it afterwards.
        audience: who watches.

    Returns:
        What was found; what went wrong is among it, nothing is raised for it.
    """
    began = time.monotonic()
    findings = Findings()
    try:
        _play(folder, audience, findings)
    except (BridgeError, ConfigError, OSError) as error:
        findings.faults.append(" ".join(filter(None, [str(error), getattr(error, "hint", "")])))
    findings.seconds = round(time.monotonic() - began, 1)
    return findings


def _play(folder: Path, audience: Audience, findings: Findings) -> None:
    audience.step("starting a bridge")
    bridge = OwnBridge(folder)
    with ExitStack() as stack:
        stack.enter_context(bridge)
        pins = bridge.open_room()
        prompts = Prompts(bridge.data / "cache")
        players = [
            _Player(
                stack.enter_context(
                    Handset(name, folder, codec=codec, on_event=_reporter(audience, name))
                ),
                codec,
            )
            for name, codec in CAST
        ]
        uri = f"sip:{bridge.number}@127.0.0.1:{bridge.port}"
        with ThreadPoolExecutor(len(players)) as threads:
            audience.step("three telephones dial and listen")
            _all(threads, players, lambda player: _dial(player, uri, prompts.greeting))
            audience.step("they key the PIN")
            _all(threads, players, lambda player: _enter(player, pins["guest"], prompts.joining))
            audience.step("they are told who is there")
            _all(threads, players, _wait_for_silence)
        for player in players:
            audience.step(f"{player.name} speaks")
            _speak(player)
        time.sleep(ECHO_S)
        audience.step("they hang up")
        for player in players:
            player.handset.hang_up()
        audience.step("measuring what each recorded")
        time.sleep(RECORDER_LAG_S)
        findings.heard = [_measure(speaker, ear) for ear in players for speaker in players]
        findings.greeted = [_received(player) for player in players]
        audience.step("reading the bridge's records")
        findings.legs = _closed_legs(bridge, len(players))
        findings.sessions = bridge.ask("cdr.sessions")
        audience.step("stopping the bridge")
        code = bridge.stop()
        if code:
            findings.faults.append(f"the bridge ended with code {code}: {bridge.last_words()}")
    findings.judge(len(players))


def _reporter(audience: Audience, name: str) -> Callable[[dict[str, Any]], None]:
    return lambda event: audience.phone(name, event)


def _all(
    threads: ThreadPoolExecutor, players: Sequence[_Player], action: Callable[[_Player], None]
) -> None:
    """Let all telephones do something at the same time, and wait for all."""
    for waiting in [threads.submit(action, player) for player in players]:
        waiting.result()


def _dial(player: _Player, uri: str, greeting: Samples) -> None:
    player.handset.dial(uri)
    player.up_at = time.monotonic()
    player.greeting, player.greeted_at = _listen_for(player, greeting, player.up_at, "the greeting")


def _enter(player: _Player, pin: str, joining: Samples) -> None:
    player.keyed_at = time.monotonic()
    player.handset.press(pin, duration_ms=120)
    _, player.joined_at = _listen_for(player, joining, player.keyed_at, "the words on joining")


def _listen_for(player: _Player, prompt: Samples, since: float, what: str) -> tuple[Match, float]:
    """Wait until a prompt was heard as a whole; return how well, and when it began."""
    deadline = time.monotonic() + LISTEN_S
    best = 0.0
    while time.monotonic() < deadline:
        time.sleep(0.15)
        sound, started = player.heard_since(since)
        match = heard(sound, prompt)
        best = max(best, match.correlation)
        end_ms = match.delay_ms + 1000 * prompt.size / RATE
        if match.correlation >= GREETED and 1000 * sound.size / RATE >= end_ms - 100:
            return match, started + match.delay_ms / 1000
    raise HandsetError(
        f"softphone {player.name} did not hear {what} within {LISTEN_S:g} s "
        f"(best correlation {best:.2f}, expected {GREETED} and more)"
    )


def _wait_for_silence(player: _Player) -> None:
    deadline = time.monotonic() + LISTEN_S
    while time.monotonic() < deadline:
        sound = player.handset.heard()[-round(0.8 * RATE) :]
        if level_dbfs(sound) < QUIET_DBFS:
            return
        time.sleep(0.15)
    raise HandsetError(f"softphone {player.name} was not left in peace within {LISTEN_S:g} s")


def _speak(player: _Player) -> None:
    player.words = voice(player.name, WORDS_S)
    before = len(player.handset.events)
    player.spoke_at = player.handset.say(player.words)
    player.handset.wait_for(
        "its words to be said",
        lambda event: event.get("event") == "played",
        since=before,
    )


def _measure(speaker: _Player, listener: _Player) -> Heard:
    begin = speaker.spoke_at - 0.2
    sound, started = listener.heard_since(begin)
    sound = sound[: round((0.2 + WORDS_S + ECHO_S) * RATE)]
    match = heard(sound, speaker.words)
    delay_s = started + match.delay_ms / 1000 - speaker.spoke_at
    return Heard(
        speaker.name,
        listener.name,
        match.heard,
        round(match.correlation, 3),
        round(match.level_db, 1) if match.heard else None,
        round(1000 * delay_s) if match.heard else None,
    )


def _received(player: _Player) -> Greeted:
    return Greeted(
        player.name,
        player.codec,
        round(player.greeting.correlation, 3) if player.greeting is not None else 0.0,
        round(1000 * (player.greeted_at - player.up_at)),
        round(1000 * (player.joined_at - player.keyed_at)),
    )


def _closed_legs(bridge: OwnBridge, count: int) -> list[dict[str, Any]]:
    """Return the legs' records, once they are closed; records are written a little later."""
    deadline = time.monotonic() + LISTEN_S
    while True:
        legs: list[dict[str, Any]] = bridge.ask("cdr.legs")
        sessions = bridge.ask("cdr.sessions")
        done = len(legs) >= count and all(leg["ended_at"] for leg in legs)
        if (done and all(each["ended_at"] for each in sessions)) or time.monotonic() > deadline:
            return legs
        time.sleep(0.2)
