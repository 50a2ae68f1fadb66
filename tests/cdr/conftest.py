"""What tests of records stand on: a data folder with keys, a database, and a recorder's front."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import select

import dialplan.tables  # noqa: F401 - with cdr's own, every table there is
from cdr._journal_file import JournalFile
from cdr.journal import Recorder
from config.administration import AdminContext
from config.database import Base, Database, open_database
from config.settings import Settings
from privacy.vault import Vault

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
"""When everything begins in these tests."""

PERSON = "+46701234567"
HOUSE = "+46101000001"

Row = TypeVar("Row", bound=Base)


def at(seconds: float) -> datetime:
    """Return a moment so many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


class FullDisk(JournalFile):
    """A journal whose disk can be filled."""

    full = False

    def append(self, lines: Iterable[bytes]) -> None:
        """Append, unless there is no room."""
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().append(lines)


@dataclass
class Office:
    """A data folder with its database, its vault, and the recorders that were opened in it."""

    folder: Path
    master: bytes
    vault: Vault
    database: Database
    recorders: list[Recorder] = field(default_factory=list)

    @property
    def journal_path(self) -> Path:
        """Where records wait."""
        return self.folder / "journal"

    @property
    def context(self) -> AdminContext[Vault]:
        """What reports work on."""
        return AdminContext(self.database, self.vault, Settings(data_dir=self.folder))

    def recorder(self, **changes: object) -> Recorder:
        """Make a recorder that finds a lock out at once; it is not started."""
        database = open_database(self.folder / "bridge.sqlite", busy_timeout_s=0)
        journal = FullDisk(self.journal_path, 1 << 16)
        # These records are of long ago; no refusal is deleted at its age unless a test says so.
        given = {"keep_refused_days": 100_000, **changes}
        made = Recorder(database, self.vault, journal, **given)  # type: ignore[arg-type] # passed on
        self.recorders.append(made)
        return made

    def stop(self, recorder: Recorder) -> None:
        """Stop a recorder in order."""
        self.recorders.remove(recorder)
        recorder.stop()

    def rows(self, kind: type[Row]) -> list[Row]:
        """Return every row of a table."""
        with self.database.reading() as session:
            return list(session.scalars(select(kind)))

    def one(self, kind: type[Row]) -> Row:
        """Return the only row of a table."""
        (row,) = self.rows(kind)
        return row

    @contextlib.contextmanager
    def locked(self, name: str = "bridge.sqlite") -> Iterator[None]:
        """Hold a database's lock, as a backup program gone wrong does."""
        other = open_database(self.folder / name)
        with other.session() as session:
            session.connection()
            yield
        other.close()

    def close(self) -> None:
        """Stop what runs and close everything."""
        for recorder in list(self.recorders):
            self.stop(recorder)
        self.vault.close()
        self.database.close()


def until(holds: Callable[[], object]) -> None:
    """Wait until something holds; a writer is quick, machines are not always."""
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)


@pytest.fixture(name="office")
def data_folder_with_records(tmp_path: Path) -> Iterator[Office]:
    """Return a new data folder, open."""
    master = os.urandom(32)
    vault = Vault.open(master, tmp_path / "keys.sqlite", tmp_path / "destroyed.log", create=True)
    database = open_database(tmp_path / "bridge.sqlite", create=True)
    database.migrate()
    office = Office(tmp_path, master, vault, database)
    yield office
    office.close()
