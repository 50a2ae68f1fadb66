"""The roll call, and speaking to one alone."""

from dialplan.causes import EndCause
from dialplan.phrases import PhraseKey, phrase
from tests.dialplan.driver import RoomDriver, talking

K = PhraseKey


def called() -> tuple[RoomDriver, int, int, int]:
    """Bring the roll call to the first of two callers, just named."""
    room, (host, one, two) = talking("host", "guest", "guest")
    room.press(host, "#1")
    assert room.keys_heard(host) == [K.ROLL_KEYS]
    room.press(host, "#")
    assert room.heard.pop(host) == [phrase(K.CALLER_NUMBER, number=2)]
    return room, host, one, two


def test_it_goes_through_everybody_by_itself_and_nobody_else_hears() -> None:
    """After a few seconds the next; at the end it says so."""
    room, (host, one, two) = talking("host", "guest", "guest")
    room.press(two, "*6")
    room.hear_out()
    room.heard.clear()
    room.press(host, "#1")
    for _ in range(4):
        room.hear_out(host)
        room.wait(3.1)
    assert room.heard.pop(host) == [
        phrase(K.ROLL_KEYS),
        phrase(K.CALLER_NUMBER, number=2),
        phrase(K.CALLER_NUMBER, number=3),
        phrase(K.ROLL_IS_MUTED),
        phrase(K.ROLL_END),
    ]
    assert room.keys_heard(one) == room.keys_heard(two) == []


def test_one_mutes_and_lifts_the_hosts_mute() -> None:
    """The caller is told; the roll call stays with them."""
    room, host, one, _ = called()
    room.press(host, "1")
    assert not room.person(one).speaks
    assert room.keys_heard(one) == [K.HOST_MUTED, K.KEY_RAISE_HAND]
    room.press(host, "1")
    assert room.person(one).speaks
    assert room.keys_heard(host) == [K.ROLL_IS_MUTED, K.ROLL_UNMUTED]


def test_two_gives_the_floor() -> None:
    """Opened when told."""
    room, host, one, _ = called()
    room.press(host, "12")
    assert room.keys_heard(host)[-1] is K.ROLL_FLOOR
    room.hear_out(one)
    assert room.person(one).floor
    assert room.person(one).speaks


def test_three_removes_after_a_second_key() -> None:
    """The caller is told and let go; any other key leaves them alone."""
    room, host, one, two = called()
    room.press(host, "32")
    assert room.keys_heard(host)[0] is K.CONFIRM_REMOVE
    assert one in room.present
    room.press(host, "31")
    assert room.keys_heard(host)[-1] is K.ROLL_REMOVED
    assert room.keys_heard(one) == [K.REMOVED, K.GOODBYE]
    room.hear_out(one)
    assert room.ended == {one: EndCause.REMOVED}
    room.press(host, "#")
    assert room.heard.pop(host) == [phrase(K.CALLER_NUMBER, number=3)]
    assert two in room.present


def test_four_makes_host_after_a_second_key() -> None:
    """They are told, and it is written down by whom."""
    room, host, one, _ = called()
    room.press(host, "41")
    assert room.person(one).role == "host"
    assert [(each.leg, each.how) for each in room.promoted] == [(one, "host")]
    assert room.keys_heard(one) == [K.NOW_HOST, K.KEY_HELP]
    assert room.keys_heard(host)[-1] is K.ROLL_NOW_HOST


def test_five_speaks_to_that_one_alone_until_hash_eight() -> None:
    """A whisper in the mix, and back."""
    room, host, one, _ = called()
    room.press(host, "5")
    assert room.places[host].whispers_to == one
    assert room.person(host).coaching == one
    assert room.keys_heard(host) == [K.COACHING, K.KEY_END_COACH]
    room.press(host, "#8")
    assert room.places[host].whispers_to is None
    assert room.keys_heard(host) == [K.COACH_ENDED]


def test_hash_eight_finds_whom_to_speak_to_with_one() -> None:
    """In choosing mode one does not mute."""
    room, (host, one, two) = talking("host", "guest", "guest")
    room.press(host, "#8")
    room.press(host, "#", gap_s=0.5)
    room.press(host, "#", gap_s=0.5)
    room.press(host, "1")
    assert room.person(host).coaching == two
    assert room.person(one).speaks
    room.leave(two)
    assert room.person(host).coaching is None
    room.hear_out(host)
    assert room.keys_heard(host)[-2:] == [K.ROLL_GONE, K.COACH_ENDED]


def test_a_lone_star_stops_after_a_second_and_a_pair_is_a_command() -> None:
    """Star six in the middle mutes the host; the roll call goes on."""
    room, host, _, _ = called()
    room.press(host, "*6")
    assert room.person(host).self_muted
    room.hear_out(host)
    room.wait(3.1)
    assert K.CALLER_NUMBER in room.keys_heard(host)
    room.press(host, "*")
    room.wait(1.1)
    room.hear_out(host)
    assert room.keys_heard(host)[-1] is K.ROLL_END
    room.press(host, "1")
    assert room.keys_heard(host) == [K.TONE_BEEP]


def test_who_leaves_while_named_is_said_to_be_gone() -> None:
    """And no key acts on somebody who is not there."""
    room, host, one, two = called()
    room.leave(one)
    room.hear_out(host)
    assert room.keys_heard(host) == [K.ROLL_GONE]
    room.press(host, "3")
    assert room.heard.pop(host) == [phrase(K.CALLER_NUMBER, number=3)]
    assert two in room.present


def test_with_nobody_there_it_says_so() -> None:
    """And is closed at once."""
    room, (host,) = talking("host")
    room.press(host, "#1")
    assert room.keys_heard(host) == [K.ROLL_NOBODY]
    room.press(host, "*6")
    assert room.person(host).self_muted


def test_a_host_is_named_as_one_and_not_muted() -> None:
    """A stray key there."""
    room, (host, other) = talking("host", "host")
    room.press(host, "#1#")
    room.hear_out(host)
    assert room.keys_heard(host)[-1] is K.ROLL_IS_HOST
    room.press(host, "1")
    assert room.keys_heard(host) == [K.TONE_BEEP]
    assert room.person(other).speaks
