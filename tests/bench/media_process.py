"""A media process to measure, driven as the control process drives it."""

import contextlib
import select
import time
from collections.abc import Callable, Iterator, Sequence

from bridge.media.client import MediaClient
from bridge.media.messages import (
    Command,
    EngineError,
    EngineStatistics,
    Event,
    LegClosed,
    LegStatistics,
    Ready,
    Statistics,
)
from tests.bench.cores import pin, tested_core
from tests.bench.programs import LoadError

__all__ = ["MediaProcess", "media_process"]


class MediaProcess:
    """A media process and what it said.

    Args:
        module: what is run.
    """

    def __init__(self, module: str = "bridge.media") -> None:
        self.client = MediaClient.start(module=module)
        pin(self.client.pid, tested_core())
        self.ready = False
        self.statistics: list[EngineStatistics] = []
        self.closed: dict[int, LegStatistics] = {}
        self.errors: list[str] = []

    def hear(self, seconds: float = 0.0) -> None:
        """Take what it says, for so long."""
        deadline = time.monotonic() + seconds
        while True:
            left = max(0.0, deadline - time.monotonic())
            select.select([self.client], [], [], min(left, 0.05))
            for event in self.client.receive():
                self._take(event)
            if not left:
                return

    def _take(self, event: Event) -> None:
        match event:
            case Ready():
                self.ready = True
            case EngineStatistics():
                self.statistics.append(event)
            case LegClosed(leg=leg, statistics=statistics):
                self.closed[leg] = statistics
            case EngineError(what=what):
                self.errors.append(what)
            case _:
                pass

    def tell(self, command: Command, fds: Sequence[int] = ()) -> None:
        """Send a command, hearing the process while its queue is long."""
        while self.client.pending > 64:
            self.hear(0.02)
        self.client.send(command, fds)

    def asked(self) -> EngineStatistics:
        """Return its counters of this moment."""
        have = len(self.statistics)
        self.tell(Statistics())
        self.wait(lambda: len(self.statistics) > have, "its statistics")
        return self.statistics[-1]

    def wait(self, done: Callable[[], bool], what: str, timeout: float = 20.0) -> None:
        """Hear it until something is so.

        Raises:
            LoadError: it did not come about.
        """
        deadline = time.monotonic() + timeout
        while not done():
            if time.monotonic() > deadline:
                raise LoadError(f"the media process did not give {what} in {timeout:.0f} s")
            self.hear(0.02)


@contextlib.contextmanager
def media_process(module: str = "bridge.media") -> Iterator[MediaProcess]:
    """Start one on the core of what is measured, and end it afterwards."""
    media = MediaProcess(module)
    try:
        yield media
    finally:
        media.client.close()
