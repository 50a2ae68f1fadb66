"""Socket calls in compiled loops: every packet at its place, whatever happens to the others."""

import errno
import socket
import time
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest

from bridge.media import _calls
from bridge.media._sockets import SIOCGSTAMPNS, ask_for_stamps

COUNT = 40
SIZE = 24
Pairs = list[tuple[socket.socket, socket.socket]]


@pytest.fixture
def pairs() -> Iterator[Pairs]:
    """Pairs of connected sockets."""
    pairs = []
    for _ in range(COUNT):
        pair = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
        for sock in pair:
            sock.bind(("127.0.0.1", 0))
            sock.settimeout(0)
        pair[0].connect(pair[1].getsockname())
        pair[1].connect(pair[0].getsockname())
        pairs.append((pair[0], pair[1]))
    yield pairs
    for ours, theirs in pairs:
        ours.close()
        theirs.close()


def of(sockets: list[socket.socket]) -> npt.NDArray[np.intp]:
    """Return descriptors."""
    return np.array([sock.fileno() for sock in sockets], np.intp)


class Read:
    """What a read of some sockets gave, from row 3 on."""

    def __init__(self, sockets: list[socket.socket] | npt.NDArray[np.intp]) -> None:
        descriptors = of(sockets) if isinstance(sockets, list) else sockets
        rows = np.zeros((COUNT + 3, SIZE), np.uint8)
        lengths, came_by, errors = np.zeros((3, COUNT + 3), np.int64)
        taken, failed = _calls.receive(descriptors, rows, 3, lengths, came_by, errors)
        self.packets = rows[3 : 3 + taken]
        self.lengths = lengths[3 : 3 + taken].tolist()
        self.came_by = came_by[3 : 3 + taken].tolist()
        self.errors = errors[:failed].tolist()
        assert not rows[:3].any()


def sent(sockets: list[socket.socket], packets: npt.NDArray[np.uint8]) -> list[int]:
    """Send each socket a row; return the errors."""
    errors = np.zeros(COUNT, np.int64)
    starts = np.arange(len(sockets)) * packets.shape[1]
    sizes = np.full(len(sockets), packets.shape[1])
    failed = _calls.send(of(sockets), packets.reshape(-1), starts, sizes, errors)
    numbers: list[int] = errors[:failed].tolist()
    return numbers


def test_packets_go_through_many_times_over(pairs: Pairs) -> None:
    """As many or fewer at a time, each by its socket."""
    rng = np.random.default_rng(1)
    for _ in range(50):
        count = int(rng.integers(1, COUNT + 1))
        chosen = [pairs[k] for k in rng.permutation(COUNT)[:count].tolist()]
        said = rng.integers(0, 256, (count, SIZE)).astype(np.uint8)
        assert sent([ours for ours, _ in chosen], said) == []
        read = Read([theirs for _, theirs in chosen])
        assert read.lengths == [SIZE] * count
        assert (read.packets == said).all()
        assert read.came_by == of([theirs for _, theirs in chosen]).tolist()


def test_who_has_nothing_leaves_no_row(pairs: Pairs) -> None:
    """Packets stand one after the other; an empty datagram is one, a long one is cut."""
    pairs[1][0].send(b"abc")
    pairs[4][0].send(b"")
    pairs[5][0].send(bytes([7]) * 2 * SIZE)
    read = Read([theirs for _, theirs in pairs])
    assert read.lengths == [3, 0, SIZE]
    assert read.came_by == [pairs[k][1].fileno() for k in (1, 4, 5)]
    assert read.packets[0, :3].tobytes() == b"abc"
    assert (read.packets[2] == 7).all()
    assert read.errors == []
    assert Read(np.empty(0, np.intp)).lengths == []


def test_a_failure_is_told_and_the_others_go_on(pairs: Pairs) -> None:
    """A far end that is gone, no socket at all."""
    rows = np.full((COUNT, SIZE), 5, np.uint8)
    pairs[3][1].close()
    ours = [ours for ours, _ in pairs]
    assert sent(ours, rows) == []
    assert sent(ours, rows) == [errno.ECONNREFUSED]
    read = Read(np.array([1 << 20, pairs[6][1].fileno()]))
    assert read.errors == [errno.EBADF]
    assert read.lengths == [SIZE]
    assert sent([pairs[3][0]], rows[:1]) == []
    assert Read([pairs[3][0]]).errors == [errno.ECONNREFUSED]


def test_packets_are_timed_by_the_kernel(pairs: Pairs) -> None:
    """By the wall clock, when they arrived; not known before the first."""
    ours, theirs = pairs[0]
    ask_for_stamps(theirs)
    times = np.zeros(2, np.float64)
    descriptors = of([theirs, pairs[1][1]])
    _calls.stamps(descriptors, SIOCGSTAMPNS, times)
    assert times.tolist() == [-1, -1]
    before = time.time()
    ours.send(b"now")
    after = time.time()
    time.sleep(0.05)
    assert Read([theirs]).lengths == [3]
    _calls.stamps(descriptors, SIOCGSTAMPNS, times)
    assert before - 0.002 <= times[0] <= after + 0.002
    assert times[1] == -1
