"""RTCP: what we say is what RFC 3550 section 6 lays out, what others say is read or refused."""

import struct
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.media.counters import LegCounters
from bridge.media.outgoing import Outgoing
from bridge.media.rtcp import (
    INTERVAL_SECONDS,
    Block,
    MalformedRtcp,
    Report,
    Reports,
    ntp_time,
    read_compound,
)
from bridge.media.sequence import Sequences

WALL = 1_764_000_000.25


@dataclass
class Leg:
    """The tables of one leg."""

    reports: Reports = field(default_factory=lambda: Reports(1))
    outgoing: Outgoing = field(default_factory=lambda: Outgoing(1))
    sequences: Sequences = field(default_factory=lambda: Sequences(1))

    def __post_init__(self) -> None:
        """Open the leg."""
        self.reports.open(0, "leg@bridge", 100.0)
        self.outgoing.open(0, 77, 1, 5000)

    def receive(self, *numbers: int) -> None:
        """Let packets come."""
        for number in numbers:
            row, counters = np.array([0]), LegCounters(1)
            self.sequences.admit(row, np.array([number & 0xFFFF]), np.array([99]), counters)

    def say(self, now: float = 105.0, *, goodbye: bool = False) -> bytes:
        """Return a compound packet."""
        return self.reports.compound(0, self.outgoing, self.sequences, now, WALL, goodbye=goodbye)


def packets_of(data: bytes) -> list[tuple[int, int, bytes]]:
    """Part a compound packet into type, count and body."""
    packets = []
    while data:
        first, kind, words = struct.unpack_from("!BBH", data)
        assert first >> 6 == 2
        packets.append((kind, first & 31, data[4 : 4 * words + 4]))
        data = data[4 * words + 4 :]
    return packets


def test_before_anything_is_sent_or_heard_it_is_an_empty_rr() -> None:
    """RR without a block, and the CNAME, ended by a zero and padded to a word."""
    report, description = packets_of(Leg().say())
    assert report == (201, 0, struct.pack("!I", 77))
    kind, count, body = description
    assert (kind, count) == (202, 1)
    assert body == struct.pack("!IBB", 77, 1, 10) + b"leg@bridge" + bytes(4)


def test_a_senders_report_says_what_was_sent_and_when() -> None:
    """NTP time, RTP time stamp, packets and octets, and a block about the leg."""
    leg = Leg()
    leg.outgoing.packets_sent[0], leg.outgoing.octets_sent[0] = 250, 40_000
    leg.receive(10, 11, 13)
    (kind, count, body), _, goodbye = packets_of(leg.say(goodbye=True))
    assert (kind, count) == (200, 1)
    seconds = 1_764_000_000 + 2_208_988_800
    assert struct.unpack("!IIIIII", body[:24]) == (77, seconds, 2**30, 5000, 250, 40_000)
    ssrc, lost, highest, _, last_sr, delay = struct.unpack("!IIIIII", body[24:])
    assert (ssrc, highest, last_sr, delay) == (99, 13, 0, 0)
    assert (lost >> 24, lost & 0xFFFFFF) == (64, 1)  # one of four: 64/256
    assert goodbye == (203, 1, struct.pack("!I", 77))


def test_the_fraction_lost_is_of_the_last_interval() -> None:
    """RFC 3550 A.3: losses before the last report count in the total alone."""
    leg = Leg()
    leg.receive(1, 2, 4)
    leg.say()
    leg.receive(5, 6, 7, 8)
    block = read_compound(leg.say()).blocks[0]
    assert (block.fraction_lost, block.lost) == (0, 1)


def test_the_echo_of_their_report_gives_them_the_round_trip() -> None:
    """LSR is the middle of their NTP time, DLSR how long ago, in 1/65536 s."""
    leg = Leg()
    leg.receive(1)
    leg.reports.take(0, Report(99, 0xABCD1234, (), goodbye=False), 77, 103.0, WALL)
    block = read_compound(leg.say(105.5)).blocks[0]
    assert (block.last_sr, block.delay) == (0xABCD1234, round(2.5 * 65536))


def test_the_round_trip_is_measured() -> None:
    """Our report came back after 0.25 s of which they held it 0.1 s: 150 ms."""
    leg = Leg()
    seconds, fraction = ntp_time(WALL - 0.25)
    middle = (seconds & 0xFFFF) << 16 | fraction >> 16
    block = Block(77, 0, 12, 160, middle, round(0.1 * 65536))
    other = Block(5, 0, 99, 99, middle, 0)
    leg.reports.take(0, Report(99, None, (other, block), goodbye=False), 77, 105.0, WALL)
    assert leg.reports.rtt[0] == pytest.approx(150, abs=0.1)
    assert leg.reports.remote_lost[0] == 12
    assert leg.reports.remote_jitter[0] == 20


def test_reports_are_spread_around_five_seconds() -> None:
    """Intervals of half to one and a half times five seconds, the first one sooner."""
    reports = Reports(200)
    for row in range(200):
        reports.open(row, "c", 0.0)
    first = reports.due.copy()
    assert 1.25 <= first.min() < first.max() <= 3.75
    assert sorted(reports.take_due(100.0)) == list(range(200))
    intervals = reports.due - 100.0
    assert INTERVAL_SECONDS / 2 <= intervals.min() < intervals.max() <= 1.5 * INTERVAL_SECONDS
    assert intervals.std() > 0.5
    assert reports.take_due(100.0) == []


def test_what_we_say_is_read_back() -> None:
    """A compound packet of ours parses, with its goodbye."""
    leg = Leg()
    leg.outgoing.packets_sent[0] = 1
    leg.receive(1, 2)
    report = read_compound(leg.say(goodbye=True))
    assert (report.ssrc, report.goodbye, len(report.blocks)) == (77, True, 1)
    assert report.ntp is not None


@given(st.binary(max_size=200), st.sampled_from([b"", b"\x80\xc9", b"\x81\xc8\x00\x0c"]))
def test_any_octets_are_read_or_refused(data: bytes, head: bytes) -> None:
    """Nothing but the documented error, whatever comes."""
    try:
        report = read_compound(head + data)
    except MalformedRtcp:
        return
    assert (head + data)[1] in {200, 201}
    assert len(report.blocks) * 24 <= len(head + data)


@given(st.data())
def test_a_cut_packet_is_refused(data: st.DataObject) -> None:
    """A compound packet that ends inside one of its packets is no report."""
    leg = Leg()
    leg.outgoing.packets_sent[0] = 1
    leg.receive(1, 2)
    whole = leg.say(goodbye=True)
    ends = [0]
    for _, _, body in packets_of(whole):
        ends.append(ends[-1] + 4 + len(body))
    cut = data.draw(st.integers(0, len(whole) - 1).filter(lambda at: at == 0 or at not in ends))
    with pytest.raises(MalformedRtcp):
        read_compound(whole[:cut])
