"""The system calls that Python cannot say: `connect` with AF_UNSPEC, `prctl`, `recvmmsg`, others.

`recvmmsg` and `sendmmsg` move many datagrams of one socket in one call. What they work on are
arrays of structures, kept here as numpy records over memory that is allocated once::

    Messages.headers   (rows,) struct mmsghdr ──┬─► iovecs   (rows,)  where a datagram lies
                                                └─► names    (rows,)  struct sockaddr_in

The layouts are those of 64-bit Linux, with glibc and with musl, on little-endian machines.
"""

import functools
import os
import socket
import sys
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from cffi import FFI

__all__ = [
    "Messages",
    "adopt_orphans",
    "disconnect",
    "name_process",
    "punch_hole",
    "send_many",
]

_UNSPECIFIED = bytes(16)  # struct sockaddr whose sa_family is AF_UNSPEC (0)

_ADDRESS: Final = np.dtype(
    [("family", "<u2"), ("port", ">u2"), ("ip", ">u4"), ("zero", np.uint8, 8)]
)
"""struct sockaddr_in."""

_IOVEC: Final = np.dtype([("base", np.uintp), ("length", np.uintp)])

_HEADER: Final = np.dtype(
    {
        "names": [
            "name",
            "name_length",
            "iovecs",
            "iovec_count",
            "control",
            "control_length",
            "flags",
            "length",
        ],
        "formats": [
            np.uintp,
            np.uint32,
            np.uintp,
            np.uintp,
            np.uintp,
            np.uintp,
            np.int32,
            np.uint32,
        ],
        "offsets": [0, 8, 16, 24, 32, 40, 48, 56],
        "itemsize": 64,
    }
)
"""struct mmsghdr: a struct msghdr of 56 octets, the octets moved, padding."""

_DONTWAIT: Final = 0x40  # MSG_DONTWAIT
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
        int sendmmsg(int sockfd, void *msgvec, unsigned int vlen, int flags);
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


class Messages:
    """Structures for so many datagrams in one call.

    Args:
        rows: datagrams.
        control: octets for ancillary data of each, a multiple of 8; 0 for none.
    """

    def __init__(self, rows: int, control: int = 0) -> None:
        if (sys.byteorder, np.dtype(np.uintp).itemsize) != ("little", 8):
            raise NotImplementedError("struct mmsghdr is known for 64-bit little-endian machines")
        ffi, _ = _load()
        self.headers = np.zeros(rows, _HEADER)
        self.names = np.zeros(rows, _ADDRESS)
        self.iovecs = np.zeros(rows, _IOVEC)
        # Compiled loops know no records: the same memory as numbers and octets.
        self.words: npt.NDArray[np.int64] = self.headers.view(np.int64).reshape(rows, -1)
        self.name_octets: npt.NDArray[np.uint8] = self.names.view(np.uint8).reshape(rows, -1)
        self.control: npt.NDArray[np.int64] = np.zeros((rows, control // 8), np.int64)
        self.headers["name"] = _addresses(self.names)
        self.headers["name_length"] = _ADDRESS.itemsize
        self.headers["iovecs"] = _addresses(self.iovecs)
        self.headers["iovec_count"] = 1
        if control:
            self.headers["control"] = _addresses(self.control)
            self.headers["control_length"] = control
        self._first = ffi.cast("char *", self.headers.ctypes.data)

    def __len__(self) -> int:
        return len(self.headers)

    def place(self, rows: npt.NDArray[np.uint8], length: int) -> None:
        """Let the datagrams lie in the rows of an array.

        Args:
            rows: uint8, `(>= len(self), octets)`, contiguous; it must outlive the use.
            length: octets of each, or the most that may come.
        """
        self.iovecs["base"] = _addresses(rows[: len(self)])
        self.iovecs["length"] = length

    def address(self, start: int, keys: npt.NDArray[np.int64]) -> None:
        """Set the addresses of datagrams from `start` on.

        Args:
            start: the first.
            keys: int64, `(k,)`: the addresses as numbers of 48 bits: address, then port.
        """
        names = self.names[start : start + len(keys)]
        names["family"] = socket.AF_INET
        names["ip"] = keys >> 16
        names["port"] = keys & 0xFFFF

    def at(self, start: int) -> Any:  # noqa: ANN401 - a pointer of cffi
        """Return the pointer to a header."""
        return self._first + _HEADER.itemsize * start


def _addresses(array: npt.NDArray[Any]) -> npt.NDArray[np.uintp]:
    """Return where each row of an array lies in memory."""
    places = array.ctypes.data + array.strides[0] * np.arange(len(array), dtype=np.uintp)
    return places.astype(np.uintp)


def send_many(descriptor: int, messages: Messages, start: int, count: int) -> int:
    """Send the datagrams of the structures from `start` on, never waiting.

    Args:
        descriptor: the socket.
        messages: the structures.
        start: the first of them.
        count: how many.

    Returns:
        How many were sent before one failed, at least one.

    Raises:
        OSError: the first could not be sent.
    """
    ffi, lib = _load()
    sent: int = lib.sendmmsg(descriptor, messages.at(start), count, _DONTWAIT)
    if sent < 0:
        raise OSError(ffi.errno, os.strerror(ffi.errno))
    return sent
