"""Whether a sound holds its tones, as music does, or glides and breaks off, as speech does.

Spectra of 64 ms, 80 ms apart, with 16 Hz to a line, are compared. What of each line stands out of
the lines around it is a picture of its harmonics; the correlation of the two pictures is the
*continuity*. A note or chord that is held gives 0.4 to 0.95, voices 0.1 (their pitch moves by some
percent in that time, and so by more than a line at their upper harmonics), noises 0. One pair says
little, a mean over two seconds of them nearly all: of speech of twenty voices, alone and in noise,
99 in 100 lie below 0.3; of music of all styles that were tried above it.

A few legs are watched at a time, each as often as its turn comes.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media._compiled import compiled
from bridge.media.codecs import FRAME, SAMPLE_RATE

__all__ = ["OLDEST", "PAIRS", "TOLD_PAIRS", "WATCHED", "Watch", "pictures"]

WATCHED: Final = 8
"""Legs at a time."""

PAIRS: Final = 64
"""Pairs of spectra that are kept of each: of five seconds, where few legs are watched."""

BETWEEN: Final = 4
"""Ticks between two spectra: 80 ms."""

TOLD_PAIRS: Final = 30
"""After so many pairs, a leg's place is another's, if one waits."""

LONGEST: Final = 1000
"""And after so many ticks, whatever was seen in them."""

OLDEST: Final = 300
"""Ticks after which a pair says nothing about a leg any more."""

_SAMPLES: Final = 512
_FRAMES: Final = 4
_FIRST: Final = 300 * _SAMPLES // SAMPLE_RATE
_LINES: Final = 3400 * _SAMPLES // SAMPLE_RATE - _FIRST
_AROUND: Final = 4  # lines on either side
_MEAN: Final = np.float32(1 / (2 * _AROUND + 1))
_SOFTEST: Final = np.float32(_SAMPLES / 8)
"""Magnitude of a line below which nothing is told apart: a twentieth of G.711's smallest step."""

_WINDOW: Final = np.hanning(_SAMPLES).astype(np.float32)
_NOBODY: Final = -1
_UNKNOWN: Final = -2.0

_Floats = npt.NDArray[np.float32]
_Index = npt.NDArray[np.intp]
_Bools = npt.NDArray[np.bool_]
_Numbers = npt.NDArray[np.int64]


def pictures(sound: _Floats) -> _Floats:
    """Return what of the spectra of sounds stands out of its surroundings.

    Of each line the logarithm of its magnitude less the mean of those of nine lines around it.

    Args:
        sound: float32, `(k, 512)`: 8 kHz, 16-bit scale.

    Returns:
        float32, `(k, lines)`, of a length of 1 each.
    """
    # Of float32 it is complex64, whatever numpy's types say.
    spectra = np.asarray(np.fft.rfft(sound * _WINDOW, axis=1), np.complex64)
    lines = np.empty((len(sound), _LINES + 2 * _AROUND), np.float32)
    _measure(spectra, lines)
    picture = np.empty((len(sound), _LINES), np.float32)
    _draw(np.log(lines, out=lines), picture)
    return picture


class Watch:
    """The legs whose tones are looked at."""

    def __init__(self) -> None:
        # Rows, by place; -1 where a place is free.
        self.legs: _Index = np.full(WATCHED, _NOBODY, np.intp)
        # Pairs seen, and the ticks at which the last of them were.
        self.seen: _Numbers = np.zeros(WATCHED, np.int64)
        self._alike: _Floats = np.zeros((WATCHED, PAIRS), np.float32)
        self._at: _Numbers = np.zeros((WATCHED, PAIRS), np.int64)
        # The last frames of each, and the last spectrum, if it was loud enough.
        self._sound: _Floats = np.zeros((WATCHED, _FRAMES, FRAME), np.float32)
        self._taken: _Numbers = np.zeros(WATCHED, np.int64)
        self._picture: _Floats = np.zeros((WATCHED, _LINES), np.float32)
        self._pictured: _Bools = np.zeros(WATCHED, np.bool_)
        self._due: _Index = np.empty(WATCHED, np.intp)
        self.active = False

    def places(self, rows: _Index) -> _Index:
        """Return the place of each of some legs, -1 where it has none: intp, `(k,)`."""
        places = np.empty(len(rows), np.intp)
        _find(self.legs, rows, places)
        return places

    def begin(self, rows: _Index) -> _Index:
        """Watch legs that are not watched yet, as far as there is place; return those."""
        told = (self.seen >= TOLD_PAIRS) | (self._taken >= LONGEST)
        free = np.flatnonzero((self.legs < 0) | told)
        # Those that have been watched the longest make room first, where there is none.
        free = free[np.argsort(np.where(self.legs[free] < 0, -LONGEST, -self._taken[free]))]
        free = free[: len(rows)]
        begun = rows[: len(free)]
        self.legs[free] = begun
        self.seen[free] = 0
        self._taken[free] = 0
        self._pictured[free] = False
        self.active = bool((self.legs >= 0).any())
        return begun

    def end(self, rows: _Index) -> None:
        """Watch legs no more."""
        if self.active and len(rows):
            places = self.places(rows)
            self.legs[places[places >= 0]] = _NOBODY
            self.active = bool((self.legs >= 0).any())

    def take(self, tick: int, position: _Index, pcm: _Floats, least: _Floats) -> None:
        """Take a frame of each watched leg in; every `BETWEEN` ticks, look at spectra.

        Args:
            tick: now.
            position: intp, `(capacity,)`: where each row is in `pcm`.
            pcm: float32, `(speakers, 160)`: what came.
            least: float32, `(capacity,)`: level below which a leg's sound says nothing.
        """
        due = _take(tick, self.legs, position, pcm, self._sound, self._taken, self._due)
        if due and tick % BETWEEN == 0:
            self._look(tick, self._due[:due], least)

    def _look(self, tick: int, places: _Index, least: _Floats) -> None:
        sound = np.empty((len(places), _SAMPLES), np.float32)
        loud = np.empty(len(places), np.bool_)
        _gather(tick, places, self.legs, self._sound, least, sound, loud)
        _compare(
            tick,
            places,
            pictures(sound),
            loud,
            self._picture,
            self._pictured,
            self._alike,
            self._at,
            self.seen,
        )

    def judged(self, place: int, tick: int, ticks: int, pairs: int) -> float | None:
        """Return how continuous a leg's tones have been.

        Args:
            place: where it is watched.
            tick: now.
            ticks: how far to look back, if there are so many pairs in that time.
            pairs: the least to look at; none may be older than `OLDEST`.

        Returns:
            Their mean, `None` where there are not enough.
        """
        mean = _judge(
            tick, ticks, pairs, int(self.seen[place]), self._at[place], self._alike[place]
        )
        return None if mean < _UNKNOWN else mean


@compiled("void(int64[::1], int64[::1], int64[::1])")
def _find(legs: _Index, rows: _Index, places: _Index) -> None:
    for i in range(rows.size):
        places[i] = _NOBODY
        for place in range(legs.size):
            if legs[place] == rows[i]:
                places[i] = place


@compiled("float64(int64, int64, int64, int64, int64[::1], float32[::1])")
def _judge(
    tick: int, ticks: int, pairs: int, seen: int, seen_at: _Numbers, alike: _Floats
) -> float:
    """Return the mean of the newest pairs, less than `_UNKNOWN` where they are few or old."""
    total, count, oldest = 0.0, 0, 0
    while count < min(seen, PAIRS):
        slot = (seen - 1 - count) % PAIRS
        age = tick - seen_at[slot]
        if age > ticks and count >= pairs:
            break
        total += alike[slot]
        oldest = age
        count += 1
    if count < pairs or oldest > OLDEST:
        return 2 * _UNKNOWN
    return total / count


@compiled("void(complex64[:, ::1], float32[:, ::1])")
def _measure(spectra: npt.NDArray[np.complex64], lines: _Floats) -> None:
    for i in range(lines.shape[0]):
        for k in range(lines.shape[1]):
            line = spectra[i, _FIRST - _AROUND + k]
            lines[i, k] = np.sqrt(line.real * line.real + line.imag * line.imag) + _SOFTEST


@compiled("void(float32[:, ::1], float32[:, ::1])")
def _draw(logarithms: _Floats, picture: _Floats) -> None:
    for i in range(picture.shape[0]):
        lines, drawn = logarithms[i], picture[i]
        power = np.float32(1e-6)
        for k in range(drawn.size):
            around = np.float32(0)
            for n in range(2 * _AROUND + 1):
                around += lines[k + n]
            drawn[k] = lines[k + _AROUND] - around * _MEAN
            power += drawn[k] * drawn[k]
        scale = np.float32(1) / np.sqrt(power)
        for k in range(drawn.size):
            drawn[k] *= scale


@compiled(
    "int64(int64, int64[::1], int64[::1], float32[:, ::1], float32[:, :, ::1], int64[::1],"
    " int64[::1])"
)
def _take(
    tick: int,
    legs: _Index,
    position: _Index,
    pcm: _Floats,
    sound: _Floats,
    taken: _Numbers,
    due: _Index,
) -> int:
    """Keep the frames that came; return how many places have frames enough, `due` says which."""
    count = 0
    for place in range(legs.size):
        if legs[place] < 0:
            continue
        where = position[legs[place]]
        if not 0 <= where < pcm.shape[0]:
            continue
        sound[place, tick % _FRAMES] = pcm[where]
        taken[place] += 1
        if taken[place] >= _FRAMES:
            due[count] = place
            count += 1
    return count


@compiled(
    "void(int64, int64[::1], int64[::1], float32[:, :, ::1], float32[::1], float32[:, ::1],"
    " boolean[::1])"
)
def _gather(
    tick: int,
    places: _Index,
    legs: _Index,
    kept: _Floats,
    least: _Floats,
    sound: _Floats,
    loud: _Bools,
) -> None:
    for i in range(places.size):
        frames, joined = kept[places[i]], sound[i]
        power = np.float32(0)
        for k in range(_SAMPLES):
            at = _FRAMES * FRAME - _SAMPLES + k
            joined[k] = frames[(tick + 1 + at // FRAME) % _FRAMES, at % FRAME]
        for k in range(_SAMPLES):
            power += joined[k] * joined[k]
        floor = least[legs[places[i]]]
        loud[i] = power > np.float32(_SAMPLES) * floor * floor


@compiled(
    "void(int64, int64[::1], float32[:, ::1], boolean[::1], float32[:, ::1], boolean[::1],"
    " float32[:, ::1], int64[:, ::1], int64[::1])"
)
def _compare(
    tick: int,
    places: _Index,
    pictures: _Floats,
    loud: _Bools,
    before: _Floats,
    pictured: _Bools,
    alike: _Floats,
    seen_at: _Numbers,
    seen: _Numbers,
) -> None:
    for i in range(places.size):
        place, picture, last = places[i], pictures[i], before[places[i]]
        if loud[i] and pictured[place]:
            product = np.float32(0)
            for k in range(picture.size):
                product += picture[k] * last[k]
            slot = seen[place] % PAIRS
            alike[place, slot] = product
            seen_at[place, slot] = tick
            seen[place] += 1
        for k in range(picture.size):
            last[k] = picture[k]
        pictured[place] = loud[i]
