"""RTP packets to the legs: constant SSRC, sequence numbers and time stamps without a gap.

A packet goes to every leg in every tick, silence too, so that NAT bindings stay open and no
telephone takes the call for dead. The time stamp runs on while nothing is sent (hold, a tick that
was left out), the sequence number does not, and the marker bit says that a talk spurt begins
(RFC 3551 section 4.1).

A leg that negotiated 10 ms gets the first half of its frame in the tick and the other ten
milliseconds later.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media._compiled import compiled
from bridge.media._rows import Rows
from bridge.media.codecs import FRAME
from bridge.media.legs import Legs
from bridge.media.rtp import HEADER
from bridge.media.seating import Seating

__all__ = ["HALF_PACKET", "PACKET", "Outgoing"]

PACKET: Final = HEADER + FRAME
HALF_PACKET: Final = HEADER + FRAME // 2

_VERSION_2: Final = 0x80
_MARKER: Final = 0x80
_HALF: Final = FRAME // 2


class Outgoing(Rows):
    """The sending state of each leg and the packets of a tick.

    Args:
        capacity: rows to begin with.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.ssrc: npt.NDArray[np.int64] = self.column("ssrc", np.int64, kept=True)
        self.sequence: npt.NDArray[np.int64] = self.column("sequence", np.int64, kept=True)
        self.timestamp: npt.NDArray[np.int64] = self.column("timestamp", np.int64, kept=True)
        self.marker: npt.NDArray[np.bool_] = self.column("marker", np.bool_, fill=1)
        self.packets_sent: npt.NDArray[np.int64] = self.column("packets_sent", np.int64, kept=True)
        self.octets_sent: npt.NDArray[np.int64] = self.column("octets_sent", np.int64, kept=True)
        # By position in the seating, not by row.
        self.packets: npt.NDArray[np.uint8] = self.column("packets", np.uint8, PACKET)
        self.second_halves: npt.NDArray[np.uint8] = self.column(
            "second_halves", np.uint8, HALF_PACKET
        )
        self._sending = np.empty(0, np.intp)
        self._halved = np.empty(0, np.intp)
        # Packets that each position gets: 0, 1, or two halves.
        self._each = np.empty(0, np.int64)

    def open(self, row: int, ssrc: int, sequence: int, timestamp: int) -> None:
        """Begin to send to a leg with these."""
        self.reset(row)
        self.ssrc[row] = ssrc
        self.sequence[row] = sequence
        self.timestamp[row] = timestamp

    def plan(self, seating: Seating, legs: Legs, reachable: npt.NDArray[np.bool_]) -> None:
        """Write what stays the same until the next plan.

        Args:
            seating: who sits where.
            legs: who may be sent to.
            reachable: bool, `(legs,)`: legs whose address is known.
        """
        order = seating.order
        n = len(order)
        sending = legs.tx[order] & reachable[order]
        self._sending = np.flatnonzero(sending)
        self._halved = np.flatnonzero(sending & legs.halves[order])
        self._each = np.where(legs.halves[order], 2, 1) * sending
        for packets, positions in (
            (self.packets, np.arange(n)),
            (self.second_halves, self._halved),
        ):
            k = len(positions)
            packets[:k, 0] = _VERSION_2
            packets[:k, 1] = legs.payload_type[order[positions]]
            packets[:k, 8:HEADER] = (
                self.ssrc[order[positions]].astype(">u4").view(np.uint8).reshape(-1, 4)
            )

    @property
    def sending(self) -> npt.NDArray[np.intp]:
        """Positions that are sent to, intp."""
        return self._sending

    @property
    def halved(self) -> npt.NDArray[np.intp]:
        """Positions that get two packets, intp; row k of `second_halves` is for the k-th."""
        return self._halved

    def fill(self, seating: Seating) -> None:
        """Put headers before what has been encoded into the packets of this tick.

        Args:
            seating: who sits where.
        """
        order = seating.order
        halved = self._halved
        if len(halved):
            second = self.second_halves[: len(halved)]
            rows = order[halved]
            second[:, HEADER:] = self.packets[halved, HEADER + _HALF :]
            second.view(">u4")[:, 1] = (self.timestamp[rows] + _HALF) & 0xFFFF_FFFF
            second.view(">u2")[:, 1] = (self.sequence[rows] + 1) & 0xFFFF
        _fill(
            order,
            self._each,
            self.packets,
            self.timestamp,
            self.sequence,
            self.marker,
            self.packets_sent,
            self.octets_sent,
        )

    def run_on(self, rows: npt.NDArray[np.intp], ticks: int | npt.NDArray[np.int64]) -> None:
        """Let time run on over ticks in which nothing was sent: as many, or so many of each leg."""
        self.timestamp[rows] = (self.timestamp[rows] + ticks * FRAME) & 0xFFFF_FFFF
        self.marker[rows] = True


@compiled(
    "void(int64[::1], int64[::1], uint8[:, ::1], int64[::1], int64[::1],"
    " boolean[::1], int64[::1], int64[::1])"
)
def _fill(
    order: npt.NDArray[np.intp],
    each: npt.NDArray[np.int64],
    packets: npt.NDArray[np.uint8],
    timestamp: npt.NDArray[np.int64],
    sequence: npt.NDArray[np.int64],
    marker: npt.NDArray[np.bool_],
    packets_sent: npt.NDArray[np.int64],
    octets_sent: npt.NDArray[np.int64],
) -> None:
    for i in range(order.size):
        row = order[i]
        packet = packets[i]
        number, time = sequence[row], timestamp[row]
        timestamp[row] = (time + FRAME) & 0xFFFF_FFFF
        if each[i] == 0:
            marker[row] = True
            continue
        packet[1] = packet[1] & 0x7F | (_MARKER if marker[row] else 0)
        packet[2], packet[3] = number >> 8, number & 0xFF
        packet[4], packet[5] = time >> 24, time >> 16 & 0xFF
        packet[6], packet[7] = time >> 8 & 0xFF, time & 0xFF
        marker[row] = False
        sequence[row] = (number + each[i]) & 0xFFFF
        packets_sent[row] += each[i]
        octets_sent[row] += FRAME
