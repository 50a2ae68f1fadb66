"""The ``dialin`` command: every package brings its own commands, this module assembles them."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, Final

import click

from bridge.commands.demo import demo
from bridge.commands.doctor import doctor
from bridge.commands.drain import drain
from bridge.commands.live import live
from bridge.commands.meetings import MEETING_COMMANDS
from bridge.commands.mqtt import mqtt
from bridge.commands.serve import serve, setup
from bridge.commands.status import status
from bridge.commands.trace import trace
from bridge.commands.trunks import trunk_rejected, trunk_test
from bridge.operations import OPERATIONS
from cdr.commands import COMMANDS as CDR_COMMANDS
from config.administration import Administration
from config.commands import COMMANDS as CONFIG_COMMANDS
from config.console import CommandGroup, report
from config.settings import load
from dialplan.commands import COMMANDS as DIALPLAN_COMMANDS
from privacy.vault.context import open_context

__all__ = ["dialin", "main"]

ANYWHERE: Final = ("--data", "--config")
HELP: Final = ("-h", "--help")


class _Root(CommandGroup):
    """The root: `--data` and `--config` may stand anywhere on the line; errors become words."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's own signature
        """Run the command; what it was refused for is said on standard error."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except Exception as error:
            code = report(error)
            if code is None:
                raise
            ctx.exit(code)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Move the options that are every command's to the front, where click looks for them."""
        front: list[str] = []
        rest: list[str] = []
        words = iter(args)
        for word in words:
            if word == "--":
                rest += [word, *words]
            elif word in ANYWHERE:
                front += [word, *[value for value in [next(words, None)] if value is not None]]
            elif word.startswith(tuple(f"{option}=" for option in ANYWHERE)):
                front.append(word)
            else:
                rest.append(word)
        return super().parse_args(ctx, front + rest)


@click.group(
    cls=_Root, context_settings={"help_option_names": list(HELP), "max_content_width": 100}
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Data folder; may stand anywhere on the line.  [env: DIALIN_DATA_DIR; default: data]",
)
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    help="Settings file; likewise.  [env: DIALIN_CONFIG; default: /etc/dialin/dialin.toml]",
)
@click.version_option(package_name="dialin-bridge", prog_name="dialin")
@click.pass_context
def dialin(ctx: click.Context, data: Path | None, config_file: Path | None) -> None:
    """A telephone conference bridge: callers dial a number, key a PIN and talk.

    Commands that change something speak to the running bridge, and work on its data directly while
    it is down. They end with 0 when done, 1 when it could not be done, 2 when the request itself
    was wrong.

    Examples:
      dialin serve --card
      dialin number add +46850550000 --language sv
      dialin conference add "Board" --capacity 20
      dialin status --json
    """
    options = {} if data is None else {"data_dir": str(data)}
    # Read when they are needed: wrong ones must not keep the help or `config keys` from being read.
    read = functools.partial(load, config_file, options=options)
    administration: Administration[Any] = Administration(read, OPERATIONS, open_context)
    ctx.obj = administration


def _assemble() -> None:
    own: tuple[click.Command, ...] = (serve, setup, status, live, drain, doctor, demo, trace, mqtt)
    for command in (*own, *DIALPLAN_COMMANDS, *CDR_COMMANDS, *CONFIG_COMMANDS):
        dialin.add_command(command)
    conference = dialin.commands["conference"]
    if isinstance(conference, click.Group):
        for command in MEETING_COMMANDS:
            conference.add_command(command)
    trunk = dialin.commands["trunk"]
    if isinstance(trunk, click.Group):
        trunk.add_command(trunk_test)
        trunk.add_command(trunk_rejected)


_assemble()


def main() -> None:
    """Run the command."""
    dialin.main(prog_name="dialin")


if __name__ == "__main__":
    main()
