"""Between 8 and 16 kHz: one half-band filter, written as a fixed matrix over a frame of each leg.

The filter is the ideal low-pass at a quarter of the sampling rate, cut to 63 taps by a Kaiser
window (J. F. Kaiser, "Nonrecursive digital filter design using the I0-sinh window function",
1974)::

    h[k] = sin(pi k / 2) / (pi k) * w[k],  h[0] = 1/2,  |k| <= 31

Every even tap but the middle one is zero, so that of its two polyphase branches (Oppenheim and
Schafer, "Discrete-Time Signal Processing", section 4.7) one is a delay and the other, of 32 taps, a
product with a banded matrix `B[m + 31 - i, m] = g[i]`, `g[i] = h[2 i - 31]`::

    down   y[m]       = even[m - 15] / 2 + sum of g[i] odd[m - i]
    up     y[2 m]     = 2 * sum of g[i] x[m - i]
           y[2 m + 1] = x[m - 15]

It is flat within 0.01 dB up to 3,400 Hz, where telephony ends, and 70 dB down from 4,600 Hz on. It
delays by 30 samples down, 31 up, just under 2 ms. What a frame needs of the one before it is kept
by row.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media._rows import Rows
from bridge.media.codecs import FRAME

__all__ = ["DOWN_DELAY", "UP_DELAY", "WIDE_FRAME", "Down", "Up"]

WIDE_FRAME: Final = 2 * FRAME
"""Samples of a tick at 16 kHz."""

DOWN_DELAY: Final = 30
UP_DELAY: Final = 31
"""Group delay [samples of 16 kHz]."""

_REACH: Final = 31
_BETA: Final = 6.76
"""Kaiser: 0.1102 (A - 8.7) for A = 70 dB beyond the transition."""

_TAPS: Final = _REACH + 1
_MIDDLE: Final = _REACH // 2
"""The delay branch lags so many samples of 8 kHz."""


def _branch() -> npt.NDArray[np.float64]:
    """Return g, the branch that is no delay; scaled so that a constant passes unchanged."""
    k = np.arange(-_REACH, _REACH + 1, 2)
    window = np.kaiser(2 * _REACH + 1, _BETA)[::2]
    taps = np.sin(np.pi * k / 2) / (np.pi * k) * window
    scaled: npt.NDArray[np.float64] = 0.5 * taps / taps.sum()
    return scaled


def _banded(taps: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Return the matrix that convolves a frame behind 31 older samples: `(191, 160)`."""
    matrix = np.zeros((_REACH + FRAME, FRAME), np.float32)
    column = np.arange(FRAME)
    for i, tap in enumerate(taps):
        matrix[column + _REACH - i, column] = tap
    return matrix


_DOWN: Final = _banded(_branch())
_UP: Final = _banded(2 * _branch())


class Down(Rows):
    """Takes wideband legs to 8 kHz.

    Args:
        capacity: rows to begin with.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.even: npt.NDArray[np.float32] = self.column("even", np.float32, _MIDDLE)
        self.odd: npt.NDArray[np.float32] = self.column("odd", np.float32, _REACH)

    def convert(
        self, rows: npt.NDArray[np.intp], frames: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """Return the next frame of each of some rows at 8 kHz.

        Args:
            rows: intp, `(n,)`: whose frames they are, each at most once.
            frames: float32, `(n, 320)`, 16 kHz.

        Returns:
            float32, `(n, 160)`.
        """
        n = len(rows)
        odd = np.empty((n, _REACH + FRAME), np.float32)
        odd[:, :_REACH] = self.odd[rows]
        odd[:, _REACH:] = frames[:, 1::2]
        self.odd[rows] = odd[:, FRAME:]
        out: npt.NDArray[np.float32] = odd @ _DOWN
        even = frames[:, ::2]
        out[:, :_MIDDLE] += 0.5 * self.even[rows]
        out[:, _MIDDLE:] += 0.5 * even[:, :-_MIDDLE]
        self.even[rows] = even[:, -_MIDDLE:]
        return out


class Up(Rows):
    """Takes rows to 16 kHz.

    Args:
        capacity: rows to begin with.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.tail: npt.NDArray[np.float32] = self.column("tail", np.float32, _REACH)

    def convert(
        self, rows: npt.NDArray[np.intp], frames: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """Return the next frame of each of some rows at 16 kHz.

        Args:
            rows: intp, `(n,)`: whose frames they are, each at most once.
            frames: float32, `(n, 160)`, 8 kHz.

        Returns:
            float32, `(n, 320)`.
        """
        n = len(rows)
        whole = np.empty((n, _REACH + FRAME), np.float32)
        whole[:, :_REACH] = self.tail[rows]
        whole[:, _REACH:] = frames
        self.tail[rows] = whole[:, FRAME:]
        out = np.empty((n, WIDE_FRAME), np.float32)
        out[:, ::2] = whole @ _UP
        out[:, 1::2] = whole[:, _REACH - _MIDDLE : _REACH - _MIDDLE + FRAME]
        return out
