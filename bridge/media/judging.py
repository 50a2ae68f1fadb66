"""Looking at how good each line is, and telling when one becomes bad.

Each leg is looked at once in five seconds, right before its statistics are told (`telling`): some
in every tenth tick. So no tick of the others bears anything.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media._store_loops import WAIT_STEP_MS
from bridge.media.codecs import SAMPLE_RATE
from bridge.media.emodel import mos
from bridge.media.messages import QualityDropped, QualityRecovered
from bridge.media.quality import WAYS, Change, Line
from bridge.media.state import State
from bridge.media.telling import whose_turn

__all__ = ["judge", "judge_leg", "line_of"]

_FRAME_MS: Final = 20.0
_PER_MS: Final = SAMPLE_RATE / 1000

_Rows = npt.NDArray[np.intp]


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
    lost = sequences.lost(rows)
    return Line(
        codec=state.legs.codec[rows],
        expected=sequences.packets(rows) + lost,
        lost=lost,
        late=state.leg_counters.named("late", rows),
        bursts=sequences.bursts[rows],
        rtt=reports.rtt[rows, 0],
        wait=_median_wait(store.waits[rows]),
        wait_now=_FRAME_MS * np.maximum(store.ahead[rows], 0),
        sent=state.outgoing.packets_sent[rows] - reports.before[rows, 0],
        remote_lost=reports.remote_lost[rows],
        remote_fraction=reports.remote_fraction[rows],
        remote_jitter=reports.remote_jitter[rows],
    )


def _median_wait(waits: npt.NDArray[np.int32]) -> npt.NDArray[np.float64]:
    """Return the median of histograms of waits, `(k, steps)` [ms]; 0 of an empty one."""
    below = np.cumsum(waits, axis=1)
    step = np.argmax(2 * below >= below[:, -1:], axis=1)
    median: npt.NDArray[np.float64] = WAIT_STEP_MS * step.astype(np.float64)
    return median


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
