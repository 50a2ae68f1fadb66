"""What outgoing calls cost, kept across restarts.

The caps of ``[dial_out]`` look back an hour and a day. The ledger of `dialplan.dial_out` holds them
in memory; here each call's cost is written down as it is set aside and as it is settled, and read
back at the next start, so that a restart gives nobody their money back. A call that a crash cut was
never settled: what was set aside for it stays spent. Rows older than a day are deleted; nothing in
them is about anybody.

The ledger's times are monotonic, those of the rows are on the wall.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import delete, select

from bridge.unwritten import Unwritten
from cdr.records import new_id
from config.database import utc_now
from dialplan.dial_out import DAY_S, Cost
from dialplan.tables import OutgoingCost

if TYPE_CHECKING:
    import asyncio
    import uuid
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from config.database import Database

__all__ = ["Spending"]

_DAY = timedelta(seconds=DAY_S)


class Spending(Unwritten[OutgoingCost]):
    """Tells the database what calls cost.

    Args:
        database: the main database.
        loop: the event loop; its clock is the ledger's.
    """

    what = "costs of calls"
    lost = "these costs no longer count towards the limit"

    def __init__(self, database: Database, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(database, loop)
        self._ids: dict[int, uuid.UUID] = {}

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
        self.add(row)

    def _on_the_wall(self, at: float) -> datetime:
        return utc_now() - timedelta(seconds=self._loop.time() - at)

    def put(self, session: Session, changes: Sequence[OutgoingCost]) -> None:
        """Write costs, and delete those that no cap looks back to."""
        for row in changes:
            session.merge(row)
        session.execute(delete(OutgoingCost).where(OutgoingCost.began_at <= utc_now() - _DAY))
