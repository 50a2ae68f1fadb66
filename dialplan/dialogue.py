"""A dialogue of one person with the keypad: while it is open, it owns that person's digits.

One at a time for each person; knocks and other questions wait until it has closed. What it says has
the subject `DIALOGUE`; when that has been heard, or cut by a key, `said` is called. It has one
timer. A dialogue whose person leaves is `abandoned`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

from dialplan.phrases import PhraseKey, phrase
from dialplan.speech import Subject

if TYPE_CHECKING:
    from dialplan.meeting import Meeting
    from dialplan.people import Person
    from dialplan.phrases import Phrase

__all__ = ["DIALOGUE_TIMER", "Dialogue", "Ending"]

DIALOGUE_TIMER: Final = "dialogue"

_K: Final = PhraseKey


class Dialogue(ABC):
    """One dialogue.

    Args:
        meeting: Whose.
        person: With whom.
    """

    def __init__(self, meeting: Meeting, person: Person) -> None:
        self.meeting = meeting
        self.person = person
        self._timer = f"{DIALOGUE_TIMER}:{person.leg}"

    def open(self) -> None:
        """Take the person's digits, and begin."""
        self.person.dialogue = self
        self.begin()

    @abstractmethod
    def begin(self) -> None:
        """Say the first words."""

    @abstractmethod
    def press(self, key: str) -> None:
        """Take a key; what was being said has been cut by it."""

    def said(self) -> None:
        """Go on after what was said last; by default, wait for a key."""
        self.wait(self.meeting.times.dialogue_s)

    def timer(self) -> None:
        """Go on after the wait; by default, no key came and it is over."""
        self.close()

    def left(self, other: Person) -> None:  # noqa: B027 - most dialogues do not care
        """Note that somebody else is gone."""

    def abandoned(self) -> None:
        """Note that the person is gone."""
        self.person.dialogue = None
        self.meeting.timers.stop(self._timer)

    # --- for dialogues to use ------------------------------------------------------------------

    def say(self, *phrases: Phrase) -> None:
        """Say something next: a key has cut what was being said, a timer cuts nothing."""
        self.meeting.timers.stop(self._timer)
        self.meeting.speech.tell(self.person, Subject.DIALOGUE, *phrases)

    def wait(self, seconds: float) -> None:
        """Wait for a key."""
        self.meeting.timers.start(self._timer, seconds)

    def close(self, *phrases: Phrase) -> None:
        """Give the digits back, with last words or none."""
        self.abandoned()
        self.person.forget(Subject.DIALOGUE)
        self.meeting.tell(self.person, Subject.KEYS, *phrases)
        self.meeting.dialogue_closed(self.person)


class Ending(Dialogue):
    """The end for all, which `*` takes back for some seconds; a host who hangs up means it.

    Args:
        meeting: Whose.
        person: The host.
    """

    def begin(self) -> None:
        """Warn everybody, and tell the host how to take it back."""
        meeting = self.meeting
        self.say(phrase(_K.END_WARNING), phrase(_K.END_TAKE_BACK))
        meeting.tell_room(Subject.ENDING, phrase(_K.END_WARNING), but=self.person)
        self.wait(meeting.times.end_s)

    def press(self, key: str) -> None:
        """Take it back."""
        if key == "*":
            self.close(phrase(_K.END_WITHDRAWN))
            words = phrase(_K.END_WITHDRAWN)
            self.meeting.tell_room(Subject.ENDING, words, but=self.person)

    def said(self) -> None:
        """Let the time run that began with the warning."""

    def timer(self) -> None:
        """End it."""
        self.meeting.end_for_all()

    def abandoned(self) -> None:
        """Let it be; the host who has hung up meanwhile ends it."""
        super().abandoned()
        if self.person.leg not in self.meeting.people:
            self.meeting.end_for_all()
