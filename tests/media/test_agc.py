"""Automatic gain: every talker at one level, and nothing else moves it.

Stages are driven over whole sounds, a row per talker; levels are measured by ITU-T P.56.
"""

import numpy as np
import numpy.typing as npt
import pytest

from bridge.media.agc import STRONGEST, Agc
from bridge.media.levels import Levels, from_dbov
from bridge.media.messages import Configure
from dialplan.prompts.speech_level import speech_level
from tests.media.line import Line
from tests.support.sentences import FRAME, at_level, hiss, talk


def level(sound: npt.NDArray[np.float32]) -> float:
    """Return the active speech level (ITU-T P.56, method B) [dBov]."""
    return speech_level(sound.astype(np.float64) / 32768, 8000).active_db


@pytest.mark.parametrize("target", [-24.0, -18.0])
@pytest.mark.parametrize("language", ["en", "sv"])
def test_talkers_of_any_level_come_out_at_the_target(language: str, target: float) -> None:
    """From -40 to -6 dBov in, the target within 2 dB out, from 3 s of speech on."""
    levels = np.arange(-40, -5, 2)
    said = talk(language, 14)
    sounds = np.stack(
        [
            at_level(said, float(dbov)) + hiss(len(said), min(-62.0, dbov - 25.0), 1)
            for dbov in levels
        ]
    )
    heard = Line(len(levels), Configure(target_dbov=target)).hear(sounds)
    # Three seconds of speech at the 70 % or more that these sentences are active.
    found = np.array([level(row[int(4.3 * 8000) :]) for row in heard])
    assert np.abs(found - target).max() <= 2, dict(
        zip(levels.tolist(), found.round(1), strict=True)
    )


def test_nothing_but_speech_moves_a_gain() -> None:
    """Silence, noise, knocks, gaps and what did not come leave it as the last word left it."""
    said = at_level(talk("en", 6), -34)
    line = Line(1)
    line.hear(np.append(said, np.zeros(8000))[None])
    gain = float(line.agc.gain[0])
    assert abs(20 * np.log10(gain) - 10) < 2.5
    for dbov in (-90, -60, -54):  # a line's noise that grows by less than speech stands out of it
        line.hear(hiss(8000 * 6, dbov, 2)[None])
    knocks = hiss(8000 * 4, -20, 3).reshape(-1, 8 * FRAME)
    knocks[:, 2 * FRAME :] = 0
    line.hear(knocks.reshape(1, -1))
    line.hear(at_level(said, -10)[None], came=False)
    assert line.agc.gain[0] == gain


def test_gains_move_slowly_and_stay_within_their_range() -> None:
    """No more than 20 dB a second down, 10 up; a whisper and a roar end at the range's ends."""
    said = talk("sv", 12)
    line = Line(2, Configure(gate=False))
    gains = [line.agc.gain.copy()]
    sounds = np.stack((at_level(said, -57), at_level(said, 6)))
    for at in range(0, len(said) - FRAME, FRAME):
        line.hear(sounds[:, at : at + FRAME])
        gains.append(line.agc.gain.copy())
    steps = 50 * np.diff(20 * np.log10(np.array(gains)), axis=0)
    assert steps.max() < 10.1
    assert steps.min() > -20.1
    assert (np.array(gains) <= STRONGEST * 1.0001).all()
    assert line.agc.gain[1] < 10 ** (-18 / 20)


def test_a_soft_talker_after_a_loud_one_is_found() -> None:
    """The telephone is handed from -10 to -36 dBov: at the target again within 12 s of speech."""
    line = Line(1)
    line.hear(at_level(talk("en", 8), -10)[None])
    soft = at_level(talk("sv", 30), -36)
    heard = line.hear(soft[None])
    assert abs(level(heard[0, (8000 * 17) :]) + 24) <= 2


def test_a_level_is_believed_after_a_sixth_of_a_second_of_speech() -> None:
    """Until then the gain is one: the first frame of a word says little."""
    agc, levels = Agc(1), Levels(1)
    rows, came = np.array([0]), np.ones(1, np.bool_)
    moved = []
    for _ in range(20):
        levels.follow(rows, np.array([from_dbov(-40)], np.float32), came)
        agc.follow(levels, -24.0)
        moved.append(float(agc.gain[0]))
    assert set(moved[:10]) == {1.0}
    assert moved[-1] > 1.1
