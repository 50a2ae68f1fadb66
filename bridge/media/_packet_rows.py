"""Where the packets of a tick lie: rows allocated once, filled by one transport after the other."""

import numpy as np

from bridge.media.rtp import PACKET_ROW, Arrivals

__all__ = ["PacketRows"]


class PacketRows:
    """Rows for packets, and what `Arrivals` says of them.

    Args:
        rows: how many.
    """

    def __init__(self, rows: int) -> None:
        self.allocate(rows)

    def allocate(self, rows: int) -> None:
        """Make other rows in their place; nothing lies there."""
        self.octets = np.zeros((rows, PACKET_ROW), np.uint8)
        whole = self.octets.data.cast("B")
        self.views = [
            whole[start : start + PACKET_ROW] for start in range(0, len(whole), PACKET_ROW)
        ]
        self.lengths = np.zeros(rows, np.int64)
        self.rows = np.zeros(rows, np.intp)
        self.arrived = np.zeros(rows, np.float64)
        self.clear()

    def clear(self) -> None:
        """Begin anew with the first row."""
        self.taken = 0

    def arrivals(self) -> Arrivals:
        """Return what lies here, valid until rows are filled again."""
        return Arrivals(
            octets=self.octets,
            lengths=self.lengths[: self.taken],
            rows=self.rows[: self.taken],
            arrived=self.arrived[: self.taken],
        )

    def __len__(self) -> int:
        return len(self.octets)
