"""Who is called and by whom, from an INVITE's headers (RFC 3261, 3323, 3325, 5806, 7044). Pure.

Nothing is normalised here: carriers write numbers in every way, and ``dialplan.numbers`` knows the
ways. A number is a *candidate* here, in the order in which it is to be tried.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bridge.sip.wire import Message, NameAddress, Uri, parse_name_address, parse_uri, split_list

__all__ = ["Identity", "read_identity", "reason_q850"]

_USER_LENGTH = 64
_CANDIDATES = 12
_ANONYMOUS = {"anonymous", "restricted", "unavailable", "unknown", "private", "withheld"}
_PRIVATE = {"id", "user", "header", "session", "history", "full"}


@dataclass(frozen=True, slots=True)
class Identity:
    """What an INVITE says about both ends; see ``IncomingCall`` for the meaning of each field."""

    dialled: tuple[str, ...] = field(repr=False)
    asserted: str | None = field(repr=False)
    claimed: str | None = field(repr=False)
    privacy: bool


def _user(uri: Uri) -> str:
    """Return the user part without its parameters, "" where it is none that could be dialled."""
    user = uri.user.partition(";")[0].strip()
    return user if user.isprintable() and len(user) <= _USER_LENGTH else ""


def _addresses(message: Message, name: str) -> list[NameAddress]:
    return [parse_name_address(part) for value in message.all(name) for part in split_list(value)]


def _dialled(message: Message) -> tuple[str, ...]:
    candidates = [_user(parse_uri(message.target))]
    candidates += [_user(item.uri) for item in _addresses(message, "to")]
    candidates += [_user(item.uri) for item in _addresses(message, "diversion")]
    # The newest entry of History-Info is where the call goes now; older ones are tried after it.
    candidates += [_user(item.uri) for item in reversed(_addresses(message, "history-info"))]
    return tuple(dict.fromkeys(item for item in candidates if item))[:_CANDIDATES]


def _looks_dialled(user: str) -> bool:
    return user.lstrip("+").replace("-", "").isdigit()


def read_identity(message: Message, *, trusted: bool) -> Identity:
    """Read both ends of an INVITE.

    Args:
        message: the INVITE.
        trusted: it came from a trunk that asserts identities; only then is
            ``P-Asserted-Identity`` believed (RFC 3325 section 5).
    """
    tokens = {
        token.strip().lower()
        for value in message.all("privacy")
        for token in value.replace(",", ";").split(";")
    }
    caller = parse_name_address(message.get("from") or "")
    claimed: str | None = _user(caller.uri)
    anonymous = (
        not claimed
        or claimed.lower() in _ANONYMOUS
        or caller.uri.host in ("anonymous.invalid", "restricted.invalid")
    )
    asserted = None
    if trusted:
        users = [_user(item.uri) for item in _addresses(message, "p-asserted-identity")]
        users = [user for user in users if user and user.lower() not in _ANONYMOUS]
        asserted = next((user for user in users if _looks_dialled(user)), None)
        asserted = asserted or (users[0] if users else None)
    return Identity(
        dialled=_dialled(message),
        asserted=asserted,
        claimed=None if anonymous else claimed,
        privacy=anonymous or bool(tokens & _PRIVATE),
    )


def reason_q850(message: Message) -> int | None:
    """Return the Q.850 cause of a ``Reason`` header (RFC 3326), None without one."""
    for value in message.all("reason"):
        for part in split_list(value):
            protocol, _, rest = part.partition(";")
            if protocol.strip().upper() != "Q.850":
                continue
            for parameter in rest.split(";"):
                name, _, number = parameter.partition("=")
                digits = number.strip().strip('"')
                if name.strip().lower() == "cause" and digits.isascii() and digits.isdigit():
                    cause = int(digits[:4])
                    return cause if 0 < cause < 128 else None  # noqa: PLR2004 - seven bits
    return None
