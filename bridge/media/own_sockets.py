"""The default transport: one UDP socket per leg, connected as soon as its source is known.

A connected leg costs one read and one write a tick, into and out of rows allocated beforehand, in
two loops that are compiled (`_calls`). The kernel drops what comes from elsewhere. A leg not yet
connected, or quiet for `QUIET_TICKS` and disconnected again, is read with
`recvfrom_into`, and `latching` judges every packet::

            first packet of the SDP's address, or of a source that proved itself
    judged ────────────────────────────────────────────────────────────────────► connected
       ▲              (connect, then drain what was queued before, by source)        │
       └─────────────────────────── nothing for two seconds ────────────────────────┘

In every tick one leg in `TIMED_SHARE` is asked when the kernel took its last packet in
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
from bridge.media._libc import Ready, disconnect
from bridge.media._packet_rows import PacketRows
from bridge.media._sockets import (
    PEER_ERRORS,
    SIOCGSTAMPNS,
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
from bridge.media.rtp import PACKET_ROW, Arrivals
from bridge.media.seating import Seating
from bridge.media.transport import Latched, RtcpPacket

__all__ = ["QUIET_TICKS", "READS_PER_TICK", "OwnSockets"]

READS_PER_TICK: Final = 16
"""Packets taken from one leg in a tick: 800 a second, eight times what 10 ms need. A flood beyond
it fills only its own leg's receive buffer."""

QUIET_TICKS: Final = 100
"""Two seconds without a packet before a leg may be latched anew."""

TIMED_SHARE: Final = 20
"""One leg in so many is timed in a tick: each leg two or three times a second."""

BACKLOG_KEPT: Final = 2
"""Packets of sound that count of those queued when a leg is connected: 40 ms. Where it is opened
late, or by another process after a crash, half a second may lie there: sound anchored at its
beginning would come that much late, and then leap."""

RTCP_PER_TICK: Final = 64
"""RTCP packets taken in a tick, of all legs: several times what a thousand legs send."""

_RTCP_ROW: Final = 1500
DROPS_SHARE: Final = 50
"""One leg in so many is asked in a tick what its buffer dropped: each leg once a second."""


_NOBODY: Final = np.empty(0, np.intp)


class _Leg:
    """The sockets of one leg, and how its source stands."""

    __slots__ = (
        "connected",
        "dropped",
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
        self.dropped = 0


class OwnSockets:
    """A socket pair per leg.

    Args:
        capacity: rows to begin with.
        counters: of the process.
        leg_counters: of each leg.
        packets: rows for what comes in, as many as `rows_for` says at least; own ones if not given.
    """

    def __init__(
        self,
        capacity: int,
        counters: Counters,
        leg_counters: LegCounters,
        packets: PacketRows | None = None,
    ) -> None:
        self._counters = counters
        self._leg_counters = leg_counters
        self._legs: list[_Leg | None] = [None] * capacity
        # Second places of legs, heard and not sent from (`Transports.add_place`).
        self._aside: dict[int, _Leg] = {}
        self._by_descriptor: dict[int, _Leg] = {}
        # By descriptor.
        self._row_of = np.zeros(0, np.intp)
        self._connected = select.epoll()
        self._judged = select.epoll()
        self._rtcp = select.epoll()
        self._last_heard = np.zeros(capacity, np.int64)
        self._last_packet = np.zeros(capacity, np.intp)
        self._may_release = np.zeros(capacity, np.bool_)
        self._reachable = np.zeros(capacity, np.bool_)
        # The descriptor of each leg that is connected, else -1.
        self._connected_by = np.full(capacity, -1, np.intp)
        self._changed = True
        self._tick = 0
        self._handed: list[_Leg] = []
        self._latched: list[Latched] = []
        self._sends_to: list[tuple[_Leg, memoryview]] = []
        self._second_sends: list[tuple[_Leg, memoryview]] = []
        # Of the running tick.
        self._taken = 0
        self._rtcp_buffer = bytearray(_RTCP_ROW)
        self._capacity = capacity
        self._packet_rows = self.rows_for(capacity)
        self._packets = packets or PacketRows(self._packet_rows)
        self._lengths = np.zeros(self._packet_rows, np.int64)
        self._descriptors = np.zeros(self._packet_rows, np.intp)
        self._errors = np.zeros(self._packet_rows, np.int64)
        self._ready = Ready(capacity)
        # What is sent: where it lies; descriptor, beginning and octets of each packet.
        self._octets = np.zeros(0, np.uint8)
        self._planned = np.zeros((3, 0), np.intp)

    @staticmethod
    def rows_for(capacity: int) -> int:
        """Return how many rows for packets so many legs need: two each, and a flooding leg's."""
        return 2 * capacity + 64 * READS_PER_TICK

    # --- legs ---------------------------------------------------------------------------------

    def grow(self, capacity: int) -> None:
        """Make place for so many rows."""
        self._packet_rows = self.rows_for(capacity)
        if len(self._packets) < self._packet_rows:
            self._packets.allocate(self._packet_rows)
        self._lengths = np.zeros(self._packet_rows, np.int64)
        self._descriptors = np.zeros(self._packet_rows, np.intp)
        self._errors = np.zeros(self._packet_rows, np.int64)
        self._ready = Ready(capacity)
        self._legs.extend([None] * (capacity - self._capacity))
        for name in ("_last_heard", "_last_packet", "_may_release", "_reachable", "_connected_by"):
            old = getattr(self, name)
            new = np.full(capacity, -1 if name == "_connected_by" else 0, old.dtype)
            new[: len(old)] = old
            setattr(self, name, new)
        self._capacity = capacity
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
            if peer or known:
                leg.dropped = dropped_by(rtp) or 0  # the process before has counted them
            leg.connected = peer is not None
            if peer is not None:
                self._handed.append(leg)
            leg.latch.known = peer or known
            descriptor = rtp.fileno()
            if len(self._row_of) <= descriptor:
                self._row_of = np.resize(self._row_of, 2 * descriptor + 64)
            (self._connected if leg.connected else self._judged).register(
                descriptor, select.EPOLLIN
            )
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

    def _sends(self, row: int) -> None:
        """Take note of what a leg is sent from."""
        leg = self._legs[row]
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
        (self._connected if leg.connected else self._judged).unregister(descriptor)
        self._rtcp.unregister(leg.rtcp.fileno())
        leg.rtp.close()
        leg.rtcp.close()

    def _leg(self, row: int) -> _Leg:
        leg = self._legs[row]
        if leg is None:
            raise LookupError(f"row {row} has no sockets")
        return leg

    def _count_drops(self, leg: _Leg) -> None:
        dropped = dropped_by(leg.rtp)
        if dropped is None:
            self._counters.read_errors += 1
        else:
            self._counters.rxq_overflow += (dropped - leg.dropped) & 0xFFFF_FFFF
            leg.dropped = dropped

    # --- receiving ----------------------------------------------------------------------------

    def receive(self, tick: int) -> Arrivals:
        """Return the packets that came, bounded per leg and tick."""
        self._tick = tick
        self._taken = 0
        self._receive_judged()
        self._receive_handed()
        for turn in range(READS_PER_TICK):
            room = min(self._packet_rows - self._taken, self._capacity)
            ready = self._expected(room) if turn == 0 else _NOBODY
            if not len(ready):
                ready = self._ready.of(self._connected.fileno(), room)
            if not len(ready):
                break
            self._read_all(ready)
            self._counters.reads_bounded += turn == READS_PER_TICK - 1
        return self._arrivals(tick)

    def _expected(self, most: int) -> npt.NDArray[np.intp]:
        """Return whose packets are to be expected, intp, descriptors: those of the tick before.

        To ask the kernel who has something takes half as long as to read that, and in vain a fifth.
        """
        heard = (self._last_heard == self._tick - 1) & (self._connected_by >= 0)
        expected: npt.NDArray[np.intp] = self._connected_by[heard][: max(0, most)]
        return expected

    def _read_all(self, ready: npt.NDArray[np.intp]) -> None:
        """Read one packet of each of some sockets: intp, their descriptors."""
        taken, failed = _calls.receive(
            ready,
            self._packets.octets,
            self._taken,
            self._lengths,
            self._descriptors,
            self._errors,
        )
        self._taken += taken
        self._count_errors(failed, "read_errors")

    def _count_errors(self, failed: int, ours: str) -> None:
        for number in self._errors[:failed].tolist():
            self._count_error(number, ours)

    def _count_error(self, error: OSError | int, ours: str) -> None:
        """Count a socket's error as the peer's if ICMP brought it, else under the given name."""
        number = error if isinstance(error, int) else error.errno
        name = "peer_refused" if number in PEER_ERRORS else ours
        setattr(self._counters, name, getattr(self._counters, name) + 1)

    def _arrivals(self, tick: int) -> Arrivals:
        rows = self._row_of[self._descriptors[: self._taken]]
        self._last_heard[rows] = tick
        self._last_packet[rows] = np.arange(len(rows))
        timed, times = self._times(tick)
        return Arrivals(
            octets=self._packets.octets,
            lengths=self._lengths[: self._taken].copy(),
            rows=rows,
            timed=timed,
            times=times,
        )

    def _times(self, tick: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
        """Return the last packets of some connected legs, and when they arrived [s]."""
        turn = slice(tick % TIMED_SHARE, None, TIMED_SHARE)
        heard = (self._last_heard[turn] == tick) & (self._connected_by[turn] >= 0)
        rows = heard.nonzero()[0] * TIMED_SHARE + turn.start
        if self._aside:  # the last packet may be of the other socket
            rows = rows[~np.isin(rows, list(self._aside))]
        times = np.empty(len(rows), np.float64)
        _calls.stamps(self._connected_by[rows], SIOCGSTAMPNS, times)
        known = times >= 0  # else no packet of it was stamped yet
        return self._last_packet[rows[known]], times[known]

    def _receive_judged(self) -> None:
        """Read legs that are not connected, and connect those whose source is found."""
        for descriptor, _ in self._judged.poll(0, max(1, self._capacity)):
            leg = self._by_descriptor[descriptor]
            for _ in range(READS_PER_TICK):
                if self._taken >= self._packet_rows:
                    return
                view = self._packets.views[self._taken]
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
                    self._drain(leg, source, [first])
                    break
                name = "malformed" if verdict is Verdict.MALFORMED else "strangers"
                self._leg_counters.add_one(name, leg.row)

    def _latch(self, leg: _Leg, source: Source, *, own_sdp: bool) -> None:
        try:
            leg.rtp.connect(source)
        except OSError as error:
            self._count_error(error, "read_errors")
            return
        descriptor = leg.rtp.fileno()
        self._judged.unregister(descriptor)
        self._connected.register(descriptor, select.EPOLLIN)
        leg.connected = True
        self._sends(leg.row)
        self._latched.append(Latched(leg.row, own_sdp))

    def _receive_handed(self) -> None:
        """Read what came while legs went from one process to another."""
        while self._handed:
            leg = self._handed.pop()
            source = leg.latch.known
            if source is not None and leg in self._both(leg.row):
                self._drain(leg, source, [])

    def _drain(self, leg: _Leg, source: Source, queued: list[bytes]) -> None:
        """Read what waits in a socket, of this source only.

        Of its sound only the newest counts; keys pressed meanwhile count all the same.

        Args:
            leg: the leg.
            source: where it comes from.
            queued: what was read of it already.
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
        room = min(READS_PER_TICK, self._packet_rows - self._taken)
        for packet in kept[-room:]:
            length = len(packet)
            self._packets.views[self._taken][:length] = packet
            self._lengths[self._taken] = length
            self._descriptors[self._taken] = leg.rtp.fileno()
            self._taken += 1
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
        descriptor = leg.rtp.fileno()
        self._connected.unregister(descriptor)
        self._judged.register(descriptor, select.EPOLLIN)
        leg.connected = False
        self._sends(leg.row)

    def watch(self, tick: int) -> None:
        """Disconnect legs that have been quiet for two seconds; count what buffers dropped."""
        for leg in self._legs[tick % DROPS_SHARE :: DROPS_SHARE]:
            if leg:
                self._count_drops(leg)
        quiet = self._may_release & (tick - self._last_heard > QUIET_TICKS)
        for row in quiet.nonzero()[0].tolist():
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
