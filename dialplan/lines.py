"""What people are told when a guard of the mixer holds a line down.

Whose line it is hears what was done, and when it is over; the hosts hear it too, or everybody where
there is no host. Of an echo nobody is told: who returns it does not hear it, and is heard as ever
when speaking.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dialplan.floor import Where
from dialplan.phrases import PhraseKey, phrase
from dialplan.speech import Subject

if TYPE_CHECKING:
    from dialplan.events import LineAction, LineGuard
    from dialplan.meeting import Meeting
    from dialplan.people import Person

__all__ = ["Lines"]

_K: Final = PhraseKey
_WORDS: Final[dict[tuple[LineGuard, LineAction], tuple[PhraseKey, PhraseKey]]] = {
    ("over_loud", "ducked"): (_K.TOO_LOUD, _K.OTHER_TOO_LOUD),
    ("over_loud", "muted"): (_K.TOO_LOUD_MUTED, _K.OTHER_MUTED),
    ("leak", "muted"): (_K.SOUND_MUTED, _K.OTHER_MUTED),
}
"""For whose line it is, and for the others."""


class Lines:
    """Tells of lines that disturb.

    Args:
        meeting: Whose.
    """

    def __init__(self, meeting: Meeting) -> None:
        self._meeting = meeting

    def guarded(self, person: Person, guard: LineGuard, action: LineAction) -> None:
        """Tell of a line that is held down, or is no more.

        Args:
            person: Whose line.
            guard: What is wrong with it.
            action: What is done.
        """
        if person.where is not Where.ROOM:
            return
        meeting = self._meeting
        if action == "released":
            # Who was muted by a key or a host meanwhile is not heard again by it.
            if guard in person.held_down and meeting.is_heard(person):
                meeting.tell(person, Subject.LINE, phrase(_K.LINE_HEARD))
            person.held_down.discard(guard)
            return
        words = _WORDS.get((guard, action))
        if words is None:
            return
        own, others = words
        person.held_down.add(guard)
        meeting.tell(person, Subject.LINE, phrase(own))
        hosts = [host for host in meeting.hosts if host is not person]
        for other in hosts or [each for each in meeting.room if each is not person]:
            meeting.tell(other, Subject.OTHER_LINE, phrase(others))
