"""``dialin trunk test`` and ``trunk rejected``: what only a running bridge knows of trunks."""

from __future__ import annotations

from typing import Any

import click

from config.administration import Administration
from config.console import (
    Command,
    json_option,
    pass_administration,
    show_json,
    show_record,
    show_table,
)

__all__ = ["trunk_rejected", "trunk_test"]


@click.command("rejected", cls=Command)
@json_option
@pass_administration
def trunk_rejected(administration: Administration[Any], /, *, as_json: bool) -> None:
    """List who was turned away in the last 24 hours, and the line that would admit each.

    A carrier's new address is the commonest fault of all: look here first when calls do not come.

    Examples:
      dialin trunk rejected
    """
    rows = administration.perform("trunk.rejected")
    if as_json:
        show_json(rows)
        return
    columns = [
        ("Source", "source"),
        ("Reason", "reason"),
        ("Method", "method"),
        ("Count", "count"),
        ("Last", "last"),
        ("Would be admitted by", "admit_with"),
    ]
    show_table(columns, rows, empty="Nobody was turned away.")


@click.command("test", cls=Command)
@click.argument("name")
@json_option
@pass_administration
@click.pass_context
def trunk_test(
    ctx: click.Context, administration: Administration[Any], /, name: str, *, as_json: bool
) -> None:
    """Ask a trunk's far end whether it is there (OPTIONS), and show its registration.

    Single addresses and the provider that we register with are asked; of a network nobody can be
    asked, because its addresses are only where calls may come from. Ends with 1 where somebody did
    not answer.

    Examples:
      dialin trunk test carrier
    """
    found = administration.perform("trunk.test", name=name)
    if as_json:
        show_json(found)
    else:
        show_record({key: found[key] for key in ("trunk", "calls", "registration")})
        columns = [("Asked", "target"), ("Answer", "answer"), ("Milliseconds", "milliseconds")]
        show_table(columns, found["asked"], empty="There is no single address to ask.")
    if not found["well"]:
        ctx.exit(1)
