"""Keys pressed as tones in the sound: heard, told once a press, and kept from the others.

Frames of legs that need it go through `tones`; what a leg says comes out a frame (20 ms) later
than it came, so that a tone's beginning is known before it would be played::

    frames      n-2   │   n-1    │    n
    found                          pair?          a frame that a tone fills
    played             muted if a tone fills n, n-1 or n-2: its first and last parts too
    told                         ▒▒▒▒▒▒▒▒▒▒▒      30 ms of one tone, verified, behind a pause

A tone of 40 ms fills one frame at least, wherever it begins, and of four blocks of 5 ms next to
that frame three; one of 23 ms never covers six blocks in a row. A press ends with 25 ms of blocks
below a quarter of the tone's power, which an interruption of 10 ms never has and a pause of 40 ms
always, or with three frames without a tone. Frames that did not come are no evidence of anything.

A thousand such legs cost about 1 ms a tick, half of it for the matrix and what goes with it, half
for the frames held back; a press costs 30 us once.

Who is listened to
------------------
Legs that negotiated no telephone-event, always. Of those that did, some have gateways that send
tones all the same (telephone-event switched off on the trunk behind them): they are listened to
while they are in no room, that is while they key a PIN, until the first RFC 4733 event comes, and
in the room if they keyed by tones before. In a conference of legs that key by events, or have
never keyed, nothing is listened to: speech must not press keys there, and nothing is spent.
A key that comes by tone and by event or INFO as well is one press (`dtmf.Keys.tell`).

Some gateways let the first 20 to 40 ms of a tone through before its event. When an event begins,
the rows around the one playing are searched for its tone; a leg where it is found is muted and
delayed like the others from then on, though its tones press no keys. (Not of legs that speak G.722:
what a row held cannot be decoded twice.)
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media._compiled import compiled
from bridge.media._rows import Rows
from bridge.media.codecs import FRAME, TABLED
from bridge.media.companding import decode
from bridge.media.dtmf import DIGITS
from bridge.media.legs import ALONE, NO_PAYLOAD_TYPE, Legs
from bridge.media.playout import PlayoutStore, Reading
from bridge.media.ring import SLOTS
from bridge.media.seating import Seating
from bridge.media.tones import (
    BLOCKS,
    KEYS,
    NO_PAIR,
    Pairs,
    amplitude,
    blocks_of,
    find_pairs,
    verify,
)
from bridge.media.wideband import Wideband

__all__ = ["Inband"]

FAINTEST_DBM0: Final = -30.0
"""Of each tone, to press a key: 5 dB below what Q.24 asks for."""

TWIST_DB: Final = (-9.5, 5.5)
"""High tone over low tone: Q.24's limits and 1.5 dB, for noise at 15 dB moves them by one."""

PURITY_TOLD: Final = 0.85
PURITY_MUTED: Final = 0.75
"""Least share of both tones in the energy. 15 dB of signal to noise give 0.95 and more."""

LARGEST_HARMONIC: Final = 0.15
"""Amplitude of the high tone's second harmonic over the tone's: voices have one, keys do not."""

LEAST_BLOCKS: Final = 6
PAUSE_BLOCKS: Final = 5
PAUSE_FRAMES: Final = 3
MOST_VERIFIED: Final = 64
"""Presses verified in a tick, 30 us each. When more begin at once, the others have their turn in
the next ticks: a tone of 80 ms is tried four times or more."""

LONGEST_GAP: Final = 3
"""Frames missing in a row beyond which the tone is taken to have ended."""

_FILLED: Final = (0.5, 2.0)
"""Power of a block over the tone's that counts as covered by it."""

_LOW: Final = 0.25
_FRAMES: Final = 3
_MIDDLE: Final = 2
_LONG: Final = LEAST_BLOCKS * FRAME // BLOCKS
_LOOK_BACK: Final = np.arange(-2, 5)
"""Rows around the one playing in which the tone that led an event is found, or waits."""

_Index = npt.NDArray[np.intp]
_Floats = npt.NDArray[np.float32]


@dataclass(slots=True)
class _Candidates:
    """Frames that may be part of a press not yet told, each array `(c,)`; see `Pairs`."""

    rows: _Index
    pair: npt.NDArray[np.int64]
    power: npt.NDArray[np.float64]
    frequency: npt.NDArray[np.float64]


class Inband(Rows):
    """What is known of each leg's tones, and its last three frames.

    Args:
        capacity: rows to begin with.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.events_seen: npt.NDArray[np.bool_] = self.column("events_seen", np.bool_, kept=True)
        self.keyed: npt.NDArray[np.bool_] = self.column("keyed", np.bool_, kept=True)
        self.leaks: npt.NDArray[np.bool_] = self.column("leaks", np.bool_, kept=True)
        self.listened: npt.NDArray[np.bool_] = self.column("listened", np.bool_)
        self.past: _Floats = self.column("past", np.float32, _FRAMES, FRAME)
        self.filled: npt.NDArray[np.bool_] = self.column("filled", np.bool_, 2, kept=True)
        # The press told and not yet ended.
        self.pair: npt.NDArray[np.int64] = self.column("pair", np.int64, fill=NO_PAIR, kept=True)
        self.power: npt.NDArray[np.float64] = self.column("power", np.float64, kept=True)
        self.low_blocks: npt.NDArray[np.int64] = self.column("low_blocks", np.int64, kept=True)
        self.without: npt.NDArray[np.int64] = self.column("without", np.int64, kept=True)
        self.gap: npt.NDArray[np.int64] = self.column("gap", np.int64)
        # What the last frame held.
        self.found: npt.NDArray[np.int64] = self.column("found", np.int64, fill=NO_PAIR)
        self.found_power: npt.NDArray[np.float64] = self.column("found_power", np.float64)
        self.found_frequency: npt.NDArray[np.float64] = self.column(
            "found_frequency", np.float64, 2
        )
        # Of this tick: who is listened to.
        self.needed: npt.NDArray[np.bool_] = self.column("needed", np.bool_)
        self._turn = 0
        self._turns = 0

    # --- who is listened to ---------------------------------------------------------------------

    def _keys_by_tones(self, legs: Legs) -> npt.NDArray[np.bool_]:
        """Say whose tones are keys, and not what comes besides their events."""
        by_tones: npt.NDArray[np.bool_] = ~self.events_seen | (
            legs.dtmf_payload_type == NO_PAYLOAD_TYPE
        )
        return by_tones

    def note_events(
        self,
        rows: _Index,
        code: npt.NDArray[np.int64],
        store: PlayoutStore,
        codec: npt.NDArray[np.uint8],
    ) -> None:
        """Take note that RFC 4733 events begin, and find out who lets tones through before them.

        Args:
            rows: intp, `(k,)`: the legs.
            code: int64, `(k,)`: the events, indices of `dtmf.DIGITS`.
            store: what the legs sent.
            codec: uint8, `(legs,)`: codec of every leg.
        """
        self.events_seen[rows] = True
        slot = (store.play_row[rows][:, None] + _LOOK_BACK) & (SLOTS - 1)
        octets = store.octets[rows[:, None], slot].reshape(-1, FRAME)
        pcm = _decoded(octets, np.repeat(codec[rows], len(_LOOK_BACK)))
        pairs, _ = find_pairs(pcm)
        leg = pairs.index // len(_LOOK_BACK)
        same = _CODE_OF_PAIR[pairs.pair] == code[leg]
        self.leaks[rows[leg[same]]] = True

    # --- each tick ------------------------------------------------------------------------------

    def listen(
        self,
        legs: Legs,
        seating: Seating,
        reading: Reading,
        store: PlayoutStore,
        wideband: Wideband,
        pcm: _Floats,
    ) -> _Index:
        """Hear the keys of this tick; delay and mute what those legs say.

        Args:
            legs: the legs.
            seating: who sits where.
            reading: what the store gave for this tick; muted frames become missing ones.
            store: the store.
            wideband: the legs that speak G.722; what they say at 16 kHz is delayed and muted too.
            pcm: float32, `(speakers, 160)`: what the speakers say; of legs that are listened to
                it becomes what they said a frame ago, or silence.

        Returns:
            The legs that pressed a key, intp `(p,)`; `pair` says which.
        """
        needed = self.needed
        some, others = _need(
            legs.open,
            legs.dtmf_payload_type,
            legs.room,
            self.events_seen,
            self.keyed,
            self.leaks,
            self.listened,
            needed,
        )
        if not some and not others:
            return _NOBODY
        if others:
            changed = (needed != self.listened).nonzero()[0]
            self._begin(changed, needed)
            wideband.begin_holding(changed)
            self.listened[:] = needed
        chosen = needed[seating.order].nonzero()[0]
        if not len(chosen):
            return chosen
        rows = seating.order[chosen]
        speaking = int(np.searchsorted(chosen, seating.talkers))
        frames = np.empty((len(rows), FRAME), np.float32)
        frames[:speaking] = pcm[chosen[:speaking]]
        if speaking < len(rows):
            apart = chosen[speaking:]
            octets = store.octets.reshape(-1, FRAME)[reading.index[apart]]
            codec = legs.codec[rows[speaking:]]
            frames[speaking:] = _decoded(octets, codec)
            # What lies where nothing came is old, or full scale: it is said late by who may speak.
            frames[speaking:][reading.missing[apart] > 0] = 0
            wide = ((codec >= TABLED) & reading.came[apart]).nonzero()[0]
            if len(wide):
                frames[speaking + wide] = wideband.narrow(rows[speaking + wide], octets[wide])
        self._turn = (self._turn + 1) % _FRAMES
        self.past[rows, self._turn] = frames
        told, mute = self.hear(rows, frames, reading.missing[chosen] == 0)
        mute |= reading.blanked[chosen]
        delayed = self.past[rows[:speaking], self._turn - 1]
        silent = mute[:speaking]
        delayed[silent] = 0
        pcm[chosen[:speaking]] = delayed
        wideband.hold_back(rows[:speaking], silent, delayed)
        # Neither level nor noise floor is to be learned from what we muted.
        reading.missing[chosen[:speaking][silent]] = 1
        pressed: _Index = rows[told]
        pressed = pressed[self._keys_by_tones(legs)[pressed]]
        self.keyed[pressed] = True
        return pressed

    def hear(
        self, rows: _Index, frames: _Floats, came: npt.NDArray[np.bool_]
    ) -> tuple[_Index, npt.NDArray[np.bool_]]:
        """Take a frame of each leg in, which `past` holds already.

        Args:
            rows: intp, `(k,)`: the legs.
            frames: float32, `(k, 160)`: what they sent.
            came: bool, `(k,)`: false where the frame was made up.

        Returns:
            Which of them pressed a key, intp `(p,)`: `pair` says which; and whose last frame must
            not be heard, bool `(k,)`.
        """
        pairs, blocks = find_pairs(frames)
        if not came.all():
            pairs = pairs.chosen(came[pairs.index])
        mute = self._muted(rows, pairs.index[pairs.purity >= PURITY_MUTED], came)
        before = self.pair[rows]
        self._await_pauses(rows, blocks, pairs, came)
        told = self._presses(rows, pairs.chosen(_is_key(pairs)), before)
        return told, mute

    def _begin(self, rows: _Index, needed: npt.NDArray[np.bool_]) -> None:
        """Forget the sound of legs that are listened to now, and the keys of those no more."""
        self.past[rows] = 0
        self.found[rows] = NO_PAIR
        ended = rows[~needed[rows]]
        self.pair[ended] = NO_PAIR
        self.filled[ended] = False

    def _muted(
        self, rows: _Index, tonal: _Index, came: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.bool_]:
        """Say whose last frame has a tone in it, as far as the frames around it tell."""
        filled = self.filled[rows]
        # What is made up repeats the frame before, which may hold the last of a tone.
        now = filled.any(axis=1) & ~came
        now[tonal] = True
        self.filled[rows, 1] = filled[:, 0]
        self.filled[rows, 0] = now
        mute: npt.NDArray[np.bool_] = now | filled[:, 0] | filled[:, 1]
        return mute

    def _await_pauses(
        self, rows: _Index, blocks: _Floats, pairs: Pairs, came: npt.NDArray[np.bool_]
    ) -> None:
        """End the presses whose tone is over."""
        # Of frames that the tone fills in part it must not be learned how loud it is.
        going_on = (self.pair[rows[pairs.index]] == pairs.pair) & (pairs.purity >= PURITY_TOLD)
        same = pairs.chosen(going_on)
        self.power[rows[same.index]] = same.power
        tonal = np.zeros(len(rows), np.bool_)
        tonal[same.index] = True
        pressing = (self.pair[rows] != NO_PAIR).nonzero()[0]
        if not len(pressing):
            return
        legs, here = rows[pressing], came[pressing]
        gap = np.where(here, 0, self.gap[legs] + 1)
        without = np.where(tonal[pressing], 0, self.without[legs] + here)
        low = (blocks[pressing] < _LOW * self.power[legs, None]) & here[:, None]
        run = self.low_blocks[legs]
        over = (gap > LONGEST_GAP) | (without >= PAUSE_FRAMES)
        for block in range(BLOCKS):
            run = np.where(low[:, block], run + 1, np.where(here, 0, run))
            over |= run >= PAUSE_BLOCKS
        self.gap[legs] = gap
        self.without[legs] = without
        self.low_blocks[legs] = run
        self.pair[legs[over]] = NO_PAIR

    def _presses(self, rows: _Index, keys: Pairs, before: npt.NDArray[np.int64]) -> _Index:
        """Tell the presses that are long enough now: those of this frame, and of the last one."""
        place = np.full(len(rows), -1, np.intp)
        place[keys.index] = np.arange(len(keys.index))
        new = (keys.pair != self.pair[rows[keys.index]]).nonzero()[0]
        last = self.found[rows]
        old = ((last != NO_PAIR) & (last != before) & (place < 0)).nonzero()[0]
        index = np.concatenate((keys.index[new], old))
        told: _Index = index
        if len(index):
            legs = rows[old]
            asked = _Candidates(
                rows=rows[index],
                pair=np.concatenate((keys.pair[new], last[old])),
                power=np.concatenate((keys.power[new], self.found_power[legs])),
                frequency=np.concatenate((keys.frequency[new], self.found_frequency[legs])),
            )
            first = np.where(np.arange(len(index)) < len(new), _FRAMES - 1, _FRAMES - 2)
            pressed = self._long_enough(asked, first * BLOCKS)
            told, legs = index[pressed], asked.rows[pressed]
            self.pair[legs] = asked.pair[pressed]
            self.power[legs] = asked.power[pressed]
            self.low_blocks[legs] = 0
            self.without[legs] = 0
            self.gap[legs] = 0
        self.found[rows] = NO_PAIR
        found = rows[keys.index]
        self.found[found] = keys.pair
        self.found_power[found] = keys.power
        self.found_frequency[found] = keys.frequency
        return told

    def _long_enough(self, asked: _Candidates, first: _Index) -> npt.NDArray[np.bool_]:
        """Say which tones cover enough blocks in a row and are one tone all the while.

        Args:
            asked: the tones.
            first: intp, `(c,)`: block of the last three frames at which the frame of each begins.
        """
        order = (self._turn + 1 + np.arange(_FRAMES)) % _FRAMES
        sound = self.past[asked.rows][:, order].reshape(len(asked.rows), -1)
        ratio = blocks_of(sound) / asked.power[:, None]
        covered = (ratio >= _FILLED[0]) & (ratio <= _FILLED[1])
        column = np.arange(covered.shape[1])
        middle = (first + _MIDDLE)[:, None]
        # The run of covered blocks around the middle of the frame.
        begin = np.where(~covered & (column < middle), column + 1, 0).max(axis=1)
        end = np.where(~covered & (column >= middle), column, covered.shape[1]).min(axis=1)
        long = (end - begin >= LEAST_BLOCKS).nonzero()[0]
        if len(long) > MOST_VERIFIED:
            self._turns += MOST_VERIFIED
            long = np.roll(long, -self._turns)[:MOST_VERIFIED]
        start = (begin + end - LEAST_BLOCKS)[long] // 2 * (FRAME // BLOCKS)
        part = np.take_along_axis(sound[long], start[:, None] + np.arange(_LONG), axis=1)
        purity, harmonic, right = verify(part, asked.frequency[long])
        enough = np.zeros(len(asked.rows), np.bool_)
        enough[long] = right & (purity >= PURITY_TOLD) & (harmonic <= LARGEST_HARMONIC)
        return enough


@compiled(
    "UniTuple(boolean, 2)(boolean[::1], int64[::1], int64[::1], boolean[::1], boolean[::1],"
    " boolean[::1], boolean[::1], boolean[::1])"
)
def _need(
    open_: npt.NDArray[np.bool_],
    event: npt.NDArray[np.int64],
    room: _Index,
    events_seen: npt.NDArray[np.bool_],
    keyed: npt.NDArray[np.bool_],
    leaks: npt.NDArray[np.bool_],
    listened: npt.NDArray[np.bool_],
    needed: npt.NDArray[np.bool_],
) -> tuple[bool, bool]:
    """Find who is listened to; say whether anybody is, and whether it is others than before."""
    some = others = False
    for row in range(needed.size):
        without = event[row] == NO_PAYLOAD_TYPE
        # Who has sent events keys by them; what comes besides are no keys.
        tones = (without or not events_seen[row]) and (keyed[row] or room[row] == ALONE)
        needed[row] = open_[row] and (without or tones or leaks[row])
        some = some or needed[row]
        others = others or needed[row] != listened[row]
    return some, others


_NOBODY: Final = np.empty(0, np.intp)
_CODE_OF_PAIR: Final = np.array([DIGITS.index(key) for key in KEYS])


def _is_key(pairs: Pairs) -> npt.NDArray[np.bool_]:
    """Say which pairs are as keys must be: pure, loud, and of about the same level."""
    low, high = pairs.amplitude[:, 0], pairs.amplitude[:, 1]
    twist = high / np.maximum(low, 1e-3)
    most, least = 10 ** (TWIST_DB[1] / 20), 10 ** (TWIST_DB[0] / 20)
    good: npt.NDArray[np.bool_] = (
        (pairs.purity >= PURITY_TOLD)
        & (np.minimum(low, high) >= amplitude(FAINTEST_DBM0))
        & (twist >= least)
        & (twist <= most)
    )
    return good


def _decoded(octets: npt.NDArray[np.uint8], codecs: npt.NDArray[np.uint8]) -> _Floats:
    """Decode frames of several codecs: uint8 `(k, 160)` to float32 `(k, 160)`."""
    pcm = np.zeros(octets.shape, np.float32)
    for codec in range(TABLED):
        chosen = (codecs == codec).nonzero()[0]
        if len(chosen):
            part = np.empty((len(chosen), FRAME), np.float32)
            decode(codec, octets[chosen], part)
            pcm[chosen] = part
    return pcm
