"""What each leg hears, as octets: the room, what is played to it, or silence.

Most legs are done in bulk: speakers each with an encoding of their own, a room's listeners with one
encoding they share. The rest is made apart and put over it: legs to whom something is played,
those who hear their room at a volume of their own, and speakers whose codec is not the one most
legs have. Legs that speak G.722 are left to `wideband`; of them this makes only what is played to
them.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media._rows import Rows
from bridge.media.codecs import FRAME, TABLED
from bridge.media.companding import decode_rows, encode, encode_others
from bridge.media.legs import Legs
from bridge.media.limiter import BLOCKS, Limiter, block_peaks
from bridge.media.mix import hear_others, loudest, sum_rooms
from bridge.media.playout import PlayoutStore, Reading
from bridge.media.rtp import HEADER
from bridge.media.seating import Seating
from bridge.media.speech import MIX, REPLACE, Players
from bridge.media.volume import Volume

__all__ = ["Hearing"]

_NOTHING: Final = np.empty((0, FRAME), np.float32)
_NOBODY: Final = np.empty(0, np.intp)


class Hearing(Rows):
    """Buffers of a tick, by position in the seating.

    Args:
        capacity: legs to begin with.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.pcm: npt.NDArray[np.float32] = self.column("pcm", np.float32, FRAME)
        self.playing: npt.NDArray[np.bool_] = self.column("playing", np.bool_)
        # What is said in each; which of them are turned down, being too loud, and by what.
        self.rooms = np.zeros((1, FRAME), np.float32)
        self._limited = np.zeros(1, np.bool_)
        self._curves = self.rooms.copy()
        # The least and the most that anybody says in each.
        self._least = self.rooms.copy()
        self._most = self.rooms.copy()
        # By place in `seating.ears`.
        self.whispers = np.zeros((0, FRAME), np.float32)
        # Of this tick: positions of speakers who hear their room otherwise than it is, and what.
        self._marked = _NOBODY
        self._marked_frames = _NOTHING

    def grow_rooms(self, capacity: int) -> None:
        """Make place for the sums of so many rooms."""
        if capacity > len(self.rooms):
            self.rooms = np.zeros((2 * capacity, FRAME), np.float32)
            self._least = self.rooms.copy()
            self._most = self.rooms.copy()
            self._curves = self.rooms.copy()
            self._limited = np.zeros(len(self.rooms), np.bool_)

    def decode(
        self, seating: Seating, reading: Reading, store: PlayoutStore
    ) -> npt.NDArray[np.float32]:
        """Decode what the speakers say.

        Args:
            seating: who sits where.
            reading: the rows of the store to hear.
            store: the store.

        Returns:
            float32, `(speakers, 160)`, 16-bit scale: a view of `pcm`.
        """
        n = seating.talkers
        pcm, index = self.pcm[:n], reading.index[:n]
        frames = store.octets.reshape(-1, FRAME)
        decode_rows(seating.codec, frames, index, pcm)
        for codec, chosen in seating.strange_in:
            if len(chosen):
                decoded = np.empty((len(chosen), FRAME), np.float32)
                decode_rows(codec, frames, index[chosen], decoded)
                pcm[chosen] = decoded
        return pcm

    def decode_more(
        self, seating: Seating, legs: Legs, reading: Reading, store: PlayoutStore
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Decode what gaps and edits need besides, few rows if any.

        Args:
            seating: who sits where.
            legs: says the codecs.
            reading: which rows.
            store: the store.

        Returns:
            Frames behind missing ones and second frames, as `Streams.follow` wants them, each
            float32 `(k, 160)`; silence where they are none of G.711.
        """
        if not len(reading.bridged) + len(reading.edited):
            return _NOTHING, _NOTHING
        codecs = legs.codec[seating.order]
        behind = self.frames(codecs[reading.bridged], reading.behind, store)
        return behind, self.frames(codecs[reading.edited], reading.extra_index, store)

    @staticmethod
    def frames(
        codecs: npt.NDArray[np.uint8], index: npt.NDArray[np.intp], store: PlayoutStore
    ) -> npt.NDArray[np.float32]:
        """Decode rows of the store, few if any.

        Args:
            codecs: uint8, `(k,)`: the codec of each.
            index: intp, `(k,)`: the rows.
            store: the store.

        Returns:
            float32, `(k, 160)`; silence where they are none of G.711.
        """
        pcm = np.zeros((len(index), FRAME), np.float32)
        octets = store.octets.reshape(-1, FRAME)
        for codec in range(TABLED):
            chosen = (codecs == codec).nonzero()[0]
            if len(chosen):
                decoded = np.empty((len(chosen), FRAME), np.float32)
                decode_rows(codec, octets, index[chosen], decoded)
                pcm[chosen] = decoded
        return pcm

    def mix(self, seating: Seating, chimes: Players) -> None:
        """Sum each room, and add what is played to all of it."""
        self._marked, self._marked_frames = _NOBODY, _NOTHING
        sum_rooms(seating, self.pcm, self.rooms, self._least, self._most)
        rooms = chimes.active.nonzero()[0]
        if len(rooms):
            frames = chimes.render(rooms)
            place = np.searchsorted(rooms, seating.room_whole)
            place[place == len(rooms)] = 0
            chosen = rooms[place] == seating.room_whole
            self.rooms[seating.rooms[chosen]] += frames[place[chosen]]
        self._limited[:] = False
        if len(seating.ears) or len(self.whispers):
            self._whisper(seating)

    def _whisper(self, seating: Seating) -> None:
        """Sum what is whispered to each ear."""
        self.whispers = np.zeros((len(seating.ears), FRAME), np.float32)
        np.add.at(self.whispers, seating.whisper_ear, self.pcm[seating.whisperers])

    def measure(self, seating: Seating, limiter: Limiter) -> None:
        """Show a limiter the loudest that anybody in each room hears: all, or all but oneself."""
        rooms = seating.rooms
        limiter.hear(rooms, loudest(self.rooms, self._least, self._most, rooms, BLOCKS))
        ears = seating.ears
        if len(ears):
            limiter.hear(seating.ear_room, block_peaks(self._room_of_ears(seating) + self.whispers))

    def _room_of_ears(self, seating: Seating) -> npt.NDArray[np.float32]:
        """Return what those who are whispered to hear of their room, `(ears, 160)`."""
        ears = seating.ears
        speaking = ears < seating.speakers
        frames = self.rooms[seating.ear_room]
        frames[speaking] -= self.pcm[ears[speaking]]
        return frames

    def limit(self, seating: Seating, limiter: Limiter) -> None:
        """Turn rooms that are too loud down, for all who hear them."""
        limiter.draw(self._limited, self._curves)
        if len(seating.ears):
            self.whispers *= limiter.curves(seating.ear_room, FRAME)

    def whole(self, rooms: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
        """Return what those hear of some rooms, few if any, who do not speak there.

        Args:
            rooms: intp, `(k,)`.

        Returns:
            float32, `(k, 160)`, unclipped, turned down where it is too loud.
        """
        frames = self.rooms[rooms]
        limited = self._limited[rooms]
        frames[limited] *= self._curves[rooms[limited]]
        return frames

    def others(self, seating: Seating, positions: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
        """Return what some speakers hear of their rooms, few if any.

        Args:
            seating: who sits where.
            positions: intp, `(k,)`: of speakers, each once.

        Returns:
            float32, `(k, 160)`, unclipped: the room without oneself, turned down where it is too
            loud; of those of `mark` as it is marked.
        """
        frames = hear_others(seating, positions, self.pcm, self.rooms, self._limited, self._curves)
        for position, frame in zip(self._marked.tolist(), self._marked_frames, strict=True):
            frames[positions == position] = frame
        return frames

    def mark(self, positions: npt.NDArray[np.intp], frames: npt.NDArray[np.float32]) -> None:
        """Let a few speakers hear something else of their rooms in this tick.

        Args:
            positions: intp, `(k,)`: of speakers, each once.
            frames: float32, `(k, 160)`: what they hear, unclipped.
        """
        self._marked, self._marked_frames = positions, frames

    def play(
        self,
        seating: Seating,
        legs: Legs,
        foreground: Players,
        background: Players,
        volume: Volume,
    ) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]:
        """Make what the legs hear that cannot be done in bulk.

        Args:
            seating: who sits where.
            legs: who hears.
            foreground: prompts.
            background: music.
            volume: how loud each hears its room.

        Returns:
            Positions, intp `(k,)`, and what they hear, float32 `(k, 160)`, unclipped; of legs that
            speak G.722 only what is played to them.
        """
        replaced = self.playing
        replaced[:] = False
        front, back = foreground.active.nonzero()[0], background.active.nonzero()[0]
        apart = len(seating.ears) or len(seating.strange_out)
        if not (len(front) or len(back) or apart or volume.active):
            return seating.ears, _NOTHING
        replaced[front[foreground.mode[front] == REPLACE]] = True
        # Music pauses where it is not heard, and goes on from there.
        back = back[~replaced[back]]
        in_room = (legs.room[back] >= 0) & legs.hears[back]
        back = back[~in_room | (background.mode[back] == MIX)]

        special = np.zeros(legs.capacity, np.bool_)
        special[front] = True
        special[back] = True
        special[seating.order[seating.ears]] = True
        special[seating.order[seating.strange_out]] = True
        if volume.active:
            special |= volume.own & legs.open
        rows = special.nonzero()[0]
        if not len(rows):
            return rows, _NOTHING
        positions = seating.position[rows]
        place = np.zeros(legs.capacity, np.intp)
        place[rows] = np.arange(len(rows))

        frames = np.zeros((len(rows), FRAME), np.float32)
        hears = (legs.room[rows] >= 0) & legs.hears[rows] & ~replaced[rows]
        hears &= legs.codec[rows] < TABLED
        speaking = hears & (positions < seating.speakers)
        frames[speaking] = self.others(seating, positions[speaking])
        listening = hears & ~speaking
        frames[listening] = self.whole(legs.room[rows[listening]])
        if len(seating.ears):
            ears = seating.order[seating.ears]
            heard = ~replaced[ears]
            frames[place[ears[heard]]] += self.whispers[heard]
        if volume.active:
            volume.turn(rows, frames)
        if len(back):
            frames[place[back]] += background.render(back)
        if len(front):
            frames[place[front]] += foreground.render(front)
        return positions, frames

    def encode(
        self,
        seating: Seating,
        legs: Legs,
        positions: npt.NDArray[np.intp],
        frames: npt.NDArray[np.float32],
        packets: npt.NDArray[np.uint8],
    ) -> None:
        """Clip and encode everything.

        Args:
            seating: who sits where.
            legs: says the codecs.
            positions: intp, `(k,)`: positions that `play` made.
            frames: float32, `(k, 160)`: what they hear.
            packets: uint8, `(>= n, PACKET)`, by position: get it behind their headers.
        """
        encode_others(seating, self.pcm, self.rooms, self._limited, self._curves, packets)
        codes = packets[:, HEADER:]
        if len(self._marked):
            codes[self._marked] = self._encode(seating.codec, self._marked_frames)
        for codec, rooms, listening, which in seating.listening_to:
            codes[listening] = self._encode(codec, self.whole(rooms))[which]
        if len(seating.deaf):
            codes[seating.deaf] = seating.deaf_code[:, None]
        if len(positions):
            codecs = legs.codec[seating.order[positions]]
            for codec in range(TABLED):
                chosen = (codecs == codec).nonzero()[0]
                if len(chosen):
                    codes[positions[chosen]] = self._encode(codec, frames[chosen])

    @staticmethod
    def _encode(codec: int, sums: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
        codes = np.empty(sums.shape, np.uint8)
        encode(codec, sums, codes)
        return codes
