"""``dialin mqtt``: what programs at a broker need to know."""

from __future__ import annotations

from typing import Any

import click

from bridge.mqtt import credentials, schema
from bridge.mqtt.errors import BrokerFilesError
from bridge.mqtt.sealing import seal
from config.administration import Administration
from config.console import Command, CommandGroup, pass_administration

__all__ = ["mqtt"]


@click.group(cls=CommandGroup)
def mqtt() -> None:
    """Help programs that follow and steer conferences over MQTT."""


@mqtt.command("schema", cls=Command)
def print_schema() -> None:
    """Print the JSON Schema of all messages, with their version.

    Examples:
      dialin mqtt schema
    """
    click.echo(schema.text(), nl=False)


@mqtt.command("seal", cls=Command)
@click.argument("identifier", metavar="ID")
@click.argument("number")
@pass_administration
def seal_number(administration: Administration[Any], /, identifier: str, number: str) -> None:
    """Seal a number for the command `dial` that has this id: none goes over the broker in clear.

    Uses the key of the setting mqtt.dial_key_file, as the bridge does. The number comes with its
    country code.

    Examples:
      dialin mqtt seal desk-4711 +46701740605
    """
    key = credentials.dial_key(administration.settings.mqtt)
    if key is None:
        raise BrokerFilesError(
            "mqtt.dial_key_file is not set",
            "Make a key with `umask 077; head -c 32 /dev/urandom | base64 > FILE`, and set it.",
        )
    click.echo(seal(key, identifier, number))
