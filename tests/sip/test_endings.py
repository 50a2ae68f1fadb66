"""How calls end, and what goes wrong on the way: lost, repeated and crossing messages."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from bridge.sip.errors import NotRunningError, SettingsError
from bridge.sip.messages import (
    CallConfirmed,
    CallEnded,
    IncomingCall,
    LocalMedia,
    MediaNegotiated,
    ProbeAnswered,
)
from tests.sip.caller import OFFER, Caller, sdp
from tests.sip.desk import RTP_PORT, Desk


def _leave(_desk: Desk, _call: IncomingCall) -> None:
    """Decide nothing."""


def test_cancel_before_the_answer() -> None:
    """CANCEL gets 200, the INVITE 487, and the caller ended the call."""
    with Desk(_leave) as desk, Caller(desk.address) as caller:
        caller.say("INVITE", OFFER)
        caller.expect(100, "INVITE")
        call = desk.one(IncomingCall)
        desk.endpoint.ring(call.call)
        caller.expect(180, "INVITE")
        caller.to_tag = ""
        caller.say("CANCEL", branch=caller.branch, headers=("Reason: Q.850;cause=102",))
        seen: dict[str, int] = {}
        while len(seen) < 2:
            answer = caller.receive()
            seen[answer.cseq.split()[1]] = answer.status
        assert seen == {"CANCEL": 200, "INVITE": 487}
        caller.say("ACK", branch=caller.branch)
        ended = desk.ended()
        assert (ended.by, ended.status, ended.reason) == ("caller", 487, "cancelled")
        assert ended.q850 == 102
        # A decision that crosses the CANCEL changes nothing any more.
        desk.endpoint.accept(call.call, LocalMedia(RTP_PORT))
        desk.endpoint.refuse(call.call, 404)
        desk.endpoint.hangup(call.call)
        desk.settle()
        assert len(desk.of(CallEnded)) == 1


def test_cancel_after_the_answer_leaves_the_call(desk: Desk) -> None:
    """A CANCEL that comes too late gets an answer and ends nothing (RFC 3261 section 9.2)."""
    with Caller(desk.address) as caller:
        caller.say("INVITE", OFFER)
        ok = caller.expect(200, "INVITE")
        tag, caller.to_tag = caller.to_tag, ""
        caller.say("CANCEL", branch=caller.branch)
        caller.to_tag = tag
        caller.acknowledge(ok)
        desk.call_is_up()
        caller.hang_up()
    assert desk.ended().reason == "bye"


@pytest.mark.parametrize(
    ("status", "retry_after", "q850"),
    [(404, None, 1), (403, None, 21), (486, None, 17), (480, None, None), (503, 30, 42)],
)
def test_refusals_mean_something(status: int, retry_after: int | None, q850: int | None) -> None:
    """Status, Retry-After and Reason reach the caller, and the bridge ended the call."""

    def refuse(desk: Desk, call: IncomingCall) -> None:
        desk.endpoint.refuse(call.call, status, retry_after=retry_after, q850=q850)

    with Desk(refuse) as desk, Caller(desk.address) as caller:
        caller.say("INVITE", OFFER)
        answer = caller.expect(status, "INVITE")
        caller.acknowledge(answer)
        assert answer.get("retry-after") == ("" if retry_after is None else str(retry_after))
        assert (f"Q.850;cause={q850}" in answer.get("reason")) == (q850 is not None)
        ended = desk.ended()
        assert (ended.by, ended.status, ended.q850) == ("bridge", status, q850)


def test_a_refusal_may_have_its_own_words() -> None:
    """The phrase of the status line can be chosen."""

    def refuse(desk: Desk, call: IncomingCall) -> None:
        desk.endpoint.refuse(call.call, 403, "Not You")

    with Desk(refuse) as desk, Caller(desk.address) as caller:
        caller.say("INVITE", OFFER)
        answer = caller.expect(403, "INVITE")
        assert answer.raw.startswith(b"SIP/2.0 403 Not You\r\n")


def test_a_refusal_with_a_status_that_is_none_is_our_mistake(desk: Desk) -> None:
    """200 is no refusal."""
    with pytest.raises(SettingsError, match="300 to 699"):
        desk.endpoint.refuse(1, 200)


def test_the_bridge_hangs_up_with_a_reason(desk: Desk) -> None:
    """BYE carries the Q.850 cause and our words (RFC 3326); the end is told at once."""
    with Caller(desk.address) as caller:
        caller.dial()
        incoming, _ = desk.call_is_up()
        desk.endpoint.hangup(incoming.call, 16, "Conference is over")
        bye = caller.expect_request("BYE")
        assert bye.get("reason") == 'Q.850;cause=16;text="Conference is over"'
        ended = desk.ended()
        assert (ended.by, ended.q850, ended.status) == ("bridge", 16, None)
        caller.answer(bye)
        desk.settle()


def test_hanging_up_before_the_ack_waits_for_it(desk: Desk) -> None:
    """BYE is sent when the ACK has come (RFC 3261 section 15)."""

    def accept_and_hang_up(on: Desk, call: IncomingCall) -> None:
        on.endpoint.accept(call.call, LocalMedia(RTP_PORT))
        on.endpoint.hangup(call.call)

    desk._policy = accept_and_hang_up
    with Caller(desk.address) as caller:
        caller.say("INVITE", OFFER)
        ok = caller.expect(200, "INVITE")
        assert desk.ended().by == "bridge"
        caller.acknowledge(ok)
        caller.answer(caller.expect_request("BYE"))
        desk.settle()
    assert not desk.of(CallConfirmed)


def test_a_bye_that_crosses_ours_is_answered(desk: Desk) -> None:
    """Both hang up at once: each BYE gets 200, the call ended once."""
    with Caller(desk.address) as caller:
        caller.dial()
        incoming, _ = desk.call_is_up()
        desk.endpoint.hangup(incoming.call)
        bye = caller.expect_request("BYE")
        caller.say("BYE")
        caller.expect(200, "BYE")
        caller.answer(bye)
        desk.settle()
    assert len(desk.of(CallEnded)) == 1


def test_an_undecided_call_is_refused() -> None:
    """A bridge that never decides does not keep the caller waiting for ever."""
    with Desk(_leave, unanswered_s=0.5) as desk, Caller(desk.address) as caller:
        caller.say("INVITE", OFFER)
        answer = caller.expect(503, "INVITE")
        assert answer.get("retry-after")
        ended = desk.ended()
        assert (ended.by, ended.reason) == ("bridge", "no_answer_from_bridge")


def test_retransmitted_invites_are_one_call(desk: Desk) -> None:
    """Repetitions before the ACK repeat the answer; one that comes after it gets nothing."""
    with Caller(desk.address) as caller:
        text = caller.say("INVITE", OFFER)
        caller.send(text)
        ok = caller.expect(200, "INVITE")
        caller.send(text)
        caller.expect(200, "INVITE")
        caller.acknowledge(ok)
        desk.call_is_up()
        time.sleep(0.1)
        while True:
            try:
                caller.receive(0.05)
            except TimeoutError:
                break
        caller.send(text)
        caller.silence()
        caller.hang_up()
        caller.send(text)
        caller.silence()
    assert len(desk.of(IncomingCall)) == 1
    assert desk.count("fault_late_retransmission") == 2


def test_a_request_that_came_two_ways_is_a_loop(desk: Desk) -> None:
    """The same Call-ID, tag and CSeq with another branch gets 482 (RFC 3261 section 8.2.2.2)."""
    with Caller(desk.address) as caller:
        caller.dial()
        tag, caller.to_tag = caller.to_tag, ""
        target, caller.remote_target = caller.remote_target, f"sip:1@127.0.0.1:{desk.address[1]}"
        caller.say("INVITE", OFFER, cseq=1)
        caller.expect(482, "INVITE")
        caller.to_tag, caller.remote_target = tag, target
        caller.hang_up()
    assert len(desk.of(IncomingCall)) == 1


def test_lost_ack(quick_desk: Desk) -> None:
    """Without an ACK the 200 is repeated for 64 T1, then the call is ended by BYE."""
    with Caller(quick_desk.address) as caller:
        caller.say("INVITE", OFFER)
        caller.expect(200, "INVITE")
        repeated = 0
        deadline = time.monotonic() + 8
        while (message := caller.receive(deadline - time.monotonic())).method != "BYE":
            repeated += message.status == 200
        caller.answer(message)
        assert repeated >= 3
    ended = quick_desk.ended()
    assert (ended.by, ended.reason) == ("network", "no_ack")
    quick_desk.settle()


def test_lost_bye(quick_desk: Desk) -> None:
    """A BYE of ours that nobody answers is repeated and then given up; the end was told before."""
    with Caller(quick_desk.address) as caller:
        caller.dial()
        incoming, _ = quick_desk.call_is_up()
        quick_desk.endpoint.hangup(incoming.call)
        quick_desk.ended(1.0)
        assert sum(caller.receive().method == "BYE" for _ in range(4)) == 4
        quick_desk.settle(8.0)


@pytest.mark.parametrize("method", ["UPDATE", "INVITE", "REFER", "NOTIFY", "SUBSCRIBE"])
@pytest.mark.parametrize("contact", ["<tel:+46701234567>", "http://127.0.0.1/"])
def test_a_contact_that_no_bye_could_be_sent_to_is_not_taken(
    desk: Desk, method: str, contact: str
) -> None:
    """It gets 400 (RFC 3261 section 8.1.1.8), and our BYE still goes to the one before."""
    with Caller(desk.address) as caller:
        caller.dial()
        incoming, _ = desk.call_is_up()
        caller.say(method, contact=contact)
        caller.expect(400, method)
        desk.endpoint.hangup(incoming.call)
        caller.answer(caller.expect_request("BYE"))
        desk.settle()
    assert desk.count("fault_contact_scheme") == 1


def test_a_bye_that_cannot_be_sent_ends_the_session_all_the_same(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PJSIP would keep the session and its dialog for ever."""
    monkeypatch.setattr("bridge.sip.gate.find_fault", lambda _message: None)
    with Caller(desk.address) as caller:
        caller.dial()
        incoming, _ = desk.call_is_up()
        caller.say("UPDATE", contact="<tel:+46701234567>")
        caller.expect(200, "UPDATE")
        desk.endpoint.hangup(incoming.call)
        assert desk.ended().reason == "bye"
        desk.settle()
    assert not desk.count("callback_faults")


def test_a_probe_tells_the_living_from_the_dead(quick_desk: Desk) -> None:
    """OPTIONS in the dialog: any answer is life, 481 and silence end the call."""
    with Caller(quick_desk.address) as caller:
        caller.dial()
        call = quick_desk.call_is_up()[0].call
        # 503 is a phone that is overloaded; PJSIP's own means that it could not be asked.
        for count, status in enumerate((405, 503), start=1):
            quick_desk.endpoint.probe(call)
            caller.answer(caller.expect_request("OPTIONS"), status)
            assert quick_desk.wait(ProbeAnswered, count)[-1].alive
        quick_desk.endpoint.probe(call)
        caller.answer(caller.expect_request("OPTIONS"), 481)
        caller.answer(caller.expect_request("BYE"))
        ended = quick_desk.ended()
        assert (ended.by, ended.reason) == ("network", "gone")
    with Caller(quick_desk.address) as caller:
        caller.dial()
        quick_desk.wait(CallConfirmed, 2)
        quick_desk.endpoint.probe(quick_desk.of(IncomingCall)[1].call)
        caller.expect_request("OPTIONS")
        ended = quick_desk.wait(CallEnded, 2, timeout=8.0)[1]
        assert (ended.by, ended.reason) == ("network", "gone")


def test_glare_gets_491(desk: Desk) -> None:
    """A re-INVITE while another waits for its ACK is told to try again (RFC 3261 section 14.2)."""
    with Caller(desk.address) as caller:
        caller.dial()
        desk.call_is_up()
        caller.say("INVITE", sdp(more=("a=sendonly",), version=2))
        held = caller.expect(200, "INVITE")
        caller.say("INVITE", sdp(version=3))
        answers = [caller.receive().status for _ in range(2)]
        assert set(answers) & {491, 500}
        caller.acknowledge(held)
        caller.say("INVITE", sdp(version=4))
        while (back := caller.receive()).status != 200 or "a=sendrecv" not in back.body:
            pass
        caller.acknowledge(back)
        caller.hang_up()
    assert desk.ended().reason == "bye"


def test_an_invite_in_the_dialog_before_our_answer_must_wait() -> None:
    """A second INVITE before the final answer to the first gets 500 and Retry-After."""
    with Desk(_leave) as desk, Caller(desk.address) as caller:
        caller.say("INVITE", OFFER)
        call = desk.one(IncomingCall).call
        desk.endpoint.ring(call)
        caller.expect(180, "INVITE")
        caller.say("INVITE", OFFER)
        answer = caller.expect(500, "2 INVITE")
        assert answer.get("retry-after")
        caller.say("UPDATE", sdp(41100))
        assert caller.expect(500, "UPDATE").get("retry-after")
        desk.endpoint.accept(call, LocalMedia(RTP_PORT))
        caller.acknowledge(caller.expect(200, "1 INVITE"))
        desk.call_is_up()
        caller.hang_up()


def test_an_update_before_our_late_offer_must_wait() -> None:
    """There is nothing to update before a first offer; PJSIP would have no negotiator."""
    with Desk(_leave) as desk, Caller(desk.address) as caller:
        caller.say("INVITE")
        call = desk.one(IncomingCall).call
        desk.endpoint.ring(call)
        caller.expect(180, "INVITE")
        caller.say("UPDATE", OFFER)
        caller.expect(500, "UPDATE")
        desk.endpoint.accept(call, LocalMedia(RTP_PORT))
        caller.acknowledge(caller.expect(200, "INVITE"), OFFER)
        desk.one(MediaNegotiated)
        caller.hang_up()


def test_an_offer_in_a_prack_is_declined() -> None:
    """A PRACK is no place for a new offer to us, and PJSIP would assert on it."""
    with Desk(_leave) as desk, Caller(desk.address) as caller:
        caller.say("INVITE", OFFER, headers=("Require: 100rel",))
        call = desk.one(IncomingCall).call
        desk.endpoint.ring(call)
        ringing = caller.expect(180, "INVITE")
        caller.say("PRACK", sdp(41900), headers=(f"RAck: {ringing.get('rseq')} 1 INVITE",))
        caller.expect(488, "PRACK")
        caller.say("PRACK", headers=(f"RAck: {ringing.get('rseq')} 1 INVITE",))
        caller.expect(200, "PRACK")
        desk.endpoint.accept(call, LocalMedia(RTP_PORT))
        caller.acknowledge(caller.expect(200, "INVITE"))
        desk.call_is_up()
        caller.hang_up()


def test_a_bye_in_an_early_dialog_ends_the_call() -> None:
    """A caller may give up by BYE before the answer (RFC 3261 section 15)."""
    with Desk(_leave) as desk, Caller(desk.address) as caller:
        caller.say("INVITE", OFFER)
        desk.endpoint.ring(desk.one(IncomingCall).call)
        caller.expect(180, "INVITE")
        caller.say("BYE")
        seen: set[tuple[str, int]] = set()
        while len(seen) < 2:
            answer = caller.receive()
            seen.add((answer.cseq.split()[1], answer.status))
        assert ("BYE", 200) in seen
        assert ("INVITE", 487) in seen
        assert desk.ended().by == "caller"


def test_a_request_for_a_call_that_is_not_gets_481(desk: Desk) -> None:
    """A trusted source that names an unknown dialog is told so."""
    with Caller(desk.address) as caller:
        caller.to_tag = "nobody"
        for method in ("BYE", "INVITE", "INFO", "OPTIONS"):
            caller.say(method)
            caller.expect(481, method)


def test_session_timer_too_small_is_refused(desk: Desk) -> None:
    """A session interval below Min-SE gets 422 that names ours (RFC 4028 section 8.1)."""
    with Caller(desk.address) as caller:
        caller.say("INVITE", OFFER, headers=("Supported: timer", "Session-Expires: 10"))
        answer = caller.expect(422, "INVITE")
        caller.acknowledge(answer)
        assert answer.get("min-se") == "90"
    assert not desk.of(IncomingCall)
    desk.settle()


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_session_timers_refresh_and_expire(desk: Desk) -> None:
    """We refresh where we are the refresher; a session that nobody refreshes is ended."""
    timer = ("Supported: timer", "Allow: INVITE, UPDATE, BYE, ACK")
    with Caller(desk.address) as silent, Caller(desk.address) as lazy, Caller(desk.address) as good:
        ok = silent.dial(headers=(*timer, "Session-Expires: 90;refresher=uac"))
        assert "refresher=uac" in ok.get("session-expires")
        ok = lazy.dial(headers=(*timer, "Session-Expires: 90;refresher=uas"))
        assert "refresher=uas" in ok.get("session-expires")
        good.dial(headers=(*timer, "Session-Expires: 90;refresher=uac"))
        desk.wait(CallConfirmed, 3)
        started = time.monotonic()
        refresh = lazy.expect_request("UPDATE", timeout=50.0)
        assert 40 < time.monotonic() - started < 50
        lazy.answer(refresh)
        good.say("UPDATE", headers=(*timer, "Session-Expires: 90;refresher=uac"))
        good.expect(200, "UPDATE")
        bye = silent.expect_request("BYE", timeout=30.0)
        silent.answer(bye)
        assert 55 < time.monotonic() - started < 75
        ended = desk.ended()
        assert (ended.call, ended.by, ended.reason) == (1, "network", "session_expired")
        time.sleep(2.0)
        assert len(desk.of(CallEnded)) == 1
        good.hang_up()
        lazy.hang_up()


def test_stopping_ends_calls_politely() -> None:
    """Stop sends BYE to calls that are up and 503 to those that wait, and tells the bridge."""
    desk = Desk()
    with desk, Caller(desk.address) as up, Caller(desk.address) as waiting:
        up.dial()
        desk.call_is_up()
        desk._policy = _leave
        waiting.say("INVITE", OFFER)
        desk.wait(IncomingCall, 2)
        desk.endpoint.drain(7)
        desk.until(lambda: desk.endpoint.statistics().gauges["draining"])
        with Caller(desk.address) as late:
            late.say("INVITE", OFFER)
            assert late.expect(503, "INVITE").get("retry-after") == "7"
        with Caller(desk.address) as asking:
            asking.say("OPTIONS")
            asking.expect(503, "OPTIONS")
        began = time.monotonic()
        desk.endpoint.stop(timeout=0.5)
        assert time.monotonic() - began < 3
        assert waiting.expect(503, "INVITE").get("retry-after") == "7"
        up.expect_request("BYE")
    reasons = {(event.by, event.reason) for event in desk.of(CallEnded)}
    assert reasons == {("bridge", "stopped")}
    assert len(desk.of(CallEnded)) == 2
    with pytest.raises(NotRunningError):
        desk.endpoint.hangup(1)


def test_a_fault_of_ours_costs_one_step_and_no_call(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command or a look at the house that fails is counted; the SIP thread goes on."""

    def stumble(*_: object) -> None:
        raise RuntimeError("stumbled")

    with Caller(desk.address) as caller:
        caller.dial()
        desk.call_is_up()
        with monkeypatch.context() as patched:
            patched.setattr(desk.endpoint._switchboard, "probe", stumble)
            patched.setattr(desk.endpoint._switchboard, "keep_house", stumble)
            desk.endpoint.probe(1)
            desk.until(lambda: desk.count("callback_faults") >= 2)
        caller.hang_up()
    assert desk.ended().reason == "bye"
    with Caller(desk.address) as caller:
        caller.dial()
        caller.hang_up()


def test_tags_cannot_be_guessed_from_an_earlier_run() -> None:
    """PJLIB starts its random numbers alike each time, unless they are seeded."""
    tags = set()
    for _ in range(2):
        with Desk() as desk:
            for _ in range(2):
                with Caller(desk.address) as caller:
                    caller.dial()
                    tags.add(caller.to_tag)
                    caller.hang_up()
    assert len(tags) == 4
    code = (
        "from tests.sip.caller import Caller\nfrom tests.sip.desk import Desk\n"
        "with Desk() as desk, Caller(desk.address) as caller:\n"
        "    caller.dial()\n    print('tag', caller.to_tag)\n    caller.hang_up()\n"
    )
    for _ in range(2):
        ran = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=True, text=True, timeout=60
        )
        tags.update(line for line in ran.stdout.splitlines() if line.startswith("tag "))
    assert len(tags) == 6
