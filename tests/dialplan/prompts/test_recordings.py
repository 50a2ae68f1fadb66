"""The recordings as shipped: they say today's texts, and sound as a telephone needs them."""

import json
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from dialplan.prompts import manifest
from dialplan.prompts.bank import SOURCE_RATE
from dialplan.prompts.catalogue import LANGUAGES, load_catalogue
from dialplan.prompts.resample import resample
from dialplan.prompts.speech_level import speech_level

_AUDIO: Final = Path(manifest.__file__).parent / "audio"
_HOLD: Final = _AUDIO / "music" / "hold.flac"
_SPEECH_DB: Final = -24.0


def decode(file: Path) -> npt.NDArray[np.int16]:
    """Return a recording's samples, `(n,)`, its format checked."""
    information = soundfile.info(file)
    assert information.format == "FLAC", file
    assert information.subtype == "PCM_16", file
    assert information.samplerate == SOURCE_RATE, file
    assert information.channels == 1, file
    samples, _ = soundfile.read(file, dtype="int16")
    return np.asarray(samples, dtype=np.int16)


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_recording_is_stale(language: str) -> None:
    """Each clip was recorded from the text and voice of today; scripts/build-prompts repairs it."""
    assert manifest.stale_clips(language) == {}


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_else_lies_with_the_recordings(language: str) -> None:
    """A folder holds a file to each clip and the manifest; the manifest tells each clip's text."""
    clips = load_catalogue(language).clips
    names = {file.name for file in (_AUDIO / language).iterdir()}
    assert names == {f"{clip}.flac" for clip in clips} | {manifest.MANIFEST}
    told = {clip: entry.text for clip, entry in manifest.read_manifest(language).items()}
    assert told == clips


@pytest.mark.parametrize("language", LANGUAGES)
def test_recordings_sound_as_they_should(language: str) -> None:
    """Every clip is at the same speech level, unclipped, without DC, trimmed, and of its length."""
    for clip, text in load_catalogue(language).clips.items():
        samples = decode(_AUDIO / language / f"{clip}.flac")
        level = speech_level(samples, SOURCE_RATE)
        assert level.active_db == pytest.approx(_SPEECH_DB, abs=1.0), clip
        assert level.peak_db < -5.5, clip
        assert abs(np.mean(samples)) < 8, clip
        seconds = len(samples) / SOURCE_RATE
        letters = len(text.strip(".,"))
        assert 0.12 + 0.03 * letters < seconds < 0.5 + 0.12 * letters, clip
        # Speech begins and ends within a tenth of a second of the file, and not with a click.
        tenth = SOURCE_RATE // 10
        floor = 32768 * 10 ** ((_SPEECH_DB - 35) / 20)
        assert np.abs(samples[:tenth]).max() > floor, clip
        assert np.abs(samples[-tenth:]).max() > floor, clip
        assert np.abs(samples[[0, -1]]).max() < 64, clip


@pytest.mark.parametrize("language", LANGUAGES)
def test_speech_is_there_at_telephone_bandwidth(language: str) -> None:
    """Between 300 and 3400 Hz a sentence keeps its level: what a telephone cuts off is little."""
    for clip in ("welcome", "enter_pin", "goodbye"):
        samples = decode(_AUDIO / language / f"{clip}.flac") / 32768
        narrow = resample(samples, SOURCE_RATE, 8000)
        power = np.abs(np.fft.rfft(narrow)) ** 2
        frequencies = np.fft.rfftfreq(len(narrow), 1 / 8000)
        band = (frequencies > 300) & (frequencies < 3400)
        assert 10 * np.log10(power[band].sum() / power.sum()) > -6, clip
        assert power[frequencies < 60].sum() < 1e-4 * power.sum(), clip


def test_the_shipped_sound_is_small() -> None:
    """All recordings together stay below 18 MB, and each file below 1.5 MB."""
    sizes = [file.stat().st_size for file in _AUDIO.rglob("*.flac")]
    assert sum(sizes) < 18_000_000
    assert max(sizes) < 1_500_000


def test_the_sound_says_whose_it_is() -> None:
    """A licence lies with the recordings, and names every voice."""
    text = (_AUDIO / "LICENSE.md").read_text(encoding="utf-8")
    for language in LANGUAGES:
        assert manifest.load_voice(language).model in text


def test_a_changed_text_or_voice_is_stale() -> None:
    """Another text, setting or pronunciation gives another fingerprint; other words do not."""
    voice = manifest.load_voice("sv")
    before = manifest.fingerprint(voice, "Ring igen.")
    assert manifest.fingerprint(voice, "Ring senare.") != before
    faster = voice._replace(settings={**voice.settings, "rate_wpm": 300})
    assert manifest.fingerprint(faster, "Ring igen.") != before
    other = voice._replace(say=(*voice.say, (r"\bminut\b", "[[mIn'u-t]]")))
    assert manifest.fingerprint(other, "Ring igen.") == before
    assert manifest.fingerprint(voice._replace(say=()), "Ring igen.") != before


def test_manifests_are_sorted_for_their_readers() -> None:
    """A manifest is in the order of its clips, so that a change shows as that change."""
    for language in LANGUAGES:
        clips = list(json.loads((_AUDIO / language / manifest.MANIFEST).read_text("utf-8")))
        assert clips == sorted(clips)


def test_hold_music_is_long_quiet_and_even() -> None:
    """The music lasts more than two minutes, lies below speech, and neither booms nor fades."""
    samples = decode(_HOLD) / 32768
    assert 120 < len(samples) / SOURCE_RATE < 200
    assert 20 * np.log10(np.sqrt(np.mean(samples**2))) == pytest.approx(-30, abs=1)
    assert np.abs(samples).max() < 10 ** (-12 / 20)
    assert abs(samples.mean()) < 1e-4
    seconds = samples[: len(samples) // SOURCE_RATE * SOURCE_RATE].reshape(-1, SOURCE_RATE)
    loudness = 10 * np.log10(np.mean(seconds**2, axis=1))
    assert loudness.min() > -38
    assert loudness.max() < -24


def test_hold_music_lies_in_the_telephone_band() -> None:
    """Nearly all of the music is between 200 and 3400 Hz, and nothing is above 4 kHz."""
    samples = decode(_HOLD) / 32768
    power = np.abs(np.fft.rfft(samples)) ** 2
    frequencies = np.fft.rfftfreq(len(samples), 1 / SOURCE_RATE)
    assert power[(frequencies > 200) & (frequencies < 3400)].sum() > 0.9 * power.sum()
    assert power[frequencies > 4000].sum() < 1e-4 * power.sum()


def test_hold_music_loops_without_a_seam() -> None:
    """Around the loop's end the music moves no faster than it does elsewhere."""
    samples = decode(_HOLD) / 32768
    seam = np.concatenate([samples[-400:], samples[:400]])
    step, bend = np.abs(np.diff(seam)), np.abs(np.diff(seam, 2))
    assert step.max() < np.quantile(np.abs(np.diff(samples)), 0.999)
    assert bend.max() < np.quantile(np.abs(np.diff(samples, 2)), 0.999)
    # And it does not go down to silence there either.
    assert np.sqrt(np.mean(seam**2)) > 10 ** (-50 / 20)
