"""What ``dialin trace`` may see of SIP: header lines and descriptions, with people masked. Pure.

Who is called stays readable (it is the number of the house, and how a carrier writes it is what a
trace is made for). Who calls is masked in the middle, keys pressed are masked whole, and so are the
parts of credentials that could be tried offline. Bodies other than SDP are only named.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from bridge.sip.wire import Message

__all__ = ["Trace", "masked_lines"]

_CALLER_HEADERS = {
    "from",
    "f",
    "contact",
    "m",
    "p-asserted-identity",
    "p-preferred-identity",
    "p-charging-vector",
    "remote-party-id",
    "diversion",
    "history-info",
    "referred-by",
    "b",
    "reply-to",
}
_SECRET_HEADERS = {"authorization", "proxy-authorization"}
_CALLER_IN_ANSWERS = {"to", "t"}
_DIGITS = re.compile(r"\d{5,}")
_NAME = re.compile(r'"(?:[^"\\]|\\.)*"')
_SECRET = re.compile(r'\b(response|cnonce|username)\s*=\s*"[^"]*"', re.IGNORECASE)


def _mask_number(found: re.Match[str]) -> str:
    digits = found[0]
    return digits[:3] + "x" * (len(digits) - 5) + digits[-2:]


def _mask_caller(value: str) -> str:
    value = _NAME.sub('"..."', value)
    if not _DIGITS.search(value):
        value = re.sub(r"(sips?:)[^@>;]+@", r"\1...@", value, flags=re.IGNORECASE)
    return _DIGITS.sub(_mask_number, value)


def masked_lines(raw: bytes, *, outgoing: bool, our_dialog: bool = False) -> list[str]:
    """Return the lines of a message that may be kept.

    Args:
        raw: the message.
        outgoing: we sent it.
        our_dialog: it is a request of ours inside a dialog, where ``To`` and the Request-URI name
            the caller and ``From`` names us.
    """
    head, _, body = raw.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    swapped = our_dialog or (outgoing and not lines[0].startswith("SIP/2.0"))
    masked = [_mask_caller(lines[0]) if swapped else lines[0]]
    content_type = ""
    callers = _CALLER_HEADERS - {"from", "f"} | _CALLER_IN_ANSWERS if swapped else _CALLER_HEADERS
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        key = name.strip().lower()
        if key in ("content-type", "c"):
            content_type = value.strip().lower()
        if key in callers:
            line = name + colon + _mask_caller(value)  # noqa: PLW2901 - the line as it is kept
        elif key in _SECRET_HEADERS:
            line = name + colon + _SECRET.sub(r'\1="..."', value)  # noqa: PLW2901 - likewise
        masked.append(line)
    if body:
        masked.append("")
        if content_type.startswith("application/sdp"):
            masked.extend(body.decode("latin-1").rstrip("\r\n").split("\r\n"))
        else:
            masked.append(f"[{len(body)} octets of {content_type.partition(';')[0] or 'body'}]")
    return [_printable(line) for line in masked]


def _printable(line: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in line)


@dataclass(frozen=True, slots=True)
class Trace:
    """A running trace of one call or one trunk.

    Attributes:
        on_lines: gets a block of lines for each message, in the SIP thread.
        call_id: SIP Call-ID to follow, or None.
        trunk: name of the trunk to follow, or None.
    """

    on_lines: Callable[[list[str]], None]
    call_id: str | None = None
    trunk: str | None = None

    def wants(self, message: Message, trunk: str | None) -> bool:
        """Tell whether a message belongs to what is traced."""
        if self.call_id is not None:
            return message.call_id == self.call_id
        return self.trunk is not None and trunk == self.trunk
