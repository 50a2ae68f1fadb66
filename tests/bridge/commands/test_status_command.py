"""`dialin status`: what the running bridge does, for people."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.commands.status import _broker
from tests.support.office import Office, bridge_that_answers


def state(**changes: object) -> dict[str, Any]:
    """Return what a bridge with one media process and nobody in it says."""
    tick = {"p50": 3.0, "p95": 9.0, "max": 12.0}
    process = {"pid": 8, "legs": 0, "rooms": 0, "tick_ms": tick, "tick_share": 0.45, "busy": False}
    found: dict[str, Any] = {
        "pid": 7,
        "uptime_s": 3720,
        "calls": 0,
        "conferences": 0,
        "drain": {"draining": False, "seconds_left": None},
        "health": {"ready": True, "reasons": [], "metrics": "127.0.0.1:9469"},
        "media": {
            "tick_ms": tick,
            "overloaded": False,
            "tick_share_limit": 0.85,
            "lost_by_bridge": 0,
            "replaced": 0,
            "processes": [process],
        },
        "mqtt": None,
        "records": {"writing_to": "database"},
        "registrations": [],
        "running_calls": [],
        "running_conferences": [],
        "sip": {"port": 5060, "tcp": {"connections": 2, "limit": 1000}},
    }
    return {**found, **changes}


def rows(office: Office, now: dict[str, Any]) -> dict[str, str]:
    """Return the lines that say one thing each, by what they are about."""
    with bridge_that_answers(office.settings.admin_socket, status=now):
        said = office.dialin("status")
    assert said.code == 0, said
    lines = [line.strip().partition("  ") for line in said.out.splitlines()]
    return {name: value.strip() for name, gap, value in lines if gap}


def test_it_shows_the_share_of_the_tick_that_each_process_takes(office: Office) -> None:
    """The whole bridge's in the first rows, each process in a table."""
    with bridge_that_answers(office.settings.admin_socket, status=state()):
        text = office.dialin("status").out
    assert "3.0 ms median, 9.0 ms p95, of 20 ms" in text
    assert "45%" in text
    assert "taken up to 85% of a tick" in text


def test_a_process_that_has_said_nothing_yet_has_no_share(office: Office) -> None:
    """In its first second."""
    now = state()
    none = {"p50": None, "p95": None, "max": None}
    now["media"]["tick_ms"] = none
    now["media"]["processes"][0] |= {"tick_ms": none, "tick_share": None}
    assert rows(office, now)["tick"] == "-"


def test_a_ready_bridge_says_so_and_where_its_metrics_are(office: Office) -> None:
    """Or that they are served nowhere."""
    found = rows(office, state())
    assert (found["ready"], found["metrics"]) == ("yes", "127.0.0.1:9469")
    found = rows(office, state(health={"ready": True, "reasons": [], "metrics": None}))
    assert found["metrics"] == "not served"


@pytest.mark.parametrize(
    ("drain", "says"),
    [
        ({"draining": True, "seconds_left": None}, "the bridge drains"),
        ({"draining": True, "seconds_left": 90}, "which ends in 90 s"),
    ],
)
def test_a_bridge_that_drains_says_who_still_gets_in(
    office: Office, drain: dict[str, Any], says: str
) -> None:
    """Conferences that run; and when it ends in any case."""
    health = {"ready": False, "reasons": ["draining"], "metrics": None}
    found = rows(office, state(drain=drain, health=health))
    assert found["ready"].startswith("no: the bridge drains")
    assert found["new calls"].startswith("for conferences that run only")
    assert says in found["new calls"]


def test_a_full_bridge_says_that_it_refuses(office: Office) -> None:
    """Whatever else is so."""
    now = state()
    now["media"]["overloaded"] = True
    assert "refused" in rows(office, now)["new calls"]


@pytest.mark.parametrize(
    ("mqtt", "line"),
    [
        (None, "none"),
        ({"state": "connected", "problem": None}, "b.example connected, 2 wait, 5 dropped"),
        (
            {"state": "waiting", "problem": "no_answer"},
            "b.example waiting (no answer), 2 wait, 5 dropped",
        ),
    ],
)
def test_the_broker_s_state_is_a_line(mqtt: dict[str, Any] | None, line: str) -> None:
    """None, connected, or why not; with what waits and what was lost."""
    more = {"broker": "b.example", "buffered": 2, "dropped": 5}
    assert _broker(None if mqtt is None else {**more, **mqtt}) == line
