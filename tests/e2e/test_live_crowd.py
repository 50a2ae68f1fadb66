"""`dialin live` with two hundred people in one conference, and a program that stops reading."""

import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench.whole import WholeBridge, start_calls, whole_bridge
from tests.support.bridge_under_test import Room
from tests.support.terminal import Terminal

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

PEOPLE = 200
ROOT = str(Path(__file__).parents[2])


@pytest.fixture(scope="module", name="crowd")
def two_hundred_in_one_conference() -> Iterator[tuple[WholeBridge, Room]]:
    """Let them come; they stay, and some of them speak."""
    subprocess.run(["scripts/bench", "--install"], cwd=ROOT, check=True, timeout=250)
    with whole_bridge(PEOPLE + 20, LIMITS__CALLS=str(PEOPLE + 50)) as whole:
        room = whole.bridge.room("Crowd", chimes=False, capacity=PEOPLE + 50)
        whole.pins.write_text(room.guest_pin, encoding="ascii")
        with start_calls(whole, PEOPLE, 20, "udp", 0) as callers:
            callers.answer(60)
            whole.bridge.wait_until(
                lambda: whole.bridge.people(room) == PEOPLE, 60, "everybody to be in"
            )
            yield whole, room
            callers.finish(60)


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (200, 50)])
def test_nobody_of_two_hundred_breaks_a_line(
    crowd: tuple[WholeBridge, Room], columns: int, rows: int
) -> None:
    """Scrolled from end to end: each is a whole line, in its place, once."""
    whole, room = crowd
    command = [sys.executable, "-m", "bridge.cli", "live", room.name]
    with Terminal(command, columns, rows, env=whole.bridge.environment, cwd=ROOT) as screen:
        screen.wait_for(f"of {PEOPLE}")
        seen: set[int] = set()
        for _ in range(PEOPLE):
            people = [line for line in screen.lines if " guest " in line]
            assert all(line[2:8].strip().isdigit() and line[9:14] == "guest" for line in people)
            assert sum(line.startswith("> ") for line in screen.lines) == 1
            seen |= {int(line[2:8]) for line in people}
            if len(seen) == PEOPLE:
                break
            screen.send(b"\x1b[6~")  # page down
            screen.watch(0.4)
        assert len(seen) == PEOPLE
        assert screen.lines[0].startswith("Crowd")
        assert screen.lines[-1].endswith("q quit")
        if folder := os.environ.get("LIVE_CAPTURES"):
            screen.send(b"\x1b[H")
            screen.watch(1.0)
            Path(folder, f"live-200-people-{columns}x{rows}.txt").write_text(screen.text + "\n")
        screen.type("q")
        assert screen.ends() == 0
        assert screen.is_as_before()


def test_program_that_stops_reading_is_let_go_and_the_conference_goes_on(
    crowd: tuple[WholeBridge, Room],
) -> None:
    """Requests by the hundred, answers that nobody takes: others are served, nobody is cut."""
    whole, room = crowd
    before = whole.status()["media"]["lost_by_bridge"]
    request = {"id": 1, "operation": "conference.people", "arguments": {"conference": room.name}}
    watch = {"id": 2, "operation": "watch", "arguments": {"conference": 1}}
    path = str(whole.bridge.folder / "admin.sock")
    with socket.socket(socket.AF_UNIX) as asker, socket.socket(socket.AF_UNIX) as watcher:
        for lazy, asked in ((asker, request), (watcher, watch)):
            lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            lazy.settimeout(5)
            lazy.connect(path)
            lazy.sendall((json.dumps(asked) + "\n").encode() * (100 if lazy is asker else 1))
        poll = select.poll()
        poll.register(asker, select.POLLHUP)
        deadline = time.monotonic() + 30
        answered = 0
        while not poll.poll(0):
            assert time.monotonic() < deadline, "a program that does not read is kept for ever"
            assert whole.bridge.people(room) == PEOPLE
            answered += 1
            time.sleep(0.2)
        assert answered > 20
    assert whole.bridge.people(room) == PEOPLE
    assert whole.status()["media"]["lost_by_bridge"] == before
