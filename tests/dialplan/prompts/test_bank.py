"""The bank: one array, an index that fits it, and a cache that can be lost at any time."""

import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dialplan.phrases import PhraseKey, phrase
from dialplan.prompts.bank import MUSIC, SOURCE_RATE, TONE, Bank, load_bank
from dialplan.prompts.catalogue import LANGUAGES, load_catalogue
from dialplan.prompts.errors import AudioError, UnknownPhraseError
from dialplan.prompts.speech_level import speech_level
from dialplan.prompts.tones import TONES


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which this module's bank is cached."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def bank(cache_dir: Path) -> Bank:
    """Return the bank of all languages."""
    return load_bank(LANGUAGES, cache_dir)


@pytest.fixture
def small_audio(tmp_path: Path) -> Path:
    """Return a folder of recordings with every English clip as the same short tone."""
    folder = tmp_path / "audio"
    for group, names in {"en": load_catalogue("en").clips, MUSIC: ["hold"]}.items():
        (folder / group).mkdir(parents=True)
        sound = np.round(8000 * np.sin(np.arange(320) / 4)).astype(np.int16)
        for name in names:
            soundfile.write(folder / group / f"{name}.flac", sound, SOURCE_RATE)
    return folder


def test_index_covers_the_array(bank: Bank) -> None:
    """The pieces lie one after the other, without gap or overlap, from the first sample on."""
    pieces = sorted(bank.index.values())
    assert pieces[0][0] == 0
    assert all(start + length == after for (start, length), (after, _) in pairwise(pieces))
    assert sum(pieces[-1]) == len(bank.samples)
    assert min(length for _, length in pieces) > bank.rate // 10


def test_everything_is_in_it(bank: Bank) -> None:
    """Every clip of every language, every tone and the music are in the bank."""
    expected = {
        (language, clip) for language in LANGUAGES for clip in load_catalogue(language).clips
    }
    expected |= {(TONE, name) for name in TONES} | {(MUSIC, "hold")}
    assert bank.index.keys() == expected
    assert bank.tone("enter") == bank.index[TONE, "enter"]
    assert bank.music() == bank.index[MUSIC, "hold"]


def test_samples_are_telephone_speech(bank: Bank) -> None:
    """The array is int16 at 8 kHz, read-only, and a greeting in it keeps its speech level."""
    assert bank.samples.dtype == np.int16
    assert bank.rate == 8000
    assert not bank.samples.flags.writeable
    start, length = bank.index["en", "welcome"]
    level = speech_level(bank.samples[start : start + length], bank.rate)
    assert level.active_db == pytest.approx(-24, abs=1.5)


def test_phrases_become_pieces(bank: Bank) -> None:
    """A sentence is its clips, its pauses as silence, and its tones, in order."""
    said = [phrase(PhraseKey.TONE_BEEP), phrase(PhraseKey.OTHERS_HERE, count=21)]
    assert bank.clips("sv", said) == [
        bank.index[TONE, "beep"],
        (-1, 2400),
        bank.index["sv", "others_here.other.1"],
        bank.index["sv", "number.21.common"],
        bank.index["sv", "others_here.other.2"],
    ]
    assert bank.clips("en", []) == []


def test_wideband_is_twice_as_long(cache_dir: Path, bank: Bank) -> None:
    """At 16 kHz each piece has twice the samples; both rates are cached side by side."""
    wide = load_bank(LANGUAGES, cache_dir, rate=16_000)
    assert wide.rate == SOURCE_RATE
    for key, (_, length) in bank.index.items():
        assert abs(wide.index[key][1] - 2 * length) <= 2
    assert {file.name for file in cache_dir.iterdir()} == {"prompts-8000.npz", "prompts-16000.npz"}


def test_second_start_is_fast_and_the_same(cache_dir: Path, bank: Bank) -> None:
    """From the cache the bank comes in well under a second, sample for sample."""
    began = time.perf_counter()
    again = load_bank(LANGUAGES, cache_dir)
    # About 0.1 s; the bound leaves room for a busy machine.
    assert time.perf_counter() - began < 1.0
    assert again.index == bank.index
    assert np.array_equal(again.samples, bank.samples)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "other", "not_an_archive"])
def test_a_damaged_cache_is_made_again(small_audio: Path, tmp_path: Path, damage: str) -> None:
    """Whatever became of the cache file, the bank is right and the cache is whole again."""
    cache_dir = tmp_path / "cache"
    sound = load_bank(["en"], cache_dir, audio=small_audio)
    cache = cache_dir / "prompts-8000.npz"
    whole = cache.read_bytes()
    if damage == "truncated":
        cache.write_bytes(whole[: len(whole) // 2])
    elif damage == "flipped":
        middle = len(whole) // 2
        cache.write_bytes(whole[:middle] + bytes([whole[middle] ^ 0xFF]) + whole[middle + 1 :])
    elif damage == "empty":
        cache.write_bytes(b"")
    elif damage == "other":
        np.savez(cache, something=np.zeros(3))
    else:
        cache.write_text("not an archive")
    again = load_bank(["en"], cache_dir, audio=small_audio)
    assert np.array_equal(again.samples, sound.samples)
    assert again.index == sound.index
    assert cache.read_bytes() == whole
    assert [file.name for file in cache_dir.iterdir()] == [cache.name]


def test_a_changed_recording_is_heard(small_audio: Path, tmp_path: Path) -> None:
    """The cache knows what it was made from: another recording is not answered from it."""
    before = load_bank(["en"], tmp_path / "cache", audio=small_audio)
    soundfile.write(small_audio / "en" / "welcome.flac", np.zeros(640, np.int16), SOURCE_RATE)
    after = load_bank(["en"], tmp_path / "cache", audio=small_audio)
    assert before.index["en", "welcome"][1] == 160
    assert after.index["en", "welcome"][1] == 320


def test_a_cache_that_cannot_be_written_is_done_without(small_audio: Path, tmp_path: Path) -> None:
    """A cache folder that cannot be made costs time, not the start."""
    (tmp_path / "file").write_text("in the way")
    bank = load_bank(["en"], tmp_path / "file" / "cache", audio=small_audio)
    assert ("en", "welcome") in bank.index


def test_a_missing_recording_is_named(small_audio: Path) -> None:
    """A recording that is not there is told by name, with what makes it."""
    (small_audio / "en" / "goodbye.flac").unlink()
    with pytest.raises(AudioError, match=r"goodbye\.flac.*scripts/build-prompts"):
        load_bank(["en"], audio=small_audio)


def test_a_damaged_recording_is_named(small_audio: Path) -> None:
    """A recording that is no FLAC file is told by name."""
    (small_audio / "en" / "goodbye.flac").write_bytes(b"no sound")
    with pytest.raises(AudioError, match=r"goodbye\.flac cannot be decoded"):
        load_bank(["en"], audio=small_audio)


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (16_000, 2)])
def test_a_recording_of_another_format_is_refused(
    small_audio: Path, rate: int, channels: int
) -> None:
    """A recording of another rate or with two channels is refused, not played too fast."""
    sound = np.zeros((320, channels), np.int16)
    soundfile.write(small_audio / "en" / "goodbye.flac", sound, rate)
    with pytest.raises(AudioError, match=r"goodbye\.flac: expected 16000 Hz and one channel"):
        load_bank(["en"], audio=small_audio)


def test_a_language_that_was_not_loaded_is_replaced(small_audio: Path, bank: Bank) -> None:
    """Who speaks a language that is not there hears the default one, and a region is no matter."""
    welcome = [phrase(PhraseKey.WELCOME)]
    english = load_bank(["en"], audio=small_audio)
    assert english.clips("sv", welcome) == [english.index["en", "welcome"]]
    assert english.clips("fi-FI", welcome) == [english.index["en", "welcome"]]
    assert bank.clips("sv-SE", welcome) == [bank.index["sv", "welcome"]]


def test_without_the_default_language_another_is_spoken() -> None:
    """A bridge that speaks Swedish alone speaks it to everybody."""
    swedish = load_bank(["sv"])
    assert swedish.clips("en", [phrase(PhraseKey.GOODBYE)]) == [swedish.index["sv", "goodbye"]]


def test_an_unknown_language_cannot_be_loaded(small_audio: Path) -> None:
    """A bank of a language without a catalogue is refused, and so is one of no language."""
    with pytest.raises(UnknownPhraseError, match="'tlh'"):
        load_bank(["tlh"], audio=small_audio)
    with pytest.raises(UnknownPhraseError, match="needs a language"):
        load_bank([], audio=small_audio)
