"""Socket calls in compiled loops: every packet at its place, whatever happens to the others."""

import errno
import select
import socket
import time
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest

from bridge.media import _calls
from bridge.media._calls import GROUP
from bridge.media._sockets import ask_for_stamps
from bridge.media.codecs import FRAME
from bridge.media.outgoing import PACKET
from bridge.media.rtp import HEADER
from tests.media.engine import Rtp, expect, plain_of_nobody

COUNT = 40
OTHER = b"one more"
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
    """What a read of some sockets gave, from row 3 on; each is of the leg of its place."""

    def __init__(
        self, sockets: list[socket.socket] | npt.NDArray[np.intp], share: int = COUNT
    ) -> None:
        descriptors = of(sockets) if isinstance(sockets, list) else sockets
        rows = np.zeros((COUNT + 3, SIZE), np.uint8)
        lengths, came_by, errors = np.zeros((3, COUNT + 3), np.int64)
        arrived = np.zeros(COUNT + 3)
        count = len(descriptors)
        self.heard = np.full(count, 8)
        nobody = plain_of_nobody(max(count, 1))
        end, failed, _ = _calls.receive(
            nobody.columns,
            nobody.moment,
            9,
            share,
            16,
            COUNT,
            -1,  # no epoll: only who is expected is read
            _calls.epoll_events(COUNT),
            descriptors,
            np.zeros(0, np.intp),
            np.zeros(count, np.intp),
            np.zeros(count, np.intp),
            self.heard,
            3,
            rows,
            lengths,
            came_by,
            arrived,
            errors,
        )
        self.packets = rows[3:end]
        self.lengths = lengths[3:end].tolist()
        self.rows = came_by[3:end].tolist()
        self.arrived = arrived[3:end].tolist()
        self.errors = errors[:failed].tolist()
        assert not rows[:3].any()
        assert self.heard[self.rows].tolist() == [9] * len(self.rows)


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
        assert read.rows == list(range(count))


def test_who_has_nothing_leaves_no_row(pairs: Pairs) -> None:
    """Packets stand one after the other; an empty datagram is one, a long one is cut."""
    pairs[1][0].send(b"abc")
    pairs[4][0].send(b"")
    pairs[5][0].send(bytes([7]) * 2 * SIZE)
    read = Read([theirs for _, theirs in pairs])
    assert read.lengths == [3, 0, SIZE]
    assert read.rows == [1, 4, 5]
    assert read.packets[0, :3].tobytes() == b"abc"
    assert (read.packets[2] == 7).all()
    assert read.errors == []
    assert Read(np.empty(0, np.intp)).lengths == []


def test_plain_packets_leave_their_rows_to_others(pairs: Pairs) -> None:
    """Every other leg's is taken as soon as a group is whole; what is left stands in order."""
    turns = 2 * GROUP // COUNT + 1
    row_of = np.zeros(max(sock.fileno() for pair in pairs for sock in pair) + 1, np.intp)
    plain = plain_of_nobody(COUNT)
    packets = np.zeros((turns * COUNT, PACKET), np.uint8)
    lengths, rows, errors = np.zeros((3, len(packets)), np.int64)
    with select.epoll() as epoll:
        for row, (ours, theirs) in enumerate(pairs):
            epoll.register(theirs.fileno(), select.EPOLLIN)
            row_of[theirs.fileno()] = row
            said = [Rtp(9 + k, 160 * k, bytes([10 * k + row % 7]) * FRAME) for k in range(turns)]
            if row % 2:
                expect(plain, row, said[0])
            for packet in said:
                ours.send(packet.pack())
        end, failed, bounded = _calls.receive(
            plain.columns,
            plain.moment,
            9,
            COUNT,
            turns + 1,
            len(packets),
            epoll.fileno(),
            _calls.epoll_events(COUNT),
            np.full(COUNT, -1, np.intp),
            row_of,
            np.zeros(COUNT, np.intp),
            np.zeros(COUNT, np.intp),
            np.zeros(COUNT, np.int64),
            0,
            packets,
            lengths,
            rows,
            np.zeros(len(packets)),
            errors,
        )
    assert (failed, bounded, end) == (0, False, turns * COUNT // 2)
    assert sorted(rows[:end].tolist()) == sorted(turns * list(range(0, COUNT, 2)))
    assert (lengths[:end] == PACKET).all()
    turn = packets[:end, 3].astype(int) - 9
    assert (np.diff(turn) >= 0).all()
    assert (packets[:end, HEADER:] == (10 * turn + rows[:end] % 7)[:, None]).all()
    for row in range(1, COUNT, 2):
        stored = plain.columns.stored[row, :turns]
        assert (stored == 10 * np.arange(turns)[:, None] + row % 7).all()


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
    before = time.time()
    ours.send(b"now")
    after = time.time()
    pairs[1][0].send(OTHER)
    time.sleep(0.05)
    read = Read([pairs[2][1], theirs, pairs[1][1]], share=2)
    assert read.lengths == [3, len(OTHER)]
    assert before - 0.002 <= read.arrived[0] <= after + 0.002
    assert read.arrived[1] == -1  # not its turn


def test_who_has_more_is_asked_again_as_often_as_allowed(pairs: Pairs) -> None:
    """An epoll says who has something; one packet of each a turn, and no more turns than that."""
    theirs = [pairs[k][1] for k in range(3)]
    row_of = np.zeros(max(sock.fileno() for sock in theirs) + 1, np.intp)
    with select.epoll() as epoll:
        for row, sock in enumerate(theirs):
            epoll.register(sock.fileno(), select.EPOLLIN)
            row_of[sock.fileno()] = row
        for k, count in enumerate((5, 0, 2)):
            for number in range(count):
                pairs[k][0].send(bytes([number]))
        packets = np.zeros((COUNT, SIZE), np.uint8)
        lengths, rows, errors = np.zeros((3, COUNT), np.int64)
        heard, nobody = np.zeros(3, np.int64), plain_of_nobody(3)

        def read(turns: int, most: int) -> tuple[list[tuple[int, int]], bool]:
            end, failed, bounded = _calls.receive(
                nobody.columns,
                nobody.moment,
                9,
                3,
                turns,
                most,
                epoll.fileno(),
                _calls.epoll_events(3),
                np.full(3, -1, np.intp),
                row_of,
                np.zeros(3, np.intp),
                np.zeros(3, np.intp),
                heard,
                0,
                packets,
                lengths,
                rows,
                np.zeros(COUNT),
                errors,
            )
            assert failed == 0
            return [(int(rows[k]), int(packets[k, 0])) for k in range(end)], bool(bounded)

        got, bounded = read(3, COUNT)
        assert sorted(got) == [(0, 0), (0, 1), (0, 2), (2, 0), (2, 1)]
        assert bounded
        assert read(3, 1) == ([(0, 3)], False)
        assert read(3, COUNT) == ([(0, 4)], False)
        assert read(3, COUNT) == ([], False)
