"""Sounds that can be told apart, and who is heard in a recording.

Each leg has noise of its own, as loud and as uneven as speech, repeated after a period. A recording
of one whole period is compared with each leg's sound at every shift at once (circular
cross-correlation), so that no delay need be known. The more talk in a room, the smaller each one's
part of the mix and the longer the period must be for it to stand out of chance (`period`).
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["PERIOD", "Heard", "hush", "judge", "period", "speech"]

PERIOD: Final = 16_000
"""Samples after which a leg's sound repeats, in a room of `PEOPLE`: two seconds at 8 kHz."""

PEOPLE: Final = 50
"""The greatest of n random correlations over n shifts is about sqrt(2 ln n / n), 0.035 here; half
of a leg's part in an even mix of 50 is 0.07, twice that."""

LOUDNESS: Final = 1640.0
"""RMS of the samples, -26 dBFS: a loud talker."""

HUSH: Final = 20.0
"""RMS of who does not talk, -64 dBFS: the noise of a quiet room."""

MOST: Final = 60
"""Others that are looked for in a recording: in full rooms every second, every third, and so on."""

SYLLABLES: Final = 4.0
"""Swells a second, as of speech."""

LEAST_SHARE: Final = 0.5
"""Of what a leg's part in an even mix would correlate with, from which on it counts as heard."""


def period(talkers: int) -> int:
    """Return the samples after which sounds must repeat for so many to be told apart."""
    return PERIOD * -(-talkers // PEOPLE)


def speech(legs: int, samples: int = PERIOD, seed: int = 1) -> npt.NDArray[np.int16]:
    """Return a sound for each leg: int16, `(legs, samples)`, 8 kHz."""
    generator = np.random.default_rng(seed)
    time = np.arange(samples) / 8000
    sounds = np.empty((legs, samples), np.int16)
    for row in sounds:
        swell = 0.7 + 0.3 * np.sin(2 * np.pi * (SYLLABLES * time + generator.random()))
        row[:] = np.clip(LOUDNESS * swell * generator.standard_normal(samples), -32768, 32767)
    return sounds


def hush(sounds: npt.NDArray[np.int16], rows: list[int], seed: int = 2) -> None:
    """Let some legs have nothing to say: their sound becomes a quiet room's, in place."""
    generator = np.random.default_rng(seed)
    for row in rows:
        sounds[row] = HUSH * generator.standard_normal(sounds.shape[1])


@dataclass(frozen=True, slots=True)
class Heard:
    """What one leg heard.

    Args:
        others: others in its room that were looked for.
        missed: of them, not heard.
        weakest: least correlation with one of them, as a share of that in an even mix.
        own: correlation with the leg's own sound, in the same measure.
    """

    others: int
    missed: int
    weakest: float
    own: float

    @property
    def right(self) -> bool:
        """Everybody else was heard, and the leg itself was not."""
        return not self.missed and self.own < LEAST_SHARE


def judge(
    recording: npt.NDArray[np.int16], sounds: npt.NDArray[np.int16], own: int, talkers: list[int]
) -> Heard:
    """Say whom a recording holds.

    Args:
        recording: int16, `(samples,)`, 8 kHz.
        sounds: int16, `(legs, samples)`.
        own: row of the leg that was recorded.
        talkers: rows of all legs that talk in its room, itself among them or not.
    """
    spectrum = np.fft.rfft(_normal(recording))

    def correlation(row: int) -> float:
        other = np.fft.rfft(_normal(sounds[row]))
        return float(np.fft.irfft(spectrum * np.conj(other), len(recording)).max())

    others = [row for row in talkers if row != own]
    even = 1 / math.sqrt(max(1, len(others)))
    shares = [correlation(row) / even for row in others[:: -(-len(others) // MOST) or 1]]
    return Heard(
        others=len(shares),
        missed=sum(1 for share in shares if share < LEAST_SHARE),
        weakest=round(min(shares, default=0.0), 3),
        own=round(correlation(own) / even, 3),
    )


def _normal(sound: npt.NDArray[np.int16]) -> npt.NDArray[np.float64]:
    centred: npt.NDArray[np.float64] = sound.astype(np.float64) - sound.mean()
    centred /= max(float(np.linalg.norm(centred)), 1.0)  # silence stays silence
    return centred
