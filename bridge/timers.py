"""Named timers of one call or one conference, on the event loop.

A timer has one setting: starting it again moves it. After `stop`, or after it was started again,
the old setting never fires; that is what the dial plan's objects are promised
(`dialplan.events`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["Timers"]


class Timers:
    """The timers of one owner.

    Args:
        loop: the event loop they run on.
        on_fire: called with the timer's name when it runs out.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, on_fire: Callable[[str], None]) -> None:
        self._loop = loop
        self._on_fire = on_fire
        self._handles: dict[str, asyncio.TimerHandle] = {}

    def start(self, name: str, seconds: float) -> None:
        """Set a timer, or move it.

        Args:
            name: unique within this owner.
            seconds: from now [s].
        """
        self.stop(name)
        self._handles[name] = self._loop.call_later(max(0.0, seconds), self._fire, name)

    def stop(self, name: str) -> None:
        """Forget a timer; an unknown name is fine."""
        handle = self._handles.pop(name, None)
        if handle is not None:
            handle.cancel()

    def stop_all(self) -> None:
        """Forget every timer, at the end of the owner's life."""
        for handle in self._handles.values():
            handle.cancel()
        self._handles.clear()

    def _fire(self, name: str) -> None:
        self._handles.pop(name, None)
        self._on_fire(name)
