"""µ-law and A-law (ITU-T G.711): every leg of a tick at once.

A code is a small float: a sign, three bits of exponent, four of mantissa. Decoding makes a large
one of it by a shift, which takes a third of the time of looking it up; encoding cuts one off. It
gives the code whose value is nearest, halfway away from zero. Within a segment, sixteen values of
equal step, that is cutting off, as G.711 has it; between two segments the nearest changes a quarter
of the lower one's step above G.711's decision value, so that what is in between goes to the segment
before::

    µ-law    magnitude + 132:   segment k from 258 * 2**(k-1) on    (G.711: 256 * 2**(k-1))
    A-law    magnitude:         segment k from 516 * 2**(k-2) on    (G.711: 512 * 2**(k-2)),
                                segment 1 from 256 on
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media._compiled import LINE, compiled, inlined, prefetch
from bridge.media.codecs import PCMU
from bridge.media.mix import HIGHEST
from bridge.media.rtp import HEADER
from bridge.media.seating import Seating

__all__ = ["decode", "decode_rows", "encode", "encode_others"]

_HIGHEST: Final = np.float32(HIGHEST)

_SEGMENT_0: Final = np.int32(134 << 4)
_SEGMENT_1: Final = np.int32(135 << 4)
"""The upper bits of the floats 128 and 256, as many as a code has."""

_MANTISSA: Final = np.int32(0x7F_FFFF)
_LATE: Final = np.int32(0x1_0000)
"""Of 256: the mantissa of 258. What is below belongs to the last step of the segment before."""

_SECOND: Final = np.float32(256)
"""Where A-law's segment 1 begins."""

_THIRD: Final = np.int32(136 << 23)
"""The float 512: from there on A-law's segments begin late."""

_FIRST: Final = np.int32(134 << 23 | 1 << 18)
"""The float 128 + 4, the middle of segment 0's first step."""

_AHEAD: Final = 6
"""Frames that are on their way into the cache while one is decoded."""


@inlined
def _fetch(octets: npt.NDArray[np.uint8], index: npt.NDArray[np.intp], i: int) -> None:
    start = octets.ctypes.data + index[min(i, index.size - 1)] * octets.shape[1]
    for line in range(0, octets.shape[1], LINE):
        prefetch(start + line)


@inlined
def _value(code: np.int32) -> np.float32:
    return np.int32(((code & np.int32(0x7F)) << np.int32(19)) + _FIRST).view(np.float32)


@inlined
def _signed(size: np.float32, code: np.int32) -> np.float32:
    sign = (code & np.int32(0x80)) << np.int32(24)
    return np.int32(np.float32(size).view(np.int32) | sign).view(np.float32)


@compiled("void(uint8[:, ::1], int64[::1], float32[:, ::1])")
def _decode_mu(
    octets: npt.NDArray[np.uint8], index: npt.NDArray[np.intp], out: npt.NDArray[np.float32]
) -> None:
    for i in range(index.size):
        _fetch(octets, index, i + _AHEAD)
        codes, frame = octets[index[i]], out[i]
        for k in range(frame.size):
            code = np.int32(codes[k]) ^ np.int32(0xFF)
            frame[k] = _signed(_value(code) - np.float32(132), code)


@compiled("void(uint8[:, ::1], int64[::1], float32[:, ::1])")
def _decode_a(
    octets: npt.NDArray[np.uint8], index: npt.NDArray[np.intp], out: npt.NDArray[np.float32]
) -> None:
    for i in range(index.size):
        _fetch(octets, index, i + _AHEAD)
        codes, frame = octets[index[i]], out[i]
        for k in range(frame.size):
            code = np.int32(codes[k]) ^ np.int32(0xD5)
            size = _value(code)
            # Segment 0 has the steps of segment 1, and begins at zero.
            low = size * np.float32(2) - np.float32(256)
            frame[k] = _signed(low if code & np.int32(0x70) == 0 else size, code)


@inlined
def _mu(value: np.float32) -> np.uint8:
    size = np.float32(min(abs(value), np.float32(32635)) + np.float32(132))
    bits = size.view(np.int32)
    code = (bits >> np.int32(19)) - _SEGMENT_0 - np.int32(bits & _MANTISSA < _LATE)
    # Of the two zeros the positive one is sent: all ones, never an all-zero octet.
    if code != 0:
        code |= np.float32(value).view(np.int32) >> np.int32(24) & np.int32(0x80)
    return np.uint8(code ^ np.int32(0xFF))


@inlined
def _a(value: np.float32) -> np.uint8:
    size = min(abs(value), _HIGHEST)
    # What segment 0 is in: with the leading one of segment 1 it has the steps of that.
    low = size < _SECOND
    bits = np.float32(size + _SECOND if low else size).view(np.int32)
    code = (bits >> np.int32(19)) - (_SEGMENT_1 if low else _SEGMENT_0)
    code -= np.int32(bits & _MANTISSA < _LATE and bits >= _THIRD)
    if value > np.float32(-1):
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
    packets: npt.NDArray[np.uint8],
) -> None:
    for place in range(spoken.size):
        room = spoken[place]
        total, curve = rooms[room], curves[room]
        for position in range(first[place], first[place + 1]):
            own, codes = pcm[position], packets[position, HEADER:]
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
    packets: npt.NDArray[np.uint8],
) -> None:
    for place in range(spoken.size):
        room = spoken[place]
        total, curve = rooms[room], curves[room]
        for position in range(first[place], first[place + 1]):
            own, codes = pcm[position], packets[position, HEADER:]
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
    if codec == PCMU:
        _decode_mu(octets, index, out)
    else:
        _decode_a(octets, index, out)


def decode(codec: int, octets: npt.NDArray[np.uint8], out: npt.NDArray[np.float32]) -> None:
    """Decode frames.

    Args:
        codec: `PCMU` or `PCMA`.
        octets: uint8, `(n, 160)`, contiguous.
        out: float32, `(n, 160)`, contiguous; gets whole numbers on the 16-bit scale.
    """
    decode_rows(codec, octets, np.arange(len(octets)), out)


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
    packets: npt.NDArray[np.uint8],
) -> None:
    """Encode what `mix.hear_others` would give each speaker, while it is in the registers.

    Args:
        seating: who sits where, and the codec.
        pcm: float32, `(>= speakers, 160)`, as the next ones, of `hear_others`.
        rooms: float32, `(rooms, 160)`.
        limited: bool, `(rooms,)`.
        curves: float32, `(rooms, 160)`.
        packets: uint8, `(>= speakers, PACKET)`: get the codes behind their headers.
    """
    made = _encode_others_mu if seating.codec == PCMU else _encode_others_a
    made(pcm, seating.first, seating.spoken, rooms, limited, curves, packets)
