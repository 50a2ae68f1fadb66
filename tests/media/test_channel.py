"""The control channel and the ports: bounded, in order, and without a lost descriptor."""

import contextlib
import os
import resource
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np
import pytest

from bridge.media.client import PACKET_OCTETS, MediaClient
from bridge.media.control import EVENT_LIMIT, ControlChannel
from bridge.media.counters import Counters
from bridge.media.errors import BankRejected, DescriptorsExhausted, PortsExhausted
from bridge.media.messages import (
    CloseLeg,
    DigitInfo,
    DigitPressed,
    MediaResumed,
    Play,
    Statistics,
)
from bridge.media.ports import LOWEST_DESCRIPTOR, MediaPair, open_pair

HOST = "127.0.0.1"
NO_PROCESS = cast("subprocess.Popen[bytes]", None)
"""Of a client that is asked nothing about its process."""


class Ends:
    """Both ends of a channel."""

    def __init__(self) -> None:
        self.counters = Counters()
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.channel = ControlChannel(theirs, self.counters)


@pytest.fixture
def ends() -> Iterator[Ends]:
    """A channel, closed afterwards."""
    ends = Ends()
    yield ends
    ends.control.close()
    ends.channel.close()


def open_descriptors() -> int:
    """Return how many descriptors this process has."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_commands_come_in_order_with_their_descriptors(ends: Ends) -> None:
    """Each descriptor is a copy that belongs to its command."""
    read, write = os.pipe()
    socket.send_fds(ends.control, [msgspec.msgpack.encode(CloseLeg(leg=1))], [write])
    ends.control.send(msgspec.msgpack.encode(CloseLeg(leg=2)))
    (first, fds), (second, none) = ends.channel.read()
    assert (first, second, none) == (CloseLeg(leg=1), CloseLeg(leg=2), [])
    os.write(fds[0], b"it is the pipe")
    assert os.read(read, 100) == b"it is the pipe"
    for descriptor in (read, write, *fds):
        os.close(descriptor)


def test_descriptors_that_nobody_wants_are_closed(ends: Ends) -> None:
    """More than this process may have, or with rubbish: counted, and none stays open.

    The command stands, without them: whoever needs them tells control that they did not come.
    """
    null = os.open(os.devnull, os.O_RDONLY)
    before = open_descriptors()
    command = CloseLeg(leg=1)
    socket.send_fds(ends.control, [msgspec.msgpack.encode(command)], [null] * 253)
    socket.send_fds(ends.control, [b"\xc1"], [null])
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Room for forty, wherever those lie that other tests have left open.
    taken = {int(path.name) for path in Path("/proc/self/fd").iterdir()}
    limit = [number for number in range(4096) if number not in taken][40]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    try:
        assert ends.channel.read() == [(command, [])]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert open_descriptors() == before
    assert (ends.counters.descriptors_lost, ends.counters.commands_malformed) == (1, 1)
    os.close(null)


def test_events_beyond_the_limit_are_dropped_and_counted(ends: Ends) -> None:
    """Control does not read: the tick never waits, the first events are kept, in order."""
    for leg in range(EVENT_LIMIT + 700):
        ends.channel.put(MediaResumed(leg=leg))
    ends.channel.flush()
    assert ends.counters.events_dropped == 700
    got: list[MediaResumed] = []
    ends.control.settimeout(0)
    decoder = msgspec.msgpack.Decoder(list[MediaResumed])
    while len(got) < EVENT_LIMIT:
        try:
            got += decoder.decode(ends.control.recv(65_536))
        except BlockingIOError:
            ends.channel.flush()
    assert [event.leg for event in got] == list(range(EVENT_LIMIT))


def test_the_other_end_closed_ends_the_channel(ends: Ends) -> None:
    """By reading and by writing."""
    ends.control.close()
    assert ends.channel.read() == []
    assert ends.channel.ended


def test_a_client_keeps_order_while_the_process_does_not_read() -> None:
    """Commands wait in a queue with copies of their descriptors, and come in order."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(0)
    theirs.settimeout(0)
    client = MediaClient(NO_PROCESS, ours)
    read, write = os.pipe()
    before = open_descriptors()
    for leg in range(2000):
        client.send(CloseLeg(leg=leg), [write] if leg % 500 == 0 else [])
    assert client.pending > 0
    os.close(write)
    got: list[int] = []
    fds: list[int] = []
    while len(got) < 2000:
        data, passed, _, _ = socket.recv_fds(theirs, 65_536, 4)
        some = msgspec.msgpack.decode(data, type=CloseLeg | list[CloseLeg])
        got += [each.leg for each in (some if isinstance(some, list) else [some])]
        fds += passed
        client.flush()
    assert got == list(range(2000))
    assert len(fds) == 4
    for descriptor in (read, *fds):
        os.close(descriptor)
    assert open_descriptors() == before - 2
    for end in (ours, theirs):
        end.close()


@pytest.mark.parametrize("count", [1, 2, 15, 16, 600])
def test_what_is_queued_together_comes_in_few_packets_and_is_read_one_by_one(count: int) -> None:
    """Each length that msgpack writes in another way; what has a descriptor comes alone."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(0)
    counters = Counters()
    channel = ControlChannel(theirs, counters)
    client = MediaClient(NO_PROCESS, ours)
    null = os.open(os.devnull, os.O_RDONLY)
    for leg in range(count):
        client.queue(CloseLeg(leg=leg))
    client.queue(Statistics(), [null])
    client.queue(CloseLeg(leg=count))
    assert channel.read() == []
    client.flush()
    assert client.pending == 0
    if count > 1:
        assert len(msgspec.msgpack.decode(theirs.recv(1 << 17, socket.MSG_PEEK))) == count
    got = []
    while some := channel.read(4):
        assert len(some) <= 4
        got += some
    assert [each for each, _ in got[:count]] == [CloseLeg(leg=leg) for leg in range(count)]
    assert not any(fds for _, fds in got[:count])
    (statistics, fds), last = got[count:]
    assert (statistics, len(fds), last) == (Statistics(), 1, (CloseLeg(leg=count), []))
    assert counters.commands_malformed == 0
    for descriptor in (null, *fds):
        os.close(descriptor)
    for end in (ours, theirs):
        end.close()


def test_packets_of_many_commands_are_smaller_than_what_is_read_at_once() -> None:
    """However much is said: none is cut, and the channel takes the next one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(0)
    theirs.settimeout(0)
    client = MediaClient(NO_PROCESS, ours)
    said = [Play(play=play, leg=play, clips=[(play, 8000)] * 30) for play in range(1000)]
    for each in said:
        client.queue(each)
    got: list[Play] = []
    while len(got) < len(said):
        client.flush()
        data = theirs.recv(1 << 18)
        assert len(data) <= PACKET_OCTETS + 3
        got += msgspec.msgpack.decode(data, type=list[Play])
    assert got == said
    for end in (ours, theirs):
        end.close()


@pytest.mark.parametrize("bank", [np.zeros((2, 2), np.int16), np.zeros(5, np.float32)])
def test_a_bank_of_another_kind_is_refused(
    bank: np.ndarray[tuple[int, ...], np.dtype[Any]],
) -> None:
    """Before anything is sent."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    client = MediaClient(NO_PROCESS, ours)
    with pytest.raises(BankRejected, match="int16"):
        client.load_bank(bank)
    ours.close()
    theirs.close()


def test_digits_are_in_no_repr() -> None:
    """They are PINs, and a repr ends up in logs."""
    for event in (
        DigitPressed(leg=1, digit="7", method="info", at=0.0),
        DigitInfo(leg=1, digit="7", duration_ms=100),
    ):
        assert "7" not in repr(event)
        assert "hidden" in repr(event)
    assert repr(Statistics()) == "Statistics()"


def test_a_pair_is_even_odd_and_out_of_the_way_of_select() -> None:
    """RTP even, RTCP the next, both descriptors at 1024 or above, non-blocking."""
    pair = open_pair(HOST, 40_000, 40_999)
    ports = [sock.getsockname()[1] for sock in (pair.rtp, pair.rtcp)]
    assert ports == [pair.port, pair.port + 1]
    assert pair.port % 2 == 0
    assert 40_000 <= pair.port <= 40_998
    assert min(pair.rtp.fileno(), pair.rtcp.fileno()) >= LOWEST_DESCRIPTOR
    assert not pair.rtp.getblocking()
    pair.close()


def _all_pairs(low: int, high: int) -> list[MediaPair]:
    """Open pairs until the range is full."""
    pairs: list[MediaPair] = []
    with contextlib.suppress(PortsExhausted):
        while True:
            pairs.append(open_pair(HOST, low, high))
    return pairs


def test_a_full_range_says_so() -> None:
    """Pairs are all different until none is left; then the error names the setting."""
    pairs = [open_pair(HOST, 41_000, 41_999)]
    low = pairs[0].port
    pairs += _all_pairs(low, low + 5)
    assert len({pair.port for pair in pairs}) == len(pairs)
    with pytest.raises(PortsExhausted, match=r"media\.ports"):
        open_pair(HOST, low, low + 5)
    for pair in pairs:
        pair.close()
    with pytest.raises(PortsExhausted, match="even"):
        open_pair(HOST, 41_001, 41_002)


def test_too_few_descriptors_say_so() -> None:
    """With a limit below 1024 no leg can be opened, and the error says what to raise."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (LOWEST_DESCRIPTOR - 1, hard))
    try:
        with pytest.raises(DescriptorsExhausted, match="ulimit -n"):
            open_pair(HOST, 42_000, 42_999)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
