"""What becomes of calls in the records: the bridge's words turned into call detail records.

Every method returns at once; `cdr.journal.Recorder` writes from a thread of its own and waits for
a database that is away.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from cdr.records import (
    AttemptRefused,
    Caller,
    LegAdmitted,
    LegClosed,
    LegOpened,
    LegPromoted,
    LegQuality,
    SessionClosed,
    SessionOpened,
)
from dialplan.numbers import TelephoneNumber

if TYPE_CHECKING:
    from bridge.admission import Refused
    from bridge.calls import Call
    from bridge.conferences import RunningConference
    from bridge.sip.messages import IncomingCall
    from cdr.journal import Recorder

__all__ = ["Records"]

LONGEST_CLAIM: Final = 32
"""Characters kept of a caller's name for itself where it is no telephone number."""

Normalise = Callable[[str], TelephoneNumber | None]


class Records:
    """Write down what happens to calls.

    Args:
        recorder: the journal's front.
        normalise: brings a caller's number into its normal form.
    """

    def __init__(self, recorder: Recorder, normalise: Normalise) -> None:
        self._recorder = recorder
        self._normalise = normalise

    def leg_opened(self, call: Call) -> None:
        """Write that a call was answered."""
        self._recorder.put(
            LegOpened(
                leg=call.id,
                invited_at=call.invited_at,
                answered_at=_now(),
                dialled=call.number.info.number,
                transport=call.incoming.transport,
                trunk=call.trunk,
                caller=self._caller(call.incoming),
                call=call.uid,
                direction="out" if call.invited else "in",
            )
        )

    def leg_joined(self, call: Call, conference: RunningConference) -> None:
        """Write that a leg came into a conference's room."""
        self._recorder.put(
            LegAdmitted(leg=call.id, at=_now(), session=conference.id, role=call.role or "guest")
        )

    def leg_promoted(self, call: Call) -> None:
        """Write that somebody has become host."""
        self._recorder.put(LegPromoted(leg=call.id, at=_now()))

    def leg_closed(self, call: Call) -> None:
        """Write that a call is over, and how it was."""
        ended = call.ended
        seen = call.statistics
        quality = LegQuality(
            packets_rx=seen.packets_rx,
            packets_tx=seen.packets_tx,
            lost=seen.lost,
            bursts=seen.bursts,
            late=seen.late,
            # Nobody has told of none lost who has told nothing.
            remote_lost=None if seen.remote_r_factor is None else seen.remote_lost,
            remote_jitter_ms=_rounded(seen.remote_jitter_ms, 2),
            concealed_frames=seen.concealed_frames,
            jitter_ms=_rounded(seen.jitter_ms_mean, 2),
            jitter_max_ms=_rounded(seen.jitter_ms_worst, 2),
            rtt_ms=_rounded(seen.rtt_ms, 2),
            rtt_max_ms=_rounded(seen.rtt_ms_worst, 2),
            talk_ms=seen.talk_ms,
            playout_ms=_whole(seen.playout_ms_worst),
            playout_median_ms=_whole(seen.playout_ms_median),
            r_factor=_rounded(seen.r_factor, 1),
            mos=_rounded(seen.mos, 2),
            mos_worst=_rounded(seen.mos_worst, 2),
            remote_r_factor=_rounded(seen.remote_r_factor, 1),
            remote_mos=_rounded(seen.remote_mos, 2),
            dtmf_method=seen.dtmf_method,
        )
        by: Literal["caller", "bridge", "network"] = ended.by if ended is not None else "bridge"
        self._recorder.put(
            LegClosed(
                leg=call.id,
                at=_now(),
                by=by,
                cause=call.cause,
                sip_status=ended.status if ended is not None else None,
                q850=ended.q850 if ended is not None else None,
                codec=call.codec,
                quality=quality if call.codec is not None else LegQuality(),
            )
        )

    def session_opened(self, conference: RunningConference) -> None:
        """Write that a conference began."""
        self._recorder.put(
            SessionOpened(session=conference.id, at=_now(), conference=conference.entry.id)
        )

    def session_closed(self, conference: RunningConference, reason: str) -> None:
        """Write that a conference is over."""
        self._recorder.put(
            SessionClosed(session=conference.id, at=_now(), reason=reason, peak=conference.peak)
        )

    def refused(self, call: Call, reason: str, conference: int | None) -> None:
        """Write that an answered caller was refused something."""
        self._recorder.put(
            AttemptRefused(
                at=_now(),
                reason=reason,
                transport=call.incoming.transport,
                dialled=call.number.info.number,
                leg=call.id,
                conference=conference,
            )
        )

    def refused_call(self, incoming: IncomingCall, refused: Refused) -> None:
        """Write that a call was refused before it was answered."""
        unknown = incoming.dialled[0][:LONGEST_CLAIM] if incoming.dialled else None
        self._recorder.put(
            AttemptRefused(
                at=_now(),
                reason=refused.reason,
                sip_status=refused.status,
                transport=incoming.transport,
                dialled=refused.number,
                dialled_unknown=unknown if refused.reason == "unknown_number" else None,
                trunk=incoming.trunk,
                caller=self._caller(incoming),
            )
        )

    def status(self) -> dict[str, Any]:
        """Say how writing goes."""
        return msgspec.structs.asdict(self._recorder.status())

    def _caller(self, incoming: IncomingCall) -> Caller:
        """Say who called; of who asks for privacy only what a trunk tells, and that it was asked.

        A trunk's word is kept all the same (RFC 3325: we are its trust domain's end), because the
        limits on guesses and a lawful question need it; reports never show it.
        """
        asserted, privacy = incoming.asserted is not None, incoming.privacy
        user = incoming.asserted if asserted else incoming.claimed
        if user is None or (privacy and not asserted):
            return Caller(privacy=privacy)
        found = self._normalise(user)
        if found is None:
            return Caller(number=user[:LONGEST_CLAIM], asserted=asserted, privacy=privacy)
        return Caller(
            number=found.number,
            asserted=asserted,
            country=found.country or None,
            kind=found.kind,
            privacy=privacy,
        )


def _now() -> datetime:
    return datetime.now(UTC)


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
