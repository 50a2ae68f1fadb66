"""The guard against lines that are far too loud: turned down, and muted where it goes on.

Too loud is a leg whose sound, as the others hear it, is far above the level that talkers are
brought to, or whose line is overdriven: so near to full scale that no talker gets there. A second
of either may be laughter; it takes a set time, of which more than half is too loud, until the leg
is *ducked*, and as much again as is set until it is *muted*. It is let go when it has been quiet
enough for two seconds on end::

    too loud   ▁▁████████████████████████████▁▁▁▁▁▁▁▁▁▁
    gain       ──────────┐
                         └─────ducked─────┐          ┌──
                                          └──muted───┘
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media._compiled import compiled
from bridge.media._rows import Rows
from bridge.media.agc import Agc
from bridge.media.gains import ones
from bridge.media.history import TICKS as KEPT
from bridge.media.history import History
from bridge.media.levels import from_dbov
from bridge.media.messages import Configure

__all__ = ["DUCKED", "FREE", "MUTED", "LoudnessGuard"]

FREE: Final = 0
DUCKED: Final = 1
MUTED: Final = 2

ABOVE_TARGET_DB: Final = 14.0
"""As others hear it: loud syllables are 6 dB above their talker's level."""

OVERDRIVEN: Final = from_dbov(-4.5)
"""Of a line: a tone of full scale has -3 dBov, speech clipped to -6 dBov stays below."""

CLOSER: Final = 10 ** (3.0 / 20)
"""A leg that was too loud is quiet enough only this far below."""

DUCK: Final = 10 ** (-12.0 / 20)

QUIET_S: Final = 2.0

TICKS: Final = 5
"""Between two judgements: a tenth of a second."""

_SHARE: Final = np.float32(1 / 4)  # of a tenth of a second in the mean: 0.4 s
_NEAR: Final = np.float32(CLOSER**-2)
_A_SECOND: Final = 10


class LoudnessGuard(Rows):
    """How long each leg has been too loud.

    Args:
        capacity: rows to begin with.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.state: npt.NDArray[np.int8] = self.column("state", np.int8, kept=True)
        # Judgements: too loud less those that were not; in a row that were not.
        self.over: npt.NDArray[np.int16] = self.column("over", np.int16, kept=True)
        self.quiet: npt.NDArray[np.int16] = self.column("quiet", np.int16)
        # Mean square, 1 where it is just too loud.
        self.power: npt.NDArray[np.float32] = self.column("power", np.float32)

    def judge(self, history: History, agc: Agc, options: Configure) -> npt.NDArray[np.intp]:
        """Judge all legs by their last `TICKS` ticks.

        Args:
            history: what came of them.
            agc: of the last tick.
            options: whether there is automatic gain, its target, and the times.

        Returns:
            intp: legs whose `state` is another now.
        """
        target = from_dbov(options.target_dbov + ABOVE_TARGET_DB)
        near = _follow(
            history.came,
            history.tick,
            agc.gain if options.agc else ones(self.capacity),
            np.float32(1 / (TICKS * OVERDRIVEN**2)),
            np.float32(1 / (TICKS * target**2)),
            self.power,
            self.over,
        )
        return self._count(options) if near else _NOBODY

    def _count(self, options: Configure) -> npt.NDArray[np.intp]:
        limit = np.where(self.state == FREE, np.float32(1), np.float32(CLOSER**-2))
        above = self.power > limit
        duck = round(options.over_loud_duck_s * _A_SECOND)
        mute = duck + round(options.over_loud_mute_s * _A_SECOND)
        self.over += np.where(above, np.int16(1), np.int16(-1))
        np.clip(self.over, 0, mute, out=self.over)
        self.quiet += 1
        self.quiet[above] = 0
        np.minimum(self.quiet, round(QUIET_S * _A_SECOND), out=self.quiet)
        state = self.state.copy()
        state[(state == FREE) & (self.over >= duck)] = DUCKED
        state[self.over >= mute] = MUTED
        free = (state != FREE) & (self.quiet >= round(QUIET_S * _A_SECOND))
        state[free] = FREE
        self.over[free] = 0
        changed = np.flatnonzero(state != self.state)
        self.state[:] = state
        return changed

    def let_go(self, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
        """Forget legs that are not heard any more; return those that were ducked or muted."""
        held: npt.NDArray[np.intp] = rows[self.state[rows] != FREE]
        self.state[rows] = FREE
        self.over[rows] = 0
        self.power[rows] = 0
        return held

    def weigh(self, factor: npt.NDArray[np.float32]) -> None:
        """Take what is too loud out of factors, float32 `(capacity,)`, in place."""
        factor[self.state == DUCKED] *= np.float32(DUCK)
        factor[self.state == MUTED] = 0


@compiled(
    "boolean(float32[:, ::1], int64, float32[::1], float32, float32, float32[::1], int16[::1])"
)
def _follow(
    came: npt.NDArray[np.float32],
    tick: int,
    gain: npt.NDArray[np.float32],
    line: np.float32,
    heard: np.float32,
    power: npt.NDArray[np.float32],
    over: npt.NDArray[np.int16],
) -> bool:
    """Follow how loud each leg is; say if anybody is near to too loud, which is seldom."""
    near = False
    for row in range(power.size):
        square = np.float32(0)
        for back in range(TICKS):
            level = came[(tick - back) & (KEPT - 1), row]
            square += level * level
        weight = max(line, heard * gain[row] * gain[row])
        power[row] += (square * weight - power[row]) * _SHARE
        near = near or power[row] > _NEAR or over[row] != 0
    return near


_NOBODY: Final = np.empty(0, np.intp)
