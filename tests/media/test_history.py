"""What guards look back on: levels of the last ticks, and what was sent."""

import numpy as np

from bridge.media.codecs import SILENCE_CODES
from bridge.media.gains import Gains
from bridge.media.history import TICKS, History
from bridge.media.legs import Legs
from bridge.media.levels import Levels
from bridge.media.messages import LegMedia
from bridge.media.seating import Seating, seat

MEDIA = LegMedia("PCMU", 0)


def seated(rooms: list[int]) -> tuple[Legs, Seating]:
    """Return legs in rooms, and their seating."""
    legs = Legs(len(rooms))
    for row, room in enumerate(rooms):
        legs.take(row + 1, MEDIA)
        legs.room[row] = legs.whole[row] = room
    return legs, seat(legs, SILENCE_CODES)


def test_what_is_sent_is_the_power_of_the_others_with_their_gains() -> None:
    """Each leg is sent its room without itself, a tick after gains are made; rooms are apart."""
    _, seating = seated([0, 0, 0, 1, 1])
    history, levels, gains = History(5), Levels(5), Gains(5)
    history.seat(seating)
    rows = np.arange(5)
    said = np.array([100, 200, 300, 50, 70], np.float32)
    gains.end[:] = (1, 0.5, 2, 1, 1)
    levels.rms[:] = said
    history.note(levels, gains)
    levels.rms[:] = 0
    history.note(levels, gains)
    expected = [100**2 + 600**2, 100**2 + 600**2, 100**2 + 100**2, 70**2, 50**2]
    expected[0] = 100**2 + 600**2
    np.testing.assert_allclose(history.sent_at(rows, history.tick - 1), expected, rtol=1e-4)
    slots = history.slots(2, history.tick)
    np.testing.assert_array_equal(history.level(rows, slots), np.stack((said, 0 * said), axis=1))


def test_ticks_come_around_and_steps_end_with_the_last() -> None:
    """The table is a ring; of every third tick the last one is the newest."""
    history = History(2)
    history.tick = TICKS + 5
    assert history.slots(7, history.tick, 3).tolist() == [TICKS - 1, 2, 5]


def test_only_who_was_somewhere_has_moved() -> None:
    """A leg that comes into a room has nothing to forget; one that leaves it or is muted has."""
    legs, seating = seated([0, 0, 1])
    history = History(3)
    assert history.seat(seating).tolist() == []
    history.tick = 9
    assert history.seat(seating).tolist() == []
    legs.room[0] = 1
    legs.speaks[2] = False
    assert history.seat(seat(legs, SILENCE_CODES)).tolist() == [0, 2]
    assert history.since.tolist() == [9, 0, 9]


def test_growing_keeps_what_was_noted() -> None:
    """More legs and more rooms come while the past stays."""
    history, levels, gains = History(2), Levels(2), Gains(2)
    history.seat(seated([0, 0])[1])
    levels.rms[:] = (3, 4)
    history.note(levels, gains)
    history.grow(4)
    _, seating = seated([0, 0, 7, 7])
    history.seat(seating)
    wider = Levels(4)
    history.note(wider, Gains(4))
    rows = np.arange(4)
    assert history.level(rows, history.slots(2, history.tick))[:, 0].tolist() == [3, 4, 0, 0]
    assert history.sent_at(rows, history.tick - 1).tolist() == [16, 9, 0, 0]
