"""The far end of a leg that speaks G.722, and what is in a wideband sound."""

from collections.abc import Sequence
from typing import Any, Final

import G722
import numpy as np
import numpy.typing as npt

from tests.media.engine import PCM, Engine, Rtp, Sender

__all__ = ["CODEC_DELAY", "RATE", "WidePhone", "band_dbov", "error_db", "tone"]

RATE: Final = 16_000
CODEC_DELAY: Final = 22
"""Samples that the codec's own filters delay by, encoding and decoding together."""

F = npt.NDArray[np.float64]


def tone(hertz: float, frames: int, peak: float = 8000.0) -> PCM:
    """Return a tone at 16 kHz, `(frames, 320)`."""
    time = np.arange(frames * 320) / RATE
    return (peak * np.sin(2 * np.pi * hertz * time)).astype(np.int16).reshape(frames, 320)


def band_dbov(sound: npt.NDArray[Any], low: float, high: float, rate: int = RATE) -> float:
    """Return the level of a sound between two frequencies [dBov]."""
    window = np.hanning(len(sound))
    power = np.abs(np.fft.rfft(sound * window)) ** 2
    hertz = np.fft.rfftfreq(len(sound), 1 / rate)
    within = power[(hertz >= low) & (hertz < high)].sum() * 2 / len(sound) / (window**2).sum()
    return float(10 * np.log10(within / 32_768**2 + 1e-12))


def error_db(heard: npt.NDArray[Any], said: npt.NDArray[Any]) -> float:
    """Return how far what was heard is from what was said, at the best shift [dB of the latter]."""
    heard, said = heard.astype(np.float64), said.astype(np.float64)
    size = 1 << (len(heard) + len(said)).bit_length()
    likeness = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(said, size)), size)
    at = int(likeness[: len(heard) - len(said) + 1].argmax())
    error = heard[at : at + len(said)] - said
    return float(10 * np.log10((error**2).sum() / (said**2).sum()))


class WidePhone:
    """A leg of an engine, its encoder and its decoder.

    Args:
        engine: the engine.
        leg: the leg to open.
        open: what `Engine.open` takes more.
    """

    def __init__(self, engine: Engine, leg: int, **more: Any) -> None:  # noqa: ANN401 - passed on
        self.engine, self.leg = engine, leg
        self.sender: Sender = engine.open(leg, codec="G722", **more)
        self.coder = G722.G722(RATE, 64_000, use_numpy=False)

    def packet(self, samples: PCM) -> Rtp:
        """Return the next packet: int16, `(320,)`."""
        return self.sender.audio(self.coder.encode(np.ascontiguousarray(samples)))

    def say(self, samples: PCM) -> None:
        """Send a frame."""
        self.engine.feed(self.leg, self.packet(samples))

    def payloads(self) -> list[bytes]:
        """Return what was sent to it since the last call, still encoded."""
        packets = self.engine.sent(self.leg)
        assert {packet.payload_type for packet in packets} <= {9}
        assert {len(packet.payload) for packet in packets} <= {160}
        return [packet.payload for packet in packets]

    def hear(self, payloads: Sequence[bytes] | None = None) -> PCM:
        """Return, decoded, what was sent to it since the last call; or these."""
        octets = b"".join(self.payloads() if payloads is None else payloads)
        return np.array(self.coder.decode(octets), np.int16)
