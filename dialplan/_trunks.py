"""Operations on trunks: the carriers and switches whose calls are taken."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import select

from config.database import utc_now
from dialplan._values import Context, choice, limit_or_none, required, text
from dialplan.errors import RefusedError
from dialplan.tables import Trunk

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

__all__ = ["TRUNK_OPERATIONS"]

_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")
_MANY_DIGITS: Final = re.compile(r"[0-9]{5}")
_SERVER: Final = re.compile(
    r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?(:(?P<port>[0-9]{1,5}))?"
)
_PORTS: Final = range(1, 65536)
_URI_USER: Final = re.compile(r"[A-Za-z0-9_.!~*'()&=+$,;?/-]{1,80}")
"""What may stand before the @ of a SIP URI as it is (RFC 3261 section 25.1)."""


def trunk_add(  # noqa: PLR0913 - what a trunk is known by, all by keyword
    context: Context,
    name: str,
    *,
    addresses: Sequence[str] = (),
    digest_realm: str | None = None,
    digest_user: str | None = None,
    digest_password: str | None = None,
    register_server: str | None = None,
    register_user: str | None = None,
    register_password: str | None = None,
    register_expires_s: int = 300,
    register_transport: str = "udp",
    asserts_identity: bool = True,
    media: str = "own",
    call_limit: int | None = None,
    refuse_status: int = 503,
) -> dict[str, Any]:
    """Add a trunk, known by its addresses, by digest, or by both.

    Raises:
        RefusedError: A value is wrong, or the name or an address is taken.
    """
    row = Trunk(
        name=_name(name),
        addresses=list(dict.fromkeys(_network(address) for address in addresses)),
        register_expires_s=required("expiry", register_expires_s, 60, 86400),
        register_transport=choice("transport", register_transport, ("udp", "tcp")),
        asserts_identity=bool(asserts_identity),
        media=choice("media", media, ("own", "shared")),
        call_limit=limit_or_none("call limit", call_limit, 1, 20000),
        refuse_status=required("refuse status", refuse_status, 480, 606),
        created_at=utc_now(),
    )
    about = row.name
    if _all_or_none("--digest-user", digest_user, digest_realm, digest_password):
        realm = text("realm", digest_realm, 80)
        user = text("digest user", digest_user, 80)
        row.digest_realm, row.digest_user = realm, user
        ha1 = _ha1(user, realm, str(digest_password))
        row.digest_ha1_sealed = context.vault.seal_secret(ha1, f"trunk-digest:{about}")
    if _all_or_none("--register", register_server, register_user, register_password):
        row.register_server = _server(register_server)
        row.register_user = _uri_user(register_user)
        row.register_password_sealed = context.vault.seal_secret(
            str(register_password), f"trunk-register:{about}"
        )
    if not row.addresses and not row.digest_user:
        raise RefusedError(
            f"trunk {name!r} admits nobody: give it an address or digest credentials",
            f"Such as: dialin trunk add {row.name} --address 192.0.2.0/28",
            exit_code=2,
        )
    with context.database.session() as session:
        _check_free(session, row)
        session.add(row)
        session.flush()
        return _trunk(row)


def trunk_list(context: Context) -> list[dict[str, Any]]:
    """List all trunks; secrets are never shown."""
    with context.database.reading() as session:
        return [_trunk(row) for row in session.scalars(select(Trunk).order_by(Trunk.name))]


def trunk_show(context: Context, name: str) -> dict[str, Any]:
    """Show one trunk; secrets are never shown."""
    with context.database.reading() as session:
        return _trunk(_find(session, name))


def trunk_remove(context: Context, name: str) -> dict[str, Any]:
    """Remove a trunk; calls that run go on, records stay."""
    with context.database.session() as session:
        row = _find(session, name)
        session.delete(row)
        return {"removed": row.name}


def _find(session: Session, name: str) -> Trunk:
    row = session.scalar(select(Trunk).where(Trunk.name == name))
    if row is None:
        raise RefusedError(f"there is no trunk {name!r}", "`dialin trunk list` shows them all.")
    return row


def _name(name: str) -> str:
    # Names of trunks are said in logs: nothing that could be a number.
    if not _NAME.fullmatch(name) or _MANY_DIGITS.search(name):
        raise RefusedError(
            f"trunk name {name!r} is wrong; allowed: small letters, digits (at most four in a row) "
            "and hyphens, a letter first, at most 32",
            exit_code=2,
        )
    return name


def _network(address: str) -> str:
    try:
        return str(ipaddress.IPv4Network(address))
    except ValueError as error:
        hint = ""
        if "host bits" in str(error):
            hint = f"Did you mean {ipaddress.IPv4Network(address, strict=False)}?"
        raise RefusedError(
            f"address {address!r} is wrong; allowed: an IPv4 address or network, such as "
            "192.0.2.10 or 192.0.2.0/28",
            hint,
            exit_code=2,
        ) from None


def _server(value: object) -> str:
    server = str(value)
    match = _SERVER.fullmatch(server)
    if match is None or (match["port"] is not None and int(match["port"]) not in _PORTS):
        raise RefusedError(
            f"registrar {server!r} is wrong; allowed: a host, or host:port with a port from 1 to "
            "65535",
            exit_code=2,
        )
    return server


def _uri_user(value: object) -> str:
    user = str(value)
    if not _URI_USER.fullmatch(user):
        raise RefusedError(
            f"register user {user!r} is wrong; allowed: letters, digits and -_.!~*'()&=+$,;?/ of a "
            "SIP address, 1 to 80",
            "It is the part before the @ of the address that the provider gave.",
            exit_code=2,
        )
    return user


def _all_or_none(option: str, *values: str | None) -> bool:
    given = [value for value in values if value]
    if given and len(given) < len(values):
        raise RefusedError(
            f"{option} needs all of what belongs to it; something is missing",
            "Digest: user, realm and password. Registration: server, user and password.",
            exit_code=2,
        )
    return bool(given)


def _ha1(user: str, realm: str, password: str) -> str:
    """RFC 2617 section 3.2.2.2; MD5 is what carriers speak."""
    return hashlib.md5(f"{user}:{realm}:{password}".encode(), usedforsecurity=False).hexdigest()


def _check_free(session: Session, row: Trunk) -> None:
    for other in session.scalars(select(Trunk)):
        if other.name == row.name:
            raise RefusedError(
                f"there is a trunk {row.name!r} already",
                f"`dialin trunk show {row.name}` shows it; remove it first to replace it.",
            )
        taken = set(other.addresses) & set(row.addresses)
        if taken:
            raise RefusedError(f"{min(taken)} belongs to trunk {other.name!r} already")
        if row.digest_user is not None and (row.digest_realm, row.digest_user) == (
            other.digest_realm,
            other.digest_user,
        ):
            raise RefusedError(
                f"trunk {other.name!r} proves to be {row.digest_user!r} in the realm "
                f"{row.digest_realm!r} already",
                "Give each trunk a user, or a realm, of its own.",
            )


def _trunk(row: Trunk) -> dict[str, Any]:
    return {
        "name": row.name,
        "addresses": row.addresses,
        "digest_realm": row.digest_realm,
        "digest_user": row.digest_user,
        "register_server": row.register_server,
        "register_user": row.register_user,
        "register_expires_s": row.register_expires_s if row.register_server else None,
        "register_transport": row.register_transport if row.register_server else None,
        "asserts_identity": row.asserts_identity,
        "media": row.media,
        "call_limit": row.call_limit,
        "refuse_status": row.refuse_status,
        "created_at": row.created_at.isoformat(),
    }


TRUNK_OPERATIONS: Final[dict[str, Callable[..., Any]]] = {
    "trunk.add": trunk_add,
    "trunk.list": trunk_list,
    "trunk.show": trunk_show,
    "trunk.remove": trunk_remove,
}
