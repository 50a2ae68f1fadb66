"""Music in several styles and the noises of lines, synthesised: what must not be taken for speech.

Everything is float64 on the 16-bit scale, 8 kHz, without a level of its own (`scaled` gives it
one); the same generator gives the same sound.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, lfilter, sosfilt

__all__ = ["MUSIC", "NOISES", "RATE", "music", "noise", "scaled"]

RATE: Final = 8000

Sound = npt.NDArray[np.float64]
Random = np.random.Generator

_MAJOR: Final = (0, 4, 7, 12)
_MINOR: Final = (0, 3, 7, 12)
_TURNS: Final = ((0, 5, 7, 0), (0, 9, 5, 7), (9, 5, 0, 7), (0, 7, 9, 4, 5, 0, 5, 7))
"""Roots of chords that follow each other, in half tones."""

_FULL: Final = 32768.0


def scaled(sound: Sound, dbov: float) -> Sound:
    """Return a sound at a level over its whole length [dBov], clipped as a telephone would."""
    rms = max(float(np.sqrt(np.mean(sound**2))), 1e-9)
    return np.clip(sound * (_FULL * 10 ** (dbov / 20) / rms), -32768, 32767)


def _hertz(half_tones: float) -> float:
    return float(220.0 * 2 ** (half_tones / 12))


def _place(track: Sound, sound: Sound, at_s: float) -> None:
    """Add a sound to a track, as far as it reaches."""
    begin = round(at_s * RATE)
    part = track[begin : begin + len(sound)]
    part += sound[: len(part)]


def _tone(hertz: float, seconds: float, partials: tuple[float, ...], vibrato: float = 0.0) -> Sound:
    """Return a tone of harmonics with these amplitudes; vibrato is a share of the frequency."""
    time = np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * hertz * time
    if vibrato:
        phase += hertz * vibrato / 5.5 * np.sin(2 * np.pi * 5.5 * time)
    sound = np.zeros(len(time))
    for number, amplitude in enumerate(partials, 1):
        if number * hertz < 0.47 * RATE:
            sound += amplitude * np.sin(number * phase)
    return sound


def _shaped(sound: Sound, attack_s: float, release_s: float) -> Sound:
    """Fade a sound in and out."""
    rise, fall = max(1, round(attack_s * RATE)), max(1, round(release_s * RATE))
    time = np.arange(len(sound))
    shaped: Sound = sound * np.clip(time / rise, 0, 1) * np.clip((len(sound) - time) / fall, 0, 1)
    return shaped


def _decayed(sound: Sound, seconds: float) -> Sound:
    """Let a sound die away, to a third in so many seconds, after an attack of 4 ms."""
    time = np.arange(len(sound)) / RATE
    decayed: Sound = sound * np.exp(-time / seconds) * np.clip(time / 0.004, 0, 1)
    return decayed


def _string(random: Random, hertz: float, seconds: float) -> Sound:
    """Return a plucked string (Karplus and Strong 1983)."""
    period = max(2, round(RATE / hertz))
    excited = np.zeros(round(seconds * RATE))
    excited[:period] = random.uniform(-1, 1, min(period, len(excited)))
    feedback = np.zeros(period + 2)
    feedback[0] = 1
    feedback[period] = feedback[period + 1] = -0.4985
    plucked: Sound = lfilter([1.0], feedback, excited)
    return plucked


def _chords(random: Random) -> list[list[int]]:
    """Return a turn of chords, as half tones above A3."""
    turn = _TURNS[int(random.integers(len(_TURNS)))]
    key = int(random.integers(-5, 7))
    minor = random.random() < 0.3
    return [[key + root + step for step in (_MINOR if minor else _MAJOR)] for root in turn]


def _pads(random: Random, seconds: float) -> Sound:
    track, each = np.zeros(round(seconds * RATE)), random.uniform(1.5, 4.0)
    chords = _chords(random)
    for number in range(int(seconds / each) + 1):
        for note in chords[number % len(chords)]:
            tone = _tone(_hertz(note), each + 0.3, (1, 0.5, 0.3, 0.2, 0.1))
            _place(track, _shaped(tone, 0.3, 0.4), number * each)
    return track


def _piano(random: Random, seconds: float) -> Sound:
    track, beat = np.zeros(round(seconds * RATE)), 60 / random.uniform(80, 150) / 2
    chords = _chords(random)
    for number in range(int(seconds / beat) + 1):
        chord = chords[number // 8 % len(chords)]
        notes = [chord[(0, 2, 1, 2, 3, 2, 1, 2)[number % 8]]]
        if number % 8 == 0:
            notes.append(chord[0] - 12)
        if number % 2 == 0:
            notes.append(int(random.choice(chord)) + 12)
        for note in notes:
            tone = _tone(_hertz(note), 1.6, (1, 0.6, 0.35, 0.2, 0.12, 0.08))
            _place(track, random.uniform(0.6, 1) * _decayed(tone, 0.45), number * beat)
    return track


def _guitar(random: Random, seconds: float) -> Sound:
    track, beat = np.zeros(round(seconds * RATE)), 60 / random.uniform(70, 130) / 2
    chords = _chords(random)
    for number in range(int(seconds / beat) + 1):
        chord = chords[number // 8 % len(chords)]
        note = chord[(0, 1, 2, 3, 2, 1, 2, 1)[number % 8]]
        _place(track, _string(random, _hertz(note), 1.5), number * beat)
    return track


def _band(random: Random, seconds: float) -> Sound:
    track, beat = np.zeros(round(seconds * RATE)), 60 / random.uniform(90, 135)
    chords = _chords(random)
    time = np.arange(round(0.3 * RATE)) / RATE
    kick = np.sin(2 * np.pi * (50 * time + 6 * (1 - np.exp(-time / 0.03)))) * np.exp(-time / 0.09)
    for number in range(int(2 * seconds / beat) + 1):
        at, chord = number * beat / 2, chords[number // 8 % len(chords)]
        rattle = random.standard_normal(len(time))
        _place(track, 0.15 * rattle * np.exp(-time / 0.02), at)
        if number % 4 == 0:
            _place(track, 2.0 * kick, at)
        if number % 4 == 2:
            _place(track, 0.7 * rattle * np.exp(-time / 0.06), at)
        bass = _tone(_hertz(chord[0] - 12), 0.5 * beat, (1, 0.7, 0.4, 0.2))
        _place(track, _shaped(bass, 0.01, 0.05), at)
        if number % 2:
            for note in chord:
                strum = _tone(_hertz(note), 0.9 * beat, (1, 0.7, 0.5, 0.3, 0.2))
                _place(track, 0.5 * _decayed(strum, 0.3), at)
        if number % 2 == 0:
            lead = _tone(_hertz(int(random.choice(chord)) + 12), beat, (1, 0.5, 0.4, 0.3), 0.006)
            _place(track, 0.8 * _shaped(lead, 0.02, 0.1), at)
    return track


def _strings(random: Random, seconds: float) -> Sound:
    track = np.zeros(round(seconds * RATE))
    chords, each, at, number = _chords(random), random.uniform(1.0, 2.0), 0.0, 0
    while at < seconds:
        for note in chords[number % len(chords)]:
            tone = _tone(_hertz(note), each + 0.2, (1, 0.8, 0.6, 0.5, 0.4, 0.3, 0.2), 0.004)
            _place(track, 0.6 * _shaped(tone, 0.12, 0.2), at)
        melody = int(random.choice(chords[number % len(chords)])) + 12
        for half in (0, 1):
            tone = _tone(_hertz(melody + 2 * half), each / 2, (1, 0.7, 0.5, 0.4, 0.2), 0.008)
            _place(track, 1.2 * _shaped(tone, 0.08, 0.08), at + half * each / 2)
        at += each
        number += 1
    return track


def _flute(random: Random, seconds: float) -> Sound:
    """Return one voice alone, with breath: of all music the nearest to speech."""
    track = np.zeros(round(seconds * RATE))
    chords, at, number = _chords(random), 0.0, 0
    while at < seconds:
        length = float(random.choice((0.25, 0.5, 0.5, 1.0)))
        chord = chords[number // 6 % len(chords)]
        tone = _tone(_hertz(int(random.choice(chord)) + 12), length, (1, 0.4, 0.15, 0.05), 0.005)
        breath = 0.04 * random.standard_normal(len(tone))
        _place(track, _shaped(tone + breath, 0.05, 0.06), at)
        at += length + (0.25 if random.random() < 0.15 else 0)
        number += 1
    return track


def _organ(random: Random, seconds: float) -> Sound:
    track, beat = np.zeros(round(seconds * RATE)), 60 / random.uniform(100, 180)
    chords = _chords(random)
    for number in range(int(seconds / beat) + 1):
        chord = chords[number // 3 % len(chords)]
        notes = [chord[0] - 12] if number % 3 == 0 else list(chord[1:])
        for note in notes:
            tone = _tone(_hertz(note), 0.8 * beat, (1, 0.8, 0, 0.6, 0, 0.4, 0, 0.3))
            _place(track, _shaped(tone, 0.01, 0.03), number * beat)
    return track


def _synth(random: Random, seconds: float) -> Sound:
    track, beat = np.zeros(round(seconds * RATE)), 60 / random.uniform(110, 140) / 4
    chords, saw = _chords(random), tuple(1 / k for k in range(1, 16))
    for number in range(int(seconds / beat) + 1):
        chord = chords[number // 16 % len(chords)]
        tone = _tone(_hertz(chord[number % 4] + 12 * (number % 8 > 3)), beat, saw)
        _place(track, _decayed(tone, 0.12), number * beat)
        if number % 16 == 0:
            for note in chord:
                _place(
                    track,
                    0.4 * _shaped(_tone(_hertz(note - 12), 16 * beat, saw), 0.05, 0.1),
                    number * beat,
                )
    return track


MUSIC: Final[Mapping[str, Callable[[Random, float], Sound]]] = MappingProxyType(
    {
        "pads": _pads,
        "piano": _piano,
        "guitar": _guitar,
        "band": _band,
        "strings": _strings,
        "flute": _flute,
        "organ": _organ,
        "synth": _synth,
    }
)


def music(style: str, seed: int, seconds: float) -> Sound:
    """Return music of a style of `MUSIC`."""
    return MUSIC[style](np.random.default_rng(seed), seconds)


# --- noises ---------------------------------------------------------------------------------------


def _white(random: Random, seconds: float) -> Sound:
    return random.standard_normal(round(seconds * RATE))


def _sloped(random: Random, seconds: float, slope: float) -> Sound:
    """Return noise whose power falls with the frequency to the power of `slope`."""
    samples = round(seconds * RATE)
    spectrum = np.fft.rfft(random.standard_normal(samples))
    frequency = np.maximum(np.fft.rfftfreq(samples, 1 / RATE), 60.0)
    sloped: Sound = np.fft.irfft(spectrum * (frequency / 1000) ** (-slope / 2), samples)
    return sloped / float(np.std(sloped))


def _pink(random: Random, seconds: float) -> Sound:
    return _sloped(random, seconds, 1.0)


def _hum(random: Random, seconds: float) -> Sound:
    mains = float(random.choice((50.0, 60.0)))
    partials = tuple(random.uniform(0.1, 1) / k for k in range(1, 21))
    return _tone(mains, seconds, partials) + 0.02 * _white(random, seconds)


def _fan(random: Random, seconds: float) -> Sound:
    time = np.arange(round(seconds * RATE)) / RATE
    blades, turns = random.uniform(80, 250), random.uniform(0.3, 3)
    swell = 1 + random.uniform(0.02, 0.15) * np.sin(2 * np.pi * turns * time)
    tones = sum(np.sin(2 * np.pi * k * blades * time) / k for k in (1, 2, 3))
    fan: Sound = swell * (_sloped(random, seconds, 1.3) + random.uniform(0, 0.6) * tones)
    return fan


def _line(random: Random, seconds: float) -> Sound:
    """Return hiss, some hum, and a crackle now and then."""
    sound = _white(random, seconds) + 0.5 * _hum(random, seconds)
    for at in random.uniform(0, seconds - 0.1, int(2 * seconds)):
        click = random.uniform(2, 6) * random.standard_normal(round(random.uniform(4, 30)))
        _place(sound, click, float(at))
    return sound


def _air(random: Random, seconds: float) -> Sound:
    """Return an air conditioner: noise of a broad band, its level wandering slowly."""
    band = butter(2, (150, 1200), "bandpass", fs=RATE, output="sos")
    wander = np.interp(
        np.arange(round(seconds * RATE)) / RATE,
        np.arange(0, seconds + 2, 1.0),
        1 + 0.12 * random.standard_normal(int(seconds + 2)),
    )
    air: Sound = wander * sosfilt(band, _white(random, seconds))
    return air


NOISES: Final[Mapping[str, Callable[[Random, float], Sound]]] = MappingProxyType(
    {
        "white": _white,
        "pink": _pink,
        "hum": _hum,
        "fan": _fan,
        "line": _line,
        "air": _air,
    }
)


def noise(kind: str, seed: int, seconds: float) -> Sound:
    """Return the noise of a kind of `NOISES`."""
    return NOISES[kind](np.random.default_rng(seed), seconds)
