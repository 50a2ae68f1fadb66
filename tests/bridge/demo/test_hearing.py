"""The ears of the demo and of the stories: they find who is there, and nobody who is not."""

from pathlib import Path

import numpy as np
import pytest

from bridge.demo.hearing import RATE, Samples, heard, level_dbfs, read_wav, voice, write_wav
from tests.support import g711


def through_the_line(sound: Samples) -> Samples:
    """Return a sound after µ-law."""
    return g711.decode(g711.encode(sound, g711.PCMU), g711.PCMU)


def at(second: float, sound: Samples, length: float) -> Samples:
    """Return a sound at a place in a silence."""
    out = np.zeros(round(length * RATE), np.int16)
    place = round(second * RATE)
    out[place : place + sound.size] = sound
    return out


def test_voice_is_found_with_its_delay_and_level() -> None:
    """Half as loud and 1.25 s late: the ear says just that."""
    words = voice("ada", 2.0)
    match = heard(through_the_line(at(1.25, words // 2, 5.0)), words)
    assert match.heard
    assert match.correlation > 0.95
    assert match.delay_ms == pytest.approx(1250, abs=1)
    assert match.level_db == pytest.approx(-6.0, abs=0.3)


@pytest.mark.parametrize("ms", [-90, -45, 45, 90])
def test_a_voice_that_slips_within_a_sentence_is_clear_and_a_lost_half_is_not(ms: int) -> None:
    """A playout buffer of 100 ms that filled or emptied at a stall; a second that went missing."""
    words = voice("ada", 2.0)
    half, slip = words[:RATE], np.zeros(max(ms, 0) * 8, np.int16)
    slipped = np.concatenate((half, slip, words[RATE + 8 * max(-ms, 0) :]))
    assert heard(through_the_line(at(1.25, slipped, 5.0)), words).clear
    match = heard(through_the_line(at(1.25, half, 5.0)), words)
    assert match.heard
    assert not match.clear


@pytest.mark.parametrize("name", ["ada", "ben", "cleo"])
def test_voice_under_another_is_found_and_an_absent_one_is_not(name: str) -> None:
    """Two speak at once; the third of the cast is not there."""
    cast = ["ada", "ben", "cleo"]
    others = [other for other in cast if other != name]
    mixed = sum(voice(other, 2.4).astype(int) for other in others)
    sound = through_the_line(np.clip(mixed, -32768, 32767).astype(np.int16))
    for other in others:
        assert heard(sound, voice(other, 2.4)).heard
    assert heard(sound, voice(name, 2.4)).correlation < 0.2


def test_nothing_is_heard_in_silence_and_noise() -> None:
    """Digital silence, and noise as loud as a voice."""
    words = voice("ada", 2.0)
    noise = np.random.default_rng(7).normal(0, 3000, 5 * RATE).astype(np.int16)
    assert not heard(np.zeros(5 * RATE, np.int16), words).heard
    assert not heard(noise, words).heard
    assert not heard(np.zeros(0, np.int16), words).heard


def test_same_name_has_the_same_voice() -> None:
    """Another process says exactly the same, at the level that was asked for."""
    assert np.array_equal(voice("ada", 1.0), voice("ada", 1.0))
    assert level_dbfs(voice("ada", 2.0)) == pytest.approx(-20.0, abs=0.5)


def test_wav_of_a_recorder_that_still_writes_is_read(tmp_path: Path) -> None:
    """Its header has no lengths yet: what is there is read."""
    words = voice("ada", 1.0)
    path = tmp_path / "words.wav"
    write_wav(path, words)
    assert np.array_equal(read_wav(path), words)
    data = bytearray(path.read_bytes())
    data[4:8] = data[40:44] = bytes(4)
    path.write_bytes(data[:-1001])
    assert np.array_equal(read_wav(path), words[: read_wav(path).size])
    assert read_wav(path).size > words.size - 600


def test_what_is_no_wav_is_named(tmp_path: Path) -> None:
    """The error says which file it is."""
    path = tmp_path / "no.wav"
    path.write_bytes(b"RIFF....nothing of the kind")
    with pytest.raises(ValueError, match=r"no\.wav"):
        read_wav(path)
