"""Wideband legs that hear the same share one encoding of their room, without a click.

Who says nothing hears the sum of the room as it is; of G.711 one encoding of it serves everybody.
G.722's far decoders follow the encoder's state, which cannot be copied, and two encoders of one
sound never come to agree: their codes differ for good, and a leg put from one to the other hears an
error some 20 dB below the sound for a tenth of a second. So a leg changes only where none is heard:

- **From the shared encoding to its own**, at the very frame in which it begins to say something:
  each shared encoder has *spares* beside it that encode the same frames from the first one on. The
  leg takes one of them for its own: to the bit the state that its far end follows.
- **From its own to the shared one**, in a pause of the room: when leg and room have been below
  `QUIET` for `PAUSE_TICKS`, what the change makes is as faint as the pause. The sound carries a
  dither of -77 dBov there, for on digital silence both encoders hum, each its own way.
  A leg that has waited for one for `PATIENCE_TICKS` takes a lull instead, the gap between two
  words, so that a conference that never pauses does not cost an encoding for each who listens.
- Spares that were taken are replaced in a pause as well, by a new encoder with new spares, to which
  all who share go over.

Where more legs begin to speak at once than there are spares, the next ones encode the room's last
frames first with an encoder of their own: its error starts 10 to 20 dB below the sound.
"""

from collections import deque
from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media._rows import Rows
from bridge.media.g722 import Coder, Coders
from bridge.media.resample import WIDE_FRAME

__all__ = ["FEWEST", "PAUSE_TICKS", "QUIET", "SPARES", "Sharing"]

SPARES: Final = 2
"""Beside each shared encoder."""

FEWEST: Final = SPARES + 2
"""Legs of a room that hear the same before they share: below, sharing is dearer."""

QUIET: Final = 33
"""Peak on the 16-bit scale, -60 dBov."""

PAUSE_TICKS: Final = 10
"""200 ms: an encoder forgets in a few times 32 ms (G.722 section 3.6: leaks of 255/256)."""

PATIENCE_TICKS: Final = 250
"""Five seconds."""

LULL: Final = 0.1
"""Of the loudest peak of late, -20 dB. What the change makes is some 20 dB lower still."""

LULL_AGE: Final = 25
"""Ticks that an encoder has run before anybody joins it in a lull."""

_FORGETTING: Final = 0.98  # a tick; the loudest peak is half forgotten in 0.7 s

DITHER_RMS: Final = 4.0

_RECENT: Final = 3
_PRIMED_PER_TICK: Final = 8
_DITHERS: Final = 31

_Index = npt.NDArray[np.intp]
_Flags = npt.NDArray[np.bool_]
_Samples = npt.NDArray[np.int16]


class _Stream:
    """One room's shared encoder and its spares.

    All have encoded the same frames since the stream began.
    """

    __slots__ = ("age", "encoder", "recent", "spares", "successor")

    def __init__(self) -> None:
        self.encoder = Coder()
        self.spares = [Coder() for _ in range(SPARES)]
        self.recent: deque[_Samples] = deque(maxlen=_RECENT)
        self.age = 0
        self.successor: _Stream | None = None

    def encode(self, frame: _Samples) -> bytes:
        for spare in self.spares:
            spare.encode(frame)
        self.recent.append(frame)
        self.age += 1
        octets: bytes = self.encoder.encode(frame)
        return octets


class Sharing(Rows):
    """Who shares.

    Args:
        capacity: rows to begin with.
        coders: the legs' own encoders.
    """

    def __init__(self, capacity: int, coders: Coders) -> None:
        super().__init__(capacity)
        self._coders = coders
        self.shared: _Flags = self.column("shared", np.bool_)
        self.room: _Index = self.column("room", np.intp, fill=-1)
        # Ticks for which the leg has heard its room as it is.
        self.alike: npt.NDArray[np.int64] = self.column("alike", np.int64)
        self.quiet = np.zeros(1, np.int64)
        self.loudest = np.zeros(1, np.float64)
        self.streams: dict[int, _Stream] = {}
        noise = np.random.default_rng(722).normal(0, DITHER_RMS, (_DITHERS, WIDE_FRAME))
        self._dither = np.rint(noise).astype(np.float32)
        self._turn = 0
        # Rooms whose legs are enough to share.
        self._wanted: list[int] = []

    def dither(self) -> npt.NDArray[np.float32]:
        """Return this tick's dither, float32, `(320,)`."""
        frame: npt.NDArray[np.float32] = self._dither[self._turn % _DITHERS]
        return frame

    def worthwhile(self, rows: _Index, room: _Index, alike: _Flags) -> _Flags:
        """Say who hears the same as enough others, or as some who share.

        Args:
            rows: intp, `(w,)`: all wideband legs.
            room: intp, `(w,)`: index of each leg's room, -1 for one that hears none.
            alike: bool, `(w,)`: who hears that room as it is.

        Returns:
            bool, `(w,)`.
        """
        if not alike.any():
            return alike
        counts = np.bincount(room[alike], minlength=int(room.max()) + 1)
        fit = counts >= FEWEST
        using = self.room[rows[self.shared[rows]]]
        fit[using[using < len(fit)]] = True
        return alike & fit[room]

    def settle(
        self, rows: _Index, room: _Index, alike: _Flags, rooms: _Index, frames: _Samples
    ) -> _Flags:
        """Decide who shares in this tick.

        Args:
            rows: intp, `(w,)`: all wideband legs.
            room: intp, `(w,)`: index of each leg's room, -1 for one that hears none.
            alike: bool, `(w,)`: who hears that room as it is.
            rooms: intp, `(r,)`: the rooms that wideband legs hear, ascending.
            frames: int16, `(r, 320)`: what each of them sounds like.

        Returns:
            bool, `(w,)`: who shares.
        """
        self._turn += 1
        self.alike[rows] = np.where(alike, self.alike[rows] + 1, 0)
        joining = self._pauses(rows, room, alike, rooms, frames)
        shared = self.shared[rows]
        if shared.any():
            self._take_leave(rows[shared & ~(alike & (self.room[rows] == room))], rooms)
        if joining.any():
            self.shared[rows[joining]] = True
            self.room[rows[joining]] = room[joining]
        shared = self.shared[rows]
        used = {*self.room[rows[shared]].tolist(), *self._wanted}
        for index in [index for index in self.streams if index not in used]:
            del self.streams[index]
        return shared

    def _pauses(
        self, rows: _Index, room: _Index, alike: _Flags, rooms: _Index, frames: _Samples
    ) -> _Flags:
        """Use pauses and lulls of the rooms; return who may begin to share, bool, `(w,)`."""
        self._wanted = []
        if not len(rooms):
            return np.zeros(len(rows), np.bool_)
        lull = self._listen(rooms, frames)
        fit = self.worthwhile(rows, room, alike)
        waited = self.alike[rows]
        pause = fit & (self.quiet[room] >= PAUSE_TICKS) & (waited >= PAUSE_TICKS)
        self._wanted = np.unique(room[fit]).tolist()
        for index in self._wanted:
            self._renew(index, in_pause=bool(self.quiet[index] >= PAUSE_TICKS))
        old = [index for index, stream in self.streams.items() if stream.age >= LULL_AGE]
        lull_now = fit & lull[room] & (waited >= PATIENCE_TICKS) & np.isin(room, old)
        begun = [index for index, stream in self.streams.items() if stream.age]
        return (lull_now | (pause & np.isin(room, begun))) & ~self.shared[rows]

    def _listen(self, rooms: _Index, frames: _Samples) -> _Flags:
        """Follow how loud the rooms are; return which have a lull, by room index."""
        if rooms[-1] >= len(self.quiet):
            self.quiet = np.zeros(2 * int(rooms[-1]) + 2, np.int64)
            self.loudest = np.zeros(len(self.quiet))
        peak = np.abs(frames.astype(np.int32)).max(axis=1)
        quiet, loudest = self.quiet[rooms], self.loudest[rooms]
        self.quiet[:], self.loudest[:] = 0, 0
        self.quiet[rooms] = np.where(peak < QUIET, quiet + 1, 0)
        self.loudest[rooms] = np.maximum(peak, _FORGETTING * loudest)
        lull = np.zeros(len(self.quiet), np.bool_)
        lull[rooms] = peak < LULL * self.loudest[rooms]
        return lull

    def _renew(self, room: int, *, in_pause: bool) -> None:
        """Have an encoder for a room, and in a pause one that has all its spares."""
        stream = self.streams.get(room)
        if stream is None:
            self.streams[room] = _Stream()
        elif not in_pause:
            stream.successor = None
        elif stream.successor is not None and stream.successor.age:
            self.streams[room] = stream.successor
        elif stream.successor is None and len(stream.spares) < SPARES:
            stream.successor = _Stream()

    def _take_leave(self, rows: _Index, rooms: _Index) -> None:
        """Give legs an encoder of their own in the state that their far ends follow."""
        primed = 0
        for row in rows.tolist():
            stream = self.streams[int(self.room[row])]
            if stream.spares:
                coder = stream.spares.pop()
            elif primed < _PRIMED_PER_TICK or self.room[row] not in rooms:
                primed += 1
                coder = Coder()
                for frame in stream.recent:
                    coder.encode(frame)
            else:
                continue  # In one of the next ticks; it goes on to share till then.
            self._coders.encode_with(row, coder)
            self.shared[row] = False

    def encode(self, rooms: _Index, frames: _Samples) -> npt.NDArray[np.uint8]:
        """Encode for those who share.

        Args:
            rooms: intp, `(r,)`: the rooms that wideband legs hear.
            frames: int16, `(r, 320)`: what each of them sounds like.

        Returns:
            uint8, `(r, 160)`: the codes; of rooms in which nobody shares, zeros.
        """
        codes = np.zeros((len(rooms), WIDE_FRAME // 2), np.uint8)
        for index, stream in self.streams.items():
            at = int(np.searchsorted(rooms, index))
            codes[at] = np.frombuffer(stream.encode(frames[at]), np.uint8)
            if stream.successor is not None:
                stream.successor.encode(frames[at])
        return codes
