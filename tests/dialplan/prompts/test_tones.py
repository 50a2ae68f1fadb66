"""The tones: their level, their edges, and that none is taken for a key."""

import numpy as np
import pytest

from dialplan.prompts.tones import TONE_LEVEL_DB, TONES, tone

_DTMF_LOW = (697, 770, 852, 941)
_DTMF_HIGH = (1209, 1336, 1477, 1633)
_RATE = 8000


@pytest.mark.parametrize("name", TONES)
def test_tones_are_short_quiet_and_without_clicks(name: str) -> None:
    """A tone lasts a blink, is softer than speech, and starts and ends at rest."""
    samples = tone(name, _RATE)
    assert 0.1 < len(samples) / _RATE < 0.6
    assert TONE_LEVEL_DB - 6 < 20 * np.log10(np.sqrt(np.mean(samples**2))) < TONE_LEVEL_DB + 0.5
    assert np.abs(samples).max() < 10 ** (-12 / 20)
    assert abs(samples[0]) < 1e-6
    assert abs(samples[-1]) < 1e-3
    assert abs(samples.mean()) < 1e-3


@pytest.mark.parametrize("name", TONES)
def test_tones_are_the_same_every_time_and_at_every_rate(name: str) -> None:
    """A tone is computed, without chance, and the rates differ in nothing that is heard."""
    narrow, wide = tone(name, 8000), tone(name, 16_000)
    assert np.array_equal(narrow, tone(name, 8000))
    assert len(wide) == 2 * len(narrow)
    # Taken at every other sample, the same but for the steps of edges that end between samples.
    difference = np.sqrt(np.mean((wide[::2] - narrow) ** 2) / np.mean(narrow**2))
    assert difference < 0.05


@pytest.mark.parametrize("name", TONES)
def test_no_tone_is_a_key(name: str) -> None:
    """No tone has both frequencies of a DTMF pair, not even 20 dB below its strongest."""
    samples = tone(name, _RATE)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), _RATE))
    floor = spectrum.max() / 10

    def present(frequency: int) -> bool:
        reach = round(0.015 * frequency)
        return bool(spectrum[frequency - reach : frequency + reach + 1].max() > floor)

    assert not (any(map(present, _DTMF_LOW)) and any(map(present, _DTMF_HIGH)))


def test_the_chimes_rise_and_fall() -> None:
    """Who enters is told by a rising chime, who leaves by a falling one."""

    def pitch(samples: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
        spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), _RATE))
        return float(np.argmax(spectrum))

    for name, rising in (("enter", True), ("exit", False)):
        samples = tone(name, _RATE)
        first, last = pitch(samples[:1000]), pitch(samples[-1500:])
        assert (first < last) is rising
