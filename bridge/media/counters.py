"""Counters of every odd outcome: of the whole process, and of each leg.

Nothing in the media process logs; what is odd is counted here and told in `EngineStatistics` and
`LegStatistics`.
"""

from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media._rows import Rows

__all__ = ["LEG_COUNTERS", "Counters", "LegCounters"]


@dataclass(slots=True)
class Counters:
    """Outcomes that belong to no leg, since the start of the process.

    Args:
        late_ticks: ticks begun more than a tick late and made up in a burst.
        jumped_ticks: ticks left out because more than three were owed.
        jumped_leg_ticks: the same, times the legs open at the time.
        rxq_overflow: packets that receive buffers dropped.
        send_errors: packets that could not be sent for a fault on this side.
        peer_refused: ICMP errors: the peer's port was closed or unreachable.
        shared_strangers: packets on a shared port from an address that is no leg's.
        shared_pairs_doubled: legs on a shared port whose remote pair another leg there has, now.
        read_errors: socket errors on receiving, other than the peer's refusal.
        reads_bounded: ticks in which a leg's packets were left for the next tick.
        events_dropped: events for control that did not fit the queue.
        commands_malformed: packets on the control channel that are no command.
        commands_refused: commands that could not be carried out.
        descriptors_lost: descriptors that came truncated or with no command that wants them.
        rtcp_send_errors: reports that could not be sent.
        rtcp_strangers: RTCP from an address that is not the leg's.
        rtcp_malformed: RTCP that does not parse.
        rtp_on_rtcp: RTP that came to an RTCP port.
        ssrc_collisions: far ends that sent with our synchronisation source.
        packets_unowned: packets for a leg that had closed within the tick.
        tap_rows_dropped: rows of sound that did not fit into a recorder's ring.
        stage_faults: exceptions that a stage let out; the tick went on with the next.
    """

    late_ticks: int = 0
    jumped_ticks: int = 0
    jumped_leg_ticks: int = 0
    rxq_overflow: int = 0
    send_errors: int = 0
    peer_refused: int = 0
    shared_strangers: int = 0
    shared_pairs_doubled: int = 0
    read_errors: int = 0
    reads_bounded: int = 0
    events_dropped: int = 0
    commands_malformed: int = 0
    commands_refused: int = 0
    descriptors_lost: int = 0
    rtcp_send_errors: int = 0
    rtcp_strangers: int = 0
    rtcp_malformed: int = 0
    rtp_on_rtcp: int = 0
    ssrc_collisions: int = 0
    packets_unowned: int = 0
    tap_rows_dropped: int = 0
    stage_faults: int = 0

    @property
    def lost_by_bridge(self) -> int:
        """Packets lost by fault of the bridge: dropped on receipt, never made, not sent."""
        return self.rxq_overflow + self.jumped_leg_ticks + self.send_errors

    def as_dict(self) -> dict[str, int]:
        """Return all counters by name."""
        return asdict(self)


LEG_COUNTERS: Final = (
    "strangers",
    "malformed",
    "wrong_payload",
    "unwanted",
    "rtcp_on_rtp",
    "foreign_ssrc",
    "leapt",
    "late",
    "early",
    "duplicate",
    "reordered",
    "reanchored",
    "odd_events",
)
"""Outcomes of packets, counted by leg; `LegStatistics` says what most of them mean.

`early` is a packet that came more than the longest wait before its time, so that the wait is cut,
`rtcp_on_rtp` is RTCP that came to the RTP port, `foreign_ssrc` a packet of an SSRC that did not
(yet) prove itself, `leapt` one whose sequence number or time stamp leapt and was not (yet) borne
out by the next, `odd_events` RFC 4733 events that are no digit.
"""


class LegCounters(Rows):
    """Counters of each leg, and the totals of legs that have closed.

    Args:
        capacity: rows to begin with.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.counts: npt.NDArray[np.int64] = self.column(
            "counts", np.int64, len(LEG_COUNTERS), kept=True
        )
        self._closed = np.zeros(len(LEG_COUNTERS), np.int64)
        self._index = {name: index for index, name in enumerate(LEG_COUNTERS)}

    def add(self, name: str, rows: npt.NDArray[np.intp]) -> None:
        """Count an outcome once for each entry of `rows`; a row may stand there repeatedly."""
        if len(rows):
            np.add.at(self.counts[:, self._index[name]], rows, 1)

    def add_one(self, name: str, row: int) -> None:
        """Count an outcome for one leg."""
        self.counts[row, self._index[name]] += 1

    def of(self, row: int) -> dict[str, int]:
        """Return a leg's counters by name."""
        return dict(zip(LEG_COUNTERS, self.counts[row].tolist(), strict=True))

    def close(self, row: int) -> None:
        """Keep a closing leg's counts in the totals."""
        self._closed += self.counts[row]
        self.counts[row] = 0

    def totals(self) -> dict[str, int]:
        """Return the counts of all legs, open and closed, by name."""
        sums = self._closed + self.counts.sum(axis=0)
        return dict(zip(LEG_COUNTERS, sums.tolist(), strict=True))
