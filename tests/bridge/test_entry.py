"""The door: who comes in without a PIN, and what guessing costs across calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from cdr.records import AttemptRefused, LegAdmitted
from config.settings import EntrySettings, Settings
from dialplan import store
from dialplan.events import NumberInfo, PinFound, PinThrottled, PinUnknown
from dialplan.pins import generate
from dialplan.rules import ConferenceRules
from tests.support.stage import CONFERENCE, NUMBER, Stage, perform

PINLESS = "2000"
ANN, BOB = "+46850550001", "+46850550002"


def settings(folder: Path, delay_ms: int = 0) -> Settings:
    """Return settings with another wait before the greeting."""
    return Settings(data_dir=folder, entry=EntrySettings(greeting_delay_ms=delay_ms))


def bind_number(stage: Stage, rules: ConferenceRules | None = None) -> None:
    """Add a number whose conference has opted in to entry without a PIN."""
    now = stage.bridge.directory._now
    info = NumberInfo(PINLESS, kind="extension", pinless_conference=CONFERENCE)
    conferences = now.conferences
    if rules is not None:
        conferences = {CONFERENCE: store.ConferenceEntry(CONFERENCE, "demo", rules, "UTC")}
    numbers = {**now.numbers, PINLESS: store.NumberEntry(2, info, None, enabled=True)}
    stage.bridge.directory.replace(store.Directory(numbers, conferences, now.pins, now.trunks))


async def listen(stage: Stage, leg: int) -> None:
    """Hear everything out that is being said."""
    await asyncio.sleep(0.02)
    stage.finish_plays(leg)
    await asyncio.sleep(0.02)


def test_asserted_caller_is_let_in_without_a_pin_as_guest_only(tmp_path: Path) -> None:
    """By the word of a trunk, where the conference has opted in; the host's rights need a PIN."""

    async def scene(stage: Stage) -> None:
        bind_number(stage)
        leg = stage.answer(stage.invite(dialled=(PINLESS,), asserted=ANN))
        await listen(stage, leg)
        assert stage.said(leg)[:2] == ["welcome", "connecting"]
        assert [each.role for each in stage.of(LegAdmitted)] == ["guest"]

    perform(tmp_path, scene, settings=settings(tmp_path))


def test_claimed_caller_keys_a_pin_like_everybody(tmp_path: Path) -> None:
    """`From` is what anybody may write there: no ground for any right."""

    async def scene(stage: Stage) -> None:
        bind_number(stage)
        leg = stage.answer(stage.invite(dialled=(PINLESS,), claimed=ANN))
        other = stage.answer(stage.invite(dialled=(NUMBER,), asserted=ANN))
        for each in (leg, other):
            await listen(stage, each)
            assert stage.said(each)[:2] == ["welcome", "enter_pin"]
        assert stage.of(LegAdmitted) == []

    perform(tmp_path, scene, settings=settings(tmp_path))


def test_caller_without_a_pin_waits_for_the_host_like_everybody(tmp_path: Path) -> None:
    """The lobby is not gone round by telephone."""

    async def scene(stage: Stage) -> None:
        bind_number(stage, ConferenceRules(start="on_host"))
        leg = stage.answer(stage.invite(dialled=(PINLESS,), asserted=ANN))
        await listen(stage, leg)
        stage.press(leg, "*6*#*4#1590")
        await asyncio.sleep(0.02)
        place = stage.media.place(leg)
        assert place is not None
        assert place.room is None
        assert stage.of(LegAdmitted) == []

    perform(tmp_path, scene, settings=settings(tmp_path))


def test_guessing_is_remembered_across_calls_of_one_caller(tmp_path: Path) -> None:
    """After ten failures or so Ann's PINs are not looked up, in whichever call; Bob's are."""

    async def scene(stage: Stage) -> None:
        await asyncio.sleep(0)
        rng = Random(8)
        results = []
        for _ in range(5):
            call = stage.bridge.calls[stage.invite(asserted=ANN)]
            results += [stage.bridge.check_pin(call, generate(rng, 9))[0] for _ in range(3)]
            stage.end(call.call)
        assert results[:10] == [PinUnknown()] * 10
        assert results[-3:] == [PinThrottled()] * 3
        ann, bob = (stage.bridge.calls[stage.invite(asserted=each)] for each in (ANN, BOB))
        assert stage.bridge.check_pin(ann, stage.guest_pin)[0] == PinThrottled()
        assert stage.bridge.check_pin(bob, stage.guest_pin)[0] == PinFound(CONFERENCE, "guest")

    perform(tmp_path, scene, settings=settings(tmp_path))


def test_one_caller_written_in_two_ways_is_one(tmp_path: Path) -> None:
    """A guesser does not begin anew by another spelling of the number that the trunk asserts."""

    async def scene(stage: Stage) -> None:
        await asyncio.sleep(0)
        rng = Random(9)
        spellings = (ANN, "0046850550001", "46850550001")
        keys, results = set(), []
        for n in range(15):
            call = stage.bridge.calls[stage.invite(asserted=spellings[n % 3])]
            keys.add(call.caller_key)
            results.append(stage.bridge.check_pin(call, generate(rng, 9))[0])
        assert len(keys) == 1
        assert results[-1] == PinThrottled()

    perform(tmp_path, scene, settings=settings(tmp_path))


def test_refusals_sound_the_same_and_are_recorded_apart(tmp_path: Path) -> None:
    """Unknown, revoked and throttled: one sentence; the record tells them apart."""

    async def scene(stage: Stage) -> None:
        now = stage.bridge.directory._now
        revoked = generate(Random(10), 9)
        dead = store.PinEntry(9, CONFERENCE, "host", live=False)
        pins = {**now.pins, stage.bridge.vault.pin_hash(revoked): dead}
        stage.bridge.directory.replace(
            store.Directory(now.numbers, now.conferences, pins, now.trunks)
        )
        legs = []
        for asserted, pin in (
            (None, generate(Random(11), 9)),
            (None, revoked),
            (ANN, stage.guest_pin),
        ):
            call = stage.invite(asserted=asserted)
            if asserted is not None:
                caller = stage.bridge.calls[call]
                for _ in range(40):
                    stage.bridge.guesses.verdict(
                        stage.bridge.loop.time(), caller.caller_key, "elsewhere", "other"
                    )
            legs.append(stage.answer(call))
            await asyncio.sleep(0.02)
            stage.press(legs[-1], pin)
        await asyncio.sleep(4.2)
        reasons = [each.reason for each in stage.of(AttemptRefused)]
        assert sorted(reasons) == ["pin_revoked", "pin_throttled", "pin_unknown"]
        words = {tuple(stage.said(leg)) for leg in legs}
        assert words == {("welcome", "enter_pin", "pin_not_recognised", "enter_pin_again")}

    perform(tmp_path, scene, settings=settings(tmp_path))


def test_greeting_waits_as_long_as_it_is_set(tmp_path: Path) -> None:
    """The settings reach the flow: the wait after ACK or RTP is the operator's."""

    async def scene(stage: Stage) -> None:
        leg = stage.answer(stage.invite())
        await asyncio.sleep(0.05)
        assert stage.said(leg) == []
        for _ in range(100):
            await asyncio.sleep(0.05)
            if stage.said(leg):
                break
        assert stage.said(leg) == ["welcome", "enter_pin"]

    perform(tmp_path, scene, settings=settings(tmp_path, delay_ms=300))


def test_a_wrong_host_pin_in_mid_call_counts_as_a_guess(tmp_path: Path) -> None:
    """`*3` with the guest PIN, which opens this very conference: no host, and one failed guess."""

    async def scene(stage: Stage) -> None:
        leg = stage.answer(stage.invite())
        stage.press(leg, stage.guest_pin)
        guesses: list[str] = []
        limits = stage.bridge.guesses
        failed, succeeded = limits.failed, limits.succeeded

        def note(word: str, does: Callable[..., object]) -> Callable[..., None]:
            def count(*arguments: Any) -> None:  # noqa: ANN401 - whatever it takes
                guesses.append(word)
                does(*arguments)

            return count

        stage.bridge.guesses.failed = note("failed", failed)  # type: ignore[method-assign]
        stage.bridge.guesses.succeeded = note("succeeded", succeeded)  # type: ignore[method-assign]
        for pin in (stage.guest_pin, stage.host_pin):
            stage.press(leg, "*3")
            stage.press(leg, pin)
            await asyncio.sleep(0.05)
            stage.press(leg, "*")
        assert guesses == ["failed", "succeeded"]
        (running,) = stage.bridge.conferences.values()
        assert [person.role for person in running.rules.people()] == ["host"]

    perform(tmp_path, scene)


async def come(stage: Stage, pin: str, **changes: object) -> int:
    """Call, key a PIN, hear everything out; return the leg."""
    leg = stage.answer(stage.invite(**changes))
    await listen(stage, leg)
    stage.press(leg, pin)
    await listen(stage, leg)
    return leg


def roles(stage: Stage) -> list[str]:
    """Return the roles of everybody in the only conference."""
    (running,) = stage.bridge.conferences.values()
    return [person.role for person in running.rules.people()]


@pytest.mark.parametrize("host_is_there", [False, True])
def test_who_shows_the_hosts_number_is_what_the_pin_says(
    tmp_path: Path, *, host_is_there: bool
) -> None:
    """Claimed or asserted, while the host is in or after: a guest, without a host's keys."""

    async def scene(stage: Stage) -> None:
        guest = await come(stage, stage.guest_pin)
        first = stage.invite(asserted=ANN)
        host = stage.answer(first)
        await listen(stage, host)
        stage.press(host, stage.host_pin)
        await listen(stage, host)
        if not host_is_there:
            stage.end(first)
        for shown in ({"asserted": ANN}, {"claimed": ANN}):
            other = await come(stage, stage.guest_pin, **shown)
            for keys in ("#6", "*5", "#0"):
                stage.press(other, keys)
                stage.finish_plays(other)
                assert stage.said(other)[-1] == "tone_beep"
        place = stage.media.place(guest)
        assert place is not None
        assert place.speaks
        assert roles(stage) == ["guest", *["host"] * host_is_there, "guest", "guest"]
        admitted = [each.role for each in stage.of(LegAdmitted)]
        assert admitted == ["guest", "host", "guest", "guest"]

    perform(tmp_path, scene, settings=settings(tmp_path))


def test_a_hosts_pin_with_hash_and_nought_ends_nothing(tmp_path: Path) -> None:
    """The `#` belongs to the PIN, wherever it was keyed; the `0` after it is a stray key."""

    async def scene(stage: Stage) -> None:
        guest = await come(stage, stage.guest_pin)
        host = await come(stage, f"{stage.host_pin}#0")
        stage.press(guest, "*3")
        stage.press(guest, f"{stage.host_pin}#")
        await listen(stage, guest)
        stage.press(guest, "0")
        await asyncio.sleep(0.05)
        for leg in (host, guest):
            assert "end_warning" not in stage.said(leg)
        assert roles(stage) == ["host", "host"]
        stage.press(host, "*6")
        assert stage.said(host)[-1] == "key_unmute"

    perform(tmp_path, scene, settings=settings(tmp_path))
