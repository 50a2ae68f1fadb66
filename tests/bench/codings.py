"""The codecs that load comes in, in code that shares nothing with the bridge's."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import G722
import numpy as np
import numpy.typing as npt
from scipy import signal

from bridge.media.messages import Codec
from tests.support import g711

__all__ = ["CODINGS", "Coding"]

Samples = npt.NDArray[np.int16]
Octets = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Coding:
    """How sound of one codec is sent.

    Args:
        codec: its name to the media process.
        payload_type: its RTP payload type.
        encode: int16, `(samples,)` at 8 kHz, to uint8 of a leg's whole sound, 160 each 20 ms.
        decode: the reverse.
    """

    codec: Codec
    payload_type: int
    encode: Callable[[Samples], Octets]
    decode: Callable[[Octets], Samples]


def _g711(codec: Codec, payload_type: int) -> Coding:
    return Coding(
        codec,
        payload_type,
        lambda samples: np.frombuffer(g711.encode(samples, payload_type), np.uint8),
        lambda octets: g711.decode(octets.tobytes(), payload_type),
    )


def _encode_g722(samples: Samples) -> Octets:
    wide = np.clip(signal.resample_poly(samples.astype(float), 2, 1), -32_768, 32_767)
    coder = G722.G722(16_000, 64_000, use_numpy=False)
    return np.frombuffer(coder.encode(wide.astype(np.int16)), np.uint8)


def _decode_g722(octets: Octets) -> Samples:
    coder = G722.G722(16_000, 64_000, use_numpy=False)
    wide = np.array(coder.decode(octets.tobytes()), float)
    narrow: Samples = np.clip(signal.resample_poly(wide, 1, 2), -32_768, 32_767).astype(np.int16)
    return narrow


CODINGS: Final = {
    "pcmu": _g711("PCMU", g711.PCMU),
    "pcma": _g711("PCMA", g711.PCMA),
    "g722": Coding("G722", 9, _encode_g722, _decode_g722),
}
"""By the name that `scripts/bench legs --codec` takes."""
