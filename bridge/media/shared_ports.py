"""The other transport: a handful of UDP ports carry all legs whose media comes from where SDP says.

A packet's leg is found by where it came from. Address and port of the source are a number of 48
bits, the port of ours that it came to stands above them, and a table has the legs by these numbers
(`_pairs`); `recvmmsg` and `sendmmsg` move everything that one port has in one call, in a loop over
ports that is compiled (`_port_calls`)::

    port 0 ─ recvmmsg ─┐                        key = port | source address | source port
    port 1 ─ recvmmsg ─┼─► rows of packets ──►  table of the legs' keys ──► row of each
    ...                │                        no such key: a stranger, dropped and counted
    port 7 ─ recvmmsg ─┘

There is no latching: control puts a leg here only where its media comes from the address its SDP
names, and only on a port where no other leg has the same remote pair. Should two have it all the
same (media that moved), the one that was there first keeps what comes, and it is counted.

What a port may take in a tick is bounded, but its legs share one receive buffer: a flood on one of
them can fill it for all, where an own socket would lose its own packets only.

RTCP has the odd port above each, and is told apart by the pair that `a=rtcp` names, or the source
port above that of RTP (RFC 3550 section 11).
"""

import errno
import os
import select
import socket
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media import _port_calls
from bridge.media._packet_rows import PacketRows
from bridge.media._pairs import PairTable
from bridge.media._port_calls import Messages
from bridge.media._sockets import (
    PEER_ERRORS,
    adopt_udp,
    arrived_at,
    ask_for_stamps,
    dropped_by,
)
from bridge.media.counters import Counters
from bridge.media.latching import Source, source_key
from bridge.media.messages import LegMedia
from bridge.media.outgoing import HALF_PACKET, PACKET, Outgoing
from bridge.media.plain import PlainPackets
from bridge.media.seating import Seating
from bridge.media.transport import Latched, RtcpPacket

__all__ = ["MOST_PORTS", "SharedPorts"]

MOST_PORTS: Final = 64
"""Shared ports of one media process."""

PACKETS_A_LEG: Final = 4
"""Packets taken of a port in a tick, for each leg on it: 200 a second and leg, twice what 10 ms
need."""

PACKETS_MORE: Final = 64
"""And so many more, whatever the number of legs."""

RTCP_PER_TICK: Final = 64
"""RTCP packets taken in a tick, of all ports: several times what a thousand legs send."""

TICKS_BETWEEN_COUNTS: Final = 50
"""A second between two looks at what receive buffers dropped."""

_RTCP_ROW: Final = 1500

_Runs = npt.NDArray[np.int64]


@dataclass(slots=True)
class _Port:
    """One of our ports: its sockets, and what its receive buffer had dropped at the last look."""

    rtp: socket.socket
    rtcp: socket.socket
    dropped: int


class SharedPorts:
    """Legs on shared ports.

    Args:
        capacity: rows to begin with.
        counters: of the process.
        packets: rows for what comes in, behind what other transports have put there.
    """

    def __init__(self, capacity: int, counters: Counters, packets: PacketRows) -> None:
        self._counters = counters
        self._packets = packets
        self._ports: list[_Port | None] = []
        self._port_of = np.full(capacity, -1, np.int64)
        self._remote = np.zeros(capacity, np.int64)
        self._heard = np.zeros(capacity, np.bool_)
        # Legs that are heard here and sent from elsewhere (`Transports.add_place`).
        self._aside = np.zeros(capacity, np.bool_)
        self._rtcp_named: dict[int, Source] = {}
        self._rtcp_rows: dict[tuple[int, Source], int] = {}
        self._pairs = PairTable()
        # By port: its socket, and what may be taken of it in a tick.
        self._descriptors = np.zeros(0, np.int64)
        self._limits = np.zeros(0, np.int64)
        self._errors = np.zeros(0, np.int64)
        self._legs_on = [0] * MOST_PORTS
        self._sending: _Runs = np.zeros((3, 0), np.int64)
        self._sending_halves: _Runs = np.zeros((3, 0), np.int64)
        self._latched: list[Latched] = []
        self._rtcp_buffer = bytearray(_RTCP_ROW)
        # To ask all RTCP sockets in one call; by descriptor, their port.
        self._rtcp_ready = select.poll()
        self._rtcp_ports: dict[int, int] = {}
        self.changed = False
        self._allocate(capacity)

    def _allocate(self, capacity: int) -> None:
        self._capacity = capacity
        octets = self._packets.octets
        self._incoming = Messages(len(octets))
        self._incoming.place(octets, octets.shape[1])
        self._timed_incoming = Messages(len(octets), _port_calls.CONTROL)
        self._timed_incoming.place(octets, octets.shape[1])
        self._fresh = np.zeros(capacity, np.intp)
        self._outgoing = Messages(capacity)
        self._halves = Messages(capacity)
        self._failed = np.zeros(capacity, np.int64)

    @staticmethod
    def rows_for(capacity: int) -> int:
        """Return how many rows for packets so many legs need."""
        return PACKETS_A_LEG * capacity + PACKETS_MORE * MOST_PORTS

    # --- ports and legs -----------------------------------------------------------------------

    def add_port(self, index: int, fds: list[int]) -> None:
        """Take the sockets of a shared port, for as long as the process lives.

        Args:
            index: what legs call it, 0 to `MOST_PORTS` - 1.
            fds: the descriptors of its RTP and its RTCP socket.

        Raises:
            OSError: they are no UDP sockets, or the port is there already; they have been closed.
        """
        if not 0 <= index < MOST_PORTS or self._port(index) is not None:
            for fd in fds:
                os.close(fd)
            raise OSError(errno.EEXIST, os.strerror(errno.EEXIST))
        rtp, rtcp = adopt_udp(fds)
        try:
            ask_for_stamps(rtp)
        except OSError:
            rtp.close()
            rtcp.close()
            raise
        arrived_at(rtcp)  # from here on its packets are timed
        while len(self._ports) <= index:
            self._ports.append(None)
        # What another process let drop, it has counted.
        self._ports[index] = _Port(rtp, rtcp, dropped_by(rtp) or 0)
        self._rtcp_ready.register(rtcp.fileno(), select.POLLIN)
        self._rtcp_ports[rtcp.fileno()] = index
        self._descriptors = np.array(
            [port.rtp.fileno() if port else -1 for port in self._ports], np.int64
        )
        self._errors = np.zeros(len(self._ports), np.int64)
        self._settle()

    def _port(self, index: int) -> _Port | None:
        return self._ports[index] if 0 <= index < len(self._ports) else None

    def grow(self, capacity: int) -> None:
        """Make place for so many rows; the packets' rows have grown before."""
        for name, fill in (("_port_of", -1), ("_remote", 0), ("_heard", 0), ("_aside", 0)):
            old = getattr(self, name)
            new = np.full(capacity, fill, old.dtype)
            new[: len(old)] = old
            setattr(self, name, new)
        self._allocate(capacity)
        self.changed = True

    def open(self, row: int, media: LegMedia, index: int, *, aside: bool = False) -> None:
        """Carry a leg on a shared port.

        Args:
            row: the leg.
            media: what was negotiated.
            index: the port.
            aside: it is only heard here.

        Raises:
            OSError: there is no such port.
        """
        if self._port(index) is None:
            raise OSError(errno.ENODEV, f"there is no shared port {index}")
        self._port_of[row] = index
        self._remote[row] = source_key(media.remote_rtp)
        self._heard[row] = False
        self._aside[row] = aside
        self._legs_on[index] += 1
        self._name_rtcp(row, media)
        self._settle()

    def change(self, row: int, media: LegMedia) -> None:
        """Apply what was negotiated anew: media may have moved."""
        if media.remote_rtp is not None:
            self._remote[row] = source_key(media.remote_rtp)
        if media.remote_rtcp is not None:
            self._forget_rtcp(row)
            self._name_rtcp(row, media)
        self._settle()

    def close(self, row: int) -> None:
        """Let go of a leg; the port stays."""
        self._legs_on[int(self._port_of[row])] -= 1
        self._forget_rtcp(row)
        self._port_of[row] = -1
        self._remote[row] = 0
        self._aside[row] = False
        self._settle()

    def carries(self, row: int) -> bool:
        """Say whether a leg is on a shared port."""
        return bool(self._port_of[row] >= 0)

    def sends(self, row: int) -> bool:
        """Say whether a leg is sent to from a shared port."""
        return self.carries(row) and not self._aside[row]

    def swap(self, row: int) -> None:
        """Send to a leg that was only heard here, or hear it only."""
        if self.carries(row):
            self._aside[row] = not self._aside[row]
            self.changed = True

    @property
    def reachable(self) -> npt.NDArray[np.bool_]:
        """Legs that can be sent to from here: bool, `(capacity,)`."""
        return (self._port_of >= 0) & (self._remote > 0) & ~self._aside

    def _name_rtcp(self, row: int, media: LegMedia) -> None:
        named = media.remote_rtcp
        if named is None and media.remote_rtp is not None:
            named = (media.remote_rtp[0], media.remote_rtp[1] + 1)
        if named is not None:
            self._rtcp_named[row] = named
            self._rtcp_rows.setdefault((int(self._port_of[row]), named), row)

    def _forget_rtcp(self, row: int) -> None:
        named = self._rtcp_named.pop(row, None)
        key = (int(self._port_of[row]), named)
        if named is not None and self._rtcp_rows.get((key[0], named)) == row:
            del self._rtcp_rows[key[0], named]

    def _settle(self) -> None:
        """Note whose packets come from where, and how many may come."""
        self._counters.shared_pairs_doubled = self._pairs.fill(self._port_of, self._remote)
        legs_on = np.array(self._legs_on[: len(self._ports)], np.int64)
        # One without legs is emptied too: what the last leg's far end still sends must not wait
        # there for the next leg.
        self._limits = PACKETS_A_LEG * legs_on + PACKETS_MORE
        self.changed = True

    # --- receiving ----------------------------------------------------------------------------

    def receive(self, tick: int, plain: PlainPackets) -> None:
        """Read the packets that came, bounded per port and tick; put what is not plain in rows.

        What ICMP says of a peer is not told to sockets like these.
        """
        if not self._ports:
            return
        timed_port = -tick % len(self._ports)
        packets, pairs, untimed, timed = (
            self._packets,
            self._pairs,
            self._incoming,
            self._timed_incoming,
        )
        packets.taken, strangers, fresh, failed, bounded = _port_calls.receive(
            plain.columns,
            plain.moment,
            self._descriptors,
            self._limits,
            timed_port,
            untimed.words,
            untimed.name_octets,
            timed.words,
            timed.name_octets,
            timed.control,
            pairs.keys,
            pairs.rows,
            pairs.multiplier,
            pairs.shift,
            self._heard,
            packets.taken,
            packets.octets,
            untimed.places,
            packets.lengths,
            packets.rows,
            packets.arrived,
            self._fresh,
            self._errors,
        )
        self._counters.shared_strangers += strangers
        self._counters.reads_bounded += bounded
        if fresh:
            rows = sorted(self._fresh[:fresh].tolist())
            self._latched += [Latched(row, own_sdp=True) for row in rows]
        for number in self._errors[:failed].tolist():
            self._count_error(number, "read_errors")

    def take_latched(self) -> list[Latched]:
        """Return whose first packet came since the last call."""
        latched, self._latched = self._latched, []
        return latched

    def watch(self, tick: int) -> None:
        """Count what receive buffers dropped, once a second."""
        if tick % TICKS_BETWEEN_COUNTS:
            return
        for port in self._ports:
            if port is None:
                continue
            dropped = dropped_by(port.rtp)
            if dropped is None:
                self._counters.read_errors += 1
            else:
                self._counters.rxq_overflow += (dropped - port.dropped) & 0xFFFF_FFFF
                port.dropped = dropped

    def _count_error(self, error: OSError | int, ours: str) -> None:
        """Count a socket's error as the peer's if ICMP brought it, else under the given name."""
        number = error if isinstance(error, int) else error.errno
        name = "peer_refused" if number in PEER_ERRORS else ours
        setattr(self._counters, name, getattr(self._counters, name) + 1)

    # --- sending ------------------------------------------------------------------------------

    def plan(self, seating: Seating, outgoing: Outgoing) -> None:
        """Lay out which packets go where, port by port, until the next plan."""
        order, halved = seating.order, outgoing.halved
        sending = outgoing.sending
        whole = np.full(len(order), PACKET, np.int64)
        whole[halved] = HALF_PACKET
        self._sending = self._lay_out(
            self._outgoing, outgoing.packets, sending, order[sending], whole[sending]
        )
        self._sending_halves = self._lay_out(
            self._halves,
            outgoing.second_halves,
            np.arange(len(halved)),
            order[halved],
            np.full(len(halved), HALF_PACKET),
        )
        self.changed = False

    def _lay_out(
        self,
        messages: Messages,
        packets: npt.NDArray[np.uint8],
        places: npt.NDArray[np.intp],
        rows: npt.NDArray[np.intp],
        lengths: npt.NDArray[np.int64],
    ) -> _Runs:
        """Write the structures for packets of shared legs.

        Args:
            messages: the structures.
            packets: uint8, `(capacity, octets)`: where packets lie.
            places: intp, `(n,)`: the row of `packets` of each.
            rows: intp, `(n,)`: the leg of each.
            lengths: int64, `(n,)`: octets of each.

        Returns:
            int64, `(3, ports)`: the descriptor of each port, the first of its structures and how
            many it has.
        """
        ports = np.where(self._aside[rows], -1, self._port_of[rows])
        # By row on each, so that what the kernel holds of the far ends is gone through as it lies.
        chosen = np.lexsort((rows, ports))[np.count_nonzero(ports < 0) :]
        count = len(chosen)
        ports = ports[chosen]
        messages.iovecs["base"][:count] = packets.ctypes.data + packets.strides[0] * places[chosen]
        messages.iovecs["length"][:count] = lengths[chosen]
        messages.address(0, self._remote[rows[chosen]])
        indices, starts, counts = np.unique(ports, return_index=True, return_counts=True)
        return np.stack((self._descriptors[indices], starts, counts))

    def send(self) -> None:
        """Send the planned packets."""
        self._send(self._outgoing, self._sending)

    def send_second_halves(self) -> None:
        """Send the second packets of legs that get two a tick."""
        self._send(self._halves, self._sending_halves)

    def _send(self, messages: Messages, runs: _Runs) -> None:
        if not runs.shape[1]:
            return
        descriptors, starts, counts = runs
        failed, unsent = _port_calls.send(
            descriptors,
            starts,
            counts,
            messages.words,
            messages.name_octets,
            messages.places,
            self._failed,
        )
        self._counters.send_errors += unsent
        for number in self._failed[:failed].tolist():
            self._count_error(number, "send_errors")

    # --- RTCP ---------------------------------------------------------------------------------

    def receive_rtcp(self) -> list[RtcpPacket]:
        """Return RTCP packets of legs."""
        packets: list[RtcpPacket] = []
        if not self._ports:
            return packets
        buffer, left = self._rtcp_buffer, RTCP_PER_TICK
        for descriptor, _ in self._rtcp_ready.poll(0):
            index = self._rtcp_ports[descriptor]
            port = self._port(index)
            while port is not None and left:
                left -= 1
                try:
                    length, source = port.rtcp.recvfrom_into(buffer)
                except BlockingIOError:
                    break
                except OSError as error:
                    self._count_error(error, "read_errors")
                    continue
                row = self._rtcp_rows.get((index, source))
                if row is None:
                    self._counters.rtcp_strangers += 1
                else:
                    packets.append(RtcpPacket(row, bytes(buffer[:length]), arrived_at(port.rtcp)))
        return packets

    def send_rtcp(self, row: int, packet: bytes) -> None:
        """Send a leg an RTCP packet where its SDP says."""
        named, port = self._rtcp_named.get(row), self._port(int(self._port_of[row]))
        if named is None or port is None:
            return
        try:
            port.rtcp.sendto(packet, named)
        except OSError as error:
            self._count_error(error, "rtcp_send_errors")
