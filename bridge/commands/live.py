"""``dialin live``: the running conferences on the whole terminal, with keys to steer them."""

from __future__ import annotations

import sys
from typing import Any

import click

from config.administration import Administration
from config.console import Command, pass_administration

__all__ = ["live"]


@click.command(cls=Command)
@click.argument("conference", required=False)
@pass_administration
def live(administration: Administration[Any], /, conference: str | None) -> None:
    """Watch the running conferences on the whole terminal, and steer them by keys.

    Shows who is in: role, masked number, talking, muted (by themselves, by a host, by the mode),
    raised hand, quality, minutes. The keys stand at the bottom, ? explains them, q quits; the
    conferences go on. When the bridge goes away it says so, and comes back with it.

    Examples:
      dialin live
      dialin live "Board"
    """
    found = None
    if conference is None:
        administration.ask_bridge("drain.state")
    else:
        found = administration.ask_bridge("conference.people", conference=conference)
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise click.UsageError("dialin live needs a terminal; `dialin status` serves without one")
    # Here and not above: it takes a quarter of a second, which no other command shall wait for.
    from bridge.terminal.app import LiveApp  # noqa: PLC0415
    from bridge.terminal.model import View  # noqa: PLC0415

    view = View()
    if found is not None:
        view.open(str(found["id"]))
    app = LiveApp(administration.settings.admin_socket, view)
    app.run(mouse=False)
    if app.return_code:
        raise click.exceptions.Exit(app.return_code)
