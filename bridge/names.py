"""The names that callers have spoken: which slot holds whose, and that nothing stays of them.

A name is recorded by the media process that has the leg, into a slot of the area that all of them
share (`bridge.media.names_area`), and played by any of them::

    free ──record──► recording ──NameRecorded──► held ──conference ends──► free, erased
                         │             └─ nobody spoke ─────────────────► free, erased
                         └─ the leg closes: a process that died has answered nothing

A slot that is being written to is never given to another leg, nor erased for good, before whoever
writes has said that it is done or the leg is closed. Slots come back last in, last out, so that
whatever still plays from one that was freed finds silence there.

A conference's names end with it. That a conference may keep them has to wait for recordings, which
are encrypted, known to the inventory and erased on request.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bridge.media.name_messages import NameRecorded, RecordName, StopName
from bridge.media.names_area import SLOTS, NamesArea

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bridge.media.messages import Command

__all__ = ["SpokenNames"]


@dataclass(slots=True)
class _Slot:
    """A slot in use.

    Args:
        number: of the slot.
        room: the conference's room.
        leg: whose name it is.
        recording: a media process may write to it.
        wanted: the name is still asked for.
    """

    number: int
    room: int
    leg: int
    recording: bool = True
    wanted: bool = True


class SpokenNames:
    """All names of the bridge.

    Args:
        say: says something to the media process that has the leg.
        slots: how many names there may be at once.

    Raises:
        OSError: there is no memory or no descriptor for them.
    """

    def __init__(self, say: Callable[[Command], None], slots: int = SLOTS) -> None:
        self._say = say
        self._area = NamesArea()
        self._free = deque(range(slots))
        self._used: dict[int, _Slot] = {}
        self._of_room: dict[int, dict[int, tuple[int, int]]] = {}
        self._slot_of: dict[int, int] = {}
        # Legs that have left, whose names are still spoken of; the first is gone longest.
        self._gone: dict[int, None] = {}

    @property
    def area(self) -> NamesArea:
        """Where they lie, for what else is played from there."""
        return self._area

    @property
    def descriptor(self) -> int:
        """The memfd, for media processes."""
        return self._area.descriptor

    @property
    def octets(self) -> int:
        """Memory that names take now."""
        return self._area.octets

    def of(self, room: int) -> Mapping[int, tuple[int, int]]:
        """Return start and length of each name of a conference, by leg."""
        return self._of_room.get(room, {})

    # -- recording ------------------------------------------------------------------------------

    def record(self, room: int, leg: int) -> bool:
        """Record a leg's name, in place of one that there is.

        Args:
            room: the conference's room.
            leg: the leg.

        Returns:
            Whether there is a slot for it. Where there is, `recorded` is told how it went, unless a
            media process dies over it.
        """
        self._forget(leg)
        if not self._free and self._gone:
            self._forget(next(iter(self._gone)))
        if not self._free:
            return False
        slot = _Slot(self._free.popleft(), room, leg)
        self._area.erase(slot.number)
        self._used[slot.number] = slot
        self._slot_of[leg] = slot.number
        self._say(RecordName(leg=leg, slot=slot.number))
        return True

    def stop(self, leg: int) -> None:
        """End the recording of a leg's name."""
        self._say(StopName(leg=leg))

    def recorded(self, event: NameRecorded) -> float | None:
        """Take what a media process has recorded.

        Args:
            event: what it says.

        Returns:
            Seconds of speech; None where nobody asks for that name any more.
        """
        slot = self._used.get(event.slot)
        if slot is None or slot.leg != event.leg or not slot.recording:
            return None
        slot.recording = False
        if not slot.wanted:
            self._release(slot)
            return None
        if not event.samples:
            self._forget(event.leg)
            return 0.0
        self._of_room.setdefault(slot.room, {})[event.leg] = (event.start, event.samples)
        return event.seconds

    # -- the end --------------------------------------------------------------------------------

    def leg_left(self, leg: int) -> None:
        """Note that a leg has left its conference, whose people may still be told so by name."""
        if leg in self._slot_of:
            self._gone[leg] = None

    def leg_closed(self, leg: int) -> None:
        """Note that no media process has the leg any more."""
        for slot in [slot for slot in self._used.values() if slot.leg == leg and slot.recording]:
            slot.recording = False
            if slot.wanted:
                self._forget(leg)
            else:
                self._release(slot)

    def end(self, room: int) -> None:
        """Erase the names of a conference that is over."""
        for slot in [slot for slot in self._used.values() if slot.room == room]:
            self._forget(slot.leg)

    def close(self) -> None:
        """Let go of all of them."""
        self._area.close()

    def _forget(self, leg: int) -> None:
        """Let go of a leg's name, at once or when its recording has ended."""
        number = self._slot_of.pop(leg, None)
        self._gone.pop(leg, None)
        if number is None:
            return
        slot = self._used[number]
        slot.wanted = False
        names = self._of_room.get(slot.room, {})
        names.pop(leg, None)
        if not names:
            self._of_room.pop(slot.room, None)
        if not slot.recording:
            self._release(slot)
        else:
            self._say(StopName(leg=leg))

    def _release(self, slot: _Slot) -> None:
        self._area.erase(slot.number)
        del self._used[slot.number]
        self._free.append(slot.number)
