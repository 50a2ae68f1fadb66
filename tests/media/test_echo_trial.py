"""Marks prove an echo: what comes with them was sent, what comes without came another way."""

import numpy as np
import numpy.typing as npt
import pytest

from bridge.media.codecs import FRAME
from bridge.media.echo_screen import Suspicion
from bridge.media.echo_trial import MARK_TICKS, PLACES, TICKS_DISMISSED, Trials, Verdict
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
