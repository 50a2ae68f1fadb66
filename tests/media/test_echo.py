"""Legs that return what they are sent are found, named and turned down; nobody else is.

All delays and losses, and hours of innocence, are measured by `scripts/bench guards`.
"""

import numpy as np
import pytest

from bridge.media.codecs import SILENCE_CODES
from bridge.media.echo import SENT, EchoGuard
from bridge.media.history import TICKS, History
from bridge.media.legs import Legs
from bridge.media.levels import Levels
from bridge.media.messages import Configure, LegMedia
from bridge.media.seating import seat
from tests.media.guarded import Conferences
from tests.support.sentences import Sound, at_level, hiss, talk

SECOND = 8000


def turns(seconds: int, first: int = 0) -> tuple[Sound, Sound]:
    """Return two people who talk in turn, three seconds each, one of each language."""
    whole = [at_level(talk(language, seconds, first=first), -24) for language in ("en", "sv")]
    turn = np.arange(seconds * SECOND) // (3 * SECOND) % 2
    return whole[0] * (turn == 0), whole[1] * (turn == 1)


def line(sound: Sound, seed: int) -> Sound:
    """Return a sound with the noise of a line."""
    return sound + hiss(len(sound), -65, seed)


def three(seconds: int, third: Sound | None = None) -> Sound:
    """Return two who talk and one who listens, or says what is given."""
    one, two = turns(seconds)
    silent = np.zeros(len(one)) if third is None else third
    return np.stack([line(sound, seed) for seed, sound in enumerate((silent, one, two))])


@pytest.mark.parametrize(
    ("delay_ms", "loss_db"), [(20, 6), (20, 30), (150, 18), (333, 10), (600, 6), (600, 30)]
)
def test_an_echo_is_named_within_ten_seconds(delay_ms: int, loss_db: int) -> None:
    """With its delay and loss, and nobody else is named."""
    conference = Conferences([0, 0, 0])
    conference.delay[0] = delay_ms * 8
    conference.returned[0] = 10 ** (-loss_db / 20)
    conference.run(three(11))
    (told,) = conference.events("echo")
    assert (told.event.leg, told.event.action) == (1, "ducked")
    assert told.tick <= 500
    assert told.event.delay_ms == pytest.approx(delay_ms, abs=1)
    assert told.event.return_loss_db == pytest.approx(loss_db, abs=1.5)


def test_an_echo_is_turned_down_and_the_voice_over_it_is_heard() -> None:
    """18 dB down while the others talk, as it is when its own person does; free when it is gone."""
    own = np.zeros(40 * SECOND)
    own[20 * SECOND : 23 * SECOND] = at_level(talk("en", 3, first=30), -20)
    conference = Conferences([0, 0, 0])
    conference.delay[0], conference.returned[0] = 1600, 10 ** (-12 / 20)
    said = three(40, own)
    # The others are silent while the first one talks.
    said[1:, 20 * SECOND : 24 * SECOND] *= 0.01
    heard = conference.run(said[:, : 26 * SECOND])
    (named,) = conference.events("echo")
    before = heard[0, 4 * SECOND : 6 * SECOND]
    after = heard[0, 12 * SECOND : 18 * SECOND]
    assert 20 * np.log10(before.std() / after.std()) > 13
    spoken = heard[0, int(20.2 * SECOND) : 23 * SECOND]
    assert 20 * np.log10(spoken.std() / 32768) > -32
    assert named.event.leg == 1
    conference.returned[0] = 0
    conference.run(said[:, 26 * SECOND :])
    assert [told.event.action for told in conference.events("echo")] == ["ducked", "released"]
    assert conference.levels.duck[0] == 1


def test_two_telephones_in_one_room_are_innocent() -> None:
    """Each hears the other's person too, at 10 dB less and some time apart."""
    one, two = turns(40)
    rooms, sounds = [], []
    for room, apart in enumerate((-400, 200, 400, 800)):
        other = np.roll(one, apart) * 10 ** (-10 / 20)
        rooms += [2 * room] * 3 + [2 * room + 1] * 2
        sounds += [line(sound, 3 * room) for sound in (one, other, two, one, other)]
    conference = Conferences(rooms)
    suspects = set[int]()
    trials = conference.guards.echo.trials
    said = np.stack(sounds)
    for tick in range(said.shape[1] // 160):
        conference.hear(said[:, 160 * tick : 160 * tick + 160])
        suspects.update(trials.legs[trials.legs >= 0].tolist())
    assert suspects, "nobody was ever suspected: the test shows nothing"
    assert conference.events("echo") == []


def test_who_hums_along_or_talks_at_once_is_innocent() -> None:
    """A listener's hum follows the talker in loudness, and another voice goes over everything."""
    one, two = turns(30)
    loudness = np.sqrt(np.convolve(one**2 + two**2, np.ones(400) / 400, "same"))
    time = np.arange(len(one)) / 8000
    hum = np.roll(0.2 * loudness * np.sin(2 * np.pi * 140 * time), 1200)
    other = at_level(talk("sv", 30, first=40), -27)
    sounds = [line(sound, seed) for seed, sound in enumerate((hum, one, two, other, two, one))]
    conference = Conferences([0, 0, 0, 1, 1, 1])
    conference.run(np.stack(sounds))
    assert conference.events("echo") == []


def test_the_guard_can_be_off() -> None:
    """Nobody is looked at, and nothing is marked."""
    conference = Conferences([0, 0, 0], Configure(echo=False))
    conference.delay[0], conference.returned[0] = 800, 0.3
    conference.run(three(10))
    assert conference.events("echo") == []
    assert not conference.guards.marks


def test_notes_say_to_whom_something_was_sent_and_who_was_heard_meanwhile() -> None:
    """Of the tick before, of speakers alone; what was noted before fades."""
    random = np.random.default_rng(3)
    legs, levels, history, guard = Legs(20), Levels(20), History(20), EchoGuard(20)
    for leg in range(12):
        row = legs.take(leg, LegMedia("PCMU", 0))
        legs.room[row], legs.speaks[row] = leg % 3 - 1, leg < 9
    seating = seat(legs, SILENCE_CODES)
    history.seat(seating)
    history.tick = 3 * TICKS
    history.rooms = random.uniform(0, 4 * SENT, (TICKS, 2)).astype(np.float32)
    history.said[:] = random.uniform(0, 2 * SENT, history.said.shape)
    levels.talking[:] = random.random(20) < 0.5
    guard.sent[:] = sent = random.uniform(0, 9, 20).astype(np.float32)
    guard.both[:] = both = random.uniform(0, 5, 20).astype(np.float32)
    guard.note(seating, levels, history)
    rows = seating.order[: seating.speakers]
    loud = np.zeros(20, np.bool_)
    loud[rows] = history.rooms[-1, history.room[rows]] - history.said[-1, rows] > SENT
    assert 0 < loud.sum() < len(rows)
    assert 0 < (loud & levels.talking).sum() < loud.sum()
    np.testing.assert_allclose(guard.sent, 0.975 * sent + loud, rtol=1e-5)
    np.testing.assert_allclose(guard.both, 0.975 * both + (loud & levels.talking), rtol=1e-5)
