"""Batches of socket calls: every answer at its place, whatever the others do."""

import errno
import socket
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest

from bridge.media import _uring
from bridge.media._uring import RECEIVE, SEND, Batch, open_batch

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


def batch(operation: int) -> Batch:
    """Return a batch, or skip where there can be none."""
    made = open_batch(operation, COUNT)
    if made is None:
        pytest.skip("the kernel has no io_uring for us")
    return made


def fill(batch: Batch, sockets: list[socket.socket], rows: npt.NDArray[np.uint8]) -> None:
    """Let each socket have a row."""
    descriptors = np.array([sock.fileno() for sock in sockets], np.intp)
    places = rows.ctypes.data + rows.shape[1] * np.arange(len(sockets))
    batch.fill(descriptors, places, SIZE)


def test_packets_go_through_many_times_over(pairs: Pairs) -> None:
    """More often than the rings are long, with as many or fewer at a time."""
    sends, receives = batch(SEND), batch(RECEIVE)
    said, heard = (np.zeros((COUNT, SIZE), np.uint8) for _ in range(2))
    rng = np.random.default_rng(1)
    for _ in range(100):
        count = int(rng.integers(1, COUNT + 1))
        chosen = [pairs[k] for k in rng.permutation(COUNT)[:count].tolist()]
        said[:] = rng.integers(0, 256, said.shape)
        fill(sends, [ours for ours, _ in chosen], said)
        assert sends.run().tolist() == [SIZE] * count
        fill(receives, [theirs for _, theirs in chosen], heard)
        assert receives.run().tolist() == [SIZE] * count
        assert (heard[:count] == said[:count]).all()
    sends.close()
    receives.close()


def test_each_failure_stands_at_its_place(pairs: Pairs) -> None:
    """Nothing to read, a far end that is gone, no socket: the others go on."""
    sends, receives = batch(SEND), batch(RECEIVE)
    rows = np.zeros((COUNT, SIZE), np.uint8)
    gone = pairs[3][1].getsockname()
    pairs[3][1].close()
    fill(sends, [ours for ours, _ in pairs], rows)
    assert (sends.run() == SIZE).all()
    answers = sends.run().tolist()
    assert answers[3] == -errno.ECONNREFUSED, gone
    assert answers[:3] + answers[4:] == [SIZE] * (COUNT - 1)
    theirs = [theirs for _, theirs in pairs]
    theirs[3] = pairs[0][0]
    fill(receives, theirs, rows)
    expected = [SIZE] * COUNT
    expected[3] = -errno.EAGAIN
    assert receives.run().tolist() == expected
    pairs[5][1].close()
    receives.fill(np.array([1 << 20, pairs[6][1].fileno()]), rows.ctypes.data + np.array([0, 0]), 1)
    assert receives.run().tolist() == [-errno.EBADF, 1]
    receives.fill(np.empty(0, np.intp), np.empty(0, np.intp), SIZE)
    assert receives.run().tolist() == []
    sends.close()
    receives.close()


def test_where_there_is_none_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that refuses, or a number that it does not make: there is no batch, no error."""

    def refuse(*_: int) -> int:
        raise PermissionError(errno.EPERM, "not here")

    monkeypatch.setattr(_uring, "_call", refuse)
    assert open_batch(SEND, COUNT) is None
    monkeypatch.undo()
    assert open_batch(SEND, 1 << 20) is None
