"""Run the load programs of `load/`: start, speak with, end; and what processes cost.

They speak JSON, one object a line, and take single words on standard input. All waits are bounded.
"""

import contextlib
import json
import os
import resource
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, Self

from tests.bench.cores import pin

__all__ = [
    "BUILD",
    "LoadError",
    "LoadProgram",
    "cpu_seconds",
    "percentile",
    "raise_file_limit",
    "say",
]

BUILD: Final = Path(__file__).parent / "load" / "build"
"""Where scripts/bench compiles them to."""

_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")


class LoadError(RuntimeError):
    """A measurement could not be made; the message says why and what to do."""


class LoadProgram:
    """One load program, running.

    Args:
        name: of the program.
        arguments: of its command line.
        idle: called while an answer is waited for, several times a second.
        core: where it runs, `None` for anywhere.
    """

    def __init__(
        self,
        name: str,
        *arguments: object,
        idle: Callable[[], None] = lambda: None,
        core: int | None = None,
    ) -> None:
        program = BUILD / name
        if not program.exists():
            raise LoadError(f"{program} is not there: scripts/bench compiles it")
        self.name = name
        self._idle = idle
        self._text = b""
        self._process = subprocess.Popen(
            [program, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        pin(self._process.pid, core)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        self._process.wait()

    def answer(self, timeout: float) -> dict[str, Any]:
        """Return its next line.

        Args:
            timeout: how long it may take [s].

        Raises:
            LoadError: it did not come, or the program has ended.
        """
        output = self._process.stdout
        assert output is not None
        deadline = time.monotonic() + timeout
        with selectors.DefaultSelector() as selector:
            selector.register(output, selectors.EVENT_READ)
            while b"\n" not in self._text:
                self._idle()
                if time.monotonic() > deadline:
                    raise LoadError(f"{self.name} did not answer within {timeout:.0f} s")
                if selector.select(0.02):
                    more = os.read(output.fileno(), 1 << 20)
                    if not more:
                        raise LoadError(
                            f"{self.name} ended with {self._process.wait()} before it answered;"
                            " its error is above"
                        )
                    self._text += more
        line, _, self._text = self._text.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def tell(self, text: str) -> None:
        """Write a line to it."""
        assert self._process.stdin is not None
        self._process.stdin.write(text.encode() + b"\n")
        self._process.stdin.flush()

    def mark(self) -> dict[str, Any]:
        """Return its counters so far."""
        self.tell("mark")
        return self.answer(10.0)

    def finish(self, timeout: float = 20.0) -> dict[str, Any]:
        """End its input and return its last words."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        answer = self.answer(timeout)
        self._process.wait(timeout)
        return answer


def cpu_seconds(pid: int) -> float:
    """Return user and system time of a process so far [s]; 0 where it has gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0.0
    fields = text.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND


def percentile(values: Iterable[float], share: float) -> float | None:
    """Return the value that a share of the values does not exceed (nearest rank), or None."""
    ordered = sorted(values)
    if not ordered:
        return None
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1)


def say(what: str) -> None:
    """Tell whoever waits what is going on; standard output is the result's."""
    sys.stderr.write(f"bench: {what}\n")


def raise_file_limit(needed: int) -> None:
    """Let this process and its children open as many files as they need.

    Raises:
        LoadError: the machine does not allow it.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise LoadError(f"{needed} files are needed, {hard} are allowed: raise `ulimit -Hn`")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
