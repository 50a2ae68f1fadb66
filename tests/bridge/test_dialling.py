"""Calls that conferences make, on the stage: refusals, who joins, who does not, what it costs."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bridge.dialling import JOINED, OutgoingCall, outcome_for_host
from bridge.media.messages import FirstMedia
from bridge.sip.messages import CallConfirmed, CallEnded, Dial, MediaNegotiated, OutgoingRinging
from cdr.records import LegAdmitted, LegClosed, LegOpened
from config.settings import DialOutSettings, Settings
from dialplan import store
from dialplan.dial_out import DialRefusal
from dialplan.outgoing_flow import OutgoingState
from tests.support import stage as stages
from tests.support.stage import CONFERENCE, NUMBER, Stage, negotiated

MOBILE = "+46701740605"
ALLOWED = DialOutSettings(
    allowed=True, proxy="192.0.2.9:5070", caller=NUMBER, countries=("SE",), rates=("46=0.10",)
)


def perform(folder: Path, scene: Any, **changes: Any) -> None:  # noqa: ANN401 - a scene, and settings
    """Run a scene where calling out is allowed."""
    settings = Settings(data_dir=folder, dial_out=replace(ALLOWED, **changes))
    stages.perform(folder, scene, settings=settings)


def ask(stage: Stage, number: str = MOBILE) -> OutgoingCall | DialRefusal:
    """Ask for a call."""
    return stage.bridge.dialling.dial_out(CONFERENCE, number, "administrator")


def called(stage: Stage) -> OutgoingCall:
    """Have somebody called."""
    call = ask(stage)
    assert isinstance(call, OutgoingCall)
    return call


def pick_up(stage: Stage, call: OutgoingCall) -> None:
    """Answer at the other end."""
    stage.bridge._sip(OutgoingRinging(call.call))
    stage.bridge._sip(MediaNegotiated(call.call, negotiated()))
    stage.bridge._sip(CallConfirmed(call.call))
    stage.bridge.on_media(FirstMedia(leg=call.leg, at=stage.bridge.loop.time()))


def test_who_is_called_presses_one_and_is_in(tmp_path: Path) -> None:
    """From the INVITE to the conference; the records have a leg from the answer on."""

    async def scene(stage: Stage) -> None:
        call = called(stage)
        dial = stage.sip.said[0][2]
        assert isinstance(dial, Dial)
        assert (dial.number, dial.caller, dial.proxy) == (MOBILE, NUMBER, "192.0.2.9:5070")
        assert (dial.credentials, dial.asserts, dial.trunk) == (None, False, None)
        assert stage.of(LegOpened) == []
        pick_up(stage, call)
        assert stage.said(call.leg) == ["dial_invited"]
        (opened,) = stage.of(LegOpened)
        assert (opened.direction, opened.dialled) == ("out", NUMBER)
        assert opened.caller.number == MOBILE
        assert not call.outcome.done()
        stage.press(call.leg, "1")
        assert call.outcome.result() == JOINED
        assert call.conference is not None
        assert call.role == "guest"
        stage.end(call.call)
        assert [record.cause for record in stage.of(LegClosed)] == ["bye"]
        assert stage.bridge.calls == {}
        assert stage.bridge.dialling.ledger.spent(stage.bridge.loop.time()) == pytest.approx(0.10)

    perform(tmp_path, scene)


def come_in(stage: Stage, pin: str) -> int:
    """Call in, key a PIN, and hear out what is said; return the leg."""
    leg = stage.answer(stage.invite())
    stage.press(leg, pin)
    stage.finish_plays(leg)
    return leg


def test_a_host_calls_somebody_by_keys_past_the_lock(tmp_path: Path) -> None:
    """`#7`, the number, `#`: who was called and pressed 1 does not knock."""

    async def scene(stage: Stage) -> None:
        host = come_in(stage, stage.host_pin)
        stage.press(host, "*5")
        stage.press(host, "#7")
        stage.press(host, f"00{MOBILE[1:]}#")
        (dial,) = [said[2] for said in stage.sip.said if isinstance(said[-1], Dial)]
        assert isinstance(dial, Dial)
        assert dial.number == MOBILE
        (call,) = [each for each in stage.bridge.calls.values() if isinstance(each, OutgoingCall)]
        pick_up(stage, call)
        stage.press(call.leg, "1")
        place = stage.media.place(call.leg)
        assert place is not None
        assert place.room is not None
        assert "knock" not in stage.said(host)

    perform(tmp_path, scene)


def called_by_keys(stage: Stage) -> tuple[int, OutgoingCall]:
    """Let a host call somebody by keys; return the host's leg and the call."""
    host = come_in(stage, stage.host_pin)
    stage.press(host, "*6")  # a hash so soon would still belong to the PIN
    stage.press(host, "#7")
    stage.press(host, f"00{MOBILE[1:]}#")
    (call,) = [each for each in stage.bridge.calls.values() if isinstance(each, OutgoingCall)]
    return host, call


def hang_up(stage: Stage, leg: int) -> None:
    """Let the caller of a leg hang up."""
    (call,) = [each.call for each in stage.bridge.calls.values() if each.leg == leg]
    stage.end(call)


def test_a_host_who_leaves_while_it_rings_leaves_the_call_to_the_others(tmp_path: Path) -> None:
    """Who is called comes in among those who are there."""

    async def scene(stage: Stage) -> None:
        guest = come_in(stage, stage.guest_pin)
        host, call = called_by_keys(stage)
        hang_up(stage, host)
        pick_up(stage, call)
        stage.press(call.leg, "1")
        places = [stage.media.place(leg) for leg in (guest, call.leg)]
        assert len({place and place.room for place in places}) == 1
        assert call.outcome.result() == JOINED

    perform(tmp_path, scene)


def test_nobody_is_called_into_a_conference_that_is_over(tmp_path: Path) -> None:
    """The last one leaves while it rings: it rings no more, and the conference does not reopen."""

    async def scene(stage: Stage) -> None:
        host, call = called_by_keys(stage)
        hang_up(stage, host)
        assert stage.bridge.conferences == {}
        assert stage.sip.verbs(call.call) == ["dial", "hangup"]
        stage.bridge._sip(CallEnded(call.call, "bridge", None, 16, "cancelled"))
        assert call.outcome.result() == "conference_ended"
        assert stage.bridge.calls == {}

    perform(tmp_path, scene)


def test_who_is_asked_while_the_conference_ends_is_told_so(tmp_path: Path) -> None:
    """Between the answer and the 1: that it has ended, and goodbye; a 1 opens nothing."""

    async def scene(stage: Stage) -> None:
        host, call = called_by_keys(stage)
        pick_up(stage, call)
        hang_up(stage, host)
        assert stage.said(call.leg)[-2:] == ["conference_ended", "goodbye"]
        stage.press(call.leg, "1")
        assert stage.bridge.conferences == {}
        stage.finish_plays(call.leg)
        assert stage.sip.verbs(call.call) == ["dial", "hangup"]
        stage.end(call.call, by="bridge")
        assert [each.cause for each in stage.of(LegClosed)] == ["bye", "conference_ended"]
        assert call.outcome.result() == "conference_ended"

    perform(tmp_path, scene)


def test_a_host_hears_why_nobody_comes(tmp_path: Path) -> None:
    """Not allowed, and busy."""

    async def scene(stage: Stage) -> None:
        host = come_in(stage, stage.host_pin)
        stage.press(host, "*5")  # a hash so soon would still belong to the PIN
        stage.press(host, "#7")
        stage.press(host, "112#")
        stage.finish_plays(host)
        assert stage.said(host)[-1] == "dial_refused"
        stage.press(host, "#7")
        stage.press(host, f"00{MOBILE[1:]}#")
        (call,) = [each for each in stage.bridge.calls.values() if isinstance(each, OutgoingCall)]
        stage.finish_plays(host)
        stage.bridge._sip(CallEnded(call.call, "network", 486, None, "busy"))
        await asyncio.sleep(0)
        assert stage.said(host)[-1] == "dial_busy"

    perform(tmp_path, scene)


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("busy", "busy"),
        ("declined", "busy"),
        ("no_answer", "no_answer"),
        ("unreachable", "failed"),
        ("unknown_number", "failed"),
    ],
)
def test_who_does_not_answer_costs_nothing(tmp_path: Path, reason: str, told: str) -> None:
    """The word for it is the outcome; there is no leg in the records."""

    async def scene(stage: Stage) -> None:
        call = called(stage)
        stage.bridge._sip(CallEnded(call.call, "network", 486, None, reason))
        assert call.outcome.result() == reason
        assert outcome_for_host(reason) == told
        assert stage.of(LegOpened) == []
        assert stage.of(LegClosed) == []
        assert stage.bridge.calls == {}
        assert stage.bridge.dialling.ledger.spent(stage.bridge.loop.time()) == 0

    perform(tmp_path, scene)


def test_voicemail_is_let_go(tmp_path: Path) -> None:
    """It answers and never presses 1."""

    async def scene(stage: Stage) -> None:
        call = called(stage)
        pick_up(stage, call)
        stage.press(call.leg, "92#")
        call._timer_fired("answer")
        assert stage.sip.verbs(call.call) == ["dial", "hangup"]
        stage.end(call.call, by="bridge")
        assert call.outcome.result() == "not_accepted"
        assert outcome_for_host("not_accepted") == "no_answer"
        assert stage.of(LegAdmitted) == []
        assert [record.cause for record in stage.of(LegClosed)] == ["not_accepted"]

    perform(tmp_path, scene)


@pytest.mark.parametrize(
    ("changes", "number", "reason"),
    [
        ({"allowed": False}, MOBILE, DialRefusal.OFF),
        ({}, "112", DialRefusal.EMERGENCY),
        ({}, "+469001234567", DialRefusal.PREMIUM),
        ({}, "+12025550100", DialRefusal.COUNTRY),
        ({"caller": ""}, MOBILE, DialRefusal.NO_CALLER_ID),
        ({"caller": "+18005550999"}, MOBILE, DialRefusal.NO_CALLER_ID),
        ({"proxy": ""}, MOBILE, DialRefusal.NO_TRUNK),
        ({"rates": ()}, MOBILE, DialRefusal.NO_RATE),
        ({"per_hour": 0}, MOBILE, DialRefusal.HOURLY),
        ({"day_cap": 0.05}, MOBILE, DialRefusal.DAY_SPENT),
    ],
)
def test_nobody_is_called_who_may_not_be(
    tmp_path: Path, changes: dict[str, Any], number: str, reason: DialRefusal
) -> None:
    """Nothing is sent, and the word is counted."""

    async def scene(stage: Stage) -> None:
        assert ask(stage, number) is reason
        assert stage.sip.said == []
        assert stage.bridge.calls == {}
        assert stage.bridge.counters[f"dial_out_{reason.value}"] == 1
        assert outcome_for_host(reason) == ("off" if reason is DialRefusal.OFF else "refused")

    perform(tmp_path, scene, **changes)


def test_a_full_bridge_calls_nobody(tmp_path: Path) -> None:
    """Nor one that stops."""

    async def scene(stage: Stage) -> None:
        stage.media.overloaded = True
        assert ask(stage) is DialRefusal.OVERLOAD
        stage.media.overloaded = False
        stage.bridge.stopping = True
        assert ask(stage) is DialRefusal.OVERLOAD

    perform(tmp_path, scene)


def test_a_trunk_that_registers_says_where_and_as_whom(tmp_path: Path) -> None:
    """Its registrar is the proxy; its password answers the challenge."""
    register = ("carrier.example:5070", "alice", "secret", 300, "tcp")
    trunk = store.TrunkEntry(
        name="carrier",
        addresses=(),
        digest=None,
        register=register,
        asserts_identity=True,
        call_limit=None,
        refuse_status=503,
    )

    async def scene(stage: Stage) -> None:
        directory = stage.bridge.directory
        directory.replace(msgspec.structs.replace(directory._now, trunks={"carrier": trunk}))
        called(stage)
        dial = stage.sip.said[0][2]
        assert (dial.proxy, dial.transport) == ("carrier.example:5070", "tcp")
        assert dial.credentials == ("alice", "secret")
        assert (dial.trunk, dial.asserts) == ("carrier", True)

    perform(tmp_path, scene, proxy="", trunk="carrier", assert_caller=True)


def test_the_bridge_stops_while_it_rings(tmp_path: Path) -> None:
    """The call is given up, and that is its outcome."""

    async def scene(stage: Stage) -> None:
        call = called(stage)
        stopping = asyncio.create_task(stage.bridge.close_calls())
        await asyncio.sleep(0)
        assert stage.sip.verbs(call.call) == ["dial", "hangup"]
        assert call.flow.state is OutgoingState.ENDED
        stage.bridge._sip(CallEnded(call.call, "bridge", None, 16, "cancelled"))
        await stopping
        assert call.outcome.result() == "shutdown"

    perform(tmp_path, scene)
