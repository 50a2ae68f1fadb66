"""Sound files of administrators: what is taken, how it comes out, and what is said of the rest."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from dialplan.prompts.errors import AudioError
from dialplan.prompts.sound_file import LONGEST_S, RATE, read_sound
from dialplan.prompts.speech_level import speech_level


def tone(seconds: float, rate: int, level: float = 0.1) -> npt.NDArray[np.float64]:
    """Return a tone of 440 Hz."""
    return level * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize(("ending", "channels"), [("wav", 1), ("wav", 2), ("flac", 2), ("ogg", 1)])
def test_any_common_file_becomes_telephone_sound(
    tmp_path: Path, rate: int, ending: str, channels: int
) -> None:
    """The same tone at 8 kHz, as loud as the prompts are."""
    file = tmp_path / f"a.{ending}"
    soundfile.write(file, np.column_stack([tone(1.0, rate)] * channels), rate)
    samples = read_sound(file)
    assert samples.dtype == np.int16
    assert samples.shape == (RATE,)
    spectrum = np.abs(np.fft.rfft(samples))
    assert int(spectrum.argmax()) == 440
    assert speech_level(samples, RATE).active_db == pytest.approx(-24, abs=0.5)


@pytest.mark.parametrize("level", [1.0, 0.02])
def test_loud_and_soft_files_come_out_alike(tmp_path: Path, level: float) -> None:
    """Nobody reaches for the volume."""
    soundfile.write(tmp_path / "a.wav", tone(1.0, 8000, level), 8000, subtype="FLOAT")
    samples = read_sound(tmp_path / "a.wav")
    assert speech_level(samples, RATE).active_db == pytest.approx(-24, abs=0.5)


def test_a_click_is_not_made_louder_than_prompts_may_be(tmp_path: Path) -> None:
    """What has no level of speech keeps below the peaks of prompts."""
    samples = np.zeros(8000)
    samples[4000] = 1.0
    soundfile.write(tmp_path / "a.wav", samples, 8000)
    assert int(np.abs(read_sound(tmp_path / "a.wav")).max()) <= 16384


def write(file: Path, samples: npt.NDArray[np.float64], rate: int) -> Path:
    """Write a sound file."""
    soundfile.write(file, samples, rate, subtype="FLOAT" if file.suffix == ".wav" else None)
    return file


def test_what_cannot_be_played_is_refused_with_the_reason(tmp_path: Path) -> None:
    """Each in words, and none read into memory whole before it is judged."""
    text = tmp_path / "text.wav"
    text.write_text("this is no sound")
    empty = tmp_path / "empty.wav"
    empty.touch()
    numbers = tone(1.0, 8000)
    numbers[100] = np.nan
    cases = {
        "cannot be read": tmp_path / "absent.wav",
        "Is a directory": tmp_path,
        "text.wav: is no sound file": text,
        "empty.wav: is no sound file": empty,
        f"{LONGEST_S:g} s are the longest": write(
            tmp_path / "long.wav", tone(LONGEST_S + 0.1, 8000), 8000
        ),
        "are the shortest": write(tmp_path / "short.wav", tone(0.05, 8000), 8000),
        "has 3 channels": write(tmp_path / "three.wav", np.ones((8000, 3)), 8000),
        "has 4000 samples a second": write(tmp_path / "slow.wav", tone(1.0, 4000), 4000),
        "is silent": write(tmp_path / "silent.wav", np.zeros(8000), 8000),
        "no numbers": write(tmp_path / "nan.wav", numbers, 8000),
    }
    for why, file in cases.items():
        with pytest.raises(AudioError, match=why):
            read_sound(file)


def test_a_file_of_the_longest_length_is_whole(tmp_path: Path) -> None:
    """Up to its last sample."""
    file = write(tmp_path / "a.flac", tone(LONGEST_S, 16000), 16000)
    assert len(read_sound(file)) == LONGEST_S * RATE
