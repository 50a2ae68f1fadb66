"""The fork server itself, in a small process of its own: what becomes of what it forks."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.media import _libc

LIVES = """
import os, random, secrets, socket, sys
from bridge.media import fork_server
from bridge.media.__main__ import say_where
from bridge.media.rtcp import Reports

def live(control):
    while word := control.recv(64):
        if word == b"raise":
            int("+46701234567 pressed 123456")
        if word == b"dice":
            thrown = random.random(), secrets.randbelow(1 << 48), Reports(4)._random.random()
            control.send(" ".join(map(repr, thrown)).encode())
            continue
        alone = os.listdir("/proc/self/task") == [str(os.getpid())]
        open_now = len(os.listdir("/proc/self/fd"))
        who = (os.getpid(), os.getpgid(0), os.getppid(), open_now, alone)
        control.send(repr(who).encode())

sys.excepthook = say_where
fork_server.serve(socket.socket(fileno=int(sys.argv[1])), live)
print("the server ends")
"""
"""A server of children that say who they are, or raise."""


class Server:
    """A fork server and the processes that it forked."""

    def __init__(self, said: Path) -> None:
        _libc.adopt_orphans()
        self.said = said
        self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.channel.settimeout(20)
        with theirs, said.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", textwrap.dedent(LIVES), str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stdout=output,
                stderr=output,
            )
        self.controls: list[socket.socket] = []

    def fork(self) -> tuple[socket.socket, int]:
        """Return a child's channel and its number, its first word."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(20)
        self.controls.append(ours)
        with theirs:
            socket.send_fds(self.channel, [b"\0"], [theirs.fileno()])
        return ours, int(ours.recv(64))

    def end(self) -> int:
        """Close its channel and return how it ended."""
        self.channel.close()
        return self.process.wait(20)


def children() -> list[str]:
    """Return the children of this process, those too that wait to be reaped."""
    found = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text(encoding="ascii")
    return found.split()


def reaped(pid: int) -> int:
    """Wait for a child of this process and return its exit status."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server that runs."""
    server = Server(tmp_path / "said")
    try:
        yield server
    finally:
        server.channel.close()
        for control in server.controls:
            control.close()
        server.process.kill()
        server.process.wait()


def test_what_is_forked_is_our_child_in_a_group_of_its_own(server: Server) -> None:
    """With one thread, and nothing open of the server's or of its siblings'."""
    found = []
    for _ in range(3):
        control, pid = server.fork()
        control.send(b"who")
        found.append((pid, control.recv(64)))
    for pid, said in found:
        # Input, output, errors, its channel, and the folder that it reads.
        assert said == repr((pid, pid, os.getpid(), 5, True)).encode()
    for control, (pid, _) in zip(server.controls, found, strict=True):
        control.close()
        assert reaped(pid) == 0
    assert len({pid for pid, _ in found}) == 3


def test_the_end_of_the_channel_ends_the_server_and_nobody_else(server: Server) -> None:
    """What it would do at its end is done once, by itself."""
    control, pid = server.fork()
    assert Path(f"/proc/{server.process.pid}/comm").read_text(encoding="ascii") == "dialin-forks\n"
    assert server.end() == 0
    control.send(b"who")
    assert control.recv(64).startswith(f"({pid}, ".encode())
    control.close()
    assert reaped(pid) == 0
    assert server.said.read_text(encoding="ascii") == "the server ends\n"


def test_an_exception_of_a_child_says_where_and_quotes_nobody(server: Server) -> None:
    """Its status is not zero, and the server forks the next one."""
    control, pid = server.fork()
    control.send(b"raise")
    assert reaped(pid) == 1
    _, other = server.fork()
    assert other != pid
    said = server.said.read_text(encoding="ascii")
    assert "media process ended by ValueError" in said
    assert "in live" in said
    assert "123456" not in said
    assert "the server ends" not in said


def test_who_is_no_longer_waited_for_is_not_forked(server: Server) -> None:
    """Nobody would hear its number, so nobody could reap it."""
    before = children()
    os.kill(server.process.pid, signal.SIGSTOP)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        socket.send_fds(server.channel, [b"\0"], [theirs.fileno()])
    ours.close()
    os.kill(server.process.pid, signal.SIGCONT)
    control, pid = server.fork()
    control.close()
    assert reaped(pid) == 0
    assert children() == before


def test_two_that_were_forked_share_no_dice(server: Server) -> None:
    """Whatever a module seeds when it is imported would be the same in each of them."""
    said: list[list[str]] = []
    for _ in range(2):
        control, _ = server.fork()
        control.send(b"dice")
        said.append(control.recv(512).decode().split())
    assert len(said[0]) == 3
    assert all(one != other for one, other in zip(*said, strict=True))
    for control in server.controls:
        control.close()
    server.end()
