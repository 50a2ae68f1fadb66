"""baresip, an ordinary SIP phone that shares no code with the bridge, driven by its control port.

Debian's package has no module that records a call to a file of our choosing except `sndfile`,
which dumps each direction under a name of its own; `aufile` is its microphone, and `aubridge` the
loudspeaker that needs no sound card.
"""

import json
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np

from tests.support.signals import RATE, Samples, read_wav, write_wav

__all__ = ["Baresip"]

_MODULES = ("g711.so", "g722.so", "aufile.so", "aubridge.so", "sndfile.so", "account.so", "menu.so")


class Baresip:
    """One baresip process with one account that registers nowhere.

    Args:
        folder: An empty folder for its configuration and sound.
        speech: What its microphone hears, from the moment a call is up; int16, 8 kHz.
        name: The user part of its address.
        wideband: It has G.722, before G.711, and its microphone and loudspeaker are of 16 kHz.
    """

    def __init__(
        self, folder: Path, speech: Samples, name: str = "baresip", *, wideband: bool = False
    ) -> None:
        program = shutil.which("baresip")
        if program is None:
            message = "baresip is missing: apt-get install baresip (scripts/test does it)"
            raise FileNotFoundError(message)
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        # aufile ends the call with its file: a minute of silence follows what is said.
        rate = 2 * RATE if wideband else RATE
        silence = np.zeros(60 * rate, dtype=np.int16)
        write_wav(folder / "speech.wav", np.concatenate((speech, silence)), rate)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port: int = probe.getsockname()[1]
        modules = self._module_path(Path(program))
        lines = [
            "poll_method epoll",
            "sip_listen 127.0.0.1:0",
            "call_local_timeout 60",
            "call_max_calls 1",
            f"audio_source aufile,{folder / 'speech.wav'}",
            "audio_player aubridge,loudspeaker",
            "audio_alert aubridge,bell",
            f"ausrc_srate {rate}",
            f"auplay_srate {rate}",
            "ausrc_channels 1",
            "auplay_channels 1",
            "audio_level no",
            "rtp_stats no",
            f"module_path {modules}",
            *(f"module {name}" for name in _MODULES if name not in {"account.so", "menu.so"}),
            "module_app account.so",
            "module_app menu.so",
            "module ctrl_tcp.so",
            f"ctrl_tcp_listen 127.0.0.1:{self._port}",
            f"snd_path {folder}",
        ]
        (folder / "config").write_text("\n".join(lines) + "\n")
        codecs = ("G722/16000/1," if wideband else "") + "PCMU/8000/1,PCMA/8000/1"
        (folder / "accounts").write_text(f"<sip:{name}@127.0.0.1>;regint=0;audio_codecs={codecs}\n")
        (folder / "contacts").write_text("")
        self._log = (folder / "baresip.log").open("wb")
        self._process = subprocess.Popen(
            [program, "-4", "-f", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            cwd=folder,
        )
        self._control = self._connect()
        self._buffer = b""
        self.events: list[dict[str, Any]] = []

    @staticmethod
    def _module_path(program: Path) -> Path:
        places = [program.parent.parent / "lib/baresip/modules", Path("/usr/lib/baresip/modules")]
        places += Path("/usr/lib").glob("*/baresip/modules")
        return next((place for place in places if (place / "g711.so").exists()), places[1])

    def _connect(self) -> socket.socket:
        deadline = time.monotonic() + 15
        while True:
            try:
                return socket.create_connection(("127.0.0.1", self._port), timeout=5)
            except OSError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    log = (self.folder / "baresip.log").read_text(errors="replace")[-2000:]
                    message = f"baresip did not open its control port: {log}"
                    raise RuntimeError(message) from None
                time.sleep(0.05)

    # -- control ------------------------------------------------------------------------------

    def command(self, name: str, parameters: str = "") -> None:
        """Give a command of its menu.

        Args:
            name: Long name, e.g. "dial", "hangup", "sndcode", "hold", "resume".
            parameters: What follows it.
        """
        body = json.dumps({"command": name, "params": parameters, "token": "t"}).encode()
        self._control.sendall(b"%d:%s," % (len(body), body))

    def wait_event(self, kind: str, *, timeout: float = 10.0, since: int = 0) -> dict[str, Any]:
        """Wait for an event such as "CALL_ESTABLISHED" or "CALL_CLOSED".

        Args:
            kind: Its type.
            timeout: After which it is a failure [s].
            since: Events before this place do not count.

        Returns:
            The event.

        Raises:
            TimeoutError: It did not come.
        """
        return self._wait(lambda event: event.get("type") == kind, kind, timeout, since)

    def _wait(
        self, wanted: Callable[[dict[str, Any]], bool], what: str, timeout: float, since: int
    ) -> dict[str, Any]:
        deadline = time.monotonic() + timeout
        while True:
            for event in self.events[since:]:
                if wanted(event):
                    return event
            left = deadline - time.monotonic()
            if left <= 0:
                kinds = [event.get("type") for event in self.events]
                message = f"baresip: no {what} within {timeout} s; it reported {kinds}"
                raise TimeoutError(message)
            self._control.settimeout(left)
            try:
                data = self._control.recv(65536)
            except TimeoutError:
                continue
            if not data:
                message = f"baresip ended while a test waited for {what}"
                raise RuntimeError(message)
            self._buffer += data
            self._parse()

    def _parse(self) -> None:
        while True:
            head = re.match(rb"(\d+):", self._buffer)
            if head is None:
                return
            length = int(head[1])
            if len(self._buffer) < head.end() + length + 1:
                return
            body = self._buffer[head.end() : head.end() + length]
            self._buffer = self._buffer[head.end() + length + 1 :]
            self.events.append(json.loads(body))

    # -- the call -----------------------------------------------------------------------------

    def dial(self, uri: str) -> float:
        """Call and wait until it is answered.

        Args:
            uri: A SIP URI.

        Returns:
            `time.monotonic()` when it was reported; its microphone opens about then [s].
        """
        self.command("dial", uri)
        self.wait_event("CALL_ESTABLISHED")
        return time.monotonic()

    def press(self, keys: str, pause_s: float = 0.25) -> None:
        """Send keys by RFC 4733, one after the other.

        Args:
            keys: The keys.
            pause_s: Between them [s].
        """
        for key in keys:
            self.command("sndcode", key)
            time.sleep(pause_s)

    def hang_up(self) -> None:
        """Hang up."""
        self.command("hangup")

    def heard(self) -> Samples:
        """Return what came out of its loudspeaker, once the call is over.

        Returns:
            int16, 8 kHz.
        """
        return read_wav(self._dump())

    def heard_wide(self) -> Samples:
        """Return what came out of a wideband phone's loudspeaker: int16, 16 kHz."""
        data = self._dump().read_bytes()
        body = data[data.index(b"data") + 8 :]
        return np.frombuffer(body[: len(body) // 2 * 2], "<i2").astype(np.int16)

    def _dump(self) -> Path:
        dumps = sorted(self.folder.glob("dump-*-dec.wav"), key=lambda path: path.stat().st_mtime)
        if not dumps:
            found = sorted(path.name for path in self.folder.iterdir())
            message = f"baresip recorded nothing; its folder holds {found}"
            raise FileNotFoundError(message)
        return dumps[-1]

    def close(self) -> None:
        """End the process."""
        self._control.close()
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
