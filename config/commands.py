"""``dialin config``: the settings in force, and those there are."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from config.administration import Administration
from config.console import (
    CommandGroup,
    json_option,
    pass_administration,
    show_json,
    show_table,
)
from config.errors import BridgeDown
from config.settings import Settings, keys, value

__all__ = ["COMMANDS", "effective"]

_SECRET: Final = frozenset({"privacy.master_key_command"})
"""Keys whose values may hold a secret: only that they are set is shown."""


@click.group("config", cls=CommandGroup)
def config_group() -> None:
    """Show the settings: a TOML file, overridden by DIALIN_ variables and options."""


@config_group.command("show")
@click.option("--changed", is_flag=True, help="Only what is not the default.")
@json_option
@pass_administration
def show(administration: Administration[Any], /, *, changed: bool, as_json: bool) -> None:
    """Show the settings in force, and where each comes from.

    Those that the running bridge was started with; where none runs, those that this shell would
    start one with.

    Examples:
      dialin config show
      dialin config show --changed
      DIALIN_SIP__PORT=5070 dialin config show --json
    """
    try:
        rows = administration.ask_bridge("config.show")
        click.echo(f"Of the bridge that runs on {administration.settings.data_dir}:", err=True)
    except BridgeDown:
        rows = effective(administration.settings)
        click.echo("No bridge runs here; one would be started with:", err=True)
    if changed:
        rows = [row for row in rows if row["origin"] != "default"]
    if as_json:
        show_json(rows)
    else:
        show_table(
            [("Key", "key"), ("Value", "value"), ("From", "origin")],
            rows,
            empty="Every setting has its default.",
        )


@config_group.command("keys")
@json_option
def list_keys(*, as_json: bool) -> None:
    """List every key there is: what it is for, what is allowed, and its variable.

    Examples:
      dialin config keys
      dialin config keys --json
    """
    rows = [
        {
            "key": key.name,
            "about": key.about,
            "allowed": key.allowed,
            "default": _plain(key.default),
            "variable": key.variable,
        }
        for key in keys()
    ]
    if as_json:
        show_json(rows)
    else:
        columns = [(heading.title(), heading) for heading in ("key", "default", "allowed", "about")]
        show_table(columns, rows, empty="")


def effective(settings: Settings) -> list[dict[str, Any]]:
    """List the settings in force: key, value and origin; secrets are not shown."""
    rows = []
    for key in keys():
        found = value(settings, key.name)
        if key.name in _SECRET and found is not None:
            found = "(set)"
        rows.append(
            {
                "key": key.name,
                "value": _plain(found),
                "origin": settings.origins.get(key.name, "default"),
            }
        )
    return rows


def _plain(found: object) -> Any:  # noqa: ANN401 - what JSON can hold
    if isinstance(found, Path) or hasattr(found, "_fields"):
        return str(found)
    return list(found) if isinstance(found, tuple) else found


COMMANDS: Final[list[click.Command]] = [config_group]
"""What ``dialin`` takes in from this package."""
