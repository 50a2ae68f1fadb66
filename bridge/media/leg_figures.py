"""What is told of legs, gathered from the tables of all stages in a compiled loop.

With a call of numpy for each of three dozen figures a few legs cost as much as forty.
"""

import operator
from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media._compiled import compiled
from bridge.media._store_loops import WAIT_STEP_MS, median_step, worst_step
from bridge.media.codecs import SAMPLE_RATE
from bridge.media.counters import LEG_COUNTERS
from bridge.media.leg_reports import LegStatistics
from bridge.media.quality import FIGURES
from bridge.media.sequence import jitter_mean, jitter_most, lost_of
from bridge.media.state import State

__all__ = ["statistics_of"]

_COUNTERS: Final = (
    "late",
    "early",
    "duplicate",
    "reordered",
    "strangers",
    "malformed",
    "wrong_payload",
    "unwanted",
    "reanchored",
)
_COUNTER_COLUMNS: Final = np.array([LEG_COUNTERS.index(name) for name in _COUNTERS])

_COUNTS: Final = (
    "leg",
    "packets_rx",
    "packets_tx",
    "bytes_rx",
    "bytes_tx",
    "lost",
    "bursts",
    "remote_lost",
    "concealed_frames",
    "talk_ms",
    *_COUNTERS,
)
_FIRST_COUNTER: Final = len(_COUNTS) - len(_COUNTERS)

_PARTS: Final = (
    "jitter_ms",
    "jitter_ms_mean",
    "jitter_ms_worst",
    "rtt_ms",
    "rtt_ms_worst",
    "remote_jitter_ms",
    "playout_ms",
    "playout_ms_median",
    "playout_ms_worst",
)

_NAMES: Final = (*_COUNTS, *_PARTS, *FIGURES, "dtmf_method")

_in_order: Final = operator.itemgetter(
    *(_NAMES.index(name) for name in LegStatistics.__struct_fields__)
)
"""Brings what is gathered in the order of `_NAMES` into that of `LegStatistics`."""

_FRAME_MS: Final = 20.0
_PER_MS: Final = SAMPLE_RATE / 1000
_UNKNOWN: Final = np.nan

_Rows = npt.NDArray[np.intp]
_Ints = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]


def statistics_of(state: State, rows: _Rows) -> list[LegStatistics]:
    """Return the counters of legs.

    Args:
        state: of the process.
        rows: intp, `(k,)`: the legs.
    """
    counts = np.empty((len(rows), len(_COUNTS)), np.int64)
    parts = np.empty((len(rows), len(_PARTS)))
    sequences, outgoing, reports = state.sequences, state.outgoing, state.reports
    _gather_counts(
        rows,
        state.legs.leg,
        sequences.packets_before,
        sequences.received,
        sequences.lost_before,
        sequences.highest,
        sequences.base,
        sequences.octets,
        sequences.bursts,
        outgoing.packets_sent,
        outgoing.octets_sent,
        reports.remote_lost,
        state.noise.concealed,
        state.levels.talk_ms,
        state.leg_counters.counts,
        counts,
    )
    _gather_parts(
        rows,
        sequences.jitter,
        sequences.timings,
        sequences.jitter_sum,
        sequences.jitter_worst,
        reports.rtt,
        reports.remote_jitter,
        state.store.ahead,
        state.store.waits,
        parts,
    )
    figures = state.quality.figures(rows)
    told = []
    for row, some, more, rest in zip(
        rows.tolist(), counts.tolist(), parts.tolist(), figures.tolist(), strict=True
    ):
        # Not known is NaN, which differs from itself; `isnan` would be a call for each.
        known = [value if value == value else None for value in (*more, *rest)]  # noqa: PLR0124
        told.append(LegStatistics(*_in_order((*some, *known, state.keys.method(row)))))
    return told


@compiled(
    "void(int64[::1], int64[::1], int64[::1], int64[::1], int64[::1], int64[::1], int64[::1],"
    " int64[::1], int64[::1], int64[::1], int64[::1], int64[::1], int64[::1], int64[::1],"
    " int64[:, ::1], int64[:, ::1])"
)
def _gather_counts(
    rows: _Rows,
    leg: _Ints,
    packets_before: _Ints,
    received: _Ints,
    lost_before: _Ints,
    highest: _Ints,
    base: _Ints,
    octets: _Ints,
    bursts: _Ints,
    packets_sent: _Ints,
    octets_sent: _Ints,
    remote_lost: _Ints,
    concealed: _Ints,
    talk_ms: _Ints,
    counters: _Ints,
    counts: _Ints,
) -> None:
    for i in range(rows.size):
        row: int = rows[i]
        count = counts[i]
        count[0] = leg[row]
        count[1] = packets_before[row] + received[row]
        count[2] = packets_sent[row]
        count[3] = octets[row]
        count[4] = octets_sent[row]
        count[5] = lost_of(lost_before[row], received[row], highest[row], base[row])
        count[6] = bursts[row]
        count[7] = remote_lost[row]
        count[8] = concealed[row]
        count[9] = talk_ms[row]
        for k in range(_COUNTER_COLUMNS.size):
            count[_FIRST_COUNTER + k] = counters[row, _COUNTER_COLUMNS[k]]


@compiled(
    "void(int64[::1], float64[::1], float64[::1], float64[::1], float64[::1], float64[:, ::1],"
    " float64[::1], int64[::1], int32[:, ::1], float64[:, ::1])",
    exact=True,
)
def _gather_parts(
    rows: _Rows,
    jitter: _Floats,
    timings: _Floats,
    jitter_sum: _Floats,
    jitter_worst: _Floats,
    rtt: _Floats,
    remote_jitter: _Floats,
    ahead: _Ints,
    waits: npt.NDArray[np.int32],
    parts: _Floats,
) -> None:
    for i in range(rows.size):
        row: int = rows[i]
        part = parts[i]
        part[0] = jitter[row] / _PER_MS
        part[1] = part[2] = _UNKNOWN
        if timings[row] > 0:
            part[1] = jitter_mean(jitter_sum[row], timings[row]) / _PER_MS
            part[2] = jitter_most(jitter_worst[row], jitter_sum[row], timings[row]) / _PER_MS
        part[3], part[4] = rtt[row, 0], rtt[row, 1]
        part[5] = remote_jitter[row]
        part[6] = _FRAME_MS * max(ahead[row], 0)
        part[7] = part[8] = _UNKNOWN
        worst = worst_step(waits[row])
        if worst >= 0:
            part[7] = WAIT_STEP_MS * median_step(waits[row])
            part[8] = WAIT_STEP_MS * worst
