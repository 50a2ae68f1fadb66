"""Operations on numbers that can be dialled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from config.database import utc_now
from dialplan._values import Context, choice, find_conference, limit_or_none
from dialplan.errors import DialplanError, NumberError, RefusedError
from dialplan.numbers import EXTENSION, KINDS, TelephoneNumber, normalise
from dialplan.phrases import GREETINGS
from dialplan.tables import Conference, Number

__all__ = ["NUMBER_OPERATIONS", "add_number"]

_MOST_EXTENSION_DIGITS: Final = 10
_MOST_CALLS: Final = 20000
_COUNTRY_LETTERS: Final = 2


def number_add(context: Context, number: str, **values: object) -> dict[str, Any]:
    """Add a number that can be dialled; see :func:`add_number`."""
    with context.database.session() as session:
        return _shown(session, add_number(session, context, number, **values))


def add_number(session: Session, context: Context, number: str, **values: object) -> Number:
    """Add a number that can be dialled.

    Args:
        session: A session that may write.
        context: Settings say the country of numbers without ``+``, and the default language.
        number: E.164 with ``+``, or the digits of an extension.
        values: ``kind`` (of ``dialplan.numbers.KINDS``) and ``country`` (ISO 3166-1 alpha-2), found
            out where not given; ``language``; ``greeting`` (a key of ``GREETINGS``);
            ``conference``, which asserted callers enter without a PIN if it allows that;
            ``call_limit``, calls at once; ``refuses_anonymous``; ``enabled``.

    Raises:
        DialplanError: A value is wrong, or the number is there already.
    """
    given = {key: value for key, value in values.items() if value is not None}
    known = _normalised(context, number, given.get("kind"))
    if session.scalar(select(Number.id).where(Number.number == known.number)) is not None:
        raise RefusedError(
            f"the number {known.number} is there already",
            f"`dialin number show {known.number}` shows it, `dialin number change` changes it.",
        )
    row = Number(number=known.number, enabled=True, created_at=utc_now())
    defaults = {
        "kind": known.kind,
        "country": known.country,
        "language": context.settings.entry.default_language,
        "refuses_anonymous": False,
    }
    _set(session, context, row, {**defaults, **given})
    session.add(row)
    session.flush()
    return row


def number_change(context: Context, number: str, **values: object) -> dict[str, Any]:
    """Change what is said about a number; what is not given stays."""
    with context.database.session() as session:
        row = _find(session, context, number)
        _set(session, context, row, values)
        return _shown(session, row)


def number_list(context: Context) -> list[dict[str, Any]]:
    """List all numbers."""
    with context.database.reading() as session:
        rows = session.scalars(select(Number).order_by(Number.number))
        return [_shown(session, row) for row in rows]


def number_show(context: Context, number: str) -> dict[str, Any]:
    """Show one number."""
    with context.database.reading() as session:
        return _shown(session, _find(session, context, number))


def number_remove(context: Context, number: str) -> dict[str, Any]:
    """Remove a number; records of calls to it stay."""
    with context.database.session() as session:
        row = _find(session, context, number)
        session.delete(row)
        return {"removed": row.number}


def _normalised(context: Context, number: str, kind: object) -> TelephoneNumber:
    digits = number.strip()
    if kind == EXTENSION:
        if not (digits.isascii() and digits.isdigit() and len(digits) <= _MOST_EXTENSION_DIGITS):
            raise RefusedError(
                f"{number!r} is not an extension: expected 1 to 10 digits", exit_code=2
            )
        return TelephoneNumber(digits, EXTENSION, "")
    try:
        return normalise(digits, context.settings.entry.default_region or None)
    except NumberError:
        # What an administrator types is a number of the bridge's own: it may be repeated.
        raise RefusedError(
            f"{number!r} is not a telephone number",
            "Write it as E.164, such as +46101234567, or as the bare digits of an extension, such "
            "as 1000 (with --kind extension where it could be mistaken).",
            exit_code=2,
        ) from None


def _find(session: Session, context: Context, number: str) -> Number:
    row = session.scalar(select(Number).where(Number.number == number.strip()))
    if row is None:
        try:
            known = _normalised(context, number, None).number
        except DialplanError:
            known = number.strip()
        row = session.scalar(select(Number).where(Number.number == known))
    if row is None:
        raise RefusedError(f"there is no number {number!r}", "`dialin number list` shows them all.")
    return row


def _set(session: Session, context: Context, row: Number, values: dict[str, object]) -> None:
    for key, value in values.items():
        match key:
            case "kind":
                row.kind = choice("kind", value, KINDS)
            case "country":
                row.country = _country(value)
            case "language":
                row.language = choice("language", value, context.settings.entry.languages)
            case "greeting":
                row.greeting = None if value is None else choice("greeting", value, GREETINGS)
            case "call_limit":
                row.call_limit = limit_or_none("call limit", value, 1, _MOST_CALLS)
            case "conference":
                bound = find_conference(session, value) if value else None
                row.conference_id = None if bound is None else bound.id
            case "enabled":
                row.enabled = bool(value)
            case "refuses_anonymous":
                row.refuses_anonymous = bool(value)
            case _:
                raise RefusedError(f"a number has no {key!r}", exit_code=2)


def _country(value: object) -> str:
    code = str(value or "").upper()
    if code and not (len(code) == _COUNTRY_LETTERS and code.isascii() and code.isalpha()):
        raise RefusedError(
            f"country {value!r} is wrong; allowed: two letters of ISO 3166-1, such as SE",
            exit_code=2,
        )
    return code


def _shown(session: Session, row: Number) -> dict[str, Any]:
    bound = None if row.conference_id is None else session.get(Conference, row.conference_id)
    return {
        "number": row.number,
        "kind": row.kind,
        "country": row.country or None,
        "language": row.language,
        "greeting": row.greeting or "standard",
        "conference": None if bound is None else bound.name,
        "call_limit": row.call_limit,
        "refuses_anonymous": row.refuses_anonymous,
        "enabled": row.enabled,
        "created_at": row.created_at.isoformat(),
    }


NUMBER_OPERATIONS: Final[dict[str, Callable[..., Any]]] = {
    "number.add": number_add,
    "number.change": number_change,
    "number.list": number_list,
    "number.show": number_show,
    "number.remove": number_remove,
}
