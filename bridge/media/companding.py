"""µ-law and A-law (ITU-T G.711): every leg of a tick at once.

Decoding looks each octet up. Encoding computes the code whose value is nearest, halfway away from
zero. Within a segment, sixteen values of equal step, that is cutting off, as G.711 has it; between
two segments the nearest changes a quarter of the lower one's step above G.711's decision value, so
the segment is found first, by the exponent of a float::

    µ-law    magnitude + 132:   segment k from 258 * 2**(k-1) on    (G.711: 256 * 2**(k-1))
    A-law    magnitude:         segment k from 516 * 2**(k-2) on    (G.711: 512 * 2**(k-2)),
                                segment 1 from 256 on
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media._compiled import compiled, inlined
from bridge.media.codecs import DECODED_VALUES, PCMU
from bridge.media.mix import HIGHEST, LOWEST
from bridge.media.seating import Seating

__all__ = ["decode", "decode_rows", "encode", "encode_others"]

_LOWEST: Final = np.float32(LOWEST)
_HIGHEST: Final = np.float32(HIGHEST)

_SEGMENTS: Final = np.float32(0.9922485)
"""A little more than 256 / 258: brings 258 * 2**k to a power of two, and nothing below it."""

_SECOND: Final = np.int32(256)
"""Where A-law's segment 1 begins."""

_VALUES: Final = DECODED_VALUES.astype(np.float32)


@compiled("void(uint8[:, ::1], int64[::1], float32[::1], float32[:, ::1])")
def _decode(
    octets: npt.NDArray[np.uint8],
    index: npt.NDArray[np.intp],
    values: npt.NDArray[np.float32],
    out: npt.NDArray[np.float32],
) -> None:
    for i in range(index.size):
        codes, frame = octets[index[i]], out[i]
        for k in range(frame.size):
            frame[k] = values[codes[k]]


@inlined
def _mu(value: np.float32) -> np.uint8:
    sample = np.int32(min(max(value, _LOWEST), _HIGHEST))
    size = min(abs(sample), np.int32(32635)) + np.int32(132)
    bits = np.float32(np.float32(size) * _SEGMENTS).view(np.int32)
    segment = max((bits >> np.int32(23)) - np.int32(134), np.int32(0))
    step = (size >> (segment + np.int32(3))) - np.int32(16)
    code = segment << np.int32(4) | min(max(step, np.int32(0)), np.int32(15))
    # Of the two zeros the positive one is sent: all ones, never an all-zero octet.
    if sample < 0 and code != 0:
        code |= np.int32(0x80)
    return np.uint8(code ^ np.int32(0xFF))


@inlined
def _a(value: np.float32) -> np.uint8:
    sample = np.int32(min(max(value, _LOWEST), _HIGHEST))
    size = min(abs(sample), np.int32(32767))
    bits = np.float32(np.float32(max(size, np.int32(1))) * _SEGMENTS).view(np.int32)
    segment = max((bits >> np.int32(23)) - np.int32(134), np.int32(size >= _SECOND))
    step = size >> max(segment + np.int32(3), np.int32(4))
    step -= np.int32(16) if segment > 0 else np.int32(0)
    code = segment << np.int32(4) | min(max(step, np.int32(0)), np.int32(15))
    if sample >= 0:
        code |= np.int32(0x80)
    return np.uint8(code ^ np.int32(0x55))


@compiled("void(float32[:, ::1], uint8[:, ::1])")
def _encode_mu(sound: npt.NDArray[np.float32], out: npt.NDArray[np.uint8]) -> None:
    for i in range(sound.shape[0]):
        frame, codes = sound[i], out[i]
        for k in range(frame.size):
            codes[k] = _mu(frame[k])


@compiled("void(float32[:, ::1], uint8[:, ::1])")
def _encode_a(sound: npt.NDArray[np.float32], out: npt.NDArray[np.uint8]) -> None:
    for i in range(sound.shape[0]):
        frame, codes = sound[i], out[i]
        for k in range(frame.size):
            codes[k] = _a(frame[k])


@compiled(
    "void(float32[:, ::1], int64[::1], int64[::1], float32[:, ::1], boolean[::1],"
    " float32[:, ::1], uint8[:, ::1])"
)
def _encode_others_mu(
    pcm: npt.NDArray[np.float32],
    first: npt.NDArray[np.intp],
    spoken: npt.NDArray[np.intp],
    rooms: npt.NDArray[np.float32],
    limited: npt.NDArray[np.bool_],
    curves: npt.NDArray[np.float32],
    out: npt.NDArray[np.uint8],
) -> None:
    for place in range(spoken.size):
        room = spoken[place]
        total, curve = rooms[room], curves[room]
        for position in range(first[place], first[place + 1]):
            own, codes = pcm[position], out[position]
            if limited[room]:
                for k in range(own.size):
                    codes[k] = _mu((total[k] - own[k]) * curve[k])
            else:
                for k in range(own.size):
                    codes[k] = _mu(total[k] - own[k])


@compiled(
    "void(float32[:, ::1], int64[::1], int64[::1], float32[:, ::1], boolean[::1],"
    " float32[:, ::1], uint8[:, ::1])"
)
def _encode_others_a(
    pcm: npt.NDArray[np.float32],
    first: npt.NDArray[np.intp],
    spoken: npt.NDArray[np.intp],
    rooms: npt.NDArray[np.float32],
    limited: npt.NDArray[np.bool_],
    curves: npt.NDArray[np.float32],
    out: npt.NDArray[np.uint8],
) -> None:
    for place in range(spoken.size):
        room = spoken[place]
        total, curve = rooms[room], curves[room]
        for position in range(first[place], first[place + 1]):
            own, codes = pcm[position], out[position]
            if limited[room]:
                for k in range(own.size):
                    codes[k] = _a((total[k] - own[k]) * curve[k])
            else:
                for k in range(own.size):
                    codes[k] = _a(total[k] - own[k])


def decode_rows(
    codec: int,
    octets: npt.NDArray[np.uint8],
    index: npt.NDArray[np.intp],
    out: npt.NDArray[np.float32],
) -> None:
    """Decode frames out of many.

    Args:
        codec: `PCMU` or `PCMA`.
        octets: uint8, `(m, 160)`, contiguous.
        index: intp, `(n,)`: which of them.
        out: float32, `(n, 160)`, contiguous; gets whole numbers on the 16-bit scale.
    """
    _decode(octets, index, _VALUES[codec], out)


def decode(codec: int, octets: npt.NDArray[np.uint8], out: npt.NDArray[np.float32]) -> None:
    """Decode frames.

    Args:
        codec: `PCMU` or `PCMA`.
        octets: uint8, `(n, 160)`, contiguous.
        out: float32, `(n, 160)`, contiguous; gets whole numbers on the 16-bit scale.
    """
    _decode(octets, np.arange(len(octets)), _VALUES[codec], out)


def encode(codec: int, sound: npt.NDArray[np.float32], out: npt.NDArray[np.uint8]) -> None:
    """Clip and encode; fractions are cut towards zero.

    Args:
        codec: `PCMU` or `PCMA`.
        sound: float32, `(n, 160)`, contiguous, 16-bit scale.
        out: uint8, `(n, 160)`, contiguous.
    """
    if codec == PCMU:
        _encode_mu(sound, out)
    else:
        _encode_a(sound, out)


def encode_others(
    seating: Seating,
    pcm: npt.NDArray[np.float32],
    rooms: npt.NDArray[np.float32],
    limited: npt.NDArray[np.bool_],
    curves: npt.NDArray[np.float32],
    out: npt.NDArray[np.uint8],
) -> None:
    """Encode what `mix.hear_others` gives each speaker, while it is in the registers.

    Args:
        seating: who sits where, and the codec.
        pcm: float32, `(>= speakers, 160)`, as the next ones, of `hear_others`.
        rooms: float32, `(rooms, 160)`.
        limited: bool, `(rooms,)`.
        curves: float32, `(rooms, 160)`.
        out: uint8, `(>= speakers, 160)`: gets the codes.
    """
    made = _encode_others_mu if seating.codec == PCMU else _encode_others_a
    made(pcm, seating.first, seating.spoken, rooms, limited, curves, out)
