"""DTMF in sound: which of the sixteen pairs of tones (ITU-T Q.23) a frame of 20 ms holds.

Limits are AT&T's column of ITU-T Q.24, table A-1:

============  =======================  =======================
each tone     a receiver must operate  must not operate
============  =======================  =======================
frequency     within 1.5 %             3.5 % off or more
level         0 to -25 dBm             -55 dBm or less
high to low   +4 to -8 dB
signal        of 40 ms or longer       of 23 ms or shorter
pause         of 40 ms or longer
interruption                           of 10 ms or shorter
============  =======================  =======================

On a digital line levels are in dBm0. The largest sine that µ-law carries is +3.17 dBm0, A-law's is
+3.14 dBm0 (G.711). Its peak is full scale: 0 dBFS, and -3.01 dBov, for 0 dBov is a square wave of
full scale (G.100.1). So L dBm0 are L - 3.17 dBFS and L - 6.18 dBov in µ-law, L - 6.15 dBov in
A-law; we leave the 0.03 dB out. Two tones of -3 dBm0 each just fill the scale.

How: a frame is multiplied with Hann-windowed sines and cosines of the eight frequencies, in two
windows 5 ms apart. The stronger of both tells which tones; how far their phases turn from the one
window to the other tells their frequencies, to 2 Hz or better at 15 dB of signal to noise, where
the bins of a frame lie 50 Hz apart. Amplitudes are corrected for what the window takes off a tone
so far from its bin, and what both tones leave of the frame's energy is noise, or it is speech::

    purity = (a_low² + a_high²) / 2 / mean square

which at 15 dB is 0.95 to 0.99 and in speech nearly never above 0.7 with both frequencies right.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media.codecs import FRAME, SAMPLE_RATE

__all__ = [
    "BLOCKS",
    "DEVIATION",
    "KEYS",
    "NO_PAIR",
    "Pairs",
    "amplitude",
    "blocks_of",
    "find_pairs",
    "verify",
]

LOW: Final = (697.0, 770.0, 852.0, 941.0)
HIGH: Final = (1209.0, 1336.0, 1477.0, 1633.0)

KEYS: Final = "123A456B789C*0#D"
"""Pairs are numbered by four times the index of the low tone plus that of the high one (Q.23)."""

NO_PAIR: Final = -1

DEVIATION: Final = 0.025
"""Of a frequency from its nominal one, as a share: half way from what must be taken to what must
not."""

LARGEST_SINE_DBM0: Final = 3.17

BLOCKS: Final = 4
"""Blocks of a frame, 5 ms each, whose energies say when a tone begins and ends. The beat of two
tones, 268 Hz or faster, moves the energy of 5 ms by less than a quarter."""

FAINTEST_HEARD: Final = 6.9e-8
"""Power of the fainter tone over that of full scale below which nothing is looked for; -68 dBov."""

_LEAST_SHARE: Final = 0.5
_WINDOW: Final = 120
_APART: Final = FRAME - _WINDOW
_LONG: Final = 240
_GROUP: Final = len(LOW)
_NOMINAL: Final = np.array(LOW + HIGH)

_Floats = npt.NDArray[np.float32]


def amplitude(level: float) -> float:
    """Return the amplitude of a sine on the 16-bit scale, by its level [dBm0]."""
    return float(32768 * 10 ** ((level - LARGEST_SINE_DBM0) / 20))


def _hann(length: int) -> npt.NDArray[np.float64]:
    window: npt.NDArray[np.float64] = np.sin(np.pi * (np.arange(length) + 0.5) / length) ** 2
    return window


def _sines() -> _Floats:
    """Return float32 `(160, 2 windows * 8 tones * 2)`; a tone at its bin gives its amplitude."""
    turns = np.exp(-2j * np.pi * np.outer(np.arange(FRAME), _NOMINAL) / SAMPLE_RATE)
    hann = _hann(_WINDOW)
    matrix = np.zeros((FRAME, 2, len(_NOMINAL)), np.complex64)
    for which, start in enumerate((0, _APART)):
        part = slice(start, start + _WINDOW)
        matrix[part, which] = turns[part] * hann[:, None] * (2 / hann.sum())
    return matrix.reshape(FRAME, -1).view(np.float32)


def _powers() -> _Floats:
    """Return float32 `(160, 1 + BLOCKS)`: of squares, the windows' mean and the blocks' means."""
    matrix = np.zeros((FRAME, 1 + BLOCKS), np.float32)
    for start in (0, _APART):
        matrix[start : start + _WINDOW, 0] += _hann(_WINDOW)
    matrix[:, 0] /= matrix[:, 0].sum()
    block = FRAME // BLOCKS
    for index in range(BLOCKS):
        matrix[index * block : (index + 1) * block, 1 + index] = 1 / block
    return matrix


_SINES: Final = _sines()
_POWERS: Final = _powers()
_LONG_WINDOW: Final = _hann(_LONG).astype(np.float32)
_FRAME_WINDOW: Final = _hann(FRAME).astype(np.float32)
_TURN: Final = -2j * np.pi / SAMPLE_RATE
_STEP: Final = 16


def _left_by_window(offset: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the share of a sine's amplitude that a Hann window leaves so far off its bin [Hz]."""
    x = np.clip(offset * _WINDOW / SAMPLE_RATE, -0.9, 0.9)
    left: npt.NDArray[np.float64] = np.sinc(x) / (1 - x * x)
    return left


@dataclass(slots=True)
class Pairs:
    """Pairs of tones found in some frames, each array `(c,)`.

    Args:
        index: intp: the frames.
        pair: int64: number of the pair, an index of `KEYS`.
        frequency: float64, `(c, 2)`: low and high one [Hz].
        amplitude: float64, `(c, 2)`: theirs, on the 16-bit scale.
        purity: float64: share of both in the frame's energy.
    """

    index: npt.NDArray[np.intp]
    pair: npt.NDArray[np.int64]
    frequency: npt.NDArray[np.float64]
    amplitude: npt.NDArray[np.float64]
    purity: npt.NDArray[np.float64]

    @property
    def power(self) -> npt.NDArray[np.float64]:
        """Mean square of both tones together: float64, `(c,)`."""
        power: npt.NDArray[np.float64] = (self.amplitude**2).sum(axis=1) / 2
        return power

    def chosen(self, which: npt.NDArray[np.bool_]) -> "Pairs":
        """Return some of them."""
        return Pairs(
            self.index[which],
            self.pair[which],
            self.frequency[which],
            self.amplitude[which],
            self.purity[which],
        )


def find_pairs(pcm: _Floats) -> tuple[Pairs, _Floats]:
    """Look for pairs of tones that fill a frame.

    Args:
        pcm: float32, `(k, 160)`, 8 kHz, 16-bit scale.

    Returns:
        Frames of which two tones are most, both within `DEVIATION` of a key's, of whatever level
        and twist; and the mean square of each block of every frame, float32 `(k, BLOCKS)`.
    """
    power = np.square(pcm) @ _POWERS
    spectrum = (pcm @ _SINES).view(np.complex64).reshape(-1, 2, len(_NOMINAL))
    squared = np.square(spectrum.real) + np.square(spectrum.imag)
    strength = squared[:, 0] + squared[:, 1]
    strongest = strength[:, :_GROUP].max(axis=1) + strength[:, _GROUP:].max(axis=1)
    # Both windows' squared amplitudes are four times the tones' power; less, off the bins.
    floor = 4 * np.maximum(_LEAST_SHARE * power[:, 0], 32768.0**2 * FAINTEST_HEARD)
    index = np.flatnonzero(strongest > floor)
    pairs = _measure(index, spectrum[index], strength[index], power[index, 0])
    return pairs, power[:, 1:]


def _measure(
    index: npt.NDArray[np.intp],
    spectrum: npt.NDArray[np.complex64],
    strength: _Floats,
    power: _Floats,
) -> Pairs:
    """Measure the two tones of frames that may hold a pair; keep those that do."""
    count = np.arange(len(index))
    frequency = np.empty((len(index), 2))
    size = np.empty((len(index), 2))
    near = np.ones(len(index), np.bool_)
    pair = np.zeros(len(index), np.int64)
    for column, first in enumerate((0, _GROUP)):
        group = slice(first, first + _GROUP)
        place = first + strength[:, group].argmax(axis=1)
        turned = spectrum[count, 1, place] * spectrum[count, 0, place].conj()
        offset = np.angle(turned).astype(np.float64) * SAMPLE_RATE / (2 * np.pi * _APART)
        frequency[:, column] = _NOMINAL[place] + offset
        size[:, column] = np.sqrt(strength[count, place] / 2) / _left_by_window(offset)
        away = np.abs(frequency[:, column, None] / _NOMINAL[group] - 1)
        nearest = away.argmin(axis=1)
        near &= away[count, nearest] <= DEVIATION
        pair = pair * _GROUP + nearest
    share = (size**2).sum(axis=1) / 2 / np.maximum(power, 1e-3)
    return Pairs(index, pair, frequency, size, share).chosen(near)


def verify(
    pcm: _Floats, frequency: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Measure two tones over 30 ms, coherently: a glide, as of speech, does not last so long.

    Args:
        pcm: float32, `(c, 240)`, 8 kHz.
        frequency: float64, `(c, 2)`: low and high one, as found in a frame [Hz].

    Returns:
        Each `(c,)`: purity, float64; amplitude of the second harmonic of the high tone over that of
        the tone itself, float64 (the low tone's lies among the high tones); whether both are
        within `DEVIATION` of a nominal frequency, bool, now that more is known of them.
    """
    total = (np.square(pcm) @ _LONG_WINDOW) / _LONG_WINDOW.sum()
    wanted = np.concatenate((frequency, 2 * frequency[:, 1:]), axis=1)
    # Sines of each leg's own frequencies, out of few: e^(a + b) = e^a e^b.
    fine = np.exp(_TURN * wanted[:, :, None] * np.arange(_STEP))
    coarse = np.exp(_TURN * wanted[:, :, None] * np.arange(0, _LONG, _STEP))
    turns = coarse.astype(np.complex64)[..., None] * fine.astype(np.complex64)[:, :, None]
    turned = pcm[:, None] * turns.reshape(*wanted.shape, _LONG)
    size = np.abs(turned @ _LONG_WINDOW) * (2 / _LONG_WINDOW.sum())
    purity = (size[:, 0] ** 2 + size[:, 1] ** 2) / 2 / np.maximum(total, 1e-3)
    first, second = (turned[:, :2, k : k + FRAME] @ _FRAME_WINDOW for k in (0, _LONG - FRAME))
    offset = np.angle(second * first.conj()) * SAMPLE_RATE / (2 * np.pi * (_LONG - FRAME))
    exact = (frequency + offset)[:, :, None]
    away = np.abs(exact / _NOMINAL.reshape(2, _GROUP) - 1).min(axis=2)
    right: npt.NDArray[np.bool_] = (away <= DEVIATION).all(axis=1)
    return purity, size[:, 2] / np.maximum(size[:, 1], 1e-3), right


def blocks_of(pcm: _Floats) -> _Floats:
    """Return the mean square of each block of 5 ms: float32 `(c, n / 40)` of `(c, n)` samples."""
    cut = pcm.reshape(len(pcm), -1, FRAME // BLOCKS)
    means: _Floats = np.vecdot(cut, cut) / np.float32(FRAME // BLOCKS)
    return means
