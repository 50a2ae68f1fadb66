"""RTCP (RFC 3550 section 6): our reports to each leg, and what its reports say.

::

    SR   sender's report     what we have sent, and one report block about what we received
    RR   receiver's report   the report block alone, while nothing was sent since the last but one
    SDES                     the CNAME, random (RFC 7022), which says nothing about a person
    BYE                      with the last report, when the leg closes or changes its SSRC

Reports are rare: a few of a thousand legs are due in a tick. Their numbers are gathered in compiled
loops, for the tables have two dozen columns of them; octets are put and read one report by one.
What the far end says of our stream (`remote_...`) stays apart from what we see of its.
"""

import struct
from math import e
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from bridge.media._compiled import compiled
from bridge.media._rows import Rows
from bridge.media.codecs import SAMPLE_RATE
from bridge.media.outgoing import Outgoing
from bridge.media.sequence import Sequences, expected_of

__all__ = [
    "FIRST_INTERVAL_SECONDS",
    "INTERVAL_SECONDS",
    "MOST_DUE",
    "Block",
    "MalformedRtcp",
    "Report",
    "Reports",
    "read_compound",
]

INTERVAL_SECONDS: Final = 5.0
"""The minimum of RFC 3550 section 6.2, which is always the greater one here: two members of a
session of 64 kbit/s might report every 0.6 s by its share of 5 %."""

FIRST_INTERVAL_SECONDS: Final = INTERVAL_SECONDS / 2

SPREAD: Final = (0.5, 1.5)
"""Each interval is the minimum times a random factor from here (section 6.3.1)."""

COMPENSATION: Final = e - 1.5
"""By which it is divided, because reconsideration makes intervals longer (section 6.3.1)."""

MOST_DUE: Final = 16
"""Reports sent in a tick; a thousand legs send four. After a pause the others wait for a tick."""

SENDER_REPORT: Final = 200
RECEIVER_REPORT: Final = 201
SOURCE_DESCRIPTION: Final = 202
GOODBYE: Final = 203

_VERSION_2: Final = 0x80
_PADDED: Final = 0x20
_CNAME: Final = 1
_NTP_EPOCH: Final = 2_208_988_800  # seconds from 1900 to 1970
_HEADER: Final = 4
_BLOCK: Final = 24
_SENDER_INFO: Final = 20
_TYPES: Final = range(192, 224)
_REPORT_TYPES: Final = (SENDER_REPORT, RECEIVER_REPORT)
_LONGEST_RTT: Final = 10.0  # seconds; more is a peer whose echo of our time stamp is wrong
_LONGEST_JITTER: Final = 10 * SAMPLE_RATE  # more is a peer that counts in other units
_NEVER: Final = -1
_DRAWN: Final = 64 * MOST_DUE
_NO_NAME: Final = bytes((_CNAME, 0, 0, 0))

_word: Final = struct.Struct("!I")
_header: Final = struct.Struct("!BBH")
_block: Final = struct.Struct("!IIIIII")
_packets: Final = tuple(struct.Struct(f"!BBH{words}I") for words in range(16))
"""Packets of a header and so many words."""

# Columns of what is gathered for a report: what it has, the sender's information, the block.
_HAS_SENDER, _HAS_BLOCK, _OWN_SSRC, _SECONDS, _FRACTION, _TIMESTAMP, _PACKETS, _OCTETS = range(8)
_THEIR_SSRC, _LOST, _HIGHEST, _JITTER, _LAST_SR, _DELAY, _COLUMNS = range(8, 15)


class MalformedRtcp(ValueError):  # noqa: N818 - says what the packet is
    """A packet is no compound RTCP packet."""


class Block(NamedTuple):
    """A report block (RFC 3550 section 6.4.1).

    Args:
        ssrc: whom it is about.
        fraction_lost: of the last interval, in 1/256.
        lost: packets lost since the beginning, may be negative.
        jitter: interarrival jitter [time stamp units].
        last_sr: middle 32 bits of the NTP time of the last sender's report, 0 for none.
        delay: since that report came [1/65536 s].
    """

    ssrc: int
    fraction_lost: int
    lost: int
    jitter: int
    last_sr: int
    delay: int


class Report(NamedTuple):
    """What one compound packet says.

    Args:
        ssrc: the sender, of its first report.
        ntp: middle 32 bits of its NTP time, `None` without a sender's report.
        blocks: its report blocks.
        left: whom it says BYE for.
    """

    ssrc: int
    ntp: int | None
    blocks: tuple[Block, ...]
    left: tuple[int, ...] = ()


def read_compound(data: bytes) -> Report:
    """Read a compound packet.

    Only reports and BYE are read. What else there is (SDES, APP, extended reports) is stepped over
    by the length that it gives, for nothing in it is used: who the far end says to be is nobody's
    business here.

    Args:
        data: the datagram.

    Returns:
        What it says.

    Raises:
        MalformedRtcp: it does not begin with a report, a length lies, or padding is not where it
            may be (RFC 3550 appendix A.2).
    """
    if not data:
        raise MalformedRtcp("empty datagram")
    ssrc, ntp = 0, None
    blocks: list[Block] = []
    left: list[int] = []
    at = 0
    while at < len(data):
        kind, count, end, body_end = _read_header(data, at)
        body = at + _HEADER
        if kind in _REPORT_TYPES:
            begin = body + 4 + (_SENDER_INFO if kind == SENDER_REPORT else 0)
            if begin + count * _BLOCK > body_end:
                raise MalformedRtcp(f"report at {at} is too short for its {count} blocks")
            if at == 0:
                ssrc = _word.unpack_from(data, body)[0]
            if kind == SENDER_REPORT:
                ntp = _word.unpack_from(data, at + 10)[0]
            blocks += [_read_block(data, begin + k * _BLOCK) for k in range(count)]
        elif kind == GOODBYE:
            if body + 4 * count > body_end:
                raise MalformedRtcp(f"BYE at {at} is too short for its {count} sources")
            left += struct.unpack_from(f"!{count}I", data, body)
        at = end
    return Report(ssrc, ntp, tuple(blocks), tuple(left))


def _read_header(data: bytes, at: int) -> tuple[int, int, int, int]:
    """Return a packet's type, its count, where it ends and where it ends without padding."""
    if len(data) - at < _HEADER:
        raise MalformedRtcp(f"{len(data) - at} octets are left at {at}, a header needs 4")
    first, kind, words = _header.unpack_from(data, at)
    end = at + 4 * (words + 1)
    if first & 0xC0 != _VERSION_2 or kind not in _TYPES:
        raise MalformedRtcp(f"version or type at {at}: {first:#x} {kind}")
    if at == 0 and kind not in _REPORT_TYPES:
        raise MalformedRtcp(f"begins with type {kind}, not with a report")
    if end > len(data):
        raise MalformedRtcp(f"length at {at} says {end} octets, there are {len(data)}")
    padding = 0
    if first & _PADDED:
        padding = data[end - 1]
        if at == 0 or end != len(data) or not 0 < padding <= end - at - _HEADER or padding % 4:
            raise MalformedRtcp(f"padding of {padding} octets at {at}")
    return kind, first & 0x1F, end, end - padding


def _read_block(data: bytes, at: int) -> Block:
    ssrc, lost, _, jitter, last_sr, delay = _block.unpack_from(data, at)
    total = lost & 0xFF_FFFF
    signed = total - 0x100_0000 if total & 0x80_0000 else total
    return Block(ssrc, lost >> 24, signed, jitter, last_sr, delay)


def ntp_time(wall: float) -> tuple[int, int]:
    """Return seconds since 1900 and their fraction in 2**-32, from Unix time."""
    seconds = int(wall)
    return (seconds + _NTP_EPOCH) & 0xFFFF_FFFF, int((wall - seconds) * 2**32) & 0xFFFF_FFFF


class Reports(Rows):
    """What reports have said and when the next one is due, for each leg.

    Args:
        capacity: rows to begin with.
        seed: of the intervals' spread, of the system's entropy where not given.
    """

    def __init__(self, capacity: int, seed: int | None = None) -> None:
        super().__init__(capacity)
        # When the next report is thought to be due, and when the last one was sent (tn, tp).
        self.due: npt.NDArray[np.float64] = self.column("due", np.float64, fill=np.inf, kept=True)
        self.said_at: npt.NDArray[np.float64] = self.column("said_at", np.float64, kept=True)
        # Packets sent when the last report was, and the one before.
        self.told: npt.NDArray[np.int64] = self.column("told", np.int64, 2, fill=_NEVER, kept=True)
        # Packets and octets sent with other synchronisation sources.
        self.before: npt.NDArray[np.int64] = self.column("before", np.int64, 2, kept=True)
        self.collided: npt.NDArray[np.bool_] = self.column("collided", np.bool_, kept=True)
        self.expected: npt.NDArray[np.int64] = self.column("expected", np.int64, kept=True)
        self.lost: npt.NDArray[np.int64] = self.column("lost", np.int64, kept=True)
        self.last_sr: npt.NDArray[np.int64] = self.column("last_sr", np.int64, kept=True)
        self.last_sr_at: npt.NDArray[np.float64] = self.column("last_sr_at", np.float64, kept=True)
        # Packets of the stream when its BYE came.
        self.left_at: npt.NDArray[np.int64] = self.column(
            "left_at", np.int64, fill=_NEVER, kept=True
        )
        # The last round trip and the longest [ms].
        self.rtt: npt.NDArray[np.float64] = self.column(
            "rtt", np.float64, 2, fill=np.nan, kept=True
        )
        self.remote_lost: npt.NDArray[np.int64] = self.column("remote_lost", np.int64, kept=True)
        # Jitter [ms], and the share lost of the last interval.
        self.remote_jitter: npt.NDArray[np.float64] = self.column(
            "remote_jitter", np.float64, fill=np.nan, kept=True
        )
        self.remote_fraction: npt.NDArray[np.float64] = self.column(
            "remote_fraction", np.float64, fill=np.nan, kept=True
        )
        # Legs whose far end sends with our synchronisation source; taken by `reporting`.
        self.collisions: list[int] = []
        self._cname: dict[int, bytes] = {}
        self._random = np.random.default_rng(seed)
        # Drawn ahead, for a draw costs as much as all else that `take_due` does.
        self._factors = np.empty((0, 2))

    def open(self, row: int, cname: str, now: float) -> None:
        """Begin to report to a leg."""
        self.reset(row)
        name = cname.encode()[:255]
        item = bytes((_CNAME, len(name))) + name + b"\0"
        self._cname[row] = item + bytes(-len(item) % 4)
        self.said_at[row] = now
        self.due[row] = now + FIRST_INTERVAL_SECONDS * float(self._spread(1)[0, 0])

    def _spread(self, count: int) -> npt.NDArray[np.float64]:
        """Return random factors of intervals (RFC 3550 section 6.3.1), two for each leg."""
        if len(self._factors) < count:
            self._factors = self._random.uniform(*SPREAD, (_DRAWN, 2)) / COMPENSATION
        spread, self._factors = self._factors[:count], self._factors[count:]
        return spread

    def take_due(self, now: float) -> list[int]:
        """Return the legs whose report is due after all, and schedule their next one.

        A report that seems due is considered once more with another interval (section 6.3.6). Both
        intervals are random (section 6.3.1).
        """
        rows = np.empty(MOST_DUE, np.intp)
        count = _take_due(now, self._spread(MOST_DUE), self.due, self.said_at, self.told, rows)
        due: list[int] = rows[:count].tolist()
        return due

    def begin(
        self,
        rows: npt.NDArray[np.intp],
        theirs: npt.NDArray[np.int64],
        ours: npt.NDArray[np.int64],
    ) -> None:
        """Forget what was said of the streams that legs had before.

        Args:
            rows: intp, `(k,)`: legs with a new stream.
            theirs: int64, `(legs,)`: synchronisation source of each leg's far end.
            ours: int64, `(legs,)`: that which we send to it with.
        """
        self.expected[rows] = 0
        self.lost[rows] = 0
        self.last_sr[rows] = 0
        self.left_at[rows] = _NEVER
        self.collisions += rows[theirs[rows] == ours[rows]].tolist()

    def has_spoken(self, row: int, outgoing: Outgoing) -> bool:
        """Say whether anything was sent to a leg; nobody says goodbye who was never there."""
        return bool(outgoing.packets_sent[row] > 0 or self.told[row, 0] != _NEVER)

    def compound(
        self,
        row: int,
        outgoing: Outgoing,
        sequences: Sequences,
        now: float,
        wall: float,
        *,
        goodbye: bool = False,
    ) -> bytes:
        """Build a compound packet for a leg.

        Args:
            row: the leg.
            outgoing: what we sent.
            sequences: what we received.
            now: monotonic time [s].
            wall: Unix time [s].
            goodbye: end with a BYE.

        Returns:
            SR or RR, SDES with the CNAME, BYE if wanted.
        """
        (packet,) = self.compounds([row], outgoing, sequences, now, wall)
        return packet + _goodbye(int(outgoing.ssrc[row])) if goodbye else packet

    def compounds(
        self, rows: list[int], outgoing: Outgoing, sequences: Sequences, now: float, wall: float
    ) -> list[bytes]:
        """Build a compound packet for each of some legs, without a BYE; see `compound`."""
        numbers = np.empty((len(rows), _COLUMNS), np.int64)
        _gather(
            np.array(rows, np.intp),
            now,
            *ntp_time(wall),
            outgoing.ssrc,
            outgoing.timestamp,
            outgoing.packets_sent,
            outgoing.octets_sent,
            self.told,
            self.before,
            sequences.ssrc,
            sequences.received,
            sequences.repeated,
            sequences.highest,
            sequences.base,
            sequences.jitter,
            self.expected,
            self.lost,
            self.last_sr,
            self.last_sr_at,
            self.left_at,
            numbers,
        )
        packets = []
        for row, (has_sender, has_block, ssrc, *words) in zip(rows, numbers.tolist(), strict=True):
            kind = SENDER_REPORT if has_sender else RECEIVER_REPORT
            sender = words[: _OCTETS - _OWN_SSRC] if has_sender else ()
            block = words[_OCTETS - _OWN_SSRC :] if has_block else ()
            size = 1 + len(sender) + len(block)
            report = _packets[size].pack(_VERSION_2 | has_block, kind, size, ssrc, *sender, *block)
            packets.append(report + self._description(row, ssrc))
        return packets

    def farewell(self, row: int, ssrc: int) -> bytes:
        """Build a compound packet that says BYE for a source that a leg is not sent with any more.

        Args:
            row: the leg.
            ssrc: the source.

        Returns:
            RR without a block, SDES, BYE.
        """
        report = _packets[1].pack(_VERSION_2, RECEIVER_REPORT, 1, ssrc)
        return report + self._description(row, ssrc) + _goodbye(ssrc)

    def change_source(self, row: int, outgoing: Outgoing, ssrc: int) -> None:
        """Let a leg be sent to with another synchronisation source (section 8.2).

        Args:
            row: the leg.
            outgoing: what is sent.
            ssrc: the source.
        """
        outgoing.ssrc[row] = ssrc
        outgoing.marker[row] = True
        self.before[row] = outgoing.packets_sent[row], outgoing.octets_sent[row]
        self.collided[row] = True
        self.told[row, 1] = _NEVER
        self.remote_lost[row] = 0
        self.remote_fraction[row] = np.nan

    def _description(self, row: int, ssrc: int) -> bytes:
        item = self._cname.get(row, _NO_NAME)
        words = 1 + len(item) // 4
        return _packets[1].pack(_VERSION_2 | 1, SOURCE_DESCRIPTION, words, ssrc) + item

    def take(
        self,
        row: int,
        report: Report,
        outgoing: Outgoing,
        sequences: Sequences,
        now: float,
        wall: float,
    ) -> None:
        """Take a leg's report in.

        Args:
            row: the leg.
            report: what it says.
            outgoing: what we send with: blocks about others are none of ours.
            sequences: what we receive with.
            now: monotonic time when it came [s].
            wall: the same as Unix time [s], the clock of our own reports.
        """
        own = int(outgoing.ssrc[row])
        if report.ssrc == own:
            # Somebody else's words, or our own come back: they are about nothing of ours.
            self.collisions.append(row)
            return
        theirs = int(sequences.ssrc[row])
        if report.ntp is not None and report.ssrc == theirs:
            self.last_sr[row] = report.ntp
            self.last_sr_at[row] = now
        if theirs in report.left:
            self.left_at[row] = sequences.received[row]
        for block in report.blocks:
            if block.ssrc == own:
                self._take_block(row, block, wall)

    def _take_block(self, row: int, block: Block, wall: float) -> None:
        """Take in what a leg says of our stream; what cannot be is left out."""
        self.remote_lost[row] = block.lost
        self.remote_fraction[row] = block.fraction_lost / 256
        if block.jitter < _LONGEST_JITTER:
            self.remote_jitter[row] = block.jitter * 1000 / SAMPLE_RATE
        if not block.last_sr:
            return
        seconds, fraction = ntp_time(wall)
        middle = (seconds & 0xFFFF) << 16 | fraction >> 16
        rtt = ((middle - block.last_sr - block.delay) & 0xFFFF_FFFF) / 65536
        if rtt < _LONGEST_RTT:
            self.rtt[row, 0] = rtt * 1000
            if not self.rtt[row, 1] >= rtt * 1000:  # it is shorter, or not known
                self.rtt[row, 1] = rtt * 1000

    def reset(self, row: int) -> None:
        """Make a row as new."""
        super().reset(row)
        self._cname.pop(row, None)


def _goodbye(ssrc: int) -> bytes:
    return _packets[1].pack(_VERSION_2 | 1, GOODBYE, 1, ssrc)


@compiled(
    "int64(float64, float64[:, ::1], float64[::1], float64[::1], int64[:, ::1], int64[::1])",
    exact=True,  # without a leg nothing is due, that is at infinity
)
def _take_due(
    now: float,
    spread: npt.NDArray[np.float64],
    due: npt.NDArray[np.float64],
    said_at: npt.NDArray[np.float64],
    told: npt.NDArray[np.int64],
    rows: npt.NDArray[np.intp],
) -> int:
    count = seems = 0
    for row in range(due.size):
        if due[row] <= now:
            least = FIRST_INTERVAL_SECONDS if told[row, 0] == _NEVER else INTERVAL_SECONDS
            due[row] = said_at[row] + least * spread[seems, 0]
            if due[row] <= now:
                said_at[row] = now
                due[row] = now + INTERVAL_SECONDS * spread[seems, 1]
                rows[count] = row
                count += 1
            seems += 1
            if seems == MOST_DUE:
                break
    return count


@compiled(
    "void(int64[::1], float64, int64, int64, int64[::1], int64[::1], int64[::1], int64[::1],"
    " int64[:, ::1], int64[:, ::1], int64[::1], int64[::1], int64[::1], int64[::1], int64[::1],"
    " float64[::1], int64[::1], int64[::1], int64[::1], float64[::1], int64[::1], int64[:, ::1])"
)
def _gather(
    rows: npt.NDArray[np.intp],
    now: float,
    seconds: int,
    fraction: int,
    ssrc: npt.NDArray[np.int64],
    timestamp: npt.NDArray[np.int64],
    packets_sent: npt.NDArray[np.int64],
    octets_sent: npt.NDArray[np.int64],
    told: npt.NDArray[np.int64],
    before: npt.NDArray[np.int64],
    theirs: npt.NDArray[np.int64],
    received: npt.NDArray[np.int64],
    repeated: npt.NDArray[np.int64],
    highest: npt.NDArray[np.int64],
    base: npt.NDArray[np.int64],
    jitter: npt.NDArray[np.float64],
    expected_before: npt.NDArray[np.int64],
    lost_before: npt.NDArray[np.int64],
    last_sr: npt.NDArray[np.int64],
    last_sr_at: npt.NDArray[np.float64],
    left_at: npt.NDArray[np.int64],
    numbers: npt.NDArray[np.int64],
) -> None:
    for i in range(rows.size):
        row: int = rows[i]
        number = numbers[i]
        sent = packets_sent[row]
        number[_HAS_SENDER] = sent > max(told[row, 1], before[row, 0])
        number[_HAS_BLOCK] = theirs[row] >= 0 and received[row] != left_at[row]
        number[_OWN_SSRC] = ssrc[row]
        number[_SECONDS], number[_FRACTION] = seconds, fraction
        number[_TIMESTAMP] = timestamp[row]
        number[_PACKETS] = (sent - before[row, 0]) & 0xFFFF_FFFF
        number[_OCTETS] = (octets_sent[row] - before[row, 1]) & 0xFFFF_FFFF
        told[row, 0], told[row, 1] = sent, told[row, 0]
        if not number[_HAS_BLOCK]:
            continue
        expected = expected_of(received[row], highest[row], base[row])
        # Late and doubled packets were received all the same, section 6.4.1: may be negative.
        lost = expected - received[row] - repeated[row]
        since_expected = expected - expected_before[row]
        since_lost = lost - lost_before[row]
        expected_before[row], lost_before[row] = expected, lost
        share = 0
        if since_expected > 0 and since_lost > 0:
            share = min(255, int(256 * since_lost // since_expected))
        clamped = max(-0x80_0000, min(lost, 0x7F_FFFF)) & 0xFF_FFFF
        delay = np.int64((now - last_sr_at[row]) * 65536) if last_sr[row] else np.int64(0)
        number[_THEIR_SSRC] = theirs[row]
        number[_LOST] = share << 24 | clamped
        number[_HIGHEST] = highest[row] & 0xFFFF_FFFF
        number[_JITTER] = np.int64(jitter[row]) & 0xFFFF_FFFF
        number[_LAST_SR] = last_sr[row]
        number[_DELAY] = delay & 0xFFFF_FFFF
