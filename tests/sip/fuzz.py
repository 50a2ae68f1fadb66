"""Seeded mutations of SIP messages against an endpoint; ``python -m tests.sip.fuzz SEED COUNT``.

The invariant: whatever comes over UDP or TCP, before, inside and after a call, the process lives,
no callback of ours fails, and an ordinary call works afterwards. PJSIP is compiled with assertions,
so it runs in a process of its own: a failed one ends it, and the last messages lie in the file
named by the third argument.
"""

from __future__ import annotations

import contextlib
import sys
from collections import deque
from pathlib import Path
from random import Random

import structlog

from bridge.sip.messages import IncomingCall
from tests.sip.caller import OFFER, Caller, sdp
from tests.sip.desk import Desk
from tests.sip.torture import TORTURE

__all__ = ["main", "mutate"]

_WORDS = (
    b"",
    b"0",
    b"-1",
    b"4294967296",
    b"99999999999999999999",
    b'"',
    b"<",
    b">",
    b";",
    b",",
    b"%00",
    b"\x00",
    b"\xff\xfe",
    b"\xc3\x28",
    b"sip:",
    b"sips:a@b",
    b"tel:+1",
    b"a" * 300,
    b";lr",
    b";maddr=127.0.0.1",
    b";transport=tcp",
    b";transport=tls",
    b";rport",
    b";received=1.2.3.4",
    b"SIP/2.0",
    b"[::1]",
    b"127.0.0.1:0",
    b"z9hG4bK",
)
_LINES = (
    b"Record-Route: <sip:127.0.0.1:9;lr>",
    b"Record-Route: <sip:127.0.0.1:9;lr;hide>, <sip:a>",
    b"Route: <sip:127.0.0.1;lr>",
    b"Route: <tel:1>",
    b"Require: 100rel",
    b"Require: timer",
    b"Supported: 100rel, timer, replaces, path",
    b"Session-Expires: 90;refresher=uac",
    b"Session-Expires: 1",
    b"Min-SE: 4000000000",
    b"RSeq: 1",
    b"RAck: 1 1 INVITE",
    b"Replaces: x;to-tag=1;from-tag=2",
    b"Refer-To: <sip:a@b?Replaces=x>",
    b"Event: refer",
    b"Subscription-State: active",
    b"Expires: 0",
    b"Max-Forwards: 0",
    b"Content-Encoding: gzip",
    b"Content-Type: multipart/mixed;boundary=x",
    b"Content-Type: message/sipfrag",
    b"Content-Length: 99",
    b"Contact: *",
    b"Contact: <sip:x@127.0.0.1:9;transport=tcp>",
    b"To: <sip:x@y>;tag=1",
    b"CSeq: 4294967295 INVITE",
    b'Authorization: Digest realm="x", nonce="", response=',
    b"Reason: Q.850;cause=",
    b"Retry-After: 99999999999",
    b"Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKx",
    b"v: SIP/2.0/TCP a.invalid",
    b"User-to-User: 00" + b"41" * 200,
)


def mutate(raw: bytes, rng: Random) -> bytes:
    """Return a message with one to four faults."""
    for _ in range(rng.randint(1, 4)):
        fault = rng.choice((_spoil_octets, _spoil_lines, _spoil_header, _spoil_method))
        raw = fault(raw, rng) or b"x"
    return raw[:60_000]


def _spoil_octets(raw: bytes, rng: Random) -> bytes:
    """Cut a message short, or change, insert or overwrite something anywhere."""
    place = rng.randrange(len(raw) + 1)
    match rng.randrange(4):
        case 0:
            return raw[:place]
        case 1:
            return raw[:place] + bytes([rng.randrange(256)]) + raw[place + 1 :]
        case 2:
            return raw[:place] + rng.choice(_WORDS) + raw[place:]
        case _:
            return raw[:place] + rng.choice(_WORDS) + raw[place + rng.randrange(30) :]


def _spoil_lines(raw: bytes, rng: Random) -> bytes:
    """Leave a line out, double one, or swap two."""
    lines = raw.split(b"\r\n")
    at, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    match rng.randrange(3):
        case 0:
            del lines[at]
        case 1:
            lines.insert(at, lines[other])
        case _:
            lines[at], lines[other] = lines[other], lines[at]
    return b"\r\n".join(lines)


def _spoil_header(raw: bytes, rng: Random) -> bytes:
    """Add a header that does not belong here, or change the value of one that does."""
    lines = raw.split(b"\r\n")
    at = rng.randrange(len(lines))
    if rng.random() < 2 / 3:
        lines.insert(min(at, 8) + 1, rng.choice(_LINES))
    else:
        name, colon, _ = lines[at].partition(b":")
        lines[at] = name + colon + b" " + rng.choice(_WORDS)
    return b"\r\n".join(lines)


def _spoil_method(raw: bytes, rng: Random) -> bytes:
    """Put another method into the request line, or into CSeq as well."""
    method = rng.choice((b"UPDATE", b"PRACK", b"ACK", b"CANCEL", b"REFER", b"INFO"))
    return raw.replace(b"INVITE", method, rng.randint(1, 2))


class _Fuzz:
    """One run."""

    def __init__(self, desk: Desk, rng: Random, journal: Path | None) -> None:
        self.desk = desk
        self.rng = rng
        self.journal = journal
        self.last: deque[bytes] = deque(maxlen=40)
        self.sent: list[bytes] = []

    def send(self, caller: Caller, text: str) -> None:
        """Send a message, mutated or now and then as it is."""
        raw = text.encode("utf-8", "replace")
        if self.rng.random() < 0.9:
            raw = mutate(raw, self.rng)
        self.last.append(raw)
        self.sent.append(raw)
        if self.journal is not None:
            self.journal.write_bytes(b"\n=====\n".join(self.last))
        with contextlib.suppress(OSError):
            caller.send(raw)

    def settle(self) -> None:
        """Wait until no session is left; else say what each that is left got last."""
        try:
            self.desk.settle(30.0)
        except AssertionError as fault:
            for call_id in self.desk.left():
                of_call = [raw for raw in self.sent if call_id.encode() in raw]
                fault.add_note(b"\n=====\n".join(of_call[-3:]).decode("latin-1"))
            raise

    def strangers(self, caller: Caller) -> None:
        """Send requests and responses that belong to nothing."""
        method = self.rng.choice(
            ("INVITE", "OPTIONS", "REGISTER", "BYE", "CANCEL", "ACK", "SUBSCRIBE", "MESSAGE")
        )
        caller.to_tag = self.rng.choice(("", "", "1"))
        body = self._body() if method in ("INVITE", "MESSAGE", "ACK") else ""
        text = caller.request(method, body)
        if self.rng.random() < 0.15:
            status = self.rng.choice((100, 180, 200, 302, 401, 407, 481, 503, 699))
            text = f"SIP/2.0 {status} X" + text[text.index("\r\n") :]
        self.send(caller, text)
        caller.to_tag = ""

    def torture(self, caller: Caller) -> None:
        """Send a message of RFC 4475."""
        message = TORTURE[self.rng.choice(list(TORTURE))]
        self.send(caller, message.pack(f"{caller.ip}:{caller.port}").decode("latin-1"))

    def a_call(self, *, tcp: bool) -> None:
        """Make a call and be rude at every step of it."""
        rng = self.rng
        late = rng.random() < 0.3
        with Caller(self.desk.address, tcp=tcp) as caller:
            headers = ("Supported: 100rel, timer",) if rng.random() < 0.5 else ()
            with contextlib.suppress(OSError, AssertionError, ValueError, IndexError):
                if rng.random() < 0.3:
                    self.send(caller, caller.request("INVITE", "" if late else self._body()))
                    caller.cseq -= 1
                caller.say("INVITE", "" if late else OFFER, headers=headers)
                for _ in range(rng.randrange(3)):
                    self.inside(caller)
                ok = caller.expect(200, "INVITE", timeout=0.3)
                if rng.random() < 0.3:
                    self.send(caller, caller.request("ACK", self._body() if late else "", cseq=1))
                caller.acknowledge(ok, OFFER if late else "")
                for _ in range(rng.randrange(12)):
                    self.inside(caller)
                    if rng.random() < 0.15:
                        self.desk.endpoint.probe(self.desk.of(IncomingCall)[-1].call)
                if rng.random() < 0.7:
                    caller.say("BYE")
        for call in self.desk.of(IncomingCall)[-3:]:
            self.desk.endpoint.hangup(call.call)

    def inside(self, caller: Caller) -> None:
        """Send something that belongs to the call, nearly."""
        method = self.rng.choice(
            ("INVITE", "UPDATE", "INFO", "ACK", "PRACK", "CANCEL", "OPTIONS", "REFER", "BYE")
        )
        if method == "BYE" and self.rng.random() < 0.7:
            return
        with_body = method in ("INVITE", "UPDATE", "ACK", "PRACK") and self.rng.random() < 0.8
        body = self._body() if with_body else ""
        more = ("RAck: 1 1 INVITE",) if method == "PRACK" else ()
        branch = caller.branch if method in ("CANCEL", "ACK") else None
        cseq = 1 if method in ("CANCEL", "ACK") else None
        text = caller.request(method, body, headers=more, branch=branch, cseq=cseq)
        self.send(caller, text)
        with contextlib.suppress(OSError, ValueError, IndexError):
            answer = caller.receive(0.002)
            if answer.status == 200 and "INVITE" in answer.cseq and self.rng.random() < 0.7:
                caller.acknowledge(answer, self._body() if self.rng.random() < 0.3 else "")
            elif answer.method:
                caller.answer(answer, self.rng.choice((200, 200, 405, 481)))

    def _body(self) -> str:
        rng = self.rng
        body = rng.choice(
            (
                OFFER,
                sdp(more=("a=sendonly",), version=rng.randrange(9)),
                sdp(address="0.0.0.0"),  # noqa: S104 - said, not bound
                sdp(more=("m=video 41010 RTP/AVP 99", "a=rtpmap:99 H264/90000")),
                sdp(media="image", protocol="udptl", formats="t38", lines=()),
                sdp(0),
                sdp(formats="8 13 96", lines=("a=rtpmap:96 telephone-event/8000",)),
                "",
            )
        )
        if rng.random() < 0.6:
            body = mutate(body.encode(), rng).decode("latin-1")
        return body


def main(seed: int, count: int, journal: Path | None = None) -> None:
    """Send ``count`` rounds of messages; raise where the endpoint is the worse for it."""
    rng = Random(seed)
    dice = Random(seed + 1)

    over = False

    def policy(desk: Desk, call: IncomingCall) -> None:
        chance = dice.random()
        if over or chance < 0.85:
            desk.accept(call)
        elif chance < 0.95:
            desk.endpoint.refuse(call.call, dice.choice((404, 486, 503)))

    with Desk(policy, unanswered_s=1.0) as desk, desk.quick_timers():
        fuzz = _Fuzz(desk, rng, journal)
        stranger = Caller(desk.address)
        for number in range(count):
            choice = rng.random()
            if choice < 0.55:
                fuzz.strangers(stranger)
            elif choice < 0.75:
                fuzz.torture(stranger)
            else:
                fuzz.a_call(tcp=rng.random() < 0.3)
            if number % 50 == 49:
                stranger.socket.close()
                stranger = Caller(desk.address)
        stranger.socket.close()
        over = True
        with Caller(desk.address) as caller:
            caller.dial()
            caller.hang_up()
        for call in desk.of(IncomingCall):
            desk.endpoint.hangup(call.call)
        fuzz.settle()
        statistics = desk.endpoint.statistics()
        assert not statistics.counters["callback_faults"], statistics.counters
        assert len(desk.of(IncomingCall)) > count // 20


if __name__ == "__main__":
    structlog.configure(processors=[structlog.processors.JSONRenderer()])
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]) if sys.argv[3:] else None)
    sys.stdout.write("survived\n")
