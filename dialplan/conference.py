"""The rules of a running conference: who is in, who waits, who hears what, and when it ends.

One `Conference` is the only authority on one conference. It takes events and gives back actions
(`dialplan.events`, `dialplan.actions`); it knows no socket, clock, database or sound. Here are its
states, comings, goings and the end; what people do by keys is in parts of their own:

============================ =====================================================================
`dialplan.microphones`       one's own mute, the host's, the mode; who speaks unheard is told
`dialplan.hands`             raised hands, and the floor
`dialplan.lobby`             waiting for the start; whether there is room for one more
`dialplan.length`            how long it may be, and the warnings before its end
`dialplan.door`              lock, waiting room, knocks; who was removed, who dropped and comes back
`dialplan.comings`           what the room hears when somebody comes or goes; who is alone
`dialplan.breakouts`         breakout rooms
`dialplan.dialogue`          one person's dialogue with the keypad; the end for all
`dialplan.entrance`          the spoken name
`dialplan.number_dialogues`  the host PIN, a number to call
`dialplan.roll_call`         the roll call, and whom to coach
`dialplan.room_commands`     which command each key gives, and what it does
============================ =====================================================================

States:

* `GATHERING`: nobody was put together yet. People come in and wait alone, with music, until the
  start rule is met; waiting is not talking, and no session is open. Whoever waits too long is told
  goodbye.
* `RUNNING`: the session is open; who comes in is in the room at once. A conference that ends with
  its host keeps a grace period after the last one left; one that goes on is opened and unlocked
  then, so that nobody is stranded.
* `CLOSING`: everybody hears last words, then is let go. Newcomers hear that it has just ended.
* `OVER`: nobody is left; the object has done its duty. A new one stands for what comes next.

Rules that hold in every state:

* A person is in exactly one place (`dialplan.floor.Where`), and what that person may do follows
  from `dialplan.floor.masks` alone.
* What is said to one is heard by nobody else. A prompt is cut by the listener's own key or by
  hanging up; the shutdown of the bridge alone cuts what is being said, to have time for goodbye.
  A key that has cut a prompt has done its work and is not called a stray one.
* The room hears tones or names only, merged when many come and go.
* Every prompt has a guard timer, so that nobody stays in a state whose end is a prompt's end.

An event that `_TABLE` lacks, or one about a leg that is not there, raises and changes nothing.
"""

from collections.abc import Callable
from enum import Enum
from math import ceil
from typing import Any, ClassVar, Final

from dialplan._sentences import welcome_sentence
from dialplan.actions import (
    Answer,
    ConferenceAction,
    EndLeg,
    Promotion,
    RoleChanged,
    SessionEnded,
    SessionStarted,
)
from dialplan.breakouts import RECALL_TIMER, Breakouts
from dialplan.causes import EndCause, SessionEnd
from dialplan.comings import ALONE_TIMER, CHIME_TIMER, NAMES_TIMER, Comings
from dialplan.dialogue import DIALOGUE_TIMER
from dialplan.door import ANSWER_TIMER, KNOCK_TIMER, Door
from dialplan.entrance import Entrance
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
from dialplan.hands import Hands
from dialplan.hours import closed_for
from dialplan.keypad import KEY_MAP, Command, KeyMap
from dialplan.length import LENGTH_TIMER, Length
from dialplan.lobby import STILL_TIMER, WAIT_TIMER, Lobby
from dialplan.meeting import ConferenceTimes, ConferenceView, Meeting
from dialplan.microphones import UNHEARD_TIMER, Microphones
from dialplan.people import Census, Person, PersonView
from dialplan.phrases import Phrase, PhraseKey, phrase
from dialplan.room_commands import ORDERS, OrderEvent, RoomCommands
from dialplan.rules import ConferenceRules
from dialplan.speech import SAY_TIMER, Subject

__all__ = ["Conference", "ConferenceState", "ConferenceTimes"]

_K = PhraseKey

_GRACE: Final = "grace"


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
        keys: The key map.
    """

    def __init__(
        self,
        rules: ConferenceRules,
        times: ConferenceTimes | None = None,
        keys: KeyMap = KEY_MAP,
    ) -> None:
        self._meeting = Meeting(rules, ConferenceTimes() if times is None else times, keys)
        self._meeting.dismiss = self._part
        self._meeting.promote = self._promote
        self._meeting.end_for_all = self._end_for_all
        self._state = ConferenceState.GATHERING
        self._hands = Hands(self._meeting)
        self._microphones = Microphones(self._meeting, self._hands)
        self._comings = Comings(self._meeting)
        self._door = Door(self._meeting, self._go_in)
        self._breakouts = Breakouts(self._meeting)
        self._commands = RoomCommands(
            self._meeting,
            self._hands,
            self._microphones,
            self._comings,
            self._door,
            self._breakouts,
        )
        self._lobby = Lobby(self._meeting)
        self._length = Length(self._meeting)
        self._arrivals = 0
        self._unanswered: set[int] = set()
        self._started_at: float | None = None
        self._end = SessionEnd.LAST_LEFT
        self._on_timer: dict[str, Callable[[], None]] = {
            STILL_TIMER: self._lobby.remind,
            LENGTH_TIMER: self._length_timer,
            _GRACE: self._host_gone,
            ALONE_TIMER: self._comings.alone,
            CHIME_TIMER: self._comings.chime_again,
            NAMES_TIMER: self._comings.say_names,
            KNOCK_TIMER: self._door.remind,
            RECALL_TIMER: self._breakouts.close,
        }
        self._on_timer_of: dict[str, Callable[[Person], None]] = {
            SAY_TIMER: self._say_overdue,
            WAIT_TIMER: self._lobby.waited_in_vain,
            ANSWER_TIMER: self._door.unanswered,
            UNHEARD_TIMER: self._microphones.unheard,
            DIALOGUE_TIMER: self._commands.dialogue_timer,
        }

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
        return not self._meeting.people

    @property
    def rules(self) -> ConferenceRules:
        """The rules in force."""
        return self._meeting.rules

    @property
    def timers(self) -> frozenset[str]:
        """Names of the timers that run."""
        return self._meeting.timers.running

    @property
    def census(self) -> Census:
        """How many people there are; those who are being told goodbye count nowhere."""
        return self._meeting.census

    def people(self) -> tuple[PersonView, ...]:
        """List everybody, in the order of coming in."""
        return tuple(self._meeting.views())

    def view(self) -> ConferenceView:
        """Describe the room."""
        return self._meeting.view()

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
        people = self._meeting.people
        if isinstance(event, Entered) and event.leg in people:
            raise UnknownLegError("conference", self._state.name, "a second Entered")
        if isinstance(event, Left | LegDigit) and event.leg not in people:
            raise UnknownLegError("conference", self._state.name, type(event).__name__)
        self._meeting.actions = []
        self._meeting.now = event.at
        handler(self, event)
        return self._meeting.actions

    # --- coming in -----------------------------------------------------------------------------

    def _entered(self, event: Entered) -> None:
        running = self._state is ConferenceState.RUNNING
        closed = closed_for(self.rules, event.role, event.wall, running=running)
        if closed is not None:
            self._meeting.do(Answer(event.leg, closed))
        elif self._lobby.is_full(event.role):
            self._meeting.do(Answer(event.leg, Full()))
        else:
            self._let_in(event)

    def _let_in(self, event: Entered) -> None:
        self._arrivals += 1
        person = Person(
            event.leg, event.role, self._arrivals, self._meeting.keys, event.caller, event.pin
        )
        self._meeting.people[event.leg] = person
        self._unanswered.add(event.leg)
        if event.invited:
            self._go_in(person)
        elif self.rules.names == "none" or self._door.has_place(person):
            self._arrive(person)
        else:
            person.where = Where.ENTRANCE
            self._answer_join(person, waiting=True)
            self._meeting.sync(person)
            Entrance(self._meeting, person, self._arrive).open()

    def _arrive(self, person: Person) -> None:
        """Let somebody knock, or go in."""
        if self._door.keeps_out(person):
            self._answer_join(person, waiting=True)
            self._door.knock(person)
        else:
            self._go_in(person)

    def _go_in(self, person: Person) -> None:
        """Let somebody into the room, or wait for the start."""
        person.where = Where.WAITING
        if self._state is ConferenceState.RUNNING:
            self._answer_join(person, waiting=False)
            self._come_into_room(person)
        elif self._lobby.may_start():
            self._answer_join(person, waiting=False)
            self._start_session(person)
        else:
            self._answer_join(person, waiting=True)
            self._lobby.let_wait(person)

    def _answer_join(self, person: Person, *, waiting: bool) -> None:
        if person.leg in self._unanswered:
            self._unanswered.discard(person.leg)
            self._meeting.do(Answer(person.leg, Joined(waiting=waiting)))

    def _start_session(self, newcomer: Person | None) -> None:
        """Put those who wait together, and the one whose coming starts the conference."""
        meeting = self._meeting
        self._state = ConferenceState.RUNNING
        self._started_at = meeting.now
        self._meeting.do(SessionStarted())
        meeting.timers.stop(STILL_TIMER)
        waiting = [person for person in meeting.at(Where.WAITING) if person is not newcomer]
        for person in waiting:
            meeting.timers.stop(f"{WAIT_TIMER}:{person.leg}")
            self._to_room(person)
            person.forget(Subject.WAITING)
            meeting.tell(person, Subject.START, phrase(_K.CONFERENCE_STARTS))
        if newcomer is not None:
            self._welcome(newcomer, waited=len(waiting))
        for person in meeting.hosts:
            self._door.host_came(person)
        self._length.plan(self._started_at)
        self._comings.watch_alone()

    def _come_into_room(self, person: Person) -> None:
        """Bring somebody into a room that talks: to their place if they have one."""
        kept = self._door.give_place_back(person)
        self._welcome(person, waited=0)
        if kept is not None and kept.hand is not None:
            self._hands.raise_(person, kept.hand)
        if self._meeting.room_size > 1:
            self._comings.came(person)
        self._host_is_here(person)
        self._comings.watch_alone()

    def _welcome(self, person: Person, *, waited: int) -> None:
        words = welcome_sentence(person, others=self._meeting.room_size, waited=waited)
        unheard = self._microphones.came(person)
        room = self._breakouts.came(person)
        self._to_room(person)
        self._meeting.tell(person, Subject.ENTRY, *words, *room, *unheard)

    def _host_is_here(self, person: Person) -> None:
        if person.role != "host":
            return
        if self._meeting.timers.runs(_GRACE):
            self._meeting.timers.stop(_GRACE)
            self._meeting.tell_room(Subject.HOST, phrase(_K.HOST_RETURNED), but=person)
        self._door.host_came(person)

    def _promote(self, person: Person, how: Promotion) -> None:
        """Make somebody host, who is told, and has the keys from now on."""
        meeting = self._meeting
        person.role = "host"
        person.host_muted = False
        self._meeting.do(RoleChanged(person.leg, how))
        meeting.sync(person)
        words = (phrase(_K.NOW_HOST), *meeting.key(Command.HELP, _K.KEY_HELP))
        meeting.tell(person, Subject.TURN, *words)
        if person.where is Where.KNOCKING:
            self._door.admit(person)
        elif person.where is Where.ROOM:
            self._host_is_here(person)
        elif self._state is ConferenceState.GATHERING and self._lobby.may_start():
            self._start_session(None)

    def _too_late(self, event: Entered) -> None:
        self._meeting.do(Answer(event.leg, Ended()))

    # --- going out -----------------------------------------------------------------------------

    def _left(self, event: Left) -> None:
        person = self._remove(event.leg)
        dialogue, person.dialogue = person.dialogue, None
        if dialogue is not None:
            dialogue.abandoned()
        if self._state is ConferenceState.CLOSING:
            self._finish_if_empty()
        elif self._state is ConferenceState.RUNNING:
            if person.where is Where.ROOM:
                self._out_of_room(person)
            else:
                self._close_if_nobody_is_left()
        elif not self._meeting.at(Where.WAITING):
            self._meeting.timers.stop(STILL_TIMER)

    def _out_of_room(self, person: Person) -> None:
        """Do what follows from somebody not being in the room any more."""
        meeting = self._meeting
        host_left = person.role == "host" and not meeting.hosts
        if host_left:
            self._door.no_host_left()
            self._breakouts.no_host_left()
        if self._close_if_nobody_is_left():
            return
        self._comings.went(person)
        if host_left and self.rules.end == "host_leaves":
            minutes = max(1, ceil(self.rules.grace_s / 60))
            if self.rules.grace_s:
                meeting.timers.start(_GRACE, self.rules.grace_s)
                meeting.tell_room(Subject.HOST, phrase(_K.HOST_LEFT, minutes=minutes))
            else:
                self._host_gone()
                return
        elif host_left:
            self._microphones.lift()
        self._comings.watch_alone()

    def _close_if_nobody_is_left(self) -> bool:
        """End a conference whose room is empty, unless somebody is on the way in."""
        inside = {Where.ROOM, Where.ENTRANCE, Where.KNOCKING}
        if any(person.where in inside for person in self._meeting.people.values()):
            return False
        # Those who are just being told goodbye, after waiting in vain, are still to go.
        self._close(SessionEnd.LAST_LEFT, EndCause.CONFERENCE_ENDED)
        return True

    def _remove(self, leg: int) -> Person:
        """Take somebody off every list."""
        meeting = self._meeting
        person = meeting.people.pop(leg)
        self._unanswered.discard(leg)
        meeting.timers.stop(f"{WAIT_TIMER}:{leg}", f"{SAY_TIMER}:{leg}")
        self._forget(person)
        return person

    def _forget(self, person: Person) -> None:
        """Let everybody's business with somebody who is gone, or as good as gone, be over."""
        self._door.left(person)
        self._hands.left(person)
        self._microphones.left(person)
        for other in list(self._meeting.people.values()):
            if other.whispers_to == person.leg:
                self._commands.end_coaching(other, phrase(_K.ROLL_GONE))
            if other.dialogue is not None and other is not person:
                other.dialogue.left(person)

    def _host_gone(self) -> None:
        self._close(SessionEnd.HOST_LEFT, EndCause.HOST_LEFT, phrase(_K.CONFERENCE_ENDED))

    # --- the end -------------------------------------------------------------------------------

    def _end_requested(self, event: EndRequested) -> None:
        if event.reason == "shutdown":
            self._hurry(event)
            for person in self._meeting.staying:
                self._meeting.speech.cut(person)
            self._close(SessionEnd.SHUTDOWN, EndCause.SHUTDOWN, phrase(_K.SERVICE_STOPS))
        else:
            ended = phrase(_K.CONFERENCE_ENDED)
            self._close(SessionEnd.ADMINISTRATOR, EndCause.ADMINISTRATOR, ended)

    def _end_for_all(self) -> None:
        if self._state is ConferenceState.RUNNING:
            ended = phrase(_K.CONFERENCE_ENDED)
            self._close(SessionEnd.HOST_ENDED, EndCause.HOST_ENDED, ended)

    def _hurry(self, event: EndRequested) -> None:
        """Hear again of an end that is under way: a shutdown cuts all but the last words."""
        if event.reason == "shutdown":
            for person in self._meeting.at(Where.PARTING):
                self._cut_to_farewell(person)

    def _close(self, end: SessionEnd, cause: EndCause, *phrases: Phrase) -> None:
        """Tell everybody goodbye; the session ends when the last one is gone."""
        self._state = ConferenceState.CLOSING
        self._end = end
        self._comings.stop()
        self._meeting.timers.stop(STILL_TIMER, LENGTH_TIMER, _GRACE, KNOCK_TIMER, RECALL_TIMER)
        for person in list(self._meeting.people.values()):
            self._part(person, cause, *phrases)
        self._finish_if_empty()

    def _part(self, person: Person, cause: EndCause, *phrases: Phrase) -> None:
        """Tell somebody last words, then let them go."""
        if person.where is Where.PARTING:
            return
        meeting = self._meeting
        was_in_room = person.where is Where.ROOM
        person.where = Where.PARTING
        person.cause = cause
        person.whispers_to = None
        self._answer_join(person, waiting=True)
        meeting.timers.stop(f"{WAIT_TIMER}:{person.leg}", f"{ANSWER_TIMER}:{person.leg}")
        if person.dialogue is not None:
            person.dialogue.abandoned()
        meeting.music(person, on=False)
        meeting.sync(person)
        person.forget()
        meeting.speech.tell(person, Subject.FAREWELL, *phrases, phrase(_K.GOODBYE))
        if self._state is ConferenceState.RUNNING:
            self._forget(person)
            if was_in_room:
                self._out_of_room(person)
            else:
                self._close_if_nobody_is_left()

    def _cut_to_farewell(self, person: Person) -> None:
        """Cut what somebody who is let go still hears, but not the last words."""
        if person.subject is not Subject.FAREWELL:
            self._meeting.speech.cut(person)
            self._go_on(person)

    def _let_go(self, person: Person) -> None:
        self._remove(person.leg)
        self._meeting.do(EndLeg(person.leg, person.cause))
        if self._state is ConferenceState.CLOSING:
            self._finish_if_empty()

    def _finish_if_empty(self) -> None:
        if not self._meeting.people:
            self._state = ConferenceState.OVER
            if self._started_at is not None:
                self._meeting.do(SessionEnded(self._end))

    def _rules_changed(self, event: RulesChanged) -> None:
        before = self.rules
        self._meeting.rules = event.rules
        if before.chimes != event.rules.chimes:
            self._meeting.sounds = "chime" if event.rules.chimes else "off"
        gathering = self._state is ConferenceState.GATHERING
        if gathering and self._meeting.at(Where.WAITING) and self._lobby.may_start():
            self._start_session(None)
        elif self._state is ConferenceState.RUNNING:
            if before.max_length_s != event.rules.max_length_s:
                self._length.plan(self._started_at)
            if event.rules.end == "last_leaves" and self._meeting.timers.runs(_GRACE):
                self._meeting.timers.stop(_GRACE)
                self._microphones.lift()
        if before.waiting_room and not event.rules.waiting_room:
            self._door.look_again()

    def _length_timer(self) -> None:
        if self._length.is_up():
            self._close(SessionEnd.TIME_LIMIT, EndCause.TIME_LIMIT, phrase(_K.TIME_IS_UP))

    # --- timers --------------------------------------------------------------------------------

    def _timer(self, event: TimerFired) -> None:
        if not self._meeting.timers.fired(event.timer):
            return
        name, _, leg = event.timer.partition(":")
        if leg:
            self._on_timer_of[name](self._meeting.people[int(leg)])
        else:
            self._on_timer[name]()

    # --- keys and answers ----------------------------------------------------------------------

    def _digit(self, event: LegDigit) -> None:
        meeting = self._meeting
        person = meeting.people[event.leg]
        if person.where is Where.PARTING:
            self._cut_to_farewell(person)
            return
        subject = person.subject
        cut = person.play is not None and subject is not Subject.TONE
        if cut:
            meeting.speech.cut(person)
            self._heard(person, subject)
        self._press(person, event.digit, cut=cut)
        if person.play is None and event.leg in meeting.people:
            self._go_on(person)

    def _press(self, person: Person, key: str, *, cut: bool) -> None:
        """Give a key to whom it belongs: the number before, the dialogue, a question, the map."""
        now = self._meeting.now
        if person.entry is not None and person.entry.swallows(now, key):
            return
        if person.dialogue is not None:
            person.dialogue.press(key)
        elif (
            person.role != "host" or person.keypad.awaits(now) or not self._door.takes(person, key)
        ):
            self._commands.press(person, key, cut=cut)

    def _take(self, event: OrderEvent) -> None:
        """Hand on what is no key: speech, answers to questions, orders from outside."""
        self._commands.take(event)

    def _ignored(self, event: ConferenceEvent) -> None:
        """Let an answer be that has come too late."""

    # --- what is said --------------------------------------------------------------------------

    def _prompt_done(self, event: LegPromptDone) -> None:
        person = self._meeting.people.get(event.leg)
        if person is not None and person.play == event.play:
            self._said(person)

    def _say_overdue(self, person: Person) -> None:
        subject = person.subject
        self._meeting.speech.cut(person)
        self._after(person, subject)

    def _said(self, person: Person) -> None:
        subject = person.subject
        self._meeting.speech.ended(person)
        self._after(person, subject)

    def _after(self, person: Person, subject: Subject | None) -> None:
        self._heard(person, subject)
        if subject is Subject.DIALOGUE and person.dialogue is not None:
            person.dialogue.said()
        if person.play is None:
            self._go_on(person)

    def _heard(self, person: Person, subject: Subject | None) -> None:
        """Do what had to wait until somebody had been told, by the end of it or by their key."""
        if subject is Subject.TURN:
            self._hands.told(person)
        elif subject is Subject.QUESTION:
            self._door.asked(person)

    def _go_on(self, person: Person) -> None:
        """Say what waits; let go who has heard the last words."""
        if not self._meeting.speech.go_on(person) and person.where is Where.PARTING:
            self._let_go(person)

    # --- small steps ---------------------------------------------------------------------------

    def _to_room(self, person: Person) -> None:
        person.where = Where.ROOM
        self._meeting.music(person, on=False)
        self._meeting.sync(person)

    # --- the table -----------------------------------------------------------------------------

    _ALWAYS: ClassVar[_Row] = {
        LegPromptDone: _prompt_done,
        TimerFired: _timer,
        RulesChanged: _rules_changed,
        MaintenanceDue: _take,
    }
    _OPEN: ClassVar[_Row] = {
        Entered: _entered,
        Left: _left,
        LegDigit: _digit,
        EndRequested: _end_requested,
        **dict.fromkeys(ORDERS, _take),
        **_ALWAYS,
    }
    _TABLE: ClassVar[dict[ConferenceState, _Row]] = {
        ConferenceState.GATHERING: _OPEN,
        ConferenceState.RUNNING: _OPEN,
        ConferenceState.CLOSING: {
            Entered: _too_late,
            Left: _left,
            LegDigit: _digit,
            EndRequested: _hurry,
            **dict.fromkeys(ORDERS, _ignored),
            **_ALWAYS,
        },
        ConferenceState.OVER: {
            Entered: _too_late,
            EndRequested: _hurry,
            **dict.fromkeys(ORDERS, _ignored),
            **_ALWAYS,
        },
    }
