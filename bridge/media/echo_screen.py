"""Who may be returning an echo, by levels alone.

What comes back of what a leg is sent follows it in level, a fixed delay later and by a fixed loss
softer. So for each delay the differences

    e(t, d) = came(t) - sent(t - d)    [dB]

are taken where what was sent is loud, and where what came is not louder than an echo can be (there
the leg talks itself). Their mean is the loss; where they scatter by few decibels for some delay,
the leg is suspected: talkers who have nothing to do with each other scatter by eight and more.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media._compiled import compiled
from bridge.media.history import TICKS, History

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
_NOTHING: Final = np.float32(0.001)
"""Scatter that is none [dB squared]: rounding gives less."""

_LOOSE: Final = np.float32(1e9)
"""Scatter where a delay is out of the question."""

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
    sent = np.empty((len(legs), LOOKED_AT + DELAYS), np.float32)
    came = np.empty((len(legs), LOOKED_AT), np.float32)
    now = history.tick - 1
    _gather(now, legs, history.room, history.rooms, history.said, history.came, sent, came)
    _bring_to_decibels(sent)
    _bring_to_decibels(came)
    loud = np.partition(sent, int(_TENTH * sent.shape[1]), axis=1)[:, int(_TENTH * sent.shape[1])]
    came -= loud[:, None]
    sent -= loud[:, None]
    scatter, loss_db = np.empty((2, len(legs)), np.float32)
    delay = np.empty(len(legs), np.int64)
    _compare(sent, came, scatter, delay, loss_db)
    found = scatter < SCATTER_DB**2
    return Suspicion(legs[found], delay[found], loss_db[found])


def _bring_to_decibels(power: _Floats) -> None:
    np.log10(power, out=power)
    np.multiply(power, 10, out=power)


@compiled(
    "void(int64, int64[::1], int64[::1], float32[:, ::1], float32[:, ::1], float32[:, ::1],"
    " float32[:, ::1], float32[:, ::1])"
)
def _gather(
    now: int,
    legs: _Index,
    room: _Index,
    rooms: _Floats,
    said: _Floats,
    came: _Floats,
    theirs: _Floats,
    ours: _Floats,
) -> None:
    """Take the powers of what legs were sent and of what came out of history, oldest first."""
    for back in range(theirs.shape[1]):
        slot = (now - back) & (TICKS - 1)
        for i in range(legs.size):
            leg = legs[i]
            power = max(rooms[slot, room[leg]] - said[slot, leg], np.float32(0))
            theirs[i, theirs.shape[1] - 1 - back] = power + _FLOOR
            if back < ours.shape[1]:
                power = came[slot, leg] * came[slot, leg]
                ours[i, ours.shape[1] - 1 - back] = power + _FLOOR


@compiled("void(float32[:, ::1], float32[:, ::1], float32[::1], int64[::1], float32[::1])")
def _compare(
    sent: _Floats,
    came: _Floats,
    scatter: _Floats,
    delay: npt.NDArray[np.int64],
    loss_db: _Floats,
) -> None:
    """Find the delay with which what came scatters least about what was sent."""
    most, before = np.empty((2, LOOKED_AT + DELAYS), np.float32)
    theirs, ours = np.empty(LOOKED_AT, np.float32), np.empty(LOOKED_AT + DELAYS, np.float32)
    for i in range(scatter.size):
        # Loudest that was sent within the delays before each tick, and a little longer.
        most[:] = sent[i]
        step = 1
        while step < DELAYS:
            before[:] = most
            for t in range(step, most.size):
                most[t] = max(before[t], before[t - step])
            step *= 2
        for t in range(LOOKED_AT):
            own = came[i, t] > most[DELAYS + t] - np.float32(OWN_DB)
            theirs[t] = np.float32(0) if own else np.float32(1)
        for t in range(ours.size):
            ours[t] = np.float32(1) if sent[i, t] > -np.float32(LOUD_DB) else np.float32(0)
        scatter[i], delay[i], loss_db[i] = _LOOSE, DELAYS, 0
        for lag in range(DELAYS):
            frames = level = square = difference = rest = np.float32(0)
            for t in range(LOOKED_AT):
                weight = theirs[t] * ours[lag + t]
                apart = came[i, t] - sent[i, lag + t]
                frames += weight
                level += weight * came[i, t]
                square += weight * came[i, t] * came[i, t]
                difference += weight * apart
                rest += weight * apart * apart
            count = max(frames, np.float32(1))
            mean = difference / count
            least = rest / count - mean * mean
            without = square / count - (level / count) * (level / count)
            if (
                frames >= LEAST_FRAMES
                and least + _NOTHING <= np.float32(EXPLAINED) * without
                and -np.float32(LOSS_DB[1]) <= mean <= -np.float32(LOSS_DB[0])
                and least < scatter[i]
            ):
                scatter[i], delay[i], loss_db[i] = least, DELAYS - lag, -mean
