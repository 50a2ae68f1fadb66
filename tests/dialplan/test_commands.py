"""The commands on numbers, conferences and PINs: arguments in, words and exit code out."""

from __future__ import annotations

import contextlib
import functools
import sqlite3

import pytest

from config.database import open_database
from tests.support.office import Office


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
