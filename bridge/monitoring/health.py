"""Readiness: whether the next call would be answered, and if not, why.

Ready is what a load balancer or a carrier's probe wants to know; alive is what whoever restarts the
bridge wants to know, and is said by answering at all. A bridge that drains is not ready and alive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from bridge.server import Bridge

__all__ = ["REASONS", "unready"]

REASONS: Final = {
    "starting": "the bridge has not opened its door yet",
    "stopping": "the bridge stops",
    "draining": "the bridge drains: only conferences that run let anybody in",
    "sip": "the SIP thread is not running",
    "media": "no media process is there",
    "overload": "the media processes are full",
    "calls": "as many calls are up as limits.calls allows",
    "records": "more than half of the records that memory may hold wait in it",
}
"""Constant words for why a bridge is not ready, and what they mean."""

RECORDS_SHARE: Final = 0.5
"""Of `records.queue`: the journal's disk is full then too, and what comes after is lost soon."""


def unready(bridge: Bridge) -> list[str]:
    """Say why the next call would not be answered.

    Args:
        bridge: the house.

    Returns:
        Keys of `REASONS`; none for a bridge that is ready.
    """
    limits = bridge.settings.limits
    most_waiting = RECORDS_SHARE * bridge.settings.records.queue
    found = {
        "stopping": bridge.stopping or bridge.failed.done(),
        "draining": bridge.drain.active and not bridge.stopping,
        "sip": not bridge.sip.running,
        "media": not any(post.process is not None for post in bridge.media.posts),
        "overload": bridge.media.overloaded,
        "calls": len(bridge.calls) >= limits.calls,
        "records": bridge.records.status()["in_memory"] > most_waiting,
    }
    return [reason for reason, holds in found.items() if holds]
