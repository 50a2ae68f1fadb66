"""The state page: what is read is what one tick left, whenever the writer dies."""

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from bridge.media._rows import Rows
from bridge.media.page import StatePage, StateView, record_type


class Things(Rows):
    """A table with something of each kind."""

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.leg: npt.NDArray[np.int64] = self.column("leg", np.int64, fill=-1, kept=True)
        self.flag: npt.NDArray[np.bool_] = self.column("flag", np.bool_, kept=True)
        self.counts: npt.NDArray[np.int64] = self.column("counts", np.int64, 3, kept=True)
        self.octets: npt.NDArray[np.uint8] = self.column("octets", np.uint8, 160)
        self.level: npt.NDArray[np.float32] = self.column("level", np.float32, kept=True)


@pytest.fixture
def view() -> Iterator[StateView]:
    """Control's end, closed afterwards."""
    view = StateView()
    yield view
    view.close()


def fill(things: Things, tick: int) -> None:
    """Let every column say the number of a tick."""
    things.leg[:2] = (5, 9)
    things.flag[:2] = (True, False)
    things.counts[:2] = tick
    things.level[:2] = (tick, -tick)


def said(view: StateView) -> dict[int, dict[str, Any]]:
    """Return what the page says of each leg."""
    return {
        leg: {name: record[name].tolist() for name in record.dtype.names or ()}
        for leg, record in view.read().legs.items()
    }


def expected(tick: int) -> dict[int, dict[str, Any]]:
    """Return what it says after a tick."""
    of = "legs.leg", "legs.flag", "legs.counts", "legs.level"
    return {
        5: dict(zip(of, (5, True, [tick] * 3, float(tick)), strict=True)),
        9: dict(zip(of, (9, False, [tick] * 3, float(-tick)), strict=True)),
    }


def page_of(view: StateView) -> StatePage:
    """Return the writer's end of a page."""
    return StatePage(os.dup(view.descriptor))


def test_a_page_says_what_the_last_tick_left(view: StateView) -> None:
    """Kept columns only, of open legs only, with the time they were true."""
    page, things = page_of(view), Things(8)
    assert view.read().legs == {}
    assert view.ticked_at() == 0
    page.lay_out({"legs": things}, 1.0)
    assert view.read().legs == {}
    for tick in range(1, 5):
        fill(things, tick)
        page.beat(10.0 + tick)
        page.save(20.0 + tick, 2)
        assert said(view) == expected(tick)
        assert view.read().at == 20.0 + tick
        assert view.ticked_at() == 10.0 + tick


@pytest.mark.parametrize("dies_at", ["leg", "flag", "counts", "level"])
def test_a_tick_that_was_not_written_to_its_end_never_was(view: StateView, dies_at: str) -> None:
    """Killed between two columns: the tick before counts, whole."""

    class KilledError(Exception):
        """The writer is no more."""

    class Mortal(Things):
        """KilledError when one column is looked at."""

        dying = False

        def __getattribute__(self, name: str) -> Any:  # noqa: ANN401 - any column
            if name == dies_at and object.__getattribute__(self, "dying"):
                raise KilledError
            return object.__getattribute__(self, name)

    page, things = page_of(view), Mortal(8)
    page.lay_out({"legs": things}, 1.0)
    for tick in (1, 2, 3):
        fill(things, tick)
        page.save(float(tick), 2)
    fill(things, 4)
    things.dying = True
    with pytest.raises(KilledError):
        page.save(4.0, 2)
    assert said(view) == expected(3)
    assert view.read().at == 3.0


def test_a_page_grows_with_its_tables(view: StateView) -> None:
    """No moment passes in which it says nothing."""
    page, things = page_of(view), Things(2)
    page.lay_out({"legs": things}, 1.0)
    fill(things, 1)
    page.save(1.0, 2)
    things.grow(5000)
    assert said(view) == expected(1)
    things.leg[4999] = 77
    page.lay_out({"legs": things}, 2.0)
    assert view.read().legs.keys() == {5, 9, 77}
    fill(things, 3)
    page.save(3.0, 2)
    assert said(view)[9] == expected(3)[9]


def test_a_record_is_what_is_kept_and_nothing_else() -> None:
    """Sound is not in it."""
    kind = record_type({"legs": Things(4)})
    assert kind.names == ("legs.leg", "legs.flag", "legs.counts", "legs.level")
    assert kind.itemsize == 8 + 1 + 24 + 4
