"""The entrance: who comes says a name, where the conference asks for one.

The name is recorded by the media process and played to the room or to the hosts; here is only
whether there is one. A name shorter than a third of a second is a breath.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from dialplan.actions import RecordName, StopName
from dialplan.causes import EndCause
from dialplan.dialogue import Dialogue
from dialplan.phrases import PhraseKey, phrase

if TYPE_CHECKING:
    from collections.abc import Callable

    from dialplan.meeting import Meeting
    from dialplan.people import Person
    from dialplan.phrases import Phrase

__all__ = ["Entrance"]

SHORTEST_S: Final = 0.3
TRIES: Final = 3
"""After so many, who gives no name is told goodbye where one is needed."""

_K: Final = PhraseKey


class Entrance(Dialogue):
    """Ask one person for a name.

    Args:
        meeting: Whose.
        person: Who comes.
        done: Lets them go on, with or without a name.
    """

    def __init__(self, meeting: Meeting, person: Person, done: Callable[[Person], None]) -> None:
        super().__init__(meeting, person)
        self._done = done
        self._tries = 0
        self._step: Literal["asking", "recording", "stopped"] = "asking"

    def begin(self) -> None:
        """Ask."""
        self._ask()

    def _ask(self, *first: Phrase) -> None:
        self._step = "asking"
        self.say(*first, phrase(_K.NAME_ASK), phrase(_K.TONE_BEEP))

    def said(self) -> None:
        """Record what comes after the tone."""
        self._tries += 1
        self._step = "recording"
        self.meeting.do(RecordName(self.person.leg))
        self.wait(self.meeting.times.name_s)

    def press(self, key: str) -> None:  # noqa: ARG002 - every key does the same
        """End the name with any key; while the question is being said, that begins it."""
        if self._step == "asking":
            self.said()
        elif self._step == "recording":
            self._stop()

    def timer(self) -> None:
        """End the name, or the wait for a recording that did not come."""
        if self._step == "recording":
            self._stop()
        else:
            self.recorded(0.0)

    def _stop(self) -> None:
        self._step = "stopped"
        self.meeting.do(StopName(self.person.leg))
        self.wait(self.meeting.times.name_s)

    def recorded(self, seconds: float) -> None:
        """Take what was recorded.

        Args:
            seconds: Of speech in it.
        """
        self.person.named = seconds >= SHORTEST_S
        if not self.person.named and self.meeting.rules.names == "ask_until_given":
            if self._tries < TRIES:
                self._ask(phrase(_K.NAME_AGAIN))
            else:
                self.close()
                words = phrase(_K.NAME_NEEDED)
                self.meeting.dismiss(self.person, EndCause.NO_NAME, words)
            return
        self.close()
        self._done(self.person)
