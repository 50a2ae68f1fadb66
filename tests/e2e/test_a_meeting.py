"""A meeting from beginning to end: two hosts, thirty callers, and one who is called.

All of it by real calls and keys: a waiting room, questions with hands, lock and knock, one who
drops and comes back, one who is removed, breakout rooms and the recall, dial-out, the end for all.
Then the records must tell what happened to each of them, and the events at a broker the same story.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.bridge_under_test import BridgeUnderTest, Room, free_port
from tests.support.broker import Broker, Client
from tests.support.callee import Callee
from tests.support.caller import Caller, all_at_once
from tests.support.meeting import QUICK, heard_by, hush
from tests.support.rtp import RtpStream

pytestmark = pytest.mark.e2e

PROXY = free_port()
SETTINGS = {
    "DIALIN_DIAL_OUT__ALLOWED": "true",
    "DIALIN_DIAL_OUT__CALLER": "+12025550100",
    "DIALIN_DIAL_OUT__COUNTRIES": "SE",
    "DIALIN_DIAL_OUT__RATES": "46=0.02",
    "DIALIN_DIAL_OUT__PROXY": f"127.0.0.1:{PROXY}",
}
CALLED = "+46701740699"
REMOVED, DROPPED = "+46701740698", "+46701740697"
"""Numbers that the trunk vouches for."""
QUIET = 23
"""Callers who listen, and of whom nothing is asked."""


@pytest.fixture(scope="module", name="broker")
def real_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A mosquitto with TLS and passwords."""
    with Broker(tmp_path_factory.mktemp("broker")) as made:
        yield made


@pytest.fixture(scope="module", name="bridge")
def bridge_at_the_broker(
    broker: Broker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BridgeUnderTest]:
    """A bridge that tells the broker."""
    folder = tmp_path_factory.mktemp("bridge") / "data"
    with BridgeUnderTest(folder, {**SETTINGS, **broker.settings()}) as made:
        made.add_number()
        made.wait_until(
            lambda: bool(made.operate("status")["mqtt"]["state"] == "connected"), 20, "the broker"
        )
        yield made


class Meeting:
    """Who takes part.

    Args:
        bridge: Where.
    """

    def __init__(self, bridge: BridgeUnderTest) -> None:
        self.bridge = bridge
        self.room: Room = bridge.room(chimes=False, waiting_room=True)
        self.hedda, self.hugo = bridge.caller("hedda"), bridge.caller("hugo")
        self.removed = bridge.caller("removed", asserted=REMOVED)
        self.dropped = bridge.caller("dropped", asserted=DROPPED)
        self.asks, self.opens, self.listens = map(bridge.caller, ("asks", "opens", "listens"))
        # Who has nothing to say sends nothing, as many phones do.
        self.quiet = [
            bridge.caller(f"quiet {number}", stream=RtpStream(silence="suppress"))
            for number in range(QUIET)
        ]
        self.late = bridge.caller("late")
        self.refused = bridge.caller("refused")
        self.back = bridge.caller("back", asserted=DROPPED)
        self.again = bridge.caller("again", asserted=REMOVED)
        bridge.private |= {CALLED, REMOVED, DROPPED}
        self.called = Callee(bridge.address, CALLED, PROXY, name="called")
        bridge.callers.append(self.called)
        self.active = [self.hedda, self.hugo, self.asks, self.opens, self.listens]

    @property
    def callers(self) -> list[Caller]:
        """The thirty who call as guests: all but the refused, each once."""
        named = [self.removed, self.dropped, self.asks, self.opens, self.listens]
        return [*named, *self.quiet, self.late, self.refused]

    def knock(self, person: Caller) -> float:
        """Call, and key the guests' PIN; return when."""
        return person.dial(self.bridge.number).press(self.room.guest_pin, QUICK)

    def people(self, count: int) -> None:
        """Wait until so many are in the room."""
        self.bridge.wait_until(
            lambda: self.bridge.people(self.room) == count, 15, f"{count} people in the room"
        )

    def now(self) -> dict[str, Any]:
        """Return how the conference is."""
        found: dict[str, Any] = self.bridge.operate("conference.people", conference=self.room.name)
        return found


def they_come(meeting: Meeting) -> None:
    """Two hosts, one who is let in by a key, and a waiting room that is taken away."""
    for host in (meeting.hedda, meeting.hugo):
        host.slip_in(meeting.bridge.number, meeting.room.host_pin, settle=False)
    since = meeting.knock(meeting.removed)
    meeting.hedda.hears("knock_keys", since=since, for_s=0.5)
    meeting.hedda.hears("knock_admitted", since=meeting.hedda.press("1", QUICK), for_s=0.5)
    meeting.people(3)
    since = meeting.knock(meeting.refused)
    meeting.hedda.hears("knock_keys", since=since, for_s=0.5)
    meeting.hedda.hears("knock_refused", since=meeting.hedda.press("2", QUICK), for_s=0.5)
    assert meeting.refused.wait_end() == "bridge"
    rest = [meeting.dropped, meeting.asks, meeting.opens, meeting.listens, *meeting.quiet]
    all_at_once(*(functools.partial(meeting.knock, person) for person in rest))
    meeting.bridge.wait_until(
        lambda: bool(meeting.now()["waiting"] == len(rest)), 10, "everybody to wait"
    )
    assert not meeting.opens.heard_of(*meeting.asks.speak(1.0)).match.heard
    meeting.bridge.operate("conference.change", conference=meeting.room.name, waiting_room=False)
    meeting.people(3 + len(rest))
    hush(*meeting.active, meeting.dropped, meeting.removed)


def they_ask(meeting: Meeting) -> None:
    """Questions and answers: the first in line gets the floor, one opens their own line."""
    meeting.dropped.hears("muted", since=meeting.dropped.press("*6", QUICK), for_s=0.5)
    since = meeting.hedda.press("*7", QUICK)
    meeting.listens.hears("mode_questions", since=since, for_s=0.6)
    hush(*meeting.active, meeting.dropped)
    since = meeting.asks.press("*2", QUICK)
    meeting.asks.hears("hand_place.one", since=since, for_s=0.5)
    meeting.hedda.hears("hands_up.one", since=since, for_s=0.5)
    since = meeting.dropped.press("*2", QUICK)
    meeting.dropped.hears("hand_place.2", since=since, for_s=0.5)
    since = meeting.hedda.press("#2", QUICK)
    meeting.asks.hears("your_turn", since=since, for_s=0.6)
    meeting.listens.hears("next_has_floor", since=since, for_s=0.5)
    meeting.opens.hears("unmuted", since=meeting.opens.press("*6", QUICK), for_s=0.5)
    hush(*meeting.active, meeting.dropped)
    assert heard_by(meeting.asks, meeting.hugo, meeting.listens) == [True, True]
    assert heard_by(meeting.opens, meeting.hugo, meeting.listens) == [True, True]
    assert heard_by(meeting.listens, meeting.hugo, meeting.asks) == [False, False]


def they_knock(meeting: Meeting) -> None:
    """Locked: one who dropped has their place, hand and mute back; a late one knocks."""
    meeting.hedda.hears("locked", since=meeting.hedda.press("*5", QUICK), for_s=0.5)
    before = meeting.bridge.people(meeting.room)
    meeting.dropped.hang_up()
    meeting.people(before - 1)
    meeting.knock(meeting.back)
    meeting.people(before)
    assert [(each["self_muted"], each["hand"]) for each in meeting.now()["people"]].count(
        (True, 1)
    ) == 1
    since = meeting.knock(meeting.late)
    for host in (meeting.hedda, meeting.hugo):
        host.hears("knock_keys", since=since, for_s=0.5)
    meeting.hugo.hears("knock_admitted", since=meeting.hugo.press("1", QUICK), for_s=0.5)
    meeting.hedda.hears("knock_decided", since=meeting.hedda.press("1", QUICK), for_s=0.5)
    meeting.people(before + 1)


def one_is_removed(meeting: Meeting) -> None:
    """By the roll call; coming back they knock, and are refused."""
    before = meeting.bridge.people(meeting.room)
    hedda = meeting.hedda
    hedda.hears("roll_keys", since=hedda.press("#1", QUICK), for_s=0.5)
    hedda.hears("roll_is_host", since=hedda.press("#", QUICK), for_s=0.4)
    hedda.hears("caller_number.1", since=hedda.press("#", QUICK), for_s=0.5)
    hedda.hears("confirm_remove", since=hedda.press("3", QUICK), for_s=0.5)
    since = hedda.press("1", QUICK)
    meeting.removed.hears("removed", since=since, for_s=0.5)
    meeting.people(before - 1)
    hedda.press("*", QUICK)
    since = meeting.knock(meeting.again)
    hedda.hears("knock_removed", since=since, for_s=0.5)
    hedda.hears("knock_keys", since=since, for_s=0.5)
    hedda.hears("knock_refused", since=hedda.press("2", QUICK), for_s=0.5)
    assert meeting.again.wait_end() == "bridge"


def they_part(meeting: Meeting) -> None:
    """Three rooms and the recall, in conversation again."""
    hedda = meeting.hedda
    for mode in ("presentation", "hosts_only", "conversation"):
        hedda.press("*7", QUICK)
        meeting.bridge.wait_until(
            functools.partial(lambda wanted: bool(meeting.now()["mode"] == wanted), mode), 5, mode
        )
    hedda.hears("breakout_how_many", since=hedda.press("#3", QUICK), for_s=0.5)
    hedda.hears("breakout_how", since=hedda.press("3", QUICK), for_s=0.5)
    since = hedda.press("1", QUICK)
    for person in (meeting.asks, meeting.opens, meeting.listens):
        person.hears("breakout_room.1", since=since, for_s=0.5)
    sizes = Counter(each["room"] for each in meeting.now()["people"] if each["role"] == "guest")
    assert sizes == {1: 10, 2: 9, 3: 9}
    hush(*meeting.active)
    assert heard_by(meeting.asks, meeting.hugo) == [False]
    for _ in range(2):
        hedda.hears("breakout_menu", since=hedda.press("#3", QUICK), for_s=0.5)
        since = hedda.press("1", QUICK)
    for person in (meeting.asks, meeting.opens, meeting.listens):
        person.hears("breakout_back", since=since, for_s=0.5)
    hush(*meeting.active)
    assert heard_by(meeting.listens, meeting.hugo, meeting.asks) == [True, True]


def one_is_called(meeting: Meeting) -> None:
    """By keys, into the locked room: who presses 1 is in, and heard."""
    hedda, before = meeting.hedda, meeting.bridge.people(meeting.room)
    hedda.hears("dial_enter", since=hedda.press("#7", QUICK), for_s=0.5)
    hedda.hears("dial_calling", since=hedda.press(f"00{CALLED[1:]}#", QUICK), for_s=0.5)
    meeting.called.is_called(meeting.bridge.number)
    meeting.called.hears("dial_invited", for_s=0.5)
    meeting.called.press("1", QUICK)
    meeting.people(before + 1)
    hush(meeting.called, hedda)
    assert heard_by(meeting.called, meeting.hugo, meeting.opens) == [True, True]


def it_ends(meeting: Meeting) -> None:
    """For all, after a warning."""
    since = meeting.hedda.press("#0", QUICK)
    meeting.hugo.hears("end_warning", since=since, for_s=0.5)
    for person in (*meeting.active, *meeting.quiet, meeting.back, meeting.late, meeting.called):
        assert person.wait_end(20.0) == "bridge"
    meeting.listens.hears("conference_ended", since=since, for_s=0.5)


Leg = dict[str, Any]
STEPS = (they_come, they_ask, they_knock, one_is_removed, they_part, one_is_called, it_ends)


def test_records_and_events_tell_the_same_story(bridge: BridgeUnderTest, broker: Broker) -> None:
    """What each did and how each left, in the call detail records and at the broker alike."""
    bridge.operate("trunk.add", name="carrier", addresses=["127.0.0.1/32"])
    meeting = Meeting(bridge)
    assert len(meeting.callers) == 30
    with Client(broker, "onlooker") as client:
        for step in STEPS:
            step(meeting)
        client.wait_for("ended")
        client.wait_for("state", lambda said: said is None)
        told = [
            each.said
            for each in client.received
            if each.said is not None and "event" in each.said and "conference/" in each.topic
        ]
        heard = b"".join(each.topic.encode() + each.payload for each in client.received)
    session, legs = records(bridge)
    check_records(session, legs)
    check_events(session, legs, told)
    check_people(meeting, told)
    for secret in bridge.private:
        assert secret.lstrip("+").encode() not in heard


def records(bridge: BridgeUnderTest) -> tuple[dict[str, Any], list[Leg]]:
    """Return the session and all legs, once they are closed."""
    bridge.wait_until(lambda: bridge.calls() == 0, 15, "all calls to be over")
    bridge.wait_until(
        lambda: not bridge.operate("cdr.legs", still_open=True), 15, "the records to be closed"
    )
    (session,) = bridge.operate("cdr.sessions")
    return session, bridge.operate("cdr.legs")


def check_records(session: dict[str, Any], legs: list[Leg]) -> None:
    """See how each came and left, and that nobody else is in the records."""
    inside = [leg for leg in legs if leg["session"] == session["session"]]
    ways = Counter((leg["role"], leg["direction"], leg["cause"]) for leg in inside)
    assert ways == {
        ("host", "in", "host_ended"): 2,
        ("guest", "in", "host_ended"): QUIET + 5,  # asks, opens, listens, late, back
        ("guest", "in", "removed"): 1,
        ("guest", "in", "bye"): 1,
        ("guest", "out", "host_ended"): 1,
    }
    outside = [(leg["cause"], leg["admitted_at"]) for leg in legs if leg["session"] is None]
    assert outside == [("not_admitted", None)] * 2
    assert session["end_reason"] == "host_ended"
    assert session["legs"] == len(inside)
    assert session["peak_legs"] == 2 + 29
    assert {leg["dtmf_method"] for leg in inside} == {"rfc4733"}


def check_events(session: dict[str, Any], legs: list[Leg], told: list[dict[str, Any]]) -> None:
    """See that who came and went, and how, is at the broker as it is in the records."""
    assert [each["number"] for each in told] == list(range(1, len(told) + 1))
    assert {each["session"] for each in told} == {session["session"]}
    assert (told[0]["event"], told[-1]["event"]) == ("started", "ended")
    assert (told[-1]["reason"], told[-1]["peak"]) == (
        session["end_reason"],
        session["peak_legs"],
    )
    inside = {leg["leg"]: leg for leg in legs if leg["session"] == session["session"]}
    joined = {each["leg"]: each for each in told if each["event"] == "joined"}
    left = {each["leg"]: each for each in told if each["event"] == "left"}
    assert joined.keys() == left.keys() == inside.keys()
    for leg, record in inside.items():
        assert joined[leg]["role"] == record["role"]
        assert joined[leg]["called"] is (record["direction"] == "out")
        assert left[leg]["reason"] == record["cause"]
        assert left[leg]["person"] == joined[leg]["person"]


def check_people(meeting: Meeting, told: list[dict[str, Any]]) -> None:
    """See what the broker was told of those who did something."""
    persons = {each["leg"]: each["person"] for each in told if each["event"] == "joined"}

    def story(person: Caller, *words: str) -> list[tuple[Any, ...]]:
        legs = meeting.bridge.operate("cdr.legs", caller=person.asserted or person.caller)
        first = person in (meeting.removed, meeting.dropped)  # who has called twice
        leg = legs[-1 if first else 0]["leg"]
        return [
            (each["event"], *(each[word] for word in words if word in each))
            for each in told
            if each.get("person") == persons[leg]
            and each["event"] in {"joined", "muted", "hand", "moved", "left", "role"}
        ]

    asked = story(meeting.asks, "raised", "place", "floor", "heard", "reason")
    assert asked[:2] == [("joined",), ("hand", True, 1)]
    assert sorted(asked[2:4]) == [("hand", False, None), ("muted", True, True)]
    assert asked[-1] == ("left", "host_ended")
    rooms = [
        [way[1] for way in story(person, "room") if way[0] == "moved"]
        for person in (*meeting.quiet, meeting.asks, meeting.opens, meeting.listens, meeting.late)
    ]
    assert {tuple(ways) for ways in rooms} == {(1, 0), (2, 0), (3, 0)}
    assert [way[0] for way in story(meeting.hugo)] == ["joined", "left"]
    assert story(meeting.removed, "reason") == [("joined",), ("left", "removed")]
    dropped = story(meeting.dropped, "by_self", "raised", "place", "reason")
    assert dropped == [
        ("joined",),
        ("muted", True),
        ("hand", True, 2),
        ("left", "bye"),
    ]
    came_back = story(meeting.back, "by_self", "raised", "place", "reason")
    assert came_back[0] == ("joined",)
    assert ("hand", True, 1) in came_back
    assert ("muted", True) in came_back
    assert came_back[-1] == ("left", "host_ended")
    changes = [each for each in told if each["event"] == "room"]
    assert [each["locked"] for each in changes].count(True) >= 1
    modes = [each["mode"] for each in changes]
    assert modes[0] == "questions"
    assert "conversation" in modes
    assert [each["breakouts"] for each in changes if each["breakouts"]] == [3]
