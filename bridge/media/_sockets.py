"""What both transports do with UDP sockets that control hands over."""

import contextlib
import errno
import fcntl
import math
import os
import socket
import stat
import struct
from typing import Final

__all__ = [
    "IP_MTU_DISCOVER",
    "IP_PMTUDISC_PROBE",
    "MEMINFO",
    "MEMINFO_DROPS",
    "PEER_ERRORS",
    "SIOCGSTAMPNS",
    "SO_MEMINFO",
    "SO_TIMESTAMPNS",
    "TIMESPEC",
    "adopt_udp",
    "ask_for_stamps",
    "dropped_by",
    "peer_of",
]

SO_TIMESTAMPNS: Final = 35
"""The option, and the kind of what comes by it (asm-generic/socket.h); Python names neither."""

SIOCGSTAMPNS: Final = 0x8907
"""The question when the last packet arrived that was read (linux/sockios.h)."""

TIMESPEC: Final = struct.Struct("@qq")
"""struct timespec: seconds and nanoseconds."""

PEER_ERRORS: Final = frozenset(
    {errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EPROTO, errno.ENOPROTOOPT}
)
"""What ICMP messages about the peer become."""

SO_MEMINFO: Final = 55
"""What a socket's buffers hold and have dropped (linux/sock_diag.h)."""

MEMINFO: Final = 9
"""Numbers of 32 bits that it says."""

MEMINFO_DROPS: Final = 8
"""SK_MEMINFO_DROPS, the one of packets that its receive buffer dropped."""

_MEMINFO: Final = struct.Struct(f"@{MEMINFO}I")

IP_MTU_DISCOVER: Final = 10
"""The option (linux/in.h), which Python does not name."""

IP_PMTUDISC_PROBE: Final = 3
"""Its value for packets that are never fragmented, whatever ICMP says of the way."""


def adopt_udp(fds: list[int]) -> list[socket.socket]:
    """Make sockets of descriptors that came; they never block from then on.

    What they send is never fragmented; that is so by default too, but then each packet of an
    unconnected socket gets an identification all the same, by a hash, and what ICMP says of the
    way's MTU is believed, although packets of ours fit into the 576 octets that every host takes
    (RFC 791) and who says so may be a forger. With IP_PMTUDISC_PROBE neither is done.

    Args:
        fds: the descriptors.

    Returns:
        A socket for each.

    Raises:
        OSError: not all are UDP sockets; all have been closed.
    """
    if not all(stat.S_ISSOCK(os.fstat(fd).st_mode) for fd in fds):
        for fd in fds:
            os.close(fd)
        raise OSError(errno.ENOTSOCK, os.strerror(errno.ENOTSOCK))
    sockets = [socket.socket(fileno=fd) for fd in fds]
    for sock in sockets:
        if (sock.family, sock.type) != (socket.AF_INET, socket.SOCK_DGRAM):
            for each in sockets:
                each.close()
            raise OSError(errno.ENOTSOCK, f"{sock.family.name} {sock.type.name}, not a UDP socket")
        sock.settimeout(0)
        sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE)
    return sockets


def arrived_at(sock: socket.socket) -> float:
    """Return when the packet arrived that was read last, by the wall clock [s]; NaN if unknown.

    The kernel notes times of a socket from the first question on, which is therefore asked once
    before a packet is read.
    """
    try:
        stamp = fcntl.ioctl(sock.fileno(), SIOCGSTAMPNS, bytes(TIMESPEC.size))
    except OSError:
        return math.nan
    seconds, nanoseconds = TIMESPEC.unpack(stamp)
    return float(seconds + nanoseconds * 1e-9)


def dropped_by(sock: socket.socket) -> int | None:
    """Return how many packets a receive buffer has dropped; `None` where it is not told.

    This is the very count that SO_RXQ_OVFL attaches to packets, but exact also when none follow.
    """
    try:
        data = sock.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, _MEMINFO.size)
    except OSError:
        return None
    return int(_MEMINFO.unpack(data)[MEMINFO_DROPS]) if len(data) == _MEMINFO.size else None


def ask_for_stamps(sock: socket.socket) -> None:
    """Have the kernel stamp what this socket receives: the first question turns it on."""
    with contextlib.suppress(FileNotFoundError):  # the answer to it
        fcntl.ioctl(sock.fileno(), SIOCGSTAMPNS, bytes(TIMESPEC.size))


def peer_of(sock: socket.socket) -> tuple[str, int] | None:
    """Return what a socket is connected to; another process may have done that."""
    try:
        host, port = sock.getpeername()
    except OSError:
        return None
    return str(host), int(port)
