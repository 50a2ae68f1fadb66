"""Rows of payload octets: a ring of them for each leg, and how to write packets into it.

A row is a frame of 20 ms; `filled` says how many of its octets have come. Nearly every packet is
one whole row. Those of 10 to 60 ms that lie on the grid of 10 ms are written by halves of rows,
those at any other place octet by octet.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media._rows import Rows
from bridge.media.codecs import FRAME, SILENCE_CODES
from bridge.media.rtp import HEADER

__all__ = ["SLOTS", "Ring"]

SLOTS: Final = 32
"""Rows of a leg's ring, 640 ms. A power of two."""

_HALF: Final = FRAME // 2
_ROW: Final = np.dtype((np.void, FRAME))
"""A row as one element: numpy copies such in half the time of 160 numbers."""


class Ring(Rows):
    """Rings of all legs.

    Args:
        capacity: rows (legs) to begin with.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.octets: npt.NDArray[np.uint8] = self.column("octets", np.uint8, SLOTS, FRAME)
        self.filled: npt.NDArray[np.int16] = self.column("filled", np.int16, SLOTS)

    def put(
        self,
        rows: npt.NDArray[np.intp],
        position: npt.NDArray[np.int64],
        packets: npt.NDArray[np.uint8],
        index: npt.NDArray[np.intp],
        offset: npt.NDArray[np.int64],
        length: npt.NDArray[np.int64],
        codec: npt.NDArray[np.uint8],
    ) -> None:
        """Write one packet of each of some legs at its position.

        Args:
            rows: intp, `(k,)`: the legs, each at most once.
            position: int64, `(k,)`: octets since the leg was opened.
            packets: uint8, `(n, PACKET_ROW)`: packets as received.
            index: intp, `(k,)`: which of them each leg's packet is, ascending.
            offset: int64, `(k,)`: where its payload begins.
            length: int64, `(k,)`: octets of payload, 1 to 480.
            codec: uint8, `(legs,)`: codec of every leg; says what silence is.
        """
        plain = (length == FRAME) & (offset == HEADER) & (position % FRAME == 0)
        if not plain.all():
            odd = np.flatnonzero(~plain)
            aligned = (
                (length[odd] % _HALF == 0) & (offset[odd] == HEADER) & (position[odd] % _HALF == 0)
            )
            self._prepare(rows[odd], position[odd], length[odd], codec)
            halves = odd[aligned]
            self._store_halves(
                rows[halves], position[halves], packets, index[halves], length[halves]
            )
            single = odd[~aligned]
            self._store_octets(
                rows[single],
                position[single],
                packets,
                index[single],
                offset[single],
                length[single],
            )
            chosen = np.flatnonzero(plain)
            rows, position, index = rows[chosen], position[chosen], index[chosen]
        target = rows * SLOTS + (position // FRAME & (SLOTS - 1))
        payload = packets[:, HEADER : HEADER + FRAME].view(_ROW)[:, 0]
        self.octets.reshape(-1).view(_ROW)[target] = payload[index]
        self.filled.reshape(-1)[target] = FRAME

    def _prepare(
        self,
        rows: npt.NDArray[np.intp],
        position: npt.NDArray[np.int64],
        length: npt.NDArray[np.int64],
        codec: npt.NDArray[np.uint8],
    ) -> None:
        """Count the octets that each row gets, and put silence into rows not yet begun."""
        octets = self.octets.reshape(-1, FRAME)
        filled = self.filled.reshape(-1)
        first = position // FRAME
        end = position + length
        for step in range(int(((end - 1) // FRAME - first).max()) + 1):
            row = first + step
            share = np.minimum(end, (row + 1) * FRAME) - np.maximum(position, row * FRAME)
            touched = share > 0
            target = (rows * SLOTS + (row & (SLOTS - 1)))[touched]
            fresh = target[filled[target] == 0]
            octets[fresh] = SILENCE_CODES[codec[fresh // SLOTS]][:, None]
            filled[target] = np.minimum(filled[target] + share[touched], FRAME)

    def _store_halves(
        self,
        rows: npt.NDArray[np.intp],
        position: npt.NDArray[np.int64],
        packets: npt.NDArray[np.uint8],
        index: npt.NDArray[np.intp],
        length: npt.NDArray[np.int64],
    ) -> None:
        """Write packets of 10 to 60 ms that lie on the grid of 10 ms."""
        if not len(rows):
            return
        octets = self.octets.reshape(-1, _HALF)
        half = position // _HALF
        for step in range(int(length.max()) // _HALF):
            has = length > step * _HALF
            target = rows[has] * (2 * SLOTS) + ((half[has] + step) & (2 * SLOTS - 1))
            begin = HEADER + step * _HALF
            octets[target] = packets[:, begin : begin + _HALF][index[has]]

    def _store_octets(
        self,
        rows: npt.NDArray[np.intp],
        position: npt.NDArray[np.int64],
        packets: npt.NDArray[np.uint8],
        index: npt.NDArray[np.intp],
        offset: npt.NDArray[np.int64],
        length: npt.NDArray[np.int64],
    ) -> None:
        """Write packets at any place, octet by octet."""
        if not len(rows):
            return
        column = np.arange(int(length.max()))
        has = column < length[:, None]
        ring = SLOTS * FRAME
        target = rows[:, None] * ring + (position[:, None] + column) % ring
        source = index[:, None] * packets.shape[1] + offset[:, None] + column
        self.octets.reshape(-1)[target[has]] = packets.reshape(-1)[source[has]]
