"""One's own mute, the host's mute and the mode: who is heard, and what each is told."""

from dialplan.actions import Place, Say
from dialplan.events import LegDigit, Steered
from dialplan.floor import Mode
from dialplan.phrases import PhraseKey
from dialplan.rules import ConferenceRules
from tests.dialplan.driver import RoomDriver, talking

K = PhraseKey
MUTED = [K.MUTED, K.KEY_UNMUTE]


def test_muting_oneself_says_so_and_the_same_keys_undo_it() -> None:
    """Each press says what is now; nobody else hears of it."""
    room, (guest, other) = talking("guest", "guest")
    room.press(guest, "*6")
    assert not room.person(guest).speaks
    assert room.keys_heard(guest) == MUTED
    room.press(guest, "*6")
    assert room.person(guest).speaks
    assert room.keys_heard(guest) == [K.UNMUTED]
    assert room.keys_heard(other) == []


def test_mute_all_spares_hosts_and_takes_later_joiners() -> None:
    """The fault that users report: a mute-all that misses some, or those who come later."""
    room, (host, one, two) = talking("host", "guest", "guest")
    room.press(host, "#6")
    late = room.enter()
    assert [room.person(leg).speaks for leg in (host, one, two, late)] == [True, *[False] * 3]
    assert room.keys_heard(host) == [K.ALL_MUTED]
    assert room.keys_heard(one) == [K.ALL_MUTED, K.KEY_RAISE_HAND]
    assert room.keys_heard(late)[-2:] == [K.HOST_MUTED, K.KEY_RAISE_HAND]
    room.hear_out()
    room.heard.clear()
    room.press(host, "#6")
    assert all(room.person(leg).speaks for leg in (host, one, two, late))
    assert room.keys_heard(late) == [K.ALL_UNMUTED]


def test_lifting_the_hosts_mute_opens_nobody_who_muted_themselves() -> None:
    """Nobody is ever opened unawares."""
    room, (host, guest) = talking("host", "guest")
    room.press(guest, "*6")
    room.hear_out()
    room.press(host, "#6")
    room.press(host, "#6", gap_s=0.5)
    room.hear_out()
    assert not room.person(guest).speaks
    assert room.keys_heard(guest)[-3:] == [K.ALL_UNMUTED, K.STILL_MUTED, K.KEY_UNMUTE]


def test_who_is_muted_by_a_host_cannot_open_but_hears_what_helps() -> None:
    """Star six lifts one's own mute only, and says what is left."""
    room, (host, guest) = talking("host", "guest")
    room.press(guest, "*6")
    room.press(host, "#6")
    room.hear_out()
    room.heard.clear()
    room.press(guest, "*6")
    assert not room.person(guest).self_muted
    assert not room.person(guest).speaks
    assert room.keys_heard(guest) == [K.HOST_MUTED, K.KEY_RAISE_HAND]
    room.press(host, "#6")
    assert room.person(guest).speaks


def test_modes_go_round_and_apply_to_later_joiners() -> None:
    """Conversation, questions, presentation, hosts only, and round again; hosts always speak."""
    room, (host, guest) = talking("host", "guest")
    expected = [Mode.QUESTIONS, Mode.PRESENTATION, Mode.HOSTS_ONLY, Mode.CONVERSATION]
    for mode in expected:
        room.press(host, "*7")
        assert room.room.view().mode is mode
        late = room.enter()
        open_ = mode is Mode.CONVERSATION
        assert room.person(host).speaks
        assert room.person(guest).speaks is room.person(late).speaks is open_
        room.hear_out()
        room.leave(late)


def test_in_questions_a_caller_opens_and_closes_themselves() -> None:
    """They are told the key; the next mode closes them again."""
    room, (host, guest) = talking("host", "guest")
    room.press(host, "*7")
    assert room.keys_heard(guest) == [K.MODE_QUESTIONS, K.KEY_UNMUTE]
    room.hear_out()
    room.press(guest, "*6")
    assert room.person(guest).speaks
    room.press(guest, "*6")
    assert not room.person(guest).speaks
    room.press(guest, "*6")
    assert room.person(guest).speaks
    room.press(host, "*7")
    assert not room.person(guest).speaks
    room.hear_out()
    room.heard.clear()
    room.press(guest, "*6")
    assert not room.person(guest).speaks
    assert room.keys_heard(guest) == [K.NOT_HEARD, K.KEY_RAISE_HAND]


def test_who_speaks_unheard_for_two_seconds_is_told_the_key() -> None:
    """Once a minute at most, and not for a cough."""
    room, (host, guest) = talking("host", "guest")
    room.press(guest, "*6")
    room.hear_out()
    room.heard.clear()
    room.speak(guest, 1.5)
    assert room.keys_heard(guest) == []
    room.speak(guest, 2.5)
    assert room.keys_heard(guest) == MUTED
    room.hear_out()
    room.speak(guest, 5.0)
    assert room.keys_heard(guest) == []
    room.wait(60.0)
    room.speak(guest, 2.5)
    assert room.keys_heard(guest) == MUTED
    room.speak(host, 5.0)
    assert room.keys_heard(host) == []


def test_what_only_a_host_can_lift_ends_with_the_last_host() -> None:
    """Everybody can speak when nobody is left who could let them."""
    room, (host, one, two) = talking("host", "guest", "guest")
    room.press(host, "#6")
    room.press(host, "*7*7", gap_s=0.3)
    room.hear_out()
    room.heard.clear()
    room.leave(host)
    assert room.person(one).speaks
    assert room.person(two).speaks
    assert room.keys_heard(one) == [K.MODE_CONVERSATION]
    assert not room.room.view().muted_all


def test_nobody_is_muted_from_outside_where_no_host_could_lift_it() -> None:
    """Neither one, nor all, nor by a mode."""
    room, (guest, _) = talking("guest", "guest")
    now = room.clock.now
    room.send(Steered(now, "mute", guest))
    room.send(Steered(now, "mute_all"))
    room.send(Steered(now, "mode", mode="presentation"))
    assert room.person(guest).speaks
    assert room.room.view().mode is Mode.CONVERSATION


def test_own_mute_host_mute_and_mode_are_told_apart() -> None:
    """Who watches sees all that keeps somebody from being heard, not only the first of it."""
    room, (host, guest) = talking("host", "guest")
    room.press(guest, "*6")
    room.send(Steered(room.clock.now, "mute", guest))
    room.send(Steered(room.clock.now, "mode", mode="presentation"))
    seen = room.person(guest)
    assert (seen.self_muted, seen.host_muted, seen.mode_muted) == (True, True, True)
    assert not room.person(host).mode_muted
    room.send(Steered(room.clock.now, "give_floor", guest))
    room.hear_out()
    assert not room.person(guest).mode_muted


def test_an_administrator_turns_the_room_up_and_down_for_one_listener() -> None:
    """Louder, softer, normal in turn, and the listener is told which."""
    room, (_host, guest) = talking("host", "guest")
    for words, level in ((K.LOUDER, 6.0), (K.SOFTER, -6.0), (K.NORMAL_VOLUME, 0.0)):
        room.send(Steered(room.clock.now, "volume", guest))
        assert room.keys_heard(guest) == [words]
        assert room.person(guest).volume_db == level
        assert room.volumes[guest] == level
        room.hear_out()


def test_a_mode_reaches_all_of_three_hundred_at_once() -> None:
    """One key, one event: everybody is closed before anybody is told, and everybody is told."""
    room = RoomDriver(ConferenceRules(capacity=300, chimes=False))
    host, *guests = [room.enter("host" if not number else "guest") for number in range(300)]
    room.hear_out()
    for mode in (K.MODE_QUESTIONS, K.MODE_PRESENTATION, K.MODE_HOSTS_ONLY, K.MODE_CONVERSATION):
        room.heard.clear()
        room.press(host, "*")
        done = room.send(LegDigit(room.clock.now, host, "7"))
        places = [each for each in done if isinstance(each, Place)]
        said = [index for index, each in enumerate(done) if isinstance(each, Say)]
        changes = mode in {K.MODE_QUESTIONS, K.MODE_CONVERSATION}
        assert [each.leg for each in places] == (guests if changes else [])
        assert {each.speaks for each in places} <= {mode is K.MODE_CONVERSATION}
        assert done[: len(places)] == places
        assert len(said) == 300
        assert all(room.heard[leg][0].key == mode for leg in (host, *guests))
        room.hear_out()
