"""The recorder: takes records without ever waiting, and sees to it that each becomes a row.

::

    put() ──queue──► writer thread ──► database
                          │                ▲
                          │ (database      │ (it answers again: in order,
                          ▼   is away)     │  nothing twice)
                     journal file ─────────┘
                          │ (its disk is full too)
                          ▼
                       memory

While the database is locked or its disk is full, records go to a journal file of their own, with
numbers sealed by the vault's journal key: that needs neither the database nor a new key. As long as
anything waits there, later records queue up behind it, so that order is kept; every record names
its row, so that one which was written just before a crash and is replayed afterwards changes
nothing. The log says once that records wait, and once that they have caught up.
"""

from __future__ import annotations

import queue
import threading
import time
import uuid
from collections import deque
from typing import TYPE_CHECKING, Literal

import msgspec
import structlog
from msgspec import Struct, structs
from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    ProgrammingError,
)

from cdr._journal_file import JournalFile
from cdr._rows import Heartbeat, LeftOpen, Stopped, apply, close_left_open, purge_refused
from cdr.errors import JournalError
from cdr.records import AttemptRefused, LegOpened, Record
from cdr.tables import BridgeRun
from config.database import Database, open_database, utc_now
from privacy.errors import PrivacyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from config.settings import Settings
    from privacy.vault import Vault

__all__ = ["Recorder", "RecorderStatus", "Recovered"]

_log = structlog.get_logger()

_BATCH = 500
_BUSY_TIMEOUT_S = 1.0
"""Shorter than elsewhere: while the writer waits for a lock, records are in memory only."""
_RETRY_S = 1.0
_PURGE_EVERY_S = 3600.0


class Recovered(Struct, frozen=True):
    """What a start found of earlier runs.

    Attributes:
        journalled: Records that waited in the journal.
        unreadable: Lines of it that were damaged, and are lost.
        left_open: What a crash had left open.
    """

    journalled: int = 0
    unreadable: int = 0
    left_open: LeftOpen = LeftOpen()


class RecorderStatus(Struct, frozen=True):
    """How the recorder is.

    Attributes:
        writing_to: Where records go at the moment.
        waiting: Records that are not in the database yet.
        in_memory: Those of them that are on no disk either.
        written: Records written to the database since the start.
        dropped: Records lost because memory was full too.
        failed: Records that the database refused for what they say: a fault of the program.
    """

    writing_to: Literal["database", "journal", "memory"]
    waiting: int
    in_memory: int
    written: int
    dropped: int
    failed: int


_Written = Record | Heartbeat | Stopped


class _Line(Struct, frozen=True, omit_defaults=True):
    """One line of the journal: a record without its numbers, and these sealed."""

    run: uuid.UUID
    record: _Written
    caller: bytes | None = None
    dialled: bytes | None = None


_Item = tuple[uuid.UUID, _Written]
_decoder = msgspec.json.Decoder(_Line)


def _plain(value: object) -> str:
    """Let a pseudonym be written: msgspec takes exact strings only, and it is a kind of string."""
    if isinstance(value, str):
        return str(value)
    raise NotImplementedError(type(value).__name__)


_encoder = msgspec.json.Encoder(enc_hook=_plain)


class Recorder:
    """Writes records, in a thread of its own.

    Args:
        database: The main database, with a short busy timeout; the recorder closes it.
        vault: Seals numbers.
        journal: Where records wait.
        heartbeat_s: How often the present run is noted as alive, in seconds.
        most_waiting: Records that may wait in memory.
        keep_refused_days: Age at which refused attempts are deleted.
    """

    def __init__(
        self,
        database: Database,
        vault: Vault,
        journal: JournalFile,
        *,
        heartbeat_s: float = 10.0,
        most_waiting: int = 20000,
        keep_refused_days: int = 30,
    ) -> None:
        self.run = uuid.uuid4()
        self._database = database
        self._vault = vault
        self._journal = journal
        self._heartbeat_s = heartbeat_s
        self._keep_refused_days = keep_refused_days
        self._most_waiting = most_waiting
        self._queue: queue.SimpleQueue[Record | None] = queue.SimpleQueue()
        self._backlog: deque[_Item] = deque()
        self._journalled = 0
        self._away = False
        self._journal_full = False
        self._dropping = False
        self._written = self._dropped = self._failed = 0
        self._thread: threading.Thread | None = None
        self._next_purge = 0.0

    @classmethod
    def from_settings(cls, settings: Settings, vault: Vault) -> Recorder:
        """Make the recorder that the settings describe.

        Raises:
            JournalError: The journal cannot be opened.
            ConfigError: The database cannot be opened.
        """
        journal = JournalFile(settings.journal_path, settings.records.journal_mib << 20)
        if not journal.reserved:
            _log.warning("no room could be reserved for the journal of records")
        return cls(
            open_database(settings.database_path, busy_timeout_s=_BUSY_TIMEOUT_S),
            vault,
            journal,
            heartbeat_s=settings.records.heartbeat_s,
            most_waiting=settings.records.queue,
            keep_refused_days=settings.records.keep_refused_days,
        )

    # -- for the bridge ----------------------------------------------------------------------------

    def start(self) -> Recovered:
        """Catch up with what earlier runs left, and begin to take records.

        Raises:
            CdrError: The database cannot be written: a bridge should not start then.
        """
        waiting, unreadable = self._read_journal()
        try:
            self._write(waiting)
            with self._database.session() as session:
                left_open = close_left_open(session)
                now = utc_now()
                session.add(BridgeRun(id=self.run, started_at=now, heartbeat_at=now))
        except DBAPIError as error:
            raise JournalError(
                f"{self._database.where}: records cannot be written: {error.orig}",
                hint="Is its disk full or read-only, or does another program lock it?",
            ) from error
        self._journal.clear()
        recovered = Recovered(len(waiting), unreadable, left_open)
        if waiting or unreadable:
            _log.info(
                "records of the last run caught up", records=len(waiting), unreadable=unreadable
            )
        if left_open != LeftOpen():
            _log.warning(
                "rows left open by an earlier run were closed",
                legs=left_open.legs,
                sessions=left_open.sessions,
            )
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
        self._thread.start()
        return recovered

    def put(self, record: Record) -> None:
        """Take a record; returns at once, whatever the disk does."""
        if self._queue.qsize() >= self._most_waiting:
            self._drop(1)
            return
        self._queue.put(record)

    def status(self) -> RecorderStatus:
        """Return how the recorder is."""
        if not self._away:
            writing_to: Literal["database", "journal", "memory"] = "database"
        else:
            writing_to = "memory" if self._journal_full else "journal"
        in_memory = self._queue.qsize() + len(self._backlog)
        return RecorderStatus(
            writing_to,
            in_memory + self._journalled,
            in_memory,
            self._written,
            self._dropped,
            self._failed,
        )

    def stop(self, timeout_s: float = 10.0) -> None:
        """Write what is waiting, note that this run stopped in order, and end the thread.

        What cannot be written stays in the journal for the next start.

        Args:
            timeout_s: How long to wait for the thread, in seconds.
        """
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(timeout_s)
            if self._thread.is_alive():
                return  # its files must stay open under it; the process is about to end anyway
            self._thread = None
        self._journal.close()
        self._database.close()

    # -- the writer thread -------------------------------------------------------------------------

    def _work(self) -> None:
        next_beat = time.monotonic() + self._heartbeat_s
        next_try = 0.0
        going_on = True
        while going_on:
            now = time.monotonic()
            wait = min(next_beat, next_try if self._away else next_beat) - now
            batch, going_on = self._take(max(wait, 0.0))
            now = time.monotonic()
            if now >= next_beat:
                batch.append((self.run, Heartbeat(utc_now())))
                next_beat = now + self._heartbeat_s
            try:
                if self._away:
                    self._put_aside(batch)
                    if now >= next_try or not going_on:
                        self._catch_up()
                        next_try = time.monotonic() + _RETRY_S
                elif batch:
                    self._write_or_put_aside(batch)
                    next_try = time.monotonic() + _RETRY_S
                self._purge()
            except Exception as error:  # noqa: BLE001 - one fault must not end all recording
                self._failed += len(batch)
                _log.error("the recorder met a fault", error=error, records=len(batch))
        if self._backlog:
            self._drop(len(self._backlog))
        self._note_stop()

    def _take(self, wait_s: float) -> tuple[list[_Item], bool]:
        """Take what has come; wait for the first one. False at the end of all."""
        batch: list[_Item] = []
        try:
            record = self._queue.get(timeout=wait_s) if wait_s else self._queue.get_nowait()
            while True:
                if record is None:
                    return batch, False
                batch.append((self.run, record))
                if len(batch) >= _BATCH:
                    break
                record = self._queue.get_nowait()
        except queue.Empty:
            pass
        return batch, True

    def _write_or_put_aside(self, batch: list[_Item]) -> None:
        try:
            self._write(batch)
        except DBAPIError as error:
            self._away = True
            _log.warning("the database is away and records wait in the journal", error=error)
            self._put_aside(batch)

    def _write(self, batch: Sequence[_Item]) -> None:
        """Write records in one transaction, or one by one where one of them is at fault.

        Raises:
            DBAPIError: The database, or the key store, cannot be written at the moment.
        """
        for start in range(0, len(batch), _BATCH):
            part = batch[start : start + _BATCH]
            try:
                with self._database.session() as session:
                    missing = sum(
                        not apply(session, self._vault, run, record) for run, record in part
                    )
            except Exception as error:
                if _is_away(error):
                    raise
                missing = 0
                part = [item for item in part if self._write_alone(item)]
            if missing:
                self._failed += missing
                _log.error("records had no row to go to", records=missing)
            self._written += (
                sum(not isinstance(record, Heartbeat | Stopped) for _, record in part) - missing
            )

    def _write_alone(self, item: _Item) -> bool:
        """Write one record; False, counted and said, where it could not be."""
        run, record = item
        try:
            with self._database.session() as session:
                written = apply(session, self._vault, run, record)
        except Exception as error:
            if _is_away(error):
                raise
            self._failed += 1
            _log.error("a record could not be written", error=error)
            return False
        if not written:
            self._failed += 1
            _log.error("records had no row to go to", records=1)
        return written

    def _put_aside(self, batch: list[_Item]) -> None:
        """Put records into the journal; into memory where it is full."""
        if not batch:
            return
        if not self._backlog:
            try:
                self._journal.append([self._encode(item) for item in batch])
            except OSError as error:
                if not self._journal_full:
                    self._journal_full = True
                    _log.error("the journal is full and records wait in memory", error=error)
            else:
                self._journalled += len(batch)
                return
        self._backlog.extend(batch)
        overflow = len(self._backlog) - self._most_waiting
        if overflow > 0:
            for _ in range(overflow):
                self._backlog.popleft()
            self._drop(overflow)

    def _catch_up(self) -> None:
        """Write what waits, the oldest first, if the database lets us."""
        try:
            self._write(
                [(self.run, Heartbeat(utc_now()))]
            )  # before the journal is read for nothing
        except DBAPIError:
            self._backlog_to_journal()
            return
        waiting, unreadable = self._read_journal()
        waited = len(waiting) + len(self._backlog)
        try:
            self._write([*waiting, *self._backlog])
        except DBAPIError:
            self._backlog_to_journal()
            return
        self._journal.clear()
        self._backlog.clear()
        self._journalled = 0
        self._away = self._journal_full = self._dropping = False
        _log.info("the database is back and records caught up", records=waited)
        if unreadable:
            _log.error("lines of the journal could not be read", unreadable=unreadable)

    def _backlog_to_journal(self) -> None:
        """Move what waits in memory to the journal, once its disk has room again."""
        if not self._backlog:
            return
        try:
            self._journal.append([self._encode(item) for item in self._backlog])
        except OSError:
            return
        self._journalled += len(self._backlog)
        self._backlog.clear()
        self._journal_full = False

    def _purge(self) -> None:
        now = time.monotonic()
        if self._away or now < self._next_purge:
            return
        self._next_purge = now + _PURGE_EVERY_S
        try:
            with self._database.session() as session:
                count = purge_refused(session, utc_now(), self._keep_refused_days)
        except DBAPIError:
            return  # the next record will find out, and say so
        if count:
            _log.info("refused attempts were deleted at their age", records=count)

    def _note_stop(self) -> None:
        if self._away:
            self._put_aside([(self.run, Stopped(utc_now()))])  # the next start reads it there
            return
        try:
            with self._database.session() as session:
                row = session.get(BridgeRun, self.run)
                if row is not None:
                    row.heartbeat_at = row.stopped_at = utc_now()
        except DBAPIError as error:
            _log.warning("the end of this run could not be noted", error=error)

    def _drop(self, count: int) -> None:
        self._dropped += count
        if not self._dropping:
            self._dropping = True
            _log.error("records are lost because nothing can hold them", records=count)

    # -- lines of the journal ----------------------------------------------------------------------

    def _encode(self, item: _Item) -> bytes:
        run, record = item
        caller = dialled = None
        if isinstance(record, LegOpened | AttemptRefused):
            if record.caller.number:
                caller = self._vault.seal_for_journal(record.caller.number)
                record = structs.replace(record, caller=structs.replace(record.caller, number=None))
            if isinstance(record, AttemptRefused) and record.dialled_unknown:
                dialled = self._vault.seal_for_journal(record.dialled_unknown)
                record = structs.replace(record, dialled_unknown=None)
        return _encoder.encode(_Line(run, record, caller, dialled))

    def _read_journal(self) -> tuple[list[_Item], int]:
        """Return the records that wait in the journal, and how many lines were damaged."""
        found: list[_Item] = []
        unreadable = 0
        for text in self._journal.lines():
            try:
                line = _decoder.decode(text)
                found.append((line.run, self._opened(line)))
            except (msgspec.DecodeError, PrivacyError, ValueError):
                unreadable += 1
        return found, unreadable

    def _opened(self, line: _Line) -> _Written:
        record = line.record
        if isinstance(record, LegOpened | AttemptRefused) and line.caller is not None:
            number = self._vault.open_from_journal(line.caller)
            record = structs.replace(record, caller=structs.replace(record.caller, number=number))
        if isinstance(record, AttemptRefused) and line.dialled is not None:
            number = self._vault.open_from_journal(line.dialled)
            record = structs.replace(record, dialled_unknown=number)
        return record


def _is_away(error: Exception) -> bool:
    """Tell a database that cannot be written now from a record that never can."""
    return isinstance(error, DBAPIError) and not isinstance(
        error, DataError | IntegrityError | InterfaceError | ProgrammingError
    )
