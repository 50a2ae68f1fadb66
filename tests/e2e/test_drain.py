"""`dialin drain`: an upgrade that cuts nobody off."""

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.bridge_under_test import BridgeUnderTest
from tests.support.caller import Caller, hears_each_other
from tests.support.rtp import Digits

pytestmark = pytest.mark.e2e

QUICK = Digits(on_ms=60, off_ms=20, ends=1)
ENDS_S = 20.0


@pytest.fixture(name="house")
def bridge_of_one_test(tmp_path: Path) -> Iterator[BridgeUnderTest]:
    """A running bridge that is allowed to end by itself; judged as every other."""
    with BridgeUnderTest(tmp_path / "data") as made:
        made.add_number()
        yield made


def begin(house: BridgeUnderTest, *options: str) -> subprocess.Popen[str]:
    """Start `dialin drain` in a process of its own, and wait until the bridge drains."""
    command = subprocess.Popen(
        [sys.executable, "-m", "bridge.cli", "drain", *options],
        cwd=Path(__file__).parents[2],
        env=house.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    house.wait_until(
        lambda: bool(house.operate("status")["drain"]["draining"]), 30, "the bridge to drain"
    )
    return command


def ready(house: BridgeUnderTest) -> tuple[int, object]:
    """Ask as a load balancer does."""
    host, _, port = house.operate("status")["health"]["metrics"].partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    connection.request("GET", "/ready")
    answer = connection.getresponse()
    said = json.loads(answer.read())
    connection.close()
    return answer.status, said["reasons"]


def ends_by_itself(house: BridgeUnderTest, command: subprocess.Popen[str]) -> str:
    """Wait for the bridge and the command that waited for it; return what that said."""
    assert house.running.wait(ENDS_S) == 0
    said, _ = command.communicate(timeout=ENDS_S)
    assert command.returncode == 0, said
    house.wait_until(lambda: not house.processes(), 5, "all processes of the bridge to be gone")
    return said


def test_nobody_is_cut_who_drops_gets_back_and_it_ends_by_itself(house: BridgeUnderTest) -> None:
    """Ten calls: two conferences run on, a dropped guest returns, a third one does not start."""
    board, small, other = house.room(), house.room(chimes=False), house.room()
    host = house.caller("host").slip_in(house.number, board.host_pin)
    guests = [house.caller(f"guest {number}") for number in range(5)]
    pair = [house.caller(name) for name in ("left", "right")]
    house.bring_in(board, *guests)
    house.bring_in(small, *pair)
    since = time.monotonic()
    command = begin(house)
    host.hears("maintenance_begins", since=since)
    assert ready(house) == (503, ["draining"])
    guests[0].hang_up()
    stranger = house.caller("stranger").dial(house.number)
    asked = stranger.press(other.host_pin, QUICK)
    stranger.hears("service_maintenance", since=asked)
    assert stranger.wait_end() == "bridge"
    back = house.caller("back").slip_in(house.number, board.guest_pin)
    host.silent_for(0.8)
    heard = hears_each_other([host, back])
    assert heard == {"host": ["back"], "back": ["host"]}
    assert "maintenance_begins" not in guests[1].prompts(since)
    inside = [host, back, *guests[1:], *pair]
    assert all(person.ended_by is None for person in inside)
    assert house.people(board) == 6
    assert house.people(small) == 2
    for person in inside[:-2]:
        person.hang_up()
    house.wait_until(lambda: house.people(board) == 0, 15, "the first conference to end")
    assert house.people(small) == 2
    assert house.calls() == 2
    for person in pair:
        person.hang_up()
    said = ends_by_itself(house, command)
    assert "The bridge has ended." in said
    legs = house.ask("cdr", "legs")
    assert sorted(leg["cause"] for leg in legs) == ["bye"] * 9 + ["maintenance"]
    assert [each["end_reason"] for each in house.ask("cdr", "sessions")] == ["last_left"] * 2
    assert "maintenance" in [row["reason"] for row in house.ask("cdr", "refused")]


def test_time_limit_says_goodbye_and_who_waits_at_the_door_hears_it_too(
    house: BridgeUnderTest,
) -> None:
    """After it the bridge stops as on SIGTERM: politely, with code 0."""
    room = house.room()
    inside = house.caller("inside").slip_in(house.number, room.guest_pin)
    door = house.caller("door").dial(house.number)
    door.greeted()
    since = time.monotonic()
    command = begin(house, "--timeout", "4")
    for person in (inside, door):
        person.hears("service_stops", since=since)
        assert person.wait_end() == "bridge"
    ends_by_itself(house, command)
    assert [leg["cause"] for leg in house.ask("cdr", "legs")] == ["shutdown"] * 2


def test_a_drain_is_taken_back_and_a_conference_starts(house: BridgeUnderTest) -> None:
    """Whoever waited for it is told; the bridge is ready again and goes on."""
    first, second = house.room(), house.room()
    house.caller("inside").slip_in(house.number, first.guest_pin)
    command = begin(house)
    house.dialin("drain", "--undo")
    said, _ = command.communicate(timeout=ENDS_S)
    assert command.returncode == 1
    assert "taken back" in said
    assert ready(house) == (200, [])
    house.caller("starts").slip_in(house.number, second.guest_pin)
    assert house.people(second) == 1


def test_an_empty_bridge_ends_at_once(house: BridgeUnderTest) -> None:
    """Nothing runs: there is nothing to wait for."""
    said = house.dialin("drain").stdout
    assert said.endswith("The bridge has ended.\n")
    assert house.running.wait(ENDS_S) == 0


def test_nobody_new_is_answered_once_it_has_drained(house: BridgeUnderTest) -> None:
    """503 with Retry-After while the last words are said at the door."""
    room = house.room()
    inside = house.caller("inside").slip_in(house.number, room.guest_pin)
    door = house.caller("door").dial(house.number)
    door.greeted()
    command = begin(house)
    since = time.monotonic()
    inside.hang_up()
    door.hears("service_stops", since=since, for_s=0.5)
    late = Caller(house.address, "+46701740698")
    answer = late.try_to_dial(house.number, timeout=5)
    assert answer.status == 503
    assert int(answer.get("Retry-After")) > 0
    late.close()
    ends_by_itself(house, command)
