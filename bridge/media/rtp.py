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

from bridge.media._compiled import compiled, inlined
from bridge.media.counters import LegCounters
from bridge.media.legs import Legs

__all__ = [
    "HEADER",
    "LARGEST_PAYLOAD",
    "PACKET_ROW",
    "Arrivals",
    "Headers",
    "Kind",
    "four_octets",
    "parse",
]

HEADER: Final = 12
"""Octets of an RTP header without contributing sources."""

LARGEST_PAYLOAD: Final = 480
"""Octets: 60 ms of G.711, the longest ptime accepted."""

PACKET_ROW: Final = 640
"""Octets kept of a packet: header, 15 contributing sources, an extension, 60 ms. Multiple of 64."""


class Kind:
    """What a packet is; `DROPPED` ones have been counted."""

    DROPPED: Final = 0
    AUDIO: Final = 1
    EVENT: Final = 2
    COMFORT_NOISE: Final = 3


_VERSION: Final = 2
_PADDING: Final = 0x20
_EXTENSION: Final = 0x10
_RTCP_FIRST: Final = 64
_RTCP_LAST: Final = 95
"""RTCP's packet types 192 to 223 as payload types with marker (RFC 5761 section 4)."""

_DROPPED: Final = Kind.DROPPED
_AUDIO: Final = Kind.AUDIO
_EVENT: Final = Kind.EVENT
_COMFORT_NOISE: Final = Kind.COMFORT_NOISE

_WHY: Final = (None, "malformed", "rtcp_on_rtp", "wrong_payload", "unwanted")
"""Why a packet is dropped, by what `_read` says."""

_MALFORMED: Final = 1
_RTCP: Final = 2
_UNKNOWN: Final = 3
_UNWANTED: Final = 4


@dataclass(slots=True)
class Arrivals:
    """Packets of one tick in the order of their arrival.

    Args:
        octets: uint8, `(>= n, PACKET_ROW)`: packets as received, a row each.
        lengths: int64, `(n,)`: octets of each; `PACKET_ROW` means that it may have been longer.
        rows: intp, `(n,)`: the leg of each.
        arrived: float64, `(n,)`: when each arrived, by the wall clock [s]; -1 where nobody asked.
    """

    octets: npt.NDArray[np.uint8]
    lengths: npt.NDArray[np.int64]
    rows: npt.NDArray[np.intp]
    arrived: npt.NDArray[np.float64]


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

    def part(self, chosen: npt.NDArray[np.intp]) -> "Headers":
        """Return those of some packets, intp, `(k,)`."""
        return Headers(
            kind=self.kind[chosen],
            sequence=self.sequence[chosen],
            timestamp=self.timestamp[chosen],
            ssrc=self.ssrc[chosen],
            marker=self.marker[chosen],
            offset=self.offset[chosen],
            length=self.length[chosen],
        )


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
    headers = Headers(
        kind=np.empty(n, np.uint8),
        sequence=np.empty(n, np.int64),
        timestamp=np.empty(n, np.int64),
        ssrc=np.empty(n, np.int64),
        marker=np.empty(n, np.bool_),
        offset=np.empty(n, np.int64),
        length=np.empty(n, np.int64),
    )
    why = np.empty(n, np.uint8)
    bad = _read(
        arrivals.octets,
        arrivals.lengths,
        rows,
        legs.payload_type,
        legs.dtmf_payload_type,
        legs.cn_payload_type,
        legs.rx,
        headers.kind,
        headers.sequence,
        headers.timestamp,
        headers.ssrc,
        headers.marker,
        headers.offset,
        headers.length,
        why,
    )
    if bad:
        for code, name in enumerate(_WHY):
            if name is not None:
                counters.add(name, rows[why == code])
    return headers


@inlined
def four_octets(packet: npt.NDArray[np.uint8], at: int) -> int:
    """Return the number of 32 bits that begins at an octet, the most significant first."""
    high = np.int64(packet[at]) << 8 | packet[at + 1]
    low = np.int64(packet[at + 2]) << 8 | packet[at + 3]
    number: int = high << 16 | low
    return number


@compiled(
    "boolean(uint8[:, ::1], int64[::1], int64[::1], int64[::1], int64[::1], int64[::1],"
    " boolean[::1], uint8[::1], int64[::1], int64[::1], int64[::1], boolean[::1], int64[::1],"
    " int64[::1], uint8[::1])"
)
def _read(
    octets: npt.NDArray[np.uint8],
    lengths: npt.NDArray[np.int64],
    rows: npt.NDArray[np.intp],
    audio: npt.NDArray[np.int64],
    event: npt.NDArray[np.int64],
    noise: npt.NDArray[np.int64],
    wanted: npt.NDArray[np.bool_],
    kind: npt.NDArray[np.uint8],
    sequence: npt.NDArray[np.int64],
    timestamp: npt.NDArray[np.int64],
    ssrc: npt.NDArray[np.int64],
    marker: npt.NDArray[np.bool_],
    offset: npt.NDArray[np.int64],
    length: npt.NDArray[np.int64],
    why: npt.NDArray[np.uint8],
) -> bool:
    bad = False
    for i in range(rows.size):
        packet, size, row = octets[i], lengths[i], rows[i]
        first, second = np.int64(packet[0]), np.int64(packet[1])
        payload_type = second & 0x7F
        marker[i] = second & 0x80 != 0
        sequence[i] = np.int64(packet[2]) << 8 | packet[3]
        timestamp[i] = four_octets(packet, 4)
        ssrc[i] = four_octets(packet, 8)
        begin = HEADER + 4 * int(first & 0x0F)
        if first & _EXTENSION:
            # A lying length must not make us read outside the row; what lies beyond is refused.
            at = min(begin, PACKET_ROW - 4)
            begin += 4 + 4 * (int(packet[at + 2]) << 8 | int(packet[at + 3]))
        whole = first >> 6 == _VERSION and HEADER < size < PACKET_ROW
        padding = np.int64(0)
        if first & _PADDING:
            last = min(max(int(size) - 1, 0), PACKET_ROW - 1)
            padding = np.int64(packet[last])
            whole = whole and padding > 0
        offset[i] = begin
        length[i] = size - begin - padding
        whole = whole and 0 < length[i] <= LARGEST_PAYLOAD
        found = _DROPPED
        if payload_type == audio[row]:
            found = _AUDIO
        if payload_type == event[row]:
            found = _EVENT
        if payload_type == noise[row]:
            found = _COMFORT_NOISE
        reason = 0
        if not whole:
            reason = _MALFORMED
        elif found == _DROPPED:
            rtcp = _RTCP_FIRST <= payload_type <= _RTCP_LAST
            reason = _RTCP if rtcp else _UNKNOWN
        elif not wanted[row]:
            reason = _UNWANTED
        why[i] = reason
        kind[i] = _DROPPED if reason else found
        bad = bad or reason != 0
    return bad
