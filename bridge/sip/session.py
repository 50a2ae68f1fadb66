"""One call as the SIP thread sees it: phases, our half of the description, how it ended. Pure.

::

    waiting --accept--> answered --ACK--> confirmed --hangup, BYE, expiry--> over
       |                    |                 ^
       |                    |     calling ----+ 200, our ACK
       |                    |        |
       +--refuse, CANCEL----+--------+--no ACK, no answer, hangup, BYE------> over

``over`` is when the bridge is told (once); PJSIP's session may live on until BYE is answered.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Literal

from bridge.sip.errors import BadDescriptionError
from bridge.sip.messages import CallEnded, LocalMedia, NegotiatedMedia, Transport
from bridge.sip.sdp import Description, build_answer, build_offer, build_reoffer, parse

__all__ = ["FAILURES", "Reoffer", "Session", "cause_header", "failure", "needs_source_route"]

FAILURES = {
    401: "not_allowed",
    403: "not_allowed",
    404: "unknown_number",
    407: "not_allowed",
    408: "no_answer",
    410: "unknown_number",
    480: "no_answer",
    484: "unknown_number",
    486: "busy",
    487: "no_answer",
    488: "no_common_codec",
    503: "unreachable",
    600: "busy",
    603: "declined",
    604: "unknown_number",
}
"""Words for why a call of ours was not answered, by the status of RFC 3261 section 21."""

_REQUEST_TIMEOUT = 408
_GONE = 481
_NOT_ACCEPTABLE = (406, 488)

_CAUSE_TEXT = {
    16: "Normal call clearing",
    17: "User busy",
    21: "Call rejected",
    31: "Normal, unspecified",
    34: "No circuit available",
    41: "Temporary failure",
    88: "Incompatible destination",
    42: "Switching equipment congestion",
    102: "Recovery on timer expiry",
}


def cause_header(q850: int, text: str = "") -> tuple[str, str]:
    """Return a ``Reason`` header with a Q.850 cause (RFC 3326)."""
    said = (text or _CAUSE_TEXT.get(q850, "")).replace("\\", "").replace('"', "'")
    said = "".join(letter for letter in said if letter.isprintable() and letter.isascii())[:80]
    return "Reason", f"Q.850;cause={q850}" + (f';text="{said}"' if said else "")


def failure(status: int) -> str:
    """Return the word for the status that a call of ours ended with before it was answered."""
    if status in FAILURES:
        return FAILURES[status]
    return "unreachable" if 500 <= status < 600 else "refused"  # noqa: PLR2004 - server failure


@dataclass(slots=True)
class Reoffer:
    """An offer of ours within the call, from the wish to its answer.

    Attributes:
        media: our half as offered.
        due: monotonic time at which it is to be sent.
        sent: it is on its way, and the time at which it is given up stands in ``due``.
        attempts: how often it was tried.
    """

    media: LocalMedia
    due: float
    sent: bool = False
    attempts: int = 0


@dataclass(slots=True)
class Session:
    """One call.

    Attributes:
        call: our number for it.
        call_id: SIP Call-ID.
        tag: the caller's tag.
        trunk: name of its trunk.
        source: where the INVITE came from.
        transport: transport of the INVITE.
        connection: key of its transport.
        invite: key of PJSIP's invite session.
        dialog: key of PJSIP's dialog.
        address: IPv4 address of ours for the description.
        offer: the INVITE's offer, None without one.
        has_offer: the INVITE had one, usable or not.
        created: monotonic time of the INVITE.
        phase: see above.
        media: our half, from accept on.
        agreed: the last negotiated media.
        probing: an OPTIONS of ours is on its way.
        reoffer: an offer of ours that waits for its answer, or to be sent.
        outgoing: we called: the Call-ID is ours.
        rings_until: monotonic time at which a call of ours has rung long enough.
        rung: it was told that it rings.
    """

    call: int
    call_id: str
    tag: str
    trunk: str | None
    source: tuple[str, int] = field(repr=False)
    transport: Transport
    connection: int
    invite: int
    dialog: int
    address: str = field(repr=False)
    offer: Description | None
    has_offer: bool
    created: float
    phase: Literal["calling", "waiting", "answered", "confirmed", "over"] = "waiting"
    media: LocalMedia | None = None
    agreed: NegotiatedMedia | None = None
    probing: bool = False
    reoffer: Reoffer | None = None
    outgoing: bool = False
    rings_until: float = 0.0
    rung: bool = False
    cancelled: bool = False
    bye: bool = False
    q850: int | None = None
    description_id: int = field(default_factory=lambda: secrets.randbelow(2**31))

    def description(self, media: LocalMedia) -> str:
        """Return our answer to the INVITE's offer, or our offer where it had none.

        Raises:
            BadDescriptionError: the offer has no audio that we can take.
        """
        self.media = media
        address = media.ip or self.address
        if self.has_offer:
            if self.offer is None:
                raise BadDescriptionError(
                    "no_common_codec", "the offer has no audio that we can take"
                )
            return build_answer(self.offer, media, address, self.description_id)
        return build_offer(media, address, self.description_id)

    def later_answer(self, offer: str) -> str | None:
        """Return our answer to an offer in a re-INVITE or UPDATE, None to decline it."""
        if self.media is None:
            return None
        try:
            return build_answer(
                parse(offer), self.media, self.media.ip or self.address, self.description_id
            )
        except BadDescriptionError:
            return None

    def later_offer(self) -> str | None:
        """Return our offer for a re-INVITE without one."""
        if self.media is None:
            return None
        return build_offer(self.media, self.media.ip or self.address, self.description_id)

    def new_offer(self, media: LocalMedia) -> str | None:
        """Return an offer that moves our media, None before anything was agreed on."""
        if self.agreed is None:
            return None
        return build_reoffer(media, self.agreed, media.ip or self.address, self.description_id)

    def ended_by_other(self, cause: int) -> CallEnded:
        """Say how a call ended that the bridge did not end itself.

        Args:
            cause: PJSIP's cause, a SIP status.
        """
        if self.cancelled:
            return CallEnded(self.call, "caller", 487, self.q850, "cancelled")
        if self.bye:
            return CallEnded(self.call, "caller", None, self.q850, "bye")
        if self.phase == "calling":
            # PJSIP itself ends what was answered without a description (its tag is known then).
            reason = "no_common_codec" if self.tag else failure(cause)
            return CallEnded(self.call, "network", cause or None, self.q850, reason)
        reason = "transport"
        if self.phase == "answered":
            reason = "no_ack" if cause == _REQUEST_TIMEOUT else "transport"
            if cause in _NOT_ACCEPTABLE:
                reason = "no_answer_to_offer"
        elif cause == _GONE or (cause == _REQUEST_TIMEOUT and (self.probing or self.reoffer)):
            reason = "gone"
        elif cause == _REQUEST_TIMEOUT:
            reason = "session_expired"
        return CallEnded(self.call, "network", cause or None, self.q850, reason)

    def ended_by_bridge(self, status: int | None, q850: int | None, reason: str) -> CallEnded:
        """Say that the bridge ended the call."""
        return CallEnded(self.call, "bridge", status, q850, reason)


def needs_source_route(contact_host: str, source: str) -> bool:
    """Tell whether a Contact cannot be relied on to reach the caller.

    A name would have to be looked up; a private or loopback address behind a public source is
    behind NAT. A Contact at another public address is a carrier's right.
    """
    octets = contact_host.split(".")
    literal = len(octets) == 4 and all(part.isdigit() for part in octets)  # noqa: PLR2004 - IPv4
    if not literal:
        return True
    if contact_host == source:
        return False
    private = contact_host.startswith(("10.", "192.168.", "127.", "169.254.", "0.")) or (
        octets[0] == "172" and 16 <= int(octets[1]) <= 31  # noqa: PLR2004 - 172.16.0.0/12
    )
    inside = source.startswith(("10.", "192.168.", "127.", "172."))
    return private and not inside
