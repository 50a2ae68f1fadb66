"""Offers of ours within a call: the answer, refusals, glare (RFC 3261 section 14)."""

from __future__ import annotations

import re
import time

import pytest

from bridge.sip import reoffers
from bridge.sip.messages import LocalMedia, MediaNegotiated, ReofferAnswered
from bridge.sip.reoffers import glare_wait_s
from tests.sip.caller import Caller, Response, sdp
from tests.sip.desk import RTP_PORT, Desk

NEW_PORT = RTP_PORT + 1000


def _version(body: str) -> int:
    found = re.search(r"^o=\S+ \d+ (\d+) ", body, re.MULTILINE)
    assert found
    return int(found[1])


def _call(desk: Desk, caller: Caller) -> tuple[int, Response]:
    """Dial; return the call and the 200."""
    ok = caller.dial()
    incoming, _ = desk.call_is_up()
    return incoming.call, ok


def _move(desk: Desk, caller: Caller) -> tuple[int, Response]:
    """Dial and let the bridge move its media; return the call and the re-INVITE."""
    call, _ = _call(desk, caller)
    desk.endpoint.reoffer(call, LocalMedia(NEW_PORT))
    return call, caller.expect_request("INVITE")


def _answered(caller: Caller, request: Response, body: str | None = None) -> None:
    caller.answer(request, 200, sdp() if body is None else body)
    caller.expect_request("ACK")


def _ports(desk: Desk, caller: Caller) -> str:
    """Return the port that we answer a re-INVITE with."""
    caller.say("INVITE", sdp(version=9))
    ok = caller.expect(200, "INVITE")
    caller.acknowledge(ok)
    found = re.search(r"m=audio (\d+)", ok.body)
    assert found
    return found[1]


def test_an_accepted_offer_moves_our_media(desk: Desk) -> None:
    """The offer has the new port, what was agreed on and a higher version; later ones keep it."""
    with Caller(desk.address) as caller:
        call, ok = _call(desk, caller)
        desk.endpoint.reoffer(call, LocalMedia(NEW_PORT))
        request = caller.expect_request("INVITE")
        assert f"m=audio {NEW_PORT} RTP/AVP 0 101\r\n" in request.body
        assert f"a=rtcp:{NEW_PORT + 1} " in request.body
        assert "a=sendrecv" in request.body
        assert _version(request.body) == _version(ok.body) + 1
        assert desk.of(ReofferAnswered) == []
        _answered(caller, request)
        assert desk.one(ReofferAnswered) == ReofferAnswered(
            call, NEW_PORT, accepted=True, status=200
        )
        assert len(desk.of(MediaNegotiated)) == 1
        assert _ports(desk, caller) == str(NEW_PORT)
        caller.hang_up()
        desk.settle()


def test_payload_types_keep_their_meaning(desk: Desk) -> None:
    """Numbers that the caller chose are offered again, not ours (RFC 3264 section 8.3.2)."""
    lines = ("a=rtpmap:96 telephone-event/8000", "a=rtpmap:13 CN/8000")
    with Caller(desk.address) as caller:
        caller.dial(sdp(formats="8 96 13", lines=lines))
        incoming, _ = desk.call_is_up()
        desk.endpoint.reoffer(incoming.call, LocalMedia(NEW_PORT))
        request = caller.expect_request("INVITE")
        assert f"m=audio {NEW_PORT} RTP/AVP 8 96 13\r\n" in request.body
        caller.hang_up()


def test_an_answer_may_change_more_than_the_port(desk: Desk) -> None:
    """The answer names another place of theirs: that is told before the offer is."""
    with Caller(desk.address) as caller:
        _, request = _move(desk, caller)
        _answered(caller, request, sdp(41234))
        assert desk.one(ReofferAnswered).accepted
        kinds = [type(each) for each in desk.events[-2:]]
        assert kinds == [MediaNegotiated, ReofferAnswered]
        assert desk.of(MediaNegotiated)[-1].media.remote_port == 41234
        caller.hang_up()


@pytest.mark.parametrize("status", [488, 403, 500, 603, 401, 407])
def test_a_refusal_leaves_all_as_it_was(desk: Desk, status: int) -> None:
    """The call goes on at the old port, and another offer may be made later, by either side."""
    with Caller(desk.address) as caller:
        call, request = _move(desk, caller)
        caller.answer(request, status)
        caller.expect_request("ACK")
        assert desk.one(ReofferAnswered) == ReofferAnswered(
            call, NEW_PORT, accepted=False, status=status
        )
        assert _ports(desk, caller) == str(RTP_PORT)
        desk.endpoint.reoffer(call, LocalMedia(NEW_PORT))
        _answered(caller, caller.expect_request("INVITE"))
        assert desk.wait(ReofferAnswered, 2)[-1].accepted
        caller.hang_up()
        desk.settle()


@pytest.mark.parametrize("body", ["", sdp(0), sdp(formats="18"), sdp(media="video")])
def test_a_200_that_answers_nothing_is_a_refusal(desk: Desk, body: str) -> None:
    """No description in it, or none with sound of ours: all stays as it was."""
    with Caller(desk.address) as caller:
        _, request = _move(desk, caller)
        _answered(caller, request, body)
        answered = desk.one(ReofferAnswered)
        assert (answered.accepted, answered.status) == (False, 200)
        assert _ports(desk, caller) == str(RTP_PORT)
        caller.hang_up()
        desk.settle()


def test_glare_is_resolved_by_trying_again(desk: Desk) -> None:
    """Both offer at once: both get 491, theirs goes through, then ours (section 14.1)."""
    with Caller(desk.address) as caller:
        _, request = _move(desk, caller)
        caller.say("INVITE", sdp(42000, version=2))
        caller.acknowledge(caller.expect(491, "INVITE"))
        caller.answer(request, 491)
        began = time.monotonic()
        caller.expect_request("ACK")
        assert _ports(desk, caller) == str(RTP_PORT)
        again = caller.expect_request("INVITE")
        assert time.monotonic() - began < 2.5
        assert f"m=audio {NEW_PORT} " in again.body
        assert again.cseq != request.cseq
        assert desk.of(ReofferAnswered) == []
        _answered(caller, again)
        assert desk.one(ReofferAnswered).accepted
        caller.hang_up()
        desk.settle()


def test_update_meets_an_offer_of_ours_with_491(desk: Desk) -> None:
    """An UPDATE with an offer while ours is under way gets 491 (RFC 3311 section 5.2)."""
    with Caller(desk.address) as caller:
        _, request = _move(desk, caller)
        caller.say("UPDATE", sdp(42000, version=2))
        caller.expect(491, "UPDATE")
        _answered(caller, request)
        assert desk.one(ReofferAnswered).accepted
        caller.hang_up()


def test_glare_without_end_is_a_refusal(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """After four attempts the call stays as it is."""
    monkeypatch.setattr(reoffers, "glare_wait_s", lambda *_, **__: 0.05)
    with Caller(desk.address) as caller:
        _, request = _move(desk, caller)
        for attempt in range(4):
            if attempt:
                request = caller.expect_request("INVITE")
            caller.answer(request, 491)
            caller.expect_request("ACK")
        answered = desk.one(ReofferAnswered)
        assert (answered.accepted, answered.status) == (False, 491)
        caller.silence()
        caller.hang_up()


@pytest.mark.parametrize("status", [408, 481])
def test_who_does_not_know_the_call_has_ended_it(desk: Desk, status: int) -> None:
    """408 and 481 end the call, with a BYE (RFC 3261 section 12.2.1.2)."""
    with Caller(desk.address) as caller:
        _, request = _move(desk, caller)
        caller.answer(request, status)
        caller.answer(caller.expect_request("BYE"))
        assert (desk.ended().by, desk.ended().reason) == ("network", "gone")
        desk.settle()
    assert desk.of(ReofferAnswered) == []


def test_who_answers_nothing_is_gone(quick_desk: Desk) -> None:
    """A re-INVITE that nobody answers ends the call when its transaction does."""
    with Caller(quick_desk.address) as caller:
        _move(quick_desk, caller)
        assert quick_desk.ended(8.0).reason == "gone"
    assert quick_desk.of(ReofferAnswered) == []


def test_who_only_rings_is_cancelled(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Provisional responses alone do not hold the offer open for ever."""
    monkeypatch.setattr(reoffers, "GIVE_UP_S", 0.3)
    with Caller(desk.address) as caller:
        _, request = _move(desk, caller)
        caller.answer(request, 180)
        caller.answer(caller.expect_request("CANCEL"))
        caller.answer(request, 487)
        caller.expect_request("ACK")
        answered = desk.one(ReofferAnswered)
        assert (answered.accepted, answered.status) == (False, 487)
        assert _ports(desk, caller) == str(RTP_PORT)
        caller.hang_up()
        desk.settle()


def test_a_hangup_takes_the_offer_along(desk: Desk) -> None:
    """BYE from us or from them while the offer is open; nothing is said of it any more."""
    with Caller(desk.address) as caller:
        _, request = _move(desk, caller)
        caller.say("BYE")
        caller.expect(200, "BYE")
        caller.answer(request, 487)
        desk.settle()
    with Caller(desk.address) as caller:
        caller.dial()
        desk.until(lambda: len(desk.of(MediaNegotiated)) == 2)
        call = desk.of(MediaNegotiated)[-1].call
        desk.endpoint.reoffer(call, LocalMedia(NEW_PORT))
        request = caller.expect_request("INVITE")
        desk.endpoint.hangup(call)
        caller.answer(caller.expect_request("BYE"))
        caller.answer(request, 487)
        desk.settle()
    assert desk.of(ReofferAnswered) == []


def test_over_tcp_too() -> None:
    """The re-INVITE goes over the caller's connection; cut, it is a refusal or the end."""
    with Desk() as desk:
        with Caller(desk.address, tcp=True) as caller:
            _, request = _move(desk, caller)
            _answered(caller, request)
            assert desk.one(ReofferAnswered).accepted
        desk.until(lambda: not desk.endpoint.statistics().gauges["tcp_connections"])
        call = desk.one(MediaNegotiated).call
        desk.endpoint.reoffer(call, LocalMedia(RTP_PORT))
        desk.wait(ReofferAnswered, 2, 10.0)
        assert not desk.of(ReofferAnswered)[-1].accepted
        desk.endpoint.hangup(call)


def test_the_random_time_after_glare_is_that_of_the_rfc() -> None:
    """2.1 to 4 s for the owner of the Call-ID, 0 to 2 s for the other, in units of 10 ms."""
    chances = [step / 1000 for step in range(1000)]
    for owner, low, high in ((True, 2.1, 4.0), (False, 0.0, 2.0)):
        waits = [glare_wait_s(chance, owner=owner) for chance in chances]
        assert (min(waits), max(waits)) == (low, high)
        assert all(round(wait * 100) == pytest.approx(wait * 100) for wait in waits)
