"""RTCP in a tick: reports of the legs taken in, ours sent, goodbyes said.

Each datagram that is no report is counted and dropped: what does not parse, whatever its lengths
say, and RTP that came to the wrong port. RTCP that comes to the RTP port is counted there (`rtp`).

A far end that sends with our own synchronisation source collides with us, or sends our packets
back. Either way the leg says BYE for it and goes on with another (RFC 3550 section 8.2), once:
where it comes back again, packets run in a circle, and another source would not help.
"""

import secrets
import time
from typing import Final

from bridge.media.rtcp import MalformedRtcp, read_compound
from bridge.media.state import State

__all__ = ["report", "say_farewell", "say_goodbye"]

TURN_TICKS: Final = 2
"""In every second tick reports are sent, in the others they are taken in, eight of a thousand legs
each time: to fetch from memory what the first one needs takes as long as the other seven. Intervals
are spread by far more, and the kernel says when a report arrived."""

_VERSION_2: Final = 2
_HEADER: Final = 12
_LONGEST_WAIT: Final = 1.0
_RTCP_TYPES: Final = range(64, 96)
"""Packet types of RTCP as payload types of RTP (RFC 5761 section 4)."""


def report(state: State, tick: int, now: float) -> None:
    """Take reports in, or send those that are due, in turns.

    Args:
        state: of the process.
        tick: its number.
        now: monotonic time [s].
    """
    wall = time.time()
    if tick % TURN_TICKS:
        _take(state, now, wall)
    else:
        _send(state, now, wall)
    while state.reports.collisions:
        _collided(state, state.reports.collisions.pop(), now, wall)


def _take(state: State, now: float, wall: float) -> None:
    reports, outgoing, sequences = state.reports, state.outgoing, state.sequences
    for row, packet, arrived in state.transport.receive_rtcp():
        try:
            said = read_compound(packet)
        except MalformedRtcp:
            if _is_rtp(packet):
                state.counters.rtp_on_rtcp += 1
            else:
                state.counters.rtcp_malformed += 1
            continue
        # It came before this tick did; where that is not known, or the clock leapt, it came now.
        waited = wall - arrived
        waited = waited if 0 <= waited < _LONGEST_WAIT else 0.0
        reports.take(row, said, outgoing, sequences, now - waited, wall - waited)


def _send(state: State, now: float, wall: float) -> None:
    reports = state.reports
    rows = reports.take_due(now)
    if rows:
        packets = reports.compounds(rows, state.outgoing, state.sequences, now, wall)
        for row, packet in zip(rows, packets, strict=True):
            state.transport.send_rtcp(row, packet)


def _is_rtp(packet: bytes) -> bool:
    return (
        len(packet) > _HEADER
        and packet[0] >> 6 == _VERSION_2
        and packet[1] & 0x7F not in _RTCP_TYPES
    )


def _collided(state: State, row: int, now: float, wall: float) -> None:
    """Change a leg's synchronisation source, unless that was done before."""
    state.counters.ssrc_collisions += 1
    if state.reports.collided[row] or not state.legs.open[row]:
        return
    say_goodbye(state, row, now, wall)
    own = int(state.outgoing.ssrc[row])
    ssrc = secrets.randbelow(2**32 - 2) + 1
    state.reports.change_source(row, state.outgoing, ssrc + (ssrc >= own))
    state.moved = True


def say_goodbye(state: State, row: int, now: float, wall: float) -> None:
    """Send the last report with a BYE, where anything was sent (RFC 3550 section 6.3.7).

    Args:
        state: of the process.
        row: the leg.
        now: monotonic time [s].
        wall: Unix time [s].
    """
    if state.reports.has_spoken(row, state.outgoing):
        packet = state.reports.compound(
            row, state.outgoing, state.sequences, now, wall, goodbye=True
        )
        state.transport.send_rtcp(row, packet)


def say_farewell(state: State, row: int, ssrc: int) -> None:
    """Send a BYE for a source that a process sent with that is gone and left no record.

    Args:
        state: of the process.
        row: the leg.
        ssrc: the source.
    """
    state.transport.send_rtcp(row, state.reports.farewell(row, ssrc))
