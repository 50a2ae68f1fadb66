"""The database: one engine, sessions that read or write, and migrations.

SQLite in write-ahead mode is the embedded default; the code keeps to what PostgreSQL does too.
Tables are declared in the packages that own them, on :class:`Base`; the migrations under
``config/migrations`` create them, and a test proves that both agree.

``secure_delete`` overwrites what is deleted; ``synchronous = FULL`` keeps a committed call record
through a power cut (records are written in batches, so it costs one flush per batch).
"""

from __future__ import annotations

import contextlib
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import (
    URL,
    Connection,
    DateTime,
    Dialect,
    Engine,
    MetaData,
    TypeDecorator,
    create_engine,
    event,
)
from sqlalchemy.exc import DatabaseError as SqlDatabaseError
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Session

from config.errors import DatabaseError, DatabaseNotReady, DatabaseTooNew

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

__all__ = [
    "Base",
    "Database",
    "UtcDateTime",
    "open_database",
    "sqlite_engine",
    "told_if_unusable",
    "utc_now",
]

BUSY_TIMEOUT_S = 5.0
"""How long a statement waits for another process's lock: longer than any transaction of ours."""

_MIGRATIONS = Path(__file__).parent / "migrations"


class Base(DeclarativeBase):
    """What every table is declared on.

    A column that holds personal information names its category in its ``info``, one of those of
    ``privacy.inventory``; one whose name looks like it but that holds none says so, and why::

        name: Mapped[str] = mapped_column(info={"personal": "account"})
        e164: Mapped[str] = mapped_column(info={"personal": None, "why": "the bridge's own"})
    """

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class UtcDateTime(TypeDecorator[datetime]):
    """An aware moment, kept in UTC; SQLite has no time zones, so they are put back on reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn an aware moment into UTC.

        Raises:
            ValueError: The moment is naive.
        """
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment without time zone cannot be stored; use utc_now()")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give back an aware moment in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


def utc_now() -> datetime:
    """Return this moment, aware, in UTC."""
    return datetime.now(UTC)


def sqlite_engine(path: Path, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> Engine:
    """Open an SQLite file as every one of ours is opened.

    Transactions begin with ``BEGIN IMMEDIATE``, so that two writers queue up instead of failing
    half-way; connections with the execution option ``reading`` begin with ``BEGIN`` and wait for
    nobody. A new file gets mode 0600 before anything is in it; SQLite gives its ``-wal`` and
    ``-shm`` files the same mode.

    Args:
        path: The file.
        busy_timeout_s: How long a statement waits for another's lock, in seconds.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        connect_args={"timeout": busy_timeout_s},
        hide_parameters=True,  # values of rows are in no message
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _record: object) -> None:
        # We say when a transaction begins: left to itself, sqlite3 begins none for a SELECT.
        connection.isolation_level = None
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",
            "foreign_keys = ON",
            "secure_delete = ON",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        reading = connection.get_execution_options().get("reading", False)
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    return engine


class Database:
    """The main database.

    Args:
        engine: Where it is.
        where: What messages call it.
    """

    def __init__(self, engine: Engine, where: str) -> None:
        self.engine = engine
        self.where = where

    @contextlib.contextmanager
    def session(self) -> Iterator[Session]:
        """Open a session that may write: committed at the end, rolled back on an exception."""
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextlib.contextmanager
    def reading(self) -> Iterator[Session]:
        """Open a session that only reads: it waits for no writer and holds none up."""
        engine = self.engine.execution_options(reading=True)
        with Session(engine, expire_on_commit=False) as session, session.begin():
            yield session

    def revision(self) -> str | None:
        """Return the revision that the database is at; None where it has no tables yet.

        Raises:
            DatabaseError: The file is not a database, or cannot be read.
        """
        try:
            with self.engine.connect().execution_options(reading=True) as connection:
                return MigrationContext.configure(connection).get_current_revision()
        except DBAPIError as error:
            raise _unusable(self.where, error) from error

    def state(self) -> Literal["empty", "old", "current", "newer"]:
        """Compare the database's revision with what this release knows."""
        found = self.revision()
        if found is None:
            return "empty"
        if found == self.latest():
            return "current"
        known = {script.revision for script in _scripts().walk_revisions()}
        return "old" if found in known else "newer"

    def check(self) -> None:
        """See that the database is exactly what this release works on.

        Raises:
            DatabaseTooNew: A later release wrote it.
            DatabaseNotReady: It waits for :meth:`migrate`.
            DatabaseError: It is not a database, or cannot be read.
        """
        state = self.state()
        if state == "newer":
            raise DatabaseTooNew(self.where, str(self.revision()), self.latest())
        if state != "current":
            raise DatabaseNotReady(self.where, self.revision(), self.latest())

    def migrate(self, revision: str = "head") -> bool:
        """Bring the database to ``revision``, in one transaction.

        Args:
            revision: A revision of ours, or ``head``, the latest.

        Returns:
            Whether anything was changed.

        Raises:
            DatabaseTooNew: A later release wrote it; nothing was changed.
            DatabaseError: It is not a database, or cannot be written; nothing was changed.
        """
        found, state = self.revision(), self.state()
        if state == "newer":
            raise DatabaseTooNew(self.where, str(found), self.latest())
        wanted = self.latest() if revision == "head" else revision
        if found == wanted:
            return False
        known = [script.revision for script in _scripts().walk_revisions()]  # newest first
        backwards = found is not None and (
            wanted == "base" or known.index(wanted) > known.index(found)
        )
        settings = _alembic()
        try:
            with self.engine.begin() as connection:
                settings.attributes["connection"] = connection
                (command.downgrade if backwards else command.upgrade)(settings, wanted)
        except DBAPIError as error:
            raise _unusable(self.where, error) from error
        return True

    @staticmethod
    def latest() -> str:
        """Return the latest revision that this release knows."""
        return str(_scripts().get_current_head())

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


@contextlib.contextmanager
def told_if_unusable(where: str) -> Iterator[None]:
    """Turn what a disk, a lock or a damaged file does to a statement into words.

    Faults of the program (a constraint, wrong SQL) stay what they are.

    Args:
        where: What messages call the database.

    Raises:
        DatabaseError: The database is locked, full, read-only or damaged.
    """
    try:
        yield
    except DBAPIError as error:
        # A damaged file is a DatabaseError and none of its subclasses.
        if isinstance(error, OperationalError) or type(error) is SqlDatabaseError:
            raise _unusable(where, error) from error
        raise


def _unusable(where: str, error: DBAPIError) -> DatabaseError:
    return DatabaseError(
        f"{where}: {error.orig}",
        hint="Is it a database of this bridge, is its disk in order and not full, and does "
        "another program hold a lock on it?",
    )


def open_database(
    path: Path, *, create: bool = False, busy_timeout_s: float = BUSY_TIMEOUT_S
) -> Database:
    """Open the database; nothing in it is read or changed yet.

    Args:
        path: The SQLite file.
        create: Create the file where it is absent.
        busy_timeout_s: How long a statement waits for another's lock, in seconds.

    Raises:
        DatabaseNotReady: There is no such file, and it is not to be created.
    """
    if not create and not path.exists():
        raise DatabaseNotReady(str(path), None, Database.latest())
    return Database(sqlite_engine(path, busy_timeout_s=busy_timeout_s), str(path))


def _alembic() -> Config:
    settings = Config()
    settings.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    settings.set_main_option("path_separator", "os")
    return settings


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_alembic())


def compare_metadata(database: Database) -> list[Any]:
    """Return what the declared tables and the database differ in, as alembic sees it.

    Only the tables of packages that have been imported are known.
    """
    from alembic.autogenerate import compare_metadata as compare  # noqa: PLC0415 - for tests and doctor only, and slow to import

    with database.engine.connect().execution_options(reading=True) as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        return list(compare(context, Base.metadata))
