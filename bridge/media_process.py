"""One media process as the supervisor has it: its channel, its state page, whether it lives.

The event loop reads and writes the channel. Whether the process ticks is seen in its page, forty
times a second, without a word from it: a heartbeat that has to be sent and read says as much about
the reader.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media.client import MediaClient
from bridge.media.errors import ChannelFull, MediaProcessEnded
from bridge.media.forks import Forks
from bridge.media.messages import Command, Configure, Event, Ready, UsePage
from bridge.media.name_messages import UseNames
from bridge.media.page import Records, StateView

__all__ = ["LOOK_S", "MediaProcess", "Silence", "memory_of"]

LOOK_S: Final = 0.025
"""Between two looks at a process: half of it is added to what a hang costs."""

MEMORY_LOOKS: Final = 40
"""Looks between two at its memory."""

TOGETHER: Final = 1024
"""So many commands are not kept back for others: two for each person of a large conference."""

OPENING_S: Final = 1.0
"""What is forgiven a process that takes a post."""

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_NS: Final = 1e-9


class Silence:
    """How long a process has made no tick by its own fault.

    A machine that stalls, stalls whoever looks as well: between two looks no more counts than twice
    what they should be apart. And who stands in the kernel's queue for a core does not hang.
    """

    def __init__(self, now: float) -> None:
        self._looked_at = now
        self._ticked_at = 0.0
        self._waited = 0.0
        self.seconds = 0.0

    def forgive(self, seconds: float) -> None:
        """Do not count the silence of a moment that is known to be long."""
        self.seconds = -seconds

    def look(self, now: float, ticked_at: float, waited: float) -> float:
        """Take note of what is seen.

        Args:
            now: monotonic time [s].
            ticked_at: when the last tick began [s].
            waited: how long the process has waited for a core in its life [s].

        Returns:
            How long it has been silent [s].
        """
        passed = min(now - self._looked_at, 2 * LOOK_S)
        waited_since = waited - self._waited
        self._looked_at, self._waited = now, waited
        if ticked_at != self._ticked_at:
            self._ticked_at = ticked_at
            self.seconds = min(self.seconds + passed, 0.0)
        else:
            self.seconds += max(0.0, passed - waited_since)
        return self.seconds


class MediaProcess:
    """A media process.

    Args:
        bank: prompts and tones, int16, `(samples,)`, 8 kHz.
        options: of the engine.
        heard: told what it says.
        ended: told, once, why it has to be replaced; it may still run.
        forks: where it comes from.
        names: descriptor of the area for names that callers speak; none where not given.

    Raises:
        MediaError: it could not be told what it needs.
        OSError: it could not be started.
    """

    def __init__(
        self,
        bank: npt.NDArray[np.int16],
        options: Configure,
        heard: Callable[[MediaProcess, Event], None],
        ended: Callable[[MediaProcess, str], None],
        forks: Forks,
        names: int | None = None,
    ) -> None:
        self._heard = heard
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._client = MediaClient.fork(forks, bank, options)
        self._view = StateView()
        self._writing = False
        self._flushing = False
        self._over = False
        self.started_at = time.monotonic()
        self.in_charge_since = self.started_at
        self.silence = Silence(self.started_at)
        self.ready = False
        self._looks = 0
        self._loop.add_reader(self._client.fileno(), self._readable)
        self.send(UsePage(), (self._view.descriptor,))
        if names is not None:
            self.send(UseNames(), (names,))

    @property
    def record_type(self) -> np.dtype[np.void]:
        """The type of its legs' records."""
        return self._view.record_type()

    @property
    def listens(self) -> bool:
        """It can be told something; else somebody comes in its place."""
        return not self._over

    @property
    def pid(self) -> int:
        """Its process identifier; known when it is ready.

        Raises:
            ProcessLookupError: it has not been forked yet.
        """
        return self._client.pid

    # -- the channel ----------------------------------------------------------------------------

    def send(self, command: Command, fds: tuple[int, ...] = ()) -> None:
        """Say something to it; once it has ended, nothing is said any more.

        What is said in one turn of the event loop goes together.
        """
        if self._over:
            return
        try:
            self._client.queue(command, fds)
        except ChannelFull:
            self._end("hangs")
            return
        if self._writing:
            return  # it goes when the process has read what is before it
        if self._client.pending >= TOGETHER:
            self._flush()
        elif not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        if self._over:
            return
        try:
            self._client.flush()
        except MediaProcessEnded:
            self._end("died")
            return
        if self._client.pending and not self._writing:
            self._writing = True
            self._loop.add_writer(self._client.fileno(), self._writable)

    def _writable(self) -> None:
        try:
            self._client.flush()
        except MediaProcessEnded:
            self._end("died")
            return
        if not self._client.pending:
            self._writing = False
            self._loop.remove_writer(self._client.fileno())

    def _readable(self) -> None:
        try:
            events = self._client.receive()
        except MediaProcessEnded:
            self._end("died")
            return
        for event in events:
            self._take(event)

    def _take(self, event: Event) -> None:
        if isinstance(event, Ready):
            self.ready = True
            self.silence = Silence(time.monotonic())
        self._heard(self, event)

    def _end(self, why: str) -> None:
        """Tell once that it has to be replaced; not from within what asked something of it."""
        if not self._over:
            self._over = True
            self._unwatch()
            self._loop.call_soon(self._ended, self, why)

    def _unwatch(self) -> None:
        self._loop.remove_reader(self._client.fileno())
        self._loop.remove_writer(self._client.fileno())
        self._writing = False

    # -- life and death -------------------------------------------------------------------------

    def take_charge(self) -> None:
        """Begin to answer for legs; the first tick may have hundreds of them to open."""
        self.in_charge_since = time.monotonic()
        self.silence.forgive(OPENING_S)

    def look(self, hang_s: float, memory_bytes: int, start_s: float) -> None:
        """See whether it ticks and how large it is, and tell where something is wrong.

        Args:
            hang_s: how long it may make no tick [s].
            memory_bytes: how much memory it may have.
            start_s: how long it may take to start [s].
        """
        if self._over:
            return
        if not self.ready:
            if time.monotonic() - self.started_at > start_s:
                self._end("did not start")
            return
        silent = self.silence.look(time.monotonic(), self._view.ticked_at(), _waited(self.pid))
        self._looks += 1
        if silent > hang_s:
            self._end("hangs")
        elif self._looks % MEMORY_LOOKS == 0 and memory_of(self.pid) > memory_bytes:
            self._end("leaks")

    def bury(self) -> Records:
        """Kill and reap it, hear its last words, and let go of it.

        Returns:
            Where its legs stood.
        """
        self._over = True
        self._unwatch()
        for event in self._client.last_words():
            self._heard(self, event)
        records = self._view.read()
        self._view.close()
        return records

    async def stop(self) -> None:
        """Let it end by itself, or kill it."""
        self._over = True
        self._unwatch()
        await asyncio.to_thread(self._client.close)
        self._view.close()


def _waited(pid: int) -> float:
    """Return how long a process's main thread has waited for a core [s]; 0 if unknown."""
    try:
        text = Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii")
        return int(text.split()[1]) * _NS
    except (OSError, ValueError, IndexError):
        return 0.0


def memory_of(pid: int) -> int:
    """Return the resident memory of a process that is no page of a file [bytes]; 0 if unknown."""
    try:
        fields = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()
        return (int(fields[1]) - int(fields[2])) * _PAGE
    except (OSError, ValueError, IndexError):
        return 0
