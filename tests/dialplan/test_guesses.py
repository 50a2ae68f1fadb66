"""Limits on guessing PINs: who waits, who is not looked up, and that nobody locks others out."""

import heapq
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialplan.call_flow import FlowState
from dialplan.causes import EndCause
from dialplan.events import Joined, PinFound, PinRevoked, PinThrottled, PinUnknown
from dialplan.guesses import Allow, GuessLimits, LimitSettings, Throttle
from dialplan.phrases import PhraseKey
from dialplan.pins import LENGTHS, check_digit, generate
from tests.dialplan.driver import CallDriver

K = PhraseKey
NUMBER = "+46850550000"
TRUNK = "carrier"
LONGEST_SHARED_S = 3.0
LONGEST_S = 4.0


def fail(limits: GuessLimits, at: float, caller: str | None, times: int = 1) -> None:
    """Guess wrong so many times."""
    for _ in range(times):
        if isinstance(limits.verdict(at, caller, NUMBER, TRUNK), Allow):
            limits.failed(at, caller, NUMBER, TRUNK)


def enter(limits: GuessLimits, at: float, caller: str | None) -> None:
    """Key a right PIN."""
    assert isinstance(limits.verdict(at, caller, NUMBER, TRUNK), Allow)
    limits.succeeded(at, caller, NUMBER, TRUNK)


# --- one caller --------------------------------------------------------------------------------


def test_the_first_slips_cost_nothing() -> None:
    """A few wrong PINs of one caller are answered without delay."""
    limits = GuessLimits()
    for _ in range(4):
        assert limits.verdict(0.0, "ann", NUMBER, TRUNK) == Allow(0.0)
        limits.failed(0.0, "ann", NUMBER, TRUNK)


def test_a_callers_delay_grows_to_four_seconds_and_then_nothing_is_looked_up() -> None:
    """Half a second, one, two, four; from the tenth failure on no PIN of theirs is looked up."""
    limits = GuessLimits()
    verdicts = [limits.verdict(0.0, "ann", NUMBER, TRUNK) for _ in range(12)]
    delays = [each.delay_s for each in verdicts]
    assert delays == [0.0, 0.0, 0.0, 0.0, 0.5, 1.0, 2.0, 4.0, 4.0, 4.0, 4.0, 4.0]
    assert [type(each) for each in verdicts] == [Allow] * 10 + [Throttle] * 2


def test_throttled_comes_at_the_time_of_unknown() -> None:
    """The delay does not tell whether the PIN was looked up."""
    limits = GuessLimits()
    fail(limits, 0.0, "ann", times=9)
    last_allowed = limits.verdict(0.0, "ann", NUMBER, TRUNK)
    throttled = limits.verdict(0.0, "ann", NUMBER, TRUNK)
    assert (type(last_allowed), type(throttled)) == (Allow, Throttle)
    assert last_allowed.delay_s == throttled.delay_s


def test_a_throttled_caller_is_never_locked_out() -> None:
    """An attempt comes free every few minutes, so the right PIN opens in the end."""
    limits = GuessLimits()
    fail(limits, 0.0, "ann", times=100)
    fail(limits, 1.0, "ann")
    assert isinstance(limits.verdict(2.0, "ann", NUMBER, TRUNK), Throttle)
    assert isinstance(limits.verdict(300.0, "ann", NUMBER, TRUNK), Allow)


def test_one_caller_who_dials_all_day_gets_few_guesses() -> None:
    """A guess every two seconds for a day: a few hundred are looked up, of 43,200."""
    limits = GuessLimits()
    for n in range(43_200):
        fail(limits, 2.0 * n, "ann")
    assert limits.counts.failed < 400
    assert limits.counts.throttled > 40_000


def test_failures_are_forgotten_with_time() -> None:
    """After a few half-lives a caller is as good as new."""
    limits = GuessLimits()
    fail(limits, 0.0, "ann", times=10)
    assert limits.verdict(4 * 3600.0, "ann", NUMBER, TRUNK) == Allow(0.0)


def test_nobody_fails_in_somebody_elses_name() -> None:
    """Each asserted caller has a score of their own."""
    limits = GuessLimits()
    fail(limits, 0.0, "ann", times=20)
    assert limits.verdict(0.0, "bob", NUMBER, TRUNK).delay_s < LONGEST_SHARED_S
    assert isinstance(limits.verdict(0.0, "bob", NUMBER, TRUNK), Allow)


def test_a_recent_good_entry_spares_the_shared_delays_and_allows_three_times_the_slips() -> None:
    """An office behind one number is not stopped by its own clumsy fingers, nor by attackers."""
    limits = GuessLimits()
    enter(limits, 0.0, "office")
    fail(limits, 60.0, None, times=1000)
    assert limits.verdict(60.0, "stranger", NUMBER, TRUNK).delay_s == LONGEST_SHARED_S
    assert limits.verdict(60.0, "office", NUMBER, TRUNK) == Allow(0.0)
    fail(limits, 60.0, "office", times=28)
    assert isinstance(limits.verdict(60.0, "office", NUMBER, TRUNK), Allow)
    assert isinstance(limits.verdict(60.0, "office", NUMBER, TRUNK), Throttle)


def test_a_good_entry_is_recent_for_a_day() -> None:
    """The day after, the caller shares the delays again."""
    limits = GuessLimits()
    enter(limits, 0.0, "ann")
    fail(limits, 90_000.0, None, times=1000)
    assert limits.verdict(90_000.0, "ann", NUMBER, TRUNK).delay_s == LONGEST_SHARED_S


def test_a_good_entry_buys_no_guesses() -> None:
    """Somebody with a guest's PIN cannot wipe failures out by keying it in between."""
    limits = GuessLimits()
    looked_up = 0
    for n in range(200):
        if isinstance(limits.verdict(float(n), "ann", NUMBER, TRUNK), Allow):
            limits.failed(float(n), "ann", NUMBER, TRUNK)
            looked_up += 1
        if isinstance(limits.verdict(float(n), "ann", NUMBER, TRUNK), Allow):
            limits.succeeded(float(n), "ann", NUMBER, TRUNK)
    assert looked_up < 40


def test_a_look_up_that_could_not_be_made_costs_nothing() -> None:
    """A database that does not answer is not the caller's failure."""
    limits = GuessLimits()
    for _ in range(50):
        assert limits.verdict(0.0, "ann", NUMBER, TRUNK) == Allow(0.0)
        limits.withdrawn(0.0, "ann", NUMBER, TRUNK)
    assert limits.counts.withdrawn == 50


def test_hanging_up_before_the_answer_saves_nothing() -> None:
    """The charge is taken with the question: a thousand calls at once cannot all ask first."""
    limits = GuessLimits()
    verdicts = [limits.verdict(0.0, "ann", NUMBER, TRUNK) for _ in range(1000)]
    assert sum(isinstance(each, Allow) for each in verdicts) == 10


# --- everybody together ------------------------------------------------------------------------


@pytest.mark.parametrize("caller", ["new", None])
def test_shared_limits_delay_and_never_refuse(caller: str | None) -> None:
    """However many failures there are on number, trunk and overall, others wait seconds at most."""
    limits = GuessLimits()
    for n in range(20_000):
        fail(limits, n * 0.01, None)
    verdict = limits.verdict(200.0, caller, NUMBER, TRUNK)
    assert verdict == Allow(LONGEST_SHARED_S)


def test_shared_delays_are_not_summed() -> None:
    """Number, trunk and overall: the longest counts."""
    limits = GuessLimits()
    fail(limits, 0.0, None, times=5000)
    s = LimitSettings()
    assert limits.verdict(0.0, None, NUMBER, TRUNK).delay_s == max(
        s.number.cap_s, s.trunk.cap_s, s.overall.cap_s
    )
    assert limits.verdict(0.0, None, "other", "other").delay_s == s.overall.cap_s


def test_the_callers_own_delay_and_the_shared_one_are_not_summed() -> None:
    """Who waits for their own failures does not wait for everybody's on top."""
    limits = GuessLimits()
    fail(limits, 0.0, None, times=5000)
    fail(limits, 0.0, "ann", times=7)
    assert limits.verdict(0.0, "ann", NUMBER, TRUNK).delay_s == LONGEST_S


def test_failures_on_one_number_delay_that_number_first() -> None:
    """Thirty failures on one number are felt there, and not on another."""
    limits = GuessLimits()
    fail(limits, 0.0, None, times=30)
    assert limits.verdict(0.0, None, NUMBER, "other").delay_s > 0.0
    assert limits.verdict(0.0, None, "other", "other").delay_s == 0.0


def test_memory_is_bounded_however_many_callers_there_are() -> None:
    """Of each heading only the keys last in use are kept."""
    limits = GuessLimits(LimitSettings(keys=100))
    for n in range(5_000):
        limits.verdict(float(n), f"caller {n}", f"number {n}", f"trunk {n}")
        limits.succeeded(float(n), f"caller {n}", f"number {n}", f"trunk {n}")
    assert limits.remembered <= 401


callers = st.sampled_from(["ann", "bob", "cid", None])
outcomes = st.sampled_from(["failed", "succeeded", "withdrawn", "never told"])
attempts = st.lists(
    st.tuples(st.floats(0.0, 3600.0), callers, st.sampled_from(["1", "2"]), outcomes), max_size=200
)


@given(attempts)
def test_whatever_happens_delays_are_bounded_and_the_innocent_are_looked_up(
    story: list[tuple[float, str | None, str, str]],
) -> None:
    """No sequence refuses a caller without failures, nor makes anybody wait longer than 4 s."""
    limits = GuessLimits()
    at = 0.0
    charged: dict[str | None, int] = {}
    for pause_s, caller, number, outcome in story:
        at += pause_s
        verdict = limits.verdict(at, caller, number, None)
        assert 0.0 <= verdict.delay_s <= LONGEST_S
        if isinstance(verdict, Throttle):
            assert caller is not None
            assert charged.get(caller, 0) >= 10
            continue
        if outcome in {"failed", "never told"}:
            charged[caller] = charged.get(caller, 0) + 1
        if outcome != "never told":
            getattr(limits, outcome)(at, caller, number, None)
    assert limits.verdict(at, "innocent", "1", None).delay_s <= LONGEST_SHARED_S


# --- in a call ---------------------------------------------------------------------------------


def test_unknown_revoked_and_throttled_cannot_be_told_apart_in_calls() -> None:
    """Call after call from one caller: from some time on every refusal has one sound and time."""
    limits = GuessLimits()
    rng = Random(4)
    heard = []
    at = 100.0
    for n in range(24):
        call = CallDriver(caller_key="ann")
        call.clock.now = at
        call.answer().press(generate(rng, 9))
        asked_at = call.clock.now
        verdict = limits.verdict(asked_at, "ann", NUMBER, TRUNK)
        known = PinRevoked() if n % 2 else PinUnknown()
        call.found(PinThrottled() if isinstance(verdict, Throttle) else known, verdict.delay_s)
        while call.flow.state is FlowState.HOLDING:
            call.wait(0.01)
        heard.append((type(verdict), tuple(call.heard), round(call.clock.now - asked_at, 2)))
        at = call.hang_up().clock.now
    late = heard[8:]
    assert {kind for kind, *_ in late} == {Allow, Throttle}
    assert len({(words, wait_s) for _, words, wait_s in late}) == 1


# --- the simulation ----------------------------------------------------------------------------


class Siege:
    """A bridge with 100 PINs, besieged by many callers at once, all through real call flows.

    Args:
        seed: Of everything random.
        length: Digits of the PINs.
    """

    def __init__(self, seed: int, length: int = 9) -> None:
        self.rng = Random(seed)
        self.limits = GuessLimits()
        self.pins: set[str] = set()
        while len(self.pins) < 100:
            self.pins.add(generate(self.rng, length, self.pins))
        self.admitted = 0
        self.guesses = 0
        self.looked_up = 0
        self.now = 1000.0

    def guess(self) -> str:
        """Make a check-valid PIN as a guesser would who knows the check digit."""
        first = self.rng.randrange(10)
        rest = self.rng.randrange(10 ** (LENGTHS[first] - 2))
        body = f"{first}{rest:0{LENGTHS[first] - 2}d}"
        return body + check_digit(body)

    def key(self, call: CallDriver, pin: str, source: tuple[str | None, str, str | None]) -> float:
        """Key a PIN and wait for what comes of it.

        Returns:
            Time from its last key, s.
        """
        call.press(pin, gap_s=0.02)
        assert call.asked is not None
        asked_at = call.clock.now
        verdict = self.limits.verdict(asked_at, *source)
        if isinstance(verdict, Throttle):
            call.found(PinThrottled(), verdict.delay_s)
        elif pin in self.pins:
            self.limits.succeeded(asked_at, *source)
            call.found(PinFound(1, "guest"), verdict.delay_s)
        else:
            self.looked_up += 1
            self.limits.failed(asked_at, *source)
            call.found(PinUnknown(), verdict.delay_s)
        while call.flow.state is FlowState.HOLDING:
            call.wait(0.05)
        if call.join is not None:
            call.joined(Joined(waiting=False))
        return call.clock.now - asked_at

    def good_call(self, caller: str | None) -> float:
        """Let somebody who has a PIN call now; return how long the door took to open, s."""
        call = CallDriver(caller_key=caller)
        call.clock.now = self.now
        source = (caller, NUMBER, TRUNK)
        waited_s = self.key(call.answer(), self.rng.choice(sorted(self.pins)), source)
        assert call.flow.state is FlowState.IN_CONFERENCE
        return waited_s

    def lay(self, guesses: int, lines: int, asserted: int) -> dict[str, float]:
        """Besiege the bridge.

        Args:
            guesses: Check-valid PINs to be looked up before the attackers give up.
            lines: Calls at once.
            asserted: Numbers that the attackers' carriers assert; half of the calls have none.

        Returns:
            The longest that each kind of good caller waited, s.
        """
        waited = {"regular": 0.0, "newcomer": 0.0, "anonymous": 0.0}
        self.good_call("regular")
        due = [(self.now + n * 0.1, n) for n in range(lines)]
        heapq.heapify(due)
        calls: dict[int, tuple[CallDriver, tuple[str | None, str, str | None]]] = {}
        newcomers = 0
        next_good = self.now + 30.0
        while self.looked_up < guesses:
            at, line = heapq.heappop(due)
            self.now = at
            if at > next_good:
                next_good += 30.0
                newcomers += 1
                for kind, longest_s in waited.items():
                    caller = {"regular": "regular", "newcomer": f"new {newcomers}"}.get(kind)
                    waited[kind] = max(longest_s, self.good_call(caller))
            if line not in calls:
                calls[line] = self._dial(at, asserted)
            call, source = calls[line]
            call.wait(max(0.0, at - call.clock.now))
            self.guesses += 1
            self.key(call, self.guess(), source)
            self.admitted += call.flow.state is FlowState.IN_CONFERENCE
            if call.flow.state is FlowState.PARTING:
                call.hear_out()
                assert call.hung_up is EndCause.TOO_MANY_TRIES
            if call.flow.state is not FlowState.COLLECTING:
                del calls[line]
            heapq.heappush(due, (call.clock.now + 1.5, line))
        return waited

    def _dial(
        self, at: float, asserted: int
    ) -> tuple[CallDriver, tuple[str | None, str, str | None]]:
        known = self.rng.random() < 0.5
        caller = f"attacker {self.rng.randrange(asserted)}" if known else None
        number = self.rng.choice([NUMBER, "+46850550001", "1000"])
        trunk = self.rng.choice([TRUNK, "second", None])
        call = CallDriver(caller_key=caller)
        call.clock.now = at
        return call.answer(), (caller, number, trunk)


@pytest.mark.parametrize("seed", [1, 2])
def test_ten_thousand_guesses_find_no_room_and_good_callers_get_in_meanwhile(seed: int) -> None:
    """80 lines at once, many asserted callers and anonymous ones, three numbers, three trunks."""
    siege = Siege(seed)
    waited = siege.lay(guesses=10_000, lines=80, asserted=600)
    assert siege.looked_up == 10_000
    assert siege.guesses >= siege.looked_up
    assert siege.admitted == 0
    assert waited["regular"] == 0.0
    assert waited["newcomer"] <= LONGEST_SHARED_S + 0.1
    assert waited["anonymous"] <= LONGEST_SHARED_S + 0.1


def test_the_same_siege_would_find_six_digits() -> None:
    """The simulation can tell: PINs that only an administrator chooses fall within minutes."""
    siege = Siege(1, length=6)
    siege.lay(guesses=5_000, lines=80, asserted=600)
    assert siege.admitted > 0
