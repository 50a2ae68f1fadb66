"""Measure talk-off: keys that the bridge hears where nobody presses any.

Speech and music go through a whole media engine as legs without telephone-event, PCMU, loud: their
active level is -16 dBov, 8 dB above what is usual. Speech is read by espeak-ng in twenty voices of
sixteen languages, of changing pitch and pace; then come the project's own prompts and hold music.
The same seed gives the same sounds where espeak-ng is the same.

  false_digits   keys told, by source. Which ones is not said: it does not matter.
  an_hour        of them, in an hour of speech.
  muted_an_hour  frames of 20 ms of an hour of speech that others did not hear, because a tone might
                 have begun.
"""

import functools
import io
import re
import subprocess
import sys
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bridge.media.messages import DigitPressed
from dialplan.prompts.bank import MUSIC, TONE, load_bank
from dialplan.prompts.resample import resample
from tests.bench.programs import LoadError
from tests.media.engine import PCM, Engine
from tests.support import g711

__all__ = ["Pressed", "count", "measure", "read_aloud", "recorded"]

VOICES: Final = (
    "en-us",
    "en-us+f3",
    "en-us+croak",
    "en-gb+f2",
    "en-gb-scotland+f2",
    "de+m3",
    "fr+f1",
    "es+m1",
    "es-419+f5",
    "it+f4",
    "sv",
    "pl+m5",
    "nl+f5",
    "fi+m7",
    "tr+f3",
    "hu+m2",
    "pt-br+m4",
    "cs+f1",
    "da",
    "nb+f2",
)

ACTIVE_DBOV: Final = -16.0

_ROOT: Final = Path(__file__).parents[2]
_RATE: Final = 8000
_FRAME: Final = 160
_WORDS: Final = 220
"""In one breath of espeak-ng's: after them pitch and pace change."""

_FLOOR: Final = 200
"""Samples beyond this are speech, of one at -20 dBov or so; what is between words is not."""


@dataclass(frozen=True, slots=True)
class Pressed:
    """What was heard in some sounds.

    Args:
        keys: int64, `(legs,)`: keys told of each.
        muted: int64, `(legs,)`: frames of each that others did not hear.
    """

    keys: npt.NDArray[np.int64]
    muted: npt.NDArray[np.int64]


def count(sounds: PCM) -> Pressed:
    """Let sounds be said in a conference, and count the keys.

    Args:
        sounds: int16, `(legs, samples)`, whole frames.
    """
    legs, samples = sounds.shape
    keys, muted = np.zeros(legs, np.int64), np.zeros(legs, np.int64)
    coded = [g711.encode(sound, g711.PCMU) for sound in sounds]
    with Engine(capacity=max(4, legs)) as engine:
        senders = [engine.open(1 + leg, room=1, dtmf_payload_type=None) for leg in range(legs)]
        engine.run()
        rows = np.array([engine.row(1 + leg) for leg in range(legs)])
        tonal = np.zeros((3, legs), np.bool_)

        def arrive(number: int) -> None:
            part = slice(number * _FRAME, (number + 1) * _FRAME)
            for leg, sender in enumerate(senders):
                engine.feed(1 + leg, sender.audio(coded[leg][part]))
            # A frame is muted where it or one beside it is taken for a tone.
            tonal[number % 3] = engine.state.inband.filled[rows, 0]
            muted[:] += tonal.any(axis=0)
            engine.wires.sent.clear()

        engine.run(samples // _FRAME, arrive)
        for event in engine.told(DigitPressed):
            keys[event.leg - 1] += 1
    return Pressed(keys, muted)


def recorded() -> tuple[PCM, PCM]:
    """Return the project's prompts and its hold music: int16, `(n,)`, at `ACTIVE_DBOV`."""
    bank = load_bank()
    music: list[PCM] = []
    prompts: list[PCM] = []
    for (group, _), (start, length) in sorted(bank.index.items(), key=lambda item: item[1]):
        if group != TONE:
            (music if group == MUSIC else prompts).append(bank.samples[start : start + length])
    return _loud(np.concatenate(prompts)), _loud(np.concatenate(music))


def measure(minutes: int, seed: int) -> dict[str, Any]:
    """Measure.

    Args:
        minutes: of speech, all voices together.
        seed: of pitch and pace.

    Returns:
        What `scripts/bench talkoff --json` prints.

    Raises:
        LoadError: it could not be measured.
    """
    each = minutes * 60 / len(VOICES)
    text = _text()
    speech = []
    for index, voice in enumerate(VOICES):
        sys.stderr.write(f"{voice} reads for {each:.0f} s\n")
        begin = index * len(text) // len(VOICES)
        speech.append(_read(voice, text[begin:] + text[:begin], each, seed + index))
    pressed = count(np.stack(speech))
    prompts, music = recorded()
    others = {name: count(_rows(sound)) for name, sound in (("prompts", prompts), ("music", music))}
    hours = speech[0].size * len(VOICES) / _RATE / 3600
    false = {
        "speech": int(pressed.keys.sum()),
        **{name: int(other.keys.sum()) for name, other in others.items()},
    }
    return {
        "seed": seed,
        "voices": len(VOICES),
        "minutes": {
            "speech": round(60 * hours, 1),
            "prompts": round(prompts.size / _RATE / 60, 1),
            "music": round(music.size / _RATE / 60, 1),
        },
        "active_dbov": ACTIVE_DBOV,
        "false_digits": false,
        "an_hour": round(false["speech"] / hours, 2),
        "muted_an_hour": round(float(pressed.muted.sum()) / hours, 1),
        "ok": false["speech"] < hours and not false["prompts"] and not false["music"],
    }


def _rows(sound: PCM, legs: int = 16) -> PCM:
    """Cut a sound into legs, so that it takes fewer ticks."""
    length = -(-sound.size // (legs * _FRAME)) * _FRAME
    cut = np.zeros(legs * length, np.int16)
    cut[: sound.size] = sound
    return cut.reshape(legs, length)


def read_aloud(voice: str, begin: int, seconds: float, seed: int) -> npt.NDArray[np.float64]:
    """Let espeak-ng read as one of `VOICES` for so long: float64, whole frames, 8 kHz.

    Args:
        voice: the voice.
        begin: where in the text; wherever the text has words, a number of any size will do.
        seconds: how long [s].
        seed: of pitch and pace.

    Raises:
        LoadError: espeak-ng is not there or does not read.
    """
    words = _text()
    begin = begin * _WORDS % len(words)
    return _read(voice, words[begin:] + words[:begin], seconds, seed).astype(np.float64)


@functools.cache
def _text() -> list[str]:
    """Return what is read: what this project says of itself, in words."""
    pages = [page.read_text() for page in sorted(_ROOT.glob("*.md"))]
    for package in ("bridge", "dialplan", "cdr", "privacy", "config"):
        for module in sorted((_ROOT / package).rglob("*.py")):
            pages += re.findall(r'"""(.*?)"""', module.read_text(), re.DOTALL)
    words = re.sub(r"[^A-Za-z,.;:' ]+", " ", " ".join(pages)).split()
    # What is left of tables and diagrams would be read as silence.
    return [word for word in words if word[:1].isalpha()]


def _read(voice: str, words: list[str], seconds: float, seed: int) -> PCM:
    """Let espeak-ng read for so long: int16, whole frames, at `ACTIVE_DBOV`."""
    rng = np.random.default_rng(seed)
    wanted = round(seconds * _RATE / _FRAME) * _FRAME
    parts: list[npt.NDArray[np.float64]] = []
    begin = 0
    while sum(part.size for part in parts) < wanted:
        said = " ".join((words * 2)[begin : begin + _WORDS])
        begin = (begin + _WORDS) % len(words)
        how = ["-p", str(rng.integers(20, 90)), "-s", str(rng.integers(120, 200))]
        try:
            done = subprocess.run(
                ["espeak-ng", "-v", voice, *how, "--stdout", said],
                capture_output=True,
                check=True,
            )
        except (OSError, subprocess.CalledProcessError) as error:
            raise LoadError(f"espeak-ng does not read as {voice}: {error}") from error
        # Of a stream its header gives no length; what follows its 44 octets is all samples.
        with wave.open(io.BytesIO(done.stdout)) as header:
            rate = header.getframerate()
        samples = np.frombuffer(done.stdout[44:], np.int16).astype(np.float64)
        parts.append(resample(samples, rate, _RATE))
    return _loud(np.concatenate(parts)[:wanted])


def _loud(sound: npt.NDArray[Any]) -> PCM:
    """Bring a sound to `ACTIVE_DBOV`."""
    samples = sound.astype(np.float64)
    active = samples[np.abs(samples) > _FLOOR]
    gain = 32768 * 10 ** (ACTIVE_DBOV / 20) / np.sqrt(np.mean(active**2))
    loud: PCM = np.clip(np.round(gain * samples), -32124, 32124).astype(np.int16)
    return loud
