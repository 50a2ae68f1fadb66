"""Marks prove an echo: what comes with them was sent, what comes without came another way."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.media.codecs import FRAME
from bridge.media.echo_screen import DELAYS, Suspicion
from bridge.media.echo_trial import LOUD, MARK_TICKS, PLACES, TICKS_DISMISSED, Trials, Verdict
from tests.support.sentences import at_level, talk

ROW = np.array([3])


def suspicion(delay: int, rows: npt.NDArray[np.intp] = ROW) -> Suspicion:
    """Return a suspicion of legs."""
    each = len(rows)
    return Suspicion(rows, np.full(each, delay), np.full(each, 12, np.float32))


def try_leg(delay: int, *, marked: bool, heard: float = 0.25, other: float = 0.0) -> Verdict:
    """Try a leg of which what is sent to it comes back, as sent or as unmarked, or something else.

    Args:
        delay: Of what comes back [samples].
        marked: It is what was sent; false: the same sound by another way.
        heard: Amplitude of it.
        other: Amplitude of another voice over it.
    """
    trials = Trials()
    trials.begin(suspicion(round(delay / FRAME)), 0)
    sound = at_level(talk("en", 12.0), -24).astype(np.float32)
    voice = at_level(talk("sv", 12.0), -24).astype(np.float32)
    sent = np.zeros(len(sound) + delay, np.float32)
    for tick in range(len(sound) // FRAME):
        at = slice(tick * FRAME, (tick + 1) * FRAME)
        back = sent if marked else np.concatenate((np.zeros(delay, np.float32), sound))
        came = (heard * back[at] + other * voice[at]).astype(np.float32)
        trials.came(ROW, came[None])
        verdict = trials.judge(tick)
        if verdict:
            assert not trials.active
            return verdict
        marks = trials.mark(tick, ROW, FRAME)
        trials.sent(ROW, sound[None, at], marks)
        sent[delay + tick * FRAME : delay + (tick + 1) * FRAME] = sound[at] * marks[0]
    pytest.fail("no verdict")


@pytest.mark.parametrize("delay", [160, 163, 400, 1601, 4800])
def test_what_was_sent_is_an_echo(delay: int) -> None:
    """Found to a quarter of a millisecond."""
    verdict = try_leg(delay, marked=True)
    assert verdict.guilty == [3]
    assert verdict.delay[0] == pytest.approx(delay / 8000, abs=0.00026)
    assert verdict.loss_db == [12]


@pytest.mark.parametrize("delay", [160, 400, 1601])
def test_the_same_voice_by_another_way_is_none(delay: int) -> None:
    """Two telephones in one room: as alike as an echo, and innocent."""
    assert try_leg(delay, marked=False).cleared == [3]


def test_another_voice_is_none() -> None:
    """Who talks at the same time is cleared."""
    assert try_leg(800, marked=True, heard=0, other=0.5).cleared == [3]


def test_an_echo_is_proved_beside_the_leg_s_own_voice() -> None:
    """Both talk at once, the echo 6 dB below the voice."""
    assert try_leg(800, marked=True, heard=0.25, other=0.5).guilty == [3]


def test_marks_turn_the_sign_and_leave_no_step() -> None:
    """The sign changes every 160 ms, through zero; at both rates alike."""
    trials = Trials()
    trials.begin(suspicion(5), 100)
    narrow = np.concatenate([trials.mark(100 + t, ROW, 160)[0] for t in range(3 * MARK_TICKS)])
    wide = np.concatenate([trials.mark(100 + t, ROW, 320)[0] for t in range(3 * MARK_TICKS)])
    assert np.abs(np.diff(narrow)).max() <= 0.051
    assert (np.sign(narrow.reshape(3, -1)[:, -1]) == (1, -1, 1)).all()
    np.testing.assert_array_equal(wide[::2], narrow)
    assert np.abs(narrow).max() == 1


def test_who_is_sent_nothing_is_let_go_in_time() -> None:
    """And never while the sign is turned, which would be a click."""
    trials = Trials()
    trials.begin(suspicion(5), 0)
    silence = np.zeros((1, FRAME), np.float32)
    tick, verdict, marks = 0, Verdict(), silence
    while tick < 2 * TICKS_DISMISSED and not verdict:
        marks = trials.mark(tick, ROW, FRAME)
        trials.sent(ROW, silence, marks)
        tick += 1
        trials.came(ROW, silence)
        verdict = trials.judge(tick)
    assert verdict.cleared == [3]
    assert TICKS_DISMISSED < tick <= TICKS_DISMISSED + 2 * MARK_TICKS
    assert marks[0, -1] == 1


def test_suspects_are_few_at_a_time() -> None:
    """Who finds no place is not tried; nobody is tried twice at once."""
    trials = Trials()
    rows = np.arange(PLACES + 3)
    trials.begin(suspicion(5, rows[:2]), 0)
    trials.begin(suspicion(5, rows), 0)
    assert sorted(trials.legs.tolist()) == rows[:PLACES].tolist()
    trials.end(rows)
    assert not trials.active


def halved(sound: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return frames at 4 kHz, as differences, in one piece."""
    return np.diff(sound.astype(np.float64).reshape(-1, 2).sum(axis=1), prepend=0)


@settings(max_examples=30)
@given(
    st.integers(1, DELAYS),
    st.integers(0, 2**32 - 1),
    st.lists(st.sampled_from([0.0, 10.0, 1000.0]), min_size=50, max_size=50),
)
def test_frames_are_correlated_as_the_formula_says(
    delay: int, seed: int, loudness: list[float]
) -> None:
    """Over all delays of 60 ms, with the marks and without; soft frames do not count."""
    rng = np.random.default_rng(seed)
    trials = Trials()
    trials.begin(suspicion(3, np.array([7, 1])), 0)
    trials.begin(suspicion(delay), 0)
    place = trials.legs.tolist().index(3)
    sent, came, signs = np.zeros((3, 50, FRAME), np.float32)
    wanted, frames, greatest = np.zeros((3, 240)), 0, 0.0
    first = max(80, 80 * delay - 120)
    for tick, level in enumerate(loudness):
        came[tick] = 500 * rng.standard_normal(FRAME) + sent[max(tick - delay, 0)]
        trials.came(ROW, came[tick : tick + 1])
        begin = 80 * (tick + 1) - first - 240 - 79
        if tick * 80 >= first + 240 + 80:
            part = halved(sent)[begin : begin + 319]
            frame = halved(came)[80 * tick : 80 * tick + 80]
            power = np.square(part).mean()
            greatest = max(power, 0.995 * greatest)
            if power > LOUD * greatest:
                alike = np.correlate(part, frame) / np.sqrt(80 * power * np.square(frame).sum())
                sign = signs.reshape(-1)[::2][begin + 40 : begin + 280]
                wanted += alike, alike * sign, sign
                frames += 1
        marks = trials.mark(tick, ROW, FRAME)
        sound = (level * rng.standard_normal((1, FRAME))).astype(np.float32)
        trials.sent(ROW, sound, marks)
        sent[tick], signs[tick] = sound[0] * marks[0], marks[0, -1]
    assert trials.frames[place] == frames
    np.testing.assert_allclose(trials.sums[place], wanted, atol=1e-4)
