"""Things that cross each other on the way: late answers, hang-ups at the door, two at once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bridge.media.messages import PlayFinished, StopPlay
from bridge.sip.messages import CallConfirmed, MediaNegotiated
from cdr.records import LegAdmitted, LegClosed, SessionOpened
from config.settings import EntrySettings, Settings
from dialplan import store
from dialplan.rules import ConferenceRules, Window
from tests.support.stage import Stage, negotiated, perform


def settings(folder: Path) -> Settings:
    """Return settings without the wait before the greeting."""
    return Settings(data_dir=folder, entry=EntrySettings(greeting_delay_ms=0))


async def come_in(stage: Stage, pin: str) -> tuple[int, int]:
    """Dial, key a PIN and wait for the answer to it."""
    call = stage.invite()
    leg = stage.answer(call)
    await asyncio.sleep(0.02)
    stage.press(leg, pin)
    await asyncio.sleep(0.02)
    return call, leg


def test_greeting_is_kept_for_who_answers_our_offer_late(tmp_path: Path) -> None:
    """The ACK is here, the SDP in it not yet: nothing is said to nobody, nor lost."""

    async def scene(stage: Stage) -> None:
        call = stage.invite(has_offer=False)
        leg = stage.bridge.calls[call].leg
        stage.bridge._sip(CallConfirmed(call))
        await asyncio.sleep(0.05)
        assert stage.media.sent == []
        stage.bridge._sip(MediaNegotiated(call, negotiated()))
        assert stage.said(leg) == ["welcome", "enter_pin"]
        stage.press(leg, stage.guest_pin)
        assert isinstance(stage.media.sent[2], StopPlay)
        await asyncio.sleep(0.02)
        assert stage.media.place(leg) is not None

    perform(tmp_path, scene, settings=settings(tmp_path))


def test_hang_up_while_the_answer_to_a_pin_is_held_back_opens_no_session(tmp_path: Path) -> None:
    """A right PIN waits for the guess limits; whoever hangs up meanwhile was never in."""

    async def scene(stage: Stage) -> None:
        for _ in range(400):  # failures of strangers delay everybody by seconds
            stage.bridge.guesses.verdict(stage.bridge.loop.time(), None, "1000", None)
        call, leg = await come_in(stage, stage.guest_pin)
        assert stage.media.place(leg) is None
        stage.end(call)
        await asyncio.sleep(0.05)
        assert stage.of(SessionOpened) == stage.of(LegAdmitted) == []
        assert [each.cause for each in stage.of(LegClosed)] == ["bye"]
        assert stage.bridge.calls == {}
        assert stage.bridge.conferences == {}

    perform(tmp_path, scene, settings=settings(tmp_path))


def test_two_who_come_at_the_same_moment_meet(tmp_path: Path) -> None:
    """One is turned away as the other is on the way in: there is one conference, not two."""
    rules = ConferenceRules(window=Window(datetime.now(UTC) + timedelta(minutes=10)))

    async def scene(stage: Stage) -> None:
        guest, host = (stage.bridge.calls[stage.invite()] for _ in range(2))
        for call in (guest, host):
            stage.answer(call.call)
        conference = stage.bridge.conference_for(1)
        assert conference is not None

        def both() -> None:
            conference.enter(guest, "guest")  # too early for a guest: the conference is empty again
            conference.enter(host, "host")

        stage.bridge.dispatcher.post(both)
        assert host.conference is conference
        assert stage.bridge.conferences == {1: conference}
        _, other = await come_in(stage, stage.host_pin)
        places = [stage.media.place(leg) for leg in (other, host.leg)]
        assert [place and place.room for place in places] == [conference.room] * 2

    perform(tmp_path, scene, settings=settings(tmp_path), rules=rules)


def test_call_ended_by_an_administrator_hears_goodbye_at_once(tmp_path: Path) -> None:
    """What the conference was saying to the caller is stopped, and does not delay the goodbye."""

    async def scene(stage: Stage) -> None:
        call, leg = await come_in(stage, stage.guest_pin)
        saying = stage.media.plays(leg)[-1]
        stage.bridge.calls[call].close_politely("administrator")
        goodbye = stage.media.plays(leg)[-1]
        stop = StopPlay(leg=leg, play=saying.play)
        assert stage.said(leg)[-1] == "goodbye"
        assert stage.media.sent.index(stop) < stage.media.sent.index(goodbye)
        stage.bridge.on_media(PlayFinished(play=goodbye.play, completed=True, leg=leg))
        assert stage.sip.verbs(call)[-1] == "hangup"

    perform(tmp_path, scene, settings=settings(tmp_path))


def test_conference_removed_while_a_pin_is_keyed_ends_politely(tmp_path: Path) -> None:
    """The PIN was right when it was looked up, and the conference is gone at the door."""

    async def scene(stage: Stage) -> None:
        for _ in range(100):  # failures of strangers hold the answer back for a moment
            stage.bridge.guesses.verdict(stage.bridge.loop.time(), None, "1000", None)
        call, leg = await come_in(stage, stage.guest_pin)
        now = stage.bridge.directory._now
        stage.bridge.directory.replace(store.Directory(now.numbers, {}, {}, {}))
        stage.bridge.directory_changed()
        for _ in range(200):
            await asyncio.sleep(0.05)
            if "goodbye" in stage.said(leg):
                break
        assert stage.said(leg)[-2:] == ["technical_problem", "goodbye"]
        stage.finish_plays(leg)
        assert stage.sip.verbs(call)[-1] == "hangup"

    perform(tmp_path, scene, settings=settings(tmp_path))
