"""Reports: what is asked for and nothing else, and numbers only for who may see them."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from cdr import reports
from cdr._rows import Heartbeat, apply
from cdr.errors import ReportError
from cdr.records import (
    AttemptRefused,
    Caller,
    LegAdmitted,
    LegClosed,
    LegOpened,
    LegQuality,
    Record,
    SessionClosed,
    SessionOpened,
)
from config.database import open_database
from tests.cdr.conftest import HOUSE, PERSON, Office, at

OTHER = "+46701234568"
MASKED = "+46*******67"
RUN = uuid.UUID(int=1)
LEGS = [uuid.UUID(int=number) for number in range(10, 14)]
SESSIONS = [uuid.UUID(int=number) for number in range(20, 22)]


def opened(leg: int, seconds: float, caller: Caller, call: str | None = None) -> LegOpened:
    """Return a call that was answered by the carrier's trunk."""
    return LegOpened(
        leg=LEGS[leg],
        invited_at=at(seconds - 1),
        answered_at=at(seconds),
        dialled=HOUSE,
        transport="udp",
        trunk="carrier",
        caller=caller,
        call=call,
    )


def closed(leg: int, seconds: float, talk_ms: int | None) -> LegClosed:
    """Return the end of a call."""
    quality = LegQuality(talk_ms=talk_ms)
    return LegClosed(leg=LEGS[leg], at=at(seconds), by="caller", cause="bye", quality=quality)


KNOWN = Caller(number=PERSON, asserted=True, country="SE", kind="mobile")
STORY: list[Record | Heartbeat] = [
    Heartbeat(at(0)),
    # Two in conference 1 for a minute, one in conference 2 who is still there, one at the door.
    opened(0, 10, KNOWN, "call-a"),
    SessionOpened(session=SESSIONS[0], at=at(15), conference=1),
    LegAdmitted(leg=LEGS[0], at=at(15), session=SESSIONS[0], role="host"),
    opened(1, 20, Caller(number=OTHER, asserted=True, country="SE", privacy=True), "call-b"),
    LegAdmitted(leg=LEGS[1], at=at(25), session=SESSIONS[0], role="guest"),
    closed(0, 70, 20_000),
    closed(1, 75, 1600),
    SessionClosed(session=SESSIONS[0], at=at(75), reason="last_left", peak=2),
    opened(2, 100, KNOWN, "call-c"),
    SessionOpened(session=SESSIONS[1], at=at(105), conference=2),
    LegAdmitted(leg=LEGS[2], at=at(105), session=SESSIONS[1], role="guest"),
    opened(3, 200, Caller(), "call-d"),
    closed(3, 205, None),
    AttemptRefused(at=at(12), reason="pin_unknown", transport="udp", dialled=HOUSE, leg=LEGS[0]),
    AttemptRefused(at=at(22), reason="full", transport="udp", leg=LEGS[1], conference=1),
    AttemptRefused(
        at=at(300),
        reason="unknown_number",
        transport="tcp",
        sip_status=404,
        dialled_unknown=OTHER,
        caller=KNOWN,
        trunk="carrier",
    ),
]


@pytest.fixture(name="filled")
def office_with_records(office: Office) -> Office:
    """Return an office whose records tell the story."""
    with office.database.session() as session:
        for record in STORY:
            assert apply(session, office.vault, RUN, record)
    return office


def legs(office: Office, **wanted: object) -> list[dict[str, Any]]:
    """List legs."""
    return reports.legs(office.context, **wanted)  # type: ignore[arg-type] # passed on as given


def numbered(office: Office, **wanted: object) -> list[int]:
    """Return which of the story's legs are listed, in order."""
    return [LEGS.index(uuid.UUID(row["leg"])) for row in legs(office, **wanted)]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, [3, 2, 1, 0]),
        ({"limit": 2}, [3, 2]),
        ({"since": "2026-03-02T12:00:20Z"}, [3, 2, 1]),
        ({"since": "2026-03-02T13:00:20+01:00", "until": "2026-03-02T12:01:40"}, [1]),
        ({"until": "2026-03-02"}, []),
        ({"session": str(SESSIONS[0])}, [1, 0]),
        ({"conference": 2}, [2]),
        ({"caller": PERSON}, [2, 0]),
        ({"caller": OTHER}, []),
        ({"caller": "+46700000000"}, []),
        ({"call": "call-b"}, [1]),
        ({"still_open": True}, [2]),
        ({"caller": PERSON, "conference": 1, "still_open": False}, [0]),
    ],
)
def test_legs_are_narrowed_down(filled: Office, wanted: dict[str, Any], found: list[int]) -> None:
    """By each thing and by several at once; the latest first."""
    assert numbered(filled, **wanted) == found


def test_a_leg_is_told_whole(filled: Office) -> None:
    """Times, ways, how it ended and how it was heard."""
    row = legs(filled, call="call-a")[0]
    assert row["conference"] == 1
    assert (row["caller"], row["caller_country"], row["caller_kind"]) == (MASKED, "SE", "mobile")
    assert (row["dialled"], row["trunk"], row["role"]) == (HOUSE, "carrier", "host")
    assert row["answered_at"] == "2026-03-02T12:00:10.000+00:00"
    assert row["ended_at"] == "2026-03-02T12:01:10.000+00:00"
    assert (row["duration_s"], row["talk_ms"], row["cause"]) == (60.0, 20_000, "bye")
    running = legs(filled, still_open=True)[0]
    assert running["ended_at"] is running["duration_s"] is None


def test_numbers_are_shown_on_request_and_the_log_says_so(filled: Office) -> None:
    """Masked by itself; in clear with reveal, which is noted without the number."""
    assert [row["caller"] for row in legs(filled)] == [None, MASKED, "withheld", MASKED]
    with capture_logs() as log:
        revealed = legs(filled, reveal=True)
    assert [row["caller"] for row in revealed] == [None, PERSON, "withheld", PERSON]
    (line,) = [line for line in log if "revealed" in line["event"]]
    assert line["subjects"] == 1
    assert PERSON not in str(log)


def test_who_asked_for_privacy_is_shown_to_nobody(filled: Office) -> None:
    """Neither in the leg nor in what was refused in it; totals still have the country."""
    row = legs(filled, call="call-b", reveal=True)[0]
    assert (row["caller"], row["caller_country"]) == ("withheld", "SE")
    refusal = reports.refused(filled.context, reason="full", reveal=True)[0]
    assert refusal["caller"] == "withheld"
    assert OTHER not in str(row) + str(refusal)


def test_who_was_forgotten_is_erased_everywhere(filled: Office) -> None:
    """The rows still count, and nothing of them leads to the person."""
    with filled.database.session() as session:
        subject = filled.vault.find_subject(session, PERSON)
        assert subject is not None
        filled.vault.destroy(session, subject)
    assert [row["caller"] for row in legs(filled, reveal=True)] == [
        *(None, "erased", "withheld", "erased")
    ]
    assert legs(filled, caller=PERSON) == []
    found = reports.refused(filled.context, reveal=True)
    assert [row["caller"] for row in found] == ["erased", "withheld", "erased"]
    assert found[0]["dialled"] == OTHER


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, [1, 0]),
        ({"limit": 1}, [1]),
        ({"conference": 1}, [0]),
        ({"since": "2026-03-02T12:01:00"}, [1]),
        ({"until": "2026-03-02T12:01:00"}, [0]),
        ({"conference": 3}, []),
    ],
)
def test_sessions_are_narrowed_down(
    filled: Office, wanted: dict[str, Any], found: list[int]
) -> None:
    """By conference and by when they began."""
    rows = reports.sessions(filled.context, **wanted)
    assert [SESSIONS.index(uuid.UUID(row["session"])) for row in rows] == found


def test_a_session_adds_its_legs_up(filled: Office) -> None:
    """Legs, the most at once, and how long all of them spoke."""
    running, over = reports.sessions(filled.context)
    assert (over["legs"], over["peak_legs"], over["talk_s"]) == (2, 2, 22)
    assert (over["duration_s"], over["end_reason"]) == (60.0, "last_left")
    assert (running["legs"], running["talk_s"], running["duration_s"]) == (1, 0, None)


@pytest.mark.parametrize(
    ("wanted", "reasons"),
    [
        ({}, ["unknown_number", "full", "pin_unknown"]),
        ({"limit": 1}, ["unknown_number"]),
        ({"reason": "full"}, ["full"]),
        ({"since": "2026-03-02T12:00:22"}, ["unknown_number", "full"]),
        ({"until": "2026-03-02T12:00:22"}, ["pin_unknown"]),
    ],
)
def test_refusals_are_narrowed_down(
    filled: Office, wanted: dict[str, Any], reasons: list[str]
) -> None:
    """By reason and time, the latest first."""
    found = reports.refused(filled.context, **wanted)
    assert [row["reason"] for row in found] == reasons


def test_a_refusal_in_a_call_says_who_by_the_call(filled: Office) -> None:
    """Its own row names neither caller nor trunk; one before the answer says all itself."""
    before, full, pin = reports.refused(filled.context)
    assert (pin["caller"], pin["caller_country"], pin["trunk"]) == (MASKED, "SE", "carrier")
    assert (pin["leg"], pin["dialled"], pin["sip_status"]) == (str(LEGS[0]), HOUSE, None)
    assert full["conference"] == 1
    assert (before["caller"], before["trunk"], before["transport"]) == (MASKED, "carrier", "tcp")
    assert (before["leg"], before["sip_status"]) == (None, 404)
    assert before["dialled"] == "+46*******68"


@pytest.mark.parametrize("listing", [reports.legs, reports.sessions, reports.refused])
@pytest.mark.parametrize(
    "wrong", [{"since": "yesterday"}, {"until": 7}, {"limit": 0}, {"limit": True}, {"limit": 10**9}]
)
def test_a_wrong_value_says_what_is_allowed(
    office: Office, listing: Callable[..., object], wrong: dict[str, object]
) -> None:
    """The message names the option and its value; it is a mistake of usage."""
    with pytest.raises(ReportError, match=f"{next(iter(wrong))} .*allowed") as caught:
        listing(office.context, **wrong)
    assert caught.value.exit_code == 2


def test_a_session_that_is_no_id_is_told(office: Office) -> None:
    """It is a mistake of usage too."""
    with pytest.raises(ReportError, match="session 'x' is wrong"):
        legs(office, session="x")


def test_older_records_are_of_callers_who_did_not_ask(office: Office) -> None:
    """A database of the release before is brought up to date with its rows in it."""
    path = office.folder / "old.sqlite"
    database = open_database(path, create=True)
    database.migrate("0001")
    values = {"run": RUN.hex, "leg": LEGS[0].hex, "at": "2026-03-02 12:00:00"}
    with database.session() as session:
        for statement in (
            "INSERT INTO bridge_run VALUES (:run, :at, :at, NULL, 0)",
            """INSERT INTO call_leg
               (id, run_id, transport, caller_asserted, invited_at, answered_at)
               VALUES (:leg, :run, 'udp', 0, :at, :at)""",
            """INSERT INTO refused_attempt
               (id, run_id, at, reason, leg_id, transport, caller_asserted)
               VALUES (:leg, :run, :at, 'full', :leg, 'udp', 0)""",
        ):
            session.execute(text(statement), values)
    assert database.migrate()
    office.database.close()
    office.database = database
    (row,) = legs(office)
    assert row["caller"] is None
    assert row["mos"] is row["r_factor"] is row["bursts"] is row["playout_median_ms"] is None
    assert [row["leg"] for row in reports.refused(office.context)] == [str(LEGS[0])]
