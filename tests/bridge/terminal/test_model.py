"""What the live view knows: tables that follow the bridge, a cursor that stays on its person."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.terminal.model import Cursor, Order, View

KEYS = st.lists(st.integers(1, 12).map(str), unique=True)


def person(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of the row
    """Return the row of a guest in the room."""
    return {"role": "guest", "where": "room", "hand": None, "mos": 4.4, **changes}


def update(people: dict[str, dict[str, Any]], gone: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return an update of one conference's people."""
    return {
        "conferences": {"rows": {"3": {"name": "Board"}}, "gone": []},
        "people": {"rows": people, "gone": list(gone)},
    }


def watching(people: dict[str, dict[str, Any]]) -> View:
    """Return a view of one conference."""
    view = View()
    view.open("3")
    view.take(update(people), first=True)
    return view


def test_first_update_of_a_connection_replaces_all_that_was_known() -> None:
    """A bridge that was restarted knows nobody of those who were in before."""
    view = watching({"1": person(), "2": person()})
    view.away = "gone"
    view.take(update({"9": person()}), first=True)
    assert view.keys() == ["9"]
    assert view.away is None


def test_cursor_stays_on_the_person_when_rows_move() -> None:
    """A hand goes up, somebody knocks, somebody leaves: the same one is chosen."""
    view = watching({str(n): person() for n in range(1, 6)})
    view.cursor.move(view.keys(), 2)
    chosen = view.chosen()
    assert chosen is not None
    assert chosen[0] == "3"
    view.take(update({"5": person(hand=1), "6": person(where="knocking")}), first=False)
    assert view.keys() == ["6", "5", "1", "2", "3", "4"]
    view.take(update({}, gone=("1",)), first=False)
    chosen = view.chosen()
    assert chosen is not None
    assert chosen[0] == "3"


def test_cursor_stays_at_the_place_of_who_has_gone() -> None:
    """The next one is chosen then, or the last."""
    view = watching({str(n): person() for n in range(1, 4)})
    view.cursor.move(view.keys(), 1)
    view.take(update({}, gone=("2",)), first=False)
    assert view.cursor.key == "3"
    view.take(update({}, gone=("3",)), first=False)
    assert view.cursor.key == "1"
    view.take(update({}, gone=("1",)), first=False)
    assert view.chosen() is None


@pytest.mark.parametrize(
    ("order", "keys"),
    [
        ("attention", ["4", "3", "6", "5", "1", "2", "7", "8"]),
        ("arrival", ["1", "2", "3", "4", "5", "6", "7", "8"]),
        ("quality", ["2", "1", "3", "5", "6", "7", "8", "4"]),
    ],
)
def test_people_come_in_the_order_that_is_asked_for(order: Order, keys: list[str]) -> None:
    """Knocks, hands by their place, hosts, guests, who waits, who leaves."""
    view = watching(
        {
            "1": person(),
            "2": person(mos=2.0),
            "3": person(hand=1),
            "4": person(where="knocking", mos=None),
            "5": person(role="host"),
            "6": person(hand=2, role="host"),
            "7": person(where="waiting"),
            "8": person(where="parting"),
        }
    )
    view.order = order
    assert view.keys() == keys


def test_conference_that_ends_is_left_for_the_list() -> None:
    """And named."""
    view = watching({"1": person()})
    view.take({"conferences": {"rows": {}, "gone": ["3"]}}, first=False)
    assert view.conference is None
    assert view.message == "Board has ended."


@given(st.lists(st.tuples(KEYS, st.integers(-20, 20)), min_size=1), st.integers(1, 8))
def test_cursor_is_always_on_a_row_that_can_be_seen(
    steps: list[tuple[list[str], int]], height: int
) -> None:
    """Whatever comes, goes and is pressed; and the screen is never scrolled past its end."""
    cursor = Cursor()
    for keys, by in steps:
        held = cursor.key
        cursor.settle(keys)
        if held in keys:
            assert cursor.key == held
        cursor.move(keys, by)
        top = cursor.show(len(keys), height)
        if keys:
            assert cursor.key == keys[cursor.index]
            assert top <= cursor.index < top + height
            assert 0 <= top <= max(0, len(keys) - height)
        else:
            assert cursor.key is None
