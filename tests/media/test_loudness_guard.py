"""Far too loud lines are ducked, then muted, and let go when they are quiet again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.media.agc import Agc
from bridge.media.history import TICKS, History
from bridge.media.loudness_guard import ABOVE_TARGET_DB, OVERDRIVEN, LoudnessGuard
from bridge.media.messages import Configure
from tests.media.guarded import Conferences
from tests.support.sentences import Sound, at_level, talk

SECOND = 8000


def shout(seconds: float, dbov: float) -> Sound:
    """Return a tone at a level [dBov]."""
    time = np.arange(int(seconds * SECOND))
    peak = np.sqrt(2) * 32768 * 10 ** (dbov / 20)
    return np.asarray(peak * np.sin(2 * np.pi * 440 / SECOND * time), np.float64)


def both(first: Sound) -> Sound:
    """Let a second leg be silent meanwhile."""
    return np.stack((first, np.zeros(len(first))))


def told(conference: Conferences) -> list[tuple[float, str]]:
    """Return when, in seconds, and what the guard has said of the first leg."""
    return [(each.tick / 50, each.event.action) for each in conference.events("over_loud", 1)]


def test_an_overdriven_line_is_ducked_then_muted_then_let_go() -> None:
    """After 2 s by 12 dB, after 5 s more altogether, and 2 s of quiet later not at all."""
    conference = Conferences([0, 0])
    heard = conference.run(both(np.concatenate((shout(10, -3.2), shout(4, -40)))))[0]
    (ducked, first), (muted, second), (free, third) = told(conference)
    assert (first, second, third) == ("ducked", "muted", "released")
    assert 2.0 <= ducked <= 2.7
    assert 4.9 <= muted - ducked <= 5.1
    assert 12.0 <= free <= 13.0
    level = np.sqrt(np.square(heard.reshape(-1, SECOND // 10)).mean(axis=1))
    before, after = level[int(10 * ducked) - 2], level[int(10 * ducked) + 3]
    assert 20 * np.log10(before / after) == pytest.approx(12, abs=1)
    assert not heard[int((muted + 0.1) * SECOND) : int((free - 0.1) * SECOND)].any()
    assert conference.levels.duck.tolist() == [1, 1]


@pytest.mark.parametrize("dbov", [-6, -12, -24])
def test_a_loud_talker_is_only_brought_to_the_level(dbov: float) -> None:
    """Gain control is for talkers, -6 dBov included; the guard has nothing to say."""
    conference = Conferences([0, 0])
    conference.run(both(at_level(talk("en", 20), dbov)))
    assert told(conference) == []


def test_a_laugh_is_no_reason() -> None:
    """A second that is too loud, again and again with rests between, is let pass."""
    conference = Conferences([0, 0])
    conference.run(both(np.tile(np.concatenate((shout(1, -3.2), shout(2, -40))), 5)))
    assert told(conference) == []


def test_without_gain_control_what_counts_is_the_level_wanted() -> None:
    """14 dB above the target is too loud where nothing brings it down; 10 dB is not."""
    options = Configure(agc=False, target_dbov=-30)
    conference = Conferences([0, 0], options)
    conference.run(both(shout(5, -20)))
    assert told(conference) == []
    conference.run(both(shout(5, -14)))
    assert [what for _, what in told(conference)] == ["ducked"]


def test_times_are_those_that_were_set() -> None:
    """And a guard that is switched off lets go whom it holds."""
    options = Configure(over_loud_duck_s=1.0, over_loud_mute_s=0.5)
    conference = Conferences([0, 0], options)
    conference.run(both(shout(3, -3.2)))
    (ducked, _), (muted, what) = told(conference)
    assert ducked <= 1.7
    assert muted - ducked == pytest.approx(0.5, abs=0.11)
    assert what == "muted"
    conference.options = Configure(over_loud=False)
    conference.run(both(shout(3, -3.2)))
    assert [what for _, what in told(conference)] == ["ducked", "muted", "released"]
    assert conference.levels.duck[0] == 1


def test_who_leaves_the_room_begins_anew() -> None:
    """A leg that mutes itself is let go, and judged from the beginning when it is back."""
    conference = Conferences([0, 0])
    conference.run(both(shout(8, -3.2)))
    conference.legs.speaks[0] = False
    conference.reseat()
    conference.run(both(shout(0.1, -3.2)))
    assert [what for _, what in told(conference)] == ["ducked", "muted", "released"]
    conference.legs.speaks[0] = True
    conference.reseat()
    conference.run(both(shout(1.5, -3.2)))
    assert len(told(conference)) == 3


@given(st.integers(0, 1000), st.integers(0, 3 * TICKS), st.booleans())
def test_power_is_a_mean_of_what_came_against_what_is_too_loud(
    seed: int,
    tick: int,
    agc: bool,  # noqa: FBT001 - a case
) -> None:
    """Of the line or of what is heard, whichever is worse; a quarter of five ticks' at a time."""
    random = np.random.default_rng(seed)
    history, gains, guard = History(6), Agc(6), LoudnessGuard(6)
    history.tick = tick
    history.came[:] = random.uniform(0, 30_000, history.came.shape) * [0, 0.01, 0.1, 0.3, 1, 1]
    gains.gain[:] = random.uniform(0.1, 8, 6)
    guard.power[:] = before = random.uniform(0, 2, 6).astype(np.float32)
    options = Configure(agc=agc, target_dbov=-24)
    guard.judge(history, gains, options)
    came = history.came[np.arange(tick - 4, tick + 1) % TICKS].astype(np.float64)
    heard = 32768 * 10 ** ((options.target_dbov + ABOVE_TARGET_DB) / 20)
    gain = gains.gain.astype(np.float64) if agc else 1
    mean = np.square(came).mean(axis=0)
    worst = np.maximum(mean / OVERDRIVEN**2, mean * gain**2 / heard**2)
    np.testing.assert_allclose(guard.power, before + (worst - before) / 4, rtol=1e-4, atol=1e-4)
