"""Levels alone say who may be returning an echo."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.media.echo_screen import (
    DELAYS,
    EXPLAINED,
    LEAST_FRAMES,
    LOOKED_AT,
    LOSS_DB,
    LOUD_DB,
    OWN_DB,
    SCATTER_DB,
    Suspicion,
    screen,
)
from bridge.media.history import TICKS, History

NOISE = 10.0


def syllables(seed: int, ticks: int = TICKS) -> np.ndarray:
    """Return levels as those of speech: random syllables of 100 ms, some of them pauses."""
    random = np.random.default_rng(seed)
    level = 2000 * 10 ** (random.uniform(-20, 0, ticks // 5 + 1) / 20)
    level[random.random(len(level)) < 0.3] = 0
    return np.repeat(level, 5)[:ticks]


def look(sent: np.ndarray, came: np.ndarray) -> Suspicion:
    """Screen one leg that was sent something, and of which something came, tick by tick."""
    history = History(2)
    history.room[:] = 0
    history.tick = TICKS
    slots = np.arange(1, TICKS + 1) & (TICKS - 1)
    history.rooms[slots, 0] = np.square(sent)
    history.came[slots, 0] = np.sqrt(np.square(came) + NOISE**2)
    return screen(np.array([0]), history)


def delayed(levels: np.ndarray, ticks: int) -> np.ndarray:
    """Return levels that come later."""
    return np.concatenate((np.zeros(ticks), levels[: len(levels) - ticks]))


@pytest.mark.parametrize("delay", [1, 2, 7, 30, DELAYS])
@pytest.mark.parametrize("loss_db", [6, 18, 26])
def test_an_echo_is_suspected_with_its_delay_and_loss(delay: int, loss_db: int) -> None:
    """Twenty ms to 680, 6 to 26 dB."""
    sent = syllables(delay)
    suspected = look(sent, delayed(sent, delay) * 10 ** (-loss_db / 20))
    assert suspected.legs.tolist() == [0]
    assert suspected.delay.tolist() == [delay]
    assert suspected.loss_db[0] == pytest.approx(loss_db, abs=1)


def test_an_echo_is_found_under_the_leg_s_own_words() -> None:
    """What is louder than an echo can be is not looked at."""
    sent, own = syllables(1), np.zeros(TICKS)
    own[-LOOKED_AT // 4 :] = np.random.default_rng(2).uniform(3000, 9000, LOOKED_AT // 4)
    echo = delayed(sent, 9) * 10 ** (-15 / 20)
    suspected = look(sent, np.sqrt(echo**2 + own**2))
    assert suspected.delay.tolist() == [9]


@pytest.mark.parametrize("seed", range(10))
def test_who_says_something_else_is_not_suspected(seed: int) -> None:
    """Two talkers at once, one of them soft."""
    assert not len(look(syllables(seed), 0.3 * syllables(100 + seed)).legs)


def test_a_steady_sound_follows_nothing() -> None:
    """Where nothing moves, any delay fits: that proves nothing."""
    steady = np.full(TICKS, 1500.0)
    moving = 500 * (1 + 0.4 * np.sin(np.arange(TICKS) / 2))
    assert not len(look(steady, moving).legs)
    assert not len(look(steady, 0.2 * steady).legs)


def test_silence_proves_nothing() -> None:
    """Neither of the one nor of the other."""
    assert not len(look(np.zeros(TICKS), 0.1 * syllables(3)).legs)
    assert not len(look(syllables(3), np.zeros(TICKS)).legs)


def scatter_with(
    sent: np.ndarray, came: np.ndarray, delay: int, slack: float
) -> tuple[float, float]:
    """Return scatter and loss with one delay as the formula says; infinite where it is no echo.

    Args:
        sent: Levels.
        came: Levels.
        delay: [ticks].
        slack: By how much limits may be missed [dB, dB squared].
    """
    back = 10 * np.log10(np.square(sent) + 64)[-LOOKED_AT - DELAYS - 1 : -1]
    came = 10 * np.log10(np.square(came) + NOISE**2 + 64)[-LOOKED_AT - 1 : -1]
    loud = np.sort(back)[int(0.9 * len(back))]
    most = np.array([back[max(0, at - 63) : at + 1].max() for at in range(len(back))])[DELAYS:]
    back = back[DELAYS - delay :][:LOOKED_AT]
    chosen = (came <= most - OWN_DB) & (back > loud - LOUD_DB)
    if chosen.sum() < LEAST_FRAMES:
        return np.inf, 0
    apart = (back - came)[chosen]
    follows = apart.var() <= EXPLAINED * came[chosen].var() + slack
    likely = LOSS_DB[0] - slack <= apart.mean() <= LOSS_DB[1] + slack
    return (apart.var() if follows and likely else np.inf), apart.mean()


@settings(max_examples=100)
@given(
    st.integers(0, 1000),
    st.integers(1, DELAYS + 3),
    st.floats(0, 40),
    st.sampled_from([0.5, 3.0, 5.0]),
    st.sampled_from([0.0, 0.5]),
)
def test_who_is_suspected_follows_the_formula(
    seed: int, delay: int, loss_db: float, scatter: float, own: float
) -> None:
    """The delay with the least scatter, whatever else is said; at a limit it may go either way."""
    random = np.random.default_rng(seed)
    sent = syllables(seed)
    came = delayed(sent, delay) * 10 ** ((random.normal(0, scatter, TICKS) - loss_db) / 20)
    came += own * syllables(seed + 5000)
    suspected = look(sent, came)
    delays = range(1, DELAYS + 1)
    least = min(scatter_with(sent, came, ticks, -0.02)[0] for ticks in delays)
    if not len(suspected.legs):
        assert least > SCATTER_DB**2 - 0.02
    else:
        found, loss = scatter_with(sent, came, int(suspected.delay[0]), 0.02)
        assert found < min(SCATTER_DB**2, least) + 0.02
        assert suspected.loss_db[0] == pytest.approx(loss, abs=0.01)
