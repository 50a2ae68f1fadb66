"""What is shown of the demo: the telephones while they speak, and afterwards what was found."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any, Final

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.table import Table
from rich.text import Text

from bridge.demo.findings import Findings

__all__ = ["Stage", "report"]

LOUDEST: Final = 60
"""PJSIP's level (0 to 255) at which a bar is full; speech at -20 dBFS is about half of it."""

BAR: Final = 16


class _Line:
    """What is known of one telephone."""

    def __init__(self) -> None:
        self.state = "on hook"
        self.heard = 0
        self.said = 0


class Stage:
    """The telephones, drawn anew whenever `rich.live.Live` asks.

    Args:
        names: the telephones, in the order they are drawn.
        plain: where steps are printed line by line instead, on a console that is no terminal.
    """

    def __init__(self, names: Sequence[str], plain: Console | None = None) -> None:
        self._lines = {name: _Line() for name in names}
        self._plain = plain
        self._began = time.monotonic()
        self._text = ""
        self._lock = threading.Lock()

    def step(self, text: str) -> None:
        """Take what happens now."""
        with self._lock:
            self._text = text
        if self._plain is not None:
            self._plain.print(f"{time.monotonic() - self._began:5.1f} s  {text}")

    def phone(self, name: str, event: dict[str, Any]) -> None:
        """Take what a telephone reports."""
        with self._lock:
            line = self._lines[name]
            if event["event"] == "level":
                line.heard, line.said = int(event["heard"]), int(event["said"])
            elif event["event"] == "state":
                line.state = str(event["state"])
                if line.state == "ended":
                    line.heard = line.said = 0

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw it."""
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for heading in ("Telephone", "Call", "Says", "Hears"):
            table.add_column(heading)
        with self._lock:
            for name, line in self._lines.items():
                table.add_row(name, line.state, _bar(line.said, "green"), _bar(line.heard, "cyan"))
            text = self._text
        yield Group(table, Text(f"{time.monotonic() - self._began:4.0f} s  {text}"))


def _bar(level: int, style: str) -> Text:
    full = min(BAR, round(level * BAR / LOUDEST))
    return Text("█" * full, style=style) + Text("·" * (BAR - full), style="dim")


def report(findings: Findings, console: Console) -> None:
    """Print what was found.

    Args:
        findings: of the demo.
        console: where to.
    """
    if findings.heard:
        console.print(Text("Who heard whom (delay from mouth to ear, level)", style="bold"))
        console.print(_pairs(findings))
    if findings.legs:
        console.print(Text("The bridge's records", style="bold"))
        console.print(_records(findings))
    for fault in findings.faults:
        console.print(Text(f"Not as it should be: {fault}", style="bold red"))
    if findings.kept is not None:
        console.print(f"Sound, log and data are in {findings.kept}.")
    if findings.ok:
        said = f"All well, in {findings.seconds:.0f} s: everybody heard the others, nobody heard "
        console.print(Text(said + "themselves.", style="bold green"))


def _pairs(findings: Findings) -> Table:
    names = [each.phone for each in findings.greeted]
    cells = {(pair.listener, pair.speaker): pair for pair in findings.heard}
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("Listener")
    for name in names:
        table.add_column(f"heard {name}")
    table.add_column("Greeting")
    table.add_column("Codec")
    for each in findings.greeted:
        row: list[Text] = [Text(each.phone)]
        for speaker in names:
            pair = cells[each.phone, speaker]
            words = f"{pair.delay_ms} ms, {round(pair.level_db or 0):+d} dB" if pair.heard else "no"
            row.append(Text(words, style="green" if pair.right else "bold red"))
        row.append(Text(f"{each.correlation:.0%} like the prompt"))
        row.append(Text(each.codec or "-"))
        table.add_row(*row)
    return table


def _records(findings: Findings) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    columns = (
        ("Answered", "answered_at"),
        ("Seconds", "duration_s"),
        ("Caller", "caller"),
        ("Role", "role"),
        ("Ended by", "hung_up_by"),
        ("Cause", "cause"),
        ("Codec", "codec"),
        ("Keys by", "dtmf_method"),
        ("Packets in", "packets_rx"),
        ("Lost", "lost"),
        ("Spoke s", "talk_ms"),
    )
    for heading, _ in columns:
        table.add_column(heading)
    for leg in findings.legs:
        shown = dict(leg) | {
            "answered_at": str(leg["answered_at"])[11:19],
            "talk_ms": f"{(leg['talk_ms'] or 0) / 1000:.1f}",
        }
        table.add_row(*(str(shown[key]) if shown[key] is not None else "-" for _, key in columns))
    return table
