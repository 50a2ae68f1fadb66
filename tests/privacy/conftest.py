"""What tests of the vault stand on: a data folder with keys and an empty database."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import dialplan.tables  # noqa: F401 - with the one above, every table there is
from config.database import Database, open_database
from privacy.vault import Vault


@dataclass
class Store:
    """A data folder, its database and its vault, open."""

    folder: Path
    master: bytes
    vault: Vault
    database: Database

    @property
    def keys(self) -> Path:
        """The key store's file."""
        return self.folder / "keys.sqlite"

    @property
    def main(self) -> Path:
        """The main database's file."""
        return self.folder / "bridge.sqlite"

    def open_vault(self, master: bytes | None = None, *, create: bool = False) -> Vault:
        """Open the vault again, as the next start does."""
        log = self.folder / "destroyed-keys.log"
        return Vault.open(master or self.master, self.keys, log, create=create)

    def close(self) -> None:
        """Close both."""
        self.vault.close()
        self.database.close()


@pytest.fixture(name="store")
def data_folder_with_keys(tmp_path: Path) -> Iterator[Store]:
    """Return a new data folder, open."""
    master = os.urandom(32)
    log = tmp_path / "destroyed-keys.log"
    vault = Vault.open(master, tmp_path / "keys.sqlite", log, create=True)
    database = open_database(tmp_path / "bridge.sqlite", create=True)
    database.migrate()
    made = Store(tmp_path, master, vault, database)
    yield made
    made.close()
