"""The ring that recordings are taken from: nothing is invented, nothing is lost unseen."""

import os
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.media.codecs import FRAME
from bridge.media.tap_ring import TapReader, TapRing, TapRows, TapWriter

NAMES = tuple(field.name for field in fields(TapRows))


@pytest.fixture
def ring() -> Iterator[TapRing]:
    """Return a ring of ten rows."""
    made = TapRing(rows=10)
    yield made
    made.close()


def sample_of(number: int) -> int:
    """Return what all samples of a row are."""
    return (number * 7919 + 13) % 65_536 - 32_768


def fill(writer: TapWriter, count: int, tick: int, first: int) -> None:
    """Write a tick's rows, whose content follows from their number; it is not shown yet."""
    for part, views in writer.begin(count, tick, tick * 0.02):
        numbers = first + np.arange(part.start, part.stop)
        views.leg[:] = numbers
        views.room[:] = numbers + 1
        views.group[:] = numbers % 5
        views.flags[:] = numbers % 16
        views.samples[:] = [[sample_of(number)] * FRAME for number in numbers.tolist()]


def write(writer: TapWriter, count: int, tick: int, first: int) -> None:
    """Write a tick's rows, whose content follows from their number."""
    fill(writer, count, tick, first)
    writer.end(tick, tick * 0.02)


def whole(rows: TapRows) -> list[int]:
    """Hold that rows are what was written under their numbers, and return those."""
    numbers = [int(number) for number in rows.leg]
    assert all(len(getattr(rows, name)) == len(numbers) for name in NAMES)
    for at, number in enumerate(numbers):
        assert rows.room[at] == number + 1
        assert rows.group[at] == number % 5
        assert rows.flags[at] == number % 16
        assert rows.at[at] == rows.tick[at] * 0.02
        assert (rows.samples[at] == sample_of(number)).all()
    return numbers


def test_rows_are_read_once_and_in_order(ring: TapRing) -> None:
    """Whatever ticks they came in."""
    writer, reader = TapWriter(ring.descriptor), TapReader.of(ring)
    assert len(reader.read()) == 0
    write(writer, 3, 0, 0)
    write(writer, 2, 1, 3)
    rows = reader.read()
    assert whole(rows) == [0, 1, 2, 3, 4]
    assert rows.tick.tolist() == [0, 0, 0, 1, 1]
    assert len(reader.read()) == 0
    assert whole(rows.of(3)) == [3]
    assert reader.lost == 0


def test_a_tick_is_seen_whole_or_not_at_all(ring: TapRing) -> None:
    """A reader that looks while it is written sees nothing of it."""
    writer, reader = TapWriter(ring.descriptor), TapReader.of(ring)
    fill(writer, 4, 0, 0)
    assert len(reader.read()) == 0
    writer.end(0, 0.0)
    assert whole(reader.read()) == [0, 1, 2, 3]


def test_a_reader_that_comes_later_begins_with_what_comes_next(ring: TapRing) -> None:
    """Or, if it asks for that, with the oldest there is."""
    writer = TapWriter(ring.descriptor)
    for tick in range(8):
        write(writer, 2, tick, 2 * tick)
    late, early = TapReader.of(ring), TapReader.of(ring, from_start=True)
    write(writer, 2, 8, 16)
    assert whole(late.read()) == [16, 17]
    # The tick of which the oldest row may be part is left out, and all before it.
    assert whole(early.read()) == [10, 11, 12, 13, 14, 15, 16, 17]
    assert early.lost == 10
    assert late.lost == 0


def test_a_reader_that_falls_behind_loses_whole_ticks_and_counts_them(ring: TapRing) -> None:
    """Nothing of what it gets is older than the ring, or of a tick that is not complete."""
    writer, reader = TapWriter(ring.descriptor), TapReader.of(ring)
    for tick in range(5):
        write(writer, 3, tick, 3 * tick)
    rows = reader.read()
    # Row 5 is there too, but not all of its tick is.
    assert whole(rows) == list(range(6, 15))
    assert reader.lost == 6
    write(writer, 3, 5, 15)
    assert whole(reader.read()) == [15, 16, 17]
    assert reader.lost == 6


def test_what_is_written_over_while_it_is_copied_is_torn_and_not_given(
    ring: TapRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer overtakes a reader in the middle of its copy."""
    writer, reader = TapWriter(ring.descriptor), TapReader.of(ring)
    for tick in range(5):
        write(writer, 2, tick, 2 * tick)
    copy = reader._copy

    def overtaken(name: str, places: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        if name == "samples":
            write(writer, 2, 5, 10)
            fill(writer, 2, 6, 12)
        return copy(name, places)

    monkeypatch.setattr(reader, "_copy", overtaken)
    # Rows 0 to 3 are torn; 4 and 5 might be of their tick.
    assert whole(reader.read()) == [6, 7, 8, 9]
    assert reader.lost == 6


def test_a_successor_goes_on_where_the_last_whole_tick_ended(ring: TapRing) -> None:
    """What a killed writer had begun was never seen, and is not taken for older rows either."""
    first, reader = TapWriter(ring.descriptor), TapReader.of(ring)
    for tick in range(3):
        write(first, 3, tick, 3 * tick)
    fill(first, 5, 3, 1000)
    successor = TapWriter(ring.descriptor)
    assert reader.writers == 2
    tick = successor.goes_on_at(0.04 + 0.3)
    assert tick == 2 + 15
    write(successor, 1, tick, 9)
    rows = reader.read()
    # Places of rows 0 to 3 hold what the killed writer wrote.
    assert whole(rows) == [6, 7, 8, 9]
    assert rows.tick.tolist() == [2, 2, 2, 17]
    assert reader.lost == 6


def test_time_goes_on_by_a_tick_at_least(ring: TapRing) -> None:
    """Two writers never use one number, however quick the successor is; the first begins at 0."""
    writer = TapWriter(ring.descriptor)
    assert writer.goes_on_at(55.0) == 0
    write(writer, 1, 7, 0)
    assert TapWriter(ring.descriptor).goes_on_at(0.14) == 8


@settings(max_examples=200, deadline=None)
@given(
    rows=st.integers(1, 40),
    steps=st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=1, max_size=40),
)
def test_any_reader_gets_each_row_once_or_counts_it(
    rows: int, steps: list[tuple[int, bool]]
) -> None:
    """Ticks of any size around rings of any size, read at any time."""
    ring = TapRing(rows)
    try:
        writer, reader = TapWriter(ring.descriptor), TapReader.of(ring)
        written, got, tick_of = 0, [], {}
        for tick, (count, reads) in enumerate(steps):
            count = min(count, rows)  # noqa: PLW2901 - more than the ring is not asked of it
            write(writer, count, tick, written)
            tick_of.update(dict.fromkeys(range(written, written + count), tick))
            written += count
            if reads:
                part = whole(reader.read())
                # A batch reaches up to now without a gap, and begins with a whole tick.
                assert part == list(range(written - len(part), written))
                assert not part or tick_of.get(part[0] - 1) != tick_of[part[0]]
                got += part
                assert len(got) + reader.lost == written
        assert len(set(got)) == len(got)
    finally:
        ring.close()


def test_what_is_no_ring_is_refused() -> None:
    """Too small, of another kind or version, or smaller than it says."""
    made = TapRing(rows=4)
    data = os.pread(made.descriptor, 1 << 20, 0)
    made.close()
    for wrong in (b"", bytes(8192), b"\1" + data[1:], data[:8] + b"\2" + data[9:], data[:-1]):
        descriptor = os.memfd_create("wrong")
        os.write(descriptor, wrong)
        with pytest.raises(ValueError, match="ring of"):
            TapReader(descriptor)
        with pytest.raises(ValueError, match="ring of"):
            TapWriter(descriptor)
        os.close(descriptor)


def test_a_ring_cannot_be_cut_under_who_uses_it(ring: TapRing) -> None:
    """Neither end can kill the other by SIGBUS."""
    with pytest.raises(PermissionError):
        os.ftruncate(ring.descriptor, 4096)
