"""The key store: a second SQLite file, which ordinary backups leave out.

It holds keys and nothing else, each wrapped by the master key: a few *service keys* (for look-up
hashes, PINs, pseudonyms, ...) and one key per person. To destroy a person's key is to erase what is
sealed under it, in every backup of the data as well.

A destroyed key is first written to a log of its own (ids and times, nothing personal), which lies
with the data, not with the keys. It is replayed whenever the store is opened: a backup of the key
store that is restored loses again at once what was destroyed since.
"""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING

from sqlalchemy import (
    Column,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    delete,
    insert,
    inspect,
    select,
)
from sqlalchemy.exc import DBAPIError, IntegrityError

from config.database import UtcDateTime, sqlite_engine, utc_now
from privacy.errors import KeyStoreError, Tampered, WrongMasterKey
from privacy.vault._seal import new_key, seal, unseal

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from sqlalchemy import Engine

__all__ = ["DestroyedLog", "KeyStore"]

_VERSION = 1
_metadata = MetaData()

_store = Table(
    "store",
    _metadata,
    Column("version", Integer, primary_key=True),
    # A known text under the master key: tells a wrong key before anything is done with it.
    Column("key_check", LargeBinary, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)
_wrapped_key = Table(
    "wrapped_key",
    _metadata,
    Column("key_id", String(64), primary_key=True),
    Column("wrapped", LargeBinary, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

_CHECK = b"dialin key store"
_BUSY_TIMEOUT_S = 2.0
_BATCH = 500
"""Ids in one query; SQLite takes 32,766 parameters, older ones 999."""


class DestroyedLog:
    """The log of destroyed keys: one line each, ``2026-03-02T09:00:00+00:00 <key id>``.

    Args:
        path: The file; it is appended to and never rewritten.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, key_id: str) -> None:
        """Write down that a key is destroyed; on disk when this returns.

        Raises:
            OSError: It could not be written down; then the key must not be destroyed yet.
        """
        line = f"{utc_now().isoformat(timespec='seconds')} {key_id}\n".encode()
        flags = os.O_CREAT | os.O_RDWR | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(self.path, flags, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                line = b"\n" + line  # a crash cut the last line short
            os.write(descriptor, line)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def read(self) -> list[str]:
        """Return the ids of all keys ever destroyed; an unfinished last line is left out."""
        try:
            lines = self.path.read_text("ascii", "replace").splitlines()
        except FileNotFoundError:
            return []
        found = []
        for line in lines:
            _, _, key_id = line.partition(" ")
            try:
                found.append(str(uuid.UUID(key_id)))
            except ValueError:
                continue
        return found


class KeyStore:
    """The keys, wrapped.

    Args:
        engine: Where they are.
        master: The master key, 32 bytes.
        log: The log of destroyed keys.
    """

    def __init__(self, engine: Engine, master: bytes, log: DestroyedLog) -> None:
        self._engine = engine
        self._reading = engine.execution_options(reading=True)
        self._master = master
        self._log = log

    @classmethod
    def open(cls, path: Path, master: bytes, log: DestroyedLog, *, create: bool) -> KeyStore:
        """Open the key store and replay the log of destroyed keys.

        Args:
            path: The file.
            master: The master key, 32 bytes.
            log: The log of destroyed keys.
            create: Create the store where it is absent.

        Raises:
            KeyStoreError: It is absent and not to be created, damaged or of a later release.
            WrongMasterKey: The master key is another's; nothing was changed.
        """
        if not create and not path.exists():
            raise KeyStoreError(
                f"{path}: there is no key store here",
                hint="Restore it from its own backup. Without it, numbers and PINs in the database "
                "cannot be read; a new one cannot replace it.",
            )
        store = cls(sqlite_engine(path, busy_timeout_s=_BUSY_TIMEOUT_S), master, log)
        try:
            store._check(path, create=create)
            store.replay()
        except DBAPIError as error:
            store.close()
            raise KeyStoreError(f"{path}: the key store cannot be used: {error.orig}") from error
        except BaseException:
            store.close()
            raise
        return store

    def _check(self, path: Path, *, create: bool) -> None:
        with self._reading.connect() as connection:
            row = (
                connection.execute(select(_store.c.version, _store.c.key_check)).first()
                if inspect(connection).has_table("store")
                else None
            )
        if row is None:
            if not create:
                raise KeyStoreError(f"{path}: is not a key store, or an unfinished one")
            with self._engine.begin() as connection:
                _metadata.create_all(connection)
                connection.execute(
                    insert(_store).values(
                        version=_VERSION,
                        key_check=seal(self._master, _CHECK, "store:check"),
                        created_at=utc_now(),
                    )
                )
            return
        if row.version > _VERSION:
            raise KeyStoreError(
                f"{path}: the key store is of version {row.version}, which this release does not "
                f"know (its latest is {_VERSION})",
                hint="Run the release that wrote it. Nothing was changed.",
            )
        try:
            unseal(self._master, row.key_check, "store:check")
        except Tampered:
            raise WrongMasterKey(
                f"{path}: the master key is not the one that this key store was made with",
                hint="Give the right one (see privacy.master_key). Nothing was changed.",
            ) from None

    def service_key(self, name: str) -> bytes:
        """Return the service key of that name, made on first use."""
        key_id = f"service:{name}"
        found = self.get([key_id]).get(key_id)
        if found is not None:
            return found
        try:
            return self.add(key_id)
        except IntegrityError:
            # Another process made it between our look and our insert.
            return self.get([key_id])[key_id]

    def holds_people(self) -> bool:
        """Tell whether there is any key besides those of the service: somebody's, or a track's."""
        wanted = select(_wrapped_key.c.key_id).where(_wrapped_key.c.key_id.not_like("service:%"))
        with self._reading.connect() as connection:
            return connection.execute(wanted.limit(1)).first() is not None

    def add(self, key_id: str) -> bytes:
        """Make a key and keep it; on disk when this returns."""
        key = new_key()
        wrapped = seal(self._master, key, f"key:{key_id}")
        with self._engine.begin() as connection:
            connection.execute(
                insert(_wrapped_key).values(key_id=key_id, wrapped=wrapped, created_at=utc_now())
            )
        return key

    def get(self, key_ids: Iterable[str]) -> dict[str, bytes]:
        """Return the keys of those ids that there are."""
        wanted = list(key_ids)
        found: dict[str, bytes] = {}
        with self._reading.connect() as connection:
            for start in range(0, len(wanted), _BATCH):
                rows = connection.execute(
                    select(_wrapped_key.c.key_id, _wrapped_key.c.wrapped).where(
                        _wrapped_key.c.key_id.in_(wanted[start : start + _BATCH])
                    )
                )
                for key_id, wrapped in rows:
                    found[key_id] = unseal(self._master, wrapped, f"key:{key_id}")
        return found

    def destroy(self, key_id: str) -> None:
        """Destroy a key for ever: log it, overwrite it, and empty the write-ahead log."""
        self._log.append(key_id)
        self._delete([key_id])

    def replay(self) -> int:
        """Destroy again what the log says was destroyed.

        Returns:
            How many keys had come back (a backup of the store was restored).
        """
        return self._delete(self._log.read())

    def _delete(self, key_ids: list[str]) -> int:
        back = sum(len(self.get(key_ids[i : i + _BATCH])) for i in range(0, len(key_ids), _BATCH))
        if not back:
            return 0
        with self._engine.begin() as connection:
            for start in range(0, len(key_ids), _BATCH):
                connection.execute(
                    delete(_wrapped_key).where(
                        _wrapped_key.c.key_id.in_(key_ids[start : start + _BATCH])
                    )
                )
        # secure_delete has zeroed the page; the page as it was still stands in the -wal file.
        raw = self._engine.raw_connection()
        try:
            raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            raw.close()
        return back

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()
