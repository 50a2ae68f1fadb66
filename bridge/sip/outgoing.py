"""Calls that we make, from the INVITE to the ACK; from then on they are like any other.

Early media (183 with a description) is negotiated and told nobody: the bridge hears of a call's
media when the call was answered, so that no announcement of a carrier comes into a conference.

The book of calls (``gate``) knows a call by the other side's tag. That of a call of ours is known
with the 200 only; until then nobody but us has anything to say in its dialog.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import structlog

from bridge.sip._invites import InviteState
from bridge.sip.errors import PjError
from bridge.sip.gate import CallBook, CallEntry
from bridge.sip.messages import (
    CallConfirmed,
    CallEnded,
    Dial,
    MediaNegotiated,
    OutgoingRinging,
    SipEvent,
    SipSettings,
)
from bridge.sip.sdp import build_offer
from bridge.sip.session import FAILURES, Session, cause_header

if TYPE_CHECKING:
    from bridge.sip._dials import Dials
    from bridge.sip._invites import Invites
    from bridge.sip.wire import Message

__all__ = ["REASONS", "OutgoingCalls"]

REASONS = frozenset(FAILURES.values()) | {"cancelled", "refused", "malformed_target", "stopped"}
"""Words for why a call of ours was not answered."""

_NO_OFFER_TAKEN = 488
_INCOMPATIBLE = 88

log = structlog.get_logger(__name__)


class OutgoingCalls:
    """The calls that one endpoint makes.

    Args:
        dials: PJSIP's side of their beginning.
        invites: PJSIP's side of the rest.
        book: what the gate knows of dialogs.
        emit: takes each event.
        over: tells the bridge, once, that a call is over.
    """

    def __init__(
        self,
        dials: Dials,
        invites: Invites,
        book: CallBook,
        emit: Callable[[SipEvent], None],
        over: Callable[[Session, CallEnded], None],
    ) -> None:
        self._dials = dials
        self._invites = invites
        self._book = book
        self._emit = emit
        self._over = over
        self._ids: dict[str, Session] = {}
        self._headers: dict[int, list[tuple[str, str]]] = {}
        self._to_end: list[Session] = []

    def dial(
        self, call: int, dial: Dial, address: str, contact: str, settings: SipSettings
    ) -> Session | None:
        """Prepare a call; None where it cannot be, which has been told."""
        now = time.monotonic()
        session = Session(
            call=call,
            call_id="",
            tag="",
            trunk=dial.trunk,
            source=("", 0),
            transport="udp",
            connection=0,
            invite=0,
            dialog=0,
            address=address,
            offer=None,
            has_offer=False,
            created=now,
            phase="calling",
            media=dial.media,
            outgoing=True,
            rings_until=now + dial.ring_s,
        )
        offer = build_offer(dial.media, dial.media.ip or address, session.description_id)
        timers = (settings.min_session_s, settings.session_timer_s)
        try:
            made = self._dials.create(dial, address, contact, offer, timers)
        except (PjError, UnicodeError) as fault:
            log.warning("sip call impossible", error=type(fault).__name__)
            self._emit(CallEnded(call, "bridge", None, None, "malformed_target"))
            return None
        session.invite, session.dialog, session.call_id = made
        headers = [("User-Agent", settings.user_agent)]
        if dial.asserts:
            headers.append(("P-Asserted-Identity", f"<sip:{dial.caller}@{address}>"))
        self._headers[call] = headers
        self._ids[session.call_id] = session
        self._book.open(session.call_id, "", CallEntry(call, -1, "", phase="answered"))
        return session

    def send(self, session: Session) -> None:
        """Send the INVITE."""
        sent = self._dials.send(session.invite, self._headers.pop(session.call))
        if not sent and session.phase == "calling":
            self._over(session, CallEnded(session.call, "network", None, None, "unreachable"))

    def answered(self, message: Message, by_id: dict[tuple[str, str], Session]) -> None:
        """Learn the other side's tag from a 2xx, before PJSIP acknowledges it."""
        session = self._ids.get(message.call_id)
        success = message.status // 100 == 2  # noqa: PLR2004 - RFC 3261 section 7.2
        if session is None or not success or message.cseq[1] != "INVITE" or session.tag:
            return
        self._book.close(session.call_id, "", time.monotonic())
        by_id.pop((session.call_id, ""), None)
        session.tag = message.to_tag
        by_id[session.call_id, session.tag] = session
        entry = CallEntry(session.call, -1, "", phase="confirmed", offered=True)
        self._book.open(session.call_id, session.tag, entry)

    def state(self, session: Session, state: InviteState) -> None:
        """Take note of a new state, except the last one."""
        if state == InviteState.EARLY and session.phase == "calling" and not session.rung:
            session.rung = True
            self._emit(OutgoingRinging(session.call))
        elif state == InviteState.CONFIRMED and session.phase == "over":
            self._to_end.append(session)  # it was answered while our CANCEL was on its way
        elif state == InviteState.CONFIRMED and session.phase == "calling":
            self._confirmed(session)

    def _confirmed(self, session: Session) -> None:
        session.phase = "confirmed"
        if session.agreed is None:
            self._to_end.append(session)
            ended = CallEnded(session.call, "network", _NO_OFFER_TAKEN, None, "no_common_codec")
            self._over(session, ended)
            return
        self._emit(MediaNegotiated(session.call, session.agreed))
        self._emit(CallConfirmed(session.call))

    def after_poll(self) -> None:
        """Hang up what was answered in vain, once PJSIP is done with the answer."""
        for session in self._to_end:
            self._invites.end(session.invite, 200, headers=(cause_header(_INCOMPATIBLE),))
        self._to_end.clear()

    def keep_house(
        self, now: float, sessions: Iterable[Session], hangup: Callable[[int, int, str, str], None]
    ) -> None:
        """Give up what has rung long enough, and forget the Call-IDs of the past."""
        for session in list(sessions):
            if session.phase == "calling" and now >= session.rings_until:
                hangup(session.call, 102, "", "no_answer")
        for call_id in [key for key, each in self._ids.items() if each.phase == "over"]:
            del self._ids[call_id]
