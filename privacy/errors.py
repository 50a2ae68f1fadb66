"""What can go wrong with what is held about people.

::

    PrivacyError                base of all
    └── VaultError              the vault cannot be opened, or not read
        ├── MasterKeyError      there is no master key that may be used
        ├── WrongMasterKey      it is another vault's
        ├── KeyStoreError       the key store is absent, damaged or of a later release
        └── Tampered            a ciphertext is not what the vault wrote

None of their messages holds a number, a name, a PIN or a key.
"""

# ruff: noqa: N818 - the names say what happened, as in h11

from __future__ import annotations

__all__ = [
    "KeyStoreError",
    "MasterKeyError",
    "PrivacyError",
    "Tampered",
    "VaultError",
    "WrongMasterKey",
]


class PrivacyError(Exception):
    """Base of every error of this package.

    Args:
        message: What was wrong, where, and what was expected.
        hint: What to do about it; empty where the message says it.
        exit_code: What the ``dialin`` command ends with (``config.errors.ExitCode``).
    """

    def __init__(self, message: str, *, hint: str = "", exit_code: int = 1) -> None:
        super().__init__(message)
        self.hint = hint
        self.exit_code = exit_code


class VaultError(PrivacyError):
    """The vault cannot be opened, or not read."""


class MasterKeyError(VaultError):
    """There is no master key that may be used."""


class WrongMasterKey(VaultError):
    """The master key is not the one that the key store was made with."""


class KeyStoreError(VaultError):
    """The key store is absent, damaged, or written by a later release."""


class Tampered(VaultError):
    """A ciphertext does not authenticate: damaged, or moved from another row."""
