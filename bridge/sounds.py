"""Sound files that administrators have played in conferences: where each lies, and for how long.

They lie behind the spoken names in the area that all media processes share
(`bridge.media.names_area`), in bays of a fixed size, and are played as clips from there::

    free ──hold──► held ──its play has ended──────► free, erased
                        ├─ the conference ends ────► free, erased
                        └─ nobody has said so ─────► free, erased, when another one needs the room

Bays come back last in, last out, so that whatever still plays from one finds silence there, not
another conference's sound. A sound has a number below zero, which stands in a phrase where a leg
would stand for its spoken name.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bridge.media.names_area import SLOT_SAMPLES, SLOTS, SOUND_SLOTS, start_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    import numpy.typing as npt

    from bridge.media.names_area import NamesArea

__all__ = ["BAYS", "HOLD_S", "LONGEST_SAMPLES", "Sounds"]

_BAY_SLOTS: Final = 7

BAYS: Final = SOUND_SLOTS // _BAY_SLOTS
"""Sounds that can be held at once."""

LONGEST_SAMPLES: Final = _BAY_SLOTS * SLOT_SAMPLES
"""Of one sound, 8 kHz: 50 s."""

HOLD_S: Final = 300.0
"""A sound whose end nobody has told is over by then: the longest, behind all that may wait."""


@dataclass(slots=True)
class _Held:
    """A sound.

    Args:
        bay: where it lies.
        room: the conference's room.
        samples: how long it is.
        since: when it came [s].
    """

    bay: int
    room: int
    samples: int
    since: float

    @property
    def slot(self) -> int:
        """Its first slot of the area."""
        return SLOTS + self.bay * _BAY_SLOTS


class Sounds:
    """All sound files that are being played.

    Args:
        area: where they lie.
        clock: the time [s].
    """

    def __init__(self, area: NamesArea, clock: Callable[[], float] = time.monotonic) -> None:
        self._area = area
        self._clock = clock
        self._free = deque(range(BAYS))
        self._held: dict[int, _Held] = {}
        self._numbers = itertools.count(-1, -1)

    def hold(self, room: int, samples: npt.NDArray[np.int16]) -> int | None:
        """Take a sound in.

        Args:
            room: of the conference that will hear it.
            samples: int16, `(n,)`, 8 kHz, `LONGEST_SAMPLES` at most.

        Returns:
            Its number, below zero; None where there is no room for it.
        """
        if not self._free:
            overdue = self._clock() - HOLD_S
            for number in [key for key, each in self._held.items() if each.since <= overdue]:
                self.let_go(number)
        if not self._free:
            return None
        held = _Held(self._free.popleft(), room, len(samples), self._clock())
        number = next(self._numbers)
        self._held[number] = held
        self._area.write(held.slot, samples)
        return number

    def of(self, room: int) -> Mapping[int, tuple[int, int]]:
        """Return start and length of each sound of a conference, by number."""
        return {
            number: (start_of(each.slot), each.samples)
            for number, each in self._held.items()
            if each.room == room
        }

    def let_go(self, number: int) -> None:
        """Erase a sound, if it is still there."""
        held = self._held.pop(number, None)
        if held is None:
            return
        for slot in range(held.slot, held.slot + _BAY_SLOTS):
            self._area.erase(slot)
        self._free.append(held.bay)

    def end(self, room: int) -> None:
        """Erase the sounds of a conference that is over."""
        for number in self.of(room):
            self.let_go(number)
