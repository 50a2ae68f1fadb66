"""Let legs come and go for a long while, and see that nothing grows.

Every tenth of a second the oldest leg ends and another begins in its place, in another conference,
with sockets of its own. Memory and descriptors of the media process and of this one, which stands
for the control process, are looked at once a second.

  memory_mb             of the media process without pages of files: mean of the first fifth after a
                        warm-up, of the last fifth, and the growth from one to the other [%].
  descriptors           the same of descriptors, media and control.
  ticks_over            seconds in which a tick took more than 20 ms; unexplained are those in which
                        the machine's own stall, shown beside, does not account for what was over.
  calls_lost            legs that did not answer their end, or got nothing at the end.
"""

import asyncio
import collections
import os
import time
from pathlib import Path
from typing import Any, Final

from bridge.media.messages import Event, Heartbeat, LegClosed
from bridge.media_process import memory_of
from tests.bench.cores import machine
from tests.bench.programs import say
from tests.bench.supervised import Supervised, supervised

__all__ = ["measure"]

TICK_MS: Final = 20.0
TURN_S: Final = 0.1
WARM_SHARE: Final = 0.1
FIFTH: Final = 0.2
FLAT_PERCENT: Final = 2.0
ROOMS: Final = 20


def measure(minutes: float, legs: int) -> dict[str, Any]:
    """Measure.

    Args:
        minutes: how long.
        legs: legs at a time.

    Returns:
        What `scripts/bench soak --json` prints.
    """
    return asyncio.run(_measure(minutes, legs))


class _Watch:
    """What is looked at once a second."""

    def __init__(self) -> None:
        self.memory: list[float] = []
        self.media_files: list[float] = []
        self.own_files: list[float] = []
        self.ticks_over: list[dict[str, float]] = []
        self.longest = 0.0
        self.closed = 0
        self._beat: Heartbeat | None = None

    def heard(self, event: Event) -> None:
        """Take note of what the media process says."""
        match event:
            case Heartbeat():
                self._beat = event
                self.longest = max(self.longest, event.tick_ms_max)
            case LegClosed():
                self.closed += 1
            case _:
                pass

    def look(self, pid: int, stall_ms: float) -> None:
        """Look at a media process and at this one."""
        self.memory.append(memory_of(pid) / 2**20)
        self.media_files.append(_files(pid))
        self.own_files.append(_files(os.getpid()))
        beat, self._beat = self._beat, None
        if beat is not None and beat.tick_ms_max > TICK_MS:
            self.ticks_over.append({"tick_ms": round(beat.tick_ms_max, 1), "stall_ms": stall_ms})

    def trend(self, values: list[float]) -> dict[str, float]:
        """Return the mean of the first fifth after the warm-up, of the last, and the growth."""
        warm = values[int(WARM_SHARE * len(values)) :]
        size = max(1, int(FIFTH * len(warm)))
        first, last = (sum(part) / size for part in (warm[:size], warm[-size:]))
        growth = 100 * (last - first) / first
        return {
            "first": round(first, 2),
            "last": round(last, 2),
            "growth_percent": round(growth, 2),
        }


def _files(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


async def _measure(minutes: float, legs: int) -> dict[str, Any]:
    seconds = 60 * minutes
    watch = _Watch()
    async with supervised(legs, min(ROOMS, legs), seconds + 60) as bridge:
        bridge.watchers.append(watch.heard)
        gone = await _come_and_go(bridge, watch, legs, seconds)
        await bridge.until(lambda: watch.closed == gone, "the end of every leg that left")
        await asyncio.sleep(1.0)
        await bridge.ask(bridge.far, "gaps")
        silent = (await bridge.ask(bridge.far, "gaps"))["silent"]
        open_legs = bridge.supervisor.legs
        report = await bridge.supervisor.report()
    memory = watch.trend(watch.memory)
    descriptors = {
        "media": watch.trend(watch.media_files),
        "control": watch.trend(watch.own_files),
    }
    unexplained = [
        each for each in watch.ticks_over if each["tick_ms"] - each["stall_ms"] > TICK_MS
    ]
    flat = [memory, *descriptors.values()]
    return {
        "machine": machine(),
        "minutes": minutes,
        "legs": legs,
        "came_and_went": gone,
        "calls_lost": max(silent, legs - open_legs),
        "memory_mb": memory,
        "descriptors": descriptors,
        "tick_ms_max": round(watch.longest, 1),
        "ticks_over": watch.ticks_over[:20],
        "ticks_over_count": len(watch.ticks_over),
        "unexplained": len(unexplained),
        "lost_by_bridge": report["lost_by_bridge"],
        "replaced": report["replaced"],
        "stage_faults": report["counters"]["stage_faults"],
        "ok": not unexplained
        and silent == 0
        and report["replaced"] == 0
        and all(each["growth_percent"] <= FLAT_PERCENT for each in flat),
    }


async def _come_and_go(bridge: Supervised, watch: _Watch, legs: int, seconds: float) -> int:
    """Let the oldest leg go and another come, again and again; return how many went."""
    at = collections.deque(enumerate(range(1, legs + 1)))
    number, gone = legs, 0
    began = time.monotonic()
    look = began
    while (now := time.monotonic()) - began < seconds:
        place, leg = at.popleft()
        bridge.supervisor.closing(leg)
        number, gone = number + 1, gone + 1
        port = bridge.open_leg(number, bridge.far_ports[place], 1 + number % ROOMS)
        bridge.far.tell(f"to {place} {port}")
        at.append((place, number))
        if now >= look:
            look += 1.0
            stall = await bridge.ask(bridge.stall, "m")
            pid = bridge.supervisor.pid
            if pid is not None:
                watch.look(pid, stall["stall_ms"])
            if gone % 600 < 12:
                say(f"{now - began:.0f} s, {gone} legs came and went")
        await asyncio.sleep(max(0.0, began + gone * TURN_S - time.monotonic()))
    return gone
