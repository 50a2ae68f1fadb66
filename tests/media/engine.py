"""An engine without sockets or a clock of its own: packets go in, a tick is made, packets come out.

Everything but the transport is the real thing, commands included: they come over a real control
channel. A test decides what arrives before which tick, so what is heard is exact to the sample.
"""

import errno
import math
import os
import socket
import struct
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from bridge.media.codecs import FRAME
from bridge.media.control import ControlChannel
from bridge.media.counters import Counters
from bridge.media.latching import Source
from bridge.media.messages import Command, Configure, Event, LegMedia, OpenLeg, Place
from bridge.media.outgoing import HALF_PACKET, Outgoing
from bridge.media.plain import PlainPackets, take
from bridge.media.rtp import PACKET_ROW, Arrivals
from bridge.media.seating import Seating
from bridge.media.speech import Bank
from bridge.media.state import State
from bridge.media.tick import Tick
from bridge.media.transport import Latched, RtcpPacket
from tests.support import g711

__all__ = [
    "EVENT",
    "NOISE",
    "PCM",
    "PLAIN",
    "Engine",
    "Rtp",
    "Sender",
    "arrivals",
    "coded",
    "find",
    "loud",
    "read",
    "still",
]

PCM = npt.NDArray[np.int16]
EVENT: Final = 101
NOISE: Final = 13
PLAIN: Final = Configure(
    gate=False, agc=False, limiter=False, over_loud=False, leak=False, echo=False
)
"""What is said is heard as it is, to the sample."""

_HEADER: Final = struct.Struct("!BBHII")
_NUMBERS: Final = {"PCMU": g711.PCMU, "PCMA": g711.PCMA, "G722": 9}
E = TypeVar("E")


@dataclass(frozen=True)
class Rtp:
    """An RTP packet, packed and read without the bridge's help."""

    sequence: int
    timestamp: int
    payload: bytes
    payload_type: int = 0
    ssrc: int = 0x1234_5678
    marker: bool = False
    first: int = 0x80

    def pack(self) -> bytes:
        """Return the datagram."""
        second = self.payload_type | (0x80 if self.marker else 0)
        return (
            _HEADER.pack(
                self.first,
                second,
                self.sequence & 0xFFFF,
                self.timestamp & 0xFFFF_FFFF,
                self.ssrc & 0xFFFF_FFFF,
            )
            + self.payload
        )


def read(datagram: bytes) -> Rtp:
    """Read a datagram that the bridge sent: a plain header of twelve octets."""
    first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(datagram)
    assert first == 0x80
    return Rtp(sequence, timestamp, datagram[12:], second & 0x7F, ssrc, bool(second & 0x80))


def still(octets: int = FRAME, payload_type: int = 0) -> bytes:
    """Return silence."""
    return bytes([0xFF if payload_type == 0 else 0xD5]) * octets


def loud(seed: int, frames: int = 1, peak: int = 32_000) -> PCM:
    """Return noise that G.711 µ-law carries exactly: decoded codes, `(frames, 160)`."""
    sound = np.random.default_rng(seed).integers(-peak, peak, (frames, 160))
    coded = g711.encode(sound.reshape(-1).astype(np.int16), g711.PCMU)
    return g711.decode(coded, g711.PCMU).reshape(frames, 160)


def find(sound: PCM, part: PCM) -> int:
    """Return where a part begins in a sound, -1 where it is not."""
    if len(part) > len(sound):
        return -1
    windows = np.lib.stride_tricks.sliding_window_view(sound, len(part))
    places = np.flatnonzero((windows == part).all(axis=1))
    return int(places[0]) if len(places) else -1


def coded(samples: PCM, payload_type: int = 0) -> PCM:
    """Return what is left of samples after one more encoding."""
    return g711.decode(g711.encode(samples, payload_type), payload_type)


def arrivals(packets: list[tuple[int, bytes]]) -> Arrivals:
    """Lay packets of rows out as a transport does; what is beyond a packet is old rubbish."""
    octets = np.full((len(packets) + 1, PACKET_ROW), 0xA5, np.uint8)
    for index, (_, data) in enumerate(packets):
        cut = data[:PACKET_ROW]
        octets[index, : len(cut)] = np.frombuffer(cut, np.uint8)
    return Arrivals(
        octets=octets,
        lengths=np.array([min(len(data), PACKET_ROW) for _, data in packets], np.int64),
        rows=np.array([row for row, _ in packets], np.intp),
        arrived=np.full(len(packets), -1.0),
    )


def plain_of_nobody(rows: int) -> PlainPackets:
    """Return who takes no packet: of legs whose streams have not begun nothing is plain."""
    plain = State(lambda _: None, Counters(), _Wires(rows), rows).plain
    plain.begin(0.0)
    return plain


def expect(plain: PlainPackets, row: int, packet: Rtp) -> None:
    """Let a packet be the next one of a leg, and plain, to be played at once."""
    columns = plain.columns
    columns.audio[row], columns.event[row], columns.comfort[row] = packet.payload_type, -1, -1
    columns.wanted[row] = columns.anchored[row] = True
    columns.ssrc[row], columns.highest[row] = packet.ssrc, (packet.sequence - 1) & 0xFFFF
    columns.anchor_timestamp[row] = packet.timestamp
    columns.anchor_position[row] = columns.play_row[row] * FRAME


@dataclass
class Sender:
    """A leg's far end: counts its sequence numbers and time stamps on."""

    payload_type: int = 0
    ssrc: int = 0x1234_5678
    sequence: int = 65_530
    timestamp: int = 0xFFFF_F000

    def audio(self, payload: bytes) -> Rtp:
        """Return the next packet of audio."""
        packet = Rtp(self.sequence, self.timestamp, payload, self.payload_type, self.ssrc)
        self.sequence = (self.sequence + 1) & 0xFFFF
        self.timestamp = (self.timestamp + len(payload)) & 0xFFFF_FFFF
        return packet

    def say(self, samples: PCM) -> Rtp:
        """Return the next packet with these samples."""
        return self.audio(g711.encode(samples, self.payload_type))

    def key(self, code: int, duration: int, *, ended: bool = False, marker: bool = False) -> Rtp:
        """Return the next packet of a telephone event; its time stamp stands still."""
        payload = struct.pack("!BBH", code, (0x80 if ended else 0) | 10, duration)
        packet = Rtp(self.sequence, self.timestamp, payload, EVENT, self.ssrc, marker)
        self.sequence = (self.sequence + 1) & 0xFFFF
        return packet


class _Wires:
    """A transport of lists."""

    def __init__(self, capacity: int) -> None:
        self.reachable: npt.NDArray[np.bool_] = np.zeros(capacity, np.bool_)
        self.changed = True
        self.waiting: list[tuple[int, bytes]] = []
        self.rtcp_waiting: list[tuple[int, bytes]] = []
        self.rtcp_arrived = math.nan
        self.latched: list[Latched] = []
        self.sources: dict[int, Source | None] = {}
        self.places: dict[int, list[int | None]] = {}
        self.sent: dict[int, list[bytes]] = defaultdict(list)
        self.rtcp_sent: dict[int, list[bytes]] = defaultdict(list)
        self._plan: tuple[Seating, Outgoing] | None = None
        # What a transport does with plain packets; when packets came; how many were left in a tick.
        self.takes_plain = True
        self.timed: Callable[[int, npt.NDArray[np.float64]], None] = lambda *_: None
        self.left: list[int] = []

    def grow(self, capacity: int) -> None:
        self.reachable = np.resize(self.reachable, capacity)

    def open(self, row: int, media: LegMedia, fds: list[int], known: Source | None = None) -> None:
        for fd in fds:
            os.close(fd)
        self.sources[row] = known
        self.reachable[row] = media.remote_rtp is not None
        self.changed = True

    def add_port(self, index: int, fds: list[int]) -> None:  # noqa: ARG002 - all are one
        for fd in fds:
            os.close(fd)

    def open_shared(self, row: int, media: LegMedia, port: int) -> None:  # noqa: ARG002 - all are one
        self.open(row, media, [])

    def change(self, row: int, media: LegMedia) -> None:  # noqa: ARG002 - nothing moves
        self.changed = True

    def add_place(self, row: int, media: LegMedia, fds: list[int], port: int | None) -> None:
        assert media.payload_type >= 0
        for fd in fds:
            os.close(fd)
        if self.has_second(row):
            raise OSError(errno.EEXIST, os.strerror(errno.EEXIST))
        self.places[row] = [None, port]

    def has_second(self, row: int) -> bool:
        return len(self.places.get(row, [])) > 1

    def take_place(self, row: int) -> None:
        self.places[row].reverse()

    def drop_place(self, row: int) -> None:
        self.places[row].pop()

    def known(self, row: int) -> Source | None:
        return self.sources.get(row)

    def close(self, row: int) -> None:
        self.reachable[row] = False
        self.sent.pop(row, None)

    def receive(self, tick: int, plain: PlainPackets) -> Arrivals | None:
        packets, self.waiting = self.waiting, []
        came = arrivals(packets)
        left = count = len(packets)
        self.timed(tick, came.arrived)
        if self.takes_plain:
            left = take(
                plain.columns,
                plain.moment,
                came.octets,
                came.lengths,
                came.rows,
                came.arrived,
                0,
                count,
            )
        self.left.append(left)
        columns = (came.lengths[:left], came.rows[:left], came.arrived[:left])
        return Arrivals(came.octets, *columns) if left else None

    def send(self) -> None:
        assert self._plan is not None
        seating, outgoing = self._plan
        halved = set(outgoing.halved.tolist())
        for position in outgoing.sending.tolist():
            packet = outgoing.packets[position].tobytes()
            size = HALF_PACKET if position in halved else len(packet)
            self.sent[int(seating.order[position])].append(packet[:size])

    def send_second_halves(self) -> None:
        assert self._plan is not None
        seating, outgoing = self._plan
        for k, position in enumerate(outgoing.halved.tolist()):
            packet = outgoing.second_halves[k].tobytes()
            self.sent[int(seating.order[position])].append(packet)

    def plan(self, seating: Seating, outgoing: Outgoing) -> None:
        self._plan = seating, outgoing
        self.changed = False

    def receive_rtcp(self) -> list[RtcpPacket]:
        packets, self.rtcp_waiting = self.rtcp_waiting, []
        return [RtcpPacket(row, data, self.rtcp_arrived) for row, data in packets]

    def send_rtcp(self, row: int, packet: bytes) -> None:
        self.rtcp_sent[row].append(packet)

    def watch(self, tick: int) -> None:
        pass

    def take_latched(self) -> list[Latched]:
        latched, self.latched = self.latched, []
        return latched


class Engine:
    """A media engine on wires of lists.

    Args:
        capacity: rows to begin with.
        bank: int16 samples to play from.
        options: what the engine does to the sound; nothing unless told.
        sockets: use the bridge's own transports and real sockets instead of lists.
    """

    def __init__(
        self,
        capacity: int = 4,
        bank: PCM | None = None,
        options: Configure = PLAIN,
        *,
        sockets: bool = False,
    ) -> None:
        self.events: list[Event] = []
        self.counters = Counters()
        self.wires = _Wires(capacity)
        transport = None if sockets else self.wires
        self.state = State(self.events.append, self.counters, transport, capacity)
        self.state.options = options
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel = ControlChannel(theirs, self.counters)
        self.tick = Tick(self.state, self._channel)
        if bank is not None:
            tail = np.zeros(FRAME, np.int16)
            self.state.use_bank(Bank(np.concatenate((bank, tail)), len(bank)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        assert self.counters.stage_faults == 0, self.events

    def close(self) -> None:
        """Close the control channel."""
        self._ours.close()
        self._channel.close()

    @property
    def control(self) -> socket.socket:
        """Control's end of the channel."""
        return self._ours

    @property
    def channel(self) -> ControlChannel:
        """The engine's end of it."""
        return self._channel

    def command(self, command: Command, fds: int = 0) -> None:
        """Say something to the engine, which hears it at the next tick."""
        null = [os.open(os.devnull, os.O_RDONLY) for _ in range(fds)]
        socket.send_fds(self._ours, [msgspec.msgpack.encode(command)], null)
        for fd in null:
            os.close(fd)

    def open(
        self,
        leg: int,
        *,
        room: int | None = None,
        codec: str = "PCMU",
        speaks: bool = True,
        hears: bool = True,
        **media: object,
    ) -> Sender:
        """Open a leg, whose address is known; put it into a room if one is named."""
        what = {
            "codec": codec,
            "payload_type": _NUMBERS[codec],
            "dtmf_payload_type": EVENT,
            "remote_rtp": ("192.0.2.1", 4000),
            **media,
        }
        described = msgspec.convert(what, LegMedia)
        command = OpenLeg(leg=leg, media=described, ssrc=leg, cname="c", sequence=7, timestamp=800)
        self.command(command, fds=2)
        if room is not None:
            self.command(Place(leg=leg, room=room, speaks=speaks, hears=hears))
        return Sender(_NUMBERS[codec], ssrc=0x0100_0000 + leg)

    def row(self, leg: int) -> int:
        """Return a leg's row."""
        return self.state.legs.row_of[leg]

    def feed(self, leg: int, *packets: Rtp | bytes) -> None:
        """Let packets of a leg arrive before the next tick."""
        for packet in packets:
            data = packet if isinstance(packet, bytes) else packet.pack()
            self.wires.waiting.append((self.row(leg), data))

    def run(self, ticks: int = 1, before: Callable[[int], None] | None = None) -> None:
        """Make ticks; `before` is called with the number of each."""
        for number in range(ticks):
            if before is not None:
                before(number)
            self.tick.run()
            if self.tick.has_second_halves:
                self.tick.send_second_halves()

    def sent(self, leg: int) -> list[Rtp]:
        """Return what was sent to a leg since the last call."""
        return [read(data) for data in self.wires.sent.pop(self.row(leg), [])]

    def heard(self, leg: int) -> PCM:
        """Return, decoded, what was sent to a leg since the last call."""
        packets = self.sent(leg)
        payload = b"".join(packet.payload for packet in packets)
        return g711.decode(payload, packets[0].payload_type if packets else 0)

    def told(self, kind: type[E]) -> list[E]:
        """Return the events of a kind since the start."""
        return [event for event in self.events if isinstance(event, kind)]
