"""`dialin live` on real terminals, over a real bridge with real callers."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.support.bridge_under_test import BridgeUnderTest, Room
from tests.support.caller import Caller, all_at_once
from tests.support.terminal import Terminal

pytestmark = pytest.mark.e2e

ROOT = str(Path(__file__).parent.parent.parent)
DOWN, HOME = b"\x1b[B", b"\x1b[H"

Open = Callable[..., Terminal]


@pytest.fixture(name="live")
def live_on_a_terminal(bridge: BridgeUnderTest) -> Iterator[Open]:
    """Start `dialin live` on a terminal of a size; ended with the test at the latest."""
    with ExitStack() as stack:

        def start(columns: int, rows: int, *words: str) -> Terminal:
            command = [sys.executable, "-m", "bridge.cli", "live", *words]
            terminal = Terminal(command, columns, rows, env=bridge.environment, cwd=ROOT)
            return stack.enter_context(terminal)

        yield start


def meeting(bridge: BridgeUnderTest) -> tuple[Room, Caller, Caller, Caller]:
    """Bring a host and two guests together."""
    room = bridge.room(chimes=False)
    host, one, two = (bridge.caller(name) for name in ("host", "one", "two"))
    host.slip_in(bridge.number, room.host_pin)
    one.slip_in(bridge.number, room.guest_pin)
    two.slip_in(bridge.number, room.guest_pin)
    return room, host, one, two


def row_of(terminal: Terminal, person: Caller) -> str:
    """Return the line of somebody, by the two digits of their number that are shown."""
    ending = person.caller[-2:]
    return next((line for line in terminal.lines if f"***{ending} " in line), "")


def choose(terminal: Terminal, person: Caller) -> None:
    """Go down from the top until somebody is chosen."""
    terminal.send(HOME)
    terminal.watch(0.2)
    for _ in range(300):
        if row_of(terminal, person).startswith("> "):
            return
        terminal.send(DOWN)
        terminal.watch(0.1)
    message = f"{person.name} could not be chosen:\n{terminal.text}"
    raise AssertionError(message)


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (200, 50)])
def test_key_m_mutes_a_caller_whom_the_others_hear_no_more(
    bridge: BridgeUnderTest, live: Open, columns: int, rows: int
) -> None:
    """From the list into the conference, to the guest, `m`; heard again after another `m`."""
    room, host, one, two = meeting(bridge)
    screen = live(columns, rows)
    screen.wait_for(room.name[:12])
    screen.type("\r")
    screen.wait_for("Muted by")
    for person in (host, one, two):
        screen.wait_for(f"***{person.caller[-2:]} ")
    assert "host" in row_of(screen, host)
    assert host.heard_of(*one.speak()).match.heard
    choose(screen, one)
    screen.type("m")
    screen.wait_for(lambda _text: " host " in row_of(screen, one))
    one.hears("host_muted", since=time.monotonic() - 3)
    one.silent_for(0.8)
    began, words = one.speak()
    assert not host.heard_of(began, words).match.heard
    assert not two.heard_of(began, words).match.heard
    assert two.heard_of(*host.speak()).match.heard
    since = time.monotonic()
    screen.type("m")
    one.hears("host_unmuted", since=since)
    screen.wait_for(lambda _text: " host " not in row_of(screen, one))
    one.silent_for(0.8)
    assert host.heard_of(*one.speak()).match.heard
    two.press("*6")
    screen.wait_for(lambda _text: " own " in row_of(screen, two))
    choose(screen, two)
    screen.type("m")
    screen.wait_for(lambda _text: "own+host" in row_of(screen, two))
    screen.type("m")
    screen.wait_for("their own mute is theirs")
    assert one.caller not in screen.text
    screen.type("q")
    assert screen.ends() == 0
    assert screen.is_as_before()


def test_a_meeting_is_watched_and_steered_to_its_end(bridge: BridgeUnderTest, live: Open) -> None:
    """Talk, hands, lock, mode, removal and end: seen within moments, done after a question."""
    room, host, one, two = meeting(bridge)
    screen = live(80, 24, room.name)
    screen.wait_for("Muted by")
    began = time.monotonic()
    talking = all_at_once(
        lambda: one.speak(3.0),
        lambda: screen.wait_for(lambda _text: "talks" in row_of(screen, one), 10),
    )
    assert talking
    assert time.monotonic() - began < 12
    two.press("*2")
    screen.wait_for(lambda text: "1 with a hand up" in text)
    screen.type("l")
    screen.wait_for("LOCKED")
    screen.type("n")
    screen.wait_for(lambda text: "questions" in text and "mode" in row_of(screen, one))
    screen.type("r")
    screen.wait_for("Recording is not available yet.")
    choose(screen, two)
    screen.type("x")
    screen.wait_for("Remove")
    screen.type("n")
    screen.wait_for("Nothing was done.")
    assert bridge.people(room) == 3
    choose(screen, two)
    screen.type("xy")
    assert two.wait_end() == "bridge"
    screen.wait_for(lambda _text: not row_of(screen, two))
    screen.type("e")
    screen.wait_for("for all")
    screen.type("y")
    for person in (host, one):
        assert person.wait_end() == "bridge"
    screen.wait_for("has ended.")
    screen.type("q")
    assert screen.ends() == 0


@pytest.mark.parametrize(
    ("way", "code"),
    [
        ("ctrl-c", 0),
        (signal.SIGTERM, 128 + signal.SIGTERM),
        (signal.SIGHUP, 128 + signal.SIGHUP),
        (signal.SIGINT, 128 + signal.SIGINT),
    ],
)
def test_terminal_is_left_as_it_was(live: Open, way: str | signal.Signals, code: int) -> None:
    """However the view ends: modes, cursor, screen."""
    screen = live(80, 24)
    screen.wait_for("dialin live")
    assert not screen.is_as_before()
    if isinstance(way, signal.Signals):
        os.kill(screen.process.pid, way)
    else:
        screen.send(b"\x03")
    assert screen.ends() == code
    assert screen.is_as_before()


def fits(text: str, wide: str, narrow: str) -> bool:
    """Say whether a screen is whole, and has the columns of its size."""
    return text.endswith("q quit") and wide in text and not (narrow and narrow in text)


def test_window_that_is_dragged_is_filled_again(bridge: BridgeUnderTest, live: Open) -> None:
    """Wide, narrow, and back; no line is broken, and the keys stay in sight."""
    room, _host, one, _two = meeting(bridge)
    screen = live(80, 24, room.name)
    screen.wait_for("Muted by")
    for columns, rows, wide, narrow in (
        (200, 50, "Volume", ""),
        (38, 12, "Talk", "Place"),
        (80, 24, "Place", "Volume"),
    ):
        screen.resize(columns, rows)
        screen.wait_for(partial(fits, wide=wide, narrow=narrow))
        assert "Person" in screen.lines[2]
        marked = [line for line in screen.lines if line.startswith("> ")]
        assert len(marked) == 1
    assert row_of(screen, one)


def test_bridge_that_is_restarted_is_followed_again(tmp_path: Path) -> None:
    """Killed under the view: it says so, keeps the terminal, and comes back with the bridge."""
    first = BridgeUnderTest(tmp_path / "data")
    with first:
        first.add_number()
        room = first.room("Board", chimes=False)
        first.caller("early").slip_in(first.number, room.guest_pin)
        command = [sys.executable, "-m", "bridge.cli", "live"]
        with Terminal(command, 80, 24, env=first.environment, cwd=ROOT) as screen:
            screen.wait_for("Board")
            screen.type("\r")
            screen.wait_for("Muted by")
            first.kill()
            screen.wait_for("Trying again")
            view = {screen.process.pid}
            first.wait_until(
                lambda: set(first.children()) <= view, 10, "the media processes to end"
            )
            first.hang_up_all()
            first.start()
            screen.wait_for("has ended")
            screen.wait_for("No conference is running.")
            assert "Trying again" not in screen.text
            first.caller("later").slip_in(first.number, room.guest_pin)
            screen.wait_for("Board")
            screen.type("q")
            assert screen.ends() == 0
            assert screen.is_as_before()
