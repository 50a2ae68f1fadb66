"""The system calls that Python cannot say: `connect` with AF_UNSPEC, `prctl`, others."""

import functools
import os
import socket
from typing import Any, Final

from cffi import FFI

__all__ = [
    "adopt_orphans",
    "disconnect",
    "name_process",
    "punch_hole",
]

_UNSPECIFIED = bytes(16)  # struct sockaddr whose sa_family is AF_UNSPEC (0)

_PUNCH_HOLE: Final = 0x03  # FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
_SET_NAME: Final = 15  # PR_SET_NAME
_SET_CHILD_SUBREAPER: Final = 36  # PR_SET_CHILD_SUBREAPER


@functools.cache
def _load() -> tuple[FFI, Any]:
    ffi = FFI()
    ffi.cdef(
        """
        int fallocate64(int fd, int mode, int64_t offset, int64_t len);
        int connect(int sockfd, const void *addr, unsigned int addrlen);
        int prctl(int option, uintptr_t, uintptr_t, uintptr_t, uintptr_t);
        """
    )
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


def punch_hole(descriptor: int, offset: int, length: int) -> None:
    """Give a part of a file back to the kernel; it reads as zeros, the size stays.

    Args:
        descriptor: of the file.
        offset: where the part begins, in whole pages [octets].
        length: of the part, in whole pages [octets].

    Raises:
        OSError: the kernel refused.
    """
    ffi, lib = _load()
    if lib.fallocate64(descriptor, _PUNCH_HOLE, offset, length):
        raise OSError(ffi.errno, f"punching a hole: {os.strerror(ffi.errno)}")


def name_process(name: str) -> None:
    """Name this process for `ps` and `top`; only in its main thread.

    Args:
        name: ASCII, 15 octets at most; the kernel cuts what is longer.
    """
    ffi, lib = _load()
    octets = ffi.new("char[]", name.encode("ascii"))
    lib.prctl(_SET_NAME, int(ffi.cast("uintptr_t", octets)), 0, 0, 0)


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends; they are this process's to reap.

    Raises:
        OSError: the kernel refused.
    """
    ffi, lib = _load()
    if lib.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ffi.errno, f"taking orphans in: {os.strerror(ffi.errno)}")
