"""Who was turned away, over a restart: what `dialin trunk rejected` shows is kept for 24 hours.

An administrator whose calls do not come restarts the bridge first and looks second, and the
carrier's new address must still be listed then. The SIP room remembers in memory; every minute in
which that changed, and at the end, it is written to a file. Addresses are personal data: the file
has mode 0600, lies beside what can be made again (and so in no backup), holds nothing older than a
day, and goes when it would hold nothing.
"""

from __future__ import annotations

import os
import time
from ipaddress import AddressValueError, IPv4Address
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from bridge.sip.messages import Rejection

if TYPE_CHECKING:
    from pathlib import Path

    from bridge.sip.endpoint import SipEndpoint

__all__ = ["TurnedAway"]

EVERY_S: Final = 60.0
LARGEST_FILE: Final = 4 << 20
"""Bytes; some ten times what a full memory makes."""

_log = structlog.get_logger("bridge.turned_away")


class TurnedAway:
    """The file of refused sources.

    Args:
        sip: who remembers them while the bridge runs; not started yet.
        path: the file.
    """

    def __init__(self, sip: SipEndpoint, path: Path) -> None:
        self._sip = sip
        self._path = path
        self._written: list[Rejection] = []
        self._next = time.monotonic() + EVERY_S
        self._said = False

    def restore(self) -> None:
        """Give the SIP room what an earlier run wrote. Blocks; before SIP starts.

        A file that cannot be read or is not ours is said once in the log and replaced by the next.
        """
        try:
            with self._path.open("rb") as file:
                text = file.read(LARGEST_FILE)
            found = msgspec.json.decode(text, type=list[Rejection])
            for each in found:
                IPv4Address(each.source)  # it goes into a line that somebody will paste
        except FileNotFoundError:
            return
        except (OSError, msgspec.DecodeError, AddressValueError) as error:
            _log.warning("refused sources of the last run cannot be read", error=error)
            return
        self._sip.restore_rejections(found)

    @property
    def due(self) -> bool:
        """Whether it is time to write."""
        return time.monotonic() >= self._next

    def write(self) -> None:
        """Write what has changed. Blocks: call it in a thread."""
        self._next = time.monotonic() + EVERY_S
        entries = self._sip.rejections()
        if entries == self._written:
            return
        try:
            self._replace(entries)
        except OSError as error:
            if not self._said:
                self._said = True
                _log.warning("refused sources cannot be written", error=error)
            return
        self._written = entries
        self._said = False

    def _replace(self, entries: list[Rejection]) -> None:
        """Put a new file in the old one's place, whole or not at all."""
        if not entries:
            self._path.unlink(missing_ok=True)
            return
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        new = self._path.with_suffix(".new")
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(msgspec.json.encode(entries))
        new.replace(self._path)
