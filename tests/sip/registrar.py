"""A provider's registrar: challenges, grants, refuses and forgets as a test wants it."""

from __future__ import annotations

import hashlib
import re
import socket
import threading
import time
from collections.abc import Callable
from typing import Self

from tests.sip.caller import Response

__all__ = ["PASSWORD", "REALM", "Registrar"]

REALM = "provider.example"
PASSWORD = "secret"


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


class Registrar:
    """Answer REGISTER on one UDP or TCP port.

    Args:
        password: password of the one user, ``alice``.
        granted: seconds granted, whatever is asked for.
        least: smallest interval accepted; less gets 423 with Min-Expires.
        tcp: listen on TCP instead of UDP.
        script: called with each REGISTER and the number of those before it; a status it returns is
            the answer, 0 is no answer, None goes on as usual.
    """

    def __init__(
        self,
        password: str = PASSWORD,
        *,
        granted: int = 300,
        least: int = 0,
        tcp: bool = False,
        script: Callable[[Response, int], int | None] | None = None,
    ) -> None:
        self._password = password
        self._granted = granted
        self._least = least
        self._script = script
        self._tcp = tcp
        kind = socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM
        self._socket = socket.socket(socket.AF_INET, kind)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.05)
        if tcp:
            self._socket.listen()
        self.address: tuple[str, int] = self._socket.getsockname()
        self.heard: list[tuple[float, Response]] = []
        self.bindings: dict[str, int] = {}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def server(self) -> str:
        """Host and port."""
        return f"{self.address[0]}:{self.address[1]}"

    @property
    def times(self) -> list[float]:
        """When each REGISTER came, monotonic seconds; a retransmission counts once."""
        seen: dict[str, float] = {}
        for at, request in self.heard:
            seen.setdefault(request.get("via"), at)
        return list(seen.values())

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while not self._ending.is_set():
            if self._tcp:
                self._serve_connection()
                continue
            try:
                raw, source = self._socket.recvfrom(65535)
            except TimeoutError:
                continue
            if answer := self._answer(raw):
                self._socket.sendto(answer, source)

    def _serve_connection(self) -> None:
        try:
            connection, _ = self._socket.accept()
        except TimeoutError:
            return
        with connection:
            connection.settimeout(0.05)
            while not self._ending.is_set():
                try:
                    raw = connection.recv(65535)
                except TimeoutError:
                    continue
                if not raw:
                    return
                if answer := self._answer(raw):
                    connection.sendall(answer)

    def _answer(self, raw: bytes) -> bytes:
        request = Response.of(raw)
        self.heard.append((time.monotonic(), request))
        scripted = self._script(request, len(self.heard) - 1) if self._script is not None else None
        if scripted == 0:
            return b""
        if scripted is not None:
            return _pack(request, scripted)
        if not self._proved(request):
            nonce = f"nonce{len(self.heard)}"
            challenge = f'WWW-Authenticate: Digest realm="{REALM}", nonce="{nonce}", qop="auth"'
            return _pack(request, 401, challenge)
        expires = int(request.get("expires") or "300")
        if 0 < expires < self._least:
            return _pack(request, 423, f"Min-Expires: {self._least}")
        contact = request.get("contact")
        if expires:
            self.bindings[contact] = expires
            granted = max(self._granted, self._least)
            return _pack(request, 200, f"Contact: {contact};expires={granted}")
        self.bindings.pop(contact, None)
        return _pack(request, 200)

    def _proved(self, request: Response) -> bool:
        sent = request.get("authorization")
        fields: dict[str, str] = dict(re.findall(r'(\w+)="?([^",]+)"?', sent))
        if fields.get("username") != "alice" or fields.get("realm") != REALM:
            return False
        ha1 = _md5(f"alice:{REALM}:{self._password}")
        ha2 = _md5(f"REGISTER:{fields['uri']}")
        middle = f"{fields['nonce']}:{fields['nc']}:{fields['cnonce']}:auth"
        return fields["response"] == _md5(f"{ha1}:{middle}:{ha2}")


def _pack(request: Response, status: int, *headers: str) -> bytes:
    lines = [f"SIP/2.0 {status} Whatever"]
    for name in ("via", "from", "call-id", "cseq"):
        lines += [f"{name}: {value}" for key, value in request.headers if key == name]
    lines += [f"To: {request.get('to')};tag=registrar", *headers, "Content-Length: 0", "", ""]
    return "\r\n".join(lines).encode()
