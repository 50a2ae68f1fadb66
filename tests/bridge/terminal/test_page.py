"""The live view as lines: on common screens, with many people, and with names that misbehave."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from bridge.terminal.keys import press
from bridge.terminal.model import View
from bridge.terminal.page import Line, draw

NOW = 1_000_000.0
SIZES = [(80, 24), (200, 50)]


def person(leg: int, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of the row
    """Return somebody's row."""
    return {
        "role": "host" if leg == 1 else "guest",
        "where": "room",
        "number": f"+46*******{leg % 100:02d}",
        "talking": False,
        "heard": True,
        "self_muted": False,
        "host_muted": False,
        "mode_muted": False,
        "floor": False,
        "hand": None,
        "room": 0,
        "volume_db": 0.0,
        "on_hold": False,
        "mos": 4.4,
        "lost_percent": 0.0,
        "since": NOW - 60 * leg,
        **changes,
    }


def meeting(people: dict[int, dict[str, Any]], name: str = "Board", **room: Any) -> View:  # noqa: ANN401 - fields of the row
    """Return a view of one conference."""
    view = View()
    view.open("3")
    row = {"name": name, "people": len(people), "heard": 2, "mode": "conversation", **room}
    tables: dict[str, Any] = {
        "bridge": {"": {"calls": len(people), "tick_share": 0.1, "lost": 0}},
        "conferences": {"3": row},
        "people": {str(leg): each for leg, each in people.items()},
    }
    view.take({name: {"rows": rows, "gone": []} for name, rows in tables.items()}, first=True)
    return view


def whole(lines: list[Line], width: int, height: int) -> list[str]:
    """See that a screen is filled exactly, and return its texts."""
    assert len(lines) == height
    assert {cell_len(line.text) for line in lines} == {width}
    assert all("\n" not in line.text and "\x1b" not in line.text for line in lines)
    return [line.text.rstrip() for line in lines]


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_people_of_a_conference(width: int, height: int) -> None:
    """Role, masked number, talk, each kind of mute, hand, quality, minutes; keys at the bottom."""
    view = meeting(
        {
            1: person(1, talking=True),
            2: person(2, self_muted=True, heard=False, talking=True),
            3: person(3, host_muted=True, self_muted=True, heard=False),
            4: person(4, mode_muted=True, heard=False, hand=1, mos=2.1, lost_percent=12.5),
            5: person(5, where="knocking", heard=False, mos=None, lost_percent=None),
        },
        locked=True,
        mode="questions",
        talking=1,
        hands=1,
        since=NOW - 600,
    )
    lines = draw(view, width, height, NOW)
    texts = whole(lines, width, height)
    assert texts[0] == "Board  10 min"
    for words in ("5 in", "questions", "LOCKED", "1 talk", "1 with a hand up"):
        assert words in texts[1]
    rows = {int(text[2:8]): text for text in texts[3:8]}
    assert list(rows) == [5, 4, 1, 2, 3]  # who knocks, hands, hosts, guests
    assert rows[1].split()[:5] == ["1", "host", "in", "+46*******01", "talks"]
    assert "unheard" in rows[2]
    assert " own " in rows[2]
    assert "own+host" in rows[3]
    assert " mode " in rows[4]
    assert " 1  2.1" in rows[4]
    assert "knocks" in rows[5]
    assert rows[3].split()[-1] == "3"
    assert ("12.5%" in rows[4]) is (width > 80)
    assert texts[3].startswith("> ")
    assert [line.look for line in lines[3:8]] == ["chosen", "asks", "talks", "plain", "plain"]
    bottom = " ".join(texts[-3:])
    for hint in ("a admit", "m mute", "l unlock", "x remove", "e end", "r record", "? help"):
        assert hint in bottom


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_two_hundred_people_are_scrolled_through_without_a_broken_line(
    width: int, height: int
) -> None:
    """Each of them is seen once the cursor is there; how far one is stands in the headings."""
    view = meeting({leg: person(leg) for leg in range(1, 201)})
    seen = set()
    for _ in range(200):
        texts = whole(draw(view, width, height, NOW), width, height)
        (marked,) = [text for text in texts if text.startswith("> ")]
        seen.add(int(marked[2:8]))
        assert "of 200" in texts[2]
        press(view, "down")
    assert seen == set(range(1, 201))
    press(view, "home")
    assert "1-" in draw(view, width, height, NOW)[2].text
    press(view, "pagedown")
    press(view, "end")
    assert "-200 of 200" in draw(view, width, height, NOW)[2].text


def test_bridge_that_is_away_is_told_of_on_every_screen() -> None:
    """What is shown is old then, and looks so."""
    view = meeting({1: person(1), 2: person(2)})
    view.away = "The bridge does not run. Trying again."
    lines = draw(view, 80, 24, NOW)
    assert "The bridge does not run. Trying again." in lines[0].text
    assert lines[0].look == "fault"
    assert lines[4].look == "dim"


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_list_of_conferences(width: int, height: int) -> None:
    """By name; what the bridge bears; nothing to see is said."""
    view = View()
    rows = {
        str(n): {"name": name, "people": n, "talking": 1, "waiting": 0, "since": NOW - 120}
        for n, name in ((1, "Sales"), (2, "board"), (3, "All hands"))
    }
    house = {"calls": 6, "tick_share": 0.25, "lost": 3, "draining": True}
    update = {"bridge": {"rows": {"": house}}, "conferences": {"rows": rows}}
    view.take(update, first=True)
    texts = whole(draw(view, width, height, NOW), width, height)
    assert texts[0] == "dialin live: 3 conferences, 6 calls"
    for words in ("25 %", "lost packets 3", "DRAINS"):
        assert words in texts[1]
    assert [text[2:].split("  ")[0] for text in texts[3:6]] == ["All hands", "board", "Sales"]
    view.take({"conferences": {"rows": {}, "gone": ["1", "2", "3"]}}, first=False)
    assert "No conference is running." in draw(view, width, height, NOW)[3].text


def test_help_and_questions_are_whole_on_a_small_screen() -> None:
    """Every key is explained on 80 by 24, nothing cut; a question says whom it is about."""
    view = meeting({1: person(1), 2: person(2)})
    press(view, "?")
    texts = whole(draw(view, 80, 24, NOW), 80, 24)
    assert not [text for text in texts if "…" in text]
    assert any("Ctrl-C" in text for text in texts)
    press(view, "x")
    press(view, "down")
    press(view, "x")
    texts = whole(draw(view, 80, 24, NOW), 80, 24)
    assert texts[-2] == "Remove 2 (+46*******02) from the conference?  y / n"
    assert texts[-1] == "y yes   any other key no"


def test_name_that_would_move_the_cursor_is_shown_escaped() -> None:
    """Names come from administrators and may hold anything."""
    view = meeting({1: person(1)}, name="a\x1b[2Jb\nc" + "字" * 100)
    texts = whole(draw(view, 80, 24, NOW), 80, 24)
    assert texts[0].startswith("a\\x1b[2Jb\\nc字")
    press(view, "escape")
    whole(draw(view, 80, 24, NOW), 80, 24)


@given(
    st.integers(1, 220),
    st.integers(1, 60),
    st.integers(0, 70),
    st.lists(st.sampled_from([*"jkmMlnfpxeadvrs?yq", "enter", "escape", "pagedown", "end"])),
)
def test_any_screen_is_filled_exactly(
    width: int, height: int, people: int, keys: list[str]
) -> None:
    """Down to one cell, whatever is pressed."""
    view = meeting({leg: person(leg) for leg in range(1, people + 1)})
    for key in keys:
        press(view, key)
        whole(draw(view, width, height, NOW), width, height)
