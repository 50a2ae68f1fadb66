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

from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media._compiled import compiled, inlined
from bridge.media._rows import Rows

__all__ = ["BLOCKS", "CEILING", "Limiter", "block_peaks"]

BLOCKS: Final = 20
"""Of a frame: one millisecond each."""

CEILING: Final = 29_204.0
"""16-bit scale, -1 dB of full scale: what comes out is never more."""

ATTACK: Final = 0.1
RELEASE: Final = 1 / 1500
"""Of the gain's range, a knot: from 1 to 0 in 10 ms, and back in one and a half seconds."""

_WHOLE: Final = np.float32(1 - 1e-6)  # what rounding leaves of 1
_CEILING: Final = np.float32(CEILING)
_ATTACK: Final = np.float32(ATTACK)
_RELEASE: Final = np.float32(RELEASE)


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
        _hear(self.peaks, rooms, peaks)

    def follow(self) -> bool:
        """Make the gains of this tick; return whether any room is limited."""
        return _follow(self.peaks, self.limits, self.gain, self.knots)

    def curves(self, rooms: npt.NDArray[np.intp], samples: int) -> npt.NDArray[np.float32]:
        """Return gains by sample, float32, `(len(rooms), samples)`.

        The last sample of a frame has the value of the last knot, which is the first of the next.
        """
        curves = np.empty((len(rooms), samples), np.float32)
        _curves(self.knots, rooms, curves)
        return curves

    def draw(self, limited: npt.NDArray[np.bool_], curves: npt.NDArray[np.float32]) -> None:
        """Write the gains of all rooms that are limited, as `curves` gives them.

        Args:
            limited: bool, `(rooms,)`: gets which are.
            curves: float32, `(rooms, samples)`: gets their gains; other rooms' stay as they are.
        """
        _draw(self.limits, self.knots, limited, curves)


@compiled("void(float32[:, ::1], int64[::1], float32[:, ::1])")
def _hear(
    most: npt.NDArray[np.float32], rooms: npt.NDArray[np.intp], peaks: npt.NDArray[np.float32]
) -> None:
    for i in range(rooms.size):
        for block in range(BLOCKS):
            most[rooms[i], block] = max(most[rooms[i], block], peaks[i, block])


@inlined
def _line(knots: npt.NDArray[np.float32], curve: npt.NDArray[np.float32]) -> None:
    size = curve.size // BLOCKS
    for block in range(BLOCKS):
        begin = knots[block]
        rise = (knots[block + 1] - begin) * (np.float32(1) / np.float32(size))
        for k in range(size):
            curve[block * size + k] = begin + rise * np.float32(k + 1)


@compiled("void(float32[:, ::1], int64[::1], float32[:, ::1])")
def _curves(
    knots: npt.NDArray[np.float32], rooms: npt.NDArray[np.intp], curves: npt.NDArray[np.float32]
) -> None:
    for i in range(rooms.size):
        _line(knots[rooms[i]], curves[i])


@compiled("void(boolean[::1], float32[:, ::1], boolean[::1], float32[:, ::1])")
def _draw(
    limits: npt.NDArray[np.bool_],
    knots: npt.NDArray[np.float32],
    limited: npt.NDArray[np.bool_],
    curves: npt.NDArray[np.float32],
) -> None:
    for room in range(limited.size):
        limited[room] = room < limits.size and limits[room]
        if limited[room]:
            _line(knots[room], curves[room])


@compiled("boolean(float32[:, ::1], boolean[::1], float32[::1], float32[:, ::1])")
def _follow(
    peaks: npt.NDArray[np.float32],
    limits: npt.NDArray[np.bool_],
    gain: npt.NDArray[np.float32],
    knots: npt.NDArray[np.float32],
) -> bool:
    some = False
    one = np.float32(1)
    for room in range(limits.size):
        need, line = peaks[room], knots[room]
        loudest = np.float32(0)
        for block in range(BLOCKS):
            loudest = max(loudest, need[block])
        was = limits[room]
        limits[room] = loudest > _CEILING or gain[room] < one
        if not limits[room]:
            if was:
                line[:] = one
            continue
        some = True
        # What the blocks beside each knot allow.
        allowed = one
        for block in range(BLOCKS):
            before, allowed = allowed, min(one, _CEILING / max(need[block], one))
            line[block] = min(before, allowed)
        line[BLOCKS] = allowed
        first = min(gain[room], line[0])
        # Down in time: the least of what comes, each more by the way there.
        for knot in range(BLOCKS - 1, -1, -1):
            line[knot] = min(line[knot], line[knot + 1] + _ATTACK)
        # Up slowly: the least of what was, each more by the way since.
        line[0] = first
        for knot in range(1, BLOCKS + 1):
            line[knot] = min(line[knot], line[knot - 1] + _RELEASE)
        for knot in range(BLOCKS + 1):
            if line[knot] > _WHOLE:
                line[knot] = one
        gain[room] = line[BLOCKS]
    return some
