"""Breakout rooms: a conference parted into smaller ones for a while, and called together again.

They are groups of the mix: the people of one hear each other and nobody else. Hosts stay in the
main room, group 0, and visit. Guests are spread evenly in the order of coming, or choose; who does
not choose, and who comes late, is put where the fewest are. With no host left who could call people
together, they are called together by themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dialplan.dialogue import Dialogue
from dialplan.floor import Where
from dialplan.phrases import PhraseKey, phrase
from dialplan.speech import Subject

if TYPE_CHECKING:
    from dialplan.meeting import Meeting
    from dialplan.people import Person
    from dialplan.phrases import Phrase

__all__ = ["RECALL_TIMER", "Breakouts"]

RECALL_TIMER: Final = "recall"
FEWEST: Final = 2
MOST: Final = 9

_K: Final = PhraseKey


class Breakouts:
    """The breakout rooms of one conference.

    Args:
        meeting: Whose.
    """

    def __init__(self, meeting: Meeting) -> None:
        self._meeting = meeting

    def menu(self, host: Person) -> None:
        """Open the menu: to open rooms, or what can be done while they are open."""
        if self._meeting.breakouts:
            _Running(self._meeting, host, self).open()
        else:
            _Opening(self._meeting, host, self).open()

    def start(self, rooms: int, *, choosing: bool) -> None:
        """Open rooms, and put guests into them or let them choose.

        Args:
            rooms: How many, 2 to 9.
            choosing: Everybody chooses.
        """
        meeting = self._meeting
        meeting.breakouts = rooms
        for place, person in enumerate(meeting.guests):
            # Who is in the middle of something is not asked on top of it.
            if choosing and person.dialogue is None:
                _Choosing(meeting, person, self).open()
            else:
                self.put(person, 1 + place % rooms if not choosing else self.smallest())

    def put(self, person: Person, room: int) -> None:
        """Put somebody into a room, and say which."""
        person.group = room
        self._meeting.sync(person)
        self._meeting.tell(person, Subject.ROOMS, room_words(room))

    def smallest(self) -> int:
        """Return the room with the fewest people."""
        sizes = [0] * self._meeting.breakouts
        for person in self._meeting.room:
            if 0 < person.group <= len(sizes):
                sizes[person.group - 1] += 1
        return 1 + sizes.index(min(sizes))

    def came(self, person: Person) -> tuple[Phrase, ...]:
        """Find a room for somebody who comes while rooms are open; say which."""
        if not self._meeting.breakouts or person.role == "host":
            return ()
        person.group = person.group or self.smallest()
        return (room_words(person.group),)

    def visit_next(self, host: Person) -> None:
        """Take a host to the next room, after the last one back to the main one."""
        host.group = (host.group + 1) % (self._meeting.breakouts + 1)
        self._meeting.sync(host)
        self._meeting.answer(host, room_words(host.group))

    def recall(self, by: Person | None = None) -> None:
        """Warn everybody, then call them together; asked again, at once."""
        meeting = self._meeting
        if not meeting.breakouts:
            return
        if meeting.timers.runs(RECALL_TIMER):
            self.close()
            return
        words = phrase(_K.BREAKOUT_RECALL)
        if by is not None:
            meeting.answer(by, words)
        meeting.tell_room(Subject.ROOMS, words, but=by)
        meeting.timers.start(RECALL_TIMER, meeting.times.recall_s)

    def close(self) -> None:
        """Call everybody together."""
        meeting = self._meeting
        meeting.timers.stop(RECALL_TIMER)
        meeting.breakouts = 0
        for person in meeting.people.values():
            person.group = 0
            if isinstance(person.dialogue, _Choosing | _Running):
                person.dialogue.close()
        meeting.sync_all()
        meeting.tell_room(Subject.ROOMS, phrase(_K.BREAKOUT_BACK))

    def no_host_left(self) -> None:
        """Call everybody together by and by, as no host can."""
        if self._meeting.breakouts and not self._meeting.timers.runs(RECALL_TIMER):
            self.recall()


def room_words(room: int) -> Phrase:
    """Say which room somebody is in."""
    return phrase(_K.BREAKOUT_ROOM, number=room) if room else phrase(_K.BREAKOUT_MAIN)


class _Opening(Dialogue):
    """A host opens rooms: how many, then how."""

    def __init__(self, meeting: Meeting, person: Person, breakouts: Breakouts) -> None:
        super().__init__(meeting, person)
        self._breakouts = breakouts
        self._rooms = 0

    def begin(self) -> None:
        """Ask how many."""
        self.say(phrase(_K.BREAKOUT_HOW_MANY))

    def press(self, key: str) -> None:
        """Take how many, then how."""
        if key == "*":
            self.close(phrase(_K.DIALOGUE_OVER))
        elif self._rooms == 0 and key.isdecimal() and FEWEST <= int(key) <= MOST:
            self._rooms = int(key)
            self.say(phrase(_K.BREAKOUT_HOW))
        elif self._rooms and key in ("1", "2"):
            already = self.meeting.breakouts  # another host was faster
            self.close(phrase(_K.BREAKOUT_OPEN))
            if not already:
                self._breakouts.start(self._rooms, choosing=key == "2")
        else:
            self.meeting.refuse(self.person)
            self.wait(self.meeting.times.dialogue_s)

    def timer(self) -> None:
        """Close: nothing came for a while."""
        self.close(phrase(_K.DIALOGUE_OVER))


class _Running(Dialogue):
    """A host while rooms are open: call together, or visit."""

    def __init__(self, meeting: Meeting, person: Person, breakouts: Breakouts) -> None:
        super().__init__(meeting, person)
        self._breakouts = breakouts

    def begin(self) -> None:
        """Say what can be done."""
        self.say(phrase(_K.BREAKOUT_MENU))

    def press(self, key: str) -> None:
        """Do it."""
        if key == "1":
            self.close()
            self._breakouts.recall(self.person)
        elif key == "2":
            self.close()
            self._breakouts.visit_next(self.person)
        elif key == "*":
            self.close(phrase(_K.DIALOGUE_OVER))
        else:
            self.meeting.refuse(self.person)
            self.wait(self.meeting.times.dialogue_s)


class _Choosing(Dialogue):
    """A guest chooses a room; who does not is put where the fewest are."""

    def __init__(self, meeting: Meeting, person: Person, breakouts: Breakouts) -> None:
        super().__init__(meeting, person)
        self._breakouts = breakouts

    def begin(self) -> None:
        """Ask, when what is being said has been heard: it was not this person's key."""
        words = phrase(_K.BREAKOUT_CHOOSE, number=self.meeting.breakouts)
        self.meeting.tell(self.person, Subject.DIALOGUE, words)

    def press(self, key: str) -> None:
        """Take a room's number."""
        if key.isdecimal() and 1 <= int(key) <= self.meeting.breakouts:
            self.close()
            self._breakouts.put(self.person, int(key))
        else:
            self.meeting.refuse(self.person)
            self.wait(self.meeting.times.dialogue_s)

    def timer(self) -> None:
        """Choose for them."""
        self.close()
        if self.person.where is Where.ROOM:
            self._breakouts.put(self.person, self._breakouts.smallest())
