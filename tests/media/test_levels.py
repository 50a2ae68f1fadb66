"""How loud a leg is, how loud its line, and whether it speaks."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.media.levels import (
    ATTACK,
    GREATEST_FLOOR,
    HANG_OVER_TICKS,
    LEAST_FLOOR,
    WINDOW_TICKS,
    Levels,
    frame_rms,
    from_dbov,
)

ONE = np.array([1], np.intp)
CAME = np.ones(1, np.bool_)


def tell(levels: Levels, dbov: float, *, came: bool = True) -> npt.NDArray[np.intp]:
    """Let row 1 be so loud for a tick."""
    return levels.follow(ONE, np.array([from_dbov(dbov)], np.float32), CAME & came)


@pytest.mark.parametrize("samples", [160, 320])
def test_levels_are_root_mean_squares(samples: int) -> None:
    """A constant is its own level, a sine's is its peak over the root of two, at any rate."""
    sine = 1000 * np.sin(2 * np.pi * np.arange(samples) / 16)
    pcm = np.stack((np.full(samples, 500.0), sine, np.zeros(samples))).astype(np.float32)
    assert np.allclose(frame_rms(pcm), [500, 1000 / np.sqrt(2), 0], rtol=1e-5)
    assert from_dbov(0) == 32768
    assert np.isclose(from_dbov(-20), 3276.8)


@given(st.lists(st.booleans(), max_size=120))
def test_talk_spurts_alternate_and_are_not_hasty(loud: list[bool]) -> None:
    """Turns alternate, two are 300 ms apart, and less than 80 ms of noise is no speech."""
    levels = Levels(2)
    talking, turns, since = False, 0, -100
    for tick, is_loud in enumerate(loud):
        if len(tell(levels, -21 if is_loud else -90)):
            talking = not talking
            turns += 1
            if talking:
                assert is_loud
                assert sum(loud[: tick + 1][-20:]) >= ATTACK
            else:
                assert tick - since >= HANG_OVER_TICKS
            since = tick
        assert bool(levels.talking[1]) == talking
    assert not levels.talking[0]


def test_talk_time_counts_frames_of_speech() -> None:
    """One second of speech and its hang-over."""
    levels = Levels(2)
    for tick in range(200):
        tell(levels, -21 if 10 <= tick < 60 else -70)
    assert levels.talk_ms.tolist() == [0, 20 * (50 - (ATTACK - 1) + HANG_OVER_TICKS - 1)]


def test_a_leg_that_is_muted_falls_silent_once() -> None:
    """Told when it was speaking, not again, and not for those who were silent."""
    levels, rows = Levels(2), np.array([0, 1])
    for _ in range(5):
        levels.follow(rows, np.array([3000, 1], np.float32), np.ones(2, np.bool_))
    assert levels.fall_silent(rows).tolist() == [0]
    assert levels.fall_silent(rows).tolist() == []


def noise(seed: int, dbov: float, frames: int) -> npt.NDArray[np.float32]:
    """Return the levels of frames of white noise."""
    sound = np.random.default_rng(seed).standard_normal((frames, 160)).astype(np.float32)
    return frame_rms(sound) * np.float32(from_dbov(dbov))


@pytest.mark.parametrize("dbov", [-68, -60, -52, -46])
def test_the_floor_finds_the_noise_of_a_line_and_follows_it(dbov: float) -> None:
    """Within 1.5 dB of steady noise, under words too; a noise that grows is found in 3 s."""
    levels = Levels(2)

    def hear(at: float) -> None:
        for index, rms in enumerate(noise(1, at, 3 * WINDOW_TICKS)):
            said = np.float32(from_dbov(-20)) if index % 50 > 15 else np.float32(0)
            levels.follow(ONE, np.array([np.hypot(rms, said)]), CAME)
        assert abs(20 * np.log10(levels.floor[1] / from_dbov(at))) < 1.5

    hear(dbov)
    hear(min(dbov + 12, -43))
    hear(dbov)


@pytest.mark.parametrize("dbov", [-60, -50, -43])
def test_steady_noise_is_never_speech_once_it_is_known(dbov: float) -> None:
    """A minute of it, on its own, is not loud for a single frame."""
    levels = Levels(2)
    loud = 0
    for index, rms in enumerate(noise(2, dbov, 3000)):
        levels.follow(ONE, np.array([rms]), CAME)
        loud += int(levels.loud[1]) if index > 2 * WINDOW_TICKS else 0
    assert loud == 0


def test_the_floor_stays_within_its_bounds_and_is_no_concealed_frame() -> None:
    """Silence to the bit and roaring noise end at the bounds; what did not come is not counted."""
    levels = Levels(2)
    for _ in range(3 * WINDOW_TICKS):
        tell(levels, -50)
    known = float(levels.floor[1])
    for _ in range(3 * WINDOW_TICKS):
        tell(levels, -95, came=False)
    assert levels.floor[1] == known
    for _ in range(3 * WINDOW_TICKS):
        tell(levels, -95)
    assert np.isclose(levels.floor[1], LEAST_FLOOR)
    for _ in range(3 * WINDOW_TICKS):
        tell(levels, -15)
    assert np.isclose(levels.floor[1], GREATEST_FLOOR)
    assert levels.loud[1]


def test_who_begins_with_a_word_is_not_taken_for_a_noise() -> None:
    """The very first frame of a leg is loud when it is speech, soft speech too."""
    for dbov in (-45, -30, -10):
        levels = Levels(2)
        tell(levels, dbov)
        assert levels.loud[1]
        assert not levels.loud[0]
