"""``[mqtt]``: events to a broker, and commands from it."""

# ruff: noqa: RUF009 - _setting() makes a dataclass field, and nothing shared

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from config import _kinds as kinds
from config._kinds import Kind

__all__ = ["MQTT_COMMANDS", "MqttSettings"]

MQTT_COMMANDS = ("mute", "unmute", "remove", "lock", "unlock", "mode", "end", "dial", "say")

T = TypeVar("T")


def _setting(kind: Kind[T], default: T, about: str) -> T:
    return field(default=default, metadata={"kind": kind, "about": about})


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttSettings:
    """``[mqtt]``: events to a broker that speaks MQTT 5, commands from it; off without a host."""

    host: str = _setting(
        kinds.word('the broker\'s host name or address, or "" for none', r"[A-Za-z0-9.:-]{0,253}"),
        "",
        "broker that events are published to",
    )
    port: int = _setting(
        kinds.integer(0, 65535), 0, "its TCP port; 0 is 8883 with TLS and 1883 without"
    )
    node: str = _setting(
        kinds.word("1 to 32 small letters, digits and dashes", "[a-z0-9-]{1,32}"),
        "main",
        "this bridge in topics, dialin/NODE/...; each bridge at a broker has its own",
    )
    tls: bool = _setting(
        kinds.boolean(),
        True,  # noqa: FBT003 - the default of a setting
        "speak TLS, and to nobody whose certificate is not good for the host; never less",
    )
    ca_file: Path | None = _setting(
        kinds.optional(kinds.path()), None, "who signs the broker's certificate; else the system's"
    )
    certificate_file: Path | None = _setting(
        kinds.optional(kinds.path()), None, "our own certificate, where the broker asks for one"
    )
    key_file: Path | None = _setting(
        kinds.optional(kinds.path()), None, "its private key, of mode 0600"
    )
    user: str | None = _setting(kinds.optional(kinds.text(200)), None, "user name to log in with")
    password_file: Path | None = _setting(
        kinds.optional(kinds.path()), None, "file of mode 0600 that holds the password alone"
    )
    password_env: str = _setting(
        kinds.text(80), "DIALIN_MQTT_PASSWORD", "variable that holds it, where no file does"
    )
    buffer: int = _setting(
        kinds.integer(10, 1_000_000),
        10_000,
        "events that wait while the broker is away; then the oldest are dropped",
    )
    commands: tuple[str, ...] = _setting(
        kinds.words(
            "a list of " + ", ".join(f'"{name}"' for name in MQTT_COMMANDS),
            "|".join(MQTT_COMMANDS),
        ),
        (),
        "what whoever may publish commands at the broker may do to conferences",
    )
    dial_key_file: Path | None = _setting(
        kinds.optional(kinds.path()),
        None,
        "file of mode 0600 with 32 random bytes in base64, which seals numbers to be called",
    )
