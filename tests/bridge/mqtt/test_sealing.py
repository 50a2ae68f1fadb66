"""Sealed numbers: a standard form, good for one command and one key."""

import base64
import json

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from bridge.mqtt.errors import SealError
from bridge.mqtt.sealing import seal, unseal

KEY = bytes(range(32))
NUMBER = "+46701740605"


def test_what_is_sealed_is_read_with_the_key_and_for_the_command() -> None:
    """And does not show the number, nor look the same twice."""
    sealed = seal(KEY, "a-1", NUMBER)
    assert unseal(KEY, "a-1", sealed) == NUMBER
    assert sealed != seal(KEY, "a-1", NUMBER)
    for part in sealed.split("."):
        assert NUMBER.encode() not in base64.urlsafe_b64decode(part + "==")


def test_it_is_a_json_web_encryption_that_others_can_make() -> None:
    """RFC 7516, section 5.1: built here by its steps, without this project's code."""

    def text(octets: bytes) -> str:
        return base64.urlsafe_b64encode(octets).decode().rstrip("=")

    header = text(b'{"enc":"A256GCM","alg":"dir","kid":"desk"}')
    nonce = bytes(range(12))
    plain = json.dumps({"number": NUMBER, "id": "a-1"}).encode()
    sealed = AESGCM(KEY).encrypt(nonce, plain, header.encode("ascii"))
    token = f"{header}..{text(nonce)}.{text(sealed[:-16])}.{text(sealed[-16:])}"
    assert unseal(KEY, "a-1", token) == NUMBER


def test_another_key_another_command_and_a_changed_letter_are_refused() -> None:
    """And no message says the number."""
    sealed = seal(KEY, "a-1", NUMBER)
    parts = sealed.split(".")
    flipped = "B" if parts[3][0] != "B" else "C"
    changed = ".".join([*parts[:3], flipped + parts[3][1:], parts[4]])
    for key, identifier, token in (
        (bytes(32), "a-1", sealed),
        (KEY, "a-2", sealed),
        (KEY, "a-1", changed),
        (KEY, "a-1", NUMBER),
        (KEY, "a-1", ""),
    ):
        with pytest.raises(SealError) as refused:
            unseal(key, identifier, token)
        assert NUMBER not in str(refused.value)


@given(st.text(max_size=80) | st.lists(st.text("AZaz09-_=", max_size=24)).map(".".join))
def test_any_text_is_refused_and_nothing_breaks(text: str) -> None:
    """Whatever comes raises the documented error."""
    with pytest.raises(SealError):
        unseal(KEY, "a-1", text)
