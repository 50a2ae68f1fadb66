"""The codecs and their tables: µ-law and A-law (ITU-T G.711), and G.722, which has none.

`companding` decodes and encodes G.711, `g722` the other.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media.messages import Codec

__all__ = [
    "CODECS",
    "DECODED_VALUES",
    "FRAME",
    "G722",
    "PCMA",
    "PCMU",
    "SAMPLE_RATE",
    "SILENCE_CODES",
    "TABLED",
    "codec_index",
]

SAMPLE_RATE: Final = 8000
FRAME: Final = 160
"""Samples of a tick (20 ms at 8 kHz), and octets of it in G.711 and in G.722."""

PCMU: Final = 0
PCMA: Final = 1
G722: Final = 2
CODECS: Final[tuple[Codec, ...]] = ("PCMU", "PCMA", "G722")
"""Names by index; arrays hold the index."""

TABLED: Final = 2
"""Codecs below this index are G.711: 8 kHz, by table."""

SILENCE_CODES: Final = np.array([0xFF, 0xD5, 0xFE], np.uint8)
"""The code of the smallest positive value, by codec index; of G.722 the smallest step in both
bands, under which what the decoder predicts dies away the fastest."""


def codec_index(codec: Codec) -> int:
    """Return the index by which arrays name a codec."""
    return CODECS.index(codec)


def _mu_law_values() -> npt.NDArray[np.int16]:
    """Return the 256 values of µ-law on the 16-bit scale (G.711 table 2), ±32124."""
    code = ~np.arange(256) & 0xFF
    exponent = (code >> 4) & 7
    magnitude = ((((code & 0xF) << 3) + 0x84) << exponent) - 0x84
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


def _a_law_values() -> npt.NDArray[np.int16]:
    """Return the 256 values of A-law on the 16-bit scale (G.711 table 1), ±32256."""
    code = np.arange(256) ^ 0x55
    exponent = (code >> 4) & 7
    step = ((code & 0xF) << 4) + 8
    magnitude = np.where(exponent == 0, step, (step + 0x100) << np.maximum(exponent - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


DECODED_VALUES: Final = np.stack([_mu_law_values(), _a_law_values()])
"""int16, `(codecs, 256)`: the value of each code."""
