"""What an administrator has said: to whom, when, and what becomes of it."""

from dialplan.events import Announced
from dialplan.phrases import PhraseKey, phrase
from tests.dialplan.driver import RoomDriver, talking

K = PhraseKey


def announce(room: RoomDriver, key: PhraseKey, leg: int | None = None, **arguments: int) -> None:
    """Have a phrase said."""
    room.send(Announced(room.clock.now, (phrase(key, **arguments),), leg))


def test_everybody_in_the_room_is_told_and_nobody_else() -> None:
    """Who knocks hears nothing of it."""
    room, (host, guest) = talking("host", "guest")
    room.press(host, "*5")
    outside = room.enter()
    room.hear_out()
    room.heard.clear()
    announce(room, K.ENDING_SOON, minutes=5)
    assert room.keys_heard(host) == room.keys_heard(guest) == [K.ENDING_SOON]
    assert room.keys_heard(outside) == []


def test_one_person_is_told_alone_wherever_they_are() -> None:
    """Who waits outside too; somebody who is gone is no fault."""
    room, (host, guest) = talking("host", "guest")
    room.press(host, "*5")
    outside = room.enter()
    room.hear_out()
    room.heard.clear()
    announce(room, K.STILL_WAITING, outside)
    announce(room, K.STILL_WAITING, outside + 1000)
    assert room.keys_heard(outside) == [K.STILL_WAITING]
    assert room.keys_heard(host) == room.keys_heard(guest) == []


def test_it_waits_for_what_is_being_said_and_a_newer_one_takes_its_place() -> None:
    """Of what an administrator says only the newest waits."""
    room, (_host, guest) = talking("host", "guest")
    room.press(guest, "*4")
    room.heard.clear()
    announce(room, K.ENDING_SOON, guest, minutes=5)
    announce(room, K.ENDING_SOON, guest, minutes=2)
    assert room.keys_heard(guest) == []
    room.hear_out(guest)
    assert room.heard[guest] == [phrase(K.ENDING_SOON, minutes=2)]


def test_a_conference_that_closes_lets_it_be() -> None:
    """The last words are goodbye."""
    room, (host, guest) = talking("host", "guest")
    room.press(host, "#0")
    room.wait(10)
    announce(room, K.ENDING_SOON, minutes=5)
    room.hear_out()
    assert K.ENDING_SOON not in room.keys_heard(guest)
