"""Keys as tones, made and looked for with nothing of the bridge's: ITU-T Q.23, levels in dBm0.

Everything is at 8 kHz on the 16-bit scale.
"""

import numpy as np
import numpy.typing as npt

__all__ = ["KEYS", "loudest_bin", "sine", "tones", "with_noise"]

KEYS = "123A456B789C*0#D"
_LOW = (697.0, 770.0, 852.0, 941.0)
_HIGH = (1209.0, 1336.0, 1477.0, 1633.0)
_RATE = 8000
_MU_LAW_DBM0 = 3.17
"""Level of µ-law's largest sine (G.711)."""

Sound = npt.NDArray[np.float64]


def sine(frequency: float, samples: int, dbm0: float, phase: float = 0.0) -> Sound:
    """Return a sine.

    Args:
        frequency: In Hz.
        samples: Length.
        dbm0: Level [dBm0].
        phase: At its begin [rad].
    """
    peak = 32768 * 10 ** ((dbm0 - _MU_LAW_DBM0) / 20)
    tone: Sound = peak * np.sin(2 * np.pi * frequency * np.arange(samples) / _RATE + phase)
    return tone


def tones(
    key: str,
    ms: float = 100,
    dbm0: float = -12.0,
    *,
    twist_db: float = 0.0,
    off: tuple[float, float] = (0.0, 0.0),
    phase: float = 0.0,
) -> Sound:
    """Return a key.

    Args:
        key: Of `KEYS`.
        ms: Length [ms].
        dbm0: Level of the louder tone [dBm0].
        twist_db: High tone over low tone.
        off: By how much each frequency is off its nominal one, as a share.
        phase: Of the low tone at the begin; the high one has twice that [rad].
    """
    row, column = divmod(KEYS.index(key), 4)
    count = round(ms * _RATE / 1000)
    low = sine(_LOW[row] * (1 + off[0]), count, dbm0 - max(0.0, twist_db), phase)
    high = sine(_HIGH[column] * (1 + off[1]), count, dbm0 + min(0.0, twist_db), 2 * phase)
    return low + high


def with_noise(sound: Sound, rms: float, rng: np.random.Generator) -> Sound:
    """Return sound with white noise of an RMS on top."""
    noisy: Sound = sound + rms * rng.standard_normal(len(sound))
    return noisy


def loudest_bin(recording: npt.NDArray[np.int16], rate: int = _RATE) -> float:
    """Return the largest RMS of any tone's frequency in any 40 ms [dBov], for each 5 ms.

    Args:
        recording: int16, at least 40 ms.
        rate: Of its samples [Hz].
    """
    window = rate // 25
    windows = np.lib.stride_tricks.sliding_window_view(recording, window)[:: rate // 200].astype(
        np.float64
    )
    turns = np.exp(-2j * np.pi * np.outer(np.arange(window), (*_LOW, *_HIGH)) / rate)
    rms = np.abs(windows @ turns) * (2 / window) / np.sqrt(2)
    return float(20 * np.log10(max(rms.max(), 1e-6) / 32768))
