"""An administrator's desk without a bridge: `dialin` commands in this process, on a real folder."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import socket
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
from click.testing import CliRunner

from bridge import cli
from config.administration import AdminContext, describe
from config.data_folder import DataFolder
from config.errors import UnknownOperation
from config.settings import Settings, load
from dialplan import seed
from privacy.vault import Vault
from privacy.vault.context import open_context

__all__ = ["Office", "Said", "bridge_that_answers", "new_folder"]


class Said(NamedTuple):
    """What a command said and ended with.

    Attributes:
        code: Its exit code.
        out: Standard output.
        err: Standard error.
    """

    code: int
    out: str
    err: str


def new_folder(folder: Path) -> Path:
    """Set up a data folder with the demo in it.

    Args:
        folder: Where; must not be there yet.

    Returns:
        The folder.
    """
    settings = load(None, {}, {"data_dir": str(folder)})
    DataFolder(folder).create()
    with DataFolder(folder).locked():
        seed.set_up(settings, {}, demo=True)
    return folder


@contextlib.contextmanager
def bridge_that_answers(path: Path, **answers: object) -> Iterator[list[dict[str, Any]]]:
    """Listen on an administration socket as a bridge does, with answers that are known.

    Args:
        path: The socket.
        answers: Result by operation, with two underscores for the dot; an exception of ours is the
            refusal; what is not there is no operation of this bridge's release.

    Yields:
        The requests that came, in their order.
    """
    registry = {name.replace("__", "."): answer for name, answer in answers.items()}
    asked: list[dict[str, Any]] = []

    def reply(line: bytes) -> bytes:
        request = json.loads(line)
        asked.append(request)
        found = registry.get(request["operation"], UnknownOperation(request["operation"]))
        if isinstance(found, Exception):
            return json.dumps({"id": request["id"], "error": describe(found)}).encode() + b"\n"
        return json.dumps({"id": request["id"], "result": found}).encode() + b"\n"

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, connection.makefile("rb") as lines:
                    connection.sendall(reply(lines.readline()))

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield asked
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)
            path.unlink()


class Office:
    """One data folder, and commands on it.

    Args:
        folder: A folder that was set up; or one to be copied, with ``template``.
        template: What to copy into ``folder`` first.
    """

    def __init__(self, folder: Path, template: Path | None = None) -> None:
        if template is not None:
            shutil.copytree(template, folder)
        self.folder = folder
        self.environment: dict[str, str | None] = {
            "DIALIN_DATA_DIR": str(folder),
            "DIALIN_CONFIG": None,
            "COLUMNS": "200",
        }

    @property
    def settings(self) -> Settings:
        """The settings that its commands see."""
        given = {key: value for key, value in self.environment.items() if value is not None}
        return load(None, {key: value for key, value in given.items() if key[:7] == "DIALIN_"})

    def dialin(self, *arguments: str, stdin: str = "") -> Said:
        """Run a command in this process.

        Args:
            arguments: As on the command line.
            stdin: What it reads.

        Returns:
            What it said; a fault of the program is raised instead.
        """
        runner = CliRunner(env=self.environment)
        result = runner.invoke(cli.dialin, list(arguments), input=stdin, prog_name="dialin")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Said(result.exit_code, result.stdout, result.stderr)

    def ask(self, *arguments: str, stdin: str = "") -> Any:  # noqa: ANN401 - whatever it prints
        """Run a command with `--json` and return what it printed."""
        said = self.dialin(*arguments, "--json", stdin=stdin)
        assert said.code == 0, said
        return json.loads(said.out)

    def contents(self) -> str:
        """Return a hash of every row of the main database."""
        with contextlib.closing(sqlite3.connect(self.folder / "bridge.sqlite")) as database:
            return hashlib.sha256("\n".join(database.iterdump()).encode()).hexdigest()

    @contextlib.contextmanager
    def opened(self) -> Iterator[AdminContext[Vault]]:
        """Open database and vault, as a bridge does."""
        with DataFolder(self.folder).locked(), open_context(self.settings) as context:
            yield context

    @staticmethod
    def commands() -> Iterator[tuple[tuple[str, ...], click.Command]]:
        """Yield every command that is not hidden, with its words; groups too."""

        def walk(
            command: click.Command, *above: str
        ) -> Iterator[tuple[tuple[str, ...], click.Command]]:
            if not command.hidden:
                yield above, command
            if isinstance(command, click.Group):
                for name, below in sorted(command.commands.items()):
                    yield from walk(below, *above, name)

        yield from walk(cli.dialin)
