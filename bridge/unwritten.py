"""What the database has still to be told: kept in memory, written in a thread, tried until it is.

The bridge knows at once what it has done; after a restart only the database does. So what could not
be written, because the database was locked or its disk full, is kept and tried again: by the
bridge's sweep, and a last time at its end.
"""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

import structlog
from sqlalchemy.exc import DBAPIError

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from config.database import Database

__all__ = ["Unwritten"]

_log = structlog.get_logger("bridge.unwritten")

T = TypeVar("T")


class Unwritten(ABC, Generic[T]):
    """Changes of one kind that wait for the database, in their order.

    Args:
        database: the main database.
        loop: the event loop.
    """

    what: ClassVar[str]
    """The log says so which changes it speaks of."""

    lost: ClassVar[str]
    """What it means where they are never written."""

    def __init__(self, database: Database, loop: asyncio.AbstractEventLoop) -> None:
        self._database = database
        self._loop = loop
        self._waiting: list[T] = []
        self._writing = threading.Lock()
        self._away = False

    @abstractmethod
    def put(self, session: Session, changes: Sequence[T]) -> None:
        """Write changes, in a transaction that the caller ends."""

    @property
    def waiting(self) -> int:
        """How many changes the database does not know yet."""
        return len(self._waiting)

    def add(self, change: T) -> None:
        """Take a change in, and have it written in a thread."""
        self._waiting.append(change)
        self._loop.run_in_executor(None, self.write)

    def write(self) -> None:
        """Write what waits; what cannot be written goes on waiting. Blocks: call it in a thread."""
        with self._writing:
            changes = list(self._waiting)
            if not changes:
                return
            try:
                with self._database.session() as session:
                    self.put(session, changes)
            except DBAPIError as error:
                if not self._away:
                    self._away = True
                    _log.warning(
                        "changes wait for the database",
                        what=self.what,
                        count=len(changes),
                        error=error,
                    )
                return
            del self._waiting[: len(changes)]
            if self._away:
                self._away = False
                _log.info("changes were written after all", what=self.what, count=len(changes))

    def close(self) -> None:
        """Write what waits for the last time, and say what is lost. Blocks."""
        self.write()
        if self._waiting:
            _log.error(
                "changes could not be written",
                what=self.what,
                count=self.waiting,
                hint=self.lost,
            )
