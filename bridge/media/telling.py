"""What the media process tells control of its own accord: how ticks go, how legs do.

Each leg's counters are told once in five seconds, some legs at a time, so that no tick bears many.
What happens now and then (a quiet leg, the heartbeat) is looked for once a second.
"""

import math
import os
from collections import deque
from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media._compiled import compiled
from bridge.media.leg_figures import statistics_of
from bridge.media.messages import (
    EngineStatistics,
    Heartbeat,
    LegStatistics,
    MediaQuiet,
    Traced,
)
from bridge.media.rtp import Arrivals, Headers, Kind
from bridge.media.state import State

__all__ = ["COUNTS_PER_MS", "STAGES", "Teller", "whose_turn"]

TICKS_PER_SECOND: Final = 50
STATISTICS_TICKS: Final = 250
"""Five seconds between two `LegStatistics` of a leg."""

LOOK_TICKS: Final = 5
"""A divisor of it: legs are looked at in every fifth tick and told of in the next, twenty of a
thousand: for twenty a call costs no more than twice what it does for one, and forty stood out."""

QUIET_SECONDS: Final = 10
"""Between two words about a leg that sends nothing."""

LONG_WINDOW: Final = 10 * TICKS_PER_SECOND

COUNTS_PER_MS: Final = 4
MOST_COUNTED: Final = 60 * COUNTS_PER_MS
"""Three ticks' length: what took longer is counted together."""

STAGES: Final = (
    "commands",
    "receive",
    "packets",
    "decode",
    "levels",
    "mix",
    "encode",
    "save",
    "send",
    "rest",
)
"""Parts of a tick whose time is measured, in their order."""

TRACE_LINES: Final = 1000
"""Lines of one leg that wait; a flood is not traced packet by packet."""

_NOBODY: Final = np.empty(0, np.intp)

_KINDS: Final = {
    Kind.DROPPED: "dropped",
    Kind.AUDIO: "audio",
    Kind.EVENT: "event",
    Kind.COMFORT_NOISE: "noise",
}


class Teller:
    """Measures and tells.

    Args:
        state: what is told about.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._tick = 0
        self._second: list[float] = []
        self._long: deque[float] = deque(maxlen=LONG_WINDOW)
        self._longest = 0.0
        self._counts = [0] * (MOST_COUNTED + 1)
        self._stages = np.zeros((LONG_WINDOW, len(STAGES)))
        self._traces: dict[int, list[str]] = {}

    # --- the process ----------------------------------------------------------------------------

    def measured(self, stages: list[float]) -> None:
        """Take the time in that each of the `STAGES` of a tick took [ms]."""
        took = sum(stages)
        self._stages[self._tick % LONG_WINDOW] = stages
        self._second.append(took)
        self._long.append(took)
        self._counts[min(int(COUNTS_PER_MS * took), MOST_COUNTED)] += 1
        self._longest = max(self._longest, took)
        self._tick += 1

    def _beat(self) -> None:
        state, counters = self._state, self._state.counters
        ticks = self._second or [0.0]
        self._second = []
        p50, p95, longest = _percentiles(ticks, 50, 95, 100)
        state.put(
            Heartbeat(
                tick=self._tick,
                tick_ms_p50=p50,
                tick_ms_p95=p95,
                tick_ms_max=longest,
                late_ticks=counters.late_ticks,
                jumped_ticks=counters.jumped_ticks,
                legs=len(state.legs),
                rxq_overflow=counters.rxq_overflow,
                send_errors=counters.send_errors,
                lost_by_bridge=counters.lost_by_bridge,
            )
        )

    def engine(self) -> EngineStatistics:
        """Return the state of the process."""
        state, counters = self._state, self._state.counters
        p50, p95, p99 = _percentiles(list(self._long) or [0.0], 50, 95, 99)
        times = os.times()
        longest, self._longest = self._longest, 0.0
        stages = self._stages[: max(1, min(self._tick, LONG_WINDOW))].mean(axis=0)
        return EngineStatistics(
            ticks=self._tick,
            legs=len(state.legs),
            rooms=len(state.rooms),
            tick_ms_p50=p50,
            tick_ms_p95=p95,
            tick_ms_p99=p99,
            tick_ms_max=longest,
            tick_counts=self._counts.copy(),
            cpu_seconds=times.user + times.system,
            lost_by_bridge=counters.lost_by_bridge,
            counters={**counters.as_dict(), **state.leg_counters.totals()},
            stages_ms=dict(zip(STAGES, stages.tolist(), strict=True)),
        )

    # --- the legs -------------------------------------------------------------------------------

    def leg(self, row: int) -> LegStatistics:
        """Return a leg's counters."""
        return statistics_of(self._state, np.array([row]))[0]

    def _quiet_legs(self, now: float) -> None:
        """Say who has sent nothing for another ten seconds."""
        presence, legs = self._state.presence, self._state.legs
        quiet = np.empty(legs.capacity, np.intp)
        count = _find_quiet(now, legs.open, presence.last, presence.quiet_told, quiet)
        for row in quiet[:count].tolist():
            seconds = float(now - presence.last[row])
            self._state.put(MediaQuiet(leg=int(legs.leg[row]), seconds=seconds))

    # --- traces ---------------------------------------------------------------------------------

    def trace_arrivals(self, arrivals: Arrivals, headers: Headers) -> None:
        """Note the headers of traced legs' packets; what an event says is left out."""
        state = self._state
        for index in state.presence.traced[arrivals.rows].nonzero()[0].tolist():
            row = int(arrivals.rows[index])
            kind = _KINDS[int(headers.kind[index])]
            self._note(
                row,
                f"in {kind} seq={headers.sequence[index]} ts={headers.timestamp[index]}"
                f" ssrc={headers.ssrc[index]:08x} marker={int(headers.marker[index])}"
                f" octets={arrivals.lengths[index]}",
            )

    def trace_sent(self) -> None:
        """Note what goes to traced legs."""
        state, outgoing = self._state, self._state.outgoing
        sending = state.seating.order[outgoing.sending]
        for row in sending[state.presence.traced[sending]].tolist():
            self._note(
                row,
                f"out audio seq={(outgoing.sequence[row] - 1) & 0xFFFF}"
                f" ts={(outgoing.timestamp[row] - 160) & 0xFFFF_FFFF}"
                f" ssrc={outgoing.ssrc[row]:08x}",
            )

    def _note(self, row: int, line: str) -> None:
        lines = self._traces.setdefault(int(self._state.legs.leg[row]), [])
        if len(lines) < TRACE_LINES:
            lines.append(line)

    def forget(self, leg: int) -> None:
        """Tell what is left of a closing leg's trace."""
        lines = self._traces.pop(leg, None)
        if lines:
            self._state.put(Traced(leg=leg, lines=lines))

    # --- each tick ------------------------------------------------------------------------------

    def tell(self, tick: int, now: float) -> None:
        """Tell what is due in this tick."""
        state = self._state
        rows = whose_turn(state, tick - 1)  # who was looked at then
        if len(rows):
            for statistics in statistics_of(state, rows):
                state.put(statistics)
        if self._traces and tick % (TICKS_PER_SECOND // 5) == 0:
            for leg in list(self._traces):
                self.forget(leg)
        if tick % TICKS_PER_SECOND == 0:
            self._quiet_legs(now)
            self._beat()


def whose_turn(state: State, tick: int) -> npt.NDArray[np.intp]:
    """Return the legs that are looked at in a tick: intp, none in most ticks."""
    if tick % LOOK_TICKS:
        return _NOBODY
    rows = np.empty(LOOK_TICKS * (state.legs.capacity // STATISTICS_TICKS + 1), np.intp)
    return rows[: _find_due(state.legs.open, tick, rows)]


@compiled("int64(boolean[::1], int64, int64[::1])")
def _find_due(is_open: npt.NDArray[np.bool_], tick: int, rows: npt.NDArray[np.intp]) -> int:
    count = 0
    for first in range((tick - LOOK_TICKS) % STATISTICS_TICKS, is_open.size, STATISTICS_TICKS):
        for row in range(first, min(first + LOOK_TICKS, is_open.size)):
            if is_open[row]:
                rows[count] = row
                count += 1
    return count


def _percentiles(values: list[float], *wanted: int) -> list[float]:
    """Return percentiles of some values, between the two that are nearest [as they are].

    Args:
        values: one at least, in any order.
        wanted: which.
    """
    ordered, found = sorted(values), []
    for each in wanted:
        place = each * (len(ordered) - 1) / 100
        below = ordered[int(place)]
        above = ordered[min(int(place) + 1, len(ordered) - 1)]
        found.append(below + (place - int(place)) * (above - below))
    return found


@compiled("int64(float64, boolean[::1], float64[::1], int64[::1], int64[::1])")
def _find_quiet(
    now: float,
    is_open: npt.NDArray[np.bool_],
    last: npt.NDArray[np.float64],
    told: npt.NDArray[np.int64],
    quiet: npt.NDArray[np.intp],
) -> int:
    count = 0
    for row in range(is_open.size):
        if is_open[row]:
            tens = np.int64(math.floor((now - last[row]) / QUIET_SECONDS))
            if tens > told[row]:
                told[row] = tens
                quiet[count] = row
                count += 1
    return count
