"""RTCP (RFC 3550 section 6): our reports to each leg, and what its reports say.

::

    SR   sender's report     what we have sent, and one report block about what we received
    RR   receiver's report   the report block alone, while nothing was sent since the last but one
    SDES                     the CNAME, random (RFC 7022), which says nothing about a person
    BYE                      with the last report, when the leg closes or changes its SSRC

Reports are rare: a few of a thousand legs are due in a tick. So they are built and read one by one.
What the far end says of our stream (`remote_...`) stays apart from what we see of its.
"""

import struct
from dataclasses import dataclass
from math import e
from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media._rows import Rows
from bridge.media.codecs import SAMPLE_RATE
from bridge.media.outgoing import Outgoing
from bridge.media.sequence import Sequences

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
_LONGEST_RTT: Final = 10.0  # seconds; more is a peer whose echo of our time stamp is wrong
_LONGEST_JITTER: Final = 10 * SAMPLE_RATE  # more is a peer that counts in other units
_NEVER: Final = -1


class MalformedRtcp(ValueError):  # noqa: N818 - says what the packet is
    """A packet is no compound RTCP packet."""


@dataclass(slots=True, frozen=True)
class Block:
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


@dataclass(slots=True, frozen=True)
class Report:
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
        if kind in {SENDER_REPORT, RECEIVER_REPORT}:
            begin = body + 4 + (_SENDER_INFO if kind == SENDER_REPORT else 0)
            if begin + count * _BLOCK > body_end:
                raise MalformedRtcp(f"report at {at} is too short for its {count} blocks")
            if at == 0:
                ssrc = struct.unpack_from("!I", data, body)[0]
            if kind == SENDER_REPORT:
                ntp = struct.unpack_from("!I", data, at + 10)[0]
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
    first, kind, words = struct.unpack_from("!BBH", data, at)
    end = at + 4 * (words + 1)
    if first & 0xC0 != _VERSION_2 or kind not in _TYPES:
        raise MalformedRtcp(f"version or type at {at}: {first:#x} {kind}")
    if at == 0 and kind not in {SENDER_REPORT, RECEIVER_REPORT}:
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
    ssrc, lost, _, jitter, last_sr, delay = struct.unpack_from("!IIIIII", data, at)
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

    def open(self, row: int, cname: str, now: float) -> None:
        """Begin to report to a leg."""
        self.reset(row)
        self._cname[row] = cname.encode()[:255]
        self.said_at[row] = now
        self.due[row] = now + float(self._intervals(1, FIRST_INTERVAL_SECONDS)[0])

    def _intervals(
        self, count: int, least: float | npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """Return intervals from one report to the next (RFC 3550 section 6.3.1) [s]."""
        return least * self._random.uniform(*SPREAD, count) / COMPENSATION

    def take_due(self, now: float) -> list[int]:
        """Return the legs whose report is due after all, and schedule their next one.

        A report that seems due is considered once more with another interval (section 6.3.6).
        """
        seems = (self.due <= now).nonzero()[0][:MOST_DUE]
        if not len(seems):
            return []
        first = self.told[seems, 0] == _NEVER
        least = np.where(first, FIRST_INTERVAL_SECONDS, INTERVAL_SECONDS)
        again = self.said_at[seems] + self._intervals(len(seems), least)
        self.due[seems] = again
        rows = seems[again <= now]
        self.said_at[rows] = now
        self.due[rows] = now + self._intervals(len(rows), INTERVAL_SECONDS)
        due: list[int] = rows.tolist()
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
        ssrc = int(outgoing.ssrc[row])
        block = self._block(row, sequences, now)
        count = 1 if block else 0
        sent = int(outgoing.packets_sent[row])
        if sent > max(int(self.told[row, 1]), int(self.before[row, 0])):
            seconds, fraction = ntp_time(wall)
            body = struct.pack(
                "!IIIIII",
                ssrc,
                seconds,
                fraction,
                int(outgoing.timestamp[row]),
                (sent - int(self.before[row, 0])) & 0xFFFF_FFFF,
                int(outgoing.octets_sent[row] - self.before[row, 1]) & 0xFFFF_FFFF,
            )
            parts = [_packet(SENDER_REPORT, count, body + block)]
        else:
            parts = [_packet(RECEIVER_REPORT, count, struct.pack("!I", ssrc) + block)]
        self.told[row] = sent, self.told[row, 0]
        parts.append(self._description(row, ssrc))
        if goodbye:
            parts.append(_packet(GOODBYE, 1, struct.pack("!I", ssrc)))
        return b"".join(parts)

    def farewell(self, row: int, ssrc: int) -> bytes:
        """Build a compound packet that says BYE for a source that a leg is not sent with any more.

        Args:
            row: the leg.
            ssrc: the source.

        Returns:
            RR without a block, SDES, BYE.
        """
        source = struct.pack("!I", ssrc)
        return (
            _packet(RECEIVER_REPORT, 0, source)
            + self._description(row, ssrc)
            + _packet(GOODBYE, 1, source)
        )

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
        cname = self._cname.get(row, b"")
        chunk = struct.pack("!IBB", ssrc, _CNAME, len(cname)) + cname + b"\0"
        return _packet(SOURCE_DESCRIPTION, 1, chunk + bytes(-len(chunk) % 4))

    def _block(self, row: int, sequences: Sequences, now: float) -> bytes:
        received = int(sequences.received[row])
        if sequences.ssrc[row] < 0 or received == self.left_at[row]:
            return b""
        one = np.array([row])
        expected = int(sequences.expected(one)[0])
        # Late and doubled packets were received all the same, section 6.4.1: may be negative.
        lost = expected - received - int(sequences.repeated[row])
        since_expected = expected - int(self.expected[row])
        since_lost = lost - int(self.lost[row])
        self.expected[row], self.lost[row] = expected, lost
        fraction = 0
        if since_expected > 0 and since_lost > 0:
            fraction = min(255, 256 * since_lost // since_expected)
        last_sr = int(self.last_sr[row])
        delay = int((now - float(self.last_sr_at[row])) * 65536) if last_sr else 0
        clamped = max(-0x80_0000, min(lost, 0x7F_FFFF)) & 0xFF_FFFF
        return struct.pack(
            "!IIIIII",
            int(sequences.ssrc[row]),
            fraction << 24 | clamped,
            int(sequences.highest[row]) & 0xFFFF_FFFF,
            int(sequences.jitter[row]) & 0xFFFF_FFFF,
            last_sr,
            delay & 0xFFFF_FFFF,
        )

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
            longest = np.fmax(self.rtt[row, 1], rtt * 1000)
            self.rtt[row] = rtt * 1000, longest

    def reset(self, row: int) -> None:
        """Make a row as new."""
        super().reset(row)
        self._cname.pop(row, None)


def _packet(kind: int, count: int, body: bytes) -> bytes:
    return struct.pack("!BBH", _VERSION_2 | count, kind, len(body) // 4) + body
