"""Legs at two places while their media moves: heard at both, sent to from one, over loopback."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.media.messages import EngineError
from bridge.media.place_messages import AddPlace, DropPlace, PlaceAdded, TakePlace
from bridge.media.ports import open_pair
from tests.media.engine import Engine, read
from tests.media.test_shared_ports import HOST, Line, Phone

LOW, HIGH = 30_000, 39_999


def descriptors() -> int:
    """Return how many this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


class Moving(Line):
    """A line whose legs may have a second place."""

    def add_own(self, row: int, phone: Phone) -> int:
        """Hear a leg by sockets of its own too; return their port."""
        pair = open_pair(HOST, LOW, HIGH)
        self.own.append(pair)
        fds = [os.dup(pair.rtp.fileno()), os.dup(pair.rtcp.fileno())]
        self.transports.add_place(row, self.media(phone), fds, None)
        return pair.port

    def add_shared(self, row: int, phone: Phone, port: int = 0) -> int:
        """Hear a leg on a shared port too; return its number."""
        self.transports.add_place(row, self.media(phone), [], port)
        return self.ports[port]

    def came_from(self, phone: Phone) -> list[tuple[int, int]]:
        """Send in a tick; return the ports that a phone was sent from, with sequence numbers."""
        self.send()
        found: list[tuple[int, int]] = []
        phone.rtp.settimeout(0)
        while True:
            try:
                packet, source = phone.rtp.recvfrom(2000)
            except BlockingIOError:
                return found
            found.append((source[1], read(packet).sequence))


@pytest.fixture
def line() -> Iterator[Moving]:
    """Two shared ports and no leg."""
    made = Moving()
    yield made
    made.close()


def _numbers(came: list[tuple[int, int]]) -> list[int]:
    return [number for _, number in came]


def _move(line: Moving, kind: str, phone: Phone) -> tuple[int, int]:
    """Open a leg and give it a second place; return both ports."""
    first, second = kind.split(" to ")
    if first == "own":
        old = line.open_own(0, phone)
    else:
        line.open(0, phone)
        old = line.ports[0]
    new = line.add_own(0, phone) if second == "own" else line.add_shared(0, phone)
    return old, new


@pytest.mark.parametrize("kind", ["own to shared", "shared to own", "own to own"])
def test_a_leg_with_two_places_is_heard_at_both_and_sent_to_from_one(
    line: Moving, kind: str
) -> None:
    """Before it is taken, after it, and after the other one was dropped: the same stream."""
    phone = line.phone()
    old, new = _move(line, kind, phone)
    for port in (old, new):
        phone.send(port, 2)
    assert sorted(line.receive()) == [(0, 100), (0, 101), (0, 102), (0, 103)]
    assert line.came_from(phone) == [(old, 7)]

    line.transports.take_place(0)
    for port in (new, old):
        phone.send(port)
    assert sorted(line.receive()) == [(0, 104), (0, 105)]
    assert line.came_from(phone) == [(new, 8)]
    assert line.transports.has_second(0)

    line.transports.drop_place(0)
    phone.send(new)
    assert line.receive() == [(0, 106)]
    phone.send(old)
    assert line.receive() == []
    assert line.came_from(phone) == [(new, 9)]
    assert not line.transports.has_second(0)


@pytest.mark.parametrize("kind", ["own to shared", "shared to own", "own to own"])
def test_a_place_that_is_dropped_leaves_all_as_it_was(line: Moving, kind: str) -> None:
    """The move was refused: the leg goes on where it was."""
    phone = line.phone()
    old, new = _move(line, kind, phone)
    phone.send(new)
    assert _numbers(line.receive()) == [100]
    line.transports.drop_place(0)
    phone.send(old)
    phone.send(new)
    assert _numbers(line.receive()) == [101]
    assert line.came_from(phone) == [(old, 7)]
    line.transports.drop_place(0)
    phone.send(old)
    assert _numbers(line.receive()) == [103]


@pytest.mark.parametrize("kind", ["own to shared", "shared to own", "own to own"])
def test_closing_a_leg_leaves_both_places(line: Moving, kind: str) -> None:
    """Neither socket nor place is left behind."""
    before = descriptors()
    phone = line.phone()
    with_phone = descriptors() - before
    old, new = _move(line, kind, phone)
    line.transports.close(0)
    assert not line.transports.has_second(0)
    for port in (old, new):
        phone.send(port)
    assert line.receive() == []
    opened = len(line.own) * 2
    assert descriptors() - before == with_phone + opened


def test_rtcp_goes_by_the_place_that_is_sent_from(line: Moving) -> None:
    """And is taken at both."""
    phone = line.phone()
    _, new = _move(line, "own to shared", phone)
    own = line.own[0].port
    for port in (own, new):
        phone.rtcp.sendto(b"report", (HOST, port + 1))
    came = [(each.row, each.data) for each in line.transports.receive_rtcp()]
    assert came == [(0, b"report")] * 2
    for port in (own, new):
        line.transports.send_rtcp(0, b"ours")
        assert phone.rtcp.recvfrom(100)[1] == (HOST, port + 1)
        line.transports.take_place(0)


def test_media_that_moves_meanwhile_moves_at_both_places(line: Moving) -> None:
    """An offer of the far end's while ours waits for its answer."""
    phone, moved = line.phone(), line.phone()
    old, new = _move(line, "shared to own", phone)
    phone.send(new)
    assert _numbers(line.receive()) == [100]
    line.transports.change(0, line.media(moved))
    for port in (old, new):
        moved.send(port)
    assert len(line.receive()) == 2
    assert line.came_from(moved) == [(old, 7)]
    line.transports.take_place(0)
    assert line.came_from(moved) == [(new, 8)]


def test_there_is_no_third_place(line: Moving) -> None:
    """Nor a second shared port; what came with the wish is closed."""
    phone = line.phone()
    line.open(0, phone)
    with pytest.raises(OSError, match="exists"):
        line.add_shared(0, phone, 1)
    line.add_own(0, phone)
    left, right = socket.socketpair()
    with left, right, pytest.raises(OSError, match="exists"):
        line.transports.add_place(0, line.media(phone), [os.dup(left.fileno())], None)
    phone.send(line.ports[0])
    assert len(line.receive()) == 1


def test_a_place_that_is_none_is_refused(line: Moving) -> None:
    """A pipe is no socket, and there is no such port: the leg stays as it was."""
    phone = line.phone()
    port = line.open_own(0, phone)
    reading, writing = os.pipe()
    with pytest.raises(OSError, match="socket"):
        line.transports.add_place(0, line.media(phone), [reading, writing], None)
    with pytest.raises(OSError, match="no shared port"):
        line.transports.add_place(0, line.media(phone), [], 7)
    assert not line.transports.has_second(0)
    phone.send(port)
    assert len(line.receive()) == 1


def test_commands_add_take_and_drop_places() -> None:
    """Each second place is answered; what cannot be is told, and a leg unknown is counted."""
    with Engine() as engine:
        engine.open(1)
        engine.run()
        row = engine.row(1)
        wires = engine.state.transport
        engine.command(AddPlace(leg=1, shared_port=3))
        engine.command(AddPlace(leg=1), fds=2)
        engine.command(AddPlace(leg=9), fds=2)
        engine.run()
        assert engine.told(PlaceAdded) == [
            PlaceAdded(leg=1, heard=True),
            PlaceAdded(leg=1, heard=False),
            PlaceAdded(leg=9, heard=False),
        ]
        assert [error.leg for error in engine.told(EngineError)] == [1]
        engine.command(TakePlace(leg=1))
        engine.run()
        assert wires.has_second(row)
        engine.command(DropPlace(leg=1))
        engine.command(DropPlace(leg=1))
        engine.command(TakePlace(leg=1))
        engine.run()
        assert not wires.has_second(row)


def test_a_place_needs_its_two_sockets() -> None:
    """One is none; it is closed and counted."""
    with Engine() as engine:
        engine.open(1)
        engine.command(AddPlace(leg=1), fds=1)
        engine.run()
        assert engine.told(PlaceAdded) == [PlaceAdded(leg=1, heard=False)]
        assert engine.state.counters.descriptors_lost == 1
