"""The recorder: every record becomes a row once, whatever the database and its disk do."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from msgspec import structs
from structlog.testing import capture_logs

from cdr._rows import LeftOpen
from cdr.errors import JournalError
from cdr.journal import Recorder, Recovered
from cdr.records import (
    AttemptRefused,
    Caller,
    LegAdmitted,
    LegClosed,
    LegOpened,
    Record,
    SessionClosed,
    SessionOpened,
    new_id,
)
from cdr.tables import BridgeRun, CallLeg, ConferenceSession, RefusedAttempt
from config.pseudonyms import pseudonym
from tests.cdr.conftest import HOUSE, PERSON, FullDisk, Office, at, until

OTHER = "+46701234568"


def opened(leg: uuid.UUID | None = None, number: str = PERSON) -> LegOpened:
    """Return a call that was answered; its name is a pseudonym, as the bridge's calls have."""
    return LegOpened(
        leg=leg or new_id(),
        invited_at=at(0),
        answered_at=at(1),
        dialled=HOUSE,
        transport="udp",
        caller=Caller(number=number, asserted=True, country="SE", kind="mobile"),
        call=pseudonym(bytes(32), "call", "abc"),
    )


def call(number: str = PERSON) -> list[Record]:
    """Return the records of a whole call in a conference of its own."""
    leg, session = new_id(), new_id()
    return [
        opened(leg, number),
        SessionOpened(session=session, at=at(5), conference=1),
        LegAdmitted(leg=leg, at=at(5), session=session, role="guest"),
        SessionClosed(session=session, at=at(60), reason="last_left", peak=1),
        LegClosed(leg=leg, at=at(60), by="caller", cause="bye"),
    ]


def put(recorder: Recorder, *records: Record) -> None:
    """Hand records over."""
    for record in records:
        recorder.put(record)


def said(lines: Sequence[Mapping[str, object]], what: str) -> int:
    """Return how often the log says something."""
    return sum(what in str(line["event"]) for line in lines)


def test_records_become_rows(office: Office) -> None:
    """A call and its session, a refusal with a number of nobody's; numbers stand in the vault."""
    recorder = office.recorder()
    assert recorder.start() == Recovered()
    refused = AttemptRefused(
        at=at(2), reason="unknown_number", transport="tcp", sip_status=404, dialled_unknown=OTHER
    )
    put(recorder, *call(), refused)
    until(lambda: recorder.status().written == 6)
    leg, session, attempt = (
        office.one(CallLeg),
        office.one(ConferenceSession),
        office.one(RefusedAttempt),
    )
    assert (leg.ended_at, leg.cause, leg.session_id) == (at(60), "bye", session.id)
    assert (session.started_at, session.peak_legs) == (at(5), 1)
    with office.database.reading() as opening:
        found = [office.vault.find_subject(opening, number) for number in (PERSON, OTHER)]
    assert [leg.subject_id, attempt.dialled_subject_id] == found
    office.stop(recorder)
    run = office.one(BridgeRun)
    assert run.id == leg.run_id == recorder.run
    assert run.stopped_at is not None
    assert not run.crashed


def test_records_wait_in_the_journal_while_the_database_is_locked(office: Office) -> None:
    """They are sealed there, catch up in order, and it is said once each way."""
    recorder = office.recorder(heartbeat_s=0.1)
    recorder.start()
    with capture_logs() as log:
        with office.locked():
            put(recorder, *call())
            until(lambda: recorder.status().writing_to == "journal")
            put(recorder, *call(OTHER))
            until(lambda: len(recorder._journal.lines()) >= 10)
            kept = office.journal_path.read_bytes()
            assert PERSON.encode() not in kept
            assert office.rows(CallLeg) == []
        until(lambda: recorder.status().writing_to == "database")
    assert said(log, "records wait in the journal") == said(log, "records caught up") == 1
    assert {leg.cause for leg in office.rows(CallLeg)} == {"bye"}
    assert len(office.rows(CallLeg)) == len(office.rows(ConferenceSession)) == 2
    status = recorder.status()
    assert (status.waiting, status.written, status.dropped, status.failed) == (0, 10, 0, 0)
    assert not office.journal_path.read_bytes().strip(b"\0")


def test_records_wait_for_the_key_store_too(office: Office) -> None:
    """The main database is there; a new caller's key cannot be written down, so the row waits."""
    recorder = office.recorder()
    recorder.start()
    with office.locked("keys.sqlite"):
        put(recorder, *call())
        until(lambda: recorder.status().writing_to == "journal")
        assert office.rows(CallLeg) == []
    until(lambda: recorder.status().writing_to == "database")
    assert office.one(CallLeg).ended_at == at(60)
    assert recorder.status().failed == 0


def test_records_go_from_a_full_journal_to_memory_and_back(office: Office) -> None:
    """Database and journal are both full: memory holds; the journal has room first again."""
    recorder = office.recorder()
    recorder.start()
    journal = recorder._journal
    assert isinstance(journal, FullDisk)
    with capture_logs() as log:
        with office.locked():
            journal.full = True
            put(recorder, *call())
            until(lambda: recorder.status().writing_to == "memory")
            put(recorder, *call())
            until(lambda: recorder.status().waiting == 10)
            assert journal.empty
            journal.full = False
            until(lambda: recorder.status().writing_to == "journal")
            assert len(journal.lines()) == 10
        until(lambda: recorder.status().writing_to == "database")
    assert len(office.rows(CallLeg)) == 2
    assert said(log, "the journal is full") == 1
    assert recorder.status().dropped == 0


def test_what_memory_cannot_hold_either_is_lost_oldest_first_and_counted(office: Office) -> None:
    """The number lost is in the status, and the log says once that something is."""
    recorder = office.recorder(most_waiting=6)
    recorder.start()
    journal = recorder._journal
    assert isinstance(journal, FullDisk)
    with capture_logs() as log:
        with office.locked():
            journal.full = True
            for _ in range(4):
                put(recorder, opened())
                until(recorder._queue.empty)
            until(lambda: recorder.status().waiting == 4)
            for _ in range(5):
                put(recorder, opened())
                until(recorder._queue.empty)
            until(lambda: recorder.status().dropped == 3)
        until(lambda: recorder.status().writing_to == "database")
    assert len(office.rows(CallLeg)) == 6
    assert said(log, "records are lost") == 1


def test_a_queue_that_nobody_empties_drops_and_counts(office: Office) -> None:
    """Taking a record never waits, and never fills all memory."""
    recorder = office.recorder(most_waiting=3)
    put(recorder, *[opened() for _ in range(5)])
    assert recorder.status().dropped == 2
    assert recorder.status().waiting == 3


def test_the_next_start_catches_up_with_what_waits(office: Office) -> None:
    """The bridge ends while the database is locked; nothing is lost, and it is said how much."""
    first = office.recorder()
    first.start()
    with office.locked():
        put(first, *call())
        until(lambda: first.status().writing_to == "journal")
        office.stop(first)
    assert office.rows(CallLeg) == []
    second = office.recorder()
    found = second.start()
    # With the word that the run stopped in order: it did not crash.
    assert (found.journalled, found.unreadable, found.left_open) == (6, 0, LeftOpen())
    run = next(run for run in office.rows(BridgeRun) if run.id == first.run)
    assert run.stopped_at is not None
    assert not run.crashed
    assert office.one(CallLeg).ended_at == at(60)
    assert office.one(CallLeg).run_id == first.run


def test_a_journal_replayed_twice_writes_once(office: Office) -> None:
    """A crash came between the rows and the emptying of the file."""
    first = office.recorder()
    first.start()
    refused = AttemptRefused(at=at(2), reason="pin_unknown", transport="udp", dialled=HOUSE)
    with office.locked():
        put(first, *call(), refused)
        until(lambda: first.status().writing_to == "journal" and first.status().waiting == 6)
        office.stop(first)
    kept = office.journal_path.read_bytes()
    for _ in range(2):
        office.journal_path.write_bytes(kept)
        recorder = office.recorder()
        assert recorder.start().journalled >= 6
        office.stop(recorder)
    assert len(office.rows(CallLeg)) == len(office.rows(ConferenceSession)) == 1
    assert len(office.rows(RefusedAttempt)) == 1


def test_damaged_lines_are_counted_and_cost_only_themselves(office: Office) -> None:
    """Garbage, a record of no kind, a number sealed by another's key: the others become rows."""
    first = office.recorder()
    first.start()
    with office.locked():
        put(first, *call(), opened(number=OTHER))
        until(lambda: first.status().writing_to == "journal" and first.status().waiting >= 6)
        office.stop(first)
    lines = office.journal_path.read_bytes().strip(b"\0").splitlines()
    (foreign,) = [line for line in lines if b"LegOpened" in line][-1:]
    at_seal = foreign.index(b'"caller":"') + 14
    other = b"A" if foreign[at_seal : at_seal + 1] != b"A" else b"B"
    forged = foreign[:at_seal] + other + foreign[at_seal + 1 :]
    lines[lines.index(foreign)] = forged
    damaged = [b"\xff\xfe", b'{"run":"no"}', b"{}", *lines, b'{"run": "half']
    office.journal_path.write_bytes(b"\n".join(damaged) + b"\n")
    second = office.recorder()
    with capture_logs() as log:
        found = second.start()
    assert found.unreadable == 5
    assert said(log, "caught up") == 1
    assert office.one(CallLeg).ended_at == at(60)


def test_a_journal_of_an_older_version_is_read(office: Office) -> None:
    """What it did not measure is not known; what a newer one measures besides is left out."""
    first = office.recorder()
    first.start()
    with office.locked():
        put(first, *call())
        until(lambda: first.status().writing_to == "journal" and first.status().waiting >= 5)
        office.stop(first)
    older = (
        b'"quality":{"packets_rx":3000,"packets_tx":3001,"lost":2,"late":0,"remote_lost":0,'
        b'"concealed_frames":2,"jitter_ms":1.5,"rtt_ms":null,"talk_ms":9000,"playout_ms":80,'
        b'"dtmf_method":"info","of_a_version_to_come":1}'
    )
    content = office.journal_path.read_bytes()
    begin = content.index(b'"quality":{')
    end = content.index(b"}", begin) + 1
    office.journal_path.write_bytes(content[:begin] + older + content[end:])
    second = office.recorder()
    found = second.start()
    assert (found.journalled >= 5, found.unreadable) == (True, 0)
    leg = office.one(CallLeg)
    assert (leg.packets_rx, leg.jitter_ms, leg.playout_ms, leg.dtmf_method) == (
        (3000, 1.5, 80, "info")
    )
    assert leg.mos is leg.r_factor is leg.remote_mos is leg.bursts is None


def test_one_record_at_fault_does_not_cost_the_others(office: Office) -> None:
    """What the database will never take, and what follows from it, is counted and said."""
    recorder = office.recorder()
    wrong = structs.replace(opened(), transport=None)  # a fault of ours
    lost = LegClosed(leg=wrong.leg, at=at(9), by="caller", cause="bye")
    put(recorder, *call(), wrong, lost, *call(OTHER))
    with capture_logs() as log:
        recorder.start()
        until(lambda: recorder.status().written == 10)
    assert recorder.status().failed == 2
    assert {leg.ended_at for leg in office.rows(CallLeg)} == {at(60)}
    assert said(log, "a record could not be written") == 1
    assert said(log, "records had no row") == 1
    assert PERSON not in str(log)


def test_what_has_no_row_to_go_to_is_counted(office: Office) -> None:
    """The record that opened it was lost; closing it changes nothing, and is said."""
    recorder = office.recorder()
    recorder.start()
    with capture_logs() as log:
        put(recorder, LegClosed(leg=new_id(), at=at(9), by="caller", cause="bye"))
        until(lambda: recorder.status().failed == 1)
    assert recorder.status().written == 0
    assert said(log, "records had no row") == 1


def test_a_bridge_does_not_start_on_a_database_that_it_cannot_write(office: Office) -> None:
    """It says where, and what to look at; what waits goes on waiting."""
    recorder = office.recorder()
    with office.locked(), pytest.raises(JournalError, match="cannot be written") as caught:
        recorder.start()
    assert str(office.folder / "bridge.sqlite") in str(caught.value)
    assert caught.value.hint


def test_a_crash_is_dated_by_the_last_heartbeat(office: Office) -> None:
    """While it runs, the present run is noted as alive."""
    recorder = office.recorder(heartbeat_s=0.05)
    recorder.start()
    begun = office.one(BridgeRun).heartbeat_at
    until(lambda: office.one(BridgeRun).heartbeat_at > begun)
    assert office.one(BridgeRun).stopped_at is None


def test_old_refusals_are_deleted_while_the_bridge_runs(office: Office) -> None:
    """At their age, and the log says how many."""
    recorder = office.recorder(keep_refused_days=30)
    with capture_logs() as log:
        recorder.start()
        put(recorder, AttemptRefused(at=at(0), reason="pin_unknown", transport="udp"))
        until(lambda: recorder.status().written == 1)
        recorder._next_purge = 0.0
        put(recorder, opened())
        until(lambda: office.rows(RefusedAttempt) == [])
    assert said(log, "deleted at their age") == 1


def test_records_show_no_number(tmp_path: Path) -> None:
    """In no repr, whatever logs one."""
    attempt = AttemptRefused(
        at=at(0),
        reason="unknown_number",
        transport="udp",
        dialled_unknown=OTHER,
        caller=Caller(PERSON),
    )
    assert PERSON[1:] not in repr(opened())
    assert not {PERSON[1:], OTHER[1:]} & set(repr(attempt).split("'"))
    assert OTHER not in repr(attempt)
