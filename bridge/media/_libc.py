"""The system calls that Python cannot say: `connect` with AF_UNSPEC, `prctl`, `recvmmsg`, others.

`recvmmsg` and `sendmmsg` move many datagrams of one socket in one call. What they work on are
arrays of structures, kept here as numpy records over memory that is allocated once::

    Messages.headers   (rows,) struct mmsghdr ──┬─► iovecs   (rows,)  where a datagram lies
                                                └─► names    (rows,)  struct sockaddr_in

The layouts are those of 64-bit Linux, with glibc and with musl, on little-endian machines.
"""

import functools
import os
import platform
import socket
import sys
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from cffi import FFI

__all__ = [
    "Messages",
    "Ready",
    "adopt_orphans",
    "disconnect",
    "name_process",
    "punch_hole",
    "receive_many",
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

_PACKED: Final = platform.machine() == "x86_64"
_EVENT: Final = np.dtype(
    {
        "names": ["events", "descriptor"],
        "formats": [np.uint32, np.int32],
        "offsets": [0, 4 if _PACKED else 8],
        "itemsize": 12 if _PACKED else 16,
    }
)
"""struct epoll_event, whose data are descriptors."""

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
        int recvmmsg(int sockfd, void *msgvec, unsigned int vlen, int flags, void *timeout);
        int sendmmsg(int sockfd, void *msgvec, unsigned int vlen, int flags);
        int epoll_wait(int epfd, void *events, int maxevents, int timeout);
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


class Ready:
    """Which sockets have something to read, as an array: Python's epoll makes tuples.

    Args:
        most: sockets at once.
    """

    def __init__(self, most: int) -> None:
        ffi, _ = _load()
        self._events = np.zeros(most, _EVENT)
        self._first = ffi.cast("char *", self._events.ctypes.data)

    def of(self, epoll: int, most: int) -> npt.NDArray[np.intp]:
        """Ask an epoll, never waiting.

        Args:
            epoll: its descriptor.
            most: sockets to be told of.

        Returns:
            intp, `(k,)`: their descriptors; nothing where the kernel fails.
        """
        _, lib = _load()
        found = lib.epoll_wait(epoll, self._first, most, 0) if most > 0 else 0
        ready: npt.NDArray[np.intp] = self._events["descriptor"][: max(0, found)].astype(np.intp)
        return ready


class Messages:
    """Structures for so many datagrams in one call.

    Args:
        rows: datagrams.
        control: octets for ancillary data of each, 0 for none.
    """

    def __init__(self, rows: int, control: int = 0) -> None:
        if (sys.byteorder, np.dtype(np.uintp).itemsize) != ("little", 8):
            raise NotImplementedError("struct mmsghdr is known for 64-bit little-endian machines")
        ffi, _ = _load()
        self.headers = np.zeros(rows, _HEADER)
        self.names = np.zeros(rows, _ADDRESS)
        self.iovecs = np.zeros(rows, _IOVEC)
        self.control: npt.NDArray[np.uint8] = np.zeros((rows, control), np.uint8)
        self.headers["name"] = _addresses(self.names)
        self.headers["name_length"] = _ADDRESS.itemsize
        self.headers["iovecs"] = _addresses(self.iovecs)
        self.headers["iovec_count"] = 1
        if control:
            self.headers["control"] = _addresses(self.control)
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

    def listen_for_control(self, start: int, count: int, *, wanted: bool) -> None:
        """Have ancillary data of some datagrams written to `control`, or not any more.

        It goes through as many headers as may come, so who wants none says so once.
        """
        self.headers["control_length"][start : start + count] = (
            self.control.shape[1] if wanted else 0
        )

    def keys(self, start: int, count: int) -> npt.NDArray[np.int64]:
        """Return the addresses of some datagrams as numbers of 48 bits: address, then port."""
        names = self.names[start : start + count]
        keys: npt.NDArray[np.int64] = names["ip"].astype(np.int64) << 16 | names["port"]
        return keys

    def address(self, start: int, keys: npt.NDArray[np.int64]) -> None:
        """Set the addresses of datagrams from `start` on, as `keys` gives them."""
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


def receive_many(descriptor: int, messages: Messages, start: int, count: int) -> int:
    """Take what a socket has, into the structures from `start` on, never waiting.

    Args:
        descriptor: the socket.
        messages: the structures.
        start: the first of them to use.
        count: as many as may be used.

    Returns:
        Datagrams taken; 0 where none has come.

    Raises:
        OSError: the socket reports an error; datagrams may wait behind it.
    """
    ffi, lib = _load()
    taken: int = lib.recvmmsg(descriptor, messages.at(start), count, _DONTWAIT, ffi.NULL)
    if taken < 0:
        if ffi.errno == _WOULD_BLOCK:
            return 0
        raise OSError(ffi.errno, os.strerror(ffi.errno))
    return taken


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


_WOULD_BLOCK: Final = 11  # EAGAIN, which is EWOULDBLOCK on Linux
