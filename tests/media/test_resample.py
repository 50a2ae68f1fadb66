"""Between 8 and 16 kHz: against a plain convolution, and what becomes of tones."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from bridge.media.resample import DOWN_DELAY, UP_DELAY, Down, Up

FRAMES = 12
F = npt.NDArray[np.float64]


def half_band() -> F:
    """Return the filter of the module's formula, 63 taps."""
    k = np.arange(-31, 32)
    taps = 0.5 * np.sinc(k / 2) * np.kaiser(63, 6.76)
    odd = taps[::2].sum()
    taps[::2] *= 0.5 / odd
    return taps


def down(sound: F) -> F:
    """Take a sound of whole frames to 8 kHz, frame by frame."""
    stage, row = Down(3), np.array([2])
    frames = sound.astype(np.float32).reshape(-1, 1, 320)
    return np.concatenate([stage.convert(row, frame)[0] for frame in frames]).astype(np.float64)


def up(sound: F) -> F:
    """Take a sound of whole frames to 16 kHz, frame by frame."""
    stage, row = Up(3), np.array([1])
    frames = sound.astype(np.float32).reshape(-1, 1, 160)
    return np.concatenate([stage.convert(row, frame)[0] for frame in frames]).astype(np.float64)


@settings(max_examples=30)
@given(st.integers(0, 10_000))
def test_down_is_the_filter_and_every_second_sample(seed: int) -> None:
    """Frame by frame the same as one convolution of the whole."""
    sound = np.random.default_rng(seed).uniform(-30_000, 30_000, 320 * FRAMES)
    filtered = np.convolve(sound, half_band())[1::2][: 160 * FRAMES]
    assert np.abs(down(sound) - filtered).max() < 0.05


@settings(max_examples=30)
@given(st.integers(0, 10_000))
def test_up_is_zeros_between_and_the_filter(seed: int) -> None:
    """Frame by frame the same as one convolution of the whole."""
    sound = np.random.default_rng(seed).uniform(-30_000, 30_000, 160 * FRAMES)
    stuffed = np.zeros(320 * FRAMES)
    stuffed[::2] = sound
    filtered = np.convolve(stuffed, 2 * half_band())[: 320 * FRAMES]
    assert np.abs(up(sound) - filtered).max() < 0.05


def gain_db(heard: F, rate: int, hertz: float) -> float:
    """Return the level of a tone whose peak was 10,000, once things have settled [dB]."""
    settled = heard[len(heard) // 3 :]
    time = np.arange(len(settled)) / rate
    basis = np.exp(-2j * np.pi * hertz * time) * signal.windows.hann(len(settled))
    amplitude = abs(np.dot(settled, basis)) * 2 / signal.windows.hann(len(settled)).sum()
    return float(20 * np.log10(amplitude / 10_000 + 1e-12))


def tone(rate: int, hertz: float) -> F:
    """Return a tone of whole frames, peak 10,000."""
    time = np.arange(rate // 50 * 30) / rate
    return 10_000 * np.sin(2 * np.pi * hertz * time)


@pytest.mark.parametrize("hertz", [100, 300, 1000, 2000, 3000, 3400])
def test_the_telephone_band_passes_unchanged(hertz: float) -> None:
    """Within 0.05 dB both ways, so that both rates of a room have the same level."""
    assert abs(gain_db(down(tone(16_000, hertz)), 8000, hertz)) < 0.05
    assert abs(gain_db(up(tone(8000, hertz)), 16_000, hertz)) < 0.05


@pytest.mark.parametrize("hertz", [4600, 5000, 6000, 7000, 7900])
def test_what_8_khz_cannot_carry_does_not_fold(hertz: float) -> None:
    """A tone beyond 4,600 Hz leaves less than -65 dB of itself at 8 kHz."""
    heard = down(tone(16_000, hertz))[400:]
    assert 20 * np.log10(np.abs(heard).max() / 10_000) < -65


@pytest.mark.parametrize("hertz", [300, 1000, 3400])
def test_up_makes_no_image(hertz: float) -> None:
    """The mirror image at 8 kHz minus the tone is gone."""
    assert gain_db(up(tone(8000, hertz)), 16_000, 8000 - hertz) < -65


def test_the_delays_are_what_they_say() -> None:
    """A pulse comes out where the delay puts it."""
    pulse = np.zeros(640)
    pulse[100] = 1000
    assert int(np.argmax(down(pulse))) == (100 + DOWN_DELAY) // 2
    pulse = np.zeros(320)
    pulse[100] = 1000
    assert int(np.argmax(up(pulse))) == 200 + UP_DELAY


def test_rows_keep_their_own_past_and_forget_it_when_reset() -> None:
    """Two rows do not leak into each other; a new leg's first frame follows silence."""
    stage = Up(2)
    loud = np.full((1, 160), 9000, np.float32)
    stage.convert(np.array([0]), loud)
    quiet = stage.convert(np.array([1]), np.zeros((1, 160), np.float32))
    assert not quiet.any()
    stage.reset(0)
    assert not stage.convert(np.array([0]), np.zeros((1, 160), np.float32)).any()
