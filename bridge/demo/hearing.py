"""Voices that can be told apart after a telephone line, and ears that tell them.

A *voice* is a deterministic stretch of speech-like sound: a buzz of wandering pitch through three
formants, in syllables.  Its autocorrelation has one peak, so the sound of one speaker can be found
in what another hears, with its delay and level, whatever prompts or other voices lie over it.
`dialin demo` measures with it who heard whom, and so do the end-to-end tests.

Everything is int16 at 8 kHz unless said otherwise.
"""

import struct
import wave
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

__all__ = [
    "CLEAR",
    "HEARD",
    "RATE",
    "Match",
    "Samples",
    "heard",
    "level_dbfs",
    "read_wav",
    "voice",
    "write_wav",
]

RATE = 8000
"""Samples a second of everything here [Hz]."""

HEARD = 0.3
"""A mean segment correlation from which a voice counts as heard.

Measured on 40 of `voice`: alone 0.99, under another of twice the level 0.31 to 0.68, median 0.46;
with three pitch periods cut out or doubled by a playout buffer 0.81 and more; one that is absent
0.05 to 0.23.
"""

CLEAR = 0.8
"""From which on nothing of like level lay over a voice, and nothing worth speaking of was lost.

Another voice of the same level brings it to 0.70 in the median, and over 0.83 once in twenty.
"""

Samples = npt.NDArray[np.int16]

_LINE_HZ = (250.0, 3400.0)
# A playout buffer holds 100 ms at most, and a stall of the machine may fill or empty it at once.
_SLIP = 800
_QUIET_RMS = 20.0


@dataclass(frozen=True)
class Match:
    """Where and how a signature was found in a recording.

    Attributes:
        delay_ms: Start of the signature from the recording's start [ms].
        level_db: Level against the signature as it was said [dB].
        correlation: Mean normalised correlation of the signature's segments, 0 to 1.
    """

    delay_ms: float
    level_db: float
    correlation: float

    @property
    def heard(self) -> bool:
        """Whether the signature was there at all."""
        return self.correlation >= HEARD

    @property
    def clear(self) -> bool:
        """Whether it was there with nothing over it."""
        return self.correlation >= CLEAR


def _seed(name: str) -> int:
    return zlib.crc32(name.encode())


def voice(name: str, seconds: float = 2.0, rms_dbfs: float = -20.0) -> Samples:
    """Return a speaker's voice: the same for the same name, unlike any other's.

    Args:
        name: The speaker; seeds pitch, formants and rhythm.
        seconds: How long [s].
        rms_dbfs: Level over the whole [dBFS].

    Returns:
        int16, `(seconds * 8000,)`.
    """
    rng = np.random.default_rng(_seed(name))
    n = round(seconds * RATE)
    time = np.arange(n) / RATE
    # Pitch wanders by a smoothed random walk, so that no two periods align over a segment.
    steps = rng.normal(size=n // 400 + 3)
    walk = np.interp(np.arange(n) / 400, np.arange(steps.size), np.cumsum(steps))
    pitch = rng.uniform(95, 220) * 2 ** (0.12 * (walk - walk.mean()))
    pitch = np.clip(pitch, 70, 320)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    formants = (rng.uniform(350, 800), rng.uniform(1000, 1900), rng.uniform(2200, 3100))
    drift = np.sin(2 * np.pi * rng.uniform(1.5, 3.5) * time + rng.uniform(0, 6)) * 0.15 + 1
    sound = np.zeros(n)
    for harmonic in range(1, 40):
        frequency = harmonic * pitch
        gain = np.zeros(n)
        for number, centre in enumerate(formants):
            width = 90 + 60 * number
            gain += 0.6**number / (1 + ((frequency - centre * drift) / width) ** 2)
        gain[(frequency < _LINE_HZ[0]) | (frequency > _LINE_HZ[1])] = 0.0
        sound += gain * np.sin(harmonic * phase + rng.uniform(0, 2 * np.pi))
    breath = rng.normal(size=n + 2)
    sound += 0.05 * (breath[2:] - breath[:-2])
    syllables = np.clip(rng.uniform(0.25, 1.0, size=int(seconds * 5) + 3), 0, 1)
    envelope = np.interp(time * 5, np.arange(syllables.size), syllables)
    sound *= envelope
    sound *= 32768 * 10 ** (rms_dbfs / 20) / np.sqrt(np.mean(sound**2))
    return np.clip(np.round(sound), -32768, 32767).astype(np.int16)


def _normalised(
    recording: npt.NDArray[np.float64],
    part: npt.NDArray[np.float64],
    size: int,
    spectrum: npt.NDArray[np.complex128],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the correlation of `part` at each lag, normalised, and the gain at each lag."""
    lags = recording.size - part.size + 1
    product = np.fft.irfft(spectrum * np.conj(np.fft.rfft(part, size)), size)[:lags]
    sums = np.concatenate(([0.0], np.cumsum(recording**2)))
    energy = sums[part.size :] - sums[: -part.size]
    floor = part.size * _QUIET_RMS**2
    own = float(np.dot(part, part)) + 1e-9
    return product / np.sqrt(np.maximum(energy, floor) * own), product / own


def _widest(values: npt.NDArray[np.float64], reach: int) -> npt.NDArray[np.float64]:
    """Return the largest value within `reach` places on either side of each place."""
    out = values.copy()
    done = 0
    while done < reach:
        step = min(max(done, 1), reach - done)
        wider = out.copy()
        wider[step:] = np.maximum(wider[step:], out[:-step])
        wider[:-step] = np.maximum(wider[:-step], out[step:])
        out, done = wider, done + step
    return out


def heard(recording: Samples, signature: Samples, *, segment: int = 2000) -> Match:
    """Look for a signature in a recording.

    The signature is cut into segments that may each slip by 100 ms, because a playout buffer is
    free to grow or shrink, between talk spurts or by a pitch period; their normalised correlations
    are averaged at each lag, and the best lag is taken.

    Args:
        recording: int16, `(n,)`, 8 kHz.
        signature: int16, `(m,)`, 8 kHz.
        segment: Samples of a segment; the longer, the less is found by chance.

    Returns:
        The best match; `correlation` is 0 where the recording is shorter than the signature.
    """
    if recording.size < signature.size:
        room = np.zeros(signature.size - recording.size, dtype=np.int16)
        recording = np.concatenate((recording, room))
    # A second of silence behind lets a signature be found whose end was cut.
    sound = np.concatenate((recording, np.zeros(_SLIP + 1, dtype=np.int16))).astype(np.float64)
    size = 1 << int(np.ceil(np.log2(sound.size + segment)))
    spectrum = np.fft.rfft(sound, size)
    starts = range(0, max(signature.size - segment, 0) + 1, segment)
    lags = sound.size - signature.size + 1
    score = np.zeros(lags)
    curves: list[npt.NDArray[np.float64]] = []
    gains: list[npt.NDArray[np.float64]] = []
    for start in starts:
        part = signature[start : start + segment].astype(np.float64)
        curve, gain = _normalised(sound, part, size, spectrum)
        curve = np.pad(curve, (0, max(0, start + lags - curve.size)))
        gain = np.pad(gain, (0, max(0, start + lags - gain.size)))
        curves.append(curve[start : start + lags])
        gains.append(gain[start : start + lags])
        score += _widest(curves[-1], _SLIP)
    score /= len(curves)
    plateau = int(score.argmax())
    low, high = max(0, plateau - _SLIP), min(lags, plateau + _SLIP + 1)
    best = [low + int(curve[low:high].argmax()) for curve in curves]
    level = float(np.median([gain[place] for gain, place in zip(gains, best, strict=True)]))
    return Match(
        delay_ms=float(np.median(best)) * 1000 / RATE,
        level_db=20 * float(np.log10(max(level, 1e-6))),
        correlation=float(score[plateau]),
    )


def level_dbfs(recording: Samples) -> float:
    """Return the RMS level.

    Args:
        recording: int16.

    Returns:
        dBFS; -100 for nothing or digital silence.
    """
    if not recording.size:
        return -100.0
    power = float(np.mean(recording.astype(np.float64) ** 2))
    return 10 * float(np.log10(max(power, 0.1)) - np.log10(32768.0**2))


def write_wav(path: Path, samples: Samples, rate: int = RATE) -> None:
    """Write a mono 16-bit WAV.

    Args:
        path: Where to.
        samples: int16.
        rate: In Hz.
    """
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())


def read_wav(path: Path) -> Samples:
    """Read a mono or stereo 16-bit WAV as 8 kHz mono (whole multiples of 8 kHz only).

    A recorder that is still writing leaves a header without lengths: what is there is read.

    Args:
        path: The file.

    Returns:
        int16, 8 kHz.

    Raises:
        ValueError: It is no WAV, or its rate is not a multiple of 8 kHz.
    """
    data = path.read_bytes()
    # By hand: the wave module refuses a header whose lengths a recorder has yet to fill in.
    start = data.find(b"fmt ", 12)
    if data[8:12] != b"WAVE" or start < 0:
        raise ValueError(f"{path.name}: no WAV: 'WAVE' and 'fmt ' expected in the first bytes")
    channels, rate = struct.unpack_from("<HI", data, start + 10)
    body = data[data.index(b"data", start) + 8 :]
    whole = len(body) // (2 * channels) * 2 * channels
    samples = np.frombuffer(body[:whole], dtype="<i2")
    mono = samples.reshape(-1, channels)[:, 0].astype(np.float64)
    if rate % RATE:
        raise ValueError(f"{path.name}: {rate} Hz is no multiple of {RATE}; use 8, 16 or 48 kHz")
    step = rate // RATE
    if step > 1:
        taps = np.sinc(np.arange(-8 * step, 8 * step + 1) / step) * np.hanning(16 * step + 1)
        mono = np.convolve(mono, taps / taps.sum(), mode="same")[::step]
    return np.clip(np.round(mono), -32768, 32767).astype(np.int16)
