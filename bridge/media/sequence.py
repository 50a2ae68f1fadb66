"""Each leg's stream by its sequence numbers (RFC 3550 appendix A.1, A.3 and A.8), as arrays.

A packet is one of these, and only the first three are used:

- **begins**: the leg's first; or the second in a row of another SSRC; or the second in a row after
  the sequence number leapt. One stray packet restarts nothing: any packet of the stream that runs
  makes the candidate start from the beginning.
- **newer**: follows the highest so far, up to `MAX_DROPOUT` packets on.
- **reordered**: older, within the last 64, and not seen before.
- **duplicate**, **late** (older than 64, within `MAX_MISORDER`), **leapt**, **foreign_ssrc**:
  counted and dropped.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media._rows import Rows
from bridge.media.codecs import SAMPLE_RATE
from bridge.media.counters import LegCounters

__all__ = ["MAX_DROPOUT", "MAX_MISORDER", "Admission", "Sequences"]

MAX_DROPOUT: Final = 3000
"""Packets, one minute: RFC 3550 A.1."""

MAX_MISORDER: Final = 100
"""Packets, two seconds: RFC 3550 A.1."""

_SEEN_BITS: Final = 64
_JITTER_SPAN: Final = 16  # RFC 3550 A.8: the gain is a sixteenth
_NONE: Final = -1


@dataclass(slots=True)
class Admission:
    """The verdict on packets of different legs, each array `(k,)` of bool.

    Args:
        used: the packet counts and is played.
        newer: it is the newest of its leg, and not the first of a stream.
        begins: a stream begins with it.
    """

    used: npt.NDArray[np.bool_]
    newer: npt.NDArray[np.bool_]
    begins: npt.NDArray[np.bool_]


class Sequences(Rows):
    """The state of each leg's stream.

    Args:
        capacity: rows to begin with.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.ssrc: npt.NDArray[np.int64] = self.column("ssrc", np.int64, fill=_NONE, kept=True)
        # Extended by the cycles: never wraps. Low 16 bits are the number on the wire.
        self.highest: npt.NDArray[np.int64] = self.column("highest", np.int64, kept=True)
        self.base: npt.NDArray[np.int64] = self.column("base", np.int64, kept=True)
        # Bit k: `highest - k` has been received.
        self.seen: npt.NDArray[np.uint64] = self.column("seen", np.uint64, kept=True)
        self.received: npt.NDArray[np.int64] = self.column("received", np.int64, kept=True)
        # Packets of the stream that came, and were not used for coming twice or much too late.
        self.repeated: npt.NDArray[np.int64] = self.column("repeated", np.int64, kept=True)
        # Runs that packets were lost in, since the leg was opened.
        self.bursts: npt.NDArray[np.int64] = self.column("bursts", np.int64, kept=True)
        self.leapt_to: npt.NDArray[np.int64] = self.column(
            "leapt_to", np.int64, fill=_NONE, kept=True
        )
        self.candidate: npt.NDArray[np.int64] = self.column(
            "candidate", np.int64, fill=_NONE, kept=True
        )
        self.candidate_next: npt.NDArray[np.int64] = self.column(
            "candidate_next", np.int64, fill=_NONE, kept=True
        )
        self.octets: npt.NDArray[np.int64] = self.column("octets", np.int64, kept=True)
        # Of streams that have ended.
        self.packets_before: npt.NDArray[np.int64] = self.column(
            "packets_before", np.int64, kept=True
        )
        self.lost_before: npt.NDArray[np.int64] = self.column("lost_before", np.int64, kept=True)
        self.transit: npt.NDArray[np.float64] = self.column(
            "transit", np.float64, fill=np.nan, kept=True
        )
        self.jitter: npt.NDArray[np.float64] = self.column("jitter", np.float64, kept=True)
        # How often it was updated, its sum over these, its greatest value.
        self.timings: npt.NDArray[np.float64] = self.column("timings", np.float64, kept=True)
        self.jitter_sum: npt.NDArray[np.float64] = self.column("jitter_sum", np.float64, kept=True)
        self.jitter_worst: npt.NDArray[np.float64] = self.column(
            "jitter_worst", np.float64, kept=True
        )

    def admit(
        self,
        rows: npt.NDArray[np.intp],
        sequence: npt.NDArray[np.int64],
        ssrc: npt.NDArray[np.int64],
        counters: LegCounters,
    ) -> Admission:
        """Judge one packet of each of some legs and take the good ones into account.

        Args:
            rows: intp, `(k,)`: the legs, each at most once.
            sequence: int64, `(k,)`: sequence numbers.
            ssrc: int64, `(k,)`: synchronisation sources.
            counters: counts what is not used.

        Returns:
            The verdicts.
        """
        known = self.ssrc[rows]
        step = (sequence - self.highest[rows]) & 0xFFFF
        same = known == ssrc
        if same.all() and (step == 1).all():  # nearly every time: all in order
            self._advance(rows, step)
            every = np.ones(len(rows), np.bool_)
            return Admission(every, every, ~every)

        newer = same & (step >= 1) & (step < MAX_DROPOUT)
        behind = -step & 0xFFFF
        old = same & ((step == 0) | (behind <= MAX_MISORDER))
        leapt = same & ~newer & ~old
        confirmed = leapt & (self.leapt_to[rows] == sequence)
        foreign = ~same & (known != _NONE)
        proven = foreign & (self.candidate[rows] == ssrc) & (self.candidate_next[rows] == sequence)
        begins = (known == _NONE) | confirmed | proven

        recent = old & (behind < _SEEN_BITS)
        shift = np.where(recent, behind, 0).astype(np.uint64)
        seen = (self.seen[rows] >> shift) & np.uint64(1) != 0
        reordered = recent & ~seen

        self._count(rows, counters, recent & seen, "duplicate")
        self._count(rows, counters, old & ~recent, "late")
        self._count(rows, counters, reordered, "reordered")
        self._count(rows, counters, leapt & ~confirmed, "leapt")
        self._count(rows, counters, foreign & ~proven, "foreign_ssrc")
        self._count(rows, counters, confirmed | proven, "reanchored")

        following = (sequence + 1) & 0xFFFF
        waiting = leapt & ~confirmed
        self.leapt_to[rows[waiting]] = following[waiting]
        waiting = foreign & ~proven
        self.candidate[rows[waiting]] = ssrc[waiting]
        self.candidate_next[rows[waiting]] = following[waiting]

        self.repeated[rows[old & ~reordered]] += 1
        self.bursts[rows[newer & (step > 1)]] += 1
        self._advance(rows[newer], step[newer])
        self._fill_gap(rows[reordered], shift[reordered])
        self._begin(rows[begins], sequence[begins], ssrc[begins])
        return Admission(newer | reordered | begins, newer, begins)

    @staticmethod
    def _count(
        rows: npt.NDArray[np.intp], counters: LegCounters, which: npt.NDArray[np.bool_], name: str
    ) -> None:
        if which.any():
            counters.add(name, rows[which])

    def _advance(self, rows: npt.NDArray[np.intp], step: npt.NDArray[np.int64]) -> None:
        self.highest[rows] += step
        shifted = self.seen[rows] << np.minimum(step, _SEEN_BITS - 1).astype(np.uint64)
        shifted[step >= _SEEN_BITS] = 0
        self.seen[rows] = shifted | np.uint64(1)
        self.received[rows] += 1
        self.leapt_to[rows] = _NONE
        self.candidate[rows] = _NONE

    def _fill_gap(self, rows: npt.NDArray[np.intp], shift: npt.NDArray[np.uint64]) -> None:
        seen = self.seen[rows]
        # It ends a run of lost packets, shortens one, or parts it in two.
        older = seen >> np.minimum(shift + np.uint64(1), np.uint64(_SEEN_BITS - 1))
        newer = seen >> (shift - np.uint64(1))
        neighbours = (older & np.uint64(1)) + (newer & np.uint64(1))
        self.bursts[rows] += 1 - neighbours.astype(np.int64)
        self.seen[rows] = seen | np.uint64(1) << shift
        self.received[rows] += 1

    def _begin(
        self,
        rows: npt.NDArray[np.intp],
        sequence: npt.NDArray[np.int64],
        ssrc: npt.NDArray[np.int64],
    ) -> None:
        self.lost_before[rows] = self.lost(rows)
        self.packets_before[rows] += self.received[rows]
        self.ssrc[rows] = ssrc
        self.highest[rows] = sequence
        self.base[rows] = sequence
        self.seen[rows] = 1
        self.received[rows] = 1
        self.repeated[rows] = 0
        self.leapt_to[rows] = _NONE
        self.candidate[rows] = _NONE
        self.transit[rows] = np.nan

    def expected(self, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.int64]:
        """Return how many packets of the running streams must have been sent (RFC 3550 A.3)."""
        return np.where(self.received[rows] > 0, self.highest[rows] - self.base[rows] + 1, 0)

    def lost(self, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.int64]:
        """Return packets lost since the legs were opened, of all their streams."""
        missing = self.expected(rows) - self.received[rows]
        lost: npt.NDArray[np.int64] = self.lost_before[rows] + np.maximum(missing, 0)
        return lost

    def packets(self, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.int64]:
        """Return packets used since the legs were opened."""
        return self.packets_before[rows] + self.received[rows]

    def time(
        self,
        rows: npt.NDArray[np.intp],
        arrived: npt.NDArray[np.float64],
        timestamp: npt.NDArray[np.int64],
    ) -> None:
        """Take arrival times into the interarrival jitter (RFC 3550 section 6.4.1, A.8).

        D compares any two packets; ours lie a few packets apart, because only some are timed. So
        that it is true before 16 of them are, it begins as their mean instead of from 0.

        Args:
            rows: intp, `(k,)`: the legs, each at most once.
            arrived: float64, `(k,)`: arrival [s], of any clock that does not leap.
            timestamp: int64, `(k,)`: RTP time stamps.
        """
        transit = arrived * SAMPLE_RATE - timestamp
        difference = np.abs(transit - self.transit[rows])
        # No predecessor, or the time stamps were wound to another place meanwhile.
        usable = difference < SAMPLE_RATE
        timings = self.timings[rows] + usable
        gain = np.where(usable, 1 / np.clip(timings, 1, _JITTER_SPAN), 0)
        jitter = self.jitter[rows]
        jitter += gain * (np.where(usable, difference, 0) - jitter)
        self.jitter[rows] = jitter
        self.timings[rows] = timings
        self.jitter_sum[rows] += np.where(usable, jitter, 0)
        # The mean of a few differences says nothing of the worst.
        settled = timings > _JITTER_SPAN
        worst = np.where(settled, np.maximum(self.jitter_worst[rows], jitter), jitter)
        self.jitter_worst[rows] = worst
        self.transit[rows] = transit

    def jitter_mean(self, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
        """Return the mean of the jitter since the legs were opened [time stamp units]."""
        mean: npt.NDArray[np.float64] = self.jitter_sum[rows] / np.maximum(self.timings[rows], 1)
        return mean

    def jitter_most(self, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
        """Return the worst of the jitter, once it has settled, but no less than its mean."""
        return np.maximum(self.jitter_worst[rows], self.jitter_mean(rows))
