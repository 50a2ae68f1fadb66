"""A caller that writes SIP by hand, over UDP or TCP: says right and wrong things exactly."""

from __future__ import annotations

import itertools
import re
import socket
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

__all__ = ["OFFER", "Caller", "Response", "sdp"]

_numbers = itertools.count(int(time.time() * 1000) % 10_000_000)


def sdp(
    port: int = 41000,
    formats: str = "0 8 101",
    *,
    address: str = "127.0.0.1",
    media: str = "audio",
    protocol: str = "RTP/AVP",
    lines: tuple[str, ...] = ("a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-15"),
    more: tuple[str, ...] = (),
    version: int = 1,
) -> str:
    """Return a session description."""
    return "\r\n".join(
        [
            "v=0",
            f"o=caller 1 {version} IN IP4 {address}",
            "s=call",
            f"c=IN IP4 {address}",
            "t=0 0",
            f"m={media} {port} {protocol} {formats}",
            *lines,
            *more,
            "",
        ]
    )


OFFER = sdp()


@dataclass
class Response:
    """A message that came back."""

    raw: bytes
    status: int = 0
    method: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: str = ""

    @classmethod
    def of(cls, raw: bytes) -> Response:
        """Take a message apart."""
        head, _, body = raw.decode("latin-1").partition("\r\n\r\n")
        first, *lines = head.split("\r\n")
        words = first.split(" ", 2)
        response = cls(raw, body=body)
        if words[0] == "SIP/2.0":
            response.status = int(words[1])
        else:
            response.method = words[0]
        for line in lines:
            name, _, value = line.partition(":")
            response.headers.append((name.strip().lower(), value.strip()))
        return response

    def get(self, name: str) -> str:
        """Return the first value of a header, "" without one."""
        return next((value for key, value in self.headers if key == name), "")

    @property
    def cseq(self) -> str:
        """Return the CSeq."""
        return self.get("cseq")


class Caller:
    """One call's worth of SIP, each message made on purpose."""

    def __init__(
        self,
        server: tuple[str, int],
        *,
        tcp: bool = False,
        ip: str = "127.0.0.1",
        dialled: str = "+46812345678",
        caller: str = "+46701234567",
    ) -> None:
        self.server = server
        self.tcp = tcp
        self.dialled, self.caller = dialled, caller
        if tcp:
            self.socket = socket.create_connection(server, 5.0, source_address=(ip, 0))
        else:
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.socket.bind((ip, 0))
        self.socket.settimeout(5.0)
        self.ip, self.port = self.socket.getsockname()
        number = next(_numbers)
        self.call_id = f"call-{number}@127.0.0.1"
        self.tag = f"tag{number}"
        self.to_tag = ""
        self.cseq = 0
        self.branch = ""
        self.remote_target = f"sip:{dialled}@{server[0]}:{server[1]}"
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.socket.close()

    # -- writing -------------------------------------------------------------------------------

    def request(
        self,
        method: str,
        body: str = "",
        *,
        content_type: str = "application/sdp",
        headers: tuple[str, ...] = (),
        cseq: int | None = None,
        branch: str | None = None,
        target: str | None = None,
        contact: str | None = None,
    ) -> str:
        """Return the text of a request of this call; a new CSeq unless one is given."""
        if cseq is None:
            if method not in ("ACK", "CANCEL"):
                self.cseq += 1
            cseq = self.cseq
        if branch is None:
            branch = f"z9hG4bK{next(_numbers)}"
            if method == "INVITE":
                self.branch = branch
        self.last_branch = branch
        to_tag = f";tag={self.to_tag}" if self.to_tag else ""
        transport = "TCP" if self.tcp else "UDP"
        suffix = ";transport=tcp" if self.tcp else ""
        where = contact or f"<sip:{self.caller}@{self.ip}:{self.port}{suffix}>"
        lines = [
            f"{method} {target or self.remote_target} SIP/2.0",
            f"Via: SIP/2.0/{transport} {self.ip}:{self.port};branch={branch};rport",
            "Max-Forwards: 70",
            f"From: <sip:{self.caller}@{self.ip}>;tag={self.tag}",
            f"To: <sip:{self.dialled}@{self.server[0]}>{to_tag}",
            f"Call-ID: {self.call_id}",
            f"CSeq: {cseq} {method}",
            f"Contact: {where}",
            *headers,
        ]
        if body:
            lines.append(f"Content-Type: {content_type}")
        lines += [f"Content-Length: {len(body.encode())}", "", body]
        return "\r\n".join(lines)

    def send(self, text: str | bytes) -> None:
        """Send a message as it stands."""
        raw = text.encode() if isinstance(text, str) else text
        if self.tcp:
            self.socket.sendall(raw)
        else:
            self.socket.sendto(raw, self.server)

    def say(self, method: str, body: str = "", **more: object) -> str:
        """Make and send a request; return its text."""
        text = self.request(method, body, **more)  # type: ignore[arg-type]  # passed on as given
        self.send(text)
        return text

    def answer(self, request: Response, status: int = 200, body: str = "") -> None:
        """Answer a request of the bridge's."""
        lines = [f"SIP/2.0 {status} Whatever"]
        for name in ("via", "from", "to", "call-id", "cseq"):
            lines += [f"{name}: {value}" for key, value in request.headers if key == name]
        suffix = ";transport=tcp" if self.tcp else ""
        lines.append(f"Contact: <sip:{self.caller}@{self.ip}:{self.port}{suffix}>")
        if body:
            lines.append("Content-Type: application/sdp")
        lines += [f"Content-Length: {len(body)}", "", body]
        self.send("\r\n".join(lines))

    # -- reading -------------------------------------------------------------------------------

    def receive(self, timeout: float = 5.0) -> Response:
        """Return the next message.

        Raises:
            TimeoutError: none came.
        """
        deadline = time.monotonic() + timeout
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("nothing came")
            self.socket.settimeout(left)
            if not self.tcp:
                return Response.of(self.socket.recv(65535))
            head, separator, rest = self._buffer.partition(b"\r\n\r\n")
            if separator:
                found = re.search(rb"(?im)^(?:content-length|l)\s*:\s*(\d+)", head)
                size = int(found[1]) if found else 0
                if len(rest) >= size:
                    self._buffer = rest[size:]
                    return Response.of(head + separator + rest[:size])
            chunk = self.socket.recv(65535)
            if not chunk:
                raise ConnectionError("the connection was closed")
            self._buffer += chunk

    def expect(self, status: int, method: str = "", timeout: float = 5.0) -> Response:
        """Return the next response with a status, over provisional ones and repetitions."""
        deadline = time.monotonic() + timeout
        while True:
            response = self.receive(max(deadline - time.monotonic(), 0.001))
            if response.status == status and method in response.cseq:
                makes_dialog = "INVITE" in response.cseq and status < 300
                if makes_dialog and "tag=" in response.get("to"):
                    self.to_tag = response.get("to").partition("tag=")[2].partition(";")[0]
                return response
            unexpected = response.status >= 200 and method in response.cseq
            assert not unexpected, f"got {response.status}, expected {status}"

    def expect_request(self, method: str, timeout: float = 5.0) -> Response:
        """Return the next request with a method."""
        deadline = time.monotonic() + timeout
        while True:
            request = self.receive(max(deadline - time.monotonic(), 0.001))
            if request.method == method:
                return request

    def silence(self, seconds: float = 0.4) -> None:
        """Demand that nothing comes."""
        try:
            response = self.receive(seconds)
        except TimeoutError:
            return
        raise AssertionError(f"something came: {response.raw[:60]!r}")

    # -- stories -------------------------------------------------------------------------------

    def acknowledge(self, ok: Response, body: str = "") -> None:
        """Send the ACK of a 200 to where its Contact says; of a refusal, in its transaction."""
        found = re.search(r"<([^>]+)>", ok.get("contact"))
        if found:
            self.remote_target = found[1]
        number = int(ok.cseq.split()[0])
        branch = None
        if ok.status >= 300:
            branch = ok.get("via").partition("branch=")[2].partition(";")[0]
        self.send(self.request("ACK", body, cseq=number, branch=branch))

    def dial(self, body: str = OFFER, **more: object) -> Response:
        """Call and take the answer; return the 200."""
        self.say("INVITE", body, **more)
        ok = self.expect(200, "INVITE")
        self.acknowledge(ok)
        return ok

    def hang_up(self) -> Response:
        """Send BYE and return its answer."""
        self.say("BYE")
        return self.expect(200, "BYE")
