"""`dialin mqtt`: the schema as it is shipped, and numbers that only the bridge can read."""

from __future__ import annotations

import base64
from pathlib import Path

from bridge.mqtt import schema
from bridge.mqtt.sealing import unseal
from tests.support.office import Office


def test_the_schema_is_the_file_s(office: Office) -> None:
    """Octet by octet, so that it can be compared."""
    assert office.dialin("mqtt", "schema").out == schema.text()


def test_a_number_is_sealed_with_the_key_of_the_settings(office: Office, tmp_path: Path) -> None:
    """What is printed is for that id and hides the number; without a key, how to make one."""
    refused = office.dialin("mqtt", "seal", "desk-1", "+46701740605")
    assert refused.code == 1
    assert "urandom" in refused.err
    key = tmp_path / "dial.key"
    key.write_text(base64.b64encode(bytes(range(32))).decode())
    key.chmod(0o600)
    office.environment["DIALIN_MQTT__DIAL_KEY_FILE"] = str(key)
    said = office.dialin("mqtt", "seal", "desk-1", "+46701740605").out
    assert unseal(bytes(range(32)), "desk-1", said.strip()) == "+46701740605"
    assert "701740605" not in said
