"""The media processes, looked after: started, watched, loaded evenly, replaced, ended.

There is a post for each configured process, and warm spares: started beforehand, with tables and
prompts loaded, ticking without a leg. A leg begins at the post with the least load and moves to the
post of its conference when it joins one, for a conference never spans processes::

    post 0   process ── legs, rooms        a process dies, hangs or leaks: it is killed and reaped
    post 1   process ── legs, rooms        first (two readers of one socket steal each other's
    spare    process                       packets), then a spare takes its post and every leg

Control keeps a duplicate of every leg's sockets and the last word it said about the leg
(`held_legs`); where the leg stood is read from the dead process's state page. So the far end hears
the same synchronisation source go on, prompts and music near where they were, and its own counters
count on. Callers notice a gap; no call ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable
from itertools import chain
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import structlog

from bridge.errors import StartError
from bridge.held_legs import HeldLeg
from bridge.media.errors import MediaError
from bridge.media.forks import Forks
from bridge.media.latching import Source
from bridge.media.messages import (
    CloseLeg,
    Command,
    Configure,
    EngineStatistics,
    Event,
    GiveLegs,
    Heartbeat,
    LegClosed,
    LegGiven,
    LegStatistics,
    OpenLeg,
    OpenLegs,
    Place,
    Play,
    PlayFinished,
    Ready,
    SharePort,
    Statistics,
    StopPlay,
)
from bridge.media.ports import MediaPair
from bridge.media.tap_ring import TapRing
from bridge.media_process import LOOK_S, MediaProcess
from bridge.port_sharing import PortSharing, SharedPlace
from bridge.posts import TICK_MS, Busy, Post, least_loaded
from bridge.second_places import SecondPlaces
from bridge.tapping import Tapping

__all__ = ["HANG_S", "MediaSupervisor", "default_processes"]

START_TIMEOUT_S: Final = 90.0
"""It takes a second, but 10 to 30 s of a core where the mixer must be compiled (it was changed, or
there is no place to keep what was compiled); a machine that boots may take long over its disk."""

HANG_S: Final = 0.3
"""Fifteen ticks without one, by the process's own fault (`media_process.Silence`): a caller who is
handed to the spare then has missed half a second at most."""

ANSWER_S: Final = 2.0

SPARES: Final = 1

SPARE_DELAY_S: Final = 0.5
"""The next spare starts when the last one has settled on its post, where it has legs to open."""

QUICK_S: Final = 2.0
QUICK_DEATHS: Final = 5
"""As many processes in a row that ended within `QUICK_S` of taking a post, or before: the fault is
not the process's, and the bridge gives up."""

HANDED_AT_ONCE: Final = 100
"""Legs in a message: 200 descriptors, of 253 that the kernel passes."""

MOST_BY_DEFAULT: Final = 4
"""Processes where nobody says how many: each takes memory, and a moment of a core when idle too."""

STAY: Final = 0.1
"""A new room stays where its first leg is unless another post has so much less to bear: who does
not move, misses nothing."""


class MediaSupervisor:
    """The media processes and the legs that live in them.

    Args:
        bank: prompts and tones, int16, `(samples,)`, 8 kHz.
        on_event: told every event of the media processes, in the event loop.
        on_failed: told once when no media process can be kept alive.
        options: of the engine, told to each media process before its first leg.
        processes: how many there are, without the spare.
        tick_share: of 20 ms that the 95th percentile of ticks may take before calls are refused.
        sharing: shared ports, where there are any.
        memory_mb: resident memory at which a process is taken for leaking.
    """

    def __init__(
        self,
        bank: npt.NDArray[np.int16],
        on_event: Callable[[Event], None],
        on_failed: Callable[[str], None],
        options: Configure | None = None,
        *,
        processes: int = 1,
        tick_share: float = 0.7,
        memory_mb: int = 1024,
        sharing: PortSharing | None = None,
    ) -> None:
        self._bank = bank
        self._on_event = on_event
        self._on_failed = on_failed
        self._options = options if options is not None else Configure()
        self._tick_share = tick_share
        self._memory_bytes = memory_mb << 20
        self._sharing = sharing
        self.forks = Forks()
        """Where processes come from, ended with them: whoever has begun one puts it here."""
        self._names: int | None = None
        self._log = structlog.get_logger("bridge.supervisor")
        self._posts = [Post(number, Busy(tick_share)) for number in range(processes)]
        self._tapping = Tapping(self._posts)
        self._spares: list[MediaProcess] = []
        self._legs: dict[int, HeldLeg] = {}
        self.places = SecondPlaces(self._legs)
        self._all_ready = asyncio.Event()
        self._quick_deaths = 0
        self._stopping = False
        self._gave_up: str | None = None
        self._watch: asyncio.Task[None] | None = None
        self._asked: dict[MediaProcess, asyncio.Future[EngineStatistics]] = {}
        self._lost_before = 0
        self.replaced = 0

    # -- life -----------------------------------------------------------------------------------

    def use_names(self, descriptor: int) -> None:
        """Let media processes record names that callers speak; told before they start.

        Args:
            descriptor: of the area (`names_area`), the caller's.
        """
        self._names = descriptor

    async def start(self) -> None:
        """Start the media processes and wait until each ticks; the spare comes after.

        Raises:
            StartError: they did not come up.
        """
        self._watch = asyncio.create_task(self._look(), name="media-watch")
        self._keep_spares()
        try:
            await asyncio.wait_for(self._all_ready.wait(), START_TIMEOUT_S)
        except TimeoutError:
            self._gave_up = f"the media processes did not start within {START_TIMEOUT_S:.0f} s"
        if self._gave_up is not None:
            await self.stop()
            raise StartError(
                self._gave_up,
                "Their own words are in the log above; `dialin doctor` looks for the usual causes.",
            )

    async def stop(self) -> None:
        """End the processes; every leg is closed."""
        self._stopping = True
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
        processes = self._processes()
        self._spares.clear()
        for post in self._posts:
            post.process = None
        self.forks.close()  # first: who has not been forked yet need not be waited for
        await asyncio.gather(*(process.stop() for process in processes))
        for held in self._legs.values():
            held.close()
        self._legs.clear()
        self._tapping.close()
        if self._sharing is not None:
            self._sharing.close()

    def _processes(self) -> list[MediaProcess]:
        return [*(post.process for post in self._posts if post.process), *self._spares]

    @property
    def pid(self) -> int | None:
        """The first post's process; None while there is none."""
        process = self._posts[0].process
        return process.pid if process is not None else None

    @property
    def pids(self) -> list[int]:
        """All processes that hold a post."""
        return [post.process.pid for post in self._posts if post.process is not None]

    @property
    def spares(self) -> list[int]:
        """The spare processes that are ready."""
        return [spare.pid for spare in self._spares if spare.ready]

    @property
    def posts(self) -> tuple[Post, ...]:
        """The posts, for whoever watches."""
        return tuple(self._posts)

    @property
    def lost_by_bridge(self) -> int:
        """Packets lost by fault of the bridge, as of the last heartbeats."""
        beats = (post.beat.lost_by_bridge for post in self._posts if post.beat is not None)
        return self._lost_before + sum(beats)

    @property
    def legs(self) -> int:
        """Legs open now."""
        return len(self._legs)

    @property
    def overloaded(self) -> bool:
        """The ticks of all, or one's by far, come near to their deadline: take nobody more in."""
        by_far = (1 + self._tick_share) / 2
        return all(post.busy.now for post in self._posts) or any(
            post.busy.now and post.share > by_far for post in self._posts
        )

    # -- commands -------------------------------------------------------------------------------

    def reserve(self, remote: Source, leg: int | None = None) -> SharedPlace | None:
        """Find a place on a shared port for a leg.

        Args:
            remote: where its media will come from.
            leg: one that is open already: the place is in the process that has it.

        Returns:
            Its place, to be closed with the leg; None where there is none.

        Raises:
            DescriptorsExhausted: this process may not open more files.
            OSError: the ports cannot be opened.
        """
        if self._sharing is None:
            return None
        held = self._legs.get(leg) if leg is not None else None
        post = least_loaded(self._posts) if held is None else held.moves_to or held.post
        fresh = not self._sharing.has(post.number)
        ports = self._sharing.of(post.number)
        if fresh:
            self._share(post)
        return ports.reserve(remote)

    def _share(self, post: Post) -> None:
        """Hand the post's shared ports to its process, which keeps them."""
        if self._sharing is None or post.process is None or not self._sharing.has(post.number):
            return
        for index, pair in enumerate(self._sharing.of(post.number).pairs):
            post.process.send(SharePort(port=index), pair.descriptors)

    def open_leg(self, command: OpenLeg, sockets: MediaPair | SharedPlace) -> None:
        """Open a leg; its sockets or place are this object's from now on, and closed with it."""
        post = least_loaded(self._posts)
        if isinstance(sockets, SharedPlace) and self._sharing is not None:
            post = self._posts[self._sharing.number(sockets.ports)]
        held = HeldLeg(opened=command, sockets=sockets, post=post)
        self._legs[command.leg] = held
        post.legs.add(command.leg)
        if post.process is not None:
            post.process.send(command, held.descriptors)

    def send(self, command: Command) -> None:
        """Say something about a leg or a room, and remember it where a successor has to know."""
        room = getattr(command, "room", None)
        if isinstance(command, Play | StopPlay) and room is not None:
            self._say_to_room(room, command)
            return
        held = self._legs.get(getattr(command, "leg", 0))
        if held is None:
            return
        before = held.place.room if held.place is not None else None
        kept = held.remember(command)
        if isinstance(command, Place) and command.room != before:
            self._change_room(held, before, command.room)
        self._say(held, command, kept=kept)

    def closing(self, leg: int) -> LegStatistics:
        """Ask for a leg's end.

        Args:
            leg: the leg.

        Returns:
            The last counters heard, for a record that cannot wait for `LegClosed`.
        """
        held = self._legs.get(leg)
        if held is None:
            return LegStatistics(leg=leg)
        held.closing = True
        self._say(held, CloseLeg(leg=leg), kept=True)
        return held.latest if held.latest is not None else LegStatistics(leg=leg)

    def _say(self, held: HeldLeg, command: Command, *, kept: bool) -> None:
        """Tell the leg's process; one that is on its way is told what is not kept on arrival."""
        process = held.post.process
        if held.moves_to is None and process is not None and process.listens:
            process.send(command)
        elif not kept:
            held.waiting.append(command)

    def _say_to_room(self, room: int, command: Play | StopPlay) -> None:
        post = self._home_of(room)
        if post is None:
            if isinstance(command, Play):
                self._on_event(PlayFinished(play=command.play, completed=False, room=room))
            return
        plays = post.room_plays.setdefault(room, {})
        if isinstance(command, Play):
            plays[command.play] = command
        if post.process is not None:
            post.process.send(command)

    # -- taps -----------------------------------------------------------------------------------

    @property
    def tap_rings(self) -> list[TapRing]:
        """Where what is tapped is written: a ring for each post, from the first tap on."""
        return self._tapping.rings

    def start_tap(self, room: int, group: int = 0) -> None:
        """Have what a room hears of its legs written to the ring of its post (`tap_rings`).

        Args:
            room: the room, which need not have begun.
            group: of the room; what is said in its others is not on it.

        Raises:
            OSError: there is no memory or no descriptor for the rings.
        """
        self._tapping.start(room, group)

    def stop_tap(self, room: int, group: int = 0) -> None:
        """End a tap; it does not end with its room."""
        self._tapping.stop(room, group)

    # -- rooms ----------------------------------------------------------------------------------

    def _home_of(self, room: int) -> Post | None:
        return next((post for post in self._posts if room in post.rooms), None)

    def _change_room(self, held: HeldLeg, before: int | None, room: int | None) -> None:
        """Keep account of who is in which room, and bring the leg to where its room is."""
        if before is not None:
            home = self._home_of(before)
            if home is not None:
                home.leave(before, held.leg)
                if before not in home.rooms:
                    self._tapping.ended(before, home)
        if room is None:
            return
        here = held.moves_to or held.post
        home = self._home_of(room)
        if home is None:
            home = self._new_home(here)
            self._tapping.began(room, home)
        home.enter(room, held.leg)
        if home is not here:
            self._move(held, home)

    def _new_home(self, here: Post) -> Post:
        emptiest = least_loaded(self._posts)
        return here if here.load <= emptiest.load + STAY else emptiest

    def _move(self, held: HeldLeg, target: Post) -> None:
        """Bring a leg to another post: its process gives it away, the other one opens it."""
        (held.moves_to or held.post).legs.discard(held.leg)
        target.legs.add(held.leg)
        if held.moves_to is None:
            process = held.post.process
            if process is None:
                self._bring(held, target)  # it is in no process; whoever comes to the post opens it
                return
            process.send(GiveLegs(legs=[held.leg]))
        held.moves_to = target

    def _given(self, process: MediaProcess, event: LegGiven) -> None:
        held = self._legs.get(event.leg)
        if held is None or held.moves_to is None:
            return
        held.given(event, process.record_type)
        self._bring(held, held.moves_to)

    def _bring(self, held: HeldLeg, target: Post) -> None:
        """Open a leg, which no process has now, at another post."""
        held.post, held.moves_to = target, None
        try:
            held.part()
        except (MediaError, OSError) as error:
            self._log.error("leg cannot leave its shared port", problem=type(error).__name__)
        self._hand_over(target, [held])

    # -- what the processes say -----------------------------------------------------------------

    def _heard(self, process: MediaProcess, event: Event) -> None:
        """Keep what control must know, and hand on what is not about the processes themselves."""
        post = next((post for post in self._posts if post.process is process), None)
        match event:
            case Ready():
                self._fill_posts()
            case Heartbeat():
                if post is None:
                    return
                post.beat = event
                post.busy.take(event.tick_ms_p95)
            case EngineStatistics():
                future = self._asked.get(process)
                if future is not None and not future.done():
                    future.set_result(event)
            case LegGiven():
                self._given(process, event)
                return
            case PlayFinished(room=int(room), play=play):
                if post is not None:
                    post.room_plays.get(room, {}).pop(play, None)
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
                self._forget(held)
                return LegClosed(leg=leg, statistics=held.total(statistics))
            case PlayFinished(play=play):
                held.forget_play(play)
        return event

    def _forget(self, held: HeldLeg) -> None:
        del self._legs[held.leg]
        held.close()
        (held.moves_to or held.post).legs.discard(held.leg)
        if held.place is not None and held.place.room is not None:
            self._change_room(held, held.place.room, None)

    # -- replacing ------------------------------------------------------------------------------

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            for process in self._processes():
                process.look(HANG_S, self._memory_bytes, START_TIMEOUT_S)

    def _keep_spares(self) -> None:
        """Start processes for posts that have none; when all have one, the spares."""
        if self._stopping:
            return
        empty = sum(post.process is None for post in self._posts)
        for _ in range((empty or SPARES) - len(self._spares)):
            try:
                told = (self._heard, self._ended, self.forks, self._names)
                spare = MediaProcess(self._bank, self._options, *told)
            except (MediaError, OSError) as error:
                self._log.error("media process cannot be started", problem=type(error).__name__)
                self._count_death(0.0)
                self._keep_spares_later()
                return
            self._spares.append(spare)

    def _ended(self, process: MediaProcess, why: str) -> None:
        """Put a spare in the place of a process that died, hangs or leaks."""
        if self._stopping:
            return
        records = process.bury()
        lived = time.monotonic() - process.in_charge_since
        post = next((post for post in self._posts if post.process is process), None)
        if post is None:
            self._spares.remove(process)
            self._log.warning("spare media process ended", reason=why)
        else:
            legs = [held for held in self._legs.values() if held.post is post]
            self._log.error("media process replaced", reason=why, legs=len(legs))
            self.replaced += 1
            self._lost_before += post.beat.lost_by_bridge if post.beat is not None else 0
            post.process, post.beat = None, None
            for held in legs:
                held.died(records)
                if held.moves_to is not None:
                    self._bring(held, held.moves_to)
        self._count_death(lived)
        self._fill_posts()

    def _count_death(self, lived: float) -> None:
        """Count processes that ended as soon as they began; give up where nothing else helps."""
        self._quick_deaths = self._quick_deaths + 1 if lived < QUICK_S else 0
        empty = any(post.process is None for post in self._posts)
        if empty and self._quick_deaths > QUICK_DEATHS and not self._stopping:
            self._stopping = True
            self._gave_up = f"{self._quick_deaths} media processes in a row ended at once"
            self._all_ready.set()
            self._on_failed(self._gave_up)

    def _fill_posts(self) -> None:
        """Let spares that are ready take the posts that are empty."""
        for post in self._posts:
            spare = next((each for each in self._spares if each.ready), None)
            if post.process is None and spare is not None:
                self._spares.remove(spare)
                post.process = spare
                spare.take_charge()
                self._share(post)
                self._tapping.renew(post)
                self._hand_over(post, [held for held in self._legs.values() if held.post is post])
                for play in chain.from_iterable(map(dict.values, post.room_plays.values())):
                    spare.send(play)
        if all(post.process is not None for post in self._posts):
            self._all_ready.set()
            self._keep_spares_later()
        else:
            self._keep_spares()

    def _keep_spares_later(self) -> None:
        """Start what is missing in a moment; in longer ones where starts go wrong."""
        delay = SPARE_DELAY_S * 2 ** min(self._quick_deaths, QUICK_DEATHS)
        asyncio.get_running_loop().call_later(delay, self._keep_spares)

    def _hand_over(self, post: Post, legs: list[HeldLeg]) -> None:
        """Let a post's process open legs as they were in another one, and go on with them."""
        process = post.process
        if process is None:
            return
        told: list[Event] = []
        for first in range(0, len(legs), HANDED_AT_ONCE):
            some = legs[first : first + HANDED_AT_ONCE]
            for held in some:
                told += held.over()
            descriptors = tuple(chain.from_iterable(held.descriptors for held in some))
            more = len(legs) - first - len(some)
            process.send(OpenLegs([held.handed() for held in some], more), descriptors)
        for held in legs:
            self.places.hear(held)
            for command in held.waiting:
                process.send(command)
            held.waiting.clear()
            if held.closing:
                process.send(CloseLeg(leg=held.leg))
        for event in told:
            self._on_event(event)

    # -- how it goes ----------------------------------------------------------------------------

    async def statistics(self) -> list[EngineStatistics | None]:
        """Ask every post's process for its state.

        Returns:
            Their answers, post by post; None where none came within two seconds.
        """
        return await asyncio.gather(*(self._ask(post.process) for post in self._posts))

    async def _ask(self, process: MediaProcess | None) -> EngineStatistics | None:
        if process is None:
            return None
        future = self._asked.get(process)
        if future is None:
            future = asyncio.get_running_loop().create_future()
            self._asked[process] = future
            process.send(Statistics())
        try:
            return await asyncio.wait_for(asyncio.shield(future), ANSWER_S)
        except TimeoutError:
            return None
        finally:
            self._asked.pop(process, None)

    async def report(self) -> dict[str, Any]:
        """Return how the media processes do, as `dialin status --json` says it."""
        engines = await self.statistics()
        known = [engine for engine in engines if engine is not None]
        counters: dict[str, int] = {}
        for engine in known:
            for name, count in engine.counters.items():
                counters[name] = counters.get(name, 0) + count
        busiest = max(self._posts, key=lambda post: post.share)
        return {
            "pid": self.pid,
            "replaced": self.replaced,
            "overloaded": self.overloaded,
            "tick_share_limit": self._tick_share,
            **_tick(busiest),
            "lost_by_bridge": self._lost_before + sum(each.lost_by_bridge for each in known),
            "cpu_seconds": sum(each.cpu_seconds for each in known) if known else None,
            "counters": counters,
            "processes": [
                {
                    "pid": post.process.pid if post.process is not None else None,
                    "legs": len(post.legs),
                    "rooms": len(post.rooms),
                    **_tick(post),
                    "busy": post.busy.now,
                    "lost_by_bridge": engine.lost_by_bridge if engine is not None else None,
                    "cpu_seconds": engine.cpu_seconds if engine is not None else None,
                }
                for post, engine in zip(self._posts, engines, strict=True)
            ],
            "spares": self.spares,
        }


def default_processes() -> int:
    """Return how many media processes suit this machine: a core is left to signalling."""
    return max(1, min(len(os.sched_getaffinity(0)) - 1, MOST_BY_DEFAULT))


def _tick(post: Post) -> dict[str, Any]:
    beat = post.beat
    return {
        "tick_ms": {
            "p50": beat.tick_ms_p50 if beat is not None else None,
            "p95": beat.tick_ms_p95 if beat is not None else None,
            "max": beat.tick_ms_max if beat is not None else None,
        },
        "tick_share": round(beat.tick_ms_p95 / TICK_MS, 3) if beat is not None else None,
    }
