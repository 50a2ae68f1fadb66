"""Receiving and sending of all shared ports: `recvmmsg` and `sendmmsg`, in compiled loops.

The two move many datagrams of one socket in one call. What they work on are arrays of C structures;
`Messages` builds them once and points them at rows of packets, so that a tick writes a few numbers
at most::

    headers (struct mmsghdr)       names (struct sockaddr_in)
    ┌ name ──────────────────────► ┌ port, address
    │ iovecs ────────► iovecs      └
    │ control ───┐     ┌ base ───► row of packets
    └ length     ▼     └ length
            control octets

They go by groups of a few datagrams, whose structures and packets are on their way into the cache
before the kernel asks for them: it goes a long way between two of them, and would wait for each.
What it wrote of a datagram that came is looked at at once, while it is still there. Nothing here
waits.
"""

import socket
import sys
from typing import Any, Final

import numba
import numpy as np
import numpy.typing as npt

from bridge.media._calls import AGAIN, DONTWAIT, GROUP, error_number
from bridge.media._compiled import LINE, compiled, inlined, prefetch
from bridge.media._pairs import PORT_SHIFT, find
from bridge.media._sockets import SO_TIMESTAMPNS, TIMESPEC
from bridge.media.outgoing import PACKET
from bridge.media.plain import MOMENT, PLAIN, Moment, Plain, take
from bridge.media.rtp import four_octets

__all__ = ["CONTROL", "Messages", "receive", "send"]

CONTROL: Final = 64
"""Octets of ancillary data: a header and a time, aligned."""

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

_STAMP: Final = socket.CMSG_LEN(TIMESPEC.size)
_STAMP_KIND: Final = SO_TIMESTAMPNS << 32 | socket.SOL_SOCKET
"""Level and kind of struct cmsghdr, as one number."""

# Of struct mmsghdr, in numbers of eight octets.
_CONTROL_LENGTH: Final = 5
_LENGTH: Final = 7
_MASK: Final = 0xFFFF_FFFF

_SOL_SOCKET: Final = int(socket.SOL_SOCKET)

# To type checkers numba does not say what these are.
_numba: Any = numba
_types = _numba.types

_sendmmsg: Any = _types.ExternalFunction(
    "sendmmsg", _types.int32(_types.int32, _types.voidptr, _types.uint32, _types.int32)
)
_recvmmsg: Any = _types.ExternalFunction(
    "recvmmsg",
    _types.int32(_types.int32, _types.voidptr, _types.uint32, _types.int32, _types.uintp),
)
_setsockopt: Any = _types.ExternalFunction(
    "setsockopt",
    _types.int32(_types.int32, _types.int32, _types.int32, _types.voidptr, _types.uint32),
)


class Messages:
    """Structures for so many datagrams in one call.

    Args:
        rows: datagrams.
        control: octets for ancillary data of each, a multiple of 8; 0 for none.
    """

    def __init__(self, rows: int, control: int = 0) -> None:
        if (sys.byteorder, np.dtype(np.uintp).itemsize) != ("little", 8):
            raise NotImplementedError("struct mmsghdr is known for 64-bit little-endian machines")
        self.headers = np.zeros(rows, _HEADER)
        self.names = np.zeros(rows, _ADDRESS)
        self.iovecs = np.zeros(rows, _IOVEC)
        # Compiled loops know no records: the same memory as numbers and octets.
        self.words: npt.NDArray[np.int64] = self.headers.view(np.int64).reshape(rows, -1)
        self.places: npt.NDArray[np.int64] = self.iovecs.view(np.int64).reshape(rows, -1)
        self.name_octets: npt.NDArray[np.uint8] = self.names.view(np.uint8).reshape(rows, -1)
        self.control: npt.NDArray[np.int64] = np.zeros((rows, control // 8), np.int64)
        self.headers["name"] = _addresses(self.names)
        self.headers["name_length"] = _ADDRESS.itemsize
        self.headers["iovecs"] = _addresses(self.iovecs)
        self.headers["iovec_count"] = 1
        if control:
            self.headers["control"] = _addresses(self.control)
            self.headers["control_length"] = control

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


def _addresses(array: npt.NDArray[Any]) -> npt.NDArray[np.uintp]:
    """Return where each row of an array lies in memory."""
    places = array.ctypes.data + array.strides[0] * np.arange(len(array), dtype=np.uintp)
    return places.astype(np.uintp)


@inlined
def _fetch(
    headers: npt.NDArray[np.int64],
    names: npt.NDArray[np.uint8],
    places: npt.NDArray[np.int64],
    begin: int,
    end: int,
) -> None:
    for i in range(begin, end):
        prefetch(headers[i].ctypes.data)
        prefetch(names[i].ctypes.data)
        for line in range(0, PACKET, LINE):
            prefetch(places[i, 0] + line)


@inlined
def _tell_times(descriptor: int, wanted: int) -> None:
    """Have the kernel tell with packets when they came, or not any more.

    It has noted that of all of them. To say it costs a port's reading a twentieth more, also where
    no room is given for the answer; so it is asked while it is read only.
    """
    value = np.full(1, wanted, np.int32)
    _setsockopt(
        np.int32(descriptor),
        np.int32(_SOL_SOCKET),
        np.int32(SO_TIMESTAMPNS),
        value.ctypes,
        np.uint32(4),
    )


@compiled(
    _types.UniTuple(_types.int64, 5)(
        PLAIN,
        MOMENT,
        *2 * [_types.int64[::1]],
        _types.int64,
        *2 * [_types.int64[:, ::1], _types.uint8[:, ::1]],
        _types.int64[:, ::1],
        *2 * [_types.int64[::1]],
        *2 * [_types.uint64],
        _types.boolean[::1],
        _types.int64,
        _types.uint8[:, ::1],
        _types.int64[:, ::1],
        *2 * [_types.int64[::1]],
        _types.float64[::1],
        *2 * [_types.int64[::1]],
    )
)
def receive(  # noqa: C901, PLR0912 - a port, a datagram, its parts
    plain: Plain,
    moment: Moment,
    descriptors: npt.NDArray[np.int64],
    limits: npt.NDArray[np.int64],
    timed_port: int,
    untimed_headers: npt.NDArray[np.int64],
    untimed_names: npt.NDArray[np.uint8],
    timed_headers: npt.NDArray[np.int64],
    timed_names: npt.NDArray[np.uint8],
    control: npt.NDArray[np.int64],
    pair_keys: npt.NDArray[np.int64],
    pair_rows: npt.NDArray[np.int64],
    multiplier: np.uint64,
    shift: np.uint64,
    heard: npt.NDArray[np.bool_],
    end: int,
    packets: npt.NDArray[np.uint8],
    places: npt.NDArray[np.int64],
    lengths: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    arrived: npt.NDArray[np.float64],
    fresh: npt.NDArray[np.int64],
    errors: npt.NDArray[np.int64],
) -> tuple[int, int, int, int, int]:
    """Receive what some ports have, find whose each packet is, and take what is plain.

    Args:
        plain: of `PlainPackets`.
        moment: of `PlainPackets`.
        descriptors: int64, `(ports,)`: the sockets, -1 where there is none.
        limits: int64, `(ports,)`: packets that may be read of each.
        timed_port: the one whose packets are timed.
        untimed_headers: int64, `(n, 8)`: `Messages.words` without ancillary data.
        untimed_names: uint8, `(n, 16)`: their `Messages.name_octets`.
        timed_headers: int64, `(n, 8)`: the same with `CONTROL` octets of it.
        timed_names: uint8, `(n, 16)`: their names.
        control: int64, `(n, 8)`: that ancillary data.
        pair_keys: int64: of `PairTable`.
        pair_rows: int64: the same.
        multiplier: the same.
        shift: the same.
        heard: bool, `(legs,)`: of whom a packet has come; set.
        end: the row to begin at.
        packets: uint8, `(n, octets)`: where the structures say that datagrams lie; get those that
            are left, one after the other.
        places: int64, `(n, 2)`: `Messages.places`, which say so.
        lengths: int64, `(n,)`: get how many octets they have.
        rows: int64, `(n,)`: get their legs.
        arrived: float64, `(n,)`: get when they came, by the wall clock [s]; -1 where it was not
            asked.
        fresh: int64, `(legs,)`: get who is heard for the first time.
        errors: int64, `(ports,)`: get the numbers of errors; what waits behind one stays there.

    Returns:
        The row behind the last packet that is left; packets of strangers; how many were heard for
        the first time; how many errors; ports of which all was read that may be.
    """
    strangers, new, failed, bounded = 0, 0, 0, 0
    for port in range(descriptors.size):
        room = limits[port]
        if descriptors[port] < 0 or room <= 0:
            continue
        with_times = port == timed_port
        headers = timed_headers if with_times else untimed_headers
        names = timed_names if with_times else untimed_names
        if with_times:
            _tell_times(descriptors[port], 1)
        more, fetched = True, end
        while more and room > 0 and end < packets.shape[0]:
            asked = min(room, packets.shape[0] - end, GROUP)
            if fetched < end + asked:
                _fetch(headers, names, places, fetched, end + asked)
                fetched = end + asked
            count = _recvmmsg(
                np.int32(descriptors[port]),
                headers[end:].ctypes,
                np.uint32(asked),
                np.int32(DONTWAIT),
                np.uint64(0),
            )
            more = count == asked
            if count < 0:
                error = error_number()
                if error != AGAIN:
                    errors[failed] = error
                    failed += 1
                continue
            room -= count
            for i in range(end, end + count):
                name = names[i]
                source = four_octets(name, 4) << 16 | int(np.int64(name[2]) << 8 | name[3])
                row = find(port << PORT_SHIFT | source, pair_keys, pair_rows, multiplier, shift)
                rows[i], lengths[i], arrived[i] = row, headers[i, _LENGTH] & _MASK, -1.0
                if with_times:
                    if headers[i, _CONTROL_LENGTH] >= _STAMP and control[i, 1] == _STAMP_KIND:
                        arrived[i] = control[i, 2] + control[i, 3] * 1e-9
                    headers[i, _CONTROL_LENGTH] = CONTROL
                if row < 0:
                    strangers += 1
                elif not heard[row]:
                    heard[row] = True
                    fresh[new] = row
                    new += 1
            end = take(plain, moment, packets, lengths, rows, arrived, end, end + count)
        bounded += room == 0
        if with_times:
            _tell_times(descriptors[port], 0)
    return end, strangers, new, failed, bounded


@compiled(
    "UniTuple(int64, 2)(int64[::1], int64[::1], int64[::1], int64[:, ::1], uint8[:, ::1],"
    " int64[:, ::1], int64[::1])"
)
def send(
    descriptors: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64],
    counts: npt.NDArray[np.int64],
    headers: npt.NDArray[np.int64],
    names: npt.NDArray[np.uint8],
    places: npt.NDArray[np.int64],
    errors: npt.NDArray[np.int64],
) -> tuple[int, int]:
    """Send datagrams from some ports.

    Args:
        descriptors: int64, `(ports,)`: the sockets.
        starts: int64, `(ports,)`: the first structure of each.
        counts: int64, `(ports,)`: how many it has.
        headers: int64, `(n, 8)`: `Messages.words`.
        names: uint8, `(n, 16)`: `Messages.name_octets`.
        places: int64, `(n, 2)`: `Messages.places`.
        errors: int64, `(n,)`: get the numbers of errors, each of one datagram.

    Returns:
        How many errors, and how many datagrams found no room in a send buffer.
    """
    failed, unsent = 0, 0
    for port in range(descriptors.size):
        at, end = starts[port], starts[port] + counts[port]
        fetched = at
        while at < end:
            if at == fetched:
                fetched = min(at + GROUP, end)
                _fetch(headers, names, places, at, fetched)
            count = _sendmmsg(
                np.int32(descriptors[port]),
                headers[at:].ctypes,
                np.uint32(fetched - at),
                np.int32(DONTWAIT),
            )
            if count >= 0:
                at += count
                continue
            error = error_number()
            if error == AGAIN:
                unsent += end - at
                break
            errors[failed] = error
            failed += 1
            at += 1
    return failed, unsent
