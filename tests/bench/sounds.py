"""Sounds that can be told apart, and who is heard in a recording.

Each leg has noise of its own, as loud and as uneven as speech, repeated after `PERIOD` samples. A
recording of one whole period is compared with every leg's sound at every shift at once (circular
cross-correlation), so that no delay need be known.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from tests.support import g711

__all__ = ["PERIOD", "Heard", "judge", "speech"]

PERIOD: Final = 16_000
"""Samples after which a leg's sound repeats: two seconds at 8 kHz."""

LOUDNESS: Final = 1640.0
"""RMS of the samples, -26 dBFS: a loud talker."""

SYLLABLES: Final = 4.0
"""Swells a second, as of speech."""

LEAST_SHARE: Final = 0.5
"""Of what a leg's part in an even mix would correlate with, from which on it counts as heard."""


def speech(legs: int, seed: int = 1) -> npt.NDArray[np.int16]:
    """Return a sound for each leg: int16, `(legs, PERIOD)`, 8 kHz."""
    generator = np.random.default_rng(seed)
    time = np.arange(PERIOD) / 8000
    sounds = np.empty((legs, PERIOD), np.int16)
    for row in sounds:
        swell = 0.7 + 0.3 * np.sin(2 * np.pi * (SYLLABLES * time + generator.random()))
        row[:] = np.clip(LOUDNESS * swell * generator.standard_normal(PERIOD), -32768, 32767)
    return sounds


@dataclass(frozen=True, slots=True)
class Heard:
    """What one leg heard.

    Args:
        others: others in its room.
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
    recording: npt.NDArray[np.uint8], sounds: npt.NDArray[np.int16], own: int, room: list[int]
) -> Heard:
    """Say whom a recording holds.

    Args:
        recording: uint8, `(PERIOD,)`: PCMU.
        sounds: int16, `(legs, PERIOD)`.
        own: row of the leg that was recorded.
        room: rows of all legs in its room, itself among them.
    """
    spectrum = np.fft.rfft(_normal(g711.decode(recording.tobytes(), g711.PCMU)))

    def correlation(row: int) -> float:
        other = np.fft.rfft(_normal(sounds[row]))
        return float(np.fft.irfft(spectrum * np.conj(other), PERIOD).max())

    others = [row for row in room if row != own]
    even = 1 / math.sqrt(max(1, len(others)))
    shares = [correlation(row) / even for row in others]
    return Heard(
        others=len(others),
        missed=sum(1 for share in shares if share < LEAST_SHARE),
        weakest=round(min(shares, default=0.0), 3),
        own=round(correlation(own) / even, 3),
    )


def _normal(sound: npt.NDArray[np.int16]) -> npt.NDArray[np.float64]:
    centred: npt.NDArray[np.float64] = sound.astype(np.float64) - sound.mean()
    centred /= max(float(np.linalg.norm(centred)), 1.0)  # silence stays silence
    return centred
