"""A test phone's sound: RTP sent and heard, with every fault a test may ask for.

`RtpStream` sends on a strict 20 ms (or other) grid from the reactor's thread and keeps each packet
that comes in with its arrival time, so that a test can rebuild what was heard, sample by sample,
and say when.
"""

import os
import random
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from tests.support import g711
from tests.support.reactor import Timer, reactor
from tests.support.signals import RATE, Samples

__all__ = ["Address", "Arrived", "Digits", "Packet", "Recording", "RtpStream", "open_pair"]

Address = tuple[str, int]

_KEYS = "0123456789*#ABCD"
_HEADER = struct.Struct("!BBHII")
_CATCH_UP = 25
_COMFORT_NOISE = 13
_LEAP_S = 0.15


@dataclass(frozen=True)
class Packet:
    """One RTP packet (RFC 3550, 5.1) before it is packed or after it was parsed.

    Attributes:
        payload_type: 0 to 127.
        sequence: 0 to 65535.
        timestamp: 0 to 2**32 - 1.
        ssrc: 0 to 2**32 - 1.
        payload: The bytes after the header.
        marker: The M bit.
    """

    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
    marker: bool = False

    def pack(self) -> bytes:
        """Return the datagram."""
        second = (0x80 if self.marker else 0) | self.payload_type
        header = _HEADER.pack(
            0x80, second, self.sequence & 0xFFFF, self.timestamp & 0xFFFFFFFF, self.ssrc
        )
        return header + self.payload

    @classmethod
    def parse(cls, data: bytes) -> "Packet | None":
        """Read a datagram.

        Args:
            data: What came in.

        Returns:
            The packet, or None where it is not RTP of version 2.
        """
        if len(data) < _HEADER.size or data[0] >> 6 != 2:
            return None
        _, second, sequence, timestamp, ssrc = _HEADER.unpack_from(data)
        start = _HEADER.size + 4 * (data[0] & 0x0F)
        return cls(second & 0x7F, sequence, timestamp, ssrc, data[start:], bool(second & 0x80))


@dataclass(frozen=True)
class Arrived:
    """A packet that came in.

    Attributes:
        at: `time.monotonic()` when it was read [s].
        packet: The packet.
    """

    at: float
    packet: Packet


@dataclass(frozen=True)
class Recording:
    """What a phone heard, put in order by time stamp.

    Attributes:
        samples: int16, 8 kHz; zero where nothing came.
        started: `time.monotonic()` at which the first sample would have been heard by a phone
            without a playout buffer [s].
        received: bool, one a sample: whether a packet brought it.
    """

    samples: Samples
    started: float
    received: np.ndarray[tuple[int], np.dtype[np.bool_]]

    def between(self, start: float, end: float | None = None) -> Samples:
        """Return the sound between two times of the monotonic clock.

        Args:
            start: In seconds.
            end: In seconds; None for everything after.

        Returns:
            int16, 8 kHz.
        """
        first = max(0, round((start - self.started) * RATE))
        last = None if end is None else max(first, round((end - self.started) * RATE))
        return self.samples[first:last]


@dataclass(frozen=True)
class Digits:
    """How keys are sent as telephone-events (RFC 4733, 2.5).

    Attributes:
        on_ms: Length of an event [ms].
        off_ms: Pause after it [ms].
        markers: Whether the first packet of an event has the M bit.
        ends: How many packets with the E bit (three as in RFC 4733, 2.5.1.4; 0: all were lost).
        first_lost: How many of the event's first packets never arrive.
        leak_ms: How much of the in-band tone goes out before the event starts, as some gateways
            do [ms].
    """

    on_ms: int = 100
    off_ms: int = 60
    markers: bool = True
    ends: int = 3
    first_lost: int = 0
    leak_ms: int = 0


@dataclass
class _Frame:
    """What one grid step sends: packets as (payload type, payload, marker, offset)."""

    packets: list[tuple[int, bytes, bool, int]] = field(default_factory=list)
    samples: Samples | None = None


def open_pair(host: str = "127.0.0.1") -> tuple[socket.socket, socket.socket]:
    """Open an RTP and an RTCP socket on an even port and the next.

    Args:
        host: The address to bind.

    Returns:
        The two sockets, non-blocking.
    """
    for _ in range(200):
        rtp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        rtcp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            rtp.bind((host, random.randrange(20000, 60000, 2)))
            rtcp.bind((host, rtp.getsockname()[1] + 1))
        except OSError:
            rtp.close()
            rtcp.close()
            continue
        for sock in (rtp, rtcp):
            sock.settimeout(0)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        return rtp, rtcp
    message = f"no even port free on {host} after 200 tries"
    raise OSError(message)


def _runs(arrived: list[Arrived]) -> list[list[Arrived]]:
    """Split packets where the SSRC changes or the time stamp leaps against the clock."""
    current: dict[int, list[Arrived]] = {}
    runs: list[list[Arrived]] = []
    for item in arrived:
        run = current.get(item.packet.ssrc)
        if run is not None:
            step = _signed(item.packet.timestamp - run[-1].packet.timestamp) / RATE
            if abs(step - (item.at - run[-1].at)) > _LEAP_S:
                run = None
        if run is None:
            run = []
            runs.append(run)
            current[item.packet.ssrc] = run
        run.append(item)
    return runs


def _place(run: list[Arrived]) -> list[tuple[float, Packet]]:
    """Return the time of each packet by its time stamp, anchored at the least delayed one."""
    base = run[0].packet.timestamp
    offsets = [_signed(item.packet.timestamp - base) / RATE for item in run]
    zero = min(item.at - offset for item, offset in zip(run, offsets, strict=True))
    return [(zero + offset, item.packet) for item, offset in zip(run, offsets, strict=True)]


def _signed(difference: int) -> int:
    """Return a difference of time stamps, modulo 2**32, as the nearest signed number."""
    return (difference + 2**31) % 2**32 - 2**31


class RtpStream:
    """Both directions of one phone's sound.

    Sending follows `silence` when there is nothing to say: "send" encodes zeros as a desk phone
    does, "suppress" sends nothing, "noise" sends one comfort-noise packet (RFC 3389) and stops.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        payload_type: int = g711.PCMU,
        event_type: int | None = 101,
        ptime_ms: int = 20,
        silence: Literal["send", "suppress", "noise"] = "send",
    ) -> None:
        """Open the sockets; nothing is sent before `start`.

        Args:
            host: Local address.
            payload_type: 0 or 8.
            event_type: Payload type of telephone-event, None where there is none.
            ptime_ms: Length of a packet [ms].
            silence: What is sent when nothing is said.
        """
        self.rtp, self.rtcp = open_pair(host)
        self.host = host
        self.port: int = self.rtp.getsockname()[1]
        self.payload_type = payload_type
        self.event_type = event_type
        self.ptime_ms = ptime_ms
        self.silence = silence
        self.remote: Address | None = None
        self.ssrc = int.from_bytes(os.urandom(4))
        self.sequence = int.from_bytes(os.urandom(2))
        self.timestamp = int.from_bytes(os.urandom(4))
        self.sending = True
        """Whether anything goes out at all; a phone on hold does not send."""
        self.fault: Callable[[Packet], Iterable[Packet | bytes]] | None = None
        """Turns each packet into what is really sent: lost, doubled, reordered, mangled."""
        self.arrived: list[Arrived] = []
        self.rtcp_arrived: list[tuple[float, bytes]] = []
        self.sent = 0
        self._frames: deque[_Frame] = deque()
        self._lock = threading.Lock()
        self._timer: Timer | None = None
        self._due = 0.0
        self._talking = False
        self._closed = False
        reactor().add(self.rtp, self._read_rtp)
        reactor().add(self.rtcp, self._read_rtcp)

    # -- sending ------------------------------------------------------------------------------

    @property
    def samples_per_frame(self) -> int:
        """Samples in one packet."""
        return RATE * self.ptime_ms // 1000

    def start(self, remote: Address) -> None:
        """Send to `remote` from now on, or turn to it when already sending.

        Args:
            remote: The address of the peer's RTP.
        """
        self.remote = remote
        if self._timer is None and not self._closed:
            self._due = time.monotonic()
            self._timer = reactor().call_at(self._due, self._tick)

    def say(self, samples: Samples) -> float:
        """Queue sound behind what is queued.

        Args:
            samples: int16, 8 kHz; padded to whole packets.

        Returns:
            `time.monotonic()` at which its first sample goes out at the earliest [s].
        """
        step = self.samples_per_frame
        padded = np.zeros(-(-samples.size // step) * step, dtype=np.int16)
        padded[: samples.size] = samples
        with self._lock:
            start = self._next_free()
            self._frames.extend(_Frame(samples=part) for part in padded.reshape(-1, step))
        return start

    def press(self, keys: str, how: Digits | None = None) -> float:
        """Queue keys as telephone-events behind what is queued.

        Args:
            keys: Of `0123456789*#ABCD`.
            how: Lengths and faults.

        Returns:
            `time.monotonic()` at which the last key's first packet goes out at the earliest [s].
        """
        how = how or Digits()
        if self.event_type is None:
            message = "this phone negotiated no telephone-event: use say(dtmf_tones(...))"
            raise ValueError(message)
        began = 0.0
        with self._lock:
            for key in keys:
                began = self._next_free()
                self._frames.extend(self._event(key, how))
        return began

    def quiet(self, seconds: float) -> None:
        """Queue a stretch in which `silence` decides what goes out.

        Args:
            seconds: How long [s].
        """
        with self._lock:
            self._frames.extend(_Frame() for _ in range(round(seconds * 1000 / self.ptime_ms)))

    def burst(self, count: int) -> None:
        """Send the next `count` packets at once, ahead of their time.

        Args:
            count: How many.
        """
        for _ in range(count):
            self._send_next()

    @property
    def busy(self) -> bool:
        """Whether anything queued has not gone out yet."""
        return bool(self._frames)

    def drain(self, timeout: float = 60.0) -> None:
        """Wait until everything queued has gone out.

        Args:
            timeout: After which it is an error [s].
        """
        deadline = time.monotonic() + timeout
        while self._frames:
            if time.monotonic() > deadline:
                message = f"{len(self._frames)} packets still queued after {timeout} s"
                raise TimeoutError(message)
            time.sleep(0.01)

    def send_raw(self, data: bytes, *, to: Address | None = None) -> None:
        """Send bytes as they are from the RTP socket.

        Args:
            data: The datagram.
            to: Where, when not to the peer.
        """
        target = to or self.remote
        if target is not None:
            try:
                self.rtp.sendto(data, target)
            except (BlockingIOError, ConnectionError):
                return
            except OSError:
                if self._closed:
                    return  # by the test, while this packet was made
                raise
            self.sent += 1

    def _next_free(self) -> float:
        """Return when what is queued next goes out, at the earliest: what is late is caught up."""
        return max(self._due + len(self._frames) * self.ptime_ms / 1000, time.monotonic())

    def _event(self, key: str, how: Digits) -> list[_Frame]:
        step = self.samples_per_frame
        event = _KEYS.index(key)
        frames: list[_Frame] = []
        if how.leak_ms:
            from tests.support.signals import dtmf_tones  # noqa: PLC0415 - only for this fault

            leak = dtmf_tones(key, on_ms=how.leak_ms, off_ms=0)
            frames += [_Frame(samples=part) for part in leak.reshape(-1, step)]
        count = max(1, how.on_ms // self.ptime_ms)
        for index in range(count):
            frame = _Frame()
            payload = struct.pack("!BBH", event, 10, (index + 1) * step)
            if index >= how.first_lost:
                marker = how.markers and index == 0
                frame.packets.append((self.event_type or 0, payload, marker, -index * step))
            frames.append(frame)
        # The E bit goes with the last duration; its retransmissions follow on the grid.
        for extra in range(how.ends):
            payload = struct.pack("!BBH", event, 0x80 | 10, count * step)
            frame = _Frame()
            frame.packets.append((self.event_type or 0, payload, False, -(count + extra) * step))
            frames.append(frame)
        lost_ends = 3 - how.ends if how.ends < 3 else 0
        frames += [_Frame(packets=[(-1, b"", False, 0)]) for _ in range(lost_ends)]
        quiet = np.zeros(step, dtype=np.int16)
        pause = max(0, how.off_ms // self.ptime_ms)
        frames += [_Frame(samples=quiet) for _ in range(pause)]
        return frames

    def _tick(self) -> None:
        if self._closed:
            return
        self._send_next()
        behind = time.monotonic() - self._due
        if behind > _CATCH_UP * self.ptime_ms / 1000:
            self._due += behind
        self._timer = reactor().call_at(self._due, self._tick)

    def _send_next(self) -> None:
        with self._lock:
            frame = self._frames.popleft() if self._frames else None
            self._due += self.ptime_ms / 1000
        step = self.samples_per_frame
        packets: list[Packet] = []
        if frame is not None and frame.packets:
            for payload_type, payload, marker, offset in frame.packets:
                if payload_type >= 0:
                    packets.append(self._packet(payload_type, payload, marker, offset))
            self._talking = False
        elif frame is not None and frame.samples is not None:
            payload = g711.encode(frame.samples, self.payload_type)
            packets.append(self._packet(self.payload_type, payload, not self._talking, 0))
            self._talking = True
        elif self.silence == "send":
            payload = g711.encode(np.zeros(step, dtype=np.int16), self.payload_type)
            packets.append(self._packet(self.payload_type, payload, not self._talking, 0))
            self._talking = True
        else:
            if self.silence == "noise" and self._talking:
                packets.append(self._packet(_COMFORT_NOISE, bytes([70]), marker=False, offset=0))
            self._talking = False
        self.timestamp = (self.timestamp + step) & 0xFFFFFFFF
        if not self.sending:
            return
        for packet in packets:
            for out in self.fault(packet) if self.fault is not None else (packet,):
                self.send_raw(out.pack() if isinstance(out, Packet) else out)

    def _packet(self, payload_type: int, payload: bytes, marker: bool, offset: int) -> Packet:  # noqa: FBT001 - a header bit
        packet = Packet(
            payload_type,
            self.sequence,
            (self.timestamp + offset) & 0xFFFFFFFF,
            self.ssrc,
            payload,
            marker,
        )
        self.sequence = (self.sequence + 1) & 0xFFFF
        return packet

    # -- hearing ------------------------------------------------------------------------------

    def _read_rtp(self) -> None:
        while True:
            try:
                data = self.rtp.recv(2048)
            except BlockingIOError:
                return
            except OSError:
                if self.rtp.fileno() < 0:
                    return  # closed meanwhile by the test; it was ready before
                continue
            packet = Packet.parse(data)
            if packet is not None:
                self.arrived.append(Arrived(time.monotonic(), packet))

    def _read_rtcp(self) -> None:
        while True:
            try:
                self.rtcp_arrived.append((time.monotonic(), self.rtcp.recv(2048)))
            except BlockingIOError:
                return
            except OSError:
                if self.rtcp.fileno() < 0:
                    return
                continue

    def recording(self, since: float = 0.0, until: float = float("inf")) -> Recording:
        """Rebuild what was heard between two arrival times.

        The packets of each run (one SSRC, no leap of the time stamp against the clock) are placed
        by their time stamps, the first sample at the earliest time any packet allows (the least
        delayed one), so that the recording shows the peer's clock and not the jitter of a busy
        test machine.

        Args:
            since: Packets that arrived before this are left out (`time.monotonic()` [s]).
            until: Packets that arrived after this are left out.

        Returns:
            The recording; empty where nothing came.
        """
        taken = [
            item
            for item in list(self.arrived)
            if since <= item.at <= until and item.packet.payload_type in {g711.PCMU, g711.PCMA}
        ]
        if not taken:
            nothing = np.zeros(0, dtype=np.int16)
            return Recording(nothing, max(since, 0.0), np.zeros(0, dtype=np.bool_))
        placed = [pair for run in _runs(taken) for pair in _place(run)]
        started = min(at for at, _ in placed)
        last = max(at + len(packet.payload) / RATE for at, packet in placed)
        size = round((last - started) * RATE) + 1
        samples = np.zeros(size, dtype=np.int16)
        received = np.zeros(size, dtype=np.bool_)
        for at, packet in placed:
            place = round((at - started) * RATE)
            sound = g711.decode(packet.payload, packet.payload_type)[: size - place]
            samples[place : place + sound.size] = sound
            received[place : place + sound.size] = True
        return Recording(samples, started, received)

    def close(self) -> None:
        """Close the sockets and stop sending."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for sock in (self.rtp, self.rtcp):
            reactor().remove(sock)
            sock.close()
