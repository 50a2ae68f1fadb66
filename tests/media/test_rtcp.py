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
    COMPENSATION,
    FIRST_INTERVAL_SECONDS,
    INTERVAL_SECONDS,
    MOST_DUE,
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

    reports: Reports = field(default_factory=lambda: Reports(1, seed=5))
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

    def hear(self, report: Report, now: float = 103.0) -> None:
        """Take a report of the far end in."""
        self.reports.take(0, report, self.outgoing, self.sequences, now, WALL)

    def send(self, packets: int) -> None:
        """Let packets go out."""
        self.outgoing.packets_sent[0] += packets
        self.outgoing.octets_sent[0] += 160 * packets

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
    leg.hear(Report(99, 0xABCD1234, ()))
    block = read_compound(leg.say(105.5)).blocks[0]
    assert (block.last_sr, block.delay) == (0xABCD1234, round(2.5 * 65536))


def test_the_round_trip_is_measured() -> None:
    """Our report came back after 0.25 s of which they held it 0.1 s: 150 ms."""
    leg = Leg()
    seconds, fraction = ntp_time(WALL - 0.25)
    middle = (seconds & 0xFFFF) << 16 | fraction >> 16
    block = Block(77, 0, 12, 160, middle, round(0.1 * 65536))
    other = Block(5, 0, 99, 99, middle, 0)
    leg.hear(Report(99, None, (other, block)))
    assert leg.reports.rtt[0] == pytest.approx([150, 150], abs=0.1)
    assert leg.reports.remote_lost[0] == 12
    assert leg.reports.remote_jitter[0] == 20
    assert leg.reports.remote_fraction[0] == 0
    seconds, fraction = ntp_time(WALL - 0.05)
    middle = (seconds & 0xFFFF) << 16 | fraction >> 16
    leg.hear(Report(99, None, (Block(77, 64, 13, 160, middle, 0),)))
    assert leg.reports.rtt[0] == pytest.approx([50, 150], abs=0.1)
    assert leg.reports.remote_fraction[0] == 0.25


def test_reports_are_spread_as_the_rfc_has_it() -> None:
    """Section 6.3: 5 s times 0.5 to 1.5, reconsidered when due, made up for by e - 3/2."""
    reports = Reports(400, seed=1)
    for row in range(400):
        reports.open(row, "c", 0.0)
    first = reports.due.copy()
    assert first.min() * COMPENSATION >= FIRST_INTERVAL_SECONDS / 2
    assert first.max() * COMPENSATION <= FIRST_INTERVAL_SECONDS * 1.5
    sent: dict[int, list[float]] = {row: [] for row in range(400)}
    for tick in range(60 * 50):
        now = 0.02 * tick
        due = reports.take_due(now)
        assert len(due) <= MOST_DUE
        reports.told[due] = 1  # as `compound` does
        for row in due:
            sent[row].append(now)
    intervals = np.concatenate([np.diff(times) for times in sent.values()])
    assert (intervals.min() + 0.02) * COMPENSATION >= INTERVAL_SECONDS / 2
    assert intervals.max() * COMPENSATION <= INTERVAL_SECONDS * 1.5 + 1
    assert intervals.mean() == pytest.approx(INTERVAL_SECONDS, rel=0.1)
    assert intervals.std() > 0.5


def test_reports_that_waited_all_at_once_are_sent_over_several_ticks() -> None:
    """After a pause (a leg handed on, a machine that stood still) no tick bears hundreds."""
    reports = Reports(100, seed=1)
    for row in range(100):
        reports.open(row, "c", 0.0)
    sizes = [len(reports.take_due(60.0)) for _ in range(8)]
    assert sizes[:6] == [MOST_DUE] * 6
    assert sum(sizes) == 100


def test_what_we_say_is_read_back() -> None:
    """A compound packet of ours parses, with its goodbye."""
    leg = Leg()
    leg.outgoing.packets_sent[0] = 1
    leg.receive(1, 2)
    report = read_compound(leg.say(goodbye=True))
    assert (report.ssrc, report.left, len(report.blocks)) == (77, (77,), 1)
    assert report.ntp is not None


def test_a_senders_report_is_for_who_sent_since_the_last_but_one() -> None:
    """Section 6.4: two reports after the last packet, it is a receiver's report."""
    leg = Leg()
    leg.send(10)
    kinds = [leg.say()[1] for _ in range(4)]
    leg.send(1)
    kinds.append(leg.say()[1])
    assert kinds == [200, 200, 201, 201, 200]


def test_packets_that_came_twice_or_late_are_received_packets() -> None:
    """Section 6.4.1: so the cumulative number may be negative, and A.3's fraction is none."""
    leg = Leg()
    leg.receive(1, 2, 2, 2, 3)
    block = read_compound(leg.say()).blocks[0]
    assert (block.fraction_lost, block.lost) == (0, -2)


def test_fraction_and_total_are_those_of_the_rfcs_code() -> None:
    """Appendix A.3, step by step over a stream with loss, doubles and a wrap of the number."""
    generator = np.random.default_rng(3)
    leg = Leg()
    got: list[int] = []
    prior_expected = prior_received = 0
    number = 65_000
    for _ in range(6):
        for _ in range(200):
            number += 1
            for _ in range(int(generator.choice([0, 1, 1, 1, 1, 1, 2]))):
                leg.receive(number)
                got.append(number)
        expected = max(got) - min(got) + 1
        lost = expected - len(got)
        expected_interval = expected - prior_expected
        received_interval = len(got) - prior_received
        prior_expected, prior_received = expected, len(got)
        lost_interval = expected_interval - received_interval
        fraction = 0 if lost_interval <= 0 else (lost_interval << 8) // expected_interval
        block = read_compound(leg.say()).blocks[0]
        assert (block.fraction_lost, block.lost) == (fraction, lost)


def test_counts_begin_anew_with_a_stream() -> None:
    """Another SSRC is another source: its fraction has nothing of the one before."""
    leg = Leg()
    leg.receive(*range(1, 11))
    leg.say()
    leg.hear(Report(99, 0x1234, ()))
    row, counters = np.array([0]), LegCounters(1)
    for number in (*range(500, 502), *range(510, 530)):
        begins = leg.sequences.admit(row, np.array([number]), np.array([98]), counters).begins
        if begins[0]:
            leg.reports.begin(row, leg.sequences.ssrc, leg.outgoing.ssrc)
    block = read_compound(leg.say()).blocks[0]
    assert (block.ssrc, block.lost, block.last_sr) == (98, 8, 0)
    assert block.fraction_lost == 8 * 256 // 29


def test_who_said_bye_is_not_reported_on_until_more_comes() -> None:
    """Section 6.3.4; a BYE for somebody else, or before packets that follow, says nothing."""
    leg = Leg()
    leg.receive(1, 2)
    leg.hear(Report(99, None, (), left=(5,)))
    assert len(read_compound(leg.say()).blocks) == 1
    leg.hear(Report(99, None, (), left=(5, 99)))
    assert read_compound(leg.say()).blocks == ()
    leg.receive(3)
    assert len(read_compound(leg.say()).blocks) == 1


def test_what_cannot_be_is_left_out() -> None:
    """Jitter of hours, and an echo of a report that we never sent."""
    leg = Leg()
    leg.hear(Report(99, None, (Block(77, 0, 0, 0xFFFF_FFFF, 0xFFFF_0000, 0xFFFF_FFFF),)))
    assert np.isnan(leg.reports.remote_jitter[0])
    assert np.isnan(leg.reports.rtt[0]).all()


def test_another_source_counts_from_nothing() -> None:
    """Section 6.4.1: the sender's counts begin anew with its SSRC."""
    leg = Leg()
    leg.send(100)
    leg.say()
    leg.reports.change_source(0, leg.outgoing, 78)
    assert leg.say()[1] == 201  # nothing was sent with it yet
    leg.send(3)
    (kind, _, body), _ = packets_of(leg.say())
    assert kind == 200
    assert struct.unpack("!I12xII", body[:24]) == (78, 3, 480)


def test_goodbye_is_not_for_who_was_never_there() -> None:
    """Section 6.3.7: no BYE from who sent neither RTP nor RTCP."""
    leg = Leg()
    assert not leg.reports.has_spoken(0, leg.outgoing)
    leg.say()
    assert leg.reports.has_spoken(0, leg.outgoing)
    other = Leg()
    other.send(1)
    assert other.reports.has_spoken(0, other.outgoing)


def test_a_farewell_names_the_source_that_is_gone() -> None:
    """RR, SDES and BYE of the former SSRC."""
    packets = packets_of(Leg().reports.farewell(0, 1234))
    assert [(kind, count) for kind, count, _ in packets] == [(201, 0), (202, 1), (203, 1)]
    assert {body[:4] for _, _, body in packets} == {struct.pack("!I", 1234)}


def test_padding_is_read_as_the_rfc_has_it() -> None:
    """Section 6.4.1 and A.2: on the last packet alone, whole words, and no more than there is."""
    leg = Leg()
    plain = leg.say()
    goodbye = struct.pack("!BBHI", 0x80 | 0x20 | 1, 203, 2, 99) + b"\0\0\0\4"
    assert read_compound(plain + goodbye).left == (99,)
    for wrong in (
        goodbye[:-1] + b"\0",
        goodbye[:-1] + b"\3",
        goodbye[:-1] + b"\x0c",
        goodbye[:-1] + b"\x08",  # of 8 octets the source is one half
        goodbye + plain,
    ):
        with pytest.raises(MalformedRtcp):
            read_compound(plain + wrong)
    first = bytes([plain[0] | 0x20]) + plain[1:7] + b"\4"
    with pytest.raises(MalformedRtcp):
        read_compound(first)


LIES = {
    "first length beyond the datagram": lambda data: data[:2] + b"\x00\x40" + data[4:],
    "first length too short for its blocks": lambda data: data[:2] + b"\x00\x06" + data[4:],
    "length of nothing": lambda data: data[:2] + b"\x00\x00" + data[4:],
    "more blocks than there are": lambda data: bytes([data[0] | 31]) + data[1:],
    "second packet beyond the datagram": lambda data: data[:54] + b"\xff\xff" + data[56:],
    "second packet ends within the third": lambda data: data[:54] + b"\x00\x01" + data[56:],
    "BYE of more sources than it holds": lambda data: data[:-8] + b"\x9f" + data[-7:],
    "version 1": lambda data: b"\x41" + data[1:],
    "version 1 of the second": lambda data: data[:52] + b"\x41" + data[53:],
    "begins with SDES": lambda data: data[52:],
    "begins with BYE": lambda data: data[-8:],
    "one octet more": lambda data: data + b"\x80",
    "a header more, of RTP": lambda data: data + b"\x80\x00\x00\x00",
}
"""What may be wrong with a compound packet of SR with a block, SDES and BYE."""


@pytest.mark.parametrize("lie", LIES)
def test_a_compound_whose_lengths_lie_is_refused(lie: str) -> None:
    """Nothing of it is used, not even the part that is whole."""
    leg = Leg()
    leg.send(5)
    leg.receive(1, 2)
    whole = leg.say(goodbye=True)
    assert whole[52 + 1] == 202
    read_compound(whole)
    with pytest.raises(MalformedRtcp):
        read_compound(LIES[lie](whole))


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


def plainly(leg: Leg, row: int, now: float) -> bytes:
    """Return the report that is due to a leg, worked out number by number (section 6.4)."""
    reports, outgoing, sequences = leg.reports, leg.outgoing, leg.sequences
    block = b""
    received = int(sequences.received[row])
    if sequences.ssrc[row] >= 0 and received != reports.left_at[row]:
        expected = int(sequences.highest[row] - sequences.base[row] + 1) if received else 0
        lost = expected - received - int(sequences.repeated[row])
        since = expected - int(reports.expected[row])
        missed = lost - int(reports.lost[row])
        fraction = min(255, (missed << 8) // since) if since > 0 and missed > 0 else 0
        total = max(-(2**23), min(lost, 2**23 - 1)) % 2**24
        last_sr = int(reports.last_sr[row])
        block = struct.pack(
            "!IIIIII",
            sequences.ssrc[row],
            fraction << 24 | total,
            sequences.highest[row] % 2**32,
            int(sequences.jitter[row]),
            last_sr,
            int((now - reports.last_sr_at[row]) * 65536) % 2**32 if last_sr else 0,
        )
    sent, (packets, octets) = int(outgoing.packets_sent[row]), reports.before[row].tolist()
    if sent <= max(int(reports.told[row, 1]), packets):
        return struct.pack("!BBHI", 0x80 | bool(block), 201, 1 + len(block) // 4, row + 1) + block
    seconds, fraction = ntp_time(WALL)
    return (
        struct.pack(
            "!BBHIII", 0x80 | bool(block), 200, 6 + len(block) // 4, row + 1, seconds, fraction
        )
        + struct.pack("!II", outgoing.timestamp[row], (sent - packets) % 2**32)
        + struct.pack("!I", (int(outgoing.octets_sent[row]) - octets) % 2**32)
        + block
    )


@given(st.integers(0, 2**32 - 1))
def test_reports_that_are_gathered_together_say_what_each_would(seed: int) -> None:
    """Any numbers, with and without a sender's part, a block, losses, an echo; twice over."""
    generator = np.random.default_rng(seed)
    leg = Leg(Reports(3, seed=5), Outgoing(3), Sequences(3))
    reports, outgoing, sequences = leg.reports, leg.outgoing, leg.sequences
    outgoing.ssrc[:] = 1, 2, 3
    outgoing.timestamp[:] = generator.integers(0, 2**32, 3)
    reports.last_sr[:] = generator.integers(0, 2**32, 3) * generator.integers(0, 2, 3)
    reports.last_sr_at[:] = generator.uniform(-1e5, 100, 3)
    reports.before[:] = generator.integers(0, 2**33, (3, 2)) * generator.integers(0, 2, (3, 1))
    sequences.ssrc[:] = generator.choice([-1, 5, 2**32 - 1], 3)
    sequences.base[:] = generator.integers(0, 2**16, 3)
    for _ in range(3):
        outgoing.packets_sent[:] += generator.integers(0, 2**33) * generator.integers(0, 2, 3)
        outgoing.octets_sent[:] += generator.integers(0, 2**34, 3)
        span = generator.choice([300, 2**25])
        sequences.received[:] = generator.integers(0, span, 3) * generator.integers(0, 2, 3)
        sequences.repeated[:] = generator.integers(0, 50, 3)
        sequences.highest[:] = sequences.base + generator.integers(0, span, 3)
        sequences.jitter[:] = generator.uniform(0, 9999, 3)
        reports.left_at[:] = np.where(generator.random(3) < 0.3, sequences.received, -1)
        rows = [2, 0, 1]
        expected = [plainly(leg, row, 105.0) for row in rows]
        told = reports.told.copy()
        got = reports.compounds(rows, outgoing, sequences, 105.0, WALL)
        for row, packet, plain in zip(rows, got, expected, strict=True):
            assert packet.startswith(plain)
            assert packets_of(packet[len(plain) :])[0][:2] == (202, 1)
            assert reports.told[row].tolist() == [outgoing.packets_sent[row], told[row, 0]]
