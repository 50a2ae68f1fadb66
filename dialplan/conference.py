"""The rules of a running conference: who is in, who waits, who hears what, and when it ends.

One `Conference` is the only authority on one conference. It takes events and gives back actions
(`dialplan.events`, `dialplan.actions`); it knows no socket, clock, database or sound.

States:

* `GATHERING`: nobody was put together yet. People come in and wait alone, with music, until the
  start rule is met; waiting is not talking, and no session is open. Whoever waits too long is told
  goodbye.
* `RUNNING`: the session is open; who comes in is in the room at once. A conference that ends with
  its host keeps a grace period after the last one left.
* `CLOSING`: everybody hears last words, then is let go. Newcomers hear that it has just ended.
* `OVER`: nobody is left; the object has done its duty. A new one stands for what comes next.

Rules that hold in every state:

* A person is in exactly one place (`dialplan.floor.Where`), and what that person may do follows
  from `dialplan.floor.masks` alone.
* What is said to one is heard by nobody else. A prompt is cut by the listener's own key or by
  hanging up; the shutdown of the bridge alone cuts what is being said, to have time for goodbye.
  A key that has cut a prompt has done its work and is not called a stray one.
* The room hears tones only: one for each side of a door that opens, then at most one every three
  seconds, however many come and go.
* Every prompt has a guard timer, so that nobody stays in a state whose end is a prompt's end.

An event that `_TABLE` lacks, or one about a leg that is not there, raises and changes nothing.
"""

from collections.abc import Callable
from enum import Enum
from math import ceil
from typing import Any, ClassVar, Final, Literal

from msgspec import Struct

from dialplan._sentences import count_sentence, keys_sentence, welcome_sentence
from dialplan.actions import (
    Answer,
    Chime,
    ConferenceAction,
    EndLeg,
    Music,
    Place,
    SessionEnded,
    SessionStarted,
)
from dialplan.causes import EndCause, SessionEnd
from dialplan.errors import UnexpectedEventError, UnknownLegError
from dialplan.events import (
    ConferenceEvent,
    Ended,
    EndRequested,
    Entered,
    Full,
    Joined,
    Left,
    LegDigit,
    LegPromptDone,
    MaintenanceDue,
    RulesChanged,
    TimerFired,
)
from dialplan.floor import Where
from dialplan.hours import closed_for
from dialplan.keypad import Command, Stray
from dialplan.people import Census, Person, PersonView, census
from dialplan.phrases import Phrase, PhraseKey, phrase
from dialplan.rules import ConferenceRules, Role
from dialplan.speech import SAY_TIMER, Speech, Subject
from dialplan.timers import Timers

__all__ = [
    "Conference",
    "ConferenceState",
    "ConferenceTimes",
]

_K = PhraseKey

_STILL: Final = "still"
_CHIME: Final = "chime"
_LENGTH: Final = "length"
_GRACE: Final = "grace"
_WAIT: Final = "wait"


class ConferenceTimes(Struct, frozen=True):
    """Times of the conference that no administrator sets.

    Attributes:
        still_s: Between reminders to those who wait, s.
        chime_s: Least time between two tones in the room, s.
        warnings_s: How long before the end of its length the room is told, s; a warning is left
            out of a conference that is not at least twice as long.
        prompt_guard_s: Longest prompt; then its end is taken for granted, s.
    """

    still_s: float = 120.0
    chime_s: float = 3.0
    warnings_s: tuple[float, ...] = (600.0, 60.0)
    prompt_guard_s: float = 60.0


class ConferenceState(Enum):
    """Where a conference is; the module's text tells what each state means."""

    GATHERING = "gathering"
    RUNNING = "running"
    CLOSING = "closing"
    OVER = "over"


_Row = dict[type[ConferenceEvent], Callable[["Conference", Any], None]]


class Conference:
    """Rules of one running conference.

    Args:
        rules: As configured.
        times: Other times; the standard ones unless a test wants others.
    """

    def __init__(self, rules: ConferenceRules, times: ConferenceTimes | None = None) -> None:
        self._rules = rules
        self._times = ConferenceTimes() if times is None else times
        self._state = ConferenceState.GATHERING
        self._people: dict[int, Person] = {}
        self._actions: list[ConferenceAction] = []
        self._timers = Timers(self._do)
        self._speech = Speech(self._do, self._timers, self._times.prompt_guard_s)
        self._started_at: float | None = None
        self._ends_at: float | None = None
        self._warnings: list[float] = []
        self._chime_due: Literal["enter", "exit"] | None = None
        self._end = SessionEnd.LAST_LEFT

    # --- what others may know ------------------------------------------------------------------

    @property
    def state(self) -> ConferenceState:
        """Where the conference is."""
        return self._state

    @property
    def over(self) -> bool:
        """Whether the object has done its duty and is to be dropped."""
        return self._state is ConferenceState.OVER

    @property
    def empty(self) -> bool:
        """Whether nobody is in or waiting."""
        return not self._people

    @property
    def rules(self) -> ConferenceRules:
        """The rules in force."""
        return self._rules

    @property
    def timers(self) -> frozenset[str]:
        """Names of the timers that run."""
        return self._timers.running

    @property
    def census(self) -> Census:
        """How many people there are; those who are being told goodbye count nowhere."""
        return census(self._people.values())

    def people(self) -> tuple[PersonView, ...]:
        """List everybody, in the order of coming in."""
        return tuple(person.view() for person in self._people.values())

    def handle(self, event: ConferenceEvent) -> list[ConferenceAction]:
        """Take an event.

        Args:
            event: What happened.

        Returns:
            What to do, in order.

        Raises:
            UnknownLegError: The event is about a leg that is not there, or lets one in twice.
            UnexpectedEventError: The present state knows no such event. In both cases nothing
                was changed.
        """
        handler = self._TABLE[self._state].get(type(event))
        if handler is None:
            raise UnexpectedEventError("conference", self._state.name, type(event).__name__)
        if isinstance(event, Entered) and event.leg in self._people:
            raise UnknownLegError("conference", self._state.name, "a second Entered")
        if isinstance(event, Left | LegDigit) and event.leg not in self._people:
            raise UnknownLegError("conference", self._state.name, type(event).__name__)
        self._actions = []
        handler(self, event)
        return self._actions

    # --- coming in -----------------------------------------------------------------------------

    def _entered(self, event: Entered) -> None:
        running = self._state is ConferenceState.RUNNING
        closed = closed_for(self._rules, event.role, event.wall, running=running)
        if closed is not None:
            self._do(Answer(event.leg, closed))
        elif self._is_full(event.role):
            self._do(Answer(event.leg, Full()))
        else:
            self._let_in(event, running=running)

    def _is_full(self, role: Role) -> bool:
        """Say whether nobody of this role fits in; who is being told goodbye takes no place."""
        staying = self._staying()
        # Where nothing starts without a host, those who wait must not keep the host out.
        for_host = self._rules.start == "on_host" and "host" not in {
            role,
            *(p.role for p in staying),
        }
        return len(staying) + for_host >= self._rules.capacity

    def _let_in(self, event: Entered, *, running: bool) -> None:
        person = Person(event.leg, event.role)
        self._people[event.leg] = person
        if running:
            self._do(Answer(event.leg, Joined(waiting=False)))
            self._welcome(person, waited=0)
            if self._room_size() > 1:
                self._chime("enter")
            self._host_is_back(person)
        elif self._may_start():
            self._do(Answer(event.leg, Joined(waiting=False)))
            self._start_session(event.at, person)
        else:
            self._do(Answer(event.leg, Joined(waiting=True)))
            self._let_wait(event.at, person)

    def _let_wait(self, at: float, person: Person) -> None:
        self._sync(person)
        self._music(person, on=True)
        first = sum(p.where is Where.WAITING for p in self._people.values()) == 1
        reason = _K.WAITING_FOR_HOST if self._rules.start == "on_host" else _K.WAITING_FOR_SECOND
        words = (phrase(_K.FIRST_IN),) if first else ()
        self._speech.tell(person, Subject.ENTRY, *words, phrase(reason))
        person.gives_up_at = at + self._rules.wait_limit_s
        self._timers.start(f"{_WAIT}:{person.leg}", self._rules.wait_limit_s)
        if not self._timers.runs(_STILL):
            self._timers.start(_STILL, self._times.still_s)

    def _may_start(self) -> bool:
        present = self._staying()
        if self._rules.start == "on_host":
            return any(p.role == "host" for p in present)
        return len(present) >= (2 if self._rules.start == "on_second" else 1)

    def _start_session(self, at: float, newcomer: Person | None) -> None:
        """Put those who wait together, and the one whose coming starts the conference."""
        self._state = ConferenceState.RUNNING
        self._started_at = at
        self._do(SessionStarted())
        self._timers.stop(_STILL)
        waiting = [
            p for p in self._people.values() if p.where is Where.WAITING and p is not newcomer
        ]
        for person in waiting:
            self._timers.stop(f"{_WAIT}:{person.leg}")
            self._to_room(person)
            person.forget(Subject.WAITING)
            self._speech.tell(person, Subject.START, phrase(_K.CONFERENCE_STARTS))
        if newcomer is not None:
            self._welcome(newcomer, waited=len(waiting))
        self._plan_end(at)

    def _welcome(self, person: Person, *, waited: int) -> None:
        words = welcome_sentence(person, others=self._room_size(), waited=waited)
        self._to_room(person)
        self._speech.tell(person, Subject.ENTRY, *words)

    def _host_is_back(self, person: Person) -> None:
        if person.role == "host" and self._timers.runs(_GRACE):
            self._timers.stop(_GRACE)
            self._tell_room(Subject.HOST, phrase(_K.HOST_RETURNED), but=person)

    def _too_late(self, event: Entered) -> None:
        self._do(Answer(event.leg, Ended()))

    # --- going out -----------------------------------------------------------------------------

    def _left(self, event: Left) -> None:
        person = self._remove(event.leg)
        if self._state is ConferenceState.CLOSING:
            self._finish_if_empty()
        elif person.where is Where.ROOM:
            self._room_left(person)
        elif self._state is ConferenceState.GATHERING and not self._waiting():
            self._timers.stop(_STILL)

    def _room_left(self, person: Person) -> None:
        if not self._room_size():
            # Those who are just being told goodbye, after waiting in vain, are still to go.
            self._close(SessionEnd.LAST_LEFT, EndCause.CONFERENCE_ENDED)
            return
        self._chime("exit")
        if self._rules.end == "host_leaves" and person.role == "host" and not self._hosts():
            minutes = max(1, ceil(self._rules.grace_s / 60))
            if self._rules.grace_s:
                self._timers.start(_GRACE, self._rules.grace_s)
                self._tell_room(Subject.HOST, phrase(_K.HOST_LEFT, minutes=minutes))
            else:
                self._host_gone()

    def _remove(self, leg: int) -> Person:
        person = self._people.pop(leg)
        self._timers.stop(f"{_WAIT}:{leg}", f"{SAY_TIMER}:{leg}")
        return person

    def _host_gone(self) -> None:
        self._close(SessionEnd.HOST_LEFT, EndCause.HOST_LEFT, phrase(_K.CONFERENCE_ENDED))

    # --- the end -------------------------------------------------------------------------------

    def _end_requested(self, event: EndRequested) -> None:
        if event.reason == "shutdown":
            self._hurry(event)
            for person in self._staying():
                self._speech.cut(person)
            self._close(SessionEnd.SHUTDOWN, EndCause.SHUTDOWN, phrase(_K.SERVICE_STOPS))
        else:
            ended = phrase(_K.CONFERENCE_ENDED)
            self._close(SessionEnd.ADMINISTRATOR, EndCause.ADMINISTRATOR, ended)

    def _hurry(self, event: EndRequested) -> None:
        """Hear again of an end that is under way: a shutdown cuts all but the last words."""
        if event.reason == "shutdown":
            for person in [p for p in self._people.values() if p.where is Where.PARTING]:
                self._cut_to_farewell(person)

    def _close(self, end: SessionEnd, cause: EndCause, *phrases: Phrase) -> None:
        """Tell everybody goodbye; the session ends when the last one is gone."""
        self._state = ConferenceState.CLOSING
        self._end = end
        self._timers.stop(_STILL, _CHIME, _LENGTH, _GRACE)
        for person in self._people.values():
            self._part(person, cause, *phrases)
        self._finish_if_empty()

    def _part(self, person: Person, cause: EndCause, *phrases: Phrase) -> None:
        if person.where is Where.PARTING:
            return
        person.where = Where.PARTING
        person.cause = cause
        self._timers.stop(f"{_WAIT}:{person.leg}")
        self._music(person, on=False)
        self._sync(person)
        person.forget()
        self._speech.tell(person, Subject.FAREWELL, *phrases, phrase(_K.GOODBYE))

    def _cut_to_farewell(self, person: Person) -> None:
        """Cut what somebody who is let go still hears, but not the last words."""
        if person.subject is not Subject.FAREWELL:
            self._speech.cut(person)
            self._go_on(person)

    def _let_go(self, person: Person) -> None:
        self._remove(person.leg)
        self._do(EndLeg(person.leg, person.cause))
        if self._state is ConferenceState.CLOSING:
            self._finish_if_empty()

    def _finish_if_empty(self) -> None:
        if not self._people:
            self._state = ConferenceState.OVER
            if self._started_at is not None:
                self._do(SessionEnded(self._end))

    # --- length --------------------------------------------------------------------------------

    def _plan_end(self, at: float) -> None:
        """Set the next of: a warning, the end. The length counts from the session's start."""
        self._timers.stop(_LENGTH)
        length = self._rules.max_length_s
        if length is None or self._started_at is None:
            self._ends_at = None
            return
        self._ends_at = self._started_at + length
        left = self._ends_at - at
        self._warnings = [w for w in self._times.warnings_s if w < left and 2 * w <= length]
        self._next_warning(at)

    def _next_warning(self, at: float) -> None:
        if self._ends_at is not None:
            due_at = self._ends_at - (self._warnings[0] if self._warnings else 0.0)
            self._timers.start(_LENGTH, max(0.0, due_at - at))

    def _length_timer(self, at: float) -> None:
        if not self._warnings:
            self._close(SessionEnd.TIME_LIMIT, EndCause.TIME_LIMIT, phrase(_K.TIME_IS_UP))
            return
        minutes = max(1, round(self._warnings.pop(0) / 60))
        self._tell_room(Subject.ENDING, phrase(_K.ENDING_SOON, minutes=minutes))
        self._next_warning(at)

    def _rules_changed(self, event: RulesChanged) -> None:
        before = self._rules
        self._rules = event.rules
        if self._state is ConferenceState.GATHERING and self._people and self._may_start():
            self._start_session(event.at, None)
        elif self._state is ConferenceState.RUNNING:
            if before.max_length_s != event.rules.max_length_s:
                self._plan_end(event.at)
            if event.rules.end == "last_leaves":
                self._timers.stop(_GRACE)

    def _maintenance_due(self, event: MaintenanceDue) -> None:
        """Warn the hosts that the service stops after this conference, or everybody at the last."""
        if event.everybody and event.minutes is not None:
            self._tell_room(Subject.ENDING, phrase(_K.ENDING_SOON, minutes=event.minutes))
            return
        words = [phrase(_K.MAINTENANCE_BEGINS)]
        if event.minutes is not None:
            words.append(phrase(_K.MAINTENANCE_WITHIN, minutes=event.minutes))
        for person in self._staying():
            if person.role == "host" and event.leg in {None, person.leg}:
                self._speech.tell(person, Subject.MAINTENANCE, *words)

    # --- timers --------------------------------------------------------------------------------

    def _timer(self, event: TimerFired) -> None:
        if not self._timers.fired(event.timer):
            return
        name, _, leg = event.timer.partition(":")
        if name == SAY_TIMER:
            self._say_overdue(self._people[int(leg)])
        elif name == _WAIT:
            self._waited_in_vain(self._people[int(leg)])
        elif name == _STILL:
            self._still_waiting(event.at)
        elif name == _CHIME:
            self._chime_again()
        elif name == _LENGTH:
            self._length_timer(event.at)
        else:
            self._host_gone()

    def _waited_in_vain(self, person: Person) -> None:
        if self._rules.start == "on_host":
            self._part(person, EndCause.HOST_NEVER_CAME, phrase(_K.HOST_DID_NOT_COME))
        else:
            self._part(person, EndCause.NOBODY_CAME, phrase(_K.NOBODY_CAME))
        if not self._waiting():
            self._timers.stop(_STILL)

    def _still_waiting(self, at: float) -> None:
        for person in self._waiting():
            # "Please hold on" just before "call again later" would be a mockery.
            if person.gives_up_at - at < self._times.still_s / 2:
                continue
            self._speech.tell(person, Subject.WAITING, phrase(_K.STILL_WAITING))
        self._timers.start(_STILL, self._times.still_s)

    # --- keys ----------------------------------------------------------------------------------

    def _digit(self, event: LegDigit) -> None:
        person = self._people[event.leg]
        if person.where is Where.PARTING:
            self._cut_to_farewell(person)
            return
        cut = person.play is not None and person.subject is not Subject.TONE
        if cut:
            self._speech.cut(person)
        pressed = person.keypad.press(event.at, event.digit, person.role)
        if pressed is Command.MUTE:
            self._toggle_mute(person)
        elif pressed is Command.COUNT:
            self._speech.answer(person, *count_sentence(self.census))
        elif pressed is Command.HELP:
            self._speech.answer(person, *keys_sentence(person))
        elif isinstance(pressed, Stray) and not cut and person.play is None:
            self._speech.tell(person, Subject.TONE, phrase(_K.TONE_BEEP))
        if person.play is None:
            self._speech.go_on(person)

    def _toggle_mute(self, person: Person) -> None:
        person.self_muted = not person.self_muted
        self._sync(person)
        if person.self_muted:
            self._speech.answer(person, phrase(_K.MUTED), phrase(_K.KEY_UNMUTE))
        else:
            self._speech.answer(person, phrase(_K.UNMUTED))

    # --- what is said --------------------------------------------------------------------------

    def _tell_room(self, subject: Subject, *phrases: Phrase, but: Person | None = None) -> None:
        """Tell everybody in the room, each in their own language and when their turn comes."""
        for person in self._people.values():
            if person.where is Where.ROOM and person is not but:
                self._speech.tell(person, subject, *phrases)

    def _prompt_done(self, event: LegPromptDone) -> None:
        person = self._people.get(event.leg)
        if person is not None and person.play == event.play:
            self._speech.ended(person)
            self._go_on(person)

    def _say_overdue(self, person: Person) -> None:
        self._speech.cut(person)
        self._go_on(person)

    def _go_on(self, person: Person) -> None:
        """Say what waits; let go who has heard the last words."""
        if not self._speech.go_on(person) and person.where is Where.PARTING:
            self._let_go(person)

    def _chime(self, sound: Literal["enter", "exit"]) -> None:
        if not self._rules.chimes:
            return
        if self._timers.runs(_CHIME):
            self._chime_due = sound
        else:
            self._do(Chime(sound))
            self._timers.start(_CHIME, self._times.chime_s)

    def _chime_again(self) -> None:
        """Sound once for all who came or went meanwhile."""
        sound = self._chime_due
        self._chime_due = None
        if sound is not None:
            self._chime(sound)

    # --- small steps ---------------------------------------------------------------------------

    def _to_room(self, person: Person) -> None:
        person.where = Where.ROOM
        self._music(person, on=False)
        self._sync(person)

    def _sync(self, person: Person) -> None:
        """Send a person's masks where they have changed."""
        now = person.masks
        if now != person.sent_masks:
            person.sent_masks = now
            self._do(Place(person.leg, now.in_room, now.speaks, now.hears))

    def _music(self, person: Person, *, on: bool) -> None:
        if person.music is not on:
            person.music = on
            self._do(Music(person.leg, on))

    def _room_size(self) -> int:
        return sum(p.where is Where.ROOM for p in self._people.values())

    def _staying(self) -> list[Person]:
        return [p for p in self._people.values() if p.where is not Where.PARTING]

    def _waiting(self) -> list[Person]:
        return [p for p in self._people.values() if p.where is Where.WAITING]

    def _hosts(self) -> list[Person]:
        return [p for p in self._people.values() if p.where is Where.ROOM and p.role == "host"]

    def _do(self, action: ConferenceAction) -> None:
        self._actions.append(action)

    # --- the table -----------------------------------------------------------------------------

    _TABLE: ClassVar[dict[ConferenceState, _Row]] = {
        ConferenceState.GATHERING: {
            Entered: _entered,
            Left: _left,
            LegDigit: _digit,
            LegPromptDone: _prompt_done,
            TimerFired: _timer,
            RulesChanged: _rules_changed,
            MaintenanceDue: _maintenance_due,
            EndRequested: _end_requested,
        },
        ConferenceState.RUNNING: {
            Entered: _entered,
            Left: _left,
            LegDigit: _digit,
            LegPromptDone: _prompt_done,
            TimerFired: _timer,
            RulesChanged: _rules_changed,
            MaintenanceDue: _maintenance_due,
            EndRequested: _end_requested,
        },
        ConferenceState.CLOSING: {
            Entered: _too_late,
            Left: _left,
            LegDigit: _digit,
            LegPromptDone: _prompt_done,
            TimerFired: _timer,
            RulesChanged: _rules_changed,
            MaintenanceDue: _maintenance_due,
            EndRequested: _hurry,
        },
        ConferenceState.OVER: {
            Entered: _too_late,
            LegPromptDone: _prompt_done,
            TimerFired: _timer,
            RulesChanged: _rules_changed,
            MaintenanceDue: _maintenance_due,
            EndRequested: _hurry,
        },
    }
