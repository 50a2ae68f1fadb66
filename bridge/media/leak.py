"""The guard against hold music and noise: a leg that makes sound without speech is muted.

Speech pauses. In two and a half seconds of it, noisy lines included, a third of the frames or more
are 10 dB below the loud ones, and the loudest tenth is 9 dB or more above the softest. So a leg is
judged once a second by how its levels were spread::

    spread of levels          low frames       continuity of tones      it is
    ────────────────────────────────────────────────────────────────────────────────────────────
    less than 6 dB            any              not looked at            steady: noise, held chords
    more                      under 45 %       above a limit            music
    more                      any              not known, or less       perhaps speech

The second row needs spectra (`tonality`), of the few legs that it may be about. Who was steady or
musical in every judgement of a set time, and heard by the others for most of it, is muted. A leg
that is muted is judged ten times a second over a shorter while, and let go as soon as levels and
tones both are those of speech, or when it is still for five seconds.

Whatever is doubtful is heard: music that others hear is a nuisance, speech that they do not is a
fault.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media._compiled import compiled
from bridge.media._rows import Rows
from bridge.media.history import History
from bridge.media.levels import from_dbov
from bridge.media.tonality import TOLD_PAIRS, Watch

__all__ = ["MUSIC", "NOISE", "SPEECH", "LeakGuard", "Spread"]

SPEECH: Final = 0
NOISE: Final = 1
MUSIC: Final = 2

JUDGED_TICKS: Final = 125
"""Ticks that a leg is judged by."""

RELEASE_TICKS: Final = 65
"""The same while it is muted."""

EVERY: Final = 50
"""Ticks between two judgements of a leg; twice as many where the last one found speech."""

NOTED: Final = 5
"""Ticks between two notes of who is heard."""

STEADY_DB: Final = 6.0
PAUSES: Final = 0.45
"""Share of low frames from which on nobody looks for tones: half of all speech lies above."""

FEW_PAUSES: Final = 0.25
MUSICAL: Final = (0.27, 0.46)
"""Least continuity of music: with few low frames, and with as many as speech may have."""

ENOUGH_PAIRS: Final = 12
"""Pairs of spectra that a judgement needs."""

TONES_TICKS: Final = 250
"""For so long what is known of a leg's tones is believed; its place is another's meanwhile."""

SPOKEN_DB: Final = 8.5
SPOKEN_LOW: Final = 0.2
SPOKEN: Final = 0.3
"""Spread and low frames of a leg that is let go, and greatest continuity of speech."""

RELEASED: Final = 0.2
RELEASE_PAIRS: Final = 16
ONSETS: Final = 2
"""It is asked more often than it is judged, so that more is asked for: half of all speech has less
continuity than this, and a noise that merely ends has no onsets."""

SPOKEN_FRAMES: Final = 12
"""And loud frames among them: a quarter of a second."""

STILL_TICKS: Final = 250

HEARD_SHARE: Final = 0.3
AUDIBLE: Final = from_dbov(-46.0)
"""Without a gate, what is softer disturbs nobody."""

_TENTH: Final = 0.1
_SOFTEST: Final = np.float32(8)
_LOW: Final = np.float32(10 ** (-10.0 / 20))
_SAYS: Final = np.float32(10 ** (-15.0 / 20))
_STEP: Final = 3  # of three ticks one is looked at
_NOTE: Final = np.float32(0.05)
_Floats = npt.NDArray[np.float32]
_Index = npt.NDArray[np.intp]
_Bools = npt.NDArray[np.bool_]


class Spread:
    """How the levels of some legs are spread, each array float32 `(k,)`.

    Args:
        levels: float32, `(k, n)`, 16-bit scale.
    """

    def __init__(self, levels: _Floats) -> None:
        # Level of the loudest tenth, 16-bit scale.
        self.loud: _Floats = np.empty(len(levels), np.float32)
        # From the softest tenth to the loudest [dB].
        self.range: _Floats = np.empty(len(levels), np.float32)
        # Share of what is 10 dB or more below the loudest tenth.
        self.low: _Floats = np.empty(len(levels), np.float32)
        _spread(np.sort(levels, axis=1), self.loud, self.range, self.low)


@compiled("void(float32[:, ::1], float32[::1], float32[::1], float32[::1])")
def _spread(ordered: _Floats, loud: _Floats, decibels: _Floats, low: _Floats) -> None:
    count = ordered.shape[1]
    tenth = int(_TENTH * count)
    for i in range(loud.size):
        levels = ordered[i]
        loud[i] = max(levels[count - 1 - tenth], _SOFTEST)
        soft = max(levels[tenth], _SOFTEST)
        decibels[i] = np.float32(20) * np.log10(loud[i] / soft)
        below = 0
        while below < count and levels[below] < loud[i] * _LOW:
            below += 1
        low[i] = np.float32(below / count)


class LeakGuard(Rows):
    """What each leg has been of late, and who is muted.

    Args:
        capacity: rows to begin with.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        # What it is muted for; SPEECH for who is not.
        self.kind: npt.NDArray[np.int8] = self.column("kind", np.int8, kept=True)
        # Judgements since the last that found speech, that found none.
        self.without: npt.NDArray[np.int16] = self.column("without", np.int16, kept=True)
        # Of these, that found music.
        self.musical: npt.NDArray[np.int16] = self.column("musical", np.int16, kept=True)
        # Share of the last two seconds in which others heard it; notes since they last did.
        self.heard: _Floats = self.column("heard", np.float32)
        self.still: npt.NDArray[np.int16] = self.column("still", np.int16)
        # How continuous its tones were, and when that was known.
        self.tones: _Floats = self.column("tones", np.float32)
        self.toned: npt.NDArray[np.int64] = self.column("toned", np.int64, fill=-TONES_TICKS)
        # Level below which a frame says nothing of its tones.
        self.least: _Floats = self.column("least", np.float32, fill=1)
        self.watch = Watch()

    def note(self, heard: _Bools) -> None:
        """Take note, ten times a second, whom others would hear if nobody were muted.

        Args:
            heard: bool, `(capacity,)`.
        """
        self.heard += (heard - self.heard) * _NOTE
        if self.kind.any():
            self.still += 1
            self.still[heard] = 0

    def judge(self, rows: _Index, history: History, seconds: float) -> _Index:
        """Judge legs, once a second each.

        Args:
            rows: intp, `(k,)`: the legs whose turn it is.
            history: what came of them.
            seconds: without speech until a leg is muted [s].

        Returns:
            intp: those that are muted now, and were not.
        """
        tick = history.tick
        rows = rows[self.kind[rows] == SPEECH]
        audible = self.heard[rows] >= HEARD_SHARE
        quiet = rows[~audible & (self.without[rows] > 0)]
        self.without[quiet] -= 1
        self.watch.end(quiet[self.without[quiet] == 0])
        due = (self.without[rows] > 0) | (tick // EVERY % 2 == 0)
        rows = rows[audible & due & (tick - history.since[rows] >= JUDGED_TICKS)]
        if not len(rows):
            return rows
        found = Spread(history.level(rows, history.slots(JUDGED_TICKS, tick, _STEP)))
        self.least[rows] = found.loud * _SAYS
        steady = found.range < STEADY_DB
        maybe = ~steady & ((found.low < PAUSES) | (self.without[rows] > 0))
        music, speech = np.zeros(len(rows), np.bool_), ~(steady | maybe)
        if maybe.any():
            music[maybe], speech[maybe] = self._musical(rows[maybe], found.low[maybe], tick)
        none = steady | music
        self.without[rows] += none
        self.musical[rows] += music
        doubtful = rows[~(none | speech) & (found.low >= PAUSES)]
        self.without[doubtful] = np.maximum(self.without[doubtful] - 1, 0)
        self.without[rows[speech]] = 0
        self.musical[rows[speech]] = 0
        muted = rows[none & (self.without[rows] >= seconds)]
        # One that is steady may be music all the same; most of its judgements say.
        mostly = 2 * self.musical[muted] > self.without[muted]
        self.kind[muted] = np.where(mostly, MUSIC, NOISE)
        self.still[muted] = 0
        return muted

    def _musical(self, rows: _Index, low: _Floats, tick: int) -> tuple[_Bools, _Bools]:
        """Say whose tones are those of music, and whose of speech; watch those not known."""
        for row, place in self._watched(rows):
            alike = self.watch.judged(place, tick, JUDGED_TICKS, ENOUGH_PAIRS)
            if alike is not None:
                self.tones[row] = alike
                self.toned[row] = tick
                if self.watch.seen[place] >= TOLD_PAIRS:
                    self.watch.end(np.array([row]))
        # Where there may be speech by now, only what has just been heard counts.
        age = tick - self.toned[rows]
        known = age <= np.where(low < PAUSES, TONES_TICKS, 0)
        tones = self.tones[rows]
        music = known & (tones > np.where(low < FEW_PAUSES, *MUSICAL))
        self._watch(rows[~known | (age > TONES_TICKS - JUDGED_TICKS)])
        return music, known & ~music & (tones < SPOKEN)

    def _watched(self, rows: _Index) -> list[tuple[int, int]]:
        """Return those of some legs that are watched, and their places."""
        places = self.watch.places(rows)
        chosen = places >= 0
        return list(zip(rows[chosen].tolist(), places[chosen].tolist(), strict=True))

    def _watch(self, rows: _Index) -> None:
        """Watch legs that are not watched yet."""
        if len(rows):
            rows = rows[self.watch.places(rows) < 0]
        if len(rows):
            self.watch.begin(rows)

    def release(self, history: History) -> _Index:
        """Let go who speaks or is still.

        Args:
            history: what came of the legs.

        Returns:
            intp: those who are muted no more.
        """
        rows = self.kind.nonzero()[0]
        if not len(rows):
            return rows
        came = history.level(rows, history.slots(RELEASE_TICKS, history.tick))
        found = Spread(came)
        loud = came > (found.loud * _LOW)[:, None]
        onsets = (loud[:, 1:] & ~loud[:, :-1]).sum(axis=1)
        self.least[rows] = found.loud * _SAYS
        levels = (found.range >= SPOKEN_DB) & (found.low >= SPOKEN_LOW) & (onsets >= ONSETS)
        levels &= (1 - found.low) * RELEASE_TICKS >= SPOKEN_FRAMES
        # Places are few: whose levels are no speech's needs none.
        self._watch(rows[levels])
        spoken = np.zeros(len(rows), np.bool_)
        for row, place in self._watched(rows[levels]):
            alike = self.watch.judged(place, history.tick, RELEASE_TICKS, RELEASE_PAIRS)
            spoken[rows == row] = alike is not None and alike < RELEASED
        freed = rows[spoken | (self.still[rows] >= STILL_TICKS // NOTED)]
        self.forget(freed)
        return freed

    def forget(self, rows: _Index) -> None:
        """Let legs begin anew."""
        self.kind[rows] = SPEECH
        self.without[rows] = 0
        self.musical[rows] = 0
        self.heard[rows] = 0
        self.toned[rows] = -TONES_TICKS
        self.watch.end(rows)

    def let_go(self, rows: _Index) -> _Index:
        """Forget legs that have moved or are not heard any more; return those that were muted."""
        held: _Index = rows[self.kind[rows] != SPEECH]
        self.forget(rows)
        return held
