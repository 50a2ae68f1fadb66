"""The flow of somebody whom the bridge has called: asked to press 1, then in the conference.

It takes the events of a call flow and gives its actions (`dialplan.events`, `dialplan.actions`),
and knows no more than it does. Nobody is brought into a conference by picking up: voicemail, an
answering machine, a child or a fax never press 1, hear the question for as long as it is asked, and
are let go::

    NEW ──Answered──► ASKING ──1──► JOINING ──Joined──► IN_CONFERENCE ──Released──► ENDED
                        │  └─ no 1 in time ─► ENDED
                        └─ the time that the call may take is over, whenever that is ─► ENDED
    refused by the conference, it is over, or the bridge stops: PARTING, a goodbye, ENDED

An event that the present state does not know raises `UnexpectedEventError` and changes nothing.
"""

from collections.abc import Callable
from enum import Enum
from typing import Any, ClassVar, Final

from msgspec import Struct

from dialplan.actions import (
    CallAction,
    HangUp,
    Join,
    Leave,
    PassDigit,
    Play,
    StartTimer,
    StopPlay,
    StopTimer,
)
from dialplan.causes import EndCause
from dialplan.errors import UnexpectedEventError
from dialplan.events import (
    Answered,
    CallEvent,
    CloseReason,
    CloseRequested,
    Digit,
    HungUp,
    JoinAnswered,
    Joined,
    MediaStarted,
    PromptDone,
    Released,
    TimerFired,
)
from dialplan.phrases import PhraseKey, phrase

__all__ = ["OutgoingFlow", "OutgoingState", "OutgoingTimes"]

YES: Final = "1"

_ANSWER: Final = "answer"
_AGAIN: Final = "again"
_LONGEST: Final = "longest"
_PROMPT: Final = "prompt"

_CAUSES: Final[dict[CloseReason, EndCause]] = {
    "shutdown": EndCause.SHUTDOWN,
    "administrator": EndCause.ADMINISTRATOR,
    "conference_ended": EndCause.CONFERENCE_ENDED,
}


class OutgoingTimes(Struct, frozen=True):
    """Times of an outgoing call.

    Attributes:
        answer_s: From the answer on, how long the 1 is waited for, s.
        again_s: Silence before the question is asked again, s.
        longest_s: Longest call, s.
        prompt_guard_s: Longest play; then its end is taken for granted, s.
    """

    answer_s: float = 25.0
    again_s: float = 2.0
    longest_s: float = 3600.0
    prompt_guard_s: float = 60.0


class OutgoingState(Enum):
    """Where a call is; the module's text tells what each state means."""

    NEW = "new"
    ASKING = "asking"
    JOINING = "joining"
    IN_CONFERENCE = "in_conference"
    PARTING = "parting"
    ENDED = "ended"


_Row = dict[type[CallEvent], Callable[["OutgoingFlow", Any], None]]


class OutgoingFlow:
    """Rules of one call that the bridge made.

    Args:
        conference: Where who was called is invited to.
        times: Times; the standard ones where not given.
    """

    def __init__(self, conference: int, times: OutgoingTimes | None = None) -> None:
        self._conference = conference
        self._times = OutgoingTimes() if times is None else times
        self._state = OutgoingState.NEW
        self._actions: list[CallAction] = []
        self._plays = 0
        self._play: int | None = None
        self._cause = EndCause.TECHNICAL

    @property
    def conference(self) -> int:
        """Where who was called is invited to."""
        return self._conference

    @property
    def state(self) -> OutgoingState:
        """Where the call is."""
        return self._state

    def handle(self, event: CallEvent) -> list[CallAction]:
        """Take an event.

        Args:
            event: What happened.

        Returns:
            What to do, in order.

        Raises:
            UnexpectedEventError: The present state knows no such event; nothing was changed.
        """
        handler = self._TABLE[self._state].get(type(event))
        if handler is None:
            raise UnexpectedEventError("outgoing flow", self._state.name, type(event).__name__)
        self._actions = []
        handler(self, event)
        return self._actions

    # --- asking --------------------------------------------------------------------------------

    def _answered(self, _event: Answered) -> None:
        self._state = OutgoingState.ASKING
        self._do(StartTimer(_ANSWER, self._times.answer_s))
        self._do(StartTimer(_LONGEST, self._times.longest_s))
        self._say(PhraseKey.DIAL_INVITED)

    def _prompt_done(self, event: PromptDone) -> None:
        if event.play != self._play:
            return
        self._play = None
        self._do(StopTimer(_PROMPT))
        if self._state is OutgoingState.ASKING:
            self._do(StartTimer(_AGAIN, self._times.again_s))
        else:
            self._hang_up(self._cause)

    def _digit(self, event: Digit) -> None:
        if event.digit != YES:
            return
        self._silence()
        self._do(StopTimer(_ANSWER))
        self._do(StopTimer(_AGAIN))
        self._state = OutgoingState.JOINING
        self._do(Join(self._conference, "guest"))

    def _timer(self, event: TimerFired) -> None:
        if event.timer == _LONGEST:
            self._hang_up(EndCause.TIME_LIMIT)
        elif event.timer == _ANSWER and self._state is OutgoingState.ASKING:
            self._hang_up(EndCause.NOT_ACCEPTED)
        elif event.timer == _AGAIN and self._state is OutgoingState.ASKING:
            self._say(PhraseKey.DIAL_INVITED)
        elif event.timer == _PROMPT and self._play is not None:
            self._prompt_done(PromptDone(event.at, self._play))

    # --- joining, in it, and out again ---------------------------------------------------------

    def _join_answered(self, event: JoinAnswered) -> None:
        if isinstance(event.outcome, Joined):
            self._state = OutgoingState.IN_CONFERENCE
        else:
            self._part(EndCause.CONFERENCE_ENDED)

    def _pass_on(self, event: Digit) -> None:
        self._do(PassDigit(event.digit))

    def _released(self, event: Released) -> None:
        """Hang up: the conference has said what there was to say."""
        self._end()
        self._do(HangUp(event.cause))

    def _close_requested(self, event: CloseRequested) -> None:
        """Say goodbye, except to a telephone that still rings."""
        cause = _CAUSES[event.reason]
        if self._state in {OutgoingState.JOINING, OutgoingState.IN_CONFERENCE}:
            self._do(Leave())
        if self._state is OutgoingState.NEW:
            self._hang_up(cause)
        elif cause is EndCause.CONFERENCE_ENDED:
            self._part(cause, PhraseKey.CONFERENCE_ENDED)
        else:
            self._part(cause)

    def _part(self, cause: EndCause, *why: PhraseKey) -> None:
        self._silence()
        self._state = OutgoingState.PARTING
        self._cause = cause
        self._say(*why, PhraseKey.GOODBYE)

    def _hang_up(self, cause: EndCause) -> None:
        if self._state in {OutgoingState.JOINING, OutgoingState.IN_CONFERENCE}:
            self._do(Leave())
        self._silence()
        self._end()
        self._do(HangUp(cause))

    def _hung_up(self, _event: HungUp) -> None:
        if self._state in {OutgoingState.JOINING, OutgoingState.IN_CONFERENCE}:
            self._do(Leave())
        self._end()

    def _end(self) -> None:
        self._state = OutgoingState.ENDED
        for timer in (_ANSWER, _AGAIN, _LONGEST, _PROMPT):
            self._do(StopTimer(timer))

    def _late_answer(self, event: JoinAnswered) -> None:
        if isinstance(event.outcome, Joined):
            self._do(Leave())

    def _ignored(self, _event: CallEvent) -> None:
        """Let what comes late be."""

    # --- plays ---------------------------------------------------------------------------------

    def _say(self, *keys: PhraseKey) -> None:
        self._plays += 1
        self._play = self._plays
        self._do(StartTimer(_PROMPT, self._times.prompt_guard_s))
        words = tuple(phrase(key) for key in keys)
        self._do(Play(self._play, words, barge_in=keys == (PhraseKey.DIAL_INVITED,)))

    def _silence(self) -> None:
        if self._play is not None:
            self._do(StopPlay(self._play))
            self._play = None

    def _do(self, action: CallAction) -> None:
        self._actions.append(action)

    _TABLE: ClassVar[dict[OutgoingState, _Row]] = {
        OutgoingState.NEW: {
            Answered: _answered,
            HungUp: _hung_up,
            CloseRequested: _close_requested,
        },
        OutgoingState.ASKING: {
            MediaStarted: _ignored,
            Digit: _digit,
            PromptDone: _prompt_done,
            TimerFired: _timer,
            CloseRequested: _close_requested,
            HungUp: _hung_up,
        },
        OutgoingState.JOINING: {
            MediaStarted: _ignored,
            Digit: _ignored,
            PromptDone: _ignored,
            TimerFired: _timer,
            JoinAnswered: _join_answered,
            Released: _released,
            CloseRequested: _close_requested,
            HungUp: _hung_up,
        },
        OutgoingState.IN_CONFERENCE: {
            MediaStarted: _ignored,
            Digit: _pass_on,
            PromptDone: _ignored,
            TimerFired: _timer,
            Released: _released,
            CloseRequested: _close_requested,
            HungUp: _hung_up,
        },
        OutgoingState.PARTING: {
            MediaStarted: _ignored,
            Digit: _ignored,
            PromptDone: _prompt_done,
            TimerFired: _timer,
            JoinAnswered: _late_answer,
            Released: _ignored,
            CloseRequested: _ignored,
            HungUp: _hung_up,
        },
        OutgoingState.ENDED: {
            MediaStarted: _ignored,
            Digit: _ignored,
            PromptDone: _ignored,
            TimerFired: _ignored,
            JoinAnswered: _late_answer,
            Released: _ignored,
            CloseRequested: _ignored,
            HungUp: _ignored,
        },
    }
