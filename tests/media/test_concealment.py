"""What is heard where frames are missing."""

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from bridge.media.concealment import FADE, LOUDEST_FLOOR, ComfortNoise


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
