"""Dialogues that take a number: the host PIN of a caller who becomes host, and a number to call."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Final

from dialplan import pins
from dialplan.actions import CheckHostPin, DialOut
from dialplan.dialogue import Dialogue
from dialplan.entry import NumberEntry, Pressed
from dialplan.phrases import PhraseKey, phrase
from dialplan.pins import Verdict

if TYPE_CHECKING:
    from dialplan.events import HostPinOutcome
    from dialplan.meeting import Meeting
    from dialplan.people import Person
    from dialplan.phrases import Phrase

__all__ = ["BecomeHost", "DialNumber"]

TRIES: Final = 3
LONGEST_NUMBER: Final = 18
"""Digits of a number to call: fifteen of E.164 (section 6), and an international prefix."""

_K: Final = PhraseKey


class _NumberDialogue(Dialogue):
    """Collects one number; `*` starts over, and closes the dialogue where nothing was keyed."""

    question: PhraseKey

    def __init__(self, meeting: Meeting, person: Person, entry: NumberEntry) -> None:
        super().__init__(meeting, person)
        self.entry = entry
        person.entry = entry

    def begin(self) -> None:
        """Ask for it."""
        self.say(phrase(self.question))

    def again(self, *phrases: Phrase) -> None:
        """Ask once more."""
        self.entry.clear()
        self.say(*phrases, phrase(self.question))

    def press(self, key: str) -> None:
        """Take a key."""
        if key == "*" and self.entry.empty:
            self.close(phrase(_K.DIALOGUE_OVER))
            return
        pressed = self.entry.press(self.meeting.now, key)
        self.wait(self.meeting.times.dialogue_s)
        if pressed is Pressed.CLEARED:
            self.again()
        elif pressed in (Pressed.COMPLETE, Pressed.MISTYPED):
            self.complete(mistyped=pressed is Pressed.MISTYPED)

    def timer(self) -> None:
        """Close: nothing came for a while."""
        self.close(phrase(_K.DIALOGUE_OVER))

    @abstractmethod
    def complete(self, *, mistyped: bool) -> None:
        """Take the number."""


class BecomeHost(_NumberDialogue):
    """A caller keys the host PIN to become host.

    Args:
        meeting: Whose.
        person: Who wants to be host.
        query: Number of the question to the shell, never used twice.
    """

    question = _K.HOST_PIN_ENTER

    def __init__(self, meeting: Meeting, person: Person, query: int) -> None:
        super().__init__(meeting, person, NumberEntry(pins.check))
        self.query = query
        self._tries = 0
        self._asked = False

    def press(self, key: str) -> None:
        """Take a key, but not while the PIN is being looked up."""
        if not self._asked:
            super().press(key)

    def complete(self, *, mistyped: bool) -> None:
        """Have it looked up, unless it was mistyped."""
        self._tries += 1
        if mistyped:
            self._no(_K.PIN_MISTYPED)
            return
        self._asked = True
        self.wait(self.meeting.times.prompt_guard_s)
        self.meeting.do(CheckHostPin(self.person.leg, self.query, self.entry.digits))
        self.entry.clear()

    def checked(self, outcome: HostPinOutcome) -> None:
        """Take the answer."""
        self._asked = False
        if outcome == "right":
            self.close()
            self.meeting.promote(self.person, "pin")
        elif outcome == "wrong":
            self._no(_K.PIN_NOT_RECOGNISED)
        else:
            self.close(phrase(_K.TECHNICAL_PROBLEM))

    def _no(self, why: PhraseKey) -> None:
        if self._tries < TRIES:
            self.again(phrase(why))
        else:
            self.close(phrase(why), phrase(_K.DIALOGUE_OVER))


class DialNumber(_NumberDialogue):
    """A host keys a number to be called.

    Args:
        meeting: Whose.
        person: The host.
    """

    question = _K.DIAL_ENTER

    def __init__(self, meeting: Meeting, person: Person) -> None:
        super().__init__(meeting, person, NumberEntry(_open_ended))

    def complete(self, *, mistyped: bool) -> None:  # noqa: ARG002 - nothing is known of its digits
        """Have it called."""
        number = self.entry.digits
        self.entry.clear()
        self.close(phrase(_K.DIAL_CALLING))
        self.meeting.do(DialOut(self.person.leg, number))


def _open_ended(digits: str) -> Verdict:
    """Leave the end to `#`, within reason."""
    return Verdict.INCOMPLETE if len(digits) < LONGEST_NUMBER else Verdict.COMPLETE
