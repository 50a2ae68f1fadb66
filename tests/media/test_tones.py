"""What a frame holds of the sixteen pairs of tones, against tones whose facts are known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.media.codecs import DECODED_VALUES
from bridge.media.dtmf import DIGITS
from bridge.media.tones import DEVIATION, amplitude, blocks_of, find_pairs, verify
from tests.media.engine import loud
from tests.support import dtmf
from tests.support.dtmf import KEYS


def frame(sound: dtmf.Sound) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Return a sound as one row."""
    return sound.astype(np.float32)[None]


def test_levels_are_those_of_g711() -> None:
    """0 dBm0 is -6.18 dBov in µ-law, and the digital milliwatt of either law has it."""
    rms = amplitude(0) / np.sqrt(2)
    assert 20 * np.log10(rms / 32768) == pytest.approx(-6.18, abs=0.01)
    # The digital milliwatt (G.711 tables 5 and 6): eight codes of 1 kHz at 0 dBm0.
    for law, codes in enumerate(("1e0b0b1e9e8b8b9e", "3421213 4b4a1a1b4".replace(" ", ""))):
        milliwatt = DECODED_VALUES[law][list(bytes.fromhex(codes))].astype(np.float64)
        assert np.sqrt(np.mean(milliwatt**2)) == pytest.approx(rms, rel=0.01)


def test_all_sixteen_keys_are_found() -> None:
    """Each by its own number, the letters too."""
    for number, key in enumerate(KEYS):
        pairs, _ = find_pairs(frame(dtmf.tones(key, 20)))
        assert pairs.pair.tolist() == [number]
    assert sorted(KEYS) == sorted(DIGITS)


@given(
    key=st.integers(0, 15),
    level=st.floats(-35, -3),
    twist=st.floats(-10, 6),
    off=st.tuples(st.floats(-0.023, 0.023), st.floats(-0.023, 0.023)),
    phase=st.floats(0, 6),
)
def test_frequency_level_and_purity_are_measured(
    key: int, level: float, twist: float, off: tuple[float, float], phase: float
) -> None:
    """Within 0.2 % and half a decibel, without noise."""
    sound = dtmf.tones(KEYS[key], 20, level, twist_db=twist, off=off, phase=phase)
    pairs, _ = find_pairs(frame(sound))
    assert pairs.pair.tolist() == [key]
    nominal = ((697, 770, 852, 941)[key // 4], (1209, 1336, 1477, 1633)[key % 4])
    assert pairs.frequency[0] / nominal - 1 == pytest.approx(off, abs=0.002)
    sizes = amplitude(level - max(0, twist)), amplitude(level + min(0, twist))
    assert pairs.amplitude[0] == pytest.approx(sizes, rel=0.06)
    assert pairs.purity[0] == pytest.approx(1, abs=0.05)


@given(key=st.integers(0, 15), far=st.floats(0.028, 0.034), low=st.booleans(), up=st.booleans())
def test_frequencies_that_are_off_are_not_found(
    key: int, far: float, *, low: bool, up: bool
) -> None:
    """Beyond what is taken, as far as the next key's range begins."""
    off = far if up else -far
    sound = dtmf.tones(KEYS[key], 20, off=(off, 0) if low else (0, off))
    assert far > DEVIATION
    assert len(find_pairs(frame(sound))[0].pair) == 0


def test_noise_takes_from_purity_what_is_its_share() -> None:
    """At 15 dB of signal to noise 0.97 of the energy is tone; noise alone is none."""
    rng = np.random.default_rng(15)
    tone = dtmf.tones("6", 20)
    rms = np.sqrt(np.mean(tone**2)) * 10 ** (-15 / 20)
    noisy = np.stack([dtmf.with_noise(tone, rms, rng) for _ in range(200)]).astype(np.float32)
    pairs, _ = find_pairs(noisy)
    assert len(pairs.index) == 200
    assert pairs.purity.mean() == pytest.approx(0.97, abs=0.005)
    assert pairs.purity.min() > 0.93
    assert len(find_pairs(loud(1, 500).astype(np.float32))[0].index) == 0


def test_silence_holds_no_pair() -> None:
    """Nor do the faintest steps of a codec."""
    quiet = np.zeros((2, 160), np.float32)
    quiet[1, ::5] = 8
    assert len(find_pairs(quiet)[0].index) == 0


def test_verifying_sees_a_glide_a_harmonic_and_what_is_off() -> None:
    """30 ms of a key pass; a voice that glides, one with harmonics, and 3.5 % off do not."""
    steady = dtmf.tones("3", 30)
    time = np.arange(240) / 8000
    glide = 8000 * (
        np.sin(2 * np.pi * (697 * time + 1500 * time**2)) + np.sin(2 * np.pi * 1477 * time)
    )
    voiced = steady + dtmf.sine(2954, 240, -24)
    off = dtmf.tones("3", 30, off=(0, 0.035))
    sounds = np.stack((steady, glide, voiced, off)).astype(np.float32)
    purity, harmonic, right = verify(sounds, np.array([[697.0, 1477.0]] * 4))
    assert purity[0] > 0.98
    assert purity[1] < 0.8
    assert harmonic[2] == pytest.approx(10 ** (-12 / 20), rel=0.05)
    assert harmonic[0] < 0.01
    assert right.tolist()[::3] == [True, False]


def test_blocks_say_when_a_tone_begins() -> None:
    """Of 5 ms each: their mean squares."""
    sound = np.concatenate((np.zeros(80), np.full(80, 3.0))).astype(np.float32)[None]
    assert blocks_of(sound)[0].tolist() == [0, 0, 9, 9]
    assert find_pairs(sound)[1][0] == pytest.approx([0, 0, 9, 9])
