"""Read and write many connected sockets, one packet each.

All at once where the kernel can do that (`_uring`), else one call after the other, in a loop of C.
"""

import collections
import socket
from os import write

import numpy as np
import numpy.typing as npt

from bridge.media._packet_rows import PacketRows
from bridge.media._uring import RECEIVE, SEND, Batch, open_batch
from bridge.media.rtp import PACKET_ROW

__all__ = ["ManySockets"]

_Index = npt.NDArray[np.intp]
_Answers = npt.NDArray[np.int64]


class ManySockets:
    """How many sockets are read and written.

    What either gives of each socket is the octets moved, or the negative of an error's number.

    Args:
        capacity: as many at once.
        at_once: ask the kernel; else it is done in loops.
    """

    def __init__(self, capacity: int, *, at_once: bool = True) -> None:
        self._at_once = at_once
        self._reads: Batch | None = None
        self._writes: Batch | None = None
        self._planned: tuple[npt.NDArray[np.uint8], _Index] | None = None
        self._descriptors: list[int] = []
        self._views: list[memoryview] = []
        self.grow(capacity)

    @property
    def at_once(self) -> bool:
        """The kernel does it all at once."""
        return self._reads is not None and self._writes is not None

    def grow(self, capacity: int) -> None:
        """Make place for so many; what is written must be planned anew."""
        self.close()
        if self._at_once:
            self._reads = open_batch(RECEIVE, capacity)
            self._writes = open_batch(SEND, capacity)

    def close(self) -> None:
        """Let go of what the kernel holds."""
        for batch in (self._reads, self._writes):
            if batch is not None:
                batch.close()
        self._reads = self._writes = None

    def _give_up(self) -> None:
        """Go on in loops, where the kernel does not do any more what it did."""
        self._at_once = False
        self.close()
        if self._planned is not None:
            self.plan(*self._planned)

    def read(
        self, descriptors: _Index, sockets: list[socket.socket], packets: PacketRows, first: int
    ) -> _Answers:
        """Read a packet of each of some sockets.

        Args:
            descriptors: intp, `(k,)`: the sockets.
            sockets: every socket, by descriptor.
            packets: get the packets, from row `first` on, that of the i-th in the i-th row.
            first: the row to begin at.

        Returns:
            int64, `(k,)`.
        """
        count = len(descriptors)
        if self._reads is not None:
            rows = first + np.arange(count)
            self._reads.fill(
                descriptors, packets.octets.ctypes.data + PACKET_ROW * rows, PACKET_ROW
            )
            try:
                return self._reads.run().astype(np.int64)
            except OSError:
                self._give_up()
        answers: list[int] = []
        waiting = [sockets[descriptor] for descriptor in descriptors.tolist()]
        views = packets.views[first : first + count]
        while len(answers) < count:
            # The loop is `map`'s: a turn of a Python loop costs as much as a third of the call.
            at = len(answers)
            try:
                answers.extend(map(socket.socket.recv_into, waiting[at:], views[at:]))
            except OSError as error:
                answers.append(-(error.errno or 0))
        return np.array(answers, np.int64)

    def plan(self, packets: npt.NDArray[np.uint8], wanted: _Index) -> None:
        """Say what is written, until the next plan.

        Args:
            packets: uint8, contiguous: memory that outlives the plan.
            wanted: intp, `(k, 3)`: a socket's descriptor, the octet of `packets` at which what is
                sent begins, and how many there are.
        """
        self._planned = packets, wanted
        if self._writes is not None:
            descriptors, starts, sizes = wanted.T
            self._writes.fill(descriptors, packets.ctypes.data + starts, sizes)
            return
        whole = packets.data.cast("B")
        self._descriptors = wanted[:, 0].tolist()
        self._views = [whole[start : start + size] for _, start, size in wanted.tolist()]

    def write(self) -> list[int]:
        """Send what was planned, each packet as it stands now; return the errors' numbers."""
        if self._writes is not None:
            try:
                answers = self._writes.run()
            except OSError:
                self._give_up()
            else:
                failed: list[int] = (-answers[answers < 0]).tolist()
                return failed
        errors: list[int] = []
        # `write` sends on a connected socket, and costs a fifth of a microsecond less than `send`.
        queue = map(write, self._descriptors, self._views)
        while True:
            try:
                collections.deque(queue, maxlen=0)
            except OSError as error:  # of one packet; the queue goes on behind it
                errors.append(error.errno or 0)
            else:
                return errors
