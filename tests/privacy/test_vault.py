"""The vault: sealed so that it can be found, read, and forgotten everywhere at once."""

from __future__ import annotations

import shutil
import sqlite3
import stat
import threading
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from config.database import open_database
from privacy.errors import KeyStoreError, Tampered, WrongMasterKey
from privacy.vault import Subject, mask
from privacy.vault._key_store import DestroyedLog
from privacy.vault._seal import new_key, seal, unseal
from tests.privacy.conftest import Store

NUMBER = "+46701234567"
OTHER = "+46701234568"


def add(store: Store, number: str = NUMBER) -> uuid.UUID:
    """Return whose number it is, in a transaction of its own."""
    with store.database.session() as session:
        return store.vault.subject_for_number(session, number)


def reveal(store: Store, subject: uuid.UUID) -> str | None:
    """Return a subject's number, None where it cannot be read."""
    with store.database.reading() as session:
        return store.vault.reveal(session, [subject]).get(subject)


def bytes_of(folder: Path) -> bytes:
    """Return everything that lies in the folder, write-ahead logs included."""
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


# -- sealing ---------------------------------------------------------------------------------------


@given(plain=st.binary(max_size=200), about=st.text(max_size=40))
def test_what_is_sealed_opens_with_its_key_and_its_context(plain: bytes, about: str) -> None:
    """And is another each time, so that equal values cannot be told."""
    key = new_key()
    sealed = seal(key, plain, about)
    assert unseal(key, sealed, about) == plain
    assert sealed != seal(key, plain, about)
    assert len(sealed) == len(plain) + 29


@given(at=st.integers(0, 28 + 5), bit=st.integers(0, 7))
def test_one_changed_bit_anywhere_is_noticed(at: int, bit: int) -> None:
    """Version, nonce, ciphertext and tag are all bound in."""
    key = new_key()
    sealed = bytearray(seal(key, b"+46701", "number:1"))
    sealed[at] ^= 1 << bit
    with pytest.raises(Tampered, match="a sealed number does not open"):
        unseal(key, bytes(sealed), "number:1")


@given(cut=st.integers(0, 34))
def test_what_was_cut_short_does_not_open(cut: int) -> None:
    """Down to nothing at all."""
    key = new_key()
    sealed = seal(key, b"+46701", "number:1")
    with pytest.raises(Tampered):
        unseal(key, sealed[:cut], "number:1")


def test_other_key_and_other_row_do_not_open() -> None:
    """A value that is moved to another row is of no use there."""
    key = new_key()
    sealed = seal(key, b"1", "number:1")
    for other_key, about in ((new_key(), "number:1"), (key, "number:2")):
        with pytest.raises(Tampered):
            unseal(other_key, sealed, about)


# -- people ----------------------------------------------------------------------------------------


def test_number_stands_once_and_is_found_again(store: Store) -> None:
    """One subject for a number, however often it calls."""
    subject = add(store)
    assert add(store) == subject
    assert add(store, OTHER) != subject
    with store.database.reading() as session:
        assert store.vault.find_subject(session, NUMBER) == subject
        assert store.vault.find_subject(session, "+46709999999") is None
        revealed = store.vault.reveal(session, [subject, subject, uuid.uuid4()])
    assert revealed == {subject: NUMBER}


def test_no_file_holds_the_number_in_clear(store: Store) -> None:
    """Not the database, not the key store, not their write-ahead logs, not as bytes or text."""
    add(store)
    held = bytes_of(store.folder)
    assert NUMBER.encode() not in held
    assert NUMBER[1:].encode() not in held
    assert len(held) > 4096


def test_look_up_hash_is_keyed(store: Store, tmp_path: Path) -> None:
    """The same number has another hash in another vault: no list of numbers can be tried."""
    other = store.vault.open(
        store.master, tmp_path / "other.sqlite", tmp_path / "other.log", create=True
    )
    try:
        assert store.vault._number_hash(NUMBER) != other._number_hash(NUMBER)
        assert store.vault.pin_hash("123") != other.pin_hash("123")
        assert store.vault.pseudonym("number", NUMBER) != other.pseudonym("number", NUMBER)
        assert len(store.vault.pin_hash("123")) == 32
    finally:
        other.close()


def test_hashes_and_pseudonyms_outlive_a_restart(store: Store) -> None:
    """The next start finds the same people, and the log knows them by the same names."""
    subject, name = add(store), store.vault.pseudonym("number", NUMBER)
    hashed, sealed = store.vault.pin_hash("12345"), store.vault.seal_secret("s3cret", "trunk:a")
    store.vault.close()
    store.vault = store.open_vault()
    assert reveal(store, subject) == NUMBER
    assert store.vault.pseudonym("number", NUMBER) == name
    assert store.vault.pin_hash("12345") == hashed
    assert store.vault.open_secret(sealed, "trunk:a") == "s3cret"


def test_sealed_number_moved_to_another_row_is_noticed(store: Store) -> None:
    """Nobody is given another's number by swapping cells in the database."""
    first, second = add(store), add(store, OTHER)
    with store.database.session() as session:
        stolen = session.get_one(Subject, first).number_sealed
        session.execute(update(Subject).where(Subject.id == second).values(number_sealed=stolen))
    with pytest.raises(Tampered):
        reveal(store, second)


def test_two_threads_that_meet_a_new_number_make_one_person(store: Store) -> None:
    """Calls come at once; the number stands once."""
    found: list[uuid.UUID] = []
    threads = [threading.Thread(target=lambda: found.append(add(store))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 4
    assert len(set(found)) == 1


# -- forgetting ------------------------------------------------------------------------------------


def test_destroyed_person_is_unreadable_everywhere(store: Store) -> None:
    """Here, after a restart, and in a backup of the data that was made before."""
    subject, other = add(store), add(store, OTHER)
    backup = store.folder.with_name("backup.sqlite")
    store.database.close()
    shutil.copy(store.main, backup)
    with store.database.session() as session:
        store.vault.destroy(session, subject)
    assert reveal(store, subject) is None
    assert reveal(store, other) == OTHER
    with store.database.reading() as session:
        row = session.get_one(Subject, subject)
        assert (row.number_hash, row.number_sealed) == (None, None)
        assert row.erased_at is not None
        assert store.vault.find_subject(session, NUMBER) is None
    store.vault.close()
    store.vault = store.open_vault()
    restored = open_database(backup)
    with restored.reading() as session:
        assert session.get_one(Subject, subject).number_sealed is not None
        assert store.vault.reveal(session, [subject, other]) == {other: OTHER}
    restored.close()


def test_who_calls_again_after_being_forgotten_is_somebody_new(store: Store) -> None:
    """The old records stay nobody's."""
    subject = add(store)
    with store.database.session() as session:
        store.vault.destroy(session, subject)
    again = add(store)
    assert again != subject
    assert reveal(store, again) == NUMBER


def test_wrapped_key_is_gone_from_the_bytes_of_the_key_store(store: Store) -> None:
    """Overwritten in the file and emptied out of its write-ahead log."""
    subject = add(store)
    connection = sqlite3.connect(store.keys)
    (wrapped,) = connection.execute(
        "SELECT wrapped FROM wrapped_key WHERE key_id = ?", (str(subject),)
    ).fetchone()
    connection.close()
    files = [store.keys, Path(f"{store.keys}-wal")]
    assert any(wrapped in path.read_bytes() for path in files)
    with store.database.session() as session:
        store.vault.destroy(session, subject)
    assert not any(wrapped in path.read_bytes() for path in files if path.exists())


def test_restored_backup_of_the_key_store_forgets_again(store: Store) -> None:
    """The log of destroyed keys lies with the data and is replayed at each start."""
    subject, other = add(store), add(store, OTHER)
    store.vault.close()
    copy = store.keys.read_bytes()
    sealed_row = store.main.with_name("before.sqlite")
    store.database.close()
    shutil.copy(store.main, sealed_row)
    store.vault = store.open_vault()
    with store.database.session() as session:
        store.vault.destroy(session, subject)
    store.close()
    for leftover in store.folder.glob("keys.sqlite-*"):
        leftover.unlink()
    store.keys.write_bytes(copy)
    store.vault = store.open_vault()
    restored = open_database(sealed_row)
    with restored.reading() as session:
        assert store.vault.reveal(session, [subject, other]) == {other: OTHER}
    restored.close()
    assert str(subject) in (store.folder / "destroyed-keys.log").read_text()
    assert NUMBER not in (store.folder / "destroyed-keys.log").read_text()


def test_destruction_is_written_down_before_it_is_done(store: Store) -> None:
    """Where it cannot be written down, the key is still there: nothing is half done."""
    subject = add(store)
    log = store.folder / "destroyed-keys.log"
    log.unlink(missing_ok=True)
    log.mkdir()
    with pytest.raises(IsADirectoryError), store.database.session() as session:
        store.vault.destroy(session, subject)
    log.rmdir()
    assert reveal(store, subject) == NUMBER


def test_unfinished_line_of_the_log_of_destroyed_keys_is_mended(tmp_path: Path) -> None:
    """A crash in the middle of a line hides neither that nor the next one."""
    log = DestroyedLog(tmp_path / "log")
    first, second = str(uuid.uuid4()), str(uuid.uuid4())
    assert log.read() == []
    log.append(first)
    with log.path.open("ab") as file:
        file.write(b"2026-03-02T09:00:00+00:00 1234-cut")
    log.append(second)
    assert log.read() == [first, second]
    assert stat.S_IMODE(log.path.stat().st_mode) == 0o600


# -- the key store ---------------------------------------------------------------------------------


def test_keys_lie_in_a_file_of_their_own(store: Store) -> None:
    """Mode 0600; the main database has no key, the key store no number."""
    add(store)
    assert stat.S_IMODE(store.keys.stat().st_mode) == 0o600
    main = sqlite3.connect(store.main)
    tables = {name for (name,) in main.execute("SELECT name FROM sqlite_master")}
    main.close()
    assert "wrapped_key" not in tables
    assert store.master not in bytes_of(store.folder)


def test_wrong_master_key_is_refused_and_changes_nothing(store: Store) -> None:
    """It is told before anything is done with it."""
    store.close()
    before = {path.name: path.read_bytes() for path in store.folder.iterdir()}
    with pytest.raises(WrongMasterKey, match="is not the one that this key store") as caught:
        store.open_vault(new_key(), create=True)
    assert "Nothing was changed" in caught.value.hint
    assert {path.name: path.read_bytes() for path in store.folder.iterdir()} == before
    store.vault = store.open_vault()


def test_absent_key_store_is_not_silently_made_anew(store: Store) -> None:
    """A new one could read nothing of what is there."""
    store.vault.close()
    store.keys.rename(store.keys.with_name("away"))
    with pytest.raises(KeyStoreError, match="there is no key store here"):
        store.open_vault()
    assert not store.keys.exists()


@pytest.mark.parametrize("content", [b"", b"not a database at all" * 50])
def test_damaged_key_store_is_refused(content: bytes, store: Store) -> None:
    """In words, with the file's name."""
    store.vault.close()
    for leftover in store.folder.glob("keys.sqlite-*"):
        leftover.unlink()
    store.keys.write_bytes(content)
    with pytest.raises(KeyStoreError, match=r"keys\.sqlite"):
        store.open_vault()


def test_key_store_of_a_later_release_is_refused(store: Store) -> None:
    """Older code does not guess at newer keys."""
    store.vault.close()
    connection = sqlite3.connect(store.keys)
    with connection:
        connection.execute("UPDATE store SET version = 99")
    connection.close()
    with pytest.raises(KeyStoreError, match="version 99"):
        store.open_vault()


# -- secrets, journal, display ---------------------------------------------------------------------


def test_secrets_open_where_they_were_sealed_for(store: Store) -> None:
    """A trunk's password does not open as another trunk's."""
    sealed = store.vault.seal_secret("s3cret", "trunk-digest:a")
    assert store.vault.open_secret(sealed, "trunk-digest:a") == "s3cret"
    with pytest.raises(Tampered, match="a sealed secret does not open"):
        store.vault.open_secret(sealed, "trunk-digest:b")
    with pytest.raises(Tampered):
        store.vault.open_from_journal(sealed)


def test_journal_seals_without_database_or_new_key(store: Store) -> None:
    """Both files may be locked or gone: numbers still wait sealed."""
    store.database.close()
    store.vault.close()
    sealed = store.vault.seal_for_journal(NUMBER)
    assert NUMBER.encode() not in sealed
    assert store.vault.open_from_journal(sealed) == NUMBER


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("+46701234567", "+46*******67"),
        ("+12025550134", "+1********34"),
        ("1000", "**00"),
        ("100", "**0"),
        ("ab", "*b"),
        ("a", "*"),
        ("", ""),
        ("+", "+"),
        ("+999", "+**9"),
    ],
)
def test_mask_shows_country_and_two_digits_at_most(number: str, shown: str) -> None:
    """And of what is short never more than half."""
    assert mask(number) == shown
