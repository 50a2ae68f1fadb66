"""Cut a TCP stream into SIP messages (RFC 3261 section 18.3, RFC 5626 section 4.4.1). Pure.

A stream that cannot be cut has lost its place for good, so every fault ends the connection.
"""

from __future__ import annotations

import re

from bridge.sip.errors import PeerError

__all__ = ["LONGEST_MESSAGE", "Framer", "FramingError"]

LONGEST_MESSAGE = 4000
"""PJSIP_MAX_PKT_LEN of the wheel: a longer message finds no room in PJSIP."""

_LENGTH = re.compile(
    rb"^(?:content-length|l)[ \t]*:[ \t]*(\d{1,9})[ \t]*$", re.IGNORECASE | re.MULTILINE
)
_ANY_LENGTH = re.compile(rb"^(?:content-length|l)[ \t]*:", re.IGNORECASE | re.MULTILINE)
_PING = b"\r\n\r\n"


class FramingError(PeerError):
    """The stream cannot be cut into messages any further."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(400, reason, text)


class Framer:
    """Bytes in, whole messages out."""

    def __init__(self) -> None:
        self._buffer = b""
        self.pings = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Take what came and return the messages that are whole now.

        ``pings`` counts the double line breaks between messages, each of which wants one line break
        in answer.

        Raises:
            FramingError: a message is too long, or does not say how long it is.
        """
        self._buffer += data
        messages: list[bytes] = []
        while True:
            self._skip_blank()
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                if len(self._buffer) > LONGEST_MESSAGE:
                    raise FramingError(
                        "tcp_overflow", f"no header of {LONGEST_MESSAGE} octets ends"
                    )
                return messages
            size = end + 4 + _content_length(self._buffer[:end].replace(b"\r\n", b"\n"))
            if size > LONGEST_MESSAGE:
                raise FramingError("tcp_overflow", f"a message has {size} octets")
            if len(self._buffer) < size:
                return messages
            messages.append(self._buffer[:size])
            self._buffer = self._buffer[size:]

    @property
    def waiting(self) -> bool:
        """Tell whether the beginning of a message waits for its end."""
        return bool(self._buffer.strip(b"\r\n"))

    def _skip_blank(self) -> None:
        while self._buffer.startswith(_PING):
            self.pings += 1
            self._buffer = self._buffer[len(_PING) :]
        if self._buffer.startswith((b"\r\n", b"\n")) and len(self._buffer) > 2:  # noqa: PLR2004
            # A single line break before a message; a lone one at the end may be half a ping.
            stripped = self._buffer.lstrip(b"\r\n")
            if stripped or len(self._buffer) > len(_PING):
                self._buffer = stripped


def _content_length(head: bytes) -> int:
    lengths = _LENGTH.findall(head)
    if len(lengths) != 1 or len(_ANY_LENGTH.findall(head)) != 1:
        raise FramingError("tcp_no_length", "a message over TCP needs exactly one Content-Length")
    return int(lengths[0])
