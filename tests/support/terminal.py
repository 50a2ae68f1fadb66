"""A terminal in memory with a program in it: what it shows, what is typed, and how it is left."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Sequence
from typing import Any, Self

import pyte

__all__ = ["Terminal"]

_QUERY = re.compile(rb"\x1b\[[?><=][0-9;]*(?:\$p|u)")
"""Questions and keyboard modes that the terminal in memory would print as text."""


class Terminal:
    """A terminal, and a program that runs on it.

    Args:
        command: The program and its arguments.
        columns: Of the screen.
        rows: Of the screen.
        env: Its environment; TERM is set.
        cwd: Where it runs.
    """

    def __init__(
        self, command: Sequence[str], columns: int, rows: int, *, env: dict[str, str], cwd: str
    ) -> None:
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self.output = bytearray()
        self._master, self._slave = pty.openpty()
        self.resize(columns, rows, tell=False)
        self.before = termios.tcgetattr(self._slave)
        self.process = subprocess.Popen(
            command,
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            cwd=cwd,
            env={**env, "TERM": "xterm-256color"},
            start_new_session=True,
        )

    def resize(self, columns: int, rows: int, *, tell: bool = True) -> None:
        """Make the screen another size, as a window that is dragged."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))
        if tell:
            self.screen.resize(rows, columns)
            self.process.send_signal(signal.SIGWINCH)

    def type(self, keys: str) -> None:
        """Press keys, one after the other."""
        for key in keys:
            os.write(self._master, key.encode())
            self.watch(0.05)

    def send(self, sequence: bytes) -> None:
        """Send a key that is no character, such as an arrow."""
        os.write(self._master, sequence)

    def watch(self, seconds: float) -> None:
        """Take what the program writes for a while."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if not select.select([self._master], [], [], left)[0]:
                return
            try:
                got = os.read(self._master, 65536)
            except OSError:  # EIO: the other side is closed
                return
            self.output += got
            self._stream.feed(_QUERY.sub(b"", got))

    @property
    def lines(self) -> list[str]:
        """What is on the screen."""
        return [line.rstrip() for line in self.screen.display]

    @property
    def text(self) -> str:
        """What is on the screen, as one text."""
        return "\n".join(self.lines)

    def wait_for(self, condition: Callable[[str], Any] | str, timeout: float = 15.0) -> str:
        """Wait until the screen shows something.

        Args:
            condition: A text, or what says of a screen whether it is the one.
            timeout: After which it is a failure [s].

        Returns:
            The screen.
        """
        found = condition if callable(condition) else lambda text: condition in text
        deadline = time.monotonic() + timeout
        while not found(self.text):
            if time.monotonic() > deadline:
                message = f"waited {timeout:g} s in vain for {condition}; the screen:\n{self.text}"
                raise AssertionError(message)
            self.watch(0.1)
        return self.text

    def ends(self, timeout: float = 10.0) -> int:
        """Wait until the program has ended, and return its exit code."""
        deadline = time.monotonic() + timeout
        while self.process.poll() is None:
            if time.monotonic() > deadline:
                message = f"the program still runs; the screen:\n{self.text}"
                raise AssertionError(message)
            self.watch(0.05)
        self.watch(0.2)
        return int(self.process.returncode)

    def is_as_before(self) -> bool:
        """Say whether the terminal was left as it was found: modes, screen, cursor, mouse."""
        modes = termios.tcgetattr(self._slave) == self.before
        return modes and all(
            self.output.rfind(off) > self.output.rfind(on)
            for on, off in (
                (b"\x1b[?1049h", b"\x1b[?1049l"),
                (b"\x1b[?25l", b"\x1b[?25h"),
                (b"\x1b[?2004h", b"\x1b[?2004l"),
            )
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for descriptor in (self._master, self._slave):
            with contextlib.suppress(OSError):
                os.close(descriptor)
