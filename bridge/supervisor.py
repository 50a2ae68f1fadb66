"""The media process, looked after: started, watched, replaced, ended.

The control process keeps a duplicate of every leg's sockets and the last word it said about the
leg. When a media process dies or hangs, the old one is killed and reaped first (two readers of one
socket steal each other's packets), a new one is started, and every leg is opened in it again with
its place, its music and what it was being told. Callers notice a gap; no call ends.

The counters of a leg begin at nought in the new process; what the old one had counted is added, so
that a call detail record is of the whole call.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
import structlog

from bridge.errors import StartError
from bridge.media.client import MediaClient
from bridge.media.errors import ChannelFull, MediaError, MediaProcessEnded
from bridge.media.messages import (
    ChangeLeg,
    CloseLeg,
    Command,
    Configure,
    EngineStatistics,
    Event,
    Heartbeat,
    LegClosed,
    LegStatistics,
    OpenLeg,
    Place,
    Play,
    PlayFinished,
    Ready,
    Statistics,
    StopPlay,
)
from bridge.media.ports import MediaPair

__all__ = ["MediaSupervisor"]

START_TIMEOUT_S: Final = 15.0
"""Python and numpy alone took 200 to 490 ms; a machine that boots may take long over its disk."""

HANG_S: Final = 5.0
"""Heartbeats come each second; five missed ones are no pause of the machine."""

WATCH_S: Final = 1.0
ANSWER_S: Final = 2.0

RESTARTS: Final = 5
"""As many in `RESTART_WINDOW_S`, and the fault is not the process's: the bridge gives up."""

RESTART_WINDOW_S: Final = 60.0

BUSY_MS: Final = 16.0
"""The 95th percentile of a second's ticks, of 20 ms, above which the machine is full."""

BUSY_BEATS: Final = 3
"""As many seconds in a row: a machine that stumbles once is not full."""

ADDED_UP: Final = tuple(
    name
    for name in LegStatistics.__struct_fields__
    if name not in {"leg", "jitter_ms", "rtt_ms", "remote_jitter_ms", "playout_ms", "dtmf_method"}
)
"""Fields of `LegStatistics` that count from the start of the process, not of the call."""


@dataclass(slots=True)
class _HeldLeg:
    """What control knows of a leg: enough to open it in another process."""

    opened: OpenLeg
    pair: MediaPair
    place: Place | None = None
    background: Play | None = None
    foreground: dict[int, Play] = field(default_factory=dict)
    before: LegStatistics | None = None
    latest: LegStatistics | None = None
    closing: bool = False

    def total(self, now: LegStatistics) -> LegStatistics:
        """Add what earlier processes had counted."""
        if self.before is None:
            return now
        sums = {name: getattr(self.before, name) + getattr(now, name) for name in ADDED_UP}
        sums["dtmf_method"] = now.dtmf_method or self.before.dtmf_method
        return msgspec.structs.replace(now, **sums)


class MediaSupervisor:
    """One media process at a time, and the legs that live in it.

    Args:
        bank: prompts and tones, int16, `(samples,)`, 8 kHz.
        on_event: told every event of the media process, in the event loop.
        on_failed: told once when no media process can be kept alive.
        options: of the engine, told to each media process before its first leg.
    """

    def __init__(
        self,
        bank: npt.NDArray[np.int16],
        on_event: Callable[[Event], None],
        on_failed: Callable[[str], None],
        options: Configure | None = None,
    ) -> None:
        self._bank = bank
        self._on_event = on_event
        self._on_failed = on_failed
        self._options = options if options is not None else Configure()
        self._log = structlog.get_logger("bridge.supervisor")
        self._client: MediaClient | None = None
        self._legs: dict[int, _HeldLeg] = {}
        self._ready = asyncio.Event()
        self._heard = 0.0
        self._restarts: list[float] = []
        self._watch: asyncio.Task[None] | None = None
        self._writing = False
        self._asked: list[asyncio.Future[EngineStatistics]] = []
        self.heartbeat: Heartbeat | None = None
        self._busy_beats = 0
        self.replaced = 0
        self.dropped_commands = 0

    # -- life -----------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start the first media process and wait until it ticks.

        Raises:
            StartError: it did not come up.
        """
        self._spawn()
        try:
            await asyncio.wait_for(self._ready.wait(), START_TIMEOUT_S)
        except TimeoutError:
            self._drop_client()
            raise StartError(
                f"the media process did not start within {START_TIMEOUT_S:.0f} s",
                "Its own words are in the log above; `dialin doctor` looks for the usual causes.",
            ) from None
        self._watch = asyncio.create_task(self._watch_heartbeats(), name="media-watch")

    async def stop(self) -> None:
        """End the process; every leg is closed."""
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
        client, self._client = self._client, None
        if client is not None:
            self._unwatch(client)
            await asyncio.to_thread(client.close)
        for held in self._legs.values():
            held.pair.close()
        self._legs.clear()

    @property
    def pid(self) -> int | None:
        """The media process's identifier; None while there is none."""
        return self._client.pid if self._client is not None else None

    @property
    def legs(self) -> int:
        """Legs open now."""
        return len(self._legs)

    @property
    def overloaded(self) -> bool:
        """The ticks come near to their deadline, second after second: take nobody more in."""
        return self._busy_beats >= BUSY_BEATS

    # -- commands -------------------------------------------------------------------------------

    def open_leg(self, command: OpenLeg, pair: MediaPair) -> None:
        """Open a leg; the pair is this object's from now on, and closed with the leg."""
        self._legs[command.leg] = _HeldLeg(opened=command, pair=pair)
        self._send(command, (pair.rtp.fileno(), pair.rtcp.fileno()))

    def send(self, command: Command) -> None:
        """Say something to the media process, and remember it where a successor has to know."""
        self._remember(command)
        self._send(command)

    async def statistics(self) -> EngineStatistics | None:
        """Ask the engine for its state.

        Returns:
            Its answer; None when none came within two seconds.
        """
        future: asyncio.Future[EngineStatistics] = asyncio.get_running_loop().create_future()
        self._asked.append(future)
        self._send(Statistics())
        try:
            return await asyncio.wait_for(future, ANSWER_S)
        except TimeoutError:
            return None
        finally:
            if future in self._asked:
                self._asked.remove(future)

    # -- the channel ----------------------------------------------------------------------------

    def _send(self, command: Command, fds: tuple[int, ...] = ()) -> None:
        client = self._client
        if client is None:
            return  # the successor is told from what is remembered
        try:
            client.send(command, fds)
        except MediaProcessEnded:
            self._replace("died")
        except ChannelFull:
            self.dropped_commands += 1
            self._replace("hangs")
        else:
            self._watch_writing(client)

    def _remember(self, command: Command) -> None:
        leg = getattr(command, "leg", None)
        held = self._legs.get(leg) if leg is not None else None
        if held is None:
            return
        match command:
            case ChangeLeg(media=media):
                held.opened = msgspec.structs.replace(held.opened, media=media)
            case Place():
                held.place = command
            case Play(loop=True):
                held.background = command
            case Play():
                held.foreground[command.play] = command
            case StopPlay(play=None):
                held.background = None
                held.foreground.clear()
            case StopPlay(play=play):
                self._forget_play(held, play)
            case _:
                pass

    @staticmethod
    def _forget_play(held: _HeldLeg, play: int | None) -> None:
        if held.background is not None and held.background.play == play:
            held.background = None
        if play is not None:
            held.foreground.pop(play, None)

    def _spawn(self) -> None:
        client = MediaClient.start(self._bank, self._options)
        self._client = client
        self._heard = time.monotonic()
        asyncio.get_running_loop().add_reader(client.fileno(), self._readable, client)
        self._watch_writing(client)

    def _watch_writing(self, client: MediaClient) -> None:
        if client.pending and not self._writing:
            self._writing = True
            asyncio.get_running_loop().add_writer(client.fileno(), self._writable, client)

    def _writable(self, client: MediaClient) -> None:
        try:
            client.flush()
        except MediaProcessEnded:
            self._replace("died")
            return
        if not client.pending:
            self._writing = False
            asyncio.get_running_loop().remove_writer(client.fileno())

    def _readable(self, client: MediaClient) -> None:
        try:
            events = client.receive()
        except MediaProcessEnded:
            if client is self._client:
                self._replace("died")
            return
        for event in events:
            self.take(event)

    def take(self, event: Event) -> None:
        """Take what the media process says: keep what control must know, and hand it on."""
        match event:
            case Ready():
                self._heard = time.monotonic()
                self._ready.set()
            case Heartbeat():
                self._heard = time.monotonic()
                self.heartbeat = event
                busy = event.tick_ms_p95 > BUSY_MS
                self._busy_beats = self._busy_beats + 1 if busy else 0
            case EngineStatistics():
                for future in self._asked:
                    if not future.done():
                        future.set_result(event)
            case LegStatistics() | LegClosed() | PlayFinished():
                event = self._of_leg(event)
            case _:
                pass
        self._on_event(event)

    def _of_leg(
        self, event: LegStatistics | LegClosed | PlayFinished
    ) -> LegStatistics | LegClosed | PlayFinished:
        """Keep what control knows of the leg up to date, and count over all its processes."""
        held = self._legs.get(event.leg) if event.leg is not None else None
        if held is None:
            return event
        match event:
            case LegStatistics():
                held.latest = held.total(event)
                return held.latest
            case LegClosed(leg=leg, statistics=statistics):
                del self._legs[leg]
                held.pair.close()
                return LegClosed(leg=leg, statistics=held.total(statistics))
            case PlayFinished(play=play):
                self._forget_play(held, play)
        return event

    # -- replacing ------------------------------------------------------------------------------

    async def _watch_heartbeats(self) -> None:
        while True:
            await asyncio.sleep(WATCH_S)
            if self._client is not None and time.monotonic() - self._heard > HANG_S:
                self._replace("hangs")

    def _unwatch(self, client: MediaClient) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(client.fileno())
        loop.remove_writer(client.fileno())
        self._writing = False

    def _drop_client(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            self._unwatch(client)
            client.kill()

    def _replace(self, why: str) -> None:
        """Put a new process in the place of one that died or hangs."""
        self._drop_client()
        now = time.monotonic()
        self._restarts = [at for at in self._restarts if now - at < RESTART_WINDOW_S]
        self._restarts.append(now)
        self._log.error("media process replaced", reason=why, legs=len(self._legs))
        if len(self._restarts) > RESTARTS:
            self._on_failed(
                f"the media process ended {len(self._restarts)} times within"
                f" {RESTART_WINDOW_S:.0f} s"
            )
            return
        self.replaced += 1
        try:
            self._spawn()
        except (MediaError, OSError) as error:
            self._on_failed(f"the media process cannot be started: {error}")
            return
        successor = self._client
        for held in list(self._legs.values()):
            if self._client is not successor:
                return  # that one ended too, and its own successor has every leg
            self._reopen(held)

    def _reopen(self, held: _HeldLeg) -> None:
        """Open a leg in a new process, as it was in the old one."""
        leg = held.opened.leg
        if held.closing:
            self.take(LegClosed(leg=leg, statistics=LegStatistics(leg=leg)))
            return
        held.before = held.latest
        # A new synchronisation source: where the old one's sequence stood died with its process,
        # and a receiver takes a new source at once where it distrusts a leap of a known one.
        held.opened = msgspec.structs.replace(
            held.opened, ssrc=secrets.randbelow(2**32 - 1) + 1, sequence=None, timestamp=None
        )
        self._send(held.opened, (held.pair.rtp.fileno(), held.pair.rtcp.fileno()))
        if held.place is not None:
            self._send(held.place)
        if held.background is not None:
            self._send(held.background)
        for play in list(held.foreground.values()):
            self._send(play)
        self._log.debug("leg reopened", leg=leg)

    def closing(self, leg: int) -> LegStatistics:
        """Ask for a leg's end.

        Args:
            leg: the leg.

        Returns:
            The last counters heard, for a record that cannot wait for `LegClosed`.
        """
        held = self._legs.get(leg)
        latest = held.latest if held is not None else None
        if held is not None:
            held.closing = True
        self._send(CloseLeg(leg=leg))
        return latest if latest is not None else LegStatistics(leg=leg)
