"""Read a SIP message's text: start line, headers, parameters. Pure, tolerant, bounded.

PJSIP parses messages for its own layers. The bridge reads the same bytes once more for what it
needs itself (who is called, by whom, why a call ended), because walking PJSIP's header structs
would need many more layouts to be right. Names are compared without case, compact forms are
expanded (RFC 3261 section 7.3.3), folded lines are joined.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import unquote

__all__ = [
    "Message",
    "NameAddress",
    "Uri",
    "body_part",
    "parse_message",
    "parse_name_address",
    "parse_uri",
    "split_list",
    "split_parameters",
]

MAX_HEADERS = 200
"""More header lines than this are not read; 200 is far beyond the longest honest INVITE."""

_COMPACT = {
    "a": "accept-contact",
    "b": "referred-by",
    "c": "content-type",
    "e": "content-encoding",
    "f": "from",
    "i": "call-id",
    "k": "supported",
    "l": "content-length",
    "m": "contact",
    "o": "event",
    "r": "refer-to",
    "s": "subject",
    "t": "to",
    "u": "allow-events",
    "v": "via",
    "x": "session-expires",
}


_EMPTY_LINE = re.compile(rb"\r?\n\r?\n")
"""The first one ends the headers, however its writer ends lines; a body may hold more of them."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message taken apart.

    Attributes:
        method: method of a request, "" for a response.
        target: Request-URI, "" for a response.
        status: status code of a response, 0 for a request.
        version: SIP version as written.
        headers: names (lower case, long form) and values, in order.
        body: what follows the empty line, cut at Content-Length where that is shorter.
        body_missing: octets that Content-Length promises and the packet does not hold.
    """

    method: str
    target: str = field(repr=False)
    status: int
    version: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)
    body_missing: int = 0

    def get(self, name: str) -> str | None:
        """Return the first value of a header, None without one."""
        for key, value in self.headers:
            if key == name:
                return value
        return None

    def all(self, name: str) -> list[str]:
        """Return every value of a header, in order."""
        return [value for key, value in self.headers if key == name]

    @property
    def call_id(self) -> str:
        """Return the Call-ID, "" without one."""
        return self.get("call-id") or ""

    @property
    def from_tag(self) -> str:
        """Return the tag of From, "" without one."""
        return _tag(self.get("from"))

    @property
    def to_tag(self) -> str:
        """Return the tag of To, "" without one."""
        return _tag(self.get("to"))

    @property
    def cseq(self) -> tuple[int, str]:
        """Return number and method of CSeq, (-1, "") where it cannot be read."""
        number, _, method = (self.get("cseq") or "").strip().partition(" ")
        return (int(number), method.strip()) if number.isascii() and number.isdigit() else (-1, "")

    @property
    def branch(self) -> str:
        """Return the branch of the topmost Via, "" without one."""
        vias = split_list(self.get("via") or "")
        return split_parameters(vias[0])[1].get("branch", "") if vias else ""

    @property
    def content_type(self) -> str:
        """Return the media type without parameters, in lower case."""
        return split_parameters(self.get("content-type") or "")[0].strip().lower()


def parse_message(raw: bytes) -> Message | None:
    """Take a message apart; None where it has no start line of SIP's.

    Args:
        raw: one whole message; what is not ASCII is kept as Latin-1.
    """
    head, *rest = _EMPTY_LINE.split(raw.lstrip(b"\r\n"), maxsplit=1)
    body = rest[0] if rest else b""
    lines = head.decode("latin-1").split("\n")
    start = lines[0].rstrip("\r").split(" ")
    method = target = version = ""
    status = 0
    if start[0].upper().startswith("SIP/"):
        if len(start) < 2 or not (start[1].isascii() and start[1].isdigit()):  # noqa: PLR2004
            return None
        version, status = start[0], int(start[1][:4])
    elif len(start) >= 3 and start[-1].upper().startswith("SIP/"):  # noqa: PLR2004 - three words
        method, target, version = start[0], " ".join(start[1:-1]), start[-1]
    else:
        return None
    headers = tuple(_headers(lines[1:]))
    missing = 0
    length = next((value for name, value in headers if name == "content-length"), "").strip()
    if length.isascii() and length.isdigit():
        promised = int(length[:9])
        missing = max(promised - len(body), 0)
        body = body[:promised]
    return Message(method, target, status, version, headers, body, missing)


def _headers(lines: list[str]) -> list[tuple[str, str]]:
    headers: list[tuple[str, str]] = []
    for line in lines[:MAX_HEADERS]:
        text = line.rstrip("\r")
        if text[:1] in (" ", "\t") and headers:
            name, value = headers[-1]
            headers[-1] = (name, f"{value} {text.strip()}".strip())
            continue
        name, colon, value = text.partition(":")
        if colon:
            key = name.strip().lower()
            headers.append((_COMPACT.get(key, key), value.strip()))
    return headers


def _tag(value: str | None) -> str:
    if value is None:
        return ""
    return parse_name_address(value).parameters.get("tag", "")


# -- values ----------------------------------------------------------------------------------------


def _split(text: str, separator: str) -> list[str]:
    """Split outside quotes and angle brackets."""
    parts: list[str] = []
    quoted = escaped = False
    depth = start = 0
    for index, letter in enumerate(text):
        if escaped:
            escaped = False
        elif quoted:
            escaped = letter == "\\"
            quoted = letter != '"'
        elif letter == '"':
            quoted = True
        elif letter == "<":
            depth += 1
        elif letter == ">":
            depth = max(depth - 1, 0)
        elif letter == separator and depth == 0:
            parts.append(text[start:index])
            start = index + 1
    parts.append(text[start:])
    return parts


def split_list(text: str) -> list[str]:
    """Split a header's comma-separated values; empty ones are left out."""
    return [part.strip() for part in _split(text, ",") if part.strip()]


def split_parameters(text: str) -> tuple[str, dict[str, str]]:
    """Split ``value;name=value`` outside quotes and brackets; names in lower case."""
    first, *rest = _split(text, ";")
    parameters: dict[str, str] = {}
    for part in rest:
        name, _, value = part.partition("=")
        parameters.setdefault(name.strip().lower(), value.strip().strip('"'))
    return first.strip(), parameters


@dataclass(frozen=True, slots=True)
class Uri:
    """A sip, sips or tel URI; other schemes keep the scheme and have an empty user and host."""

    scheme: str
    user: str = field(repr=False)
    host: str
    port: int | None
    parameters: dict[str, str]


@dataclass(frozen=True, slots=True)
class NameAddress:
    """``"name" <uri>;parameters`` or ``uri;parameters`` (RFC 3261 section 20.10)."""

    name: str = field(repr=False)
    uri: Uri
    parameters: dict[str, str]


_HOST_PORT = re.compile(r"^(\[[0-9A-Fa-f:.]+\]|[^:]*)(?::([0-9]{1,5}))?$")


def parse_uri(text: str) -> Uri:
    """Read a URI; what cannot be read becomes empty parts."""
    scheme, colon, rest = text.strip().partition(":")
    scheme = scheme.strip().lower() if colon else ""
    rest = rest.partition("?")[0]
    if scheme == "tel":
        number, parameters = split_parameters(rest)
        return Uri("tel", unquote(number), "", None, parameters)
    if scheme not in ("sip", "sips"):
        return Uri(scheme, "", "", None, {})
    # A user part may hold ";" and "?" of its own, so the last "@" decides.
    user, at, hostpart = text.strip().partition(":")[2].rpartition("@")
    hostpart = hostpart.partition("?")[0]
    place, parameters = split_parameters(hostpart)
    matched = _HOST_PORT.match(place.strip())
    host, port = (matched[1], matched[2]) if matched else ("", None)
    user = user.partition(":")[0] if at else ""  # what follows is a password, long deprecated
    return Uri(scheme, unquote(user), host.lower(), int(port) if port else None, parameters)


def parse_name_address(text: str) -> NameAddress:
    """Read a name-addr or addr-spec with its header parameters."""
    opening = _find_bracket(text)
    if opening < 0:
        spec, parameters = split_parameters(text)
        return NameAddress("", parse_uri(spec), parameters)
    closing = text.find(">", opening)
    inner = text[opening + 1 : closing if closing >= 0 else None]
    name = text[:opening].strip().strip('"')
    parameters = split_parameters(text[closing + 1 :])[1] if closing >= 0 else {}
    return NameAddress(name, parse_uri(inner), parameters)


def _find_bracket(text: str) -> int:
    """Return the index of the first ``<`` outside quotes, -1 without one."""
    quoted = escaped = False
    for index, letter in enumerate(text):
        if escaped:
            escaped = False
        elif quoted:
            escaped = letter == "\\"
            quoted = letter != '"'
        elif letter == '"':
            quoted = True
        elif letter == "<":
            return index
    return -1


def body_part(message: Message, kind: str) -> bytes | None:
    """Return the body of a media type: the whole body, or the first such part of a multipart.

    Args:
        message: message whose body is looked at.
        kind: media type in lower case, ``application/sdp``.
    """
    if not message.body:
        return None
    content_type, parameters = split_parameters(message.get("content-type") or "")
    content_type = content_type.lower()
    if content_type == kind:
        return message.body
    boundary = parameters.get("boundary", "")
    if not content_type.startswith("multipart/") or not boundary:
        return None
    for part in message.body.split(b"--" + boundary.encode("latin-1", "replace"))[1:10]:
        head, separator, content = part.lstrip(b"\r\n").partition(b"\r\n\r\n")
        if not separator:
            continue
        declared = dict(_headers(head.decode("latin-1").split("\n"))).get("content-type", "")
        if split_parameters(declared)[0].lower() == kind:
            return content.rstrip(b"\r\n") + b"\r\n"
    return None
