"""Traces: the headers of a call's SIP messages and RTP packets, in a file that expires.

An administrator asks for one call or one trunk. What is written is signalling and packet headers:
no sound, and no digits (the SIP room masks INFO bodies, the media process leaves event codes out).
Header lines do hold numbers and addresses, so the file has mode 0600, lies in the data folder and
is deleted after a day, by the bridge that runs then or by the next one at its start.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import structlog

from bridge.errors import AdminError
from bridge.media.messages import BeginTrace, EndTrace
from bridge.sip.errors import NotRunningError

if TYPE_CHECKING:
    from bridge.calls import Call
    from bridge.server import Bridge

__all__ = ["Traces"]

EXPIRES_S: Final = 24 * 3600.0
LARGEST_FILE: Final = 64 << 20
"""Bytes; a trunk's trace that nobody ends must not fill the disk."""

AT_ONCE: Final = 8


@dataclass(slots=True)
class _Trace:
    number: int
    path: Path
    file: IO[str]
    call: str | None
    trunk: str | None
    sip: int
    until: float
    legs: set[int] = field(default_factory=set)
    written: int = 0


class Traces:
    """All traces of one bridge.

    Args:
        bridge: the house.
        folder: where trace files go.
    """

    def __init__(self, bridge: Bridge, folder: Path) -> None:
        self._bridge = bridge
        self._folder = folder
        self._running: dict[int, _Trace] = {}
        self._numbers = itertools.count(1)
        self._log = structlog.get_logger("bridge.traces")

    # -- asked for ------------------------------------------------------------------------------

    def begin(self, call: str | None, trunk: str | None, seconds: float) -> dict[str, Any]:
        """Begin a trace.

        Args:
            call: our identifier of a running call, as the log and `dialin status` show it.
            trunk: name of a trunk; all its calls.
            seconds: when it ends by itself.

        Returns:
            Its number and file.

        Raises:
            AdminError: there is no such call or trunk, or too many traces run.
        """
        if (call is None) == (trunk is None):
            raise AdminError("name either a call or a trunk", "--call ID or --trunk NAME")
        if len(self._running) >= AT_ONCE:
            raise AdminError(
                f"{AT_ONCE} traces are running already", "End one: dialin trace --end NUMBER"
            )
        traced = self._find_call(call) if call is not None else None
        if trunk is not None and not self._bridge.directory.trunk(trunk):
            raise AdminError(f"there is no trunk {trunk!r}", "`dialin trunk list` shows them.")
        number = next(self._numbers)
        path, file = self._create(number)
        sip = self._bridge.sip.begin_trace(
            lambda lines: self._from_sip(number, lines),
            call_id=traced.incoming.call_id if traced is not None else None,
            trunk=trunk,
        )
        until = time.monotonic() + seconds
        trace = _Trace(number, path, file, traced.uid if traced else None, trunk, sip, until)
        self._running[number] = trace
        for each in [traced] if traced is not None else list(self._bridge.calls.values()):
            if traced is not None or each.trunk == trunk:
                self._add_leg(trace, each)
        self._log.info("trace begun", trace=number, trunk=trunk)
        return {"trace": number, "file": str(path), "seconds": seconds}

    def end(self, number: int) -> dict[str, Any]:
        """End a trace.

        Raises:
            AdminError: it does not run.
        """
        trace = self._running.pop(number, None)
        if trace is None:
            raise AdminError(f"trace {number} does not run", "`dialin trace --list` shows them.")
        with contextlib.suppress(NotRunningError):  # SIP has failed, and the trace with it
            self._bridge.sip.end_trace(trace.sip)
        for leg in trace.legs:
            if leg in self._bridge.legs:
                self._bridge.media.send(EndTrace(leg=leg))
        with contextlib.suppress(OSError):  # a full disk was said when the line was written
            trace.file.close()
        self._log.info("trace ended", trace=number)
        return {"trace": number, "file": str(trace.path)}

    def running(self) -> list[dict[str, Any]]:
        """List the traces that run."""
        now = time.monotonic()
        return [
            {
                "trace": trace.number,
                "call": trace.call,
                "trunk": trace.trunk,
                "file": str(trace.path),
                "seconds_left": max(0, round(trace.until - now)),
            }
            for trace in self._running.values()
        ]

    # -- as calls go ----------------------------------------------------------------------------

    def call_begun(self, call: Call) -> None:
        """Add a new call to the traces of its trunk."""
        for trace in self._running.values():
            if trace.trunk is not None and trace.trunk == call.trunk:
                self._add_leg(trace, call)

    def call_ended(self, call: Call) -> None:
        """Forget the leg; a trace of that call alone is over."""
        for trace in list(self._running.values()):
            trace.legs.discard(call.leg)
            if trace.call == call.uid:
                self.end(trace.number)

    def media_lines(self, call: Call, lines: list[str]) -> None:
        """Write RTP header lines of a traced leg."""
        for trace in list(self._running.values()):
            if call.leg in trace.legs:
                self._write(trace, [f"{call.uid[:8]} RTP {line}" for line in lines])

    def sweep(self) -> None:
        """End traces whose time is out and delete files that have expired; call now and then."""
        now = time.monotonic()
        for trace in list(self._running.values()):
            if now >= trace.until:
                self.end(trace.number)
        with contextlib.suppress(OSError):
            for path in self._folder.glob("trace-*.txt"):
                if time.time() - path.stat().st_mtime > EXPIRES_S:
                    path.unlink()

    def close(self) -> None:
        """End every trace."""
        for number in list(self._running):
            self.end(number)

    # -- inside ---------------------------------------------------------------------------------

    def _find_call(self, identifier: str) -> Call:
        found = [
            call
            for call in self._bridge.calls.values()
            if len(identifier) >= 4 and call.uid.startswith(identifier)  # noqa: PLR2004 - fewer characters would match by accident
        ]
        if len(found) != 1:
            problem = "no running call" if not found else "more than one running call"
            raise AdminError(
                f"{problem} has an identifier that begins with {identifier!r}",
                "`dialin status` lists the calls that run.",
            )
        return found[0]

    def _create(self, number: int) -> tuple[Path, IO[str]]:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        path = self._folder / f"trace-{stamp}-{number}.txt"
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise AdminError(
                f"{path}: cannot be created: {error.strerror}", "Is the disk full or read-only?"
            ) from error
        return path, os.fdopen(descriptor, "w", encoding="utf-8")

    def _add_leg(self, trace: _Trace, call: Call) -> None:
        trace.legs.add(call.leg)
        self._bridge.media.send(BeginTrace(leg=call.leg))

    def _from_sip(self, number: int, lines: list[str]) -> None:
        """Take lines in the SIP thread."""
        self._bridge.loop.call_soon_threadsafe(self._sip_lines, number, lines)

    def _sip_lines(self, number: int, lines: list[str]) -> None:
        trace = self._running.get(number)
        if trace is not None:
            self._write(trace, lines)

    def _write(self, trace: _Trace, lines: list[str]) -> None:
        stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
        text = "".join(f"{stamp} {_printable(line)}\n" for line in lines)
        trace.written += len(text)
        try:
            trace.file.write(text)
            trace.file.flush()
        except OSError as error:
            self._log.error("trace cannot be written", trace=trace.number, errno=error.errno)
            trace.written = LARGEST_FILE
        if trace.written >= LARGEST_FILE:
            self.end(trace.number)


def _printable(line: str) -> str:
    """Escape what a caller might have put there for the reader's terminal."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", lambda match: f"\\x{ord(match.group()):02x}", line)
