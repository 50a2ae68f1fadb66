"""People in a conference hear each other and not themselves, whatever their phones send."""

import itertools
import time
from pathlib import Path

import pytest

from tests.support.bridge_under_test import BridgeUnderTest
from tests.support.caller import Caller, all_at_once, hears_each_other
from tests.support.rtp import Packet, RtpStream
from tests.support.signals import heard, voice

pytestmark = pytest.mark.e2e


def everybody_but(name: str, people: list[Caller]) -> list[str]:
    """Return the names of the others."""
    return [person.name for person in people if person.name != name]


def test_three_people_hear_each_other_and_not_themselves(bridge: BridgeUnderTest) -> None:
    """Mix minus self: each of three hears both others, without the own voice; the CDR knows."""
    room = bridge.room()
    people = [bridge.caller(name) for name in ("agda", "birk", "cilla")]
    bridge.bring_in(room, *people, slowly=True)
    assert bridge.people(room) == 3
    assert hears_each_other(people) == {p.name: everybody_but(p.name, people) for p in people}
    for person in people:
        person.hang_up()
    for person in people:
        leg = bridge.leg_of(person)
        assert (leg["hung_up_by"], leg["codec"], leg["dtmf_method"], leg["role"]) == (
            "caller",
            "PCMU",
            "rfc4733",
            "guest",
        )
        assert leg["packets_rx"] > 100
        assert leg["packets_tx"] > 100
        assert leg["lost"] == 0
        assert leg["talk_ms"] > 500
    sessions = bridge.operate("cdr.sessions", limit=1)
    assert (sessions[0]["legs"], sessions[0]["peak_legs"]) == (3, 3)


def test_pcma_and_pcmu_and_packets_of_10_30_and_60_ms_share_a_conference(
    bridge: BridgeUnderTest,
) -> None:
    """Each codec and packet length is heard by every other one."""
    room = bridge.room(chimes=False)
    people = [
        bridge.caller("ulaw"),
        bridge.caller("alaw", stream=RtpStream(payload_type=8)),
        bridge.caller("ten", stream=RtpStream(ptime_ms=10)),
        bridge.caller("thirty", stream=RtpStream(payload_type=8, ptime_ms=30)),
        bridge.caller("sixty", stream=RtpStream(ptime_ms=60)),
    ]
    bridge.bring_in(room, *people)
    found = hears_each_other(people)
    assert found == {p.name: everybody_but(p.name, people) for p in people}
    for person in people:
        person.hang_up()
    assert [bridge.leg_of(p)["codec"] for p in people] == ["PCMU", "PCMA", "PCMU", "PCMA", "PCMU"]


def test_two_who_speak_at_once_are_both_heard(bridge: BridgeUnderTest) -> None:
    """A third hears both, each of the two hears only the other, and nothing is overdriven."""
    room = bridge.room(chimes=False)
    people = [bridge.caller(name) for name in ("doris", "evert", "frida")]
    bridge.bring_in(room, *people)
    doris, evert, frida = people
    first, second = all_at_once(lambda: doris.speak(2.4), lambda: evert.speak(2.4))
    assert frida.heard_of(*first).match.heard
    assert frida.heard_of(*second).match.heard
    assert doris.heard_of(*second).match.clear
    assert not doris.heard_of(*first).match.heard
    assert evert.heard_of(*first).match.clear
    assert not evert.heard_of(*second).match.heard


def test_conferences_do_not_hear_each_other(bridge: BridgeUnderTest) -> None:
    """What is said in one room is not heard in another."""
    rooms = [bridge.room(chimes=False), bridge.room(chimes=False)]
    people = [bridge.caller(name) for name in ("gull", "hans", "inga", "jarl")]
    bridge.bring_in(rooms[0], *people[:2])
    bridge.bring_in(rooms[1], *people[2:])
    found = hears_each_other(people)
    assert found == {"gull": ["hans"], "hans": ["gull"], "inga": ["jarl"], "jarl": ["inga"]}


def test_voice_comes_through_at_its_level_and_soon(bridge: BridgeUnderTest) -> None:
    """From mouth to ear a voice is brought to the bridge's level, and takes less than 300 ms."""
    room = bridge.room(chimes=False)
    kaja, leif = bridge.caller("kaja"), bridge.caller("leif")
    bridge.bring_in(room, kaja, leif)
    said = leif.heard_of(*kaja.speak(3.0))
    assert said.match.clear
    # Of a voice that is some decibels above the bridge's target, within its first three seconds.
    assert -8 < said.match.level_db < 1.5
    assert 0 < said.delay_ms < 300


def test_voice_keeps_its_level_where_gain_control_is_off(tmp_path: Path) -> None:
    """What is said is heard as loud as it was said."""
    with BridgeUnderTest(tmp_path / "data", {"DIALIN_MEDIA__AGC": "false"}) as bridge:
        bridge.add_number()
        kaja, leif = bridge.caller("kaja"), bridge.caller("leif")
        bridge.bring_in(bridge.room(chimes=False), kaja, leif)
        said = leif.heard_of(*kaja.speak(3.0))
        assert said.match.clear
        assert abs(said.match.level_db) < 1.5


def test_lost_reordered_and_doubled_packets_are_patched_over(bridge: BridgeUnderTest) -> None:
    """Every tenth packet lost, every seventh late by one, every fifth twice: still one voice."""
    room = bridge.room(chimes=False)
    mats, nora = bridge.caller("mats"), bridge.caller("nora")
    bridge.bring_in(room, mats, nora)
    held: list[Packet] = []
    numbers = itertools.count(1)

    def rough(packet: Packet) -> list[Packet]:
        number = next(numbers)
        late = [*held]
        held.clear()
        if number % 10 == 0:
            return late
        if number % 7 == 0:
            held.append(packet)
            return late
        return [packet, packet, *late] if number % 5 == 0 else [packet, *late]

    mats.stream.fault = rough
    heard_words = nora.heard_of(*mats.speak(3.0))
    mats.stream.fault = None
    assert heard_words.match.correlation > 0.6
    mats.hang_up()
    leg = bridge.leg_of(mats)
    assert leg["lost"] >= 10


def test_own_voice_does_not_come_back_even_late(bridge: BridgeUnderTest) -> None:
    """Somebody alone in a conference hears silence after speaking."""
    room = bridge.room()
    olle = bridge.caller("olle").slip_in(bridge.number, room.guest_pin)
    words = voice("olle", 2.0)
    began = olle.say(words)
    olle.stream.drain()
    time.sleep(1.5)
    assert not heard(olle.recording(began).samples, words).heard
