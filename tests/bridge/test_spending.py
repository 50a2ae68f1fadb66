"""What outgoing calls cost, across a restart and while the database is away."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select
from structlog.testing import capture_logs

from bridge.spending import Spending
from config.database import Database, open_database
from dialplan.dial_out import Allowed, Ledger
from dialplan.tables import OutgoingCost

CALL = Allowed("+46701740605", "SE", 0.10, 600.0)
DAY_S = 86400.0


@pytest.fixture(name="database")
def database_that_waits_for_no_lock(tmp_path: Path) -> Iterator[Database]:
    """Return an empty database."""
    database = open_database(tmp_path / "bridge.sqlite", create=True, busy_timeout_s=0)
    database.migrate()
    yield database
    database.close()


def run(database: Database, scene: Callable[[Ledger, float], None]) -> None:
    """Let a bridge run with what an earlier one wrote; its monotonic clock begins anew each time.

    Args:
        database: Where both write.
        scene: What happens, with the ledger and the time on this run's clock.
    """

    async def live() -> None:
        loop = asyncio.get_running_loop()
        spending = Spending(database, loop)
        ledger = Ledger()
        ledger.restore(await asyncio.to_thread(spending.read))
        ledger.told = spending.note
        scene(ledger, loop.time())
        await loop.shutdown_default_executor()
        spending.close()
        assert spending.waiting == 0

    asyncio.run(live())


def rows(database: Database) -> int:
    """Count what is kept."""
    with database.reading() as session:
        return session.scalar(select(func.count()).select_from(OutgoingCost)) or 0


def test_a_restart_gives_no_conference_its_money_back(database: Database) -> None:
    """What was spent, what is set aside for a call that a crash cut, and the calls of an hour."""

    def before(ledger: Ledger, now: float) -> None:
        ledger.began(1, 7, CALL, now)
        ledger.ended(1, 61.0)
        ledger.began(2, 7, CALL, now)
        ledger.began(3, 8, CALL, now)
        ledger.ended(3, 0.0)

    def after(ledger: Ledger, now: float) -> None:
        assert ledger.spent(now, 7) == pytest.approx(0.20 + 1.00)
        assert ledger.spent(now, 8) == 0
        assert (ledger.made(now, 7), ledger.made(now, 8), ledger.made(now)) == (2, 1, 3)
        ledger.began(1, 8, CALL, now)  # numbers of calls begin anew with each run
        assert ledger.made(now) == 4
        assert ledger.spent(now) == pytest.approx(0.20 + 2 * 1.00)
        ledger.ended(1, 30.0)
        assert ledger.spent(now) == pytest.approx(0.20 + 1.00 + 0.10)

    def once_more(ledger: Ledger, now: float) -> None:
        assert ledger.spent(now) == pytest.approx(0.20 + 1.00 + 0.10)
        assert ledger.made(now) == 4

    for scene in (before, after, once_more):
        run(database, scene)


def test_an_hour_and_a_day_pass_while_the_bridge_is_down(database: Database) -> None:
    """They are counted from when the call began, by the clock on the wall."""
    run(database, lambda ledger, now: ledger.began(1, 7, CALL, now))

    def age(by: timedelta) -> None:
        with database.session() as session:
            for row in session.scalars(select(OutgoingCost)):
                row.began_at -= by

    def an_hour_later(ledger: Ledger, now: float) -> None:
        assert ledger.made(now) == 0
        assert ledger.spent(now) == pytest.approx(1.00)

    def a_day_later(ledger: Ledger, now: float) -> None:
        assert ledger.spent(now) == 0
        ledger.began(1, 7, CALL, now)
        assert ledger.spent(now) == pytest.approx(1.00)

    age(timedelta(hours=2))
    run(database, an_hour_later)
    age(timedelta(hours=23))
    run(database, a_day_later)
    assert rows(database) == 1, "what is older than a day is deleted"


def test_a_clock_that_was_set_back_makes_no_call_of_tomorrow(database: Database) -> None:
    """A call that seems to begin later counts from the start on, and not for longer than a day."""
    run(database, lambda ledger, now: ledger.began(1, 7, CALL, now))
    with database.session() as session:
        for row in session.scalars(select(OutgoingCost)):
            row.began_at += timedelta(hours=5)

    def later(ledger: Ledger, now: float) -> None:
        assert ledger.spent(now) == pytest.approx(1.00)
        assert ledger.spent(now + DAY_S) == 0

    run(database, later)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the database's lock, as another program does that writes."""
    other = open_database(path)
    with other.session() as session:
        session.connection()
        yield
    other.close()


def test_what_is_spent_while_the_database_is_locked_is_written_afterwards(
    tmp_path: Path, database: Database
) -> None:
    """It is said once when it begins and once when it is over; the caps hold all the while."""

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        # Not a time of its own choice: on a machine that has run for a day that is over long since.
        spending, ledger, now = Spending(database, loop), Ledger(), loop.time()
        ledger.told = spending.note
        with locked(tmp_path / "bridge.sqlite"):
            ledger.began(1, 7, CALL, now)
            await asyncio.to_thread(spending.write)
            ledger.ended(1, 61.0)
            await asyncio.to_thread(spending.write)
            assert spending.waiting == 2
            assert ledger.spent(now) == pytest.approx(0.20)
        assert rows(database) == 0
        await asyncio.to_thread(spending.write)
        assert spending.waiting == 0
        assert [cost.spent for cost in spending.read()] == [pytest.approx(0.20)]

    with capture_logs() as said:
        asyncio.run(scene())
    assert [(line["event"], line["what"]) for line in said] == [
        ("changes wait for the database", "costs of calls"),
        ("changes were written after all", "costs of calls"),
    ]


def test_nothing_kept_is_about_anybody() -> None:
    """A conference, times and prices; no number, no country, no leg."""
    columns = {column.name for column in OutgoingCost.__table__.columns}
    assert columns == {"id", "conference_id", "began_at", "per_minute", "set_aside", "spent"}
