"""Keys of the live view: what each asks the bridge for, and what is confirmed first."""

from typing import Any

import pytest

from bridge.terminal.keys import HELP, Opened, key_hints, press
from bridge.terminal.model import Request, View


def view_of(guest: dict[str, Any] | None = None, **room: Any) -> View:  # noqa: ANN401 - fields of the rows
    """Return a view of a conference with a host (1) and a guest (2), the guest chosen."""
    view = View()
    view.open("3")
    rows: dict[str, dict[str, Any]] = {
        "conferences": {"3": {"name": "Board", "people": 2, "mode": "conversation", **room}},
        "people": {
            "1": {"role": "host", "where": "room"},
            "2": {"role": "guest", "where": "room", "number": "+46*******02", **(guest or {})},
        },
    }
    view.take({name: {"rows": each, "gone": []} for name, each in rows.items()}, first=True)
    press(view, "end")
    return view


def steer(order: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - arguments of the operation
    """Return the arguments of an order."""
    return {"conference": "3", "order": order, **more}


@pytest.mark.parametrize(
    ("key", "guest", "room", "arguments"),
    [
        ("m", {}, {}, steer("mute", person=2)),
        ("m", {"self_muted": True}, {}, steer("mute", person=2)),
        ("m", {"host_muted": True}, {}, steer("unmute", person=2)),
        ("M", {}, {}, steer("mute_all")),
        ("M", {}, {"muted_all": True}, steer("unmute_all")),
        ("l", {}, {}, steer("lock")),
        ("l", {}, {"locked": True}, steer("unlock")),
        ("n", {}, {}, steer("mode", mode="questions")),
        ("n", {}, {"mode": "hosts_only"}, steer("mode", mode="conversation")),
        ("f", {}, {}, steer("give_floor", person=2)),
        ("v", {}, {}, steer("volume", person=2)),
        ("a", {}, {}, steer("admit", person=2)),
        ("d", {}, {}, steer("refuse", person=2)),
    ],
)
def test_key_asks_for_one_order(
    key: str, guest: dict[str, Any], room: dict[str, Any], arguments: dict[str, Any]
) -> None:
    """At once, about the one who is chosen."""
    done = press(view_of(guest, **room), key)
    assert isinstance(done, Request)
    assert (done.operation, done.arguments) == ("conference.steer", arguments)


@pytest.mark.parametrize(
    ("key", "operation", "arguments", "named"),
    [
        ("x", "conference.steer", steer("remove", person=2), "+46*******02"),
        ("p", "conference.steer", steer("promote", person=2), "+46*******02"),
        ("e", "conference.end", {"conference": "3"}, "Board"),
    ],
)
def test_what_cannot_be_taken_back_is_asked_again(
    key: str, operation: str, arguments: dict[str, Any], named: str
) -> None:
    """`y` does it, anything else does not; it counts for whom it named."""
    view = view_of()
    assert press(view, key) is None
    assert named in getattr(view.question, "text", "")
    assert press(view, "n") is None
    assert (view.question, view.message) == (None, "Nothing was done.")
    press(view, key)
    knocks = {"people": {"rows": {"9": {"role": "guest", "where": "knocking"}}, "gone": []}}
    view.take(knocks, first=False)
    done = press(view, "y")
    assert isinstance(done, Request)
    assert (done.operation, done.arguments) == (operation, arguments)


def test_lifting_the_hosts_mute_says_that_the_callers_own_stays() -> None:
    """Nobody is opened unawares, and nobody is to think so."""
    done = press(view_of({"host_muted": True, "self_muted": True}), "m")
    assert isinstance(done, Request)
    assert "their own mute is theirs" in done.done


def test_recording_is_not_there_yet() -> None:
    """As `*9` says it."""
    view = view_of()
    assert press(view, "r") is None
    assert view.message == "Recording is not available yet."


def test_one_walks_in_and_out_of_a_conference() -> None:
    """Enter, escape, and the cursor is where it was."""
    view = view_of()
    assert press(view, "escape") == Opened(None)
    assert press(view, "m") is None  # no person is chosen here
    assert press(view, "enter") == Opened("3")
    assert press(view, "q") == "quit"


@pytest.mark.parametrize("state", ["plain", "question", "help"])
def test_ctrl_c_quits_whatever_is_shown(state: str) -> None:
    """Without doing what was asked about."""
    view = view_of()
    press(view, {"plain": "j", "question": "e", "help": "?"}[state])
    assert press(view, "ctrl+c") == "quit"


def test_nothing_is_done_where_nobody_is() -> None:
    """Keys for one person, and an unknown key."""
    view = view_of()
    view.take({"people": {"rows": {}, "gone": ["1", "2"]}}, first=False)
    assert [press(view, key) for key in ("m", "x", "f", "Z", "enter")] == [None] * 5
    assert view.question is None


def test_every_key_at_the_bottom_does_something_and_is_explained() -> None:
    """The hints, the help and the keys are the same."""
    explained = {key for keys, _ in HELP for key in keys.replace(",", "").split()}
    view = view_of({"where": "knocking"})
    press(view, "home")
    for key, _ in key_hints(view):
        assert key in explained
        fresh = view_of({"where": "knocking"})
        pressed = {"Esc": "escape", "Enter": "enter"}.get(key, key)
        before = (fresh.order, fresh.helping, fresh.question, fresh.message)
        done = press(fresh, pressed)
        after = (fresh.order, fresh.helping, fresh.question, fresh.message)
        assert done is not None or after != before, key
