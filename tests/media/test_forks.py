"""Media processes by way of the fork server, as control has them: real ones, real kills."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bridge.media.client import MediaClient
from bridge.media.errors import MediaProcessEnded
from bridge.media.forks import Forked, Forks
from bridge.media.messages import EngineStatistics, Event, Ready, Statistics

PATIENCE_S = 60.0
"""A start takes a second and a half of a core, where others have it too."""

ASKER = """
import sys, time
from bridge.media.client import MediaClient
from bridge.media.forks import Forks

forks = Forks()
client = MediaClient.fork(forks)
while not client.born:
    client.receive()
    time.sleep(0.01)
waits = MediaClient.fork(forks)
print(forks.pid, client.pid, flush=True)
time.sleep(600)
"""
"""A control process that is about to be killed."""


class Asked:
    """A media process that was asked for, and what it said."""

    def __init__(self, forks: Forks) -> None:
        self.client = MediaClient.fork(forks)
        self.events: list[Event] = []

    def until(self, holds: Callable[[], object]) -> None:
        """Hear it until something is so."""
        deadline = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < deadline
            select.select([self.client], [], [], 0.05)
            self.events += self.client.receive()

    def ready(self) -> int:
        """Wait until it is, and return its number."""
        self.until(lambda: [event for event in self.events if isinstance(event, Ready)])
        (ready,) = (event for event in self.events if isinstance(event, Ready))
        assert ready.pid == self.client.pid
        return ready.pid

    def answers(self) -> bool:
        """Ask for its counters, and wait for them."""
        self.events.clear()
        self.client.send(Statistics())
        self.until(lambda: any(isinstance(event, EngineStatistics) for event in self.events))
        return True


@pytest.fixture
def forks() -> Iterator[Forks]:
    """A server that is ended, and with it what it has not forked."""
    with Forks() as forks:
        yield forks


def server_of(forks: Forks) -> int:
    """Return the server's number."""
    assert forks.pid is not None
    return forks.pid


def gone(pid: int) -> bool:
    """Say whether a process has ended, reaped or not."""
    try:
        return " Z " in Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except OSError:
        return True


def until_gone(pid: int) -> None:
    """Wait for the end of a process."""
    deadline = time.monotonic() + PATIENCE_S
    while not gone(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def name_of(pid: int) -> str:
    """Return what `ps` calls a process."""
    return Path(f"/proc/{pid}/comm").read_text(encoding="ascii").strip()


def test_several_are_forked_and_each_answers(forks: Forks) -> None:
    """Asked while the server still imports; told apart by name; ended in order."""
    several = [Asked(forks) for _ in range(3)]
    assert not any(asked.client.born for asked in several)
    with pytest.raises(ProcessLookupError):
        _ = several[0].client.pid
    assert len({asked.ready() for asked in several}) == 3
    assert name_of(server_of(forks)) == "dialin-forks"
    # A lock that another thread holds would stay locked in the child.
    assert len([*Path(f"/proc/{forks.pid}/task").iterdir()]) == 1
    for asked in several:
        assert asked.answers()
        assert name_of(asked.client.pid) == "dialin-media"
    for asked in several:
        assert asked.client.close() == 0


def test_server_and_forked_are_not_told_our_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The master key may be among them, and whoever reads sound has no use for it."""
    monkeypatch.setenv("DIALIN_MASTER_KEY", "of the house")
    with Forks() as forks:
        asked = Asked(forks)
        asked.ready()
        for pid in (forks.pid, asked.client.pid):
            told = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            assert b"OPENBLAS_NUM_THREADS=1" in told
            assert any(each.startswith(b"GLIBC_TUNABLES=glibc.malloc.hugetlb=1") for each in told)
            assert not [each for each in told if each.startswith(b"DIALIN")]
        assert asked.client.close() == 0


def test_a_server_that_is_killed_takes_nobody_with_it(forks: Forks) -> None:
    """Its processes go on, are waited for as before, and the next one asked for comes."""
    first = Asked(forks)
    first.ready()
    server = server_of(forks)
    os.kill(server, signal.SIGKILL)
    until_gone(server)
    assert first.answers()
    second = Asked(forks)
    second.ready()
    assert forks.pid != server
    assert first.answers()
    assert second.answers()
    assert first.client.close() == 0
    os.kill(second.client.pid, signal.SIGKILL)
    with pytest.raises(MediaProcessEnded):
        second.until(lambda: False)
    assert second.client.kill() == -signal.SIGKILL


def test_a_server_that_dies_before_it_has_forked_is_seen(forks: Forks) -> None:
    """Control sees the end of the channel, as of a process that died, and has nobody to reap."""
    asked = Asked(forks)
    os.kill(server_of(forks), signal.SIGKILL)
    with pytest.raises(MediaProcessEnded, match=r"\(not forked\)"):
        asked.until(lambda: False)
    assert asked.client.last_words() == []
    again = Asked(forks)
    again.ready()
    assert again.client.close() == 0


def test_a_server_that_hangs_is_killed_with_whom_it_has_not_forked(forks: Forks) -> None:
    """Whoever buries the one that did not start gets another server with the next one."""
    asked = Asked(forks)
    server = server_of(forks)
    os.kill(server, signal.SIGSTOP)
    assert asked.client.last_words() == []
    until_gone(server)
    again = Asked(forks)
    again.ready()
    assert forks.pid != server
    assert again.client.close() == 0


def test_a_process_that_will_not_end_is_killed(forks: Forks) -> None:
    """Stopped, it reads no word; its status is the signal's."""
    asked = Asked(forks)
    asked.ready()
    os.kill(asked.client.pid, signal.SIGSTOP)
    assert asked.client.close(0.2) == -signal.SIGKILL


def test_a_process_that_nobody_has_heard_is_heard_before_it_is_ended(forks: Forks) -> None:
    """A bridge that ends while its spare comes leaves no process, and waits for none."""
    asked = Asked(forks)
    assert asked.client.close(PATIENCE_S) == 0
    os.kill(server_of(forks), signal.SIGSTOP)
    never = Asked(forks)
    forks.close()
    assert never.client.close(PATIENCE_S) is None


def test_nothing_is_left_of_an_asker_that_is_killed() -> None:
    """Server and media process end by the end of their channels."""
    asker = subprocess.Popen([sys.executable, "-c", ASKER], stdout=subprocess.PIPE)
    try:
        assert asker.stdout is not None
        server, process = map(int, asker.stdout.readline().split())
        asker.kill()
    finally:
        asker.kill()
        asker.communicate()
    until_gone(process)
    until_gone(server)


def test_one_that_somebody_else_has_reaped_is_over() -> None:
    """As `Popen` has it: it has ended, and nobody knows how."""
    over = subprocess.Popen([sys.executable, "-c", ""])
    over.wait()
    forked = Forked(over)
    forked.hear(b"%d" % over.pid)
    assert forked.wait() == 0
    forked.kill()
