"""Levels of the last ten seconds of every leg and every room, for guards that look back.

A tick writes one row of each table, whatever the number of legs; who looks back takes the columns
of a few legs::

                     legs                              rooms
    tick t-2   | · · · · · · · · |              | · · · · |
    tick t-1   | · · · · · · · · |              | · · · · |
    tick t     | what came       |  what came,  | sum of  |
                                    with gains    that

What a leg is sent is its room without itself. Its level is not measured but follows from those of
the others, whose powers add up as long as they say different things.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media._compiled import compiled
from bridge.media._rows import Rows
from bridge.media.gains import Gains
from bridge.media.levels import Levels
from bridge.media.seating import Seating

__all__ = ["TICKS", "History"]

TICKS: Final = 512
"""That are kept: a power of two."""

_Floats = npt.NDArray[np.float32]


class History(Rows):
    """What came of each leg, and what was sent.

    Args:
        capacity: rows to begin with.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.tick = 0
        # Since when each leg has been in the room where it is, and may speak there.
        self.since: npt.NDArray[np.int64] = self.column("since", np.int64)
        self.room: npt.NDArray[np.intp] = self.column("room", np.intp, fill=-1)
        self.came: _Floats = np.zeros((TICKS, capacity), np.float32)
        self.said: _Floats = np.zeros((TICKS, capacity), np.float32)
        self.rooms: _Floats = np.zeros((TICKS, 1), np.float32)
        self._seating: Seating | None = None

    def grow(self, capacity: int) -> None:
        """Add rows."""
        super().grow(capacity)
        for name in ("came", "said"):
            old: _Floats = getattr(self, name)
            new = np.zeros((TICKS, capacity), np.float32)
            new[:, : old.shape[1]] = old
            setattr(self, name, new)

    def seat(self, seating: Seating) -> npt.NDArray[np.intp]:
        """Take a seating in.

        Args:
            seating: who sits where.

        Returns:
            intp: the legs that were in a room, and are in another now or may not speak any more.
        """
        if seating is self._seating:
            return _NOBODY
        self._seating = seating
        before, self.room = self.room, np.full(self.capacity, -1, np.intp)
        self.room[seating.order[: seating.speakers]] = seating.speaker_room
        moved = self.room != before
        self.since[moved] = self.tick
        most = int(seating.rooms.max(initial=0)) + 1
        if most > self.rooms.shape[1]:
            rooms = np.zeros((TICKS, 2 * most), np.float32)
            rooms[:, : self.rooms.shape[1]] = self.rooms
            self.rooms = rooms
        gone: npt.NDArray[np.intp] = (moved & (before >= 0)).nonzero()[0]
        return gone

    def note(self, levels: Levels, gains: Gains) -> None:
        """Take a tick in, before its gains are made.

        Args:
            levels: of this tick.
            gains: of the tick before.
        """
        self.tick += 1
        now, then = self.tick & (TICKS - 1), (self.tick - 1) & (TICKS - 1)
        # Gains of the tick before are known by now.
        _note(self.came[then], gains.end, self.room, self.said[then], self.rooms[then])
        self.came[now] = levels.rms

    def slots(self, ticks: int, last: int, step: int = 1) -> npt.NDArray[np.intp]:
        """Return which rows of the tables hold some ticks, oldest first.

        Args:
            ticks: how many.
            last: the last of them, `tick` or one before.
            step: of so many ticks only the last is wanted.
        """
        first = last - (ticks - 1) // step * step
        slots: npt.NDArray[np.intp] = np.arange(first, last + 1, step) & (TICKS - 1)
        return slots

    def level(self, legs: npt.NDArray[np.intp], slots: npt.NDArray[np.intp]) -> _Floats:
        """Return the level of what came of legs, float32 `(k, ticks)`, 16-bit scale."""
        return np.ascontiguousarray(self.came[slots[:, None], legs].T)

    def sent(self, legs: npt.NDArray[np.intp], slots: npt.NDArray[np.intp]) -> _Floats:
        """Return the power of what legs were sent, float32 `(k, ticks)`, 16-bit scale squared."""
        sent: _Floats = self.rooms[slots[:, None], self.room[legs]]
        sent -= self.said[slots[:, None], legs]
        return np.maximum(sent, 0, out=sent).T

    def sent_at(self, legs: npt.NDArray[np.intp], ticks: npt.NDArray[np.int64] | int) -> _Floats:
        """Return the power of what legs were sent in a tick, or in one of each: float32 `(k,)`."""
        slots = ticks & (TICKS - 1)
        sent: _Floats = self.rooms[slots, self.room[legs]] - self.said[slots, legs]
        return np.maximum(sent, 0)


@compiled("void(float32[::1], float32[::1], int64[::1], float32[::1], float32[::1])")
def _note(
    came: _Floats, gain: _Floats, room: npt.NDArray[np.intp], said: _Floats, rooms: _Floats
) -> None:
    rooms[:] = 0
    for row in range(came.size):
        level = came[row] * gain[row]
        said[row] = level * level
        if room[row] >= 0:
            rooms[room[row]] += said[row]


_NOBODY: Final = np.empty(0, np.intp)
