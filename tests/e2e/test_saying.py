"""`dialin conference say`: a phrase and a sound file, heard over real telephones."""

import time
from pathlib import Path

import pytest
import soundfile

from tests.support.bridge_under_test import BridgeUnderTest
from tests.support.signals import RATE, heard, voice

pytestmark = pytest.mark.e2e


def test_a_phrase_and_a_file_are_heard_by_whom_they_are_for(
    bridge: BridgeUnderTest, tmp_path: Path
) -> None:
    """The room hears both; one person alone hears what is for them; talk goes on under a file."""
    room = bridge.room(chimes=False)
    one, two = bridge.caller("one"), bridge.caller("two")
    bridge.bring_in(room, one, two)
    since = time.monotonic()
    bridge.dialin("conference", "say", room.name, "ending_soon", "--with", "minutes=5")
    for person in (one, two):
        person.hears("ending_soon.5", "ending_soon.other.1", since=since)
        person.silent_for(0.8)

    words = voice("an announcement", 3.0)
    soundfile.write(tmp_path / "a.wav", words, RATE)
    began = time.monotonic()
    bridge.dialin("conference", "say", room.name, str(tmp_path / "a.wav"))
    spoke, own = one.speak(1.0)
    for person in (one, two):
        person.silent_for(0.8)
        assert heard(person.recording(began).samples, words).heard
    assert two.heard_of(spoke, own).match.heard

    now = bridge.operate("conference.people", conference=room.name)
    chosen = now["people"][0]["person"]
    began = time.monotonic()
    words = voice("a word to one", 2.0)
    soundfile.write(tmp_path / "b.flac", words, RATE)
    bridge.dialin("conference", "say", room.name, str(tmp_path / "b.flac"), "--person", str(chosen))
    time.sleep(3.0)
    both = [heard(person.recording(began).samples, words).heard for person in (one, two)]
    assert sorted(both) == [False, True]
