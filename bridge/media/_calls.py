"""The socket calls of a tick, one a packet, in loops over legs that are compiled.

They cost what they cost in C, and need no more of the kernel than that: Python's calls take twice
as long, and io_uring, which makes all of them in one, a tenth longer. Nothing here waits.
"""

import platform
import socket
from typing import Any, Final

import numba
import numpy as np
import numpy.typing as npt

from bridge.media._compiled import compiled, inlined
from bridge.media._sockets import MEMINFO, MEMINFO_DROPS, SIOCGSTAMPNS, SO_MEMINFO
from bridge.media.plain import MOMENT, PLAIN, Moment, Plain, take

__all__ = [
    "AGAIN",
    "DONTWAIT",
    "GROUP",
    "drops",
    "epoll_events",
    "error_number",
    "quiet",
    "receive",
    "send",
]

DONTWAIT: Final = 0x40
"""MSG_DONTWAIT."""

GROUP: Final = 64
"""Packets that are read before they are looked at; the next ones come into their rows."""

AGAIN: Final = 11
"""EAGAIN, which is EWOULDBLOCK on Linux."""

_SOL_SOCKET: Final = int(socket.SOL_SOCKET)

# struct epoll_event, in numbers of four octets: the events, the descriptor, which is data of eight;
# between them a gap where the structure is not packed.
_PACKED: Final = platform.machine() == "x86_64"
_EVENT_WORDS: Final = 3 if _PACKED else 4
_EVENT_DESCRIPTOR: Final = 1 if _PACKED else 2

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
_epoll_wait: Any = _types.ExternalFunction(
    "epoll_wait", _types.int32(_types.int32, _types.voidptr, _types.int32, _types.int32)
)
_getsockopt: Any = _types.ExternalFunction(
    "getsockopt",
    _types.int32(_types.int32, _types.int32, _types.int32, _types.voidptr, _types.voidptr),
)
_errno: Any = _types.ExternalFunction("__errno_location", _types.CPointer(_types.int32)())


@inlined
def error_number() -> np.int64:
    """Return why the call failed that was made last."""
    return np.int64(_array(_errno(), 1)[0])


@compiled(
    _types.UniTuple(_types.int64, 3)(
        PLAIN,
        MOMENT,
        *5 * [_types.int64],
        _types.int32[:, ::1],
        *5 * [_types.int64[::1]],
        _types.int64,
        _types.uint8[:, ::1],
        *2 * [_types.int64[::1]],
        _types.float64[::1],
        _types.int64[::1],
    )
)
def receive(  # noqa: C901, PLR0912 - who is expected, who is asked for, and their errors
    plain: Plain,
    moment: Moment,
    tick: int,
    share: int,
    turns: int,
    most: int,
    epoll: int,
    events: npt.NDArray[np.int32],
    connected_by: npt.NDArray[np.intp],
    row_of: npt.NDArray[np.intp],
    whose: npt.NDArray[np.intp],
    by: npt.NDArray[np.intp],
    last_heard: npt.NDArray[np.int64],
    end: int,
    packets: npt.NDArray[np.uint8],
    lengths: npt.NDArray[np.int64],
    rows: npt.NDArray[np.intp],
    arrived: npt.NDArray[np.float64],
    errors: npt.NDArray[np.int64],
) -> tuple[int, int, int]:
    """Read what connected sockets have, one packet of each a turn, and take what is plain.

    The first turn reads those that had something in the tick before: to ask the kernel who has
    something takes half as long as to read that, and in vain a fifth. Later turns ask.

    Args:
        plain: of `PlainPackets`.
        moment: of `PlainPackets`.
        tick: its number.
        share: one leg in so many is timed: it is asked when each of its packets arrived.
        turns: how many.
        most: packets to read.
        epoll: the descriptor of the epoll where the sockets are.
        events: int32, `(legs, words)`: of `epoll_events`.
        connected_by: intp, `(legs,)`: the socket of each leg, -1 where it is to be asked for only.
        row_of: intp: the leg of each socket of the epoll, by descriptor.
        whose: intp, `(legs,)`: room for the rows of those who are read in a turn.
        by: intp, `(legs,)`: and for their sockets.
        last_heard: int64, `(legs,)`: the tick of each leg's last packet; brought up to date.
        end: the row to begin at.
        packets: uint8, `(n, octets)`: get the packets that are left, one after the other.
        lengths: int64, `(n,)`: get how many octets they have.
        rows: intp, `(n,)`: get their legs.
        arrived: float64, `(n,)`: get when they came, by the wall clock [s]; -1 where it was not
            asked.
        errors: int64, `(k,)`: get the numbers of errors other than that nothing has come.

    Returns:
        The row behind the last packet that is left; how many errors; whether some were read in
        every turn.
    """
    failed, turn, count, left = 0, 0, 0, end
    stamp = np.zeros(2, np.int64)
    size = np.uint64(packets.shape[1])
    for row in range(connected_by.size):
        if last_heard[row] == tick - 1 and connected_by[row] >= 0:
            whose[count], by[count] = row, connected_by[row]
            count += 1
    while turn < turns:
        if turn > 0 or count == 0:
            room = min(most, packets.shape[0] - end, events.shape[0])
            count = 0
            if room > 0:
                count = int(
                    _epoll_wait(np.int32(epoll), events.ctypes, np.int32(room), np.int32(0))
                )
            if count <= 0:
                break
            for i in range(count):
                by[i] = int(np.int64(events[i, _EVENT_DESCRIPTOR]))
                whose[i] = row_of[by[i]]
        for i in range(count):
            if most <= 0 or end >= packets.shape[0]:
                break
            row, descriptor = whose[i], np.int32(by[i])
            length = _recv(descriptor, packets[end].ctypes, size, np.int32(DONTWAIT))
            if length < 0:
                error = error_number()
                if error != AGAIN and failed < errors.size:
                    errors[failed] = error
                    failed += 1
                continue
            most -= 1
            last_heard[row] = tick
            lengths[end], rows[end], arrived[end] = length, row, -1.0
            timed = (row - tick) % share == 0
            # It fails where no packet of it was stamped yet.
            if timed and _ioctl(descriptor, np.uint64(SIOCGSTAMPNS), stamp.ctypes) >= 0:
                arrived[end] = stamp[0] + stamp[1] * 1e-9
            end += 1
            if end - left == GROUP:
                end = left = take(plain, moment, packets, lengths, rows, arrived, left, end)
        turn += 1
    end = take(plain, moment, packets, lengths, rows, arrived, left, end)
    return end, failed, turn == turns


def epoll_events(most: int) -> npt.NDArray[np.int32]:
    """Return room for what an epoll says of so many sockets at once: int32, `(most, words)`."""
    return np.zeros((most, _EVENT_WORDS), np.int32)


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
        if _send(np.int32(descriptors[i]), packet, size, np.int32(DONTWAIT)) < 0:
            errors[failed] = error_number()
            failed += 1
    return failed


@compiled("UniTuple(int64, 2)(int64, int64, int64[::1], int64[::1])")
def drops(
    first: int,
    share: int,
    descriptors: npt.NDArray[np.intp],
    dropped: npt.NDArray[np.int64],
) -> tuple[int, int]:
    """Ask what receive buffers of some legs dropped since they were asked last.

    Args:
        first: the leg to begin at.
        share: one in so many is asked from there on.
        descriptors: intp, `(legs,)`: the socket of each leg, -1 for none.
        dropped: int64: what each had dropped at the last look, by descriptor; brought up to date.

    Returns:
        How many packets, and how many sockets did not say.
    """
    count, failed = 0, 0
    answer = np.zeros(MEMINFO, np.uint32)
    length = np.zeros(1, np.uint32)
    for row in range(first, descriptors.size, share):
        by = descriptors[row]
        if by < 0:
            continue
        length[0] = 4 * MEMINFO
        said = _getsockopt(
            np.int32(by),
            np.int32(_SOL_SOCKET),
            np.int32(SO_MEMINFO),
            answer.ctypes,
            length.ctypes,
        )
        if said < 0 or length[0] != 4 * MEMINFO:
            failed += 1
            continue
        now = np.int64(answer[MEMINFO_DROPS])
        count += int((now - dropped[by]) & 0xFFFF_FFFF)
        dropped[by] = now
    return count, failed


@compiled("int64(int64, boolean[::1], int64[::1], int64[::1])")
def quiet(
    since: int,
    asked: npt.NDArray[np.bool_],
    last_heard: npt.NDArray[np.int64],
    found: npt.NDArray[np.intp],
) -> int:
    """Find legs that have been quiet for long.

    Args:
        since: the tick that their last packet came before.
        asked: bool, `(legs,)`: of which legs it is asked.
        last_heard: int64, `(legs,)`: the tick of each leg's last packet.
        found: intp, `(legs,)`: gets their rows.

    Returns:
        How many.
    """
    count = 0
    for row in range(asked.size):
        if asked[row] and last_heard[row] < since:
            found[count] = row
            count += 1
    return count
