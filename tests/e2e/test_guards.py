"""Lines that disturb: a telephone puts the conference on hold with music, and comes back."""

import time

import numpy as np
import pytest

from tests.support.bridge_under_test import BridgeUnderTest
from tests.support.clips import music, scaled
from tests.support.sentences import at_level, talk
from tests.support.signals import heard, level_dbfs

pytestmark = pytest.mark.e2e

SETTINGS = {"DIALIN_MEDIA__LEAK_S": "5"}


def test_hold_music_is_muted_and_told_and_ends_with_a_word(bridge: BridgeUnderTest) -> None:
    """The others hear music, then none; who speaks again is told and heard."""
    room = bridge.room(chimes=False)
    holder, other = bridge.caller("holder"), bridge.caller("other")
    bridge.bring_in(room, holder, other)
    playing = scaled(music("piano", 3, 20.0), -22).astype(np.int16)
    began = holder.say(playing)
    told = holder.hears("sound_muted", since=began, timeout=14.0)
    warned = other.hears("other_muted", since=began, timeout=8.0, for_s=9.0)
    assert told.at_s > began + 5.0
    first = other.recording(began + 2.0, began + 4.0).samples
    assert level_dbfs(first) > -40
    assert heard(first, playing[16000:32000]).heard
    # The bridge's own words are over by then, the music is not.
    over = warned.at_s + warned.seconds + 0.5
    time.sleep(max(0.0, over + 1.2 - time.monotonic()))
    assert time.monotonic() < began + 20.0
    assert level_dbfs(other.recording(over, over + 1.0).samples) < -60

    holder.stream.drain()
    words = at_level(talk("en", 9.0), -22).astype(np.int16)
    back = holder.say(words)
    holder.hears("line_heard", since=back, timeout=10.0)
    holder.stream.drain()
    time.sleep(0.7)
    assert heard(other.recording(back).samples, words[-16000:]).heard
    assert bridge.people(room) == 2
    events = [line["event"] for line in bridge.log() if "line is held" in str(line.get("event"))]
    assert events == ["line is held down", "line is held down no more"]
