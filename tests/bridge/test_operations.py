"""Reports as administrators ask for them: a number as it is written, a reason that there is."""

from __future__ import annotations

import ast
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bridge import admission
from cdr.tables import BridgeRun, CallLeg, RefusedAttempt
from tests.support.office import Office

CALLER = "+46701740605"


@pytest.fixture(name="records")
def office_with_a_call(office: Office) -> Office:
    """The desk of a bridge that one person has called."""
    now = datetime.now(UTC)
    with office.opened() as context, context.database.session() as session:
        run = BridgeRun(id=uuid.uuid4(), started_at=now, heartbeat_at=now)
        session.add(run)
        session.flush()
        common = {"run_id": run.id, "transport": "udp", "caller_asserted": False}
        subject = context.vault.subject_for_number(session, CALLER)
        session.add(
            CallLeg(id=uuid.uuid4(), invited_at=now, answered_at=now, subject_id=subject, **common)
        )
        session.add(RefusedAttempt(id=uuid.uuid4(), at=now, reason="unknown_number", **common))
    return office


@pytest.mark.parametrize("written", [CALLER, "+46 70 174 06 05", "0701740605", "070-174 06 05"])
def test_caller_is_found_however_the_number_is_written(records: Office, written: str) -> None:
    """Without a country code it is one of entry.default_region."""
    records.environment["DIALIN_ENTRY__DEFAULT_REGION"] = "SE"
    (leg,) = records.ask("cdr", "legs", "--caller", written)
    assert leg["caller"] == "+46*******05"


def test_stranger_is_not_found_and_the_words_say_so(records: Office) -> None:
    """No rows is no fault; "no call has been answered" would be untrue."""
    said = records.dialin("cdr", "legs", "--caller", "+46701740699")
    assert (said.code, said.out, said.err) == (0, "", "No such call.\n")


def test_empty_records_say_that_nobody_has_called(office: Office) -> None:
    """Where nothing was asked for in particular."""
    said = office.dialin("cdr", "legs")
    assert (said.code, said.out, said.err) == (0, "", "No call has been answered.\n")


def test_masked_number_is_refused(records: Office) -> None:
    """The list shows it, and it means nobody."""
    said = records.dialin("cdr", "legs", "--caller", "+46*******05")
    assert said.code == 2
    assert "--reveal" in said.err


def test_reason_that_there_is_none_of_lists_those_there_are(records: Office) -> None:
    """An empty list would say that nothing was refused."""
    assert len(records.ask("cdr", "refused", "--reason", "unknown_number")) == 1
    assert records.ask("cdr", "refused", "--reason", "pin_unknown") == []
    said = records.dialin("cdr", "refused", "--reason", "unknown")
    assert said.code == 2
    for word in ("unknown_number", "pin_throttled", "overload"):
        assert word in said.err


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (("--session", "xyz"), "at least its first four digits"),
        (("--session", "0a1b2c3d"), "no session has an id that begins with '0a1b2c3d'"),
        (("--since", "yesterday"), "allowed: ISO 8601"),
        (("--limit", "0"), "limit 0 is wrong"),
        (("--conference", "Nowhere"), "there is no conference 'Nowhere'"),
    ],
)
def test_what_a_report_cannot_be_narrowed_by_is_refused(
    records: Office, option: tuple[str, str], words: str
) -> None:
    """In words, on standard error."""
    said = records.dialin("cdr", "legs", *option)
    assert said.code in {1, 2}
    assert said.out == ""
    assert words in said.err


def test_reasons_that_may_be_asked_for_are_those_that_calls_are_refused_with() -> None:
    """Every word that the code refuses a call with can be asked for."""
    root = Path(admission.__file__).parent
    used = set()
    for name in ("admission.py", "server.py"):
        for node in ast.walk(ast.parse((root / name).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(
                ("Refused", "overloaded")
            ):
                used |= {each.value for each in node.args if isinstance(each, ast.Constant)}
    assert {word for word in used if isinstance(word, str)} == set(admission.REASONS)
