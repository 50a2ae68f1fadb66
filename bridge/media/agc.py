"""Automatic gain: every talker comes out at one level, slowly.

What is measured is the *active speech level* of ITU-T P.56, method B: the energy of speech over
the time in which there is speech, pauses of up to 200 ms included, activity being what is less
than 15.9 dB below that very level. Here it is followed frame by frame: a mean over the active
frames so far, of at most `MEMORY` frames' weight, so that it settles in a second of speech and
follows a change of talker in some.

Nothing moves while the leg is silent, on hold, pressing keys or concealed: the gain that was right
for the last word is right for the next.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media._compiled import compiled
from bridge.media._rows import Rows
from bridge.media.levels import Levels, from_dbov

__all__ = ["Agc"]

MARGIN: Final = 10 ** (-15.9 / 20)
"""P.56, table 2: active is what is within 15.9 dB below the active level."""

HANG_TICKS: Final = 10
"""P.56: 200 ms of less are still activity."""

MEMORY: Final = 300
"""Frames (6 s of speech) that the level is a mean of."""

FIRST: Final = 8
"""Frames (160 ms of speech) before a level is believed at all."""

STRONGEST: Final = 10 ** (24.0 / 20)
"""24 dB more or less at most: beyond that it is a fault, not a talker."""

DOWN: Final = 10 ** (-0.4 / 20)
UP: Final = 10 ** (0.2 / 20)
"""Most that the gain changes in a frame: 20 dB a second down, 10 dB a second up."""

STILL: Final = 10 ** (0.25 / 20)
"""A gain within a quarter of a decibel of the right one stays as it is."""

RECENT: Final = 75
"""Frames (1.5 s) of talk whose mean says that the level is no more what it was."""

SOFTER: Final = 10 ** (-6.0 / 10)
FALL: Final = 10 ** (-0.3 / 10)
"""Where recent talk is 6 dB softer than what was measured, that falls by 15 dB a second. Else a
loud talker who hands over to a soft one would leave that one far too soft for half a minute."""

_ACTIVE: Final = np.float32(MARGIN**2)
_SOFTER: Final = np.float32(SOFTER)
_FALL: Final = np.float32(FALL)
_STRONGEST: Final = np.float32(STRONGEST)
_WEAKEST: Final = np.float32(1 / STRONGEST)
_DOWN: Final = np.float32(DOWN)
_UP: Final = np.float32(UP)
_STILL: Final = np.float32(STILL)
_STILL_BELOW: Final = np.float32(1 / STILL)


class Agc(Rows):
    """Level and gain of each leg.

    Args:
        capacity: rows to begin with.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.gain: npt.NDArray[np.float32] = self.column("gain", np.float32, fill=1, kept=True)
        # Mean square of the active frames, 16-bit scale squared.
        self.power: npt.NDArray[np.float32] = self.column("power", np.float32, kept=True)
        # The same of all recent talk, pauses included.
        self.recent: npt.NDArray[np.float32] = self.column("recent", np.float32)
        self.frames: npt.NDArray[np.float32] = self.column("frames", np.float32, kept=True)
        self.hang: npt.NDArray[np.int8] = self.column("hang", np.int8)

    def follow(self, levels: Levels, target_dbov: float) -> None:
        """Measure what was said in this tick, and move the gains.

        Args:
            levels: of this tick.
            target_dbov: the active speech level to come out at [dBov].
        """
        _follow(
            levels.rms,
            levels.came,
            levels.talking,
            np.float32(from_dbov(target_dbov)),
            self.hang,
            self.frames,
            self.power,
            self.recent,
            self.gain,
        )


@compiled(
    "void(float32[::1], boolean[::1], boolean[::1], float32, int8[::1], float32[::1],"
    " float32[::1], float32[::1], float32[::1])"
)
def _follow(
    rms: npt.NDArray[np.float32],
    came: npt.NDArray[np.bool_],
    talking: npt.NDArray[np.bool_],
    target: np.float32,
    hang: npt.NDArray[np.int8],
    frames: npt.NDArray[np.float32],
    power: npt.NDArray[np.float32],
    recent: npt.NDArray[np.float32],
    gain: npt.NDArray[np.float32],
) -> None:
    one = np.float32(1)
    for row in range(rms.size):
        if not (came[row] and talking[row]):
            continue
        square = rms[row] * rms[row]
        hang[row] = HANG_TICKS if square > power[row] * _ACTIVE else max(hang[row] - 1, 0)
        active = hang[row] > 0
        if active:
            frames[row] = min(frames[row] + one, np.float32(MEMORY))
        count = max(frames[row], one)
        if active:
            power[row] += (square - power[row]) / count
        recent[row] += (square - recent[row]) / min(count, np.float32(RECENT))
        if recent[row] < power[row] * _SOFTER:
            power[row] *= _FALL
        if active and frames[row] >= FIRST:
            wanted = target / np.sqrt(max(power[row], one))
            wanted = min(max(wanted, _WEAKEST), _STRONGEST) / gain[row]
            if wanted > _STILL or wanted < _STILL_BELOW:
                gain[row] *= min(max(wanted, _DOWN), _UP)
