"""G.711 as the tests understand it: written from the Recommendation's segments.

The bridge's codec tables must not be judged by themselves, so this module shares nothing with
them.  Samples are int16 at 8 kHz; codes are uint8 as they stand on the wire.
"""

import numpy as np
import numpy.typing as npt

__all__ = ["PCMA", "PCMU", "decode", "encode"]

PCMU = 0
"""Static RTP payload type of µ-law (RFC 3551, table 4)."""

PCMA = 8
"""Static RTP payload type of A-law (RFC 3551, table 4)."""


def _mu_law_value(code: int) -> int:
    inverted = ~code & 0xFF
    magnitude = (((inverted & 0x0F) << 3) + 0x84) << ((inverted & 0x70) >> 4)
    value = magnitude - 0x84
    return -value if inverted & 0x80 else value


def _a_law_value(code: int) -> int:
    toggled = code ^ 0x55
    exponent = (toggled & 0x70) >> 4
    value = ((toggled & 0x0F) << 4) + 8
    if exponent:
        value = (value + 0x100) << (exponent - 1)
    return value if toggled & 0x80 else -value


_DECODE = {
    PCMU: np.array([_mu_law_value(code) for code in range(256)], dtype=np.int16),
    PCMA: np.array([_a_law_value(code) for code in range(256)], dtype=np.int16),
}


def _nearest_codes(values: npt.NDArray[np.int16]) -> npt.NDArray[np.uint8]:
    """Return, for each of the 65,536 int16 samples, the code whose value is nearest."""
    order = np.argsort(values, kind="stable")
    ordered = values[order].astype(np.int32)
    edges = (ordered[1:] + ordered[:-1]) / 2
    samples = np.arange(-32768, 32768)
    return order[np.searchsorted(edges, samples)].astype(np.uint8)


_ENCODE = {payload_type: _nearest_codes(values) for payload_type, values in _DECODE.items()}


def encode(samples: npt.NDArray[np.int16], payload_type: int) -> bytes:
    """Encode samples.

    Args:
        samples: int16, `(n,)`, 8 kHz.
        payload_type: `PCMU` or `PCMA`.

    Returns:
        n bytes, one a sample.
    """
    return _ENCODE[payload_type][samples.astype(np.int32) + 32768].tobytes()


def decode(payload: bytes, payload_type: int) -> npt.NDArray[np.int16]:
    """Decode a payload.

    Args:
        payload: One byte a sample.
        payload_type: `PCMU` or `PCMA`.

    Returns:
        int16, `(len(payload),)`, 8 kHz.
    """
    return _DECODE[payload_type][np.frombuffer(payload, dtype=np.uint8)]
