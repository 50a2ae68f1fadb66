"""``dialin trace``: SIP and RTP headers of a call or a trunk into a file that expires."""

from __future__ import annotations

import os
from typing import Any

import click

from config.administration import Administration
from config.console import Command, json_option, pass_administration, show_json, show_table

__all__ = ["trace"]


@click.command(cls=Command)
@click.option(
    "--call", metavar="ID", help="A running call, as the log and `dialin status` name it."
)
@click.option("--trunk", metavar="NAME", help="All calls of a trunk, and those to come.")
@click.option(
    "--minutes",
    type=click.IntRange(1, 1440),
    default=60,
    show_default=True,
    help="How long headers are written.",
)
@click.option("--end", "end_number", type=int, metavar="NUMBER", help="End a trace.")
@click.option("--list", "list_running", is_flag=True, help="List the traces that run.")
@json_option
@pass_administration
def trace(
    administration: Administration[Any],
    /,
    call: str | None,
    trunk: str | None,
    minutes: int,
    end_number: int | None,
    *,
    list_running: bool,
    as_json: bool,
) -> None:
    """Write the headers of SIP messages and RTP packets to a file, for a fault on the line.

    No sound is written, and digits are masked. The file holds numbers and addresses: only the
    bridge's own user and root can read it, and it is deleted after a day, by the bridge that runs
    then or by the next one at its start.

    Examples:
      dialin trace --call 4fa2c91d03
      dialin trace --trunk carrier --minutes 10
      dialin trace --list
      dialin trace --end 1
    """
    chosen = [call is not None, trunk is not None, end_number is not None, list_running]
    if sum(chosen) != 1:
        raise click.UsageError("give one of --call, --trunk, --end and --list")
    if list_running:
        rows = administration.perform("trace.list")
        if as_json:
            show_json(rows)
            return
        columns = [
            ("Trace", "trace"),
            ("Call", "call"),
            ("Trunk", "trunk"),
            ("Seconds left", "seconds_left"),
            ("File", "file"),
        ]
        show_table(columns, rows, empty="No trace is running.")
        return
    if end_number is not None:
        done = administration.perform("trace.end", trace=end_number)
        said = f"Trace {done['trace']} is ended: {done['file']}"
    else:
        done = administration.perform("trace.begin", call=call, trunk=trunk, seconds=minutes * 60)
        said = f"Trace {done['trace']} runs for {minutes} minutes: {done['file']}"
    if as_json:
        show_json(done)
    else:
        click.echo(said)
        if not os.access(done["file"], os.R_OK):
            owner = administration.folder.owner().pw_name
            click.echo(f"Only {owner} and root can read it: sudo -u {owner} cat FILE", err=True)
