"""What the media process tells control of its own accord: how ticks go, how legs do.

Each leg's counters are told once in five seconds, a few legs at a time, so that no tick bears all
of them. What happens now and then (a quiet leg, the heartbeat) is looked for once a second.
"""

import math
import os
from collections import deque
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bridge.media.messages import (
    EngineStatistics,
    Heartbeat,
    LegStatistics,
    MediaQuiet,
    Traced,
)
from bridge.media.quality import FIGURES
from bridge.media.rtp import Arrivals, Headers, Kind
from bridge.media.state import State

__all__ = ["STAGES", "Teller", "whose_turn"]

TICKS_PER_SECOND: Final = 50
STATISTICS_TICKS: Final = 250
"""Five seconds between two `LegStatistics` of a leg."""

TOLD_TICKS: Final = 10
"""A divisor of it: legs are told of in every tenth tick, as many together as were due till then,
for the arrays of few cost as much as those of many."""

QUIET_SECONDS: Final = 10
"""Between two words about a leg that sends nothing."""

LONG_WINDOW: Final = 10 * TICKS_PER_SECOND

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

COUNTERS_TOLD: Final = (
    "late",
    "early",
    "duplicate",
    "reordered",
    "strangers",
    "malformed",
    "wrong_payload",
    "unwanted",
    "reanchored",
)
"""Of `counters.LEG_COUNTERS`."""

TRACE_LINES: Final = 1000
"""Lines of one leg that wait; a flood is not traced packet by packet."""

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
        self._stages = np.zeros((LONG_WINDOW, len(STAGES)))
        self._traces: dict[int, list[str]] = {}

    # --- the process ----------------------------------------------------------------------------

    def measured(self, stages: npt.NDArray[np.float64]) -> None:
        """Take the time that each stage of a tick took in: float64, `(STAGES,)` [ms]."""
        took = float(stages.sum())
        self._stages[self._tick % LONG_WINDOW] = stages
        self._second.append(took)
        self._long.append(took)
        self._longest = max(self._longest, took)
        self._tick += 1

    def _beat(self) -> None:
        state, counters = self._state, self._state.counters
        ticks = np.array(self._second or [0.0])
        self._second.clear()
        p50, p95 = np.percentile(ticks, (50, 95))
        state.put(
            Heartbeat(
                tick=self._tick,
                tick_ms_p50=float(p50),
                tick_ms_p95=float(p95),
                tick_ms_max=float(ticks.max()),
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
        ticks = np.array(self._long or [0.0])
        p50, p95, p99 = np.percentile(ticks, (50, 95, 99))
        times = os.times()
        longest, self._longest = self._longest, 0.0
        stages = self._stages[: max(1, min(self._tick, LONG_WINDOW))].mean(axis=0)
        return EngineStatistics(
            ticks=self._tick,
            legs=len(state.legs),
            rooms=len(state.rooms),
            tick_ms_p50=float(p50),
            tick_ms_p95=float(p95),
            tick_ms_p99=float(p99),
            tick_ms_max=longest,
            cpu_seconds=times.user + times.system,
            lost_by_bridge=counters.lost_by_bridge,
            counters={**counters.as_dict(), **state.leg_counters.totals()},
            stages_ms=dict(zip(STAGES, stages.tolist(), strict=True)),
        )

    # --- the legs -------------------------------------------------------------------------------

    def leg(self, row: int) -> LegStatistics:
        """Return a leg's counters."""
        return self.legs(np.array([row]))[0]

    def legs(self, rows: npt.NDArray[np.intp]) -> list[LegStatistics]:
        """Return the counters of legs: intp, `(k,)`; in columns, which cost the same for a few."""
        state = self._state
        sequences, reports, outgoing = state.sequences, state.reports, state.outgoing
        timed = sequences.timings[rows] > 0
        columns: dict[str, npt.NDArray[Any]] = {
            "leg": state.legs.leg[rows],
            "packets_rx": sequences.packets(rows),
            "packets_tx": outgoing.packets_sent[rows],
            "bytes_rx": sequences.octets[rows],
            "bytes_tx": outgoing.octets_sent[rows],
            "lost": sequences.lost(rows),
            "bursts": sequences.bursts[rows],
            **{name: state.leg_counters.named(name, rows) for name in COUNTERS_TOLD},
            "jitter_ms": sequences.jitter[rows] / 8,
            "jitter_ms_mean": np.where(timed, sequences.jitter_mean(rows) / 8, np.nan),
            "jitter_ms_worst": np.where(timed, sequences.jitter_most(rows) / 8, np.nan),
            "rtt_ms": reports.rtt[rows, 0],
            "rtt_ms_worst": reports.rtt[rows, 1],
            "remote_lost": reports.remote_lost[rows],
            "remote_jitter_ms": reports.remote_jitter[rows],
            "concealed_frames": state.noise.concealed[rows],
            "talk_ms": state.levels.talk_ms[rows],
            "playout_ms": 20.0 * np.maximum(0, state.store.ahead[rows]),
            **dict(zip(FIGURES, state.quality.figures(rows).T, strict=True)),
        }
        told = []
        each = zip(*map(_known, columns.values()), strict=True)
        for row, values in zip(rows.tolist(), each, strict=True):
            median, worst = state.store.waited(row) or (None, None)
            told.append(
                LegStatistics(
                    **dict(zip(columns, values, strict=True)),
                    playout_ms_median=median,
                    playout_ms_worst=worst,
                    dtmf_method=state.keys.method(row),
                )
            )
        return told

    def _quiet_legs(self, now: float) -> None:
        """Say who has sent nothing for another ten seconds."""
        presence, legs = self._state.presence, self._state.legs
        tens = ((now - presence.last) // QUIET_SECONDS).astype(np.int64)
        more = legs.open & (tens > presence.quiet_told)
        for row in more.nonzero()[0].tolist():
            seconds = float(now - presence.last[row])
            self._state.put(MediaQuiet(leg=int(legs.leg[row]), seconds=seconds))
        presence.quiet_told[more] = tens[more]

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
        rows = whose_turn(state, tick)
        if len(rows):
            for statistics in self.legs(rows):
                state.put(statistics)
        if self._traces and tick % (TICKS_PER_SECOND // 5) == 0:
            for leg in list(self._traces):
                self.forget(leg)
        if tick % TICKS_PER_SECOND == 0:
            self._quiet_legs(now)
            self._beat()


def whose_turn(state: State, tick: int) -> npt.NDArray[np.intp]:
    """Return the legs whose statistics are told in a tick: intp, none in most ticks."""
    if tick % TOLD_TICKS:
        return np.empty(0, np.intp)
    since = (tick - np.arange(1, state.legs.capacity + 1)) % STATISTICS_TICKS
    return (state.legs.open & (since < TOLD_TICKS)).nonzero()[0]


def _known(column: npt.NDArray[Any]) -> list[Any]:
    """Return what a column holds, None for what is not known."""
    values: list[Any] = column.tolist()
    if column.dtype.kind != "f":
        return values
    return [None if math.isnan(value) else value for value in values]
