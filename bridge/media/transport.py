"""What the engine asks of a transport; `transports` is one, tests have another."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from bridge.media.latching import Source
from bridge.media.messages import LegMedia
from bridge.media.outgoing import Outgoing
from bridge.media.plain import PlainPackets
from bridge.media.rtp import Arrivals
from bridge.media.seating import Seating

__all__ = ["Latched", "RtcpPacket", "Transport"]


@dataclass(slots=True, frozen=True)
class Latched:
    """A leg's source was latched.

    Args:
        row: the leg.
        own_sdp: its source is the one SDP names.
    """

    row: int
    own_sdp: bool


class RtcpPacket(NamedTuple):
    """What came to an RTCP port.

    Args:
        row: the leg.
        data: the datagram.
        arrived: when it did, by the wall clock [s]; NaN where that is not known. It may have waited
            for the tick, which is no part of a round trip.
    """

    row: int
    data: bytes
    arrived: float


class Transport(Protocol):
    """Sockets of legs, by row. Nothing in here raises but `open`."""

    def grow(self, capacity: int) -> None:
        """Make place for so many rows."""

    def open(self, row: int, media: LegMedia, fds: list[int], known: Source | None = None) -> None:
        """Take a leg's RTP and RTCP descriptors, which now belong to the transport.

        Args:
            row: the leg.
            media: what was negotiated.
            fds: the descriptors.
            known: where its media came from in another process, which need not be proven again.

        Raises:
            OSError: they are no UDP sockets; they have been closed.
        """

    def add_port(self, index: int, fds: list[int]) -> None:
        """Take the RTP and RTCP sockets of a shared port, for as long as the process lives.

        Raises:
            OSError: they are no UDP sockets, or the port is there already; they have been closed.
        """

    def open_shared(self, row: int, media: LegMedia, port: int) -> None:
        """Take a leg that is on a shared port.

        Raises:
            OSError: there is no such port.
        """

    def change(self, row: int, media: LegMedia) -> None:
        """Apply what was negotiated anew."""

    def add_place(self, row: int, media: LegMedia, fds: list[int], port: int | None) -> None:
        """Hear a leg at a second place, with descriptors or on a shared port.

        Raises:
            OSError: it has two places already, or this one cannot be used; what came is closed.
        """

    def has_second(self, row: int) -> bool:
        """Say whether a leg has a second place."""
        ...

    def take_place(self, row: int) -> None:
        """Send to a leg from its second place; it is heard at the first as before."""

    def drop_place(self, row: int) -> None:
        """Leave the place that a leg is not sent to from."""

    def known(self, row: int) -> Source | None:
        """Return where a leg's media comes from, `None` before it was latched."""
        ...

    def close(self, row: int) -> None:
        """Close a leg's sockets, or let it go from its shared port."""

    def receive(self, tick: int, plain: PlainPackets) -> Arrivals | None:
        """Take the plain packets that came, bounded per leg and tick; return the others if any."""
        ...

    def send(self) -> None:
        """Send the planned packets, each as it stands in `Outgoing.packets` now."""

    def send_second_halves(self) -> None:
        """Send the second packets of legs that get two a tick."""

    def plan(self, seating: Seating, outgoing: Outgoing) -> None:
        """Learn which packets go to which legs, until the next plan."""

    def receive_rtcp(self) -> list[RtcpPacket]:
        """Return RTCP packets, bounded per tick."""
        ...

    def send_rtcp(self, row: int, packet: bytes) -> None:
        """Send a leg an RTCP packet if its address is known."""

    def watch(self, tick: int) -> None:
        """Look after sources that went quiet; cheap enough for every tick."""

    def take_latched(self) -> list[Latched]:
        """Return what was latched since the last call."""
        ...

    @property
    def reachable(self) -> npt.NDArray[np.bool_]:
        """Legs whose address is known: bool, `(capacity,)`."""
        ...

    @property
    def changed(self) -> bool:
        """Who is reachable, or how, has changed since the last plan."""
        ...
