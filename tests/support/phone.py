"""A SIP phone made by hand: one call, every message visible, every mistake possible.

The softphones of pjsua2, baresip and sipp behave well.  This one does what a test tells it: it
offers late, forgets its BYE, repeats itself, holds in the old way, answers nothing.  It serves one
call; its SIP is read in the reactor's thread, and the test's thread waits for what it wants to see.
"""

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Self

from tests.support.reactor import Timer, reactor
from tests.support.rtp import Address, Digits, Recording, RtpStream
from tests.support.signals import Samples
from tests.support.sip_text import (
    Described,
    Message,
    Sdp,
    authorise,
    describe,
    parameter,
    take_messages,
    token,
    uri_in,
)

__all__ = ["CallRefusedError", "Phone", "Request"]

_T1 = 0.5
_PATIENCE = 10.0


class CallRefusedError(AssertionError):
    """The call was answered with something other than 200."""


@dataclass
class Request:
    """A request of ours and what came back.

    Attributes:
        message: As sent.
        sent_at: `time.monotonic()` [s].
        responses: Each with its arrival time, repeats included.
    """

    message: Message
    sent_at: float
    responses: list[tuple[float, Message]] = field(default_factory=list)
    retransmit: Timer | None = None

    def final(self) -> Message | None:
        """Return the first final response."""
        return next((message for _, message in self.responses if message.status >= 200), None)

    def finals(self) -> int:
        """Return how many final responses came, repeats included."""
        return sum(message.status >= 200 for _, message in self.responses)


class Phone:
    """One phone, one call.

    Args:
        bridge: Where it sends its SIP.
        caller: The user part of From.
        transport: "udp" or "tcp".
        host: The local address, so that several callers come from several addresses.
        stream: Its sound; a plain PCMU stream when none is given.
        asserted: The number in P-Asserted-Identity, as a trunk would put it.
        credentials: User and password for a digest challenge.
        sdp: Changes the offer (given the plain one, returns the one to send).
        supported: The Supported header; e.g. "timer, 100rel".
    """

    def __init__(  # noqa: PLR0913 - a phone has many ways to be odd, all by keyword
        self,
        bridge: Address,
        caller: str = "anonymous",
        *,
        transport: str = "udp",
        host: str = "127.0.0.1",
        stream: RtpStream | None = None,
        asserted: str | None = None,
        credentials: tuple[str, str] | None = None,
        sdp: Callable[[Sdp], Sdp] | None = None,
        supported: str = "timer",
    ) -> None:
        self.bridge = bridge
        self.caller = caller
        self.transport = transport
        self.stream = stream or RtpStream(host=host)
        self.asserted = asserted
        self.credentials = credentials
        self.supported = supported
        self.call_id = f"{token(16)}@phone.test"
        self.answers: dict[str, int | None] = {}
        """Status for each method the bridge may send; None: no answer at all; missing: 200."""
        self.acknowledge = True
        """Whether a 200 to INVITE is acknowledged."""
        self.retransmits = True
        """Whether unanswered requests are repeated as RFC 3261 17.1 wants over UDP."""
        self.received: list[tuple[float, Message]] = []
        """Every request of the bridge, repeats included."""
        self.responses: list[tuple[float, Message]] = []
        """Every response of the bridge, repeats included."""
        self.answered_at = 0.0
        self.acknowledged_at = 0.0
        self.ended_by: str | None = None
        self.ended_at = 0.0
        self.peer: Described | None = None
        self._change_sdp = sdp or (lambda offer: offer)
        self._version = 0
        self._cseq = 0
        self._local_tag = token(8)
        self._remote_tag: str | None = None
        self._target = ""
        self._routes: list[str] = []
        self._to_uri = ""
        self._requests: dict[tuple[str, int], Request] = {}
        self._changed = threading.Condition()
        self._buffer = bytearray()
        self._closed = False
        self._source: Address | None = None
        self._sock = self._open(host)
        self._local: Address = self._sock.getsockname()

    # -- the wire -----------------------------------------------------------------------------

    def _open(self, host: str) -> socket.socket:
        if self.transport == "tcp":
            sock = socket.create_connection(self.bridge, timeout=5, source_address=(host, 0))
        else:
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.bind((host, 0))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        sock.settimeout(0)
        reactor().add(sock, self._read)
        return sock

    def _read(self) -> None:
        while True:
            try:
                data, source = self._sock.recvfrom(65536)
            except BlockingIOError:
                return
            except OSError:
                data, source = b"", None
            if source:
                self._source = source
            if self.transport == "tcp":
                if not data:
                    reactor().remove(self._sock)
                    with self._changed:
                        self._closed = True
                        self._changed.notify_all()
                    return
                self._buffer += data
                for message in take_messages(self._buffer):
                    self._take(message)
            elif data.strip():
                self._take(Message.parse(data))

    def send_bytes(self, data: bytes, to: Address | None = None) -> None:
        """Send bytes on the SIP socket as they are.

        Args:
            data: Anything.
            to: Where, when not to the bridge (UDP only).
        """
        target = to or self.bridge
        if self.transport == "tcp":
            self._sock.settimeout(5)
            try:
                self._sock.sendall(data)
            finally:
                self._sock.settimeout(0)
        else:
            try:
                self._sock.sendto(data, target)
            except ConnectionError:
                # An ICMP of an earlier datagram, reported late; this one has not gone.
                self._sock.sendto(data, target)

    @property
    def connected(self) -> bool:
        """Whether the TCP connection is still open; True for UDP."""
        return not self._closed

    def _contact(self) -> str:
        suffix = ";transport=tcp" if self.transport == "tcp" else ""
        return f"<sip:{self.caller}@{self._local[0]}:{self._local[1]}{suffix}>"

    # -- requests of ours ---------------------------------------------------------------------

    def offer(self, **changes: object) -> Sdp:
        """Return the next session description of ours.

        Args:
            changes: Fields of `Sdp` that differ this time.

        Returns:
            With a version one higher than the last.
        """
        self._version += 1
        types = (0, 8) if self.stream.payload_type == 0 else (8, 0)
        plain = Sdp(
            self.stream.host,
            self.stream.port,
            payload_types=types,
            event_type=self.stream.event_type,
            ptime_ms=self.stream.ptime_ms,
            version=self._version,
        )
        return replace(self._change_sdp(plain), **changes)  # type: ignore[arg-type]

    def build(
        self,
        method: str,
        *,
        body: str = "",
        headers: tuple[tuple[str, str], ...] = (),
        uri: str | None = None,
        cseq: int | None = None,
        branch: str | None = None,
        content_type: str = "application/sdp",
    ) -> Message:
        """Build a request inside or outside the dialog.

        Args:
            method: INVITE and so on.
            body: Its body.
            headers: Further headers.
            uri: Request-URI; the remote target when None.
            cseq: A given number instead of the next.
            branch: A given branch instead of a new one.
            content_type: Of the body.

        Returns:
            The request, not yet sent.
        """
        if cseq is None:
            self._cseq += 1
            cseq = self._cseq
        target = uri or self._target or self._to_uri
        to = f"<{self._to_uri or target}>"
        if self._remote_tag and uri is None:
            to += f";tag={self._remote_tag}"
        via = (
            f"SIP/2.0/{self.transport.upper()} {self._local[0]}:{self._local[1]}"
            f";rport;branch={branch or 'z9hG4bK' + token()}"
        )
        lines = [
            ("Via", via),
            ("Max-Forwards", "70"),
            ("From", f"<sip:{self.caller}@phone.test>;tag={self._local_tag}"),
            ("To", to),
            ("Call-ID", self.call_id),
            ("CSeq", f"{cseq} {method}"),
            ("Contact", self._contact()),
            ("User-Agent", "test phone"),
            ("Allow", "INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, INFO, PRACK"),
        ]
        lines += [("Route", route) for route in self._routes]
        if method in {"INVITE", "UPDATE"} and self.supported:
            lines.append(("Supported", self.supported))
        if method == "INVITE" and self.asserted:
            lines.append(("P-Asserted-Identity", f"<sip:{self.asserted}@phone.test>"))
        lines += headers
        if body:
            lines.append(("Content-Type", content_type))
        return Message(f"{method} {target} SIP/2.0", lines, body)

    def send(self, message: Message, *, copies: int = 1) -> Request:
        """Send a request.

        Args:
            message: From `build`.
            copies: How many times at once, as a network that doubles packets does.

        Returns:
            The request, to wait for its responses.
        """
        request = Request(message, time.monotonic())
        with self._changed:
            self._requests[message.method, message.cseq] = request
        data = message.pack()
        for _ in range(copies):
            self.send_bytes(data)
        if self.retransmits and self.transport == "udp" and message.method != "ACK":
            self._repeat(request, data, _T1)
        return request

    def _repeat(self, request: Request, data: bytes, wait: float) -> None:
        def again() -> None:
            quiet = not request.responses
            if self._closed or not (quiet or request.message.method != "INVITE"):
                return
            if request.final() is None and wait < 64 * _T1:
                self.send_bytes(data)
                self._repeat(request, data, wait * 2)

        request.retransmit = reactor().call_at(time.monotonic() + wait, again)

    def ask(self, method: str, *, timeout: float = _PATIENCE, **parts: object) -> Message:
        """Send a request and wait for its final response.

        Args:
            method: INFO, OPTIONS, UPDATE and so on.
            timeout: After which it is a failure [s].
            parts: As of `build`.

        Returns:
            The response.
        """
        return self.final(self.send(self.build(method, **parts)), timeout)  # type: ignore[arg-type]

    def final(self, request: Request, timeout: float = _PATIENCE) -> Message:
        """Wait for the final response to a request.

        Args:
            request: From `send`.
            timeout: After which it is a failure [s].

        Returns:
            The response.

        Raises:
            TimeoutError: Nothing came.
        """
        self.wait_for(lambda: request.final() is not None, timeout, f"{request.message.start}")
        answer = request.final()
        assert answer is not None
        return answer

    def wait_for(self, condition: Callable[[], bool], timeout: float, what: str) -> None:
        """Wait until something is true that SIP changes.

        Args:
            condition: Checked after each message.
            timeout: After which it is a failure [s].
            what: For the failure's message.

        Raises:
            TimeoutError: It did not become true.
        """
        with self._changed:
            if not self._changed.wait_for(condition, timeout):
                seen = [message.start for _, message in self.responses[-3:]]
                message = f"no answer within {timeout} s to: {what}; last responses: {seen}"
                raise TimeoutError(message)

    # -- the call -----------------------------------------------------------------------------

    def invite(
        self,
        number: str,
        *,
        offer: Sdp | None = None,
        late: bool = False,
        headers: tuple[tuple[str, str], ...] = (),
        copies: int = 1,
    ) -> Request:
        """Send the first INVITE and do not wait.

        Args:
            number: The user part of the Request-URI.
            offer: Another session description than the plain one.
            late: Send none: the bridge is to offer.
            headers: Further headers.
            copies: How many times at once.

        Returns:
            The request.
        """
        transport = ";transport=tcp" if self.transport == "tcp" else ""
        self._to_uri = f"sip:{number}@{self.bridge[0]}:{self.bridge[1]}{transport}"
        body = "" if late else (offer or self.offer()).pack()
        message = self.build("INVITE", body=body, headers=headers)
        return self.send(message, copies=copies)

    def acknowledge_final(self, request: Request, response: Message, *, body: str = "") -> None:
        """Send the ACK for a final response.

        Args:
            request: The INVITE.
            response: What it got.
            body: The answer, after a late offer.
        """
        if response.status < 300:
            message = self.build("ACK", cseq=request.message.cseq, body=body)
        else:
            # The ACK of a failure belongs to the INVITE's transaction (RFC 3261, 17.1.1.3).
            message = self.build(
                "ACK",
                uri=request.message.start.split()[1],
                cseq=request.message.cseq,
                branch=request.message.branch,
            )
            to = next(i for i, (key, _) in enumerate(message.headers) if key == "To")
            message.headers[to] = ("To", response.get("To"))
        self.send_bytes(message.pack())
        self.acknowledged_at = time.monotonic()

    def dial(
        self,
        number: str,
        *,
        timeout: float = _PATIENCE,
        late: bool = False,
        offer: Sdp | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> Self:
        """Call, wait for 200, acknowledge, and start the sound.

        Args:
            number: The number to dial.
            timeout: For the final response [s].
            late: Let the bridge offer.
            offer: Another session description than the plain one.
            headers: Further headers.

        Returns:
            The phone itself.

        Raises:
            CallRefusedError: The bridge answered something else.
        """
        answer = self.try_to_dial(number, timeout=timeout, late=late, offer=offer, headers=headers)
        if answer.status != 200:
            raise CallRefusedError(answer.start)
        return self

    def try_to_dial(
        self,
        number: str,
        *,
        timeout: float = _PATIENCE,
        late: bool = False,
        offer: Sdp | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> Message:
        """Call and return the final response, whatever it is, acknowledged.

        Args:
            number: The number to dial.
            timeout: For the final response [s].
            late: Let the bridge offer.
            offer: Another session description than the plain one.
            headers: Further headers.

        Returns:
            The final response.
        """
        request = self.invite(number, late=late, offer=offer, headers=headers)
        answer = self.final(request, timeout)
        if answer.status in {401, 407} and self.credentials:
            self.acknowledge_final(request, answer)
            kind = "WWW-Authenticate" if answer.status == 401 else "Proxy-Authenticate"
            back = "Authorization" if answer.status == 401 else "Proxy-Authorization"
            uri = request.message.start.split()[1]
            value = authorise(answer.get(kind), "INVITE", uri, *self.credentials)
            request = self.invite(number, late=late, offer=offer, headers=((back, value), *headers))
            answer = self.final(request, timeout)
        if answer.status == 200:
            self.answered_at = next(at for at, item in request.responses if item is answer)
            self.take_answer(request, answer, late=late)
        elif answer.status >= 300:
            self.acknowledge_final(request, answer)
        return answer

    def take_answer(self, request: Request, answer: Message, *, late: bool = False) -> None:
        """Learn the dialog from a 200, acknowledge it, and send sound where it says.

        Args:
            request: The INVITE.
            answer: The 200.
            late: Whether the 200 holds the offer, so that the ACK answers.
        """
        self._learn(answer)
        if self.acknowledge:
            body = self.offer().pack() if late else ""
            self.acknowledge_final(request, answer, body=body)
        self._follow(answer)

    def _learn(self, answer: Message) -> None:
        self._remote_tag = parameter(answer.get("To"), "tag")
        contact = answer.get("Contact")
        if contact:
            self._target = uri_in(contact)
        routes = [part.strip() for value in answer.all("Record-Route") for part in value.split(",")]
        self._routes = list(reversed(routes))

    def _follow(self, answer: Message) -> None:
        if not answer.body:
            return
        self.peer = describe(answer.body)
        if self.peer.port:
            self.stream.start((self.peer.host, self.peer.port))

    def reinvite(self, *, late: bool = False, **changes: object) -> Message:
        """Send a re-INVITE, acknowledge what comes, follow its session description.

        Args:
            late: Without an offer.
            changes: Fields of `Sdp` that differ.

        Returns:
            The final response.
        """
        body = "" if late else self.offer(**changes).pack()
        request = self.send(self.build("INVITE", body=body))
        answer = self.final(request)
        reply = self.offer(**changes).pack() if late and answer.status == 200 else ""
        self.acknowledge_final(request, answer, body=reply)
        if answer.status == 200:
            self._follow(answer)
        return answer

    def hold(self, direction: str = "sendonly", *, old_way: bool = False) -> Message:
        """Put the bridge on hold.

        Args:
            direction: "sendonly" or "inactive".
            old_way: With `c=0.0.0.0` as before RFC 3264.

        Returns:
            The final response.
        """
        if old_way:  # noqa: SIM108 - a ternary would not fit
            answer = self.reinvite(host="0.0.0.0")  # noqa: S104 - the null address of RFC 2543
        else:
            answer = self.reinvite(direction=direction)
        self.stream.sending = False
        return answer

    def resume(self) -> Message:
        """Take the bridge back from hold.

        Returns:
            The final response.
        """
        answer = self.reinvite()
        self.stream.sending = True
        return answer

    def cancel(self, invite: Request, *, timeout: float = _PATIENCE) -> Message:
        """Cancel an INVITE and acknowledge what comes of it.

        Args:
            invite: The INVITE, still without a final response.
            timeout: For both final responses [s].

        Returns:
            The INVITE's final response.
        """
        message = self.build(
            "CANCEL",
            uri=invite.message.start.split()[1],
            cseq=invite.message.cseq,
            branch=invite.message.branch,
        )
        self.final(self.send(message), timeout)
        answer = self.final(invite, timeout)
        if answer.status == 200:
            self._learn(answer)
        self.acknowledge_final(invite, answer)
        return answer

    def hang_up(self, *, timeout: float = _PATIENCE) -> Message | None:
        """Say BYE.

        Args:
            timeout: For its response [s].

        Returns:
            The response; None where the call is over already.
        """
        if self.ended_by is not None or self._remote_tag is None:
            return None
        answer = self.ask("BYE", timeout=timeout)
        self._end("caller")
        return answer

    def vanish(self) -> None:
        """Be gone without a word: the BYE is lost, and nothing is answered any more."""
        self.stream.sending = False
        self._closed = True
        reactor().remove(self._sock)
        self._sock.close()

    def wait_end(self, timeout: float = _PATIENCE) -> str:
        """Wait until the bridge hangs up.

        Args:
            timeout: After which it is a failure [s].

        Returns:
            Who ended it.
        """
        self.wait_for(lambda: self.ended_by is not None, timeout, "a BYE from the bridge")
        return str(self.ended_by)

    def _end(self, by: str) -> None:
        with self._changed:
            if self.ended_by is None:
                self.ended_by, self.ended_at = by, time.monotonic()
            self._changed.notify_all()
        self.stream.sending = False

    # -- what comes from the bridge -----------------------------------------------------------

    def _take(self, message: Message) -> None:
        now = time.monotonic()
        with self._changed:
            if message.is_response:
                self.responses.append((now, message))
                request = self._requests.get((message.method, message.cseq))
                if request is not None:
                    request.responses.append((now, message))
                    self._react(request, message)
            else:
                self.received.append((now, message))
                self._answer(message)
            self._changed.notify_all()

    def _react(self, request: Request, message: Message) -> None:
        if message.method != "INVITE":
            return
        if 100 < message.status < 200 and "100rel" in message.get("Require"):
            self._learn(message)
            rack = f"{message.get('RSeq')} {message.get('CSeq')}"
            self.send(self.build("PRACK", headers=(("RAck", rack),)))
        # Every repeat of a final response is acknowledged again (RFC 3261, 13.2.2.4).
        if message.status >= 200 and request.finals() > 1 and self.acknowledge:
            self.acknowledge_final(request, message)

    def _answer(self, message: Message) -> None:
        method = message.method
        if method == "ACK":
            return
        status = self.answers.get(method, 200)
        if status is None:
            return
        headers = [("Via", via) for via in message.all("Via")]
        headers += [(name, message.get(name)) for name in ("From", "To", "Call-ID", "CSeq")]
        if self._local_tag not in message.get("To") and not parameter(message.get("To"), "tag"):
            headers[-3] = ("To", f"{message.get('To')};tag={self._local_tag}")
        headers.append(("Contact", self._contact()))
        body = ""
        if status == 200 and method in {"INVITE", "UPDATE"}:
            expires = message.get("Session-Expires")
            if expires:
                headers += [("Require", "timer"), ("Session-Expires", expires)]
            if message.body or method == "INVITE":
                body = self.offer().pack()
                headers.append(("Content-Type", "application/sdp"))
            if message.body:
                self._follow(message)
        phrase = {200: "OK", 481: "Call/Transaction Does Not Exist", 491: "Request Pending"}
        start = f"SIP/2.0 {status} {phrase.get(status, 'As told')}"
        self.send_bytes(Message(start, headers, body).pack(), self._source)
        if method == "BYE" and status == 200:
            self._end("bridge")

    # -- shortcuts to the sound ---------------------------------------------------------------

    def say(self, samples: Samples) -> float:
        """Queue sound; see `RtpStream.say`.

        Args:
            samples: int16, 8 kHz.

        Returns:
            When its first sample goes out [s].
        """
        return self.stream.say(samples)

    def press(self, keys: str, how: Digits | None = None) -> float:
        """Queue keys as telephone-events and wait until they are sent.

        Args:
            keys: The keys.
            how: Lengths and faults.

        Returns:
            When the last key began [s].
        """
        began = self.stream.press(keys, how)
        self.stream.drain()
        return began

    def press_by_info(self, keys: str, *, duration_ms: int = 120) -> list[int]:
        """Send keys by SIP INFO (`application/dtmf-relay`).

        Args:
            keys: The keys.
            duration_ms: As written in the body.

        Returns:
            The status of each.
        """
        return [
            self.ask(
                "INFO",
                body=f"Signal={key}\r\nDuration={duration_ms}\r\n",
                content_type="application/dtmf-relay",
            ).status
            for key in keys
        ]

    def recording(self, since: float = 0.0, until: float = float("inf")) -> Recording:
        """Return what was heard; see `RtpStream.recording`.

        Args:
            since: In seconds of the monotonic clock.
            until: The same.

        Returns:
            The recording.
        """
        return self.stream.recording(since, until)

    def requests_seen(self, method: str) -> list[tuple[float, Message]]:
        """Return the bridge's requests of a method, repeats included.

        Args:
            method: BYE, OPTIONS and so on.

        Returns:
            Each with its arrival time.
        """
        with self._changed:
            return [(at, message) for at, message in self.received if message.method == method]

    def close(self) -> None:
        """Hang up when still in a call, and close the sockets."""
        if not self._closed and self.ended_by is None:
            try:
                self.hang_up(timeout=2)
            except (TimeoutError, OSError):
                self._end("nobody")
        self.stream.close()
        if not self._closed:
            self._closed = True
            reactor().remove(self._sock)
            self._sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
