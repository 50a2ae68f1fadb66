"""Whether a sound holds its tones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.media.tonality import (
    BETWEEN,
    OLDEST,
    PAIRS,
    TOLD_PAIRS,
    WATCHED,
    Watch,
    pictures,
)
from tests.support.clips import music, noise, scaled
from tests.support.sentences import FRAME, Sound, at_level, talk


def continuity(sound: Sound, seconds: float = 6.0) -> float:
    """Return how continuous the tones of a sound are."""
    watch, position = Watch(), np.arange(1)
    watch.begin(position)
    frames = sound[: int(seconds * 8000)].reshape(-1, 1, FRAME).astype(np.float32)
    for tick, frame in enumerate(frames):
        watch.take(tick, position, frame, np.array([30], np.float32))
    alike = watch.judged(0, len(frames), len(frames), 1)
    assert alike is not None
    return alike


@pytest.mark.parametrize("style", ["pads", "piano", "guitar", "band", "strings", "organ", "synth"])
def test_music_holds_its_tones(style: str) -> None:
    """Of every style the mean over six seconds is well above that of speech."""
    assert continuity(scaled(music(style, 5, 6.0), -24)) > 0.4


@pytest.mark.parametrize("language", ["en", "sv"])
def test_speech_does_not(language: str) -> None:
    """Voices glide, and their harmonics with them."""
    assert continuity(at_level(talk(language, 6.0), -24)) < 0.25


def test_noise_has_none() -> None:
    """Spectra of noise have nothing to do with each other."""
    assert abs(continuity(scaled(noise("pink", 5, 6.0), -24))) < 0.05


def test_what_is_too_soft_says_nothing() -> None:
    """A leg that is silent gives no pairs, and none are judged."""
    watch, position = Watch(), np.arange(1)
    watch.begin(position)
    for tick in range(100):
        watch.take(tick, position, np.ones((1, FRAME), np.float32), np.array([30], np.float32))
    assert watch.seen[0] == 0
    assert watch.judged(0, 100, 100, 1) is None


def test_places_are_few_and_go_to_those_who_wait() -> None:
    """Who has been watched long enough makes room; others keep their places."""
    watch = Watch()
    legs = np.arange(WATCHED + 2)
    assert watch.begin(legs).tolist() == legs[:WATCHED].tolist()
    assert watch.begin(legs[WATCHED:]).tolist() == []
    pcm = np.random.default_rng(1).standard_normal((len(legs), FRAME)).astype(np.float32)
    watch.end(legs[:1])
    assert watch.begin(legs[-1:]).tolist() == legs[-1:].tolist()
    for tick in range(BETWEEN * (TOLD_PAIRS + 3)):
        watch.take(tick, legs, 1000 * pcm, np.ones(len(legs), np.float32))
    assert watch.begin(legs[-2:-1]).tolist() == legs[-2:-1].tolist()
    assert (watch.places(legs) >= 0).sum() == WATCHED
    watch.end(legs)
    assert not watch.active


def drawn(sound: Sound) -> Sound:
    """Return the picture of 512 samples as the formula says, in doubles."""
    lines = np.log(np.abs(np.fft.rfft(sound * np.hanning(512)))[15:221] + 64)
    picture = lines[4:-4] - np.convolve(lines, np.full(9, 1 / 9), "valid")
    return np.asarray(picture / np.sqrt(picture @ picture + 1e-6), np.float64)


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 1.0, 300.0, 20_000.0]))
def test_pictures_are_as_the_formula_says(seed: int, level: float) -> None:
    """Logarithms of lines of 300 to 3400 Hz less their surroundings, silence included."""
    sound = level * np.random.default_rng(seed).standard_normal((3, 512))
    wanted = np.array([drawn(each) for each in sound])
    np.testing.assert_allclose(pictures(sound.astype(np.float32)), wanted, atol=1e-3)


def test_the_last_64_ms_are_compared_with_those_80_ms_before() -> None:
    """Of each leg its own, in the order in which they came."""
    rng = np.random.default_rng(4)
    said = (1000 * rng.standard_normal((2, 12, FRAME))).astype(np.float32)
    watch, legs = Watch(), np.array([5, 3])
    watch.begin(legs)
    position = np.array([-1, -1, -1, 0, -1, 1])
    for tick in range(12):
        watch.take(tick, position, said[::-1, tick].copy(), np.full(6, 30, np.float32))
    for place, sound in enumerate(said.reshape(2, -1).astype(np.float64)):
        ends = (FRAME * 5, FRAME * 9)
        first, second = (drawn(sound[end - 512 : end]) for end in ends)
        assert watch.seen[place] == 1
        assert watch.judged(place, 12, 12, 1) == pytest.approx(first @ second, abs=1e-3)


def test_the_newest_pairs_are_judged_by() -> None:
    """All of the ticks that are asked about, and as many as are needed; none of long ago."""
    watch, leg, position = Watch(), np.array([0]), np.zeros(1, np.intp)
    watch.begin(leg)
    rng = np.random.default_rng(6)
    told: list[float | None] = []
    for tick in range(4 * (PAIRS + 9)):
        # Noise at first, then a tone that is held.
        said = 1000 * np.sin(np.arange(FRAME) * np.pi / 8) if tick >= 4 * PAIRS else 0
        said = said + rng.normal(0, 100, (1, FRAME))
        watch.take(tick, position, said.astype(np.float32), np.full(1, 30, np.float32))
        before = watch.seen[0] - len(told)
        if before:
            told.append(watch.judged(0, tick, 0, 1))
    last = 4 * (PAIRS + 8)
    alike = np.array(told, np.float64)
    assert alike[-7:].min() > alike[:-10].max()
    for ticks, pairs, count in ((20, 1, 6), (20, 9, 9), (4000, 1, PAIRS), (0, PAIRS, PAIRS)):
        wanted = alike[-count:].mean()
        assert watch.judged(0, last, ticks, pairs) == pytest.approx(wanted, abs=1e-5)
    assert watch.judged(0, last, 4000, PAIRS + 1) is None
    assert watch.judged(0, last + OLDEST, 20, 1) is not None
    assert watch.judged(0, last + OLDEST + 1, 20, 1) is None
