"""Find how many legs a media process holds, and how many the floor program does.

A load holds when receivers and the bridge miss under 0.1 % of packets and the 99th percentile of
ticks is under 16 ms; the floor by the same measures of its own. Loads of `TRIAL_S` seconds are
tried, first growing by half until one does not hold, then halving the gap until it is within 5 %. A
load that does not hold is tried once more, for machines stumble; the largest that held is the
answer. About five minutes in all, never more than `LIMIT_S`: what was found until then stands, and
`exhausted` says so.
"""

import dataclasses
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tests.bench.cores import limited
from tests.bench.floor import FarEnds, measure_floor
from tests.bench.legs import Trial, prepare, run
from tests.bench.programs import LoadError, raise_file_limit, say

__all__ = ["find", "search"]

TRIAL_S = 6.0
LIMIT_S: Final = 540.0
LOST_SHARE: Final = 0.001
TICK_P99_MS: Final = 16.0
CLOSE: Final = 0.05
MOST: Final = 8000
"""Legs; as many pairs of ports there are."""

Attempt = Callable[[int], tuple[bool, dict[str, Any]]]


def find(trial: Trial) -> dict[str, Any]:
    """Find the largest load of the bridge and of the floor.

    Args:
        trial: where to begin; people in a room stay as many as they are.

    Returns:
        `largest`, `floor_largest`, their ratio, and what was measured at both.

    Raises:
        LoadError: it could not be measured.
    """
    raise_file_limit(6 * MOST + 2048)
    people = max(2, trial.legs // trial.rooms)
    began = time.monotonic()

    def load(legs: int, folder: str) -> tuple[Trial, FarEnds]:
        sized = dataclasses.replace(
            trial, legs=legs, rooms=max(1, legs // people), seconds=TRIAL_S, sample=0
        )
        return sized, prepare(sized, Path(folder))[0]

    def bridge(legs: int) -> tuple[bool, dict[str, Any]]:
        with tempfile.TemporaryDirectory(prefix="dialin-bench-") as folder:
            found = run(*load(legs, folder))
        missed = found["missing_rx"] / max(1, found["sent_to_bridge"])
        lost = max(found["lost_share"], missed)
        p99 = found["tick_ms"]["p99"]
        say(f"bridge, {legs} legs: {100 * lost:.3f} % lost, p99 {p99} ms, {found['cores']} cores")
        return lost < LOST_SHARE and p99 < TICK_P99_MS, found

    def floor(legs: int) -> tuple[bool, dict[str, Any]]:
        with tempfile.TemporaryDirectory(prefix="dialin-bench-") as folder:
            found = measure_floor(load(legs, folder)[1], TRIAL_S)
        p99 = found["tick_ms"]["p99"]
        lost = found["lost_share"]
        say(f"floor, {legs} legs: {100 * lost:.3f} % lost, p99 {p99} ms, {found['cores']} cores")
        return lost < LOST_SHARE and p99 < TICK_P99_MS, found

    of_bridge = search(bridge, trial.legs, people, began + LIMIT_S / 2)
    of_floor = search(floor, of_bridge[0], people, began + LIMIT_S)
    largest, at_largest, exhausted = of_bridge
    floor_largest, at_floor, floor_exhausted = of_floor
    return {
        "largest": largest,
        "floor_largest": floor_largest,
        "largest_ratio": round(largest / max(1, floor_largest), 2),
        "largest_generator_limited": limited(at_largest.get("generator_cores", 0.0)),
        "floor_largest_generator_limited": limited(at_floor.get("generator_cores", 0.0)),
        "exhausted": exhausted or floor_exhausted,
        "at_largest": {
            name: at_largest.get(name)
            for name in ("cores", "tick_ms", "interarrival_ms", "generator_cores", "stages_ms")
        },
        "at_floor_largest": {
            name: at_floor.get(name) for name in ("cores", "tick_ms", "generator_cores")
        },
    }


def search(
    attempt: Attempt, first: int, step: int, deadline: float
) -> tuple[int, dict[str, Any], bool]:
    """Find the largest number that holds.

    Args:
        attempt: tries one, and says whether it holds and what was measured.
        first: where to begin.
        step: answers are multiples of this.
        deadline: nothing is begun after it (monotonic time [s]).

    Returns:
        The largest that held (0 if none did), what was measured at it, whether time ran out.

    Raises:
        LoadError: an attempt could not be made.
    """
    least, most = 0, MOST // step * step + step
    at: dict[str, Any] = {}
    legs = max(step, min(first, MOST) // step * step)
    while most - least > max(step, CLOSE * least):
        if time.monotonic() > deadline:
            return least, at, True
        holds, found = attempt(legs)
        if not holds and time.monotonic() < deadline:
            holds, found = attempt(legs)
        if holds:
            least, at = legs, found
        else:
            most = legs
        reach = least * 3 // 2 if most > MOST else (least + most) // 2
        legs = max(least + step, min(reach, MOST) // step * step)
        if legs >= most:
            break
    if not least and first <= step:
        raise LoadError(f"not even {step} legs hold")
    return least, at, False
