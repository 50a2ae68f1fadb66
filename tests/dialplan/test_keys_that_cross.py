"""Keys at the wrong moment: cut by hang-up, pressed by two at once, or by who may not."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialplan.conference import ConferenceState
from dialplan.events import LegDigit, LegPromptDone
from dialplan.floor import Mode, Where
from dialplan.keypad import KEY_MAP
from dialplan.phrases import PhraseKey
from tests.dialplan.driver import RoomDriver, talking

K = PhraseKey

SEQUENCES: Final = (
    ("*6", 2),
    ("*2", 2),
    ("*4", 2),
    ("*#", 2),
    ("*1", 2),
    ("*5", 2),
    ("*7", 2),
    ("*8", 2),
    ("*9", 2),
    ("#2", 2),
    ("#6", 2),
    ("#0*", 2),
    ("#1##1*", 5),
    ("#1##2", 5),
    ("#1##31", 6),
    ("#1##41", 6),
    ("#1##5#8", 5),
    ("#8##1", 5),
    ("#321#3", 4),
    ("#322#31", 4),
    ("#70046701740605#", 16),
)
"""What a host keys, and at which key something happens to the others."""


def cuts() -> list[tuple[str, int]]:
    """List every place at which somebody may hang up."""
    return [(keys, cut) for keys, _ in SEQUENCES for cut in range(1, len(keys) + 1)]


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize(("keys", "cut"), cuts())
def test_a_host_who_hangs_up_at_any_key_leaves_a_meeting_that_works(
    keys: str, cut: int, *, alone: bool
) -> None:
    """Nothing happens before its last key; no timer, dialogue or question of theirs is left."""
    effect = dict(SEQUENCES)[keys]
    room, (host, other, one, two) = talking("host", "guest" if alone else "host", "guest", "guest")
    people = [room.person(leg) for leg in (other, one, two)]
    room.press(host, keys[:cut])
    view = room.room.view()
    if cut < effect:
        assert [room.person(leg) for leg in (other, one, two)] == people
        assert not room.dialled
    room.leave(host)
    assert not [timer for timer in room.room.timers if timer.endswith(f":{host}")]
    ends = keys.startswith("#0") and cut == effect
    assert (room.room.state is ConferenceState.CLOSING) is ends
    room.hear_out()
    if ends:
        assert room.room.over
        return
    if not alone:
        assert room.room.view().mode is view.mode
        assert room.room.view().locked is view.locked
        assert room.room.view().breakouts == view.breakouts
    room.wait(61.0)
    room.hear_out()
    removed = keys.startswith("#1##31") and cut == effect
    staying = [each for each in room.room.people() if each.where is Where.ROOM]
    assert len(staying) == 3 - removed
    if alone:
        assert all(each.speaks for each in staying if each.role == "guest")
        assert room.room.view().mode is Mode.CONVERSATION
        assert not room.room.view().locked
        room.wait(61.0)
        room.hear_out()
        assert room.room.view().breakouts == 0
    else:
        room.heard.clear()
        room.press(other, "#1")
        assert room.keys_heard(other) == [K.ROLL_KEYS]


LOCK = {True: K.LOCKED, False: K.UNLOCKED}
MUTED = {True: K.ALL_MUTED, False: K.ALL_UNMUTED}
SOUNDS = {"chime": K.SOUNDS_CHIME, "name": K.SOUNDS_NAME, "off": K.SOUNDS_OFF}
MODES = {
    Mode.CONVERSATION: K.MODE_CONVERSATION,
    Mode.QUESTIONS: K.MODE_QUESTIONS,
    Mode.PRESENTATION: K.MODE_PRESENTATION,
    Mode.HOSTS_ONLY: K.MODE_HOSTS_ONLY,
}


def check_last_words(room: RoomDriver, *hosts: int) -> None:
    """See that what a host heard last of the room is how it is."""
    view = room.room.view()
    truths = (
        (LOCK.values(), LOCK[view.locked]),
        (MUTED.values(), MUTED[view.muted_all]),
        (SOUNDS.values(), SOUNDS[view.sounds]),
        (MODES.values(), MODES[view.mode]),
    )
    for host in hosts:
        heard = [said.key for said in room.heard.get(host, [])]
        for words, now in truths:
            said = [key for key in heard if key in words]
            assert not said or said[-1] is now


@pytest.mark.parametrize("keys", ["*5", "#6", "*7", "*8"])
@pytest.mark.parametrize("interleaved", [False, True])
def test_of_two_hosts_who_press_at_once_both_hear_what_it_is_in_the_end(
    keys: str, *, interleaved: bool
) -> None:
    """The same tick: both count, in the order in which they came, and both know."""
    room, (one, two, _) = talking("host", "host", "guest")
    pressed = [(leg, key) for leg in (one, two) for key in keys]
    if interleaved:
        pressed[1], pressed[2] = pressed[2], pressed[1]
    for leg, each in pressed:
        room.send(LegDigit(room.clock.now, leg, each))
    room.hear_out()
    assert room.heard[one]
    assert room.heard[two]
    check_last_words(room, one, two)


@pytest.mark.parametrize("keys", ["*5", "#6", "*7", "*8"])
def test_what_waits_to_be_said_is_dropped_when_ones_own_key_makes_it_old(keys: str) -> None:
    """A host listens to something long while another acts, then presses the same."""
    room, (one, two, guest) = talking("host", "host", "guest")
    room.press(guest, "*2")
    room.hear_out()
    room.heard.clear()
    room.press(two, "*4")
    room.press(one, "#2")
    room.press(one, keys)
    room.press(two, keys)
    room.hear_out()
    check_last_words(room, one, two)


def test_of_two_hosts_who_give_the_floor_at_once_each_gives_it_to_one() -> None:
    """`#2` twice in a tick: the first two in line; with one in line, the second host is told so."""
    room, (one, two, first, second) = talking("host", "host", "guest", "guest")
    room.press(one, "*7*7")
    for guest in (first, second):
        room.press(guest, "*2")
    room.hear_out()
    for leg in (one, two):
        room.send(LegDigit(room.clock.now, leg, "#"))
    for leg in (one, two):
        room.send(LegDigit(room.clock.now, leg, "2"))
    room.hear_out()
    assert room.person(first).speaks
    assert room.person(second).speaks
    room.heard.clear()
    room.press(first, "*2")
    room.hear_out()
    room.heard.clear()
    for leg in (one, two):
        room.send(LegDigit(room.clock.now, leg, "#"))
    for leg in (one, two):
        room.send(LegDigit(room.clock.now, leg, "2"))
    assert K.NO_HANDS in room.keys_heard(two)


def test_of_two_hosts_one_ends_it_and_one_takes_nothing_back() -> None:
    """`#0` is taken back by who pressed it; the other's `*` is a key of their own."""
    room, (one, two, _) = talking("host", "host", "guest")
    room.press(one, "#0", 0.0)
    room.press(two, "*", 0.0)
    room.wait(5.1)
    assert room.room.state is ConferenceState.CLOSING


def test_two_hosts_open_breakout_rooms_at_once_and_the_first_counts() -> None:
    """Both menus to their end in the same tick: the rooms are the first one's."""
    room, (one, two, *guests) = talking("host", "host", "guest", "guest", "guest", "guest")
    for key in "#321":
        room.send(LegDigit(room.clock.now, one, key))
        room.send(LegDigit(room.clock.now, two, {"2": "4"}.get(key, key)))
    assert room.room.view().breakouts == 2
    assert sorted(room.person(guest).group for guest in guests) == [1, 1, 2, 2]


STEPS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from([*(k for k in KEY_MAP if k not in {"#0", "*3"}), "*", "#", "1", "ended"]),
        st.sampled_from([0.0, 0.0, 0.3]),
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=200)
@given(STEPS)
def test_whatever_two_hosts_press_the_last_word_is_true(
    steps: list[tuple[int, str, float]],
) -> None:
    """Opposite keys in any order, with prompts that end or are cut in between."""
    room, legs = talking("host", "host", "guest")
    for who, keys, gap_s in steps:
        leg = legs[who]
        if leg not in room.present:
            continue
        if keys == "ended":
            if leg in room.saying:
                room.send(LegPromptDone(room.clock.now, leg, room.saying[leg].play))
        else:
            room.press(leg, keys, gap_s)
    for _ in range(3):
        room.hear_out()
        room.wait(30.0)
    check_last_words(room, *(leg for leg in legs[:2] if leg in room.present))


@pytest.mark.parametrize(
    "keys", [keys for keys, key in KEY_MAP.items() if "guest" not in key.roles]
)
def test_a_hosts_key_does_nothing_for_a_guest_but_a_short_tone(keys: str) -> None:
    """Nobody else hears of it, nothing of the room changes, no dialogue opens."""
    room, (host, guest, other) = talking("host", "guest", "guest")
    before, people = room.room.view(), room.room.people()
    room.press(guest, keys)
    assert room.keys_heard(guest) == [K.TONE_BEEP]
    assert (room.room.view(), room.room.people()) == (before, people)
    assert not room.keys_heard(host) + room.keys_heard(other)
    room.hear_out()
    room.press(guest, "1")
    assert room.keys_heard(guest) == [K.TONE_BEEP]
