"""The active speech level meter, against signals whose level is known."""

import numpy as np
import pytest

from dialplan.prompts.speech_level import speech_level

_RATE = 16_000


@pytest.mark.parametrize("level_db", [-60.0, -40.0, -24.0, -16.0])
def test_steady_noise_has_its_rms(level_db: float) -> None:
    """A signal without pauses is active all the time: its level is its RMS."""
    noise = np.random.default_rng(1).standard_normal(4 * _RATE) * 10 ** (level_db / 20)
    measured = speech_level(noise, _RATE)
    assert measured.active_db == pytest.approx(level_db, abs=0.15)
    assert measured.activity > 0.97


def test_long_pauses_do_not_count() -> None:
    """A pause of four seconds takes 3 dB from the RMS, and next to nothing from this level."""
    noise = np.random.default_rng(2).standard_normal(8 * _RATE) * 10 ** (-24 / 20)
    noise[2 * _RATE : 6 * _RATE] = 0
    measured = speech_level(noise, _RATE)
    # What P.56 calls active: four seconds, 200 ms of hang-over, and the envelope's decay.
    assert measured.active_db == pytest.approx(-24.3, abs=0.3)
    assert measured.activity == pytest.approx(0.54, abs=0.03)


def test_short_pauses_count() -> None:
    """A gap shorter than the hang-over of 200 ms, as between words, is speech."""
    noise = np.random.default_rng(3).standard_normal(4 * _RATE)
    gaps = np.tile(np.repeat([1.0, 0.0], _RATE // 8), 16)
    assert speech_level(0.05 * noise * gaps, _RATE).activity > 0.97


@pytest.mark.parametrize("louder_db", [0.0, 6.0, 12.0])
def test_one_loud_moment_changes_little(louder_db: float) -> None:
    """Of half a minute 100 ms, wherever they end between two thresholds, not even a decibel."""
    noise = np.random.default_rng(4).standard_normal(30 * _RATE)
    noise[_RATE : _RATE + _RATE // 10] *= 10 ** (louder_db / 20)
    levels = [speech_level(noise * 10 ** (db / 20), _RATE).active_db - db for db in range(-30, -24)]
    np.testing.assert_allclose(levels, 0, atol=1)


def test_integers_are_taken_at_full_scale() -> None:
    """int16 and float of the same sound measure the same, peak included."""
    samples = np.round(8000 * np.sin(np.arange(_RATE) / 5)).astype(np.int16)
    assert speech_level(samples, _RATE) == speech_level(samples / 32768, _RATE)
    assert speech_level(samples, _RATE).peak_db == pytest.approx(-12.25, abs=0.01)


def test_silence_has_no_level() -> None:
    """Silence measures as minus infinity and does not divide by zero."""
    measured = speech_level(np.zeros(_RATE), _RATE)
    assert measured.active_db == -np.inf
    assert measured.activity == 0
