"""What a conference's rules mean to callers: waiting, full, closed, ended."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.bridge_under_test import BridgeUnderTest
from tests.support.caller import Caller
from tests.support.rtp import Digits

pytestmark = pytest.mark.e2e

QUICK = Digits(on_ms=60, off_ms=40)


def keyed(person: Caller, bridge: BridgeUnderTest, pin: str) -> float:
    """Dial and key a PIN; return when its last digit began."""
    return person.dial(bridge.number).press(pin, QUICK)


def test_guest_waits_with_music_until_the_host_comes(bridge: BridgeUnderTest) -> None:
    """Who is first is told so and hears music; the host's coming starts the talk, for both."""
    room = bridge.room(start="on_host")
    guest, host = bridge.caller("waits"), bridge.caller("comes")
    since = keyed(guest, bridge, room.guest_pin)
    guest.hears("waiting_for_host", since=since)
    guest.hears_music(since=since, timeout=15)
    assert bridge.operate("cdr.legs", caller=guest.caller)[0]["session"] is None
    since = keyed(host, bridge, room.host_pin)
    guest.hears("conference_starts", since=since)
    host.hears("people_waited.one", since=since)
    guest.silent_for(0.8)
    host.silent_for(0.8)
    assert host.heard_of(*guest.speak()).match.heard
    assert guest.heard_of(*host.speak()).match.heard
    host.hang_up()
    guest.hears_tone("exit", since=host.ended_at)
    guest.hang_up()
    legs = [bridge.leg_of(person) for person in (guest, host)]
    assert [leg["role"] for leg in legs] == ["guest", "host"]
    assert legs[0]["session"] == legs[1]["session"] is not None


def test_somebody_who_comes_is_announced_to_the_room_by_a_chime_only(
    bridge: BridgeUnderTest,
) -> None:
    """The room hears the chime; the words to the newcomer are the newcomer's alone."""
    room = bridge.room()
    first = bridge.caller("first").slip_in(bridge.number, room.guest_pin)
    second = bridge.caller("second")
    since = keyed(second, bridge, room.guest_pin)
    first.hears_tone("enter", since=since)
    second.hears("others_here.one", since=since)
    time.sleep(0.5)
    assert "joining" not in first.prompts(since)
    assert "others_here.one" not in first.prompts(since)


def test_full_conference_says_so_after_the_pin(bridge: BridgeUnderTest) -> None:
    """The third of two hears that it is full, and goodbye; nobody inside hears of it."""
    room = bridge.room(capacity=2)
    people = [bridge.caller(name) for name in ("one", "two")]
    bridge.bring_in(room, *people)
    late = bridge.caller("late")
    since = keyed(late, bridge, room.guest_pin)
    late.hears("conference_full", since=since)
    late.hears("goodbye", since=since)
    assert late.wait_end() == "bridge"
    leg = bridge.leg_of(late)
    assert (leg["cause"], leg["session"]) == ("conference_full", None)
    assert [row["reason"] for row in bridge.operate("cdr.refused") if row["leg"] == leg["leg"]] == [
        "conference_full"
    ]
    assert people[0].prompts(since) == []


def test_closed_conference_says_when_it_opens(bridge: BridgeUnderTest) -> None:
    """Hours are spoken after a right PIN: not open yet, call again on that day."""
    opens = datetime.now(UTC) + timedelta(days=3)
    room = bridge.room(opens_at=opens.strftime("%Y-%m-%dT09:30"), time_zone="UTC")
    early = bridge.caller("early")
    since = keyed(early, bridge, room.guest_pin)
    early.hears("conference_closed", since=since)
    early.hears(f"weekday.{opens.isoweekday()}", since=since)
    early.hears("time.0930", since=since)
    early.hears("goodbye", since=since)
    assert early.wait_end() == "bridge"
    assert bridge.leg_of(early)["cause"] == "conference_closed"


def test_conference_over_its_hours_says_so(bridge: BridgeUnderTest) -> None:
    """A window that has passed: the conference is over."""
    yesterday = datetime.now(UTC) - timedelta(days=1)
    room = bridge.room(time_zone="UTC")
    bridge.operate(
        "conference.change",
        conference=room.name,
        opens_at=(yesterday - timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M"),
        closes_at=yesterday.strftime("%Y-%m-%dT%H:%M"),
    )
    person = bridge.caller("after")
    since = keyed(person, bridge, room.guest_pin)
    person.hears("conference_over", since=since)
    assert person.wait_end() == "bridge"


def test_host_who_leaves_ends_it_where_the_rule_says_so(bridge: BridgeUnderTest) -> None:
    """Without grace the guests hear that it has ended, goodbye, and get a BYE."""
    room = bridge.room(end="host_leaves", grace_s=0)
    host, guest = bridge.caller("host"), bridge.caller("guest")
    host.slip_in(bridge.number, room.host_pin)
    guest.slip_in(bridge.number, room.guest_pin)
    host.hang_up()
    guest.hears("conference_ended", since=host.ended_at)
    guest.hears("goodbye", since=host.ended_at)
    assert guest.wait_end() == "bridge"
    leg = bridge.leg_of(guest)
    assert leg["cause"] == "host_left"
    bridge.wait_until(
        lambda: bridge.operate("cdr.sessions", limit=1)[0]["ended_at"] is not None,
        10,
        "the session's record to be closed",
    )
    assert bridge.operate("cdr.sessions", limit=1)[0]["end_reason"] == "host_left"


def test_removed_conference_ends_politely(bridge: BridgeUnderTest) -> None:
    """An administrator who removes a conference ends it, in words, for those inside."""
    room = bridge.room()
    person = bridge.caller("removed").slip_in(bridge.number, room.guest_pin)
    since = time.monotonic()
    bridge.operate("conference.remove", conference=room.name)
    person.hears("conference_ended", since=since)
    assert person.wait_end() == "bridge"
    assert bridge.leg_of(person)["cause"] == "administrator"


def test_swedish_number_speaks_swedish(bridge: BridgeUnderTest) -> None:
    """The greeting is in the number's language."""
    bridge.operate("number.add", number="+46850550000", language="sv")
    person = bridge.caller("svensk")
    person.language = "sv"
    person.dial("+46850550000")
    person.greeted()
    assert person.prompts() == ["welcome", "enter_pin"]
