"""More keys of a meeting, through real SIP and RFC 4733: what each of the others hears.

Several keys share a story where one follows from the other. Which test is whose is in
`tests/test_key_table.py`.
"""

import functools
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future

import pytest

from tests.support.bridge_under_test import BridgeUnderTest
from tests.support.caller import Caller, all_at_once, hears_each_other
from tests.support.meeting import QUICK, heard_by, heard_tone, hush, meeting

pytestmark = pytest.mark.e2e

AT_ONCE = 3
STORY_S = 240.0
"""Longest time until a story is told, with all those before it."""

Story = Callable[[BridgeUnderTest], None]

TO_BE_READ_OUT_S = 30.0
"""Longest time for a role's keys."""


def all_hear(since: float, clip: str, *people: Caller) -> None:
    """Wait until everybody has heard the beginning of something."""
    all_at_once(*(functools.partial(each.hears, clip, since=since, for_s=0.6) for each in people))


def who_hears(since: float, clip: str, *people: Caller) -> Caller:
    """Wait until one of several is told something, and say who."""
    deadline = time.monotonic() + 8.0
    while time.monotonic() < deadline:
        for person in people:
            try:
                person.hears(clip, since=since, timeout=0.0, for_s=0.6)
            except AssertionError:
                continue
            return person
    message = f"none of {[each.name for each in people]} heard {clip}"
    raise AssertionError(message)


def everybody_is_told_of_keys_heads_and_hands_alone(bridge: BridgeUnderTest) -> None:
    """`*4`, `*#`, `*2`: the keys of one's role until a key cuts them; counts; one's place in line.

    Whoever presses hears it, the hosts hear how many hands are up, and nobody hears more.
    """
    _, host, (reader, two, three) = meeting(bridge, "reader", "two", "three")
    host_began, reader_began = host.press("*4", QUICK), reader.press("*4", QUICK)
    began = time.monotonic()
    two.hears("muted", since=two.press("*6", QUICK), for_s=0.5)
    since = two.press("*#", QUICK)
    two.hears("count_speakers.3", since=since, for_s=0.5)
    two.hears("count_listeners.one", since=since, for_s=0.5)
    since = three.press("*2", QUICK)
    three.hears("hand_place.one", since=since)
    since = two.press("*2", QUICK)
    two.hears("hand_place.2", since=since)
    since = three.press("*2", QUICK)
    three.hears("hand_lowered", since=since, for_s=0.6)
    since = three.press("*2", QUICK)
    three.hears("hand_place.2", since=since)
    assert three.prompts(began) == [
        "hand_raised",
        "hand_place.one",
        "hand_lowered",
        "hand_raised",
        "hand_place.2",
    ]
    host.hears("key_lock.1", since=host_began, timeout=TO_BE_READ_OUT_S)
    since = host.press("D", QUICK)
    host.hears("hands_up.2", since=since, for_s=0.8)
    assert "key_end_all.1" not in host.prompts(host_began)
    assert "key_become_host.1" not in host.prompts(host_began)
    reader.hears("key_become_host.1", since=reader_began, timeout=TO_BE_READ_OUT_S)
    reader.silent_for(1.0)
    read = reader.prompts(reader_began)
    assert read[0] == "keys_are"
    keys = {"mute", "raise_hand", "volume", "count", "become_host", "help"}
    assert {clip for clip in read if clip.startswith("key_")} == {f"key_{key}.1" for key in keys}


def each_mode_silences_whom_it_should(bridge: BridgeUnderTest) -> None:
    """`*7` four times, with `*6` for questions, `*2` and `#2` for the floor; later joiners too."""
    room, host, (one, two) = meeting(bridge, "one", "two")
    people = [host, one, two]

    def next_mode(clip: str) -> None:
        all_hear(host.press("*7", QUICK), clip, *people)
        hush(*people)

    next_mode("mode_questions")
    since = one.press("*6", QUICK)
    one.hears("unmuted", since=since, for_s=0.5)
    late = bridge.caller("late").dial(bridge.number)
    since = late.press(room.guest_pin, QUICK)
    late.hears("not_heard", since=since)
    people.append(late)
    hush(*people)
    assert hears_each_other(people, seconds=1.0) == {
        "host": ["one"],
        "one": ["host"],
        "two": ["host", "one"],
        "late": ["host", "one"],
    }
    next_mode("mode_presentation")
    since = two.press("*2", QUICK)
    all_hear(since, "hands_up.one", host)
    since = host.press("#2", QUICK)
    two.hears("your_turn", since=since, for_s=0.6)
    all_hear(since, "next_has_floor", host, one, late)
    hush(*people)
    assert hears_each_other(people, seconds=1.0) == {
        "host": ["two"],
        "one": ["host", "two"],
        "two": ["host"],
        "late": ["host", "two"],
    }
    next_mode("mode_hosts_only")
    assert heard_by(two, host, one) == [False, False]
    next_mode("mode_conversation")
    assert heard_by(late, host, one) == [True, True]


def roll_call_opens_promotes_and_mutes_the_one_just_named(bridge: BridgeUnderTest) -> None:
    """`#1` with `1`, `2`, `4` `1`, `#`, `*` and `5`, `#8`: each is told, and nobody else.

    All are muted first: who is lifted, who gets the floor and who is made host are heard again.
    The new host then calls the roll: mutes one again, and coaches.
    """
    _, host, guests = meeting(bridge, "one", "two", "three")
    people = [host, *guests]
    all_hear(host.press("#6", QUICK), "all_muted", *people)
    hush(*people)
    host.hears("roll_keys", since=host.press("#1", QUICK), for_s=0.6)
    called = time.monotonic()
    host.hears("caller_number.1", since=host.press("#", QUICK), for_s=0.5)
    since = host.press("1", QUICK)
    host.hears("roll_unmuted", since=since, for_s=0.5)
    lifted = who_hears(since, "host_unmuted", *guests)
    host.hears("caller_number.1", since=host.press("#", QUICK), for_s=0.5)
    since = host.press("2", QUICK)
    host.hears("roll_floor", since=since, for_s=0.5)
    floor = who_hears(since, "your_turn", *guests)
    host.hears("caller_number.1", since=host.press("#", QUICK), for_s=0.5)
    host.hears("confirm_host", since=host.press("4", QUICK), for_s=0.6)
    since = host.press("1", QUICK)
    host.hears("roll_now_host", since=since, for_s=0.5)
    second = who_hears(since, "now_host", *guests)
    host.hears("roll_end", since=host.press("#", QUICK), for_s=0.5)
    assert {lifted, floor, second} == set(guests)
    hush(*people)
    assert lifted.prompts(called) == ["host_unmuted"]
    names = [each.name for each in people]
    assert hears_each_other(people, seconds=1.0) == {
        each.name: [name for name in names if name != each.name] for each in people
    }
    second.hears("roll_keys", since=second.press("#1", QUICK), for_s=0.6)
    second.hears("roll_is_host", since=second.press("#", QUICK), timeout=15.0, for_s=0.5)
    second.hears("caller_number.1", since=second.press("#", QUICK), for_s=0.5)
    since = second.press("1", QUICK)
    muted = who_hears(since, "host_muted", lifted, floor)
    second.press("*", QUICK)
    second.hears("roll_end", since=since)
    hush(*people)
    others = [each for each in people if each is not muted]
    assert heard_by(muted, *others) == [False] * 3
    second.hears("roll_keys", since=second.press("#1", QUICK), for_s=0.6)
    second.hears("roll_is_host", since=second.press("#", QUICK), timeout=15.0, for_s=0.5)
    second.hears("coaching", since=second.press("5", QUICK), for_s=0.6)
    hush(second)
    assert heard_by(second, host, lifted, floor) == [True, False, False]
    second.hears("coach_ended", since=second.press("#8", QUICK), for_s=0.5)
    hush(second)
    assert heard_by(second, host, lifted, floor) == [True] * 3


def a_knock_is_refused_the_lock_taken_back_and_sounds_changed(
    bridge: BridgeUnderTest,
) -> None:
    """`*5` with `2`, `*5` again, `*#` while one knocks, `*8` round, `*9` and `#9`."""
    room, host, (guest,) = meeting(bridge, "guest")
    host.hears("locked", since=host.press("*5", QUICK), for_s=0.5)
    late = bridge.caller("late").dial(bridge.number)
    since = late.press(room.guest_pin, QUICK)
    host.hears("knock_keys", since=since, for_s=0.6)
    counted = guest.press("*#", QUICK)
    guest.hears("count_waiting.one", since=counted, for_s=0.5)
    since = host.press("2", QUICK)
    host.hears("knock_refused", since=since, for_s=0.5)
    late.hears("not_admitted", since=since, for_s=0.6)
    late.hears("goodbye", since=since, for_s=0.5)
    assert late.wait_end() == "bridge"
    assert bridge.leg_of(late)["cause"] == "not_admitted"
    again = bridge.caller("again").dial(bridge.number)
    since = again.press(room.guest_pin, QUICK)
    host.hears("knock_keys", since=since, for_s=0.6)
    since = host.press("*5", QUICK)
    host.hears("unlocked", since=since, for_s=0.5)
    bridge.wait_until(lambda: bridge.people(room) == 3, 5, "the one who knocked to be in")
    hush(host, again)
    assert heard_by(again, host, guest) == [True, True]
    assert guest.prompts(counted) == ["count_speakers.2", "count_waiting.one"]
    assert heard_tone(guest, counted) == [], "the conference began without tones"
    since = host.press("*8", QUICK)
    host.hears("sounds_chime", since=since, for_s=0.5)
    hush(host)
    again.hang_up()
    for person in (host, guest):
        person.hears_tone("exit", since=again.ended_at)
    host.hears("sounds_name", since=host.press("*8", QUICK), for_s=0.5)
    since = time.monotonic()
    third = bridge.caller("third").slip_in(bridge.number, room.guest_pin, settle=False)
    all_hear(since, "joined_count.one", host, guest)
    host.hears("sounds_off", since=host.press("*8", QUICK), for_s=0.5)
    hush(host, guest)
    third.hang_up()
    for keys in ("*9", "#9"):
        host.hears("no_recording", since=host.press(keys, QUICK), for_s=0.6)
        hush(host)
    assert guest.prompts(third.ended_at) == []
    assert heard_tone(guest, third.ended_at) == []


def people_choose_their_room_and_the_host_visits(bridge: BridgeUnderTest) -> None:
    """`#3`, `2`, `2`; then `#3` `2`: each hears the room they are in, and no other."""
    _, host, (one, two) = meeting(bridge, "one", "two")
    host.hears("breakout_how_many", since=host.press("#3", QUICK), for_s=0.5)
    host.hears("breakout_how", since=host.press("2", QUICK), for_s=0.5)
    all_hear(host.press("2", QUICK), "breakout_choose.1", one, two)
    for number, guest in enumerate((one, two), 1):
        guest.hears("breakout_room.1", since=guest.press(str(number), QUICK), for_s=0.5)
    host.hears("breakout_menu", since=host.press("#3", QUICK), for_s=0.5)
    host.hears("breakout_room.1", since=host.press("2", QUICK), for_s=0.5)
    hush(host, one, two)
    assert hears_each_other([host, one, two], seconds=1.0) == {
        "host": ["one"],
        "one": ["host"],
        "two": [],
    }


STORIES = (
    everybody_is_told_of_keys_heads_and_hands_alone,
    each_mode_silences_whom_it_should,
    roll_call_opens_promotes_and_mutes_the_one_just_named,
    a_knock_is_refused_the_lock_taken_back_and_sounds_changed,
    people_choose_their_room_and_the_host_visits,
)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_a_meeting_run_by_keys(story: Story, told: Mapping[Story, "Future[None]"]) -> None:
    """Each story comes to its end."""
    told[story].result(STORY_S)
