"""Named timers of one call or one conference, on the event loop.

A timer has one setting: starting it again moves it. After `stop`, or after it was started again,
the old setting never fires; that is what the dial plan's objects are promised
(`dialplan.events`).

Of all timers of an owner the loop has one at a time, for the earliest of them: what is said to
everybody in a large conference sets and stops hundreds that never run out.
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
        self._due: dict[str, float] = {}
        self._wake: asyncio.TimerHandle | None = None

    def start(self, name: str, seconds: float) -> None:
        """Set a timer, or move it.

        Args:
            name: unique within this owner.
            seconds: from now [s].
        """
        due = self._loop.time() + max(0.0, seconds)
        self._due[name] = due
        if self._wake is None or due < self._wake.when():
            self._wake_at(due)

    def stop(self, name: str) -> None:
        """Forget a timer; an unknown name is fine."""
        self._due.pop(name, None)
        if not self._due:
            self._sleep()

    def stop_all(self) -> None:
        """Forget every timer, at the end of the owner's life."""
        self._due.clear()
        self._sleep()

    def _wake_at(self, when: float) -> None:
        self._sleep()
        self._wake = self._loop.call_at(when, self._fire)

    def _sleep(self) -> None:
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None

    def _fire(self) -> None:
        """Fire what has run out, the earliest first, as long as nothing before has stopped it."""
        self._wake = None
        now = self._loop.time()
        try:
            for due, name in sorted((due, name) for name, due in self._due.items() if due <= now):
                if self._due.get(name) == due:
                    del self._due[name]
                    self._on_fire(name)
        finally:
            if self._due:
                self._wake_at(min(self._due.values()))
