"""Operations, and the way they take: to the bridge that runs, else to the data itself."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import IntegrityError

from config.administration import (
    AdminContext,
    Administration,
    Registry,
    answer,
    call_bridge,
    describe,
    perform,
)
from config.data_folder import DataFolder
from config.database import Database, sqlite_engine
from config.errors import (
    AdministrationError,
    BridgeUnreachable,
    ConfigError,
    DatabaseError,
    DataFolderError,
    ExitCode,
    UnknownOperation,
)
from config.settings import Settings, load


def refuse(_context: object) -> None:
    """Refuse, as an operation does."""
    raise ConfigError("that cannot be", hint="do otherwise", exit_code=2)


def fail(_context: object) -> None:
    """Fail, as a program does that has a fault."""
    raise ZeroDivisionError("+46701234567")


REGISTRY: Registry = {
    "echo": lambda _context, **arguments: arguments,
    "two": lambda _context, first, second=0: first + second,
    "refuse": refuse,
    "fail": fail,
}


def ask(line: bytes) -> dict[str, Any]:
    """Return the answer to one line."""
    answered = answer(REGISTRY, None, line)
    assert answered.endswith(b"\n")
    assert answered.count(b"\n") == 1
    found = json.loads(answered)
    assert isinstance(found, dict)
    return found


def test_operation_is_performed_and_answered() -> None:
    """Result and number come back on one line."""
    line = json.dumps({"id": 7, "operation": "two", "arguments": {"first": 2, "second": 3}})
    assert ask(line.encode()) == {"id": 7, "result": 5}
    assert ask(b'{"id": 8, "operation": "echo"}') == {"id": 8, "result": {}}


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"nonsense",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"id":1}',
        b'{"id":1,"operation":3}',
        b'{"id":1,"operation":"echo","arguments":[1]}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_request_gets_an_error_in_words(line: bytes) -> None:
    """Never an exception: one bad line must not end the bridge."""
    assert ask(line)["error"]["exit_code"] == ExitCode.USAGE


def test_unknown_operations_and_arguments_are_refused() -> None:
    """As from a command of another release."""
    assert "no operation 'three'" in ask(b'{"id":1,"operation":"three"}')["error"]["message"]
    found = ask(b'{"id":1,"operation":"two","arguments":{"third":1}}')["error"]
    assert "third" in found["message"] or "first" in found["message"]
    assert "another release" in found["hint"]


def test_refusal_carries_hint_and_exit_code_and_a_fault_does_not_speak() -> None:
    """What the program did wrong is for its log: the text is for nobody's eyes."""
    assert ask(b'{"id":1,"operation":"refuse"}')["error"] == {
        "message": "that cannot be",
        "hint": "do otherwise",
        "exit_code": 2,
    }
    with pytest.raises(ZeroDivisionError):
        answer(REGISTRY, None, b'{"id":1,"operation":"fail"}')
    assert describe(ZeroDivisionError("secret")) is None


@contextlib.contextmanager
def bridge_that_answers(path: Path, reply: Callable[[bytes], bytes]) -> Iterator[None]:
    """Listen on a socket and answer one line of one connection."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, connection.makefile("rb") as lines:
                connection.sendall(reply(lines.readline()))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield
        thread.join(10)
    path.unlink()


def test_bridge_is_asked_over_its_socket(tmp_path: Path) -> None:
    """The line that goes out is the one that :func:`answer` reads."""
    path = tmp_path / "admin.sock"
    with bridge_that_answers(path, lambda line: answer(REGISTRY, None, line)):
        assert call_bridge(path, "two", {"first": 20}) == 20
    with (
        bridge_that_answers(path, lambda line: answer(REGISTRY, None, line)),
        pytest.raises(AdministrationError, match="that cannot be") as caught,
    ):
        call_bridge(path, "refuse", {})
    assert (caught.value.hint, caught.value.exit_code) == ("do otherwise", 2)


@pytest.mark.parametrize("reply", [b"", b'{"id": 1, "res', b"nonsense\n"])
def test_bridge_that_breaks_off_is_told_as_that(reply: bytes, tmp_path: Path) -> None:
    """Its end in the middle of an answer is no traceback."""
    path = tmp_path / "admin.sock"
    with (
        bridge_that_answers(path, lambda _line: reply),
        pytest.raises(BridgeUnreachable, match="broke off in the middle of its answer"),
    ):
        call_bridge(path, "echo", {})


def test_bridge_that_hangs_is_waited_for_no_longer_than_said(tmp_path: Path) -> None:
    """A command ends, whatever the bridge does."""
    path = tmp_path / "admin.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        with pytest.raises(BridgeUnreachable, match=r"no answer within 0\.1 s"):
            call_bridge(path, "echo", {}, timeout_s=0.1)


# -- by the command itself, while the bridge is down -----------------------------------------------


def administration(settings: Settings, events: list[str] | None = None) -> Administration[None]:
    """Make what commands ask, with a context that notes when it is open."""
    noted = [] if events is None else events

    @contextlib.contextmanager
    def open_context(_settings: Settings) -> Iterator[AdminContext[None]]:
        with pytest.raises(DataFolderError), DataFolder(settings.data_dir).locked():
            pass
        noted.append("opened")
        nothing = Database(create_engine("sqlite://"), "nowhere")
        yield AdminContext(nothing, None, settings)
        noted.append("closed")

    return Administration(lambda: settings, REGISTRY, open_context)


def test_without_a_bridge_the_command_works_itself_under_the_lock(tmp_path: Path) -> None:
    """Opened, performed, closed; the folder is locked meanwhile and free afterwards."""
    events: list[str] = []
    asked = administration(load(None, {}, {"data_dir": str(tmp_path)}), events)
    assert asked.perform("two", first=1) == 1
    assert events == ["opened", "closed"]
    with DataFolder(tmp_path).locked():
        pass


def test_socket_that_a_crash_left_counts_as_no_bridge(tmp_path: Path) -> None:
    """Kill -9 leaves the file; commands work on."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "admin.sock"))
    asked = administration(load(None, {}, {"data_dir": str(tmp_path)}))
    assert asked.perform("two", first=1) == 1


def test_running_bridge_is_asked_and_the_data_left_alone(tmp_path: Path) -> None:
    """Two writers would not know of each other's changes."""
    events: list[str] = []
    asked = administration(load(None, {}, {"data_dir": str(tmp_path)}), events)
    bridge = {"two": lambda _context, first: first * 100}
    with bridge_that_answers(tmp_path / "admin.sock", lambda line: answer(bridge, None, line)):
        assert asked.perform("two", first=1) == 100
    assert events == []


def test_folder_that_somebody_works_in_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bridge that is starting or stopping holds the lock and has no socket."""
    monkeypatch.setattr("config.administration._HANDOVER_S", 0.1)
    events: list[str] = []
    asked = administration(load(None, {}, {"data_dir": str(tmp_path)}), events)
    with (
        DataFolder(tmp_path).locked(),
        pytest.raises(DataFolderError, match="another bridge or command is at work"),
    ):
        asked.perform("two", first=1)
    assert events == []


def test_what_only_a_bridge_can_do_says_that_none_runs(tmp_path: Path) -> None:
    """And how to start one."""
    asked = administration(load(None, {}, {"data_dir": str(tmp_path)}))
    with pytest.raises(AdministrationError, match="the bridge does not run") as caught:
        asked.perform("status")
    assert str(tmp_path / "admin.sock") in str(caught.value)
    assert "dialin serve" in caught.value.hint
    with pytest.raises(UnknownOperation):
        perform(REGISTRY, None, "status", {})


def test_folder_that_is_a_file_and_a_path_that_is_too_long_have_no_bridge(tmp_path: Path) -> None:
    """What is said is that of the folder: no bridge can be listening there."""
    (tmp_path / "file").touch()
    with pytest.raises(DataFolderError, match="is not a folder"):
        administration(load(None, {}, {"data_dir": str(tmp_path / "file")})).perform("two", first=1)
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    assert administration(load(None, {}, {"data_dir": str(deep)})).perform("two", first=1) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_socket_that_one_may_not_use_says_whom_to_be(tmp_path: Path) -> None:
    """A member of the staff who is no administrator is told so."""
    path = tmp_path / "admin.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        path.chmod(0o600)
        os.seteuid(65534)
        try:
            with pytest.raises(BridgeUnreachable, match="you may not administer it") as caught:
                call_bridge(path, "echo", {})
        finally:
            os.seteuid(0)
    assert "admin.group" in caught.value.hint


# -- a database that says no -----------------------------------------------------------------------


def write(context: AdminContext[None], statement: str = "INSERT INTO kept VALUES (27)") -> None:
    """Change something, as an operation does."""
    with context.database.session() as session:
        session.connection().exec_driver_sql(statement)


@pytest.fixture(name="kept")
def table_of_one_row(tmp_path: Path) -> Path:
    """A database with one table, in which 1 stands."""
    path = tmp_path / "kept.sqlite"
    engine = sqlite_engine(path)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE kept (value INTEGER UNIQUE)")
        connection.exec_driver_sql("INSERT INTO kept VALUES (1)")
    engine.dispose()
    return path


def perform_on(engine: Engine, operation: Callable[..., None]) -> None:
    """Perform an operation on that database."""
    database = Database(engine, "/srv/kept.sqlite")
    try:
        perform({"write": operation}, AdminContext(database, None, Settings()), "write", {})
    finally:
        database.close()


def test_locked_database_is_told_in_words(kept: Path) -> None:
    """Which one, and what to look for; not eighty lines of somebody else's code."""
    holder = sqlite3.connect(kept, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseError, match=r"/srv/kept\.sqlite: database is locked") as caught:
        perform_on(sqlite_engine(kept, busy_timeout_s=0.1), write)
    assert "another program hold a lock" in caught.value.hint
    holder.close()


def test_read_only_database_is_told_in_words(kept: Path) -> None:
    """A disk that the system mounted read-only after a fault."""
    engine = create_engine(f"sqlite:///file:{kept}?mode=ro&uri=true")
    with pytest.raises(DatabaseError, match="readonly database"):
        perform_on(engine, write)


def test_full_disk_is_told_in_words(kept: Path) -> None:
    """SQLite's own limit stands in for the disk's."""

    def fill(context: AdminContext[None]) -> None:
        with context.database.session() as session:
            session.connection().exec_driver_sql("PRAGMA max_page_count = 1")
            session.connection().exec_driver_sql("CREATE TABLE more AS SELECT zeroblob(1000000)")

    with pytest.raises(DatabaseError, match="full"):
        perform_on(sqlite_engine(kept), fill)


def test_fault_of_the_program_stays_one(kept: Path) -> None:
    """A broken constraint is ours to mend: it is no matter of locks and disks."""

    def twice(context: AdminContext[None]) -> None:
        write(context, "INSERT INTO kept VALUES (1)")

    with pytest.raises(IntegrityError):
        perform_on(sqlite_engine(kept), twice)


def test_values_of_rows_stand_in_no_message(kept: Path) -> None:
    """What a statement was to write may be a number or a name."""
    engine = sqlite_engine(kept)
    with pytest.raises(IntegrityError) as caught, engine.begin() as connection:
        connection.execute(text("INSERT INTO kept VALUES (:one), (1)"), {"one": 46701740605})
    assert "46701740605" not in str(caught.value)
    engine.dispose()
