"""Who is speaking, and what is heard where frames are missing."""

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from bridge.media.concealment import FADE, LOUDEST_FLOOR, ComfortNoise
from bridge.media.levels import HANG_OVER_TICKS, SPEECH_DBOV, SPEECH_RMS, Levels, frame_rms


def test_levels_are_root_mean_squares() -> None:
    """A constant is its own level, a sine's is its peak over the root of two."""
    sine = 1000 * np.sin(2 * np.pi * np.arange(160) / 16)
    pcm = np.stack((np.full(160, 500.0), sine, np.zeros(160))).astype(np.float32)
    assert np.allclose(frame_rms(pcm), [500, 1000 / np.sqrt(2), 0], rtol=1e-5)
    assert np.isclose(20 * np.log10(SPEECH_RMS / 32_768), SPEECH_DBOV)


@given(st.lists(st.booleans(), max_size=120))
def test_talk_spurts_alternate_and_are_not_hasty(loud: list[bool]) -> None:
    """Turns alternate, two are 300 ms apart, and a click of one frame is no speech."""
    levels, rows = Levels(2), np.array([1])
    talking, turns, since = False, [], -100
    for tick, is_loud in enumerate(loud):
        rms = np.array([3000.0 if is_loud else 1.0], np.float32)
        if len(levels.follow(rows, rms)):
            talking = not talking
            turns.append(tick)
            if not talking:
                assert tick - since >= HANG_OVER_TICKS
            else:
                assert is_loud
                assert sum(loud[max(0, tick - 3) : tick + 1]) >= 2
            since = tick
        assert bool(levels.talking[1]) == talking
    assert not levels.talking[0]


def test_talk_time_counts_frames_of_speech() -> None:
    """One second of speech and its hang-over."""
    levels, rows = Levels(1), np.array([0])
    for tick in range(200):
        level = 3000.0 if 10 <= tick < 60 else 10.0
        levels.follow(rows, np.array([level], np.float32))
    assert levels.talk_ms[0] == 20 * (49 + HANG_OVER_TICKS - 1)


def test_a_leg_that_is_muted_falls_silent_once() -> None:
    """Told when it was speaking, not again, and not for those who were silent."""
    levels, rows = Levels(2), np.array([0, 1])
    for _ in range(5):
        levels.follow(rows, np.array([3000, 1], np.float32))
    assert levels.fall_silent(rows).tolist() == [0]
    assert levels.fall_silent(rows).tolist() == []


def frames_of(*values: float) -> npt.NDArray[np.float32]:
    """Return constant frames."""
    return np.repeat(np.array(values, np.float32)[:, None], 160, axis=1)


def conceal(noise: ComfortNoise, missing: int, *, blanked: bool = False) -> npt.NDArray[np.float32]:
    """Return what is heard of a leg whose last frame was a constant 1000."""
    pcm = frames_of(1000)
    noise.conceal(np.array([1]), np.array([missing]), np.array([blanked]), pcm)
    heard: npt.NDArray[np.float32] = pcm[0]
    return heard


def test_missing_frames_repeat_and_fade_to_silence() -> None:
    """Three repetitions, each softer, then nothing where no noise floor is known."""
    noise = ComfortNoise(2)
    levels = [float(conceal(noise, missing)[0]) for missing in range(6)]
    assert np.allclose(levels, [1000, *(1000 * FADE[1:]), 0, 0])
    assert noise.concealed.tolist() == [0, len(FADE) - 1]


def test_a_long_gap_is_filled_at_the_legs_own_noise_floor() -> None:
    """The floor follows down at once, up slowly, and is never loud."""
    noise = ComfortNoise(2)
    one = np.array([1])
    noise.follow(one, np.array([20_000], np.float32))
    assert noise.floor[1] <= LOUDEST_FLOOR
    noise.follow(one, np.array([40], np.float32))
    for _ in range(50):
        noise.follow(one, np.array([9000], np.float32))
    heard = np.concatenate([conceal(noise, 10 + k) for k in range(100)])
    assert 38 < np.sqrt(np.mean(heard**2)) < 48


def test_noise_does_not_repeat_itself_nor_its_neighbours() -> None:
    """Frames of two legs within 120 ms, and following ones, are not alike."""
    noise = ComfortNoise(3)
    noise.pause(np.array([1, 2]), np.array([40, 40], np.uint8))
    frames = []
    for _ in range(6):
        pcm = frames_of(0, 0)
        noise.conceal(np.array([1, 2]), np.array([9, 9]), np.zeros(2, np.bool_), pcm)
        frames += [pcm[0].copy(), pcm[1].copy()]
    likeness = np.corrcoef(np.array(frames)) - np.eye(12)
    assert np.abs(likeness).max() < 0.5


@given(st.integers(0, 255))
def test_comfort_noise_has_the_level_it_names(octet: int) -> None:
    """RFC 3389 section 3.1: the low seven bits are -dBov."""
    noise = ComfortNoise(2)
    noise.pause(np.array([1]), np.array([octet], np.uint8))
    level = np.sqrt(np.mean(conceal(noise, 1).astype(np.float64) ** 2))
    assert np.isclose(20 * np.log10(level / 32_768), -(octet & 0x7F), atol=0.1)
    noise.resume(np.array([1]))
    assert conceal(noise, 1)[0] == 1000 * FADE[1]


def test_a_blanked_frame_is_silent_whatever_came() -> None:
    """A key's tone is not heard, neither as a frame that came nor as its repetition."""
    noise = ComfortNoise(2)
    assert not conceal(noise, 0, blanked=True).any()
    assert not conceal(noise, 1, blanked=True).any()
