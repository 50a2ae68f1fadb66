"""The receiving of all shared ports, in one loop that is compiled: `recvmmsg`, and whose each is.

Each datagram is looked at once, while what the kernel wrote of it is still in the cache: where it
came from, how long it is, when it arrived. Nothing here waits.
"""

import socket
from typing import Any, Final

import numba
import numpy as np
import numpy.typing as npt

from bridge.media._compiled import compiled
from bridge.media._pairs import PORT_SHIFT, find
from bridge.media._sockets import SO_TIMESTAMPNS, TIMESPEC
from bridge.media.rtp import four_octets

__all__ = ["CONTROL", "receive"]

CONTROL: Final = 64
"""Octets of ancillary data: a header and a time, aligned."""

_DONTWAIT: Final = 0x40
_AGAIN: Final = 11
_STAMP: Final = socket.CMSG_LEN(TIMESPEC.size)
_STAMP_KIND: Final = SO_TIMESTAMPNS << 32 | socket.SOL_SOCKET
"""Level and kind of struct cmsghdr, as one number."""

# Of struct mmsghdr, in numbers of eight octets.
_CONTROL_LENGTH: Final = 5
_LENGTH: Final = 7
_MASK: Final = 0xFFFF_FFFF

# To type checkers numba does not say what these are.
_numba: Any = numba
_types = _numba.types
_array = _numba.carray

_recvmmsg: Any = _types.ExternalFunction(
    "recvmmsg",
    _types.int32(_types.int32, _types.voidptr, _types.uint32, _types.int32, _types.uintp),
)
_errno: Any = _types.ExternalFunction("__errno_location", _types.CPointer(_types.int32)())


@compiled(
    "UniTuple(int64, 6)(int64[::1], int64[::1], int64, int64[:, ::1], uint8[:, ::1],"
    " int64[:, ::1], uint8[:, ::1], int64[:, ::1], int64[::1], int64[::1], uint64, uint64,"
    " boolean[::1], int64, uint8[:, ::1], int64[::1], int64[::1], int64, int64[::1], float64[::1],"
    " int64[::1], int64[::1])"
)
def receive(  # noqa: C901 - a port, a datagram, its parts
    descriptors: npt.NDArray[np.int64],
    limits: npt.NDArray[np.int64],
    timed_port: int,
    plain_headers: npt.NDArray[np.int64],
    plain_names: npt.NDArray[np.uint8],
    timed_headers: npt.NDArray[np.int64],
    timed_names: npt.NDArray[np.uint8],
    control: npt.NDArray[np.int64],
    pair_keys: npt.NDArray[np.int64],
    pair_rows: npt.NDArray[np.int64],
    multiplier: np.uint64,
    shift: np.uint64,
    heard: npt.NDArray[np.bool_],
    first: int,
    octets: npt.NDArray[np.uint8],
    lengths: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    first_timed: int,
    timed: npt.NDArray[np.int64],
    times: npt.NDArray[np.float64],
    fresh: npt.NDArray[np.int64],
    errors: npt.NDArray[np.int64],
) -> tuple[int, int, int, int, int, int]:
    """Take what some ports have, and find whose each packet is; those of strangers are left out.

    Args:
        descriptors: int64, `(ports,)`: the sockets, -1 where there is none.
        limits: int64, `(ports,)`: packets that may be taken of each.
        timed_port: the one whose packets are timed.
        plain_headers: int64, `(n, 8)`: `Messages.words` without ancillary data.
        plain_names: uint8, `(n, 16)`: their `Messages.name_octets`.
        timed_headers: int64, `(n, 8)`: the same with `CONTROL` octets of it.
        timed_names: uint8, `(n, 16)`: their names.
        control: int64, `(n, 8)`: that ancillary data.
        pair_keys: int64: of `PairTable`.
        pair_rows: int64: the same.
        multiplier: the same.
        shift: the same.
        heard: bool, `(legs,)`: of whom a packet has come; set.
        first: the row to begin at.
        octets: uint8, `(n, octets)`: where the structures say that datagrams lie.
        lengths: int64, `(n,)`: get how many octets they have.
        rows: int64, `(n,)`: get their legs.
        first_timed: where in `timed` and `times` to begin.
        timed: int64, `(n,)`: get which of the packets were timed.
        times: float64, `(n,)`: get when they arrived, by the wall clock [s].
        fresh: int64, `(legs,)`: get who is heard for the first time.
        errors: int64, `(ports,)`: get the numbers of errors; what waits behind one stays there.

    Returns:
        The rows behind the last packet and behind the last time; packets of strangers; how many
        were heard for the first time; how many errors; ports of which all was taken that may be.
    """
    end, end_timed, strangers, new, failed, bounded = first, first_timed, 0, 0, 0, 0
    for port in range(descriptors.size):
        room = min(limits[port], octets.shape[0] - end)
        if descriptors[port] < 0 or room <= 0:
            continue
        with_times = port == timed_port
        headers = timed_headers if with_times else plain_headers
        names = timed_names if with_times else plain_names
        begin = end
        count = _recvmmsg(
            np.int32(descriptors[port]),
            headers[begin:].ctypes,
            np.uint32(room),
            np.int32(_DONTWAIT),
            np.uint64(0),
        )
        if count < 0:
            error = _array(_errno(), 1)[0]
            if error != _AGAIN:
                errors[failed] = error
                failed += 1
            continue
        bounded += count == room
        for i in range(begin, begin + count):
            name = names[i]
            source = four_octets(name, 4) << 16 | int(np.int64(name[2]) << 8 | name[3])
            row = find(port << PORT_SHIFT | source, pair_keys, pair_rows, multiplier, shift)
            filled = 0
            if with_times:
                filled = headers[i, _CONTROL_LENGTH]
                headers[i, _CONTROL_LENGTH] = CONTROL
            if row < 0:
                strangers += 1
                continue
            length = headers[i, _LENGTH] & _MASK
            if end != i:
                for k in range(length):
                    octets[end, k] = octets[i, k]
            lengths[end] = length
            rows[end] = row
            if filled >= _STAMP and control[i, 1] == _STAMP_KIND:
                timed[end_timed] = end
                times[end_timed] = control[i, 2] + control[i, 3] * 1e-9
                end_timed += 1
            if not heard[row]:
                heard[row] = True
                fresh[new] = row
                new += 1
            end += 1
    return end, end_timed, strangers, new, failed, bounded
