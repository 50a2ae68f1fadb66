"""Media processes under their supervisor, with real RTP legs, to do them harm."""

import asyncio
import contextlib
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import structlog

from bridge.media.messages import Event, LegMedia, OpenLeg, Place
from bridge.media.ports import open_pair
from bridge.supervisor import MediaSupervisor
from tests.bench.floor import HOST, FarEnds
from tests.bench.programs import LoadError, LoadProgram, raise_file_limit
from tests.bench.sounds import speech
from tests.support import g711

__all__ = ["Supervised", "supervised"]

PORTS: Final = (16384, 32767)
"""Below the kernel's ports for clients, which the load generator takes."""

SETTLE_S: Final = 2.0
"""Sources latch, the spare starts."""


class Supervised:
    """A supervisor, the far ends of its legs, and who watches the machine.

    Args:
        far: the far ends.
        stall: the watcher.
        processes: how many media processes there are.
    """

    def __init__(self, far: LoadProgram, stall: LoadProgram, processes: int) -> None:
        self.far = far
        self.stall = stall
        self.far_ports: list[int] = []
        self.failures: list[str] = []
        self.watchers: list[Callable[[Event], None]] = []
        bank = np.zeros(8000, np.int16)
        self.supervisor = MediaSupervisor(
            bank, self._heard, self.failures.append, processes=processes
        )

    def _heard(self, event: Event) -> None:
        for watcher in self.watchers:
            watcher(event)

    def open_leg(self, leg: int, far_port: int, room: int) -> int:
        """Open a leg to a far end, put it into a room, and return its port."""
        pair = open_pair(HOST, *PORTS)
        media = LegMedia(codec="PCMU", payload_type=0, remote_rtp=(HOST, far_port))
        self.supervisor.open_leg(OpenLeg(leg=leg, media=media, ssrc=leg, cname=f"b{leg}"), pair)
        self.supervisor.send(Place(leg=leg, room=room))
        return pair.port

    async def ask(self, program: LoadProgram, word: str) -> dict[str, Any]:
        """Ask a load program something while the supervisor goes on."""
        program.tell(word)
        return await asyncio.to_thread(program.answer, 20.0)

    async def until(self, holds: Callable[[], object], what: str, seconds: float = 20.0) -> None:
        """Wait until something is so.

        Raises:
            LoadError: it did not come about, or the supervisor gave up.
        """
        for _ in range(int(seconds / 0.01)):
            if self.failures:
                raise LoadError(f"the supervisor gave up: {self.failures[0]}")
            if holds():
                return
            await asyncio.sleep(0.01)
        raise LoadError(f"{what} did not come about in {seconds:.0f} s")

    async def lose(self, number: int) -> None:
        """Send the first media process a signal and wait until it is replaced."""
        replaced = self.supervisor.replaced
        pid = self.supervisor.pid
        assert pid is not None
        os.kill(pid, number)
        await self.until(lambda: self.supervisor.replaced > replaced, "a successor")

    async def spare(self) -> None:
        """Wait until there is a spare."""
        await self.until(lambda: self.supervisor.spares, "a spare process")


@contextlib.contextmanager
def _log_to_stderr() -> Iterator[None]:
    """Keep what the supervisor logs out of the result."""
    before = structlog.get_config()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    try:
        yield
    finally:
        structlog.configure(**before)


@contextlib.asynccontextmanager
async def supervised(
    legs: int, rooms: int, seconds: float, processes: int = 1
) -> AsyncIterator[Supervised]:
    """Start a supervisor and so many legs that all talk, for at most so long."""
    raise_file_limit(8 * legs + 4096)
    with _log_to_stderr(), tempfile.TemporaryDirectory(prefix="dialin-bench-") as name:
        sound = Path(name) / "sound"
        sound.write_bytes(g711.encode(speech(legs).reshape(-1), g711.PCMU))
        with (
            FarEnds(legs, sound, g711.PCMU).program(seconds + 60) as far,
            LoadProgram("stall", int(seconds) + 60) as stall,
        ):
            stall.answer(10.0)
            far_ports = far.answer(20.0)["ports"]
            all_of_it = Supervised(far, stall, processes)
            all_of_it.far_ports = far_ports
            await all_of_it.supervisor.start()
            try:
                ports = []
                for leg, far_port in enumerate(far_ports, 1):
                    ports.append(all_of_it.open_leg(leg, far_port, 1 + (leg - 1) % rooms))
                    if leg % 50 == 0:
                        await asyncio.sleep(0.02)
                far.tell(" ".join(map(str, ports)))
                await asyncio.sleep(SETTLE_S)
                await all_of_it.spare()
                yield all_of_it
            finally:
                await all_of_it.supervisor.stop()
