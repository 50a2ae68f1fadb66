"""Spoken names: a slot for each, given back, never two legs' at once, nothing left behind."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.media.messages import Command
from bridge.media.name_messages import NameRecorded, RecordName, StopName
from bridge.media.names_area import NamesView, start_of
from bridge.names import SpokenNames


class Names(SpokenNames):
    """Spoken names, and what is said of them to media processes."""

    def __init__(self, slots: int = 2) -> None:
        self.said: list[Command] = []
        super().__init__(self.said.append, slots)
        self.view = NamesView(self.descriptor)

    def slot(self) -> int:
        """Return the slot that was asked for last; something is in it from now on."""
        last = [command for command in self.said if isinstance(command, RecordName)][-1]
        self.view.slots[last.slot, 0] = 99
        return last.slot


@pytest.fixture
def names() -> Iterator[Names]:
    """Return two slots."""
    made = Names()
    yield made
    made.close()


def answer(leg: int, slot: int, samples: int = 800) -> NameRecorded:
    """Return what a media process says when a name is recorded."""
    return NameRecorded(leg, slot, start_of(slot), samples, samples / 8000)


def test_a_name_is_held_until_its_conference_ends(names: Names) -> None:
    """Recorded, found by its leg in its room alone, erased to the last octet."""
    assert names.record(room=1, leg=5)
    names.stop(5)
    slot = names.slot()
    assert names.said == [RecordName(leg=5, slot=slot), StopName(leg=5)]
    assert names.of(1) == {}
    assert names.recorded(answer(5, slot)) == pytest.approx(0.1)
    assert names.of(1) == {5: (start_of(slot), 800)}
    assert names.of(2) == {}
    names.leg_left(5)
    names.leg_closed(5)
    assert names.of(1)  # the room is still told who has left
    names.end(1)
    assert names.of(1) == {}
    assert names.octets == 0


def test_who_says_nothing_has_no_slot(names: Names) -> None:
    """It is told as no speech, and the slot is free."""
    names.record(room=1, leg=5)
    assert names.recorded(answer(5, names.slot(), 0)) == 0.0
    assert names.of(1) == {}
    assert names.octets == 0


def test_a_name_asked_for_again_gets_a_clean_slot(names: Names) -> None:
    """The first one is erased when whoever may write to it has said that it is done."""
    names.record(room=1, leg=5)
    first = names.slot()
    names.record(room=1, leg=5)
    second = names.slot()
    assert first != second
    assert not names.record(room=1, leg=6)  # the first is not free before it is answered
    assert names.recorded(answer(5, first)) is None
    assert not names.view.slots[first].any()
    assert names.recorded(answer(5, second)) is not None
    assert names.record(room=1, leg=6)


def test_a_process_that_dies_over_a_name_leaves_a_slot_that_is_erased(names: Names) -> None:
    """Nobody answers: when the leg is closed, nobody writes any more."""
    names.record(room=1, leg=5)
    slot = names.slot()
    names.end(1)
    assert names.view.slots[slot].any()
    names.leg_closed(5)
    assert names.octets == 0
    assert names.recorded(answer(5, slot)) is None


def test_where_no_slot_is_left_who_has_gone_longest_gives_one(names: Names) -> None:
    """Of those who are there, nobody does."""
    for leg in (5, 6):
        names.record(room=1, leg=leg)
        names.recorded(answer(leg, names.slot()))
    assert not names.record(room=1, leg=7)
    for leg in (6, 5):
        names.leg_left(leg)
    assert names.record(room=2, leg=7)
    assert list(names.of(1)) == [5]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["record", "answer", "nothing", "left", "closed", "end"]),
        st.integers(1, 4),
    ),
    max_size=60,
)


@settings(max_examples=100, deadline=None)
@given(steps=STEPS)
def test_no_slot_is_lost_or_held_twice(steps: list[tuple[str, int]]) -> None:
    """Whatever happens in whatever order, in the end all slots are free and empty."""
    names = Names(slots=3)
    open_slots: dict[int, list[int]] = {}
    try:
        for what, leg in steps:
            if what == "record":
                if names.record(room=leg % 2, leg=leg):
                    open_slots.setdefault(leg, []).append(names.slot())
            elif what in ("answer", "nothing"):
                for slot in open_slots.pop(leg, []):
                    names.recorded(answer(leg, slot, 800 if what == "answer" else 0))
            elif what == "left":
                names.leg_left(leg)
            elif what == "closed":
                open_slots.pop(leg, None)
                names.leg_closed(leg)
            else:
                names.end(leg % 2)
            held = [piece for room in (0, 1) for piece in names.of(room).values()]
            writing = [start_of(slot) for slots in open_slots.values() for slot in slots]
            assert len(held) == len(set(held)) <= 3
            assert not {start for start, _ in held} & set(writing)
            assert len(writing) == len(set(writing))
        for leg in range(1, 5):
            names.leg_closed(leg)
        for room in (0, 1):
            names.end(room)
        assert names.octets == 0
        assert all(names.record(room=1, leg=leg) for leg in (11, 12, 13))
    finally:
        names.close()
