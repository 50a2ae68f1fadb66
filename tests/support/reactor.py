"""One thread that reads sockets and keeps time for every test phone of a process.

A phone's callbacks run in this thread and must not block.  Deadlines are kept, not delays: a
packet that is due every 20 ms is due at start + n x 20 ms however late its predecessor went.
"""

import contextlib
import heapq
import itertools
import selectors
import socket
import threading
import time
import traceback
from collections.abc import Callable

__all__ = ["Reactor", "Timer", "reactor"]


class Timer:
    """A callback that is due at a time of the monotonic clock."""

    __slots__ = ("action", "at", "cancelled")

    def __init__(self, at: float, action: Callable[[], None]) -> None:
        """Remember what is due when.

        Args:
            at: `time.monotonic()` seconds.
            action: What to run in the reactor's thread.
        """
        self.at = at
        self.action = action
        self.cancelled = False

    def cancel(self) -> None:
        """Do not run the action any more."""
        self.cancelled = True


class Reactor:
    """The thread, its selector and its heap of timers."""

    def __init__(self) -> None:
        """Start the thread; it ends with the process."""
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._lock = threading.Lock()
        self._wake, other_end = socket.socketpair()
        self._wake.settimeout(0)
        other_end.settimeout(0)
        self._woken = other_end
        self._selector.register(other_end, selectors.EVENT_READ, self._drain)
        self.faults: list[str] = []
        """Tracebacks of callbacks that failed; the fixtures fail a test that left one."""
        self._thread = threading.Thread(target=self._run, name="test-phones", daemon=True)
        self._thread.start()

    def add(self, sock: socket.socket, on_readable: Callable[[], None]) -> None:
        """Watch a non-blocking socket.

        Args:
            sock: The socket.
            on_readable: Called in the reactor's thread when it can be read.
        """
        with self._lock:
            self._selector.register(sock, selectors.EVENT_READ, on_readable)
        self._nudge()

    def remove(self, sock: socket.socket) -> None:
        """Stop watching a socket; the caller closes it.

        Args:
            sock: The socket, watched or not.
        """
        with self._lock:
            try:
                self._selector.unregister(sock)
            except (KeyError, ValueError):
                return
        self._nudge()

    def call_at(self, at: float, action: Callable[[], None]) -> Timer:
        """Run something at a time.

        Args:
            at: `time.monotonic()` seconds.
            action: What to run in the reactor's thread.

        Returns:
            The timer, to cancel it.
        """
        timer = Timer(at, action)
        with self._lock:
            first = not self._timers or at < self._timers[0][0]
            heapq.heappush(self._timers, (at, next(self._order), timer))
        if first and threading.current_thread() is not self._thread:
            self._nudge()
        return timer

    def _nudge(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wake.send(b"!")

    def _drain(self) -> None:
        self._woken.recv(4096)

    def _guarded(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception:  # noqa: BLE001 - one phone's fault must not silence the others
            self.faults.append(traceback.format_exc())

    def _run(self) -> None:
        while True:
            with self._lock:
                wait = self._timers[0][0] - time.monotonic() if self._timers else 1.0
            for key, _ in self._selector.select(max(0.0, min(wait, 1.0))):
                self._guarded(key.data)
            now = time.monotonic()
            while True:
                with self._lock:
                    if not self._timers or self._timers[0][0] > now:
                        break
                    _, _, timer = heapq.heappop(self._timers)
                if not timer.cancelled:
                    self._guarded(timer.action)


_shared: list[Reactor] = []
_shared_lock = threading.Lock()


def reactor() -> Reactor:
    """Return the process's reactor, started at the first call."""
    with _shared_lock:
        if not _shared:
            _shared.append(Reactor())
        return _shared[0]
