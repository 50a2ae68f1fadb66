"""The call flow under random callers, shells and clocks.

Whatever is keyed, said late, said twice or left out: no exception, one `HangUp`, one prompt at a
time, no `Join` without a right PIN, nothing after the end, and always something due, so that no
caller stays in silence for ever. The driver checks most of it after every event. Stories come from
a seed: a failure names the one to run again.
"""

from collections.abc import Callable
from random import Random

import pytest

from dialplan.actions import HangUp, Leave
from dialplan.call_flow import CallFlow, FlowState
from dialplan.causes import EndCause, Refusal
from dialplan.events import (
    Answered,
    CallEvent,
    Closed,
    CloseRequested,
    Digit,
    Ended,
    Full,
    JoinAnswered,
    Joined,
    JoinFailed,
    JoinOutcome,
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
from dialplan.phrases import PhraseKey
from dialplan.pins import generate
from tests.dialplan.driver import WALL, CallDriver

K = PhraseKey
PINS = [generate(Random(seed), length) for seed, length in enumerate((6, 8, 9, 9, 10, 11, 12, 13))]
KEYS = "0123456789*#ABCD"
RESULTS: tuple[PinResult, ...] = (
    PinFound(7, "guest"),
    PinFound(7, "host", "Ada"),
    PinUnknown(),
    PinRevoked(),
    PinThrottled(),
    PinUnavailable(),
)
OUTCOMES: tuple[JoinOutcome, ...] = (
    Joined(waiting=True),
    Joined(waiting=False),
    Full(),
    Closed(WALL, None),
    Closed(WALL, WALL),
    Ended(),
    JoinFailed(),
)
CHECKED = (Refusal.PIN_UNKNOWN, Refusal.PIN_REVOKED, Refusal.PIN_THROTTLED)
AFTER_A_RIGHT_PIN = {K.CONFERENCE_FULL, K.CONFERENCE_CLOSED, K.CONFERENCE_OVER}
GAPS_S = (0.0, 0.05, 0.3, 0.9, 1.1, 2.5, 9.0)
LONGEST_SILENCE_S = 41.0
LONGEST_CALL_S = 1_500.0

SEEDS = 20
STORIES = 100
STEPS = 30


class Story(CallDriver):
    """One call, whose caller, shell and clock do as a seed has it.

    Args:
        rng: The seed's numbers.
    """

    def __init__(self, rng: Random) -> None:
        caller = rng.choice([None, "pseudonym"])
        pinless = rng.choice([None, None, 7])
        greeting = rng.choice([None, "short", "none"])
        super().__init__(NumberInfo("1000", greeting=greeting, pinless_conference=pinless), caller)
        self.rng = rng
        self.rights = int(caller is not None and pinless is not None)
        self.seen: set[tuple[FlowState, type[CallEvent]]] = set()

    def send(self, event: CallEvent) -> list[object]:  # type: ignore[override] # only looked at
        """Deliver an event as the driver does, and check what holds over a whole story."""
        before = self.flow.state
        self.seen.add((before, type(event)))
        actions = super().send(event)
        if before is FlowState.ENDED:
            assert all(isinstance(action, Leave) for action in actions)
        if any(isinstance(action, HangUp) for action in actions):
            assert isinstance(actions[-1], HangUp)
        assert len(self.joins) <= self.rights, "let in without a right"
        if not self.rights:
            assert not AFTER_A_RIGHT_PIN & set(self.heard)
        assert sum(reason in CHECKED for reason in self.refusals) <= 3
        assert self.refusals.count(Refusal.PIN_MISTYPED) <= 5
        return list(actions)

    def step(self) -> None:
        """Do one random thing that caller or shell can do now."""
        if self.flow.state is FlowState.NEW:
            if self.rng.random() < 0.9:
                self.send(Answered(self.clock.now, self.number, self.caller_key))
                return
            self.rng.choice([self.close, self.end])()
            return
        choices: list[tuple[float, Callable[[], object]]] = [
            (2.0, self.cut_through),
            (3.0, self.key_anything),
            (4.0, self.key_a_pin),
            (0.5, self.sit_on_the_keypad),
            (3.0, self.pause),
            (0.3, self.fire_a_stopped_timer),
            (0.3, self.close),
            (0.3, self.end),
        ]
        if self.last_play:
            choices += [(3.0, self.hear_something_end), (0.5, self.report_an_old_prompt)]
        if self.asked is not None:
            choices.append((6.0, self.look_up))
        elif self.checks:
            choices.append((0.5, self.look_up_again))
        if self.join is not None:
            choices.append((6.0, self.let_in_or_not))
        elif self.joins:
            choices.append((0.5, self.let_in_again))
        if self.inside:
            choices.append((0.7, self.let_go))
        elif self.joins and self.flow.state in {FlowState.PARTING, FlowState.ENDED}:
            choices.append((0.3, self.let_go))
        weights, things = zip(*choices, strict=True)
        self.rng.choices(things, weights)[0]()

    # --- the shell -----------------------------------------------------------------------------

    def cut_through(self) -> None:
        """ACK or RTP, as often as they like."""
        self.send(MediaStarted(self.clock.now))

    def hear_something_end(self) -> None:
        """Come to the end of what is being said, unless its guard is quicker."""
        if self.playing is not None:
            play = self.playing.play
            self.wait(self.rng.choice([0.5, 2.0, 5.0, 70.0]))
            self.send(PromptDone(self.clock.now, play))

    def report_an_old_prompt(self) -> None:
        """Report the end of a prompt that is over, or that never was."""
        play = self.rng.randrange(1, self.last_play + 3)
        if self.playing is None or play != self.playing.play:
            self.send(PromptDone(self.clock.now, play))

    def look_up(self) -> None:
        """Answer the look-up, in time or late."""
        self.wait(self.rng.choice([0.0, 0.0, 0.0, 0.6, 14.0, 16.0]))
        result = self.rng.choice(RESULTS)
        if self.flow.state is FlowState.CHECKING:
            self.rights += isinstance(result, PinFound)
        self.found(result, self.rng.choice([0.0, 0.5, 4.0]))

    def look_up_again(self) -> None:
        """Answer a look-up a second time."""
        query = self.rng.choice(self.checks).query
        self.send(PinChecked(self.clock.now, query, self.rng.choice(RESULTS)))

    def let_in_or_not(self) -> None:
        """Answer for the conference, mostly in time."""
        if self.rng.random() < 0.1:
            self.wait(16.0)
        if self.join is not None:
            self.joined(self.rng.choice(OUTCOMES))

    def let_in_again(self) -> None:
        """Answer for the conference when nobody waits for it any more."""
        self.send(JoinAnswered(self.clock.now, self.rng.choice(OUTCOMES)))

    def let_go(self) -> None:
        """Let the conference release the caller."""
        self.send(Released(self.clock.now, self.rng.choice(list(EndCause))))

    def fire_a_stopped_timer(self) -> None:
        """Let a timer run out that does not run, which a careless shell might do."""
        timers = {"media", "settle", "digits", "prompt", "lookup", "hold", "join", "patience", "x"}
        timer = self.rng.choice(sorted(timers - self.clock.due.keys()))
        self.send(TimerFired(self.clock.now, timer))

    def close(self) -> None:
        """Close the bridge, or this call."""
        shutdown = self.rng.random() < 0.5
        self.send(CloseRequested(self.clock.now, "shutdown" if shutdown else "administrator"))

    # --- the caller ----------------------------------------------------------------------------

    def key(self, keys: str) -> None:
        """Press keys at some speed."""
        gap_s = self.rng.choice(GAPS_S)
        for key in keys:
            self.wait(gap_s)
            self.send(Digit(self.clock.now, key))

    def key_anything(self) -> None:
        """Press whatever there is."""
        keys = self.rng.choice(["*#*#", "#", "*", "".join(self.rng.choices(KEYS, k=5))])
        self.key(keys)

    def key_a_pin(self) -> None:
        """Key a PIN that its check digit lets pass, or not, and what people key after it."""
        pin = self.rng.choice(PINS)
        if self.rng.random() < 0.2:
            pin = pin[:-1] + str((int(pin[-1]) + 1) % 10)
        self.key(pin + self.rng.choice(["", "", "", "#", "##", "*#", "0"]))

    def sit_on_the_keypad(self) -> None:
        """Press two hundred keys."""
        self.key("".join(self.rng.choices(KEYS, k=200)))

    def pause(self) -> None:
        """Do nothing for a while."""
        self.wait(self.rng.choice([0.3, 1.0, 7.0, 59.0, 200.0]))

    def end(self) -> None:
        """Hang up; nothing but leaving the conference may come of it."""
        on_the_way = self.flow.state in {FlowState.JOINING, FlowState.IN_CONFERENCE}
        left, refused = self.left, len(self.refusals)
        was_hung_up = self.hung_up
        self.hang_up()
        assert self.flow.state is FlowState.ENDED
        assert (self.left - left, len(self.refusals)) == (on_the_way, refused)
        assert self.hung_up is was_hung_up

    def leave_alone(self) -> None:
        """Do nothing more: the call is in a conference, or ends soon, and is never silent long.

        Prompts take two seconds; no look-up and no conference answers any more.
        """
        began = silent_since = self.clock.now
        while self.flow.state not in {FlowState.IN_CONFERENCE, FlowState.ENDED}:
            if self.playing is not None:
                self.hear_out(2.0)
                silent_since = self.clock.now
            else:
                self.wait(1.0)
            assert self.clock.now - silent_since <= LONGEST_SILENCE_S
            assert self.clock.now - began <= LONGEST_CALL_S


def tell(seed: int) -> set[tuple[FlowState, type[CallEvent]]]:
    """Tell a seed's stories; return which event came in which state."""
    rng = Random(seed)
    seen = set()
    for _ in range(STORIES):
        story = Story(rng)
        for _ in range(rng.randrange(1, STEPS)):
            story.step()
        if story.flow.state is not FlowState.NEW:
            story.leave_alone()
        seen |= story.seen
    return seen


@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_story_breaks_the_flow_or_leaves_a_caller_in_silence(seed: int) -> None:
    """Digits by the hundred, silence, hang-ups, late and double answers at every step."""
    tell(seed)


def test_the_stories_come_by_every_transition_there_is() -> None:
    """Each event of the table comes in each state that knows it, and in no other."""
    seen = set().union(*(tell(seed) for seed in range(SEEDS)))
    table = {(state, event) for state, row in CallFlow._TABLE.items() for event in row}
    assert seen == table
