"""Legs that speak G.722: decoded, mixed and encoded at 16 kHz, and heard by everybody.

A room has a mix per rate in use. The narrow one is everybody's: what wideband legs say goes into it
at 8 kHz. The wide one is made where a wideband leg hears a room::

    wide speaker   decode -> 16 kHz ──────────────────────────┬───────────> minus self -> encode
                        └─> down ─> 8 kHz                     │  wide mix
                                      │                       │
    narrow speaker decode -> 8 kHz ───┴─> sum of the room ────┼───────────> minus self -> encode
                                          less the wide legs ─┴ up (once a room)

So a wideband leg's own sound never passes a filter before it is taken out of what the leg hears:
sum minus self is exact at both rates. Levels, speech, keys and whatever else looks at a leg's sound
see its 8 kHz. Where no leg speaks G.722, nothing here is done.

What is played to a leg is of 8 kHz and brought to 16 kHz for it.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media._rows import Rows
from bridge.media.codecs import FRAME, G722, SAMPLE_RATE
from bridge.media.concealment import ComfortNoise
from bridge.media.g722 import Coders, decode, encode
from bridge.media.gains import Gains
from bridge.media.legs import Legs
from bridge.media.limiter import Limiter, block_peaks
from bridge.media.mix import clip
from bridge.media.playout import PlayoutStore, Reading
from bridge.media.resample import WIDE_FRAME, Down, Up
from bridge.media.seating import Seating
from bridge.media.sharing import Sharing
from bridge.media.streams import Streams
from bridge.media.volume import Volume

__all__ = ["Wideband"]

_Index = npt.NDArray[np.intp]
_Sound = npt.NDArray[np.float32]

_NOBODY: Final = np.empty(0, np.intp)
_SILENCE: Final = np.empty((0, WIDE_FRAME), np.float32)


class Wideband(Rows):
    """The wideband legs.

    Args:
        capacity: rows to begin with.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.last: npt.NDArray[np.int16] = self.column("last", np.int16, WIDE_FRAME)
        self.held: _Sound = self.column("held", np.float32, WIDE_FRAME)
        # `last` is what came behind a gap, decoded before its time.
        self.early: npt.NDArray[np.bool_] = self.column("early", np.bool_)
        self.ringing: npt.NDArray[np.bool_] = self.column("ringing", np.bool_)
        self._coders = Coders(capacity)
        self._down = Down(capacity)
        self._plays = Up(capacity)
        self._rooms = Up(1)
        self.sharing = Sharing(capacity, self._coders)
        self.streams = Streams(capacity, 2 * SAMPLE_RATE)
        self._parts: tuple[Rows, ...] = (
            self._coders,
            self._down,
            self._plays,
            self.sharing,
            self.streams,
        )
        # Of the plan; each index array is of positions unless it says otherwise.
        self._speaking = _NOBODY
        self._speaking_rows = _NOBODY
        self._speaking_place = np.full(capacity, -1, np.intp)
        # How many of them their rooms hear; the others whisper.
        self._heard_speakers = 0
        self._segment_start = _NOBODY
        self._segment_room = _NOBODY
        self._hearing_rooms = _NOBODY
        self._room_place = _NOBODY
        self._wide_rows = _NOBODY
        self._hears = _NOBODY
        self._hears_room = _NOBODY  # rooms, as long as the positions
        self._hears_place = _NOBODY
        self._heard_room = _NOBODY
        # Of the tick. `_sums`: of the hearing rooms, for those who share an encoding; `mixed`: what
        # each hears of its room, by place in `seating.wide`.
        self._pcm = _SILENCE
        self._narrow = _SILENCE[:, :FRAME]
        self._sums = _SILENCE
        self.mixed = _SILENCE

    def grow(self, capacity: int) -> None:
        """Add rows."""
        for part in self._parts:
            part.grow(capacity)
        super().grow(capacity)

    def reset(self, row: int) -> None:
        """Make a row as new."""
        for part in self._parts:
            part.reset(row)
        super().reset(row)

    @property
    def has_coder(self) -> npt.NDArray[np.bool_]:
        """Rows that hold a decoder and an encoder, bool, `(legs,)`."""
        return self._coders.has

    @property
    def said(self) -> _Sound:
        """What those say who may speak, as it is mixed: float32, `(k, 320)`, as `seating.wide`."""
        return self._pcm

    # --- who ------------------------------------------------------------------------------------

    def plan(self, seating: Seating, legs: Legs, rooms: int) -> None:
        """Take a new seating in.

        Args:
            seating: who sits where.
            legs: who hears, in which room.
            rooms: room indices in use are below this.
        """
        wide = seating.wide
        rows = seating.order[wide]
        for row in (self._coders.has & (legs.codec != G722)).nonzero()[0].tolist():
            self.reset(row)
        for row in rows[~self._coders.has[rows]].tolist():
            self.reset(row)
            self._coders.begin(row)
        self._heard_speakers = seating.wide_speakers
        speakers = int(np.searchsorted(wide, seating.talkers))
        self._speaking = wide[:speakers]
        self._speaking_rows = rows[:speakers]
        self._speaking_place = np.full(legs.capacity, -1, np.intp)
        self._speaking_place[self._speaking_rows] = np.arange(speakers)
        spoken = legs.room[self._speaking_rows[: self._heard_speakers]]
        self._segment_start = np.diff(spoken, prepend=-1).nonzero()[0]
        self._segment_room = spoken[self._segment_start]
        inside = (legs.room[rows] >= 0) & legs.hears[rows]
        self._wide_rows = rows
        self._hears = inside.nonzero()[0]
        room_of = legs.room[rows[self._hears]]
        self._hearing_rooms = np.unique(room_of)
        if rooms > self._rooms.capacity:
            self._rooms.grow(2 * rooms)
        forgotten = np.ones(self._rooms.capacity, np.bool_)
        forgotten[self._hearing_rooms] = False
        self._rooms.tail[forgotten] = 0
        self._room_place = np.full(self._rooms.capacity, -1, np.intp)
        self._room_place[self._hearing_rooms] = np.arange(len(self._hearing_rooms))
        self._hears_room = room_of
        self._hears_place = self._room_place[room_of]
        self._heard_room = np.where(inside, legs.room[rows], -1)

    def begin_streams(self, rows: _Index) -> None:
        """Decode afresh what comes from these rows: another device sends."""
        for row in rows[self._coders.has[rows]].tolist():
            self._coders.begin_decoding(row)

    # --- what they say --------------------------------------------------------------------------

    def decode(
        self,
        seating: Seating,
        reading: Reading,
        store: PlayoutStore,
        noise: ComfortNoise,
        pcm: _Sound,
    ) -> Reading:
        """Decode what the wideband speakers say, make streams of it, and bring it to 8 kHz.

        Args:
            seating: who sits where.
            reading: the rows of the store to hear.
            store: the store.
            noise: what is under gaps.
            pcm: float32, `(speakers, 160)`: gets their frames at 8 kHz.

        Returns:
            The reading as it is left for the other legs.
        """
        speaking, rows = self._speaking, self._speaking_rows
        self.streams.forget(seating.silent_rows)
        if not len(speaking):
            self._pcm = _SILENCE
            return reading
        mine = reading.part(speaking)
        self._pcm = np.zeros((len(rows), WIDE_FRAME), np.float32)
        # A decoder follows what came even where it must not be heard.
        came = mine.came.nonzero()[0]
        new = came[~self.early[rows[came]]]
        self.last[rows[new]] = self._decode(rows[new], mine.index[new], store)
        self._pcm[came] = self.last[rows[came]]
        self.early[rows] = False
        # Frames behind missing ones are decoded before their time, and not again at it.
        bridged = rows[mine.bridged]
        self.last[bridged] = self._decode(bridged, mine.behind, store)
        self.early[bridged] = True
        extra = np.zeros((len(mine.edited), WIDE_FRAME), np.float32)
        second = rows[mine.edited[mine.extra]]
        extra[mine.extra] = self._decode(second, mine.extra_index[mine.extra], store)
        behind = self.last[bridged].astype(np.float32)
        self.streams.follow(rows, mine, behind, extra, self._pcm, noise=noise, depth=store.depth)
        self._narrow = self._down.convert(rows, self._pcm)
        pcm[speaking] = self._narrow
        return reading.without(speaking)

    def _decode(self, rows: _Index, index: _Index, store: PlayoutStore) -> npt.NDArray[np.int16]:
        """Decode rows of the store by the decoders of legs, int16 `(k, 320)`."""
        return decode(self._coders.decoders(rows), store.octets.reshape(-1, FRAME)[index])

    def narrow(self, rows: _Index, octets: npt.NDArray[np.uint8]) -> _Sound:
        """Decode, at 8 kHz, what legs say that are no speakers: somebody looks for their keys.

        Args:
            rows: intp, `(k,)`: the legs, whose frames came.
            octets: uint8, `(k, 160)`: the frames.
        """
        sound = decode(self._coders.decoders(rows), octets)
        return self._down.convert(rows, sound.astype(np.float32))

    def begin_holding(self, rows: _Index) -> None:
        """Hold nothing of these legs."""
        self.held[rows] = 0

    def hold_back(self, rows: _Index, silent: npt.NDArray[np.bool_], narrow: _Sound) -> None:
        """Let speakers be heard a frame later.

        Args:
            rows: intp, `(k,)`: those that are held back, of whatever codec.
            silent: bool, `(k,)`: of whom the frame before must not be heard at all.
            narrow: float32, `(k, 160)`: what is heard of them at 8 kHz.
        """
        place = self._speaking_place[rows]
        mine = (place >= 0).nonzero()[0]
        if not len(mine):
            return
        place, legs = place[mine], rows[mine]
        before = self.held[legs]
        before[silent[mine]] = 0
        self.held[legs] = self._pcm[place]
        self._pcm[place] = before
        self._narrow[place] = narrow[mine]

    # --- what they hear -------------------------------------------------------------------------

    def weigh(self, gains: Gains, pcm: _Sound) -> None:
        """Give what wideband speakers say their gain at 16 kHz, as `pcm` has it at 8 kHz.

        Args:
            gains: of this tick.
            pcm: float32, `(speakers, 160)`, with their gains.
        """
        if len(self._speaking):
            self._pcm *= gains.curves(self._speaking_rows, WIDE_FRAME)
            self._narrow = pcm[self._speaking]

    def mix(self, rooms: _Sound) -> None:
        """Sum each room that a wideband leg hears, and take each speaker out.

        Args:
            rooms: float32, `(rooms, 160)`: the rooms' sums at 8 kHz, wideband legs among them.
        """
        hearing = self._hearing_rooms
        if not len(hearing):
            self.mixed = self._sums = _SILENCE
            return
        spoken = self._heard_speakers
        narrow = rooms[hearing]
        place, starts = self._room_place[self._segment_room], self._segment_start
        heard = place >= 0
        place = place[heard]
        if len(place):
            narrow[place] -= np.add.reduceat(self._narrow[:spoken], starts, axis=0)[heard]
        sums = self._rooms.convert(hearing, narrow)
        if len(place):
            sums[place] += np.add.reduceat(self._pcm[:spoken], starts, axis=0)[heard]
        mixed = np.zeros((len(self._wide_rows), WIDE_FRAME), np.float32)
        mixed[self._hears] = sums[self._hears_place]
        own = self._hears[self._hears < spoken]
        mixed[own] -= self._pcm[own]
        self._sums, self.mixed = sums, mixed

    def measure(self, limiter: Limiter) -> None:
        """Show a limiter how loud what wideband legs hear is."""
        if len(self.mixed):
            limiter.hear(self._hears_room, block_peaks(self.mixed[self._hears]))

    def limit(self, limiter: Limiter) -> None:
        """Turn rooms that are too loud down, by the gain that everybody hears them with."""
        if len(self.mixed):
            self.mixed[self._hears] *= limiter.curves(self._hears_room, WIDE_FRAME)
            self._sums *= limiter.curves(self._hearing_rooms, WIDE_FRAME)

    def mark(self, seating: Seating, positions: _Index, marks: _Sound) -> None:
        """Multiply what some legs hear of their room.

        Args:
            seating: who sits where.
            positions: intp, `(k,)`, narrow ones too.
            marks: float32, `(k, 160)`: by what, at 8 kHz.
        """
        if len(self.mixed):
            place = np.minimum(np.searchsorted(seating.wide, positions), len(seating.wide) - 1)
            wide = (seating.wide[place] == positions).nonzero()[0]
            self.mixed[place[wide]] *= np.repeat(marks[wide], WIDE_FRAME // FRAME, axis=1)

    def encode(
        self,
        seating: Seating,
        positions: _Index,
        frames: _Sound,
        replaced: npt.NDArray[np.bool_],
        volume: Volume,
        codes: npt.NDArray[np.uint8],
    ) -> None:
        """Add what is played, clip and encode.

        Args:
            seating: who sits where.
            positions: intp, `(k,)`: positions that something is played to, narrow ones too.
            frames: float32, `(k, 160)`: what is played to them, for wideband legs alone.
            replaced: bool, `(legs,)`: rows that hear what is played to them instead of their room.
            volume: how loud each hears its room.
            codes: uint8, `(n, 160)`, by position: gets the wideband legs' codes.
        """
        rows = self._wide_rows
        if not len(rows):
            return
        sound = np.zeros((len(rows), WIDE_FRAME), np.float32)
        if len(self.mixed):
            sound += self.mixed
        sound[replaced[rows]] = 0
        if volume.active:
            volume.turn(rows, sound)
        played = self._add_plays(seating, positions, frames, sound)
        shared = self._share(seating, ~played & ~replaced[rows], sound, codes)
        own = (~shared).nonzero()[0]
        samples = np.empty((len(own), WIDE_FRAME), np.int16)
        clip(sound[own], samples)
        coders = [self._coders.encoder(row) for row in rows[own].tolist()]
        codes[seating.wide[own]] = encode(coders, samples)

    def _share(
        self,
        seating: Seating,
        unplayed: npt.NDArray[np.bool_],
        sound: _Sound,
        codes: npt.NDArray[np.uint8],
    ) -> npt.NDArray[np.bool_]:
        """Encode once what many of a room hear alike.

        Args:
            seating: who sits where.
            unplayed: bool, `(w,)`: wideband legs that nothing is played to.
            sound: float32, `(w, 320)`: what they hear; changed in rooms whose legs share.
            codes: uint8, `(n, 160)`, by position: gets the codes of those who share.

        Returns:
            bool, `(w,)`: who shares.
        """
        sharing, rooms, room = self.sharing, self._hearing_rooms, self._heard_room
        alike = unplayed & (room >= 0)
        alike[: self._heard_speakers] &= ~self._pcm[: self._heard_speakers].any(axis=1)
        fit = sharing.worthwhile(self._wide_rows, room, alike)
        if not fit.any() and not sharing.streams:
            return fit
        sound[fit] += sharing.dither()
        frames = np.empty(self._sums.shape, np.int16)
        clip(self._sums + sharing.dither(), frames)
        shared = sharing.settle(self._wide_rows, room, alike, rooms, frames)
        if sharing.streams:
            place = self._room_place[sharing.room[self._wide_rows[shared]]]
            codes[seating.wide[shared]] = sharing.encode(rooms, frames)[place]
        return shared

    def _add_plays(
        self, seating: Seating, positions: _Index, frames: _Sound, sound: _Sound
    ) -> npt.NDArray[np.bool_]:
        """Bring what is played to 16 kHz, to the last sample in the filter; return to whom."""
        rows = self._wide_rows
        played = np.zeros((len(rows), FRAME), np.float32)
        place = np.full(len(seating), -1, np.intp)
        place[seating.wide] = np.arange(len(rows))
        mine = place[positions]
        chosen = mine >= 0
        played[mine[chosen]] = frames[chosen]
        sounding = np.zeros(len(rows), np.bool_)
        sounding[mine[chosen]] = True
        due = (sounding | self.ringing[rows]).nonzero()[0]
        if len(due):
            sound[due] += self._plays.convert(rows[due], played[due])
            sounding, self.ringing[rows] = sounding | self.ringing[rows], sounding
        return sounding
