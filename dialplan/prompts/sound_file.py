"""A sound file that somebody wants to be heard in a conference, as the mixer plays it.

Whatever libsndfile reads will do: WAV, FLAC, Ogg, MP3, of one channel or two, 8 to 192 kHz. It is
brought to 8 kHz, one channel and the loudness of the prompts: nobody is to reach for the volume.
"""

from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import soundfile

from dialplan.prompts.errors import AudioError
from dialplan.prompts.resample import resample
from dialplan.prompts.speech_level import speech_level

__all__ = ["LONGEST_S", "RATE", "read_sound"]

RATE: Final = 8_000
"""Of what comes out, samples a second."""

LONGEST_S: Final = 45.0
"""Of a file: what is longer is a recording to listen to, not a word to a conference."""

_SHORTEST_S: Final = 0.1
_RATES: Final = range(8_000, 192_001)
_MOST_CHANNELS: Final = 2
_LEVEL_DB: Final = -24.0
"""Active speech level of the prompts (`scripts/build-prompts`) [dBov]."""
_PEAK: Final = 0.5
_MOST_GAIN_DB: Final = 20.0
"""So much louder at most: what is softer than that is noise more than sound."""


def read_sound(file: Path) -> npt.NDArray[np.int16]:
    """Read a sound file.

    Args:
        file: Where it is.

    Returns:
        int16, `(n,)`, 8 kHz.

    Raises:
        AudioError: It cannot be read, is no sound file, too long, too short, or silent.
    """
    try:
        with file.open("rb") as opened, soundfile.SoundFile(opened) as sound:
            _check(sound, file.name)
            samples = sound.read(round(LONGEST_S * sound.samplerate), "float64", always_2d=True)
            rate = int(sound.samplerate)
    except OSError as error:
        raise AudioError(f"{file}: cannot be read: {error.strerror or error}") from error
    except soundfile.LibsndfileError as error:
        raise AudioError(f"{file.name}: is no sound file: {error.error_string}") from error
    return _levelled(resample(np.asarray(samples, np.float64).mean(axis=1), rate, RATE), file.name)


def _check(sound: soundfile.SoundFile, name: str) -> None:
    seconds = sound.frames / sound.samplerate
    if sound.channels > _MOST_CHANNELS:
        raise AudioError(f"{name}: has {sound.channels} channels; expected one or two")
    if sound.samplerate not in _RATES:
        raise AudioError(
            f"{name}: has {sound.samplerate} samples a second; expected {_RATES[0]} to {_RATES[-1]}"
        )
    if seconds > LONGEST_S:
        raise AudioError(f"{name}: lasts {seconds:.1f} s; {LONGEST_S:g} s are the longest")
    if seconds < _SHORTEST_S:
        raise AudioError(f"{name}: lasts {seconds:.2f} s; {_SHORTEST_S:g} s are the shortest")


def _levelled(samples: npt.NDArray[np.float64], name: str) -> npt.NDArray[np.int16]:
    """Bring sound to the loudness of the prompts, its peaks no higher than theirs may be."""
    if not np.isfinite(samples).all():
        raise AudioError(f"{name}: holds samples that are no numbers")
    level = speech_level(samples, RATE)
    peak = float(np.abs(samples).max(initial=0.0))
    if not np.isfinite(level.peak_db) or not round(peak * 32767):
        raise AudioError(f"{name}: is silent")
    wanted = _LEVEL_DB - level.active_db if np.isfinite(level.active_db) else 0.0
    gain = min(10 ** (min(wanted, _MOST_GAIN_DB) / 20), _PEAK / peak)
    return np.round(samples * gain * 32767).astype(np.int16)
