"""Silence is not absence: a phone that sends nothing is asked, and only a dead one is let go."""

import time
from collections.abc import Iterator

import pytest

from tests.support.bridge_under_test import BridgeUnderTest
from tests.support.caller import Caller, all_at_once
from tests.support.rtp import RtpStream

pytestmark = pytest.mark.e2e

SETTINGS = {"DIALIN_MEDIA__QUIET_PROBE_S": "5"}
CALLS_THAT_STAY = 1
"""The one whose phone has vanished, until the last test has seen it go."""


@pytest.fixture(scope="module")
def vanished(bridge: BridgeUnderTest) -> Iterator[tuple[Caller, float]]:
    """Somebody whose phone lost power at the module's begin: the BYE is lost, nothing answers."""
    person = Caller(bridge.address, "+46701740699", name="vanished")
    bridge.private.add(person.caller)
    person.dial(bridge.number)
    person.vanish()
    yield person, time.monotonic()
    person.stream.close()


@pytest.mark.usefixtures("vanished")
def test_phones_that_stop_sending_in_silence_stay_and_are_heard_again(
    bridge: BridgeUnderTest,
) -> None:
    """Silence suppression and comfort noise: asked with OPTIONS, never ended, heard at once."""
    room = bridge.room(chimes=False)
    mute = bridge.caller("suppresses", stream=RtpStream(silence="suppress"))
    noise = bridge.caller("comforts", stream=RtpStream(silence="noise"))
    plain = bridge.caller("plain")
    all_at_once(
        *(lambda p=p: p.slip_in(bridge.number, room.guest_pin) for p in (mute, noise, plain))
    )
    plain.silent_for(0.8)
    began = time.monotonic()
    for person in (mute, noise):
        person.wait_for(lambda p=person: p.requests_seen("OPTIONS"), 20, "the bridge to ask")  # type: ignore[misc]
    assert plain.requests_seen("OPTIONS") == []
    # The quiet is quiet: comfort noise is made up at the far end, not passed on as a burst.
    assert abs(plain.recording(began).samples.astype(int)).max(initial=0) < 400
    assert bridge.people(room) == 3
    for person in (mute, noise):
        words = person.speak(2.0)
        assert plain.heard_of(*words).match.clear
    assert mute.heard_of(*plain.speak()).match.heard
    assert [p.ended_by for p in (mute, noise, plain)] == [None, None, None]


def test_phone_that_denies_the_call_is_let_go(bridge: BridgeUnderTest) -> None:
    """Its BYE was lost, and to our OPTIONS it says 481: the leg ends, the record says why."""
    person = bridge.caller("denies")
    person.answers["OPTIONS"] = 481
    person.dial(bridge.number)
    person.stream.sending = False
    leg = bridge.leg_of(person, timeout=25)
    assert leg["cause"] in {"gone", "no_media"}
    assert leg["hung_up_by"] == "network"


def test_phone_that_answers_nothing_is_let_go(
    bridge: BridgeUnderTest, vanished: tuple[Caller, float]
) -> None:
    """No reply to OPTIONS within the transaction's 32 s ends the leg, by the network."""
    person, _ = vanished
    leg = bridge.leg_of(person, timeout=60)
    assert leg["hung_up_by"] == "network"
    assert leg["cause"] in {"gone", "no_media", "timeout"}
