"""The published schema is that of the messages, and tells of nobody."""

import json
from typing import Any

import pytest

from bridge.events.messages import EVENTS, VERSION
from bridge.mqtt import schema


def test_the_file_and_the_structs_say_the_same() -> None:
    """Who changes a message publishes it: `dialin mqtt schema > bridge/mqtt/schema.json`."""
    assert schema.SCHEMA_FILE.read_text(encoding="utf-8") == schema.text()


def test_every_message_is_in_it_with_the_version() -> None:
    """Events, state, status, commands and replies; each says of which version it is."""
    document = json.loads(schema.text())
    assert document["$id"].endswith(f":{VERSION}")
    kinds = {kind.__name__ for kind in EVENTS} | {"State", "Status", "Reply", "Mute", "Say", "Dial"}
    assert kinds <= set(document["$defs"])
    top = {each["$ref"].rpartition("/")[2] for each in document["anyOf"] if "$ref" in each}
    for name in kinds & top:
        assert document["$defs"][name]["properties"]["version"]["enum"] == [VERSION]


@pytest.mark.parametrize("word", ["number", "name", "pin", "digit", "caller"])
def test_no_field_is_for_what_nobody_may_know(word: str) -> None:
    """No telephone number, name, PIN or key has a field, but for the sealed number of `dial`."""
    found = [
        f"{kind}.{field}"
        for kind, described in json.loads(schema.text())["$defs"].items()
        for field in fields(described)
        if word in field.lower()
    ]
    allowed = {"Dial.number"}
    # Events are numbered.
    allowed |= {f"{kind.__name__}.number" for kind in EVENTS} | {"State.number"}
    assert set(found) <= allowed


def fields(described: dict[str, Any]) -> list[str]:
    """Return the names of a schema's fields."""
    return list(described.get("properties", {}))
