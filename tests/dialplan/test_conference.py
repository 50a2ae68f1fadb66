"""A running conference, told as stories: who comes in, who waits, and who may speak."""

from datetime import datetime, timedelta
from itertools import product

import pytest

from dialplan.actions import Place, Say
from dialplan.causes import EndCause, SessionEnd
from dialplan.conference import Conference, ConferenceState
from dialplan.errors import UnexpectedEventError, UnknownLegError
from dialplan.events import (
    Closed,
    ConferenceEvent,
    EndRequested,
    Entered,
    Full,
    Joined,
    Left,
    LegDigit,
    LegPromptDone,
    MaintenanceDue,
    RulesChanged,
    TimerFired,
)
from dialplan.people import Census
from dialplan.phrases import PhraseKey, phrase
from dialplan.rules import ConferenceRules, Window
from tests.dialplan.driver import QUIET, WALL, RoomDriver, talking

K = PhraseKey
WAITING = Joined(waiting=True)
IN = Joined(waiting=False)
ON_HOST = ConferenceRules(start="on_host")
ON_SECOND = ConferenceRules(start="on_second")


# --- start rules -------------------------------------------------------------------------------


def test_at_once_the_first_caller_is_in_the_room_and_told_so() -> None:
    """Nobody waits: the session opens with the first caller, who hears that they are the first."""
    room = RoomDriver()
    alice = room.enter()
    assert room.answers[alice] == IN
    assert room.sessions == 1
    assert room.places[alice] == Place(alice, in_room=True, speaks=True, hears=True)
    assert room.keys_heard(alice) == [K.JOINING, K.FIRST_IN]
    assert room.music == set()


def test_who_joins_is_told_how_many_others_are_there() -> None:
    """The count is of the others; the room itself hears no word of it."""
    room, (alice, bob) = talking("guest", "guest")
    carol = room.enter()
    assert room.heard.pop(carol) == [phrase(K.JOINING), phrase(K.OTHERS_HERE, count=2)]
    assert room.keys_heard(alice) == room.keys_heard(bob) == []


def test_a_guest_waits_for_the_host_alone_with_music() -> None:
    """On host: no session yet, neither speaks nor hears, and told why."""
    room = RoomDriver(ON_HOST)
    guest = room.enter()
    assert room.answers[guest] == WAITING
    assert room.sessions == 0
    assert room.places[guest] == Place(guest, in_room=False, speaks=False, hears=False)
    assert room.music == {guest}
    assert room.keys_heard(guest) == [K.FIRST_IN, K.WAITING_FOR_HOST]


def test_the_second_who_waits_is_not_told_to_be_the_first() -> None:
    """First in is said to one only; two who wait do not hear each other."""
    room = RoomDriver(ON_HOST)
    room.enter()
    second = room.enter()
    assert room.keys_heard(second) == [K.WAITING_FOR_HOST]
    assert room.in_room() == set()


def test_no_key_leads_from_the_lobby_into_the_room() -> None:
    """Who waits for the host is neither heard nor hears, whatever is keyed."""
    room = RoomDriver(ON_HOST)
    guest = room.enter()
    for first, second in product("0123456789*#ABCD", repeat=2):
        room.press(guest, first + second)
    assert room.places[guest] == Place(guest, in_room=False, speaks=False, hears=False)
    assert room.sessions == 0


def test_the_host_starts_the_conference_and_hears_who_waited() -> None:
    """The music ends, all are in one room, and each is told their own."""
    room = RoomDriver(ON_HOST)
    guests = {room.enter(), room.enter()}
    room.hear_out()
    room.heard.clear()
    host = room.enter("host")
    assert room.sessions == 1
    assert room.music == set()
    assert room.in_room() == guests | {host}
    assert room.heard.pop(host) == [phrase(K.JOINING), phrase(K.PEOPLE_WAITED, count=2)]
    assert [room.keys_heard(guest) for guest in guests] == [[K.CONFERENCE_STARTS]] * 2


def test_a_host_who_comes_first_need_not_wait() -> None:
    """On host: the host's own arrival is the start."""
    room = RoomDriver(ON_HOST)
    host = room.enter("host")
    assert room.answers[host] == IN
    assert room.keys_heard(host) == [K.JOINING, K.FIRST_IN]


def test_the_start_does_not_cut_what_somebody_who_waits_is_hearing() -> None:
    """Only the listener's own key cuts a prompt; the news comes right after it."""
    room = RoomDriver(ON_HOST)
    guest = room.enter()
    room.enter("host")
    assert room.keys_heard(guest) == [K.FIRST_IN, K.WAITING_FOR_HOST]
    room.hear_out(guest)
    assert room.keys_heard(guest) == [K.CONFERENCE_STARTS]


def test_on_second_the_first_waits_and_the_second_starts() -> None:
    """Two callers of any role make a conference."""
    room = RoomDriver(ON_SECOND)
    first = room.enter()
    assert room.answers[first] == WAITING
    assert room.music == {first}
    assert room.keys_heard(first) == [K.FIRST_IN, K.WAITING_FOR_SECOND]
    room.hear_out()
    second = room.enter()
    assert room.answers[second] == IN
    assert room.in_room() == {first, second}
    assert room.music == set()
    assert room.keys_heard(first) == [K.CONFERENCE_STARTS]
    assert room.heard.pop(second) == [phrase(K.JOINING), phrase(K.OTHERS_HERE, count=1)]


def test_who_gave_up_waiting_does_not_count_as_the_second() -> None:
    """One who hung up is no company."""
    room = RoomDriver(ON_SECOND)
    room.leave(room.enter())
    assert room.answers[room.enter()] == WAITING


def test_waiting_callers_are_reminded_every_two_minutes_until_it_starts() -> None:
    """Long music alone makes people wonder; after the start nobody is thanked for waiting."""
    room = RoomDriver(ON_HOST)
    guest = room.enter()
    room.hear_out()
    room.heard.clear()
    room.wait(119.0)
    assert room.keys_heard(guest) == []
    room.wait(2.0)
    assert room.keys_heard(guest) == [K.STILL_WAITING]
    room.hear_out()
    room.enter("host")
    room.hear_out()
    room.heard.clear()
    room.wait(600.0)
    assert room.keys_heard(guest) == []


def test_nobody_is_thanked_for_waiting_after_the_start() -> None:
    """A reminder that waits its turn is dropped when the conference starts."""
    room = RoomDriver(ON_HOST)
    guest = room.enter()
    room.wait(119.0)
    room.press(guest, "*4")
    room.wait(2.0)
    room.enter("host")
    room.heard.clear()
    room.hear_out(guest)
    assert room.keys_heard(guest) == [K.CONFERENCE_STARTS]


@pytest.mark.parametrize(
    ("rules", "said", "cause"),
    [
        (ON_HOST, K.HOST_DID_NOT_COME, EndCause.HOST_NEVER_CAME),
        (ON_SECOND, K.NOBODY_CAME, EndCause.NOBODY_CAME),
    ],
)
def test_waiting_has_an_end(rules: ConferenceRules, said: PhraseKey, cause: EndCause) -> None:
    """Who waits in vain is told goodbye; no session is ever opened."""
    room = RoomDriver(rules)
    guest = room.enter()
    while room.clock.now < 100.0 + 1800.0:
        room.hear_out()
        room.wait(5.0)
    heard = room.keys_heard(guest)
    assert heard[-3:] == [K.STILL_WAITING, said, K.GOODBYE]
    assert heard.count(K.STILL_WAITING) == 14, "none in the last minute"
    room.hear_out()
    assert room.ended == {guest: cause}
    assert (room.sessions, room.room.empty) == (0, True)


def test_changed_rules_start_a_conference_that_waits() -> None:
    """An administrator who takes the start rule away lets those who wait talk at once."""
    room = RoomDriver(ON_HOST)
    guests = {room.enter(), room.enter()}
    room.send(RulesChanged(room.clock.now, QUIET))
    assert room.sessions == 1
    assert room.in_room() == guests


# --- the door ----------------------------------------------------------------------------------


def test_capacity_is_a_limit_on_people_at_once() -> None:
    """The third of two is refused and leaves no trace; a place that is left is free again."""
    room, (alice, bob) = talking("guest", "guest", rules=ConferenceRules(capacity=2))
    late = room.enter()
    assert room.answers[late] == Full()
    assert room.heard == {}
    assert room.chimes == []
    room.leave(alice)
    assert room.answers[room.enter()] == IN
    assert bob in room.in_room()


def test_who_waits_takes_a_place_too() -> None:
    """Capacity counts those who wait for the start."""
    room = RoomDriver(ConferenceRules(start="on_second", capacity=1))
    room.enter()
    assert room.answers[room.enter()] == Full()


def test_guests_who_wait_leave_the_last_place_to_the_host() -> None:
    """A conference that starts with its host cannot be filled up before the host is there."""
    room = RoomDriver(ConferenceRules(start="on_host", capacity=3))
    guests = [room.enter() for _ in range(3)]
    assert [room.answers[guest] for guest in guests] == [WAITING, WAITING, Full()]
    host = room.enter("host")
    assert room.answers[host] == IN
    assert room.answers[room.enter("host")] == Full()
    room.leave(guests[0])
    assert room.answers[room.enter()] == IN


def test_people_who_are_told_goodbye_take_no_place() -> None:
    """Who has waited in vain and hears goodbye keeps nobody out."""
    rules = ConferenceRules(start="on_second", capacity=1, wait_limit_s=60.0)
    room = RoomDriver(rules)
    first = room.enter()
    room.wait(60.5)
    assert first in room.present
    assert room.answers[room.enter()] == WAITING


def test_outside_its_hours_a_conference_says_when_it_opens() -> None:
    """Closed, with the opening time; a host is let in earlier than a guest."""
    opens = WALL + timedelta(minutes=10)
    room = RoomDriver(ConferenceRules(window=Window(opens)))
    outcome = room.answers[room.enter()]
    assert outcome == Closed(WALL, opens)
    assert room.room.empty
    assert room.answers[room.enter("host")] == IN
    assert isinstance(room.answers[room.enter()], Closed)
    room.wait(5 * 60.0)
    assert room.answers[room.enter()] == IN


def test_who_drops_out_of_a_running_conference_may_come_back_after_hours() -> None:
    """The closing time keeps nobody out of what still runs, and everybody out of what does not."""
    closes = WALL + timedelta(minutes=10)
    room = RoomDriver(ConferenceRules(window=Window(WALL, closes)))
    room.enter()
    bob = room.enter()
    room.wait(11 * 60.0)
    room.leave(bob)
    assert room.answers[room.enter()] == IN
    later = RoomDriver(room.room.rules)
    later.wait(11 * 60.0)
    outcome = later.answers[later.enter()]
    assert isinstance(outcome, Closed)
    assert outcome.opens_at is None


# --- chimes ------------------------------------------------------------------------------------


def test_a_chime_and_nothing_else_announces_people_to_the_room() -> None:
    """One tone on coming, one on going; nobody hears words about somebody else."""
    room, (alice, _) = talking("guest", "guest", rules=ConferenceRules())
    carol = room.enter()
    room.wait(10.0)
    room.leave(carol)
    assert [sound for _, sound in room.chimes] == ["enter", "exit"]
    assert room.keys_heard(alice) == []


def test_chimes_are_merged_when_many_join_at_once() -> None:
    """Twenty in two seconds sound twice, three seconds apart, and are all in the room."""
    room, _ = talking("guest", rules=ConferenceRules())
    for _ in range(20):
        room.enter()
        room.wait(0.1)
    room.wait(60.0)
    assert [sound for _, sound in room.chimes] == ["enter", "enter"]
    assert room.chimes[1][0] - room.chimes[0][0] == pytest.approx(3.0)
    assert len(room.in_room()) == 21


def test_a_conference_may_do_without_chimes() -> None:
    """Switched off, the room hears nothing of the door."""
    room, _ = talking("guest", "guest")
    room.leave(room.enter())
    assert room.chimes == []


def test_nobody_chimes_for_the_first_nor_for_nobody() -> None:
    """A tone that nobody could be told by is not sounded."""
    room = RoomDriver()
    room.leave(room.enter())
    assert room.chimes == []


# --- keys --------------------------------------------------------------------------------------


def test_star_six_mutes_and_says_how_to_be_heard_again() -> None:
    """What is said agrees with the masks, and nobody is left muted without being told."""
    room, (alice, bob) = talking("guest", "guest")
    room.press(alice, "*6")
    assert room.places[alice] == Place(alice, in_room=True, speaks=False, hears=True)
    assert room.keys_heard(alice) == [K.MUTED, K.KEY_UNMUTE]
    room.press(alice, "*6")
    assert room.places[alice].speaks
    assert room.keys_heard(alice) == [K.UNMUTED]
    assert room.keys_heard(bob) == []
    assert room.places[bob].speaks


def test_who_mutes_while_waiting_comes_in_muted_and_knows_it() -> None:
    """The state is the person's, wherever they are, and one key undoes it."""
    room = RoomDriver(ON_HOST)
    guest = room.enter()
    room.press(guest, "*6")
    assert room.keys_heard(guest)[-2:] == [K.MUTED, K.KEY_UNMUTE]
    room.enter("host")
    assert room.places[guest] == Place(guest, in_room=True, speaks=False, hears=True)
    room.press(guest, "*6")
    assert room.places[guest].speaks


def test_the_host_muted_hears_the_key_that_is_valid_now() -> None:
    """Key help lists what the keys do at this moment."""
    room, (guest, _) = talking("guest", "host")
    keys = [K.KEY_RAISE_HAND, K.KEY_VOLUME, K.KEY_COUNT, K.KEY_BECOME_HOST, K.KEY_HELP]
    room.press(guest, "*4")
    assert room.keys_heard(guest) == [K.KEYS_ARE, K.KEY_MUTE, *keys]
    room.press(guest, "*6*2*4")
    keys[0] = K.KEY_LOWER_HAND
    assert room.keys_heard(guest)[-7:] == [K.KEYS_ARE, K.KEY_UNMUTE, *keys]


def test_the_count_tells_speakers_listeners_and_who_waits() -> None:
    """Each number that is not nought is said, to the one who asked."""
    room, (alice, bob, _) = talking("guest", "guest", "host")
    room.press(alice, "*#")
    assert room.heard.pop(alice) == [phrase(K.COUNT_SPEAKERS, count=3)]
    room.press(bob, "*6")
    room.heard.clear()
    room.press(alice, "*#")
    assert room.heard.pop(alice) == [
        phrase(K.COUNT_SPEAKERS, count=2),
        phrase(K.COUNT_LISTENERS, count=1),
    ]
    lobby = RoomDriver(ON_HOST)
    lobby.enter()
    guest = lobby.enter()
    lobby.hear_out()
    lobby.heard.clear()
    lobby.press(guest, "*#")
    assert lobby.heard.pop(guest) == [phrase(K.COUNT_WAITING, count=2)]


@pytest.mark.parametrize("keys", ["5", "*9", "#1"])
def test_a_stray_key_is_answered_by_a_short_tone(keys: str) -> None:
    """A key that means nothing is neither announced nor silently ignored."""
    room, (alice, bob) = talking("guest", "guest")
    room.press(alice, keys)
    assert room.keys_heard(alice) == [K.TONE_BEEP]
    assert room.keys_heard(bob) == []


def test_two_hundred_stray_keys_leave_the_room_in_peace() -> None:
    """A child on the keypad hears beeps, one at a time; the others hear nothing."""
    room, (alice, bob) = talking("guest", "guest")
    room.press(alice, "1234567890ABCD" * 15, gap_s=0.1)
    assert set(room.keys_heard(alice)) == {K.TONE_BEEP}
    assert room.keys_heard(bob) == []
    room.hear_out()
    room.press(alice, "*6")
    assert not room.places[alice].speaks


def test_only_the_listeners_own_key_cuts_a_prompt() -> None:
    """A key that cuts has done its work; the others go on listening."""
    room, (alice, bob) = talking("guest", "guest")
    room.press(alice, "*4")
    room.press(bob, "*4")
    room.heard.clear()
    room.press(bob, "5")
    assert alice in room.saying
    assert bob not in room.saying
    assert room.heard == {}
    room.leave(bob)
    room.enter("host")
    assert alice in room.saying


def test_a_command_cuts_the_prompt_and_is_carried_out() -> None:
    """`*6` during the welcome mutes at once."""
    room = RoomDriver()
    alice = room.enter()
    room.press(alice, "*6")
    assert not room.places[alice].speaks
    assert room.keys_heard(alice)[-2:] == [K.MUTED, K.KEY_UNMUTE]


def test_a_key_cuts_what_delays_the_last_words() -> None:
    """Who is let go while hearing the key help may cut that, but not goodbye."""
    room, (host, guest) = talking("host", "guest")
    room.press(guest, "*4")
    room.send(EndRequested(room.clock.now, "administrator"))
    room.heard.clear()
    room.press(guest, "5")
    assert room.keys_heard(guest) == [K.CONFERENCE_ENDED, K.GOODBYE]
    room.press(guest, "5*#")
    assert guest in room.saying
    assert host in room.saying


# --- what is said to whom ----------------------------------------------------------------------


def test_nothing_is_said_to_the_room_that_belongs_to_one_caller() -> None:
    """Coming, keys, count and help of one caller make no sound for any other."""
    room, (alice, bob) = talking("guest", "guest")
    carol = room.enter()
    room.press(carol, "*6*6*#*4*95")
    room.leave(carol)
    assert room.keys_heard(alice) == room.keys_heard(bob) == []
    assert room.chimes == []


def test_a_prompt_whose_end_is_never_told_does_not_hold_anybody() -> None:
    """A lost report of a prompt's end is made up for by its guard."""
    room = RoomDriver()
    alice = room.enter()
    room.wait(61.0)
    assert alice not in room.saying
    room.send(EndRequested(room.clock.now, "administrator"))
    room.wait(61.0)
    assert room.session_end is SessionEnd.ADMINISTRATOR


def test_a_late_end_of_a_prompt_means_nothing() -> None:
    """The end of a prompt that was cut does not end the one after it."""
    room, (alice,) = talking("guest")
    room.press(alice, "*4")
    cut = room.saying[alice].play
    room.press(alice, "*6")
    room.send(LegPromptDone(room.clock.now, alice, cut))
    assert isinstance(room.saying.get(alice), Say)
    assert room.saying[alice].play > cut


def test_five_changes_become_one_message() -> None:
    """What waits on one subject is the newest only."""
    rules = ConferenceRules(chimes=False, end="host_leaves")
    room, (guest,) = talking("guest", rules=rules)
    room.press(guest, "*4")
    for _ in range(5):
        room.leave(room.enter("host"))
    room.heard.clear()
    room.hear_out(guest)
    assert room.keys_heard(guest) == [K.HOST_LEFT]


# --- counting ----------------------------------------------------------------------------------


def test_the_census_counts_by_what_people_may_do() -> None:
    """Speakers, listeners, waiting; who is told goodbye counts nowhere."""
    room, (alice, _, _) = talking("guest", "guest", "host")
    room.press(alice, "*6")
    assert room.room.census == Census(speakers=2, listeners=1, waiting=0)
    room.send(EndRequested(room.clock.now, "administrator"))
    assert room.room.census == Census(speakers=0, listeners=0, waiting=0)


# --- the table ---------------------------------------------------------------------------------

AT = 9_000.0
WALL_AT = datetime.fromisoformat("2026-03-02T12:00+00:00")
_EVENTS: tuple[ConferenceEvent, ...] = (
    Entered(AT, 99, "guest", WALL_AT),
    Left(AT, 1),
    LegDigit(AT, 1, "*"),
    LegPromptDone(AT, 1, 999),
    TimerFired(AT, "no such timer"),
    RulesChanged(AT, ConferenceRules()),
    MaintenanceDue(AT, 10),
    EndRequested(AT, "shutdown"),
)


def _in_state(state: ConferenceState) -> Conference:
    """Bring a conference into a state, with leg 1 in it wherever somebody can be."""
    room = RoomDriver(ON_HOST if state is ConferenceState.GATHERING else QUIET)
    leg = room.enter()
    if state is ConferenceState.CLOSING:
        room.send(EndRequested(room.clock.now, "administrator"))
    elif state is ConferenceState.OVER:
        room.leave(leg)
    assert room.room.state is state
    return room.room


@pytest.mark.parametrize("state", ConferenceState)
@pytest.mark.parametrize("event", _EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_is_in_the_table_or_changes_nothing(
    state: ConferenceState, event: ConferenceEvent
) -> None:
    """What a state does not know raises, and everybody stays as they were."""
    conference = _in_state(state)
    if type(event) in Conference._TABLE[state]:
        conference.handle(event)
        return
    before = (conference.state, conference.timers, conference.people())
    with pytest.raises(UnexpectedEventError) as caught:
        conference.handle(event)
    assert (conference.state, conference.timers, conference.people()) == before
    assert (caught.value.state, caught.value.event) == (state.name, type(event).__name__)


def test_an_event_about_a_leg_that_is_not_there_is_refused() -> None:
    """A stranger's key or hang-up, or a second coming, raises and changes nothing."""
    room, (alice,) = talking("guest")
    before = room.room.people()
    for event in (
        Left(AT, 99),
        LegDigit(AT, 99, "*"),
        Entered(AT, alice, "host", WALL_AT),
    ):
        with pytest.raises(UnknownLegError):
            room.room.handle(event)
    assert room.room.people() == before


def test_no_repr_shows_a_key() -> None:
    """A digit pressed in the conference is in no `repr` either."""
    assert "7" not in repr(LegDigit(1.0, 2, "7"))
