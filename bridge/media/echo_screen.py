"""Who may be returning an echo, by levels alone.

What comes back of what a leg is sent follows it in level, a fixed delay later and by a fixed loss
softer. So for each delay the differences

    e(t, d) = came(t) - sent(t - d)    [dB]

are taken where what was sent is loud, and where what came is not louder than an echo can be (there
the leg talks itself). Their mean is the loss; where they scatter by few decibels for some delay,
the leg is suspected: talkers who have nothing to do with each other scatter by eight and more. For
all delays at once, the sums of products of levels, their squares and their masks are correlations.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media.history import History

__all__ = ["DELAYS", "LOOKED_AT", "Suspicion", "screen"]

LOOKED_AT: Final = 160
"""Ticks (3.2 s) that are compared."""

DELAYS: Final = 34
"""Ticks (680 ms) of delay at most; the least is one."""

LOUD_DB: Final = 10.0
"""Below the loudest tenth of what was sent: softer frames' echoes drown in the line's noise."""

OWN_DB: Final = 4.0
"""Return losses are 6 dB or more: what is nearer to what was sent is the leg's own."""

SCATTER_DB: Final = 4.5
EXPLAINED: Final = 0.6
"""And that must be this much less, as variances go, than what came scatters by itself: else it does
not follow anything."""

LEAST_FRAMES: Final = 24
LOSS_DB: Final = (2.0, 38.0)

_TENTH: Final = 0.9
_LENGTH: Final = 200
"""Of the transforms: `LOOKED_AT + DELAYS` at least, so that no window comes around."""

_FLOOR: Final = np.float32(8.0**2)
_Floats = npt.NDArray[np.float32]
_Index = npt.NDArray[np.intp]


class Suspicion:
    """Legs that may return an echo.

    Args:
        legs: intp, `(k,)`: rows.
        delay: int64, `(k,)`: of the echo [ticks].
        loss_db: float32, `(k,)`: by how much it is softer [dB].
    """

    __slots__ = ("delay", "legs", "loss_db")

    def __init__(self, legs: _Index, delay: npt.NDArray[np.int64], loss_db: _Floats) -> None:
        self.legs = legs
        self.delay = delay
        self.loss_db = loss_db


def screen(legs: _Index, history: History) -> Suspicion:
    """Compare what came of legs with what they were sent.

    Args:
        legs: intp, `(k,)`: rows that have been where they are for `LOOKED_AT + DELAYS` ticks.
        history: levels.

    Returns:
        Those of them that are suspected.
    """
    now = history.tick - 1
    sent = _decibels(history.sent(legs, history.slots(LOOKED_AT + DELAYS, now)))
    came = _decibels(np.square(history.level(legs, history.slots(LOOKED_AT, now))))
    loud = np.partition(sent, int(_TENTH * sent.shape[1]), axis=1)[:, int(_TENTH * sent.shape[1])]
    came -= loud[:, None]
    sent -= loud[:, None]
    # Loudest that was sent within the delays before each tick.
    most = sent.copy()
    step = 1
    while step < DELAYS:
        most[:, step:] = np.maximum(most[:, step:], most[:, :-step])
        step *= 2
    own = came > most[:, -LOOKED_AT:] - np.float32(OWN_DB)
    theirs = np.zeros((3, len(legs), _LENGTH), np.float32)
    ours = np.zeros((3, len(legs), _LENGTH), np.float32)
    # Masks, levels under them, and their squares.
    np.logical_not(own, out=theirs[0, :, :LOOKED_AT])
    np.greater(sent, -np.float32(LOUD_DB), out=ours[0, :, : sent.shape[1]])
    for each, levels in ((theirs, came), (ours, sent)):
        ticks = levels.shape[1]
        np.multiply(each[0, :, :ticks], levels, out=each[1, :, :ticks])
        np.multiply(each[1, :, :ticks], levels, out=each[2, :, :ticks])
    came_0, came_1, came_2 = np.conj(np.fft.rfft(theirs, axis=2))
    sent_0, sent_1, sent_2 = np.fft.rfft(ours, axis=2)
    products = np.stack(
        (
            sent_0 * came_0,
            sent_0 * came_1,
            sent_0 * came_2,
            sent_1 * came_0,
            sent_2 * came_0 - 2 * sent_1 * came_1,
        )
    )
    sums = np.fft.irfft(products, _LENGTH, axis=2)[:, :, :DELAYS]
    count = np.maximum(sums[0], 1)
    level, square, theirs_mean, rest = sums[1:] / count
    mean = level - theirs_mean
    scatter = square + rest - np.square(mean)
    without = square - np.square(level)
    unlikely = (sums[0] < LEAST_FRAMES) | (scatter > EXPLAINED * without)
    scatter[unlikely | (mean > -LOSS_DB[0]) | (mean < -LOSS_DB[1])] = np.inf
    best = scatter.argmin(axis=1)
    every = np.arange(len(legs))
    found = scatter[every, best] < SCATTER_DB**2
    delay = DELAYS - best[found].astype(np.int64)
    return Suspicion(legs[found], delay, -mean[every, best][found])


def _decibels(power: _Floats) -> _Floats:
    decibels: _Floats = np.log10(power + _FLOOR)
    decibels *= 10
    return decibels
