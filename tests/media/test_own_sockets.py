"""One socket a leg, over loopback: latching, floods, strangers, rebinding, what buffers drop."""

import os
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bridge.media import own_sockets
from bridge.media._packet_rows import PacketRows
from bridge.media._sockets import IP_MTU_DISCOVER, IP_PMTUDISC_PROBE
from bridge.media.codecs import SILENCE_CODES
from bridge.media.counters import Counters, LegCounters
from bridge.media.legs import Legs
from bridge.media.messages import LegMedia
from bridge.media.outgoing import PACKET, Outgoing
from bridge.media.own_sockets import QUIET_TICKS, READS_PER_TICK, TIMED_SHARE, OwnSockets
from bridge.media.ports import MediaPair, open_beside, open_pair, open_shared
from bridge.media.rtp import HEADER, PACKET_ROW, Arrivals
from bridge.media.seating import seat
from tests.media.engine import Rtp, expect, plain_of_nobody, still

HOST = "127.0.0.1"
EVENTS = 101
"""Payload type of telephone events (RFC 4733)."""


class Phone:
    """A far end's sockets."""

    def __init__(self) -> None:
        self.rtp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.rtp.bind((HOST, 0))
        self.rtp.settimeout(5)
        self.sequence = 100

    @property
    def address(self) -> tuple[str, int]:
        """Its address and port."""
        return (HOST, int(self.rtp.getsockname()[1]))

    def send(self, port: int, count: int = 1, size: int = 160, kind: int = 0) -> None:
        """Send packets of a payload type that follow each other."""
        for _ in range(count):
            packet = Rtp(
                self.sequence, 160 * self.sequence, still(size), kind, ssrc=self.address[1]
            )
            self.rtp.sendto(packet.pack(), (HOST, port))
            self.sequence += 1


class Line:
    """A transport with some legs."""

    def __init__(self) -> None:
        self.counters = Counters()
        self.leg_counters = LegCounters(4)
        self.packets = PacketRows(OwnSockets.rows_for(4))
        self.sockets = OwnSockets(4, self.counters, self.leg_counters, self.packets)
        self.legs = Legs(4)
        self.plain = plain_of_nobody(4)
        self.pairs: dict[int, MediaPair] = {}
        self.phones: list[Phone] = []
        self.tick = 0

    def phone(self) -> Phone:
        """Return a new far end."""
        self.phones.append(Phone())
        return self.phones[-1]

    def open(self, row: int, named: tuple[str, int] | None) -> int:
        """Open a leg and return its RTP port."""
        pair = open_pair(HOST, 30_000, 39_999)
        media = LegMedia(codec="PCMU", payload_type=0, remote_rtp=named, dtmf_payload_type=EVENTS)
        assert self.legs.take(row + 1, media) == row
        self.sockets.open(row, media, [os.dup(pair.rtp.fileno()), os.dup(pair.rtcp.fileno())])
        self.pairs[row] = pair
        return pair.port

    def arrivals(self) -> Arrivals:
        """Return what came in a tick."""
        self.tick += 1
        self.packets.clear()
        self.sockets.receive(self.tick, self.plain)
        return self.packets.arrivals()

    def receive(self) -> list[tuple[int, int]]:
        """Return row and sequence number of what came in a tick."""
        arrived = self.arrivals()
        self.sockets.watch(self.tick)
        octets = arrived.octets[: len(arrived.rows)]
        numbers = octets[:, 2].astype(int) << 8 | octets[:, 3]
        return list(zip(arrived.rows.tolist(), numbers.tolist(), strict=True))

    def until(self, holds: Callable[[], object]) -> None:
        """Make ticks until something holds; loopback is quick, machines are not always."""
        deadline = time.monotonic() + 10
        while not holds():
            assert time.monotonic() < deadline
            time.sleep(0.001)

    def latched(self) -> list[tuple[int, bool]]:
        """Return who was latched, and whether to the address of SDP."""
        return [(each.row, each.own_sdp) for each in self.sockets.take_latched()]


@pytest.fixture
def line() -> Iterator[Line]:
    """A line, closed afterwards."""
    line = Line()
    yield line
    for row, pair in line.pairs.items():
        line.sockets.close(row)
        pair.close()
    for phone in line.phones:
        phone.rtp.close()
    for epoll in (line.sockets._connected, line.sockets._judged, line.sockets._rtcp):
        epoll.close()


def test_the_first_packet_of_sdps_address_is_taken(line: Line) -> None:
    """It latches and is not lost; what follows comes too."""
    phone = line.phone()
    port = line.open(0, phone.address)
    phone.send(port)
    assert line.receive() == [(0, 100)]
    phone.send(port, 3)
    assert line.receive() == [(0, 101), (0, 102), (0, 103)]
    assert line.latched() == [(0, True)]


def test_many_first_packets_at_once_are_taken_some_a_tick(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as may be, and none is lost."""
    monkeypatch.setattr(own_sockets, "JUDGED_PER_TICK", 2)
    phones = [line.phone() for _ in range(4)]
    for row, phone in enumerate(phones):
        phone.send(line.open(row, phone.address))
    first, second = line.receive(), line.receive()
    assert (len(first), len(second)) == (2, 2)
    assert sorted(first + second) == [(row, 100) for row in range(4)]
    assert sorted(row for row, _ in line.latched()) == [0, 1, 2, 3]


def test_who_is_sprayed_keeps_no_other_leg_from_its_turn(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of four hear strangers in every tick, and two are judged in each."""
    monkeypatch.setattr(own_sockets, "JUDGED_PER_TICK", 2)
    phones, stranger = [line.phone() for _ in range(4)], line.phone()
    ports = [line.open(row, phone.address) for row, phone in enumerate(phones)]
    taken: list[tuple[int, int]] = []
    for tick in range(3):
        for port in ports[:2]:
            stranger.send(port)
        if not tick:
            for port, phone in zip(ports[2:], phones[2:], strict=True):
                phone.send(port)
        taken += line.receive()
    assert sorted(taken) == [(2, 100), (3, 100)]
    for port, phone in zip(ports[:2], phones, strict=False):
        phone.send(port)
    assert sorted(line.receive()) == [(0, 100), (1, 100)]


def test_what_comes_behind_drained_packets_does_not_overtake_them(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A packet that would be plain waits for those before it, which go the general way."""
    phone = line.phone()
    port = line.open(0, phone.address)
    following = Rtp(102, 160 * 102, still(), ssrc=phone.address[1])
    drain = line.sockets._drain

    def drain_and_go_on(*arguments: Any) -> None:  # noqa: ANN401 - as it has them
        drain(*arguments)
        expect(line.plain, 0, following)
        phone.rtp.sendto(following.pack(), (HOST, port))

    monkeypatch.setattr(line.sockets, "_drain", drain_and_go_on)
    phone.send(port, 2)
    assert line.receive() == [(0, 100), (0, 101), (0, 102)]
    line.plain.begin(0.0)
    expect(line.plain, 0, following)
    phone.rtp.sendto(following.pack(), (HOST, port))
    assert line.receive() == []  # in the next tick it is


def test_of_sound_queued_before_the_leg_was_opened_the_newest_counts(line: Line) -> None:
    """Half a second waits in the socket; what is old is late, and the sound of now is not."""
    phone = line.phone()
    port = line.open(0, phone.address)
    phone.send(port, 25)
    assert line.receive() == [(0, 123), (0, 124)]
    assert line.leg_counters.of(0)["late"] == 23
    phone.send(port)
    assert line.receive() == [(0, 125)]
    assert line.leg_counters.of(0)["late"] == 23


def test_a_key_pressed_before_the_leg_was_opened_is_not_lost(line: Line) -> None:
    """Its event's packets lie between old sound: they come in their order, the old sound not."""
    phone = line.phone()
    port = line.open(0, phone.address)
    phone.send(port, 5)
    phone.send(port, 3, size=4, kind=EVENTS)
    phone.send(port, 15)
    assert line.receive() == [(0, 105), (0, 106), (0, 107), (0, 121), (0, 122)]
    assert line.leg_counters.of(0)["late"] == 18


def test_a_flood_of_keys_before_the_leg_was_opened_is_bounded(line: Line) -> None:
    """A leg gets its reads of a tick and no more, whatever waits in its socket."""
    phone = line.phone()
    port = line.open(0, phone.address)
    phone.send(port, 60, size=4, kind=EVENTS)
    assert [number for _, number in line.receive()] == list(range(160 - READS_PER_TICK, 160))
    assert line.leg_counters.of(0)["late"] == 60 - READS_PER_TICK


def test_a_stranger_first_does_not_keep_the_true_source_out(line: Line) -> None:
    """Packets of a stranger lie before and between the true ones: only the true ones are taken."""
    phone, stranger = line.phone(), line.phone()
    port = line.open(0, phone.address)
    stranger.send(port, 2)
    phone.send(port, 1)
    stranger.send(port, 5)
    phone.send(port, 1)
    assert line.receive() == [(0, 100), (0, 101)]
    assert line.latched() == [(0, True)]
    assert line.leg_counters.of(0)["strangers"] == 7
    stranger.send(port, 50)
    phone.send(port, 1)
    assert line.receive() == [(0, 102)]


def test_a_single_stranger_never_latches(line: Line) -> None:
    """One packet, or the same number over and over, leaves the leg to its own."""
    phone, stranger = line.phone(), line.phone()
    port = line.open(0, phone.address)
    for _ in range(10):
        stranger.sequence = 5
        stranger.send(port)
        assert line.receive() == []
    assert line.latched() == []
    assert line.leg_counters.of(0)["strangers"] == 10


def test_a_phone_behind_nat_latches_after_its_proof(line: Line) -> None:
    """SDP names a private address; the source that talks consistently is latched and told so."""
    phone = line.phone()
    port = line.open(0, (HOST, 9))
    phone.send(port, 5)
    assert line.receive() == [(0, 103), (0, 104)]
    assert line.latched() == [(0, False)]


def test_a_rebound_nat_latches_again_after_two_seconds(line: Line) -> None:
    """Before the two seconds the new source is not heard; after them it must prove itself."""
    phone, rebound = line.phone(), line.phone()
    port = line.open(0, phone.address)
    phone.send(port)
    assert len(line.receive()) == 1
    line.latched()
    rebound.send(port, 10)
    for _ in range(QUIET_TICKS - 2):
        assert line.receive() == []
    line.receive()
    line.receive()
    line.receive()
    rebound.send(port, 5)
    assert line.receive() == [(0, 113), (0, 114)]
    assert line.latched() == [(0, False)]


def test_a_quiet_source_is_believed_when_it_comes_again(line: Line) -> None:
    """After a pause of three seconds its very first packet is taken."""
    phone = line.phone()
    port = line.open(0, phone.address)
    phone.send(port)
    line.receive()
    for _ in range(150):
        line.receive()
    phone.send(port)
    assert line.receive() == [(0, 101)]


def test_a_flood_takes_a_bounded_share_of_a_tick(line: Line) -> None:
    """A leg that sends ten thousand a second gets its reads, another leg all of its own."""
    flood, phone = line.phone(), line.phone()
    flooded, port = line.open(0, flood.address), line.open(1, phone.address)
    flood.send(flooded)
    phone.send(port)
    line.receive()
    flood.send(flooded, 200)
    phone.send(port, 3)
    got = line.receive()
    assert sum(row == 0 for row, _ in got) == READS_PER_TICK
    assert [number for row, number in got if row == 1] == [101, 102, 103]
    assert line.counters.reads_bounded == 1


def test_what_a_receive_buffer_drops_is_counted(line: Line) -> None:
    """More than the buffer holds before a tick: the kernel's own count is the bridge's loss."""
    phone = line.phone()
    port = line.open(0, phone.address)
    phone.send(port)
    line.receive()
    phone.send(port, 2000)
    got = 0
    for _ in range(200):
        got += len(line.receive())
    assert line.counters.rxq_overflow == 2000 - got > 0


def test_a_datagram_longer_than_a_row_is_marked_as_cut(line: Line) -> None:
    """Its length says so, for the parser to drop it."""
    phone = line.phone()
    port = line.open(0, phone.address)
    phone.send(port, size=1200)
    arrived = line.arrivals()
    assert arrived.lengths.tolist() == [PACKET_ROW]


def test_packets_go_where_each_leg_is(line: Line) -> None:
    """To a latched leg by its connection, to another where SDP says, to none without an address."""
    near, far = line.phone(), line.phone()
    port = line.open(0, near.address)
    line.open(1, far.address)
    line.open(2, None)
    near.send(port)
    line.receive()
    outgoing = Outgoing(4)
    for row in range(3):
        outgoing.open(row, 50 + row, 7, 800)
    seating = seat(line.legs, SILENCE_CODES)
    outgoing.plan(seating, line.legs, line.sockets.reachable)
    line.sockets.plan(seating, outgoing)
    outgoing.packets[:, HEADER:] = 0x55
    outgoing.fill(seating)
    line.sockets.send()
    for ssrc, phone in ((50, near), (51, far)):
        packet = phone.rtp.recv(2048)
        assert len(packet) == PACKET
        assert packet[8:12] == ssrc.to_bytes(4, "big")
        assert set(packet[12:]) == {0x55}
    assert line.counters.send_errors == 0
    assert not line.sockets.reachable[2]


def test_a_closed_far_end_is_its_own_fault(line: Line) -> None:
    """ICMP port unreachable is counted as the peer's refusal, never as lost by the bridge."""
    phone, other = line.phone(), line.phone()
    port = line.open(0, phone.address)
    second = line.open(1, other.address)
    phone.send(port)
    other.send(second)
    line.receive()
    phone.rtp.close()
    outgoing = Outgoing(4)
    for row in range(2):
        outgoing.open(row, 50 + row, 7, 800)
    seating = seat(line.legs, SILENCE_CODES)
    outgoing.plan(seating, line.legs, line.sockets.reachable)
    line.sockets.plan(seating, outgoing)
    for _ in range(5):
        outgoing.packets[:, HEADER:] = 0xFF
        outgoing.fill(seating)
        line.sockets.send()
        line.receive()
    assert line.counters.peer_refused > 0
    assert line.counters.lost_by_bridge == 0
    got = [other.rtp.recv(2048)[3] for _ in range(5)]
    assert got == [7, 8, 9, 10, 11]


def test_no_icmp_message_narrows_the_way_of_a_legs_packets(line: Line) -> None:
    """Its sockets are told to fragment nothing and to believe none; also those handed over."""
    phone = line.phone()
    line.open(0, phone.address)
    pair = open_pair(HOST, 30_000, 39_999)
    pair.rtp.connect(phone.address)
    media = LegMedia(codec="PCMU", payload_type=0, remote_rtp=phone.address)
    line.sockets.open(1, media, [os.dup(pair.rtp.fileno()), os.dup(pair.rtcp.fileno())])
    line.pairs[1] = pair
    for ours in line.pairs.values():
        for sock in (ours.rtp, ours.rtcp):
            assert sock.getsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER) == IP_PMTUDISC_PROBE


def test_a_leg_heard_by_two_sockets_is_timed_at_both(line: Line) -> None:
    """The kernel is asked of the socket that a packet came by, right behind it."""
    near, far = line.phone(), line.phone()
    port = line.open(0, near.address)
    second = open_pair(HOST, 30_000, 39_999)
    fds = [os.dup(second.rtp.fileno()), os.dup(second.rtcp.fileno())]
    media = LegMedia(codec="PCMU", payload_type=0, remote_rtp=far.address)
    line.sockets.open_aside(0, media, fds)
    for phone, at in ((near, port), (far, second.port)):
        phone.send(at)
        assert len(line.receive()) == 1
    for phone, at in ((near, port), (far, second.port)):
        while line.tick % TIMED_SHARE != TIMED_SHARE - 1:
            line.receive()
        phone.send(at)
        arrived = line.arrivals()
        assert arrived.rows.tolist() == [0]
        assert abs(arrived.arrived[0] - time.time()) < 60
    line.sockets.close_aside(0)
    second.close()


def test_descriptors_that_are_no_udp_sockets_are_refused_and_closed(line: Line) -> None:
    """A pipe or a TCP socket in their place raises, and nothing stays open."""
    read, write = os.pipe()
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    media = LegMedia(codec="PCMU", payload_type=0)
    stream = os.dup(listener.fileno())
    for pair in ([read, write], [listener.detach(), stream]):
        with pytest.raises(OSError, match=r".+"):
            line.sockets.open(0, media, pair)
    for descriptor in (read, write, stream):
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


def test_rtcp_is_taken_from_the_legs_host_and_answered_there(line: Line) -> None:
    """Reports come with their leg, and ours go to where theirs came from."""
    phone = line.phone()
    port = line.open(0, phone.address)
    phone.send(port)
    line.receive()
    control = line.phone()
    began = time.time()
    control.rtp.sendto(b"report", (HOST, port + 1))
    (came,) = line.sockets.receive_rtcp()
    assert (came.row, came.data) == (0, b"report")
    assert began <= came.arrived <= time.time()  # by the kernel, before we looked
    line.sockets.send_rtcp(0, b"ours")
    assert control.rtp.recvfrom(100) == (b"ours", (HOST, port + 1))


def test_arrival_is_timed_by_the_kernel(line: Line) -> None:
    """One tick in so many gives the time of arrival, by the wall clock."""
    phone = line.phone()
    port = line.open(0, phone.address)
    phone.send(port)
    line.receive()
    times = []
    for _ in range(2 * TIMED_SHARE):
        phone.send(port)
        times += line.arrivals().arrived.tolist()
    known = [each for each in times if each >= 0]
    assert len(known) == 2
    assert abs(known[0] - time.time()) < 60


def test_who_was_expected_and_sends_nothing_leaves_no_hole(line: Line) -> None:
    """Legs that were heard are read first; those that paused take no packet from the others."""
    phones = [line.phone() for _ in range(4)]
    ports = [line.open(row, phone.address) for row, phone in enumerate(phones)]
    for pausing in (set(), {0}, {1, 3}, {0, 1, 2, 3}, {2}, set()):
        sent = []
        for row, phone in enumerate(phones):
            if row not in pausing:
                sent.append((row, phone.sequence))
                phone.send(ports[row])
        assert sorted(line.receive()) == sent


def test_a_socket_beside_a_shared_port_is_never_without_a_connection(line: Line) -> None:
    """Else it would take what is others': not after two quiet seconds, nor while media moves."""
    phone, moved, other = line.phone(), line.phone(), line.phone()
    (shared,) = open_shared(HOST, 28_000, 29_999, 1)
    pair = open_beside(shared, phone.address, (HOST, 9))
    media = LegMedia(codec="PCMU", payload_type=0, remote_rtp=phone.address)
    line.legs.take(1, media)
    line.sockets.open(0, media, [os.dup(fd) for fd in pair.descriptors])
    line.pairs[0] = pair
    for _ in range(QUIET_TICKS + 50):
        assert line.receive() == []
    other.send(shared.port)
    phone.send(shared.port)
    assert line.receive() == [(0, 100)]
    assert len(shared.rtp.recv(2048)) == 172
    line.sockets.change(0, LegMedia(codec="PCMU", payload_type=0, remote_rtp=moved.address))
    phone.send(shared.port)
    moved.send(shared.port)
    assert line.receive() == [(0, 100)]
    assert line.sockets.known(0) == moved.address
    assert len(shared.rtp.recv(2048)) == 172
    shared.close()


def test_a_socket_error_keeps_no_other_leg_from_being_read(line: Line) -> None:
    """ICMP says that a far end is gone; in the same turn of the loop the others' packets come."""
    phones = [line.phone() for _ in range(3)]
    ports = [line.open(row, phone.address) for row, phone in enumerate(phones)]
    for phone, port in zip(phones, ports, strict=True):
        phone.send(port)
    assert len(line.receive()) == 3
    phones[1].rtp.close()
    line.pairs[1].rtp.send(b"to a port that is closed")
    for _ in range(3):
        for row in (0, 2):
            phones[row].send(ports[row])
        got = line.receive()
        assert sorted(row for row, _ in got) == [0, 2]
        assert [number for _, number in got] == [phones[0].sequence - 1] * 2
    assert line.counters.peer_refused == 1
