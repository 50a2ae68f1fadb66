"""Telephone numbers, sealed: what a `dial` command has in place of one.

Whoever sends commands and the bridge share a key, `mqtt.dial_key_file`. A number is a JSON Web
Encryption in its compact form (RFC 7516 7.1), by direct use of the key (``"alg": "dir"``, RFC 7518
4.5) and AES-256-GCM (``"enc": "A256GCM"``, 5.3), for which every language has a library. Sealed is
the JSON object ``{"id": ..., "number": ...}`` with the id of the command, so that who sees one
command go by cannot make another of it.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bridge.mqtt.errors import SealError

__all__ = ["seal", "unseal"]

_HEADER: Final = {"alg": "dir", "enc": "A256GCM"}
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_PARTS: Final = 5


class _Header(msgspec.Struct, frozen=True):
    alg: str
    enc: str


class _Sealed(msgspec.Struct, frozen=True):
    id: str
    number: str

    def __repr__(self) -> str:
        return "_Sealed()"


def seal(key: bytes, identifier: str, number: str) -> str:
    """Seal a number.

    Args:
        key: 32 bytes.
        identifier: the id of the command that it is for.
        number: with its country code.

    Returns:
        A JSON Web Encryption in its compact form.
    """
    header = _to_text(json.dumps(_HEADER, separators=(",", ":")).encode())
    nonce = os.urandom(_NONCE_BYTES)
    plain = json.dumps({"id": identifier, "number": number}).encode()
    sealed = AESGCM(key).encrypt(nonce, plain, header.encode())
    parts = (nonce, sealed[:-_TAG_BYTES], sealed[-_TAG_BYTES:])
    return ".".join([header, "", *map(_to_text, parts)])


def unseal(key: bytes, identifier: str, sealed: str) -> str:
    """Return the number that was sealed for a command.

    Args:
        key: 32 bytes.
        identifier: the command's id.
        sealed: what `seal` returned, or another program.

    Raises:
        SealError: it is none, was sealed with another key, or for another command.
    """
    parts = sealed.split(".")
    if len(parts) != _PARTS or parts[1]:
        raise SealError("the number is not sealed")
    try:
        header = msgspec.json.decode(_to_bytes(parts[0]), type=_Header)
        nonce, text, tag = map(_to_bytes, parts[2:])
    except (msgspec.DecodeError, binascii.Error, ValueError):
        raise SealError("the number is not sealed") from None
    if header != _Header(**_HEADER) or len(nonce) != _NONCE_BYTES or len(tag) != _TAG_BYTES:
        raise SealError("the number is sealed in a way that is not dir with A256GCM")
    try:
        plain = AESGCM(key).decrypt(nonce, text + tag, parts[0].encode())
        found = msgspec.json.decode(plain, type=_Sealed)
    except (InvalidTag, msgspec.DecodeError):
        raise SealError("the number was sealed with another key, or changed") from None
    if found.id != identifier:
        raise SealError("the number was sealed for another command")
    return found.number


def _to_text(octets: bytes) -> str:
    """Encode base64url without padding (RFC 7515, appendix C)."""
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def _to_bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
