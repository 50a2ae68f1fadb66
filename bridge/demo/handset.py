"""Holds a softphone process in hand: starts it, gives it commands, waits for what it reports.

See :mod:`bridge.demo.softphone` for the process and its lines of JSON.
"""

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Self, cast

import numpy as np

from bridge.demo.hearing import Samples, read_wav, write_wav
from bridge.errors import BridgeError

__all__ = ["Handset", "HandsetError"]

_PATIENCE_S = 10.0
_WAV_HEADER = 44


class HandsetError(BridgeError):
    """A softphone did not do what it was told, or not in time."""


class Handset:
    """One softphone process.

    Args:
        name: The user part of its SIP address, and of its files.
        folder: Where its recording and what it plays are kept.
        codec: The only codec it offers ("PCMU" or "PCMA"); both when None.
        on_event: Called with each event in the reading thread, e.g. for a live view.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        *,
        codec: str | None = None,
        on_event: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self.name = name
        self.folder = folder
        self.events: list[dict[str, Any]] = []
        self.recording_path = folder / f"{name}-heard.wav"
        self.recording_started = 0.0
        """`time.monotonic()` at which the recording's first sample was taken [s]."""
        self._on_event = on_event
        self._changed = threading.Condition()
        self._replies: dict[int, dict[str, Any]] = {}
        self._next_id = 0
        self._over = False
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bridge.demo.softphone", name, codec or ""],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        self._input = cast("IO[bytes]", self._process.stdin)
        self._output = cast("IO[bytes]", self._process.stdout)
        self._reader = threading.Thread(target=self._read, name=f"handset-{name}", daemon=True)
        self._reader.start()
        self.wait_for("ready", lambda event: event.get("event") == "ready")

    # -- reports ------------------------------------------------------------------------------

    def _read(self) -> None:
        for line in self._output:
            event = json.loads(line)
            with self._changed:
                if "id" in event:
                    self._replies[event["id"]] = event
                else:
                    self.events.append(event)
                if event.get("recording_started"):
                    self.recording_started = event["recording_started"]
                self._changed.notify_all()
            if self._on_event is not None and "event" in event:
                self._on_event(event)
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def wait_for(
        self,
        what: str,
        condition: Callable[[dict[str, Any]], bool],
        *,
        timeout: float = _PATIENCE_S,
        since: int = 0,
    ) -> dict[str, Any]:
        """Wait for an event.

        Args:
            what: In words, for the error.
            condition: True for the event.
            timeout: After which it is an error [s].
            since: Events before this place in `events` do not count.

        Returns:
            The event.

        Raises:
            HandsetError: It did not come, or the process ended.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                for event in self.events[since:]:
                    if condition(event):
                        return event
                left = deadline - time.monotonic()
                if self._over or left <= 0:
                    why = "its process ended" if self._over else f"not within {timeout:g} s"
                    seen = [event for event in self.events if event.get("event") != "level"][-3:]
                    raise HandsetError(
                        f"softphone {self.name} waited for: {what}; {why}. Its last reports: {seen}"
                    )
                self._changed.wait(left)

    def wait_state(self, state: str, *, timeout: float = _PATIENCE_S) -> dict[str, Any]:
        """Wait until the call has reached a state.

        Args:
            state: "confirmed", "ended" and so on.
            timeout: After which it is an error [s].

        Returns:
            The event, with `status`, `reason` and `at`.
        """
        return self.wait_for(
            f"the call to be {state}", lambda event: event.get("state") == state, timeout=timeout
        )

    def wait_sound(
        self, *, loud: int = 8, for_s: float = 0.3, timeout: float = _PATIENCE_S, since: int = 0
    ) -> float:
        """Wait until something is heard for a while.

        Args:
            loud: PJSIP's level from which it counts (0 to 255, about 28 at -20 dBFS).
            for_s: For how long of the reports [s].
            timeout: After which it is an error [s].
            since: Events before this place in `events` do not count.

        Returns:
            `time.monotonic()` of the first loud report [s].
        """

        def begun(event: dict[str, Any]) -> bool:
            if event.get("event") != "level":
                return False
            reports = [
                report
                for report in self.events[since:]
                if report.get("event") == "level" and 0 <= report["at"] - event["at"] <= for_s
            ]
            long_enough = self.events[-1]["at"] - event["at"] >= for_s
            return long_enough and all(report["heard"] >= loud for report in reports)

        event = self.wait_for("something to be heard", begun, timeout=timeout, since=since)
        return float(event["at"])

    # -- commands -----------------------------------------------------------------------------

    def command(self, name: str, **fields: object) -> None:
        """Give a command and wait until it was taken.

        Args:
            name: See :mod:`bridge.demo.softphone`.
            fields: What goes with it.

        Raises:
            HandsetError: It was refused, or the process is gone.
        """
        with self._changed:
            self._next_id += 1
            number = self._next_id
        line = json.dumps({"id": number, "command": name, **fields}).encode() + b"\n"
        try:
            self._input.write(line)
            self._input.flush()
        except OSError as error:
            raise HandsetError(f"softphone {self.name} is gone: {error}") from error
        with self._changed:
            if not self._changed.wait_for(
                lambda: number in self._replies or self._over, _PATIENCE_S
            ):
                raise HandsetError(f"softphone {self.name} did not answer to {name!r}")
            reply = self._replies.pop(number, {"ok": False, "error": "its process ended"})
        if not reply["ok"]:
            raise HandsetError(f"softphone {self.name}: {name}: {reply['error']}")

    def dial(self, uri: str, *, timeout: float = _PATIENCE_S) -> None:
        """Call and wait until the call is up with sound.

        Args:
            uri: A SIP URI.
            timeout: After which it is an error [s].
        """
        self.command("dial", uri=uri, record=str(self.recording_path))

        def up_or_over(event: dict[str, Any]) -> bool:
            return event.get("state") in {"confirmed", "ended"}

        event = self.wait_for("the call to be answered", up_or_over, timeout=timeout)
        if event["state"] == "ended":
            raise HandsetError(
                f"softphone {self.name}: the call was refused: {event['status']} {event['reason']}"
            )
        self.wait_for("sound", lambda event: event.get("state") == "active", timeout=timeout)

    def press(self, keys: str, *, method: str = "rfc4733", duration_ms: int = 120) -> None:
        """Send keys.

        Args:
            keys: Of `0123456789*#`.
            method: "rfc4733" or "info".
            duration_ms: Of each key [ms].
        """
        self.command("digits", keys=keys, method=method, duration_ms=duration_ms)

    def say(self, samples: Samples) -> float:
        """Play sound into the call.

        Args:
            samples: int16, 8 kHz.

        Returns:
            `time.monotonic()` about when its first sample went out [s].
        """
        path = self.folder / f"{self.name}-says-{len(self.events)}.wav"
        write_wav(path, samples)
        self.command("play", wav=str(path))
        return time.monotonic()

    def hang_up(self) -> None:
        """Hang up and wait until the call is over."""
        self.command("hangup")
        self.wait_state("ended")

    def heard(self) -> Samples:
        """Return what was recorded so far; the last quarter second may be missing.

        Returns:
            int16, 8 kHz; nothing before the recorder has written its first block.
        """
        path = self.recording_path
        if not path.exists() or path.stat().st_size < _WAV_HEADER:
            return np.zeros(0, dtype=np.int16)
        return read_wav(path)

    def close(self) -> None:
        """End the process, politely first."""
        with contextlib.suppress(OSError):
            self._input.close()
        try:
            self._process.wait(3)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(1)
        self._output.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
