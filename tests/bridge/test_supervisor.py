"""The media process, looked after: real processes, real sockets, real kills."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import pytest

from bridge import supervisor as supervising
from bridge.media.messages import (
    Command,
    Configure,
    DigitInfo,
    DigitPressed,
    EngineError,
    Event,
    Heartbeat,
    LegClosed,
    LegMedia,
    OpenLeg,
    OpenLegs,
    Place,
    Play,
    PlayFinished,
    StopPlay,
)
from bridge.media.name_messages import NameRecorded, RecordName, StopName
from bridge.media.names_area import NamesArea
from bridge.media.ports import open_pair
from bridge.media_process import MediaProcess
from bridge.supervisor import MediaSupervisor
from tests.media.engine import Rtp, read
from tests.support import g711

PATIENCE_S = 15.0
"""For anything awaited here; these machines are shared."""

E = TypeVar("E")

BANK = (8000 * np.sin(np.arange(8000) * 2 * np.pi * 440 / 8000)).astype(np.int16)


@dataclass
class House:
    """A supervisor and what it said."""

    events: list[Event] = field(default_factory=list)
    phones: list[Phone] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    options: Configure = field(default_factory=Configure)
    processes: int = 1
    supervisor: MediaSupervisor = field(init=False)

    def __post_init__(self) -> None:
        """Make the supervisor; nothing runs yet."""
        self.supervisor = MediaSupervisor(
            BANK,
            self.events.append,
            self.failures.append,
            self.options,
            processes=self.processes,
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

    def heard(self, kind: type[E]) -> list[E]:
        """Return the events of a kind."""
        return [event for event in self.events if isinstance(event, kind)]

    def kill(self, number: int = signal.SIGKILL, post: int = 0) -> int:
        """Send a post's process a signal and return who it was."""
        pid = self.supervisor.pids[post]
        os.kill(pid, number)
        return pid


class Phone:
    """A socket that takes what the bridge sends, and can send packets and keys itself."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(0.0)
        self.sequence = 1000
        self.heard: list[Rtp] = []

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

    def listen(self) -> list[Rtp]:
        """Return the packets that have come since the last call, and keep them."""
        came = [read(data) for data in self.drain()]
        self.heard += came
        return came

    def hears(self, count: int) -> bool:
        """Say whether so many packets with a sound have come in all."""
        self.listen()
        return loud(self.heard) >= count

    def goes_on(self, count: int) -> Callable[[], bool]:
        """Return what says whether so many packets more than now have come."""
        self.listen()
        wanted = len(self.heard) + count
        return lambda: self.listen() is not None and len(self.heard) >= wanted

    def say(self, to: int, count: int = 1) -> None:
        """Send packets of a tone that fits the bank's."""
        for _ in range(count):
            at = self.sequence * 160
            sound = (6000 * np.sin(np.arange(at, at + 160) * 2 * np.pi * 500 / 8000)).astype(
                np.int16
            )
            packet = Rtp(self.sequence, at, g711.encode(sound, g711.PCMU), ssrc=77)
            self.socket.sendto(packet.pack(), ("127.0.0.1", to))
            self.sequence += 1

    def press(self, key: int, to: int) -> None:
        """Send a key by RFC 4733: two packets of the event and its end three times."""
        stamp = self.sequence * 160
        for packet, (end, duration) in enumerate([(0, 160), (0, 320)] + [(1, 480)] * 3):
            header = bytes([0x80, 101 | (0x80 if packet == 0 else 0)])
            header += self.sequence.to_bytes(2, "big") + stamp.to_bytes(4, "big")
            body = bytes([key, end << 7 | 10]) + duration.to_bytes(2, "big")
            self.socket.sendto(header + (77).to_bytes(4, "big") + body, ("127.0.0.1", to))
            self.sequence += 1


def perform(
    scene: Callable[[House], Awaitable[None]],
    options: Configure | None = None,
    *,
    processes: int = 1,
    names: NamesArea | None = None,
) -> None:
    """Run a scene with a started supervisor, and stop it whatever happens."""

    async def run() -> None:
        house = House(options=options or Configure(), processes=processes)
        if names is not None:
            house.supervisor.use_names(names.descriptor)
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


def is_there(pid: int) -> bool:
    """Is there a process of this number, a zombie too?"""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def press_until_heard(house: House, phone: Phone, port: int) -> None:
    """Press a key, again if need be: the first may fall into the gap of the replacement."""
    async with asyncio.timeout(PATIENCE_S):
        while not house.heard(DigitPressed):
            phone.press(5, port)
            await asyncio.sleep(0.5)


def follows(packets: list[Rtp], most_missing: int = 1) -> None:
    """Hold that packets are one stream: one source, numbers in order, a clock that runs on."""
    assert len({packet.ssrc for packet in packets}) == 1
    for one, two in itertools.pairwise(packets):
        assert 1 <= (two.sequence - one.sequence) & 0xFFFF <= 1 + most_missing
        passed = (two.timestamp - one.timestamp) & 0xFFFF_FFFF
        assert passed >= 160
        assert passed % 160 == 0
        # Where time leapt the marker says so.
        assert passed == 160 or two.marker


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_process_that_dies_or_hangs_is_replaced_by_the_spare_and_its_calls_go_on(
    number: int,
) -> None:
    """The same stream goes on from the same port, with the same sound, and keys are heard."""

    async def scene(house: House) -> None:
        supervisor, phone = house.supervisor, house.phone()
        port = open_leg(house, 1, phone)
        supervisor.send(Place(leg=1, room=9))
        supervisor.send(Play(play=5, clips=[(0, 8000)], leg=1, loop=True, mode="mix"))
        await house.until(lambda: supervisor.spares)
        assert len(phone.listen()) > 2
        (spare,) = supervisor.spares
        first = house.kill(number)
        await house.until(lambda: supervisor.pid == spare)
        await house.until(phone.goes_on(20))
        assert not is_there(first)
        follows(phone.heard)
        assert sound_of(phone.heard[-1]) > 5000
        await press_until_heard(house, phone, port)
        assert supervisor.replaced == 1
        assert supervisor.legs == 1
        assert house.failures == []
        await house.until(lambda: supervisor.spares not in ([], [spare]))

    perform(scene)


def sound_of(packet: Rtp) -> int:
    """Return the loudest sample of a packet."""
    return int(np.abs(g711.decode(packet.payload, g711.PCMU).astype(int)).max())


def test_who_talks_is_heard_by_the_others_and_mute_stays_mute_after_a_death() -> None:
    """Rooms, who speaks and who hears are as before."""

    async def scene(house: House) -> None:
        supervisor = house.supervisor
        talker, listener, mute = (house.phone() for _ in range(3))
        ports = [
            open_leg(house, leg, each) for leg, each in ((1, talker), (2, listener), (3, mute))
        ]
        for leg in (1, 2, 3):
            supervisor.send(Place(leg=leg, room=9, speaks=leg != 3))
        await house.until(lambda: supervisor.spares)
        house.kill()
        await house.until(lambda: supervisor.replaced)
        heard = dict.fromkeys((talker, listener, mute), 0)
        for _ in range(60):
            talker.say(ports[0])
            mute.say(ports[2])
            await asyncio.sleep(0.02)
            for phone in heard:
                heard[phone] = max([heard[phone], *map(sound_of, phone.listen())])
        assert heard[listener] > 1000
        assert heard[mute] > 1000
        assert heard[talker] < 100

    perform(scene)


def test_a_prompt_that_a_dead_process_was_saying_goes_on_and_ends_once() -> None:
    """It is not begun again: what is heard of it in all is hardly longer than the prompt."""

    async def scene(house: House) -> None:
        phone = house.phone()
        open_leg(house, 1, phone)
        await house.until(lambda: house.supervisor.spares)
        house.supervisor.send(Play(play=5, clips=[(0, 8000)] * 3, leg=1))
        await house.until(lambda: phone.hears(75))
        house.kill()
        await house.until(lambda: house.heard(PlayFinished))
        phone.listen()
        assert [(e.play, e.completed) for e in house.heard(PlayFinished)] == [(5, True)]
        assert 140 < loud(phone.heard) <= 152

    perform(scene)


def loud(packets: list[Rtp]) -> int:
    """Count the packets in which something is to be heard."""
    return sum(sound_of(packet) > 1000 for packet in packets)


def test_a_leg_that_was_closing_when_its_process_died_is_reported_closed() -> None:
    """A call detail record never waits for a process that is dead."""

    async def scene(house: House) -> None:
        open_leg(house, 1, house.phone())
        house.kill(signal.SIGSTOP)
        house.supervisor.closing(1)
        house.kill()
        await house.until(lambda: house.heard(LegClosed))
        assert house.supervisor.legs == 0

    perform(scene)


def test_a_successor_is_told_with_each_part_of_its_legs_how_many_follow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It waits for them, so that it ticks for all at once; those of one message come alone."""
    monkeypatch.setattr(supervising, "HANDED_AT_ONCE", 2)
    told: list[tuple[int, int]] = []
    send = MediaProcess.send

    def listen(process: MediaProcess, command: Command, fds: tuple[int, ...] = ()) -> None:
        if isinstance(command, OpenLegs):
            told.append((len(command.legs), command.more))
        send(process, command, fds)

    monkeypatch.setattr(MediaProcess, "send", listen)

    async def scene(house: House) -> None:
        phones = [house.phone() for _ in range(5)]
        for leg, phone in enumerate(phones, 1):
            open_leg(house, leg, phone)
        await house.until(lambda: house.supervisor.spares)
        house.kill()
        await house.until(lambda: house.supervisor.replaced)
        for phone in phones:
            await house.until(phone.goes_on(10))
        assert told == [(2, 3), (2, 1), (1, 0)]

    perform(scene)


def test_legs_of_a_process_that_dies_without_a_spare_wait_for_the_next() -> None:
    """Two deaths within a moment lose nobody either."""

    async def scene(house: House) -> None:
        supervisor, phone = house.supervisor, house.phone()
        open_leg(house, 1, phone)
        await house.until(lambda: supervisor.spares)
        phone.listen()
        (spare,) = supervisor.spares
        os.kill(spare, signal.SIGKILL)
        house.kill()
        await house.until(lambda: supervisor.pid not in {None, spare} and supervisor.replaced)
        await house.until(phone.goes_on(20))
        follows(phone.heard)
        assert supervisor.legs == 1

    perform(scene)


def test_a_leg_moves_to_its_conference_and_nobody_can_tell() -> None:
    """Two processes: who meets is in one, the stream has no gap, keys and music come along."""

    async def scene(house: House) -> None:
        supervisor = house.supervisor
        one, two = house.phone(), house.phone()
        ports = open_leg(house, 1, one), open_leg(house, 2, two)
        supervisor.send(Play(play=5, clips=[(0, 8000)], leg=2, loop=True))
        await house.until(lambda: two.hears(10))
        assert [len(post.legs) for post in supervisor._posts] == [1, 1]
        supervisor.send(Place(leg=1, room=9))
        supervisor.send(Place(leg=2, room=9))
        supervisor.send(DigitInfo(leg=2, digit="7"))
        await house.until(lambda: house.heard(DigitPressed))
        report = await supervisor.report()
        assert [each["legs"] for each in report["processes"]] == [2, 0]
        assert [each["rooms"] for each in report["processes"]] == [1, 0]
        await house.until(two.goes_on(20))
        follows(two.heard, most_missing=0)
        supervisor.send(StopPlay(leg=2, play=5))
        heard: list[Rtp] = []
        for _ in range(40):
            one.say(ports[0])
            await asyncio.sleep(0.02)
            heard += two.listen()
        assert loud(heard[-20:]) > 5
        assert house.failures == []
        assert [event.play for event in house.heard(PlayFinished)] == [5]
        supervisor.closing(2)
        await house.until(lambda: house.heard(LegClosed))
        assert house.heard(LegClosed)[0].statistics.packets_tx >= len(two.heard)
        assert ports[1] > 0

    perform(scene, processes=2)


@pytest.mark.parametrize("dies", [0, 1])
def test_a_leg_whose_process_dies_as_it_moves_arrives(dies: int) -> None:
    """Whichever of the two: where it came from, or where it goes."""

    async def scene(house: House) -> None:
        supervisor = house.supervisor
        one, two = house.phone(), house.phone()
        open_leg(house, 1, one)
        open_leg(house, 2, two)
        await house.until(lambda: supervisor.spares)
        two.listen()
        supervisor.send(Place(leg=1, room=9))
        # Leg 2 is at post 1 and goes to post 0.
        house.kill(signal.SIGSTOP, post=1 - dies)
        supervisor.send(Place(leg=2, room=9))
        await asyncio.sleep(0.05)
        house.kill(post=1 - dies)
        await house.until(lambda: supervisor.replaced)
        await house.until(two.goes_on(20))
        follows(two.heard)
        report = await supervisor.report()
        # At which of the posts the room began depends on how busy they were.
        assert sorted(each["legs"] for each in report["processes"]) == [0, 2]
        assert house.failures == []

    perform(scene, processes=2)


def test_a_leg_that_is_closed_while_it_moves_is_closed_where_it_arrives() -> None:
    """Its record is complete, its sockets are gone."""

    async def scene(house: House) -> None:
        supervisor = house.supervisor
        open_leg(house, 1, house.phone())
        open_leg(house, 2, house.phone())
        for phone in house.phones:
            await house.until(phone.drain)
        supervisor.send(Place(leg=1, room=9))
        supervisor.send(Place(leg=2, room=9))
        supervisor.closing(2)
        await house.until(lambda: house.heard(LegClosed))
        (closed,) = house.heard(LegClosed)
        assert closed.leg == 2
        assert closed.statistics.packets_tx > 0
        assert supervisor.legs == 1
        assert [len(post.legs) for post in supervisor._posts] == [1, 0]

    perform(scene, processes=2)


def test_a_process_that_leaks_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """At its limit, before the machine has no memory left."""
    sizes: dict[int, int] = {}
    monkeypatch.setattr("bridge.media_process.memory_of", lambda pid: sizes.get(pid, 0))

    async def scene(house: House) -> None:
        open_leg(house, 1, house.phone())
        await house.until(lambda: house.supervisor.spares)
        leaking = house.supervisor.pid
        assert leaking is not None
        sizes[leaking] = (1024 << 20) + 1
        await house.until(lambda: house.supervisor.pid not in {None, leaking})
        assert house.supervisor.legs == 1
        assert house.failures == []

    perform(scene)


def test_a_fork_server_that_is_killed_costs_no_leg() -> None:
    """Who was forked goes on and is replaced by its spare; the next spare has another server."""

    async def scene(house: House) -> None:
        supervisor = house.supervisor
        phone = house.phone()
        open_leg(house, 1, phone)
        supervisor.send(Play(play=7, clips=[(0, 8000)], loop=True, leg=1))
        await house.until(lambda: supervisor.spares and phone.hears(5))
        server, (post,), (spare,) = supervisor.forks.pid, supervisor.pids, supervisor.spares
        assert server is not None
        os.kill(server, signal.SIGKILL)
        await house.until(phone.goes_on(10))
        assert (supervisor.pids, supervisor.spares) == ([post], [spare])
        house.kill()
        await house.until(lambda: supervisor.pid == spare)
        await house.until(phone.goes_on(10))
        await house.until(lambda: supervisor.spares)
        assert supervisor.forks.pid not in {server, None}
        assert (supervisor.legs, supervisor.replaced) == (1, 1)
        assert {packet.ssrc for packet in phone.heard} == {1}
        assert not is_there(server)
        assert not is_there(post)

    perform(scene)


def test_processes_that_die_at_once_again_and_again_are_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The bridge says so, once, rather than burn a core for ever."""
    monkeypatch.setattr(supervising, "SPARE_DELAY_S", 0.01)

    async def scene(house: House) -> None:
        killed: set[int] = set()

        def kill_all() -> bool:
            for process in house.supervisor._processes():
                if process.ready and process.pid not in killed:
                    killed.add(process.pid)
                    os.kill(process.pid, signal.SIGKILL)
            return bool(house.failures)

        await house.until(kill_all)
        await asyncio.sleep(0.1)
        assert len(house.failures) == 1

    perform(scene)


def test_what_is_said_to_a_room_goes_to_its_process_and_is_said_again_after_a_death() -> None:
    """To a room where nobody is, it is over at once."""

    async def scene(house: House) -> None:
        supervisor, phone = house.supervisor, house.phone()
        supervisor.send(Play(play=4, clips=[(0, 800)], room=9))
        assert [(e.play, e.room, e.completed) for e in house.heard(PlayFinished)] == [(4, 9, False)]
        open_leg(house, 1, phone)
        supervisor.send(Place(leg=1, room=9))
        await house.until(lambda: supervisor.spares)
        supervisor.send(Play(play=5, clips=[(0, 8000)] * 5, room=9))
        await house.until(lambda: phone.hears(5))
        house.kill()
        await house.until(lambda: supervisor.replaced)
        phone.listen()
        phone.heard.clear()
        await house.until(lambda: phone.hears(5))
        supervisor.send(StopPlay(room=9, play=5))
        await house.until(lambda: len(house.heard(PlayFinished)) == 2)

    perform(scene)


def test_every_process_is_told_the_options_of_the_engine() -> None:
    """Each answers an option that it cannot take, so each was told: who holds a post, the spare."""

    async def scene(house: House) -> None:
        await house.until(lambda: len(house.heard(EngineError)) == 2)
        house.kill()
        await house.until(lambda: len(house.heard(EngineError)) == 3)
        assert all("target_dbov" in event.what for event in house.heard(EngineError))

    perform(scene, Configure(target_dbov=0.0))


def test_the_machine_has_no_room_when_its_processes_have_none() -> None:
    """One of two is full: the other takes calls, unless the full one is near its deadline."""
    house = House(processes=2)
    one, two = house.supervisor._posts
    assert not house.supervisor.overloaded
    for post, p95, expected in ((one, 14.5, False), (two, 14.5, True)):
        for _ in range(5):
            post.beat = Heartbeat(50, 9.0, p95, 20.0, 0, 0, 900, 0, 0)
            post.busy.take(p95)
        assert house.supervisor.overloaded is expected
    for _ in range(5):
        two.busy.take(1.0)
    assert not house.supervisor.overloaded
    one.beat = Heartbeat(50, 16.0, 17.5, 20.0, 0, 0, 900, 0, 0)
    assert house.supervisor.overloaded


def test_a_name_is_played_by_the_process_that_comes_after_the_one_that_recorded_it() -> None:
    """It lies in memory that all processes share; a recording that one died over is not answered.

    What such a recording leaves behind is for control to erase.
    """
    area = NamesArea()

    async def say_a_name(house: House, phone: Phone, port: int, slot: int) -> None:
        house.supervisor.send(RecordName(leg=1, slot=slot))
        for _ in range(40):
            phone.say(port)
            await asyncio.sleep(0.02)

    async def scene(house: House) -> None:
        phone = house.phone()
        port = open_leg(house, 1, phone)
        await say_a_name(house, phone, port, 4)
        house.supervisor.send(StopName(leg=1))
        await house.until(lambda: house.heard(NameRecorded))
        (answer,) = house.heard(NameRecorded)
        assert (answer.slot, answer.seconds > 0.3) == (4, True)
        await say_a_name(house, phone, port, 5)
        first = house.kill()
        await house.until(lambda: house.supervisor.pid not in {first, None})
        assert len(house.heard(NameRecorded)) == 1
        assert area.read(5).any()
        area.erase(5)
        phone.heard.clear()
        clips = [(answer.start, answer.samples)]
        house.supervisor.send(Play(play=1, leg=1, clips=clips))
        await house.until(lambda: phone.hears(10))
        assert not area.read(5).any()

    perform(scene, names=area)
    area.close()
