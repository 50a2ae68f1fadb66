"""``dialin doctor``: what goes wrong in the field, looked for."""

from __future__ import annotations

import dataclasses
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from bridge.doctor import Finding, examine
from config.administration import Administration, describe
from config.console import Command, json_option, pass_administration, show_json, stdout
from config.errors import AdministrationError

__all__ = ["doctor"]

STYLES = {"ok": "green", "warning": "yellow", "fault": "bold red"}


@click.command(cls=Command)
@json_option
@pass_administration
@click.pass_context
def doctor(ctx: click.Context, administration: Administration[Any], /, *, as_json: bool) -> None:
    """Check what goes wrong in the field, and say what to do about it.

    Looked at: SIP and RTP ports, open files, receive buffers, the address in our SDP, the PJSIP
    build, room for TCP, clock, disk, database, the master key and the modes of files, how easily
    PINs are guessed. Ends with 1 when there is a fault, with 0 when there are only warnings.

    Examples:
      dialin doctor
      dialin doctor --json
    """
    findings = examine(administration.settings, _live(administration))
    findings += _data(administration)
    if as_json:
        show_json([dataclasses.asdict(finding) for finding in findings])
    else:
        _print(findings)
    if any(finding.verdict == "fault" for finding in findings):
        ctx.exit(1)


def _live(administration: Administration[Any]) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = administration.perform("status")
    except AdministrationError:
        return None
    return found


def _data(administration: Administration[Any]) -> list[Finding]:
    """Ask for what only whoever can open the database knows."""
    if not administration.settings.data_dir.is_dir():
        return []
    try:
        guessing = administration.perform("pin.chance")
    except Exception as error:
        described = describe(error)
        if described is None:
            raise
        return [Finding("database and keys", "fault", described["message"], described["hint"])]
    found = [Finding("database and keys", "ok", "the database and the vault open")]
    chance, count = float(guessing["chance"]), int(guessing["pins"])
    text = f"{count} PINs; 10,000 guesses find a room with a chance of {chance:.2%}"
    if chance >= guessing["most"]:
        advice = "Reset the short ones: dialin pin reset CONFERENCE."
        return [*found, Finding("PINs", "warning", text, advice)]
    return [*found, Finding("PINs", "ok", text)]


def _print(findings: list[Finding]) -> None:
    table = Table.grid(padding=(0, 2))
    for finding in findings:
        table.add_row(
            Text(finding.verdict, style=STYLES[finding.verdict]),
            Text(finding.check),
            Text(finding.text),
        )
        if finding.advice:
            table.add_row("", "", Text(finding.advice, style="italic"))
    stdout().print(table)
