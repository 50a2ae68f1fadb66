"""Speaking to the people of a conference: one sentence at a time for each of them.

What is said to somebody while a prompt runs waits its turn; only the answer to their own key comes
at once, before everything else: who keys `*6` twice must not guess what it did. Each message has
a subject, and of one subject only the newest waits, so that a queue is never longer than there are
subjects: five joins in a row become one count, not five. What matters most is said first: subjects
stand in the order of their importance. Every prompt has a guard timer, so that nobody stays in a
state whose end is a prompt's end.
"""

from collections.abc import Callable
from enum import IntEnum, auto
from typing import Final

from dialplan.actions import Say, StopSay
from dialplan.phrases import Phrase
from dialplan.timers import Timers

__all__ = ["SAY_TIMER", "Listener", "Speech", "Subject"]

SAY_TIMER: Final = "say"
"""First part of the guard timers' names; the second is the leg."""


class Subject(IntEnum):
    """What a message is about, the most important first."""

    FAREWELL = auto()
    KEYS = auto()
    DIALOGUE = auto()
    ENTRY = auto()
    START = auto()
    TURN = auto()
    FLOOR = auto()
    UNHEARD = auto()
    VOLUME = auto()
    LINE = auto()
    ENDING = auto()
    MAINTENANCE = auto()
    ANNOUNCEMENT = auto()
    HOST = auto()
    OTHER_LINE = auto()
    LOCK = auto()
    QUESTION = auto()
    HANDS = auto()
    MUTES = auto()
    MODE = auto()
    SOUNDS = auto()
    ROOMS = auto()
    COMINGS = auto()
    WAITING = auto()
    ALONE = auto()
    TONE = auto()


class Listener:
    """What one leg is hearing and will hear.

    Args:
        leg: Its number.
    """

    def __init__(self, leg: int) -> None:
        self.leg = leg
        self.play: int | None = None
        self.subject: Subject | None = None
        self._messages: dict[Subject, tuple[Phrase, ...]] = {}

    @property
    def pending(self) -> int:
        """Number of messages that wait."""
        return len(self._messages)

    def awaits(self, subject: Subject) -> bool:
        """Say whether a message on a subject is being said or waits."""
        return self.subject is subject or subject in self._messages

    def push(self, subject: Subject, phrases: tuple[Phrase, ...]) -> None:
        """Let a message wait its turn; an older one on its subject is dropped."""
        self._messages[subject] = phrases

    def pop(self) -> tuple[Subject, tuple[Phrase, ...]] | None:
        """Take the message whose turn it is: the most important."""
        if not self._messages:
            return None
        subject = min(self._messages)
        return subject, self._messages.pop(subject)

    def forget(self, *subjects: Subject) -> None:
        """Drop waiting messages: those on these subjects, all if none is named."""
        for subject in subjects or tuple(self._messages):
            self._messages.pop(subject, None)


class Speech:
    """Says messages to listeners.

    Args:
        do: Takes each action, in order.
        timers: Where the guards are set.
        guard_s: Longest prompt, s.
    """

    def __init__(self, do: Callable[[Say | StopSay], None], timers: Timers, guard_s: float) -> None:
        self._do = do
        self._timers = timers
        self._guard_s = guard_s
        self._plays = 0

    def tell(self, listener: Listener, subject: Subject, *phrases: Phrase) -> None:
        """Say something as soon as nothing else is being said to this listener."""
        listener.push(subject, phrases)
        if listener.play is None:
            self.go_on(listener)

    def answer(self, listener: Listener, *phrases: Phrase) -> None:
        """Say what a key of this listener did, before anything that waits."""
        self.cut(listener)
        listener.push(Subject.KEYS, phrases)
        self.go_on(listener)

    def go_on(self, listener: Listener) -> bool:
        """Say the next message to somebody who is hearing none.

        Returns:
            Whether there was one.
        """
        message = listener.pop()
        if message is None:
            return False
        self._plays += 1
        listener.play = self._plays
        listener.subject, phrases = message
        self._do(Say(listener.leg, self._plays, phrases))
        self._timers.start(f"{SAY_TIMER}:{listener.leg}", self._guard_s)
        return True

    def cut(self, listener: Listener) -> None:
        """Stop what is being said; what waits stays."""
        if listener.play is not None:
            self._do(StopSay(listener.leg, listener.play))
            self.ended(listener)

    def ended(self, listener: Listener) -> None:
        """Note that a prompt has come to its end."""
        listener.play = None
        listener.subject = None
        self._timers.stop(f"{SAY_TIMER}:{listener.leg}")
