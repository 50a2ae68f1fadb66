"""How a conference ends: last words, length, the host's leaving, shutdown."""

import pytest

from dialplan.causes import EndCause, SessionEnd
from dialplan.conference import ConferenceState
from dialplan.events import Ended, EndRequested, Joined, MaintenanceDue, RulesChanged
from dialplan.phrases import PhraseKey, phrase
from dialplan.rules import ConferenceRules
from tests.dialplan.driver import RoomDriver, talking

K = PhraseKey
HOST_ENDS = ConferenceRules(chimes=False, end="host_leaves")
HOUR = ConferenceRules(chimes=False, max_length_s=3600.0)


def test_it_ends_when_the_last_one_leaves() -> None:
    """Nobody is left to be told; the session is closed at once."""
    room, (alice, bob) = talking("guest", "host")
    room.leave(bob)
    assert room.in_room() == {alice}
    assert room.keys_heard(alice) == []
    room.leave(alice)
    assert room.session_end is SessionEnd.LAST_LEFT
    assert room.room.over


# --- the host leaves ---------------------------------------------------------------------------


def test_a_conference_that_ends_with_its_host_gives_grace_and_says_so() -> None:
    """Two minutes, announced; then it has ended, goodbye, and everybody is let go."""
    room, (host, guest) = talking("host", "guest", rules=HOST_ENDS)
    room.leave(host)
    assert room.heard.pop(guest) == [phrase(K.HOST_LEFT, minutes=2)]
    room.hear_out()
    room.wait(119.0)
    assert room.in_room() == {guest}
    room.wait(2.0)
    assert room.in_room() == set()
    assert room.keys_heard(guest) == [K.CONFERENCE_ENDED, K.GOODBYE]
    room.hear_out()
    assert room.ended == {guest: EndCause.HOST_LEFT}
    assert room.session_end is SessionEnd.HOST_LEFT


def test_a_host_who_returns_within_the_grace_keeps_it_going() -> None:
    """The others hear that the host is back; the host does not."""
    room, (host, guest) = talking("host", "guest", rules=HOST_ENDS)
    room.leave(host)
    room.hear_out()
    room.heard.clear()
    back = room.enter("host")
    assert room.keys_heard(guest) == [K.HOST_RETURNED]
    assert room.heard.pop(back) == [phrase(K.JOINING), phrase(K.OTHERS_HERE, count=1)]
    room.hear_out()
    room.wait(3600.0)
    assert room.in_room() == {guest, back}


def test_the_grace_begins_only_when_the_last_host_leaves() -> None:
    """One of two hosts may go."""
    room, (host, second, guest) = talking("host", "host", "guest", rules=HOST_ENDS)
    room.leave(host)
    assert room.keys_heard(guest) == []
    room.leave(second)
    assert room.keys_heard(guest) == [K.HOST_LEFT]


def test_without_grace_it_ends_with_the_host() -> None:
    """A grace of nothing: ended, goodbye."""
    rules = ConferenceRules(chimes=False, end="host_leaves", grace_s=0.0)
    room, (host, guest) = talking("host", "guest", rules=rules)
    room.leave(host)
    assert room.keys_heard(guest) == [K.CONFERENCE_ENDED, K.GOODBYE]


def test_where_the_rule_is_the_last_one_the_host_may_go_unsaid() -> None:
    """`last_leaves`: the host's leaving is like any other's."""
    room, (host, guest) = talking("host", "guest")
    room.leave(host)
    room.wait(3600.0)
    assert room.keys_heard(guest) == []
    assert room.in_room() == {guest}


def test_an_administrator_who_changes_the_end_rule_takes_the_threat_back() -> None:
    """Changed while the grace runs, the conference goes on."""
    room, (host, guest) = talking("host", "guest", rules=HOST_ENDS)
    room.leave(host)
    room.send(RulesChanged(room.clock.now, ConferenceRules(chimes=False)))
    room.hear_out()
    room.wait(3600.0)
    assert room.in_room() == {guest}


def test_everybody_gone_within_the_grace_ends_it_at_once() -> None:
    """There is nobody to wait for a host."""
    room, (host, guest) = talking("host", "guest", rules=HOST_ENDS)
    room.leave(host)
    room.leave(guest)
    assert room.session_end is SessionEnd.LAST_LEFT


# --- length ------------------------------------------------------------------------------------


def test_ending_soon_is_said_ten_minutes_and_one_minute_before_the_end() -> None:
    """Twice a warning, then time is up, goodbye; the length counts from the session's start."""
    room = RoomDriver(HOUR)
    alice = room.enter()
    room.hear_out()
    room.heard.clear()
    room.wait(50 * 60.0 - 1.0)
    assert room.heard == {}
    room.wait(2.0)
    assert room.heard.pop(alice) == [phrase(K.ENDING_SOON, minutes=10)]
    room.hear_out()
    room.wait(9 * 60.0)
    assert room.heard.pop(alice) == [phrase(K.ENDING_SOON, minutes=1)]
    room.hear_out()
    room.wait(60.0)
    assert room.keys_heard(alice) == [K.TIME_IS_UP, K.GOODBYE]
    room.hear_out()
    assert room.ended == {alice: EndCause.TIME_LIMIT}
    assert room.session_end is SessionEnd.TIME_LIMIT


@pytest.mark.parametrize(("minutes", "warnings"), [(1, []), (5, [1]), (19, [1]), (20, [10, 1])])
def test_a_short_conference_is_warned_only_where_it_makes_sense(
    minutes: int, warnings: list[int]
) -> None:
    """No warning in the first half, and none ten minutes before the end of ten."""
    rules = ConferenceRules(chimes=False, max_length_s=minutes * 60.0)
    room = RoomDriver(rules)
    alice = room.enter()
    room.hear_out()
    room.heard.clear()
    for _ in range(minutes * 60 - 1):
        room.wait(1.0)
        room.hear_out()
    assert room.heard.pop(alice, []) == [phrase(K.ENDING_SOON, minutes=n) for n in warnings]


def test_waiting_is_not_part_of_the_length() -> None:
    """Half an hour's wait for the host takes nothing off the hour."""
    rules = ConferenceRules(chimes=False, start="on_host", max_length_s=600.0, wait_limit_s=3600.0)
    room = RoomDriver(rules)
    room.enter()
    room.wait(1800.0)
    host = room.enter("host")
    room.wait(500.0)
    assert host in room.in_room()


def test_a_longer_or_no_length_takes_effect_while_it_runs() -> None:
    """An administrator's change moves the end."""
    room, (alice,) = talking("guest", rules=HOUR)
    room.send(RulesChanged(room.clock.now, ConferenceRules(chimes=False, max_length_s=7200.0)))
    room.wait(3600.0)
    assert room.keys_heard(alice) == []
    room.send(RulesChanged(room.clock.now, ConferenceRules(chimes=False)))
    room.wait(86_400.0)
    assert room.in_room() == {alice}
    room.send(RulesChanged(room.clock.now, HOUR))
    room.wait(0.1)
    assert room.keys_heard(alice) == [K.TIME_IS_UP, K.GOODBYE]


# --- ended from outside ------------------------------------------------------------------------


def test_maintenance_is_told_to_hosts_alone_in_their_turn() -> None:
    """A drain warns the hosts of the room and of the lobby, cuts no prompt and mutes nobody."""
    room, (host, other, guest) = talking("host", "host", "guest")
    room.press(other, "*4")
    room.heard.clear()
    room.send(MaintenanceDue(room.clock.now))
    assert room.keys_heard(host) == [K.MAINTENANCE_BEGINS]
    assert room.keys_heard(guest) == []
    assert room.keys_heard(other) == []
    room.hear_out()
    assert room.keys_heard(other) == [K.MAINTENANCE_BEGINS]
    assert room.in_room() == {host, other, guest}
    lobby = RoomDriver(ConferenceRules(start="on_second"))
    waits = lobby.enter("host")
    lobby.hear_out()
    lobby.send(MaintenanceDue(lobby.clock.now, 30))
    assert lobby.keys_heard(waits)[-2:] == [K.MAINTENANCE_BEGINS, K.MAINTENANCE_WITHIN]


def test_a_host_who_comes_during_maintenance_is_told_alone() -> None:
    """The other hosts know it already; a guest whose leg is named hears nothing."""
    room, (host, guest) = talking("host", "guest")
    late = room.enter("host")
    room.hear_out()
    room.heard.clear()
    room.send(MaintenanceDue(room.clock.now, 5, leg=late))
    room.send(MaintenanceDue(room.clock.now, 5, leg=guest))
    assert room.keys_heard(late) == [K.MAINTENANCE_BEGINS, K.MAINTENANCE_WITHIN]
    assert room.keys_heard(host) == room.keys_heard(guest) == []


def test_when_maintenance_is_near_everybody_in_the_room_is_told() -> None:
    """A minute before the bridge stops for good, guests hear it too."""
    room, (host, guest) = talking("host", "guest")
    room.send(MaintenanceDue(room.clock.now, 1, everybody=True))
    assert room.keys_heard(host) == room.keys_heard(guest) == [K.ENDING_SOON]


def test_an_administrator_ends_it_without_cutting_anybody_short() -> None:
    """Who is hearing something hears it out, then why it ends; the room is silent at once."""
    room, (alice, bob) = talking("guest", "guest")
    room.press(alice, "*4")
    room.heard.clear()
    room.send(EndRequested(room.clock.now, "administrator"))
    assert room.in_room() == set()
    assert room.keys_heard(bob) == [K.CONFERENCE_ENDED, K.GOODBYE]
    assert room.keys_heard(alice) == []
    room.hear_out()
    assert room.keys_heard(alice) == [K.CONFERENCE_ENDED, K.GOODBYE]
    assert room.ended == dict.fromkeys((alice, bob), EndCause.ADMINISTRATOR)
    assert room.session_end is SessionEnd.ADMINISTRATOR


def test_the_bridges_shutdown_cuts_prompts_to_have_time_for_goodbye() -> None:
    """Seconds are left: service stops, goodbye, at once."""
    room, (alice,) = talking("guest")
    room.press(alice, "*4")
    room.heard.clear()
    room.send(EndRequested(room.clock.now, "shutdown"))
    assert room.keys_heard(alice) == [K.SERVICE_STOPS, K.GOODBYE]
    room.hear_out()
    assert room.ended == {alice: EndCause.SHUTDOWN}


def test_a_shutdown_hurries_an_end_that_is_under_way() -> None:
    """What is not yet the last words is cut; the last words are not."""
    room, (alice, bob) = talking("guest", "guest")
    room.press(alice, "*4")
    room.send(EndRequested(room.clock.now, "administrator"))
    last = room.saying[bob]
    room.heard.clear()
    room.send(EndRequested(room.clock.now, "shutdown"))
    assert room.keys_heard(alice) == [K.CONFERENCE_ENDED, K.GOODBYE]
    assert room.saying[bob] == last


def test_a_shutdown_lets_who_is_being_told_goodbye_hear_it_out() -> None:
    """Who has waited in vain hears the last words once, and is let go after them."""
    room = RoomDriver(ConferenceRules(start="on_host", wait_limit_s=30.0))
    guest = room.enter()
    room.hear_out()
    room.wait(30.5)
    last = room.saying[guest]
    room.send(EndRequested(room.clock.now, "shutdown"))
    assert room.saying[guest] == last
    room.hear_out()
    assert room.ended == {guest: EndCause.HOST_NEVER_CAME}


def test_what_waited_to_be_said_is_dropped_for_the_last_words() -> None:
    """News of a conference that is over interests nobody."""
    room, (host, guest) = talking("host", "guest", rules=HOST_ENDS)
    room.press(guest, "*4")
    room.leave(host)
    room.heard.clear()
    room.send(EndRequested(room.clock.now, "shutdown"))
    assert room.keys_heard(guest) == [K.SERVICE_STOPS, K.GOODBYE]


def test_those_who_wait_are_told_goodbye_too() -> None:
    """No session was opened, so none is closed; the music stops for the last words."""
    room = RoomDriver(ConferenceRules(start="on_host"))
    guest = room.enter()
    room.hear_out()
    room.heard.clear()
    room.send(EndRequested(room.clock.now, "administrator"))
    assert room.music == set()
    assert room.keys_heard(guest) == [K.CONFERENCE_ENDED, K.GOODBYE]
    room.hear_out()
    assert room.room.over
    assert room.session_end is None


def test_who_comes_while_it_ends_hears_that_it_has_ended() -> None:
    """The door is shut, and the newcomer leaves no trace."""
    room, (alice,) = talking("guest")
    room.send(EndRequested(room.clock.now, "administrator"))
    late = room.enter("host")
    assert room.answers[late] == Ended()
    room.hear_out()
    assert set(room.ended) == {alice}


def test_who_hangs_up_during_the_last_words_does_not_hold_the_end() -> None:
    """The conference is over when the last one is gone, however they went."""
    room, (alice, bob) = talking("guest", "guest")
    room.send(EndRequested(room.clock.now, "administrator"))
    room.leave(alice)
    room.hear_out()
    assert set(room.ended) == {bob}
    assert room.room.state is ConferenceState.OVER
    room.send(EndRequested(room.clock.now, "shutdown"))
    assert room.answers[room.enter()] == Ended()


def test_somebody_told_goodbye_after_waiting_does_not_reopen_the_session() -> None:
    """The last one in the room leaves while another still hears goodbye: one session, closed."""
    rules = ConferenceRules(start="on_second", chimes=False, wait_limit_s=30.0)
    room = RoomDriver(rules)
    vain = room.enter()
    room.wait(30.5)
    pair = [room.enter(), room.enter()]
    assert [room.answers[leg] for leg in pair] == [Joined(waiting=True), Joined(waiting=False)]
    for leg in pair:
        room.leave(leg)
    assert room.session_end is None
    room.hear_out()
    assert room.ended == {vain: EndCause.NOBODY_CAME}
    assert room.session_end is SessionEnd.LAST_LEFT
