"""Media that moves between ports of ours while people talk, by a re-INVITE that nobody hears."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import groupby

import pytest

from tests.support.bridge_under_test import BridgeUnderTest, Room
from tests.support.caller import Caller
from tests.support.rtp import Recording
from tests.support.signals import heard, voice
from tests.support.sip_text import Message, describe

pytestmark = pytest.mark.e2e

SETTINGS = {"DIALIN_MEDIA__SHARED_PORTS": "1"}
LONGEST_GAP_MS = 60


@pytest.fixture(scope="module", autouse=True)
def trunk(bridge: BridgeUnderTest) -> Iterator[None]:
    """A trunk whose calls share one port."""
    bridge.dialin("trunk", "add", "carrier", "--address", "127.0.0.0/8", "--media", "shared")
    yield
    bridge.dialin("trunk", "remove", "carrier")


@pytest.fixture
def room(bridge: BridgeUnderTest) -> Room:
    """A conference."""
    return bridge.room(chimes=False)


def asked(person: Caller) -> list[int]:
    """Return the ports that the bridge offered in its re-INVITEs."""
    return [describe(message.body).port for _, message in person.requests_seen("INVITE")]


def longest_gap_ms(recording: Recording) -> float:
    """Return the longest stretch for which no packet brought anything."""
    gaps = [len(list(run)) for got, run in groupby(recording.received.tolist()) if not got]
    return max(gaps, default=0) / 8


def late(bridge: BridgeUnderTest, room: Room, name: str, answer: int | None = None) -> Caller:
    """Bring somebody in to whom the bridge makes the offer."""
    person = bridge.caller(name)
    if answer is not None:
        person.answers["INVITE"] = answer
    person.slip_in(bridge.number, room.guest_pin, late=True, settle=False)
    return person


def both_ways(one: Caller, two: Caller) -> None:
    """See that two people hear each other."""
    assert two.heard_of(*one.speak()).match.heard
    assert one.heard_of(*two.speak()).match.heard


def test_a_late_offer_call_comes_to_the_shared_port_without_a_gap(
    bridge: BridgeUnderTest, room: Room
) -> None:
    """It begins on its own ports, is asked at its first packet, and misses nothing by that."""
    other, person = bridge.caller("olle"), bridge.caller("pia")
    other.slip_in(bridge.number, room.guest_pin)
    shared = other.peer.port if other.peer else 0
    # The first packets come later, so that the change falls into what both hear.
    person.stream.sending = False
    person.dial(bridge.number, late=True)
    own = person.peer.port if person.peer else 0
    assert own != shared
    time.sleep(0.5)
    assert asked(person) == []
    began = time.monotonic()
    person.stream.sending = True
    words = voice("who moves is heard all the way", 4.0)
    said = person.say(words)
    bridge.wait_until(lambda: asked(person) == [shared], 5, "a re-INVITE")
    person.stream.drain()
    recording = person.recording(began - 0.4, time.monotonic())
    assert recording.samples.size > 8000 * 4
    assert longest_gap_ms(recording) <= LONGEST_GAP_MS
    assert said > 0

    person.press(room.guest_pin)
    person.hears("joining", for_s=0.5)
    person.silent_for(0.6)
    both_ways(person, other)
    person.hang_up()
    leg = bridge.leg_of(person)
    assert (leg["lost"], leg["dtmf_method"]) == (0, "rfc4733")


def test_others_hear_a_talker_on_while_the_talkers_media_moves(
    bridge: BridgeUnderTest, room: Room
) -> None:
    """A collision on the shared port, in the middle of a sentence: the call gets its own ports."""
    mover, other = bridge.caller("rut"), bridge.caller("sune")
    bridge.bring_in(room, mover, other)
    shared = other.peer.port if other.peer else 0
    words = voice("nobody notices that this sentence moves", 4.0)
    began = mover.say(words)
    time.sleep(1.0)
    # Its media is said to come from where the other one's does, and its answer takes that back.
    assert mover.reinvite(port=other.stream.port).status == 200
    bridge.wait_until(lambda: len(asked(mover)) == 1, 5, "a re-INVITE")
    assert asked(mover) != [shared]
    mover.stream.drain()
    assert heard(other.recording(began, time.monotonic()).samples, words[16000:]).heard
    time.sleep(1.5)  # past the old place
    both_ways(mover, other)


def test_a_call_that_declines_stays_on_its_own_ports(bridge: BridgeUnderTest, room: Room) -> None:
    """488: nothing changes, and nobody is asked twice."""
    other = bridge.caller("tage")
    other.slip_in(bridge.number, room.guest_pin)
    person = late(bridge, room, "ulla", answer=488)
    own = person.peer.port if person.peer else 0
    bridge.wait_until(lambda: len(asked(person)) == 1, 5, "a re-INVITE")
    person.silent_for(0.6)
    both_ways(person, other)
    assert person.peer is not None
    assert person.peer.port == own
    assert len(asked(person)) == 1
    # Its own offers are answered with the ports that it has.
    answer = person.reinvite()
    assert describe(answer.body).port == own


def test_both_offer_at_once(
    bridge: BridgeUnderTest, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """491 to ours, once: it is made again after the time of RFC 3261 section 14.1."""
    other, person = bridge.caller("vega"), bridge.caller("wille")
    other.slip_in(bridge.number, room.guest_pin)
    shared = other.peer.port if other.peer else 0
    answer = person._answer

    def once(message: Message) -> None:
        answer(message)
        if message.method == "INVITE":
            person.answers.clear()

    monkeypatch.setattr(person, "_answer", once)
    person.answers["INVITE"] = 491
    person.slip_in(bridge.number, room.guest_pin, late=True, settle=False)
    bridge.wait_until(lambda: asked(person) == [shared, shared], 5, "two re-INVITEs")
    bridge.wait_until(
        lambda: person.peer is not None and person.peer.port == shared, 5, "the change"
    )
    person.silent_for(0.6)
    both_ways(person, other)
