"""What is configured, read from the database into plain values that the bridge keeps in memory.

The bridge answers calls from a :class:`Directory`, loaded at start and again after every change an
administrator makes, so that a locked or broken database stops no call. Changes themselves are
operations of ``dialplan.administration``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from msgspec import Struct
from sqlalchemy import select

from config.database import utc_now
from config.logging import publish
from dialplan.events import NumberInfo
from dialplan.rules import ConferenceRules, Role, Window
from dialplan.tables import Conference, Number, Pin, Trunk

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from privacy.vault import Vault

__all__ = [
    "ConferenceEntry",
    "Directory",
    "NumberEntry",
    "PinEntry",
    "TrunkEntry",
    "load_directory",
    "rules_of",
    "use_guest_code",
]


class NumberEntry(Struct, frozen=True):
    """A number that can be dialled.

    Attributes:
        id: Of its row.
        info: What the call flow is told.
        call_limit: Calls at once; None for no limit.
        enabled: A disabled one is answered 480.
        refuses_anonymous: Callers who withhold their number are answered 403.
    """

    id: int
    info: NumberInfo
    call_limit: int | None
    enabled: bool
    refuses_anonymous: bool = False


class ConferenceEntry(Struct, frozen=True):
    """A conference."""

    id: int
    name: str
    rules: ConferenceRules
    time_zone: str

    def __repr__(self) -> str:
        return f"ConferenceEntry(id={self.id})"


class PinEntry(Struct, frozen=True):
    """What a PIN opens.

    Attributes:
        id: Of its row.
        conference: The conference's id.
        role: What it makes its holder.
        live: False once revoked or used, or with its conference removed.
        single_use: A code that :func:`use_guest_code` ends.
        holder: Whom a single-use code was made out to.
    """

    id: int
    conference: int
    role: Role
    live: bool = True
    single_use: bool = False
    holder: str | None = None

    def __repr__(self) -> str:
        return f"PinEntry(id={self.id}, conference={self.conference}, role={self.role!r})"


class TrunkEntry(Struct, frozen=True):
    """A carrier or a switch, its secrets opened (they are shown in no ``repr``).

    Attributes:
        name: What records and logs call it.
        addresses: Networks in CIDR form.
        digest: Realm, user and HA1 (MD5 of user:realm:password), or None.
        register: Server, user, password, expiry in seconds and transport, or None.
        asserts_identity: Whether its ``P-Asserted-Identity`` is believed.
        media: Which ports its calls' RTP has: ``own``, a pair a leg, or ``shared`` ones.
        call_limit: Calls at once; None for no limit.
        refuse_status: What it is answered when the whole bridge is full.
    """

    name: str
    addresses: tuple[str, ...]
    digest: tuple[str, str, str] | None
    register: tuple[str, str, str, int, str] | None
    asserts_identity: bool
    call_limit: int | None
    refuse_status: int
    media: str = "own"

    def __repr__(self) -> str:
        return f"TrunkEntry(name={self.name!r})"


class Directory(Struct, frozen=True):
    """All that is configured.

    Attributes:
        numbers: By number, normalised.
        conferences: By id; removed ones are not there.
        pins: By ``vault.pin_hash(pin)``; revoked and used ones are there, not live.
        trunks: By name.
    """

    numbers: dict[str, NumberEntry]
    conferences: dict[int, ConferenceEntry]
    pins: dict[bytes, PinEntry]
    trunks: dict[str, TrunkEntry]

    def __repr__(self) -> str:
        return (
            f"Directory({len(self.numbers)} numbers, {len(self.conferences)} conferences, "
            f"{len(self.pins)} pins, {len(self.trunks)} trunks)"
        )


def load_directory(session: Session, vault: Vault) -> Directory:
    """Read all that is configured; the log may say the names of trunks from then on.

    Args:
        session: Any session.
        vault: Opens the secrets of trunks and the names on guest codes.
    """
    conferences = {
        row.id: row
        for row in session.scalars(select(Conference).where(Conference.removed_at.is_(None)))
    }
    trunks = {row.name: _trunk(row, vault) for row in session.scalars(select(Trunk))}
    publish("trunk", trunks)
    return Directory(
        numbers={row.number: _number(row, conferences) for row in session.scalars(select(Number))},
        conferences={
            row.id: ConferenceEntry(row.id, row.name, rules_of(row), row.time_zone)
            for row in conferences.values()
        },
        pins={
            row.pin_hash: _pin(row, vault, live=row.conference_id in conferences)
            for row in session.scalars(select(Pin))
        },
        trunks=trunks,
    )


def rules_of(row: Conference) -> ConferenceRules:
    """Turn a conference's row into the rules it runs by."""
    zone = ZoneInfo(row.time_zone)
    # A window that only closes has always been open.
    opens = row.opens_at or (row.closes_at and datetime.fromtimestamp(0, UTC))
    return ConferenceRules(
        capacity=row.capacity,
        start=row.start_rule,  # type: ignore[arg-type]  # checked where it is written
        end=row.end_rule,  # type: ignore[arg-type]  # checked where it is written
        grace_s=float(row.grace_s),
        max_length_s=None if row.max_minutes is None else row.max_minutes * 60.0,
        wait_limit_s=row.wait_minutes * 60.0,
        window=None
        if opens is None
        else Window(
            opens.astimezone(zone),
            None if row.closes_at is None else row.closes_at.astimezone(zone),
        ),
        host_early_s=row.host_early_minutes * 60.0,
        guest_early_s=row.guest_early_minutes * 60.0,
        chimes=row.chimes,
        names=row.names,  # type: ignore[arg-type]  # checked where it is written
        waiting_room=row.waiting_room,
        host_places=row.host_places,
    )


def use_guest_code(session: Session, pin: int) -> bool:
    """Use up a single-use code.

    Args:
        session: A session that may write.
        pin: Id of its row.

    Returns:
        Whether it could still be used: of two callers at once, one gets in.
    """
    row = session.get(Pin, pin, with_for_update=True)
    if row is None or not row.single_use or row.used_at or row.revoked_at:
        return False
    row.used_at = utc_now()
    row.pin_sealed = None
    return True


def _number(row: Number, conferences: dict[int, Conference]) -> NumberEntry:
    bound = conferences.get(row.conference_id or 0)
    info = NumberInfo(
        number=row.number,
        kind=row.kind,
        country=row.country,
        language=row.language,
        greeting=row.greeting,
        pinless_conference=bound.id if bound is not None and bound.pinless else None,
    )
    return NumberEntry(row.id, info, row.call_limit, row.enabled, row.refuses_anonymous)


def _pin(row: Pin, vault: Vault, *, live: bool) -> PinEntry:
    return PinEntry(
        id=row.id,
        conference=row.conference_id,
        role="host" if row.role == "host" else "guest",
        live=live and row.revoked_at is None and row.used_at is None,
        single_use=row.single_use,
        holder=None
        if row.holder_sealed is None
        else vault.open_secret(row.holder_sealed, f"holder:{row.pin_hash.hex()}"),
    )


def _trunk(row: Trunk, vault: Vault) -> TrunkEntry:
    digest = register = None
    if row.digest_user and row.digest_realm and row.digest_ha1_sealed:
        ha1 = vault.open_secret(row.digest_ha1_sealed, f"trunk-digest:{row.name}")
        digest = (row.digest_realm, row.digest_user, ha1)
    if row.register_server and row.register_user and row.register_password_sealed:
        password = vault.open_secret(row.register_password_sealed, f"trunk-register:{row.name}")
        register = (
            row.register_server,
            row.register_user,
            password,
            row.register_expires_s,
            row.register_transport,
        )
    return TrunkEntry(
        name=row.name,
        addresses=tuple(row.addresses),
        digest=digest,
        register=register,
        asserts_identity=row.asserts_identity,
        call_limit=row.call_limit,
        refuse_status=row.refuse_status,
        media=row.media,
    )
