"""What can go wrong below every other package.

::

    ConfigError                 base of all
    ├── SettingsError           the settings are wrong: every fault at once
    ├── DataFolderError         the data folder cannot be used as it is
    ├── DatabaseError           the database cannot be used as it is
    │   ├── DatabaseTooNew      written by a later release
    │   └── DatabaseNotReady    absent, or not yet migrated
    └── AdministrationError     an operation was refused or could not be asked for
        ├── UnknownOperation    this release has no such operation
        ├── BridgeDown          no bridge runs on this data folder
        └── BridgeUnreachable   the bridge runs, but does not answer

Errors that reach an administrator carry a ``hint`` (what to do) and an ``exit_code``.
"""

# ruff: noqa: N818 - the names say what happened, as in h11

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = [
    "AdministrationError",
    "BridgeDown",
    "BridgeUnreachable",
    "ConfigError",
    "DataFolderError",
    "DatabaseError",
    "DatabaseNotReady",
    "DatabaseTooNew",
    "ExitCode",
    "Fault",
    "SettingsError",
    "UnknownOperation",
]


class ExitCode(IntEnum):
    """What the ``dialin`` command ends with."""

    DONE = 0
    """What was asked for has been done."""
    FAILED = 1
    """It was understood and could not be done: the bridge, the data or the disk said no."""
    USAGE = 2
    """It was not understood, or a value was wrong; nothing was tried."""


class ConfigError(Exception):
    """Base of every error of this package.

    Args:
        message: What was wrong, where, and what was expected.
        hint: What to do about it; empty where the message says it.
        exit_code: What the ``dialin`` command ends with.
    """

    def __init__(self, message: str, *, hint: str = "", exit_code: int = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.hint = hint
        self.exit_code = int(exit_code)


class Fault:
    """One thing that is wrong with the settings.

    Args:
        where: File and line, environment variable or option.
        key: Dotted key, such as ``sip.port``; empty for a fault of the whole file.
        what: What was found and what is allowed.
    """

    __slots__ = ("key", "what", "where")

    def __init__(self, where: str, key: str, what: str) -> None:
        self.where = where
        self.key = key
        self.what = what

    def __str__(self) -> str:
        """Return the fault as one line."""
        return (
            f"{self.where}: {self.key}: {self.what}" if self.key else f"{self.where}: {self.what}"
        )

    def __repr__(self) -> str:
        """Return the fault as it would be written in code."""
        return f"Fault({self.where!r}, {self.key!r}, {self.what!r})"


class SettingsError(ConfigError):
    """The settings are wrong; ``faults`` holds all that is."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        count = "one fault" if len(self.faults) == 1 else f"{len(self.faults)} faults"
        lines = "\n".join(f"  {fault}" for fault in self.faults)
        super().__init__(
            f"the settings have {count}:\n{lines}",
            hint="Nothing was started or changed. `dialin config keys` lists what is allowed.",
            exit_code=ExitCode.USAGE,
        )


class DataFolderError(ConfigError):
    """The data folder is absent, is somebody else's, or is in use."""


class DatabaseError(ConfigError):
    """The database cannot be used as it is."""


class DatabaseTooNew(DatabaseError):
    """The database was written by a later release than this one."""

    def __init__(self, where: str, found: str, known: str) -> None:
        super().__init__(
            f"{where}: the database is at revision {found}, which this release does not know "
            f"(its latest is {known})",
            hint="Run the release that wrote it, or restore a backup from before the upgrade. "
            "Nothing was changed.",
        )


class DatabaseNotReady(DatabaseError):
    """The database is absent, or waits for a migration."""

    def __init__(self, where: str, found: str | None, known: str) -> None:
        state = "is not set up" if found is None else f"is at revision {found}, not {known}"
        super().__init__(
            f"{where}: the database {state}",
            hint="`dialin setup` creates or migrates it; `dialin serve` does so by itself.",
        )


class AdministrationError(ConfigError):
    """An operation was refused, or could not be asked for."""


class UnknownOperation(AdministrationError):
    """There is no operation of that name."""

    def __init__(self, operation: str) -> None:
        super().__init__(
            f"there is no operation {operation!r}",
            hint="The bridge that runs may be of another release than this command; restart it.",
        )


class BridgeDown(AdministrationError):
    """No bridge runs on this data folder, and the operation needs one."""

    def __init__(self, socket: Path) -> None:
        super().__init__(
            f"{socket}: the bridge does not run, and this needs a running one",
            hint="Start it with `dialin serve`, or name its data folder with --data.",
        )


class BridgeUnreachable(AdministrationError):
    """The bridge runs, but its administration socket does not answer."""

    def __init__(self, socket: Path, why: str, hint: str = "") -> None:
        super().__init__(f"{socket}: the bridge does not answer: {why}", hint=hint)
