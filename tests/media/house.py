"""A house on real sockets: innocents in two conferences, and one leg that sends what a test likes.

Everything goes over loopback, but time is the test's: a tick is made when all that was sent before
it has arrived.
"""

import contextlib
import os
import socket
from collections.abc import Callable, Iterable
from typing import Final, Literal, Self

import msgspec
import numpy as np

from bridge.media.latching import Source
from bridge.media.messages import (
    CloseLeg,
    Codec,
    Command,
    LegMedia,
    OpenLeg,
    Place,
    SharePort,
)
from bridge.media.ports import MediaPair, open_pair
from tests.media.engine import PCM, Engine, Sender, find, loud, read
from tests.support import g711

__all__ = ["EVENTS", "FUZZED", "HOST", "FarEnd", "House", "Transport"]

Transport = Literal["own", "shared"]

HOST: Final = "127.0.0.1"
EVENTS: Final = 101
"""Payload type of telephone events (RFC 4733)."""

FUZZED: Final = 5
"""The leg that sends what it likes; it is in room 1."""

ROOMS: Final = {1: 1, 2: 1, 3: 2, 4: 2, FUZZED: 1}
TAIL: Final = 5
"""Ticks of silence behind what is said, until all has been played."""

_PATIENCE_S: Final = 10.0
_NUMBERS: Final[dict[Codec, int]] = {"PCMU": 0, "PCMA": 8, "G722": 9}
_LONGEST: Final = 2048


class FarEnd:
    """A telephone: its sockets, the stream that it sends, the packets that it was sent."""

    def __init__(self, leg: int, codec: Codec = "PCMU") -> None:
        self.rtp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.rtcp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for sock in (self.rtp, self.rtcp):
            sock.bind((HOST, 0))
            sock.settimeout(0)
        self.leg = leg
        self.codec: Codec = codec
        self.sender = Sender(_NUMBERS[codec], ssrc=0x0100_0000 + leg)
        self.to: Source = (HOST, 0)
        self.to_rtcp: Source = (HOST, 0)
        self.payloads: list[bytes] = []

    @property
    def media(self) -> LegMedia:
        """What was negotiated with it."""
        return LegMedia(
            codec=self.codec,
            payload_type=_NUMBERS[self.codec],
            dtmf_payload_type=EVENTS,
            remote_rtp=(HOST, int(self.rtp.getsockname()[1])),
            remote_rtcp=(HOST, int(self.rtcp.getsockname()[1])),
        )

    def send(self, data: bytes) -> None:
        """Send a datagram to where the leg's RTP goes."""
        self.rtp.sendto(data, self.to)

    def send_rtcp(self, data: bytes) -> None:
        """Send a datagram to where the leg's RTCP goes."""
        self.rtcp.sendto(data, self.to_rtcp)

    def listen(self) -> None:
        """Keep what came."""
        with contextlib.suppress(BlockingIOError, OSError):
            while True:
                self.payloads.append(read(self.rtp.recv(_LONGEST)).payload)
        with contextlib.suppress(BlockingIOError, OSError):
            while True:
                self.rtcp.recv(_LONGEST)

    @property
    def heard(self) -> PCM:
        """What was sent to it, decoded; of G.711 only."""
        return g711.decode(b"".join(self.payloads), _NUMBERS[self.codec])

    def close(self) -> None:
        """Hang up."""
        self.rtp.close()
        self.rtcp.close()


class House:
    """An engine on real sockets and its telephones.

    Args:
        transport: sockets of their own for all legs, or ports that they share.
        codec: of the leg that is fuzzed; the others speak PCMU.
        muted: nobody hears that leg.
        ports: shared ones; the fuzzed leg is on the last of them.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        codec: Codec = "PCMU",
        muted: bool = False,
        ports: int = 1,
    ) -> None:
        self.engine = Engine(capacity=8, sockets=True)
        self.transport = transport
        self._pairs: dict[int, MediaPair] = {}
        self._barrier = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._barrier.bind((HOST, 0))
        self._barrier.settimeout(_PATIENCE_S)
        if transport == "shared":
            for port in range(ports):
                pair = self._pairs[-1 - port] = open_pair(HOST, 30_000, 39_999)
                self.command(SharePort(port=port), *pair.descriptors)
        self.far = {leg: FarEnd(leg, codec if leg == FUZZED else "PCMU") for leg in ROOMS}
        for leg in ROOMS:
            self.open(leg, port=ports - 1 if leg == FUZZED else 0, muted=muted and leg == FUZZED)
        self.fuzzed = self.far[FUZZED]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.close()
        if kind is None:
            assert self.engine.counters.stage_faults == 0, self.engine.events

    def command(self, command: Command, *descriptors: int) -> None:
        """Say something to the engine, which hears it at the next tick."""
        socket.send_fds(self.engine._ours, [msgspec.msgpack.encode(command)], list(descriptors))

    def open(self, leg: int, *, port: int = 0, muted: bool = False) -> None:
        """Open a leg for its far end, and put it into its room."""
        far = self.far[leg]
        opened = OpenLeg(leg=leg, media=far.media, ssrc=leg, cname="c", sequence=7, timestamp=800)
        if self.transport == "own":
            pair = self._pairs[leg] = open_pair(HOST, 30_000, 39_999)
            self.command(opened, *pair.descriptors)
        else:
            pair = self._pairs[-1 - port]
            self.command(msgspec.structs.replace(opened, shared_port=port))
        far.to, far.to_rtcp = (HOST, pair.port), (HOST, pair.port + 1)
        self.command(Place(leg=leg, room=ROOMS.get(leg, 1), speaks=not muted))

    def hang_up(self, leg: int) -> None:
        """Close a leg and its far end."""
        self.command(CloseLeg(leg=leg))
        self.far.pop(leg).close()
        pair = self._pairs.pop(leg, None)
        if pair is not None:
            pair.close()

    def tick(self) -> None:
        """Make a tick when all that was sent has arrived; keep what it sends."""
        self._arrive()
        self.engine.run()
        self._arrive()
        for far in self.far.values():
            far.listen()

    def _arrive(self) -> None:
        """Wait until what this thread has sent lies in the sockets it was sent to."""
        self._barrier.sendto(b"", self._barrier.getsockname())
        self._barrier.recv(1)

    def talk(
        self,
        ticks: int,
        before: Callable[[int], None],
        *,
        talkers: Iterable[int] = (1, 2, 3, 4),
    ) -> dict[int, PCM]:
        """Let legs say noise, each its own; return it, `(ticks * 160,)` by leg.

        Args:
            ticks: how many they talk for.
            before: what else happens before each tick.
            talkers: the legs; their rooms hear them to the sample.
        """
        said = {leg: loud(leg, ticks, peak=8000) for leg in talkers}
        for number in range(ticks + TAIL):
            for leg, sound in said.items():
                frame = sound[number] if number < ticks else np.zeros(160, np.int16)
                self.far[leg].send(self.far[leg].sender.say(frame).pack())
            if number < ticks:
                before(number)
            self.tick()
        return {leg: sound.reshape(-1) for leg, sound in said.items()}

    def hears(self, listener: int, said: PCM) -> bool:
        """Say whether a leg has heard a sound, to the sample and without anything else."""
        return find(self.far[listener].heard, said) >= 0

    def count(self, name: str, leg: int = FUZZED) -> int:
        """Return one of a leg's counters."""
        return self.engine.state.leg_counters.of(self.engine.row(leg))[name]

    def close(self) -> None:
        """Hang everybody up and close every socket."""
        state = self.engine.state
        for far in self.far.values():
            far.close()
        for row in list(state.legs.row_of.values()):
            state.transport.close(row)
        for pair in self._pairs.values():
            pair.close()
        self._barrier.close()
        for descriptor in self._left_open():
            os.close(descriptor)
        self.engine.close()

    def _left_open(self) -> list[int]:
        """Take what the transports hold until their process ends."""
        transport = self.engine.state.transport
        own, shared = transport._own, transport._shared  # type: ignore[attr-defined]
        for epoll in (own._connected, own._judged, own._rtcp):
            epoll.close()
        ports = [port for port in shared._ports if port is not None]
        return [sock.detach() for port in ports for sock in (port.rtp, port.rtcp)]
