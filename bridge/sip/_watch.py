"""One sleep for everything: our sockets and a wake-up inside PJSIP's ``select``.

PJSIP sleeps in ``pjsip_endpt_handle_events`` and knows how long its timers let it. An epoll
descriptor is readable while any of the sockets that it watches is, so it is registered with PJSIP's
I/O queue as if it were a socket. PJSIP's ``recv`` on it fails, which calls us like a success would,
and we ask epoll which sockets they are. One of them is a socket pair that other threads write to.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
from collections.abc import Callable
from typing import Any

from bridge.sip._library import Library

__all__ = ["Watch"]

_ALWAYS_ASYNC = 0x80000000  # PJ_IOQUEUE_ALWAYS_ASYNC: call back later, never from inside recv


class Watch:
    """An epoll inside PJSIP's I/O queue.

    Args:
        library: PJSIP.
        on_ready: called with descriptor and epoll events, in the SIP thread.
    """

    def __init__(self, library: Library, on_ready: Callable[[int, int], None]) -> None:
        self.epoll = select.epoll()
        self._library = library
        self._on_ready = on_ready
        self._key: Any = None
        ffi = library.ffi
        self._operation = ffi.new("pj_ioqueue_op_key_t[2]")
        self._buffer = ffi.new("char[]", 8)
        self._length = ffi.new("pj_ssize_t *")
        self._callbacks = ffi.new("pj_ioqueue_callback *")
        self._wake_rx, self._wake_tx = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._wake_rx.settimeout(0.0)
        self._wake_tx.settimeout(0.0)
        self.epoll.register(self._wake_rx.fileno(), select.EPOLLIN)

    def start(
        self, endpoint: Any, pool: Any, callback: Callable[[str, Any, int | None], Any]
    ) -> None:
        """Register with the endpoint's I/O queue."""
        ffi, lib = self._library.ffi, self._library.lib
        self._callbacks.on_read_complete = callback(
            "void(pj_ioqueue_key_t *, void *, pj_ssize_t)", self._ready, None
        )
        out = ffi.new("void **")
        self._library.check(
            "pj_ioqueue_register_sock",
            lib.pj_ioqueue_register_sock(
                pool,
                lib.pjsip_endpt_get_ioqueue(endpoint),
                os.dup(self.epoll.fileno()),  # PJSIP closes its own
                ffi.NULL,
                self._callbacks,
                out,
            ),
        )
        self._key = out[0]
        self._arm()

    def stop(self) -> None:
        """Leave the I/O queue and close everything."""
        if self._key is not None:
            self._library.lib.pj_ioqueue_unregister(self._key)
            self._key = None
        self.epoll.close()
        self._wake_rx.close()
        self._wake_tx.close()

    def wake(self) -> None:
        """End the sleep; may be called from any thread."""
        with contextlib.suppress(OSError):  # full: it is awake already; closed: it is over
            self._wake_tx.send(b"w")

    def _arm(self) -> None:
        self._length[0] = 8
        self._library.lib.pj_ioqueue_recv(
            self._key, self._operation, self._buffer, self._length, _ALWAYS_ASYNC
        )

    def _ready(self, _key: Any, _operation: Any, _count: int) -> None:
        if self._key is None:
            return
        try:
            for fd, events in self.epoll.poll(0, 64):
                if fd == self._wake_rx.fileno():
                    self._drain()
                else:
                    self._on_ready(fd, events)
        finally:
            self._arm()

    def _drain(self) -> None:
        with contextlib.suppress(OSError):
            for _ in range(256):
                self._wake_rx.recv(8)
