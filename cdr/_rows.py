"""Rows from records: each record applied twice is applied once."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from msgspec import Struct, structs
from sqlalchemy import case, delete, func, select, update

from cdr.records import (
    AttemptRefused,
    Caller,
    LegAdmitted,
    LegClosed,
    LegOpened,
    LegPromoted,
    Record,
    SessionClosed,
    SessionOpened,
)
from cdr.tables import BridgeRun, CallLeg, ConferenceSession, RefusedAttempt

if TYPE_CHECKING:
    from sqlalchemy import CursorResult, Delete, Update
    from sqlalchemy.orm import Session

    from privacy.vault import Vault

__all__ = [
    "CRASHED",
    "NOT_CLOSED",
    "Heartbeat",
    "LeftOpen",
    "Stopped",
    "apply",
    "close_left_open",
    "purge_refused",
]

CRASHED = "bridge_crashed"
"""Cause and end reason of what a crash left open."""
NOT_CLOSED = "bridge_stopped"
"""The same of what a run that stopped in order left open."""


class Heartbeat(Struct, frozen=True, tag=True):
    """The bridge was running at that moment."""

    at: datetime


class Stopped(Struct, frozen=True, tag=True):
    """The bridge stopped in order at that moment; told this way where the database was away."""

    at: datetime


class LeftOpen(Struct, frozen=True):
    """What earlier runs left open, closed now.

    Attributes:
        runs: Runs that did not stop in order.
        legs: Call legs.
        sessions: Conference sessions.
    """

    runs: int = 0
    legs: int = 0
    sessions: int = 0


def apply(  # noqa: C901 - one arm a record
    session: Session, vault: Vault, run: uuid.UUID, record: Record | Heartbeat | Stopped
) -> bool:
    """Write what a record says into the database.

    Args:
        session: A session that may write.
        vault: Turns numbers into subjects.
        run: The run of the bridge that it happened in.
        record: What happened.

    Returns:
        Whether there was a row for it: what closes or changes something may have lost what opened
        it.
    """
    match record:
        case LegOpened():
            _open_leg(session, vault, run, record)
        case LegPromoted():
            return _promote_leg(session, record)
        case LegAdmitted():
            return _admit_leg(session, record)
        case LegClosed():
            return _close_leg(session, record)
        case SessionOpened():
            if session.get(ConferenceSession, record.session) is None:
                row = ConferenceSession(
                    id=record.session,
                    run_id=run,
                    conference_id=record.conference,
                    started_at=record.at,
                )
                session.add(row)
        case SessionClosed():
            held = session.get(ConferenceSession, record.session)
            if held is None:
                return False
            held.ended_at = record.at
            held.end_reason = record.reason
            held.peak_legs = record.peak
        case AttemptRefused():
            _refuse(session, vault, run, record)
        case Heartbeat():
            _beat(session, run, record.at)
        case Stopped():
            _beat(session, run, record.at).stopped_at = record.at
    session.flush()
    return True


def _beat(session: Session, run: uuid.UUID, at: datetime) -> BridgeRun:
    row = session.get(BridgeRun, run)
    if row is None:
        row = BridgeRun(id=run, started_at=at, heartbeat_at=at)
        session.add(row)
    row.heartbeat_at = max(row.heartbeat_at, at)
    return row


def _subject(session: Session, vault: Vault, number: str | None) -> uuid.UUID | None:
    return None if not number else vault.subject_for_number(session, number)


def _open_leg(session: Session, vault: Vault, run: uuid.UUID, record: LegOpened) -> None:
    if session.get(CallLeg, record.leg) is not None:
        return
    row = CallLeg(
        id=record.leg,
        run_id=run,
        call_pseudonym=record.call,
        dialled_number=record.dialled,
        trunk=record.trunk,
        transport=record.transport,
        direction=record.direction,
        invited_at=record.invited_at,
        answered_at=record.answered_at,
        subject_id=_subject(session, vault, record.caller.number),
        **_clear(record.caller),
    )
    session.add(row)


def _clear(caller: Caller) -> dict[str, str | bool | None]:
    """Return what is kept about a caller in clear."""
    return {
        "caller_asserted": caller.asserted,
        "caller_privacy": caller.privacy,
        "caller_country": caller.country,
        "caller_kind": caller.kind,
    }


def _admit_leg(session: Session, record: LegAdmitted) -> bool:
    row = session.get(CallLeg, record.leg)
    if row is None or session.get(ConferenceSession, record.session) is None:
        return False
    row.admitted_at = record.at
    row.session_id = record.session
    row.role = record.role
    session.flush()
    return True


def _promote_leg(session: Session, record: LegPromoted) -> bool:
    row = session.get(CallLeg, record.leg)
    if row is None:
        return False
    row.role = "host"
    session.flush()
    return True


def _close_leg(session: Session, record: LegClosed) -> bool:
    row = session.get(CallLeg, record.leg)
    if row is None:
        return False
    row.ended_at = record.at
    row.hung_up_by = record.by
    row.cause = record.cause
    row.sip_status = record.sip_status
    row.q850 = record.q850
    row.codec = record.codec
    for name, value in structs.asdict(record.quality).items():
        setattr(row, name, value)
    session.flush()
    return True


def _refuse(session: Session, vault: Vault, run: uuid.UUID, record: AttemptRefused) -> None:
    if session.get(RefusedAttempt, record.attempt) is not None:
        return
    leg = record.leg
    if leg is not None and session.get(CallLeg, leg) is None:
        leg = None
    row = RefusedAttempt(
        id=record.attempt,
        run_id=run,
        at=record.at,
        reason=record.reason,
        sip_status=record.sip_status,
        leg_id=leg,
        conference_id=record.conference,
        trunk=record.trunk,
        transport=record.transport,
        dialled_number=record.dialled,
        dialled_subject_id=_subject(session, vault, record.dialled_unknown),
        subject_id=_subject(session, vault, record.caller.number),
        **_clear(record.caller),
    )
    session.add(row)


def close_left_open(session: Session, run: uuid.UUID | None = None) -> LeftOpen:
    """Close what earlier runs of the bridge left open, at their last heartbeat.

    Args:
        session: A session that may write.
        run: The present run, which is left alone.

    Returns:
        How much was closed.
    """
    open_legs = select(CallLeg.run_id).where(CallLeg.ended_at.is_(None))
    open_sessions = select(ConferenceSession.run_id).where(ConferenceSession.ended_at.is_(None))
    unfinished = select(BridgeRun).where(
        BridgeRun.stopped_at.is_(None)
        | BridgeRun.id.in_(open_legs)
        | BridgeRun.id.in_(open_sessions)
    )
    if run is not None:
        unfinished = unfinished.where(BridgeRun.id != run)
    runs = legs = sessions = 0
    for row in session.scalars(unfinished).all():
        last = row.heartbeat_at
        cause = CRASHED if row.stopped_at is None else NOT_CLOSED
        # A leg may be younger than the last heartbeat; it did not end before it began.
        latest = func.coalesce(CallLeg.admitted_at, CallLeg.answered_at)
        legs += _count(
            session,
            update(CallLeg)
            .where(CallLeg.run_id == row.id, CallLeg.ended_at.is_(None))
            .values(
                ended_at=case((latest > last, latest), else_=last),
                hung_up_by="bridge",
                cause=cause,
            ),
        )
        begun = ConferenceSession.started_at
        sessions += _count(
            session,
            update(ConferenceSession)
            .where(ConferenceSession.run_id == row.id, ConferenceSession.ended_at.is_(None))
            .values(ended_at=case((begun > last, begun), else_=last), end_reason=cause),
        )
        if row.stopped_at is None:
            row.stopped_at = last
            row.crashed = True
            runs += 1
    return LeftOpen(runs, legs, sessions)


def purge_refused(session: Session, now: datetime, keep_days: int) -> int:
    """Delete refused attempts older than ``keep_days`` days; return how many."""
    return _count(
        session, delete(RefusedAttempt).where(RefusedAttempt.at < now - timedelta(days=keep_days))
    )


def _count(session: Session, statement: Update | Delete) -> int:
    result = session.execute(statement, execution_options={"synchronize_session": False})
    return int(cast("CursorResult[Any]", result).rowcount)
