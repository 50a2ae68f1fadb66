"""What is recorded of a room: each leg's sound as the room hears it, into a ring (`tap_ring`).

A tap is on a group of a room, 0 being where everybody is who is in no other. Of each of its legs
that may speak there is a row in every tick: its sound as it goes into the mix, so decoded, gaps
filled, keys taken out, gated, levelled, turned down by guards. What the room does not hear is not
there: neither what somebody whispers to one ear, nor what is said in another group, nor what is
played. The room's limiter comes behind it: a sum of tracks that is too loud is for who makes it.

Legs that speak G.722 are there at 16 kHz, two rows a tick. A leg that the room does not hear has
one row, of silence, that says so.

Nothing is done while nothing is tapped. What to copy is worked out when someone joins, leaves or is
placed; a tick takes rows out of the mix's arrays, all legs at once.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media.codecs import FRAME
from bridge.media.counters import Counters
from bridge.media.legs import Legs, Rooms
from bridge.media.mix import clip
from bridge.media.resample import WIDE_FRAME
from bridge.media.seating import Seating
from bridge.media.tap_ring import GAP, MUTED, TALKING, WIDE, TapRows, TapWriter

__all__ = ["Taps"]

_Index = npt.NDArray[np.intp]
_Ints = npt.NDArray[np.int64]
_Sound = npt.NDArray[np.float32]
_Flags = npt.NDArray[np.bool_]

_NOBODY: Final = np.empty(0, np.intp)


class Taps:
    """The taps of a media process.

    Args:
        counters: counts rows that did not fit.
    """

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._ring: TapWriter | None = None
        self._ahead = 0  # of the number of the tick, in the ring
        self._tapped: set[tuple[int, int]] = set()
        self.active = False
        # Of the plan: positions of those who are heard, narrow ones first; whose rows they are.
        self._narrow = _NOBODY
        self._wide = _NOBODY
        self._place = _NOBODY
        self._whose = np.empty((3, 0), np.int64)
        self._row = _NOBODY
        self._sound = np.empty((0, FRAME), np.float32)
        # Legs that are not heard, by number; those of whom that is still to be said come first.
        self._unheard = np.empty((3, 0), np.int64)
        self._unsaid = 0

    # --- what is tapped ---------------------------------------------------------------------------

    def use(self, ring: TapWriter, number: int, now: float) -> None:
        """Write to a ring from the next tick on.

        Args:
            ring: the ring.
            number: of that tick, in this process.
            now: when it is [s].
        """
        self._ring = ring
        self._ahead = ring.goes_on_at(now) - number
        self._unheard = self._unheard[:, :0]
        self.active = bool(self._tapped)

    def start(self, room: int, group: int) -> bool:
        """Tap a group of a room, whether or not somebody is there yet; say whether that can be."""
        if self._ring is None:
            return False
        self._tapped.add((room, group))
        self.active = True
        return True

    def stop(self, room: int, group: int) -> None:
        """Tap it no more."""
        self._tapped.discard((room, group))
        self.active = self._ring is not None and bool(self._tapped)
        if not self.active:
            self._unheard = self._unheard[:, :0]

    def plan(self, seating: Seating, legs: Legs, groups: Rooms[tuple[int, int]]) -> None:
        """Take a new seating in.

        Args:
            seating: who sits where.
            legs: who is in which room.
            groups: control's names of the mixer's rooms.
        """
        tapped = np.zeros(groups.capacity + 1, np.bool_)  # the last one: in no room
        for name in self._tapped:
            index = groups.index_of.get(name)
            if index is not None:
                tapped[index] = True
        room_of = legs.room[seating.order]
        heard = np.arange(len(room_of)) < seating.speakers
        positions = tapped[room_of].nonzero()[0]
        wide = np.isin(positions, seating.wide)
        self._narrow = positions[heard[positions] & ~wide]
        self._wide = positions[heard[positions] & wide]
        self._place = np.searchsorted(seating.wide, self._wide)
        named = np.concatenate((self._narrow, np.repeat(self._wide, 2)))
        self._row = seating.order[named]
        self._whose = _names(self._row, legs, groups)
        self._sound = np.empty((len(self._narrow) + 2 * len(self._wide), FRAME), np.float32)
        silent = _names(seating.order[positions[~heard[positions]]], legs, groups)
        known = np.isin(silent[0], self._unheard[0, self._unsaid :])
        self._unheard = np.concatenate((silent[:, ~known], silent[:, known]), axis=1)
        self._unsaid = int((~known).sum())

    # --- a tick -----------------------------------------------------------------------------------

    def write(
        self,
        pcm: _Sound,
        wide: _Sound,
        *,
        came: _Flags,
        talking: _Flags,
        number: int,
        now: float,
    ) -> None:
        """Write what is heard of the legs in this tick.

        Args:
            pcm: float32, `(talkers, 160)`, by position: what goes into the mix at 8 kHz.
            wide: float32, `(wide talkers, 320)`: the same of those who speak G.722, at 16 kHz.
            came: bool, `(talkers,)`, by position: the frame came, and may be heard.
            talking: bool, `(legs,)`, by row: who speaks.
            number: of the tick, in this process.
            now: when it began [s].
        """
        ring, narrow, said, unsaid = self._ring, self._narrow, self._sound, self._unsaid
        count = len(said) + unsaid
        if ring is None or not count:
            return
        if count > ring.rows:
            self._counters.tap_rows_dropped += count
            return
        n = len(narrow)
        np.take(pcm, narrow, axis=0, out=said[:n], mode="clip")
        positions = narrow
        if len(self._wide):
            said[n:] = wide[self._place].reshape(-1, FRAME)
            positions = np.concatenate((narrow, np.repeat(self._wide, WIDE_FRAME // FRAME)))
        flags = TALKING * talking[self._row] + GAP * ~came[positions]
        flags[n:] |= WIDE
        tick = number + self._ahead
        for part, rows in ring.begin(count, tick, now):
            self._fill(rows, part, flags)
        ring.end(tick, now)
        self._unsaid = 0

    def _fill(self, rows: TapRows, part: slice, flags: _Ints) -> None:
        """Fill one stretch of the ring: first legs with sound, then those that are not heard."""
        sounding = len(self._sound)
        mine = slice(part.start, min(part.stop, sounding))
        k = max(0, mine.stop - mine.start)
        if k:
            rows.leg[:k], rows.room[:k], rows.group[:k] = self._whose[:, mine]
            rows.flags[:k] = flags[mine]
            clip(self._sound[mine], rows.samples[:k])
        if k < len(rows):
            unheard = slice(max(part.start - sounding, 0), part.stop - sounding)
            rows.leg[k:], rows.room[k:], rows.group[k:] = self._unheard[:, unheard]
            rows.flags[k:] = MUTED
            rows.samples[k:] = 0


def _names(row: _Index, legs: Legs, groups: Rooms[tuple[int, int]]) -> _Ints:
    """Return leg, room and group of some rows, int64 `(3, n)`."""
    indices, which = np.unique(legs.room[row], return_inverse=True)
    names = [groups.room_of[index] for index in indices.tolist()]
    rooms = np.array(names, np.int64).reshape(-1, 2)[which]
    whose: _Ints = np.stack((legs.leg[row], rooms[:, 0], rooms[:, 1]))
    return whose
