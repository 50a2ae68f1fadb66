"""The whole bridge under random callers, on a clock of its own.

Real calls, flows and conferences stand between a SIP thread and a media process that answer late,
twice or never, while callers key and hang up, an administrator changes and removes conferences and
the bridge shuts down. After every step the mixer, the conferences and the records must agree.
Stories come from a seed: a failure names the one to run again.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from bridge.calls import Call
from bridge.conferences import RunningConference
from bridge.media.messages import (
    CloseLeg,
    Command,
    DigitPressed,
    FirstMedia,
    LegClosed,
    LegStatistics,
    MediaQuiet,
    OpenLeg,
    Place,
    Play,
    PlayFinished,
    StopPlay,
    TalkSpurt,
)
from bridge.media.ports import MediaPair
from bridge.port_sharing import SharedPlace
from bridge.sip.messages import (
    CallConfirmed,
    CallEnded,
    DigitByInfo,
    LocalMedia,
    MediaNegotiated,
    ProbeAnswered,
)
from cdr import records as cdr
from config.settings import EntrySettings, Settings
from dialplan import store
from dialplan.conference import ConferenceState
from dialplan.events import NumberInfo
from dialplan.floor import Where
from dialplan.people import PersonView
from dialplan.pins import generate
from dialplan.rules import ConferenceRules, Role
from tests.support.stage import CONFERENCE, NUMBER, FakeMedia, FakeSip, Stage, negotiated

SEEDS = 16
STORIES = 6
STEPS = 60
PINLESS = "2000"
WRONG = [generate(Random(n), 9) for n in range(50, 55)]
RULES = (
    ConferenceRules(),
    ConferenceRules(capacity=2),
    ConferenceRules(start="on_host", wait_limit_s=90.0),
    ConferenceRules(start="on_second", end="host_leaves", grace_s=20.0),
    ConferenceRules(end="host_leaves", grace_s=0.0),
    ConferenceRules(max_length_s=130.0),
)


class Handle:
    """A timer that can be taken back."""

    def __init__(self, at: float) -> None:
        self.at = at
        self.cancelled = False

    def when(self) -> float:
        """Tell when it is due, s."""
        return self.at

    def cancel(self) -> None:
        """Take it back."""
        self.cancelled = True


class VirtualLoop:
    """As much of an event loop as the bridge uses, with time that passes when told."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._due: list[tuple[float, int, Handle, Callable[[], object]]] = []
        self._count = itertools.count()

    def time(self) -> float:
        """Tell the time, s."""
        return self.now

    def call_later(self, seconds: float, call: Callable[..., object], *arguments: object) -> Handle:
        """Call something later."""
        return self.call_at(self.now + seconds, call, *arguments)

    def call_at(self, at: float, call: Callable[..., object], *arguments: object) -> Handle:
        """Call something at a time, s."""
        handle = Handle(at)
        heapq.heappush(self._due, (at, next(self._count), handle, lambda: call(*arguments)))
        return handle

    def create_future(self) -> SimpleNamespace:
        """Make what only says whether the bridge has failed."""
        return SimpleNamespace(done=lambda: False, set_result=pytest.fail)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        until = self.now + seconds
        while self._due and self._due[0][0] <= until:
            at, _, handle, call = heapq.heappop(self._due)
            self.now = max(self.now, at)
            if not handle.cancelled:
                call()
        self.now = until


class Media(FakeMedia):
    """A media process that keeps its promises, some of them late, and loses a report at times."""

    def __init__(self, loop: VirtualLoop, rng: Random) -> None:
        super().__init__()
        self.loop = loop
        self.rng = rng
        self.tell: Callable[[Any], None] = lambda _event: None
        self.placed: dict[int, Place] = {}
        self.foreground: dict[int, dict[int, Handle]] = {}
        self.background: dict[int, int] = {}

    def open_leg(self, command: OpenLeg, sockets: MediaPair | SharedPlace) -> None:
        """Open a leg."""
        assert command.leg not in self.foreground, "opened twice"
        self.pairs[command.leg] = sockets
        self.foreground[command.leg] = {}
        self._later(FirstMedia(leg=command.leg, at=self.loop.now), self.rng.choice([0.0, 0.1, 7.0]))

    def send(self, command: Command) -> None:
        """Carry a command out, or fail: a command about a leg that is not open is a fault."""
        leg = getattr(command, "leg", None)
        if leg is not None:
            assert leg in self.foreground, f"{type(command).__name__} for a leg that is not open"
        match command:
            case Place():
                self.placed[command.leg] = command
            case Play(loop=True, leg=int(leg)):
                self.background[leg] = command.play
            case Play(leg=int(leg)):
                assert not self.foreground[leg], "two prompts at once"
                seconds = self.rng.choice([0.3, 2.0, 6.0])
                done = PlayFinished(play=command.play, completed=True, leg=leg)
                # One report in fifty never comes.
                lost = self.rng.random() < 0.02
                self.foreground[leg][command.play] = self.loop.call_later(
                    seconds, self._over, leg, command.play, None if lost else done
                )
            case StopPlay(leg=int(leg), play=int(play)):
                self._stop(leg, play)
            case _:
                pass

    def _over(self, leg: int, play: int, done: PlayFinished | None) -> None:
        if self.foreground.get(leg, {}).pop(play, None) is not None and done is not None:
            self.tell(done)

    def _stop(self, leg: int, play: int) -> None:
        handle = self.foreground[leg].pop(play, None)
        if handle is not None:
            handle.cancel()
            self._later(PlayFinished(play=play, completed=False, leg=leg), 0.02)
        elif self.background.get(leg) == play:
            del self.background[leg]

    def closing(self, leg: int) -> LegStatistics:
        """Close a leg; its last word may come too late, or never."""
        self.sent.append(CloseLeg(leg=leg))
        for handle in self.foreground.pop(leg).values():
            handle.cancel()
        self.background.pop(leg, None)
        self.placed.pop(leg, None)
        self.pairs.pop(leg).close()
        seconds = self.rng.choice([0.0, 0.02, 0.02, 5.0, None])
        if seconds is not None:
            self._later(LegClosed(leg=leg, statistics=LegStatistics(leg=leg)), seconds)
        return LegStatistics(leg=leg)

    def replace(self) -> None:
        """Let another process take over: every play begins again."""
        for leg, plays in self.foreground.items():
            for play, handle in list(plays.items()):
                handle.cancel()
                done = PlayFinished(play=play, completed=True, leg=leg)
                plays[play] = self.loop.call_later(2.0, self._over, leg, play, done)

    def _later(self, event: object, seconds: float) -> None:
        self.loop.call_later(seconds, lambda: self.tell(event))


class Sip(FakeSip):
    """A SIP thread: what it is told takes a moment, and some phones never answer."""

    def __init__(self, loop: VirtualLoop, rng: Random) -> None:
        super().__init__()
        self.loop = loop
        self.rng = rng
        self.tell: Callable[[Any], None] = lambda _event: None
        self.over: set[int] = set()

    def accept(self, call: int, media: LocalMedia) -> None:
        """Answer: SDP and ACK come soon, late (an offer of ours) or never."""
        super().accept(call, media)
        sdp_s, ack_s = self.rng.choice([(0.0, 0.05), (0.0, 0.05), (0.0, 3.0), (7.0, 7.0), (40, 40)])
        if ack_s >= 32.0:
            self.loop.call_later(32.0, self.end, call, "network", "no_ack")
            return
        self._later(call, sdp_s, MediaNegotiated(call, negotiated()))
        self._later(call, ack_s, CallConfirmed(call))

    def hangup(self, call: int, q850: int = 16, text: str = "") -> None:
        """Send BYE; some phones say nothing, or too late, and some hang up at the same moment."""
        assert "hangup" not in self.verbs(call), "two BYEs"
        super().hangup(call, q850, text)
        seconds, by = self.rng.choice([(0.05, "bridge")] * 6 + [(0.0, "caller"), (36.0, "bridge")])
        if self.rng.random() < 0.9:
            self.loop.call_later(seconds, self.end, call, by)

    def probe(self, call: int) -> None:
        """Ask a phone whether it is there."""
        super().probe(call)
        self._later(call, 0.5, ProbeAnswered(call, alive=self.rng.random() < 0.8))

    def end(self, call: int, by: Any = "caller", reason: Any = "bye") -> None:  # noqa: ANN401 - literals
        """End a call, once."""
        if call not in self.over:
            self.over.add(call)
            self.tell(CallEnded(call=call, by=by, status=None, q850=16, reason=reason))

    def _later(self, call: int, seconds: float, event: object) -> None:
        self.loop.call_later(seconds, lambda: call in self.over or self.tell(event))


class Story:
    """A bridge, its callers, and everything that can happen to them.

    Args:
        folder: For the vault.
        rng: The seed's numbers.
        monkeypatch: Sets the bridge's clock.
    """

    def __init__(self, folder: Path, rng: Random, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rng = rng
        self.loop = VirtualLoop()
        clock = SimpleNamespace(monotonic=self.loop.time)
        for module in ("calls", "conferences", "server"):
            monkeypatch.setattr(f"bridge.{module}.time", clock)
        settings = Settings(data_dir=folder, entry=EntrySettings())
        rules = rng.choice(RULES)
        self.stage = Stage.build(folder, self.loop, rules, settings)  # type: ignore[arg-type] # as much as is used
        self.bridge = self.stage.bridge
        self.media, self.sip = Media(self.loop, rng), Sip(self.loop, rng)
        self.media.tell, self.sip.tell = self.bridge.on_media, self.bridge._sip
        self.bridge.media = self.media  # type: ignore[assignment] # stand-in
        self.bridge.sip = self.sip  # type: ignore[assignment] # stand-in
        self.bridge.on_code_used = lambda _row: None
        self._set_directory(rules)

    def _set_directory(self, rules: ConferenceRules | None) -> None:
        """Let there be the conference with these rules, or none."""
        now = self.bridge.directory._now
        pinless = None if rules is None else CONFERENCE
        info = NumberInfo(PINLESS, kind="extension", pinless_conference=pinless)
        numbers = {**now.numbers, PINLESS: store.NumberEntry(2, info, None, enabled=True)}
        conferences = {}
        if rules is not None:
            conferences = {CONFERENCE: store.ConferenceEntry(CONFERENCE, "demo", rules, "UTC")}
        holders: list[tuple[str, Role]] = [
            (self.stage.guest_pin, "guest"),
            (self.stage.host_pin, "host"),
        ]
        pins = {
            self.bridge.vault.pin_hash(pin): store.PinEntry(
                row, CONFERENCE, role, live=rules is not None
            )
            for row, (pin, role) in enumerate(holders)
        }
        self.bridge.directory.replace(store.Directory(numbers, conferences, pins, {}))

    # --- what happens --------------------------------------------------------------------------

    def step(self) -> None:
        """Let one thing happen, and a moment pass."""
        things: list[tuple[float, Callable[[], object]]] = [
            (2.0, self.somebody_calls),
            (3.0, self.time_passes),
            (0.3, self.media.replace),
            (0.3, self.change_conference),
            (0.15, self.remove_conference),
        ]
        if self.bridge.calls:
            things += [
                (8.0, self.somebody_keys_a_pin),
                (3.0, self.somebody_keys_anything),
                (1.0, self.somebody_hangs_up),
                (0.3, self.somebody_goes_silent),
                (0.3, self.somebody_talks),
                (0.1, self.an_administrator_ends_a_call),
            ]
        weights, names = zip(*things, strict=True)
        self.rng.choices(names, weights)[0]()
        self.check()
        self.loop.advance(self.rng.choice([0.0, 0.0, 0.1]))
        self.check()

    def _some_call(self) -> Call:
        return self.rng.choice(list(self.bridge.calls.values()))

    def somebody_calls(self) -> None:
        """Dial one of the numbers."""
        dialled = self.rng.choice([NUMBER, NUMBER, PINLESS])
        asserted = self.rng.choice([None, "+46850550001"])
        self.stage.invite(dialled=(dialled,), asserted=asserted)

    def time_passes(self) -> None:
        """Do nothing for a while."""
        self.loop.advance(self.rng.choice([0.5, 1.5, 5.0, 20.0, 61.0]))

    def _key(self, call: Call, keys: str, gap_s: float) -> None:
        for key in keys:
            self.loop.advance(gap_s)
            if call.leg not in self.media.foreground or call.ended is not None:
                return
            if self.rng.random() < 0.1:
                self.bridge._sip(DigitByInfo(call.call, key, 100))
            pressed = DigitPressed(leg=call.leg, digit=key, method="rfc4733", at=self.loop.now)
            self.bridge.on_media(pressed)

    def somebody_keys_a_pin(self) -> None:
        """Key the host's, a guest's or nobody's PIN, and perhaps hang up at once."""
        call = self._some_call()
        guest, host = self.stage.guest_pin, self.stage.host_pin
        keys = self.rng.choice(
            [guest, guest, guest, host, host, self.rng.choice(WRONG)]
        ) + self.rng.choice(["", "", "#", "*6"])
        self._key(call, keys, self.rng.choice([0.0, 0.1]))
        if self.rng.random() < 0.1:
            self.sip.end(call.call)

    def somebody_keys_anything(self) -> None:
        """Press commands, or whatever there is."""
        keys = self.rng.choice(["*6", "*#", "*4", "#", "*#*#", "5", "0123456789*#ABCD" * 5])
        self._key(self._some_call(), keys, 0.1)

    def somebody_hangs_up(self) -> None:
        """Hang up."""
        self.sip.end(self._some_call().call)

    def somebody_goes_silent(self) -> None:
        """Send no media: a reason to ask, and after two hours to end."""
        leg = self._some_call().leg
        self.bridge.on_media(MediaQuiet(leg=leg, seconds=self.rng.choice([10.0, 40.0, 7300.0])))

    def somebody_talks(self) -> None:
        """Begin or cease to talk."""
        leg = self._some_call().leg
        self.bridge.on_media(TalkSpurt(leg=leg, talking=self.rng.random() < 0.5))

    def an_administrator_ends_a_call(self) -> None:
        """Close one call politely."""
        self._some_call().close_politely("administrator")

    def change_conference(self) -> None:
        """Change the rules, or make the conference anew."""
        self._set_directory(self.rng.choice(RULES))
        self.bridge.directory_changed()

    def remove_conference(self) -> None:
        """Take the conference away, while people are in it or on their way."""
        self._set_directory(None)
        self.bridge.directory_changed()
        for conference in self.bridge.conferences.values():
            assert conference.rules.state is ConferenceState.CLOSING

    # --- what must hold ------------------------------------------------------------------------

    @staticmethod
    def has_music(conference: RunningConference, person: PersonView) -> bool:
        """Say whether somebody hears music: who waits, and who was told to be alone."""
        return conference.rules._meeting.people[person.leg].music or person.where is Where.WAITING

    def check(self) -> None:
        """See that mixer, conferences and calls agree."""
        assert self.stage.faults == []
        assert self.bridge.counters["unexpected_event"] == 0
        in_rooms: set[int] = set()
        for conference in self.bridge.conferences.values():
            people = conference.rules.people()
            assert {person.leg for person in people} == conference.calls.keys()
            for person in people:
                place = self.media.placed[person.leg]
                in_room = person.where is Where.ROOM
                assert place.room == (conference.room if in_room else None)
                assert (place.speaks, place.hears) == (person.speaks, person.hears)
                assert (person.leg in self.media.background) is self.has_music(conference, person)
                assert conference.calls[person.leg].conference is conference
                in_rooms |= {person.leg} if in_room else set()
        mixed = {leg for leg, place in self.media.placed.items() if place.room is not None}
        assert mixed == in_rooms, "the mixer has somebody in a room whom no conference has there"
        for call in self.bridge.calls.values():
            running = call.conference
            assert running is None or self.bridge.conferences.get(running.entry.id) is running
            assert running is None or call.ended is None

    def end(self) -> None:
        """Let the bridge shut down or everybody hang up; nothing may be left of anything."""
        if self.rng.random() < 0.5:
            for running in list(self.bridge.conferences.values()):
                running.end("shutdown")
            for call in list(self.bridge.calls.values()):
                if call.conference is None:
                    call.close_politely("shutdown")
            self.check()
        else:
            for number in list(self.bridge.calls):
                self.sip.end(number)
        self.loop.advance(400.0)
        assert self.bridge.calls == self.bridge.legs == {}
        assert self.bridge.conferences == {}
        assert self.media.pairs == {}
        self.check()
        opened, closed = self.stage.of(cdr.LegOpened), self.stage.of(cdr.LegClosed)
        assert sorted(each.leg for each in opened) == sorted(each.leg for each in closed)
        begun, ended = self.stage.of(cdr.SessionOpened), self.stage.of(cdr.SessionClosed)
        assert [each.session for each in begun] == [each.session for each in ended]
        assert {each.session for each in self.stage.of(cdr.LegAdmitted)} <= {
            each.session for each in begun
        }
        assert all(each.peak > 0 for each in ended)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_story_leaves_anything_behind(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hang-ups, late SDP, lost BYEs, removed conferences and new media processes at any moment."""
    rng = Random(seed)
    for n in range(STORIES):
        folder = tmp_path / str(n)
        folder.mkdir()
        story = Story(folder, rng, monkeypatch)
        try:
            for _ in range(STEPS):
                story.step()
            story.end()
        finally:
            story.stage.close()
