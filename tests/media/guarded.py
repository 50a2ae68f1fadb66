"""Many small conferences through levels, gate, gain and guards, with telephones that return echoes.

Everything between decoding and encoding is the engine's own; what a leg is sent is coded, and comes
back to it with a delay and a loss, if its telephone does that. No sockets, no clock, no store.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media.agc import Agc
from bridge.media.codecs import FRAME, SILENCE_CODES
from bridge.media.companding import decode, encode
from bridge.media.gains import Gains
from bridge.media.gate import Gate
from bridge.media.guards import Guards
from bridge.media.legs import Legs
from bridge.media.levels import Levels, frame_rms
from bridge.media.messages import Configure, LegGuarded, LegMedia
from bridge.media.mix import hear_others, sum_rooms
from bridge.media.seating import seat

__all__ = ["LONGEST", "Conferences", "Told"]

LONGEST: Final = 8000
"""Samples of delay at most."""

_Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Told:
    """Something that a guard said.

    Attributes:
        tick: When.
        event: What.
    """

    tick: int
    event: LegGuarded


@dataclass
class Conferences:
    """Legs in conferences; leg `n + 1` has row `n`.

    Attributes:
        rooms: Of each leg.
        options: Of the engine.
        delay: Of each leg's echo [samples].
        returned: Amplitude of it over what was sent; 0 where there is none.
    """

    rooms: list[int]
    options: Configure = field(default_factory=Configure)
    delay: npt.NDArray[np.int64] = field(init=False)
    returned: _Floats = field(init=False)
    told: list[Told] = field(default_factory=list)
    tick: int = 0

    def __post_init__(self) -> None:
        count = len(self.rooms)
        self.legs = Legs(count)
        media = LegMedia("PCMU", 0, remote_rtp=("192.0.2.1", 4000))
        for row, room in enumerate(self.rooms):
            self.legs.take(row + 1, media)
            self.legs.room[row] = self.legs.whole[row] = room
        self.levels, self.gate, self.agc = Levels(count), Gate(count), Agc(count)
        self.gains, self.guards = Gains(count), Guards(count)
        self.delay = np.full(count, LONGEST, np.int64)
        self.returned = np.zeros(count, np.float32)
        self._sent = np.zeros((count, 2 * LONGEST), np.float32)
        self.reseat()

    def reseat(self) -> None:
        """Seat the legs anew, after one may speak, or may not, or is elsewhere."""
        self._seating = seat(self.legs, SILENCE_CODES)

    def hear(self, said: npt.NDArray[np.float64] | _Floats) -> _Floats:
        """Make a tick.

        Args:
            said: `(legs, 160)`: what is said at each telephone, 16-bit scale.

        Returns:
            float32, `(legs, 160)`: what is heard of each.
        """
        seating = self._seating
        order = seating.order
        talkers = order[: seating.speakers]
        came = said.astype(np.float32)
        echoing = np.flatnonzero(self.returned)
        if len(echoing):
            # What is sent in this very tick cannot be back in it: delays are a frame or more.
            begin = self._sent.shape[1] - self.delay[echoing]
            at = begin[:, None] + np.arange(FRAME)
            back = np.take_along_axis(self._sent[echoing], at, 1)
            came[echoing] += self.returned[echoing, None] * back
        pcm = _coded(came)[talkers]
        arrived = np.ones(len(talkers), np.bool_)
        self.levels.follow(talkers, frame_rms(pcm), arrived)
        self.levels.fall_silent(seating.silent_rows)
        self.gate.close(seating.silent_rows)
        self.gate.follow(self.levels)
        if self.options.agc:
            self.agc.follow(self.levels, self.options.target_dbov)
        for event in self.guards.follow(
            self.legs,
            seating,
            pcm,
            levels=self.levels,
            gate=self.gate,
            agc=self.agc,
            gains=self.gains,
            options=self.options,
        ):
            self.told.append(Told(self.tick, event))
        self.gains.follow(self.levels, self.gate, self.agc, self.options)
        self.gains.apply(talkers, pcm)
        sums = np.zeros((int(self.legs.room.max()) + 1, FRAME), np.float32)
        sum_rooms(seating, pcm, sums, np.empty_like(sums), np.empty_like(sums))
        everybody, nowhere = np.arange(len(pcm)), np.zeros(len(sums), np.bool_)
        heard = hear_others(seating, everybody, pcm, sums, nowhere, sums)
        if self.guards.marks:
            rows, positions = self.guards.suspects(seating)
            marked = heard[positions]
            self.guards.mark(rows, marked)
            heard[positions] = marked
        self._sent[:, :-FRAME] = self._sent[:, FRAME:]
        self._sent[:, -FRAME:] = 0
        self._sent[talkers, -FRAME:] = _coded(heard)
        self.tick += 1
        out = np.zeros((len(self.rooms), FRAME), np.float32)
        out[talkers] = pcm
        return out

    def run(self, said: npt.NDArray[np.float64] | _Floats) -> _Floats:
        """Make ticks: `(legs, samples)`, whole frames, to float32 of the same shape."""
        frames = said.shape[1] // FRAME
        parts = [self.hear(said[:, at * FRAME : (at + 1) * FRAME]) for at in range(frames)]
        return np.concatenate(parts, axis=1)

    def events(self, guard: str, leg: int | None = None) -> list[Told]:
        """Return what a guard has said, of one leg or of all."""
        return [
            told
            for told in self.told
            if told.event.guard == guard and leg in {None, told.event.leg}
        ]


def _coded(sound: _Floats) -> _Floats:
    """Return what PCMU leaves of sounds, float32 `(k, 160)`."""
    codes = np.empty(sound.shape, np.uint8)
    encode(0, sound, codes)
    out = np.empty(sound.shape, np.float32)
    decode(0, codes, out)
    return out
