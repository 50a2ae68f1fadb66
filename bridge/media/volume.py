"""How loud each leg hears its room: louder, softer or as it is.

What is played to a leg is as loud as ever: who turned the room down must still understand a prompt,
and who turned it up has prompts of a level made for a telephone. A leg with a volume of its own
hears what nobody else does, so it has an encoding of its own; the others go on sharing theirs.

A gain changes in a straight line over one frame. Where it makes the room too loud, a limiter of the
leg's own takes that back: nothing clips.

Nothing is done while everybody hears the room as it is.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media._rows import Rows
from bridge.media.codecs import FRAME
from bridge.media.gains import shapes
from bridge.media.limiter import Limiter, block_peaks
from bridge.media.resample import WIDE_FRAME

__all__ = ["MOST_DB", "Volume"]

MOST_DB: Final = 12.0
"""A room is turned up or down by so much at most."""

_LINE: Final = 1


class Volume(Rows):
    """The volume of each leg.

    Args:
        capacity: rows to begin with.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        # Factor that is wanted, and the one at the end of the last frame.
        self.gain: npt.NDArray[np.float32] = self.column("gain", np.float32, fill=1, kept=True)
        self.reached: npt.NDArray[np.float32] = self.column(
            "reached", np.float32, fill=1, kept=True
        )
        # Somebody may hear the room other than it is.
        self.active = False
        # One at each rate, for a frame of each is measured once a tick.
        self._limiters = {FRAME: Limiter(capacity), WIDE_FRAME: Limiter(capacity)}

    def grow(self, capacity: int) -> None:
        """Add rows."""
        for limiter in self._limiters.values():
            limiter.grow(capacity)
        super().grow(capacity)

    def renew(self, rows: npt.NDArray[np.intp]) -> None:
        """Make rows as new."""
        for limiter in self._limiters.values():
            limiter.renew(rows)
        super().renew(rows)

    def reset(self, row: int) -> None:
        """Make a row as new."""
        for limiter in self._limiters.values():
            limiter.reset(row)
        super().reset(row)

    def set(self, row: int, gain_db: float) -> None:
        """Let a leg hear its room louder or softer from this tick on.

        Args:
            row: the leg.
            gain_db: against normal, `MOST_DB` at most either way [dB].
        """
        bounded = max(-MOST_DB, min(gain_db, MOST_DB))
        self.gain[row] = 10 ** (bounded / 20)
        self.active = self.active or bool(self.gain[row] != self.reached[row]) or bounded != 0

    @property
    def own(self) -> npt.NDArray[np.bool_]:
        """Rows of legs that do not hear their room as it is, bool, `(legs,)`."""
        own: npt.NDArray[np.bool_] = (self.gain != 1) | (self.reached != 1)
        return own

    def turn(self, rows: npt.NDArray[np.intp], sound: npt.NDArray[np.float32]) -> None:
        """Give what legs hear of their rooms their volumes, in place.

        Args:
            rows: intp, `(n,)`: the legs, each once.
            sound: float32, `(n, 160)` or `(n, 320)`; that of legs of the other rate is silence.
        """
        chosen = self.own[rows].nonzero()[0]
        legs = rows[chosen]
        samples = sound.shape[1]
        begin, end = self.reached[legs][:, None], self.gain[legs][:, None]
        turned = sound[chosen] * (begin + (end - begin) * shapes(samples)[_LINE])
        limiter = self._limiters[samples]
        limiter.begin()
        limiter.hear(legs, block_peaks(turned))
        if limiter.follow():
            turned *= limiter.curves(legs, samples)
        sound[chosen] = turned

    def settle(self) -> None:
        """End a tick: every leg is where it was going to."""
        np.copyto(self.reached, self.gain)
        self.active = bool((self.gain != 1).any())
