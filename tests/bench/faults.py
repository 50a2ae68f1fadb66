"""Do harm to media processes and measure what the legs notice.

A supervisor runs them as the bridge does; the far ends of the legs are one C program with a socket
each, which notes the longest time between two packets of every leg. Beside it a program watches
how long the machine itself stood still.

  kill     SIGKILL of the process that has the legs, again and again.
  stop     SIGSTOP of it: it is to be missed and replaced; heartbeat_ms: how long it may be silent.
  storm    one leg sends 20,000 valid packets a second;
  late     5,000 packets a second that are a second behind or more;
  fast     four times as many packets as it should.

  gap_ms            between two packets of a leg, over all legs and times; the harmful leg is left
                    out. 20 ms are no gap.
  calls_lost        legs that got nothing any more at the end, or whose leg is gone.
  streams_changed   legs that got another synchronisation source.
  numbers_missing   packets that never came, by sequence numbers, per leg and harm.
  machine_stall_ms  the longest time that a core stood still, in those seconds.
"""

import asyncio
import signal
import time
from collections.abc import Sequence
from typing import Any, Final

from bridge.supervisor import HANG_S
from tests.bench.cores import load_core, machine
from tests.bench.floor import HOST
from tests.bench.programs import LoadProgram, percentile, say
from tests.bench.supervised import Supervised, supervised

__all__ = ["CASES", "measure"]

CASES: Final = ("kill", "stop", "storm", "late", "fast")

AFTER_S: Final = 1.5
"""From the successor's beginning to the count: all legs have packets again."""

BETWEEN_S: Final = 1.0
"""From one harm to the next, at least: a process that dies at once is another fault."""

ODD_S: Final = 5.0
"""How long a leg behaves badly."""

ODD_LEG: Final = 1_000_000
STOPS: Final = 5


def measure(legs: int, rooms: int, kills: int, cases: Sequence[str] = CASES) -> dict[str, Any]:
    """Measure.

    Args:
        legs: legs, all talking.
        rooms: conferences; legs go into them in turns.
        kills: how often the process is killed.
        cases: which harms are done.

    Returns:
        What `scripts/bench faults --json` prints.
    """
    return asyncio.run(_measure(legs, rooms, kills, cases))


async def _measure(legs: int, rooms: int, kills: int, cases: Sequence[str]) -> dict[str, Any]:
    seconds = 10.0 * kills + 120.0
    result: dict[str, Any] = {"machine": machine(), "legs": legs, "rooms": rooms}
    async with supervised(legs, rooms, seconds) as bridge:
        for case in cases:
            say(f"{case} ...")
            if case == "kill":
                result[case] = await _end(bridge, legs, kills, signal.SIGKILL)
            elif case == "stop":
                result[case] = await _end(bridge, legs, min(kills, STOPS), signal.SIGSTOP)
                result[case]["heartbeat_ms"] = round(1000 * HANG_S)
            else:
                result[case] = await _odd(bridge, legs, case)
    result["ok"] = all(result[case]["calls_lost"] == 0 for case in cases)
    return result


async def _end(bridge: Supervised, legs: int, times: int, number: int) -> dict[str, Any]:
    """End the process so often, and return what the legs noticed."""
    gaps: list[float] = []
    longest: list[float] = []
    stalls: list[float] = []
    lost = missing = changed = 0
    for _ in range(times):
        await bridge.spare()
        await asyncio.sleep(BETWEEN_S)
        before = await bridge.ask(bridge.far, "gaps")
        marked = await bridge.ask(bridge.far, "mark")
        await bridge.ask(bridge.stall, "m")
        await bridge.lose(number)
        await asyncio.sleep(AFTER_S)
        after = await bridge.ask(bridge.far, "gaps")
        last = await bridge.ask(bridge.far, "mark")
        stalls.append((await bridge.ask(bridge.stall, "m"))["stall_ms"])
        gaps += after["gaps_ms"]
        longest.append(max(after["gaps_ms"]))
        lost = max(lost, after["silent"], legs - bridge.supervisor.legs)
        changed += after["sources_changed"] - before["sources_changed"]
        missing += last["missing"] - marked["missing"]
    return {
        "legs": legs,
        "kills": times,
        "calls_lost": lost,
        "streams_changed": changed,
        "numbers_missing": round(missing / (times * legs), 3),
        "gap_ms": _spread(gaps),
        "longest_of_each_ms": longest,
        "machine_stall_ms": max(stalls),
    }


async def _odd(bridge: Supervised, legs: int, kind: str) -> dict[str, Any]:
    """Let one more leg behave badly, and return what the others noticed."""
    with LoadProgram("oddgen", HOST, kind, 60, core=load_core()) as odd:
        far_port = odd.answer(10.0)["ports"][0]
        odd.tell(str(bridge.open_leg(ODD_LEG, far_port, 1)))
        await asyncio.sleep(BETWEEN_S)
        await bridge.ask(bridge.far, "gaps")
        await bridge.ask(bridge.stall, "m")
        began = time.monotonic()
        odd.tell("b")
        await asyncio.sleep(ODD_S)
        sent = (await bridge.ask(odd, "e"))["odd"]
        took = time.monotonic() - began
        after = await bridge.ask(bridge.far, "gaps")
        stall = await bridge.ask(bridge.stall, "m")
        bridge.supervisor.closing(ODD_LEG)
        await bridge.until(lambda: bridge.supervisor.legs == legs, "the odd leg's end")
    return {
        "legs": legs,
        "seconds": round(took, 1),
        "odd_packets": sent,
        "calls_lost": max(after["silent"], legs - bridge.supervisor.legs),
        "gap_ms": _spread(after["gaps_ms"]),
        "machine_stall_ms": stall["stall_ms"],
    }


def _spread(gaps: list[float]) -> dict[str, float | None]:
    return {"p50": percentile(gaps, 0.5), "p99": percentile(gaps, 0.99), "max": max(gaps)}
