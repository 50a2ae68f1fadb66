"""The speech gate: what is no speech is kept out of the mix.

Fifty open lines at -60 dBov are a noise of -43 dBov; shut, they are none, and a leg that is shut
needs no encoding of its own. The gate looks at frames that wait for playout anyway: it begins to
open while speech is up to two frames away, as far as that stands in the store by then, so that the
first syllable is whole and nothing is delayed for it::

    frame          quiet   quiet   quiet   speech  speech  speech  ...  quiet   quiet
    seen           quiet   SPEECH  SPEECH
    gain           0       0 -> 1  1       1       1       1            hang-over, then 1 -> 0

Whatever is loud opens it. What has lasted long enough to be speech (`levels`) keeps it open for
400 ms, anything else for 60 ms, so a door, a chair or a mouse passes and is over.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media._compiled import compiled
from bridge.media._rows import Rows
from bridge.media.codecs import DECODED_VALUES, FRAME, TABLED
from bridge.media.levels import Levels, threshold
from bridge.media.playout import PlayoutStore
from bridge.media.ring import SLOTS

__all__ = ["LOOK_AHEAD", "Gate"]

LOOK_AHEAD: Final = 2
"""Frames that are looked at before their time: 40 ms of what comes before speech are heard."""

SPEECH_HANG_TICKS: Final = 20
NOISE_HANG_TICKS: Final = 3

CLOSING: Final = 0.25
"""Of the gain, a frame: it takes 80 ms to shut, which is no click."""

_EVERY: Final = 4
"""One octet of so many is looked at: a level to within a decibel is all that is asked for."""

_CLOSING: Final = np.float32(CLOSING)
_SQUARES: Final = np.square(DECODED_VALUES.astype(np.float32))


class Gate(Rows):
    """The gate of each leg.

    Args:
        capacity: rows to begin with.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        # Factor at the end of this tick's frame.
        self.gain: npt.NDArray[np.float32] = self.column("gain", np.float32)
        # Opened in this tick, for sound that had not been seen to come.
        self.sudden: npt.NDArray[np.bool_] = self.column("sudden", np.bool_)
        # Of what waits to be played: the loudest frame within `LOOK_AHEAD`, 16-bit scale.
        self.coming: npt.NDArray[np.float32] = self.column("coming", np.float32)
        self.hang: npt.NDArray[np.int8] = self.column("hang", np.int8)

    def look_ahead(
        self, rows: npt.NDArray[np.intp], store: PlayoutStore, codec: npt.NDArray[np.uint8]
    ) -> None:
        """Look at what comes next of legs that are shut.

        Args:
            rows: intp, `(n,)`: the legs that may speak.
            store: where it waits.
            codec: uint8, `(legs,)`: codec of every leg.
        """
        _look_ahead(
            rows,
            self.hang,
            codec,
            store.play_row,
            store.filled,
            store.octets,
            _SQUARES,
            self.coming,
        )

    def follow(self, levels: Levels) -> None:
        """Open and shut.

        Args:
            levels: of this tick.
        """
        _follow(
            levels.loud,
            levels.talking,
            self.coming,
            levels.floor,
            self.hang,
            self.gain,
            self.sudden,
        )

    def close(self, rows: npt.NDArray[np.intp]) -> None:
        """Shut the gates of legs that may not speak, at once."""
        self.gain[rows] = 0
        self.hang[rows] = 0


@compiled(
    "void(int64[::1], int8[::1], uint8[::1], int64[::1], int16[:, ::1], uint8[:, :, ::1],"
    " float32[:, ::1], float32[::1])"
)
def _look_ahead(
    rows: npt.NDArray[np.intp],
    hang: npt.NDArray[np.int8],
    codec: npt.NDArray[np.uint8],
    play_row: npt.NDArray[np.int64],
    filled: npt.NDArray[np.int16],
    octets: npt.NDArray[np.uint8],
    squares: npt.NDArray[np.float32],
    coming: npt.NDArray[np.float32],
) -> None:
    coming[:] = np.float32(0)
    for i in range(rows.size):
        row = rows[i]
        if hang[row] != 0 or codec[row] >= TABLED:
            continue
        for step in range(LOOK_AHEAD):
            slot = (play_row[row] + step) & (SLOTS - 1)
            if filled[row, slot] >= FRAME:
                codes, square = octets[row, slot], squares[codec[row]]
                power = np.float32(0)
                for k in range(0, FRAME, _EVERY):
                    power += square[codes[k]]
                level = np.sqrt(power / np.float32(FRAME // _EVERY))
                coming[row] = max(coming[row], level)


@compiled(
    "void(boolean[::1], boolean[::1], float32[::1], float32[::1], int8[::1], float32[::1],"
    " boolean[::1])"
)
def _follow(
    loud: npt.NDArray[np.bool_],
    talking: npt.NDArray[np.bool_],
    coming: npt.NDArray[np.float32],
    floor: npt.NDArray[np.float32],
    hang: npt.NDArray[np.int8],
    gain: npt.NDArray[np.float32],
    sudden: npt.NDArray[np.bool_],
) -> None:
    for row in range(loud.size):
        ticks = max(hang[row] - 1, 0)
        if loud[row] or coming[row] > threshold(floor[row]):
            ticks = max(ticks, NOISE_HANG_TICKS)
        if loud[row] and talking[row]:
            ticks = max(ticks, SPEECH_HANG_TICKS)
        hang[row] = ticks
        sudden[row] = loud[row] and gain[row] == 0
        gain[row] = np.float32(1) if ticks else max(gain[row] - _CLOSING, np.float32(0))
