"""Which core measures what: the program under test has one to itself, its load has another.

Moved about by the scheduler, the two would share a core now and then, and the figures would be of
the scheduler. Where there is only one core nothing is pinned, and the result says so.
"""

import functools
import os
import platform
from pathlib import Path
from typing import Any, Final

__all__ = ["LIMIT", "limited", "load_core", "machine", "pin", "tested_core"]

LIMIT: Final = 0.8
"""Share of its core above which the load generator may have been what was measured."""


@functools.cache
def _cores() -> tuple[int, ...]:
    """Return the cores that this process was given, before it pinned anything."""
    return tuple(sorted(os.sched_getaffinity(0)))


def tested_core() -> int | None:
    """Return the core of what is measured, None where there is only one."""
    return _cores()[0] if len(_cores()) > 1 else None


def load_core() -> int | None:
    """Return the core of the load, None where there is only one."""
    return _cores()[1] if len(_cores()) > 1 else None


def pin(pid: int, core: int | None) -> None:
    """Keep a process on a core; 0 is this process, None leaves it to the scheduler."""
    if core is not None:
        os.sched_setaffinity(pid, {core})


def limited(cores: float) -> bool:
    """Say whether a load generator that used so much of its core may have been the limit."""
    return cores > LIMIT


def machine() -> dict[str, Any]:
    """Say on what was measured."""
    model = "unknown"
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            model = value.strip()
            break
    return {
        "processor": model,
        "cores": len(_cores()),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "pinned": tested_core() is not None,
    }
