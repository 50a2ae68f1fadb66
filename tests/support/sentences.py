"""Speech for measurements: the project's own recordings, levelled by ITU-T P.56, and line noise."""

import functools
from typing import Final

import numpy as np
import numpy.typing as npt

from dialplan.prompts.bank import load_bank
from dialplan.prompts.speech_level import speech_level

__all__ = ["FRAME", "at_level", "hiss", "sentences", "talk"]

FRAME: Final = 160
_LEAST: Final = 6400  # samples of a sentence: 0.8 s, more than a word

Sound = npt.NDArray[np.float64]


@functools.cache
def sentences() -> list[tuple[str, Sound]]:
    """Return language and sound of everything that the bridge says in more than a word.

    Sounds are float64 on the 16-bit scale, 8 kHz, from their first audible sample on.
    """
    bank = load_bank(("en", "sv"))
    found = []
    for (group, _), (start, length) in sorted(bank.index.items()):
        if group in {"en", "sv"} and length >= _LEAST:
            sound = bank.samples[start : start + length].astype(np.float64)
            audible = np.flatnonzero(np.abs(sound) > 0.02 * np.abs(sound).max())
            found.append((group, sound[audible[0] :]))
    return found


def at_level(sound: Sound, dbov: float) -> Sound:
    """Return speech at an active speech level (ITU-T P.56), clipped as a telephone would."""
    gain = 10 ** ((dbov - speech_level(sound / 32768, 8000).active_db) / 20)
    return np.clip(sound * gain, -32768, 32767)


def talk(language: str, seconds: float, first: int = 0) -> Sound:
    """Return sentences of one voice, half a second apart."""
    pause = np.zeros(4000)
    spoken = [sound for group, sound in sentences() if group == language]
    parts: list[Sound] = []
    while sum(map(len, parts)) < 8000 * seconds:
        parts += [spoken[(first + len(parts)) % len(spoken)], pause]
    return np.concatenate(parts)[: int(8000 * seconds)]


def hiss(samples: int, dbov: float, seed: int) -> Sound:
    """Return the noise of a line: white, at a level."""
    noise = np.random.default_rng(seed).standard_normal(samples)
    return noise * 32768 * 10 ** (dbov / 20)
