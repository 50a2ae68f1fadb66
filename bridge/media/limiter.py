"""The limiter: a room that is too loud is turned down as a whole, and nothing clips.

One gain a room, for everybody in it and at every rate, from the loudest that anybody hears: the
sum, and the worst of the sums without oneself. The sum alone is not enough: where two voices
cancel, each of the two hears the other at its full strength.

The gain is a line through 21 knots a frame, a millisecond apart. The frame is known as a whole
before its first sample is sent, so the line comes down ahead of a peak and is there when the peak
is, and goes up slowly afterwards::

    peaks   ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁█▁▁▁▁▁      limit[j]  least gain that the blocks beside knot j need
    gain    ‾‾‾‾‾‾‾‾╲                  down      at most ATTACK a knot, looking back from the peak
                     ╲______----      up        RELEASE a knot

A peak in a frame's very first millisecond has no frame before it that could have known: there the
gain comes down at once, which the onset of that very peak covers.
"""

import functools
from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media._rows import Rows

__all__ = ["BLOCKS", "CEILING", "Limiter", "block_peaks", "hats"]

BLOCKS: Final = 20
"""Of a frame: one millisecond each."""

CEILING: Final = 29_204.0
"""16-bit scale, -1 dB of full scale: what comes out is never more."""

ATTACK: Final = 0.1
RELEASE: Final = 1 / 1500
"""Of the gain's range, a knot: from 1 to 0 in 10 ms, and back in one and a half seconds."""

_WHOLE: Final = 1 - 1e-6  # what rounding leaves of 1


def block_peaks(sound: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the greatest magnitude in each block.

    Args:
        sound: float32, `(n, samples)`, samples 20 times a power of two.

    Returns:
        float32, `(n, BLOCKS)`.
    """
    peaks: npt.NDArray[np.float32] = np.abs(sound)
    while peaks.shape[1] > BLOCKS:
        peaks = np.maximum(peaks[:, 0::2], peaks[:, 1::2])
    return peaks


@functools.cache
def hats(samples: int) -> npt.NDArray[np.float32]:
    """Return the matrix that draws lines through knots, float32, `(BLOCKS + 1, samples)`.

    The last sample of a frame has the value of the last knot, which is the first one of the next.

    Args:
        samples: in a frame: 160 at 8 kHz, 320 at 16 kHz.
    """
    place = np.arange(1, samples + 1) * (BLOCKS / samples)
    knots = np.arange(BLOCKS + 1)[:, None]
    lines: npt.NDArray[np.float64] = np.maximum(0, 1 - np.abs(place - knots))
    return lines.astype(np.float32)


class Limiter(Rows):
    """The gain of each room.

    Args:
        capacity: rooms to begin with.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        # At the end of the frame.
        self.gain: npt.NDArray[np.float32] = self.column("gain", np.float32, fill=1)
        self.knots: npt.NDArray[np.float32] = self.column("knots", np.float32, BLOCKS + 1, fill=1)
        self.peaks: npt.NDArray[np.float32] = self.column("peaks", np.float32, BLOCKS)
        self.limits: npt.NDArray[np.bool_] = self.column("limits", np.bool_)

    def begin(self) -> None:
        """Begin a tick: nobody has been heard yet."""
        self.peaks[:] = 0

    def hear(self, rooms: npt.NDArray[np.intp], peaks: npt.NDArray[np.float32]) -> None:
        """Take in what is heard in some rooms.

        Args:
            rooms: intp, `(k,)`.
            peaks: float32, `(k, BLOCKS)`: of `block_peaks`; a room may come more than once.
        """
        np.maximum.at(self.peaks, rooms, peaks)

    def follow(self) -> bool:
        """Make the gains of this tick; return whether any room is limited."""
        was = self.limits.copy()
        np.logical_or(self.peaks.max(axis=1) > CEILING, self.gain < 1, out=self.limits)
        self.knots[was & ~self.limits] = 1
        rooms = np.flatnonzero(self.limits)
        if not len(rooms):
            return False
        need = np.minimum(1, CEILING / np.maximum(self.peaks[rooms], 1))
        limit = np.ones((len(rooms), BLOCKS + 1), np.float32)
        limit[:, :-1] = need
        limit[:, 1:] = np.minimum(limit[:, 1:], need)
        knot = np.arange(BLOCKS + 1, dtype=np.float32)
        # Down in time: the least of what comes, each less by the way there.
        line = limit + ATTACK * knot
        line = np.minimum.accumulate(line[:, ::-1], axis=1)[:, ::-1] - ATTACK * knot
        line[:, 0] = np.minimum(self.gain[rooms], limit[:, 0])
        # Up slowly: the least of what was, each more by the way since.
        line = np.minimum.accumulate(line - RELEASE * knot, axis=1) + RELEASE * knot
        line[line > _WHOLE] = 1
        self.knots[rooms] = line
        self.gain[rooms] = line[:, -1]
        return True

    def curves(self, rooms: npt.NDArray[np.intp], samples: int) -> npt.NDArray[np.float32]:
        """Return gains by sample, float32, `(len(rooms), samples)`."""
        return self.knots[rooms] @ hats(samples)
