"""The live view as lines of a terminal: pure, from the view's state and the size of the screen.

::

    title line                what is shown, and whether the bridge can be heard
    state line                counts, mode, lock
    headings
    rows ...                  the chosen one with a mark, and reversed
    message                   what was done last, or a question
    keys                      one line to three

Every line has as many cells as the screen is wide: nothing is left of what was there before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from bridge.terminal.columns import HOUSE, PEOPLE, cells, fit, minutes
from bridge.terminal.keys import HELP, key_hints
from config.console import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bridge.terminal.columns import Column
    from bridge.terminal.model import Keyed, View

__all__ = ["Line", "Look", "draw"]

Look = Literal["plain", "title", "heading", "chosen", "dim", "fault", "talks", "asks", "keys"]

_KEY_LINES: Final = 3
_LAST: Final = 3
"""Hints at the end that stay where there is no room for all: back, help, quit."""

_MARK: Final = "> "
_PERCENT: Final = 100


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the screen.

    Args:
        text: as many cells as the screen is wide.
        look: how it looks.
    """

    text: str
    look: Look = "plain"


def draw(view: View, width: int, height: int, now: float) -> list[Line]:
    """Draw the view.

    Args:
        view: its state; how many rows fit is noted in it.
        width: of the screen, in cells.
        height: of the screen, in lines.
        now: the time, in seconds of the epoch.

    Returns:
        `height` lines of `width` cells each.
    """
    bottom = [_message(view), *(Line(each, "keys") for each in _keys(view, width))]
    if view.helping:
        top = [Line("Keys of dialin live", "title"), Line(""), *_help()]
    else:
        top = _top(view, now)
        room = max(1, height - len(top) - 1 - len(bottom))
        top += _table(view, width, room, now)
    space = max(0, height - len(bottom))
    lines = [*top[:space], *[Line("")] * (space - len(top)), *bottom][:height]
    return [Line(cells(each.text, width), each.look) for each in lines]


def _top(view: View, now: float) -> list[Line]:
    house = view.board.house
    if view.conference is None:
        running = len(view.board.table("conferences"))
        title = (
            f"dialin live: {_count(running, 'conference')}, {_count(house.get('calls', 0), 'call')}"
        )
        state = [
            f"busiest media process {house.get('tick_share', 0) * _PERCENT:.0f} % of its time",
            f"lost packets {house.get('lost', 0)}",
        ]
        if house.get("draining"):
            state.append("DRAINS: no conference starts")
        elif house.get("unready"):
            state.append("NEW CALLS ARE REFUSED")
    else:
        room = view.room
        title = printable(room.get("name", ""))
        if room.get("since") is not None:
            title = f"{title}  {minutes(room['since'], now)} min"
        # What a host has set comes first: it is what must not be cut off.
        state = [str(room.get("mode", "")).replace("_", " ")]
        state += [word for word, key in _FLAGS if room.get(key)]
        state += [
            f"{room.get('people', 0)} in, {room.get('heard', 0)} can be heard",
            f"{room.get('talking', 0)} talk",
        ]
        state += [f"{room[key]} {words}" for words, key in _COUNTS if room.get(key)]
    if view.away is not None:
        return [
            Line(f"{title}  [{view.away} What is below is old.]", "fault"),
            Line(" | ".join(state), "dim"),
        ]
    return [Line(title, "title"), Line(" | ".join(state))]


_FLAGS: Final = (("LOCKED", "locked"), ("ALL MUTED", "muted_all"))
_COUNTS: Final = (("wait", "waiting"), ("with a hand up", "hands"), ("rooms", "breakouts"))


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _table(view: View, width: int, room: int, now: float) -> list[Line]:
    """Draw headings and the rows that can be seen; note how many those are."""
    columns = fit(HOUSE if view.conference is None else PEOPLE, width - len(_MARK))
    rows = view.rows()
    view.page_rows = room
    view.cursor.settle([key for key, _ in rows])
    first = view.cursor.show(len(rows), room)
    headings = " ".join(cells(each.title, wide, right=each.right) for each, wide in columns)
    seen = rows[first : first + room]
    lines = [Line(" " * len(_MARK) + headings, "heading")]
    lines += [_row(view, each, columns, now) for each in seen]
    if not rows:
        nothing = "No conference is running." if view.conference is None else "Nobody is in."
        lines.append(Line(f"{' ' * len(_MARK)}{nothing}", "dim"))
    elif len(rows) > room:
        lines[0] = Line(
            f"{cells(lines[0].text, width - 16)} {first + 1}-{first + len(seen)} of {len(rows)}",
            "heading",
        )
    return lines


def _row(view: View, keyed: Keyed, columns: Sequence[tuple[Column, int]], now: float) -> Line:
    key, row = keyed
    chosen = key == view.cursor.key
    known = {**row, "key": key}
    text = " ".join(cells(each.show(known, now), wide, right=each.right) for each, wide in columns)
    look: Look = "plain"
    if chosen:
        look = "chosen"
    elif view.away is not None or row.get("where") == "parting":
        look = "dim"
    elif row.get("where") == "knocking" or row.get("hand") is not None:
        look = "asks"
    elif row.get("talking") and row.get("heard", True):
        look = "talks"
    return Line((_MARK if chosen else " " * len(_MARK)) + text, look)


def _message(view: View) -> Line:
    if view.question is not None:
        return Line(f"{view.question.text}  y / n", "fault")
    return Line(printable(view.message), "fault" if view.fault else "plain")


def _help() -> list[Line]:
    return [Line(f"  {keys:<12}  {what}") for keys, what in HELP]


def _keys(view: View, width: int) -> list[str]:
    """Write the keys on as many lines as they need, three at most; the way out is always there."""
    hints = [f"{key} {word}" for key, word in key_hints(view)]
    while len(lines := _filled(hints, width)) > _KEY_LINES and len(hints) > _LAST:
        hints.pop(-_LAST - 1)
    return lines[:_KEY_LINES]


def _filled(hints: list[str], width: int) -> list[str]:
    lines = [""]
    for hint in hints:
        longer = f"{lines[-1]}   {hint}" if lines[-1] else hint
        if len(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(hint)
    return lines
