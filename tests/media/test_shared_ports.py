"""Many legs on a few ports, over loopback: who is whose, strangers, moves, floods, what is lost."""

import errno
import os
import socket
import time
from collections.abc import Iterator
from typing import Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.media._calls import GROUP
from bridge.media._port_calls import Messages
from bridge.media._sockets import IP_MTU_DISCOVER, IP_PMTUDISC_PROBE, SO_TIMESTAMPNS
from bridge.media.codecs import FRAME, SILENCE_CODES
from bridge.media.counters import Counters, LegCounters
from bridge.media.legs import Legs
from bridge.media.messages import LegMedia
from bridge.media.outgoing import HALF_PACKET, PACKET, Outgoing
from bridge.media.own_sockets import TIMED_SHARE
from bridge.media.ports import MediaPair, open_pair
from bridge.media.rtp import HEADER, PACKET_ROW, Arrivals
from bridge.media.seating import seat
from bridge.media.shared_ports import MOST_PORTS, PACKETS_A_LEG, PACKETS_MORE
from bridge.media.transports import Transports
from tests.media.engine import Rtp, arrivals, expect, plain_of_nobody

HOST: Final = "127.0.0.1"
ROWS: Final = 8


class Phone:
    """A far end's sockets: RTP on some port, RTCP on another."""

    def __init__(self, at: tuple[str, int] = (HOST, 0)) -> None:
        self.rtp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        # A port asked for may be another's as well. Where any will do, the kernel would sometimes
        # give two far ends the same.
        self.rtp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, at[1] != 0)
        self.rtp.bind(at)
        self.rtp.settimeout(5)
        self.rtcp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.rtcp.bind((HOST, 0))
        self.rtcp.settimeout(5)
        self.sequence = 100

    @property
    def address(self) -> tuple[str, int]:
        """Its address and port for RTP."""
        return (HOST, int(self.rtp.getsockname()[1]))

    @property
    def rtcp_address(self) -> tuple[str, int]:
        """Its address and port for RTCP."""
        return (HOST, int(self.rtcp.getsockname()[1]))

    def next(self, code: int, size: int = 160) -> Rtp:
        """Return the packet that is sent next, all of one code."""
        payload = bytes([code]) * size
        return Rtp(self.sequence, 160 * self.sequence, payload, ssrc=self.address[1])

    def send(self, port: int, count: int = 1, size: int = 160, code: int = 0xFF) -> None:
        """Send packets that follow each other."""
        for _ in range(count):
            packet = self.next(code, size)
            self.rtp.sendto(packet.pack(), (HOST, port))
            self.sequence += 1

    def close(self) -> None:
        """Close both."""
        self.rtp.close()
        self.rtcp.close()


class Line:
    """Transports with some shared ports and legs."""

    def __init__(self, ports: int = 2, rows: int = ROWS) -> None:
        self.counters = Counters()
        self.leg_counters = LegCounters(rows)
        self.transports = Transports(rows, self.counters, self.leg_counters)
        self.plain = plain_of_nobody(rows)
        self.legs = Legs(rows)
        self.outgoing = Outgoing(rows)
        self.pairs = [open_pair(HOST, 30_000, 39_999) for _ in range(ports)]
        for index, pair in enumerate(self.pairs):
            self.transports.add_port(index, [os.dup(pair.rtp.fileno()), os.dup(pair.rtcp.fileno())])
        self.own: list[MediaPair] = []
        self.phones: list[Phone] = []
        self.tick = 0

    @property
    def ports(self) -> list[int]:
        """Numbers of the shared ports."""
        return [pair.port for pair in self.pairs]

    def phone(self) -> Phone:
        """Return a new far end."""
        self.phones.append(Phone())
        return self.phones[-1]

    @staticmethod
    def media(phone: Phone | None, *, ptime: int = 20) -> LegMedia:
        """Return what was negotiated with a far end."""
        return LegMedia(
            codec="PCMU",
            payload_type=0,
            tx_ptime_ms=ptime,
            remote_rtp=phone.address if phone else None,
            remote_rtcp=phone.rtcp_address if phone else None,
        )

    def open(self, row: int, phone: Phone | None, port: int = 0, *, ptime: int = 20) -> None:
        """Open a leg on a shared port."""
        media = self.media(phone, ptime=ptime)
        assert self.legs.take(row + 1, media) == row
        self.transports.open_shared(row, media, port)
        self.outgoing.open(row, 50 + row, 7, 800)

    def open_own(self, row: int, phone: Phone) -> int:
        """Open a leg with its own sockets; return their port."""
        pair = open_pair(HOST, 30_000, 39_999)
        self.own.append(pair)
        media = self.media(phone)
        assert self.legs.take(row + 1, media) == row
        fds = [os.dup(pair.rtp.fileno()), os.dup(pair.rtcp.fileno())]
        self.transports.open(row, media, fds)
        self.outgoing.open(row, 50 + row, 7, 800)
        return pair.port

    def arrivals(self) -> Arrivals:
        """Return what came in this tick."""
        arrived = self.transports.receive(self.tick, self.plain)
        return arrivals([]) if arrived is None else arrived

    def receive(self) -> list[tuple[int, int]]:
        """Return row and sequence number of what came in a tick, as the octets have them."""
        self.tick += 1
        arrived = self.arrivals()
        self.transports.watch(self.tick)
        octets = arrived.octets[: len(arrived.rows)]
        numbers = octets[:, 2].astype(int) << 8 | octets[:, 3]
        return list(zip(arrived.rows.tolist(), numbers.tolist(), strict=True))

    def send(self, code: int = 0x55) -> None:
        """Send every leg a packet."""
        seating = seat(self.legs, SILENCE_CODES)
        self.outgoing.plan(seating, self.legs, self.transports.reachable)
        self.transports.plan(seating, self.outgoing)
        self.outgoing.packets[:, HEADER:] = code
        self.outgoing.fill(seating)
        self.transports.send()
        self.transports.send_second_halves()

    def close(self) -> None:
        """Close everything."""
        for leg, row in list(self.legs.row_of.items()):
            self.transports.close(row)
            del self.legs.row_of[leg]
        for pair in self.pairs + self.own:
            pair.close()
        for phone in self.phones:
            phone.close()
        own, shared = self.transports._own, self.transports._shared
        for epoll in (own._connected, own._judged, own._rtcp):
            epoll.close()
        for port in shared._ports:
            assert port is not None
            port.rtp.close()
            port.rtcp.close()


@pytest.fixture
def line() -> Iterator[Line]:
    """A line, closed afterwards."""
    line = Line()
    yield line
    line.close()


# --- who is whose ---------------------------------------------------------------------------------


def test_each_packet_finds_its_leg_by_where_it_came_from(line: Line) -> None:
    """Four far ends send to two ports, interleaved: each packet is its leg's, in order."""
    phones = [line.phone() for _ in range(4)]
    for row, phone in enumerate(phones):
        line.open(row, phone, row % 2)
    for _ in range(3):
        for row, phone in enumerate(phones):
            phone.send(line.ports[row % 2])
    got = line.receive()
    for row in range(4):
        assert [number for each, number in got if each == row] == [100, 101, 102]
    assert line.counters.shared_strangers == 0
    assert sorted(each.row for each in line.transports.take_latched()) == [0, 1, 2, 3]
    assert line.transports.take_latched() == []


def test_one_far_end_may_have_a_leg_on_each_port(line: Line) -> None:
    """A carrier that shares one port itself: its pair on another port of ours is another leg."""
    phone = line.phone()
    line.open(0, phone, 0)
    line.open(1, phone, 1)
    phone.send(line.ports[0])
    phone.send(line.ports[1])
    assert line.receive() == [(0, 100), (1, 101)]


def test_a_pair_taken_twice_stays_with_who_came_first(line: Line) -> None:
    """Control would not do so; should it, the second leg hears the room, and it is counted."""
    phone = line.phone()
    line.open(0, phone)
    line.open(1, phone)
    phone.send(line.ports[0])
    assert line.receive() == [(0, 100)]
    assert line.counters.shared_pairs_doubled == 1
    line.send()
    ssrcs = sorted(phone.rtp.recv(2048)[11] for _ in range(2))
    assert ssrcs == [50, 51]
    line.transports.close(0)
    phone.send(line.ports[0])
    assert line.receive() == [(1, 101)]
    assert line.counters.shared_pairs_doubled == 0
    line.transports.open_shared(0, line.media(None), 0)


def test_strangers_are_left_out_wherever_they_lie(line: Line) -> None:
    """Before, between and behind the legs' own packets; the right one's on the wrong port too."""
    phone, other, stranger = line.phone(), line.phone(), line.phone()
    line.open(0, phone, 0)
    line.open(1, other, 1)
    stranger.send(line.ports[0])
    phone.send(line.ports[0])
    stranger.send(line.ports[0], 2)
    phone.send(line.ports[0])
    phone.send(line.ports[1])
    other.send(line.ports[1])
    assert line.receive() == [(0, 100), (0, 101), (1, 100)]
    assert line.counters.shared_strangers == 4
    assert [each.row for each in line.transports.take_latched()] == [0, 1]


def test_both_transports_arrive_as_one(line: Line) -> None:
    """A leg with its own socket and one on a shared port, in one tick, timed as they came."""
    phone, own = line.phone(), line.phone()
    line.open(0, phone)
    port = line.open_own(1, own)
    for tick in range(16):
        phone.send(line.ports[0])
        own.send(port)
        assert line.receive() == [(1, 100 + tick), (0, 100 + tick)]
    phone.send(line.ports[0], 2)
    own.send(port, 2)
    line.tick += 1
    # The own leg's turn to be timed; the shared port's is every second.
    while line.tick % TIMED_SHARE != 1:
        line.tick += 1
    arrived = line.arrivals()
    assert arrived.rows.tolist() == [1, 1, 0, 0]
    times = arrived.arrived[arrived.arrived >= 0]
    assert len(times) >= 2
    assert (np.abs(times - time.time()) < 60).all()


def test_shared_packets_are_timed_in_turns(line: Line) -> None:
    """The kernel's time of arrival, by the wall clock, with strangers between the packets too."""
    phone, stranger = line.phone(), line.phone()
    line.open(0, phone, 1)
    timed = 0
    for _ in range(4):
        stranger.send(line.ports[1])
        began = time.time()
        phone.send(line.ports[1], 2)
        sent = time.time()
        time.sleep(0.03)
        line.tick += 1
        arrived = line.arrivals()
        assert arrived.rows.tolist() == [0, 0]
        first, second = arrived.arrived.tolist()
        if max(first, second) >= 0:
            timed += 1
            assert began - 0.002 <= first <= second <= sent + 0.002
        for pair in line.pairs:  # the kernel is not asked to tell when nobody listens
            assert not pair.rtp.getsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS)
    assert timed == 2


# --- legs come, go and move -----------------------------------------------------------------------


def test_a_pair_may_be_used_again_at_once(line: Line) -> None:
    """A new call from the address and port of one that just ended is another leg."""
    phone = line.phone()
    line.open(0, phone)
    phone.send(line.ports[0])
    assert line.receive() == [(0, 100)]
    line.transports.close(0)
    line.legs.release(0)
    phone.send(line.ports[0])
    assert line.receive() == []
    assert line.counters.shared_strangers == 1
    other = line.phone()
    line.open(0, other)
    line.open(1, phone)
    phone.send(line.ports[0])
    assert line.receive() == [(1, 102)]


def test_media_that_moves_is_followed_at_once(line: Line) -> None:
    """A re-INVITE names another source: the old one is a stranger, RTCP and sound go to the new."""
    phone, moved = line.phone(), line.phone()
    line.open(0, phone)
    phone.send(line.ports[0])
    line.receive()
    line.transports.change(0, line.media(moved))
    phone.send(line.ports[0])
    moved.send(line.ports[0])
    assert line.receive() == [(0, 100)]
    assert line.counters.shared_strangers == 1
    line.send()
    assert len(moved.rtp.recv(2048)) == PACKET
    line.transports.send_rtcp(0, b"report")
    assert moved.rtcp.recv(100) == b"report"


def test_a_hold_without_an_address_keeps_the_old_one(line: Line) -> None:
    """SDP may say 0.0.0.0 (RFC 2543's hold); music on hold still comes from where it came."""
    phone = line.phone()
    line.open(0, phone)
    line.transports.change(0, line.media(None))
    phone.send(line.ports[0])
    assert line.receive() == [(0, 100)]


def test_a_leg_changes_from_one_transport_to_the_other(line: Line) -> None:
    """From a shared port to an own socket and back; nothing of it stays behind."""
    phone = line.phone()
    line.open(0, phone)
    phone.send(line.ports[0])
    assert line.receive() == [(0, 100)]
    line.transports.close(0)
    pair = open_pair(HOST, 30_000, 39_999)
    line.own.append(pair)
    fds = [os.dup(pair.rtp.fileno()), os.dup(pair.rtcp.fileno())]
    line.transports.open(0, line.media(phone), fds)
    phone.send(pair.port)
    assert line.receive() == [(0, 101)]
    line.send()
    assert phone.rtp.recvfrom(2048)[1] == (HOST, pair.port)
    line.transports.close(0)
    line.transports.open_shared(0, line.media(phone), 1)
    phone.send(line.ports[1])
    assert line.receive() == [(0, 102)]
    line.send()
    assert phone.rtp.recvfrom(2048)[1] == (HOST, line.ports[1])


def test_tables_grow_under_open_legs(line: Line) -> None:
    """More rows than at the start: who is there stays there, and packets still come."""
    phone = line.phone()
    line.open(0, phone)
    line.transports.grow(4 * ROWS)
    phone.send(line.ports[0])
    assert line.receive() == [(0, 100)]
    assert line.transports.reachable.tolist() == [True] + [False] * (4 * ROWS - 1)


# --- sending --------------------------------------------------------------------------------------


def test_packets_go_from_the_legs_port_to_where_sdp_says(line: Line) -> None:
    """To each its own packet, from the port it is on; to nobody without an address."""
    phones = [line.phone() for _ in range(3)]
    for row, phone in enumerate(phones):
        line.open(row, phone, row % 2)
    line.open(3, None)
    line.send()
    for row, phone in enumerate(phones):
        packet, source = phone.rtp.recvfrom(2048)
        assert source == (HOST, line.ports[row % 2])
        assert len(packet) == PACKET
        assert packet[8:12] == (50 + row).to_bytes(4, "big")
        assert set(packet[12:]) == {0x55}
    assert line.counters.send_errors == 0
    assert line.transports.reachable.tolist() == [True] * 3 + [False] * 5


def test_ten_milliseconds_come_in_two_packets(line: Line) -> None:
    """Beside a leg of 20 ms, one that negotiated 10 gets two halves."""
    slow, quick = line.phone(), line.phone()
    line.open(0, slow)
    line.open(1, quick, ptime=10)
    line.send()
    assert len(slow.rtp.recv(2048)) == PACKET
    halves = [quick.rtp.recv(2048) for _ in range(2)]
    assert [len(half) for half in halves] == [HALF_PACKET] * 2
    assert [half[3] for half in halves] == [7, 8]


def test_a_far_end_that_is_gone_costs_nobody_else_a_packet(line: Line) -> None:
    """ICMP says that a port is closed; everybody else is heard and hears, and nothing is lost."""
    phones = [line.phone() for _ in range(3)]
    for row, phone in enumerate(phones):
        line.open(row, phone)
    phones[1].rtp.close()
    for tick in range(5):
        line.send()
        for phone in (phones[0], phones[2]):
            phone.send(line.ports[0])
        assert line.receive() == [(0, 100 + tick), (2, 100 + tick)]
    for phone in (phones[0], phones[2]):
        assert [phone.rtp.recv(2048)[3] for _ in range(5)] == [7, 8, 9, 10, 11]
    assert line.counters.lost_by_bridge == 0


def test_an_address_that_cannot_be_reached_is_stepped_over(line: Line) -> None:
    """A broadcast address is refused at the call: that packet fails, the ones behind it go."""
    first, last = line.phone(), line.phone()
    line.open(0, first)
    line.open(1, None)
    line.open(2, last)
    line.transports.change(
        1, LegMedia(codec="PCMU", payload_type=0, remote_rtp=("255.255.255.255", 4000))
    )
    line.send()
    assert first.rtp.recv(2048)[11] == 50
    assert last.rtp.recv(2048)[11] == 52
    assert line.counters.send_errors + line.counters.peer_refused == 1


def test_more_packets_than_one_call_moves_go_and_come() -> None:
    """Groups end anywhere: with strangers among what comes, and addresses that are refused."""
    count, refused = 2 * GROUP + 3, (GROUP // 2, GROUP - 1)
    line = Line(ports=1, rows=count)
    phones, stranger = [line.phone() for _ in range(count)], line.phone()
    for row, phone in enumerate(phones):
        line.open(row, None if row in refused else phone)
    for row in refused:
        nowhere = ("255.255.255.255", 4000 + row)
        line.transports.change(row, LegMedia(codec="PCMU", payload_type=0, remote_rtp=nowhere))
    for row, phone in enumerate(phones):
        if row % 50 == 0:
            stranger.send(line.ports[0], 2)
        phone.send(line.ports[0])
    others = [row for row in range(count) if row not in refused]
    assert line.receive() == [(row, 100) for row in others]
    assert line.counters.shared_strangers == 2 * 3 + len(refused)
    line.send()
    assert [phones[row].rtp.recv(2048)[11] for row in others] == [50 + row for row in others]
    assert line.counters.send_errors + line.counters.peer_refused == len(refused)
    line.close()


def test_plain_packets_leave_their_rows_to_others() -> None:
    """Of three groups every other leg's is taken; what is left stands in order, and whole."""
    count = 3 * GROUP - 5
    line = Line(ports=1, rows=count)
    phones = [line.phone() for _ in range(count)]
    for row, phone in enumerate(phones):
        line.open(row, phone)
        if row % 2:
            expect(line.plain, row, phone.next(row % 100))
    for row, phone in enumerate(phones):
        phone.send(line.ports[0], code=row % 100)
    assert line.receive() == [(row, 100) for row in range(0, count, 2)]
    left = line.transports._packets
    assert left.lengths[: left.taken].tolist() == [PACKET] * left.taken
    payloads = left.octets[: left.taken, HEADER:PACKET]
    assert (payloads == np.arange(0, count, 2)[:, None] % 100).all()
    columns = line.plain.columns
    taken = np.arange(1, count, 2)
    assert (columns.stored[taken, 0] == taken[:, None] % 100).all()
    assert (columns.filled[taken, 0] == FRAME).all()
    assert not columns.filled[::2].any()
    assert (columns.received[taken] == 1).all()
    line.close()


# --- floods and losses ----------------------------------------------------------------------------


def test_a_flood_on_one_port_leaves_the_other_its_reads(line: Line) -> None:
    """What a port may take in a tick is bounded, and counted where it was reached."""
    flood, phone = line.phone(), line.phone()
    line.open(0, flood, 0)
    line.open(1, phone, 1)
    flood.send(line.ports[0], 200)
    phone.send(line.ports[1], 3)
    got = line.receive()
    assert sum(row == 0 for row, _ in got) == PACKETS_A_LEG + PACKETS_MORE
    assert [number for row, number in got if row == 1] == [100, 101, 102]
    assert line.counters.reads_bounded == 1


def test_what_a_shared_buffer_drops_is_counted(line: Line) -> None:
    """A flood fills the buffer for all of a port: the kernel's count is the bridge's loss."""
    flood = line.phone()
    line.open(0, flood)
    flood.send(line.ports[0], 2000)
    got = 0
    for _ in range(100):
        got += len(line.receive())
    assert line.counters.rxq_overflow == 2000 - got > 0


def test_a_datagram_longer_than_a_row_is_marked_as_cut(line: Line) -> None:
    """Its length says so, for the parser to drop it."""
    phone = line.phone()
    line.open(0, phone)
    phone.send(line.ports[0], size=1200)
    line.tick += 1
    assert line.arrivals().lengths.tolist() == [PACKET_ROW]


# --- RTCP -----------------------------------------------------------------------------------------


def test_rtcp_is_told_apart_by_where_it_comes_from(line: Line) -> None:
    """Two legs' reports on one port's odd neighbour; another's are dropped; ours go back there."""
    phones = [line.phone(), line.phone()]
    for row, phone in enumerate(phones):
        line.open(row, phone)
    began = time.time()
    phones[1].rtcp.sendto(b"one", (HOST, line.ports[0] + 1))
    phones[0].rtcp.sendto(b"nought", (HOST, line.ports[0] + 1))
    line.phone().rtcp.sendto(b"stranger", (HOST, line.ports[0] + 1))
    came = line.transports.receive_rtcp()
    assert [(each.row, each.data) for each in came] == [(1, b"one"), (0, b"nought")]
    # Timed by the kernel, in the order they came, before we looked.
    assert began <= came[0].arrived <= came[1].arrived <= time.time()
    assert line.counters.rtcp_strangers == 1
    line.transports.send_rtcp(1, b"ours")
    assert phones[1].rtcp.recvfrom(100) == (b"ours", (HOST, line.ports[0] + 1))


def test_without_a_name_rtcp_has_the_port_above(line: Line) -> None:
    """RFC 3550 section 11: the next higher port of the same host."""
    pair = open_pair(HOST, 30_000, 39_999)
    line.own.append(pair)
    media = LegMedia(codec="PCMU", payload_type=0, remote_rtp=(HOST, pair.port))
    line.legs.take(1, media)
    line.transports.open_shared(0, media, 0)
    pair.rtcp.sendto(b"report", (HOST, line.ports[0] + 1))
    (came,) = line.transports.receive_rtcp()
    assert (came.row, came.data) == (0, b"report")


def test_no_icmp_message_narrows_the_way_of_a_ports_packets(line: Line) -> None:
    """Both its sockets are told to fragment nothing and to believe none."""
    for pair in line.pairs:
        for sock in (pair.rtp, pair.rtcp):
            assert sock.getsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER) == IP_PMTUDISC_PROBE


# --- odd commands ---------------------------------------------------------------------------------


def test_ports_that_cannot_be_used_are_refused_and_closed(line: Line) -> None:
    """One that is there already, one out of range, descriptors that are no sockets."""
    for index in (0, -1, MOST_PORTS):
        read, write = os.pipe()
        with pytest.raises(OSError, match=r".+"):
            line.transports.add_port(index, [read, write])
        for descriptor in (read, write):
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.fstat(descriptor)
    read, write = os.pipe()
    with pytest.raises(OSError, match=r".+") as refused:
        line.transports.add_port(5, [read, write])
    assert refused.value.errno == errno.ENOTSOCK


def test_a_leg_needs_a_port_that_is_there(line: Line) -> None:
    """Nothing is opened on a port that was never handed over."""
    with pytest.raises(OSError, match="no shared port 9"):
        line.transports.open_shared(0, line.media(line.phone()), 9)
    assert not line.transports.reachable.any()


# --- the structures -------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 65535)), max_size=4))
@settings(max_examples=50)
def test_addresses_are_written_as_the_kernel_reads_them(pairs: list[tuple[int, int]]) -> None:
    """Every address and port, as struct sockaddr_in has them."""
    messages = Messages(4)
    keys = np.array([ip << 16 | port for ip, port in pairs], np.int64)
    messages.address(0, keys)
    for index, (ip, port) in enumerate(pairs):
        raw = messages.names[index].tobytes()
        assert raw[:8] == socket.AF_INET.to_bytes(2, "little") + port.to_bytes(
            2, "big"
        ) + ip.to_bytes(4, "big")
