"""The vault: who a number belongs to, sealed so that it can be forgotten everywhere at once.

::

    master key ──wraps──► key store (keys.sqlite) ──► service keys: look-up, PINs, pseudonyms, ...
                                                  └─► one key per person
                                                          │ seals
    database (bridge.sqlite): subject.number_sealed ◄─────┘    call_leg.subject_id ──► subject.id

A number is looked up by its HMAC under a key of the store, and read with the person's own key.
Numbers are taken in one normal form: E.164 with ``+``, else the user part of the SIP address.

Methods may be called from any thread. Those that take a session work in its transaction.
"""

from __future__ import annotations

import hashlib
import hmac
import uuid
from typing import TYPE_CHECKING

import phonenumbers
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from config.database import utc_now
from config.logging import use_pseudonyms
from config.pseudonyms import Pseudonym, pseudonym
from privacy.vault._key_store import DestroyedLog, KeyStore
from privacy.vault._master_key import create_master_key, read_master_key
from privacy.vault._seal import seal, unseal
from privacy.vault.subjects import Subject

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from sqlalchemy.orm import Session

    from config.settings import Settings

__all__ = ["Subject", "Vault", "create_master_key", "mask", "open_vault"]


class Vault:
    """Seals, looks up, reveals and forgets.

    Args:
        store: The key store, open.
    """

    def __init__(self, store: KeyStore) -> None:
        self._store = store
        self._lookup = store.service_key("lookup")
        self._pin = store.service_key("pin")
        self._secret = store.service_key("secret")
        self._journal = store.service_key("journal")
        self._pseudonym = store.service_key("pseudonym")

    @classmethod
    def open(
        cls, master: bytes, key_store: Path, destroyed_log: Path, *, create: bool = False
    ) -> Vault:
        """Open the vault.

        Args:
            master: The master key, 32 bytes.
            key_store: The key store's file.
            destroyed_log: The file of the log of destroyed keys.
            create: Create the key store where it is absent.

        Raises:
            VaultError: It cannot be opened; nothing was changed.
        """
        return cls(KeyStore.open(key_store, master, DestroyedLog(destroyed_log), create=create))

    # -- people ------------------------------------------------------------------------------------

    def holds_people(self) -> bool:
        """Tell whether anybody's key is held, and there must be a database that speaks of them."""
        return self._store.holds_people()

    def subject_for_number(self, session: Session, number: str) -> uuid.UUID:
        """Return whose number this is; a new person where nobody had it yet.

        The person's key is on disk before the row is written; if the row is rolled back, a key that
        opens nothing is left over.

        Args:
            session: A session that may write.
            number: In its normal form.
        """
        found = self.find_subject(session, number)
        if found is not None:
            return found
        subject = uuid.uuid4()
        key = self._store.add(str(subject))
        row = Subject(
            id=subject,
            number_hash=self._number_hash(number),
            number_sealed=seal(key, number.encode(), f"number:{subject}"),
            created_at=utc_now(),
        )
        try:
            with session.begin_nested():
                session.add(row)
        except IntegrityError:
            # Another node wrote the same number between our look and our insert.
            other = self.find_subject(session, number)
            if other is None:
                raise
            return other
        return subject

    def find_subject(self, session: Session, number: str) -> uuid.UUID | None:
        """Return whose number this is, None where nobody has it."""
        return session.scalar(
            select(Subject.id).where(Subject.number_hash == self._number_hash(number))
        )

    def reveal(self, session: Session, subjects: Iterable[uuid.UUID]) -> dict[uuid.UUID, str]:
        """Return the numbers of people, in clear.

        Args:
            session: Any session.
            subjects: Whose numbers; the erased ones are left out of the answer.

        Raises:
            Tampered: A sealed number was damaged or moved.
        """
        wanted = list(set(subjects))
        keys = self._store.get([str(subject) for subject in wanted])
        numbers: dict[uuid.UUID, str] = {}
        for start in range(0, len(wanted), 500):
            rows = session.execute(
                select(Subject.id, Subject.number_sealed).where(
                    Subject.id.in_(wanted[start : start + 500])
                )
            )
            for subject, sealed in rows:
                key = keys.get(str(subject))
                if key is not None and sealed is not None:
                    numbers[subject] = unseal(key, sealed, f"number:{subject}").decode()
        return numbers

    def destroy(self, session: Session, subject: uuid.UUID) -> None:
        """Forget a person: destroy their key, for good and in every backup of the data.

        The row stays, empty, so that records still add up.
        """
        self._store.destroy(str(subject))
        row = session.get(Subject, subject)
        if row is not None:
            row.number_hash = None
            row.number_sealed = None
            row.erased_at = row.erased_at or utc_now()

    def _number_hash(self, number: str) -> bytes:
        return _hmac(self._lookup, number)

    # -- PINs and other secrets --------------------------------------------------------------------

    def pin_hash(self, pin: str) -> bytes:
        """Return what a PIN is looked up by: its HMAC-SHA256, 32 bytes."""
        return _hmac(self._pin, pin)

    def seal_secret(self, secret: str, about: str) -> bytes:
        """Seal a PIN, a password or the like.

        Args:
            secret: What to seal.
            about: Where it stands, such as ``trunk:carrier``; needed to open it.
        """
        return seal(self._secret, secret.encode(), f"secret:{about}")

    def open_secret(self, sealed: bytes, about: str) -> str:
        """Open what :meth:`seal_secret` sealed.

        Raises:
            Tampered: It was damaged, or moved from elsewhere.
        """
        return unseal(self._secret, sealed, f"secret:{about}").decode()

    def seal_for_journal(self, number: str) -> bytes:
        """Seal a number that waits for the database; needs neither disk nor database."""
        return seal(self._journal, number.encode(), "journal")

    def open_from_journal(self, sealed: bytes) -> str:
        """Open what :meth:`seal_for_journal` sealed.

        Raises:
            Tampered: It was damaged.
        """
        return unseal(self._journal, sealed, "journal").decode()

    # -- pseudonyms --------------------------------------------------------------------------------

    def pseudonym(self, kind: str, value: str) -> Pseudonym:
        """Return the name that logs and limits know somebody by: always the same, never reversed.

        Args:
            kind: ``number``, ``address``, ``call``, ...: equal values of two kinds differ.
            value: In its normal form.
        """
        return pseudonym(self._pseudonym, kind, value)

    def close(self) -> None:
        """Close the key store."""
        self._store.close()


def open_vault(
    settings: Settings, environ: Mapping[str, str] | None = None, *, create: bool = False
) -> Vault:
    """Open the vault that the settings name; the log knows people by its pseudonyms from then on.

    Args:
        settings: Where the master key and the key store are.
        environ: Environment variables; those of the process where not given.
        create: Create the key store where it is absent (never the master key).

    Raises:
        VaultError: It cannot be opened; nothing was changed.
    """
    vault = Vault.open(
        read_master_key(settings, environ),
        settings.key_store_path,
        settings.data_dir / "destroyed-keys.log",
        create=create,
    )
    use_pseudonyms(vault.pseudonym)
    return vault


def mask(number: str) -> str:
    """Return a number fit for a list: country code and last two digits stay.

    ``+46701234567`` becomes ``+46*******67``; of what is no E.164 number, the last two characters
    stay, and at most half.
    """
    head = ""
    if number.startswith("+"):
        try:
            head = f"+{phonenumbers.parse(number, None).country_code}"
        except phonenumbers.NumberParseException:
            head = "+"
    body = number[len(head) :]
    shown = min(2, len(body) // 2)
    return head + "*" * (len(body) - shown) + body[len(body) - shown :]


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
