"""The keys of the live view: what each does, where it works, and how it is called at the bottom.

What steers a conference is the same as a host's keys on the telephone, by the same rules: the view
asks, the bridge decides and says why not. What cannot be taken back is asked for again; the
question names its person, and its answer counts for that one even if rows have moved meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from bridge.terminal.model import ORDERS, Question, Request
from config.console import printable
from dialplan.floor import Mode

if TYPE_CHECKING:
    from collections.abc import Callable

    from bridge.terminal.model import View

__all__ = ["HELP", "Opened", "key_hints", "press"]


_ORDER_WORDS: Final = {
    "attention": "Knocks and hands first.",
    "arrival": "In the order of coming.",
    "quality": "The worst lines first.",
}

HELP: Final = (
    ("arrows, j, k", "choose a row; PgUp, PgDn, Home and End go further"),
    ("Enter", "show the people of the chosen conference"),
    ("Esc", "back to the list of conferences"),
    ("m", "mute the chosen guest; lift the host's mute, never their own"),
    ("M", "mute everybody but hosts, or lift the host's mute from all"),
    ("l", "lock or unlock: newcomers knock"),
    ("n", "next mode: conversation, questions, presentation, hosts only"),
    ("f", "give the chosen guest the floor"),
    ("p", "make the chosen person a host"),
    ("a, d", "admit who knocks, or turn them away (deny)"),
    ("v", "the chosen person hears the others louder, softer, normal"),
    ("r", "record: not available yet"),
    ("x", "remove the chosen person; coming back, they knock"),
    ("e", "end the conference for all"),
    ("s", "sort: who needs a host first, who came first, worst lines first"),
    ("?", "this help"),
    ("q, Ctrl-C", "quit; the conferences go on"),
)


@dataclass(frozen=True, slots=True)
class Opened:
    """A conference was opened or left: other things are to be watched.

    Args:
        conference: its key; None for the list.
    """

    conference: str | None


def key_hints(view: View) -> list[tuple[str, str]]:
    """Return key and word for the bottom of the screen: those that do something now."""
    if view.question is not None:
        return [("y", "yes"), ("any other key", "no")]
    if view.helping:
        return [("any key", "back"), ("q", "quit")]
    if view.conference is None:
        return [("Enter", "people"), ("?", "help"), ("q", "quit")]
    room, chosen = view.room, view.chosen()
    row = chosen[1] if chosen is not None else {}
    hints = [
        ("m", "unmute" if row.get("host_muted") else "mute"),
        ("M", "unmute all" if room.get("muted_all") else "mute all"),
        ("l", "unlock" if room.get("locked") else "lock"),
        ("n", "mode"),
        ("f", "floor"),
        ("p", "host"),
        ("v", "volume"),
        ("r", "record"),
        ("x", "remove"),
        ("e", "end"),
        ("s", "sort"),
        ("Esc", "back"),
        ("?", "help"),
        ("q", "quit"),
    ]
    if row.get("where") == "knocking":
        hints = [("a", "admit"), ("d", "deny"), *hints]
    return hints


def press(view: View, key: str) -> Request | Opened | Literal["quit"] | None:  # noqa: PLR0911 - one way out a state
    """Take a key.

    Args:
        view: what is shown; changed by it.
        key: a character, or "up", "down", "pageup", "pagedown", "home", "end", "enter", "escape",
            "ctrl+c".

    Returns:
        What is to be done about it outside of the view.
    """
    view.say("")
    if key == "ctrl+c" or (key == "q" and view.question is None):
        return "quit"
    if view.question is not None:
        question, view.question = view.question, None
        if key == "y":
            return question.request
        view.say("Nothing was done.")
        return None
    if view.helping:
        view.helping = False
        return None
    if key == "?":
        view.helping = True
        return None
    if _moves(view, key):
        return None
    if view.conference is None:
        return _in_the_house(view, key)
    return _in_a_room(view, key)


def _moves(view: View, key: str) -> bool:
    """Move the cursor; say whether the key is for that."""
    far = max(1, len(view.keys()))
    steps = {
        "up": -1,
        "down": 1,
        "k": -1,
        "j": 1,
        "pageup": -view.page_rows,
        "pagedown": view.page_rows,
        "home": -far,
        "end": far,
    }
    if key not in steps:
        return False
    view.cursor.move(view.keys(), steps[key])
    return True


def _in_the_house(view: View, key: str) -> Opened | None:
    chosen = view.chosen()
    if key in {"enter", "right"} and chosen is not None:
        view.open(chosen[0])
        return Opened(chosen[0])
    return None


def _in_a_room(view: View, key: str) -> Request | Opened | None:
    if key in {"escape", "backspace", "left"}:
        view.close()
        return Opened(None)
    if key == "s":
        view.order = ORDERS[(ORDERS.index(view.order) + 1) % len(ORDERS)]
        view.say(_ORDER_WORDS[view.order])
        return None
    if key == "r":
        view.say("Recording is not available yet.")
        return None
    if key in _OF_ALL:
        return _OF_ALL[key](view)
    chosen = view.chosen()
    if key in _OF_ONE and chosen is not None:
        return _OF_ONE[key](view, chosen[0])
    return None


# -- requests -----------------------------------------------------------------------------------


def _steer(
    view: View, order: str, done: str, person: str | None = None, mode: str | None = None
) -> Request:
    arguments: dict[str, object] = {"conference": view.conference, "order": order}
    if person is not None:
        arguments["person"] = int(person)
    if mode is not None:
        arguments["mode"] = mode
    return Request("conference.steer", arguments, done)


def _mute_all(view: View) -> Request:
    if view.room.get("muted_all"):
        return _steer(view, "unmute_all", "The host's mute is lifted from all.")
    return _steer(view, "mute_all", "Everybody but hosts is muted.")


def _lock(view: View) -> Request:
    if view.room.get("locked"):
        return _steer(view, "unlock", "The conference is unlocked.")
    return _steer(view, "lock", "The conference is locked: newcomers knock.")


def _next_mode(view: View) -> Request:
    modes = list(Mode)
    now = view.room.get("mode", Mode.CONVERSATION)
    mode = modes[(modes.index(Mode(now)) + 1) % len(modes)]
    return _steer(view, "mode", f"Mode: {mode.replace('_', ' ')}.", mode=mode)


def _end(view: View) -> None:
    people = view.room.get("people", 0)
    view.question = Question(
        f"End {printable(view.room.get('name', ''))} for all ({people} in)?",
        Request("conference.end", {"conference": view.conference}, "It ends."),
    )


def _mute(view: View, person: str) -> Request:
    row = view.board.table("people").get(person, {})
    if row.get("host_muted"):
        still = "; their own mute is theirs" if row.get("self_muted") else ""
        return _steer(view, "unmute", f"The host's mute is lifted from {person}{still}.", person)
    return _steer(view, "mute", f"{person} is muted by the host.", person)


def _promote(view: View, person: str) -> None:
    view.question = Question(
        f"Make {_who(view, person)} a host?",
        _steer(view, "promote", f"{person} is a host now.", person),
    )


def _remove(view: View, person: str) -> None:
    view.question = Question(
        f"Remove {_who(view, person)} from the conference?",
        _steer(view, "remove", f"{person} is removed.", person),
    )


def _who(view: View, person: str) -> str:
    number = view.board.table("people").get(person, {}).get("number")
    return f"{person} ({printable(number)})" if number else person


_OF_ALL: Final[dict[str, Callable[[View], Request | None]]] = {
    "M": _mute_all,
    "l": _lock,
    "n": _next_mode,
    "e": _end,
}
_OF_ONE: Final[dict[str, Callable[[View, str], Request | None]]] = {
    "m": _mute,
    "p": _promote,
    "x": _remove,
    "f": lambda view, person: _steer(view, "give_floor", f"{person} has the floor.", person),
    "a": lambda view, person: _steer(view, "admit", f"{person} comes in.", person),
    "d": lambda view, person: _steer(view, "refuse", f"{person} is turned away.", person),
    "v": lambda view, person: _steer(view, "volume", f"{person} hears another volume.", person),
}
