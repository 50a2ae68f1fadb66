"""What administrators give, checked: values, and the conference they name."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.orm import Session

from config.administration import AdminContext
from dialplan.errors import RefusedError
from dialplan.tables import Conference
from privacy.vault import Vault

__all__ = ["Context", "choice", "find_conference", "limit", "limit_or_none", "required", "text"]

Context = AdminContext[Vault]

_LARGEST_ID = 2**31 - 1


def choice(what: str, value: object, allowed: Collection[str]) -> str:
    """Return one of the allowed words."""
    if value not in allowed:
        raise RefusedError(f"{what} {value!r} is wrong; allowed: {', '.join(allowed)}", exit_code=2)
    return str(value)


def limit(what: str, value: object, low: int, high: int) -> int | None:
    """Return a whole number from ``low`` to ``high``, or None for none."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise RefusedError(
            f"{what} {value!r} is wrong; allowed: a whole number from {low} to {high}", exit_code=2
        )
    return value


def limit_or_none(what: str, value: object, low: int, high: int) -> int | None:
    """Return a whole number from ``low`` to ``high``; None for 0, which takes a limit back."""
    return limit(what, None if value == 0 and value is not False else value, low, high)


def required(what: str, value: object, low: int, high: int) -> int:
    """Return a whole number from ``low`` to ``high``."""
    checked = limit(what, value, low, high)
    if checked is None:
        raise RefusedError(f"{what} cannot be left out", exit_code=2)
    return checked


def text(what: str, value: object, most: int) -> str:
    """Return one line of printable text, without space around it."""
    if not isinstance(value, str) or not value.isprintable() or not 1 <= len(value.strip()) <= most:
        raise RefusedError(
            f"{what} is wrong; allowed: one line of printable text, 1 to {most} characters",
            exit_code=2,
        )
    return value.strip()


def find_conference(session: Session, wanted: object) -> Conference:
    """Return a conference that is not removed, by name or id."""
    there = select(Conference).where(Conference.removed_at.is_(None))
    row = session.scalar(there.where(Conference.name == str(wanted)))
    if row is None and str(wanted).isascii() and str(wanted).isdigit():
        row = session.scalar(there.where(Conference.id == min(int(str(wanted)), _LARGEST_ID)))
    if row is None:
        raise RefusedError(
            f"there is no conference {str(wanted)!r}", "`dialin conference list` shows them all."
        )
    return row
