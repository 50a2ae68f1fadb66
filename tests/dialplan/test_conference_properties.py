"""The conference under random people, administrators and clocks.

Whoever comes, goes, keys or is told something, and whenever: no exception, capacity kept, one
prompt at a time, cut by the listener alone; masks and words agree on who is muted; tones keep
their distance; and nobody waits or parts for ever. The driver checks most of it after every event.
Stories come from a seed: a failure names the one to run again.
"""

from collections.abc import Callable
from itertools import pairwise
from random import Random
from typing import get_args

import pytest

from dialplan.actions import Answer, Chime, ConferenceAction, Say, StopSay
from dialplan.conference import Conference, ConferenceState, ConferenceTimes
from dialplan.events import (
    Announced,
    ConferenceEvent,
    DialOutEnded,
    DialOutOutcome,
    EndRequested,
    HostPinChecked,
    HostPinOutcome,
    Joined,
    LegDigit,
    LegPromptDone,
    LineAction,
    LineGuard,
    LineGuarded,
    MaintenanceDue,
    NameRecorded,
    Order,
    RulesChanged,
    Speaking,
    Steered,
    TimerFired,
)
from dialplan.floor import Where
from dialplan.keypad import KEY_MAP
from dialplan.people import PersonView
from dialplan.phrases import PhraseKey, phrase
from dialplan.rules import ConferenceRules, EndRule, NameRule, Role, StartRule
from dialplan.speech import Subject
from tests.dialplan.driver import RoomDriver

K = PhraseKey
KEYS = "0123456789*#ABCD"
COMMANDS = (*KEY_MAP, "*6", "*6", "*2", "*2", "**6", "5", "*", "#", "1", "1", "2", "3", "1#")
PIN = "123456781"
# What is the answer to one's own key and said to nobody else.
OWN_WORDS = {
    K.UNMUTED,
    K.HAND_RAISED,
    K.HAND_LOWERED,
    K.COUNT_SPEAKERS,
    K.COUNT_LISTENERS,
    K.KEYS_ARE,
    K.LOUDER,
    K.SOFTER,
    K.ROLL_KEYS,
    K.CALLER_NAME,
    K.CALLER_NUMBER,
    K.COACHING,
    K.HOST_PIN_ENTER,
    K.DIAL_ENTER,
    K.BREAKOUT_HOW_MANY,
    K.KNOCK_ADMITTED,
    K.KNOCK_REFUSED,
}
LONGEST_PARTING_S = 300.0

SEEDS = 20
STORIES = 100
STEPS = 80


def some_rules(rng: Random) -> ConferenceRules:
    """Make rules, small enough to be met."""
    return ConferenceRules(
        capacity=rng.choice([1, 2, 3, 8]),
        start=rng.choice(get_args(StartRule)),
        end=rng.choice(get_args(EndRule)),
        grace_s=rng.choice([0.0, 30.0, 120.0]),
        max_length_s=rng.choice([None, None, 90.0, 700.0, 1500.0]),
        wait_limit_s=rng.choice([30.0, 300.0, 1800.0]),
        chimes=rng.random() < 0.7,
        names=rng.choice(get_args(NameRule)),
        waiting_room=rng.random() < 0.2,
    )


class Story(RoomDriver):
    """One conference, in which people and administrators do as a seed has it.

    Args:
        rng: The seed's numbers.
    """

    def __init__(self, rng: Random) -> None:
        super().__init__(some_rules(rng), ConferenceTimes())
        self.rng = rng
        self.own_mutes: dict[int, bool] = {}
        self.seen: set[tuple[ConferenceState, type[ConferenceEvent]]] = set()

    def send(self, event: ConferenceEvent) -> list[ConferenceAction]:
        """Deliver an event as the driver does, and check what it may lead to."""
        self.seen.add((self.room.state, type(event)))
        staying = self._staying()
        before = {person.leg: person for person in self.room.people()}
        actions = super().send(event)
        for action in actions:
            if isinstance(action, StopSay):
                self._check_cut(event, action.leg)
            elif isinstance(action, Say):
                self._check_words(event, action)
            elif isinstance(action, Answer) and isinstance(action.outcome, Joined):
                assert staying < self.room.rules.capacity
        self._check_own_mutes(event, before)
        self._check_opened(event, before)
        if any(isinstance(action, Chime) for action in actions):
            times = [at for at, _ in self.chimes]
            assert all(b - a > 2.999 for a, b in pairwise(times))
        return actions

    def _staying(self) -> int:
        return sum(person.where is not Where.PARTING for person in self.room.people())

    def _check_cut(self, event: ConferenceEvent, leg: int) -> None:
        """See that only the listener, the guard or the bridge's end cuts a prompt."""
        match event:
            case LegDigit():
                assert event.leg == leg
            case TimerFired():
                assert event.timer == f"say:{leg}"
            case EndRequested():
                assert event.reason == "shutdown"
            case _:
                pytest.fail(f"{type(event).__name__} cut a prompt")

    def _check_own_mutes(self, event: ConferenceEvent, before: dict[int, PersonView]) -> None:
        """See that nobody's own mute is changed by anything but their own key."""
        for person in self.room.people():
            then = before.get(person.leg)
            if then is not None and then.self_muted is not person.self_muted:
                came_back = person.where is Where.ROOM and then.where is not Where.ROOM
                assert came_back or (isinstance(event, LegDigit) and event.leg == person.leg)

    def _check_opened(self, event: ConferenceEvent, before: dict[int, PersonView]) -> None:
        """See that who comes to be heard pressed a key or is being told."""
        for person in self.room.people():
            then = before.get(person.leg)
            if then is None or then.where is not Where.ROOM or then.speaks or not person.speaks:
                continue
            own_key = isinstance(event, LegDigit) and event.leg == person.leg
            just_told = isinstance(event, LegPromptDone | TimerFired) and person.floor
            awaits = self.room._meeting.people[person.leg]
            told = any(awaits.awaits(about) for about in (Subject.MODE, Subject.TURN))
            assert own_key or just_told or told, "opened unawares"

    def _check_words(self, event: ConferenceEvent, say: Say) -> None:
        """See that the answer to one caller's key is told to no other."""
        if isinstance(event, LegDigit) and say.leg != event.leg:
            assert not OWN_WORDS & {said.key for said in say.phrases}

    def step(self) -> None:
        """Do one random thing that somebody can do now."""
        choices: list[tuple[float, Callable[[], object]]] = [
            (4.0, self.somebody_comes),
            (2.0, self.time_passes),
            (0.3, self.fire_a_stopped_timer),
            (0.3, self.change_rules),
            (0.3, self.announce_maintenance),
            (0.15, self.end_it),
            (0.3, self.report_an_old_prompt),
            (1.0, self.somebody_speaks),
            (0.5, self.somebody_steers),
            (0.5, self.something_is_announced),
            (0.5, self.a_call_comes_to_nothing),
            (0.3, self.an_answer_comes_late),
            (0.5, self.a_line_is_guarded),
        ]
        if self.saying:
            choices.append((3.0, self.somebody_hears_something_out))
        if self.recording:
            choices.append((3.0, self.somebody_gives_a_name))
        if self.checking:
            choices.append((3.0, self.the_pin_is_looked_up))
        if self.present:
            choices += [
                (0.3, self.somebody_keys_a_pin),
                (1.0, self.somebody_goes),
                (4.0, self.somebody_keys),
                (0.1, self.somebody_sits_on_the_keypad),
            ]
        weights, things = zip(*choices, strict=True)
        self.rng.choices(things, weights)[0]()

    def _somebody(self) -> int:
        return self.rng.choice(sorted(self.present))

    def _anybody(self) -> int:
        """Name somebody, who may be gone or never have been there."""
        return self.rng.choice([*sorted(self.present), self.rng.randrange(1, self.legs + 2)])

    def an_answer_comes_late(self) -> None:
        """Answer a question that nobody has put."""
        now, leg = self.clock.now, self._anybody()
        late = (NameRecorded(now, leg, 0.5), HostPinChecked(now, leg, 10**6, "right"))
        for event in late:
            if leg not in self.recording or not isinstance(event, NameRecorded):
                self.send(event)

    def somebody_comes(self) -> None:
        """Come with a right PIN."""
        roles: tuple[Role, ...] = ("guest", "guest", "host")
        caller = self.rng.choice([None, "a", "b", "c", "d"])
        self.enter(self.rng.choice(roles), caller, invited=self.rng.random() < 0.1)

    def somebody_goes(self) -> None:
        """Hang up."""
        self.leave(self._somebody())

    def somebody_keys(self) -> None:
        """Press keys, a command or not; the conference may end on the way."""
        self._key(self.rng.choice(COMMANDS), self.rng.choice([0.0, 0.2, 2.5]))

    def somebody_keys_a_pin(self) -> None:
        """Become host, or try to."""
        self._key(f"*3{PIN}#", 0.1)

    def somebody_gives_a_name(self) -> None:
        """Say a name or nothing, and end it by a key or by silence."""
        leg = self.rng.choice(sorted(self.recording))
        if self.rng.random() < 0.5:
            self.send(LegDigit(self.clock.now, leg, "#"))
        self.recording.discard(leg)
        self.send(NameRecorded(self.clock.now, leg, self.rng.choice([0.0, 0.1, 1.0])))

    def the_pin_is_looked_up(self) -> None:
        """Answer for the shell."""
        asked, self.checking = self.checking, None
        assert asked is not None
        outcome = self.rng.choice(get_args(HostPinOutcome))
        self.send(HostPinChecked(self.clock.now, asked.leg, asked.query, outcome))

    def somebody_speaks(self) -> None:
        """Speak, heard or not."""
        self.send(Speaking(self.clock.now, self._anybody(), talking=self.rng.random() < 0.7))

    def a_line_is_guarded(self) -> None:
        """Be too loud, leak or return an echo, or no more."""
        guard, action = self.rng.choice(get_args(LineGuard)), self.rng.choice(get_args(LineAction))
        self.send(LineGuarded(self.clock.now, self._anybody(), guard, action))

    def somebody_steers(self) -> None:
        """Order something from outside."""
        order = self.rng.choice(get_args(Order))
        about = self.rng.choice([None, self._anybody()])
        mode = self.rng.choice([None, "presentation", "questions", "nonsense"])
        self.send(Steered(self.clock.now, order, about, mode))

    def something_is_announced(self) -> None:
        """Have a phrase said to everybody, or to one."""
        about = self.rng.choice([None, self._anybody()])
        self.send(Announced(self.clock.now, (phrase(PhraseKey.ENDING_SOON, minutes=5),), about))

    def a_call_comes_to_nothing(self) -> None:
        """Report on a call that was asked for, or not."""
        outcome = self.rng.choice(get_args(DialOutOutcome))
        self.send(DialOutEnded(self.clock.now, self._anybody(), outcome))

    def somebody_sits_on_the_keypad(self) -> None:
        """Press two hundred keys."""
        self._key("".join(self.rng.choices(KEYS, k=200)), 0.1)

    def _key(self, keys: str, gap_s: float) -> None:
        leg = self._somebody()
        for key in keys:
            self.wait(gap_s)
            if leg in self.present:
                self.send(LegDigit(self.clock.now, leg, key))

    def somebody_hears_something_out(self) -> None:
        """Come to the end of one prompt."""
        leg = self.rng.choice(sorted(self.saying))
        self.send(LegPromptDone(self.clock.now, leg, self.saying[leg].play))

    def report_an_old_prompt(self) -> None:
        """Report the end of a prompt that is over, or to somebody who is gone."""
        leg = self.rng.randrange(1, self.legs + 2)
        self.send(LegPromptDone(self.clock.now, leg, 0))

    def fire_a_stopped_timer(self) -> None:
        """Let a timer run out that does not run, which a careless shell might do."""
        leg = self.rng.randrange(1, self.legs + 2)
        timers = {"still", "chime", "length", "grace", f"wait:{leg}", f"say:{leg}", "x"}
        timer = self.rng.choice(sorted(timers - self.clock.due.keys()))
        self.send(TimerFired(self.clock.now, timer))

    def time_passes(self) -> None:
        """Do nothing for a while."""
        self.wait(self.rng.choice([0.5, 3.0, 61.0, 130.0, 700.0]))

    def change_rules(self) -> None:
        """Let an administrator change the conference."""
        self.send(RulesChanged(self.clock.now, some_rules(self.rng)))

    def announce_maintenance(self) -> None:
        """Let the bridge drain; tell all hosts, one leg that may be none, or everybody."""
        leg = self.rng.choice([None, self.rng.randrange(1, self.legs + 2)])
        minutes = self.rng.choice([None, 1, 45])
        everybody = self.rng.random() < 0.3
        self.send(MaintenanceDue(self.clock.now, minutes, leg, everybody))

    def end_it(self) -> None:
        """Let the bridge or an administrator end it."""
        shutdown = self.rng.random() < 0.5
        self.send(EndRequested(self.clock.now, "shutdown" if shutdown else "administrator"))

    def leave_alone(self) -> None:
        """Do nothing more: who waits is let in or told goodbye, who parts is let go."""
        patience_s = 1800.0 + LONGEST_PARTING_S
        until = self.clock.now + patience_s
        parting_since: dict[int, float] = {}
        while self.clock.now < until:
            self.hear_out()
            self.wait(10.0)
            now = self.clock.now
            self.recording.clear()
            parting = {p.leg for p in self.room.people() if p.where is Where.PARTING}
            parting_since = {leg: parting_since.get(leg, now) for leg in parting}
            assert all(now - since < LONGEST_PARTING_S for since in parting_since.values())
        assert {person.where for person in self.room.people()} <= {Where.ROOM}


def tell(seed: int) -> set[tuple[ConferenceState, type[ConferenceEvent]]]:
    """Tell a seed's stories; return which event came in which state."""
    rng = Random(seed)
    seen = set()
    for _ in range(STORIES):
        story = Story(rng)
        for _ in range(rng.randrange(1, STEPS)):
            story.step()
            if story.room.over and rng.random() < 0.5:
                break
        story.leave_alone()
        seen |= story.seen
    return seen


@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_story_breaks_the_conference_or_leaves_anybody_stranded(seed: int) -> None:
    """Comings and goings, keys by the hundred, changed rules and ends at every moment."""
    tell(seed)


def test_the_stories_come_by_every_transition_there_is() -> None:
    """Each event of the table comes in each state that knows it, and in no other."""
    seen = set().union(*(tell(seed) for seed in range(8)))
    table = {(state, event) for state, row in Conference._TABLE.items() for event in row}
    assert seen == table
