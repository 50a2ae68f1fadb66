"""Calls whose media moves between sockets of their own and shared ports, by a re-INVITE of ours."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.media.messages import ChangeLeg, SourceLatched
from bridge.media.place_messages import AddPlace, DropPlace, PlaceAdded, TakePlace
from bridge.sip.messages import CallConfirmed, MediaNegotiated, ReofferAnswered
from tests.bridge.test_shared_legs import SOURCE, carrier, opened
from tests.support import stage as stages
from tests.support.stage import Stage, negotiated

Kind = Callable[[Stage], tuple[int, int]]
PLACES = (AddPlace, TakePlace, DropPlace)


def agree(stage: Stage, call: int, source: tuple[str, int] = SOURCE, **changes: object) -> int:
    """Let offer and answer agree on media from somewhere; return the leg."""
    media = negotiated(remote_ip=source[0], remote_port=source[1], **changes)
    stage.bridge._sip(MediaNegotiated(call, media))
    return stage.bridge.calls[call].leg


def late(stage: Stage, *, own_sdp: bool = True, latched: bool = True) -> tuple[int, int]:
    """Bring a call in to which we make the offer; return call and leg."""
    call = stage.invite(trunk="carrier", media_source=None, has_offer=False)
    leg = agree(stage, call)
    stage.bridge._sip(CallConfirmed(call))
    if latched:
        stage.bridge.on_media(SourceLatched(leg=leg, own_sdp=own_sdp))
    return call, leg


def colliding(stage: Stage) -> tuple[int, int]:
    """Bring two calls in, and let the first one's media move to the second one's source."""
    calls = []
    for port in (4000, 5000):
        source = (SOURCE[0], port)
        calls.append(stage.invite(trunk="carrier", media_source=source))
        agree(stage, calls[-1], source)
        stage.bridge._sip(CallConfirmed(calls[-1]))
    leg = agree(stage, calls[0], (SOURCE[0], 5000))
    return calls[0], leg


def offered(stage: Stage, call: int) -> list[int]:
    """Return the ports that a call was offered in re-INVITEs."""
    return [words[2] for words in stage.sip.said if words[:2] == ("reoffer", call)]


def answer(stage: Stage, call: int, *, accepted: bool) -> None:
    """Answer the last offer."""
    port = offered(stage, call)[-1]
    stage.bridge._sip(
        ReofferAnswered(call, port, accepted=accepted, status=200 if accepted else 488)
    )


def places(stage: Stage) -> list[str]:
    """Return what was said of second places."""
    return [type(each).__name__ for each in stage.media.sent if isinstance(each, PLACES)]


@pytest.fixture(autouse=True)
def _no_lingering(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.media_place.LINGER_S", 0.05)


@pytest.mark.parametrize("kind", [late, colliding], ids=["late offer", "collision"])
def test_a_call_moves_once_the_far_end_agrees(tmp_path: Path, kind: Kind) -> None:
    """Heard there first, then asked, then sent to from there; the old place is left at last."""

    async def scene(stage: Stage) -> None:
        with carrier(stage):
            call, leg = kind(stage)
            before = stage.media.pairs[leg]
            assert places(stage) == ["AddPlace"]
            assert offered(stage, call) == []
            stage.bridge.on_media(PlaceAdded(leg=leg, heard=True))
            after = stage.media.seconds[leg]
            assert offered(stage, call) == [after.port]
            assert after.port != before.port
            answer(stage, call, accepted=True)
            assert places(stage) == ["AddPlace", "TakePlace"]
            assert stage.media.pairs[leg] is after
            await asyncio.sleep(0.1)
            assert places(stage) == ["AddPlace", "TakePlace", "DropPlace"]
            assert stage.bridge.counters["media_moved"] == 1
            # And it stays there, whatever is said of it again.
            stage.bridge.on_media(SourceLatched(leg=leg, own_sdp=True))
            stage.bridge.on_media(PlaceAdded(leg=leg, heard=True))
            answer(stage, call, accepted=True)
            assert len(places(stage)) == 3
            stage.end(call)

    stages.perform(tmp_path, scene)


@pytest.mark.parametrize("kind", [late, colliding], ids=["late offer", "collision"])
def test_a_refusal_leaves_the_call_where_it_was(tmp_path: Path, kind: Kind) -> None:
    """The new place is given back, the old one goes on, and nobody is asked again."""

    async def scene(stage: Stage) -> None:
        with carrier(stage):
            call, leg = kind(stage)
            before = stage.media.pairs[leg]
            stage.bridge.on_media(PlaceAdded(leg=leg, heard=True))
            answer(stage, call, accepted=False)
            assert places(stage) == ["AddPlace", "DropPlace"]
            assert stage.media.pairs[leg] is before
            assert stage.media.seconds == {}
            stage.bridge.on_media(SourceLatched(leg=leg, own_sdp=True))
            assert len(offered(stage, call)) == 1
            assert stage.bridge.counters["media_stays"] == 1
            shared = stage.media.shared
            assert shared is not None
            assert sum(shared._legs) == (0 if kind is late else 2)
            stage.end(call)

    stages.perform(tmp_path, scene)


def test_a_place_that_cannot_be_heard_is_not_offered(tmp_path: Path) -> None:
    """The media process could not open it."""

    async def scene(stage: Stage) -> None:
        with carrier(stage):
            call, leg = late(stage)
            stage.bridge.on_media(PlaceAdded(leg=leg, heard=False))
            assert offered(stage, call) == []
            assert places(stage) == ["AddPlace", "DropPlace"]

    stages.perform(tmp_path, scene)


@pytest.mark.parametrize(
    ("own_sdp", "latched"), [(False, True), (True, False)], ids=["behind NAT", "silent"]
)
def test_who_is_not_heard_from_its_own_description_stays(
    tmp_path: Path, *, own_sdp: bool, latched: bool
) -> None:
    """On a shared port nobody is latched: media must come from where the description says."""

    async def scene(stage: Stage) -> None:
        with carrier(stage):
            late(stage, own_sdp=own_sdp, latched=latched)
            assert places(stage) == []

    stages.perform(tmp_path, scene)


def test_calls_of_other_trunks_stay_on_their_own(tmp_path: Path) -> None:
    """A late offer alone is no reason."""

    async def scene(stage: Stage) -> None:
        with carrier(stage, media="own"):
            late(stage)
            assert places(stage) == []

    stages.perform(tmp_path, scene)


def test_no_shared_port_is_free_for_it(tmp_path: Path) -> None:
    """Its pair is on every one: it stays, and that is counted."""

    async def scene(stage: Stage) -> None:
        with carrier(stage):
            agree(stage, stage.invite(trunk="carrier", media_source=SOURCE))
            late(stage)
            assert opened(stage) == [0, None]
            assert places(stage) == []
            assert stage.bridge.counters["shared_ports_full"] == 1

    stages.perform(tmp_path, scene)


def test_a_call_on_hold_is_left_in_peace(tmp_path: Path) -> None:
    """An offer of ours could take the hold off: it is asked when it comes back."""

    async def scene(stage: Stage) -> None:
        with carrier(stage):
            call, leg = late(stage, latched=False)
            agree(stage, call, on_hold=True, tx=False)
            stage.bridge.on_media(SourceLatched(leg=leg, own_sdp=True))
            assert places(stage) == []
            agree(stage, call)
            assert places(stage) == ["AddPlace"]

    stages.perform(tmp_path, scene)


def test_media_that_moves_while_we_ask_takes_the_new_place_along(tmp_path: Path) -> None:
    """The far end's own offer comes in between."""

    async def scene(stage: Stage) -> None:
        with carrier(stage):
            call, leg = late(stage)
            stage.bridge.on_media(PlaceAdded(leg=leg, heard=True))
            agree(stage, call, (SOURCE[0], 6000))
            place = stage.media.seconds[leg]
            assert getattr(place, "remote", None) == (SOURCE[0], 6000)
            changes = [each for each in stage.media.sent if isinstance(each, ChangeLeg)]
            assert changes[-1].media.remote_rtp == (SOURCE[0], 6000)
            answer(stage, call, accepted=True)
            assert stage.media.pairs[leg] is place
            stage.end(call)

    stages.perform(tmp_path, scene)


@pytest.mark.parametrize("step", [0, 1, 2])
def test_a_call_that_ends_on_the_way_leaves_nothing(tmp_path: Path, step: int) -> None:
    """While its new place opens, while it is asked, and before the old place is left."""

    async def scene(stage: Stage) -> None:
        with carrier(stage):
            call, leg = late(stage)
            if step:
                stage.bridge.on_media(PlaceAdded(leg=leg, heard=True))
            if step > 1:
                answer(stage, call, accepted=True)
            stage.end(call)
            await asyncio.sleep(0.1)
            assert stage.bridge.calls == {}
            stage.bridge.on_media(PlaceAdded(leg=leg, heard=True))
            assert len(offered(stage, call)) == (1 if step else 0)

    stages.perform(tmp_path, scene)
