"""RTCP (RFC 3550 section 6): our reports to each leg, and what its reports say.

::

    SR   sender's report     what we have sent, and one report block about what we received
    RR   receiver's report   the report block alone, while we have sent nothing
    SDES                     the CNAME, which says nothing about a person
    BYE                      with the last report, when the leg closes

Reports are rare: a few of a thousand legs are due in a tick. So they are built and read one by one.
"""

import random
import struct
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media._rows import Rows
from bridge.media.codecs import SAMPLE_RATE
from bridge.media.outgoing import Outgoing
from bridge.media.sequence import Sequences

__all__ = ["INTERVAL_SECONDS", "Block", "MalformedRtcp", "Report", "Reports", "read_compound"]

INTERVAL_SECONDS: Final = 5.0
"""RFC 3550 section 6.2; each interval is this times a random 0.5 to 1.5."""

SENDER_REPORT: Final = 200
RECEIVER_REPORT: Final = 201
SOURCE_DESCRIPTION: Final = 202
GOODBYE: Final = 203

_VERSION_2: Final = 0x80
_CNAME: Final = 1
_NTP_EPOCH: Final = 2_208_988_800  # seconds from 1900 to 1970
_HEADER: Final = 4
_BLOCK: Final = 24
_SENDER_INFO: Final = 20
_TYPES: Final = range(192, 224)
_LONGEST_RTT: Final = 10.0  # seconds; more is a peer whose echo of our time stamp is wrong


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
        goodbye: it says BYE.
    """

    ssrc: int
    ntp: int | None
    blocks: tuple[Block, ...]
    goodbye: bool


def read_compound(data: bytes) -> Report:  # noqa: C901 - one check after the other, as in A.2
    """Read a compound packet; what follows an intact beginning may be unknown but not cut off.

    Args:
        data: the datagram.

    Returns:
        What it says.

    Raises:
        MalformedRtcp: it does not begin with a report (RFC 3550 appendix A.2), or a length lies.
    """
    ssrc, ntp, goodbye = 0, None, False
    blocks: list[Block] = []
    at = 0
    while at < len(data):
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
        if kind in {SENDER_REPORT, RECEIVER_REPORT}:
            body = at + _HEADER + 4 + (_SENDER_INFO if kind == SENDER_REPORT else 0)
            count = first & 0x1F
            if body + count * _BLOCK > end:
                raise MalformedRtcp(f"report at {at} is too short for its {count} blocks")
            if at == 0:
                ssrc = struct.unpack_from("!I", data, _HEADER)[0]
            if kind == SENDER_REPORT:
                ntp = struct.unpack_from("!I", data, at + 10)[0]
            blocks += [_read_block(data, body + k * _BLOCK) for k in range(count)]
        goodbye |= kind == GOODBYE
        at = end
    if not data:
        raise MalformedRtcp("empty datagram")
    return Report(ssrc, ntp, tuple(blocks), goodbye)


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
        seed: of the intervals' spread.
    """

    def __init__(self, capacity: int, seed: int = 0) -> None:
        super().__init__(capacity)
        self.due: npt.NDArray[np.float64] = self.column("due", np.float64, fill=np.inf, kept=True)
        self.expected: npt.NDArray[np.int64] = self.column("expected", np.int64, kept=True)
        self.lost: npt.NDArray[np.int64] = self.column("lost", np.int64, kept=True)
        self.last_sr: npt.NDArray[np.int64] = self.column("last_sr", np.int64, kept=True)
        self.last_sr_at: npt.NDArray[np.float64] = self.column("last_sr_at", np.float64, kept=True)
        self.rtt: npt.NDArray[np.float64] = self.column("rtt", np.float64, fill=np.nan, kept=True)
        self.remote_lost: npt.NDArray[np.int64] = self.column("remote_lost", np.int64, kept=True)
        self.remote_jitter: npt.NDArray[np.float64] = self.column(
            "remote_jitter", np.float64, fill=np.nan, kept=True
        )
        self.goodbye: npt.NDArray[np.bool_] = self.column("goodbye", np.bool_, kept=True)
        self._cname: dict[int, bytes] = {}
        self._random = random.Random(seed)  # noqa: S311 - spreads packets, guards nothing

    def open(self, row: int, cname: str, now: float) -> None:
        """Begin to report to a leg."""
        self.reset(row)
        self._cname[row] = cname.encode()[:255]
        self._schedule(row, now, INTERVAL_SECONDS / 2)  # the first one sooner, section 6.2

    def _schedule(self, row: int, now: float, interval: float = INTERVAL_SECONDS) -> None:
        self.due[row] = now + interval * self._random.uniform(0.5, 1.5)

    def take_due(self, now: float) -> list[int]:
        """Return the legs whose report is due, and schedule their next one."""
        rows: list[int] = np.flatnonzero(self.due <= now).tolist()
        for row in rows:
            self._schedule(row, now)
        return rows

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
        if outgoing.packets_sent[row]:
            seconds, fraction = ntp_time(wall)
            body = struct.pack(
                "!IIIIII",
                ssrc,
                seconds,
                fraction,
                int(outgoing.timestamp[row]),
                int(outgoing.packets_sent[row]) & 0xFFFF_FFFF,
                int(outgoing.octets_sent[row]) & 0xFFFF_FFFF,
            )
            parts = [_packet(SENDER_REPORT, count, body + block)]
        else:
            parts = [_packet(RECEIVER_REPORT, count, struct.pack("!I", ssrc) + block)]
        cname = self._cname.get(row, b"")
        chunk = struct.pack("!IBB", ssrc, _CNAME, len(cname)) + cname + b"\0"
        parts.append(_packet(SOURCE_DESCRIPTION, 1, chunk + bytes(-len(chunk) % 4)))
        if goodbye:
            parts.append(_packet(GOODBYE, 1, struct.pack("!I", ssrc)))
        return b"".join(parts)

    def _block(self, row: int, sequences: Sequences, now: float) -> bytes:
        if sequences.ssrc[row] < 0:
            return b""
        one = np.array([row])
        expected = int(sequences.expected(one)[0])
        lost = expected - int(sequences.received[row])
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

    def take(self, row: int, report: Report, own_ssrc: int, now: float, wall: float) -> None:
        """Take a leg's report in.

        Args:
            row: the leg.
            report: what it says.
            own_ssrc: the SSRC that we send with: blocks about others are none of ours.
            now: monotonic time [s].
            wall: Unix time [s], the clock of our own reports.
        """
        if report.ntp is not None:
            self.last_sr[row] = report.ntp
            self.last_sr_at[row] = now
        self.goodbye[row] |= report.goodbye
        for block in report.blocks:
            if block.ssrc != own_ssrc:
                continue
            self.remote_lost[row] = block.lost
            self.remote_jitter[row] = block.jitter * 1000 / SAMPLE_RATE
            if block.last_sr:
                seconds, fraction = ntp_time(wall)
                middle = (seconds & 0xFFFF) << 16 | fraction >> 16
                rtt = ((middle - block.last_sr - block.delay) & 0xFFFF_FFFF) / 65536
                if rtt < _LONGEST_RTT:
                    self.rtt[row] = rtt * 1000

    def reset(self, row: int) -> None:
        """Make a row as new."""
        super().reset(row)
        self._cname.pop(row, None)


def _packet(kind: int, count: int, body: bytes) -> bytes:
    return struct.pack("!BBH", _VERSION_2 | count, kind, len(body) // 4) + body
