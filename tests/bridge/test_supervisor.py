"""The media process, looked after: real processes, real sockets, real kills."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import numpy as np

from bridge.media.messages import (
    Configure,
    DigitPressed,
    EngineError,
    Event,
    Heartbeat,
    LegClosed,
    LegMedia,
    OpenLeg,
    Place,
    Play,
    PlayFinished,
)
from bridge.media.ports import open_pair
from bridge.supervisor import BUSY_BEATS, MediaSupervisor

PATIENCE_S = 15.0
"""For anything awaited here; these machines are shared."""

BANK = (8000 * np.sin(np.arange(8000) * 2 * np.pi * 440 / 8000)).astype(np.int16)


@dataclass
class House:
    """A supervisor and what it said."""

    events: list[Event] = field(default_factory=list)
    phones: list[Phone] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    options: Configure = field(default_factory=Configure)
    supervisor: MediaSupervisor = field(init=False)

    def __post_init__(self) -> None:
        """Make the supervisor; nothing runs yet."""
        self.supervisor = MediaSupervisor(
            BANK, self.events.append, self.failures.append, self.options
        )

    def phone(self) -> Phone:
        """Return a new phone; it is closed with the house."""
        self.phones.append(Phone())
        return self.phones[-1]

    async def until(self, holds: Callable[[], object]) -> None:
        """Wait until something holds; fail after a while."""
        async with asyncio.timeout(PATIENCE_S):
            while not holds():  # noqa: ASYNC110 - it is the state of another process
                await asyncio.sleep(0.01)

    def heard(self, kind: type[Event]) -> list[Event]:
        """Return the events of a kind."""
        return [event for event in self.events if isinstance(event, kind)]


class Phone:
    """A socket that takes what the bridge sends, and can send packets and keys itself."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(0.0)
        self.sequence = 1000

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        address, port = self.socket.getsockname()
        return address, port

    def drain(self) -> list[bytes]:
        """Return all packets that have come."""
        packets = []
        while True:
            try:
                packets.append(self.socket.recv(2048))
            except BlockingIOError:
                return packets

    def press(self, key: int, to: int) -> None:
        """Send a key by RFC 4733: two packets of the event and its end three times."""
        stamp = self.sequence * 160
        for packet, (end, duration) in enumerate([(0, 160), (0, 320)] + [(1, 480)] * 3):
            header = bytes([0x80, 101 | (0x80 if packet == 0 else 0)])
            header += self.sequence.to_bytes(2, "big") + stamp.to_bytes(4, "big")
            body = bytes([key, end << 7 | 10]) + duration.to_bytes(2, "big")
            self.socket.sendto(header + (77).to_bytes(4, "big") + body, ("127.0.0.1", to))
            self.sequence += 1


def perform(scene: Callable[[House], Awaitable[None]], options: Configure | None = None) -> None:
    """Run a scene with a started supervisor, and stop it whatever happens."""

    async def run() -> None:
        house = House(options=options or Configure())
        await house.supervisor.start()
        try:
            await scene(house)
        finally:
            await house.supervisor.stop()
            for phone in house.phones:
                phone.socket.close()

    asyncio.run(run())


def open_leg(house: House, leg: int, phone: Phone) -> int:
    """Open a leg towards a phone and return its port."""
    pair = open_pair("127.0.0.1", 20000, 29999)
    media = LegMedia(codec="PCMU", payload_type=0, dtmf_payload_type=101, remote_rtp=phone.address)
    house.supervisor.open_leg(OpenLeg(leg=leg, media=media, ssrc=leg, cname="test"), pair)
    return pair.port


def test_a_killed_media_process_is_replaced_and_its_calls_go_on() -> None:
    """After kill -9 the same leg is told the same things from the same port, keys are heard."""

    async def scene(house: House) -> None:
        supervisor, phone = house.supervisor, house.phone()
        port = open_leg(house, 1, phone)
        supervisor.send(Place(leg=1, room=9))
        supervisor.send(Play(play=5, clips=[(0, 8000)], leg=1, loop=True, mode="mix"))
        await house.until(phone.drain)
        first = supervisor.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await house.until(lambda: supervisor.pid not in {None, first})
        phone.drain()
        await house.until(lambda: any(len(set(packet[12:])) > 20 for packet in phone.drain()))
        await press_until_heard(house, phone, port)
        assert supervisor.replaced == 1
        assert supervisor.legs == 1
        assert house.failures == []

    perform(scene)


async def press_until_heard(house: House, phone: Phone, port: int) -> None:
    """Press a key, again if need be: the first may fall into the gap of the replacement."""
    async with asyncio.timeout(PATIENCE_S):
        while not house.heard(DigitPressed):
            phone.press(5, port)
            await asyncio.sleep(0.5)


def test_a_hanging_media_process_is_replaced() -> None:
    """A process that lives but ticks no more is killed, reaped and replaced."""

    async def scene(house: House) -> None:
        first = house.supervisor.pid
        assert first is not None
        os.kill(first, signal.SIGSTOP)
        await house.until(lambda: house.supervisor.replaced == 1)
        await house.until(lambda: not is_there(first))
        assert house.failures == []

    perform(scene)


def is_there(pid: int) -> bool:
    """Is there a process of this number, a zombie too?"""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_prompt_that_a_dead_process_was_saying_is_said_again_and_ends_once() -> None:
    """Nobody waits for ever for a play that died with its process."""

    async def scene(house: House) -> None:
        phone = house.phone()
        open_leg(house, 1, phone)
        house.supervisor.send(Play(play=5, clips=[(0, 8000)], leg=1))
        await house.until(phone.drain)
        first = house.supervisor.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await house.until(lambda: house.heard(PlayFinished))
        assert [event.play for event in house.heard(PlayFinished)] == [5]  # type: ignore[union-attr]

    perform(scene)


def test_a_leg_that_was_closing_when_its_process_died_is_reported_closed() -> None:
    """A call detail record never waits for a process that is dead."""

    async def scene(house: House) -> None:
        open_leg(house, 1, house.phone())
        first = house.supervisor.pid
        assert first is not None
        os.kill(first, signal.SIGSTOP)
        house.supervisor.closing(1)
        os.kill(first, signal.SIGKILL)
        await house.until(lambda: house.heard(LegClosed))
        assert house.supervisor.legs == 0

    perform(scene)


def test_a_successor_is_told_the_engines_options_too() -> None:
    """Each process answers an option that it cannot take, so each was told."""

    async def scene(house: House) -> None:
        await house.until(lambda: len(house.heard(EngineError)) == 1)
        first = house.supervisor.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await house.until(lambda: len(house.heard(EngineError)) == 2)
        assert all("target_dbov" in event.what for event in house.heard(EngineError))  # type: ignore[union-attr]

    perform(scene, Configure(target_dbov=0.0))


def test_overload_is_seconds_in_a_row_near_the_deadline_not_one_stumble() -> None:
    """One bad second refuses nobody."""
    house = House()
    bad = Heartbeat(50, 15.0, 17.0, 30.0, 0, 0, 900, 0, 0)
    good = Heartbeat(50, 5.0, 7.0, 19.0, 0, 0, 900, 0, 0)
    for beat in [bad] * (BUSY_BEATS - 1) + [good] + [bad] * (BUSY_BEATS - 1):
        house.supervisor.take(beat)
        assert not house.supervisor.overloaded
    house.supervisor.take(bad)
    assert house.supervisor.overloaded
    house.supervisor.take(good)
    assert not house.supervisor.overloaded
