"""The default transport: one UDP socket per leg, connected as soon as its source is known.

A connected leg costs one read and one write a tick, into and out of rows allocated beforehand, in
two loops that are compiled (`_calls`). What is plain of it is taken at once (`plain`). The kernel
drops what comes from elsewhere. A leg not yet connected, or quiet for `QUIET_TICKS` and
disconnected again, is read with `recvfrom_into`, and `latching` judges every packet::

            first packet of the SDP's address, or of a source that proved itself
    judged ────────────────────────────────────────────────────────────────────► connected
       ▲              (connect, then drain what was queued before, by source)        │
       └─────────────────────────── nothing for two seconds ────────────────────────┘

In every tick one leg in `TIMED_SHARE` is asked when the kernel took each of its packets in
(SIOCGSTAMPNS), for jitter: a third of what `recvmsg` costs, and nothing for the others. What
receive buffers dropped is asked of each socket now and then (SO_MEMINFO): the very count that
SO_RXQ_OVFL attaches to packets, but exact also when none follow.
"""

import select
import socket
from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media import _calls
from bridge.media._libc import disconnect
from bridge.media._packet_rows import PacketRows
from bridge.media._sockets import (
    PEER_ERRORS,
    adopt_udp,
    arrived_at,
    ask_for_stamps,
    dropped_by,
    peer_of,
)
from bridge.media.counters import Counters, LegCounters
from bridge.media.latching import Latch, Source, Verdict
from bridge.media.messages import LegMedia
from bridge.media.outgoing import HALF_PACKET, PACKET, Outgoing
from bridge.media.plain import PlainPackets
from bridge.media.rtp import PACKET_ROW
from bridge.media.seating import Seating
from bridge.media.transport import Latched, RtcpPacket

__all__ = ["QUIET_TICKS", "READS_PER_TICK", "OwnSockets"]

READS_PER_TICK: Final = 16
"""Packets taken from one leg in a tick: 800 a second, eight times what 10 ms need. A flood beyond
it fills only its own leg's receive buffer."""

JUDGED_PER_TICK: Final = 64
"""Legs without a known source that are read in a tick: to connect one takes 0.1 ms, and hundreds
may begin at once where a carrier comes back. 3,200 a second are more than ever call."""

QUIET_TICKS: Final = 100
"""Two seconds without a packet before a leg may be latched anew."""

TIMED_SHARE: Final = 10
"""One leg in so many is timed in a tick: each leg five times a second. Half as many, and the mean
of half a minute is off by a fifth where packets scatter."""

BACKLOG_KEPT: Final = 2
"""Packets of sound that count of those queued when a leg is connected: 40 ms. Where it is opened
late, or by another process after a crash, half a second may lie there: sound anchored at its
beginning would come that much late, and then leap."""

RTCP_PER_TICK: Final = 64
"""RTCP packets taken in a tick, of all legs: several times what a thousand legs send."""

_RTCP_ROW: Final = 1500
DROPS_SHARE: Final = 50
"""One leg in so many is asked in a tick what its buffer dropped: each leg once a second."""

_BY_ROW: Final = (
    ("_last_heard", 0),
    ("_may_release", 0),
    ("_reachable", 0),
    ("_sent_by", -1),
    ("_connected_by", -1),
)
"""Arrays of a number for each leg, and what stands there where no leg is."""


class _Leg:
    """The sockets of one leg, and how its source stands."""

    __slots__ = (
        "connected",
        "events",
        "fixed",
        "latch",
        "row",
        "rtcp",
        "rtcp_named",
        "rtcp_seen",
        "rtp",
    )

    def __init__(self, row: int, rtp: socket.socket, rtcp: socket.socket, latch: Latch) -> None:
        self.row = row
        self.rtp = rtp
        self.rtcp = rtcp
        self.latch = latch
        self.connected = False
        self.fixed = False
        self.events: int | None = None
        self.rtcp_named: Source | None = None
        self.rtcp_seen: Source | None = None


class OwnSockets:
    """A socket pair per leg.

    Args:
        capacity: rows to begin with.
        counters: of the process.
        leg_counters: of each leg.
        packets: rows for what comes in, as many as `rows_for` says at least.
    """

    def __init__(
        self,
        capacity: int,
        counters: Counters,
        leg_counters: LegCounters,
        packets: PacketRows,
    ) -> None:
        self._counters = counters
        self._leg_counters = leg_counters
        self._legs: list[_Leg | None] = [None] * capacity
        # Second places of legs, heard and not sent from (`Transports.add_place`).
        self._aside: dict[int, _Leg] = {}
        self._by_descriptor: dict[int, _Leg] = {}
        # By descriptor; and what its receive buffer had dropped at the last look.
        self._row_of = np.zeros(0, np.intp)
        self._dropped = np.zeros(0, np.int64)
        self._connected = select.epoll()
        self._judged = select.epoll()
        self._rtcp = select.epoll()
        self._last_heard = np.zeros(capacity, np.int64)
        self._may_release = np.zeros(capacity, np.bool_)
        self._reachable = np.zeros(capacity, np.bool_)
        # The descriptor that each leg is sent from, else -1; and only if it is connected.
        self._sent_by = np.full(capacity, -1, np.intp)
        self._connected_by = np.full(capacity, -1, np.intp)
        self._unconnected = 0
        self._changed = True
        self._tick = 0
        self._handed: list[_Leg] = []
        self._latched: list[Latched] = []
        self._sends_to: list[tuple[_Leg, memoryview]] = []
        self._second_sends: list[tuple[_Leg, memoryview]] = []
        self._rtcp_buffer = bytearray(_RTCP_ROW)
        self._capacity = capacity
        self._packet_rows = self.rows_for(capacity)
        self._packets = packets
        self._allocate()
        # What is sent: where it lies; descriptor, beginning and octets of each packet.
        self._octets = np.zeros(0, np.uint8)
        self._planned = np.zeros((3, 0), np.intp)

    def _allocate(self) -> None:
        self._errors = np.zeros(self._packet_rows, np.int64)
        self._events = _calls.epoll_events(self._capacity)
        self._found = np.zeros(self._capacity, np.intp)
        self._read_rows = np.zeros(self._capacity, np.intp)
        self._read_by = np.zeros(self._capacity, np.intp)

    @staticmethod
    def rows_for(capacity: int) -> int:
        """Return how many rows for packets so many legs need: two each, and a flooding leg's."""
        return 2 * capacity + 64 * READS_PER_TICK

    # --- legs ---------------------------------------------------------------------------------

    def grow(self, capacity: int) -> None:
        """Make place for so many rows; the packets' rows have grown before."""
        self._packet_rows = self.rows_for(capacity)
        self._legs.extend([None] * (capacity - self._capacity))
        for name, fill in _BY_ROW:
            old = getattr(self, name)
            new = np.full(capacity, fill, old.dtype)
            new[: len(old)] = old
            setattr(self, name, new)
        self._capacity = capacity
        self._allocate()
        self._changed = True

    def open(self, row: int, media: LegMedia, fds: list[int], known: Source | None = None) -> None:
        """Take a leg's RTP and RTCP descriptors.

        A socket that another process connected stays connected.

        Args:
            row: the leg.
            media: what was negotiated.
            fds: the descriptors.
            known: where its media came from in another process, which need not be proven again.

        Raises:
            OSError: they are no UDP sockets; they have been closed.
        """
        self._legs[row] = self._adopt(row, media, fds, known)
        self._last_heard[row] = self._tick
        self._sends(row)

    def _adopt(self, row: int, media: LegMedia, fds: list[int], known: Source | None) -> _Leg:
        """Take descriptors that a leg is heard by."""
        rtp, rtcp = adopt_udp(fds)
        try:
            ask_for_stamps(rtp)
            ask_for_stamps(rtcp)
            leg = _Leg(row, rtp, rtcp, Latch(media.remote_rtp, _payload_types(media)))
            leg.rtcp_named = media.remote_rtcp
            leg.events = media.dtmf_payload_type
            peer = peer_of(rtp)
            descriptor = rtp.fileno()
            if len(self._row_of) <= descriptor:
                self._row_of = np.resize(self._row_of, 2 * descriptor + 64)
                self._dropped = np.resize(self._dropped, 2 * descriptor + 64)
            # What a process before had it drop, that one has counted.
            self._dropped[descriptor] = (dropped_by(rtp) or 0) if peer or known else 0
            leg.connected = peer is not None
            if peer is not None:
                self._handed.append(leg)
            leg.latch.known = peer or known
            self._listen(leg)
            self._rtcp.register(rtcp.fileno(), select.EPOLLIN)
        except OSError:
            rtp.close()
            rtcp.close()
            raise
        self._by_descriptor[descriptor] = leg
        self._by_descriptor[rtcp.fileno()] = leg
        self._row_of[descriptor] = row
        # Beside a shared port (`ports.open_beside`), where a socket without a connection would take
        # the packets of others.
        leg.fixed = leg.connected and bool(rtp.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT))
        return leg

    def _listen(self, leg: _Leg) -> None:
        """Let a leg be read, as it is connected or not."""
        epoll = self._connected if leg.connected else self._judged
        epoll.register(leg.rtp.fileno(), select.EPOLLIN)
        self._unconnected += not leg.connected

    def _ignore(self, leg: _Leg) -> None:
        """Let it be read no more; before `connected` changes."""
        epoll = self._connected if leg.connected else self._judged
        epoll.unregister(leg.rtp.fileno())
        self._unconnected -= not leg.connected

    def _sends(self, row: int) -> None:
        """Take note of what a leg is sent from."""
        leg = self._legs[row]
        self._sent_by[row] = leg.rtp.fileno() if leg is not None else -1
        self._connected_by[row] = leg.rtp.fileno() if leg is not None and leg.connected else -1
        self._may_release[row] = leg is not None and leg.connected and not leg.fixed
        self._reachable[row] = leg is not None and (leg.connected or leg.latch.target is not None)
        self._changed = True

    def _both(self, row: int) -> list[_Leg]:
        """Return the sockets that a leg is heard by."""
        return [leg for leg in (self._legs[row], self._aside.get(row)) if leg is not None]

    def change(self, row: int, media: LegMedia) -> None:
        """Apply what was negotiated anew; media that moved must latch anew."""
        for leg in self._both(row):
            self._change(leg, media)

    def _change(self, leg: _Leg, media: LegMedia) -> None:
        leg.rtcp_named = media.remote_rtcp or leg.rtcp_named
        leg.events = media.dtmf_payload_type
        if leg.latch.rename(media.remote_rtp, _payload_types(media)):
            leg.rtcp_seen = None
            if leg.fixed and leg.latch.named is not None:
                self._connect_anew(leg, leg.latch.named)
            else:
                self._release(leg)
        self._sends(leg.row)

    def known(self, row: int) -> Source | None:
        """Return where a leg's media comes from, `None` before it was latched."""
        return self._leg(row).latch.known

    def close(self, row: int) -> None:
        """Close a leg's sockets; what its receive buffer dropped is counted to the end."""
        for leg in self._both(row):
            self._close(leg)
        self._aside.pop(row, None)
        self._legs[row] = None
        self._sends(row)

    # --- second places (`Transports.add_place`) -----------------------------------------------

    def open_aside(self, row: int, media: LegMedia, fds: list[int]) -> None:
        """Hear a leg by other sockets too.

        Raises:
            OSError: they are no UDP sockets; they have been closed.
        """
        self._aside[row] = self._adopt(row, media, fds, None)

    def has_aside(self, row: int) -> bool:
        """Say whether a leg is heard by sockets that it is not sent from."""
        return row in self._aside

    def swap(self, row: int) -> None:
        """Send to a leg from where it was only heard, and hear only where it was sent from."""
        before, self._legs[row] = self._legs[row], self._aside.pop(row, None)
        if before is not None:
            self._aside[row] = before
        self._sends(row)

    def close_aside(self, row: int) -> None:
        """Close the sockets that a leg is not sent from, if it has such."""
        leg = self._aside.pop(row, None)
        if leg is not None:
            self._close(leg)

    def _close(self, leg: _Leg) -> None:
        self._count_drops(leg)
        descriptor = leg.rtp.fileno()
        del self._by_descriptor[descriptor]
        del self._by_descriptor[leg.rtcp.fileno()]
        self._ignore(leg)
        self._rtcp.unregister(leg.rtcp.fileno())
        leg.rtp.close()
        leg.rtcp.close()

    def _leg(self, row: int) -> _Leg:
        leg = self._legs[row]
        if leg is None:
            raise LookupError(f"row {row} has no sockets")
        return leg

    def _count_drops(self, leg: _Leg) -> None:
        dropped, descriptor = dropped_by(leg.rtp), leg.rtp.fileno()
        if dropped is None:
            self._counters.read_errors += 1
        else:
            self._counters.rxq_overflow += (dropped - int(self._dropped[descriptor])) & 0xFFFF_FFFF
            self._dropped[descriptor] = dropped

    # --- receiving ----------------------------------------------------------------------------

    def receive(self, tick: int, plain: PlainPackets) -> None:
        """Read the packets that came, bounded per leg and tick; put what is not plain in rows."""
        self._tick = tick
        if not self._by_descriptor:
            return
        if self._unconnected:
            self._receive_judged(plain)
        if self._handed:
            self._receive_handed(plain)
        packets = self._packets
        packets.taken, failed, bounded = _calls.receive(
            plain.columns,
            plain.moment,
            tick,
            TIMED_SHARE,
            READS_PER_TICK,
            self._packet_rows - packets.taken,
            self._connected.fileno(),
            self._events,
            self._connected_by,
            self._row_of,
            self._read_rows,
            self._read_by,
            self._last_heard,
            packets.taken,
            packets.octets,
            packets.lengths,
            packets.rows,
            packets.arrived,
            self._errors,
        )
        self._counters.reads_bounded += bounded
        self._count_errors(failed, "read_errors")

    def _count_errors(self, failed: int, ours: str) -> None:
        for number in self._errors[:failed].tolist():
            self._count_error(number, ours)

    def _count_error(self, error: OSError | int, ours: str) -> None:
        """Count a socket's error as the peer's if ICMP brought it, else under the given name."""
        number = error if isinstance(error, int) else error.errno
        name = "peer_refused" if number in PEER_ERRORS else ours
        setattr(self._counters, name, getattr(self._counters, name) + 1)

    def _receive_judged(self, plain: PlainPackets) -> None:
        """Read legs that are not connected, and connect those whose source is found.

        So many a tick; the kernel has the others be the first of the next.
        """
        for descriptor, _ in self._judged.poll(0, JUDGED_PER_TICK):
            leg = self._by_descriptor[descriptor]
            for _ in range(READS_PER_TICK):
                if self._packets.taken >= self._packet_rows:
                    return
                view = self._packets.views[self._packets.taken]
                try:
                    length, source = leg.rtp.recvfrom_into(view)
                except BlockingIOError:
                    break
                except OSError as error:
                    self._count_error(error, "read_errors")
                    continue
                verdict = leg.latch.judge(source, view[:length])
                if verdict in {Verdict.LATCH_OWN, Verdict.LATCH_OTHER}:
                    first = bytes(view[:length])
                    self._latch(leg, source, own_sdp=verdict is Verdict.LATCH_OWN)
                    self._drain(leg, source, [first], plain)
                    break
                name = "malformed" if verdict is Verdict.MALFORMED else "strangers"
                self._leg_counters.add_one(name, leg.row)

    def _latch(self, leg: _Leg, source: Source, *, own_sdp: bool) -> None:
        try:
            leg.rtp.connect(source)
        except OSError as error:
            self._count_error(error, "read_errors")
            return
        self._ignore(leg)
        leg.connected = True
        self._listen(leg)
        self._sends(leg.row)
        self._latched.append(Latched(leg.row, own_sdp))

    def _receive_handed(self, plain: PlainPackets) -> None:
        """Read what came while legs went from one process to another."""
        while self._handed:
            leg = self._handed.pop()
            source = leg.latch.known
            if source is not None and leg in self._both(leg.row):
                self._drain(leg, source, [], plain)

    def _drain(self, leg: _Leg, source: Source, queued: list[bytes], plain: PlainPackets) -> None:
        """Read what waits in a socket, of this source only.

        Of its sound only the newest counts; keys pressed meanwhile count all the same.

        Args:
            leg: the leg.
            source: where it comes from.
            queued: what was read of it already.
            plain: what comes behind these is none.
        """
        for _ in range(self._packet_rows):
            try:
                packet, other = leg.rtp.recvfrom(PACKET_ROW)
            except OSError:
                break
            if other == source:
                queued.append(packet)
            else:
                self._leg_counters.add_one("strangers", leg.row)
        sound = [at for at, packet in enumerate(queued) if not _is_event(packet, leg.events)]
        late = frozenset(sound[:-BACKLOG_KEPT])
        kept = [packet for at, packet in enumerate(queued) if at not in late]
        packets = self._packets
        room = min(READS_PER_TICK, self._packet_rows - packets.taken)
        for packet in kept[-room:]:
            packets.views[packets.taken][: len(packet)] = packet
            packets.lengths[packets.taken] = len(packet)
            packets.rows[packets.taken] = leg.row
            packets.arrived[packets.taken] = -1
            packets.taken += 1
            self._last_heard[leg.row] = self._tick
            plain.leave(leg.row)
        for _ in range(len(queued) - min(len(kept), room)):
            self._leg_counters.add_one("late", leg.row)

    def _connect_anew(self, leg: _Leg, source: Source) -> None:
        """Connect a leg whose media moved, and that must not be without a connection."""
        try:
            leg.rtp.connect(source)
            leg.rtcp.connect(leg.rtcp_named or (source[0], source[1] + 1))
        except OSError as error:
            self._count_error(error, "read_errors")
            return
        leg.latch.known = source

    def _release(self, leg: _Leg) -> None:
        """Disconnect a leg: its packets are judged again."""
        if not leg.connected:
            return
        try:
            disconnect(leg.rtp)
        except OSError:
            self._counters.read_errors += 1
            return
        self._ignore(leg)
        leg.connected = False
        self._listen(leg)
        self._sends(leg.row)

    def watch(self, tick: int) -> None:
        """Disconnect legs that have been quiet for two seconds; count what buffers dropped."""
        if not self._by_descriptor:
            return
        dropped, failed = _calls.drops(
            tick % DROPS_SHARE, DROPS_SHARE, self._sent_by, self._dropped
        )
        self._counters.rxq_overflow += dropped
        self._counters.read_errors += failed
        quiet = _calls.quiet(tick - QUIET_TICKS, self._may_release, self._last_heard, self._found)
        for row in self._found[:quiet].tolist():
            self._release(self._leg(row))

    def take_latched(self) -> list[Latched]:
        """Return what was latched since the last call."""
        latched, self._latched = self._latched, []
        return latched

    @property
    def reachable(self) -> npt.NDArray[np.bool_]:
        """Legs whose address is known: bool, `(capacity,)`."""
        return self._reachable

    @property
    def changed(self) -> bool:
        """Who is reachable, or how, has changed since the last plan."""
        return self._changed

    # --- sending ------------------------------------------------------------------------------

    def plan(self, seating: Seating, outgoing: Outgoing) -> None:
        """Pair sockets with packets, until the next plan."""
        halves = outgoing.second_halves.data.cast("B")
        whole = outgoing.packets.data.cast("B")
        rows = seating.order.tolist()
        halved = set(outgoing.halved.tolist())
        planned: list[tuple[int, int, int]] = []
        self._sends_to = []
        for position in outgoing.sending.tolist():
            leg = self._legs[rows[position]]
            if leg is None:
                continue  # another transport's
            start = position * PACKET
            size = HALF_PACKET if position in halved else PACKET
            if leg.connected:
                planned.append((leg.rtp.fileno(), start, size))
            else:
                self._sends_to.append((leg, whole[start : start + size]))
        # Sockets that were opened one after the other lie so in the kernel: to go through them like
        # that costs a twentieth of a tick less than room by room.
        planned.sort()
        self._octets = outgoing.packets.reshape(-1)
        self._planned = np.ascontiguousarray(np.array(planned, np.intp).reshape(-1, 3).T)
        self._second_sends = [
            (leg, halves[k * HALF_PACKET : (k + 1) * HALF_PACKET])
            for k, position in enumerate(outgoing.halved.tolist())
            if (leg := self._legs[rows[position]]) is not None
        ]
        self._changed = False

    def send(self) -> None:
        """Send the planned packets."""
        descriptors, starts, sizes = self._planned
        if len(descriptors):
            failed = _calls.send(descriptors, self._octets, starts, sizes, self._errors)
            self._count_errors(failed, "send_errors")
        self._send_unconnected(self._sends_to)

    def send_second_halves(self) -> None:
        """Send the second packets of legs that get two a tick."""
        self._send_unconnected(self._second_sends)

    def _send_unconnected(self, queue: list[tuple[_Leg, memoryview]]) -> None:
        for leg, view in queue:
            try:
                if leg.connected:
                    leg.rtp.send(view)
                elif leg.latch.target is not None:
                    leg.rtp.sendto(view, leg.latch.target)
            except OSError as error:
                self._count_error(error, "send_errors")

    # --- RTCP ---------------------------------------------------------------------------------

    def receive_rtcp(self) -> list[RtcpPacket]:
        """Return RTCP packets of the hosts that the legs' media comes from."""
        packets: list[RtcpPacket] = []
        if not self._by_descriptor:
            return packets
        buffer = self._rtcp_buffer
        for descriptor, _ in self._rtcp.poll(0, RTCP_PER_TICK):
            leg = self._by_descriptor[descriptor]
            try:
                length, source = leg.rtcp.recvfrom_into(buffer)
            except BlockingIOError:
                continue
            except OSError as error:
                self._count_error(error, "read_errors")
                continue
            target = leg.latch.target
            hosts = {address[0] for address in (target, leg.rtcp_named) if address}
            if source[0] not in hosts:
                self._counters.rtcp_strangers += 1
                continue
            leg.rtcp_seen = source
            packets.append(RtcpPacket(leg.row, bytes(buffer[:length]), arrived_at(leg.rtcp)))
        return packets

    def send_rtcp(self, row: int, packet: bytes) -> None:
        """Send a leg an RTCP packet: where its own came from, else where SDP says."""
        leg = self._leg(row)
        target = leg.rtcp_seen or leg.rtcp_named
        if target is None:
            return
        try:
            leg.rtcp.sendto(packet, target)
        except OSError as error:
            self._count_error(error, "rtcp_send_errors")


def _payload_types(media: LegMedia) -> frozenset[int]:
    numbers = (media.payload_type, media.dtmf_payload_type, media.cn_payload_type)
    return frozenset(number for number in numbers if number is not None)


def _is_event(packet: bytes, events: int | None) -> bool:
    """Tell a telephone event (RFC 4733) by its payload type."""
    return len(packet) > 1 and packet[1] & 0x7F == events
