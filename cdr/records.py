"""What the bridge tells its records: one value for each thing that happened.

They are handed to :class:`cdr.journal.Recorder`, which writes rows from them. Each names its row by
an id that the bridge makes up (:func:`new_id`), so that a record that is written twice is written
once. A caller's number is in the record in clear, and shown in no ``repr``; on its way to disk it
is sealed.

=================== =============================================================================
record              sent when
=================== =============================================================================
LegOpened           a call is answered (200 sent)
LegAdmitted         its PIN let it into a conference
LegPromoted         it has become host in mid-call
LegClosed           it is over; exactly once for each ``LegOpened``
SessionOpened       the first leg came into a conference; before that leg's ``LegAdmitted``
SessionClosed       the conference is over; after its legs' ``LegClosed`` or not, either is fine
AttemptRefused      a call was refused, or a PIN in a call was
=================== =============================================================================
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Literal

from msgspec import Struct, field

__all__ = [
    "AttemptRefused",
    "Caller",
    "LegAdmitted",
    "LegClosed",
    "LegOpened",
    "LegPromoted",
    "LegQuality",
    "Record",
    "SessionClosed",
    "SessionOpened",
    "new_id",
]

HungUpBy = Literal["caller", "bridge", "network"]


def new_id() -> uuid.UUID:
    """Make up the id of a leg, session or attempt."""
    return uuid.uuid4()


class Caller(Struct, frozen=True):
    """Who called.

    Attributes:
        number: E.164 with ``+``, else the user part of the SIP address; None if withheld.
        asserted: Whether a trunk vouched for it.
        country: ISO 3166-1 alpha-2 of the number; None where it is no E.164 number.
        kind: ``mobile``, ``fixed``, ``toll_free``, ...; None where it is no E.164 number.
        privacy: Whether the caller asked that the number be shown to nobody (RFC 3323); a trunk
            may tell it all the same (RFC 3325), for limits and for what the law asks.
    """

    number: str | None = None
    asserted: bool = False
    country: str | None = None
    kind: str | None = None
    privacy: bool = False

    def __repr__(self) -> str:
        return f"Caller(asserted={self.asserted!r})"


class LegQuality(Struct, frozen=True):
    """How the media of a leg were, by the media process's last ``LegStatistics``.

    ``rx`` is from the caller into the bridge. None is not measured, or comes of a journal that an
    older version wrote.

    Attributes:
        packets_rx: RTP packets taken.
        packets_tx: RTP packets sent.
        lost: Packets that never came (RFC 3550 A.3).
        bursts: Runs that they were lost in.
        late: Packets that came after their time to be heard.
        remote_lost: Packets of ours that the caller's side says it lost; negative where some
            came twice.
        remote_jitter_ms: Jitter that the caller's side reports.
        concealed_frames: Frames of 20 ms that were made up.
        jitter_ms: Interarrival jitter (RFC 3550 A.8), its mean.
        jitter_max_ms: Its greatest value.
        rtt_ms: Round trip by RTCP, the last one.
        rtt_max_ms: The longest one.
        talk_ms: Time that the caller spoke.
        playout_ms: Longest delay of the playout store.
        playout_median_ms: Its delay at the median.
        r_factor: Rating of what is heard of the caller by ITU-T G.107.
        mos: The mean opinion score of it.
        mos_worst: The worst of five seconds.
        remote_r_factor: Rating of what the caller hears, by the reports of the caller's side.
        remote_mos: The score of it.
        dtmf_method: How digits came: ``rfc4733``, ``info`` or ``inband``.
    """

    packets_rx: int | None = None
    packets_tx: int | None = None
    lost: int | None = None
    bursts: int | None = None
    late: int | None = None
    remote_lost: int | None = None
    remote_jitter_ms: float | None = None
    concealed_frames: int | None = None
    jitter_ms: float | None = None
    jitter_max_ms: float | None = None
    rtt_ms: float | None = None
    rtt_max_ms: float | None = None
    talk_ms: int | None = None
    playout_ms: int | None = None
    playout_median_ms: int | None = None
    r_factor: float | None = None
    mos: float | None = None
    mos_worst: float | None = None
    remote_r_factor: float | None = None
    remote_mos: float | None = None
    dtmf_method: str | None = None


class LegOpened(Struct, frozen=True, tag=True):
    """A call was answered.

    Attributes:
        leg: Its id.
        invited_at: When its INVITE came.
        answered_at: When its 200 was sent.
        dialled: The number of ours that was dialled.
        transport: ``udp`` or ``tcp``.
        trunk: Name of the trunk it came by, None for open admission.
        caller: Who called.
        call: Pseudonym of the SIP Call-ID, as the log has it.
        direction: ``out`` where we called: then the caller is who was called, and ``dialled`` the
            number of ours that was shown.
    """

    leg: uuid.UUID
    invited_at: datetime
    answered_at: datetime
    dialled: str
    transport: str
    trunk: str | None = None
    caller: Caller = Caller()
    call: str | None = None
    direction: Literal["in", "out"] = "in"


class LegAdmitted(Struct, frozen=True, tag=True):
    """A leg came into a conference."""

    leg: uuid.UUID
    at: datetime
    session: uuid.UUID
    role: str


class LegPromoted(Struct, frozen=True, tag=True):
    """A leg has become host in mid-call."""

    leg: uuid.UUID
    at: datetime


class LegClosed(Struct, frozen=True, tag=True):
    """A call is over.

    Attributes:
        leg: Its id.
        at: When.
        by: Who hung up.
        cause: Why, as one constant word (``normal``, ``no_pin``, ``gone``, ...).
        sip_status: SIP status that ended it, if one did.
        q850: Cause of the ``Reason`` header (RFC 3326), ours or theirs.
        codec: ``PCMU``, ``PCMA`` or ``G722``.
        quality: How its media were.
    """

    leg: uuid.UUID
    at: datetime
    by: HungUpBy
    cause: str
    sip_status: int | None = None
    q850: int | None = None
    codec: str | None = None
    quality: LegQuality = LegQuality()


class SessionOpened(Struct, frozen=True, tag=True):
    """A conference began."""

    session: uuid.UUID
    at: datetime
    conference: int


class SessionClosed(Struct, frozen=True, tag=True):
    """A conference is over.

    Attributes:
        session: Its id.
        at: When.
        reason: Why, as one constant word (``last_left``, ``host_left``, ``max_length``, ...).
        peak: Most legs at once.
    """

    session: uuid.UUID
    at: datetime
    reason: str
    peak: int


class AttemptRefused(Struct, frozen=True, tag=True):
    """A call was refused before it was answered, or what a caller tried in a call was.

    Attributes:
        at: When.
        reason: Why, as one constant word (``unknown_number``, ``pin_unknown``, ...).
        transport: ``udp`` or ``tcp``.
        sip_status: What the INVITE was answered; None inside a call.
        leg: The call it was tried in; None where the call itself was refused. Its row says who
            called and by which trunk, so that ``caller`` and ``trunk`` are left out.
        conference: The conference that a right PIN did not open (full, closed).
        dialled: The number of ours that was dialled; None where it was none of ours.
        dialled_unknown: What was dialled where it was none of ours.
        trunk: Name of the trunk it came by, None for open admission.
        caller: Who called.
        attempt: Its id.
    """

    at: datetime
    reason: str
    transport: str
    sip_status: int | None = None
    leg: uuid.UUID | None = None
    conference: int | None = None
    dialled: str | None = None
    dialled_unknown: str | None = None
    trunk: str | None = None
    caller: Caller = Caller()
    attempt: uuid.UUID = field(default_factory=new_id)

    def __repr__(self) -> str:
        return f"AttemptRefused(reason={self.reason!r}, sip_status={self.sip_status!r})"


Record = (
    LegOpened
    | LegAdmitted
    | LegPromoted
    | LegClosed
    | SessionOpened
    | SessionClosed
    | AttemptRefused
)
