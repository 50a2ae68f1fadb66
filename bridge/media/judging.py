"""Looking at how good each line is, and telling when one becomes bad.

Each leg is looked at once in five seconds, in the tick before its statistics are told (`telling`):
some at a time, so that no tick bears many of them.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media._compiled import compiled
from bridge.media._store_loops import WAIT_STEP_MS, median_step
from bridge.media.codecs import SAMPLE_RATE
from bridge.media.counters import LEG_COUNTERS
from bridge.media.emodel import mos
from bridge.media.messages import QualityDropped, QualityRecovered
from bridge.media.quality import WAYS, Change, Line
from bridge.media.sequence import lost_of
from bridge.media.state import State
from bridge.media.telling import whose_turn

__all__ = ["judge", "judge_leg", "line_of"]

_LATE: Final = LEG_COUNTERS.index("late")
_FRAME_MS: Final = 20.0
_PER_MS: Final = SAMPLE_RATE / 1000

_Rows = npt.NDArray[np.intp]
_Ints = npt.NDArray[np.int64]
_Parts = npt.NDArray[np.float64]


def judge(state: State, tick: int) -> None:
    """Look at the legs whose turn it is in a tick.

    Args:
        state: of the process.
        tick: its number.
    """
    rows = whose_turn(state, tick)
    if len(rows):
        for change in state.quality.look(rows, line_of(state, rows)):
            _tell(state, change)


def judge_leg(state: State, row: int) -> None:
    """Look at one leg now, for its last statistics."""
    rows = np.array([row])
    state.quality.look(rows, line_of(state, rows))


def line_of(state: State, rows: _Rows) -> Line:
    """Gather what is known of the lines of some legs: intp, `(k,)`."""
    sequences, reports, store = state.sequences, state.reports, state.store
    counts = np.empty((6, len(rows)), np.int64)
    parts = np.empty((5, len(rows)))
    _gather(
        rows,
        sequences.received,
        sequences.highest,
        sequences.base,
        sequences.packets_before,
        sequences.lost_before,
        sequences.bursts,
        state.leg_counters.counts,
        state.outgoing.packets_sent,
        reports.before,
        reports.remote_lost,
        reports.rtt,
        store.waits,
        store.ahead,
        reports.remote_fraction,
        reports.remote_jitter,
        counts,
        parts,
    )
    expected, lost, late, bursts, sent, remote_lost = counts
    rtt, wait, wait_now, remote_fraction, remote_jitter = parts
    return Line(
        codec=state.legs.codec[rows],
        expected=expected,
        lost=lost,
        late=late,
        bursts=bursts,
        rtt=rtt,
        wait=wait,
        wait_now=wait_now,
        sent=sent,
        remote_lost=remote_lost,
        remote_fraction=remote_fraction,
        remote_jitter=remote_jitter,
    )


@compiled(
    "void(int64[::1], int64[::1], int64[::1], int64[::1], int64[::1], int64[::1], int64[::1],"
    " int64[:, ::1], int64[::1], int64[:, ::1], int64[::1], float64[:, ::1], int32[:, ::1],"
    " int64[::1], float64[::1], float64[::1], int64[:, ::1], float64[:, ::1])",
    exact=True,
)
def _gather(
    rows: _Rows,
    received: _Ints,
    highest: _Ints,
    base: _Ints,
    packets_before: _Ints,
    lost_before: _Ints,
    bursts: _Ints,
    counters: _Ints,
    packets_sent: _Ints,
    before: _Ints,
    remote_lost: _Ints,
    rtt: _Parts,
    waits: npt.NDArray[np.int32],
    ahead: _Ints,
    remote_fraction: _Parts,
    remote_jitter: _Parts,
    counts: _Ints,
    parts: _Parts,
) -> None:
    for i in range(rows.size):
        row: int = rows[i]
        lost = lost_of(lost_before[row], received[row], highest[row], base[row])
        counts[0, i] = packets_before[row] + received[row] + lost
        counts[1, i] = lost
        counts[2, i] = counters[row, _LATE]
        counts[3, i] = bursts[row]
        counts[4, i] = packets_sent[row] - before[row, 0]
        counts[5, i] = remote_lost[row]
        parts[0, i] = rtt[row, 0]
        parts[1, i] = WAIT_STEP_MS * median_step(waits[row])
        parts[2, i] = _FRAME_MS * max(ahead[row], 0)
        parts[3, i] = remote_fraction[row]
        parts[4, i] = remote_jitter[row]


def _tell(state: State, change: Change) -> None:
    row, direction = change.row, WAYS[change.way]
    leg = int(state.legs.leg[row])
    score = float(mos(state.quality.r[[row], 1 + 2 * change.way])[0])
    if not change.bad:
        state.put(QualityRecovered(leg=leg, direction=direction, mos=score))
        return
    here = state.sequences.jitter[row] / _PER_MS
    jitter = float(here if direction == "rx" else state.reports.remote_jitter[row])
    rtt = float(state.reports.rtt[row, 0])
    state.put(
        QualityDropped(
            leg=leg,
            direction=direction,
            mos=score,
            lost_percent=change.loss,
            jitter_ms=None if np.isnan(jitter) else jitter,
            rtt_ms=None if np.isnan(rtt) else rtt,
        )
    )
