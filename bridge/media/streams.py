"""From frames to streams: gaps filled, and as fast as each leg is to be heard.

A leg's last frames, as they were heard or made up, are its *stream*; what is played ends `lag`
samples before its end, for most legs none::

          FRAMES frames of the stream                 ┌ the frame of this tick
    ┌───────────┬───────────┬───────────┬─────────────┤
    │           │           │           │             │  and one more where it is shortened
    └───────────┴───────────┴───────────┴─────────────┘
                              └── played ──┘── lag ───┘
                              from here on ↑ it is edited

To be shortened, a leg takes a second frame, and a piece is taken out: what follows it is led over
to over 10 ms. To be lengthened, a piece is heard twice the same way. A piece is one pitch period
long (time-scale modification by overlap and add), or, where the leg is quiet or the sound has no
pitch, as long as is needed to come out even with the frames again.

Legs with nothing missing, nothing lagging and nothing to edit, nearly all of them, cost nothing but
a note: what was played as it came lies in the playout store still, and is looked up there when it
is needed. Only where that cannot be (G.722 is decoded once), every frame is kept.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media._compiled import compiled
from bridge.media._rows import Rows
from bridge.media.codecs import SAMPLE_RATE
from bridge.media.concealment import REPEATED_FRAMES, ComfortNoise, Gaps
from bridge.media.depth import QUIET_RMS, Depth
from bridge.media.pitch import LONGEST, WINDOW, find_period, likeness_at
from bridge.media.playout import Reading

__all__ = ["FRAMES", "Streams"]

FRAMES: Final = 4
"""Frames of a stream that are kept. A power of two."""

_FRAME_MS: Final = 20
_HEARD_FRAMES: Final = 2  # of which concealment learns
_PITCHED: Final = 0.6
"""Likeness from which on a sound has a pitch; below it any piece is as good."""

_EVEN: Final = 0.7
"""Likeness with which a piece of just the length needed may be taken."""

_Sound = npt.NDArray[np.float32]
_Index = npt.NDArray[np.intp]
_Ints = npt.NDArray[np.int64]


class Streams(Rows):
    """The streams of all legs, at one rate.

    Args:
        capacity: rows to begin with.
        rate: 8000 or 16000 [Hz].
        look_up: gives frames that were played a short while ago, float32 `(k, frame)`, for legs and
            rows of the store, each intp `(k,)`; None where what has been decoded is gone.
    """

    def __init__(
        self,
        capacity: int,
        rate: int = SAMPLE_RATE,
        look_up: Callable[[_Index, _Index], _Sound] | None = None,
    ) -> None:
        super().__init__(capacity)
        self.rate = rate
        self._look_up = look_up
        self._times = rate // SAMPLE_RATE
        self._frame = rate * _FRAME_MS // 1000
        self.ring: _Sound = self.column("ring", np.float32, FRAMES, self._frame)
        self.at: _Ints = self.column("at", np.int64)
        # So many of the last frames are not in `ring`, but in these rows of the store.
        self.plain: _Ints = self.column("plain", np.int64)
        self.rows: _Index = self.column("rows", np.intp, FRAMES)
        # Something of the leg has been heard, and not stopped being heard since.
        self.known: npt.NDArray[np.bool_] = self.column("known", np.bool_)
        self.gaps = Gaps(capacity, rate)

    def grow(self, capacity: int) -> None:
        """Add rows."""
        super().grow(capacity)
        self.gaps.grow(capacity)

    def reset(self, row: int) -> None:
        """Make a row as new."""
        super().reset(row)
        self.gaps.reset(row)

    def forget(self, rows: _Index) -> None:
        """Repeat nothing of legs that nobody hears any more."""
        if not len(rows):
            return
        self.known[rows] = False
        self.plain[rows] = 0
        self.gaps.made[rows] = 0

    def follow(
        self,
        rows: _Index,
        reading: Reading,
        behind: _Sound,
        extra: _Sound,
        pcm: _Sound,
        *,
        noise: ComfortNoise,
        depth: Depth,
    ) -> None:
        """Make a frame of each leg's stream out of what came of it.

        Args:
            rows: intp, `(n,)`: the legs, as the first `n` of the reading.
            reading: what came.
            behind: float32, `(k, frame)`: frames that wait behind missing ones (`bridged`).
            extra: float32, `(e, frame)`: second frames (of `edited`; any where there is none).
            pcm: float32, `(n, frame)`: decoded frames, anything where none came; what is heard
                takes their place.
            noise: what is under gaps.
            depth: learns of edits.
        """
        count = len(rows)
        missing, kept = reading.missing[:count], reading.kept[:count]
        blanked, lag = reading.blanked[:count], reading.lag[:count]
        odd, back, moved = np.empty((3, count), np.bool_)
        some = _note(
            rows,
            missing,
            kept,
            blanked,
            lag,
            reading.edited,
            self._look_up is None,
            reading.index,
            self.gaps.made,
            self.at,
            self.rows,
            self.plain,
            self.known,
            odd,
            back,
            moved,
        )
        if not some:
            return
        chosen = odd.nonzero()[0]
        self.keep(rows[chosen])
        gone = missing.nonzero()[0]
        if len(gone):
            self._fill(rows, gone, missing, reading.bridged, behind, pcm, noise)
        returned = back.nonzero()[0]
        if len(returned):
            legs = rows[returned]
            faded = pcm[returned]
            self.gaps.fade_in(legs, noise.noise(legs, self._frame), faded)
            pcm[returned] = faded
        pcm[blanked & ~kept] = 0
        self._append(rows, chosen[~kept[chosen]], pcm)
        if len(reading.edited):
            self._edit(rows[reading.edited], reading.extra, extra, depth)
        moving = moved.nonzero()[0]
        if len(moving):
            legs = rows[moving]
            stream = self._last(legs, FRAMES)
            start = (FRAMES - 1) * self._frame - depth.lag[legs] * self._times
            pcm[moving] = np.take_along_axis(stream, start[:, None] + np.arange(self._frame), 1)
            pcm[blanked] = 0

    # --- gaps -------------------------------------------------------------------------------------

    def _fill(
        self,
        rows: _Index,
        gone: _Index,
        missing: _Ints,
        bridged: _Index,
        behind: _Sound,
        pcm: _Sound,
        noise: ComfortNoise,
    ) -> None:
        legs = rows[gone]
        gaps = self.gaps
        under = noise.noise(legs, self._frame)
        pcm[gone] = under
        paused = noise.paused_level[legs] >= 0
        gaps.made[legs[paused]] = 0
        repeats = (missing[gone] <= REPEATED_FRAMES) & self.known[legs] & ~paused
        faded = ~repeats & (gaps.made[legs] > 0)
        gaps.made[legs[faded]] += 1
        if not repeats.any():
            return
        legs, places = legs[repeats], gone[repeats]
        begins = legs[gaps.made[legs] == 0]
        if len(begins):
            gaps.begin(begins, self._last(begins, _HEARD_FRAMES))
        made = gaps.fill(legs, missing[places], under[repeats])
        at = np.minimum(np.searchsorted(places, bridged), len(places) - 1)
        found = places[at] == bridged
        if found.any():
            at = at[found]
            led = made[at]
            gaps.bridge(legs[at], led, behind[found])
            made[at] = led
        pcm[places] = made
        noise.concealed[legs] += 1

    # --- the stream -------------------------------------------------------------------------------

    def keep(self, rows: _Index) -> None:
        """Keep frames of legs before they are gone, or are needed.

        Args:
            rows: intp, `(k,)`: the legs.
        """
        plain = self.plain[rows]
        self.plain[rows] = 0
        for back in range(1, FRAMES + 1):
            more = plain >= back
            if self._look_up is None or not more.any():
                break
            rows, plain = rows[more], plain[more]
            place = rows * FRAMES + ((self.at[rows] - back) & (FRAMES - 1))
            frames = self._look_up(rows, self.rows.reshape(-1)[place])
            self.ring.reshape(-1, self._frame)[place] = frames

    def _append(self, rows: _Index, chosen: _Index, pcm: _Sound) -> None:
        """Take frames of some legs into the streams."""
        legs = rows[chosen]
        at = self.at[legs]
        self.ring.reshape(-1, self._frame)[legs * FRAMES + (at & (FRAMES - 1))] = pcm[chosen]
        self.at[legs] = at + 1
        self.known[legs] = True

    def _slots(self, rows: _Index, count: int) -> _Index:
        """Return where the last frames of legs lie in the ring, intp `(k, count)`."""
        back = self.at[rows, None] - count + np.arange(count)
        slots: _Index = rows[:, None] * FRAMES + (back & (FRAMES - 1))
        return slots

    def _last(self, rows: _Index, count: int) -> _Sound:
        """Return the last frames of legs in one piece, float32 `(k, count * frame)`."""
        frames = self.ring.reshape(-1, self._frame)[self._slots(rows, count)]
        last: _Sound = frames.reshape(len(rows), count * self._frame)
        return last

    # --- edits ------------------------------------------------------------------------------------

    def _edit(
        self, legs: _Index, extra: npt.NDArray[np.bool_], second: _Sound, depth: Depth
    ) -> None:
        """Take a piece out of streams, or hear one twice, as far as their excess asks for it.

        Args:
            legs: intp, `(e,)`: the legs.
            extra: bool, `(e,)`: those with a second frame.
            second: float32, `(e, frame)`: the second frames.
            depth: says what is to be done, and learns what was.
        """
        frame, times = self._frame, self._times
        whole = np.zeros((len(legs), (FRAMES + 1) * frame), np.float32)
        whole[:, frame:] = self._last(legs, FRAMES)
        whole[extra, :-frame] = whole[extra, frame:]
        whole[extra, -frame:] = second[extra]
        unplayed = frame * (1 + extra) + depth.lag[legs] * times
        start = whole.shape[1] - unplayed
        # Since the store decided about a second frame, more may have to go: not without one.
        most = np.where(extra, depth.excess[legs], np.minimum(depth.excess[legs], depth.lag[legs]))
        excess = most * times
        piece = _choose(whole, start, excess, depth.patient[legs], self.rate)
        # What is at `place` in the new stream comes from there before the piece, from `shifted`
        # after it, and from both for a while between them.
        place = np.arange(FRAMES * frame) + frame - piece[:, None]
        shifted = place + piece[:, None]
        overlap = WINDOW * times
        weight = np.clip((place - start[:, None] + 1) / (overlap + 1), 0, 1).astype(np.float32)
        end = whole.shape[1] - 1
        edited = np.take_along_axis(whole, np.clip(place, 0, end), 1)
        follows = np.take_along_axis(whole, np.clip(shifted, 0, end), 1)
        edited += (follows - edited) * weight
        self.at[legs[extra]] += 1
        frames = edited.reshape(len(legs), FRAMES, frame)
        self.ring.reshape(-1, frame)[self._slots(legs, FRAMES)] = frames
        depth.edited(legs, piece // times, extra)


@compiled(
    "boolean(int64[::1], int64[::1], boolean[::1], boolean[::1], int64[::1], int64[::1], boolean,"
    " int64[::1], int64[::1], int64[::1], int64[:, ::1], int64[::1], boolean[::1], boolean[::1],"
    " boolean[::1], boolean[::1])"
)
def _note(
    rows: _Index,
    missing: _Ints,
    kept: npt.NDArray[np.bool_],
    blanked: npt.NDArray[np.bool_],
    lag: _Ints,
    edited: _Index,
    all_odd: bool,  # noqa: FBT001 - one of the columns
    index: _Index,
    made: _Ints,
    at: _Ints,
    kept_in: _Index,
    plain: _Ints,
    known: npt.NDArray[np.bool_],
    odd: npt.NDArray[np.bool_],
    back: npt.NDArray[np.bool_],
    moved: npt.NDArray[np.bool_],
) -> bool:
    """Find legs that are not heard as they came, and note where the frames lie of all others.

    `odd` gets the former, `back` those that are back after a gap, `moved` those that do not play
    the last frame of their stream as a whole.
    """
    moved[:] = False
    for place in range(edited.size):
        moved[edited[place]] = True
    some = False
    for i in range(rows.size):
        row = rows[i]
        back[i] = made[row] > 0 and missing[i] == 0 and not kept[i]
        moved[i] = moved[i] or lag[i] > 0 or kept[i]
        odd[i] = all_odd or back[i] or moved[i] or blanked[i] or missing[i] > 0
        some = some or odd[i]
        if not odd[i]:
            kept_in[row, at[row] & (FRAMES - 1)] = index[i]
            at[row] += 1
            plain[row] += 1
            known[row] = True
    return some


def _choose(
    whole: _Sound, start: _Ints, excess: _Ints, patient: npt.NDArray[np.bool_], rate: int
) -> _Ints:
    """Say how long a piece to take out of each of some streams.

    Args:
        whole: float32, `(k, n)`: the streams.
        start: int64, `(k,)`: from where on they may be changed.
        excess: int64, `(k,)`: samples to take out, to put in where negative.
        patient: bool, `(k,)`: who waits for a pause.
        rate: 8000 or 16000 [Hz].

    Returns:
        int64, `(k,)`: samples; negative where a piece is put in, 0 where none fits.
    """
    times = rate // SAMPLE_RATE
    frame = rate * _FRAME_MS // 1000
    longest, window = LONGEST * times, WINDOW * times
    sign = np.sign(excess)
    size = np.abs(excess)
    # What follows is compared with what comes later (seen backwards in time) or was before.
    column = np.arange(longest + window)
    begin = np.where(sign > 0, start + longest + window - 1, start - longest)
    at = np.clip(begin[:, None] - sign[:, None] * column, 0, whole.shape[1] - 1)
    period, likeness = find_period(np.take_along_axis(whole, at, 1), rate)
    period -= period % times
    even = np.minimum(size, frame)
    evenness = likeness_at(whole, start, (sign * even)[:, None], window)[:, 0]
    tail = whole[:, -2 * frame :].reshape(len(whole), 2, frame)
    rms = np.sqrt(np.vecdot(tail, tail).max(axis=1) / frame)
    quiet = rms < QUIET_RMS
    loose = quiet | (likeness < _PITCHED)
    fits = (size <= frame) & (loose | (evenness > _EVEN)) | quiet
    # Too much put in lags until it can be taken out; too much taken out would be missed.
    pitched = (period <= size) | (sign < 0)
    chosen: _Ints = sign * np.where(fits, even, np.where(pitched, period, 0))
    chosen[patient & ~quiet] = 0
    return chosen
