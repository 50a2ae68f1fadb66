"""What the room hears when somebody comes or goes: a tone, a name, nothing; who is alone.

However many come and go, the room hears one tone every three seconds at most, and those who come
within three seconds are told of as one: "five people have joined".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from dialplan.actions import Chime
from dialplan.phrases import PhraseKey, phrase
from dialplan.speech import Subject

if TYPE_CHECKING:
    from dialplan.meeting import Meeting, Sounds
    from dialplan.people import Person
    from dialplan.phrases import Phrase

__all__ = ["ALONE_TIMER", "CHIME_TIMER", "NAMES_TIMER", "Comings"]

CHIME_TIMER: Final = "chime"
NAMES_TIMER: Final = "names"
ALONE_TIMER: Final = "alone"

_K: Final = PhraseKey
_NEXT: Final[dict[Sounds, Sounds]] = {"chime": "name", "name": "off", "off": "chime"}
_WORDS: Final[dict[Sounds, PhraseKey]] = {
    "chime": _K.SOUNDS_CHIME,
    "name": _K.SOUNDS_NAME,
    "off": _K.SOUNDS_OFF,
}


class Comings:
    """Announces comings and goings to the room.

    Args:
        meeting: Whose.
    """

    def __init__(self, meeting: Meeting) -> None:
        self._meeting = meeting
        self._chime_due: Literal["enter", "exit"] | None = None
        self._came: list[Person] = []
        self._went: list[Person] = []

    def next_sounds(self, host: Person) -> None:
        """Go to the next kind of announcement, and say which to every host."""
        meeting = self._meeting
        meeting.sounds = _NEXT[meeting.sounds]
        said = phrase(_WORDS[meeting.sounds])
        host.forget(Subject.SOUNDS)
        meeting.answer(host, said)
        meeting.tell_hosts(Subject.SOUNDS, said, but=host)

    def came(self, person: Person) -> None:
        """Announce somebody who has come into the room."""
        if self._meeting.sounds == "chime":
            self._chime("enter")
        elif self._meeting.sounds == "name":
            self._collect(self._came, person)

    def went(self, person: Person) -> None:
        """Announce somebody who has left the room."""
        if self._meeting.sounds == "chime":
            self._chime("exit")
        elif self._meeting.sounds == "name":
            self._collect(self._went, person)

    def chime_again(self) -> None:
        """Sound once for all who came or went meanwhile."""
        sound = self._chime_due
        self._chime_due = None
        if sound is not None:
            self._chime(sound)

    def say_names(self) -> None:
        """Tell the room of all who came and went meanwhile."""
        came, self._came = self._came, []
        went, self._went = self._went, []
        words = (
            *_sentence(came, _K.JOINED_NAME, _K.JOINED_COUNT),
            *_sentence(went, _K.LEFT_NAME, _K.LEFT_COUNT),
        )
        for person in self._meeting.room:
            if words and not (came == [person] and not went):
                self._meeting.tell(person, Subject.COMINGS, *words)

    def watch_alone(self) -> None:
        """Keep account of whether somebody is alone in the room."""
        meeting = self._meeting
        if meeting.room_size == 1:
            if not meeting.timers.runs(ALONE_TIMER) and not meeting.room[0].music:
                meeting.timers.start(ALONE_TIMER, meeting.times.alone_s)
            return
        meeting.timers.stop(ALONE_TIMER)
        for person in meeting.room:
            if person.music:
                meeting.music(person, on=False)

    def alone(self) -> None:
        """Tell somebody who has been alone for a while, and play music."""
        for person in self._meeting.room:
            self._meeting.tell(person, Subject.ALONE, phrase(_K.ALONE))
            self._meeting.music(person, on=True)

    def stop(self) -> None:
        """Announce nothing more."""
        self._meeting.timers.stop(CHIME_TIMER, NAMES_TIMER, ALONE_TIMER)
        self._came.clear()
        self._went.clear()

    def _collect(self, into: list[Person], person: Person) -> None:
        into.append(person)
        if not self._meeting.timers.runs(NAMES_TIMER):
            self._meeting.timers.start(NAMES_TIMER, self._meeting.times.chime_s)

    def _chime(self, sound: Literal["enter", "exit"]) -> None:
        if self._meeting.timers.runs(CHIME_TIMER):
            self._chime_due = sound
        else:
            self._meeting.do(Chime(sound))
            self._meeting.timers.start(CHIME_TIMER, self._meeting.times.chime_s)


def _sentence(people: list[Person], one: PhraseKey, many: PhraseKey) -> tuple[Phrase, ...]:
    """Say who: one by name where there is one, several by their count."""
    if not people:
        return ()
    if len(people) == 1 and people[0].named:
        return (phrase(one, name=people[0].leg),)
    return (phrase(many, count=len(people)),)
