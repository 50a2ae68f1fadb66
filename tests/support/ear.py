"""An ear that knows the prompts: which were said in a recording, when, and how much of each.

It compares with the bank's clips, so a test can say *which* prompt a caller heard and not only that
there was sound.  Prompts made of parts (numbers, times) are recognised by their sentence parts.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from dialplan.prompts.bank import Bank, load_bank
from tests.support.signals import RATE, Samples, heard

__all__ = ["Ear", "Said", "ear", "the_bank"]

_HEAD = 4000
_REACH = 400
_STARTED = 0.55
_GOES_ON = 0.45
_QUIET_RMS = 15.0
_MUSIC = 0.8
_STEP = 4
_LIKELY = 0.42
"""Below 1 kHz, at a quarter of the rate, what is looked for is at least so like: measured over
every clip alone, through mu-law and under a voice of the same level, 0.45 and more."""


@dataclass(frozen=True)
class Said:
    """One clip in a recording.

    Attributes:
        clip: Its name in the bank, e.g. "welcome", or "tone.enter", "music.hold".
        at_s: From the recording's start [s].
        seconds: How much of it was heard without a break [s].
        whole: Whether that is all of it, but for the last 0.4 s.
        correlation: Of its first half second.
    """

    clip: str
    at_s: float
    seconds: float
    whole: bool
    correlation: float


@cache
def the_bank() -> Bank:
    """Return the bank at 8 kHz with every language, loaded once a process."""
    return load_bank()


@cache
def ear(language: str = "en") -> "Ear":
    """Return the ear for a language, made once a process.

    Args:
        language: "en" or "sv".

    Returns:
        The ear.
    """
    return Ear(the_bank(), language)


class Ear:
    """The prompts of one language, tones and music, ready to be looked for.

    Args:
        bank: At 8 kHz.
        language: One it was loaded with.
    """

    def __init__(self, bank: Bank, language: str) -> None:
        self._clips: dict[str, npt.NDArray[np.float64]] = {}
        for (group, name), (start, length) in bank.index.items():
            if group == language:
                label = name
            elif group in {"tone", "music"}:
                label = f"{group}.{name}"
            else:
                continue
            clip = bank.samples[start : start + length].astype(np.float64)
            # Leading silence would give a first half second with nothing to compare.
            loud = np.flatnonzero(np.abs(clip) > 200)
            if loud.size and clip.size - loud[0] >= RATE // 8:
                self._clips[label] = clip[loud[0] :]
        self._low = {name: _low(clip[:_HEAD]) for name, clip in self._clips.items()}

    def clip(self, name: str) -> Samples:
        """Return a clip as it is compared, without its leading silence.

        Args:
            name: As in `Said.clip`.

        Returns:
            int16, 8 kHz.
        """
        return self._clips[name].astype(np.int16)

    def is_music(self, stretch: Samples) -> bool:
        """Say whether a stretch is a part of the hold music, from wherever in it.

        Args:
            stretch: int16, 8 kHz, two seconds or so, nothing else over it.

        Returns:
            True where it is.
        """
        if np.abs(stretch.astype(int)).max() < 50:
            return False
        return heard(self.clip("music.hold"), stretch).correlation > _MUSIC

    def said(self, recording: Samples, *, only: tuple[str, ...] = ()) -> list[Said]:
        """Return what was said in a recording.

        Args:
            recording: int16, 8 kHz.
            only: Look for these clips alone; every clip of at least half a second when empty
                (shorter ones are found by chance).

        Returns:
            In order of time, without overlaps.
        """
        sound = np.concatenate((recording.astype(np.float64), np.zeros(_HEAD + _REACH)))
        size = 1 << int(np.ceil(np.log2(sound.size + _HEAD)))
        spectrum = np.fft.rfft(sound, size)
        sums = np.concatenate(([0.0], np.cumsum(sound**2)))
        names = only or self._likely(sound)
        found: list[Said] = []
        for name in names:
            clip = self._clips[name]
            head = clip[: min(_HEAD, clip.size)]
            curve = _curve(head, size, spectrum, sums)
            while True:
                place = int(curve.argmax())
                if curve[place] < _STARTED:
                    break
                found.append(self._follow(name, sound, place, float(curve[place])))
                # The same clip again cannot begin before this one's head is over.
                curve[max(0, place - head.size) : place + head.size] = 0.0
        return _without_overlaps(found)

    def _likely(self, sound: npt.NDArray[np.float64]) -> tuple[str, ...]:
        """Return the clips of at least half a second that may be in a recording.

        There are hundreds: to compare each of them at the full rate takes seconds.
        """
        low = _low(sound)
        size = 1 << int(np.ceil(np.log2(low.size + _HEAD // _STEP)))
        spectrum = np.fft.rfft(low, size)
        sums = np.concatenate(([0.0], np.cumsum(low**2)))
        return tuple(
            name
            for name, clip in self._clips.items()
            if clip.size >= _HEAD and _curve(self._low[name], size, spectrum, sums).max() > _LIKELY
        )

    def _follow(
        self, name: str, sound: npt.NDArray[np.float64], place: int, correlation: float
    ) -> Said:
        """Say how far a clip goes on from where its head was found."""
        clip = self._clips[name]
        heard = min(_HEAD, clip.size)
        slip = 0
        while heard < clip.size:
            part = clip[heard : heard + _HEAD]
            low = max(0, place + heard + slip - _REACH)
            window = sound[low : low + part.size + 2 * _REACH]
            if window.size < part.size:
                break
            if np.sqrt(np.mean(part**2)) >= 4 * _QUIET_RMS:
                product = np.correlate(window, part, mode="valid")
                squares = np.concatenate(([0.0], np.cumsum(window**2)))
                energy = squares[part.size :] - squares[: -part.size]
                norm = np.sqrt(np.maximum(energy, part.size * _QUIET_RMS**2) * np.dot(part, part))
                curve = product / norm
                best = int(curve.argmax())
                if curve[best] < _GOES_ON:
                    break
                slip = low + best - place - heard
            heard += part.size
        return Said(
            name,
            place / RATE,
            heard / RATE,
            heard >= clip.size - 0.4 * RATE,
            correlation,
        )


def _low(sound: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return what lies below 1 kHz, at a quarter of the rate."""
    taps = np.sinc(np.arange(-16, 17) / _STEP) * np.hanning(35)[1:-1]
    filtered = np.convolve(sound, taps / taps.sum(), mode="same").astype(np.float64)
    return filtered[::_STEP]


def _curve(
    head: npt.NDArray[np.float64],
    size: int,
    spectrum: npt.NDArray[np.complex128],
    sums: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Return the normalised correlation of a clip's head with a recording at each lag.

    Args:
        head: What is looked for.
        size: Of the transform.
        spectrum: Of the recording.
        sums: Running sums of its squares, from 0.
    """
    product = np.fft.irfft(spectrum * np.conj(np.fft.rfft(head, size)), size).astype(np.float64)
    energy = np.maximum(sums[head.size :] - sums[: -head.size], head.size * _QUIET_RMS**2)
    curve: npt.NDArray[np.float64] = product[: energy.size]
    curve /= np.sqrt(energy * float(np.dot(head, head)))
    return curve


def _without_overlaps(found: list[Said]) -> list[Said]:
    """Keep the better of two clips that claim the same stretch."""
    kept: list[Said] = []
    for item in sorted(found, key=lambda said: said.correlation * said.seconds**0.5, reverse=True):
        clash = any(
            item.at_s < other.at_s + other.seconds - 0.1
            and other.at_s < item.at_s + item.seconds - 0.1
            for other in kept
        )
        if not clash:
            kept.append(item)
    return sorted(kept, key=lambda said: said.at_s)
