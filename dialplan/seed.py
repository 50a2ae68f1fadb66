"""Setting up a data folder: keys, database, and something to dial at once.

Done once: a second run finds everything there and changes nothing, and a demo conference that was
removed does not come back. What belongs to another installation (a key store without its master
key, a wrong master key, a later release's database) is refused before anything is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from sqlalchemy import select

from config.administration import AdminContext
from config.data_folder import DataFolder
from config.database import Database, open_database, utc_now
from config.errors import DatabaseError, DatabaseTooNew
from dialplan.administration import add_conference, add_number
from dialplan.tables import Account, Conference, Number
from privacy.errors import KeyStoreError, MasterKeyError
from privacy.vault import Vault, create_master_key, open_vault

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from config.settings import Settings

__all__ = ["Demo", "SetUp", "demo", "set_up"]

DEMO_ACCOUNT: Final = "demo"
DEMO_NUMBERS: Final = {"en": "1000", "sv": "1001"}
"""By language. Extensions: they can be dialled at once, and no public number is made up."""
DEMO_CONFERENCE: Final = "Demo conference"


class SetUp(Struct, frozen=True):
    """What setting up did.

    Attributes:
        created: Parts that were made now, as words: ``data folder``, ``master key``, ...
        migrated: Whether an older database was brought up to date.
    """

    created: tuple[str, ...] = ()
    migrated: bool = False


class Demo(Struct, frozen=True):
    """What to dial and key for a first try.

    Attributes:
        numbers: By language.
        conference: Its name.
        pins: By role, in clear; shown in no ``repr``.
    """

    numbers: dict[str, str]
    conference: str
    pins: dict[str, str]

    def __repr__(self) -> str:
        return f"Demo(numbers={self.numbers!r})"


def set_up(
    settings: Settings, environ: Mapping[str, str] | None = None, *, demo: bool = False
) -> SetUp:
    """Create what is missing of the data folder's contents.

    The caller has created the folder (``DataFolder.create``), holds its lock and acts as its owner.

    Args:
        settings: The settings in force.
        environ: Environment variables; those of the process where not given.
        demo: Add the demo's numbers and conference.

    Returns:
        What was done; nothing, the second time.

    Raises:
        ConfigError: The folder or database cannot be used.
        VaultError: The keys cannot be used. In both cases nothing was changed.
    """
    DataFolder(settings.data_dir).check()
    created = []
    has_database = settings.database_path.exists()
    if has_database:
        _refuse_newer(settings)
    is_filled = has_database and _is_filled(settings)
    if is_filled and not settings.key_store_path.exists():
        raise KeyStoreError(
            f"{settings.key_store_path}: the key store of this database is missing",
            hint="Restore it from its own backup. A new one could read nothing of what is there; "
            "to begin anew, name an empty folder with --data.",
        )
    if _create_master_key(settings):
        created.append("master key")
    if not settings.key_store_path.exists():
        created.append("key store")
    vault = open_vault(settings, environ, create=True)
    if not is_filled and vault.holds_people():
        vault.close()
        raise DatabaseError(
            f"{settings.database_path}: the database of the key store {settings.key_store_path} "
            "is missing",
            hint="Is its disk mounted? Otherwise restore it from its backup. A new one would "
            "answer each call with 404; to begin anew, name an empty folder with --data.",
        )
    database = open_database(settings.database_path, create=True)
    try:
        was = database.state()
        migrated = database.migrate()
        if was == "empty":
            created.append("database")
        with database.session() as session:
            if demo and seed(session, AdminContext(database, vault, settings)):
                created.append("demo conference")
    finally:
        database.close()
        vault.close()
    return SetUp(tuple(created), migrated and was != "empty")


def _refuse_newer(settings: Settings) -> None:
    database = open_database(settings.database_path)
    try:
        if database.state() == "newer":
            raise DatabaseTooNew(database.where, str(database.revision()), Database.latest())
    finally:
        database.close()


def _is_filled(settings: Settings) -> bool:
    database = open_database(settings.database_path)
    try:
        return database.state() != "empty"
    finally:
        database.close()


def _create_master_key(settings: Settings) -> bool:
    path = settings.master_key_path
    if settings.privacy.master_key != "file" or path.exists():
        return False
    if settings.key_store_path.exists():
        raise MasterKeyError(
            f"{path}: the master key of the key store {settings.key_store_path} is missing",
            hint="Restore it from where you keep it; a new one would open nothing.",
        )
    create_master_key(path)
    return True


def seed(session: Session, context: AdminContext[Vault]) -> bool:
    """Add the demo's numbers and conference, once in the life of a database.

    Returns:
        Whether they were added now.
    """
    if session.scalar(select(Account.id).where(Account.name == DEMO_ACCOUNT)) is not None:
        return False
    session.add(Account(name=DEMO_ACCOUNT, created_at=utc_now()))
    session.flush()
    add_conference(session, context, DEMO_CONFERENCE, account=DEMO_ACCOUNT, start="at_once")
    for language, number in DEMO_NUMBERS.items():
        if language in context.settings.entry.languages:
            add_number(session, context, number, kind="extension", language=language)
    return True


def demo(session: Session, vault: Vault) -> Demo | None:
    """Return what to dial and key for a first try; None where the demo was removed.

    Args:
        session: Any session.
        vault: Opens the PINs.
    """
    conference = session.scalar(
        select(Conference)
        .join(Account)
        .where(Account.name == DEMO_ACCOUNT, Conference.removed_at.is_(None))
    )
    wanted = select(Number).where(Number.number.in_(DEMO_NUMBERS.values()), Number.enabled)
    numbers = {row.language: row.number for row in session.scalars(wanted)}
    if conference is None or not numbers:
        return None
    pins = {
        pin.role: vault.open_secret(pin.pin_sealed, f"pin:{pin.pin_hash.hex()}")
        for pin in conference.pins
        if pin.pin_sealed is not None and not pin.single_use
    }
    return Demo(numbers, conference.name, pins)
