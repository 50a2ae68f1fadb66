"""The socket calls of a tick, one a packet, in loops over legs that are compiled.

They cost what they cost in C, and need no more of the kernel than that: Python's calls take twice
as long, and io_uring, which makes all of them in one, a tenth longer. Nothing here waits.
"""

from typing import Any, Final

import numba
import numpy as np
import numpy.typing as npt

from bridge.media._compiled import compiled

__all__ = ["receive", "send", "stamps"]

_DONTWAIT: Final = 0x40
_AGAIN: Final = 11

# To type checkers numba does not say what these are.
_numba: Any = numba
_types = _numba.types
_array = _numba.carray

_recv: Any = _types.ExternalFunction(
    "recv", _types.intp(_types.int32, _types.voidptr, _types.uintp, _types.int32)
)
_send: Any = _types.ExternalFunction(
    "send", _types.intp(_types.int32, _types.voidptr, _types.uintp, _types.int32)
)
_ioctl: Any = _types.ExternalFunction(
    "ioctl", _types.int32(_types.int32, _types.uint64, _types.voidptr)
)
_errno: Any = _types.ExternalFunction("__errno_location", _types.CPointer(_types.int32)())


@compiled(
    "UniTuple(int64, 2)(int64[::1], uint8[:, ::1], int64, int64[::1], int64[::1], int64[::1])"
)
def receive(
    descriptors: npt.NDArray[np.intp],
    packets: npt.NDArray[np.uint8],
    first: int,
    lengths: npt.NDArray[np.int64],
    came_by: npt.NDArray[np.intp],
    errors: npt.NDArray[np.int64],
) -> tuple[int, int]:
    """Read a packet of each of some sockets that has one.

    Args:
        descriptors: intp, `(k,)`: the sockets.
        packets: uint8, `(n, octets)`: get them, from row `first` on, one after the other.
        first: the row to begin at; there must be `k` from there on.
        lengths: int64, `(n,)`: get how many octets they have.
        came_by: intp, `(n,)`: get their sockets.
        errors: int64, `(>= k,)`: gets the numbers of errors other than that nothing has come.

    Returns:
        How many packets, and how many errors.
    """
    row, failed = first, 0
    size = np.uint64(packets.shape[1])
    for i in range(descriptors.size):
        length = _recv(np.int32(descriptors[i]), packets[row].ctypes, size, np.int32(_DONTWAIT))
        if length >= 0:
            lengths[row] = length
            came_by[row] = descriptors[i]
            row += 1
        else:
            error = _array(_errno(), 1)[0]
            if error != _AGAIN:
                errors[failed] = error
                failed += 1
    return row - first, failed


@compiled("int64(int64[::1], uint8[::1], int64[::1], int64[::1], int64[::1])")
def send(
    descriptors: npt.NDArray[np.intp],
    octets: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.intp],
    sizes: npt.NDArray[np.intp],
    errors: npt.NDArray[np.int64],
) -> int:
    """Send a packet on each of some connected sockets.

    Args:
        descriptors: intp, `(k,)`: the sockets.
        octets: uint8: where the packets lie.
        starts: intp, `(k,)`: where in it each begins.
        sizes: intp, `(k,)`: how many octets it has.
        errors: int64, `(>= k,)`: gets the numbers of errors.

    Returns:
        How many errors.
    """
    failed = 0
    for i in range(descriptors.size):
        packet = octets[starts[i] :].ctypes
        size = np.uint64(sizes[i])
        if _send(np.int32(descriptors[i]), packet, size, np.int32(_DONTWAIT)) < 0:
            errors[failed] = _array(_errno(), 1)[0]
            failed += 1
    return failed


@compiled("void(int64[::1], int64, float64[::1])")
def stamps(descriptors: npt.NDArray[np.intp], request: int, times: npt.NDArray[np.float64]) -> None:
    """Ask when the packets arrived that were read last.

    Args:
        descriptors: intp, `(k,)`: the sockets.
        request: number of the question, whose answer is a `struct timespec`.
        times: float64, `(k,)`: get the times by the wall clock [s], -1 where none is known.
    """
    answer = np.zeros(2, np.int64)
    for i in range(descriptors.size):
        if _ioctl(np.int32(descriptors[i]), np.uint64(request), answer.ctypes) < 0:
            times[i] = -1.0
        else:
            times[i] = answer[0] + answer[1] * 1e-9
