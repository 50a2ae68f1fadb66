"""The control socket, seen from the media process: never waits, and all it holds is bounded."""

import contextlib
import os
import select
import socket
import struct
from collections import deque
from typing import Final

import msgspec

from bridge.media.counters import Counters
from bridge.media.messages import Command, Event

__all__ = ["COMMANDS_PER_TICK", "ControlChannel"]

COMMANDS_PER_TICK: Final = 1024
"""Commands read in a tick, if they do not take too long: one key in a conference of 300 is 600."""

EVENT_LIMIT: Final = 8192
"""Events that wait while control does not read; more are dropped and counted."""

EVENTS_PER_PACKET: Final = 16
_LARGEST_COMMAND: Final = 131_072
_DESCRIPTORS: Final = 253  # SCM_MAX_FD: the kernel passes no more in a message
_ANCILLARY: Final = socket.CMSG_SPACE(_DESCRIPTORS * 4)


class ControlChannel:
    """Reads commands and writes events.

    Args:
        channel: our end of the socket pair.
        counters: counts what is odd.
    """

    def __init__(self, channel: socket.socket, counters: Counters) -> None:
        channel.settimeout(0)
        self._channel = channel
        self._counters = counters
        self._decoder: msgspec.msgpack.Decoder[Command | list[Command]] = msgspec.msgpack.Decoder(
            Command | list[Command]
        )
        self._read: deque[Command] = deque()
        # Kept: in most ticks nothing comes, and to ask that costs less without a new one of this
        # size, which the system would be asked for each time.
        self._buffer = memoryview(bytearray(_LARGEST_COMMAND))
        self._buffers = [self._buffer]
        self._ready = select.poll()
        self._ready.register(channel, select.POLLIN)
        self._encoder = msgspec.msgpack.Encoder()
        self._events: deque[Event] = deque()
        self._unsent: bytes | None = None
        self.ended = False

    def read(self, most: int = COMMANDS_PER_TICK) -> list[tuple[Command, list[int]]]:
        """Return the commands that came, with their descriptors; sets `ended` at the end.

        Descriptors that did not all come are closed, and the command is without any.
        """
        commands: list[tuple[Command, list[int]]] = []
        while len(commands) < most:
            if self._read:
                commands.append((self._read.popleft(), []))
                continue
            # In most ticks nothing has come, and an exception says so at ten times the cost.
            if not commands and not self._ready.poll(0):
                break
            try:
                length, ancillary, flags, _ = self._channel.recvmsg_into(self._buffers, _ANCILLARY)
            except BlockingIOError:
                break
            except OSError:
                self.ended = True
                break
            fds = _descriptors(ancillary)
            if not length:
                self.ended = True
                _close(fds)
                break
            if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
                # This process may have no more of them. Whoever carries the command out says so.
                self._counters.descriptors_lost += 1
                _close(fds)
                fds = []
            try:
                decoded = self._decoder.decode(self._buffer[:length])
            except msgspec.MsgspecError:
                self._counters.commands_malformed += 1
                _close(fds)
                continue
            if isinstance(decoded, list):
                self._read.extend(decoded)
                _close(fds)  # what needs some comes alone
            else:
                commands.append((decoded, fds))
        return commands

    def wait(self, seconds: float) -> bool:
        """Wait for a command, so long at most, and say whether one may be read or the end is."""
        return bool(self._read) or bool(self._ready.poll(1000 * max(0.0, seconds)))

    def put(self, event: Event) -> None:
        """Queue an event, or drop and count it when control has stopped reading."""
        if len(self._events) >= EVENT_LIMIT:
            self._counters.events_dropped += 1
            return
        self._events.append(event)

    def flush(self) -> None:
        """Send what waits, as far as the socket takes it."""
        while self._unsent is not None or self._events:
            if self._unsent is None:
                count = min(EVENTS_PER_PACKET, len(self._events))
                self._unsent = self._encoder.encode([self._events.popleft() for _ in range(count)])
            try:
                self._channel.send(self._unsent)
            except BlockingIOError:
                return
            except OSError:
                self.ended = True
                return
            self._unsent = None

    def close(self) -> None:
        """Send the last words as far as they go, and close."""
        self.flush()
        self._channel.close()


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    fds: list[int] = []
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            count = len(data) // 4
            fds.extend(struct.unpack(f"@{count}i", data[: 4 * count]))
    return fds


def _close(fds: list[int]) -> None:
    for fd in fds:
        with contextlib.suppress(OSError):
            os.close(fd)
