"""`dialin drain`: what it asks for, what it says, and how long it waits."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from bridge.commands import drain
from bridge.errors import AdminError
from tests.support.office import Office, bridge_that_answers

STATE: dict[str, Any] = {
    "draining": True,
    "stopping": False,
    "seconds_left": None,
    "calls": 5,
    "conferences": 1,
}


@pytest.fixture(name="process")
def process_that_ends_when_told() -> Iterator[subprocess.Popen[bytes]]:
    """Stand for the bridge's process."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as made:
        yield made
        made.kill()


def test_it_waits_until_the_process_is_gone(
    office: Office, process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it still waits for is said when it changes; the end is said, code 0."""
    looks: list[int | None] = []

    def ended(descriptor: int | None) -> bool:
        looks.append(descriptor)
        return len(looks) > 2

    monkeypatch.setattr(drain, "_ended", ended)
    answers = {"drain.begin": {**STATE, "pid": process.pid}, "drain.state": {**STATE, "calls": 1}}
    with bridge_that_answers(office.settings.admin_socket, **answers) as asked:
        said = office.dialin("drain", "--timeout", "90")
    assert said.code == 0, said
    assert said.out.splitlines() == [
        "The bridge ends when its conferences have: 1 conference, 5 calls.",
        "1 conference, 1 call",
        "The bridge has ended.",
    ]
    assert asked[0]["arguments"] == {"seconds": 90}
    assert [each["operation"] for each in asked] == ["drain.begin", "drain.state", "drain.state"]
    assert looks[0] is not None


def test_a_process_that_is_gone_already_is_not_waited_for(
    office: Office, process: subprocess.Popen[bytes]
) -> None:
    """An empty bridge may end before the command looks; its socket is gone as well."""
    process.kill()
    process.wait()
    empty = {**STATE, "stopping": True, "conferences": 0, "pid": process.pid}
    with bridge_that_answers(office.settings.admin_socket, drain__begin=empty):
        said = office.dialin("drain")
    assert said.out == "No conference runs: the bridge stops.\nThe bridge has ended.\n"


def test_the_end_of_the_process_is_seen_without_its_socket(
    office: Office, process: subprocess.Popen[bytes]
) -> None:
    """The socket goes first; the descriptor of the process says when it has gone."""
    with bridge_that_answers(
        office.settings.admin_socket,
        drain__begin={**STATE, "pid": process.pid},
        drain__state=AdminError("closing"),
    ):
        assert process.stdin is not None
        process.stdin.close()
        said = office.dialin("drain")
    assert said.code == 0
    assert said.out.endswith("The bridge has ended.\n")


def test_without_waiting_it_returns_at_once(
    office: Office, process: subprocess.Popen[bytes]
) -> None:
    """For whoever looks at `dialin status` instead."""
    begun = {**STATE, "pid": process.pid}
    with bridge_that_answers(office.settings.admin_socket, drain__begin=begun) as asked:
        said = office.dialin("drain", "--no-wait")
    assert said.code == 0
    assert "has ended" not in said.out
    assert asked[0]["arguments"] == {"seconds": None}


def test_who_waits_is_told_that_it_was_taken_back(
    office: Office, process: subprocess.Popen[bytes]
) -> None:
    """Somebody else undid it: the command fails, for the bridge has not ended."""
    with bridge_that_answers(
        office.settings.admin_socket,
        drain__begin={**STATE, "pid": process.pid},
        drain__state={**STATE, "draining": False},
    ):
        said = office.dialin("drain")
    assert said.code == 1
    assert "taken back" in said.err


def test_undo_asks_for_that_alone(office: Office) -> None:
    """With another option it is a mistake."""
    with bridge_that_answers(office.settings.admin_socket, drain__undo=STATE) as asked:
        assert office.dialin("drain", "--undo").out == "Conferences may start again.\n"
    assert [each["operation"] for each in asked] == ["drain.undo"]
    assert office.dialin("drain", "--undo", "--no-wait").code == 2
    assert office.dialin("drain", "--undo", "--timeout", "5").code == 2


def test_without_a_bridge_there_is_nothing_to_drain(office: Office) -> None:
    """It says that none runs."""
    said = office.dialin("drain")
    assert said.code == 1
    assert "does not run" in said.err


@pytest.mark.parametrize("seconds", ["-1", "86401", "soon"])
def test_a_time_limit_that_is_none_is_refused(office: Office, seconds: str) -> None:
    """Before the bridge is asked."""
    assert office.dialin("drain", "--timeout", seconds).code == 2
