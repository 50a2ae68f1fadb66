"""Lock, knocks, the waiting room, and who is known from before."""

from dialplan.causes import EndCause
from dialplan.events import Joined, RulesChanged, Steered
from dialplan.floor import Where
from dialplan.phrases import PhraseKey
from dialplan.rules import ConferenceRules
from tests.dialplan.driver import QUIET, RoomDriver, talking

K = PhraseKey
QUESTION = [K.KNOCK, K.KNOCK_KEYS]
WAITING_ROOM = ConferenceRules(chimes=False, waiting_room=True)


def locked(*roles: str) -> tuple[RoomDriver, list[int]]:
    """Lock a room by the first one's keys; all that was said has been heard."""
    room, legs = talking(*roles)
    room.press(legs[0], "*5")
    assert room.keys_heard(legs[0]) == [K.LOCKED]
    room.hear_out()
    room.heard.clear()
    return room, legs


def test_a_newcomer_knocks_and_one_key_admits() -> None:
    """Music and a word for who waits; the question to the host alone."""
    room, (host, guest) = locked("host", "guest")
    late = room.enter()
    assert room.answers[late] == Joined(waiting=True)
    assert room.person(late).where is Where.KNOCKING
    assert room.keys_heard(late) == [K.LOCKED, K.KNOCK_SENT]
    assert room.keys_heard(host) == QUESTION
    assert room.keys_heard(guest) == []
    room.press(host, "1")
    assert room.keys_heard(host) == [K.KNOCK_ADMITTED]
    assert room.person(late).where is Where.ROOM
    assert late not in room.music


def test_the_other_key_refuses_politely() -> None:
    """Told, goodbye, and let go."""
    room, (host,) = locked("host")
    late = room.enter()
    room.hear_out(host)
    room.press(host, "2")
    assert room.keys_heard(host)[-1] is K.KNOCK_REFUSED
    room.hear_out(late)
    assert room.keys_heard(late)[-2:] == [K.NOT_ADMITTED, K.GOODBYE]
    assert room.ended == {late: EndCause.NOT_ADMITTED}


def test_a_host_never_knocks() -> None:
    """The host PIN opens."""
    room, _ = locked("host")
    late = room.enter("host")
    assert room.person(late).where is Where.ROOM


def test_of_two_hosts_the_first_answer_counts_and_the_second_hears_so() -> None:
    """The second is told that it was decided already, and nothing is undone."""
    room, (one, two) = locked("host", "host")
    late = room.enter()
    room.hear_out(one, two)
    room.heard.clear()
    room.press(one, "1")
    room.press(two, "2")
    assert room.person(late).where is Where.ROOM
    assert room.keys_heard(two) == [K.KNOCK_DECIDED]
    room.wait(60.0)
    room.hear_out()
    room.heard.clear()
    room.press(two, "2")
    assert room.keys_heard(two) == [K.TONE_BEEP]


def test_an_answer_is_for_the_question_just_put_to_this_host() -> None:
    """Two knock: the key is for the first, then the second is asked about."""
    room, (host,) = locked("host")
    first, second = room.enter(), room.enter()
    room.hear_out(host)
    room.press(host, "2")
    assert room.person(first).where is Where.PARTING
    assert room.person(second).where is Where.KNOCKING
    room.hear_out(host)
    assert room.keys_heard(host)[-2:] == QUESTION
    room.press(host, "1")
    assert room.person(second).where is Where.ROOM


def test_a_question_waits_for_the_roll_call_to_close() -> None:
    """A knock in the middle of it takes no key away from it."""
    room, (host, guest) = locked("host", "guest")
    room.press(host, "#1")
    room.hear_out(host)
    room.wait(3.1)
    late = room.enter()
    room.heard.pop(host)
    room.press(host, "1")  # the roll call's: mutes the guest
    assert room.person(guest).host_muted
    assert room.person(late).where is Where.KNOCKING
    assert K.KNOCK not in room.keys_heard(host)
    room.press(host, "*")
    room.wait(1.1)
    room.hear_out(host)
    assert room.keys_heard(host)[-2:] == QUESTION


def test_who_hangs_up_while_knocking_is_said_to_be_gone() -> None:
    """The key that comes too late is answered."""
    room, (host,) = locked("host")
    late = room.enter()
    room.hear_out(host)
    room.leave(late)
    room.heard.clear()
    room.press(host, "1")
    assert room.keys_heard(host) == [K.ROLL_GONE]


def test_nobody_answers_the_knock_is_repeated_and_then_given_up() -> None:
    """Every minute the host is asked again; after the waiting limit the caller hears goodbye."""
    rules = ConferenceRules(chimes=False, wait_limit_s=150.0)
    room, (host, _) = talking("host", "guest", rules=rules)
    room.press(host, "*5")
    room.hear_out()
    late = room.enter()
    for _ in range(14):
        room.wait(10.0)
        room.hear_out()
    assert room.keys_heard(host).count(K.KNOCK) == 3
    room.wait(11.0)
    room.hear_out()
    assert room.ended == {late: EndCause.NOT_ADMITTED}


def test_with_the_last_host_the_lock_goes_and_who_knocks_comes_in() -> None:
    """No lock without somebody who could open it."""
    room, (host, guest) = locked("host", "guest")
    late = room.enter()
    room.leave(host)
    assert not room.room.view().locked
    assert room.in_room() == {guest, late}


def test_in_a_waiting_room_every_guest_waits_for_a_word() -> None:
    """Also for the first host to come, who is asked then."""
    room = RoomDriver(WAITING_ROOM)
    guest = room.enter()
    assert room.person(guest).where is Where.KNOCKING
    host = room.enter("host")
    room.hear_out()
    room.press(host, "1")
    assert room.person(guest).where is Where.ROOM


def test_who_was_removed_comes_back_by_the_hosts_word_only() -> None:
    """The same number and PIN wait; another number, and another PIN of the office, do not."""
    room, (host,) = talking("host")
    out = room.enter(caller="office")
    room.send(Steered(room.clock.now, "remove", out))
    room.hear_out()
    assert room.ended == {out: EndCause.REMOVED}
    again, colleague, stranger = (
        room.enter(caller="office"),
        room.enter(caller="office", pin="code:7"),
        room.enter(caller="elsewhere"),
    )
    assert room.person(again).where is Where.KNOCKING
    assert room.person(colleague).where is room.person(stranger).where is Where.ROOM
    room.hear_out(host)
    assert K.KNOCK_REMOVED in room.keys_heard(host)
    room.press(host, "1")
    assert room.person(again).where is Where.ROOM


def test_a_withheld_number_that_was_removed_is_neither_locked_out_nor_let_slip() -> None:
    """Whoever comes with no number and the same PIN waits for the host's word."""
    room, (_,) = talking("host")
    out = room.enter()
    room.send(Steered(room.clock.now, "remove", out))
    room.hear_out()
    assert room.person(room.enter()).where is Where.KNOCKING
    assert room.person(room.enter(pin="code:9")).where is Where.ROOM


def test_who_drops_has_their_place_back_once() -> None:
    """Mute and hand, within five minutes, even where the room was locked meanwhile."""
    room, (host, other) = talking("host", "guest")
    dropped = room.enter(caller="mobile")
    room.hear_out()
    room.press(dropped, "*2")
    room.press(dropped, "*6")
    room.press(other, "*2")
    room.leave(dropped)
    room.press(host, "*5")
    room.wait(200.0)
    back = room.enter(caller="mobile")
    assert room.person(back).where is Where.ROOM
    assert room.person(back).self_muted
    assert room.room.view().hands == (back, other)
    assert K.MUTED in room.keys_heard(back)
    second = room.enter(caller="mobile")
    assert room.person(second).where is Where.KNOCKING


def test_a_place_is_kept_for_five_minutes_and_not_for_one_of_two() -> None:
    """Nor for somebody whose number nobody asserts."""
    room, (host,) = talking("host")
    late, withheld = room.enter(caller="late"), room.enter()
    twin, _ = room.enter(caller="office"), room.enter(caller="office")
    room.hear_out()
    for leg in (late, withheld, twin):
        room.press(leg, "*6")
        room.leave(leg)
    room.press(host, "*5")
    assert room.person(room.enter(caller="office")).where is Where.KNOCKING
    assert room.person(room.enter()).where is Where.KNOCKING
    room.wait(301.0)
    assert room.person(room.enter(caller="late")).where is Where.KNOCKING


def test_the_role_comes_from_the_pin_and_never_from_a_number() -> None:
    """A host who drops and comes back with the guest PIN is a guest."""
    room, (_,) = talking("host")
    host = room.enter("host", caller="chair")
    room.leave(host)
    assert room.person(room.enter("guest", caller="chair")).role == "guest"


def test_places_for_hosts_are_kept() -> None:
    """The third of three places is a host's, as long as none is there."""
    rules = ConferenceRules(chimes=False, capacity=3, host_places=1)
    room = RoomDriver(rules)
    one, two, three = room.enter(), room.enter(), room.enter()
    assert [type(room.answers[leg]).__name__ for leg in (one, two, three)] == [
        "Joined",
        "Joined",
        "Full",
    ]
    host = room.enter("host")
    assert room.answers[host] == Joined(waiting=False)
    assert QUIET.host_places == 0


def test_nobody_locks_from_outside_where_no_host_could_unlock() -> None:
    """And once a host is there, it is done."""
    room, (_,) = talking("guest")
    room.send(Steered(room.clock.now, "lock"))
    assert not room.room.view().locked
    room.enter("host")
    room.send(Steered(room.clock.now, "lock"))
    assert room.room.view().locked


def test_whom_only_the_waiting_room_kept_out_comes_in_when_it_is_taken_away() -> None:
    """An administrator changes the rules; a lock goes on keeping people out."""
    room = RoomDriver(WAITING_ROOM)
    guest = room.enter()
    room.send(RulesChanged(room.clock.now, ConferenceRules(chimes=False)))
    assert room.person(guest).where is Where.ROOM
    room, (host,) = talking("host", rules=WAITING_ROOM)
    room.press(host, "*5")
    guest = room.enter()
    room.send(RulesChanged(room.clock.now, ConferenceRules(chimes=False)))
    assert room.person(guest).where is Where.KNOCKING
