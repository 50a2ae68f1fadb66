"""The messages that go over the broker, and the schema that is published of them.

Events and states are those of `bridge.events.messages`; here are the bridge's status, the commands
that others may send, and the replies. `document` makes the JSON Schema of all of them, which lies
beside this module as ``schema.json`` and is printed by ``dialin mqtt schema``.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from bridge.events.messages import EVENTS, VERSION, State
from dialplan import floor

__all__ = [
    "SCHEMA_FILE",
    "AnyCommand",
    "Command",
    "Dial",
    "End",
    "Lock",
    "Mode",
    "Mute",
    "Remove",
    "Reply",
    "Result",
    "Say",
    "Status",
    "Unlock",
    "Unmute",
    "document",
    "text",
]

SCHEMA_FILE: Final = Path(__file__).with_name("schema.json")

Result = Literal[
    "done",
    "refused",
    "failed",
    "forbidden",
    "expired",
    "repeated",
    "busy",
]
"""What became of a command that could be read; `Commands` says when which."""

# Without the lookahead, Python's $ would let a line break stand at the end.
_Id = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}(?!\n)$")]
_Person = Annotated[int, Meta(ge=1)]


class Status(Struct, frozen=True, kw_only=True):
    """Whether the bridge is at the broker; ``offline`` may be its last will.

    Attributes:
        state: The one or the other.
        version: Of the format.
    """

    state: Literal["online", "offline"]
    version: Literal[1] = 1


class Command(Struct, frozen=True, kw_only=True, tag_field="command", forbid_unknown_fields=True):
    """Something to be done in a conference.

    Attributes:
        id: Made up by who sends it; what comes a second time is not done twice.
        expires: When it is not to be done any more; at most five minutes from now.
        reply: The topic for the reply, below ``dialin/NODE/reply/``; none where none is wanted.
        session: Only in this session of the conference; none for whichever runs.
        version: Of the format.
    """

    id: _Id
    expires: Annotated[datetime, Meta(tz=True)]
    reply: Annotated[str, Meta(max_length=300)] | None = None
    session: UUID | None = None
    version: Literal[1] = 1


class Mute(Command, frozen=True, kw_only=True, tag="mute"):
    """Mute somebody, or everybody but hosts.

    Attributes:
        person: The number of the leg.
    """

    person: _Person | None = None


class Unmute(Command, frozen=True, kw_only=True, tag="unmute"):
    """Lift the host's mute of somebody or of all; nobody's own.

    Attributes:
        person: The number of the leg.
    """

    person: _Person | None = None


class Remove(Command, frozen=True, kw_only=True, tag="remove"):
    """Let somebody go.

    Attributes:
        person: The number of the leg.
    """

    person: _Person


class Lock(Command, frozen=True, kw_only=True, tag="lock"):
    """Let newcomers knock."""


class Unlock(Command, frozen=True, kw_only=True, tag="unlock"):
    """Let newcomers in."""


class Mode(Command, frozen=True, kw_only=True, tag="mode"):
    """Say who may speak.

    Attributes:
        mode: The new mode.
    """

    mode: floor.Mode


class End(Command, frozen=True, kw_only=True, tag="end"):
    """End the conference politely."""


class Dial(Command, frozen=True, kw_only=True, tag="dial"):
    """Call somebody into the conference.

    Attributes:
        number: Sealed for this command, as `bridge.mqtt.sealing` says: no number goes over the
            broker as it is.
    """

    number: Annotated[str, Meta(max_length=1000)]


class Say(Command, frozen=True, kw_only=True, tag="say"):
    """Say a phrase or play a sound, to the room or to one person.

    Attributes:
        phrase: Key of the catalogue; this or a sound.
        arguments: Small numbers that the phrase takes, by name.
        sound: int16, little endian, 8 kHz, in base64.
        person: The number of the leg.
    """

    phrase: Annotated[str, Meta(max_length=64)] | None = None
    arguments: dict[str, Annotated[int, Meta(ge=0, le=9999)]] = {}
    sound: str | None = None
    person: _Person | None = None


AnyCommand = Mute | Unmute | Remove | Lock | Unlock | Mode | End | Dial | Say


class Reply(Struct, frozen=True, kw_only=True):
    """What became of a command.

    Attributes:
        id: The command's.
        result: In a word.
        reason: Why it was not done; empty where it was.
        outcome: What came of a call: ``joined``, or why nobody came in.
        version: Of the format.
    """

    id: str
    result: Result
    reason: str = ""
    outcome: str | None = None
    version: Literal[1] = 1


def document() -> dict[str, Any]:
    """Return the JSON Schema of all messages (draft 2020-12), with the topics that carry them."""
    kinds: list[Any] = [*EVENTS, State, Status, AnyCommand, Reply]
    schemas, components = msgspec.json.schema_components(kinds, ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:dialin-bridge:mqtt:{VERSION}",
        "title": "Messages of dialin-bridge over MQTT",
        "description": _ABOUT,
        "anyOf": list(schemas),
        "$defs": components,
    }


_ABOUT: Final = (
    "dialin/NODE/status: Status, retained. dialin/NODE/conference/ID/state: State, retained,"
    " empty when the conference is over. dialin/NODE/conference/ID/EVENT: events, where EVENT is"
    " the message's own. dialin/NODE/conference/ID/command: commands. dialin/NODE/reply/...: Reply."
    " Readers pass over fields that they do not know."
)


def text() -> str:
    """Return the document as it lies in the file."""
    return json.dumps(document(), indent=2) + "\n"
