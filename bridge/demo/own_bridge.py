"""A bridge for the demo alone: a process of its own, free ports, a folder that is thrown away."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final, Self

from bridge.errors import StartError
from config.administration import call_bridge

__all__ = ["OwnBridge"]

START_S: Final = 30.0
STOP_S: Final = 15.0
NUMBER: Final = "1000"


class OwnBridge:
    """A bridge on loopback.

    Args:
        folder: where its data folder and its log are made.
    """

    number = NUMBER

    def __init__(self, folder: Path) -> None:
        self.data = folder / "bridge"
        self.log = folder / "bridge.log"
        self.port = 0
        # What the caller's environment says of another bridge must not reach this one.
        plain = {key: value for key, value in os.environ.items() if not key.startswith("DIALIN_")}
        self._environment = plain | {
            "DIALIN_CONFIG": os.devnull,
            "DIALIN_DATA_DIR": str(self.data),
            "DIALIN_LOG__FORMAT": "json",
            "DIALIN_METRICS__PORT": "0",
            "DIALIN_RECORDS__HEARTBEAT_S": "1",
            "DIALIN_SIP__BIND_IP": "127.0.0.1",
            "DIALIN_SIP__PORT": "0",
        }
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, operation: str, **arguments: Any) -> Any:  # noqa: ANN401 - what JSON can hold
        """Perform an administrator's operation.

        Args:
            operation: its name.
            arguments: what it takes.

        Returns:
            Its result.
        """
        return call_bridge(self.data / "admin.sock", operation, arguments)

    def start(self) -> None:
        """Start it and wait until it answers calls.

        Raises:
            StartError: it did not start.
        """
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bridge.cli", "serve"],
                cwd=Path(__file__).parents[2],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C is for the demo, which then ends the bridge in its own order.
                start_new_session=True,
            )
        deadline = time.monotonic() + START_S
        while True:
            with contextlib.suppress(OSError):
                self.port = self.ask("status")["sip"]["port"]
                return
            code = self._process.poll()
            if code is not None or time.monotonic() > deadline:
                raise StartError(
                    "the demo's bridge "
                    + (f"ended with code {code}" if code is not None else "did not answer")
                    + f": {self.last_words()}",
                    "`dialin doctor` looks for what is in the way; --keep DIR keeps the whole log.",
                )
            time.sleep(0.1)

    def last_words(self) -> str:
        """Return the end of its log, which goes with the folder unless that is kept."""
        return " ".join(self.log.read_text(errors="replace").strip().splitlines()[-3:])

    def open_room(self) -> dict[str, str]:
        """Add a number and a conference.

        Returns:
            The conference's PINs by role.
        """
        self.ask("number.add", number=NUMBER, kind="extension", language="en")
        added = self.ask("conference.add", name="Demo", start="at_once")
        pins: dict[str, str] = added["pins"]
        return pins

    def stop(self) -> int:
        """Interrupt it and wait until it is gone.

        Returns:
            Its exit code; 0 for one that went as it should.
        """
        process = self._process
        if process is None:
            return 0
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            return process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()
