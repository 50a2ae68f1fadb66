"""Used codes and a database that is away: none may open twice because of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bridge.used_codes import UsedCodes
from config.database import Database, open_database, utc_now
from dialplan.tables import Account, Conference, Pin


@pytest.fixture(name="database")
def database_with_codes(tmp_path: Path) -> Iterator[Database]:
    """Return a database with two codes, 1 and 2, that wait for no lock."""
    database = open_database(tmp_path / "bridge.sqlite", create=True, busy_timeout_s=0)
    database.migrate()
    at = utc_now()
    conference = Conference(
        account=Account(name="demo", created_at=at),
        name="demo",
        capacity=10,
        start_rule="at_once",
        end_rule="last_out",
        grace_s=0,
        wait_minutes=10,
        time_zone="UTC",
        host_early_minutes=0,
        guest_early_minutes=0,
        chimes=True,
        pinless=False,
        created_at=at,
    )
    conference.pins = [
        Pin(
            id=row,
            role="guest",
            pin_hash=bytes([row]) * 32,
            length=9,
            single_use=True,
            created_at=at,
        )
        for row in (1, 2)
    ]
    with database.session() as session:
        session.add(conference)
    yield database
    database.close()


def used(database: Database) -> list[int]:
    """Return the codes that the database says were used."""
    with database.reading() as session:
        return [row for row in (1, 2) if (pin := session.get(Pin, row)) and pin.used_at]


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the database's lock, as another program does that writes."""
    other = open_database(path)
    with other.session() as session:
        session.connection()
        yield
    other.close()


def test_a_used_code_is_written_at_once(database: Database) -> None:
    """A thread writes it; nobody waits."""

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        codes = UsedCodes(database, loop)
        codes.add(1)
        await loop.shutdown_default_executor()
        assert codes.waiting == 0
        assert used(database) == [1]

    asyncio.run(scene())


def test_a_code_used_while_the_database_is_locked_is_written_afterwards(
    tmp_path: Path, database: Database
) -> None:
    """Both uses wait, are said once, and are written when the lock is gone."""

    async def scene() -> None:
        codes = UsedCodes(database, asyncio.get_running_loop())
        with locked(tmp_path / "bridge.sqlite"):
            codes.add(1)
            await asyncio.to_thread(codes.write)
            codes.add(2)
            await asyncio.to_thread(codes.write)
            assert codes.waiting == 2
        assert used(database) == []
        await asyncio.to_thread(codes.write)
        assert codes.waiting == 0
        assert used(database) == [1, 2]

    with capture_logs() as said:
        asyncio.run(scene())
    assert [(line["event"], line["what"]) for line in said] == [
        ("changes wait for the database", "used codes"),
        ("changes were written after all", "used codes"),
    ]


def test_the_end_writes_what_waits_or_says_what_is_lost(tmp_path: Path, database: Database) -> None:
    """A last try at the end; where it fails too, an administrator must hear of it."""

    async def scene() -> None:
        codes = UsedCodes(database, asyncio.get_running_loop())
        with locked(tmp_path / "bridge.sqlite"):
            codes.add(1)
            await asyncio.to_thread(codes.write)
            with capture_logs() as said:
                await asyncio.to_thread(codes.close)
            assert [(line["log_level"], line["count"]) for line in said] == [("error", 1)]
        await asyncio.to_thread(codes.close)
        assert used(database) == [1]

    asyncio.run(scene())
