"""What outgoing calls cost, kept across restarts.

The caps of ``[dial_out]`` look back an hour and a day. The ledger of `dialplan.dial_out` holds them
in memory; here each call's cost is written down as it is set aside and as it is settled, and read
back at the next start, so that a restart gives nobody their money back. A call that a crash cut was
never settled: what was set aside for it stays spent. Rows older than a day are deleted; nothing in
them is about anybody.

The ledger's times are monotonic, those of the rows are on the wall. A cost that could not be
written, because the database was locked or its disk full, is kept and tried again, as
`bridge.used_codes` does: by the bridge's sweep, and a last time at its end.
"""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import delete, select
from sqlalchemy.exc import DBAPIError

from cdr.records import new_id
from config.database import utc_now
from dialplan.dial_out import DAY_S, Cost
from dialplan.tables import OutgoingCost

if TYPE_CHECKING:
    import asyncio
    import uuid

    from config.database import Database

__all__ = ["Spending"]

_log = structlog.get_logger("bridge.spending")
_DAY = timedelta(seconds=DAY_S)


class Spending:
    """Tells the database what calls cost.

    Args:
        database: the main database.
        loop: the event loop; its clock is the ledger's.
    """

    def __init__(self, database: Database, loop: asyncio.AbstractEventLoop) -> None:
        self._database = database
        self._loop = loop
        self._ids: dict[int, uuid.UUID] = {}
        self._waiting: list[OutgoingCost] = []
        self._writing = threading.Lock()
        self._away = False

    @property
    def waiting(self) -> int:
        """How many changes the database does not know yet."""
        return len(self._waiting)

    def read(self) -> list[Cost]:
        """Return what earlier runs spent in the last day, oldest first. Blocks.

        Returns:
            Costs with times of the event loop's clock; a time that the clock on the wall has not
            come to, because it was set back, is now.
        """
        now, wall = self._loop.time(), utc_now()
        with self._database.reading() as session:
            rows = session.scalars(
                select(OutgoingCost)
                .where(OutgoingCost.began_at > wall - _DAY)
                .order_by(OutgoingCost.began_at)
            )
            return [
                Cost(
                    conference=row.conference_id,
                    began=now - max(0.0, (wall - row.began_at).total_seconds()),
                    per_minute=row.per_minute,
                    set_aside=row.set_aside,
                    spent=row.spent,
                )
                for row in rows
            ]

    def note(self, call: int, cost: Cost) -> None:
        """Note what a call may cost, or has cost, and have it written in a thread.

        Args:
            call: its number, never used twice in a run.
            cost: as the ledger has it now.
        """
        row = OutgoingCost(
            id=self._ids.setdefault(call, new_id()),
            conference_id=cost.conference,
            began_at=self._on_the_wall(cost.began),
            per_minute=cost.per_minute,
            set_aside=cost.set_aside,
            spent=cost.spent,
        )
        if cost.spent is not None:
            del self._ids[call]
        self._waiting.append(row)
        self._loop.run_in_executor(None, self.write)

    def _on_the_wall(self, at: float) -> datetime:
        return utc_now() - timedelta(seconds=self._loop.time() - at)

    def write(self) -> None:
        """Write what waits; what cannot be written goes on waiting. Blocks: call it in a thread."""
        with self._writing:
            rows = list(self._waiting)
            if not rows:
                return
            try:
                with self._database.session() as session:
                    for row in rows:
                        session.merge(row)
                    old = OutgoingCost.began_at <= utc_now() - _DAY
                    session.execute(delete(OutgoingCost).where(old))
            except DBAPIError as error:
                if not self._away:
                    self._away = True
                    _log.warning(
                        "costs of calls wait for the database", calls=len(rows), error=error
                    )
                return
            del self._waiting[: len(rows)]
            if self._away:
                self._away = False
                _log.info("costs of calls were written after all", calls=len(rows))

    def close(self) -> None:
        """Write what waits for the last time, and say what is lost. Blocks."""
        self.write()
        if self._waiting:
            _log.error("costs of calls could not be written and count no more", calls=self.waiting)
