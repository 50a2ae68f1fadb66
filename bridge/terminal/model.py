"""What the live view knows and shows: the tables of the bridge, which row is chosen, what is asked.

Nothing here knows a terminal or a socket. Updates of the stream `watch` (`bridge.admin.watching`)
come in, keys move a cursor (`bridge.terminal.keys`), and `bridge.terminal.page` makes lines of it::

    watch ──update──► Board ┐
                            ├─► View ──► page ──► lines
    keys ──► Cursor, order ─┘

A cursor holds on to a row by its key, so that it stays on the person when rows move; only where
that one has gone does it stay at the place.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

__all__ = ["ORDERS", "Board", "Cursor", "Order", "Question", "Request", "View"]

Row = dict[str, Any]
Keyed = tuple[str, Row]
"""A row and its key."""

Order = Literal["attention", "arrival", "quality"]

ORDERS: Final[tuple[Order, ...]] = ("attention", "arrival", "quality")
"""How people can be sorted: who needs a host first; who came first; whose line is worst."""

_WORST: Final = 9.0
"""Behind every mean opinion score: a line of which nothing is known yet."""


class Board:
    """The tables as the bridge has told them."""

    def __init__(self) -> None:
        self._tables: dict[str, dict[str, Row]] = {}

    def take(self, update: dict[str, Any], *, first: bool) -> None:
        """Take an update.

        Args:
            update: what has changed.
            first: it is the first of a connection, and everything before is void.
        """
        if first:
            self._tables.clear()
        for name, change in update.items():
            rows = self._tables.setdefault(name, {})
            for key in change.get("gone", ()):
                rows.pop(key, None)
            rows.update(change.get("rows", {}))

    def table(self, name: str) -> dict[str, Row]:
        """Return a table's rows by key; none where it was not told of."""
        return self._tables.get(name, {})

    @property
    def house(self) -> Row:
        """The bridge's own row; empty before it was told of."""
        return self.table("bridge").get("", {})


@dataclass(slots=True)
class Cursor:
    """Which row is chosen, and which is the first to be seen.

    Args:
        key: of the chosen row; None where there is none.
        index: its place.
        top: the first row on the screen.
    """

    key: str | None = None
    index: int = 0
    top: int = 0

    def settle(self, keys: list[str]) -> None:
        """Stay on the chosen row, wherever it is now; where it has gone, stay at the place."""
        if self.key in keys:
            self.index = keys.index(self.key)
        else:
            self.index = max(0, min(self.index, len(keys) - 1))
            self.key = keys[self.index] if keys else None

    def move(self, keys: list[str], by: int) -> None:
        """Go up or down by so many rows."""
        self.settle(keys)
        self.index = max(0, min(self.index + by, len(keys) - 1))
        self.key = keys[self.index] if keys else None

    def show(self, rows: int, height: int) -> int:
        """Scroll as little as is needed to see the chosen row.

        Args:
            rows: how many there are.
            height: how many can be seen.

        Returns:
            The first row to be seen.
        """
        top = min(self.top, self.index)
        top = max(top, self.index - max(height, 1) + 1)
        self.top = max(0, min(top, rows - height))
        return self.top


@dataclass(frozen=True, slots=True)
class Request:
    """Something to ask of the bridge.

    Args:
        operation: its name.
        arguments: what it takes.
        done: what to say when it is done.
    """

    operation: str
    arguments: dict[str, Any]
    done: str


@dataclass(frozen=True, slots=True)
class Question:
    """Something to be confirmed.

    Args:
        text: the question.
        request: what to ask for after `y`.
    """

    text: str
    request: Request


@dataclass(slots=True)
class View:
    """The state of one live view.

    Args:
        board: what the bridge has told.
        conference: key of the one whose people are shown; None for the list of conferences.
        order: how people are sorted.
        message: what was done last, or why not.
        fault: the message tells of something that went wrong.
        question: what is to be confirmed.
        helping: all keys are shown.
        away: why the bridge cannot be heard; None while it can.
        page_rows: rows that fit on the screen, as it was drawn last.
    """

    board: Board = field(default_factory=Board)
    conference: str | None = None
    order: Order = "attention"
    message: str = ""
    fault: bool = False
    question: Question | None = None
    helping: bool = False
    away: str | None = "Connecting."
    page_rows: int = 10
    _house: Cursor = field(default_factory=Cursor)
    _people: Cursor = field(default_factory=Cursor)

    @property
    def cursor(self) -> Cursor:
        """The cursor of what is shown."""
        return self._house if self.conference is None else self._people

    @property
    def room(self) -> Row:
        """The row of the conference whose people are shown; empty where it is not there."""
        return self.board.table("conferences").get(self.conference or "", {})

    def rows(self) -> list[Keyed]:
        """Return what is listed, in order."""
        if self.conference is None:
            named = self.board.table("conferences").items()
            return sorted(
                named, key=lambda each: (str(each[1].get("name", "")).casefold(), each[0])
            )
        return sorted(self.board.table("people").items(), key=self._rank)

    def _rank(self, keyed: Keyed) -> tuple[float, float, int]:
        key, row = keyed
        arrival = int(key)
        if self.order == "arrival":
            return (0, 0, arrival)
        if self.order == "quality":
            mos = row.get("mos")
            return (0, _WORST if mos is None else float(mos), arrival)
        where, hand = row.get("where"), row.get("hand")
        if where == "knocking":
            return (0, 0, arrival)
        if hand is not None:
            return (1, float(hand), arrival)
        if where == "room":
            return (2 if row.get("role") == "host" else 3, 0, arrival)
        return (5 if where == "parting" else 4, 0, arrival)

    def keys(self) -> list[str]:
        """Return the keys of what is listed, in order."""
        return [key for key, _ in self.rows()]

    def chosen(self) -> Keyed | None:
        """Return the row that the cursor is on."""
        rows = self.rows()
        self.cursor.settle([key for key, _ in rows])
        return rows[self.cursor.index] if rows else None

    def open(self, conference: str) -> None:
        """Show the people of a conference."""
        self.conference = conference
        self._house.key = conference
        self._people = Cursor()
        self.question = None

    def close(self) -> None:
        """Go back to the list of conferences."""
        self.conference = None
        self.question = None

    def say(self, message: str, *, fault: bool = False) -> None:
        """Show a message, until the next key."""
        self.message, self.fault = message, fault

    def take(self, update: dict[str, Any], *, first: bool) -> None:
        """Take an update of the bridge; leave a conference that has ended."""
        before = str(self.room.get("name", ""))
        self.board.take(update, first=first)
        self.away = None
        if self.conference is not None and not self.room:
            self.close()
            self.say(f"{before} has ended." if before else "That conference has ended.")
        self.cursor.settle(self.keys())
