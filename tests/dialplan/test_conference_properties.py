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
from dialplan.conference import Conference, ConferenceState
from dialplan.events import (
    ConferenceEvent,
    EndRequested,
    Entered,
    Joined,
    Left,
    LegDigit,
    LegPromptDone,
    MaintenanceDue,
    RulesChanged,
    TimerFired,
)
from dialplan.floor import Where
from dialplan.phrases import PhraseKey
from dialplan.rules import ConferenceRules, EndRule, Role, StartRule
from tests.dialplan.driver import RoomDriver

K = PhraseKey
KEYS = "0123456789*#ABCD"
COMMANDS = ("*6", "*6", "*#", "*4", "**6", "5", "*", "#")
MUTE_WORDS = {K.MUTED: True, K.UNMUTED: False}
# What the room is told by somebody's coming or going; all else is for the one alone.
ROOM_WORDS = {
    K.CONFERENCE_STARTS,
    K.HOST_LEFT,
    K.HOST_RETURNED,
    K.CONFERENCE_ENDED,
    K.GOODBYE,
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
    )


class Story(RoomDriver):
    """One conference, in which people and administrators do as a seed has it.

    Args:
        rng: The seed's numbers.
    """

    def __init__(self, rng: Random) -> None:
        super().__init__(some_rules(rng))
        self.rng = rng
        self.told_muted: dict[int, bool] = {}
        self.seen: set[tuple[ConferenceState, type[ConferenceEvent]]] = set()

    def send(self, event: ConferenceEvent) -> list[ConferenceAction]:
        """Deliver an event as the driver does, and check what it may lead to."""
        self.seen.add((self.room.state, type(event)))
        staying = self._staying()
        actions = super().send(event)
        for action in actions:
            if isinstance(action, StopSay):
                self._check_cut(event, action.leg)
            elif isinstance(action, Say):
                self._check_words(event, action)
            elif isinstance(action, Answer) and isinstance(action.outcome, Joined):
                assert staying < self.room.rules.capacity
        for person in self.room.people():
            if person.where is not Where.PARTING:
                assert self.told_muted.get(person.leg, False) is person.self_muted
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

    def _check_words(self, event: ConferenceEvent, say: Say) -> None:
        """See that one caller's doings are told to no other, and note who was told to be muted."""
        keys = [said.key for said in say.phrases]
        for key in keys:
            if key in MUTE_WORDS:
                self.told_muted[say.leg] = MUTE_WORDS[key]
        if isinstance(event, LegDigit | LegPromptDone):
            assert say.leg == event.leg
        elif isinstance(event, Entered | Left) and say.leg != event.leg:
            assert set(keys) <= ROOM_WORDS

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
        ]
        if self.saying:
            choices.append((3.0, self.somebody_hears_something_out))
        if self.present:
            choices += [
                (1.0, self.somebody_goes),
                (4.0, self.somebody_keys),
                (0.1, self.somebody_sits_on_the_keypad),
            ]
        weights, things = zip(*choices, strict=True)
        self.rng.choices(things, weights)[0]()

    def _somebody(self) -> int:
        return self.rng.choice(sorted(self.present))

    def somebody_comes(self) -> None:
        """Come with a right PIN."""
        roles: tuple[Role, ...] = ("guest", "guest", "host")
        self.enter(self.rng.choice(roles))

    def somebody_goes(self) -> None:
        """Hang up."""
        self.leave(self._somebody())

    def somebody_keys(self) -> None:
        """Press keys, a command or not; the conference may end on the way."""
        self._key(self.rng.choice(COMMANDS), self.rng.choice([0.0, 0.2, 2.5]))

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
    seen = set().union(*(tell(seed) for seed in range(5)))
    table = {(state, event) for state, row in Conference._TABLE.items() for event in row}
    assert seen == table
