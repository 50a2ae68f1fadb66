"""Malformed SIP: RFC 4475's messages, truncation, absurd lengths, fuzz; the next call works."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from bridge.sip.messages import CallEnded, IncomingCall
from tests.sip.caller import Caller, Response
from tests.sip.desk import Desk
from tests.sip.torture import TORTURE, Torture


@pytest.fixture(scope="module")
def shared() -> Iterator[Desk]:
    """One endpoint for every message: what one leaves behind, the next one meets."""
    with Desk() as desk, desk.quick_timers():
        yield desk


def final_status(caller: Caller, seconds: float) -> int | None:
    """Return the next final status, None where nothing comes; a 200 to INVITE is acknowledged."""
    while True:
        try:
            answer = caller.receive(seconds)
        except TimeoutError:
            return None
        if answer.status == 200 and "INVITE" in answer.cseq:
            _acknowledge(caller, answer)
        if answer.status >= 200:
            return answer.status


def _acknowledge(caller: Caller, ok: Response) -> None:
    """Send the ACK of a 200 whose call this caller did not make by its own rules."""
    lines = [
        f"ACK {ok.get('contact').strip('<>')} SIP/2.0",
        f"Via: SIP/2.0/UDP {caller.ip}:{caller.port};branch=z9hG4bKack{caller.call_id}",
        "Max-Forwards: 70",
        *(f"{name}: {ok.get(name)}" for name in ("from", "to", "call-id")),
        f"CSeq: {ok.cseq.split()[0]} ACK",
        "Content-Length: 0",
        "",
        "",
    ]
    caller.send("\r\n".join(lines))


def next_call_works(desk: Desk) -> None:
    """Make an ordinary call."""
    with Caller(desk.address) as caller:
        caller.dial()
        caller.hang_up()


@pytest.mark.parametrize("message", TORTURE.values(), ids=TORTURE.keys())
def test_torture_messages_of_rfc_4475(shared: Desk, message: Torture) -> None:
    """The answer is one that the RFC would have, or nothing; and the next call works."""
    with Caller(shared.address) as caller:
        caller.send(message.pack(f"{caller.ip}:{caller.port}"))
        patience = 0.15 if None in message.answers else 3.0
        assert final_status(caller, patience) in message.answers
    for call in shared.of(IncomingCall):
        shared.endpoint.hangup(call.call)
    next_call_works(shared)
    assert shared.count("callback_faults") == 0


def faults(desk: Desk) -> Counter[str]:
    """Return the counters of faults."""
    counters = desk.endpoint.statistics().counters
    return Counter({name: count for name, count in counters.items() if name.startswith("fault_")})


@pytest.mark.parametrize(
    "raw",
    [
        # PJSIP looks at no datagram of 32 octets or fewer, which cannot be a message.
        b"complete nonsense that goes on for a while\r\n\r\n",
        b"\xff\xfe\x00" * 40,
        b"INVITE sip:1@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;br",
        b"INVITE sip:1@127.0.0.1 SIP/2.0\r\n" + b"X: " + b"y" * 60_000,
    ],
    ids=["nonsense", "no text", "truncated", "long"],
)
def test_what_is_no_sip_is_counted_and_gets_no_answer(shared: Desk, raw: bytes) -> None:
    """An administrator sees that something keeps sending it; the next call works."""
    before = faults(shared)
    with Caller(shared.address) as caller:
        caller.send(raw)
        shared.until(lambda: faults(shared) != before)
        caller.silence(0.2)
    next_call_works(shared)
    assert faults(shared) - before == {"fault_malformed": 1}


def test_keep_alives_are_no_fault(shared: Desk) -> None:
    """Line breaks and zero octets: phones behind NAT send them all day."""
    before = faults(shared)
    with Caller(shared.address) as caller:
        for raw in (b"\r\n\r\n", b"\r\n" * 20, b"\0", b"\0\0\0\0"):
            caller.send(raw)
        next_call_works(shared)
    assert faults(shared) == before


def test_nothing_is_left_of_the_torture(shared: Desk) -> None:
    """Calls, sessions and dialogs of all those messages are gone after 64 T1."""
    gauges = shared.settle(10.0)
    assert gauges["calls"] == 0
    assert len(shared.of(CallEnded)) == len(shared.of(IncomingCall))
