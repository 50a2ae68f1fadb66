"""Single-use codes that let somebody in, until the database knows of each.

The directory refuses a used code at once, from memory; after a restart only the database does. So a
use that could not be written, because the database was locked or its disk full, is kept and tried
again until it is: by the bridge's sweep, and a last time at its end.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import structlog
from sqlalchemy.exc import DBAPIError

from dialplan import store

if TYPE_CHECKING:
    from config.database import Database

__all__ = ["UsedCodes"]

_log = structlog.get_logger("bridge.used_codes")


class UsedCodes:
    """Tells the database which single-use codes were used.

    Args:
        database: the main database.
        loop: the event loop.
    """

    def __init__(self, database: Database, loop: asyncio.AbstractEventLoop) -> None:
        self._database = database
        self._loop = loop
        self._waiting: list[int] = []
        self._writing = threading.Lock()
        self._away = False

    @property
    def waiting(self) -> int:
        """How many uses the database does not know yet."""
        return len(self._waiting)

    def use(self, row: int) -> None:
        """Note that a code was used, and have it written in a thread.

        Args:
            row: id of the code's row.
        """
        self._waiting.append(row)
        self._loop.run_in_executor(None, self.write)

    def write(self) -> None:
        """Write what waits; what cannot be written goes on waiting. Blocks: call it in a thread."""
        with self._writing:
            rows = list(self._waiting)
            if not rows:
                return
            try:
                with self._database.session() as session:
                    for row in rows:
                        store.use_guest_code(session, row)
            except DBAPIError as error:
                if not self._away:
                    self._away = True
                    _log.warning("used codes wait for the database", codes=len(rows), error=error)
                return
            del self._waiting[: len(rows)]
            if self._away:
                self._away = False
                _log.info("used codes were written after all", codes=len(rows))

    def close(self) -> None:
        """Write what waits for the last time, and say what is lost. Blocks."""
        self.write()
        if self._waiting:
            _log.error("used codes could not be written and open again", codes=self.waiting)
