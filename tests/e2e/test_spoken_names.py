"""Names that callers speak, heard by who should know them, and a volume for each listener."""

import time
from pathlib import Path

import numpy as np
import pytest

from tests.support.bridge_under_test import BridgeUnderTest
from tests.support.caller import Caller
from tests.support.rtp import Digits
from tests.support.signals import RATE, Samples, dtmf_digits, heard

pytestmark = pytest.mark.e2e

QUICK = Digits(on_ms=60, off_ms=40)
LEAKY = Digits(leak_ms=40)
"""The gateway lets 40 ms of each key's tone through before it sends the event."""


def says_a_name(person: Caller, bridge: BridgeUnderTest, pin: str) -> Samples:
    """Come in as far as the question for a name, say one, press hash; return what was said."""
    since = person.dial(bridge.number).press(pin, QUICK)
    person.hears("name_ask", since=since)
    person.hears_tone("beep", since=since)
    time.sleep(0.3)
    _, words = person.speak(1.2)
    time.sleep(0.3)
    person.press("#", LEAKY)
    return words


def names_memory(bridge: BridgeUnderTest) -> int:
    """Return how much memory spoken names take in the whole bridge [octets]."""
    for descriptor in Path(f"/proc/{bridge.running.pid}/fd").iterdir():
        try:
            if "dialin-names" in str(descriptor.readlink()):
                return descriptor.stat().st_blocks * 512
        except OSError:
            continue
    message = "the bridge has no area for names"
    raise AssertionError(message)


def test_the_room_hears_in_a_newcomers_own_voice_who_has_joined(bridge: BridgeUnderTest) -> None:
    """The host turns sounds to names: the name is heard, no key with it, and none of it is left."""
    room = bridge.room(names="ask")
    host, guest = bridge.caller("host"), bridge.caller("guest")
    own = says_a_name(host, bridge, room.host_pin)
    host.silent_for(1.0)
    since = host.press("*8", QUICK)
    host.hears("sounds_name", since=since)
    host.silent_for(0.6)
    since = time.monotonic()
    words = says_a_name(guest, bridge, room.guest_pin)
    said = host.hears("joined_name.1", since=since)
    before = host.recording(since, said.at_s).samples
    assert heard(before, words).heard
    assert not heard(before, own).heard
    assert dtmf_digits(before) == ""
    assert names_memory(bridge) > 0
    guest.hang_up()
    left = host.hears("left_name.1", since=guest.ended_at)
    assert heard(host.recording(guest.ended_at, left.at_s).samples, words).heard
    host.hang_up()
    bridge.wait_until(lambda: names_memory(bridge) == 0, 10, "the names to be erased")


def test_a_host_hears_who_knocks_and_lets_them_in(bridge: BridgeUnderTest) -> None:
    """A locked conference: the name and the question to the host, `1`, and both talk."""
    room = bridge.room(names="ask", chimes=False)
    host, guest = bridge.caller("owner"), bridge.caller("knocker")
    says_a_name(host, bridge, room.host_pin)
    host.silent_for(1.0)
    since = host.press("*5", QUICK)
    host.hears("locked", since=since)
    host.silent_for(0.6)
    since = time.monotonic()
    words = says_a_name(guest, bridge, room.guest_pin)
    asked = host.hears("knock_named.1", since=since)
    assert heard(host.recording(since, asked.at_s).samples, words).heard
    assert bridge.people(room) == 1
    since = host.press("1", QUICK)
    host.hears("knock_admitted", since=since)
    bridge.wait_until(lambda: bridge.people(room) == 2, 10, "the guest to be in")
    for person in (host, guest):
        person.silent_for(1.0)
    assert host.heard_of(*guest.speak()).match.heard
    assert guest.heard_of(*host.speak()).match.heard


def test_who_says_nothing_is_asked_again_and_then_let_go(bridge: BridgeUnderTest) -> None:
    """Where a name is needed, three silences are enough."""
    room = bridge.room(names="ask_until_given")
    person = bridge.caller("silent")
    since = person.dial(bridge.number).press(room.guest_pin, QUICK)
    for clip in ("name_ask", "name_again", "name_again"):
        person.hears(clip, since=since, for_s=0.5)
        person.hears_tone("beep", since=since)
        time.sleep(0.5)
        since = person.press("#", QUICK)
    person.hears("name_needed", since=since)
    assert person.wait_end() == "bridge"
    assert names_memory(bridge) == 0


def level_of(person: Caller, began: float, seconds: float) -> float:
    """Return how loud a stretch of what somebody heard was [dB of one step]."""
    samples = person.recording(began, began + seconds).samples.astype(np.float64)
    assert samples.size > seconds * RATE / 2
    return float(10 * np.log10(np.mean(np.square(samples)) + 1e-9))


def test_one_turns_the_room_up_and_down_for_oneself(bridge: BridgeUnderTest) -> None:
    """`*1` is 6 dB louder, then softer, then normal, for who presses it and for nobody else."""
    room = bridge.room(chimes=False)
    speaker, chooser, other = (bridge.caller(name) for name in ("speaker", "chooser", "other"))
    bridge.bring_in(room, speaker, chooser, other)
    speaker.speak(2.0)
    differences = []
    for clip in (None, "louder", "softer", "normal_volume"):
        if clip is not None:
            since = chooser.press("*1", QUICK)
            chooser.hears(clip, since=since, for_s=0.4)
            chooser.silent_for(0.6)
        began, words = speaker.speak(2.0)
        time.sleep(0.5)
        seconds = words.size / RATE + 0.3
        differences.append(level_of(chooser, began, seconds) - level_of(other, began, seconds))
    assert differences == [pytest.approx(wanted, abs=1.0) for wanted in (0, 6, -6, 0)]
