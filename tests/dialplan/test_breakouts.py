"""Breakout rooms."""

from dialplan.meeting import ConferenceTimes
from dialplan.phrases import PhraseKey, phrase
from dialplan.rules import ConferenceRules
from tests.dialplan.driver import RoomDriver, talking

K = PhraseKey


def opened(keys: str) -> tuple[RoomDriver, int, list[int]]:
    """Open rooms by a host's keys in a conference of six guests."""
    room, (host, *guests) = talking("host", *["guest"] * 6)
    room.press(host, "#3")
    assert room.keys_heard(host) == [K.BREAKOUT_HOW_MANY]
    room.press(host, keys, gap_s=0.5)
    return room, host, guests


def test_guests_are_spread_evenly_and_told_their_room() -> None:
    """The host stays in the main room."""
    room, host, guests = opened("31")
    assert [room.person(leg).group for leg in guests] == [1, 2, 3, 1, 2, 3]
    assert room.person(host).group == 0
    assert room.places[guests[1]].group == 2
    assert room.heard.pop(guests[1]) == [phrase(K.BREAKOUT_ROOM, number=2)]


def test_people_choose_and_who_does_not_is_put_where_the_fewest_are() -> None:
    """Each is asked, and hears where they are."""
    room, _, guests = opened("22")
    assert room.heard.pop(guests[0]) == [phrase(K.BREAKOUT_CHOOSE, number=2)]
    for leg in guests[:4]:
        room.press(leg, "2")
    room.hear_out()
    room.wait(21.0)
    assert [room.person(leg).group for leg in guests] == [2, 2, 2, 2, 1, 1]


def test_a_host_visits_room_after_room_and_comes_back() -> None:
    """The last one is followed by the main room."""
    room, host, _ = opened("21")
    groups = []
    for _ in range(3):
        room.hear_out(host)
        room.press(host, "#32", gap_s=0.4)
        groups.append(room.person(host).group)
    assert groups == [1, 2, 0]


def test_recall_warns_a_minute_before() -> None:
    """Then everybody is together; late joiners were put where the fewest are."""
    room, host, guests = opened("41")
    late = room.enter()
    assert room.person(late).group == 3
    room.hear_out()
    room.heard.clear()
    room.press(host, "#31", gap_s=0.4)
    assert room.keys_heard(guests[0]) == [K.BREAKOUT_RECALL]
    room.hear_out()
    room.wait(59.0)
    assert room.person(guests[0]).group == 1
    room.wait(2.0)
    assert {room.person(leg).group for leg in (*guests, late, host)} == {0}
    assert room.room.view().breakouts == 0
    assert room.keys_heard(guests[0]) == [K.BREAKOUT_BACK]


def test_without_a_host_they_come_together_by_themselves() -> None:
    """Nobody is left who could call them."""
    room, host, guests = opened("21")
    room.hear_out()
    room.leave(host)
    room.wait(61.0)
    assert {room.person(leg).group for leg in guests} == {0}


def test_who_is_alone_for_a_while_is_told_and_hears_music() -> None:
    """Until somebody comes."""
    room = RoomDriver(ConferenceRules(chimes=False), ConferenceTimes())
    first = room.enter()
    room.hear_out()
    room.heard.clear()
    room.wait(61.0)
    assert room.keys_heard(first) == [K.ALONE]
    assert room.music == {first}
    room.hear_out()
    room.enter()
    assert room.music == set()
