"""``dialin drain``: let the bridge end when its conferences have."""

from __future__ import annotations

import contextlib
import os
import select
import time
from typing import Any, Final

import click

from bridge.drain import LONGEST_S
from bridge.errors import AdminError
from config.administration import Administration
from config.console import Command, pass_administration
from config.errors import BridgeDown, ConfigError

__all__ = ["drain"]

LOOK_S: Final = 1.0


@click.command(cls=Command)
@click.option(
    "--timeout",
    type=click.FloatRange(0, LONGEST_S),
    metavar="SECONDS",
    help="Say goodbye to whoever is still in after so long.  [default: wait for ever]",
)
@click.option("--no-wait", is_flag=True, help="Return at once; the bridge goes on draining.")
@click.option("--undo", is_flag=True, help="Take it back: conferences may start again.")
@pass_administration
def drain(
    administration: Administration[Any], /, timeout: float | None, *, no_wait: bool, undo: bool
) -> None:
    """Let no new conference start, and end the bridge when those that run are over.

    Nobody is cut off: calls are answered meanwhile, and a PIN of a conference in which somebody is
    lets back in who dropped out. Other callers hear that the service is in maintenance. Hosts are
    warned. Then the bridge ends by itself, with exit code 0; the command waits for that.

    Examples:
      dialin drain
      dialin drain --timeout 3600
      dialin drain --undo
    """
    if undo:
        if timeout is not None or no_wait:
            raise click.UsageError("--undo stands alone")
        administration.ask_bridge("drain.undo")
        click.echo("Conferences may start again.")
        return
    begun = administration.ask_bridge("drain.begin", seconds=timeout)
    if begun["stopping"]:
        click.echo("No conference runs: the bridge stops.")
    else:
        click.echo(f"The bridge ends when its conferences have: {_left(begun)}.")
    if not no_wait:
        _wait(administration, begun)
        click.echo("The bridge has ended.")


def _wait(administration: Administration[Any], begun: dict[str, Any]) -> None:
    """Wait until the process is gone, and say what it still waits for.

    Raises:
        AdminError: somebody has taken the drain back.
    """
    said = _left(begun)
    with contextlib.ExitStack() as stack:
        try:
            process = _watched(stack, begun["pid"])
        except ProcessLookupError:
            return
        while not _ended(process):
            try:
                now = administration.ask_bridge("drain.state")
            except BridgeDown:
                if process is None:
                    return
                continue  # its socket goes first
            except ConfigError:
                continue  # it closes that at this moment
            if not now["draining"]:
                raise AdminError("the drain was taken back; the bridge goes on")
            if _left(now) != said:
                said = _left(now)
                click.echo(said)


def _watched(stack: contextlib.ExitStack, pid: int) -> int | None:
    """Return a descriptor that tells the end of a process; None where there is no such thing.

    Raises:
        ProcessLookupError: it has ended already.
    """
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        raise
    except OSError:  # a kernel or a sandbox without it: the bridge's socket has to do
        return None
    stack.callback(os.close, process)
    return process


def _ended(process: int | None) -> bool:
    """Wait a moment, and tell whether the process has ended in it."""
    if process is None:
        time.sleep(LOOK_S)
        return False
    return bool(select.select([process], [], [], LOOK_S)[0])


def _left(now: dict[str, Any]) -> str:
    conferences, calls = now["conferences"], now["calls"]
    return (
        f"{conferences} conference{'s' if conferences != 1 else ''},"
        f" {calls} call{'s' if calls != 1 else ''}"
    )
