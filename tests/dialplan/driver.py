"""Shells for tests: they carry out actions on a clock of their own and check what must always hold.

`CallDriver` drives a `CallFlow`, `RoomDriver` a `Conference`. Both keep the promises that
`dialplan.events` lists (timers, the end of each prompt), so that a test reads as a story.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from dialplan.actions import (
    Answer,
    CallAction,
    CheckHostPin,
    CheckPin,
    Chime,
    ConferenceAction,
    DialOut,
    EndLeg,
    HangUp,
    Join,
    Leave,
    Music,
    PassDigit,
    Place,
    Play,
    RecordName,
    RecordRefusal,
    RoleChanged,
    Say,
    SessionEnded,
    SessionStarted,
    StartTimer,
    StopName,
    StopPlay,
    StopSay,
    StopTimer,
    Volume,
)
from dialplan.call_flow import CallFlow, FlowState, FlowTimes
from dialplan.causes import EndCause, Refusal, SessionEnd
from dialplan.conference import Conference, ConferenceState, ConferenceTimes
from dialplan.events import (
    Answered,
    CallEvent,
    ConferenceEvent,
    Digit,
    Entered,
    HungUp,
    JoinAnswered,
    JoinOutcome,
    Left,
    LegDigit,
    LegPromptDone,
    MediaStarted,
    NameRecorded,
    NumberInfo,
    PinChecked,
    PinResult,
    PromptDone,
    Released,
    Speaking,
    TimerFired,
)
from dialplan.floor import Where
from dialplan.people import PersonView
from dialplan.phrases import Phrase, PhraseKey
from dialplan.rules import ConferenceRules, Role

WALL = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


QUIET = ConferenceRules(chimes=False)


class Clock:
    """Time and named timers, as the event loop would have them."""

    def __init__(self) -> None:
        self.now = 100.0
        self.due: dict[str, float] = {}

    def next_due(self, until: float) -> str | None:
        """Take the next timer that runs out not later than `until`, and go there."""
        due = [(at, name) for name, at in self.due.items() if at <= until]
        if not due:
            self.now = max(self.now, until)
            return None
        at, name = min(due)
        del self.due[name]
        self.now = max(self.now, at)
        return name


class CallDriver:
    """Drives a call flow.

    Args:
        number: The number dialled.
        caller_key: Pseudonym of the asserted caller, if any.
        times: Other times for the flow.
    """

    def __init__(
        self,
        number: NumberInfo | None = None,
        caller_key: str | None = None,
        times: FlowTimes | None = None,
    ) -> None:
        self.flow = CallFlow(times)
        self.clock = Clock()
        self.number = NumberInfo("1000") if number is None else number
        self.caller_key = caller_key
        self.playing: Play | None = None
        self.last_play = 0
        self.heard: list[PhraseKey] = []
        self.asked: CheckPin | None = None
        self.checks: list[CheckPin] = []
        self.join: Join | None = None
        self.joins: list[Join] = []
        self.inside = False
        self.left = 0
        self.passed = ""
        self.refusals: list[Refusal] = []
        self.hung_up: EndCause | None = None

    # --- what happens to the caller ------------------------------------------------------------

    def answer(self) -> "CallDriver":
        """Answer, cut through, and wait until the greeting begins."""
        self.send(Answered(self.clock.now, self.number, self.caller_key))
        self.send(MediaStarted(self.clock.now))
        self.wait(0.45)
        return self

    def press(self, keys: str, gap_s: float = 0.2) -> "CallDriver":
        """Press keys, one every `gap_s`."""
        for key in keys:
            self.wait(gap_s)
            self.send(Digit(self.clock.now, key))
        return self

    def hear_out(self, seconds: float = 2.0) -> "CallDriver":
        """Listen to the end of the prompt that runs."""
        assert self.playing is not None, "nothing is being said"
        play = self.playing.play
        self.wait(seconds)
        self.send(PromptDone(self.clock.now, play))
        return self

    def found(self, result: PinResult, delay_s: float = 0.0) -> "CallDriver":
        """Answer the look-up that is under way."""
        assert self.asked is not None, "no PIN is being looked up"
        asked, self.asked = self.asked, None
        self.send(PinChecked(self.clock.now, asked.query, result, delay_s))
        return self

    def joined(self, outcome: JoinOutcome) -> "CallDriver":
        """Answer for the conference."""
        assert self.join is not None, "no conference has been asked"
        self.join = None
        self.inside = type(outcome).__name__ == "Joined"
        self.send(JoinAnswered(self.clock.now, outcome))
        return self

    def hang_up(self) -> "CallDriver":
        """Hang up, as the caller."""
        self.send(HungUp(self.clock.now))
        return self

    def wait(self, seconds: float) -> "CallDriver":
        """Let time pass; timers run out on the way."""
        until = self.clock.now + seconds
        while (name := self.clock.next_due(until)) is not None:
            self.send(TimerFired(self.clock.now, name))
        return self

    # --- the shell -----------------------------------------------------------------------------

    def send(self, event: CallEvent) -> list[CallAction]:
        """Deliver an event, carry the actions out and check what must always hold."""
        actions = self.flow.handle(event)
        if isinstance(event, PromptDone) and self.playing and self.playing.play == event.play:
            self.playing = None
        if isinstance(event, Released):
            self.inside = False
        for action in actions:
            self._carry_out(action)
        self._check()
        return actions

    def _carry_out(self, action: CallAction) -> None:  # noqa: C901 - one arm an action
        match action:
            case Play():
                assert self.playing is None, "two prompts at once"
                assert action.play == self.last_play + 1
                self.playing, self.last_play = action, action.play
                self.heard += [said.key for said in action.phrases]
            case StopPlay():
                assert self.playing is not None
                assert action.play == self.playing.play
                self.playing = None
            case StartTimer():
                assert action.seconds >= 0.0
                self.clock.due[action.timer] = self.clock.now + action.seconds
            case StopTimer():
                assert action.timer in self.clock.due
                del self.clock.due[action.timer]
            case CheckPin():
                assert self.asked is None, "two look-ups in flight"
                self.asked = action
                self.checks.append(action)
            case Join():
                assert self.join is None
                assert not self.inside
                self.join = action
                self.joins.append(action)
            case PassDigit():
                assert self.inside
                self.passed += action.digit
            case Leave():
                self.inside = False
                self.join = None
                self.left += 1
            case HangUp():
                assert self.hung_up is None, "hung up twice"
                self.hung_up = action.cause
            case RecordRefusal():
                self.refusals.append(action.reason)

    def _check(self) -> None:
        assert self.flow.timers == frozenset(self.clock.due)
        assert self.flow.playing == (None if self.playing is None else self.playing.play)
        state = self.flow.state
        if state is FlowState.ENDED:
            assert self.playing is None
            assert not self.clock.due
            assert not self.inside
        elif state is FlowState.IN_CONFERENCE:
            assert self.inside
            assert not self.clock.due
            assert self.playing is None
        elif state is not FlowState.NEW:
            waits = frozenset(self.clock.due) - {"patience"}
            assert waits, f"{state} waits for nothing"
            assert self.hung_up is None


class RoomDriver:
    """Drives a conference.

    Args:
        rules: Of the conference.
        times: Other times; by default those of a bridge, but nobody is told of being alone, which
            would come between in every story of one.
    """

    def __init__(
        self, rules: ConferenceRules | None = None, times: ConferenceTimes | None = None
    ) -> None:
        self.room = Conference(
            ConferenceRules() if rules is None else rules,
            ConferenceTimes(alone_s=10.0**9) if times is None else times,
        )
        self.clock = Clock()
        self.wall = WALL - timedelta(seconds=self.clock.now)
        self.legs = 0
        self.answers: dict[int, JoinOutcome] = {}
        self.present: set[int] = set()
        self.places: dict[int, Place] = {}
        self.saying: dict[int, Say] = {}
        self.heard: dict[int, list[Phrase]] = {}
        self.music: set[int] = set()
        self.chimes: list[tuple[float, str]] = []
        self.ended: dict[int, EndCause] = {}
        self.sessions = 0
        self.session_end: SessionEnd | None = None
        self.volumes: dict[int, float] = {}
        self.recording: set[int] = set()
        self.checking: CheckHostPin | None = None
        self.dialled: list[DialOut] = []
        self.promoted: list[RoleChanged] = []

    # --- what happens --------------------------------------------------------------------------

    def enter(
        self,
        role: Role = "guest",
        caller: str | None = None,
        *,
        pin: str | None = None,
        invited: bool = False,
    ) -> int:
        """Let somebody with a right PIN ask to come in."""
        self.legs += 1
        leg = self.legs
        pin = role if pin is None else pin
        self.send(Entered(self.clock.now, leg, role, self.now_wall(), caller, pin, invited))
        return leg

    def speak(self, leg: int, seconds: float) -> None:
        """Speak for so long."""
        self.send(Speaking(self.clock.now, leg, talking=True))
        self.wait(seconds)
        self.send(Speaking(self.clock.now, leg, talking=False))

    def name(self, leg: int, seconds: float = 1.0) -> None:
        """Say a name of this length after the tone."""
        self.hear_out(leg)
        assert leg in self.recording
        self.press(leg, "#")
        self.send(NameRecorded(self.clock.now, leg, seconds))

    def person(self, leg: int) -> PersonView:
        """Look at somebody."""
        return next(person for person in self.room.people() if person.leg == leg)

    def leave(self, leg: int) -> None:
        """Hang up, as this caller."""
        self._gone(leg)
        self.send(Left(self.clock.now, leg))

    def press(self, leg: int, keys: str, gap_s: float = 0.2) -> None:
        """Press keys, one every `gap_s`."""
        for key in keys:
            self.wait(gap_s)
            self.send(LegDigit(self.clock.now, leg, key))

    def hear_out(self, *legs: int) -> None:
        """Listen to everything that is being said to these legs, or to all."""
        for leg in legs or tuple(self.saying):
            while leg in self.saying:
                self.send(LegPromptDone(self.clock.now, leg, self.saying[leg].play))

    def wait(self, seconds: float) -> None:
        """Let time pass; timers run out on the way."""
        until = self.clock.now + seconds
        while (name := self.clock.next_due(until)) is not None:
            self.send(TimerFired(self.clock.now, name))

    def now_wall(self) -> datetime:
        """Tell the time of day."""
        return self.wall + timedelta(seconds=self.clock.now)

    def keys_heard(self, leg: int) -> list[PhraseKey]:
        """List what has been said to a leg since it was last asked."""
        return [said.key for said in self.heard.pop(leg, [])]

    def in_room(self) -> set[int]:
        """Name the legs that the mixer has in the room."""
        return {leg for leg, place in self.places.items() if place.in_room}

    # --- the shell -----------------------------------------------------------------------------

    def send(self, event: ConferenceEvent) -> list[ConferenceAction]:
        """Deliver an event, carry the actions out and check what must always hold."""
        actions = self.room.handle(event)
        if isinstance(event, LegPromptDone):
            done = self.saying.get(event.leg)
            if done is not None and done.play == event.play:
                del self.saying[event.leg]
        for action in actions:
            self._carry_out(action)
        self._check()
        return actions

    def _carry_out(self, action: ConferenceAction) -> None:  # noqa: C901, PLR0912, PLR0915 - one arm an action
        match action:
            case Answer():
                assert action.leg not in self.answers, "answered twice"
                self.answers[action.leg] = action.outcome
                if type(action.outcome).__name__ == "Joined":
                    self.present.add(action.leg)
            case Place():
                assert action.leg in self.present
                assert self.sessions or not action.in_room, "in the room before the session"
                assert self.places.get(action.leg) != action, "the same masks sent twice"
                self.places[action.leg] = action
            case Say():
                assert action.leg in self.present
                assert action.leg not in self.saying, "two prompts at once"
                assert action.phrases
                self.saying[action.leg] = action
                self.heard.setdefault(action.leg, []).extend(action.phrases)
            case StopSay():
                assert self.saying.pop(action.leg).play == action.play
            case Volume():
                self.volumes[action.leg] = action.gain_db
            case RecordName():
                assert action.leg not in self.saying, "recorded over a prompt"
                self.recording.add(action.leg)
            case StopName():
                self.recording.discard(action.leg)
            case CheckHostPin():
                self.checking = action
            case DialOut():
                self.dialled.append(action)
            case RoleChanged():
                self.promoted.append(action)
            case Chime():
                self.chimes.append((self.clock.now, action.sound))
            case Music():
                assert (action.leg in self.music) is not action.on
                (self.music.add if action.on else self.music.remove)(action.leg)
            case EndLeg():
                assert action.leg not in self.saying, "let go in mid-sentence"
                self.ended[action.leg] = action.cause
                self._gone(action.leg)
            case StartTimer():
                assert action.seconds >= 0.0
                self.clock.due[action.timer] = self.clock.now + action.seconds
            case StopTimer():
                assert action.timer in self.clock.due
                del self.clock.due[action.timer]
            case SessionStarted():
                self.sessions += 1
                assert self.sessions == 1
            case SessionEnded():
                assert self.sessions == 1
                assert self.session_end is None
                assert not self.present
                self.session_end = action.reason

    def _gone(self, leg: int) -> None:
        self.present.discard(leg)
        self.places.pop(leg, None)
        self.saying.pop(leg, None)
        self.music.discard(leg)
        self.recording.discard(leg)

    def _check(self) -> None:
        room = self.room
        assert room.timers == frozenset(self.clock.due)
        people = room.people()
        assert {p.leg for p in people} == self.present
        assert len(people) == len(self.present), "somebody is in two places"
        for person in people:
            self._check_person(person.leg, person.where, speaks=person.speaks)
        census = room.census
        places = {where: sum(p.where is where for p in people) for where in Where}
        outside = (Where.WAITING, Where.KNOCKING, Where.ENTRANCE)
        assert census.speakers + census.listeners == places[Where.ROOM]
        assert census.waiting == sum(places[where] for where in outside)
        here = (Where.ROOM, Where.ENTRANCE, Where.KNOCKING)
        if self.sessions and not any(places[where] for where in here):
            assert room.state in {ConferenceState.CLOSING, ConferenceState.OVER}
        self._check_room(people)
        if room.over:
            assert not people
            assert not self.clock.due

    def _check_room(self, people: tuple[PersonView, ...]) -> None:
        """See that nothing stays that only a host could undo when there is none."""
        view = self.room.view()
        inside = [person for person in people if person.where is Where.ROOM]
        hands = [person for person in inside if person.hand is not None]
        in_line = sorted(hands, key=lambda person: person.hand or 0)
        assert view.hands == tuple(person.leg for person in in_line)
        assert [person.hand for person in in_line] == list(range(1, len(hands) + 1))
        assert all(0 <= person.group <= view.breakouts for person in inside)
        if self.room.state is not ConferenceState.RUNNING:
            return
        if not any(person.role == "host" for person in inside):
            assert not view.locked, "locked, and nobody could unlock it"
            if "grace" not in self.clock.due:
                stranded = [p.leg for p in inside if not p.speaks and not p.self_muted]
                assert not stranded, "muted, and nobody could lift it"
        for person in inside:
            if person.coaching is not None:
                assert person.role == "host"
                assert person.coaching in {other.leg for other in inside}

    def _check_person(self, leg: int, where: Where, *, speaks: bool) -> None:
        place = self.places[leg]
        assert place.in_room is (where is Where.ROOM)
        assert place.speaks is speaks
        outside = where in {Where.WAITING, Where.KNOCKING}
        assert (leg in self.music) is outside or len(self.in_room()) == 1
        if outside:
            assert f"wait:{leg}" in self.clock.due
        if where is Where.ENTRANCE:
            assert leg in self.saying or f"dialogue:{leg}" in self.clock.due
        if where is Where.PARTING:
            assert leg in self.saying, "parting, and nothing is being said"
        if leg in self.saying:
            assert f"say:{leg}" in self.clock.due


def talking(*roles: str, rules: ConferenceRules = QUIET) -> tuple[RoomDriver, list[int]]:
    """Bring people into a running conference; everything said on the way in has been heard."""
    room = RoomDriver(rules)
    legs = [room.enter("host" if role == "host" else "guest") for role in roles]
    room.hear_out()
    room.wait(5.0)
    room.heard.clear()
    room.chimes.clear()
    return room, legs


def keys_of(phrases: Iterable[Phrase]) -> list[PhraseKey]:
    """Name phrases without their arguments."""
    return [said.key for said in phrases]
