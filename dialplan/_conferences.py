"""Operations on conferences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from config.database import utc_now
from dialplan._pins import guess_chance, issue, revoke, shown
from dialplan._values import Context, choice, find_conference, limit_or_none, required, text
from dialplan.errors import RefusedError
from dialplan.store import rules_of
from dialplan.tables import Account, Conference, Number

__all__ = ["CONFERENCE_OPERATIONS", "add_conference"]

_log = structlog.get_logger()

_OPERATOR: Final = "operator"
"""Name of the account that conferences belong to where none is named."""
_WEEK_MINUTES: Final = 7 * 24 * 60

_RULES: Final[dict[str, tuple[str, Callable[[object], object]]]] = {
    "capacity": ("capacity", lambda value: required("capacity", value, 1, 5000)),
    "start": (
        "start_rule",
        lambda value: choice("start", value, ("at_once", "on_host", "on_second")),
    ),
    "end": ("end_rule", lambda value: choice("end", value, ("last_leaves", "host_leaves"))),
    "grace_s": ("grace_s", lambda value: required("grace", value, 0, 3600)),
    "wait_minutes": ("wait_minutes", lambda value: required("wait", value, 1, _WEEK_MINUTES)),
    "max_minutes": (
        "max_minutes",
        lambda value: limit_or_none("longest time", value, 1, _WEEK_MINUTES),
    ),
    "host_early_minutes": (
        "host_early_minutes",
        lambda value: required("host's early entry", value, 0, 1440),
    ),
    "guest_early_minutes": (
        "guest_early_minutes",
        lambda value: required("guest's early entry", value, 0, 1440),
    ),
    "chimes": ("chimes", bool),
    "pinless": ("pinless", bool),
    "names": ("names", lambda value: choice("names", value, ("none", "ask", "ask_until_given"))),
    "waiting_room": ("waiting_room", bool),
    "host_places": ("host_places", lambda value: required("host places", value, 0, 5000)),
}
"""What may be given of a conference's rules: its column, and the check."""


def conference_add(context: Context, name: str, **values: object) -> dict[str, Any]:
    """Add a conference and issue its PINs; see :func:`add_conference`."""
    with context.database.session() as session:
        row, issued = add_conference(session, context, name, **values)
        return {**_shown(row), "pins": issued, **guess_chance(session, issued)}


def add_conference(
    session: Session,
    context: Context,
    name: str,
    *,
    account: object = None,
    pin_length: object = None,
    **values: object,
) -> tuple[Conference, dict[str, str]]:
    """Add a conference and issue a host PIN and a guest PIN.

    Args:
        session: A session that may write.
        context: Vault for the PINs, settings for defaults.
        name: Unique among the conferences there are.
        account: Name of the account that it belongs to; made where it is new.
        pin_length: Digits of its PINs; as many as the policy wants where not given.
        values: Keys of ``_RULES``, ``opens_at``, ``closes_at`` (ISO 8601) and ``time_zone``.

    Returns:
        The row, and the PINs by role, in clear.

    Raises:
        DialplanError: A value is wrong, or the name is taken.
    """
    row = Conference(
        account=_account(session, account or _OPERATOR),
        capacity=context.settings.limits.conference_capacity,
        start_rule="at_once",
        end_rule="last_leaves",
        grace_s=120,
        wait_minutes=30,
        time_zone="UTC",
        host_early_minutes=15,
        guest_early_minutes=5,
        chimes=True,
        pinless=False,
        names="none",
        waiting_room=False,
        host_places=0,
        created_at=utc_now(),
    )
    _set(session, row, {**values, "name": name})
    if row.closes_at is not None and row.closes_at <= row.created_at:
        raise RefusedError(
            f"closes at {values['closes_at']!r} is in the past: nobody could ever enter",
            exit_code=2,
        )
    session.add(row)
    session.flush()
    issued = {role: issue(session, context, row, role, pin_length)[1] for role in ("host", "guest")}
    return row, issued


def conference_change(context: Context, conference: int | str, **values: object) -> dict[str, Any]:
    """Change the rules of a conference; what is not given stays."""
    with context.database.session() as session:
        row = find_conference(session, conference)
        _set(session, row, values)
        return _shown(row)


def conference_list(context: Context, *, removed: bool = False) -> list[dict[str, Any]]:
    """List conferences, on request those too that were removed."""
    with context.database.reading() as session:
        wanted = select(Conference).order_by(Conference.id)
        if not removed:
            wanted = wanted.where(Conference.removed_at.is_(None))
        return [_shown(row) for row in session.scalars(wanted)]


def conference_show(
    context: Context, conference: int | str, *, reveal: bool = False
) -> dict[str, Any]:
    """Show one conference and its PINs, these in clear only where asked for, which is logged."""
    with context.database.reading() as session:
        row = find_conference(session, conference)
        if reveal:
            _log.warning("PINs were revealed to an administrator", conference=row.id)
        return {
            **_shown(row),
            "pins": [shown(context.vault, pin, reveal=reveal) for pin in row.pins],
        }


def conference_remove(context: Context, conference: int | str) -> dict[str, Any]:
    """Remove a conference: its PINs are revoked, its records stay."""
    with context.database.session() as session:
        row = find_conference(session, conference)
        row.removed_at = utc_now()
        for pin in row.pins:
            revoke(pin)
        for number in session.scalars(select(Number).where(Number.conference_id == row.id)):
            number.conference_id = None
        return {"removed": row.name, "id": row.id}


def _account(session: Session, wanted: object) -> Account:
    name = text("account", wanted, 80)
    row = session.scalar(select(Account).where(Account.name == name))
    if row is None:
        row = Account(name=name, created_at=utc_now())
        session.add(row)
    return row


def _set(session: Session, row: Conference, values: Mapping[str, object]) -> None:
    # The zone first: times without one are meant in it.
    if values.get("time_zone") is not None:
        row.time_zone = _zone(values["time_zone"])
    for key, value in values.items():
        if key == "name":
            row.name = _free_name(session, row, value)
        elif key in {"opens_at", "closes_at"}:
            setattr(row, key, _moment(key, value, row.time_zone))
        elif key in _RULES:
            column, check = _RULES[key]
            setattr(row, column, check(value))
        elif key != "time_zone":
            raise RefusedError(f"a conference has no {key!r}", exit_code=2)
    rules_of(row)  # what contradicts itself is refused here


def _free_name(session: Session, row: Conference, value: object) -> str:
    name = text("name", value, 80)
    if name.isdigit():
        raise RefusedError(
            f"name {name!r} is wrong: digits alone would be taken for a conference's id",
            exit_code=2,
        )
    wanted = select(Conference.id).where(
        Conference.name == name, Conference.removed_at.is_(None), Conference.id != (row.id or 0)
    )
    with session.no_autoflush:
        other = session.scalar(wanted)
    if other is not None:
        raise RefusedError(
            f"there is a conference {name!r} already", f"`dialin conference show {other}` shows it."
        )
    return name


def _zone(value: object) -> str:
    try:
        ZoneInfo(str(value))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise RefusedError(
            f"time zone {value!r} is unknown; allowed: names such as Europe/Stockholm or UTC",
            exit_code=2,
        ) from None
    return str(value)


def _moment(key: str, value: object, zone: str) -> datetime | None:
    if value is None or value == "":
        return None
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        raise RefusedError(
            f"{key.replace('_', ' ')} {value!r} is wrong; allowed: ISO 8601, such as "
            "2026-03-02T09:00 (in the conference's time zone) or 2026-03-02T09:00+01:00",
            exit_code=2,
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=ZoneInfo(zone))
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise RefusedError(f"{key.replace('_', ' ')} {value!r} is out of range") from None


def _shown(row: Conference) -> dict[str, Any]:
    zone = ZoneInfo(row.time_zone)

    def local(moment: datetime | None) -> str | None:
        return None if moment is None else moment.astimezone(zone).isoformat()

    return {
        "id": row.id,
        "name": row.name,
        "account": row.account.name,
        "capacity": row.capacity,
        "start": row.start_rule,
        "end": row.end_rule,
        "grace_s": row.grace_s,
        "wait_minutes": row.wait_minutes,
        "max_minutes": row.max_minutes,
        "opens_at": local(row.opens_at),
        "closes_at": local(row.closes_at),
        "time_zone": row.time_zone,
        "host_early_minutes": row.host_early_minutes,
        "guest_early_minutes": row.guest_early_minutes,
        "chimes": row.chimes,
        "pinless": row.pinless,
        "names": row.names,
        "waiting_room": row.waiting_room,
        "host_places": row.host_places,
        "created_at": row.created_at.isoformat(),
        "removed_at": None if row.removed_at is None else row.removed_at.isoformat(),
    }


CONFERENCE_OPERATIONS: Final[dict[str, Callable[..., Any]]] = {
    "conference.add": conference_add,
    "conference.change": conference_change,
    "conference.list": conference_list,
    "conference.show": conference_show,
    "conference.remove": conference_remove,
}
