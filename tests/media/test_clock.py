"""The clock of the ticks: late ones are made up, very late ones left out and counted."""

import time
from collections.abc import Iterable, Iterator
from typing import cast

import pytest

from bridge.media import __main__ as program
from bridge.media.counters import Counters
from bridge.media.state import State
from bridge.media.tick import Tick


class Clock:
    """A clock that stands while nobody sleeps or works; it is state and tick at once.

    Args:
        works: how long each tick takes [s]; the run ends behind the last.
        halves: whether some legs get a second packet a tick.
        opens: how long the first tick is opening legs, where none was before [s].
    """

    def __init__(
        self, works: Iterable[float], *, halves: bool = False, opens: float | None = None
    ) -> None:
        self.now = self.began = 1000.0
        self.idle = opens is not None
        self._opens = opens or 0.0
        self.counters = Counters()
        self.ended = False
        self.has_second_halves = halves
        self.ticks: list[float] = []
        self.seconds: list[float] = []
        self.jumps: list[int] = []
        self._works: Iterator[float] = iter(works)
        self._next = next(self._works)

    def monotonic(self) -> float:
        """Return the time, never quite on the edge of a tick."""
        return self.now + 1e-6

    def run(self) -> None:
        """Make a tick."""
        if self.idle:
            self.now += self._opens
        self.idle, self.began = False, self.now
        self.ticks.append(round(self.now - 1000, 4))
        self.now += self._next
        following = next(self._works, None)
        self.ended = following is None
        self._next = following or 0.0

    def rest(self, until: float) -> None:
        """Let time pass until something is due."""
        self.now = max(self.now, until)

    def send_second_halves(self) -> None:
        """Note when."""
        self.seconds.append(round(self.now - 1000, 4))

    def jump(self, ticks: int) -> None:
        """Note a jump."""
        self.jumps.append(ticks)


def perform(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Run ticks by a clock."""
    monkeypatch.setattr(time, "monotonic", clock.monotonic)
    with monkeypatch.context():
        program.run(cast("Tick", clock), cast("State", clock))
    monkeypatch.undo()
    return clock


def test_ticks_are_twenty_milliseconds_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work of any length within a tick does not move the next one."""
    clock = perform(Clock([0.001, 0.019, 0.005, 0.0, 0.012]), monkeypatch)
    assert clock.ticks == pytest.approx([0, 0.02, 0.04, 0.06, 0.08], abs=1e-4)
    assert (clock.counters.late_ticks, clock.jumps) == (0, [])


def test_three_late_ticks_are_made_up_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tick that took 75 ms: the next three come in a burst, then all is on the grid again."""
    clock = perform(Clock([0.075, 0, 0, 0, 0, 0]), monkeypatch)
    assert clock.ticks == pytest.approx([0, 0.075, 0.075, 0.075, 0.08, 0.1], abs=1e-4)
    assert clock.jumps == []
    assert clock.counters.late_ticks > 0


def test_beyond_three_time_jumps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second away: all but three of the ticks owed are left out, and the grid is kept."""
    clock = perform(Clock([0.5, 0, 0, 0, 0, 0, 0]), monkeypatch)
    assert len(clock.jumps) == 1
    made_up = [at for at in clock.ticks if at == 0.5]
    assert 3 <= len(made_up) <= 4
    after = [at for at in clock.ticks if at > 0.5]
    assert after == pytest.approx([0.52 + 0.02 * k for k in range(len(after))], abs=1e-4)
    # Ticks made and left out together are the time that passed.
    assert len(clock.ticks) + sum(clock.jumps) == round(clock.ticks[-1] / 0.02) + 1


def test_second_halves_go_ten_milliseconds_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a leg has a ptime of 10 ms."""
    clock = perform(Clock([0.003] * 3, halves=True), monkeypatch)
    assert clock.seconds == pytest.approx([0.01, 0.03, 0.05], abs=1e-4)
    assert clock.ticks == pytest.approx([0, 0.02, 0.04], abs=1e-4)


def test_legs_that_came_together_are_owed_no_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    """It took 150 ms to open hundreds: nobody is to hear the ticks of that time in a burst."""
    clock = perform(Clock([0.012] * 4, halves=True, opens=0.15), monkeypatch)
    assert clock.ticks == pytest.approx([0.15, 0.17, 0.19, 0.21], abs=1e-4)
    assert clock.seconds == pytest.approx([0.162, 0.182, 0.202, 0.222], abs=1e-4)
    assert (clock.counters.late_ticks, clock.jumps) == (0, [])
