"""What ``dialin trace`` may see of SIP: headers and descriptions, with people masked. Pure.

Who is called stays readable: it is the number of the house, and how a carrier writes it is what a
trace is made for. Everything else is shown by lists of what may be: headers and parameters that say
how a call is made; of addresses of people the host, and of their numbers the beginning and the end.
Of what no list names, only the name is shown: credentials, ``Identity`` (its token holds the
number), headers of a carrier's own, keys pressed (bodies other than SDP are only measured).

It is made from the message as :mod:`bridge.sip.wire` reads it, with lines unfolded and names in
their long form: what a writer hides in folds, compact forms or odd line ends is masked like
everything else.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from bridge.sip.wire import (
    Message,
    NameAddress,
    Uri,
    parse_name_address,
    parse_uri,
    split_list,
)

__all__ = ["Trace", "masked_lines"]

_WITHHELD = "..."

_KEPT = frozenset(
    {
        "accept",
        "accept-encoding",
        "allow",
        "allow-events",
        "call-id",
        "content-encoding",
        "content-length",
        "content-type",
        "cseq",
        "date",
        "event",
        "expires",
        "max-forwards",
        "min-expires",
        "min-se",
        "privacy",
        "proxy-authenticate",
        "proxy-require",
        "rack",
        "require",
        "retry-after",
        "rseq",
        "session-expires",
        "supported",
        "unsupported",
        "via",
        "www-authenticate",
    }
)
"""Headers that say nothing about people."""

_WORDS = frozenset({"reason", "server", "user-agent", "warning"})
"""Headers of free words, in which some put a number."""

_ADDRESSES = frozenset(
    {
        "contact",
        "diversion",
        "from",
        "history-info",
        "p-asserted-identity",
        "p-preferred-identity",
        "record-route",
        "referred-by",
        "remote-party-id",
        "reply-to",
        "route",
        "to",
    }
)
"""Headers whose value is addresses."""

_PARAMETERS = frozenset(
    {
        "cause",
        "counter",
        "expires",
        "index",
        "lr",
        "maddr",
        "party",
        "privacy",
        "q",
        "reason",
        "refresher",
        "screen",
        "tag",
        "transport",
        "user",
    }
)
"""Parameters of addresses that say nothing about people."""

_CREDENTIALS = frozenset({"authorization", "proxy-authorization"})
_CREDENTIAL = re.compile(r'([A-Za-z]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s,]*)')
_PROOF_KEPT = frozenset({"algorithm", "nc", "nonce", "qop", "realm", "stale"})

_SDP_LINES = frozenset("vctmab")
_SDP_ATTRIBUTES = frozenset(
    {
        "fmtp",
        "inactive",
        "maxptime",
        "ptime",
        "recvonly",
        "rtcp",
        "rtcp-mux",
        "rtpmap",
        "sendonly",
        "sendrecv",
        "silencesupp",
    }
)

_HOST = re.compile(r"(\d{1,3}\.){3}\d{1,3}|\[[0-9a-f:.]+\]|(?=.*[a-z])[a-z0-9.-]+")
_DIGITS = re.compile(r"\d{5,}")
_NUMBER = re.compile(r"\+?[0-9().\- ]+")
_FIRST, _LAST, _LEAST = 3, 2, 8
"""Digits shown at either end of a number, and digits it must have for any to be shown."""


def masked_lines(message: Message, *, outgoing: bool) -> list[str]:
    """Return the lines of a message that may be kept.

    Args:
        message: the message.
        outgoing: we sent it.
    """
    # In requests of ours, and so in their answers, `To` and the target name the caller.
    of_ours = outgoing == bool(message.method)
    lines = [_start_line(message, of_ours=of_ours)]
    house = {"from" if of_ours else "to"} | ({"contact"} if outgoing else set())
    for name, value in message.headers:
        lines.append(f"{_without_digits(name).title()}: {_header(name, value, house)}")
    if message.body:
        lines.append("")
        if message.content_type == "application/sdp":
            lines += _description(message.body)
        else:
            lines.append(f"[{len(message.body)} octets of {message.content_type or 'body'}]")
    return [_printable(line) for line in lines]


def _start_line(message: Message, *, of_ours: bool) -> str:
    if not message.method:
        return f"{message.version} {message.status}"
    target = _masked_uri(parse_uri(message.target)) if of_ours else message.target
    return f"{message.method} {target} {message.version}"


def _header(name: str, value: str, house: set[str]) -> str:
    """Return what may be kept of a header's value; ``house`` are headers that name the house."""
    if name in _KEPT or name in house:
        return value
    if name in _WORDS:
        return _without_digits(value)
    if name in _ADDRESSES:
        return ", ".join(_masked_address(parse_name_address(each)) for each in split_list(value))
    if name in _CREDENTIALS and value[:7].lower() == "digest ":
        return "Digest " + ", ".join(
            f"{key}={text if key.lower() in _PROOF_KEPT else _WITHHELD}"
            for key, text in _CREDENTIAL.findall(value[7:])
        )
    return _WITHHELD


def _masked_address(address: NameAddress) -> str:
    name = f'"{_WITHHELD}" ' if address.name else ""
    return f"{name}<{_masked_uri(address.uri)}>{_masked_parameters(address.parameters)}"


def _masked_uri(uri: Uri) -> str:
    if uri.scheme not in ("sip", "sips", "tel"):
        return _WITHHELD
    user = _masked_user(uri.user) + ("@" if uri.host else "") if uri.user else ""
    # An address without a user may hold a number where the host belongs.
    host = uri.host if not uri.host or _HOST.fullmatch(uri.host) else _WITHHELD
    port = f":{uri.port}" if uri.port is not None else ""
    return f"{uri.scheme}:{user}{host}{port}{_masked_parameters(uri.parameters)}"


def _masked_user(user: str) -> str:
    """Return a number with its middle hidden; of anything else nothing."""
    places = [at for at, letter in enumerate(user) if letter.isdigit()]
    if len(places) < _LEAST or not _NUMBER.fullmatch(user):
        return _WITHHELD
    hidden = frozenset(places[_FIRST:-_LAST])
    return "".join("x" if at in hidden else letter for at, letter in enumerate(user))


def _masked_parameters(parameters: dict[str, str]) -> str:
    kept = (
        f";{name}" + (f"={value}" if value else "")
        if name in _PARAMETERS
        else f";{_without_digits(name)}={_WITHHELD}"
        for name, value in parameters.items()
    )
    return "".join(kept)


def _description(body: bytes) -> list[str]:
    return [_description_line(line) for line in body.decode("latin-1").splitlines() if line]


def _description_line(line: str) -> str:
    """Return what may be kept of a line of SDP: neither names nor keys (RFC 8866, RFC 4568)."""
    kind, _, value = line.partition("=")
    if kind == "o":
        return f"o={_WITHHELD} {value.partition(' ')[2]}"
    attribute = value.partition(":")[0]
    if kind == "a" and attribute.lower() not in _SDP_ATTRIBUTES:
        return f"a={_without_digits(attribute)}:{_WITHHELD}"
    return line if kind in _SDP_LINES else f"{kind[:1]}={_WITHHELD}"


def _without_digits(text: str) -> str:
    return _DIGITS.sub(_WITHHELD, text)


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
