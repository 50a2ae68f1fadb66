"""Who is answered: the decision about a new call, before anything is spent on it.

A status says what it means to a carrier: 404 this number is not ours, 480 it is switched off, 403
this caller is not wanted, 488 no codec in common, 486 this number or trunk is busy, and 503 only
for the whole bridge (carriers take a gateway that says 503 out of service; a trunk may ask for
another word). What a conference allows is not decided here: it is *spoken*, after the PIN.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from bridge.server import Bridge
    from bridge.sip.messages import IncomingCall
    from dialplan.store import NumberEntry

__all__ = ["REASONS", "Refused", "decide", "overloaded"]

REASONS: Final = (
    "caller_refused",
    "no_common_codec",
    "no_media_port",
    "number_disabled",
    "number_limit",
    "overload",
    "shutdown",
    "trunk_limit",
    "unknown_number",
)
"""Words for why a call was not answered, as they stand in the records."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A call that is not answered.

    Attributes:
        status: the SIP status.
        reason: constant word for counters, logs and the row of refused attempts.
        retry_after: seconds after which to try again, for an overload.
        number: the number dialled, where it is ours.
    """

    status: int
    reason: str
    retry_after: int | None = None
    number: str | None = field(default=None, repr=False)


def decide(incoming: IncomingCall, bridge: Bridge) -> NumberEntry | Refused:
    """Decide about a new call.

    Args:
        incoming: what SIP said of it.
        bridge: the house, for its state.

    Returns:
        The number dialled, or why the call is refused.
    """
    if bridge.stopping:
        return overloaded(incoming, bridge, "shutdown")
    if bridge.media.overloaded or len(bridge.calls) >= bridge.settings.limits.calls:
        return overloaded(incoming, bridge, "overload")
    number = bridge.directory.dialled(incoming.dialled)
    if number is None:
        return Refused(404, "unknown_number")
    return _refuse_at_number(incoming, bridge, number) or number


def _refuse_at_number(
    incoming: IncomingCall, bridge: Bridge, number: NumberEntry
) -> Refused | None:
    """Check what only matters for a number that is ours."""
    if not number.enabled:
        return Refused(480, "number_disabled", number=number.info.number)
    withheld = incoming.privacy or (incoming.asserted is None and incoming.claimed is None)
    if withheld and number.refuses_anonymous:
        return Refused(403, "caller_refused", number=number.info.number)
    if not incoming.codecs_ok:
        return Refused(488, "no_common_codec", number=number.info.number)
    calls = bridge.calls.values()
    if number.call_limit is not None:
        at_number = sum(call.number.id == number.id for call in calls)
        if at_number >= number.call_limit:
            return Refused(486, "number_limit", number=number.info.number)
    trunk = bridge.directory.trunk(incoming.trunk)
    if trunk is not None and trunk.call_limit is not None:
        on_trunk = sum(call.trunk == incoming.trunk for call in calls)
        if on_trunk >= trunk.call_limit:
            return Refused(486, "trunk_limit", number=number.info.number)
    return None


def overloaded(incoming: IncomingCall, bridge: Bridge, reason: str) -> Refused:
    """Refuse for the whole bridge, in the word that the call's trunk wants to hear."""
    status = bridge.directory.overload_status(incoming.trunk)
    retry_after = bridge.settings.sip.retry_after_s if status == 503 else None  # noqa: PLR2004 - RFC 3261 21.5.4: Retry-After belongs to it
    return Refused(status, reason, retry_after)
