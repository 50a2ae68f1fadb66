"""Named timers of a call or a conference, as seen from inside: set, stopped, run out.

Nothing here counts time. Setting and stopping become actions for the shell, and a timer that ran
out is believed only if it was running.
"""

from collections.abc import Callable

from dialplan.actions import StartTimer, StopTimer

__all__ = ["Timers"]


class Timers:
    """The timers of one object.

    Args:
        do: Takes each action, in order.
    """

    def __init__(self, do: Callable[[StartTimer | StopTimer], None]) -> None:
        self._do = do
        self._running: set[str] = set()

    @property
    def running(self) -> frozenset[str]:
        """Names of those that run."""
        return frozenset(self._running)

    def runs(self, timer: str) -> bool:
        """Say whether a timer runs."""
        return timer in self._running

    def start(self, timer: str, seconds: float) -> None:
        """Set a timer, again if it runs."""
        self._running.add(timer)
        self._do(StartTimer(timer, seconds))

    def stop(self, *timers: str) -> None:
        """Stop timers; those that do not run are left out."""
        for timer in timers:
            if timer in self._running:
                self._running.discard(timer)
                self._do(StopTimer(timer))

    def stop_all(self) -> None:
        """Stop every timer, in the order of their names."""
        self.stop(*sorted(self._running))

    def fired(self, timer: str) -> bool:
        """Note that a timer ran out.

        Returns:
            Whether it was running; if not, it is to be ignored.
        """
        if timer not in self._running:
            return False
        self._running.discard(timer)
        return True
