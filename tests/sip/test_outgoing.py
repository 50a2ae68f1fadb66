"""Calls that we make: ringing, the answer, digest, refusals, what rings too long, CANCEL."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from bridge.sip.messages import (
    CallConfirmed,
    CallEnded,
    Dial,
    DigitByInfo,
    LocalMedia,
    MediaNegotiated,
    OutgoingRinging,
    ReofferAnswered,
)
from tests.sip.caller import Response, sdp
from tests.sip.desk import RTP_PORT, Desk
from tests.support.sip_text import authorise

CALLEE, OURS = "+46701740699", "+18005550100"


class Callee:
    """The other end: a proxy and the phone behind it, by hand."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.ip, self.port = self.socket.getsockname()
        self.bridge = ("", 0)
        self.invite = Response(b"")
        self.cseq = 100
        self.seen: set[bytes] = set()

    def dial(self, desk: Desk, **changes: Any) -> int:  # noqa: ANN401 - as of `Dial`
        """Have the bridge call."""
        facts: dict[str, Any] = {
            "number": CALLEE,
            "caller": OURS,
            "proxy": f"{self.ip}:{self.port}",
            "media": LocalMedia(RTP_PORT),
        }
        return desk.endpoint.dial(Dial(**{**facts, **changes}))

    def expect(self, method: str, timeout: float = 5.0) -> Response:
        """Return the next request with a method; repetitions are passed over."""
        deadline = time.monotonic() + timeout
        while True:
            self.socket.settimeout(max(deadline - time.monotonic(), 0.001))
            raw, self.bridge = self.socket.recvfrom(65535)
            request = Response.of(raw)
            if request.method == method and raw not in self.seen:
                self.seen.add(raw)
                if method == "INVITE":
                    self.invite = request
                return request

    def answer(
        self,
        request: Response,
        status: int,
        body: str = "",
        headers: tuple[str, ...] = (),
        tag: str = "callee",
    ) -> None:
        """Send a response."""
        lines = [f"SIP/2.0 {status} Whatever"]
        for name in ("via", "from", "call-id", "cseq"):
            lines += [f"{name}: {value}" for key, value in request.headers if key == name]
        to = request.get("to")
        lines.append(f"to: {to}" if "tag=" in to or status == 100 else f"to: {to};tag={tag}")
        if not any(line.startswith("Contact:") for line in headers):
            lines.append(f"Contact: <sip:{CALLEE}@{self.ip}:{self.port}>")
        lines += headers
        if body:
            lines.append("Content-Type: application/sdp")
        lines += [f"Content-Length: {len(body)}", "", body]
        self.socket.sendto("\r\n".join(lines).encode(), self.bridge)

    def say(self, method: str, body: str = "", content_type: str = "application/sdp") -> None:
        """Send a request in the dialog."""
        self.cseq += method != "ACK"
        target = re.search(r"<([^>]+)>", self.invite.get("contact"))
        assert target
        branch = f"z9hG4bK{self.cseq}{self.port}{method}"
        lines = [
            f"{method} {target[1]} SIP/2.0",
            f"Via: SIP/2.0/UDP {self.ip}:{self.port};branch={branch};rport",
            "Max-Forwards: 70",
            f"From: {self.invite.get('to')};tag=callee",
            f"To: {self.invite.get('from')}",
            f"Call-ID: {self.invite.get('call-id')}",
            f"CSeq: {self.cseq} {method}",
            f"Contact: <sip:{CALLEE}@{self.ip}:{self.port}>",
        ]
        if body:
            lines.append(f"Content-Type: {content_type}")
        lines += [f"Content-Length: {len(body)}", "", body]
        self.socket.sendto("\r\n".join(lines).encode(), self.bridge)

    def status(self, method: str) -> int:
        """Return the status of the next final response to a method."""
        while True:
            self.socket.settimeout(5.0)
            response = Response.of(self.socket.recv(65535))
            if response.status >= 200 and method in response.cseq:
                return response.status

    def pick_up(self, desk: Desk, body: str | None = None, **changes: Any) -> int:  # noqa: ANN401 - as of `Dial`
        """Have the bridge call, and answer; return the call."""
        call = self.dial(desk, **changes)
        self.answer(self.expect("INVITE"), 200, sdp() if body is None else body)
        self.expect("ACK")
        return call

    def hang_up(self, desk: Desk) -> None:
        """Say BYE."""
        self.say("BYE")
        assert self.status("BYE") == 200
        desk.settle()


@pytest.fixture
def callee() -> Iterator[Callee]:
    """Somebody to call."""
    made = Callee()
    yield made
    made.socket.close()


def test_a_call_rings_is_answered_and_ended_by_the_callee(desk: Desk, callee: Callee) -> None:
    """The INVITE says who calls whom and offers; events come in order; BYE ends it."""
    call = callee.dial(desk)
    invite = callee.expect("INVITE")
    assert invite.raw.startswith(f"INVITE sip:{CALLEE}@127.0.0.1:{callee.port} ".encode())
    assert f"<sip:{OURS}@127.0.0.1>" in invite.get("from")
    assert invite.get("p-asserted-identity") == ""
    assert f"m=audio {RTP_PORT} RTP/AVP 9 0 8 101 13" in invite.body
    callee.answer(invite, 100)
    callee.answer(invite, 180)
    callee.answer(invite, 180)
    assert desk.one(OutgoingRinging) == OutgoingRinging(call)
    callee.answer(invite, 200, sdp())
    callee.expect("ACK")
    media = desk.one(MediaNegotiated).media
    assert (media.codec, media.remote_port, media.dtmf_payload_type) == ("PCMU", 41000, 101)
    desk.one(CallConfirmed)
    callee.hang_up(desk)
    assert (desk.ended().by, desk.ended().reason) == ("caller", "bye")
    kinds = [OutgoingRinging, MediaNegotiated, CallConfirmed, CallEnded]
    assert [type(event) for event in desk.events] == kinds


def test_the_bridge_hangs_up(desk: Desk, callee: Callee) -> None:
    """BYE goes to the callee's Contact, with a reason."""
    call = callee.pick_up(desk)
    desk.one(CallConfirmed)
    desk.endpoint.hangup(call)
    bye = callee.expect("BYE")
    assert "cause=16" in bye.get("reason")
    callee.answer(bye, 200)
    assert desk.ended().by == "bridge"
    desk.settle()


def test_the_trunk_is_told_who_calls(desk: Desk, callee: Callee) -> None:
    """P-Asserted-Identity where it wants one (RFC 3325)."""
    callee.dial(desk, asserts=True)
    invite = callee.expect("INVITE")
    assert invite.get("p-asserted-identity") == f"<sip:{OURS}@127.0.0.1>"
    callee.answer(invite, 486)
    desk.ended()


@pytest.mark.parametrize("status", [401, 407])
def test_a_challenge_is_answered(desk: Desk, callee: Callee, status: int) -> None:
    """Digest, to the proxy's or the server's challenge, for the INVITE and what follows."""
    callee.dial(desk, credentials=("alice", "secret"))
    challenge = 'Digest realm="carrier", nonce="abc", algorithm=MD5, qop="auth"'
    names = ("WWW-Authenticate", "authorization")
    if status == 407:
        names = ("Proxy-Authenticate", "proxy-authorization")
    callee.answer(callee.expect("INVITE"), status, headers=(f"{names[0]}: {challenge}",))
    callee.expect("ACK")
    again = callee.expect("INVITE")
    said = again.get(names[1])
    uri = again.raw.split()[1].decode()
    cnonce = re.search(r'cnonce="([^"]+)"', said)
    assert cnonce
    expected = authorise(challenge, "INVITE", uri, "alice", "secret")
    assert 'username="alice"' in said
    assert ("response=" in expected) == ("response=" in said)
    callee.answer(again, 200, sdp())
    callee.expect("ACK")
    desk.one(CallConfirmed)
    callee.hang_up(desk)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (486, "busy"),
        (600, "busy"),
        (480, "no_answer"),
        (408, "no_answer"),
        (404, "unknown_number"),
        (484, "unknown_number"),
        (603, "declined"),
        (403, "not_allowed"),
        (401, "not_allowed"),
        (488, "no_common_codec"),
        (500, "unreachable"),
        (503, "unreachable"),
        (302, "refused"),
        (606, "refused"),
    ],
)
def test_each_refusal_has_its_word(desk: Desk, callee: Callee, status: int, reason: str) -> None:
    """A constant one, whatever the phrase."""
    call = callee.dial(desk)
    callee.answer(callee.expect("INVITE"), status)
    callee.expect("ACK")
    ended = desk.ended()
    assert (ended.call, ended.by, ended.status, ended.reason) == (call, "network", status, reason)
    desk.settle()
    assert [type(event) for event in desk.events] == [CallEnded]


def test_nobody_answers_at_all(quick_desk: Desk, callee: Callee) -> None:
    """No response: the transaction ends by itself."""
    callee.dial(quick_desk)
    callee.expect("INVITE")
    assert quick_desk.ended(8.0).reason == "no_answer"
    quick_desk.settle()


def test_what_rings_too_long_is_cancelled(desk: Desk, callee: Callee) -> None:
    """The time that it may ring is ours to say."""
    callee.dial(desk, ring_s=0.2)
    invite = callee.expect("INVITE")
    callee.answer(invite, 180)
    cancel = callee.expect("CANCEL")
    callee.answer(cancel, 200)
    callee.answer(invite, 487)
    callee.expect("ACK")
    assert (desk.ended().by, desk.ended().reason) == ("bridge", "no_answer")
    desk.settle()


@pytest.mark.parametrize("rung", [True, False])
def test_a_call_is_given_up(desk: Desk, callee: Callee, *, rung: bool) -> None:
    """CANCEL, once something has come back (RFC 3261 section 9.1)."""
    call = callee.dial(desk)
    invite = callee.expect("INVITE")
    if rung:
        callee.answer(invite, 180)
        desk.one(OutgoingRinging)
    desk.endpoint.hangup(call)
    assert (desk.ended().by, desk.ended().reason) == ("bridge", "cancelled")
    if not rung:
        callee.answer(invite, 100)
    callee.answer(callee.expect("CANCEL"), 200)
    callee.answer(invite, 487)
    callee.expect("ACK")
    desk.settle()
    assert len(desk.of(CallEnded)) == 1


def test_an_answer_that_crosses_the_cancel_is_hung_up(desk: Desk, callee: Callee) -> None:
    """It is acknowledged, and ended with BYE."""
    call = callee.dial(desk)
    invite = callee.expect("INVITE")
    callee.answer(invite, 180)
    desk.one(OutgoingRinging)
    desk.endpoint.hangup(call)
    cancel = callee.expect("CANCEL")
    callee.answer(invite, 200, sdp())
    callee.answer(cancel, 481)
    callee.expect("ACK")
    callee.answer(callee.expect("BYE"), 200)
    desk.settle()
    assert [type(event) for event in desk.events] == [OutgoingRinging, CallEnded]


def test_early_media_is_told_nobody(desk: Desk, callee: Callee) -> None:
    """A 183 with a description rings, and its media comes with the answer only."""
    callee.dial(desk)
    invite = callee.expect("INVITE")
    callee.answer(invite, 183, sdp(42000))
    desk.one(OutgoingRinging)
    assert desk.of(MediaNegotiated) == []
    callee.answer(invite, 200, sdp(42000))
    callee.expect("ACK")
    assert desk.one(MediaNegotiated).media.remote_port == 42000
    desk.one(CallConfirmed)
    callee.hang_up(desk)


@pytest.mark.parametrize("body", ["", sdp(0), sdp(formats="18"), sdp(media="video")])
def test_an_answer_without_sound_is_hung_up(desk: Desk, callee: Callee, body: str) -> None:
    """There is no codec in common: ACK, BYE, and the word for it."""
    callee.pick_up(desk, body)
    callee.answer(callee.expect("BYE"), 200)
    assert desk.ended().reason == "no_common_codec"
    desk.settle()
    assert [type(event) for event in desk.events] == [CallEnded]


def test_it_is_a_call_like_any_other(desk: Desk, callee: Callee) -> None:
    """Hold, keys by INFO, an offer of ours: all as on calls that come in."""
    call = callee.pick_up(desk)
    desk.one(CallConfirmed)
    callee.say("INVITE", sdp(more=("a=sendonly",), version=2))
    assert callee.status("INVITE") == 200
    callee.say("ACK")
    assert desk.wait(MediaNegotiated, 2)[-1].media.on_hold
    callee.say("INFO", "Signal=1\r\nDuration=100\r\n", "application/dtmf-relay")
    assert callee.status("INFO") == 200
    assert desk.one(DigitByInfo).digit == "1"
    callee.say("UPDATE", sdp(version=3))
    assert callee.status("UPDATE") == 200
    desk.endpoint.reoffer(call, LocalMedia(RTP_PORT + 2))
    request = callee.expect("INVITE")
    callee.answer(request, 200, sdp(version=3))
    callee.expect("ACK")
    assert desk.one(ReofferAnswered).accepted
    callee.hang_up(desk)


@pytest.mark.parametrize("header", ["Contact: <tel:+46701740699>", "Record-Route: <tel:+1>"])
def test_an_answer_that_no_ack_could_be_sent_for_is_not_taken(
    desk: Desk, callee: Callee, header: str
) -> None:
    """PJSIP would assert that it is sent, which ends the process; it rings on instead."""
    callee.dial(desk, ring_s=1)
    callee.answer(callee.expect("INVITE"), 180)
    callee.answer(callee.invite, 200, sdp(), (header,))
    callee.answer(callee.expect("CANCEL"), 200)
    callee.answer(callee.invite, 487)
    assert desk.ended().reason == "no_answer"
    desk.settle()
    assert sum(desk.count(f"fault_{name}_scheme") for name in ("contact", "route")) == 1


def test_a_redirection_may_name_any_uri(desk: Desk, callee: Callee) -> None:
    """It is no target of the dialog, so it ends the call at once (RFC 3261 section 21.3)."""
    callee.dial(desk)
    callee.answer(callee.expect("INVITE"), 302, headers=("Contact: <tel:+46701740699>",))
    assert desk.ended().reason == "refused"
    desk.settle()


@pytest.mark.parametrize("proxy", ["two words", "host:port", "", "<x>"])
def test_a_target_that_is_none_ends_at_once(desk: Desk, callee: Callee, proxy: str) -> None:
    """Nothing is sent, and the word for it comes."""
    call = callee.dial(desk, proxy=proxy)
    ended = desk.ended()
    assert (ended.call, ended.reason) == (call, "malformed_target")
    desk.settle()


def test_a_proxy_that_has_no_port_open_is_unreachable(quick_desk: Desk, callee: Callee) -> None:
    """By TCP the refusal is known at once."""
    callee.dial(quick_desk, transport="tcp")
    assert quick_desk.ended(8.0).reason == "unreachable"
    quick_desk.settle()


def test_an_endpoint_that_drains_calls_nobody(desk: Desk, callee: Callee) -> None:
    """No new call, in either direction."""
    desk.endpoint.drain()
    callee.dial(desk)
    assert desk.ended().reason == "stopped"
    callee.socket.settimeout(0.3)
    with pytest.raises(TimeoutError):
        callee.socket.recv(100)


def test_a_stop_gives_up_what_rings(callee: Callee) -> None:
    """CANCEL goes out before the endpoint ends."""
    with Desk() as desk:
        callee.dial(desk)
        callee.answer(callee.expect("INVITE"), 180)
        desk.one(OutgoingRinging)
    callee.expect("CANCEL")
    assert desk.ended().reason == "stopped"
