"""Raised hands and the floor."""

from dialplan.phrases import PhraseKey, phrase
from tests.dialplan.driver import RoomDriver, talking

K = PhraseKey


def presentation(*roles: str) -> tuple[RoomDriver, list[int]]:
    """Bring people into a room where only hosts speak; all that was said has been heard."""
    room, legs = talking(*roles)
    room.press(legs[0], "*7*7", gap_s=0.3)
    room.hear_out()
    room.heard.clear()
    return room, legs


def test_the_line_is_in_the_order_of_raising_and_each_hears_their_place() -> None:
    """You are second in line; hosts hear how many."""
    room, (host, one, two) = talking("host", "guest", "guest")
    room.press(two, "*2")
    room.press(one, "*2")
    assert room.room.view().hands == (two, one)
    assert room.heard.pop(one) == [phrase(K.HAND_RAISED), phrase(K.HAND_PLACE, count=2)]
    room.hear_out(host)
    assert room.heard.pop(host)[-1] == phrase(K.HANDS_UP, count=2)
    room.press(two, "*2")
    assert room.room.view().hands == (one,)
    assert room.keys_heard(two)[-1] is K.HAND_LOWERED


def test_the_next_is_opened_after_being_told_and_everybody_hears_who() -> None:
    """Not before the words have been heard."""
    room, (host, one, two) = presentation("host", "guest", "guest")
    room.press(one, "*2")
    room.hear_out()
    room.heard.clear()
    room.press(host, "#2")
    assert room.keys_heard(one) == [K.YOUR_TURN]
    assert not room.person(one).speaks
    assert room.keys_heard(host) == room.keys_heard(two) == [K.NEXT_HAS_FLOOR]
    room.hear_out(one)
    assert room.person(one).speaks
    assert not room.person(two).speaks
    assert room.room.view().hands == ()


def test_a_key_of_the_one_who_was_called_cuts_the_words_and_opens() -> None:
    """Whoever presses a key has heard enough."""
    room, (host, one) = presentation("host", "guest")
    room.press(one, "*2")
    room.hear_out()
    room.press(host, "#2")
    room.press(one, "5")
    assert room.person(one).speaks


def test_who_muted_themselves_is_given_the_floor_and_told_their_key() -> None:
    """They are not opened; star six does it."""
    room, (host, one) = talking("host", "guest")
    room.press(one, "*6*2", gap_s=0.3)
    room.press(host, "*7*7", gap_s=0.3)
    room.hear_out()
    room.heard.clear()
    room.press(host, "#2")
    room.hear_out()
    assert not room.person(one).speaks
    assert room.keys_heard(one) == [K.YOUR_TURN_MUTED, K.KEY_UNMUTE]
    room.press(one, "*6")
    assert room.person(one).speaks


def test_with_no_hand_raised_the_host_is_told() -> None:
    """And nothing else happens."""
    room, (host, guest) = talking("host", "guest")
    room.press(host, "#2")
    assert room.keys_heard(host) == [K.NO_HANDS]
    assert room.keys_heard(guest) == []


def test_a_new_mode_takes_the_floor_back() -> None:
    """And so does muting all."""
    room, (host, one) = presentation("host", "guest")
    room.press(one, "*2")
    room.hear_out()
    room.press(host, "#2")
    room.hear_out()
    assert room.person(one).speaks
    room.press(host, "#6")
    assert not room.person(one).speaks


def test_who_leaves_leaves_the_line() -> None:
    """The next one is first."""
    room, (_, one, two) = talking("host", "guest", "guest")
    room.press(one, "*2")
    room.press(two, "*2")
    room.leave(one)
    assert room.room.view().hands == (two,)
    assert room.person(two).hand == 1
