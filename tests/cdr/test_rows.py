"""Rows from records: once each, and closed at the next start where a crash left them open."""

from __future__ import annotations

import uuid
from datetime import datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import asdict
from sqlalchemy import delete

from cdr._rows import (
    CRASHED,
    NOT_CLOSED,
    Heartbeat,
    LeftOpen,
    apply,
    close_left_open,
    purge_refused,
)
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
    new_id,
)
from cdr.tables import BridgeRun, CallLeg, ConferenceSession, RefusedAttempt
from tests.cdr.conftest import HOUSE, PERSON, Office, at

RUN, LEG, SESSION = uuid.UUID(int=1), uuid.UUID(int=2), uuid.UUID(int=3)

OPENED = LegOpened(
    leg=LEG,
    invited_at=at(0),
    answered_at=at(1),
    dialled=HOUSE,
    transport="udp",
    trunk="carrier",
    caller=Caller(number=PERSON, asserted=True, country="SE", kind="mobile"),
)
QUALITY = LegQuality(
    packets_rx=3000,
    packets_tx=3001,
    lost=2,
    bursts=1,
    late=4,
    remote_lost=-1,
    remote_jitter_ms=2.25,
    concealed_frames=5,
    jitter_ms=1.5,
    jitter_max_ms=6.5,
    rtt_ms=30.5,
    rtt_max_ms=44.5,
    talk_ms=9000,
    playout_ms=80,
    playout_median_ms=40,
    r_factor=92.1,
    mos=4.39,
    mos_worst=3.75,
    remote_r_factor=88.5,
    remote_mos=4.3,
    dtmf_method="info",
)
STORY: tuple[Record | Heartbeat, ...] = (
    Heartbeat(at(0)),
    OPENED,
    SessionOpened(session=SESSION, at=at(5), conference=7),
    LegAdmitted(leg=LEG, at=at(5), session=SESSION, role="host"),
    AttemptRefused(at=at(3), reason="pin_unknown", transport="udp", dialled=HOUSE, leg=LEG),
    Heartbeat(at(20)),
    LegClosed(
        leg=LEG,
        at=at(60),
        by="network",
        cause="gone",
        sip_status=481,
        q850=16,
        codec="PCMA",
        quality=QUALITY,
    ),
    SessionClosed(session=SESSION, at=at(61), reason="last_left", peak=2),
)


def write(office: Office, *records: Record | Heartbeat, run: uuid.UUID = RUN) -> list[bool]:
    """Apply records in one transaction; return which had a row."""
    with office.database.session() as session:
        return [apply(session, office.vault, run, record) for record in records]


def everything(office: Office) -> list[dict[str, object]]:
    """Return all that the tables of records say."""
    return [
        {name: value for name, value in vars(row).items() if not name.startswith("_")}
        for kind in (BridgeRun, CallLeg, ConferenceSession, RefusedAttempt)
        for row in office.rows(kind)
    ]


def test_a_call_in_rows(office: Office) -> None:
    """Every field lands where it belongs; the number only in the vault."""
    assert write(office, *STORY) == [True] * len(STORY)
    leg = office.one(CallLeg)
    assert (leg.invited_at, leg.answered_at, leg.admitted_at, leg.ended_at) == tuple(
        at(seconds) for seconds in (0, 1, 5, 60)
    )
    assert (leg.hung_up_by, leg.cause, leg.sip_status, leg.q850) == ("network", "gone", 481, 16)
    assert (leg.role, leg.session_id, leg.trunk, leg.transport) == (
        "host",
        SESSION,
        "carrier",
        "udp",
    )
    assert leg.codec == "PCMA"
    assert {name: getattr(leg, name) for name in LegQuality.__struct_fields__} == asdict(QUALITY)
    assert (leg.caller_country, leg.caller_kind, leg.caller_asserted) == ("SE", "mobile", True)
    session = office.one(ConferenceSession)
    assert (session.conference_id, session.started_at, session.ended_at) == (7, at(5), at(61))
    assert (session.end_reason, session.peak_legs) == ("last_left", 2)
    attempt = office.one(RefusedAttempt)
    assert (attempt.leg_id, attempt.reason, attempt.dialled_number) == (LEG, "pin_unknown", HOUSE)
    assert office.one(BridgeRun).heartbeat_at == at(20)
    assert PERSON not in str(everything(office))


@given(st.lists(st.integers(0, len(STORY) - 1), max_size=4))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_applied_again_changes_nothing(office: Office, again: list[int]) -> None:
    """A replay after a crash: the same records once more, from any place on."""
    with office.database.session() as session:
        for kind in (RefusedAttempt, CallLeg, ConferenceSession, BridgeRun):
            session.execute(delete(kind))
    write(office, *STORY)
    before = everything(office)
    for start in again:
        write(office, *STORY[start:])
    assert everything(office) == before


@pytest.mark.parametrize(
    "record",
    [
        LegClosed(leg=LEG, at=at(9), by="caller", cause="bye"),
        LegAdmitted(leg=LEG, at=at(9), session=SESSION, role="guest"),
        SessionClosed(session=SESSION, at=at(9), reason="last_left", peak=1),
    ],
)
def test_a_record_whose_row_was_lost_says_so(office: Office, record: Record) -> None:
    """Nothing is written for it."""
    assert write(office, Heartbeat(at(0)), record) == [True, False]
    assert len(everything(office)) == 1


def test_a_leg_is_not_admitted_to_a_session_that_was_lost(office: Office) -> None:
    """A foreign key to nothing would lose the leg as well."""
    admitted = LegAdmitted(leg=LEG, at=at(9), session=SESSION, role="guest")
    assert write(office, Heartbeat(at(0)), OPENED, admitted) == [True, True, False]
    assert office.one(CallLeg).session_id is None


def test_a_refusal_outlives_the_leg_that_was_lost(office: Office) -> None:
    """It is kept, without naming the leg."""
    write(office, Heartbeat(at(0)), STORY[4])
    assert office.one(RefusedAttempt).leg_id is None


def test_a_caller_who_withheld_the_number_is_nobody(office: Office) -> None:
    """No subject, no country."""
    anonymous = LegOpened(
        leg=LEG, invited_at=at(0), answered_at=at(1), dialled=HOUSE, transport="udp"
    )
    write(office, Heartbeat(at(0)), anonymous)
    leg = office.one(CallLeg)
    assert (leg.subject_id, leg.caller_country, leg.caller_kind) == (None, None, None)


# -- what a crash left open ------------------------------------------------------------------------


def close(office: Office, run: uuid.UUID | None = None) -> LeftOpen:
    """Close what is open, as a start does."""
    with office.database.session() as session:
        return close_left_open(session, run)


def test_a_crash_ends_at_the_last_heartbeat(office: Office) -> None:
    """Legs and sessions, with a cause that says so; a second start finds nothing."""
    write(office, *STORY[:4], Heartbeat(at(30)))
    assert close(office) == LeftOpen(runs=1, legs=1, sessions=1)
    leg, session, run = office.one(CallLeg), office.one(ConferenceSession), office.one(BridgeRun)
    assert (leg.ended_at, leg.cause, leg.hung_up_by) == (at(30), CRASHED, "bridge")
    assert (session.ended_at, session.end_reason) == (at(30), CRASHED)
    assert run.crashed
    assert run.stopped_at == at(30)
    assert close(office) == LeftOpen()


@pytest.mark.parametrize(("beat", "leg_end", "session_end"), [(2, 5, 5), (4.9, 5, 5), (6, 6, 6)])
def test_nothing_ends_before_it_began(
    office: Office, beat: float, leg_end: float, session_end: float
) -> None:
    """A row may be younger than the last heartbeat: then it ends when it last was seen to begin."""
    write(office, *STORY[:4], Heartbeat(at(beat)))
    close(office)
    assert office.one(CallLeg).ended_at == at(leg_end)
    assert office.one(ConferenceSession).ended_at == at(session_end)


def test_what_was_closed_stays_as_it_was(office: Office) -> None:
    """A crash of the bridge is no crash of calls that were over."""
    write(office, *STORY)
    assert close(office) == LeftOpen(runs=1)
    assert office.one(CallLeg).cause == "gone"
    assert office.one(ConferenceSession).end_reason == "last_left"


def stop(office: Office, when: datetime) -> None:
    """Note that the run stopped in order."""
    with office.database.session() as session:
        row = session.get(BridgeRun, RUN)
        assert row is not None
        row.heartbeat_at = row.stopped_at = when


def test_a_run_that_stopped_in_order_did_not_crash(office: Office) -> None:
    """What it left open all the same is closed with another cause, and no crash is counted."""
    write(office, *STORY[:4])
    stop(office, at(40))
    assert close(office) == LeftOpen(runs=0, legs=1, sessions=1)
    assert office.one(CallLeg).cause == office.one(ConferenceSession).end_reason == NOT_CLOSED
    assert office.one(CallLeg).ended_at == at(40)
    assert not office.one(BridgeRun).crashed


def test_the_present_run_is_left_alone(office: Office) -> None:
    """Its calls go on."""
    write(office, *STORY[:4])
    present = new_id()
    write(office, Heartbeat(at(50)), STORY[1], run=present)
    assert close(office, RUN) == LeftOpen(runs=1)
    assert office.one(CallLeg).ended_at is None


def test_a_heartbeat_never_goes_back(office: Office) -> None:
    """One that waited in the journal comes late."""
    write(office, Heartbeat(at(30)), Heartbeat(at(10)))
    assert office.one(BridgeRun).heartbeat_at == at(30)


# -- ages ------------------------------------------------------------------------------------------


def test_refusals_are_deleted_at_their_age_and_no_earlier(office: Office) -> None:
    """Thirty days and a second are too old, thirty days are not; legs are another matter."""
    day = 86400
    old, young = (
        AttemptRefused(at=at(seconds), reason="pin_unknown", transport="udp", leg=LEG)
        for seconds in (-30 * day - 1, -30 * day)
    )
    write(office, Heartbeat(at(0)), OPENED, old, young)
    with office.database.session() as session:
        assert purge_refused(session, at(0), 30) == 1
    assert office.one(RefusedAttempt).at == young.at
    assert office.one(CallLeg).id == LEG
