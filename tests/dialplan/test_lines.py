"""What people hear when a guard of the mixer holds a line down."""

import pytest

from dialplan.events import LineAction, LineGuard, LineGuarded
from dialplan.phrases import PhraseKey
from tests.dialplan.driver import RoomDriver, talking

K = PhraseKey


def guarded(room: RoomDriver, leg: int, guard: LineGuard, action: LineAction) -> None:
    """Let a guard do something, and everybody hear what is said."""
    room.send(LineGuarded(room.clock.now, leg, guard, action))
    room.hear_out()


@pytest.mark.parametrize(
    ("guard", "action", "own", "others"),
    [
        ("over_loud", "ducked", K.TOO_LOUD, K.OTHER_TOO_LOUD),
        ("over_loud", "muted", K.TOO_LOUD_MUTED, K.OTHER_MUTED),
        ("leak", "muted", K.SOUND_MUTED, K.OTHER_MUTED),
    ],
)
def test_the_person_and_the_hosts_are_told(
    guard: LineGuard, action: LineAction, own: PhraseKey, others: PhraseKey
) -> None:
    """Another guest hears nothing of it."""
    room, (host, guest, other) = talking("host", "guest", "guest")
    guarded(room, guest, guard, action)
    assert room.keys_heard(guest) == [own]
    assert room.keys_heard(host) == [others]
    assert room.keys_heard(other) == []
    guarded(room, guest, guard, "released")
    assert room.keys_heard(guest) == [K.LINE_HEARD]
    assert room.keys_heard(host) == []


def test_without_a_host_everybody_else_is_told() -> None:
    """Somebody has to know why a voice has gone."""
    room, (one, two, three) = talking("guest", "guest", "guest")
    guarded(room, two, "leak", "muted")
    assert [room.keys_heard(leg) for leg in (one, two, three)] == [
        [K.OTHER_MUTED],
        [K.SOUND_MUTED],
        [K.OTHER_MUTED],
    ]


def test_of_an_echo_nobody_is_told() -> None:
    """It is named in the log; who returns it is heard as ever."""
    room, (host, guest) = talking("host", "guest")
    guarded(room, guest, "echo", "ducked")
    guarded(room, guest, "echo", "released")
    assert room.keys_heard(host) == room.keys_heard(guest) == []


def test_who_is_muted_by_a_key_is_not_told_to_be_heard() -> None:
    """The guard lets go because the line is muted: nobody hears it all the same."""
    room, (_, guest) = talking("host", "guest")
    guarded(room, guest, "leak", "muted")
    room.press(guest, "*6")
    room.hear_out()
    room.keys_heard(guest)
    guarded(room, guest, "leak", "released")
    assert room.keys_heard(guest) == []


def test_a_release_without_a_word_before_says_nothing() -> None:
    """Who came in meanwhile, or was told nothing, hears nothing of the end."""
    room, (_, guest) = talking("host", "guest")
    guarded(room, guest, "leak", "released")
    guarded(room, 99, "leak", "muted")
    assert room.keys_heard(guest) == []
