"""The gain of each leg: gate, automatic gain and guards in one factor, without a step.

A frame's gain runs from where the last one ended to where this one ends, in a straight line; only
a gate that opens for sound nobody saw coming gets there in 2.5 ms. Such a curve is a sum of few
*shapes* with a coefficient each, the same for every sampling rate, so that all legs' curves are one
product of two small matrices::

    gain (legs, samples)  =  coefficients (legs, 3)  @  shapes (3, samples)
                             [begin, rise, sudden]      [1, line, quick line then 1]
"""

import functools
from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media._compiled import compiled
from bridge.media._rows import Rows
from bridge.media.agc import Agc
from bridge.media.codecs import FRAME
from bridge.media.gate import Gate
from bridge.media.levels import Levels
from bridge.media.messages import Configure

__all__ = ["Gains", "ones", "shapes"]

_BEGIN: Final = 0
_RISE: Final = 1
_SUDDEN: Final = 2
_SHAPES: Final = 3

QUICK: Final = 8
"""The sudden rise takes this part of a frame."""


@functools.cache
def shapes(samples: int) -> npt.NDArray[np.float32]:
    """Return what gain curves are made of.

    Args:
        samples: in a frame: 160 at 8 kHz, 320 at 16 kHz.

    Returns:
        float32, `(3, samples)`; the last sample of each rise is 1.
    """
    line = np.arange(1, samples + 1) / samples
    return np.stack((np.ones(samples), line, np.minimum(1, QUICK * line))).astype(np.float32)


@functools.cache
def ones(capacity: int) -> npt.NDArray[np.float32]:
    """Return the gains of a stage that is off: float32, `(capacity,)`, not to be changed."""
    return np.ones(capacity, np.float32)


@functools.cache
def _nobody(capacity: int) -> npt.NDArray[np.bool_]:
    return np.zeros(capacity, np.bool_)


class Gains(Rows):
    """The gain of each leg in this tick's frame.

    Args:
        capacity: rows to begin with.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.coefficients: npt.NDArray[np.float32] = self.column(
            "coefficients", np.float32, _SHAPES
        )
        # At the end of the frame.
        self.end: npt.NDArray[np.float32] = self.column("end", np.float32, fill=1)
        self.flat = True

    def follow(self, levels: Levels, gate: Gate, agc: Agc, options: Configure) -> None:
        """Make the gains of this tick out of what each stage wants.

        Args:
            levels: says what guards want (`duck`).
            gate: of this tick.
            agc: of this tick.
            options: which of them count.
        """
        self.flat = _follow(
            levels.duck,
            gate.gain if options.gate else ones(self.capacity),
            agc.gain if options.agc else ones(self.capacity),
            gate.sudden if options.gate else _nobody(self.capacity),
            self.end,
            self.coefficients,
        )

    def silent(self, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
        """Say of which legs nothing at all is heard in this frame: bool, as long as `rows`."""
        silent: npt.NDArray[np.bool_] = (self.coefficients[rows] == 0).all(axis=1)
        return silent

    def curves(self, rows: npt.NDArray[np.intp], samples: int) -> npt.NDArray[np.float32]:
        """Return gains by sample, float32, `(len(rows), samples)`."""
        return self.coefficients[rows] @ shapes(samples)

    def apply(self, rows: npt.NDArray[np.intp], pcm: npt.NDArray[np.float32]) -> None:
        """Give what legs say its gain, in place.

        Args:
            rows: intp, `(n,)`: the legs, each once.
            pcm: float32, `(n, 160)`.
        """
        if not self.flat:
            _apply(self.coefficients, rows, shapes(FRAME), pcm)


@compiled(
    "boolean(float32[::1], float32[::1], float32[::1], boolean[::1], float32[::1], float32[:, ::1])"
)
def _follow(
    duck: npt.NDArray[np.float32],
    gate: npt.NDArray[np.float32],
    agc: npt.NDArray[np.float32],
    sudden: npt.NDArray[np.bool_],
    end: npt.NDArray[np.float32],
    coefficients: npt.NDArray[np.float32],
) -> bool:
    flat = True
    for row in range(end.size):
        gain = duck[row] * gate[row] * agc[row]
        rise = gain - end[row]
        coefficients[row, _BEGIN] = end[row]
        coefficients[row, _RISE] = np.float32(0) if sudden[row] else rise
        coefficients[row, _SUDDEN] = rise if sudden[row] else np.float32(0)
        end[row] = gain
        flat = flat and rise == 0 and gain == 1
    return flat


@compiled("void(float32[:, ::1], int64[::1], float32[:, ::1], float32[:, ::1])")
def _apply(
    coefficients: npt.NDArray[np.float32],
    rows: npt.NDArray[np.intp],
    shapes: npt.NDArray[np.float32],
    pcm: npt.NDArray[np.float32],
) -> None:
    line, quick = shapes[_RISE], shapes[_SUDDEN]
    for i in range(rows.size):
        row = coefficients[rows[i]]
        begin, rise, sudden = row[_BEGIN], row[_RISE], row[_SUDDEN]
        frame = pcm[i]
        for k in range(frame.size):
            frame[k] *= begin + rise * line[k] + sudden * quick[k]
