"""Columns: what fits, what is cut, and mutes that are told apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from bridge.terminal.columns import HOUSE, PEOPLE, cells, fit, minutes, mutes


@given(st.text(max_size=30), st.integers(0, 20), st.booleans())
def test_a_text_has_as_many_cells_as_it_is_given(text: str, width: int, right: bool) -> None:  # noqa: FBT001 - drawn
    """Wide characters and combining ones too: a line is never longer than the screen."""
    assert cell_len(cells(text, width, right=right)) == width


@pytest.mark.parametrize("columns", [HOUSE, PEOPLE])
@given(width=st.integers(1, 250))
def test_columns_never_take_more_than_there_is(columns: tuple[object, ...], width: int) -> None:
    """From a screen of one column to one of 250."""
    given_ = fit(columns, width)  # type: ignore[arg-type] # both are of columns
    assert given_
    assert sum(wide for _, wide in given_) + len(given_) - 1 <= width
    kept = [column for column, _ in given_]
    assert kept == [column for column in columns if column in kept]


def test_what_matters_most_is_kept_on_a_narrow_screen() -> None:
    """Who it is, talking, and why not heard."""
    titles = [column.title for column, _ in fit(PEOPLE, 38)]
    assert titles == ["Person", "Role", "Talk", "Muted by", "Hand"][: len(titles)]
    assert {"Person", "Talk", "Muted by"} <= set(titles)
    assert [column for column, _ in fit(PEOPLE, 200)] == list(PEOPLE)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({}, ""),
        ({"self_muted": True}, "own"),
        ({"host_muted": True}, "host"),
        ({"mode_muted": True}, "mode"),
        ({"self_muted": True, "host_muted": True, "mode_muted": True}, "own+host+mode"),
        ({"floor": True, "host_muted": True}, "(floor)"),
        ({"floor": True, "self_muted": True}, "own"),
        ({"where": "waiting", "self_muted": True}, ""),
    ],
)
def test_mutes_are_told_apart(row: dict[str, object], words: str) -> None:
    """By themselves, by a host, by the mode; who has the floor is heard unless they muted."""
    assert mutes({"where": "room", **row}) == words


def test_minutes_never_run_backwards() -> None:
    """A clock that was set back shows nought; who is not in has none."""
    assert [minutes(since, 1000) for since in (None, 1000, 941, 940, 5000)] == [
        "",
        "0",
        "0",
        "1",
        "0",
    ]


def test_masked_number_keeps_its_end_where_room_is_short() -> None:
    """Stars go first: the two digits that tell callers apart stay."""
    (column,) = [each for each in PEOPLE if each.title == "Number"]
    shown = column.show({"number": "+358" + "*" * 20 + "42"}, 0)
    assert len(shown) <= column.width
    assert shown.startswith("+358")
    assert shown.endswith("42")
