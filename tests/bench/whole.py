"""A whole bridge to measure, set up as an administrator would, and what it costs while it runs."""

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from tests.bench.programs import LoadProgram, cpu_seconds, raise_file_limit
from tests.support.bridge_under_test import BridgeUnderTest, Room

__all__ = ["HOST", "Load", "WholeBridge", "call_arguments", "start_calls", "whole_bridge"]

HOST: Final = "127.0.0.1"
PEOPLE: Final = 20
"""In a conference, at most."""


class WholeBridge:
    """A bridge with a number and conferences.

    Args:
        bridge: the bridge, started.
        pins: file of guest PINs, one conference a line.
        rooms: the conferences.
    """

    def __init__(self, bridge: BridgeUnderTest, pins: Path, rooms: list[Room]) -> None:
        self.bridge = bridge
        self.pins = pins
        self.rooms = rooms
        self.pids = bridge.processes()

    def status(self) -> dict[str, Any]:
        """Return what `dialin status --json` says."""
        found: dict[str, Any] = self.bridge.operate("status")
        return found

    def records(self, calls: int, timeout: float = 30.0) -> list[dict[str, Any]]:
        """Return the closed call detail records, with callers' numbers.

        Args:
            calls: as many are waited for.
            timeout: at most so long [s]; then those that are there.
        """
        deadline = time.monotonic() + timeout
        while True:
            rows = self.bridge.operate("cdr.legs", limit=calls + 100, reveal=True)
            done = [row for row in rows if row["ended_at"] is not None]
            if len(done) >= calls or time.monotonic() > deadline:
                return done
            time.sleep(0.5)


@contextlib.contextmanager
def whole_bridge(callers: int, people: int = PEOPLE, /, **settings: str) -> Iterator[WholeBridge]:
    """Start a bridge in a temporary folder, with room for so many callers; stop it afterwards.

    Args:
        callers: at once.
        people: in a conference, at most.
        settings: by their environment variables without `DIALIN_`.
    """
    raise_file_limit(6 * callers + 4096)
    environment = {f"DIALIN_{name}": value for name, value in settings.items()}
    with tempfile.TemporaryDirectory(prefix="dialin-bench-") as name:
        bridge = BridgeUnderTest(Path(name) / "data", environment, host=HOST)
        bridge.start()
        try:
            bridge.dialin("number", "add", bridge.number, "--language", "en")
            # Over the socket that the command line speaks to: a process each would take a minute.
            capacity = max(100, people + people // 5)
            rooms = [bridge.room(capacity=capacity) for _ in range(-(-callers // people))]
            pins = Path(name) / "pins"
            pins.touch(mode=0o600)
            pins.write_text("\n".join(room.guest_pin for room in rooms), encoding="ascii")
            yield WholeBridge(bridge, pins, rooms)
            bridge.stop(timeout=60.0)
            bridge.judge_log()
        finally:
            bridge.clear_away()


def call_arguments(
    whole: WholeBridge, calls: int, rate: int, stay_ms: int, transport: str, first: int
) -> tuple[object, ...]:
    """Return the arguments of callgen for calls to a bridge."""
    bridge = whole.bridge
    return (
        *(HOST, bridge.port, bridge.number, whole.pins),
        *(calls, rate, stay_ms, HOST, transport, first),
    )


class Load:
    """CPU time of the bridge's processes, over a time and second by second.

    Args:
        whole: the bridge.
    """

    def __init__(self, whole: WholeBridge) -> None:
        self._control = whole.bridge.running.pid
        self._pids = whole.pids
        self._began = self._last = time.monotonic()
        self._first = self._before = self._times()
        self._most = 0.0

    def _times(self) -> dict[int, float]:
        return {pid: cpu_seconds(pid) for pid in self._pids}

    def watch(self) -> None:
        """Take note, once a second; to be called as often as may be."""
        now = time.monotonic()
        if now - self._last >= 1.0:
            times = self._times()
            used = sum(times.values()) - sum(self._before.values())
            self._most = max(self._most, used / (now - self._last))
            self._before, self._last = times, now

    def cores(self) -> dict[str, float]:
        """Return cores in use: in all, of control and of media, and in the busiest second."""
        took = time.monotonic() - self._began
        used = {pid: time - self._first[pid] for pid, time in self._times().items()}
        control = used.pop(self._control)
        return {
            "cores": round((control + sum(used.values())) / took, 3),
            "cores_control": round(control / took, 3),
            "cores_media": round(sum(used.values()) / took, 3),
            "cores_busiest_second": round(self._most, 3),
        }


def start_calls(
    whole: WholeBridge,
    calls: int,
    rate: int,
    transport: str,
    first: int,
    *,
    idle: Callable[[], None] = lambda: None,
) -> LoadProgram:
    """Start calls that stay until they are ended."""
    arguments = call_arguments(whole, calls, rate, 0, transport, first)
    return LoadProgram("callgen", *arguments, idle=idle)
