"""Where the packets of a tick lie: rows allocated once, filled by one transport after the other."""

import numpy as np

from bridge.media.rtp import PACKET_ROW

__all__ = ["PacketRows"]


class PacketRows:
    """Rows for packets.

    Args:
        rows: how many.
    """

    def __init__(self, rows: int) -> None:
        self.allocate(rows)

    def allocate(self, rows: int) -> None:
        """Make other rows in their place."""
        self.octets = np.zeros((rows, PACKET_ROW), np.uint8)
        whole = self.octets.data.cast("B")
        self.views = [
            whole[start : start + PACKET_ROW] for start in range(0, len(whole), PACKET_ROW)
        ]

    def __len__(self) -> int:
        return len(self.octets)
