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

from bridge.media.codecs import FRAME, SAMPLE_RATE

__all__ = ["PAIRS", "TOLD_PAIRS", "WATCHED", "Watch", "pictures"]

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
_BAND: Final = slice(300 * _SAMPLES // SAMPLE_RATE, 3400 * _SAMPLES // SAMPLE_RATE)
_AROUND: Final = 4  # lines on either side
_SOFTEST: Final = _SAMPLES / 8
"""Magnitude of a line below which nothing is told apart: a twentieth of G.711's smallest step."""

_WINDOW: Final = np.hanning(_SAMPLES).astype(np.float32)
_NOBODY: Final = -1

_Floats = npt.NDArray[np.float32]
_Index = npt.NDArray[np.intp]


def _pictures() -> _Floats:
    """Return the matrix that takes from each line the mean of those around it."""
    lines = np.arange(_BAND.start - _AROUND, _BAND.stop + _AROUND)
    kept = np.arange(_BAND.start, _BAND.stop)
    apart = np.abs(lines[:, None] - kept)
    picture: _Floats = ((apart == 0) - (apart <= _AROUND) / (2 * _AROUND + 1)).astype(np.float32)
    return picture


_PICTURES: Final = _pictures()
_LINES: Final = slice(_BAND.start - _AROUND, _BAND.stop + _AROUND)


def pictures(sound: _Floats) -> _Floats:
    """Return what of the spectra of sounds stands out of its surroundings.

    Args:
        sound: float32, `(k, 512)`: 8 kHz, 16-bit scale.

    Returns:
        float32, `(k, lines)`, of a length of 1 each.
    """
    lines = np.abs(np.fft.rfft(sound * _WINDOW, axis=1)[:, _LINES])
    lines += np.float32(_SOFTEST)
    picture: _Floats = np.log(lines, dtype=np.float32) @ _PICTURES
    picture /= np.sqrt(np.vecdot(picture, picture) + np.float32(1e-6))[:, None]
    return picture


class Watch:
    """The legs whose tones are looked at."""

    def __init__(self) -> None:
        # Rows, by place; -1 where a place is free.
        self.legs: _Index = np.full(WATCHED, _NOBODY, np.intp)
        # Pairs seen, and the ticks at which the last of them were.
        self.seen: npt.NDArray[np.int64] = np.zeros(WATCHED, np.int64)
        self._alike: _Floats = np.zeros((WATCHED, PAIRS), np.float32)
        self._at: npt.NDArray[np.int64] = np.zeros((WATCHED, PAIRS), np.int64)
        # The last frames of each, and the last spectrum, if it was loud enough.
        self._sound: _Floats = np.zeros((WATCHED, _FRAMES, FRAME), np.float32)
        self._taken: npt.NDArray[np.int64] = np.zeros(WATCHED, np.int64)
        self._picture: _Floats = np.zeros((WATCHED, _PICTURES.shape[1]), np.float32)
        self._pictured: npt.NDArray[np.bool_] = np.zeros(WATCHED, np.bool_)
        self.active = False

    def place_of(self, capacity: int) -> _Index:
        """Return the place of each row, -1 where it has none: intp, `(capacity,)`."""
        places = np.full(capacity, _NOBODY, np.intp)
        taken = np.flatnonzero(self.legs >= 0)
        places[self.legs[taken]] = taken
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
            self.legs[np.isin(self.legs, rows)] = _NOBODY
            self.active = bool((self.legs >= 0).any())

    def take(self, tick: int, position: _Index, pcm: _Floats, least: _Floats) -> None:
        """Take a frame of each watched leg in; every `BETWEEN` ticks, look at spectra.

        Args:
            tick: now.
            position: intp, `(capacity,)`: where each row is in `pcm`.
            pcm: float32, `(speakers, 160)`: what came.
            least: float32, `(capacity,)`: level below which a leg's sound says nothing.
        """
        places = np.flatnonzero(self.legs >= 0)
        where = position[self.legs[places]]
        heard = (where >= 0) & (where < len(pcm))
        if not heard.all():
            places, where = places[heard], where[heard]
        self._sound[places, tick % _FRAMES] = pcm[where]
        self._taken[places] += 1
        if tick % BETWEEN == 0:
            places = places[self._taken[places] >= _FRAMES]
            if len(places):
                self._look(tick, places, least[self.legs[places]])

    def _look(self, tick: int, places: _Index, least: _Floats) -> None:
        order = (tick + 1 + np.arange(_FRAMES)) % _FRAMES
        sound = self._sound[places][:, order].reshape(len(places), -1)[:, -_SAMPLES:]
        loud = np.vecdot(sound, sound) > _SAMPLES * np.square(least)
        picture = pictures(sound)
        paired = np.flatnonzero(loud & self._pictured[places])
        chosen = places[paired]
        slot = self.seen[chosen] % PAIRS
        self._alike[chosen, slot] = np.vecdot(picture[paired], self._picture[chosen])
        self._at[chosen, slot] = tick
        self.seen[chosen] += 1
        self._picture[places] = picture
        self._pictured[places] = loud

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
        count = min(int(self.seen[place]), PAIRS)
        age = tick - self._at[place, :count]
        ordered = np.argsort(age)
        recent = max(pairs, int((age <= ticks).sum()))
        chosen = ordered[:recent]
        if len(chosen) < pairs or age[chosen[-1]] > OLDEST:
            return None
        return float(self._alike[place, chosen].mean())
