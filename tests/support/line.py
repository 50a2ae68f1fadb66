"""The SIP half of the test phone: its socket, its requests, what came in, nothing hidden.

SIP is read in the reactor's thread; the test's thread waits for what it wants to see.
"""

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from tests.support.reactor import Timer, reactor
from tests.support.rtp import Address, RtpStream
from tests.support.sip_text import Described, Message, Sdp, take_messages, token

__all__ = ["PATIENCE", "Line", "Request"]

_T1 = 0.5
PATIENCE = 10.0
"""How long an answer may take unless a test says otherwise [s]."""


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


class Line:
    """A SIP line: requests out, responses and requests in, for one dialog.

    Args:
        bridge: Where it sends its SIP.
        caller: The user part of From.
        display: The display name of From.
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
        display: str = "",
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
        self.display = display
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
                if self._sock.fileno() < 0:
                    return  # closed meanwhile by the test; it was ready before
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
        name = f'"{self.display}" ' if self.display else ""
        lines = [
            ("Via", via),
            ("Max-Forwards", "70"),
            ("From", f"{name}<sip:{self.caller}@phone.test>;tag={self._local_tag}"),
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

    def ask(self, method: str, *, timeout: float = PATIENCE, **parts: object) -> Message:
        """Send a request and wait for its final response.

        Args:
            method: INFO, OPTIONS, UPDATE and so on.
            timeout: After which it is a failure [s].
            parts: As of `build`.

        Returns:
            The response.
        """
        return self.final(self.send(self.build(method, **parts)), timeout)  # type: ignore[arg-type]

    def final(self, request: Request, timeout: float = PATIENCE) -> Message:
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

    def requests_seen(self, method: str) -> list[tuple[float, Message]]:
        """Return the bridge's requests of a method, repeats included.

        Args:
            method: BYE, OPTIONS and so on.

        Returns:
            Each with its arrival time.
        """
        with self._changed:
            return [(at, message) for at, message in self.received if message.method == method]

    def _react(self, request: Request, message: Message) -> None:
        """Do what a response calls for; in the reactor's thread."""
        raise NotImplementedError

    def _answer(self, message: Message) -> None:
        """Answer a request of the bridge; in the reactor's thread."""
        raise NotImplementedError
