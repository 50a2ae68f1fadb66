"""Sound files in the shared area: held, found, given back, and never another conference's."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.media.names_area import NAMES, SLOTS, NamesArea, NamesView, start_of
from bridge.sounds import BAYS, HOLD_S, LONGEST_SAMPLES, Sounds


class Shelf(Sounds):
    """Sounds with a clock of the test's, and what media processes see of them."""

    def __init__(self) -> None:
        self.now = 0.0
        self.area = NamesArea()
        self.view = NamesView(self.area.descriptor)
        super().__init__(self.area, lambda: self.now)

    def seen(self, room: int, number: int) -> list[int]:
        """Return what is played where a sound lies."""
        start, length = self.of(room)[number]
        samples: list[int] = self.view.samples[start - NAMES : start - NAMES + length].tolist()
        return samples


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    """Return one."""
    made = Shelf()
    yield made
    made.area.close()


def ramp(length: int, value: int = 1) -> npt.NDArray[np.int16]:
    """Return a sound in which no sample is zero."""
    return (np.arange(length) % 1000 + value).astype(np.int16)


def test_a_sound_lies_behind_the_names_until_it_is_let_go(shelf: Shelf) -> None:
    """Every sample of the longest one; then nothing, and no memory."""
    number = shelf.hold(7, ramp(LONGEST_SAMPLES))
    assert number == -1
    assert shelf.seen(7, number) == ramp(LONGEST_SAMPLES).tolist()
    assert shelf.of(7)[number][0] >= start_of(SLOTS)
    assert shelf.of(8) == {}
    shelf.let_go(number)
    shelf.let_go(number)
    assert shelf.of(7) == {}
    assert shelf.area.octets == 0


def test_sounds_end_with_their_conference(shelf: Shelf) -> None:
    """Another one's stay."""
    first, other = shelf.hold(7, ramp(800)), shelf.hold(8, ramp(800, 5))
    assert first is not None
    assert other is not None
    shelf.end(7)
    assert shelf.of(7) == {}
    assert shelf.seen(8, other) == ramp(800, 5).tolist()


def test_there_is_an_end_to_them_until_one_is_overdue(shelf: Shelf) -> None:
    """A sound whose end nobody told makes room after a while, and no sooner."""
    for _ in range(BAYS):
        assert shelf.hold(7, ramp(160)) is not None
    shelf.now = HOLD_S - 1
    assert shelf.hold(7, ramp(160)) is None
    shelf.now = HOLD_S
    assert shelf.hold(7, ramp(160)) is not None


@settings(max_examples=50)
@given(st.lists(st.tuples(st.sampled_from(["hold", "let go", "end"]), st.integers(0, 3))))
def test_whatever_comes_and_goes_no_sound_is_another_ones(steps: list[tuple[str, int]]) -> None:
    """Each room hears what was held for it, and nothing of it is left at the end."""
    shelf = Shelf()
    held: dict[int, tuple[int, int]] = {}
    try:
        for step, room in steps:
            if step == "hold":
                value = len(held) + 1
                number = shelf.hold(room, ramp(160, value))
                if number is not None:
                    held[number] = (room, value)
            elif step == "let go" and held:
                number = next(iter(held))
                shelf.let_go(number)
                del held[number]
            else:
                shelf.end(room)
                held = {key: each for key, each in held.items() if each[0] != room}
            for number, (of, value) in held.items():
                assert shelf.seen(of, number) == ramp(160, value).tolist()
        for room in range(4):
            shelf.end(room)
        assert shelf.area.octets == 0
    finally:
        shelf.area.close()
