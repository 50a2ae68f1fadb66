"""The commands on numbers, conferences and PINs: arguments in, words and exit code out."""

from __future__ import annotations

import contextlib
import functools
import re
import sqlite3

import pytest

from config.database import open_database
from dialplan import pins
from dialplan.rules import ConferenceRules
from dialplan.store import load_directory
from tests.support.office import Office, bridge_that_answers

REFUSED: list[tuple[str, int, str]] = [
    # numbers
    ("number add", 2, "Missing argument 'NUMBER'"),
    ("number add not-a-number", 2, "is not a telephone number"),
    ("number add 1000", 1, "is there already"),
    ("number add +46850550000 --language fi", 2, "language 'fi' is wrong; allowed: en, sv"),
    ("number add +46850550000 --kind dear", 2, "'dear' is not one of"),
    ("number add +46850550000 --country Sweden", 2, "two letters of ISO 3166-1"),
    ("number add +46850550000 --call-limit many", 2, "is not a valid integer"),
    ("number add +46850550000 --call-limit -1", 2, "call limit -1 is wrong"),
    ("number add +46850550000 --conference Nowhere", 1, "there is no conference 'Nowhere'"),
    ("number add 12345678901 --kind extension", 2, "expected 1 to 10 digits"),
    ("number show 2000", 1, "there is no number '2000'"),
    ("number change 1000", 2, "nothing to change: give at least one option"),
    ("number change 2000 --language en", 1, "there is no number '2000'"),
    ("number enable 2000", 1, "there is no number"),
    ("number disable 2000", 1, "there is no number"),
    ("number remove 2000", 1, "`dialin number list` shows them all"),
    # conferences
    ("conference add Board", 1, "there is a conference 'Board' already"),
    ("conference add 2026", 2, "would be taken for a conference's id"),
    ("conference add New --capacity 0", 2, "from 1 to 5000"),
    ("conference add New --start whenever", 2, "'whenever' is not one of"),
    ("conference add New --names aloud", 2, "'aloud' is not one of"),
    ("conference add New --capacity 5 --host-places 6", 2, "from 0 to the capacity, 5, got 6"),
    ("conference change Board --host-places -1", 2, "host places -1 is wrong"),
    ("conference change Board --keep-names", 2, "No such option"),
    ("conference add New --opens tomorrow", 2, "allowed: ISO 8601"),
    ("conference add New --time-zone Mars/Olympus", 2, "time zone 'Mars/Olympus' is unknown"),
    ("conference add New --closes 2020-01-01", 2, "is in the past: nobody could ever enter"),
    ("conference add New --opens 2090-01-02 --closes 2090-01-01", 2, "not after it opens"),
    ("conference add New --pin-length 7", 2, "PIN"),
    ("conference change Board", 2, "nothing to change: give at least one option"),
    ("conference change Board --grace 3601", 2, "grace 3601 is wrong"),
    ("conference change Nowhere --capacity 3", 1, "there is no conference 'Nowhere'"),
    ("conference show 999999999999", 1, "there is no conference"),
    ("conference remove Board", 2, "--yes asks nobody"),
    ("conference remove Nowhere --yes", 1, "there is no conference 'Nowhere'"),
    # PINs
    ("pin reset Nowhere", 1, "there is no conference 'Nowhere'"),
    ("pin reset Board --role guru", 2, "'guru' is not one of"),
    ("pin reset Board --pin-length 5", 2, "PIN length 5 is wrong"),
    ("pin invite Board", 2, "Missing argument 'GUEST'"),
    ("pin invite Nowhere Kim", 1, "there is no conference 'Nowhere'"),
    ("pin revoke 999", 1, "there is no PIN with the id 999"),
    ("pin revoke first", 2, "is not a valid integer"),
    # what only a running bridge knows
    ("status", 1, "admin.sock: the bridge does not run"),
    ("trunk rejected", 1, "admin.sock: the bridge does not run"),
    ("trace --list", 1, "admin.sock: the bridge does not run"),
    ("trace", 2, "give one of --call, --trunk, --end and --list"),
    ("frobnicate", 2, "No such command 'frobnicate'"),
]


@pytest.fixture(name="board")
def office_with_a_board(office: Office) -> Office:
    """The desk of a bridge with one conference more than the demo's."""
    office.ask("conference", "add", "Board")
    return office


@pytest.mark.parametrize(("line", "code", "words"), REFUSED, ids=[line for line, *_ in REFUSED])
def test_what_is_refused_says_why_and_changes_nothing(
    board: Office, line: str, code: int, words: str
) -> None:
    """1 where it could not be done, 2 where the request was wrong; nothing on standard output."""
    before = board.contents()
    said = board.dialin(*line.split())
    assert (said.code, said.out) == (code, "") or line == "conference remove Board", said
    assert said.code == code
    assert words in said.err
    assert board.contents() == before


def test_locked_database_is_said_in_two_lines(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program that holds a lock is named as what it may be; the command ends with 1."""
    hasty = functools.partial(open_database, busy_timeout_s=0.1)
    monkeypatch.setattr("privacy.vault.context.open_database", hasty)
    database = office.folder / "bridge.sqlite"
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        said = office.dialin("number", "add", "1002")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith(f"Error: {database}: database is locked\n")
    assert len(said.err.splitlines()) == 2
    assert office.dialin("number", "add", "1002").code == 0


# -- numbers ---------------------------------------------------------------------------------------


def test_number_is_added_changed_switched_off_and_removed(board: Office) -> None:
    """What is found out by itself, what is said, and what is shown afterwards."""
    added = board.ask("number", "add", "+46 8 505 500 00", "--language", "sv")
    assert (added["number"], added["country"], added["kind"]) == ("+46850550000", "SE", "local")
    assert board.ask("number", "add", "2000")["kind"] == "extension"
    changed = board.ask(
        "number", "change", "+46850550000", "--call-limit", "30", "--conference", "Board"
    )
    assert (changed["call_limit"], changed["conference"]) == (30, "Board")
    assert "answers no more calls" in board.dialin("number", "disable", "+46850550000").out
    assert board.ask("number", "show", "+46850550000")["enabled"] is False
    assert board.dialin("number", "enable", "+46850550000").out == "+46850550000 answers calls.\n"
    assert board.dialin("number", "remove", "+46850550000").out == "Removed +46850550000.\n"
    assert {row["number"] for row in board.ask("number", "list")} == {"1000", "1001", "2000"}


@pytest.mark.parametrize("word", ["none", "0", "None"])
def test_limits_can_be_taken_back(board: Office, word: str) -> None:
    """Of a number, and of a conference's length."""
    board.ask("number", "change", "1000", "--call-limit", "5")
    assert board.ask("number", "change", "1000", "--call-limit", word)["call_limit"] is None
    board.ask("conference", "change", "Board", "--max-length", "30")
    changed = board.ask("conference", "change", "Board", "--max-length", word)
    assert changed["max_minutes"] is None


# -- conferences -----------------------------------------------------------------------------------


def test_times_are_those_of_the_conference(board: Office) -> None:
    """A time without a zone is meant in the conference's; both windows can be taken away."""
    opens = ("--opens", "2090-03-02T09:00", "--time-zone", "Europe/Stockholm")
    changed = board.ask("conference", "change", "Board", *opens)
    assert changed["opens_at"] == "2090-03-02T09:00:00+01:00"
    changed = board.ask("conference", "change", "Board", "--opens", "")
    assert changed["opens_at"] is None


def test_name_that_moves_the_cursor_is_shown_and_not_obeyed(board: Office) -> None:
    """A name of another administrator's is refused; one that got in all the same is escaped."""
    said = board.dialin("conference", "add", "Bo\x1b]0;owned\x07ard")
    assert said.code == 2
    with board.opened() as context, context.database.session() as session:
        session.connection().exec_driver_sql(
            "UPDATE conference SET name = 'Bo' || char(27) || '[2Jard' WHERE name = 'Board'"
        )
    for words in (
        ("conference", "list"),
        ("conference", "show", "2"),
        ("conference", "remove", "2", "--yes"),
    ):
        said = board.dialin(*words)
        assert said.code == 0
        assert "\x1b[2J" not in said.out + said.err
        assert "Bo\\x1b[2Jard" in said.out


def _rules(office: Office, conference: int) -> ConferenceRules:
    """Return what the bridge runs a conference by."""
    with office.opened() as context, context.database.reading() as session:
        return load_directory(session, context.vault).conferences[conference].rules


def test_a_conference_may_ask_for_names_and_keep_guests_waiting(board: Office) -> None:
    """What is set is shown, and what the bridge runs by; of a new conference all of it is off."""
    added = board.ask("conference", "add", "Plain")
    assert (added["names"], added["waiting_room"], added["host_places"]) == ("none", False, 0)
    options = ("--names", "ask_until_given", "--waiting-room", "--host-places", "2")
    changed = board.ask("conference", "change", "Board", *options)
    assert board.ask("conference", "show", "Board")["names"] == "ask_until_given"
    rules = _rules(board, changed["id"])
    assert (rules.names, rules.waiting_room, rules.host_places) == ("ask_until_given", True, 2)
    board.ask("conference", "change", "Board", "--no-waiting-room", "--names", "none")
    assert not _rules(board, changed["id"]).waiting_room


def test_removed_conference_is_listed_on_request_and_frees_its_name(board: Office) -> None:
    """Its PINs are revoked, and a number bound to it is bound no more."""
    board.ask("number", "change", "1000", "--conference", "Board")
    said = board.dialin("conference", "remove", "Board", stdin="y\n")
    assert said.code == 0
    assert "its PINs are revoked" in said.out
    assert board.ask("number", "show", "1000")["conference"] is None
    assert "Board" not in {row["name"] for row in board.ask("conference", "list")}
    removed = board.ask("conference", "list", "--removed")
    assert [row["name"] for row in removed if row["removed_at"]] == ["Board"]
    board.ask("conference", "add", "Board")


# -- PINs ------------------------------------------------------------------------------------------


def shown_pins(office: Office, *options: str) -> list[dict[str, object]]:
    """Return the PINs of the board as `conference show` has them."""
    found = office.ask("conference", "show", "Board", *options)["pins"]
    assert isinstance(found, list)
    return found


def test_pins_are_masked_unless_revealed(board: Office) -> None:
    """And revealing them is noted, with who did it."""
    issued = board.ask("pin", "reset", "Board")["pins"]
    masked = board.dialin("conference", "show", "Board")
    assert not [pin for pin in issued.values() if pin in masked.out]
    assert "*" * len(issued["host"]) in masked.out
    assert "revealed" not in masked.err
    said = board.dialin("conference", "show", "Board", "--reveal", "--json")
    assert all(pin in said.out for pin in issued.values())
    assert "PINs were revealed to an administrator" in said.err
    assert "uid" in said.err
    assert not [pin for pin in issued.values() if pin in said.err]


def test_reset_revokes_the_old_ones_of_that_role(board: Office) -> None:
    """A single-use code stays, and so does the other role's PIN."""
    board.ask("pin", "invite", "Board", "Kim Larsson")
    issued = board.ask("pin", "reset", "Board", "--role", "guest")
    assert set(issued["pins"]) == {"guest"}
    states = [(pin["role"], pin["single_use"], pin["state"]) for pin in shown_pins(board)]
    assert sorted(states) == [
        ("guest", False, "live"),
        ("guest", False, "revoked"),
        ("guest", True, "live"),
        ("host", False, "live"),
    ]


def test_code_for_a_guest_is_shown_once_and_can_be_revoked(board: Office) -> None:
    """It has a check digit, is made out to somebody, and the somebody goes with it."""
    said = board.dialin("pin", "invite", "Board", "Kim Larsson")
    match = re.fullmatch(r"Code for Kim Larsson, once: ([0-9 ]+)\n", said.out)
    assert match is not None
    assert pins.check(match[1].replace(" ", "")) is pins.Verdict.COMPLETE
    (code,) = [pin for pin in shown_pins(board) if pin["single_use"]]
    assert (code["holder"], code["state"], code["role"]) == ("Kim Larsson", "live", "guest")
    assert board.dialin("pin", "revoke", str(code["id"])).out == f"PIN {code['id']} is revoked.\n"
    (code,) = [pin for pin in shown_pins(board, "--reveal") if pin["single_use"]]
    assert (code["holder"], code["state"], code["pin"]) == (None, "revoked", None)
    assert board.dialin("pin", "revoke", str(code["id"])).code == 1


def test_no_file_holds_a_pin_or_its_holder_in_clear(board: Office) -> None:
    """They are sealed and hashed: not in the database, its log of writes, or anywhere else."""
    issued = board.ask("pin", "reset", "Board")
    invited = board.ask("pin", "invite", "Board", "Kim Larsson")
    secrets = [*issued["pins"].values(), invited["code"], "Kim Larsson"]
    files = [path.read_bytes() for path in board.folder.rglob("*") if path.is_file()]
    assert any(b"Board" in content for content in files)
    assert not [secret for secret in secrets for each in files if secret.encode() in each]


def test_a_number_may_lead_into_a_conference_without_a_pin(board: Office) -> None:
    """Where the number is bound to it, and the conference lets callers in without one."""
    board.ask("number", "add", "+12025550155", "--conference", "Board")

    def leads_to() -> int | None:
        with board.opened() as context, context.database.reading() as session:
            numbers = load_directory(session, context.vault).numbers
        return numbers["+12025550155"].info.pinless_conference

    assert leads_to() is None
    board.ask("conference", "change", "Board", "--pinless")
    assert leads_to() == board.ask("conference", "show", "Board")["id"]


def test_short_pins_are_warned_of_with_their_chance(board: Office) -> None:
    """4 PINs are out; two of 6 digits are hit by 10,000 guesses of 100,000 with 18 %."""
    said = board.dialin("pin", "reset", "Board", "--pin-length", "6")
    assert said.code == 0
    assert "10,000 tries find a room with 18% chance" in said.err
    assert board.dialin("pin", "reset", "Board").err == ""


def test_setting_for_short_pins_counts_as_the_option(board: Office) -> None:
    """An administrator's choice, and the chance is stated all the same."""
    board.environment["DIALIN_ENTRY__PIN_LENGTH"] = "8"
    said = board.dialin("pin", "reset", "Board", "--json")
    assert '"guess_chance"' in said.out
    assert {pin["digits"] for pin in shown_pins(board) if pin["state"] == "live"} == {8}


# -- a bridge that runs ----------------------------------------------------------------------------


def test_running_bridge_is_asked_and_its_answer_shown(board: Office) -> None:
    """The data is left alone, and what is said is that it takes effect at once."""
    before = board.contents()
    added = {"name": "acme", "addresses": ["0.0.0.0/0"]}
    with bridge_that_answers(board.folder / "admin.sock", trunk__add=added) as asked:
        said = board.dialin("trunk", "add", "acme", "--address", "0.0.0.0/0")
    assert "taken from now on" in said.out
    assert "admits whoever can reach the bridge" in said.err
    assert [request["operation"] for request in asked] == ["trunk.add"]
    assert board.contents() == before
    said = board.dialin("trunk", "add", "acme", "--address", "192.0.2.0/28")
    assert "taken once the bridge runs" in said.out
    assert said.err == ""
