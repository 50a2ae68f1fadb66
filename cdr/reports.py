"""Reports: what happened, as an administrator asks for it.

Callers' numbers are masked unless ``reveal`` is asked for, which the log notes. Those of callers
who asked for privacy are shown to nobody, and found by nobody who asks for a number.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Final

import structlog
from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from cdr.errors import ReportError
from cdr.tables import CallLeg, ConferenceSession, RefusedAttempt
from config.administration import AdminContext
from privacy.vault import Vault, mask

__all__ = ["OPERATIONS", "legs", "refused", "sessions"]

Context = AdminContext[Vault]

_log = structlog.get_logger()

_MOST_ROWS: Final = 100_000
_ID_BEGINNING: Final = re.compile(r"[0-9a-f]{4,32}")
ERASED: Final = "erased"
"""What stands for the number of somebody who has been forgotten."""
WITHHELD: Final = "withheld"
"""What stands for the number of somebody who asked that it be shown to nobody (RFC 3323)."""


def sessions(
    context: Context,
    *,
    since: str | None = None,
    until: str | None = None,
    conference: int | None = None,
    limit: int = 100,
) -> list[dict[str, Any]]:
    """List conference sessions, the latest first.

    Args:
        context: Database and vault.
        since: ISO 8601; sessions that began at or after it.
        until: ISO 8601; sessions that began before it.
        conference: Of that conference alone.
        limit: At most so many.

    Raises:
        ReportError: A value is wrong.
    """
    began = ConferenceSession.started_at
    count = func.count(CallLeg.id)
    wanted = (
        select(ConferenceSession, count, func.coalesce(func.sum(CallLeg.talk_ms), 0))
        .outerjoin(CallLeg, CallLeg.session_id == ConferenceSession.id)
        .group_by(ConferenceSession.id)
        .order_by(began.desc())
        .limit(_checked_limit(limit))
    )
    if since is not None:
        wanted = wanted.where(began >= _moment("since", since))
    if until is not None:
        wanted = wanted.where(began < _moment("until", until))
    if conference is not None:
        wanted = wanted.where(ConferenceSession.conference_id == conference)
    with context.database.reading() as session:
        return [
            {
                "session": str(row.id),
                "conference": row.conference_id,
                "started_at": _iso(row.started_at),
                "ended_at": _iso(row.ended_at),
                "duration_s": _seconds(row.started_at, row.ended_at),
                "end_reason": row.end_reason,
                "peak_legs": row.peak_legs,
                "legs": leg_count,
                "talk_s": round((talk_ms or 0) / 1000),
            }
            for row, leg_count, talk_ms in session.execute(wanted)
        ]


def legs(  # noqa: PLR0913 - what a list may be narrowed down by, all by keyword
    context: Context,
    *,
    since: str | None = None,
    until: str | None = None,
    session: str | None = None,
    conference: int | None = None,
    caller: str | None = None,
    call: str | None = None,
    still_open: bool = False,
    limit: int = 100,
    reveal: bool = False,
) -> list[dict[str, Any]]:
    """List call legs, the latest first.

    Args:
        context: Database and vault.
        since: ISO 8601; legs answered at or after it.
        until: ISO 8601; legs answered before it.
        session: Of that conference session alone, by its id or the first digits of that.
        conference: Of that conference alone.
        caller: Of that caller alone, by number.
        call: Of that call alone, by the name that the log gives it.
        still_open: Only those that have not ended.
        limit: At most so many.
        reveal: Show callers' numbers in clear.

    Raises:
        ReportError: A value is wrong.
    """
    wanted = (
        select(CallLeg, ConferenceSession.conference_id)
        .outerjoin(ConferenceSession, CallLeg.session_id == ConferenceSession.id)
        .order_by(CallLeg.answered_at.desc())
        .limit(_checked_limit(limit))
    )
    if since is not None:
        wanted = wanted.where(CallLeg.answered_at >= _moment("since", since))
    if until is not None:
        wanted = wanted.where(CallLeg.answered_at < _moment("until", until))
    within = None if session is None else _id_range("session", session)
    if within is not None:
        wanted = wanted.where(CallLeg.session_id.between(*within))
    if conference is not None:
        wanted = wanted.where(ConferenceSession.conference_id == conference)
    if call is not None:
        wanted = wanted.where(CallLeg.call_pseudonym == call)
    if still_open:
        wanted = wanted.where(CallLeg.ended_at.is_(None))
    with context.database.reading() as opened:
        if within is not None:
            _see_one_session(opened, session, within)
        if caller is not None:
            subject = context.vault.find_subject(opened, caller)
            if subject is None:
                return []
            wanted = wanted.where(CallLeg.subject_id == subject, CallLeg.caller_privacy.is_(False))
        return _leg_rows(context, opened, wanted, reveal=reveal)


def _leg_rows(
    context: Context,
    session: Session,
    wanted: Select[CallLeg, int],
    *,
    reveal: bool,
) -> list[dict[str, Any]]:
    found = session.execute(wanted).all()
    people = (row.subject_id for row, _ in found if not row.caller_privacy)
    shown = _numbers(context, session, people, reveal=reveal)
    return [
        {
            "leg": str(row.id),
            "call": row.call_pseudonym,
            "session": None if row.session_id is None else str(row.session_id),
            "conference": conference,
            "role": row.role,
            "caller": WITHHELD if row.caller_privacy else shown(row.subject_id),
            "caller_asserted": row.caller_asserted,
            "caller_country": row.caller_country,
            "caller_kind": row.caller_kind,
            "dialled": row.dialled_number,
            "trunk": row.trunk,
            "transport": row.transport,
            "direction": row.direction,
            "invited_at": _iso(row.invited_at),
            "answered_at": _iso(row.answered_at),
            "admitted_at": _iso(row.admitted_at),
            "ended_at": _iso(row.ended_at),
            "duration_s": _seconds(row.answered_at, row.ended_at),
            "hung_up_by": row.hung_up_by,
            "cause": row.cause,
            "sip_status": row.sip_status,
            "q850": row.q850,
            "codec": row.codec,
            "dtmf_method": row.dtmf_method,
            "packets_rx": row.packets_rx,
            "packets_tx": row.packets_tx,
            "lost": row.lost,
            "bursts": row.bursts,
            "late": row.late,
            "remote_lost": row.remote_lost,
            "remote_jitter_ms": row.remote_jitter_ms,
            "concealed_frames": row.concealed_frames,
            "jitter_ms": row.jitter_ms,
            "jitter_max_ms": row.jitter_max_ms,
            "rtt_ms": row.rtt_ms,
            "rtt_max_ms": row.rtt_max_ms,
            "talk_ms": row.talk_ms,
            "playout_ms": row.playout_ms,
            "playout_median_ms": row.playout_median_ms,
            "r_factor": row.r_factor,
            "mos": row.mos,
            "mos_worst": row.mos_worst,
            "remote_r_factor": row.remote_r_factor,
            "remote_mos": row.remote_mos,
        }
        for row, conference in found
    ]


def refused(
    context: Context,
    *,
    since: str | None = None,
    until: str | None = None,
    reason: str | None = None,
    limit: int = 100,
    reveal: bool = False,
) -> list[dict[str, Any]]:
    """List refused attempts, the latest first.

    Args:
        context: Database and vault.
        since: ISO 8601; attempts at or after it.
        until: ISO 8601; attempts before it.
        reason: Of that reason alone.
        limit: At most so many.
        reveal: Show numbers in clear.

    Raises:
        ReportError: A value is wrong.
    """
    wanted = (
        select(RefusedAttempt, CallLeg)
        .outerjoin(CallLeg, RefusedAttempt.leg_id == CallLeg.id)
        .order_by(RefusedAttempt.at.desc())
        .limit(_checked_limit(limit))
    )
    if since is not None:
        wanted = wanted.where(RefusedAttempt.at >= _moment("since", since))
    if until is not None:
        wanted = wanted.where(RefusedAttempt.at < _moment("until", until))
    if reason is not None:
        wanted = wanted.where(RefusedAttempt.reason == reason)
    with context.database.reading() as session:
        found: list[tuple[RefusedAttempt, CallLeg | None, CallLeg | RefusedAttempt]] = [
            (row, leg, _caller_of(row, leg)) for row, leg in session.execute(wanted)
        ]
        people = [of.subject_id for _, _, of in found if not of.caller_privacy]
        people += [row.dialled_subject_id for row, _, _ in found]
        shown = _numbers(context, session, people, reveal=reveal)
        return [
            {
                "attempt": str(row.id),
                "at": _iso(row.at),
                "reason": row.reason,
                "sip_status": row.sip_status,
                "leg": None if row.leg_id is None else str(row.leg_id),
                "call": None if leg is None else leg.call_pseudonym,
                "conference": row.conference_id,
                "caller": WITHHELD if of.caller_privacy else shown(of.subject_id),
                "caller_asserted": of.caller_asserted,
                "caller_country": of.caller_country,
                "dialled": row.dialled_number or shown(row.dialled_subject_id),
                "trunk": of.trunk,
                "transport": row.transport,
            }
            for row, leg, of in found
        ]


def _caller_of(row: RefusedAttempt, leg: CallLeg | None) -> CallLeg | RefusedAttempt:
    """Return the row that says who called: in a call it is the leg's."""
    return row if leg is None else leg


def _numbers(
    context: Context,
    session: Session,
    subjects: Iterable[uuid.UUID | None],
    *,
    reveal: bool,
) -> Callable[[uuid.UUID | None], str | None]:
    """Return what shows the number of a subject: masked, in clear, or as erased."""
    wanted = {subject for subject in subjects if subject is not None}
    numbers = context.vault.reveal(session, wanted)
    if reveal and numbers:
        _log.warning("numbers were revealed to an administrator", subjects=len(numbers))

    def shown(subject: uuid.UUID | None) -> str | None:
        if subject is None:
            return None
        number = numbers.get(subject)
        if number is None:
            return ERASED
        return number if reveal else mask(number)

    return shown


def _checked_limit(limit: object) -> int:
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= _MOST_ROWS:
        raise ReportError(
            f"limit {limit!r} is wrong; allowed: a whole number from 1 to {_MOST_ROWS}", exit_code=2
        )
    return limit


def _moment(name: str, value: str) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
    except (ValueError, TypeError):
        raise ReportError(
            f"{name} {value!r} is wrong; allowed: ISO 8601, such as 2026-03-02 or "
            "2026-03-02T09:00+01:00 (UTC where it names no zone)",
            exit_code=2,
        ) from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _id_range(name: str, value: str) -> tuple[uuid.UUID, uuid.UUID]:
    """Return the least and the greatest id that begin with the digits given."""
    digits = str(value).replace("-", "").lower()
    if not _ID_BEGINNING.fullmatch(digits):
        raise ReportError(
            f"{name} {value!r} is wrong; allowed: an id as the lists show it, or at least its "
            "first four digits",
            exit_code=2,
        )
    return uuid.UUID(digits.ljust(32, "0")), uuid.UUID(digits.ljust(32, "f"))


def _see_one_session(
    opened: Session, wanted: str | None, within: tuple[uuid.UUID, uuid.UUID]
) -> None:
    """See that the digits given mean one session.

    Raises:
        ReportError: they mean none, or several.
    """
    among = select(ConferenceSession.id).where(ConferenceSession.id.between(*within)).limit(2)
    found = opened.scalars(among).all()
    if len(found) != 1:
        raise ReportError(
            f"{'no session has' if not found else 'several sessions have'} an id that begins with "
            f"{wanted!r}",
            hint="`dialin cdr sessions` lists them.",
        )


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="milliseconds")


def _seconds(start: datetime, end: datetime | None) -> float | None:
    return None if end is None else round((end - start).total_seconds(), 3)


OPERATIONS: Final[dict[str, Callable[..., Any]]] = {
    "cdr.sessions": sessions,
    "cdr.legs": legs,
    "cdr.refused": refused,
}
"""By the name that administrators' commands ask for."""
