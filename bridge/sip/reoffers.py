"""Offers of ours within a call: a re-INVITE that moves our media (RFC 3261 section 14).

One is tried until it is answered. While another offer is under way, ours or the other side's
(*glare*, 491), it is tried again after the random time of section 14.1; the call goes on as it was
meanwhile, and after a refusal::

    wished ──► sent ──200 with an answer──────────────► accepted
      ▲         │ └──488, 491 too often, no answer────► refused: all as it was
      └── 491 ──┘ └──408, 481─────────────────────────► PJSIP ends the call (section 12.2.1.2)
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from bridge.sip.errors import PjError
from bridge.sip.messages import LocalMedia, ReofferAnswered, SipEvent
from bridge.sip.session import Reoffer, Session

if TYPE_CHECKING:
    from bridge.sip._invites import Invites

__all__ = ["GIVE_UP_S", "Reoffers", "glare_wait_s"]

GIVE_UP_S = 32.0
"""64 T1: how long the other side may do nothing but ring before the re-INVITE is cancelled."""

_ATTEMPTS = 4
_GLARE = 491
_OK = 200
_BUSY_S = 0.5  # another offer is under way, or the ACK is still to come

log = structlog.get_logger(__name__)


def glare_wait_s(chance: float, *, owner: bool) -> float:
    """Return how long to wait after 491 before the next attempt (RFC 3261 section 14.1).

    Args:
        chance: a random number in [0, 1).
        owner: the dialog's Call-ID is ours.

    Returns:
        2.1 to 4 s for the owner, else 0 to 2 s, in units of 10 ms.
    """
    return (210 + int(chance * 191)) / 100 if owner else int(chance * 201) / 100


class Reoffers:
    """The offers that wait, of all calls.

    Args:
        invites: PJSIP's side of it.
        emit: takes what came of each.
        chance: returns a number in [0, 1).
    """

    def __init__(
        self,
        invites: Invites,
        emit: Callable[[SipEvent], None],
        chance: Callable[[], float],
    ) -> None:
        self._invites = invites
        self._emit = emit
        self._chance = chance
        self._open: dict[int, Session] = {}

    @property
    def waiting(self) -> bool:
        """Tell whether there are some that time matters to."""
        return bool(self._open)

    def begin(self, session: Session, media: LocalMedia) -> None:
        """Offer another half of ours; a wish that was not sent yet makes way for the new one."""
        before = session.reoffer
        if before is not None and before.sent:
            self._emit(ReofferAnswered(session.call, media.rtp_port, accepted=False, status=None))
            return
        if before is not None:
            self._close(session, accepted=False, status=None)
        session.reoffer = Reoffer(media, due=time.monotonic())
        self._open[session.call] = session
        self._send(session, session.reoffer)

    def keep(self, now: float) -> None:
        """Send what is due, and cancel what the other side has let ring for too long."""
        for session in list(self._open.values()):
            reoffer = session.reoffer
            if session.phase == "over" or reoffer is None:
                self.forget(session)
            elif now >= reoffer.due and reoffer.sent:
                reoffer.due = now + GIVE_UP_S
                self._invites.cancel_reoffer(session.invite)
            elif now >= reoffer.due:
                self._send(session, reoffer)

    def answered(self, session: Session) -> bool:
        """Take an answer for ours if ours is on its way; tell whether it was."""
        reoffer = session.reoffer
        if reoffer is None or not reoffer.sent:
            return False
        session.media = reoffer.media
        return True

    def accepted(self, session: Session) -> None:
        """Report the answer, after what it changed."""
        self._close(session, accepted=True, status=_OK)

    def result(self, session: Session, status: int) -> None:
        """Note the final status of a re-INVITE; one that was answered is none of ours any more."""
        reoffer = session.reoffer
        if reoffer is None or not reoffer.sent or session.phase == "over":
            return
        reoffer.sent = False
        if status == _GLARE and reoffer.attempts < _ATTEMPTS:
            reoffer.due = time.monotonic() + glare_wait_s(self._chance(), owner=session.outgoing)
            return
        self._close(session, accepted=False, status=status)

    def forget(self, session: Session) -> None:
        """Forget what a call that is over wished for."""
        self._open.pop(session.call, None)

    def _send(self, session: Session, reoffer: Reoffer) -> None:
        reoffer.attempts += 1
        description = session.new_offer(reoffer.media)
        try:
            # Sent before it is known whether it is: an answer may come from inside.
            reoffer.sent = description is not None
            sent = description is not None and self._invites.reoffer(session.invite, description)
        except PjError as fault:
            log.info("sip offer not sent", status=fault.status, call_id=session.call_id)
            self._close(session, accepted=False, status=None)
            return
        now = time.monotonic()
        if sent:
            reoffer.due = now + GIVE_UP_S
        elif reoffer.attempts < _ATTEMPTS:
            reoffer.sent, reoffer.due = False, now + _BUSY_S
        else:
            self._close(session, accepted=False, status=None)

    def _close(self, session: Session, *, accepted: bool, status: int | None) -> None:
        reoffer, session.reoffer = session.reoffer, None
        self.forget(session)
        if reoffer is not None:
            port = reoffer.media.rtp_port
            self._emit(ReofferAnswered(session.call, port, accepted=accepted, status=status))
