"""Streams by their sequence numbers, against a model that takes one packet at a time."""

import random
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.media.counters import LegCounters
from bridge.media.sequence import MAX_DROPOUT, MAX_MISORDER, Sequences, jitter_mean, jitter_most


@dataclass
class Model:
    """One leg's stream, as the module's head describes it."""

    ssrc: int | None = None
    highest: int = 0
    base: int = 0
    got: set[int] = field(default_factory=set)
    leapt_to: int | None = None
    candidate: tuple[int, int] | None = None
    packets: int = 0
    lost_before: int = 0

    @property
    def lost(self) -> int:
        """Packets that never came."""
        expected = self.highest - self.base + 1 if self.got else 0
        return self.lost_before + max(0, expected - len(self.got))

    def begin(self, sequence: int, ssrc: int) -> str:
        """Begin a stream."""
        self.lost_before = self.lost
        self.ssrc, self.highest, self.base, self.got = ssrc, sequence, sequence, {sequence}
        self.leapt_to = self.candidate = None
        self.packets += 1
        return "begins"

    def take(self, sequence: int, ssrc: int) -> str:  # noqa: PLR0911 - a verdict each
        """Judge a packet."""
        following = (sequence + 1) & 0xFFFF
        if self.ssrc is None:
            return self.begin(sequence, ssrc)
        if ssrc != self.ssrc:
            if self.candidate == (ssrc, sequence):
                return self.begin(sequence, ssrc)
            self.candidate = (ssrc, following)
            return "foreign_ssrc"
        step = (sequence - self.highest) & 0xFFFF
        behind = (self.highest - sequence) & 0xFFFF
        if 1 <= step < MAX_DROPOUT:
            self.highest += step
            self.got.add(self.highest)
            self.leapt_to = self.candidate = None
            self.packets += 1
            return "newer"
        if behind <= MAX_MISORDER:
            number = self.highest - behind
            if behind >= 64:
                return "late"
            if number in self.got:
                return "duplicate"
            self.got.add(number)
            self.packets += 1
            return "reordered"
        if self.leapt_to == sequence:
            return self.begin(sequence, ssrc)
        self.leapt_to = following
        return "leapt"


# Steps from the packet before: mostly forward, sometimes back, twice, lost, or leapt.
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            [1, 1, 1, 1, 2, 3, 0, -1, -2, -5, 63, 64, 65, -70, -100, -101, 2999, 3000, 9000]
        ),
        st.sampled_from([1, 1, 1, 1, 1, 2]),
    ),
    max_size=80,
)


@settings(max_examples=300)
@given(start=st.integers(0, 65_535), steps=STEPS)
def test_any_stream_is_judged_as_by_the_model(start: int, steps: list[tuple[int, int]]) -> None:
    """Verdicts, packets and losses agree after every packet, two legs taken at a time."""
    sequences, counters, model = Sequences(3), LegCounters(3), Model()
    number = start
    rows = np.array([0, 2])
    odd: dict[str, int] = {}
    for twin, (step, ssrc) in enumerate([(0, 1), *steps]):
        number = (number + step) & 0xFFFF
        verdict = model.take(number, ssrc)
        odd[verdict] = odd.get(verdict, 0) + 1
        admission = sequences.admit(
            rows, np.array([number, twin & 0xFFFF]), np.array([ssrc, 9]), counters
        )
        assert bool(admission.used[0]) == (verdict in {"newer", "reordered", "begins"})
        assert bool(admission.newer[0]) == (verdict == "newer")
        assert bool(admission.begins[0]) == (verdict == "begins")
        assert sequences.packets(rows).tolist() == [model.packets, twin + 1]
        assert sequences.lost(rows).tolist() == [model.lost, 0]
    counts = counters.of(0)
    for name in ("duplicate", "late", "reordered", "leapt", "foreign_ssrc"):
        assert counts[name] == odd.get(name, 0)
    assert counts["reanchored"] == odd["begins"] - 1
    assert not any(counters.of(2).values())


def test_a_long_call_wraps_and_loses_nothing() -> None:
    """Seventy thousand packets, every tenth pair swapped: none is lost (RFC 3550 A.3)."""
    sequences, counters = Sequences(1), LegCounters(1)
    row = np.array([0])
    order = [k + (k % 20 == 10) - (k % 20 == 11) for k in range(70_000)]
    for number in order:
        assert sequences.admit(row, np.array([number & 0xFFFF]), np.array([7]), counters).used[0]
    assert sequences.packets(row).tolist() == [70_000]
    assert sequences.lost(row).tolist() == [0]
    assert counters.of(0)["reordered"] == 3500


def test_one_stray_packet_restarts_nothing() -> None:
    """Packets of another SSRC between those of the stream, however many, never take over."""
    sequences, counters = Sequences(1), LegCounters(1)
    row = np.array([0])
    for number in range(200):
        assert sequences.admit(row, np.array([number]), np.array([1]), counters).used[0]
        stray = sequences.admit(row, np.array([number]), np.array([2]), counters)
        assert not stray.used[0]
    assert counters.of(0)["foreign_ssrc"] == 200


def test_jitter_is_that_of_the_rfc() -> None:
    """Interarrival jitter by the recursion of RFC 3550 A.8, in time stamp units."""
    sequences = Sequences(1)
    row = np.array([0])
    spread = np.random.default_rng(4).uniform(0, 0.03, 300)
    expected, before = 0.0, None
    for k, late in enumerate(spread):
        at = 100 + 0.02 * k + late
        sequences.time(row, np.array([at]), np.array([160 * k]))
        transit = at * 8000 - 160 * k
        if before is not None:
            expected += (abs(transit - before) - expected) / 16
        before = transit
    assert sequences.jitter[0] == pytest.approx(expected)
    assert 40 < expected < 120


@given(st.lists(st.integers(1, 60), min_size=2, max_size=60), st.randoms(use_true_random=False))
def test_runs_of_lost_packets_are_counted_whatever_the_order(
    numbers: list[int], generator: random.Random
) -> None:
    """Packets that come after later ones end, shorten or part runs; at the end it is the truth."""
    numbers = sorted(set(numbers) | {0, 61})
    late = [number for number in numbers[1:-1] if generator.random() < 0.4]
    order = [number for number in numbers if number not in late]
    generator.shuffle(late)
    sequences, counters, row = Sequences(1), LegCounters(1), np.array([0])
    for number in (*order, *late):
        sequences.admit(row, np.array([(65_500 + number) & 0xFFFF]), np.array([1]), counters)
    gaps = np.diff(numbers)
    assert sequences.bursts[0] == (gaps > 1).sum()
    assert sequences.lost(row)[0] == (gaps - 1).sum()


def test_packets_not_used_are_counted_for_reports() -> None:
    """Doubles, and what comes more than 64 packets late: RFC 3550 6.4.1 has them received."""
    sequences, counters, row = Sequences(1), LegCounters(1), np.array([0])
    for number in (1, 2, 2, 80, 3, 80):
        sequences.admit(row, np.array([number]), np.array([1]), counters)
    assert sequences.repeated[0] == 3
    assert sequences.received[0] == 3


def mean_of(sequences: Sequences) -> float:
    """Return the mean jitter of the first leg."""
    return jitter_mean(float(sequences.jitter_sum[0]), float(sequences.timings[0]))


def most_of(sequences: Sequences) -> float:
    """Return the worst jitter of the first leg."""
    each = (sequences.jitter_worst, sequences.jitter_sum, sequences.timings)
    return jitter_most(*(float(column[0]) for column in each))


def test_jitter_is_true_from_its_first_packets_on() -> None:
    """The mean of few differences, not a sixteenth of the first; mean and worst are of all."""
    sequences, row = Sequences(1), np.array([0])
    assert mean_of(sequences) == 0
    seen = []
    for k, late in enumerate([0.0, 0.01, 0.0, 0.03]):
        sequences.time(row, np.array([5 + 0.02 * k + late]), np.array([160 * k]))
        seen.append(float(sequences.jitter[0]))
    assert seen == pytest.approx([0, 80, 80, (80 + 80 + 240) / 3])
    assert mean_of(sequences) == pytest.approx(np.mean(seen[1:]))
    assert sequences.jitter_worst[0] == pytest.approx(seen[-1])
    sequences.time(row, np.array([9.0]), np.array([900_000]))  # wound elsewhere: not usable
    assert sequences.timings[0] == 3
    assert sequences.jitter[0] == pytest.approx(seen[-1])


def test_the_worst_jitter_is_of_what_has_settled() -> None:
    """A first difference of 80 ms is no jitter of 80 ms; a bad second in the middle is kept."""
    sequences, row = Sequences(1), np.array([0])
    seen = []
    late = [0.0, 0.08] + [0.0] * 40 + [0.0, 0.06] * 10 + [0.0] * 100
    for k, seconds in enumerate(late):
        sequences.time(row, np.array([5 + 0.02 * k + seconds]), np.array([160 * k]))
        seen.append(float(sequences.jitter[0]))
    assert sequences.jitter_worst[0] == pytest.approx(max(seen[17:]))
    assert seen[-1] < 10 < sequences.jitter_worst[0] < seen[1] == pytest.approx(640)
    # A mean over all of it can be more than the worst of a short rest: nobody is told that.
    assert most_of(sequences) == sequences.jitter_worst[0] > mean_of(sequences)
    sequences.jitter_worst[0] = 1
    assert most_of(sequences) == mean_of(sequences) > 1
