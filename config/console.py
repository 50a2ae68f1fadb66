"""How the commands of ``dialin`` speak to a terminal, and what they end with.

Results go to standard output: as a table, or as JSON for programs (``--json``). Everything else
goes to standard error. Text that came from a caller or from another administrator is escaped before
a terminal shows it: a name may hold sequences that move the cursor or retitle the window.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from config.administration import Administration, describe

__all__ = [
    "NUMBER_OR_NONE",
    "Column",
    "Command",
    "CommandGroup",
    "complain",
    "json_option",
    "pass_administration",
    "printable",
    "report",
    "show_json",
    "show_record",
    "show_table",
    "stdout",
]

pass_administration = click.make_pass_decorator(Administration)
"""Hand the :class:`Administration` that the root command made to a command."""

F = TypeVar("F", bound=Callable[..., Any])

Column = tuple[str, str]
"""Heading, and key of the row."""


class _NumberOrNone(click.types.IntParamType):
    """A whole number, or the word "none", which arrives as 0 and takes a limit back."""

    def convert(
        self,
        value: Any,  # noqa: ANN401 - click's own signature
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> int:
        """Read one."""
        return 0 if str(value).lower() == "none" else int(super().convert(value, param, ctx))


NUMBER_OR_NONE: Final = _NumberOrNone()
"""The type of options for limits that can be taken back."""

_WIDE: Final = 250
"""Columns where the output is no terminal: nothing is cut off in a pipe."""


def _keep_example_lines(text: str | None) -> str | None:
    """Keep click from refilling paragraphs of examples: a backspace alone on a line says so."""
    return text and re.sub(r"\n\n( *)(?=Examples?:\n)", "\n\n\\1\b\n\\1", text)


class Command(click.Command):
    """A command whose docstring is its help; a paragraph that begins "Example" keeps its lines."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - click's own signature
        super().__init__(*args, **kwargs)
        self.help = _keep_example_lines(self.help)


class CommandGroup(click.Group):
    """A group of such commands, whose own help is laid out in the same way."""

    command_class = Command

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - click's own signature
        super().__init__(*args, **kwargs)
        self.help = _keep_example_lines(self.help)


def report(error: BaseException) -> int | None:
    """Say on standard error what a command was refused for.

    Args:
        error: What the command raised.

    Returns:
        The exit code it carries; None for a fault of the program, whose traceback is for its
        authors.
    """
    described = describe(error)
    if described is None:
        return None
    complain(described["message"], described["hint"])
    return int(described["exit_code"])


def complain(message: str, hint: str = "") -> None:
    """Say on standard error what went wrong, and what to do about it."""
    click.echo(click.style("Error: ", fg="red") + _printable_lines(message), err=True)
    if hint:
        click.echo(_printable_lines(hint), err=True)


def json_option(function: F) -> F:
    """Add ``--json``, which arrives as ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")(
        function
    )


def stdout() -> Console:
    """Return a console on standard output; as wide as it takes where that is no terminal."""
    plain = Console(highlight=False, markup=False, emoji=False)
    return (
        plain
        if plain.is_terminal
        else Console(highlight=False, markup=False, emoji=False, width=_WIDE)
    )


def printable(text: object) -> str:
    """Escape what a terminal would obey instead of show, line breaks included."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in str(text)
    )


def _printable_lines(text: str) -> str:
    return "\n".join(printable(line) for line in text.split("\n"))


def show_json(value: object) -> None:
    """Print a value as JSON."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=True))


def show_table(columns: Sequence[Column], rows: Iterable[Mapping[str, Any]], *, empty: str) -> None:
    """Print rows as a table.

    Args:
        columns: Headings and keys.
        rows: The rows.
        empty: What to say where there are none.
    """
    held = list(rows)
    if not held:
        click.echo(empty, err=True)
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading, _ in columns:
        table.add_column(heading, overflow="fold")
    for row in held:
        table.add_row(*(Text(_cell(row.get(key))) for _, key in columns))
    stdout().print(table)


def show_record(record: Mapping[str, Any]) -> None:
    """Print one record, a line for each of its values."""
    table = Table.grid(padding=(0, 2))
    for key, value in record.items():
        if not isinstance(value, list | dict) or all(isinstance(each, str) for each in value):
            table.add_row(Text(key.replace("_", " ")), Text(_cell(value)))
    stdout().print(table)


def _cell(value: object) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.1f}"
    if isinstance(value, list):
        return ", ".join(printable(each) for each in value) or "-"
    if isinstance(value, str) and len(value) >= len("2026-03-02T09:00:00+00:00"):
        try:
            return datetime.fromisoformat(value).isoformat(sep="T", timespec="seconds")
        except ValueError:
            pass
    return printable(value)
