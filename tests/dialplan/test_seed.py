"""Setting a data folder up: once, and never over what belongs to another installation."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from cdr.tables import CallLeg
from config.errors import DatabaseError
from dialplan import seed
from privacy.errors import KeyStoreError, MasterKeyError
from tests.support.office import Office


def files(folder: Path) -> dict[str, bytes]:
    """Return what every file of a folder holds, the lock and SQLite's own index apart."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "lock" and path.suffix != ".sqlite-shm"
    }


def meet_somebody(office: Office) -> None:
    """Let one person have called: a subject with a key of their own."""
    assert CallLeg.__tablename__  # the tables of records are known
    with office.opened() as context, context.database.session() as session:
        context.vault.subject_for_number(session, "+46701740605")


def test_second_run_changes_nothing(office: Office) -> None:
    """It finds everything there, and the PINs stay."""
    before = office.contents()
    assert seed.set_up(office.settings, {}, demo=True) == seed.SetUp()
    assert office.contents() == before


def test_demo_that_was_removed_does_not_come_back(office: Office) -> None:
    """It is added once in the life of a database."""
    office.dialin("conference", "remove", seed.DEMO_CONFERENCE, "--yes")
    seed.set_up(office.settings, {}, demo=True)
    assert office.ask("conference", "list") == []
    with office.opened() as context, context.database.reading() as session:
        assert seed.demo(session, context.vault) is None


def test_demo_tells_numbers_and_pins_and_hides_them_from_logs(office: Office) -> None:
    """What the card shows stands in no repr."""
    with office.opened() as context, context.database.reading() as session:
        demo = seed.demo(session, context.vault)
    assert demo is not None
    assert demo.numbers == seed.DEMO_NUMBERS
    assert set(demo.pins) == {"host", "guest"}
    assert not [pin for pin in demo.pins.values() if pin in repr(demo)]


@pytest.mark.parametrize("empty", [False, True], ids=["gone", "an empty file"])
def test_database_missing_beside_the_keys_of_people_is_refused(
    office: Office, *, empty: bool
) -> None:
    """A disk that is not mounted: a new database would say 404 to everybody."""
    meet_somebody(office)
    for path in office.folder.glob("bridge.sqlite*"):
        path.unlink()
    if empty:
        (office.folder / "bridge.sqlite").touch(0o600)
    before = files(office.folder)
    before.pop("bridge.sqlite", None)  # that it is empty was seen by opening it
    with pytest.raises(DatabaseError, match="is missing") as caught:
        seed.set_up(office.settings, {}, demo=True)
    assert "mounted" in caught.value.hint
    after = files(office.folder)
    assert b"CREATE TABLE" not in after.pop("bridge.sqlite", b"")
    assert after == before
    said = office.dialin("setup", "--seed-demo")
    assert (said.code, said.out) == (1, "")
    assert "bridge.sqlite" in said.err


def test_setup_that_was_cut_short_before_the_database_goes_on(office: Office) -> None:
    """A key store with nobody's keys is one that was just made."""
    for path in office.folder.glob("bridge.sqlite*"):
        path.unlink()
    assert seed.set_up(office.settings, {}).created == ("database",)


def test_key_store_missing_beside_its_database_is_refused(office: Office) -> None:
    """A new one could read nothing of what is there."""
    for path in office.folder.glob("keys.sqlite*"):
        path.unlink()
    before = files(office.folder)
    with pytest.raises(KeyStoreError, match="key store of this database is missing"):
        seed.set_up(office.settings, {})
    assert files(office.folder) == before


def test_master_key_missing_beside_its_key_store_is_refused(office: Office) -> None:
    """A new key would open nothing."""
    (office.folder / "master.key").unlink()
    before = files(office.folder)
    with pytest.raises(MasterKeyError, match="is missing"):
        seed.set_up(office.settings, {})
    assert files(office.folder) == before


def test_no_file_holds_a_pin_in_clear(office: Office, tmp_path: Path) -> None:
    """Neither PINs nor codes, nor what was replaced or revoked, nor the name of a guest."""
    secrets: set[str] = set()
    secrets |= set(office.ask("conference", "add", "Board")["pins"].values())
    secrets |= set(office.ask("pin", "reset", "Board")["pins"].values())
    secrets |= set(office.ask("pin", "reset", "Board", "--pin-length", "6")["pins"].values())
    secrets.add(office.ask("pin", "invite", "Board", "Kim Quillfeather")["code"])
    with office.opened() as context, context.database.reading() as session:
        demo = seed.demo(session, context.vault)
    assert demo is not None
    secrets |= set(demo.pins.values()) | {"Quillfeather"}
    assert len(secrets) == 10
    copy = tmp_path / "copy"
    shutil.copytree(office.folder, copy)
    for name, content in files(copy).items():
        found = [secret for secret in secrets if secret.encode() in content]
        assert found == [], f"{name} holds {len(found)} secrets"
    assert sum(os.path.getsize(copy / name) for name in files(copy)) > 50_000  # noqa: PTH202
