"""One event at a time: the queue between calls and conferences.

The dial plan's objects are promised that their actions are carried out in order and at once, and
that the next event comes only then. Carrying out an action of a call can be an event for a
conference, whose actions are events for calls. Each such delivery waits here until the one being
handled is done, so nothing is ever handled inside something else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

__all__ = ["Dispatcher"]


class Dispatcher:
    """Deliver events one after the other, in the order in which they were posted.

    Args:
        on_error: told of an exception that a delivery raised; the next one goes on.
    """

    def __init__(self, on_error: Callable[[Exception], None]) -> None:
        self._waiting: deque[Callable[[], None]] = deque()
        self._busy = False
        self._on_error = on_error

    def post(self, deliver: Callable[[], None]) -> None:
        """Deliver now, or after what is being delivered."""
        self._waiting.append(deliver)
        if self._busy:
            return
        self._busy = True
        try:
            while self._waiting:
                try:
                    self._waiting.popleft()()
                except Exception as error:  # noqa: BLE001 - one call's fault must not stop the others
                    self._on_error(error)
        finally:
            self._busy = False
