"""Which source a leg's RTP may come from, before it is connected.

The address of the peer's SDP is believed at once. Any other source, such as a telephone behind NAT
whose SDP names a private address, must prove itself first: `PROBATION` packets in a row of one
SSRC, one payload type that was negotiated, with sequence numbers that follow each other (the test
of RFC 3550 appendix A.1, made longer). A source that was latched before and went quiet is believed
again. Sources are judged apart, so that one who sprays packets cannot keep the true one from
proving itself.

This module opens nothing and sends nothing; `own_sockets` connects the socket.
"""

import socket
import struct
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

__all__ = ["PROBATION", "Latch", "Source", "Verdict", "source_key", "source_of"]

PROBATION: Final = 4
"""Packets: 80 ms at 20 ms each. RFC 3550 has 2, which a blind sender reaches by luck sooner."""

CANDIDATES: Final = 4
"""Sources judged at the same time; the one quiet for longest makes way."""

Source = tuple[str, int]
"""IPv4 address and port."""

_HEADER: Final = struct.Struct("!BBHII")
_VERSION_2: Final = 0x80


def source_key(source: Source | None) -> int:
    """Return a source as one number: 32 bits of address, 16 of port; 0 for none."""
    if source is None:
        return 0
    return int.from_bytes(socket.inet_aton(source[0])) << 16 | source[1]


def source_of(key: int) -> Source | None:
    """Return the source that `source_key` made a number of."""
    if key == 0:
        return None
    return socket.inet_ntoa((key >> 16).to_bytes(4)), key & 0xFFFF


class Verdict(Enum):
    """What to do with a packet of a leg that is not connected."""

    LATCH_OWN = auto()
    """Take it and connect to its source, the one that SDP names."""
    LATCH_OTHER = auto()
    """Take it and connect to its source, another one."""
    STRANGER = auto()
    """Drop it: its source has not proven itself."""
    MALFORMED = auto()
    """Drop it: it is no RTP."""


@dataclass(slots=True)
class _Candidate:
    ssrc: int
    following: int
    count: int


class Latch:
    """The sources of one leg that is not connected.

    Args:
        named: address and port that SDP names, `None` when it names none.
        payload_types: the payload types that were negotiated.
    """

    def __init__(self, named: Source | None, payload_types: frozenset[int]) -> None:
        self.named = named
        self.payload_types = payload_types
        self.known: Source | None = None
        self._candidates: dict[Source, _Candidate] = {}

    @property
    def target(self) -> Source | None:
        """Where to send meanwhile: to the source latched last, else to where SDP says."""
        return self.known or self.named

    def rename(self, named: Source | None, payload_types: frozenset[int]) -> bool:
        """Apply a new SDP.

        Args:
            named: the address it names.
            payload_types: what it negotiates.

        Returns:
            Whether the media moved: the leg must latch anew.
        """
        self.payload_types = payload_types
        if named is None or named == self.named:
            return False
        moved = named != self.known
        self.named = named
        if moved:
            self.known = None
            self._candidates.clear()
        return moved

    def judge(self, source: Source, packet: bytes | memoryview) -> Verdict:
        """Judge a packet.

        Args:
            source: where it came from.
            packet: the datagram.

        Returns:
            What to do.
        """
        if len(packet) <= _HEADER.size or packet[0] & 0xC0 != _VERSION_2:
            return Verdict.MALFORMED
        _, kind, sequence, _, ssrc = _HEADER.unpack_from(packet)
        if kind & 0x7F not in self.payload_types:
            return Verdict.STRANGER
        if source == self.named:
            return self._latched(source)
        if source == self.known:
            return self._latched(source)
        candidate = self._candidates.pop(source, None)
        if candidate is None or (candidate.ssrc, candidate.following) != (ssrc, sequence):
            candidate = _Candidate(ssrc, sequence, 0)
        candidate.count += 1
        candidate.following = (sequence + 1) & 0xFFFF
        if candidate.count >= PROBATION:
            return self._latched(source)
        while len(self._candidates) >= CANDIDATES:
            del self._candidates[next(iter(self._candidates))]
        self._candidates[source] = candidate
        return Verdict.STRANGER

    def _latched(self, source: Source) -> Verdict:
        self.known = source
        self._candidates.clear()
        return Verdict.LATCH_OWN if source == self.named else Verdict.LATCH_OTHER
