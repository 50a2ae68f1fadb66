"""How long a conference may be: the warnings before its end, and the end.

The length counts from the session's start; an administrator who changes it moves the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dialplan.phrases import PhraseKey, phrase
from dialplan.speech import Subject

if TYPE_CHECKING:
    from dialplan.meeting import Meeting

__all__ = ["LENGTH_TIMER", "Length"]

LENGTH_TIMER: Final = "length"

_K: Final = PhraseKey


class Length:
    """The time limit of one conference.

    Args:
        meeting: Whose.
    """

    def __init__(self, meeting: Meeting) -> None:
        self._meeting = meeting
        self._ends_at: float | None = None
        self._warnings: list[float] = []

    def plan(self, started_at: float | None) -> None:
        """Set the next of: a warning, the end.

        Args:
            started_at: When the session was opened, monotonic, s; None before.
        """
        meeting = self._meeting
        meeting.timers.stop(LENGTH_TIMER)
        length = meeting.rules.max_length_s
        if length is None or started_at is None:
            self._ends_at = None
            return
        self._ends_at = started_at + length
        left = self._ends_at - meeting.now
        warnings = meeting.times.warnings_s
        self._warnings = [each for each in warnings if each < left and 2 * each <= length]
        self._next_warning()

    def _next_warning(self) -> None:
        if self._ends_at is not None:
            due_at = self._ends_at - (self._warnings[0] if self._warnings else 0.0)
            self._meeting.timers.start(LENGTH_TIMER, max(0.0, due_at - self._meeting.now))

    def is_up(self) -> bool:
        """Warn the room, when the timer has run out.

        Returns:
            Whether there is nothing left to warn of: the time is up.
        """
        if not self._warnings:
            return True
        minutes = max(1, round(self._warnings.pop(0) / 60))
        self._meeting.tell_room(Subject.ENDING, phrase(_K.ENDING_SOON, minutes=minutes))
        self._next_warning()
        return False
