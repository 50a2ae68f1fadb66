"""The call flow: from the answer to the conference's door, and goodbye.

One `CallFlow` stands for one call. It takes events and gives back actions
(`dialplan.events`, `dialplan.actions`); it knows no socket, clock, database or sound.

How a call goes, state by state:

* `NEW`: nothing was answered yet.
* `CUTTING_THROUGH`: the 200 is sent. A telephone path is opened in steps and eats what is said
  before it is whole, so the flow waits for ACK or RTP, whichever comes first, and for neither
  longer than a few seconds.
* `SETTLING`: 400 ms more for the rest of the path. Digits count from here on, and even earlier.
* `COLLECTING`: greeting and PIN entry. A digit cuts the prompt. Silence brings reminders, further
  and further apart, then goodbye. Exactly one of two things is always due: the end of a prompt
  (watched by a guard timer) or the `digits` timer.
* `CHECKING`: a check-valid PIN is being looked up.
* `HOLDING`: the answer is there and waits for its time. All check-valid refusals (unknown,
  revoked, throttled) come `refusal_after_s` after the last digit or when the guess limits allow,
  whichever is later, and in the same words. A right PIN waits for the guess limits only.
* `JOINING`: the conference has been asked.
* `IN_CONFERENCE`: the conference speaks now; digits are passed on.
* `PARTING`: last words, which nothing but hanging up cuts.
* `ENDED`: `HangUp` was said or the caller is gone. What still arrives is late and ignored, but
  for a conference that lets the caller in after all: it is told to forget him.

A mistyped PIN (wrong check digit, `#` too early) is told at once and looked up nowhere. Mistyped
and refused entries are counted apart: five slips or three refusals end the call.

An event that `_TABLE` lacks raises `UnexpectedEventError` and changes nothing.
"""

from collections.abc import Callable
from enum import Enum
from typing import Any, ClassVar, Final

from msgspec import Struct

from dialplan.actions import (
    CallAction,
    CheckPin,
    HangUp,
    Join,
    Leave,
    PassDigit,
    Play,
    RecordRefusal,
    StopPlay,
)
from dialplan.causes import EndCause, Refusal
from dialplan.entry import NumberEntry, Pressed
from dialplan.errors import UnexpectedEventError
from dialplan.events import (
    Answered,
    CallEvent,
    Closed,
    CloseRequested,
    Digit,
    Ended,
    Full,
    HungUp,
    InMaintenance,
    JoinAnswered,
    Joined,
    MediaStarted,
    NumberInfo,
    PinChecked,
    PinFound,
    PinResult,
    PinRevoked,
    PinThrottled,
    PinUnavailable,
    PinUnknown,
    PromptDone,
    Released,
    TimerFired,
)
from dialplan.hours import closed_phrases
from dialplan.phrases import Phrase, PhraseKey, greeting_phrase, phrase
from dialplan.pins import check
from dialplan.timers import Timers

__all__ = ["CallFlow", "FlowState", "FlowTimes"]

_K = PhraseKey

_REFUSALS: Final[dict[type[PinResult], Refusal]] = {
    PinUnknown: Refusal.PIN_UNKNOWN,
    PinRevoked: Refusal.PIN_REVOKED,
    PinThrottled: Refusal.PIN_THROTTLED,
}


class FlowTimes(Struct, frozen=True):
    """Times and counts of the call flow.

    Attributes:
        media_wait_s: Longest wait for ACK or RTP before the greeting, s.
        settle_s: From ACK or first RTP to the greeting, s (300 to 500 ms).
        reminders_s: Silence before each reminder; after the last of them, goodbye. Together with
            the reminders themselves they make about three minutes. A digit begins them anew.
        unfinished_s: Silence within a PIN before the caller is told to go on, s. Long enough to
            turn a page.
        refusal_after_s: From the last digit to the answer, for every check-valid refusal, s.
        lookup_wait_s: Longest wait for `PinChecked`, s.
        join_wait_s: Longest wait for `JoinAnswered`, s.
        patience_s: Longest time from the greeting to a right PIN, s, for keypads that never rest.
        prompt_guard_s: Longest play; then its end is taken for granted, s.
        refusals: Check-valid refusals that end the call.
        slips: Mistyped PINs that end the call.
    """

    media_wait_s: float = 5.0
    settle_s: float = 0.4
    reminders_s: tuple[float, ...] = (8.0, 12.0, 20.0, 30.0, 40.0)
    unfinished_s: float = 10.0
    refusal_after_s: float = 1.0
    lookup_wait_s: float = 15.0
    join_wait_s: float = 15.0
    patience_s: float = 900.0
    prompt_guard_s: float = 60.0
    refusals: int = 3
    slips: int = 5


class FlowState(Enum):
    """Where a call is; the module's text tells what each state means."""

    NEW = "new"
    CUTTING_THROUGH = "cutting_through"
    SETTLING = "settling"
    COLLECTING = "collecting"
    CHECKING = "checking"
    HOLDING = "holding"
    JOINING = "joining"
    IN_CONFERENCE = "in_conference"
    PARTING = "parting"
    ENDED = "ended"


# Names of the timers.
_MEDIA: Final = "media"
_SETTLE: Final = "settle"
_DIGITS: Final = "digits"
_PROMPT: Final = "prompt"
_LOOKUP: Final = "lookup"
_HOLD: Final = "hold"
_JOIN: Final = "join"
_PATIENCE: Final = "patience"


_Row = dict[type[CallEvent], Callable[["CallFlow", Any], None]]


class CallFlow:
    """Rules of one call.

    Args:
        times: Times and counts; the standard ones unless a test wants others.
    """

    def __init__(self, times: FlowTimes | None = None) -> None:
        self._times = FlowTimes() if times is None else times
        self._state = FlowState.NEW
        self._number = NumberInfo(number="")
        self._entry = NumberEntry(check)
        self._actions: list[CallAction] = []
        self._timers = Timers(self._do)
        self._play: int | None = None
        self._plays = 0
        self._queries = 0
        self._asked_at = 0.0
        self._held: PinResult | None = None
        self._conference: int | None = None
        self._pinless: int | None = None
        self._reminders = 0
        self._refused = 0
        self._slipped = 0
        self._parting_cause = EndCause.TECHNICAL

    @property
    def state(self) -> FlowState:
        """Where the call is."""
        return self._state

    @property
    def conference(self) -> int | None:
        """The conference that the caller is in or was last let to, if any."""
        return self._conference

    @property
    def timers(self) -> frozenset[str]:
        """Names of the timers that run."""
        return self._timers.running

    @property
    def playing(self) -> int | None:
        """Number of the play that runs, if any."""
        return self._play

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
            raise UnexpectedEventError("call flow", self._state.name, type(event).__name__)
        self._actions = []
        handler(self, event)
        return self._actions

    # --- transitions, in the order of a call ---------------------------------------------------

    def _answered(self, event: Answered) -> None:
        self._number = event.number
        # Without a PIN only on the word of a trunk: what a caller claims is no ground for a right.
        if event.caller_key is not None:
            self._pinless = event.number.pinless_conference
        self._state = FlowState.CUTTING_THROUGH
        self._timers.start(_MEDIA, self._times.media_wait_s)
        self._timers.start(_PATIENCE, self._times.patience_s)

    def _media_started(self, _event: MediaStarted) -> None:
        self._timers.stop(_MEDIA)
        self._state = FlowState.SETTLING
        self._timers.start(_SETTLE, self._times.settle_s)

    def _media_overdue(self, event: TimerFired) -> None:
        if self._fired(event) == _MEDIA:
            self._greet()

    def _settled(self, event: TimerFired) -> None:
        if self._fired(event) == _SETTLE:
            self._greet()

    def _greet(self) -> None:
        greeting = greeting_phrase(self._number.greeting)
        request = phrase(_K.ENTER_PIN if self._pinless is None else _K.CONNECTING)
        self._collect(*([request] if greeting is None else [greeting, request]))

    def _early_digit(self, event: Digit) -> None:
        """Take a digit before the greeting: who knows the way needs none."""
        if not event.digit.isdecimal():
            return
        self._timers.stop(_MEDIA, _SETTLE)
        self._state = FlowState.COLLECTING
        self._digit(event)

    def _digit(self, event: Digit) -> None:
        if self._entry.swallows(event.at, event.digit):
            return
        pressed = self._entry.press(event.at, event.digit)
        if pressed is Pressed.NOTHING:
            return
        self._pinless = None
        self._silence()
        if pressed is Pressed.TAKEN:
            self._reminders = 0  # each digit is progress, however slow
            self._timers.start(_DIGITS, self._times.unfinished_s)
        elif pressed is Pressed.CLEARED:
            self._collect(phrase(_K.START_OVER))
        elif pressed is Pressed.COMPLETE:
            self._check(event)
        else:
            self._mistyped()

    def _check(self, event: Digit) -> None:
        self._timers.stop(_DIGITS)
        self._queries += 1
        self._asked_at = event.at
        self._state = FlowState.CHECKING
        self._timers.start(_LOOKUP, self._times.lookup_wait_s)
        self._do(CheckPin(self._queries, self._entry.digits))
        self._entry.clear()

    def _mistyped(self) -> None:
        self._entry.clear()
        self._slipped += 1
        self._do(RecordRefusal(Refusal.PIN_MISTYPED))
        if self._slipped >= self._times.slips:
            self._part(EndCause.TOO_MANY_TRIES, phrase(_K.PIN_MISTYPED), phrase(_K.TOO_MANY_TRIES))
        else:
            self._collect(phrase(_K.PIN_MISTYPED), phrase(_K.ENTER_PIN_AGAIN))

    def _prompt_done(self, event: PromptDone) -> None:
        if event.play == self._play:
            self._play_over()
            self._listen()

    def _collecting_timer(self, event: TimerFired) -> None:
        timer = self._fired(event)
        if timer == _PROMPT:
            self._silence()
            self._listen()
        elif timer == _DIGITS:
            self._remind()
        elif timer == _PATIENCE:
            self._no_pin()

    def _listen(self) -> None:
        """Go on after a prompt: wait for digits, or let in who needs no PIN."""
        if self._pinless is not None:
            self._join(PinFound(self._pinless, "guest"), pinless=True)
        elif self._entry.empty:
            step = min(self._reminders, len(self._times.reminders_s) - 1)
            self._timers.start(_DIGITS, self._times.reminders_s[step])
        else:
            self._timers.start(_DIGITS, self._times.unfinished_s)

    def _remind(self) -> None:
        """Speak up after a silence; what was keyed before the last reminder is forgotten."""
        self._reminders += 1
        if self._reminders > len(self._times.reminders_s):
            self._no_pin()
        elif self._entry.empty:
            self._collect(phrase(_K.ENTER_PIN_HELP))
        elif self._reminders < len(self._times.reminders_s):
            self._collect(phrase(_K.PIN_GO_ON))
        else:
            self._entry.clear()
            self._collect(phrase(_K.START_OVER))

    def _no_pin(self) -> None:
        self._do(RecordRefusal(Refusal.NO_PIN))
        self._part(EndCause.NO_PIN, phrase(_K.NO_PIN_HEARD))

    def _pin_checked(self, event: PinChecked) -> None:
        if event.query != self._queries:
            return
        self._timers.stop(_LOOKUP)
        due_s = event.delay_s
        if type(event.result) in _REFUSALS:
            due_s = max(due_s, self._times.refusal_after_s)
        wait_s = self._asked_at + due_s - event.at
        self._held = event.result
        self._state = FlowState.HOLDING
        if wait_s > 0.0:
            self._timers.start(_HOLD, wait_s)
        else:
            self._decide()

    def _lookup_overdue(self, event: TimerFired) -> None:
        if self._fired(event) == _LOOKUP:
            self._technical()

    def _held_long_enough(self, event: TimerFired) -> None:
        if self._fired(event) == _HOLD:
            self._decide()

    def _decide(self) -> None:
        result = self._held
        self._held = None
        if isinstance(result, PinFound):
            self._join(result, pinless=False)
        elif result is None or isinstance(result, PinUnavailable):
            self._technical()
        else:
            self._refuse(_REFUSALS[type(result)])

    def _refuse(self, reason: Refusal) -> None:
        self._refused += 1
        self._do(RecordRefusal(reason))
        not_recognised = phrase(_K.PIN_NOT_RECOGNISED)
        if self._refused >= self._times.refusals:
            self._part(EndCause.TOO_MANY_TRIES, not_recognised, phrase(_K.TOO_MANY_TRIES))
        else:
            self._collect(not_recognised, phrase(_K.ENTER_PIN_AGAIN))

    def _join(self, found: PinFound, *, pinless: bool) -> None:
        self._pinless = None
        self._conference = found.conference
        self._state = FlowState.JOINING
        self._timers.start(_JOIN, self._times.join_wait_s)
        self._do(Join(found.conference, found.role, found.name, pinless=pinless))

    def _join_overdue(self, event: TimerFired) -> None:
        if self._fired(event) == _JOIN:
            self._do(Leave())
            self._technical()

    def _join_answered(self, event: JoinAnswered) -> None:
        self._timers.stop(_JOIN)
        outcome = event.outcome
        if isinstance(outcome, Joined):
            self._timers.stop(_PATIENCE)
            self._state = FlowState.IN_CONFERENCE
        elif isinstance(outcome, Full):
            self._turn_away(Refusal.FULL, EndCause.FULL, phrase(_K.CONFERENCE_FULL))
        elif isinstance(outcome, Closed):
            self._turn_away(Refusal.CLOSED, EndCause.CLOSED, *closed_phrases(outcome))
        elif isinstance(outcome, Ended):
            ended = phrase(_K.CONFERENCE_ENDED)
            self._turn_away(Refusal.ENDED, EndCause.CONFERENCE_ENDED, ended)
        elif isinstance(outcome, InMaintenance):
            maintenance = phrase(_K.SERVICE_MAINTENANCE)
            self._turn_away(Refusal.MAINTENANCE, EndCause.MAINTENANCE, maintenance)
        else:
            self._technical()

    def _turn_away(self, reason: Refusal, cause: EndCause, *phrases: Phrase) -> None:
        self._do(RecordRefusal(reason, self._conference))
        self._part(cause, *phrases)

    def _conference_digit(self, event: Digit) -> None:
        if not self._entry.swallows(event.at, event.digit):
            self._do(PassDigit(event.digit))

    def _released(self, event: Released) -> None:
        self._hang_up(event.cause)

    # --- the end -------------------------------------------------------------------------------

    def _technical(self) -> None:
        self._do(RecordRefusal(Refusal.TECHNICAL, self._conference))
        self._part(EndCause.TECHNICAL, phrase(_K.TECHNICAL_PROBLEM))

    def _close(self, event: CloseRequested) -> None:
        if self._state in {FlowState.IN_CONFERENCE, FlowState.JOINING}:
            self._do(Leave())
        if event.reason == "shutdown":
            self._part(EndCause.SHUTDOWN, phrase(_K.SERVICE_STOPS))
        else:
            self._part(EndCause.ADMINISTRATOR)

    def _close_unheard(self, event: CloseRequested) -> None:
        """End a call whose path is not cut through yet: nobody would hear the goodbye."""
        shutdown = event.reason == "shutdown"
        self._hang_up(EndCause.SHUTDOWN if shutdown else EndCause.ADMINISTRATOR)

    def _part(self, cause: EndCause, *phrases: Phrase) -> None:
        self._silence()
        self._timers.stop_all()
        self._state = FlowState.PARTING
        self._parting_cause = cause
        self._say(*phrases, phrase(_K.GOODBYE), barge_in=False)

    def _parted(self, event: PromptDone) -> None:
        if event.play == self._play:
            self._play_over()
            self._hang_up(self._parting_cause)

    def _parting_timer(self, event: TimerFired) -> None:
        if self._fired(event) == _PROMPT:
            self._hang_up(self._parting_cause)

    def _late_join(self, event: JoinAnswered) -> None:
        if isinstance(event.outcome, Joined):
            self._do(Leave())

    def _hung_up(self, _event: HungUp) -> None:
        if self._state in {FlowState.IN_CONFERENCE, FlowState.JOINING}:
            self._do(Leave())
        self._end()

    def _hang_up(self, cause: EndCause) -> None:
        self._end()
        self._do(HangUp(cause))

    def _end(self) -> None:
        self._silence()
        self._timers.stop_all()
        self._entry.clear()
        self._held = None
        self._state = FlowState.ENDED

    def _swallow(self, event: Digit) -> None:
        """Drop a digit while an answer is due, and note whether it runs on from the PIN."""
        self._entry.swallows(event.at, event.digit)

    def _ignore(self, event: CallEvent) -> None:
        """Let pass what may always be on its way when the state changes."""
        if isinstance(event, TimerFired):
            self._timers.fired(event.timer)

    # --- small steps ---------------------------------------------------------------------------

    def _collect(self, *phrases: Phrase) -> None:
        self._timers.stop(_DIGITS)
        self._state = FlowState.COLLECTING
        self._say(*phrases, barge_in=True)

    def _say(self, *phrases: Phrase, barge_in: bool) -> None:
        self._silence()
        self._plays += 1
        self._play = self._plays
        self._do(Play(self._play, phrases, barge_in))
        self._timers.start(_PROMPT, self._times.prompt_guard_s)

    def _silence(self) -> None:
        if self._play is not None:
            self._do(StopPlay(self._play))
            self._play_over()

    def _play_over(self) -> None:
        self._play = None
        self._timers.stop(_PROMPT)

    def _fired(self, event: TimerFired) -> str | None:
        """Note that a timer ran out.

        Returns:
            Its name; None for one that was not running, and for the caller's patience while an
            answer is due: the answer comes first.
        """
        if not self._timers.fired(event.timer):
            return None
        if event.timer == _PATIENCE and self._state is not FlowState.COLLECTING:
            self._timers.start(_PATIENCE, self._times.lookup_wait_s)
            return None
        return event.timer

    def _do(self, action: CallAction) -> None:
        self._actions.append(action)

    # --- the table -----------------------------------------------------------------------------

    # May come in any state and mean nothing there: the end of a prompt that was stopped on leaving
    # another state; the second of ACK and first RTP; an answer to a look-up that came twice.
    _LATE: ClassVar[_Row] = {
        MediaStarted: _ignore,
        PromptDone: _ignore,
        PinChecked: _ignore,
    }

    _TABLE: ClassVar[dict[FlowState, _Row]] = {
        FlowState.NEW: {
            Answered: _answered,
            CloseRequested: _close_unheard,
            HungUp: _hung_up,
        },
        FlowState.CUTTING_THROUGH: {
            MediaStarted: _media_started,
            TimerFired: _media_overdue,
            Digit: _early_digit,
            CloseRequested: _close_unheard,
            HungUp: _hung_up,
        },
        FlowState.SETTLING: {
            MediaStarted: _ignore,
            TimerFired: _settled,
            Digit: _early_digit,
            CloseRequested: _close,
            HungUp: _hung_up,
        },
        FlowState.COLLECTING: _LATE
        | {
            PromptDone: _prompt_done,
            TimerFired: _collecting_timer,
            Digit: _digit,
            CloseRequested: _close,
            HungUp: _hung_up,
        },
        FlowState.CHECKING: _LATE
        | {
            PinChecked: _pin_checked,
            TimerFired: _lookup_overdue,
            Digit: _swallow,
            CloseRequested: _close,
            HungUp: _hung_up,
        },
        FlowState.HOLDING: _LATE
        | {
            TimerFired: _held_long_enough,
            Digit: _swallow,
            CloseRequested: _close,
            HungUp: _hung_up,
        },
        FlowState.JOINING: _LATE
        | {
            JoinAnswered: _join_answered,
            TimerFired: _join_overdue,
            Digit: _swallow,
            CloseRequested: _close,
            HungUp: _hung_up,
        },
        FlowState.IN_CONFERENCE: _LATE
        | {
            Digit: _conference_digit,
            JoinAnswered: _ignore,
            Released: _released,
            TimerFired: _ignore,
            CloseRequested: _close,
            HungUp: _hung_up,
        },
        FlowState.PARTING: _LATE
        | {
            PromptDone: _parted,
            TimerFired: _parting_timer,
            JoinAnswered: _late_join,
            Released: _ignore,
            Digit: _ignore,
            CloseRequested: _ignore,
            HungUp: _hung_up,
        },
        FlowState.ENDED: _LATE
        | {
            TimerFired: _ignore,
            JoinAnswered: _late_join,
            Released: _ignore,
            Digit: _ignore,
            CloseRequested: _ignore,
            HungUp: _ignore,
        },
    }
