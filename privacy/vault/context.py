"""What operations on the data work on, opened together: database and vault."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from config.administration import AdminContext
from config.data_folder import DataFolder
from config.database import open_database
from privacy.vault import Vault, open_vault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from config.settings import Settings

__all__ = ["open_context"]


@contextlib.contextmanager
def open_context(settings: Settings) -> Iterator[AdminContext[Vault]]:
    """Open database and vault for operations; both are closed at the end.

    Whoever calls it holds the data folder's lock and acts as its owner.

    Raises:
        ConfigError: The folder is absent or another's, or the database is not what this release
            works on.
        VaultError: The vault cannot be opened.
    """
    DataFolder(settings.data_dir).check()
    database = open_database(settings.database_path)
    with contextlib.ExitStack() as stack:
        stack.callback(database.close)
        database.check()
        vault = open_vault(settings)
        stack.callback(vault.close)
        yield AdminContext(database, vault, settings)
