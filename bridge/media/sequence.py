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

from bridge.media._compiled import compiled, inlined
from bridge.media._rows import Rows
from bridge.media.codecs import SAMPLE_RATE
from bridge.media.counters import LegCounters

__all__ = [
    "MAX_DROPOUT",
    "MAX_MISORDER",
    "Admission",
    "Sequences",
    "advance",
    "expected_of",
    "jitter_mean",
    "jitter_most",
    "lost_of",
    "note_transit",
]

MAX_DROPOUT: Final = 3000
"""Packets, one minute: RFC 3550 A.1."""

MAX_MISORDER: Final = 100
"""Packets, two seconds: RFC 3550 A.1."""

_SEEN_BITS: Final = 64
_JITTER_SPAN: Final = 16  # RFC 3550 A.8: the gain is a sixteenth
_NONE: Final = -1
_UNKNOWN: Final = -1e18  # of a transit: far from any

_OUTCOMES: Final = (
    None,
    "duplicate",
    "late",
    "reordered",
    "leapt",
    "foreign_ssrc",
    "reanchored",
)
"""What is odd about a packet, by what `_admit` says; the last but for a leg's very first."""

_FIRST: Final = 7
_DUPLICATE, _LATE, _REORDERED, _LEAPT, _FOREIGN, _REANCHORED = range(1, _FIRST)
_ONE: Final = np.uint64(1)


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
            "transit", np.float64, fill=_UNKNOWN, kept=True
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
        n = len(rows)
        admission = Admission(np.empty(n, np.bool_), np.empty(n, np.bool_), np.empty(n, np.bool_))
        outcome = np.empty(n, np.uint8)
        odd = _admit(
            rows,
            sequence,
            ssrc,
            self.ssrc,
            self.highest,
            self.seen,
            self.received,
            self.leapt_to,
            self.candidate,
            self.candidate_next,
            self.repeated,
            self.bursts,
            admission.used,
            admission.newer,
            admission.begins,
            outcome,
        )
        if odd:
            for code, name in enumerate(_OUTCOMES):
                if name is not None:
                    counters.add(name, rows[outcome == code])
            if admission.begins.any():
                begins = admission.begins
                self._begin(rows[begins], sequence[begins], ssrc[begins])
        return admission

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
        self.transit[rows] = _UNKNOWN

    def lost(self, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.int64]:
        """Return packets lost since the legs were opened, of all their streams."""
        lost = np.empty(len(rows), np.int64)
        _lost(rows, self.lost_before, self.received, self.highest, self.base, lost)
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
            arrived: float64, `(k,)`: arrival [s], of any clock that does not leap; those of which
                it is negative are left out.
            timestamp: int64, `(k,)`: RTP time stamps.
        """
        _time(
            rows,
            arrived,
            timestamp,
            self.transit,
            self.jitter,
            self.timings,
            self.jitter_sum,
            self.jitter_worst,
        )


@inlined
def expected_of(received: int, highest: int, base: int) -> int:
    """Return how many packets of the running stream must have been sent (RFC 3550 A.3)."""
    return highest - base + 1 if received > 0 else 0


@inlined
def lost_of(lost_before: int, received: int, highest: int, base: int) -> int:
    """Return a leg's packets lost since it was opened, of all its streams."""
    return lost_before + max(expected_of(received, highest, base) - received, 0)


@compiled("void(int64[::1], int64[::1], int64[::1], int64[::1], int64[::1], int64[::1])")
def _lost(
    rows: npt.NDArray[np.intp],
    lost_before: npt.NDArray[np.int64],
    received: npt.NDArray[np.int64],
    highest: npt.NDArray[np.int64],
    base: npt.NDArray[np.int64],
    lost: npt.NDArray[np.int64],
) -> None:
    for i in range(rows.size):
        row: int = rows[i]
        lost[i] = lost_of(lost_before[row], received[row], highest[row], base[row])


@inlined
def jitter_mean(jitter_sum: float, timings: float) -> float:
    """Return the mean of a leg's jitter since it was opened [time stamp units]."""
    return jitter_sum / max(timings, 1.0)


@inlined
def jitter_most(jitter_worst: float, jitter_sum: float, timings: float) -> float:
    """Return the worst of a leg's jitter, once it has settled, but no less than its mean."""
    return max(jitter_worst, jitter_mean(jitter_sum, timings))


@inlined
def advance(
    row: int,
    step: int,
    highest: npt.NDArray[np.int64],
    seen: npt.NDArray[np.uint64],
    received: npt.NDArray[np.int64],
    bursts: npt.NDArray[np.int64],
    leapt_to: npt.NDArray[np.int64],
    candidate: npt.NDArray[np.int64],
) -> None:
    """Take a packet in that follows the highest of its leg by 1 to `MAX_DROPOUT` - 1."""
    bursts[row] += step > 1
    highest[row] += step
    if step < _SEEN_BITS:
        seen[row] = seen[row] << np.uint64(step) | _ONE
    else:
        seen[row] = _ONE
    received[row] += 1
    leapt_to[row] = _NONE
    candidate[row] = _NONE


@inlined
def note_transit(
    row: int,
    now: float,
    transit: npt.NDArray[np.float64],
    jitter: npt.NDArray[np.float64],
    timings: npt.NDArray[np.float64],
    jitter_sum: npt.NDArray[np.float64],
    jitter_worst: npt.NDArray[np.float64],
) -> None:
    """Take in how long a packet was on its way [time stamp units], as RFC 3550 A.8 has it."""
    difference = abs(now - transit[row])
    # No predecessor (then it lies hours back), or the time stamps were wound elsewhere.
    if difference < SAMPLE_RATE:
        timings[row] += 1
        jitter[row] += (difference - jitter[row]) / min(timings[row], _JITTER_SPAN)
        jitter_sum[row] += jitter[row]
        # The mean of a few differences says nothing of the worst.
        if timings[row] > _JITTER_SPAN:
            jitter_worst[row] = max(jitter_worst[row], jitter[row])
        else:
            jitter_worst[row] = jitter[row]
    transit[row] = now


@compiled(
    "boolean(int64[::1], int64[::1], int64[::1], int64[::1], int64[::1], uint64[::1], int64[::1],"
    " int64[::1], int64[::1], int64[::1], int64[::1], int64[::1], boolean[::1], boolean[::1],"
    " boolean[::1], uint8[::1])"
)
def _admit(  # noqa: C901, PLR0912 - one case after the other, and the columns
    rows: npt.NDArray[np.intp],
    sequence: npt.NDArray[np.int64],
    ssrc: npt.NDArray[np.int64],
    known: npt.NDArray[np.int64],
    highest: npt.NDArray[np.int64],
    seen: npt.NDArray[np.uint64],
    received: npt.NDArray[np.int64],
    leapt_to: npt.NDArray[np.int64],
    candidate: npt.NDArray[np.int64],
    candidate_next: npt.NDArray[np.int64],
    repeated: npt.NDArray[np.int64],
    bursts: npt.NDArray[np.int64],
    used: npt.NDArray[np.bool_],
    newer: npt.NDArray[np.bool_],
    begins: npt.NDArray[np.bool_],
    outcome: npt.NDArray[np.uint8],
) -> bool:
    odd = False
    for i in range(rows.size):
        row, number = rows[i], sequence[i]
        following = (number + 1) & 0xFFFF
        step = (number - highest[row]) & 0xFFFF
        behind = -step & 0xFFFF
        found = 0
        used[i] = newer[i] = begins[i] = False
        if known[row] == ssrc[i]:
            if 1 <= step < MAX_DROPOUT:
                used[i] = newer[i] = True
                advance(row, step, highest, seen, received, bursts, leapt_to, candidate)
            elif behind <= MAX_MISORDER:
                bit = np.uint64(behind)
                if behind >= _SEEN_BITS:
                    found = _LATE
                elif seen[row] >> bit & _ONE:
                    found = _DUPLICATE
                else:
                    found = _REORDERED
                    used[i] = True
                    # It ends a run of lost packets, shortens one, or parts it in two.
                    older = seen[row] >> np.uint64(min(behind + 1, _SEEN_BITS - 1)) & _ONE
                    later = seen[row] >> np.uint64(behind - 1) & _ONE
                    bursts[row] += 1 - np.int64(older) - np.int64(later)
                    seen[row] |= _ONE << bit
                    received[row] += 1
                if found != _REORDERED:
                    repeated[row] += 1
            elif leapt_to[row] == number:
                found = _REANCHORED
            else:
                found = _LEAPT
                leapt_to[row] = following
        elif known[row] == _NONE:
            found = _FIRST
        elif candidate[row] == ssrc[i] and candidate_next[row] == number:
            found = _REANCHORED
        else:
            found = _FOREIGN
            candidate[row] = ssrc[i]
            candidate_next[row] = following
        if found in (_FIRST, _REANCHORED):
            used[i] = begins[i] = True
        outcome[i] = found
        odd = odd or found != 0
    return odd


@compiled(
    "void(int64[::1], float64[::1], int64[::1], float64[::1], float64[::1], float64[::1],"
    " float64[::1], float64[::1])"
)
def _time(
    rows: npt.NDArray[np.intp],
    arrived: npt.NDArray[np.float64],
    timestamp: npt.NDArray[np.int64],
    transit: npt.NDArray[np.float64],
    jitter: npt.NDArray[np.float64],
    timings: npt.NDArray[np.float64],
    jitter_sum: npt.NDArray[np.float64],
    jitter_worst: npt.NDArray[np.float64],
) -> None:
    for i in range(rows.size):
        if arrived[i] >= 0:
            now = arrived[i] * SAMPLE_RATE - timestamp[i]
            note_transit(rows[i], now, transit, jitter, timings, jitter_sum, jitter_worst)
