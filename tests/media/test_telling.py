"""What is told of legs is what the tables hold, and each leg is told of in its turn."""

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.media.emodel import mos
from bridge.media.leg_figures import statistics_of
from bridge.media.leg_reports import LegStatistics
from bridge.media.state import State
from bridge.media.telling import STATISTICS_TICKS, _percentiles, whose_turn
from tests.media.engine import Engine

CAPACITY = 600


def test_each_leg_has_its_turn_once_in_five_seconds() -> None:
    """Whoever has a row that is open, a few in a tick, and nobody else."""
    with Engine(capacity=CAPACITY) as engine:
        is_open = np.random.default_rng(4).random(CAPACITY) < 0.7
        engine.state.legs.open[:] = is_open
        for begin in (0, 77):
            turns = [whose_turn(engine.state, begin + k) for k in range(STATISTICS_TICKS)]
            assert np.array_equal(np.sort(np.concatenate(turns)), np.flatnonzero(is_open))
            assert max(map(len, turns)) <= 15
        engine.state.legs.open[:] = False


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60))
def test_percentiles_are_those_of_numpy(values: list[float]) -> None:
    """Between the nearest two, in proportion."""
    wanted = (0, 50, 95, 99, 100)
    assert _percentiles(values, *wanted) == pytest.approx(np.percentile(values, wanted))


def known(value: float) -> float | None:
    """Return None for what is not known."""
    return None if np.isnan(value) else float(value)


def plainly(state: State, row: int) -> dict[str, Any]:
    """Return what is told of a leg, worked out number by number."""
    sequences, reports = state.sequences, state.reports
    received = int(sequences.received[row])
    expected = int(sequences.highest[row] - sequences.base[row] + 1) if received else 0
    timings, waits = float(sequences.timings[row]), state.store.waits[row]
    mean = float(sequences.jitter_sum[row]) / max(timings, 1)
    worst = max(mean, float(sequences.jitter_worst[row]))
    each = np.repeat(10.0 * np.arange(len(waits)), waits)
    r = state.quality.r[row]
    scores = mos(np.append(r, state.quality.worst[row]))
    counters = state.leg_counters.of(row)
    return {
        "leg": int(state.legs.leg[row]),
        "packets_rx": int(sequences.packets_before[row]) + received,
        "packets_tx": int(state.outgoing.packets_sent[row]),
        "bytes_rx": int(sequences.octets[row]),
        "bytes_tx": int(state.outgoing.octets_sent[row]),
        "lost": int(sequences.lost_before[row]) + max(expected - received, 0),
        "bursts": int(sequences.bursts[row]),
        **{name: n for name, n in counters.items() if name in LegStatistics.__struct_fields__},
        "jitter_ms": float(sequences.jitter[row]) / 8,
        "jitter_ms_mean": mean / 8 if timings else None,
        "jitter_ms_worst": worst / 8 if timings else None,
        "rtt_ms": known(reports.rtt[row, 0]),
        "rtt_ms_worst": known(reports.rtt[row, 1]),
        "remote_lost": int(reports.remote_lost[row]),
        "remote_jitter_ms": known(reports.remote_jitter[row]),
        "concealed_frames": int(state.noise.concealed[row]),
        "talk_ms": int(state.levels.talk_ms[row]),
        "playout_ms": 20.0 * max(0, int(state.store.ahead[row])),
        "playout_ms_median": float(np.sort(each)[(len(each) - 1) // 2]) if len(each) else None,
        "playout_ms_worst": float(each.max()) if len(each) else None,
        "r_factor": known(r[0]),
        "remote_r_factor": known(r[2]),
        **dict(
            zip(
                ("mos", "mos_now", "remote_mos", "remote_mos_now", "mos_worst"),
                map(known, scores),
                strict=True,
            )
        ),
        "dtmf_method": state.keys.method(row),
    }


@pytest.fixture(scope="module")
def three() -> Iterator[State]:
    """Have a state of three legs."""
    with Engine(capacity=3) as engine:
        yield engine.state


@given(st.integers(0, 2**32 - 1))
def test_what_is_gathered_is_what_the_tables_hold(three: State, seed: int) -> None:
    """Every figure of `LegStatistics`, of legs about which much is known or nothing."""
    generator = np.random.default_rng(seed)
    state = three
    tables: tuple[tuple[Any, str], ...] = (
        (state.legs, "leg"),
        *((state.sequences, name) for name in ("packets_before", "received", "lost_before")),
        *((state.sequences, name) for name in ("highest", "base", "octets", "bursts")),
        *((state.outgoing, name) for name in ("packets_sent", "octets_sent")),
        (state.reports, "remote_lost"),
        (state.noise, "concealed"),
        (state.levels, "talk_ms"),
        (state.leg_counters, "counts"),
        (state.store, "ahead"),
        (state.store, "waits"),
        *((state.sequences, name) for name in ("jitter", "jitter_sum", "jitter_worst")),
        (state.sequences, "timings"),
        (state.reports, "rtt"),
        (state.reports, "remote_jitter"),
        (state.quality, "r"),
        (state.quality, "worst"),
    )
    for table, name in tables:
        column = getattr(table, name)
        column[:] = generator.integers(0, 90, column.shape) * generator.integers(0, 2)
        if column.dtype.kind == "f" and table is not state.sequences:
            column[generator.random(column.shape) < 0.5] = np.nan
    state.store.waits[generator.random(3) < 0.3] = 0
    rows = np.array([2, 0])
    for row, told in zip(rows.tolist(), statistics_of(state, rows), strict=True):
        assert msgspec.structs.asdict(told) == pytest.approx(plainly(state, row))
