"""Named timers of calls and conferences."""

from __future__ import annotations

import asyncio

from bridge.timers import Timers


def run(seconds: float, use: list[tuple[str, str, float]]) -> list[str]:
    """Apply (verb, name, seconds) to timers and return which fired within `seconds`."""
    fired: list[str] = []

    async def scene() -> None:
        timers = Timers(asyncio.get_running_loop(), fired.append)
        for verb, name, delay in use:
            if verb == "start":
                timers.start(name, delay)
            elif verb == "stop":
                timers.stop(name)
            else:
                timers.stop_all()
        await asyncio.sleep(seconds)

    asyncio.run(scene())
    return fired


def test_timer_fires_once_with_its_name() -> None:
    """A timer that ran out is told once."""
    assert run(0.1, [("start", "digits", 0.01)]) == ["digits"]


def test_timer_started_again_moves() -> None:
    """The old setting of a timer never fires after a new one."""
    assert run(0.1, [("start", "digits", 0.01), ("start", "digits", 30.0)]) == []


def test_stopped_timers_never_fire() -> None:
    """Neither one that was stopped nor any after all were stopped; unknown names are fine."""
    assert run(0.1, [("start", "a", 0.01), ("stop", "a", 0.0), ("stop", "b", 0.0)]) == []
    assert run(0.1, [("start", "a", 0.01), ("start", "b", 0.01), ("all", "", 0.0)]) == []


def test_negative_time_fires_at_once() -> None:
    """A delay in the past is no error: the timer is simply due."""
    assert run(0.05, [("start", "late", -3.0)]) == ["late"]


def test_many_timers_fire_in_the_order_in_which_they_run_out() -> None:
    """Whichever was set first, and whichever was stopped or moved meanwhile."""
    use = [("start", "c", 0.03), ("start", "a", 0.01), ("start", "d", 0.005), ("start", "b", 0.02)]
    use += [("stop", "d", 0.0), ("start", "e", 0.001), ("start", "e", 0.04)]
    assert run(0.3, use) == ["a", "b", "c", "e"]


def test_a_timer_that_fires_may_stop_start_and_move_others() -> None:
    """Those due at the same moment too; a fault in one holds no other up."""
    fired: list[str] = []

    async def scene() -> None:
        def fire(name: str) -> None:
            fired.append(name)
            if name == "a":
                timers.stop("b")
                timers.start("c", 0.02)
                timers.start("d", 0.0)
                raise ValueError(name)

        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, _context: None)
        timers = Timers(loop, fire)
        for name in "abcz":
            timers.start(name, -1.0)
        await asyncio.sleep(0.2)

    asyncio.run(scene())
    assert fired == ["a", "z", "d", "c"]


def waits(timers: Timers) -> bool:
    """Say whether the loop has a timer of theirs."""
    return timers._wake is not None


def test_nothing_is_left_in_the_loop_of_timers_that_were_stopped() -> None:
    """An owner that has gone is held by nothing."""

    async def scene() -> None:
        timers = Timers(asyncio.get_running_loop(), print)
        for count in range(500):
            timers.start(f"say:{count}", 60.0)
        timers.start("soon", 0.01)
        await asyncio.sleep(0.05)
        assert waits(timers)
        for count in range(500):
            timers.stop(f"say:{count}")
        assert not waits(timers)
        timers.start("again", 60.0)
        timers.stop_all()
        assert not waits(timers)

    asyncio.run(scene())
