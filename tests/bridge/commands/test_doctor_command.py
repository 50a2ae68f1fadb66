"""`dialin doctor`: it asks the bridge where one runs, and says so where that does not answer."""

from __future__ import annotations

import json
import os
import socket
from typing import Any

import pytest

from config.errors import UnknownOperation
from tests.support.office import Office, bridge_that_answers


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the default route lead nowhere: tests may not even point a socket outside."""
    monkeypatch.setattr("bridge.doctor.outward_address", lambda: "127.0.0.1")


def checks(findings: list[dict[str, Any]], check: str) -> list[dict[str, Any]]:
    """Return the findings of one check."""
    return [each for each in findings if each["check"] == check]


def examined(office: Office, code: int | None = None) -> list[dict[str, Any]]:
    """Run `dialin doctor --json` and return its findings."""
    said = office.dialin("doctor", "--json")
    assert code is None or said.code == code, said
    found = json.loads(said.out)
    assert isinstance(found, list)
    return found


def test_without_a_bridge_the_command_looks_itself(office: Office) -> None:
    """The port is tried, and the database is opened."""
    office.environment["DIALIN_SIP__PORT"] = "0"
    found = examined(office)
    assert "does not run" in checks(found, "bridge")[0]["text"]
    assert {each["verdict"] for each in checks(found, "SIP port")} == {"ok"}
    assert checks(found, "database and keys")[0]["verdict"] == "ok"
    assert checks(found, "PINs")[0]["verdict"] == "ok"


def test_running_bridge_examines_itself(office: Office) -> None:
    """What the shell that asks has for settings is nobody's concern."""
    own = {"check": "open files", "verdict": "warning", "text": "of the bridge", "advice": "more"}
    office.environment["DIALIN_LIMITS__CALLS"] = "20000"
    chance = {"chance": 0.0, "pins": 2, "most": 0.01, "guessable": []}
    answers = {"doctor": [own], "pin__chance": chance, "trunk__list": []}
    with bridge_that_answers(office.folder / "admin.sock", **answers):
        found = examined(office, code=0)
    assert checks(found, "open files") == [own]
    assert checks(found, "SIP port") == []


def test_bridge_that_hangs_is_a_fault_and_is_waited_for_once(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its port is not tried (it holds it), and its database is left alone."""
    monkeypatch.setattr("bridge.commands.doctor.ANSWER_S", 0.1)
    with socket.socket(socket.AF_UNIX) as hung:
        hung.bind(str(office.folder / "admin.sock"))
        hung.listen()
        found = examined(office, code=1)
    (bridge,) = checks(found, "bridge")
    assert bridge["verdict"] == "fault"
    assert "no answer within 0.1 s" in bridge["text"]
    assert "start it again" in bridge["advice"]
    assert {each["check"] for each in found} & {"SIP port", "database and keys", "PINs"} == set()


def test_bridge_of_another_release_is_a_fault(office: Office) -> None:
    """It runs, and does not know the question."""
    with bridge_that_answers(office.folder / "admin.sock", doctor=UnknownOperation("doctor")):
        (bridge,) = checks(examined(office, code=1), "bridge")
    assert "another release" in bridge["advice"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_one_who_may_not_ask_is_told_so(office: Office) -> None:
    """Not that no bridge runs."""
    with bridge_that_answers(office.folder / "admin.sock", doctor=[]):
        os.seteuid(65534)
        try:
            found = examined(office, code=1)
        finally:
            os.seteuid(0)
    (bridge,) = checks(found, "bridge")
    assert "you may not administer it" in bridge["text"]
    assert "admin.group" in bridge["advice"]


def test_conferences_with_short_pins_are_named(office: Office) -> None:
    """And no others: which to reset is the question."""
    office.environment["DIALIN_SIP__PORT"] = "0"
    for name, length in (("Short & sweet", "8"), ("Long", "12")):
        office.ask("conference", "add", name, "--pin-length", length)
    (finding,) = checks(examined(office), "PINs")
    assert finding["verdict"] == "warning"
    assert finding["advice"].endswith("(dialin pin reset CONFERENCE): 'Short & sweet'")
    office.ask("pin", "reset", "Short & sweet")
    assert checks(examined(office), "PINs")[0]["verdict"] == "ok"
