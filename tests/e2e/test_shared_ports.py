"""Calls of a trunk with shared media: few ports of ours, and everything as on one's own."""

import os
import signal
from collections.abc import Iterator

import pytest

from tests.support.bridge_under_test import BridgeUnderTest
from tests.support.caller import Caller, hears_each_other

pytestmark = pytest.mark.e2e

SETTINGS = {"DIALIN_MEDIA__SHARED_PORTS": "2"}


@pytest.fixture(scope="module", autouse=True)
def trunk(bridge: BridgeUnderTest) -> Iterator[None]:
    """A trunk whose calls share ports."""
    bridge.dialin("trunk", "add", "carrier", "--address", "127.0.0.0/8", "--media", "shared")
    yield
    bridge.dialin("trunk", "remove", "carrier")


def our_ports(people: list[Caller]) -> set[int]:
    """Return the ports that the bridge's answers name."""
    return {person.peer.port for person in people if person.peer}


def test_four_people_meet_on_two_ports(bridge: BridgeUnderTest) -> None:
    """They hear each other and not themselves, keys count, and the process may die meanwhile."""
    room = bridge.room(chimes=False)
    people = [bridge.caller(name) for name in ("kaja", "love", "maja", "nils")]
    bridge.bring_in(room, *people)
    assert len(our_ports(people)) == 2
    everybody = {one.name: [two.name for two in people if two is not one] for one in people}
    assert hears_each_other(people) == everybody
    os.kill(bridge.operate("status")["media"]["pid"], signal.SIGKILL)
    bridge.wait_until(
        lambda: bridge.operate("status")["media"]["replaced"] == 1, 15, "a new media process"
    )
    assert hears_each_other(people) == everybody
    for person in people:
        person.hang_up()
    for person in people:
        leg = bridge.leg_of(person)
        assert leg["dtmf_method"] == "rfc4733"
        assert leg["packets_rx"] > 100


def test_the_trunk_shows_what_its_media_does(bridge: BridgeUnderTest) -> None:
    """In the list, in what is shown of it, and in what doctor says about its ports."""
    assert [row["media"] for row in bridge.ask("trunk", "list")] == ["shared"]
    assert bridge.ask("trunk", "show", "carrier")["media"] == "shared"
    findings = bridge.ask("doctor")
    assert [each["check"] for each in findings].count("shared ports") == 1
