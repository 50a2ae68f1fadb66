"""People whom the bridge calls: who presses 1 is in, the others are let go, some are not called."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.support.bridge_under_test import BridgeUnderTest, Room, free_port
from tests.support.callee import Callee
from tests.support.caller import Caller, hears_each_other
from tests.support.meeting import QUICK, heard_by, hush
from tests.support.meeting import meeting as people_meeting

pytestmark = pytest.mark.e2e

PROXY = free_port()
SETTINGS = {
    "DIALIN_DIAL_OUT__ALLOWED": "true",
    "DIALIN_DIAL_OUT__CALLER": "+12025550100",
    "DIALIN_DIAL_OUT__COUNTRIES": "SE",
    "DIALIN_DIAL_OUT__RATES": "46=0.02",
    "DIALIN_DIAL_OUT__CONFERENCE_PER_HOUR": "1",
    "DIALIN_DIAL_OUT__RING_S": "5",
    "DIALIN_DIAL_OUT__PRESS_S": "6",
    "DIALIN_DIAL_OUT__PROXY": f"127.0.0.1:{PROXY}",
}
MOBILE = "+46701740699"


def callee(bridge: BridgeUnderTest, answer: int | None = 200) -> Callee:
    """Return somebody to call; closed with the bridge at the latest."""
    person = Callee(bridge.address, MOBILE, PROXY, answer=answer, name="callee")
    bridge.private.add(MOBILE)
    bridge.callers.append(person)
    return person


def meeting(bridge: BridgeUnderTest, name: str) -> tuple[Room, Caller]:
    """Return a conference with somebody in it."""
    room, host = bridge.room(chimes=False), bridge.caller(name)
    host.slip_in(bridge.number, room.guest_pin)
    return room, host


def ask(bridge: BridgeUnderTest, room: Room, number: str = MOBILE) -> Future[dict[str, str]]:
    """Have somebody called; the answer comes when the call has come to something."""
    pool = ThreadPoolExecutor(1)
    future: Future[dict[str, str]] = pool.submit(
        bridge.operate, "conference.dial", conference=room.name, number=number
    )
    pool.shutdown(wait=False)
    return future


def test_who_is_called_presses_one_and_is_heard(bridge: BridgeUnderTest) -> None:
    """The invitation is heard by nobody else; after the 1 both hear each other; BYE ends it."""
    room, host = meeting(bridge, "hedda")
    person = callee(bridge)
    asked = ask(bridge, room)
    person.is_called(bridge.number)
    person.hears("dial_invited")
    assert bridge.people(room) == 1
    person.press("1")
    assert asked.result(10)["outcome"] == "joined"
    bridge.wait_until(lambda: bridge.people(room) == 2, 5, "both in the room")
    assert "dial_invited" not in host.prompts()
    person.silent_for(0.8)
    assert host.heard_of(*person.speak()).match.heard
    assert person.heard_of(*host.speak()).match.heard
    person.hang_up()
    bridge.wait_until(lambda: bridge.people(room) == 1, 5, "one in the room")
    assert bridge.leg_of(person)["direction"] == "out"
    host.hang_up()
    assert bridge.leg_of(host)["direction"] == "in"


def test_a_host_calls_somebody_by_keys(bridge: BridgeUnderTest) -> None:
    """`#7`, the number, `#`; then `1` at the other end: asked alone, and heard by all from then on.

    A number that is not called is refused to the host, in words; a stray key is no consent.
    """
    _, host, (guest,) = people_meeting(bridge, "guest")
    began = host.press("#7", QUICK)
    host.hears("dial_enter", since=began, for_s=0.6)
    since = host.press("112#", QUICK)
    host.hears("dial_refused", since=since, for_s=0.6)
    person = callee(bridge)
    host.hears("dial_enter", since=host.press("#7", QUICK), for_s=0.6)
    host.hears("dial_calling", since=host.press(f"00{MOBILE[1:]}#", QUICK), for_s=0.5)
    person.is_called(bridge.number)
    person.hears("dial_invited", for_s=0.6)
    assert heard_by(person, host, guest) == [False, False]
    person.press("2", QUICK)
    person.hears("joining", since=person.press("1", QUICK), for_s=0.6)
    hush(host, person)
    assert guest.prompts(began) == []
    assert hears_each_other([host, guest, person], seconds=1.0) == {
        "host": ["guest", "callee"],
        "guest": ["host", "callee"],
        "callee": ["host", "guest"],
    }


def test_who_is_busy_is_told_to_be(bridge: BridgeUnderTest) -> None:
    """486: the word for it, and the conference goes on."""
    room, _ = meeting(bridge, "ivar")
    person = callee(bridge, answer=486)
    asked = ask(bridge, room)
    person.is_called(bridge.number)
    assert asked.result(10)["outcome"] == "busy"
    assert bridge.people(room) == 1


def test_voicemail_does_not_come_in(bridge: BridgeUnderTest) -> None:
    """`#7` without the `1`: it answers and talks, nobody hears it, and it is hung up."""
    room, host = meeting(bridge, "jens")
    person = callee(bridge)
    asked = ask(bridge, room)
    person.is_called(bridge.number)
    person.hears("dial_invited")
    began, words = person.speak()
    assert asked.result(15)["outcome"] == "not_accepted"
    assert person.wait_end() == "bridge"
    assert not host.heard_of(began, words).match.heard
    assert bridge.people(room) == 1


def test_who_does_not_answer_is_given_up(bridge: BridgeUnderTest) -> None:
    """It rings for as long as the settings say, and is cancelled."""
    room, _ = meeting(bridge, "kaj")
    person = callee(bridge, answer=180)
    asked = ask(bridge, room)
    person.is_called(bridge.number)
    assert asked.result(15)["outcome"] == "no_answer"
    person.wait_for(lambda: bool(person.requests_seen("CANCEL")), 5.0, "a CANCEL")


@pytest.mark.parametrize(
    ("number", "said"),
    [
        ("112", "emergency numbers"),
        ("+469001234567", "premium-rate"),
        ("+12025550100", "own"),
        ("+4790612345", "dial_out.countries"),
    ],
)
def test_some_are_never_called(bridge: BridgeUnderTest, number: str, said: str) -> None:
    """The reason is said, and no INVITE goes out."""
    room, _ = meeting(bridge, "lo")
    person = callee(bridge)
    with pytest.raises(ValueError, match=said):
        ask(bridge, room, number).result(10)
    assert person.requests_seen("INVITE") == []


def test_a_restart_resets_no_limit(bridge: BridgeUnderTest) -> None:
    """The calls of the last hour are remembered: the conference has had the one it may make."""
    room, host = meeting(bridge, "moa")
    person = callee(bridge, answer=486)
    assert ask(bridge, room).result(10)["outcome"] == "busy"
    host.hang_up()
    bridge.stop()
    bridge.start()
    bridge.caller("nils").slip_in(bridge.number, room.guest_pin, settle=False)
    with pytest.raises(ValueError, match="conference_per_hour"):
        ask(bridge, room).result(10)
    assert len(person.requests_seen("INVITE")) == 1
