"""A whole bridge as its own processes, as an operator starts it, and what it must leave behind.

It runs `dialin serve` in a temporary folder on a free port, is administered through the command
line and the local socket, and is judged at the end: it must go within seconds of SIGINT with exit
code 0, leave no process behind, and have logged neither a number nor a PIN.
"""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.support.caller import Caller, all_at_once
from tests.support.rtp import Address

__all__ = ["BridgeUnderTest", "Room", "free_port"]

_ROOT = Path(__file__).parents[2]
_MARK = "E2E_BRIDGE"
_FAMILY = "Quillfeather"
"""Every caller's family name: what a phone displays must not be in the log either."""


@dataclass(frozen=True)
class Room:
    """A conference as it was created.

    Attributes:
        name: Its name.
        host_pin: As printed once.
        guest_pin: The same.
    """

    name: str
    host_pin: str
    guest_pin: str


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that is free for UDP and TCP now.

    Args:
        host: The address.

    Returns:
        The port.
    """
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
            udp.bind((host, 0))
            port: int = udp.getsockname()[1]
            try:
                tcp.bind((host, port))
            except OSError:
                continue
            return port


class BridgeUnderTest:
    """One bridge.

    Args:
        folder: Its data folder; must not exist or be empty, or be that of an earlier bridge.
        environment: Settings as `DIALIN_...` variables.
        host: Address it listens on.
    """

    def __init__(
        self, folder: Path, environment: dict[str, str] | None = None, *, host: str = "127.0.0.1"
    ) -> None:
        self.folder = folder
        self.host = host
        self.port = free_port(host)
        self.number = "+12025550100"
        self.log_path = folder.with_name(folder.name + ".log")
        self.private: set[str] = set()
        """Numbers, PINs and names that must never be in the log."""
        self.callers: list[Caller] = []
        self._makers: dict[Caller, int] = {}
        self._mark = uuid.uuid4().hex
        base = {key: value for key, value in os.environ.items() if not key.startswith("DIALIN_")}
        self.environment = {
            **base,
            _MARK: self._mark,
            "DIALIN_SIP__BIND_IP": host,
            "DIALIN_LOG__FORMAT": "json",
            "DIALIN_METRICS__PORT": "0",
            "DIALIN_RECORDS__HEARTBEAT_S": "1",
            "DIALIN_DATA_DIR": str(folder),
            **(environment or {}),
        }
        self.process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._next_id = 0
        self._next_caller = 0

    @property
    def address(self) -> Address:
        """Where it listens."""
        return (self.host, self.port)

    @property
    def running(self) -> subprocess.Popen[bytes]:
        """The process.

        Raises:
            RuntimeError: It was not started.
        """
        if self.process is None:
            message = "the bridge was not started"
            raise RuntimeError(message)
        return self.process

    # -- life ---------------------------------------------------------------------------------

    def dialin(
        self, *arguments: str, code: int | None = 0, timeout: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        """Run the `dialin` command on this bridge's folder.

        Args:
            arguments: Its arguments.
            code: The exit code it must end with; None for any.
            timeout: After which it is a failure [s].

        Returns:
            The finished process.
        """
        finished = subprocess.run(
            [sys.executable, "-m", "bridge.cli", *arguments],
            cwd=_ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if code is not None and finished.returncode != code:
            message = (
                f"dialin {' '.join(arguments)}: exit code {finished.returncode}, expected {code}\n"
                f"{finished.stdout[-2000:]}\n{finished.stderr[-2000:]}"
            )
            raise AssertionError(message)
        return finished

    def ask(self, *arguments: str) -> Any:  # noqa: ANN401 - whatever the command prints
        """Run `dialin ... --json` and return what it printed.

        Args:
            arguments: Its arguments, without `--json`.

        Returns:
            The value.
        """
        return json.loads(self.dialin(*arguments, "--json").stdout)

    def start(self, *, timeout: float = 60.0) -> Self:
        """Start it and wait until it answers on its socket.

        Args:
            timeout: After which it is a failure [s].

        Returns:
            The bridge.
        """
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "bridge.cli", "serve", "--port", str(self.port)],
                cwd=_ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + timeout
        while True:
            with contextlib.suppress(OSError, ValueError):
                self.operate("status")
                return self
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.clear_away()
                said = self.log_path.read_text(errors="replace")[-4000:]
                message = f"the bridge did not start (code {self.process.poll()}):\n{said}"
                raise AssertionError(message)
            time.sleep(0.1)

    def stop(self, *, timeout: float = 15.0) -> None:
        """Interrupt it and judge how it goes.

        Args:
            timeout: Within which it must be gone [s].
        """
        process = self.running
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.clear_away()
            message = f"the bridge still ran {timeout} s after SIGINT"
            raise AssertionError(message) from None
        assert code == 0, f"the bridge ended with {code}: {self.log_path.read_text()[-3000:]}"
        self.wait_until(lambda: not self.processes(), 5.0, "all of its processes to be gone")

    def clear_away(self) -> None:
        """Kill whatever of it is left, so that a failed test leaves nothing behind."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.running.wait()

    def kill(self) -> None:
        """Kill the control process with SIGKILL; its children must notice by themselves."""
        process = self.running
        process.kill()
        process.wait()

    def processes(self) -> list[int]:
        """Return the bridge's processes, found by a mark in their environment.

        Returns:
            Process ids, without zombies.
        """
        mark = f"{_MARK}={self._mark}".encode()
        found: list[int] = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if mark in (entry / "environ").read_bytes().split(b"\0"):
                        found.append(int(entry.name))
        return found

    def children(self) -> list[int]:
        """Return the processes besides the control process.

        Returns:
            Process ids.
        """
        return [pid for pid in self.processes() if pid != self.running.pid]

    @staticmethod
    def wait_until(condition: Callable[[], bool], timeout: float, what: str) -> None:
        """Wait for something.

        Args:
            condition: Asked ten times a second.
            timeout: After which it is a failure [s].
            what: For the failure's message.
        """
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                message = f"waited {timeout:g} s in vain for {what}"
                raise AssertionError(message)
            time.sleep(0.1)

    # -- administration -----------------------------------------------------------------------

    def operate(self, operation: str, **arguments: object) -> Any:  # noqa: ANN401 - any JSON
        """Perform an operation over the local socket of the running bridge.

        Args:
            operation: E.g. "conference.add".
            arguments: What it takes.

        Returns:
            Its result.

        Raises:
            ValueError: It was refused.
        """
        with self._lock:
            self._next_id += 1
            request = {"id": self._next_id, "operation": operation, "arguments": arguments}
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(20)
            sock.connect(str(self.folder / "admin.sock"))
            sock.sendall(json.dumps(request).encode() + b"\n")
            with sock.makefile("rb") as lines:
                answer = json.loads(lines.readline())
        if "error" in answer:
            raise ValueError(answer["error"]["message"])
        return answer["result"]

    def add_number(self) -> None:
        """Add the number that callers dial."""
        self.operate("number.add", number=self.number, language="en")

    def room(self, name: str | None = None, **rules: object) -> Room:
        """Add a conference.

        Args:
            name: Its name; one that nobody has when None.
            rules: As of `conference.add`.

        Returns:
            Name and PINs.
        """
        added = self.operate("conference.add", name=name or f"Room {uuid.uuid4().hex}", **rules)
        pins = added["pins"]
        self.private |= set(pins.values())
        return Room(added["name"], pins["host"], pins["guest"])

    def calls(self) -> int:
        """Return how many calls are up, as the bridge says."""
        return int(self.operate("status")["calls"])

    def people(self, room: Room) -> int:
        """Return how many are together in a conference.

        Args:
            room: The conference.

        Returns:
            0 where it does not run.
        """
        running = self.operate("status")["running_conferences"]
        return next((int(each["people"]) for each in running if each["name"] == room.name), 0)

    def leg_of(self, person: Caller, *, timeout: float = 15.0) -> dict[str, Any]:
        """Return the call detail record of a caller's last call, once it is closed.

        Args:
            person: The caller.
            timeout: After which it is a failure [s].

        Returns:
            The row as `dialin cdr legs --json` prints it.
        """
        rows: list[dict[str, Any]] = []

        def closed() -> bool:
            rows[:] = self.operate("cdr.legs", caller=person.caller, limit=1)
            return bool(rows) and rows[0]["ended_at"] is not None

        self.wait_until(closed, timeout, f"the record of {person.name}'s call to be closed: {rows}")
        return rows[0]

    def log(self) -> list[dict[str, Any]]:
        """Return the log's lines that are JSON.

        Returns:
            One dictionary a line.
        """
        events: list[dict[str, Any]] = []
        for line in self.log_path.read_text(errors="replace").splitlines():
            with contextlib.suppress(ValueError):
                event = json.loads(line)
                if isinstance(event, dict):
                    events.append(event)
        return events

    def judge_log(self) -> None:
        """Assert that the log holds no private number or PIN, and no traceback."""
        text = self.log_path.read_text(errors="replace")
        for secret in self.private:
            found = re.search(rf"(?<!\w){re.escape(secret.lstrip('+'))}(?!\w)", text, re.IGNORECASE)
            if found:
                line = text.count("\n", 0, found.start())
                event = re.sub(r"[+\d]{4,}", "...", text.splitlines()[line])[:300]
                message = (
                    f"{self.log_path.name}:{line + 1} holds a number, a PIN or a name: {event}"
                )
                raise AssertionError(message)
        assert "Traceback" not in text, text[text.index("Traceback") - 200 :][:4000]

    # -- callers ------------------------------------------------------------------------------

    def caller(self, name: str, **options: Any) -> Caller:  # noqa: ANN401 - as of `Phone`
        """Return a new caller with a number of their own; closed with the bridge at the latest.

        Args:
            name: Of the caller; unique within a test.
            options: As of `Phone`.

        Returns:
            The caller.
        """
        with self._lock:
            # A range that the Swedish authority keeps for fiction: nobody is called by mistake.
            number = f"+467017406{5 + self._next_caller % 95:02d}"
            self._next_caller += 1
        self.private |= {number, _FAMILY}
        display = f"{name.title()} {_FAMILY}"
        person = Caller(self.address, number, name=name, display=display, **options)
        self.callers.append(person)
        self._makers[person] = threading.get_ident()
        return person

    def bring_in(self, room: Room, *people: Caller, slowly: bool = False) -> None:
        """Bring people into a conference as guests, all at the same time.

        Args:
            room: The conference.
            people: Who.
            slowly: Let them listen to the greeting first.
        """

        def come(person: Caller) -> Callable[[], Caller]:
            way = person.enter if slowly else person.slip_in
            return lambda: way(self.number, room.guest_pin, settle=False)

        all_at_once(*(come(person) for person in people))
        for person in people:
            person.silent_for(0.8)

    def hang_up_all(self) -> None:
        """Close every caller made so far."""
        for person in self.callers:
            person.close()
        self.callers.clear()
        self._makers.clear()

    def hang_up_mine(self) -> None:
        """Close every caller that this thread has made: its story is over, others go on."""
        for person in list(self.callers):
            if self._makers.get(person) == threading.get_ident():
                person.close()
                self.callers.remove(person)
                del self._makers[person]

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: object, *exc_info: object) -> None:
        self.hang_up_all()
        if kind is None:
            self.stop()
            self.judge_log()
        elif self.running.poll() is None:
            self.running.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.running.wait(10)
            self.clear_away()
