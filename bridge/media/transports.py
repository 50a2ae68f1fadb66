"""Both transports behind one pair of calls: a leg is with one of them, all packets come as one.

A leg that came with descriptors has its own sockets, one that names a shared port is there. What
both receive lies in the same rows, that of own sockets first, so that the tick sees one array.

A leg whose media is to move has two places for a while: it is heard at both, and sent to from one::

    open ──► one place ──add_place──► two ──take_place──► two, the other way round
                 ▲                     │                      │
                 └─────────────────drop_place─────────────────┘
"""

import errno
import os

import numpy as np
import numpy.typing as npt

from bridge.media._packet_rows import PacketRows
from bridge.media.counters import Counters, LegCounters
from bridge.media.latching import Source
from bridge.media.messages import LegMedia
from bridge.media.outgoing import Outgoing
from bridge.media.own_sockets import OwnSockets
from bridge.media.plain import PlainPackets
from bridge.media.rtp import Arrivals
from bridge.media.seating import Seating
from bridge.media.shared_ports import SharedPorts
from bridge.media.transport import Latched, RtcpPacket

__all__ = ["Transports"]


class Transports:
    """Own sockets and shared ports; a `transport.Transport`.

    Args:
        capacity: rows to begin with.
        counters: of the process.
        leg_counters: of each leg.
    """

    def __init__(self, capacity: int, counters: Counters, leg_counters: LegCounters) -> None:
        self._packets = PacketRows(_rows_for(capacity))
        self._own = OwnSockets(capacity, counters, leg_counters, self._packets)
        self._shared = SharedPorts(capacity, counters, self._packets)

    def grow(self, capacity: int) -> None:
        """Make place for so many rows."""
        self._packets.allocate(_rows_for(capacity))
        self._own.grow(capacity)
        self._shared.grow(capacity)

    # --- legs ---------------------------------------------------------------------------------

    def add_port(self, index: int, fds: list[int]) -> None:
        """Take the sockets of a shared port, for as long as the process lives.

        Raises:
            OSError: they are no UDP sockets, or it is there already; they have been closed.
        """
        self._shared.add_port(index, fds)

    def open(self, row: int, media: LegMedia, fds: list[int], known: Source | None = None) -> None:
        """Take a leg with its own sockets (`OwnSockets.open`).

        Raises:
            OSError: they are no UDP sockets; they have been closed.
        """
        self._own.open(row, media, fds, known)

    def open_shared(self, row: int, media: LegMedia, port: int) -> None:
        """Take a leg that is on a shared port.

        Raises:
            OSError: there is no such port.
        """
        self._shared.open(row, media, port)

    def change(self, row: int, media: LegMedia) -> None:
        """Apply what was negotiated anew."""
        if self._shared.carries(row):
            self._shared.change(row, media)
        self._own.change(row, media)

    def known(self, row: int) -> Source | None:
        """Return where a leg's media comes from, `None` before it was latched."""
        return None if self._shared.sends(row) else self._own.known(row)

    def close(self, row: int) -> None:
        """Close a leg's own sockets, and let it go from its shared port."""
        if self._shared.carries(row):
            self._shared.close(row)
        self._own.close(row)

    # --- second places ------------------------------------------------------------------------

    def add_place(self, row: int, media: LegMedia, fds: list[int], port: int | None) -> None:
        """Hear a leg at a second place, with descriptors or on a shared port.

        Raises:
            OSError: it has two places already, or this one cannot be used; what came is closed.
        """
        shared = self._shared.carries(row)
        if self.has_second(row) or (shared and port is not None):
            for fd in fds:
                os.close(fd)
            raise OSError(errno.EEXIST, os.strerror(errno.EEXIST))
        if port is None:
            self._own.open_aside(row, media, fds)
        else:
            self._shared.open(row, media, port, aside=True)

    def has_second(self, row: int) -> bool:
        """Say whether a leg has a second place."""
        return self._own.has_aside(row) or self._shared.carries(row) > self._shared.sends(row)

    def take_place(self, row: int) -> None:
        """Send to a leg from its second place; it is heard at the first as before."""
        self._own.swap(row)
        self._shared.swap(row)

    def drop_place(self, row: int) -> None:
        """Leave the place that a leg is not sent to from."""
        self._own.close_aside(row)
        if self._shared.carries(row) and not self._shared.sends(row):
            self._shared.close(row)

    @property
    def reachable(self) -> npt.NDArray[np.bool_]:
        """Legs whose address is known: bool, `(capacity,)`."""
        return self._own.reachable | self._shared.reachable

    @property
    def changed(self) -> bool:
        """Who is reachable, or how, has changed since the last plan."""
        return self._own.changed or self._shared.changed

    def take_latched(self) -> list[Latched]:
        """Return what was latched since the last call."""
        return self._own.take_latched() + self._shared.take_latched()

    def watch(self, tick: int) -> None:
        """Look after sources that went quiet, and after receive buffers."""
        self._own.watch(tick)
        self._shared.watch(tick)

    # --- packets ------------------------------------------------------------------------------

    def receive(self, tick: int, plain: PlainPackets) -> Arrivals | None:
        """Take the plain packets that came, bounded per leg or port and tick; return the others."""
        self._packets.clear()
        self._own.receive(tick, plain)
        self._shared.receive(tick, plain)
        return self._packets.arrivals() if self._packets.taken else None

    def plan(self, seating: Seating, outgoing: Outgoing) -> None:
        """Learn which packets go to which legs, until the next plan."""
        self._own.plan(seating, outgoing)
        self._shared.plan(seating, outgoing)

    def send(self) -> None:
        """Send the planned packets, each as it stands in `Outgoing.packets` now."""
        self._own.send()
        self._shared.send()

    def send_second_halves(self) -> None:
        """Send the second packets of legs that get two a tick."""
        self._own.send_second_halves()
        self._shared.send_second_halves()

    # --- RTCP ---------------------------------------------------------------------------------

    def receive_rtcp(self) -> list[RtcpPacket]:
        """Return RTCP packets, bounded per tick."""
        return self._own.receive_rtcp() + self._shared.receive_rtcp()

    def send_rtcp(self, row: int, packet: bytes) -> None:
        """Send a leg an RTCP packet if its address is known."""
        (self._shared if self._shared.sends(row) else self._own).send_rtcp(row, packet)


def _rows_for(capacity: int) -> int:
    return OwnSockets.rows_for(capacity) + SharedPorts.rows_for(capacity)
