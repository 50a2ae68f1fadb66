"""Wideband: phones with G.722 hear each other up to 7 kHz, and telephones as telephones do."""

import time
from pathlib import Path

import numpy as np
import pytest
from scipy import signal

from tests.support.baresip import Baresip
from tests.support.bridge_under_test import BridgeUnderTest
from tests.support.signals import RATE, Samples, heard, voice

pytestmark = [pytest.mark.e2e, pytest.mark.interop]

WIDE_RATE = 2 * RATE


def wide_voice(name: str, seconds: float) -> Samples:
    """Return words that reach up to 7 kHz: a voice, and its hiss above the telephone band."""
    low = signal.resample_poly(voice(name, seconds).astype(float), 2, 1)
    hiss = np.random.default_rng(7).standard_normal(len(low))
    hiss = signal.sosfilt(
        signal.butter(8, (4800, 6500), "bandpass", fs=WIDE_RATE, output="sos"), hiss
    )
    swell = np.abs(signal.hilbert(low))
    high = hiss / np.sqrt(np.mean(hiss**2)) * swell * 0.5
    words: Samples = np.clip(low + high, -32_768, 32_767).astype(np.int16)
    return words


def upper_band(sound: Samples) -> Samples:
    """Return what lies between 4.8 and 6.5 kHz."""
    band = signal.butter(8, (4800, 6500), "bandpass", fs=WIDE_RATE, output="sos")
    return signal.sosfilt(band, sound.astype(float)).astype(np.int16)


def lower_band(sound: Samples) -> Samples:
    """Return a wideband sound as 8 kHz."""
    return np.clip(signal.resample_poly(sound.astype(float), 1, 2), -32_768, 32_767).astype(
        np.int16
    )


def test_wideband_phones_hear_each_other_in_wideband_and_telephones_both_ways(
    bridge: BridgeUnderTest, tmp_path: Path
) -> None:
    """Baresip with G.722 twice and a telephone with G.711: who hears what of whom."""
    room = bridge.room(chimes=False)
    witness = bridge.caller("witness")
    bridge.bring_in(room, witness)
    words = wide_voice("baresip", 3.0)
    pause = np.zeros(3 * WIDE_RATE, np.int16)
    uri = f"sip:{bridge.number}@{bridge.host}:{bridge.port}"
    with (
        Baresip(
            tmp_path / "one", np.tile(np.concatenate((words, pause)), 9), "one", wideband=True
        ) as talker,
        Baresip(tmp_path / "two", pause, "two", wideband=True) as listener,
    ):
        listener.dial(uri)
        listener.press(room.guest_pin)
        bridge.wait_until(lambda: bridge.people(room) == 2, 20, "the listener to be inside")

        def telephone_is_heard() -> bool:
            _, said = witness.speak(2.0)
            time.sleep(0.5)
            return heard(listener.heard(), said).clear

        # It may speak while the listener is still told who is there.
        bridge.wait_until(telephone_is_heard, 30, "a wideband phone to hear the telephone")
        inside = time.monotonic()
        talker.dial(uri)
        talker.press(room.guest_pin)
        bridge.wait_until(
            lambda: heard(witness.recording(inside).samples, lower_band(words)).clear,
            20,
            "the telephone to hear the wideband phone",
        )
        time.sleep(1.0)
        for phone in (talker, listener):
            phone.hang_up()
            phone.wait_event("CALL_CLOSED")
        sound = listener.heard_wide()
        echo = talker.heard_wide()
    assert heard(upper_band(sound), upper_band(words)).clear
    assert not heard(upper_band(echo), upper_band(words)).heard

    def wide() -> int:
        rows = bridge.operate("cdr.legs", limit=5)
        return len([row for row in rows if row["codec"] == "G722"])

    bridge.wait_until(lambda: wide() == 2, 10, "both records to say G722")


def test_a_phone_that_offers_g722_gets_g711_where_wideband_is_off(tmp_path: Path) -> None:
    """The setting media.wideband: the call goes on in PCMU."""
    environment = {"DIALIN_MEDIA__WIDEBAND": "off"}
    with BridgeUnderTest(tmp_path / "data", environment) as bridge:
        bridge.add_number()
        room = bridge.room(chimes=False)
        with Baresip(tmp_path / "phone", np.zeros(WIDE_RATE, np.int16), wideband=True) as phone:
            phone.dial(f"sip:{bridge.number}@{bridge.host}:{bridge.port}")
            phone.press(room.guest_pin)
            bridge.wait_until(lambda: bridge.people(room) == 1, 20, "the phone to be inside")
            phone.hang_up()
            phone.wait_event("CALL_CLOSED")

            def codecs() -> list[str]:
                return [row["codec"] for row in bridge.operate("cdr.legs", limit=5)]

            bridge.wait_until(lambda: codecs() == ["PCMU"], 10, "a record that says PCMU")
