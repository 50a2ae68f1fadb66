"""Sealing: AES-256-GCM with a random nonce, bound to what it is about.

A sealed value is ``version (1 byte) | nonce (12) | ciphertext | tag (16)``. What it is about is its
associated data (NIST SP 800-38D): a value moved to another row does not open there. Random 96-bit
nonces are safe for 2^32 values under one key (section 8.3); a person's key seals a handful.
"""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from privacy.errors import Tampered

__all__ = ["KEY_BYTES", "new_key", "seal", "unseal"]

KEY_BYTES = 32
_NONCE_BYTES = 12
_VERSION = b"\x01"


def new_key() -> bytes:
    """Return a fresh 256-bit key."""
    return os.urandom(KEY_BYTES)


def seal(key: bytes, plain: bytes, about: str) -> bytes:
    """Seal ``plain``.

    Args:
        key: 32 bytes.
        plain: What to seal.
        about: What it is about, such as ``subject:...:number``; needed to open it.
    """
    nonce = os.urandom(_NONCE_BYTES)
    return _VERSION + nonce + AESGCM(key).encrypt(nonce, plain, about.encode())


def unseal(key: bytes, sealed: bytes, about: str) -> bytes:
    """Open what :func:`seal` sealed.

    Raises:
        Tampered: The key, the value or what it is about is another.
    """
    nonce, body = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
    try:
        # A short nonce is a ValueError; another version is bound in by nothing, so it is told here.
        plain = AESGCM(key).decrypt(nonce, body, about.encode())
    except (InvalidTag, ValueError):
        plain = None
    if plain is None or sealed[:1] != _VERSION:
        what = about.partition(":")[0]
        raise Tampered(f"a sealed {what} does not open: it was damaged or moved")
    return plain
