"""What can go wrong with records.

::

    CdrError                base of all
    ├── JournalError        the journal of records that wait for the database cannot be used
    └── ReportError         a report was asked for that cannot be made
"""

from __future__ import annotations

__all__ = ["CdrError", "JournalError", "ReportError"]


class CdrError(Exception):
    """Base of every error of this package.

    Args:
        message: What was wrong, where, and what was expected.
        hint: What to do about it; empty where the message says it.
        exit_code: What the ``dialin`` command ends with (``config.errors.ExitCode``).
    """

    def __init__(self, message: str, *, hint: str = "", exit_code: int = 1) -> None:
        super().__init__(message)
        self.hint = hint
        self.exit_code = exit_code


class JournalError(CdrError):
    """The journal of records that wait for the database cannot be used."""


class ReportError(CdrError):
    """A report was asked for that cannot be made."""
