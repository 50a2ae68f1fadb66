"""``dialin serve`` and ``dialin setup``: the bridge in the foreground, and its data folder."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import signal
from collections.abc import Iterator
from types import MappingProxyType
from typing import Any, Final

import click
from rich.console import Console

from bridge.addresses import outward_address
from bridge.card import CardFacts, card
from bridge.house import raise_descriptor_limit
from bridge.house import serve as run_house
from bridge.media.forks import Forks
from bridge.server import Bridge
from config import logging as log
from config.administration import AdminContext, Administration
from config.console import Command, pass_administration
from config.data_folder import DataFolder
from config.settings import Settings
from dialplan import seed
from privacy.vault import Vault
from privacy.vault.context import open_context

__all__ = ["serve", "setup"]

ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

SEED_DEMO = click.option(
    "--seed-demo", is_flag=True, help="Add a demo number and conference, once."
)


@click.command(cls=Command)
@click.option("--port", type=click.IntRange(0, 65535), help="SIP port, UDP and TCP.")
@click.option("--card", "with_card", is_flag=True, help="Print whom to dial and what to key.")
@SEED_DEMO
@pass_administration
def serve(
    administration: Administration[Any],
    /,
    port: int | None,
    *,
    with_card: bool,
    seed_demo: bool,
) -> None:
    """Answer calls until Ctrl-C or SIGTERM.

    What is missing of the data folder is created first: database, master key, key store. The log
    goes to standard error. An interrupt says goodbye to callers, hangs up, closes every record and
    leaves no process behind; a second one leaves out the goodbye.

    Examples:
      dialin serve
      dialin serve --data /var/lib/dialin --port 5070
    """
    settings = administration.settings
    if port is not None:
        settings = dataclasses.replace(
            settings,
            sip=dataclasses.replace(settings.sip, port=port),
            origins=MappingProxyType({**settings.origins, "sip.port": "option --port"}),
        )
    raise_descriptor_limit()  # before the fork server, whose children have its limit
    with Forks() as forks, _opened(settings, seed_demo=seed_demo) as context:

        def ready(bridge: Bridge) -> None:
            if with_card:
                _print_card(context, settings, bridge)

        async def run() -> None:
            try:
                await run_house(context, settings, forks, ready)
            finally:
                # With the loop its handlers go; what is left to close takes milliseconds, and an
                # impatient Ctrl-C must not leave it half closed.
                for number in ENDING:
                    asyncio.get_running_loop().remove_signal_handler(number)
                    signal.signal(number, signal.SIG_IGN)

        asyncio.run(run())


@click.command(cls=Command)
@SEED_DEMO
@pass_administration
def setup(administration: Administration[Any], /, *, seed_demo: bool) -> None:
    """Create the data folder and what belongs into it, and exit.

    What is there already stays as it is; a second run changes nothing.

    Examples:
      dialin setup --data /var/lib/dialin
      dialin setup --seed-demo
    """
    with _opened(administration.settings, seed_demo=seed_demo, say=True):
        pass


@contextlib.contextmanager
def _opened(
    settings: Settings, *, seed_demo: bool, say: bool = False
) -> Iterator[AdminContext[Vault]]:
    """Set the data folder up, lock it, open it, and let the log know people by pseudonyms."""
    log.configure(settings.log)
    folder = DataFolder(settings.data_dir)
    created = folder.create()
    with folder.as_owner(), folder.locked():
        done = seed.set_up(settings, demo=seed_demo)
        if say:
            parts = (("data folder",) if created else ()) + done.created
            click.echo(f"{settings.data_dir}: {', '.join(parts) + ' made' if parts else 'ready'}")
            if done.migrated:
                click.echo("The database was brought up to date.")
        with open_context(settings) as context:
            log.use_pseudonyms(context.vault.pseudonym)
            yield context


def _print_card(context: AdminContext[Vault], settings: Settings, bridge: Bridge) -> None:
    with context.database.reading() as session:
        found = seed.demo(session, context.vault)
    numbers, pins = (found.numbers, found.pins) if found is not None else ({}, {})
    bound = settings.sip.public_address or settings.sip.bind_ip
    address = outward_address() if bound == "0.0.0.0" else bound  # noqa: S104 - compared, not bound
    language = settings.entry.default_language
    default = "data_dir" not in settings.origins
    facts = CardFacts(
        address=address,
        port=bridge.sip.port,
        number=numbers.get(language) or next(iter(numbers.values()), ""),
        guest_pin=pins.get("guest", ""),
        host_pin=pins.get("host", ""),
        data="" if default else str(settings.data_dir),
        is_open=settings.sip.open_admission
        and settings.sip.public_address is None
        and not bridge.directory.sizes()["trunks"],
    )
    Console().print(card(facts))
