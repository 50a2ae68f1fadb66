"""``dialin doctor``: what goes wrong in the field, looked for."""

from __future__ import annotations

import dataclasses
import shlex
from typing import Any, Final

import click
from rich.table import Table
from rich.text import Text

from bridge.doctor import Finding, examine, examine_machine, shared_ports
from config.administration import Administration, describe
from config.console import (
    Command,
    json_option,
    pass_administration,
    printable,
    show_json,
    stdout,
)
from config.errors import AdministrationError, BridgeDown

__all__ = ["doctor"]

ANSWER_S: Final = 5.0
"""A bridge that takes longer to say how it is, is not well."""

NAMED_AT_MOST: Final = 8
"""Conferences with short PINs that are named; there may be thousands."""

STYLES: Final = {"ok": "green", "warning": "yellow", "fault": "bold red"}


@click.command(cls=Command)
@json_option
@pass_administration
@click.pass_context
def doctor(ctx: click.Context, administration: Administration[Any], /, *, as_json: bool) -> None:
    """Check what goes wrong in the field, and say what to do about it.

    Looked at: SIP and RTP ports, open files, receive buffers, the address in our SDP, the PJSIP
    build, room for TCP, clock, disk, database, the master key and the modes of files, how easily
    PINs are guessed. A running bridge is asked, and judged by the settings and limits that it runs
    with. Ends with 1 when there is a fault, with 0 when there are only warnings.

    Examples:
      dialin doctor
      dialin doctor --json
    """
    findings = _examined(administration)
    if as_json:
        show_json([dataclasses.asdict(finding) for finding in findings])
    else:
        _print(findings)
    if any(finding.verdict == "fault" for finding in findings):
        ctx.exit(1)


def _examined(administration: Administration[Any]) -> list[Finding]:
    """Let a running bridge examine itself; judge this machine and shell where none runs."""
    settings = administration.settings
    try:
        answer = administration.ask_bridge("doctor", timeout_s=ANSWER_S)
    except BridgeDown:
        return [*examine(settings), *_data(administration)]
    except AdministrationError as error:
        hint = error.hint or "Look into its log; if it hangs, end its process and start it again."
        return [Finding("bridge", "fault", str(error), hint), *examine_machine(settings)]
    return [*(Finding(**each) for each in answer), *_data(administration)]


def _data(administration: Administration[Any]) -> list[Finding]:
    """Ask for what only whoever can open the database knows."""
    try:
        if not administration.settings.data_dir.is_dir():
            return []  # said by the checks of the disk
    except OSError:
        return []
    try:
        guessing = administration.perform("pin.chance")
    except Exception as error:
        described = describe(error)
        if described is None:
            raise
        return [Finding("database and keys", "fault", described["message"], described["hint"])]
    found = [Finding("database and keys", "ok", "the database and the vault open")]
    trunks = administration.perform("trunk.list")
    shared = [str(trunk["name"]) for trunk in trunks if trunk["media"] == "shared"]
    found += shared_ports(administration.settings, shared)
    chance, count = float(guessing["chance"]), int(guessing["pins"])
    text = f"{count} PINs; 10,000 guesses find a room with a chance of {chance:.2%}"
    guessable = [str(name) for name in guessing["guessable"]]
    if guessable:
        named = ", ".join(shlex.quote(name) for name in guessable[:NAMED_AT_MOST])
        more = f" and {len(guessable) - NAMED_AT_MOST} more" if guessable[NAMED_AT_MOST:] else ""
        advice = f"Reset the short ones (dialin pin reset CONFERENCE): {named}{more}"
        return [*found, Finding("PINs", "warning", text, advice)]
    return [*found, Finding("PINs", "ok", text)]


def _print(findings: list[Finding]) -> None:
    table = Table.grid(padding=(0, 2))
    for finding in findings:
        table.add_row(
            Text(finding.verdict, style=STYLES[finding.verdict]),
            Text(finding.check),
            Text(printable(finding.text)),
        )
        if finding.advice:
            table.add_row("", "", Text(printable(finding.advice), style="italic"))
    stdout().print(table)
