"""Active speech level: how loud speech is while somebody speaks.

ITU-T P.56, method B. The plain RMS of a recording falls with every pause in it; P.56 leaves out
what lies 15.9 dB or more below the level that it finds, pauses of up to 200 ms excepted, and so
gives a word and a slow sentence of the same loudness the same figure.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["SpeechLevel", "speech_level"]

_TIME_CONSTANT_S: Final = 0.03
_HANGOVER_S: Final = 0.2
_MARGIN_DB: Final = 15.9
_THRESHOLDS: Final = 15


class SpeechLevel(NamedTuple):
    """A measurement.

    Attributes:
        active_db: Active speech level in dBov (0 is a square wave at full scale); minus infinity
            for silence.
        activity: Share of the time that is speech, 0 to 1.
        peak_db: Highest sample, in dB of full scale.
    """

    active_db: float
    activity: float
    peak_db: float


def speech_level(
    samples: npt.NDArray[np.float64] | npt.NDArray[np.int16], rate: int
) -> SpeechLevel:
    """Measure the active speech level of a recording.

    Args:
        samples: `(n,)`; int16, or float with 1.0 as full scale.
        rate: In samples a second.

    Returns:
        Level, activity and peak.
    """
    signal = np.asarray(samples, dtype=np.float64)
    if np.issubdtype(samples.dtype, np.integer):
        signal = signal / 32768
    energy = float(np.dot(signal, signal))
    if not energy:
        return SpeechLevel(-np.inf, 0.0, -np.inf)
    peak_db = 20 * np.log10(float(np.abs(signal).max()))
    envelope = _smooth(_smooth(np.abs(signal), rate), rate)
    hangover = round(_HANGOVER_S * rate)
    level, over = -np.inf, 0.0
    # From the lowest threshold up, as P.56 goes. Of speech with one loud moment so few samples pass
    # the highest threshold that all energy divided by them lies far above it as well.
    for power in range(_THRESHOLDS, 0, -1):
        threshold = 2.0**-power
        active = _active_samples(envelope >= threshold, hangover)
        if not active:
            break
        louder = 10 * np.log10(energy / active)
        above = louder - 20 * np.log10(threshold)
        if above >= _MARGIN_DB:
            level, over = louder, above
            continue
        if np.isfinite(level):
            # Between the last threshold and this one the margin is crossed: interpolate.
            level += (over - _MARGIN_DB) / (over - above) * (louder - level)
        break
    activity = energy / 10 ** (level / 10) / len(signal) if np.isfinite(level) else 0.0
    return SpeechLevel(float(level), float(activity), float(peak_db))


def _smooth(signal: npt.NDArray[np.float64], rate: int) -> npt.NDArray[np.float64]:
    """Smooth by one pole of 30 ms: P.56's g^(i-k), as a convolution cut where it is below 1e-7."""
    decay = np.exp(-1 / (rate * _TIME_CONSTANT_S))
    kernel = (1 - decay) * decay ** np.arange(round(16 * _TIME_CONSTANT_S * rate))
    size = 1 << (len(signal) + len(kernel)).bit_length()
    spectrum = np.fft.rfft(signal, size) * np.fft.rfft(kernel, size)
    return np.fft.irfft(spectrum, size)[: len(signal)]


def _active_samples(above: npt.NDArray[np.bool_], hangover: int) -> int:
    """Count the samples above a threshold, and those up to `hangover` after one."""
    positions = np.flatnonzero(above)
    if not positions.size:
        return 0
    gaps = np.diff(positions, append=len(above)) - 1
    return int(positions.size + np.minimum(gaps, hangover).sum())
