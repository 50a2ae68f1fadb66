"""Speech to send through the bridge, from the recordings of its own prompts, and its coding."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import G722
import numpy as np
import numpy.typing as npt
import soundfile
from scipy.signal import resample_poly

import dialplan.prompts
from tests.media.engine import PCM
from tests.support import g711

__all__ = ["RATES", "decoded", "encoded", "recorded", "zero_filled"]

RATES: Final = {"PCMU": 8000, "PCMA": 8000, "G722": 16_000}
_NUMBERS: Final = {"PCMU": g711.PCMU, "PCMA": g711.PCMA}
_OCTETS: Final = 160

AUDIO: Final = Path(dialplan.prompts.__file__).parent / "audio"
_PAUSE_S: Final = 0.4


def recorded(seconds: float, *, rate: int = 8000, language: str = "en", skip: int = 0) -> PCM:
    """Return so much of the longest recordings of a language, a pause between any two.

    Args:
        seconds: of the result.
        rate: 8000 or 16000 [Hz].
        language: of the prompts.
        skip: so many of the longest are left out.

    Returns:
        int16.
    """
    files = sorted(
        (AUDIO / language).glob("*.flac"), key=lambda file: (-file.stat().st_size, file.name)
    )
    parts = []
    have = 0.0
    for file in files[skip:]:
        sound, its_rate = soundfile.read(file, dtype="float64")
        parts += [resample_poly(sound, rate, its_rate), np.zeros(int(_PAUSE_S * rate))]
        have += len(parts[-2]) / rate + _PAUSE_S
        if have >= seconds:
            break
    whole = np.concatenate(parts)[: int(seconds * rate)]
    return np.asarray(np.clip(np.round(whole * 32767), -32768, 32767), np.int16)


def encoded(said: PCM, codec: str) -> list[bytes]:
    """Return the payloads of a sound, 20 ms each; what is left over is left out."""
    frame = RATES[codec] // 50
    whole = np.ascontiguousarray(said[: len(said) // frame * frame])
    if codec == "G722":
        coder = G722.G722(RATES[codec], 64_000, use_numpy=False)
        return [coder.encode(each) for each in whole.reshape(-1, frame)]
    coded = g711.encode(whole, _NUMBERS[codec])
    return [coded[at : at + _OCTETS] for at in range(0, len(coded), _OCTETS)]


def decoded(payloads: Sequence[bytes], codec: str) -> npt.NDArray[np.float64]:
    """Return the sound of payloads."""
    if codec == "G722":
        coder = G722.G722(RATES[codec], 64_000, use_numpy=False)
        return np.array(coder.decode(b"".join(payloads)), np.float64)
    return g711.decode(b"".join(payloads), _NUMBERS[codec]).astype(np.float64)


def zero_filled(
    frames: Sequence[bytes], lost: Callable[[int], bool], codec: str
) -> npt.NDArray[np.float64]:
    """Return what is heard where lost frames are silence: decoded, filled, coded once more."""
    frame = RATES[codec] // 50
    came = [number for number in range(len(frames)) if not lost(number)]
    sound = np.zeros((len(frames), frame))
    sound[came] = decoded([frames[number] for number in came], codec).reshape(-1, frame)
    return decoded(encoded(sound.reshape(-1).astype(np.int16), codec), codec)
