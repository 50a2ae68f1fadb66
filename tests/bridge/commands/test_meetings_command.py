"""`dialin conference people` and what steers a conference: what they ask for and print."""

import json
from typing import Any

import pytest

from tests.support.office import Office, bridge_that_answers

NOW: dict[str, Any] = {
    "conference": "Board",
    "started_at": "2026-11-26T10:00:00+00:00",
    "mode": "conversation",
    "locked": False,
    "muted_all": False,
    "sounds": "chime",
    "breakouts": 0,
    "speakers": 1,
    "listeners": 0,
    "waiting": 0,
    "people": [
        {
            "person": 17,
            "call": None,
            "role": "host",
            "where": "room",
            "heard": True,
            "talking": True,
            "self_muted": False,
            "host_muted": False,
            "floor": False,
            "hand": None,
            "room": 0,
            "mos": 4.4,
            "minutes": 3,
        }
    ],
}


def test_people_are_a_table_or_json(office: Office) -> None:
    """Both say who is in."""
    with bridge_that_answers(office.settings.admin_socket, **{"conference.people": NOW}):
        table = office.dialin("conference", "people", "Board")
        plain = office.dialin("conference", "people", "Board", "--json")
    assert table.code == plain.code == 0
    assert "17" in table.out
    assert "host" in table.out
    assert json.loads(plain.out) == NOW


@pytest.mark.parametrize(
    ("words", "order", "person", "mode"),
    [
        (("mute", "Board"), "mute_all", None, None),
        (("mute", "Board", "17"), "mute", 17, None),
        (("unmute", "Board"), "unmute_all", None, None),
        (("lock", "Board"), "lock", None, None),
        (("lock", "Board", "--off"), "unlock", None, None),
        (("mode", "Board", "questions"), "mode", None, "questions"),
        (("floor", "Board", "17"), "give_floor", 17, None),
        (("promote", "Board", "17"), "promote", 17, None),
        (("dismiss", "Board", "17"), "remove", 17, None),
        (("admit", "Board", "17"), "admit", 17, None),
        (("refuse", "Board", "17"), "refuse", 17, None),
    ],
)
def test_each_command_is_one_order(
    office: Office, words: tuple[str, ...], order: str, person: int | None, mode: str | None
) -> None:
    """With the conference's name, and the person where it is about one."""
    with bridge_that_answers(office.settings.admin_socket, **{"conference.steer": NOW}) as asked:
        said = office.dialin("conference", *words)
    assert said.code == 0, said
    (request,) = asked
    assert request["operation"] == "conference.steer"
    assert request["arguments"] == {
        "conference": "Board",
        "order": order,
        "person": person,
        "mode": mode,
    }


@pytest.mark.parametrize(("outcome", "code"), [("joined", 0), ("no_answer", 1)])
def test_calling_somebody_says_what_came_of_it(office: Office, outcome: str, code: int) -> None:
    """And ends with 1 where nobody came in."""
    answer = {"conference": "Board", "outcome": outcome}
    with bridge_that_answers(office.settings.admin_socket, **{"conference.dial": answer}) as asked:
        said = office.dialin("conference", "dial", "Board", "+46701740605")
    assert said.code == code
    assert outcome.replace("_", " ") in said.out
    assert asked[0]["arguments"] == {"conference": "Board", "number": "+46701740605"}


def test_while_the_bridge_is_down_there_is_nothing_to_steer(office: Office) -> None:
    """It says so, and ends with 1."""
    said = office.dialin("conference", "lock", "Board")
    assert said.code == 1
    assert "does not run" in said.err
