"""Change of sampling rate by a linear-phase filter: Kaiser window, at least 70 dB of stop band.

Prompts are stored at 16 kHz, the rate of G.722; G.711 takes 8 kHz. What is left out must not fold
back into the telephone band, where it would be heard as hiss on every s.
"""

import functools
import math
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["resample"]

_STOP_DB: Final = 70.0
_PASS: Final = 0.86
"""End of the pass band as a share of the lower rate's half: 3440 Hz of 4000."""


def resample(
    samples: npt.NDArray[np.float64], rate_in: int, rate_out: int
) -> npt.NDArray[np.float64]:
    """Return samples at another rate, without delay.

    Args:
        samples: `(n,)`.
        rate_in: Their rate in samples a second.
        rate_out: The rate wanted.

    Returns:
        `(ceil(n * rate_out / rate_in),)`; flat to 86 % of the lower rate's half, and 70 dB down
        from there up.
    """
    if rate_in == rate_out:
        return samples.astype(np.float64)
    common = math.gcd(rate_in, rate_out)
    up, down = rate_out // common, rate_in // common
    phases = _phases(up, down)
    taps = phases.shape[1]
    count = -(-len(samples) * up // down)
    # Output i lies at input position i * down / up; its filter's phase is the remainder.
    position = np.arange(count) * down
    padded = np.concatenate([np.zeros(taps // 2), samples, np.zeros(taps)])
    if up == 1:
        # The way of a bank: a plain convolution is several times as fast as gathering windows.
        filtered: npt.NDArray[np.float64] = np.convolve(padded, phases[0][::-1], mode="valid").real
        return filtered[::down][:count]
    windows = np.lib.stride_tricks.sliding_window_view(padded, taps)
    out = np.empty(count)
    for phase in range(up):
        chosen = slice(phase * _inverse(down, up) % up, None, up)
        out[chosen] = windows[position[chosen] // up] @ phases[phase]
    return out


def _inverse(down: int, up: int) -> int:
    """Return which output, counted within `up` of them, has phase 1."""
    return pow(down, -1, up)


@functools.cache
def _phases(up: int, down: int) -> npt.NDArray[np.float64]:
    """Return the filter of each phase, `(up, taps)`, taps odd and centred.

    Kaiser's formulas: Oppenheim and Schafer, Discrete-Time Signal Processing, 7.5.3.
    """
    # In units of the input's rate; the lower of both rates limits.
    nyquist = 0.5 * min(1.0, up / down)
    width = nyquist * (1 - _PASS)
    cutoff = nyquist - width / 2
    beta = 0.1102 * (_STOP_DB - 8.7)
    half = math.ceil((_STOP_DB - 8) / (2.285 * 2 * np.pi * width) / 2) + 1
    offset = np.arange(-half, half + 1)
    rows = []
    for phase in range(up):
        at = offset - phase / up
        window = np.i0(beta * np.sqrt(np.maximum(0, 1 - (at / (half + 1)) ** 2))) / np.i0(beta)
        row = 2 * cutoff * np.sinc(2 * cutoff * at) * window
        rows.append(row / row.sum())
    return np.array(rows)
