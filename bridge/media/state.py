"""Everything a media process knows: the tables of its legs, its rooms, its players, its sockets.

The engine is the only writer. Commands change the state between ticks, the tick reads and advances
it; nothing else holds audio state. A *row* is a leg's place in every table, a *position* its place
in the order of a tick (`seating`).
"""

import functools
import time
from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media._rows import Rows
from bridge.media.agc import Agc
from bridge.media.codecs import SILENCE_CODES
from bridge.media.concealment import ComfortNoise
from bridge.media.counters import Counters, LegCounters
from bridge.media.dtmf import Keys
from bridge.media.gains import Gains
from bridge.media.gate import Gate
from bridge.media.guards import Guards
from bridge.media.hearing import Hearing
from bridge.media.inband import Inband
from bridge.media.latching import source_key
from bridge.media.legs import Legs, Rooms
from bridge.media.levels import Levels
from bridge.media.limiter import Limiter
from bridge.media.messages import Configure, Event, PlayFinished
from bridge.media.name_messages import NameRecorded
from bridge.media.names_area import NamesView
from bridge.media.naming import Naming
from bridge.media.outgoing import Outgoing
from bridge.media.page import StatePage, record_type
from bridge.media.plain import PlainPackets
from bridge.media.playout import PlayoutStore
from bridge.media.quality import Quality
from bridge.media.rtcp import Reports
from bridge.media.seating import Seating, seat
from bridge.media.sequence import Sequences
from bridge.media.speech import Bank, Players, Playing
from bridge.media.streams import Streams
from bridge.media.taps import Taps
from bridge.media.transport import Transport
from bridge.media.transports import Transports
from bridge.media.volume import Volume
from bridge.media.wideband import Wideband

__all__ = ["FIRST_CAPACITY", "Presence", "State"]

FIRST_CAPACITY: Final = 2048
"""Legs that have a row from the start, more than a core carries: with one more all tables grow,
which takes 50 to 200 ms, and everybody in a call hears that. A row has 25 kB."""

FIRST_ROOMS: Final = 64


class Presence(Rows):
    """When each leg was heard of, and what control was told about that.

    Args:
        capacity: rows to begin with.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.heard: npt.NDArray[np.bool_] = self.column("heard", np.bool_, kept=True)
        self.last: npt.NDArray[np.float64] = self.column("last", np.float64, kept=True)
        self.quiet_told: npt.NDArray[np.int64] = self.column("quiet_told", np.int64, kept=True)
        # `latching.source_key` of where its media comes from.
        self.source: npt.NDArray[np.int64] = self.column("source", np.int64, kept=True)
        self.traced: npt.NDArray[np.bool_] = self.column("traced", np.bool_)
        # Some leg was traced once; to look for it in every tick would cost all others.
        self.tracing = False

    def trace(self, row: int, *, traced: bool) -> None:
        """Tell control a leg's headers, or not any more."""
        self.traced[row] = traced
        self.tracing = traced or (self.tracing and bool(self.traced.any()))


class State:
    """The state of one media process.

    Args:
        put: takes each event for control.
        transport: moves packets; sockets and ports when not given.
        capacity: rows to begin with.
    """

    def __init__(
        self,
        put: Callable[[Event], None],
        counters: Counters,
        transport: Transport | None = None,
        capacity: int = FIRST_CAPACITY,
    ) -> None:
        self.put = put
        self.options = Configure()
        self.counters = counters
        self.leg_counters = LegCounters(capacity)
        self.transport: Transport = (
            transport
            if transport is not None
            else Transports(capacity, counters, self.leg_counters)
        )
        self.legs = Legs(capacity)
        self.rooms: Rooms[int] = Rooms()
        self.groups: Rooms[tuple[int, int]] = Rooms()
        self.presence = Presence(capacity)
        self.plain = PlainPackets(capacity)
        self.sequences = Sequences(capacity)
        self.store = PlayoutStore(capacity)
        self.noise = ComfortNoise(capacity)
        self.streams = Streams(capacity, look_up=self._look_up)
        self.levels = Levels(capacity)
        self.gate = Gate(capacity)
        self.agc = Agc(capacity)
        self.gains = Gains(capacity)
        self.guards = Guards(capacity)
        self.keys = Keys(capacity)
        self.inband = Inband(capacity)
        self.hearing = Hearing(capacity)
        self.limiter = Limiter(FIRST_ROOMS)
        self.wideband = Wideband(capacity)
        self.volume = Volume(capacity)
        self.outgoing = Outgoing(capacity)
        self.reports = Reports(capacity)
        self.quality = Quality(capacity)
        self.bank = Bank.empty()
        self.foreground = Players(capacity, self.bank, self._leg_play_finished)
        self.background = Players(capacity, self.bank, self._leg_play_finished)
        self.chimes = Players(FIRST_ROOMS, self.bank, self._room_play_finished)
        self.hearing.grow_rooms(FIRST_ROOMS)
        # Legs are in it or out of it, speak or not: the seating must be made anew.
        self.moved = True
        self.seating: Seating = seat(self.legs, SILENCE_CODES)
        self.page: StatePage | None = None
        self.taps = Taps(counters)
        self.naming = Naming(capacity, self._name_recorded)
        self.ended = False
        self._lay_out()

    def _lay_out(self) -> None:
        """Tell those who go by columns where these lie."""
        self.plain.lay_out(
            legs=self.legs,
            heard_at=self.presence.last,
            quiet=self.presence.quiet_told,
            traced=self.presence.traced,
            sequences=self.sequences,
            noise=self.noise,
            store=self.store,
        )

    def _tables(self) -> tuple[Rows, ...]:
        """Return all tables with a row per leg."""
        return (
            self.leg_counters,
            self.legs,
            self.presence,
            self.plain,
            self.sequences,
            self.store,
            self.noise,
            self.streams,
            self.levels,
            self.gate,
            self.agc,
            self.gains,
            *self.guards.tables().values(),
            self.keys,
            self.inband,
            self.hearing,
            self.wideband,
            self.volume,
            self.naming,
            self.outgoing,
            self.reports,
            self.quality,
            self.foreground,
            self.background,
        )

    def _look_up(
        self, rows: npt.NDArray[np.intp], index: npt.NDArray[np.intp]
    ) -> npt.NDArray[np.float32]:
        """Return frames that legs have sent, float32 `(k, 160)`; see `Streams`."""
        return self.hearing.frames(self.legs.codec[rows], index, self.store)

    # --- rows and rooms -------------------------------------------------------------------------

    def make_room(self, legs: int = 1) -> None:
        """Grow every table where that is needed, so that so many more legs have a row."""
        capacity = self.legs.capacity
        while len(self.legs) + legs > capacity:
            capacity *= 2
        if capacity == self.legs.capacity:
            return
        for table in self._tables():
            table.grow(capacity)
        self.transport.grow(capacity)
        self._lay_out()
        self.moved = True
        if self.page is not None:
            self.page.lay_out(self.kept_tables(), time.monotonic())

    def clear_row(self, row: int) -> None:
        """Make a row as new in all tables that hold a leg's past; its plays end unheard."""
        for player in (self.foreground, self.background):
            player.reset(row)
        for table in self._pasts().values():
            table.reset(row)

    def clear_rows(self, rows: npt.NDArray[np.intp]) -> None:
        """Make rows as new that legs have just been given; nothing plays in them."""
        for table in (self.foreground, self.background, *self._pasts().values()):
            table.renew(rows)

    def _pasts(self) -> dict[str, Rows]:
        """Return the tables that hold a leg's past, by name."""
        return {
            "presence": self.presence,
            "sequences": self.sequences,
            "store": self.store,
            "noise": self.noise,
            "streams": self.streams,
            "levels": self.levels,
            "gate": self.gate,
            "agc": self.agc,
            "gains": self.gains,
            **self.guards.tables(),
            "keys": self.keys,
            "inband": self.inband,
            "wideband": self.wideband,
            "volume": self.volume,
            "naming": self.naming,
            "outgoing": self.outgoing,
            "reports": self.reports,
            "quality": self.quality,
        }

    # --- what a successor goes on with ----------------------------------------------------------

    def kept_tables(self) -> dict[str, Rows]:
        """Return the tables whose kept columns make a leg's record, by name."""
        return {
            "legs": self.legs,
            "counters": self.leg_counters,
            "foreground": self.foreground,
            "background": self.background,
            **self._pasts(),
        }

    @functools.cached_property
    def record_type(self) -> np.dtype[np.void]:
        """The type of a leg's record; it takes a quarter of a millisecond to make."""
        return record_type(self.kept_tables())

    def beat(self, now: float) -> None:
        """Show control that a tick begins."""
        if self.page is not None:
            self.page.beat(now)

    def save(self, now: float) -> None:
        """Write down where every leg stands."""
        if self.page is not None:
            self.page.save(now, self.legs.used)

    def records(self, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.void]:
        """Return the records of legs: `(k,)` of `record_type`, for rows intp, `(k,)`."""
        tables = self.kept_tables()
        records = np.zeros(len(rows), self.record_type)
        for name, table in tables.items():
            for column in table.kept:
                records[f"{name}.{column}"] = getattr(table, column)[rows]
        return records

    def restore(self, rows: npt.NDArray[np.intp], records: npt.NDArray[np.void]) -> None:
        """Go on where another process stood; plays are started anew by whoever hands legs over.

        Args:
            rows: intp, `(k,)`: the legs.
            records: `(k,)` of `record_type`: their records.
        """
        for name, table in {"counters": self.leg_counters, **self._pasts()}.items():
            for column in table.kept:
                getattr(table, column)[rows] = records[f"{name}.{column}"]

    # --- rooms ----------------------------------------------------------------------------------

    def enter(self, row: int, room: int, group: int = 0) -> None:
        """Put a leg into a group of a room, which exist from then on."""
        index = self.rooms.enter(room)
        if index >= self.chimes.capacity:
            self.chimes.grow(2 * self.chimes.capacity)
        self.legs.whole[row] = index
        self._enter_group(row, room, group)

    def _enter_group(self, row: int, room: int, group: int) -> None:
        index = self.groups.enter((room, group))
        if index >= self.limiter.capacity:
            self.limiter.grow(2 * self.limiter.capacity)
        self.hearing.grow_rooms(self.groups.capacity)
        self.legs.room[row] = index
        self.moved = True

    def change_group(self, row: int, group: int) -> None:
        """Let a leg change its group within its room."""
        room, now_in = self.groups.room_of[int(self.legs.room[row])]
        if group != now_in:
            self._leave_group(row)
            self._enter_group(row, room, group)

    def _leave_group(self, row: int) -> None:
        index = int(self.legs.room[row])
        if self.groups.leave(index):
            self.limiter.reset(index)
        self.legs.room[row] = -1

    def leave(self, row: int) -> None:
        """Take a leg out of its room, whose chimes end with the last leg."""
        index = int(self.legs.whole[row])
        if index < 0:
            return
        if self.rooms.is_last(index):
            self.chimes.reset(index)
        self.rooms.leave(index)
        self.legs.whole[row] = -1
        self._leave_group(row)
        self.moved = True

    def settle(self) -> None:
        """Make seating and plan anew where legs or their addresses have changed."""
        if self.moved:
            self.seating = seat(self.legs, SILENCE_CODES)
            self.wideband.plan(self.seating, self.legs, self.groups.capacity)
            if self.taps.active:
                self.taps.plan(self.seating, self.legs, self.groups)
        if self.moved or self.transport.changed:
            self.outgoing.plan(self.seating, self.legs, self.transport.reachable)
            self.transport.plan(self.seating, self.outgoing)
        self.moved = False

    def jump(self, ticks: int) -> None:
        """Leave ticks out that are too late to be made up; time runs on for every leg."""
        rows = np.flatnonzero(self.legs.open)
        self.counters.jumped_ticks += ticks
        self.counters.jumped_leg_ticks += ticks * len(rows)
        self.streams.keep(rows)
        self.store.jump(rows, ticks)
        self.outgoing.run_on(rows, ticks)

    def note_source(self, row: int) -> None:
        """Keep where a leg's media comes from."""
        self.presence.source[row] = source_key(self.transport.known(row))

    # --- prompts --------------------------------------------------------------------------------

    def use_bank(self, bank: Bank) -> None:
        """Play from another bank; what was played from the old one ends unheard."""
        bank.names = self.naming.area
        self.bank = bank
        for players in (self.foreground, self.background, self.chimes):
            for row in np.flatnonzero(players.active).tolist():
                players.stop(row, None)
            players.bank = bank

    def use_names(self, area: NamesView) -> None:
        """Record names to an area, and play them from there."""
        self.naming.area = self.bank.names = area

    def _name_recorded(self, row: int, slot: int, start: int, samples: int, seconds: float) -> None:
        self.legs.recorded[row] = False
        self.moved = True
        self.put(
            NameRecorded(
                leg=int(self.legs.leg[row]),
                slot=slot,
                start=start,
                samples=samples,
                seconds=seconds,
            )
        )

    def _leg_play_finished(self, row: int, playing: Playing, completed: bool) -> None:  # noqa: FBT001 - `speech.Finished`
        leg = int(self.legs.leg[row])
        self.put(PlayFinished(play=playing.play, completed=completed, leg=leg))

    def _room_play_finished(self, index: int, playing: Playing, completed: bool) -> None:  # noqa: FBT001 - `speech.Finished`
        room = self.rooms.room_of[index]
        self.put(PlayFinished(play=playing.play, completed=completed, room=room))
