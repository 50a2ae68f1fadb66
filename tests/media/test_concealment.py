"""What is heard where frames are missing."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.media.concealment import (
    LOUDEST_FLOOR,
    REPEATED_FRAMES,
    ComfortNoise,
    Gaps,
    level_after,
)
from bridge.media.pitch import LONGEST, SHORTEST, find_period

Sound = npt.NDArray[np.float32]
ONE = np.array([1])


def voice(samples: int, pitch: float, rate: int = 8000, start: int = 0) -> Sound:
    """Return a voiced sound of a steady pitch [Hz]."""
    time = (np.arange(samples) + start) / rate
    waves = [np.sin(2 * np.pi * pitch * k * time + k * k) / k for k in range(1, 12)]
    sound: Sound = (2000 * np.sum(waves, axis=0)).astype(np.float32)
    return sound


@pytest.mark.parametrize("rate", [8000, 16_000])
@given(pitch=st.floats(70, 195))
def test_the_period_of_a_voice_is_found(rate: int, pitch: float) -> None:
    """To a sample, or a multiple of it where two periods fit."""
    period, likeness = find_period(voice(rate // 25, pitch, rate)[None, :], rate)
    turns = period[0] * pitch / rate
    assert likeness[0] > 0.95
    assert abs(turns - round(turns)) < 1.1 * pitch / rate
    assert SHORTEST * rate // 8000 <= period[0] <= LONGEST * rate // 8000


def test_the_repetition_fades_as_the_appendix_says() -> None:
    """Full for 10 ms, then a fifth less every 10 ms, nothing from 60 ms on (G.711 I.2.4)."""
    times = np.array([0, 9.9, 10, 20, 30, 59.9, 60, 500.0])
    assert np.allclose(level_after(times), [1, 1, 1, 0.8, 0.6, 0.002, 0, 0], atol=1e-3)


def fill_gap(
    rate: int, said: Sound, frames: int, *, bridged: bool, noise: float = 0.0
) -> tuple[Sound, Gaps]:
    """Return what stands for frames 3 to 3 + `frames` of a sound, then the faded-in frame."""
    frame = rate // 50
    gaps = Gaps(2, rate)
    under = np.full((1, frame), noise, np.float32)
    gaps.begin(ONE, said[None, frame : 3 * frame])
    made = []
    for missing in range(1, frames + 1):
        part = gaps.fill(ONE, np.array([missing]), under)
        if bridged and missing == frames:
            behind = said[None, (3 + frames) * frame : (4 + frames) * frame]
            gaps.bridge(ONE, part, behind)
        made.append(part[0])
    back = said[None, (3 + frames) * frame : (4 + frames) * frame].copy()
    gaps.fade_in(ONE, under, back)
    return np.concatenate([*made, back[0]]), gaps


@pytest.mark.parametrize("rate", [8000, 16_000])
@pytest.mark.parametrize("bridged", [False, True])
def test_a_steady_voice_goes_on_through_a_gap(rate: int, bridged: bool) -> None:  # noqa: FBT001
    """A lost frame of a steady voice is as it was, but for the softer second half."""
    frame = rate // 50
    said = voice(6 * frame, 125, rate)
    heard, _ = fill_gap(rate, said, 1, bridged=bridged)
    real = said[3 * frame : 5 * frame]
    error = np.sqrt(np.mean((heard - real) ** 2) / np.mean(real**2))
    assert error < 0.1


def test_a_long_gap_ends_in_the_noise() -> None:
    """After 60 ms nothing of the voice is left, and the sound that is back fades in."""
    said = voice(10 * 160, 125)
    heard, _ = fill_gap(8000, said, REPEATED_FRAMES, bridged=False, noise=7.0)
    assert np.allclose(heard[480:482], 7, atol=120)
    assert np.isclose(heard[479], 7, atol=2)
    assert np.array_equal(heard[480 + 80 :], said[6 * 160 + 80 : 7 * 160])
    assert abs(heard[481]) < abs(said[6 * 160 + 1]) / 10


def test_a_bridged_gap_runs_into_what_is_behind_it() -> None:
    """Where a voice has changed meanwhile, the seam behind the gap is no seam."""
    said = np.concatenate((voice(3 * 160, 110), voice(4 * 160, 150)))
    heard, gaps = fill_gap(8000, said, 1, bridged=True)
    assert gaps.bridged[1]
    assert np.array_equal(heard[160:], said[4 * 160 : 5 * 160])
    usual = np.abs(np.diff(said)).max()
    assert np.abs(np.diff(heard)).max() < 1.5 * usual


def noise_of(noise: ComfortNoise, row: int) -> Sound:
    """Return a frame of a leg's noise."""
    frame: Sound = noise.noise(np.array([row]), 160)[0]
    return frame


def test_the_noise_is_at_the_legs_own_floor() -> None:
    """The floor follows down at once, up slowly, and is never loud; unknown, it is silence."""
    noise = ComfortNoise(2)
    assert not noise_of(noise, 1).any()
    came = np.ones(1, np.bool_)
    noise.follow(ONE, np.array([20_000], np.float32), came)
    assert noise.floor[1] <= LOUDEST_FLOOR
    noise.follow(ONE, np.array([40], np.float32), came)
    for _ in range(50):
        noise.follow(ONE, np.array([9000], np.float32), came)
    heard = np.concatenate([noise_of(noise, 1) for k in range(100)])
    assert 38 < np.sqrt(np.mean(heard**2)) < 48


def test_noise_does_not_repeat_itself_nor_its_neighbours() -> None:
    """Frames of two legs within 120 ms, and following ones, are not alike."""
    noise = ComfortNoise(3)
    noise.pause(np.array([1, 2]), np.array([40, 40], np.uint8))
    frames = np.concatenate([noise.noise(np.array([1, 2]), 160) for _ in range(6)])
    likeness = np.corrcoef(frames) - np.eye(12)
    assert np.abs(likeness).max() < 0.5


@given(st.integers(0, 255))
def test_comfort_noise_has_the_level_it_names(octet: int) -> None:
    """RFC 3389 section 3.1: the low seven bits are -dBov."""
    noise = ComfortNoise(2)
    noise.pause(ONE, np.array([octet], np.uint8))
    level = np.sqrt(np.mean(noise_of(noise, 1).astype(np.float64) ** 2))
    assert np.isclose(20 * np.log10(level / 32_768), -(octet & 0x7F), atol=0.1)
    noise.resume(ONE)
    assert not noise_of(noise, 1).any()
