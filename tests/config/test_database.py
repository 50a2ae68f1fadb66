"""The database: how a file is opened, and what migrations do to it."""

from __future__ import annotations

import sqlite3
import stat
import threading
import uuid
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import text, update
from sqlalchemy.exc import OperationalError, StatementError

import cdr.tables  # noqa: F401 - the three of them declare every table
import dialplan.tables  # noqa: F401 - see above
import privacy.vault.subjects  # noqa: F401 - see above
from cdr.tables import BridgeRun
from config.database import Base, Database, compare_metadata, open_database, utc_now
from config.errors import DatabaseError, DatabaseNotReady, DatabaseTooNew


@pytest.fixture(name="path")
def database_path(tmp_path: Path) -> Path:
    """Return where the database of a test lies."""
    return tmp_path / "bridge.sqlite"


def fresh(path: Path) -> Database:
    """Open a database that is up to date."""
    database = open_database(path, create=True)
    database.migrate()
    return database


def pragma(database: Database, name: str) -> object:
    """Return what SQLite says of a connection as we open it."""
    with database.engine.connect() as connection:
        return connection.execute(text(f"PRAGMA {name}")).scalar_one()


def test_files_are_private_and_deleted_content_is_overwritten(path: Path) -> None:
    """WAL, secure_delete and FULL on every connection; database, -wal and -shm have mode 0600."""
    database = fresh(path)
    assert pragma(database, "journal_mode") == "wal"
    assert pragma(database, "secure_delete") == 1
    assert pragma(database, "synchronous") == 2
    assert pragma(database, "foreign_keys") == 1
    with database.engine.connect():
        files = list(path.parent.glob("bridge.sqlite*"))
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
        assert {file.name for file in files} >= {"bridge.sqlite", "bridge.sqlite-wal"}
    database.close()


def test_migrations_and_declared_tables_agree(path: Path) -> None:
    """From an empty file, migrations make exactly the tables that the packages declare."""
    database = fresh(path)
    assert compare_metadata(database) == []
    assert len(Base.metadata.tables) >= 10
    database.close()


def test_migrations_go_back_and_up_again(path: Path) -> None:
    """Down to nothing, up again, and all is as it was."""
    database = fresh(path)
    assert database.migrate("base")
    assert database.state() == "empty"
    assert database.migrate()
    assert compare_metadata(database) == []
    database.close()


def test_second_migration_changes_nothing(path: Path) -> None:
    """What is current stays byte by byte."""
    database = fresh(path)
    database.close()
    before = path.read_bytes()
    again = open_database(path)
    assert not again.migrate()
    again.check()
    again.close()
    assert path.read_bytes() == before


def test_database_of_a_later_release_is_refused_and_untouched(path: Path) -> None:
    """Older code on newer data: it says so, says what to do, and writes nothing."""
    fresh(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    before = path.read_bytes()
    database = open_database(path)
    for act in (database.check, database.migrate):
        with pytest.raises(DatabaseTooNew, match="at revision 9999") as caught:
            act()
        assert "Nothing was changed" in caught.value.hint
    assert database.state() == "newer"
    database.close()
    assert path.read_bytes() == before


def test_empty_and_absent_databases_are_not_ready(path: Path) -> None:
    """Operations work on a migrated database alone; nothing is created by looking."""
    with pytest.raises(DatabaseNotReady, match="is not set up") as caught:
        open_database(path)
    assert "dialin setup" in caught.value.hint
    assert not path.exists()
    database = open_database(path, create=True)
    with pytest.raises(DatabaseNotReady):
        database.check()
    database.close()


def test_file_that_is_no_database_is_refused_and_untouched(path: Path) -> None:
    """A wrong file in its place is neither read as empty nor overwritten."""
    path.write_bytes(b"not a database, whatever its name says" * 100)
    before = path.read_bytes()
    database = open_database(path)
    with pytest.raises(DatabaseError, match="file is not a database"):
        database.migrate()
    database.close()
    assert path.read_bytes() == before


def test_failed_migration_leaves_no_half_of_it(path: Path) -> None:
    """All in one transaction: a table that is in the way undoes the others."""
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE refused_attempt (id INTEGER)")
    connection.close()
    database = open_database(path)
    with pytest.raises(DatabaseError, match="already exists"):
        database.migrate()
    with database.reading() as session:
        found = session.execute(text("SELECT name FROM sqlite_master WHERE type = 'table'"))
        assert list(found.scalars()) == ["refused_attempt"]
    database.close()


def test_moments_are_utc_and_naive_ones_are_refused(path: Path) -> None:
    """What goes in with any zone comes out aware, in UTC, as the same moment."""
    database = fresh(path)
    moment = datetime(2026, 3, 2, 9, 0, tzinfo=timezone(timedelta(hours=1)))
    run = uuid.uuid4()
    with database.session() as session:
        session.add(BridgeRun(id=run, started_at=moment, heartbeat_at=utc_now()))
    with database.reading() as session:
        row = session.get_one(BridgeRun, run)
        assert row.started_at == moment
        assert row.started_at.tzinfo is UTC
        assert row.started_at.hour == 8
    naive = datetime(2026, 3, 2, 9, 0)  # noqa: DTZ001 - what must be refused
    statement = update(BridgeRun).values(started_at=naive)
    with pytest.raises(StatementError, match="without time zone"), database.session() as session:
        session.execute(statement)
    database.close()


def test_reader_waits_for_no_writer(path: Path) -> None:
    """While one session writes, another reads what was there before."""
    database = fresh(path)
    impatient = open_database(path, busy_timeout_s=0.0)
    with database.session() as writing:
        writing.execute(text("INSERT INTO account (name, created_at) VALUES ('a', '2026-01-01')"))
        with impatient.reading() as session:
            assert session.execute(text("SELECT count(*) FROM account")).scalar_one() == 0
        with pytest.raises(OperationalError, match="locked"), impatient.session() as session:
            session.connection()
    with impatient.reading() as session:
        assert session.execute(text("SELECT count(*) FROM account")).scalar_one() == 1
    impatient.close()
    database.close()


def test_writers_queue_up(path: Path) -> None:
    """Two threads that read before they write both succeed: neither fails half-way."""
    database = fresh(path)

    def count_up() -> None:
        for _ in range(20):
            with database.session() as session:
                found = session.execute(text("SELECT count(*) FROM account")).scalar_one()
                insert = text("INSERT INTO account (name, created_at) VALUES (:n, '2026-01-01')")
                session.execute(insert, {"n": f"account {found}"})

    threads = [threading.Thread(target=count_up) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    with database.reading() as session:
        assert session.execute(text("SELECT count(*) FROM account")).scalar_one() == 40
    database.close()


def test_session_that_fails_changes_nothing(path: Path) -> None:
    """An exception rolls back."""
    database = fresh(path)

    def fail_after_writing() -> None:
        with database.session() as session:
            session.execute(
                text("INSERT INTO account (name, created_at) VALUES ('a', '2026-01-01')")
            )
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_after_writing()
    with database.reading() as session:
        assert session.execute(text("SELECT count(*) FROM account")).scalar_one() == 0
    database.close()
