"""Phones that share no code with the bridge: baresip, sipp, and pjsua2's softphone."""

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from bridge.demo.handset import Handset
from tests.support.baresip import Baresip
from tests.support.bridge_under_test import BridgeUnderTest
from tests.support.ear import ear
from tests.support.rtp import RtpStream
from tests.support.signals import RATE, heard, voice
from tests.support.sipp import run_sipp

pytestmark = [pytest.mark.e2e, pytest.mark.interop]


def test_baresip_hears_the_greeting_keys_the_pin_and_talks(
    bridge: BridgeUnderTest, tmp_path: Path
) -> None:
    """An ordinary phone: the greeting is the prompt, the PIN lets in, both hear each other."""
    room = bridge.room(chimes=False)
    witness = bridge.caller("witness")
    bridge.bring_in(room, witness)
    words = voice("baresip", 3.0)
    # Again and again: how long the phone and its caller take over the PIN is theirs.
    speech = np.tile(np.concatenate((words, np.zeros(3 * RATE, np.int16))), 9)
    with Baresip(tmp_path / "baresip", speech) as phone:
        phone.dial(f"sip:{bridge.number}@{bridge.host}:{bridge.port}")

        def said() -> list[str]:
            found = ear().said(phone.heard(), only=("welcome", "enter_pin", "others_here.one"))
            return [each.clip for each in found if each.whole]

        bridge.wait_until(
            lambda: said() == ["welcome", "enter_pin"], 12, "baresip to hear the greeting"
        )
        phone.press(room.guest_pin)
        bridge.wait_until(lambda: "others_here.one" in said(), 15, "baresip to hear who is there")
        inside = time.monotonic()
        told = witness.speak(2.0)
        bridge.wait_until(
            lambda: heard(witness.recording(inside).samples, words).clear,
            15,
            "the others to hear baresip",
        )
        phone.hang_up()
        phone.wait_event("CALL_CLOSED")
        recording = phone.heard()
    # Of its own loudspeaker's clock a slip or two: chance comes to 0.3.
    assert heard(recording, told[1]).clear
    assert not heard(recording, words).heard
    clips = [each.clip for each in ear().said(recording)]
    assert clips[:3] == ["welcome", "enter_pin", "joining"]


def test_sipp_keys_the_pin_and_is_let_in(bridge: BridgeUnderTest, tmp_path: Path) -> None:
    """Sipp as a strict caller in PCMA: its scenario holds, its keys open, the record is right."""
    room = bridge.room()
    witness = bridge.caller("witness")
    bridge.bring_in(room, witness)
    inside: list[float] = []

    def watch() -> None:
        deadline = time.monotonic() + 30
        while not inside and time.monotonic() < deadline:
            if bridge.people(room) == 2:
                inside.append(time.monotonic())
            time.sleep(0.1)

    watcher = threading.Thread(target=watch)
    watcher.start()
    since = time.monotonic()
    result = run_sipp(
        "enter_pin", bridge.address, bridge.number, tmp_path, keys={"pin": room.guest_pin}, stay=6
    )
    watcher.join()
    assert result.ok, result.said
    assert inside
    witness.hears_tone("enter", since=since)
    witness.hears_tone("exit", since=inside[0])

    def recorded() -> list[tuple[str, str, str]]:
        return [
            (row["dtmf_method"], row["cause"], row["hung_up_by"])
            for row in bridge.operate("cdr.legs", limit=5)
            if row["codec"] == "PCMA"
        ]

    bridge.wait_until(lambda: bool(recorded()), 10, "the record of sipp's call to be closed")
    assert recorded()[0] == ("rfc4733", "bye", "caller")


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_greeting_is_intelligible_to_sipp(
    bridge: BridgeUnderTest, tmp_path: Path, transport: str
) -> None:
    """What is sent where sipp's offer says is the greeting, word for word."""
    stream = RtpStream()
    try:
        result = run_sipp(
            "listen",
            bridge.address,
            bridge.number,
            tmp_path,
            keys={"ear_port": str(stream.port)},
            stay=5,
            transport=transport,
        )
        assert result.ok, result.said
        said = ear().said(stream.recording().samples)
    finally:
        stream.close()
    assert [each.clip for each in said] == ["welcome", "enter_pin"]
    assert all(each.whole and each.correlation > 0.9 for each in said)


def test_softphone_by_info_holds_and_comes_back(bridge: BridgeUnderTest, tmp_path: Path) -> None:
    """pjsua2: keys by INFO, hold by its own re-INVITE, resume; heard before and after, not amid."""
    room = bridge.room(chimes=False)
    witness = bridge.caller("witness")
    bridge.bring_in(room, witness)
    with Handset("softphone", tmp_path) as phone:
        phone.dial(f"sip:{bridge.number}@{bridge.host}:{bridge.port}")
        since = time.monotonic()
        phone.press(room.guest_pin, method="info")
        bridge.wait_until(lambda: bridge.people(room) == 2, 15, "the softphone to be inside")
        time.sleep(2.5)
        words = voice("softphone", 1.6)
        began = phone.say(words)
        assert witness.heard_of(began, words, patience=1.5).match.heard
        place = len(phone.events)
        phone.command("hold")
        phone.wait_for("hold", lambda event: event.get("state") == "held", since=place)
        held_at = time.monotonic()
        unheard = witness.speak()
        time.sleep(0.5)
        assert witness.prompts(held_at) == []
        place = len(phone.events)
        phone.command("resume")
        phone.wait_for("resume", lambda event: event.get("state") == "active", since=place)
        time.sleep(0.5)
        told = witness.speak()
        began = phone.say(words)
        assert witness.heard_of(began, words, patience=1.5).match.heard
        time.sleep(0.5)
        phone.hang_up()
        time.sleep(0.5)
        recording = phone.heard()
    assert heard(recording, told[1]).clear
    assert unheard[1].size == told[1].size
    assert since < held_at
