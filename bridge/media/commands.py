"""What control asks for, applied to the state between two ticks.

A command that is wrong is answered with an `EngineError` and changes nothing. One about a leg or a
room that has ended meanwhile is counted and left alone: control may not know yet.
"""

import contextlib
import mmap
import os
import time
from typing import Final

import numpy as np

from bridge.media.codecs import FRAME
from bridge.media.dtmf import DIGITS
from bridge.media.handover import give_legs, open_legs
from bridge.media.judging import judge_leg
from bridge.media.messages import (
    BeginTrace,
    ChangeLeg,
    CloseLeg,
    Command,
    Configure,
    DigitInfo,
    EndTrace,
    EngineError,
    GiveLegs,
    HandedLeg,
    LegClosed,
    LoadBank,
    OpenLeg,
    OpenLegs,
    Place,
    Play,
    PlayFinished,
    SetVolume,
    SharePort,
    StartTap,
    Statistics,
    Stop,
    StopPlay,
    StopTap,
    UsePage,
    UseTaps,
)
from bridge.media.name_messages import NameRecorded, RecordName, StopName, UseNames
from bridge.media.names_area import NamesView, start_of
from bridge.media.page import StatePage
from bridge.media.place_messages import AddPlace, DropPlace, PlaceAdded, TakePlace
from bridge.media.reporting import say_goodbye
from bridge.media.speech import MIX, REPLACE, Bank, Playing
from bridge.media.state import State
from bridge.media.tap_ring import TapWriter
from bridge.media.telling import Teller

__all__ = ["Commands"]

PORT_DESCRIPTORS: Final = 2
LOUDEST_GAIN_DB: Final = 20.0
TARGET_DBOV: Final = (-36.0, -12.0)
"""Least and greatest level that talkers may be brought to."""


class Commands:
    """Carry commands out.

    Args:
        state: what they change.
        teller: makes the statistics that some ask for.
    """

    def __init__(self, state: State, teller: Teller) -> None:
        self._state = state
        self._teller = teller
        self.awaited = 0
        """Legs of another process that come right behind those that are open now."""

    def carry_out(self, command: Command, fds: list[int]) -> None:
        """Carry one command out.

        Args:
            command: the command.
            fds: the descriptors that came with it; they belong to this object now.
        """
        match command:
            case OpenLeg():
                descriptors = 2 if command.shared_port is None else 0
                new = HandedLeg(opened=command, descriptors=descriptors)
                self._open([new], fds, "OpenLeg")
            case OpenLegs():
                self.awaited = command.more
                self._open(command.legs, fds, "OpenLegs")
            case SharePort(port=port):
                self._share_port(port, fds)
            case AddPlace():
                self._add_place(command, fds)
            case UsePage():
                self._use_page(fds)
            case UseTaps():
                self._use_taps(fds)
            case UseNames():
                self._use_names(fds)
            case LoadBank():
                self._load_bank(command, fds)
            case _:
                self._close_unwanted(fds)
                self._carry_out(command)

    def _carry_out(self, command: Command) -> None:  # noqa: C901, PLR0912 - one arm a command
        """Carry a command out that needs no descriptors."""
        match command:
            case Configure():
                self._configure(command)
            case ChangeLeg():
                self._change(command)
            case TakePlace(leg=leg):
                self._settle_place(leg, taken=True)
            case DropPlace(leg=leg):
                self._settle_place(leg, taken=False)
            case GiveLegs(legs=legs):
                self._give(legs)
            case CloseLeg():
                self._close(command.leg)
            case Place():
                self._place(command)
            case SetVolume(leg=leg, gain_db=gain_db):
                self._set_volume(leg, gain_db)
            case Play():
                self._play(command)
            case StopPlay():
                self._stop_play(command)
            case StartTap(room=room, group=group):
                self._start_tap(room, group)
            case StopTap(room=room, group=group):
                self._state.taps.stop(room, group)
                self._state.moved = True
            case RecordName(leg=leg, slot=slot):
                self._record_name(leg, slot)
            case StopName(leg=leg):
                self._stop_name(leg)
            case DigitInfo():
                self._digit(command)
            case BeginTrace(leg=leg):
                self._trace(leg, traced=True)
            case EndTrace(leg=leg):
                self._trace(leg, traced=False)
            case Statistics():
                self._state.put(self._teller.engine())
            case Stop():
                self._state.ended = True

    def close_all(self) -> None:
        """Close every leg, at the end of the process."""
        for leg in list(self._state.legs.row_of):
            self._close(leg)

    def _configure(self, command: Configure) -> None:
        least, greatest = TARGET_DBOV
        if not least <= command.target_dbov <= greatest:
            self._refuse(
                f"Configure: target_dbov is {least:.0f} to {greatest:.0f},"
                f" got {command.target_dbov:g}"
            )
            return
        self._state.options = command

    # --- legs -----------------------------------------------------------------------------------

    def _row(self, leg: int | None) -> int | None:
        """Return a leg's row; one that is not there is counted."""
        row = self._state.legs.row_of.get(leg) if leg is not None else None
        if row is None:
            self._state.counters.commands_refused += 1
        return row

    def _refuse(self, what: str, leg: int | None = None, *, unopened: bool = False) -> None:
        self._state.counters.commands_refused += 1
        self._state.put(EngineError(what=what, leg=leg, unopened=unopened))

    def _close_unwanted(self, fds: list[int]) -> None:
        for fd in fds:
            self._state.counters.descriptors_lost += 1
            with contextlib.suppress(OSError):
                os.close(fd)

    def _open(self, legs: list[HandedLeg], fds: list[int], what: str) -> None:
        opened, refused = open_legs(self._state, legs, fds)
        for leg, wrong in refused:
            name = leg.opened.leg
            self._refuse(f"{what}: {wrong}", name, unopened=name not in self._state.legs.row_of)
        for leg in opened:
            if leg.place is not None:
                self._place(leg.place)
            self._set_volume(leg.opened.leg, leg.volume_db)
            for play in leg.plays:
                self._play(play)

    def _share_port(self, port: int, fds: list[int]) -> None:
        if len(fds) != PORT_DESCRIPTORS:
            self._close_unwanted(fds)
            self._refuse(f"SharePort came with {len(fds)} sockets, needs RTP and RTCP")
            return
        try:
            self._state.transport.add_port(port, fds)
        except OSError as error:
            self._refuse(f"SharePort: its sockets cannot be used: {error.strerror or error}")

    def _add_place(self, command: AddPlace, fds: list[int]) -> None:
        state, leg = self._state, command.leg
        row = self._row(leg)
        wanted = PORT_DESCRIPTORS if command.shared_port is None else 0
        if row is None or len(fds) != wanted:
            self._close_unwanted(fds)
            state.put(PlaceAdded(leg=leg, heard=False))
            return
        try:
            state.transport.add_place(row, state.legs.media[row], fds, command.shared_port)
        except OSError as error:
            self._refuse(f"AddPlace: it cannot be used: {error.strerror or error}", leg)
            state.put(PlaceAdded(leg=leg, heard=False))
            return
        state.put(PlaceAdded(leg=leg, heard=True))

    def _settle_place(self, leg: int, *, taken: bool) -> None:
        row = self._row(leg)
        if row is None or not self._state.transport.has_second(row):
            return
        if taken:
            self._state.transport.take_place(row)
            self._state.note_source(row)
        else:
            self._state.transport.drop_place(row)

    def _change(self, command: ChangeLeg) -> None:
        state = self._state
        row = self._row(command.leg)
        if row is None:
            return
        codec, resumed = int(state.legs.codec[row]), command.media.rx and not state.legs.rx[row]
        state.streams.keep(np.array([row]))  # it is in the old code, too
        state.legs.negotiate(row, command.media)
        state.transport.change(row, command.media)
        state.note_source(row)
        if int(state.legs.codec[row]) != codec or not command.media.rx:
            # What waits is in the old code, or must not be heard any more.
            state.store.filled[row] = 0
            state.store.missing[row] = 1 << 30
        if resumed:
            # It may have been told to send nothing; a refresh of the session proves no media.
            state.presence.last[row] = time.monotonic()
            state.presence.quiet_told[row] = 0
        state.moved = True

    def _close(self, leg: int) -> None:
        state = self._state
        row = self._row(leg)
        if row is None:
            return
        say_goodbye(state, row, time.monotonic(), time.time())
        state.transport.close(row)
        state.leave(row)
        judge_leg(state, row)
        statistics = self._teller.leg(row)
        state.clear_row(row)
        state.leg_counters.close(row)
        state.legs.release(row)
        state.moved = True
        self._teller.forget(leg)
        state.put(LegClosed(leg=leg, statistics=statistics))

    def _give(self, legs: list[int]) -> None:
        for leg in legs:
            self._teller.forget(leg)
        give_legs(self._state, legs)

    def _place(self, command: Place) -> None:
        state, legs = self._state, self._state.legs
        row = self._row(command.leg)
        if row is None:
            return
        index = int(legs.whole[row])
        now_in = state.rooms.room_of.get(index)
        if command.room != now_in:
            state.leave(row)
            if command.room is not None:
                state.enter(row, command.room, command.group)
        elif command.room is not None:
            state.change_group(row, command.group)
        legs.whispers_to[row] = command.whispers_to or 0
        legs.speaks[row] = command.speaks
        legs.hears[row] = command.hears
        state.moved = True

    def _set_volume(self, leg: int, gain_db: float) -> None:
        row = self._row(leg)
        if row is not None:
            self._state.volume.set(row, gain_db)

    # --- prompts --------------------------------------------------------------------------------

    def _play(self, command: Play) -> None:
        state = self._state
        if (command.leg is None) == (command.room is None):
            self._not_played(command, "Play needs either a leg or a room")
            return
        if not command.clips or not all(state.bank.holds(*clip) for clip in command.clips):
            self._not_played(command, "Play names a clip that is not in the bank")
            return
        if command.leg is not None:
            row = self._row(command.leg)
            players = state.background if command.loop else state.foreground
        else:
            row = state.rooms.index_of.get(command.room if command.room is not None else -1)
            players = state.chimes
        if row is None:
            self._not_played(command)
            return
        if players is state.background:
            players.stop(row, None)
        gain = 10 ** (min(command.gain_db, LOUDEST_GAIN_DB) / 20)
        playing = Playing(
            play=command.play,
            clips=command.clips,
            loop=command.loop,
            mode=REPLACE if command.mode == "replace" and command.room is None else MIX,
            gain=gain,
        )
        if not players.start(row, playing, command.skip):
            self._not_played(command, "Play: too many plays wait already")

    def _not_played(self, command: Play, what: str | None = None) -> None:
        """Say that a play is over before it began, so that nobody waits for it."""
        if what is not None:
            self._refuse(what, command.leg)
        self._state.put(
            PlayFinished(play=command.play, completed=False, leg=command.leg, room=command.room)
        )

    def _stop_play(self, command: StopPlay) -> None:
        state = self._state
        if command.room is not None:
            index = state.rooms.index_of.get(command.room)
            if index is not None:
                state.chimes.stop(index, command.play)
            return
        row = self._row(command.leg)
        if row is None:
            return
        for players in (state.foreground, state.background):
            players.stop(row, command.play)

    def _load_bank(self, command: LoadBank, fds: list[int]) -> None:
        try:
            if len(fds) != 1:
                self._refuse(f"LoadBank came with {len(fds)} descriptors, needs one")
                return
            octets = 2 * (command.samples + FRAME)
            if command.samples < 0 or os.fstat(fds[0]).st_size < octets:
                self._refuse(f"LoadBank: the descriptor holds less than {octets} octets")
                return
            mapped = mmap.mmap(fds[0], 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            self._refuse(f"LoadBank: the descriptor cannot be mapped: {error}")
            return
        finally:
            for fd in fds:
                os.close(fd)
        samples = np.frombuffer(mapped, np.int16, count=len(mapped) // 2)
        self._state.use_bank(Bank(samples, command.samples))

    def _use_page(self, fds: list[int]) -> None:
        if len(fds) != 1:
            self._close_unwanted(fds)
            self._refuse(f"UsePage came with {len(fds)} descriptors, needs one")
            return
        try:
            page = StatePage(fds[0])
            page.lay_out(self._state.kept_tables(), time.monotonic())
        except (OSError, ValueError) as error:
            self._close_unwanted(fds)
            self._refuse(f"UsePage: the descriptor cannot be mapped: {error}")
            return
        self._state.page = page

    # --- taps -----------------------------------------------------------------------------------

    def _use_taps(self, fds: list[int]) -> None:
        if len(fds) != 1:
            self._close_unwanted(fds)
            self._refuse(f"UseTaps came with {len(fds)} descriptors, needs one")
            return
        try:
            ring = TapWriter(fds[0])
        except (OSError, ValueError) as error:
            self._refuse(f"UseTaps: the descriptor cannot be used: {error}")
            return
        finally:
            os.close(fds[0])
        # The tick that is being made has not been counted yet.
        self._state.taps.use(ring, self._state.store.depth.tick + 1, time.monotonic())
        self._state.moved = True

    def _start_tap(self, room: int, group: int) -> None:
        if not self._state.taps.start(room, group):
            self._refuse("StartTap came before UseTaps: there is no ring to write to")
        self._state.moved = True

    # --- names ----------------------------------------------------------------------------------

    def _use_names(self, fds: list[int]) -> None:
        if len(fds) != 1:
            self._close_unwanted(fds)
            self._refuse(f"UseNames came with {len(fds)} descriptors, needs one")
            return
        try:
            area = NamesView(fds[0])
        except (OSError, ValueError) as error:
            self._refuse(f"UseNames: the descriptor cannot be used: {error}")
            return
        finally:
            os.close(fds[0])
        self._state.use_names(area)

    def _record_name(self, leg: int, slot: int) -> None:
        state = self._state
        row = self._row(leg)
        if row is None or not state.naming.start(row, slot):
            if row is not None:
                self._refuse("RecordName names no slot, or came before UseNames", leg)
            state.put(NameRecorded(leg=leg, slot=slot, start=start_of(slot)))
            return
        state.legs.recorded[row] = True
        state.moved = True

    def _stop_name(self, leg: int) -> None:
        row = self._row(leg)
        if row is not None:
            self._state.naming.stop(row)

    # --- the rest -------------------------------------------------------------------------------

    def _digit(self, command: DigitInfo) -> None:
        row = self._row(command.leg)
        if row is None:
            return
        if len(command.digit) != 1 or command.digit not in DIGITS:
            self._refuse("DigitInfo names no digit", command.leg)
            return
        pressed = self._state.keys.tell(row, command.leg, command.digit, "info", time.monotonic())
        if pressed is not None:
            self._state.put(pressed)

    def _trace(self, leg: int, *, traced: bool) -> None:
        row = self._row(leg)
        if row is not None:
            self._state.presence.trace(row, traced=traced)
