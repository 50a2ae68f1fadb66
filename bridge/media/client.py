"""The control process's end of a media process: start it, tell it, hear from it, end it.

Nothing here blocks but `close`. The caller watches `fileno()` for reading and calls `receive()`;
while `pending` is not zero it also watches for writing and calls `flush()`.
"""

import collections
import contextlib
import fcntl
import os
import select
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import Final, Self

import msgspec
import numpy as np
import numpy.typing as npt

from bridge.media.errors import BankRejected, ChannelFull, MediaProcessEnded
from bridge.media.forks import Forked, Forks, execute
from bridge.media.messages import Command, Configure, Event, LoadBank, Stop

__all__ = ["BANK_TAIL", "MediaClient"]

QUEUE_LIMIT: Final = 4096
"""Commands that wait while the media process does not read: about a minute at 50 calls a second."""

PACKET_OCTETS: Final = 32_768
"""Of commands in one packet; a quarter of what `control` reads at once, less of the channel."""

_FEW: Final = 16
"""From so many on, an array's length takes two octets of its own (msgpack, format of arrays)."""

BANK_TAIL: Final = 480
"""Zeros behind the bank's samples, so that a frame read at its end stays inside."""

LARGEST_PACKET: Final = 262_144
PACKETS_PER_RECEIVE: Final = 64
SEALS: Final = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL


class MediaClient:
    """One media process, seen from control.

    Args:
        process: the running process, or one that was asked for.
        channel: our end of the socket pair.
    """

    def __init__(self, process: subprocess.Popen[bytes] | Forked, channel: socket.socket) -> None:
        self._process = process
        self._channel = channel
        self._waiting: collections.deque[tuple[bytes, list[int]]] = collections.deque()
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder: msgspec.msgpack.Decoder[list[Event]] = msgspec.msgpack.Decoder(list[Event])

    @classmethod
    def start(cls, module: str = "bridge.media", bank: npt.NDArray[np.int16] | None = None) -> Self:
        """Start a single media process by exec, for a test or a measurement.

        Args:
            module: what is run; a measurement may wrap it.
            bank: prompts and tones, int16, `(samples,)`, 8 kHz; none when not given.

        Returns:
            The client; `Ready` arrives as its first event.

        Raises:
            BankRejected: the bank is not one-dimensional int16.
            OSError: the process could not be started.
        """
        return cls._with(lambda end: execute(module, "--control-fd", end), bank, None)

    @classmethod
    def fork(
        cls,
        forks: Forks,
        bank: npt.NDArray[np.int16] | None = None,
        options: Configure | None = None,
    ) -> Self:
        """Ask for a media process; never waits.

        Args:
            forks: the fork server.
            bank: prompts and tones, int16, `(samples,)`, 8 kHz; none when not given.
            options: of the engine; the defaults when not given.

        Returns:
            The client; `Ready` arrives as its first event.

        Raises:
            BankRejected: the bank is not one-dimensional int16.
            OSError: there is no server, and none could be started.
        """
        return cls._with(forks.fork, bank, options)

    @classmethod
    def _with(
        cls,
        begin: Callable[[int], subprocess.Popen[bytes] | Forked],
        bank: npt.NDArray[np.int16] | None,
        options: Configure | None,
    ) -> Self:
        """Begin a process with one end of a channel, and say through the other what it needs."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(0)
        with theirs:
            try:
                process = begin(theirs.fileno())
            except OSError:
                ours.close()
                raise
        client = cls(process, ours)
        if options is not None:
            client.send(options)
        if bank is not None:
            client.load_bank(bank)
        return client

    @property
    def pid(self) -> int:
        """The media process's identifier.

        Raises:
            ProcessLookupError: it has not been forked yet.
        """
        return self._process.pid

    @property
    def born(self) -> bool:
        """It has been forked, and its identifier is known."""
        return not isinstance(self._process, Forked) or self._process.born

    @property
    def pending(self) -> int:
        """Commands that wait for the media process to read."""
        return len(self._waiting)

    def fileno(self) -> int:
        """Return the descriptor to watch for events."""
        return self._channel.fileno()

    def send(self, command: Command, fds: Sequence[int] = ()) -> None:
        """Send a command, or queue it when the channel is full. Order is kept.

        Args:
            command: the command.
            fds: descriptors it needs; the caller keeps and closes its own.

        Raises:
            ChannelFull: the queue is full too: the process hangs.
            MediaProcessEnded: it is gone.
        """
        self.queue(command, fds)
        self.flush()

    def queue(self, command: Command, fds: Sequence[int] = ()) -> None:
        """Queue a command for the next `flush`, which sends many as one; otherwise as `send`."""
        if len(self._waiting) >= QUEUE_LIMIT:
            raise ChannelFull(
                f"media process {self._name} has not read {QUEUE_LIMIT} commands, replace it"
            )
        # A queued command outlives the call, its descriptors must too.
        self._waiting.append((self._encoder.encode(command), [os.dup(fd) for fd in fds]))

    def flush(self) -> None:
        """Send what waits, as far as the channel takes it.

        What one key changes for hundreds of legs goes in a packet or two: a packet for each would
        take control longer than all the rest of it, and the media process as well.

        Raises:
            MediaProcessEnded: the process is gone.
        """
        while self._waiting:
            data, fds, count = self._packet()
            try:
                socket.send_fds(self._channel, [data], fds)
            except BlockingIOError:
                return
            except OSError as error:
                raise self._ended() from error
            for _ in range(count):
                self._waiting.popleft()
            for fd in fds:
                os.close(fd)

    def _packet(self) -> tuple[bytes, list[int], int]:
        """Return the next packet, its descriptors, and how many commands are in it."""
        first, fds = self._waiting[0]
        together: list[bytes] = []
        octets = 0
        for data, descriptors in self._waiting:
            octets += len(data)
            if descriptors or octets > PACKET_OCTETS:
                break
            together.append(data)
        count = len(together)
        if count <= 1:
            return first, fds, 1
        head = bytes([0x90 | count]) if count < _FEW else b"\xdc" + count.to_bytes(2, "big")
        return head + b"".join(together), fds, count

    def receive(self) -> list[Event]:
        """Return what the media process has said since the last call; never waits.

        Raises:
            MediaProcessEnded: it is gone, and all it said has been returned.
        """
        if self._waiting:
            with contextlib.suppress(MediaProcessEnded):
                self.flush()  # the end is told below, after the last words
        events: list[Event] = []
        for _ in range(PACKETS_PER_RECEIVE):
            try:
                data = self._channel.recv(LARGEST_PACKET)
            except BlockingIOError:
                break
            except OSError:
                data = b""
            if not data:
                if events:
                    break
                raise self._ended()
            if isinstance(self._process, Forked) and not self._process.born:
                self._process.hear(data)
                continue
            events.extend(self._decoder.decode(data))
        return events

    def load_bank(self, samples: npt.NDArray[np.int16]) -> None:
        """Hand a bank of prompts and tones over in sealed shared memory.

        Args:
            samples: int16, `(samples,)`, 8 kHz.

        Raises:
            BankRejected: it is not one-dimensional int16.
            MediaProcessEnded: the process is gone.
        """
        if samples.dtype != np.int16 or samples.ndim != 1:
            raise BankRejected(
                f"a bank is int16 of one dimension at 8 kHz, got {samples.dtype} {samples.shape}"
            )
        descriptor = os.memfd_create("dialin-bank", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor has no path
            file.write(np.ascontiguousarray(samples).data)
            file.write(bytes(2 * BANK_TAIL))
            file.flush()
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, SEALS)
            self.send(LoadBank(samples=len(samples)), (descriptor,))

    def close(self, timeout: float = 2.0) -> int | None:
        """End the process and wait for it: by a word, then by SIGKILL.

        Args:
            timeout: how long it may take to end by itself [s].

        Returns:
            Its exit status, negative when a signal ended it; None when it was never born.
        """
        deadline = time.monotonic() + timeout
        with contextlib.suppress(MediaProcessEnded, ChannelFull):
            self.send(Stop())
        self._drop_waiting()
        self._await_birth(deadline)
        self._channel.close()
        if not self.born:
            return self.kill()
        try:
            return self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            return self.kill()

    def _await_birth(self, deadline: float) -> None:
        """Wait until it is known who has to be waited for, or that nobody has."""
        if self.fileno() < 0:
            return
        poll = select.poll()
        poll.register(self._channel, select.POLLIN)
        with contextlib.suppress(MediaProcessEnded):
            while not self.born and (left := deadline - time.monotonic()) > 0:
                poll.poll(1000 * left)
                self.receive()

    def kill(self) -> int | None:
        """Kill and reap the process; only then may its sockets be handed to another one."""
        self._process.kill()
        self._drop_waiting()
        self._channel.close()
        return self._process.wait()

    def last_words(self) -> list[Event]:
        """Kill and reap the process as `kill` does, and return what it had still said."""
        events: list[Event] = []
        if not self.born:
            with contextlib.suppress(MediaProcessEnded):
                events += self.receive()  # whether it is there
        self._process.kill()
        self._drop_waiting()
        self._process.wait()
        with contextlib.suppress(MediaProcessEnded):
            while words := self.receive():
                events += words
        self._channel.close()
        return events

    @property
    def _name(self) -> str:
        return str(self.pid) if self.born else "(not forked)"

    def _drop_waiting(self) -> None:
        while self._waiting:
            for fd in self._waiting.popleft()[1]:
                os.close(fd)

    def _ended(self) -> MediaProcessEnded:
        status = self._process.poll()
        return MediaProcessEnded(
            f"media process {self._name} is gone (exit status {status}), "
            f"its legs need another process",
            status,
        )
