"""Raised hands and the floor: one line, in the order in which hands were raised.

A host takes the next hand with one key. Its owner is told first, and is opened when that has been
said: nobody is opened unawares. Who has muted their own line is told how to open it and stays
muted until they do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dialplan.floor import Mode, Where
from dialplan.keypad import Command
from dialplan.phrases import Phrase, PhraseKey, phrase
from dialplan.speech import Subject

if TYPE_CHECKING:
    from dialplan.meeting import Meeting
    from dialplan.people import Person

__all__ = ["Hands"]

_K: Final = PhraseKey


class Hands:
    """The line of raised hands.

    Args:
        meeting: Whose.
    """

    def __init__(self, meeting: Meeting) -> None:
        self._meeting = meeting
        self._turns: set[int] = set()

    def toggle(self, person: Person) -> None:
        """Raise or lower one's own hand, and say which, and how far down the line."""
        meeting = self._meeting
        if person.hand is None:
            self.raise_(person)
            place = meeting.hands.index(person) + 1
            meeting.answer(person, phrase(_K.HAND_RAISED), phrase(_K.HAND_PLACE, count=place))
        else:
            person.hand = None
            meeting.answer(person, phrase(_K.HAND_LOWERED))

    def raise_(self, person: Person, since: float | None = None) -> None:
        """Put somebody into the line: at its end, or where they stood since `since`."""
        meeting = self._meeting
        person.hand = meeting.now if since is None else since
        up = phrase(_K.HANDS_UP, count=len(meeting.hands))
        meeting.tell_hosts(Subject.HANDS, up, but=person)

    def lower(self, person: Person) -> None:
        """Take somebody out of the line without a word."""
        person.hand = None

    def take(self, host: Person) -> None:
        """Give the floor to the next in line; everybody is told who."""
        meeting = self._meeting
        waiting = meeting.hands
        if not waiting:
            meeting.answer(host, phrase(_K.NO_HANDS))
            return
        if meeting.mode is Mode.HOSTS_ONLY:
            meeting.answer(host, phrase(_K.MODE_HOSTS_ONLY))
            return
        person = waiting[0]
        self.give_floor(person)
        words = floor_sentence(person)
        for other in meeting.room:
            if other is host:
                meeting.answer(other, words)
            elif other is not person:
                meeting.tell(other, Subject.FLOOR, words)

    def give_floor(self, person: Person) -> None:
        """Tell somebody that it is their turn; they are opened when they have been told.

        Not in the mode hosts only: whoever asks sees to that.
        """
        meeting = self._meeting
        person.hand = None
        if person.self_muted:
            self._open(person)
            told = (phrase(_K.YOUR_TURN_MUTED), *meeting.key(Command.MUTE, _K.KEY_UNMUTE))
            meeting.tell(person, Subject.TURN, *told)
            return
        self._turns.add(person.leg)
        meeting.tell(person, Subject.TURN, phrase(_K.YOUR_TURN))

    def told(self, person: Person) -> None:
        """Open somebody who has now heard that it is their turn."""
        if person.leg in self._turns:
            self._turns.discard(person.leg)
            self._open(person)

    def withdraw(self, person: Person) -> None:
        """Take the floor back."""
        self._turns.discard(person.leg)
        person.floor = False
        person.forget(Subject.TURN)

    def withdraw_all(self) -> None:
        """Take the floor back from everybody."""
        for person in self._meeting.people.values():
            self.withdraw(person)

    def left(self, person: Person) -> None:
        """Forget somebody who is gone."""
        self._turns.discard(person.leg)
        person.hand = None

    def _open(self, person: Person) -> None:
        if person.where is Where.ROOM and self._meeting.mode is not Mode.HOSTS_ONLY:
            person.floor = True
            self._meeting.sync(person)


def floor_sentence(person: Person) -> Phrase:
    """Say who has the floor: by name where one was spoken."""
    if person.named:
        return phrase(_K.HAS_FLOOR, name=person.leg)
    return phrase(_K.NEXT_HAS_FLOOR)
