"""The bridge's own sounds without words, computed: chimes, beep and error tone.

None has a component within 1.8 % of a DTMF frequency's pair, so that a chime that leaks back from
a loudspeaker telephone is never taken for a key.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["TONES", "TONE_LEVEL_DB", "tone"]

TONE_LEVEL_DB: Final = -27.0
"""RMS of a tone in dBov where it sounds: a little below speech, which it must not startle."""

_D5: Final = 587.33
_A5: Final = 880.0
_BEEP_HZ: Final = 1000.0
_E_FLAT_4: Final = 311.13


def tone(name: str, rate: int) -> npt.NDArray[np.float64]:
    """Return a tone's samples.

    Args:
        name: One of `TONES`.
        rate: In samples a second.

    Returns:
        `(n,)`, 1.0 at full scale, starting and ending in silence.
    """
    samples = TONES[name](rate)
    frame = rate // 100
    power = np.mean(samples[: len(samples) // frame * frame].reshape(-1, frame) ** 2, axis=1)
    sounding = power[power > 0.01 * power.max()]
    gain = 10 ** (TONE_LEVEL_DB / 20) / float(np.sqrt(np.mean(sounding)))
    return samples * gain


def _bell(frequency: float, seconds: float, rate: int) -> npt.NDArray[np.float64]:
    """Return a struck note: two partials, soft attack, exponential decay."""
    time = np.arange(round(seconds * rate)) / rate
    sound = np.sin(2 * np.pi * frequency * time) * np.exp(-time / 0.12)
    sound += 0.35 * np.sin(2 * np.pi * 2 * frequency * time) * np.exp(-time / 0.06)
    return sound * _edges(len(time), rate, attack=0.006, release=0.04)


def _pure(frequency: float, seconds: float, rate: int) -> npt.NDArray[np.float64]:
    """Return a sine with soft edges."""
    time = np.arange(round(seconds * rate)) / rate
    edges = _edges(len(time), rate, attack=0.01, release=0.01)
    return np.sin(2 * np.pi * frequency * time) * edges


def _edges(count: int, rate: int, *, attack: float, release: float) -> npt.NDArray[np.float64]:
    """Return a gain that rises and falls as a half cosine, so that nothing clicks."""
    gain = np.ones(count)
    rise, fall = round(attack * rate), round(release * rate)
    gain[:rise] = 0.5 - 0.5 * np.cos(np.pi * np.arange(rise) / rise)
    gain[-fall:] *= 0.5 + 0.5 * np.cos(np.pi * np.arange(1, fall + 1) / fall)
    return gain


def _chime(first: float, second: float, rate: int) -> npt.NDArray[np.float64]:
    """Return two struck notes, the second before the first has died away."""
    delay = round(0.13 * rate)
    one, two = _bell(first, 0.36, rate), _bell(second, 0.36, rate)
    out = np.zeros(delay + len(two))
    out[: len(one)] += one
    out[delay:] += two
    return out


def _error(rate: int) -> npt.NDArray[np.float64]:
    """Return two short low tones: a key that does nothing here."""
    short = _pure(_E_FLAT_4, 0.07, rate)
    return np.concatenate([short, np.zeros(round(0.05 * rate)), short])


TONES: Final[dict[str, Callable[[int], npt.NDArray[np.float64]]]] = {
    "enter": lambda rate: _chime(_D5, _A5, rate),
    "exit": lambda rate: _chime(_A5, _D5, rate),
    "beep": lambda rate: _pure(_BEEP_HZ, 0.18, rate),
    "error": _error,
}
"""How each tone is made; rising for who comes, falling for who goes."""
