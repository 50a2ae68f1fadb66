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
