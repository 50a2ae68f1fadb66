"""RTP headers (RFC 3550 section 5.1) of all packets of a tick, read and judged as arrays.

::

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    |V=2|P|X|  CC   |M|     PT      |       sequence number         |
    |                           timestamp                           |
    |           synchronization source (SSRC) identifier            |

Contributing sources and a header extension are skipped, padding is cut off.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media.counters import LegCounters
from bridge.media.legs import Legs

__all__ = ["HEADER", "LARGEST_PAYLOAD", "PACKET_ROW", "Arrivals", "Headers", "Kind", "parse"]

HEADER: Final = 12
"""Octets of an RTP header without contributing sources."""

LARGEST_PAYLOAD: Final = 480
"""Octets: 60 ms of G.711, the longest ptime accepted."""

PACKET_ROW: Final = 640
"""Octets kept of a packet: header, 15 contributing sources, an extension, 60 ms. Multiple of 64."""

_VERSION: Final = 2
_PADDING: Final = 0x20
_EXTENSION: Final = 0x10
_RTCP_TYPES: Final = (64, 95)
"""RTCP's packet types 192 to 223 as payload types with marker (RFC 5761 section 4)."""


@dataclass(slots=True)
class Arrivals:
    """Packets of one tick in the order of their arrival.

    Args:
        octets: uint8, `(>= n, PACKET_ROW)`: packets as received, a row each.
        lengths: int64, `(n,)`: octets of each; `PACKET_ROW` means that it may have been longer.
        rows: intp, `(n,)`: the leg of each.
        timed: intp, `(k,)`: packets whose arrival the kernel timed.
        times: float64, `(k,)`: when they arrived [s].
    """

    octets: npt.NDArray[np.uint8]
    lengths: npt.NDArray[np.int64]
    rows: npt.NDArray[np.intp]
    timed: npt.NDArray[np.intp]
    times: npt.NDArray[np.float64]


class Kind:
    """What a packet is; `DROPPED` ones have been counted."""

    DROPPED: Final = 0
    AUDIO: Final = 1
    EVENT: Final = 2
    COMFORT_NOISE: Final = 3


@dataclass(slots=True)
class Headers:
    """Header fields of the packets of one tick, each array `(n,)`.

    Args:
        kind: uint8: one of `Kind`.
        sequence: int64: 0 to 65535.
        timestamp: int64: 0 to 2**32 - 1.
        ssrc: int64: 0 to 2**32 - 1.
        marker: bool.
        offset: int64: where the payload begins in the packet.
        length: int64: octets of payload.
    """

    kind: npt.NDArray[np.uint8]
    sequence: npt.NDArray[np.int64]
    timestamp: npt.NDArray[np.int64]
    ssrc: npt.NDArray[np.int64]
    marker: npt.NDArray[np.bool_]
    offset: npt.NDArray[np.int64]
    length: npt.NDArray[np.int64]


def parse(arrivals: Arrivals, legs: Legs, counters: LegCounters) -> Headers:
    """Read and judge the headers; what is bad is counted and marked `Kind.DROPPED`.

    Args:
        arrivals: the packets.
        legs: says which payload types each leg negotiated.
        counters: counts what is dropped.

    Returns:
        Fields by packet.
    """
    rows = arrivals.rows
    n = len(rows)
    words = arrivals.octets[:n, :HEADER].copy().view(">u4").astype(np.int64)
    first = words[:, 0]
    payload_type = (first >> 16) & 0x7F
    offset = np.full(n, HEADER, np.int64)
    length = arrivals.lengths - HEADER
    whole = ((first >> 30) == _VERSION) & (length > 0) & (arrivals.lengths < PACKET_ROW)
    # Padding, extension or contributing sources; a few devices use them.
    odd = np.flatnonzero((first & 0x3F00_0000) != 0)
    if len(odd):
        _skip(arrivals, odd, whole, offset, length)
        whole &= length > 0
    whole &= length <= LARGEST_PAYLOAD

    kind = np.zeros(n, np.uint8)
    kind[payload_type == legs.payload_type[rows]] = Kind.AUDIO
    kind[payload_type == legs.dtmf_payload_type[rows]] = Kind.EVENT
    kind[payload_type == legs.cn_payload_type[rows]] = Kind.COMFORT_NOISE
    good = whole & (kind != Kind.DROPPED) & legs.rx[rows]
    if not good.all():
        low, high = _RTCP_TYPES
        rtcp = whole & (payload_type >= low) & (payload_type <= high)
        unknown = whole & (kind == Kind.DROPPED) & ~rtcp
        counters.add("malformed", rows[~whole])
        counters.add("rtcp_on_rtp", rows[rtcp])
        counters.add("wrong_payload", rows[unknown])
        counters.add("unwanted", rows[whole & (kind != Kind.DROPPED) & ~legs.rx[rows]])
        kind[~good] = Kind.DROPPED
    return Headers(
        kind=kind,
        sequence=first & 0xFFFF,
        timestamp=words[:, 1],
        ssrc=words[:, 2],
        marker=(first & 0x0080_0000) != 0,
        offset=offset,
        length=length,
    )


def _skip(
    arrivals: Arrivals,
    odd: npt.NDArray[np.intp],
    whole: npt.NDArray[np.bool_],
    offset: npt.NDArray[np.int64],
    length: npt.NDArray[np.int64],
) -> None:
    """Move past contributing sources and extension, cut padding off; lengths may lie."""
    octets = arrivals.octets
    size = arrivals.lengths[odd]
    first = octets[odd, 0]
    start = HEADER + 4 * (first & 0x0F).astype(np.int64)
    extended = (first & _EXTENSION) != 0
    # A lying length must not make us read outside the row; what lies beyond `size` is refused.
    at = np.minimum(start, PACKET_ROW - 4)
    extension_words = octets[odd, at + 2].astype(np.int64) << 8 | octets[odd, at + 3]
    start += np.where(extended, 4 + 4 * extension_words, 0)
    padded = (first & _PADDING) != 0
    last = octets[odd, np.clip(size - 1, 0, PACKET_ROW - 1)].astype(np.int64)
    padding = np.where(padded, last, 0)
    whole[odd] &= ~(padded & (padding == 0))
    offset[odd] = start
    length[odd] = size - start - padding
