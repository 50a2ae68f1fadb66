"""What can go wrong in the running bridge, outside of SIP and media.

::

    BridgeError            base of all
    +-- StartError         the bridge cannot start; says what to do
    +-- AlreadyRunning     another bridge owns the data folder
    +-- AdminError         an administrator's request cannot be carried out
"""

from __future__ import annotations

__all__ = ["AdminError", "AlreadyRunning", "BridgeError", "StartError"]


class BridgeError(Exception):
    """Base of every error of the running bridge.

    Attributes:
        hint: what the reader can do about it, empty where the message says it.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        """Keep the message and the way out."""
        super().__init__(message)
        self.hint = hint


class StartError(BridgeError):
    """The bridge cannot start."""


class AlreadyRunning(BridgeError):  # noqa: N818 - named for the condition
    """Another bridge owns the data folder."""


class AdminError(BridgeError):
    """An administrator's request cannot be carried out."""
