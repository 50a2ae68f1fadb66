"""Dialogues of one person with the keypad: host PIN, a number to call, the end for all, a name."""

import pytest

from dialplan.causes import EndCause, SessionEnd
from dialplan.events import DialOutEnded, DialOutOutcome, HostPinChecked, HostPinOutcome, Joined
from dialplan.floor import Where
from dialplan.phrases import PhraseKey
from dialplan.rules import ConferenceRules
from tests.dialplan.driver import RoomDriver, talking

K = PhraseKey
A_PIN = "391417773"
ASK = ConferenceRules(chimes=False, names="ask")
NEEDED = ConferenceRules(chimes=False, names="ask_until_given")


def answer(room: RoomDriver, outcome: HostPinOutcome) -> None:
    """Answer the look-up that is under way."""
    asked, room.checking = room.checking, None
    assert asked is not None
    room.send(HostPinChecked(room.clock.now, asked.leg, asked.query, outcome))


# --- becoming host -----------------------------------------------------------------------------


def test_the_host_pin_makes_host_and_its_hash_is_swallowed() -> None:
    """Host PIN, hash, then nought: the bad luck of ending the conference for all."""
    room, (guest, other) = talking("guest", "guest")
    room.press(guest, f"*3{A_PIN}")
    assert room.checking is not None
    assert A_PIN not in repr(room.checking)
    answer(room, "right")
    room.press(guest, "#0")
    assert room.person(guest).role == "host"
    assert [(each.leg, each.how) for each in room.promoted] == [(guest, "pin")]
    room.hear_out()
    assert K.NOW_HOST in room.keys_heard(guest)
    assert room.keys_heard(other) == []
    room.wait(10.0)
    assert room.in_room() == {guest, other}


def test_a_wrong_pin_is_said_three_times_and_mistyped_is_not_looked_up() -> None:
    """As at the door."""
    room, (guest, _) = talking("guest", "guest")
    slip = A_PIN[:-1] + str((int(A_PIN[-1]) + 1) % 10)
    room.press(guest, f"*3{slip}")
    assert room.checking is None
    assert room.keys_heard(guest)[-2:] == [K.PIN_MISTYPED, K.HOST_PIN_ENTER]
    for _ in range(2):
        room.wait(4.0)
        room.press(guest, A_PIN)
        answer(room, "wrong")
    assert room.keys_heard(guest)[-2:] == [K.PIN_NOT_RECOGNISED, K.DIALOGUE_OVER]
    assert room.person(guest).role == "guest"


def test_star_cancels_and_silence_closes() -> None:
    """The keys are one's own again."""
    room, (guest, _) = talking("guest", "guest")
    room.press(guest, "*3*")
    assert room.keys_heard(guest)[-1] is K.DIALOGUE_OVER
    room.press(guest, "*3")
    room.hear_out()
    room.wait(21.0)
    assert room.keys_heard(guest)[-1] is K.DIALOGUE_OVER
    room.press(guest, "*6")
    assert room.person(guest).self_muted


def test_who_waits_for_the_host_may_become_it() -> None:
    """The conference starts."""
    room = RoomDriver(ConferenceRules(chimes=False, start="on_host"))
    guest, other = room.enter(), room.enter()
    room.press(guest, f"*3{A_PIN}")
    answer(room, "right")
    assert room.in_room() == {guest, other}
    assert room.sessions == 1


# --- calling out -------------------------------------------------------------------------------


def test_a_number_is_keyed_to_its_hash_and_called() -> None:
    """Its digits are in no repr."""
    room, (host, _) = talking("host", "guest")
    room.press(host, "#70046812345#")
    (asked,) = room.dialled
    assert asked.number == "0046812345"
    assert "12345" not in repr(asked)
    assert room.keys_heard(host)[-1] is K.DIAL_CALLING
    room.press(host, "*6", gap_s=0.5)
    assert room.person(host).self_muted


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        ("off", K.DIAL_OFF),
        ("refused", K.DIAL_REFUSED),
        ("busy", K.DIAL_BUSY),
        ("no_answer", K.DIAL_NO_ANSWER),
        ("failed", K.DIAL_FAILED),
    ],
)
def test_what_became_of_a_call_is_told_to_the_host_alone(
    outcome: DialOutOutcome, said: PhraseKey
) -> None:
    """Who asked for it."""
    room, (host, guest) = talking("host", "guest")
    room.send(DialOutEnded(room.clock.now, host, outcome))
    assert room.keys_heard(host) == [said]
    assert room.keys_heard(guest) == []


def test_who_was_called_neither_knocks_nor_says_a_name() -> None:
    """A host wanted them here."""
    room = RoomDriver(ASK)
    room.name(room.enter("host"))
    assert room.person(room.enter(invited=True)).where is Where.ROOM


# --- the end for all ---------------------------------------------------------------------------


def test_the_end_for_all_comes_five_seconds_after_its_warning() -> None:
    """Everybody is warned, then hears goodbye."""
    room, (host, guest) = talking("host", "guest")
    room.press(host, "#0")
    assert room.keys_heard(host) == [K.END_WARNING, K.END_TAKE_BACK]
    assert room.keys_heard(guest) == [K.END_WARNING]
    room.hear_out()
    room.wait(5.1)
    room.hear_out()
    assert room.ended == dict.fromkeys((host, guest), EndCause.HOST_ENDED)
    assert room.session_end is SessionEnd.HOST_ENDED


def test_a_star_takes_the_end_back() -> None:
    """Everybody hears that it goes on."""
    room, (host, guest) = talking("host", "guest")
    room.press(host, "#0")
    room.press(host, "5*")
    room.hear_out()
    assert room.keys_heard(host)[-1] is K.END_WITHDRAWN
    assert room.keys_heard(guest)[-1] is K.END_WITHDRAWN
    room.wait(60.0)
    assert room.in_room() == {host, guest}


def test_a_host_who_hangs_up_after_it_means_it() -> None:
    """The others are let go politely."""
    room, (host, guest, _) = talking("host", "guest", "host")
    room.press(host, "#0")
    room.leave(host)
    room.hear_out()
    assert room.ended[guest] is EndCause.HOST_ENDED
    assert room.session_end is SessionEnd.HOST_ENDED


# --- the name ----------------------------------------------------------------------------------


def test_who_comes_says_a_name_and_goes_in() -> None:
    """Recorded after the tone, until hash."""
    room = RoomDriver(ASK)
    guest = room.enter()
    assert room.answers[guest] == Joined(waiting=True)
    assert room.person(guest).where is Where.ENTRANCE
    assert room.keys_heard(guest) == [K.NAME_ASK, K.TONE_BEEP]
    room.name(guest, 0.8)
    assert room.person(guest).where is Where.ROOM
    assert room.person(guest).named


def test_without_a_name_one_goes_in_where_it_is_only_asked_for() -> None:
    """Silence is an answer."""
    room = RoomDriver(ASK)
    guest = room.enter()
    room.name(guest, 0.1)
    assert room.person(guest).where is Where.ROOM
    assert not room.person(guest).named


def test_where_a_name_is_needed_it_is_asked_for_three_times() -> None:
    """Then goodbye."""
    room = RoomDriver(NEEDED)
    guest = room.enter()
    for _ in range(3):
        room.name(guest, 0.0)
    room.hear_out()
    assert room.ended == {guest: EndCause.NO_NAME}


def test_a_recording_that_never_comes_holds_nobody() -> None:
    """The media process has died, say."""
    room = RoomDriver(ASK)
    guest = room.enter()
    room.hear_out()
    room.wait(30.0)
    assert room.person(guest).where is Where.ROOM


def test_names_are_said_instead_of_tones_and_several_are_one_sentence() -> None:
    """One by name; five within three seconds by their count."""
    rules = ConferenceRules(names="ask")
    room = RoomDriver(rules)
    host = room.enter("host")
    room.name(host)
    room.press(host, "*8")
    room.hear_out()
    room.heard.clear()
    anna = room.enter()
    room.name(anna)
    room.wait(3.1)
    room.hear_out()
    assert room.keys_heard(host) == [K.JOINED_NAME]
    for leg in [room.enter() for _ in range(5)]:
        room.name(leg)
    room.wait(3.1)
    room.hear_out(host)
    assert room.keys_heard(host) == [K.JOINED_COUNT]
    room.leave(anna)
    room.wait(3.1)
    room.hear_out(host)
    assert room.keys_heard(host) == [K.LEFT_NAME]


def test_a_stream_of_newcomers_does_not_put_the_announcement_off() -> None:
    """The three seconds count from the first of them, not from the last."""
    room = RoomDriver(ConferenceRules(names="ask"))
    host = room.enter("host")
    room.name(host)
    room.press(host, "*8")
    room.hear_out()
    room.heard.clear()
    for _ in range(4):
        room.name(room.enter())
        room.wait(1.0)
    assert room.keys_heard(host) == [K.JOINED_COUNT]
