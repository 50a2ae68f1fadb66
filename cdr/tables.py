"""Tables of what happened: runs of the bridge, conference sessions, call legs, refused attempts.

History stands by itself: a number or trunk that was removed since is still named here, and a
conference's row stays when it is removed. A caller is an id of the ``subject`` table and, in clear,
only what totals need: country and kind of number.
"""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, false
from sqlalchemy.orm import Mapped, mapped_column

from config.database import Base, UtcDateTime

__all__ = ["BridgeRun", "CallLeg", "ConferenceSession", "RefusedAttempt"]

_OWN_NUMBER = {"personal": None, "why": "a number of the bridge's own"}
_OWN_NAME = {"personal": None, "why": "a name from the bridge's own configuration"}


class BridgeRun(Base):
    """One run of the bridge, from start to stop; its heartbeat dates the end after a crash."""

    __tablename__ = "bridge_run"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    heartbeat_at: Mapped[datetime] = mapped_column(UtcDateTime)
    stopped_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    crashed: Mapped[bool] = mapped_column(default=False)
    """Whether it was closed by the next start, at its last heartbeat."""


class ConferenceSession(Base):
    """A conference that took place, from the first one in to its end."""

    __tablename__ = "conference_session"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(BridgeRun.id))
    conference_id: Mapped[int] = mapped_column(index=True)
    started_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    end_reason: Mapped[str | None] = mapped_column(String(40))
    peak_legs: Mapped[int | None]
    """Most legs at once."""


class CallLeg(Base):
    """A call that was answered; times of media are in milliseconds, rx is from the caller."""

    __tablename__ = "call_leg"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(BridgeRun.id))
    session_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey(ConferenceSession.id), index=True
    )
    subject_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("subject.id"), index=True, info={"personal": "operations"}
    )
    call_pseudonym: Mapped[str | None] = mapped_column(
        String(32),
        index=True,
        info={"personal": None, "why": "keyed pseudonym of the SIP Call-ID, as in the log"},
    )
    dialled_number: Mapped[str | None] = mapped_column(String(32), info=_OWN_NUMBER)
    trunk: Mapped[str | None] = mapped_column(String(32), info=_OWN_NAME)
    transport: Mapped[str] = mapped_column(String(8))
    direction: Mapped[str] = mapped_column(String(3), default="in", server_default="in")
    """``in``, or ``out``: we called, the caller is who was called, the number dialled ours."""
    caller_asserted: Mapped[bool]
    """Whether a trunk vouched for the caller's number (P-Asserted-Identity)."""
    caller_privacy: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Whether the caller asked that the number be shown to nobody (RFC 3323)."""
    caller_country: Mapped[str | None] = mapped_column(String(2))
    caller_kind: Mapped[str | None] = mapped_column(String(16))
    role: Mapped[str | None] = mapped_column(String(8))
    invited_at: Mapped[datetime] = mapped_column(UtcDateTime)
    answered_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    admitted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    hung_up_by: Mapped[str | None] = mapped_column(String(8))
    cause: Mapped[str | None] = mapped_column(String(40))
    sip_status: Mapped[int | None]
    q850: Mapped[int | None]
    codec: Mapped[str | None] = mapped_column(String(8))
    dtmf_method: Mapped[str | None] = mapped_column(String(8))
    packets_rx: Mapped[int | None]
    packets_tx: Mapped[int | None]
    lost: Mapped[int | None]
    bursts: Mapped[int | None]
    """Runs that packets were lost in."""
    late: Mapped[int | None]
    remote_lost: Mapped[int | None]
    remote_jitter_ms: Mapped[float | None]
    concealed_frames: Mapped[int | None]
    jitter_ms: Mapped[float | None]
    """Mean; of rows from before revision 0004 the last value."""
    jitter_max_ms: Mapped[float | None]
    rtt_ms: Mapped[float | None]
    rtt_max_ms: Mapped[float | None]
    talk_ms: Mapped[int | None]
    playout_ms: Mapped[int | None]
    """Longest delay of the playout store."""
    playout_median_ms: Mapped[int | None]
    r_factor: Mapped[float | None]
    """Of what is heard of the caller (ITU-T G.107); ``remote_``: of what the caller hears."""
    mos: Mapped[float | None]
    mos_worst: Mapped[float | None]
    remote_r_factor: Mapped[float | None]
    remote_mos: Mapped[float | None]

    __table_args__ = (Index(None, "run_id", "ended_at"),)


class RefusedAttempt(Base):
    """A call that was refused before it was answered, or what a caller tried in a call."""

    __tablename__ = "refused_attempt"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(BridgeRun.id))
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    reason: Mapped[str] = mapped_column(String(40))
    sip_status: Mapped[int | None]
    """None inside a call."""
    leg_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey(CallLeg.id), index=True)
    conference_id: Mapped[int | None]
    trunk: Mapped[str | None] = mapped_column(String(32), info=_OWN_NAME)
    transport: Mapped[str] = mapped_column(String(8))
    dialled_number: Mapped[str | None] = mapped_column(String(32), info=_OWN_NUMBER)
    """The number of ours that was dialled; None where it was none of ours."""
    dialled_subject_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("subject.id"), index=True, info={"personal": "operations"}
    )
    """The number dialled where it is none of ours, sealed like everybody's."""
    subject_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("subject.id"), index=True, info={"personal": "operations"}
    )
    caller_asserted: Mapped[bool]
    caller_privacy: Mapped[bool] = mapped_column(default=False, server_default=false())
    caller_country: Mapped[str | None] = mapped_column(String(2))
    caller_kind: Mapped[str | None] = mapped_column(String(16))
