"""Draining: the bridge's way to an end at which nobody is cut off, which is how one upgrades it.

From `begin` on no conference starts. Those in which somebody is, talking or waiting for the start,
go on: calls are answered, and PINs of theirs let in, so that whoever drops out gets back. Any other
PIN is told that the service is in maintenance. Hosts are warned, those who come later too. When the
last conference is over the bridge stops, politely to whoever still stands at the door; from then on
new calls get 503.

A time limit ends it in any case, as SIGTERM does; everybody is warned some minutes before.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import structlog

from bridge.errors import AdminError

if TYPE_CHECKING:
    from bridge.conferences import RunningConference
    from bridge.server import Bridge

__all__ = ["LONGEST_S", "Drain"]

LONGEST_S: Final = 86_400.0
"""A prompt can say a day."""

WARNINGS_S: Final = (600.0, 60.0)
"""Before the time limit, everybody is told; left out where it is not at least twice as long."""


class Drain:
    """Whether the bridge drains, and what becomes of its conferences meanwhile.

    Args:
        bridge: the house.
    """

    on_end: Callable[[], None]
    """Called once, when nothing more is to be waited for."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._ends_at: float | None = None
        self._timers: list[asyncio.TimerHandle] = []
        self._log = structlog.get_logger("bridge.drain")
        self.active = False

    @property
    def minutes_left(self) -> int | None:
        """Minutes to the time limit, as a prompt says them; None where there is none."""
        left = self._seconds_left
        return None if left is None else max(1, round(left / 60))

    @property
    def _seconds_left(self) -> float | None:
        return None if self._ends_at is None else max(0.0, self._ends_at - time.monotonic())

    def begin(self, timeout_s: float | None = None) -> dict[str, Any]:
        """Begin to drain; again, with another time limit.

        Args:
            timeout_s: when to end in any case, 0 to a day [s]; None to wait for ever.

        Returns:
            What `state` does.

        Raises:
            AdminError: the time limit is none.
        """
        if timeout_s is not None and not 0 <= timeout_s <= LONGEST_S:
            raise AdminError(f"a drain's time limit is 0 to {LONGEST_S:.0f} s, not {timeout_s!r}")
        self._forget_timers()
        self.active = True
        self._log.info(
            "bridge drains",
            seconds=timeout_s,
            calls=len(self._bridge.calls),
            conferences=len(self._bridge.conferences),
        )
        if timeout_s is not None:
            self._ends_at = time.monotonic() + timeout_s
            self._at(timeout_s, self._out_of_time)
            for warning_s in WARNINGS_S:
                if 2 * warning_s <= timeout_s:
                    self._at(timeout_s - warning_s, self._warn_everybody)
        for running in list(self._bridge.conferences.values()):
            running.maintenance(self.minutes_left)
        self.look()
        return self.state()

    def undo(self) -> dict[str, Any]:
        """Let conferences start again.

        Returns:
            What `state` does.

        Raises:
            AdminError: the bridge does not drain, or stops already.
        """
        if not self.active:
            raise AdminError("the bridge does not drain")
        if self._bridge.stopping:
            raise AdminError("it is too late: the bridge stops already")
        self._forget_timers()
        self.active = False
        self._log.info("drain taken back", calls=len(self._bridge.calls))
        return self.state()

    def state(self) -> dict[str, Any]:
        """Say how far it is, as `dialin drain` and `dialin status` show it."""
        left = self._seconds_left
        return {
            "draining": self.active,
            "stopping": self._bridge.stopping,
            "seconds_left": None if left is None else round(left),
            "calls": len(self._bridge.calls),
            "conferences": len(self._bridge.conferences),
        }

    def greet(self, conference: RunningConference, leg: int) -> None:
        """Tell a host who has just come, or has just become one, what the others were told."""
        if self.active:
            conference.maintenance(self.minutes_left, leg=leg)

    def look(self) -> None:
        """See whether the last conference is over; then the bridge stops."""
        if self.active and not self._bridge.stopping and not self._bridge.conferences:
            self._log.info("bridge has drained", calls=len(self._bridge.calls))
            self._end()

    def _out_of_time(self) -> None:
        self._log.warning("the time to drain is over", calls=len(self._bridge.calls))
        self._end()

    def _end(self) -> None:
        self._forget_timers()
        self._bridge.stopping = True
        self.on_end()

    def _warn_everybody(self) -> None:
        for running in list(self._bridge.conferences.values()):
            running.maintenance(self.minutes_left, everybody=True)

    def _at(self, seconds: float, what: Callable[[], None]) -> None:
        self._timers.append(self._bridge.loop.call_later(seconds, what))

    def _forget_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self._ends_at = None
