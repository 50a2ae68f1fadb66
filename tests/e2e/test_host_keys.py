"""A meeting run from the keypad, through real SIP and RFC 4733: what each of the others hears.

What people say is looked for in what everybody else received. The other keys are in
`test_meeting_keys`; which test is whose is in `tests/test_key_table.py`.
"""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future

import pytest

from tests.support.bridge_under_test import BridgeUnderTest
from tests.support.meeting import QUICK, heard_by, meeting, settle

pytestmark = pytest.mark.e2e

AT_ONCE = 3
STORY_S = 240.0
"""Longest time until a story is told, with all those before it."""

Story = Callable[[BridgeUnderTest], None]


def own_mute_is_heard_by_nobody_and_undone_by_the_same_keys(bridge: BridgeUnderTest) -> None:
    """`*6`: who speaks all the same is told the key after two seconds."""
    _, host, (guest,) = meeting(bridge, "guest")
    since = guest.press("*6", QUICK)
    guest.hears("muted", since=since)
    settle(guest)
    since, words = guest.speak(3.0)
    assert not host.heard_of(since, words).match.heard
    guest.hears("key_unmute.1", since=since)
    settle(guest)
    since = guest.press("*6", QUICK)
    guest.hears("unmuted", since=since)
    settle(guest)
    assert heard_by(guest, host) == [True]


def mute_all_silences_all_but_hosts_and_who_comes_later(bridge: BridgeUnderTest) -> None:
    """`#6`, and again: everybody is told, nobody is missed."""
    room, host, (one, two) = meeting(bridge, "one", "two")
    since = host.press("#6", QUICK)
    for person in (host, one, two):
        person.hears("all_muted", since=since)
    late = bridge.caller("late").slip_in(bridge.number, room.guest_pin)
    settle(host, one, two, late)
    assert heard_by(one, host, two, late) == [False] * 3
    assert heard_by(late, host, one, two) == [False] * 3
    assert heard_by(host, one, two, late) == [True] * 3
    since = host.press("#6", QUICK)
    late.hears("all_unmuted", since=since)
    settle(host, one, two, late)
    assert heard_by(late, host, one) == [True, True]


def a_locked_conference_is_entered_by_a_knock(bridge: BridgeUnderTest) -> None:
    """`*5`: the newcomer hears music, the host alone is asked, `1` lets in."""
    room, host, (guest,) = meeting(bridge, "guest")
    since = host.press("*5", QUICK)
    host.hears("locked", since=since)
    settle(host)
    late = bridge.caller("late").dial(bridge.number)
    since = late.press(room.guest_pin, QUICK)
    late.hears("knock_sent", since=since)
    host.hears("knock_keys", since=since)
    late.hears_music(since=since)
    admitted = host.press("1", QUICK)
    host.hears("knock_admitted", since=admitted)
    assert guest.prompts(since, admitted) == []
    settle(late, host)
    assert heard_by(late, host, guest) == [True, True]


def roll_call_removes_and_the_removed_waits_for_a_word(bridge: BridgeUnderTest) -> None:
    """`#1`, `3`, `1`: heard by the host alone; who comes back knocks."""
    room, host, (out, stays) = meeting(bridge, "out", "stays")
    since = host.press("#1", QUICK)
    host.hears("roll_keys", since=since, for_s=1.0)
    since = host.press("#", QUICK)
    host.hears("caller_number.1", since=since)
    host.press("3", QUICK)
    since = host.press("1", QUICK)
    host.hears("roll_removed", since=since)
    assert bridge.people(room) == 2
    gone, left = (out, stays) if out.ended_by or out.prompts(since) else (stays, out)
    gone.hears("removed", since=since)
    assert gone.wait_end() == "bridge"
    assert bridge.leg_of(gone)["cause"] == "removed"
    assert left.prompts(since) == []
    host.press("*", QUICK)
    settle(host)
    back = bridge.caller("back").dial(bridge.number)
    since = back.press(room.guest_pin, QUICK)
    host.hears("knock_removed", since=since)


def breakout_rooms_part_and_come_together(bridge: BridgeUnderTest) -> None:
    """`#3`, `2`, `1`: each hears their own room; recalled twice they are together at once."""
    _, host, guests = meeting(bridge, "one", "two", "three", "four")
    since = host.press("#3", QUICK)
    host.hears("breakout_how_many", since=since)
    host.press("2", QUICK)
    since = host.press("1", QUICK)
    for guest in guests:
        guest.hears("breakout_room.1", since=since)
    settle(host, *guests)
    for guest in guests:
        others = [other for other in guests if other is not guest]
        assert heard_by(guest, *others).count(True) == 1
    assert heard_by(host, *guests) == [False] * 4
    for _ in range(2):
        host.press("#3", QUICK)
        time.sleep(0.5)
        since = host.press("1", QUICK)
        settle(host)
    guests[0].hears("breakout_back", since=since)
    settle(host, *guests)
    assert heard_by(guests[0], host, *guests[1:]) == [True] * 4


def coaching_is_heard_by_one_alone(bridge: BridgeUnderTest) -> None:
    """`#8`, `1`: the others hear nothing of it; `#8` again ends it."""
    _, host, guests = meeting(bridge, "one", "two")
    since = host.press("#8", QUICK)
    host.hears("coach_keys", since=since, for_s=1.0)
    host.press("#", QUICK)
    since = host.press("1", QUICK)
    host.hears("coaching", since=since)
    settle(host)
    assert sorted(heard_by(host, *guests)) == [False, True]
    assert heard_by(guests[0], host, guests[1]) == [True, True]
    since = host.press("#8", QUICK)
    host.hears("coach_ended", since=since)
    settle(host)
    assert heard_by(host, *guests) == [True, True]


def the_host_pin_makes_host_and_its_hash_and_nought_end_nothing(
    bridge: BridgeUnderTest,
) -> None:
    """`*3`, the PIN, `#`, then `0`: the keys of a host work, and the conference goes on."""
    room, _, (guest, other) = meeting(bridge, "guest", "other")
    since = guest.press("*3", QUICK)
    guest.hears("host_pin_enter", since=since)
    guest.press(f"{room.host_pin}#0", QUICK)
    settle(guest)
    since = guest.press("#6", QUICK)
    other.hears("all_muted", since=since)
    assert bridge.people(room) == 3
    guest.hang_up()
    assert bridge.leg_of(guest)["role"] == "host"


def the_end_for_all_can_be_taken_back_and_comes(bridge: BridgeUnderTest) -> None:
    """`#0`, `*`; then `#0` alone: everybody is warned, then hears goodbye."""
    _, host, (guest,) = meeting(bridge, "guest")
    host.press("#0", QUICK)
    time.sleep(0.5)
    since = host.press("*", QUICK)
    host.hears("end_withdrawn", since=since)
    guest.hears("end_withdrawn", since=since)
    settle(host, guest)
    assert heard_by(host, guest) == [True]
    since = host.press("#0", QUICK)
    guest.hears("end_warning", since=since)
    guest.hears("conference_ended", since=since)
    guest.hears("goodbye", since=since)
    assert guest.wait_end() == "bridge"
    assert bridge.leg_of(guest)["cause"] == "host_ended"


def a_guest_has_no_hosts_keys(bridge: BridgeUnderTest) -> None:
    """A short tone for each, and nothing changes for anybody."""
    _, host, (guest, other) = meeting(bridge, "guest", "other")
    since = time.monotonic()
    for keys in ("#6", "*5", "*7", "#0", "#3"):
        guest.press(keys, QUICK)
        time.sleep(0.6)
    settle(guest)
    assert host.prompts(since) == []
    assert other.prompts(since) == []
    assert heard_by(other, host, guest) == [True, True]


STORIES = (
    own_mute_is_heard_by_nobody_and_undone_by_the_same_keys,
    mute_all_silences_all_but_hosts_and_who_comes_later,
    a_locked_conference_is_entered_by_a_knock,
    roll_call_removes_and_the_removed_waits_for_a_word,
    breakout_rooms_part_and_come_together,
    coaching_is_heard_by_one_alone,
    the_host_pin_makes_host_and_its_hash_and_nought_end_nothing,
    the_end_for_all_can_be_taken_back_and_comes,
    a_guest_has_no_hosts_keys,
)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_a_meeting_run_by_keys(story: Story, told: Mapping[Story, "Future[None]"]) -> None:
    """Each story comes to its end."""
    told[story].result(STORY_S)
