"""The columns of the live view's tables: what each shows, and which of them fit.

A line is never broken: columns that matter least are left out where there is no room for them, and
what is too long is cut. Every text that came from outside is escaped before it is shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rich.cells import cell_len, set_cell_size

from config.console import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bridge.terminal.model import Row

__all__ = ["HOUSE", "PEOPLE", "Column", "cells", "fit", "minutes", "mutes"]

_GAP: Final = 1
_MINUTE: Final = 60


@dataclass(frozen=True, slots=True)
class Column:
    """A column.

    Args:
        title: its heading.
        width: cells it takes at least.
        show: its text in a row, at a time in seconds of the epoch.
        rank: which is left out first where there is no room: the highest.
        right: it is ranged to the right.
        grows: cells that it may take more where there is room.
    """

    title: str
    width: int
    show: Callable[[Row, float], str]
    rank: int = 0
    right: bool = False
    grows: int = 0


def cells(text: str, width: int, *, right: bool = False) -> str:
    """Return a text in exactly so many cells of a terminal, cut or filled."""
    if cell_len(text) > width:
        return set_cell_size(text, max(width - 1, 0)) + "…" if width else ""
    filling = " " * (width - cell_len(text))
    return filling + text if right else text + filling


def fit(columns: Sequence[Column], width: int) -> list[tuple[Column, int]]:
    """Choose the columns that fit.

    Args:
        columns: all of them, in order.
        width: cells there are.

    Returns:
        Those that fit, each with the cells that it gets.
    """
    kept = list(columns)
    while len(kept) > 1 and sum(each.width + _GAP for each in kept) - _GAP > width:
        kept.remove(max(kept, key=lambda each: (each.rank, kept.index(each))))
    left = width - sum(each.width + _GAP for each in kept) + _GAP
    given = []
    for each in kept:
        more = max(0, min(each.grows, left))
        left -= more
        given.append((each, min(each.width + more, width)))
    return given


def minutes(since: Any, now: float) -> str:  # noqa: ANN401 - what JSON held
    """Return the whole minutes since a moment, empty where there is none."""
    return "" if since is None else str(max(0, int(now - since) // _MINUTE))


def mutes(row: Row) -> str:
    """Say what keeps somebody from being heard: their own mute, a host's, the mode; or all."""
    if row.get("where") != "room":
        return ""
    found = [word for word, key in _MUTES if row.get(key)]
    if row.get("floor") and not row.get("self_muted"):
        return "(floor)"
    return "+".join(found)


_MUTES: Final = (("own", "self_muted"), ("host", "host_muted"), ("mode", "mode_muted"))

_PLACES: Final = {
    "entrance": "name",
    "knocking": "knocks",
    "waiting": "waits",
    "room": "in",
    "parting": "leaves",
}


def _where(row: Row, _now: float) -> str:
    if row.get("where") == "room" and row.get("room"):
        return f"room {row['room']}"
    return _PLACES.get(str(row.get("where")), "")


def _talks(row: Row, _now: float) -> str:
    if not row.get("talking"):
        return ""
    return "talks" if row.get("heard") else "unheard"


def _hand(row: Row, _now: float) -> str:
    return "" if row.get("hand") is None else str(row["hand"])


def _number(row: Row, _now: float) -> str:
    """Return the masked number, with fewer stars where it would be cut at its end."""
    number = printable(row.get("number", ""))
    while len(number) > _NUMBER_WIDTH and "**" in number:
        number = number.replace("**", "*", 1)
    return number


def _mos(row: Row, _now: float) -> str:
    return "" if row.get("mos") is None else f"{row['mos']:.1f}"


def _loss(row: Row, _now: float) -> str:
    return "" if row.get("lost_percent") is None else f"{row['lost_percent']:.1f}%"


def _volume(row: Row, _now: float) -> str:
    return f"{row['volume_db']:+.0f} dB" if row.get("volume_db") else ""


_NUMBER_WIDTH: Final = 14

PEOPLE: Final = (
    Column("Person", 6, lambda row, _: str(row["key"]), right=True),
    Column("Role", 5, lambda row, _: str(row.get("role", ""))),
    Column("Place", 7, _where, rank=4),
    Column("Number", _NUMBER_WIDTH, _number, rank=3, grows=4),
    Column("Talk", 7, _talks),
    Column("Muted by", 13, lambda row, _: mutes(row)),
    Column("Hand", 4, _hand, right=True),
    Column("MOS", 4, _mos, rank=1, right=True),
    Column("Loss", 6, _loss, rank=6, right=True),
    Column("Min", 4, lambda row, now: minutes(row.get("since"), now), rank=2, right=True),
    Column("Volume", 6, _volume, rank=7, right=True),
    Column("Hold", 4, lambda row, _: "hold" if row.get("on_hold") else "", rank=5),
)

HOUSE: Final = (
    Column("Conference", 16, lambda row, _: printable(row.get("name", "")), grows=40),
    Column("In", 4, lambda row, _: str(row.get("people", "")), right=True),
    Column("Heard", 5, lambda row, _: str(row.get("heard", "")), rank=4, right=True),
    Column("Talk", 4, lambda row, _: str(row.get("talking", "")), rank=1, right=True),
    Column("Wait", 4, lambda row, _: str(row.get("waiting", "")), rank=1, right=True),
    Column("Hands", 5, lambda row, _: str(row.get("hands", "")), rank=3, right=True),
    Column("Mode", 12, lambda row, _: str(row.get("mode", "")).replace("_", " "), rank=2),
    Column("Locked", 6, lambda row, _: "locked" if row.get("locked") else "", rank=3),
    Column("Min", 4, lambda row, now: minutes(row.get("since"), now), right=True),
)
