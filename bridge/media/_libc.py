"""`connect` with AF_UNSPEC, which undoes a UDP socket's connection and which Python cannot say."""

import functools
import os
import socket
from typing import Any

from cffi import FFI

__all__ = ["disconnect"]

_UNSPECIFIED = bytes(16)  # struct sockaddr whose sa_family is AF_UNSPEC (0)


@functools.cache
def _load() -> tuple[FFI, Any]:
    ffi = FFI()
    ffi.cdef("int connect(int sockfd, const void *addr, unsigned int addrlen);")
    return ffi, ffi.dlopen(None)


def disconnect(sock: socket.socket) -> None:
    """Let a UDP socket receive from everywhere again; it keeps its port if that was bound.

    Args:
        sock: the socket.

    Raises:
        OSError: the kernel refused.
    """
    ffi, lib = _load()
    if lib.connect(sock.fileno(), _UNSPECIFIED, len(_UNSPECIFIED)):
        raise OSError(ffi.errno, f"disconnecting a UDP socket: {os.strerror(ffi.errno)}")
