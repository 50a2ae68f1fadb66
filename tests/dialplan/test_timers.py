"""Named timers, as seen from inside."""

from dialplan.actions import StartTimer, StopTimer
from dialplan.timers import Timers


def timers() -> tuple[Timers, list[StartTimer | StopTimer]]:
    """Make timers that keep what they ask for."""
    done: list[StartTimer | StopTimer] = []
    return Timers(done.append), done


def test_starting_again_moves_a_timer() -> None:
    """A name has one setting; the shell moves it."""
    mine, done = timers()
    mine.start("hold", 1.0)
    mine.start("hold", 2.0)
    assert done == [StartTimer("hold", 1.0), StartTimer("hold", 2.0)]
    assert mine.running == {"hold"}


def test_only_what_runs_is_stopped() -> None:
    """The shell is never asked to stop what it does not have."""
    mine, done = timers()
    mine.start("b", 1.0)
    mine.start("a", 1.0)
    mine.stop("x")
    mine.stop_all()
    mine.stop_all()
    assert done[2:] == [StopTimer("a"), StopTimer("b")]


def test_a_timer_is_believed_once_and_only_if_it_runs() -> None:
    """One that was stopped, or has run out before, is ignored."""
    mine, _ = timers()
    mine.start("hold", 1.0)
    assert mine.runs("hold")
    assert [mine.fired("hold"), mine.fired("hold"), mine.fired("never")] == [True, False, False]
