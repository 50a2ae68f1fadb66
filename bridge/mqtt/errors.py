"""What can go wrong with the broker and what comes from it.

::

    BridgeError
    +-- StartError
    |   +-- BrokerFilesError   a certificate, key or password cannot be used as it is
    +-- SealError              what stands for a number was not sealed for this command
"""

from __future__ import annotations

from bridge.errors import BridgeError, StartError

__all__ = ["BrokerFilesError", "SealError"]


class BrokerFilesError(StartError):
    """A certificate, a key or a password cannot be used as it is."""


class SealError(BridgeError):
    """What stands for a number was not sealed for this command, or not with our key."""
