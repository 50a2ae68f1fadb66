"""``dialin demo``: three telephones call in by themselves, and what they heard is measured."""

from __future__ import annotations

import contextlib
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import Console
from rich.live import Live

from config.console import Command, json_option, show_json, stdout

__all__ = ["demo"]


@click.command(cls=Command)
@click.option(
    "--keep",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Keep the sound, the log and the bridge's data there; an empty or new folder.",
)
@json_option
@click.pass_context
def demo(ctx: click.Context, /, *, keep: Path | None, as_json: bool) -> None:
    """Let three telephones call a bridge of their own, and measure who hears whom.

    A bridge is started on free ports of loopback, in a folder that is thrown away. Three softphones
    call it, listen for the greeting, key the PIN as RFC 4733 events, speak in turn and hang up.
    What each one recorded is compared with what was said. It takes about half a minute, needs no
    sound card, and touches no other bridge. Ends with 1 when something was not as it should be.

    Examples:
      dialin demo
      dialin demo --json
      dialin demo --keep /tmp/demo
    """
    # Here, because PJSIP and numpy would slow every other command down.
    from bridge.demo.rehearsal import CAST, rehearse  # noqa: PLC0415
    from bridge.demo.view import Stage, report  # noqa: PLC0415

    watcher = Console(stderr=True, highlight=False)
    live = watcher.is_terminal
    stage = Stage([name for name, _ in CAST], plain=None if live else watcher)
    with _folder(keep) as folder, _ended_like_interrupted():
        with Live(stage, console=watcher, transient=True) if live else contextlib.nullcontext():
            findings = rehearse(folder, stage)
        if keep is not None:
            findings.kept = str(folder)
    if as_json:
        show_json(findings.as_json())
    else:
        report(findings, stdout())
    if not findings.ok:
        ctx.exit(1)


@contextlib.contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="dialin-demo-") as made:
            yield Path(made)
        return
    folder = keep.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise click.UsageError(f"{folder} is not empty; name an empty or a new folder")
    yield folder


@contextlib.contextmanager
def _ended_like_interrupted() -> Iterator[None]:
    """Let SIGTERM end the demo as Ctrl-C does: bridge and telephones are stopped."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
