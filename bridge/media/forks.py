"""Where control's media processes come from: a server that has imported all, and forks.

What a media process imports takes a second and a half of a core: too long for a spare that is
wanted now. So one process imports it once, and is forked for each media process (`fork_server`)::

    control ──exec──► dialin-forks ──fork──► (goes at once) ──fork──► dialin-media
       ▲                                                                   │
       └── its pid, the first word on its own channel; control is its parent now

The one between ends as soon as it has forked. Control is who takes orphans in
(PR_SET_CHILD_SUBREAPER), so it waits for a media process and kills it as one that it started by
itself, and a fork server that dies takes nobody with it: the next one asked for starts another.

Asking never waits. A process asked for while the server still imports comes when it has.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from typing import Final, NamedTuple, Self

from bridge.media import _libc

__all__ = ["Forked", "Forks", "execute"]

HUGE_PAGES: Final = ":".join(
    f"glibc.malloc.{name}={value}"
    for name, value in (("hugetlb", 1), ("mmap_threshold", 2**25), ("trim_threshold", 2**25))
)
"""A tick goes through ten megabytes, of which the processor's table of pages holds less: in pages
of 2 MB, which the kernel gives where memory asks for them, it takes a tenth less of a core. What is
allocated apart from the heap, as arrays from 128 kB on are by default, is too small for such pages,
or begins in the midst of one; so only arrays of 32 MB are, and what is freed is kept."""

SHORTEST_WAIT_S: Final = 0.001
LONGEST_WAIT_S: Final = 0.05


class _Server(NamedTuple):
    """A server that runs, or did when it was last seen."""

    process: subprocess.Popen[bytes]
    channel: socket.socket

    def ask(self, control: int) -> Forked:
        _libc.adopt_orphans()  # no earlier: what a master key's command leaves behind is init's
        socket.send_fds(self.channel, [b"\0"], [control])
        return Forked(self.process)


class Forks:
    """The fork server, seen from control; nothing runs until `start`, or until it is asked."""

    def __init__(self) -> None:
        self._server: _Server | None = None

    def __enter__(self) -> Self:
        """Start the server."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End the server."""
        self.close()

    def start(self) -> None:
        """Start the server before it is needed; where that fails, `fork` says why."""
        if self._server is None:
            with contextlib.suppress(OSError):
                self._server = _start()

    def fork(self, control: int) -> Forked:
        """Ask for a media process.

        Args:
            control: its end of its channel; the caller keeps and closes its own.

        Returns:
            The process, to be told its first word.

        Raises:
            OSError: no server could be started.
        """
        if self._server is not None:
            with contextlib.suppress(OSError):  # it died, or has not read for long: another one
                return self._server.ask(control)
        self.close()
        self._server = _start()
        return self._server.ask(control)

    @property
    def pid(self) -> int | None:
        """The server's process identifier; None while there is none."""
        return self._server.process.pid if self._server is not None else None

    def close(self) -> None:
        """End the server; the processes that it forked go on, those it has not forked never do."""
        if self._server is not None:
            self._server.channel.close()
            self._server.process.kill()  # it may import for another second, and holds nothing
            self._server.process.wait()
        self._server = None


class Forked:
    """A media process that was asked of the fork server, as `subprocess.Popen` has one.

    It is born when its first word has been heard. Until then nobody knows its number, and there may
    be none: it can be neither waited for nor killed but with the server.

    Args:
        server: who was asked.
    """

    def __init__(self, server: subprocess.Popen[bytes]) -> None:
        self._server = server
        self._pid: int | None = None
        self._status: int | None = None

    @property
    def born(self) -> bool:
        """Its number is known."""
        return self._pid is not None

    @property
    def pid(self) -> int:
        """Its process identifier.

        Raises:
            ProcessLookupError: it is not born; no number stands for that, for `os.kill` takes 0 and
                -1 as well.
        """
        if self._pid is None:
            raise ProcessLookupError("the media process has not been forked yet")
        return self._pid

    def hear(self, word: bytes) -> None:
        """Take its first word: its number."""
        self._pid = int(word)

    def poll(self) -> int | None:
        """Return its exit status, negative for a signal; None while it runs or is not born."""
        return self._reap(os.WNOHANG)

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait for its end and reap it.

        Args:
            timeout: how long [s]; for ever when not given.

        Returns:
            Its exit status, negative for a signal; None at once if it was never born.

        Raises:
            subprocess.TimeoutExpired: it still runs.
        """
        if timeout is None:
            return self._reap(0)
        deadline = time.monotonic() + timeout
        pause = SHORTEST_WAIT_S
        while self.poll() is None and self._pid is not None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise subprocess.TimeoutExpired("dialin-media", timeout)
            time.sleep(min(pause, left))
            pause = min(2 * pause, LONGEST_WAIT_S)
        return self._status

    def kill(self) -> None:
        """Kill it; before its birth, the server that has not forked it."""
        if self._pid is None:
            self._server.kill()
        elif self.poll() is None:
            os.kill(self._pid, signal.SIGKILL)

    def _reap(self, options: int) -> int | None:
        if self._status is None and self._pid is not None:
            try:
                found, status = os.waitpid(self._pid, options)
            except ChildProcessError:  # somebody else has reaped it; Popen says 0 as well
                self._status = 0
            else:
                self._status = os.waitstatus_to_exitcode(status) if found else None
        return self._status


def _start() -> _Server:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(0)
    with theirs:
        try:
            return _Server(execute("bridge.media", "--forks-fd", theirs.fileno()), ours)
        except OSError:
            ours.close()
            raise


def execute(module: str, option: str, descriptor: int) -> subprocess.Popen[bytes]:
    """Run a module of the media process's in a process of its own, by exec.

    Never by a fork of control: PJSIP's thread holds locks.

    Args:
        module: what is run.
        option: by which it is told its descriptor.
        descriptor: its end of its channel.

    Returns:
        The process.

    Raises:
        OSError: it could not be started.
    """
    return subprocess.Popen(
        [sys.executable, "-m", module, option, str(descriptor)],
        stdin=subprocess.DEVNULL,
        pass_fds=(descriptor,),
        env=_environment(),
        process_group=0,  # a terminal's Ctrl-C must not meet it before it can ignore it
    )


def _environment() -> dict[str, str]:
    """Return our environment without our settings: the master key is among them."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DIALIN_")}
    tunables = [each for each in kept.get("GLIBC_TUNABLES", "").split(":") if each]
    # Whoever set it knows better; of two the last one counts.
    kept["GLIBC_TUNABLES"] = ":".join([HUGE_PAGES, *tunables])
    return {**kept, "OPENBLAS_NUM_THREADS": "1"}
