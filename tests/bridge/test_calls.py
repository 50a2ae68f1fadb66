"""Calls and conferences between a recording SIP room and a recording media room."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import pytest
from msgspec import structs

from bridge.media.errors import DescriptorsExhausted, PortsExhausted
from bridge.media.messages import (
    ChangeLeg,
    CloseLeg,
    EngineError,
    LegStatistics,
    MediaQuiet,
    OpenLeg,
    Play,
)
from bridge.media.messages import LegClosed as LegEnded
from bridge.sip.errors import NotRunningError
from bridge.sip.messages import EndpointFailed, MediaNegotiated, ProbeAnswered
from cdr.records import (
    AttemptRefused,
    LegAdmitted,
    LegClosed,
    LegOpened,
    SessionClosed,
    SessionOpened,
)
from config.settings import EntrySettings, LimitSettings, Settings, SipSettings
from dialplan import store
from dialplan.pins import generate
from dialplan.rules import ConferenceRules
from tests.support.stage import NUMBER, Stage, negotiated, perform

QUICK = EntrySettings(greeting_delay_ms=0)


def settings(folder: Path, **changes: object) -> Settings:
    """Return settings without the wait before the greeting."""
    return Settings(data_dir=folder, entry=QUICK, **changes)  # type: ignore[arg-type] # test's own


async def enter(stage: Stage, pin: str) -> tuple[int, int]:
    """Let a caller dial, key a PIN and wait for the answer to it."""
    call = stage.invite()
    leg = stage.answer(call)
    await asyncio.sleep(0.02)
    stage.press(leg, pin)
    await asyncio.sleep(0.02)
    stage.finish_plays(leg)
    await asyncio.sleep(0.02)
    return call, leg


def test_caller_with_a_right_pin_is_put_into_the_room(tmp_path: Path) -> None:
    """Answer, greeting, PIN, place in the room, hang-up: media commands and records agree."""

    async def scene(stage: Stage) -> None:
        call, leg = await enter(stage, stage.guest_pin)
        place = stage.media.place(leg)
        assert place is not None
        assert place.room is not None
        assert place.hears
        assert place.speaks
        stage.end(call)
        assert isinstance(stage.media.sent[0], OpenLeg)
        assert CloseLeg(leg=leg) in stage.media.sent
        kinds = [type(record) for record in stage.recorder.records]
        assert kinds == [LegOpened, SessionOpened, LegAdmitted, SessionClosed, LegClosed]
        closed = stage.of(LegClosed)[0]
        assert (closed.by, closed.cause, closed.quality.talk_ms) == ("caller", "bye", 40)
        assert stage.bridge.calls == {}
        assert stage.bridge.conferences == {}

    perform(tmp_path, scene, settings=settings(tmp_path))


def test_two_callers_share_one_room(tmp_path: Path) -> None:
    """Both legs are placed in the same mixer room, and the first one's end leaves the other."""

    async def scene(stage: Stage) -> None:
        first, first_leg = await enter(stage, stage.guest_pin)
        _second, second_leg = await enter(stage, stage.host_pin)
        places = stage.media.place(first_leg), stage.media.place(second_leg)
        assert places[0] is not None
        assert places[1] is not None
        assert places[0].room == places[1].room
        stage.end(first)
        assert len(stage.bridge.conferences) == 1
        assert [each.role for each in stage.of(LegAdmitted)] == ["guest", "host"]

    perform(tmp_path, scene, settings=settings(tmp_path))


def test_guest_waits_with_music_until_the_host_comes(tmp_path: Path) -> None:
    """A conference that starts with its host keeps a guest out of the room, with music."""

    async def scene(stage: Stage) -> None:
        _call, leg = await enter(stage, stage.guest_pin)
        assert [play.loop for play in stage.media.plays(leg)].count(True) == 1
        place = stage.media.place(leg)
        assert place is None or place.room is None
        assert stage.of(SessionOpened) == []
        await enter(stage, stage.host_pin)
        stage.finish_plays(leg)
        await asyncio.sleep(0.02)
        placed = stage.media.place(leg)
        assert placed is not None
        assert placed.room is not None
        assert len(stage.of(SessionOpened)) == 1

    perform(tmp_path, scene, settings=settings(tmp_path), rules=ConferenceRules(start="on_host"))


def test_hang_up_at_every_step_leaves_nothing_behind(tmp_path: Path) -> None:
    """Whenever a caller hangs up, the leg is closed, the record too, and the room is empty."""

    async def scene(stage: Stage) -> None:
        for pressed in range(len(stage.guest_pin) + 1):
            call = stage.invite()
            leg = stage.answer(call)
            await asyncio.sleep(0.01)
            stage.press(leg, stage.guest_pin[:pressed])
            stage.end(call)
        early = stage.invite()
        stage.end(early)
        await asyncio.sleep(0.05)
        assert stage.bridge.calls == {}
        assert stage.bridge.conferences == {}
        assert len(stage.of(LegOpened)) == len(stage.of(LegClosed))

    perform(tmp_path, scene, settings=settings(tmp_path))


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        ({"dialled": ("9999",)}, 404, "unknown_number"),
        ({"codecs_ok": False}, 488, "no_common_codec"),
    ],
)
def test_call_that_cannot_be_taken_is_refused_with_a_meaning(
    changes: dict[str, object], status: int, reason: str, tmp_path: Path
) -> None:
    """The SIP status says what is wrong, and a row of refused attempts is written."""

    async def scene(stage: Stage) -> None:
        call = stage.invite(**changes)
        assert stage.sip.said == [("refuse", call, status, None)]
        (record,) = stage.of(AttemptRefused)
        assert (record.reason, record.sip_status) == (reason, status)

    perform(tmp_path, scene)


CARRIER = store.TrunkEntry(
    name="carrier",
    addresses=("192.0.2.7/32",),
    digest=None,
    register=None,
    asserts_identity=True,
    call_limit=1,
    refuse_status=486,
)


def configure(stage: Stage, **changes: object) -> None:
    """Change the number, and let there be a carrier with one call at once."""
    now = stage.bridge.directory._now
    number = structs.replace(now.numbers[NUMBER], **changes)
    trunks = {"carrier": CARRIER}
    stage.bridge.directory.replace(
        store.Directory({NUMBER: number}, now.conferences, now.pins, trunks)
    )


def refusal(stage: Stage, call: int) -> tuple[int, str]:
    """Return status and reason of a refusal, after seeing that its record says the same."""
    verb, refused, status, _ = stage.sip.said[-1]
    assert (verb, refused) == ("refuse", call)
    record = stage.of(AttemptRefused)[-1]
    assert (record.sip_status, record.leg) == (status, None)
    assert stage.bridge.counters[f"refused_{record.reason}"] >= 1
    return status, record.reason


@pytest.mark.parametrize(
    ("number", "call", "wanted"),
    [
        ({"enabled": False}, {}, (480, "number_disabled")),
        ({"refuses_anonymous": True}, {"claimed": None}, (403, "caller_refused")),
        ({"refuses_anonymous": True}, {"privacy": True}, (403, "caller_refused")),
        (
            {"refuses_anonymous": True},
            {"asserted": "+46701234567", "privacy": True},
            (403, "caller_refused"),
        ),
        ({"refuses_anonymous": True}, {"claimed": "alice"}, None),
        ({"refuses_anonymous": False}, {"claimed": None, "privacy": True}, None),
        # What is wrong with the number is said before what is wrong with the call.
        ({"enabled": False}, {"codecs_ok": False, "claimed": None}, (480, "number_disabled")),
        (
            {"refuses_anonymous": True},
            {"codecs_ok": False, "privacy": True},
            (403, "caller_refused"),
        ),
    ],
)
def test_a_number_refuses_as_it_was_told_to(
    number: dict[str, object],
    call: dict[str, object],
    wanted: tuple[int, str] | None,
    tmp_path: Path,
) -> None:
    """Switched off, or for callers who show their number only."""

    async def scene(stage: Stage) -> None:
        configure(stage, **number)
        made = stage.invite(**call)
        if wanted is None:
            assert stage.sip.verbs(made) == ["accept"]
        else:
            assert refusal(stage, made) == wanted

    perform(tmp_path, scene)


def test_a_number_takes_as_many_calls_as_it_may(tmp_path: Path) -> None:
    """One more is busy, by whichever way it comes; who hangs up makes place."""

    async def scene(stage: Stage) -> None:
        configure(stage, call_limit=2)
        first, second = stage.invite(), stage.invite(trunk="carrier")
        assert refusal(stage, stage.invite()) == (486, "number_limit")
        stage.end(first)
        third = stage.invite()
        assert [stage.sip.verbs(call) for call in (second, third)] == [["accept"]] * 2

    perform(tmp_path, scene)


def test_a_trunk_takes_as_many_calls_as_it_may(tmp_path: Path) -> None:
    """Its limit is busy for its own calls, and nobody else's."""

    async def scene(stage: Stage) -> None:
        configure(stage)
        first = stage.invite(trunk="carrier")
        assert refusal(stage, stage.invite(trunk="carrier")) == (486, "trunk_limit")
        assert stage.sip.verbs(stage.invite()) == ["accept"]
        stage.end(first)
        assert stage.sip.verbs(stage.invite(trunk="carrier")) == ["accept"]

    perform(tmp_path, scene)


@pytest.mark.parametrize(("trunk", "status"), [("carrier", 486), (None, 480)])
def test_an_overload_is_said_in_the_word_that_the_trunk_wants(
    trunk: str | None, status: int, tmp_path: Path
) -> None:
    """Carriers take a gateway's 503 for an outage; Retry-After goes with 503 alone."""
    changed = settings(tmp_path, sip=SipSettings(overload_status=480))

    async def scene(stage: Stage) -> None:
        configure(stage)
        stage.media.overloaded = True
        call = stage.invite(trunk=trunk)
        assert refusal(stage, call) == (status, "overload")
        assert stage.sip.said[-1][3] is None
        stage.media.overloaded = False
        stage.bridge.stopping = True
        assert refusal(stage, stage.invite(trunk=trunk)) == (status, "shutdown")

    perform(tmp_path, scene, settings=changed)


@pytest.mark.parametrize(
    "problem", [PortsExhausted("none free"), DescriptorsExhausted("no more"), OSError(13, "no")]
)
def test_a_call_without_a_media_port_is_an_overload(
    problem: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bridge lacks what every call needs; nothing of the call is left."""

    def fail(*_: object) -> None:
        raise problem

    async def scene(stage: Stage) -> None:
        with monkeypatch.context() as patched:
            patched.setattr("bridge.server.open_pair", fail)
            call = stage.invite()
        assert refusal(stage, call) == (503, "no_media_port")
        assert stage.sip.said[-1][3] == 10
        assert stage.bridge.calls == stage.bridge.legs == {}
        assert stage.of(LegOpened) == []
        assert stage.sip.verbs(stage.invite()) == ["accept"]

    perform(tmp_path, scene)


def test_full_bridge_says_503_with_retry_after(tmp_path: Path) -> None:
    """The limit on calls is an overload of the whole bridge."""

    async def scene(stage: Stage) -> None:
        stage.invite()
        call = stage.invite()
        assert stage.sip.said[-1] == ("refuse", call, 503, 10)

    perform(tmp_path, scene, settings=settings(tmp_path, limits=LimitSettings(calls=1)))


def test_busy_tick_refuses_new_calls_before_it_misses_its_deadline(tmp_path: Path) -> None:
    """The media process says that its ticks come near to their deadline."""

    async def scene(stage: Stage) -> None:
        stage.media.overloaded = True
        call = stage.invite()
        assert stage.sip.said == [("refuse", call, 503, 10)]

    perform(tmp_path, scene)


def test_call_that_the_media_process_cannot_open_is_ended_and_says_why(tmp_path: Path) -> None:
    """Descriptors ran out, say: nobody is left in a call without sound; other errors end none."""

    async def scene(stage: Stage) -> None:
        call = stage.invite()
        leg = stage.answer(call)
        stage.bridge.on_media(EngineError(what="Play: no such clip", leg=leg))
        stage.bridge.on_media(EngineError(what="OpenLeg: too late", leg=leg + 1, unopened=True))
        assert "hangup" not in stage.sip.verbs(call)
        stage.bridge.on_media(EngineError(what="OpenLeg: no sockets", leg=leg, unopened=True))
        assert stage.sip.verbs(call)[-1] == "hangup"
        stage.end(call, by="bridge")
        assert stage.of(LegClosed)[0].cause == "technical_problem"
        assert stage.bridge.counters["media_errors"] == 3

    perform(tmp_path, scene)


def test_silence_is_a_reason_to_ask_and_a_dead_phone_is_let_go(tmp_path: Path) -> None:
    """No RTP asks the phone by OPTIONS, once; only no answer ends the call."""

    async def scene(stage: Stage) -> None:
        call = stage.invite()
        leg = stage.answer(call)
        stage.bridge.on_media(MediaQuiet(leg=leg, seconds=10.0))
        assert "probe" not in stage.sip.verbs(call)
        stage.bridge.on_media(MediaQuiet(leg=leg, seconds=30.0))
        stage.bridge.on_media(MediaQuiet(leg=leg, seconds=40.0))
        assert stage.sip.verbs(call).count("probe") == 1
        stage.bridge._sip(ProbeAnswered(call, alive=True))
        assert "hangup" not in stage.sip.verbs(call)
        stage.bridge.on_media(MediaQuiet(leg=leg, seconds=50.0))
        stage.bridge._sip(ProbeAnswered(call, alive=False))
        assert stage.sip.verbs(call)[-1] == "hangup"
        stage.end(call, by="bridge")
        assert stage.of(LegClosed)[0].cause == "no_media"

    perform(tmp_path, scene)


def test_call_on_hold_is_asked_late_and_never_ended_for_its_silence(tmp_path: Path) -> None:
    """A caller who put us on hold sends nothing, as agreed; only a phone that is gone is let go."""

    async def scene(stage: Stage) -> None:
        call = stage.invite()
        leg = stage.answer(call)
        stage.bridge._sip(MediaNegotiated(call, negotiated(tx=False, on_hold=True)))
        change = stage.media.sent[-1]
        assert isinstance(change, ChangeLeg)
        assert not change.media.tx
        stage.bridge.on_media(MediaQuiet(leg=leg, seconds=7190.0))
        assert stage.sip.verbs(call) == ["accept"]
        for seconds in (7200.0, 9000.0):
            stage.bridge.on_media(MediaQuiet(leg=leg, seconds=seconds))
            stage.bridge._sip(ProbeAnswered(call, alive=True))
        assert stage.sip.verbs(call) == ["accept", "probe", "probe"]
        stage.bridge.on_media(MediaQuiet(leg=leg, seconds=9010.0))
        stage.bridge._sip(ProbeAnswered(call, alive=False))
        assert stage.sip.verbs(call)[3:] == ["probe", "hangup"]

    perform(tmp_path, scene)


def test_what_a_holding_phone_sends_is_not_let_into_the_room(tmp_path: Path) -> None:
    """Music of an exchange that holds us with `sendonly` is for nobody; resuming ends that."""

    async def scene(stage: Stage) -> None:
        call = stage.invite()
        stage.answer(call)
        for on_hold in (True, False):
            media = negotiated(tx=not on_hold, rx=True, on_hold=on_hold)
            stage.bridge._sip(MediaNegotiated(call, media))
            change = stage.media.sent[-1]
            assert isinstance(change, ChangeLeg)
            assert change.media.rx is not on_hold

    perform(tmp_path, scene)


def test_no_media_for_the_longest_time_ends_the_call(tmp_path: Path) -> None:
    """Two hours without a packet are enough, whatever the phone answers."""

    async def scene(stage: Stage) -> None:
        call = stage.invite()
        leg = stage.answer(call)
        stage.bridge.on_media(MediaQuiet(leg=leg, seconds=7200.0))
        assert stage.sip.verbs(call)[-1] == "hangup"

    perform(tmp_path, scene)


def test_shutdown_says_goodbye_hangs_up_and_closes_every_record(tmp_path: Path) -> None:
    """Callers in a conference and at the door are told, then BYE, then the rows are closed."""

    async def scene(stage: Stage) -> None:
        inside, inside_leg = await enter(stage, stage.guest_pin)
        outside = stage.invite()
        stage.answer(outside)
        closing = asyncio.create_task(stage.bridge.close_calls())
        for _ in range(100):
            await asyncio.sleep(0.02)
            for call in (inside, outside):
                running = stage.bridge.calls.get(call)
                if running is not None:
                    stage.finish_plays(running.leg)
                    if "hangup" in stage.sip.verbs(call):
                        stage.end(call, by="bridge")
            if closing.done():
                break
        await closing
        assert stage.bridge.calls == {}
        assert "goodbye" in stage.said(inside_leg) or "conference_over" in stage.said(inside_leg)
        assert {each.cause for each in stage.of(LegClosed)} == {"shutdown"}
        refused = stage.invite()
        assert stage.sip.said[-1] == ("refuse", refused, 503, 10)

    perform(tmp_path, scene, settings=settings(tmp_path))


def test_every_record_is_closed_when_sip_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing can be said to anybody any more; the bridge ends, and its rows say how calls did."""

    async def scene(stage: Stage) -> None:
        def is_gone(*_: object, **__: object) -> None:
            raise NotRunningError("the SIP endpoint is not running")

        _inside, inside_leg = await enter(stage, stage.guest_pin)
        outside = stage.invite()
        outside_leg = stage.answer(outside)
        for verb in ("hangup", "refuse", "probe", "accept", "set_trunks"):
            monkeypatch.setattr(stage.sip, verb, is_gone)
        stage.bridge._sip(EndpointFailed("the SIP thread ended by AssertionError"))
        assert stage.bridge.failed.done()
        for leg in (inside_leg, outside_leg):
            stage.bridge.on_media(LegEnded(leg=leg, statistics=LegStatistics(leg=leg)))
        await stage.bridge.close_calls()
        assert stage.bridge.calls == {}
        assert stage.bridge.conferences == {}
        assert [(each.by, each.cause) for each in stage.of(LegClosed)] == [
            ("network", "transport"),
            ("network", "transport"),
        ]
        assert len(stage.of(SessionClosed)) == 1

    perform(tmp_path, scene, settings=settings(tmp_path))


def test_hanging_up_without_sip_ends_the_call_all_the_same(tmp_path: Path) -> None:
    """Its thread has died, and the event that says so is still on its way."""

    async def scene(stage: Stage) -> None:
        def is_gone(*_: object) -> None:
            raise NotRunningError("the SIP endpoint is not running")

        call = stage.invite()
        leg = stage.answer(call)
        stage.sip.hangup = is_gone  # type: ignore[method-assign,assignment] # what a dead endpoint does
        stage.bridge.calls[call].hang_up("no_media")
        stage.bridge.on_media(LegEnded(leg=leg, statistics=LegStatistics(leg=leg)))
        assert stage.bridge.calls == {}
        assert [each.cause for each in stage.of(LegClosed)] == ["no_media"]

    perform(tmp_path, scene, settings=settings(tmp_path))


def test_shutdown_in_a_hurry_waits_for_no_goodbye(tmp_path: Path) -> None:
    """A second Ctrl-C: whoever still listens to the goodbye gets their BYE now."""

    async def scene(stage: Stage) -> None:
        call, _ = await enter(stage, stage.guest_pin)
        impatient = asyncio.Event()
        closing = asyncio.create_task(stage.bridge.close_calls(impatient))
        await asyncio.sleep(0.05)
        assert "hangup" not in stage.sip.verbs(call)
        impatient.set()
        await asyncio.sleep(0.05)
        assert "hangup" in stage.sip.verbs(call)
        stage.end(call, by="bridge")
        await closing
        assert stage.bridge.calls == {}

    perform(tmp_path, scene, settings=settings(tmp_path))


def test_wrong_pin_is_recorded_and_not_told_apart(tmp_path: Path) -> None:
    """An unknown PIN writes a refused attempt that names the leg and no digit."""

    async def scene(stage: Stage) -> None:
        call = stage.invite()
        leg = stage.answer(call)
        await asyncio.sleep(0.02)
        wrong = generate(Random(99), 9)
        stage.press(leg, wrong)
        await asyncio.sleep(1.2)
        (record,) = stage.of(AttemptRefused)
        assert record.reason == "pin_unknown"
        assert wrong not in repr(record)
        assert "pin_not_recognised" in stage.said(leg)

    perform(tmp_path, scene, settings=settings(tmp_path))


def test_music_and_prompts_are_never_played_to_a_room(tmp_path: Path) -> None:
    """What belongs to one caller is played to that leg alone; rooms hear tones only."""

    async def scene(stage: Stage) -> None:
        await enter(stage, stage.guest_pin)
        await enter(stage, stage.host_pin)
        rooms = [each for each in stage.media.sent if isinstance(each, Play) and each.room]
        assert all(clip[0] < 0 for play in rooms for clip in play.clips)

    perform(tmp_path, scene, settings=settings(tmp_path))
