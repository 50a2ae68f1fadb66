"""The legs: which row is whose, what was negotiated, and who is in which room."""

import heapq
from typing import Final, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from bridge.media._rows import Rows
from bridge.media.codecs import codec_index
from bridge.media.messages import LegMedia

__all__ = ["ALONE", "NO_PAYLOAD_TYPE", "Legs", "Rooms"]

ALONE: Final = -1
"""Room index of a leg in no room."""

NO_PAYLOAD_TYPE: Final = 255
"""No packet has it: payload types end at 127."""


class Legs(Rows):
    """Rows of the legs and what was negotiated for them.

    Args:
        capacity: rows to begin with.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.leg: npt.NDArray[np.int64] = self.column("leg", np.int64, fill=-1, kept=True)
        self.open: npt.NDArray[np.bool_] = self.column("open", np.bool_)
        self.codec: npt.NDArray[np.uint8] = self.column("codec", np.uint8)
        self.payload_type: npt.NDArray[np.int64] = self.column(
            "payload_type", np.int64, fill=NO_PAYLOAD_TYPE
        )
        self.dtmf_payload_type: npt.NDArray[np.int64] = self.column(
            "dtmf_payload_type", np.int64, fill=NO_PAYLOAD_TYPE
        )
        self.cn_payload_type: npt.NDArray[np.int64] = self.column(
            "cn_payload_type", np.int64, fill=NO_PAYLOAD_TYPE
        )
        self.tx: npt.NDArray[np.bool_] = self.column("tx", np.bool_)
        self.rx: npt.NDArray[np.bool_] = self.column("rx", np.bool_)
        self.halves: npt.NDArray[np.bool_] = self.column("halves", np.bool_)
        # Index of control's room, and of the leg's group in it: that is the room of the mixer.
        self.whole: npt.NDArray[np.intp] = self.column("whole", np.intp, fill=ALONE)
        self.room: npt.NDArray[np.intp] = self.column("room", np.intp, fill=ALONE)
        # A leg's identifier, never 0.
        self.whispers_to: npt.NDArray[np.int64] = self.column("whispers_to", np.int64)
        self.speaks: npt.NDArray[np.bool_] = self.column("speaks", np.bool_, fill=1)
        self.hears: npt.NDArray[np.bool_] = self.column("hears", np.bool_, fill=1)
        # What it says is recorded as its name, in a room or not.
        self.recorded: npt.NDArray[np.bool_] = self.column("recorded", np.bool_)
        self.row_of: dict[int, int] = {}
        # By row, as negotiated last.
        self.media: dict[int, LegMedia] = {}
        self.used = 0
        """Rows that some leg has had, from the first on: nothing is behind them."""
        self._free = list(range(capacity))

    def __len__(self) -> int:
        return len(self.row_of)

    @property
    def full(self) -> bool:
        """No row is free: all tables must grow before the next leg opens."""
        return not self._free

    def grow(self, capacity: int) -> None:
        """Add rows; the lowest free one is taken first, so that tables stay dense."""
        for row in range(self.capacity, capacity):
            heapq.heappush(self._free, row)
        super().grow(capacity)

    def take(self, leg: int, media: LegMedia) -> int:
        """Give a leg a row; there must be a free one."""
        row = heapq.heappop(self._free)
        self.used = max(self.used, row + 1)
        self.reset(row)
        self.leg[row] = leg
        self.open[row] = True
        self.row_of[leg] = row
        self.negotiate(row, media)
        return row

    def negotiate(self, row: int, media: LegMedia) -> None:
        """Apply what offer and answer agreed on."""
        self.media[row] = media

        def number(payload_type: int | None) -> int:
            return NO_PAYLOAD_TYPE if payload_type is None else payload_type

        self.codec[row] = codec_index(media.codec)
        self.payload_type[row] = media.payload_type
        self.dtmf_payload_type[row] = number(media.dtmf_payload_type)
        self.cn_payload_type[row] = number(media.cn_payload_type)
        self.tx[row] = media.tx
        self.rx[row] = media.rx
        self.halves[row] = media.tx_ptime_ms == 10  # noqa: PLR2004 - the other one is 20

    def release(self, row: int) -> None:
        """Free a leg's row."""
        del self.row_of[int(self.leg[row])]
        del self.media[row]
        self.reset(row)
        heapq.heappush(self._free, row)


_Name = TypeVar("_Name")


class Rooms(Generic[_Name]):
    """Rooms by compact index, or their groups. A room exists while a leg is in it."""

    def __init__(self) -> None:
        self.index_of: dict[_Name, int] = {}
        self.room_of: dict[int, _Name] = {}
        self._members: dict[int, int] = {}
        self._free: list[int] = []
        self.capacity = 0

    def __len__(self) -> int:
        return len(self.index_of)

    def enter(self, room: _Name) -> int:
        """Count a leg in and return the room's index."""
        index = self.index_of.get(room)
        if index is None:
            if not self._free:
                heapq.heappush(self._free, self.capacity)
                self.capacity += 1
            index = heapq.heappop(self._free)
            self.index_of[room] = index
            self.room_of[index] = room
            self._members[index] = 0
        self._members[index] += 1
        return index

    def is_last(self, index: int) -> bool:
        """Say whether only one leg is in a room."""
        return self._members[index] == 1

    def leave(self, index: int) -> bool:
        """Count a leg out; return whether the room has ended with it."""
        self._members[index] -= 1
        if self._members[index]:
            return False
        del self._members[index]
        del self.index_of[self.room_of.pop(index)]
        heapq.heappush(self._free, index)
        return True
