"""Limits on guessing PINs, across calls.

Three wrong PINs end a call, but the next call costs a guesser nothing; so failures are also
remembered outside the call, under four headings: the asserted caller, the number dialled, the
trunk, and overall. Each has a score that a failure raises by one and time halves.

What follows from a score, and why nobody can lock the others out:

* **The caller's own score delays, then throttles.** The caller is the number that a trunk asserts,
  so nobody can fail in somebody else's name. From `caller_throttle` on, PINs are not looked up any
  more; as the score decays one attempt comes free every few minutes, so that not even the holder
  of a right PIN with clumsy fingers stays out. A caller with a recent good entry (an office behind
  one number) may fail three times as often. A good entry takes its own charge back, no other:
  somebody with a guest's PIN cannot buy guesses with it.
* **Number, trunk and overall only delay**, each up to a few seconds, never summed: attackers share
  them with everybody. Who has had a good entry lately is spared those delays.
* Callers that no trunk asserts have no heading of their own and take the shared delays.

The charge is taken at `verdict`, before the look-up, so that a thousand calls at once cannot all
ask before the first has failed, and hanging up early saves nothing. The delay holds for right and
wrong PINs alike. A throttled attempt adds nothing: it told the caller nothing.

Memory is bounded: of each heading only the keys that were last in use are kept. All keys are
opaque; callers come as keyed pseudonyms.
"""

from collections import OrderedDict
from typing import Final

from msgspec import Struct

__all__ = ["Allow", "GuessCounts", "GuessLimits", "LimitSettings", "Throttle"]

_MAX_DOUBLINGS: Final = 32.0


class Allow(Struct, frozen=True):
    """Look the PIN up.

    Attributes:
        delay_s: Earliest answer, s after the last digit.
    """

    delay_s: float


class Throttle(Struct, frozen=True):
    """Do not look the PIN up; answer as if it were unknown.

    Attributes:
        delay_s: Earliest answer, s after the last digit: what it would be for `Allow`.
    """

    delay_s: float


class Ladder(Struct, frozen=True):
    """How a delay grows with a score.

    Attributes:
        free: Score up to which there is none.
        doubles: The delay starts at `first_s` and doubles every so many failures.
        first_s: Delay just above `free`, s.
        cap_s: Longest delay, s.
        half_life_s: Time in which the score halves, s.
    """

    free: float
    doubles: float
    first_s: float
    cap_s: float
    half_life_s: float

    def delay_s(self, score: float) -> float:
        """Compute the delay for a score, s."""
        if score <= self.free:
            return 0.0
        doublings = min((score - self.free - 1.0) / self.doubles, _MAX_DOUBLINGS)
        return float(min(self.cap_s, self.first_s * 2.0**doublings))


class LimitSettings(Struct, frozen=True):
    """Figures of the limits.

    Attributes:
        caller: Ladder of one asserted caller.
        number: Ladder of one number dialled.
        trunk: Ladder of one trunk.
        overall: Ladder of the whole bridge.
        caller_throttle: Score from which a caller's PINs are not looked up.
        good_factor: By how much more a caller with a recent good entry may fail.
        good_s: How long a good entry counts as recent, s.
        keys: Keys remembered under each heading.
    """

    caller: Ladder = Ladder(3.0, 1.0, 0.5, 4.0, 1800.0)
    number: Ladder = Ladder(20.0, 10.0, 0.25, 2.0, 300.0)
    trunk: Ladder = Ladder(40.0, 20.0, 0.25, 2.0, 300.0)
    overall: Ladder = Ladder(60.0, 30.0, 0.25, 3.0, 300.0)
    caller_throttle: float = 10.0
    good_factor: float = 3.0
    good_s: float = 86_400.0
    keys: int = 20_000


class GuessCounts(Struct):
    """How often each thing happened, for status and metrics.

    Attributes:
        allowed: Look-ups allowed.
        delayed: Of those, the ones with a delay.
        throttled: Look-ups refused.
        failed: Look-ups that found nothing.
        succeeded: Look-ups that found a conference.
        withdrawn: Look-ups that could not be made.
    """

    allowed: int = 0
    delayed: int = 0
    throttled: int = 0
    failed: int = 0
    succeeded: int = 0
    withdrawn: int = 0


class _Scores:
    """Decaying scores by key, the least recently used forgotten first."""

    def __init__(self, ladder: Ladder, keys: int) -> None:
        self.ladder = ladder
        self._keys = keys
        self._scores: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._scores)

    def read(self, key: str, at: float) -> float:
        score, then = self._scores.get(key, (0.0, at))
        age = max(0.0, at - then)
        return float(score * 0.5 ** (age / self.ladder.half_life_s))

    def add(self, key: str, at: float, amount: float) -> None:
        self._scores[key] = (max(0.0, self.read(key, at) + amount), at)
        self._scores.move_to_end(key)
        while len(self._scores) > self._keys:
            self._scores.popitem(last=False)


class GuessLimits:
    """Remembers failures and says what the next attempt gets.

    Args:
        settings: Figures; the standard ones unless configured otherwise.
    """

    def __init__(self, settings: LimitSettings | None = None) -> None:
        self._settings = s = LimitSettings() if settings is None else settings
        self._callers = _Scores(s.caller, s.keys)
        self._numbers = _Scores(s.number, s.keys)
        self._trunks = _Scores(s.trunk, s.keys)
        self._overall = _Scores(s.overall, 1)
        self._good: OrderedDict[str, float] = OrderedDict()
        self.counts = GuessCounts()

    @property
    def remembered(self) -> int:
        """Number of keys held in memory, over all headings."""
        books = (self._callers, self._numbers, self._trunks, self._overall)
        return sum(len(book) for book in books) + len(self._good)

    def verdict(
        self, at: float, caller: str | None, number: str, trunk: str | None
    ) -> Allow | Throttle:
        """Decide about an attempt with a check-valid PIN, and charge for it.

        Each `Allow` is to be followed by `failed`, `succeeded` or `withdrawn` with the same keys;
        one that never is stands as a failure.

        Args:
            at: Monotonic time, s.
            caller: Pseudonym of the asserted caller; None where no trunk asserts one.
            number: Key of the number dialled.
            trunk: Key of the trunk; None for calls that came without one.

        Returns:
            Whether to look the PIN up, and how long the caller waits for the answer.
        """
        good = self._was_good(caller, at)
        shared_s = 0.0 if good else self._shared_delay_s(number, trunk, at)
        own = 0.0 if caller is None else self._callers.read(caller, at)
        delay_s = max(shared_s, self._settings.caller.delay_s(own))
        allowance = self._settings.caller_throttle * (self._settings.good_factor if good else 1.0)
        if own >= allowance:
            self.counts.throttled += 1
            return Throttle(delay_s)
        self._charge(1.0, at, caller, number, trunk)
        self.counts.allowed += 1
        self.counts.delayed += delay_s > 0.0
        return Allow(delay_s)

    def failed(self, at: float, caller: str | None, number: str, trunk: str | None) -> None:
        """Note that an allowed look-up found nothing: its charge stands.

        Args:
            at: Monotonic time, s.
            caller: As for `verdict`.
            number: As for `verdict`.
            trunk: As for `verdict`.
        """
        del at, caller, number, trunk
        self.counts.failed += 1

    def succeeded(self, at: float, caller: str | None, number: str, trunk: str | None) -> None:
        """Note that an allowed look-up found a conference: its own charge is taken back.

        Args:
            at: Monotonic time, s.
            caller: As for `verdict`; remembered as good.
            number: As for `verdict`.
            trunk: As for `verdict`.
        """
        self._charge(-1.0, at, caller, number, trunk)
        self.counts.succeeded += 1
        if caller is not None:
            self._good[caller] = at
            self._good.move_to_end(caller)
            while len(self._good) > self._settings.keys:
                self._good.popitem(last=False)

    def withdrawn(self, at: float, caller: str | None, number: str, trunk: str | None) -> None:
        """Note that an allowed look-up could not be made: the charge is taken back.

        Args:
            at: Monotonic time, s.
            caller: As for `verdict`.
            number: As for `verdict`.
            trunk: As for `verdict`.
        """
        self._charge(-1.0, at, caller, number, trunk)
        self.counts.withdrawn += 1

    def _charge(
        self, amount: float, at: float, caller: str | None, number: str, trunk: str | None
    ) -> None:
        if caller is not None:
            self._callers.add(caller, at, amount)
        self._numbers.add(number, at, amount)
        self._trunks.add(trunk or "", at, amount)
        self._overall.add("", at, amount)

    def _shared_delay_s(self, number: str, trunk: str | None, at: float) -> float:
        books = ((self._numbers, number), (self._trunks, trunk or ""), (self._overall, ""))
        return max(book.ladder.delay_s(book.read(key, at)) for book, key in books)

    def _was_good(self, caller: str | None, at: float) -> bool:
        good_at = None if caller is None else self._good.get(caller)
        return good_at is not None and at - good_at <= self._settings.good_s
