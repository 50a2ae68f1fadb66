"""Sounds and ears of the tests: `bridge.demo.hearing`, and what only tests need (tones, DTMF).

Everything is int16 at 8 kHz.
"""

import numpy as np

from bridge.demo.hearing import (
    HEARD,
    RATE,
    Match,
    Samples,
    heard,
    level_dbfs,
    read_wav,
    voice,
    write_wav,
)

__all__ = [
    "HEARD",
    "RATE",
    "Match",
    "Samples",
    "dtmf_digits",
    "dtmf_tones",
    "heard",
    "level_dbfs",
    "not_heard",
    "read_wav",
    "tone",
    "voice",
    "write_wav",
]

_DTMF_ROWS = (697.0, 770.0, 852.0, 941.0)
_DTMF_COLUMNS = (1209.0, 1336.0, 1477.0, 1633.0)
_DTMF_KEYS = "123A456B789C*0#D"


def tone(frequency: float, seconds: float, rms_dbfs: float = -20.0) -> Samples:
    """Return a sine.

    Args:
        frequency: In Hz.
        seconds: How long [s].
        rms_dbfs: Level [dBFS].

    Returns:
        int16, `(seconds * 8000,)`.
    """
    n = round(seconds * RATE)
    peak = 32768 * np.sqrt(2) * 10 ** (rms_dbfs / 20)
    sound = peak * np.sin(2 * np.pi * frequency * np.arange(n) / RATE)
    clipped: Samples = np.clip(np.round(sound), -32768, 32767).astype(np.int16)
    return clipped


def dtmf_tones(keys: str, on_ms: int = 100, off_ms: int = 80, rms_dbfs: float = -16.0) -> Samples:
    """Return keys as in-band tones (ITU-T Q.23).

    Args:
        keys: Of `0123456789*#ABCD`.
        on_ms: Length of a tone [ms].
        off_ms: Silence after each [ms].
        rms_dbfs: Level of the pair [dBFS].

    Returns:
        int16 samples.
    """
    parts: list[Samples] = []
    for key in keys:
        row, column = divmod(_DTMF_KEYS.index(key), 4)
        low = tone(_DTMF_ROWS[row], on_ms / 1000, rms_dbfs - 3)
        high = tone(_DTMF_COLUMNS[column], on_ms / 1000, rms_dbfs - 3)
        parts += [low + high, np.zeros(off_ms * RATE // 1000, dtype=np.int16)]
    return np.concatenate(parts)


def dtmf_digits(recording: Samples, *, floor_dbfs: float = -45.0) -> str:
    """Return the keys whose tones can be heard in a recording.

    A block of 20 ms counts where one row and one column frequency carry most of its energy; a key
    needs two such blocks in a row.  Speech and music do not do that.

    Args:
        recording: int16, 8 kHz.
        floor_dbfs: What is quieter than this is not looked at [dBFS].

    Returns:
        The keys in order, "" when none was heard.
    """
    block = 160
    count = recording.size // block
    if not count:
        return ""
    blocks = recording[: count * block].reshape(count, block).astype(np.float64)
    grid = (
        np.exp(-2j * np.pi * np.outer(np.arange(block), (*_DTMF_ROWS, *_DTMF_COLUMNS)) / RATE)
        * np.hamming(block)[:, None]
    )
    power = np.abs(blocks @ grid) ** 2 * 2 / np.hamming(block).sum() ** 2
    energy = np.mean(blocks**2, axis=1) + 1e-9
    rows, columns = power[:, :4], power[:, 4:]
    best_row, best_column = rows.argmax(axis=1), columns.argmax(axis=1)
    row_power, column_power = rows.max(axis=1), columns.max(axis=1)
    loud = energy > (32768 * 10 ** (floor_dbfs / 20)) ** 2
    pure = (row_power + column_power) > 0.75 * energy
    twist = np.maximum(row_power, column_power) < 16 * np.minimum(row_power, column_power)
    found: list[str] = []
    run: list[int] = []
    for index in range(count):
        key = int(best_row[index] * 4 + best_column[index])
        if loud[index] and pure[index] and twist[index]:
            run = [*run, key] if run and run[-1] == key else [key]
            if len(run) == 2:
                found.append(_DTMF_KEYS[key])
        else:
            run = []
    return "".join(found)


def not_heard(recording: Samples, signature: Samples) -> bool:
    """Say whether a signature is absent, with room to the threshold of being heard.

    Args:
        recording: int16, 8 kHz.
        signature: int16, 8 kHz.

    Returns:
        True where the best match is clearly chance.
    """
    return heard(recording, signature, segment=4000).correlation < 0.66 * HEARD
