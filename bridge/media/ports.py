"""Pairs of UDP ports for RTP and RTCP, opened by the control process.

RTP takes an even port and RTCP the next one (RFC 3550 section 11). The descriptors are moved above
1024, because PJSIP's `select` in the same process cannot look at numbers from there on: a number
below is a TCP connection that PJSIP could have had.
"""

import contextlib
import errno
import fcntl
import random
import socket
from dataclasses import dataclass
from typing import Final

from bridge.media.errors import DescriptorsExhausted, PortsExhausted
from bridge.media.latching import Source

__all__ = [
    "LOWEST_DESCRIPTOR",
    "SHARED_BUFFER",
    "MediaPair",
    "open_beside",
    "open_pair",
    "open_shared",
    "widen",
]

LOWEST_DESCRIPTOR: Final = 1024
"""FD_SETSIZE: `select` sees descriptors below this."""

EXPEDITED_FORWARDING: Final = 0xB8
"""DSCP 46 in the upper six bits of the TOS octet (RFC 3246), as telephones mark voice."""

RECEIVE_BUFFER: Final = 212_992
"""Bytes; about 256 packets of 20 ms, five seconds of one leg. The kernel's own default."""

SHARED_BUFFER: Final = 2 * 1024 * 1024
"""Bytes asked for on a port that many legs share: the kernel counts twice as many, 832 for a packet
of 20 ms, so that 5,000 packets fit, ten ticks of 500 legs. By default it is not half a tick."""

_SO_SNDBUFFORCE: Final = 32
_SO_RCVBUFFORCE: Final = 33


@dataclass(frozen=True, slots=True)
class MediaPair:
    """A bound RTP socket, the RTCP socket one port above it, and the even port."""

    rtp: socket.socket
    rtcp: socket.socket
    port: int

    @property
    def descriptors(self) -> tuple[int, int]:
        """The descriptors that a media process needs, in their order."""
        return (self.rtp.fileno(), self.rtcp.fileno())

    def close(self) -> None:
        """Close both sockets; a media process that was handed copies keeps its own."""
        self.rtp.close()
        self.rtcp.close()


def open_pair(bind_ip: str, low: int, high: int) -> MediaPair:
    """Open an even/odd pair of non-blocking UDP sockets.

    The search begins at a random pair, so that a call does not get the port of the call that just
    ended and whose peer may still be sending.

    Args:
        bind_ip: the local IPv4 address to bind.
        low: the lowest port that may be used.
        high: the highest port that may be used, for RTCP too.

    Returns:
        The pair; its descriptors are numbered from 1024 on and are closed on exec.

    Raises:
        PortsExhausted: no pair is free in the range.
        DescriptorsExhausted: the process may not open more files.
        OSError: the address is not one of this machine.
    """
    first = low + (low & 1)
    pairs = (high - first + 1) // 2
    if pairs < 1:
        raise PortsExhausted(
            f"media ports {low}-{high}: no even port with an odd one above it, "
            f"give a range of at least two ports that begins on an even one"
        )
    start = random.randrange(pairs)  # noqa: S311 - spreads the load, guards nothing
    for step in range(pairs):
        port = first + 2 * ((start + step) % pairs)
        pair = _try_pair(bind_ip, port)
        if pair is not None:
            return pair
    raise PortsExhausted(
        f"media ports {low}-{high} on {bind_ip}: all {pairs} pairs are in use, "
        f"widen media.ports or look for another program in this range"
    )


def open_shared(bind_ip: str, low: int, high: int, count: int) -> list[MediaPair]:
    """Open pairs that many legs will share: the lowest of the range, so that a firewall knows them.

    Args:
        bind_ip: the local IPv4 address to bind.
        low: the lowest port that may be used.
        high: the highest port that may be used.
        count: how many pairs.

    Returns:
        The pairs, fewer where so many are not free; with wide buffers, and open to `open_beside`.

    Raises:
        DescriptorsExhausted: the process may not open more files.
        OSError: the address is not one of this machine.
    """
    pairs: list[MediaPair] = []
    for port in range(low + (low & 1), high, 2):
        if len(pairs) == count:
            break
        pair = _try_pair(bind_ip, port, shared=True)
        if pair is not None:
            widen(pair)
            pairs.append(pair)
    return pairs


def open_beside(shared: MediaPair, rtp: Source, rtcp: Source) -> MediaPair:
    """Open sockets on the ports of a shared pair, for one far end alone.

    The kernel gives a connected UDP socket the packets of its remote pair and leaves all others to
    the shared one; only between `bind` and `connect`, a few microseconds, may a packet of another
    leg come here and be lost.

    Args:
        shared: the pair, of `open_shared`.
        rtp: the far end's address and port for RTP.
        rtcp: and for RTCP.

    Returns:
        The pair, connected; its port is the shared pair's.

    Raises:
        DescriptorsExhausted: the process may not open more files.
        OSError: the kernel does not allow it.
    """
    with contextlib.ExitStack() as stack:
        sockets = []
        for beside, remote in ((shared.rtp, rtp), (shared.rtcp, rtcp)):
            sock = stack.enter_context(_open_socket())
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind(beside.getsockname())
            sock.connect(remote)
            sockets.append(sock)
        stack.pop_all()
    return MediaPair(rtp=sockets[0], rtcp=sockets[1], port=shared.port)


def widen(pair: MediaPair) -> int:
    """Give a pair's RTP socket the buffers that a shared port needs, as far as the machine allows.

    Beyond net.core.rmem_max and wmem_max only with CAP_NET_ADMIN; `dialin doctor` looks at them.

    Args:
        pair: the pair.

    Returns:
        Bytes that its receive buffer has, to compare with `SHARED_BUFFER`.
    """
    for force, plain in (
        (_SO_RCVBUFFORCE, socket.SO_RCVBUF),
        (_SO_SNDBUFFORCE, socket.SO_SNDBUF),
    ):
        try:
            pair.rtp.setsockopt(socket.SOL_SOCKET, force, SHARED_BUFFER)
        except PermissionError:
            pair.rtp.setsockopt(socket.SOL_SOCKET, plain, SHARED_BUFFER)
    return pair.rtp.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2


def _try_pair(bind_ip: str, port: int, *, shared: bool = False) -> MediaPair | None:
    with contextlib.ExitStack() as stack:
        sockets = []
        for number in (port, port + 1):
            sock = stack.enter_context(_open_socket())
            try:
                sock.bind((bind_ip, number))
            except OSError as error:
                if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                    return None
                raise
            if shared:
                # Only now: before, another shared pair could have been there already.
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sockets.append(sock)
        stack.pop_all()
    return MediaPair(rtp=sockets[0], rtcp=sockets[1], port=port)


def _open_socket() -> socket.socket:
    try:
        low = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with low:
            descriptor = fcntl.fcntl(low.fileno(), fcntl.F_DUPFD_CLOEXEC, LOWEST_DESCRIPTOR)
    except OSError as error:
        if error.errno in {errno.EMFILE, errno.ENFILE, errno.EINVAL}:
            raise DescriptorsExhausted(
                f"no descriptor from {LOWEST_DESCRIPTOR} on is free ({error.strerror}): a leg "
                f"takes four, raise the limit on open files (ulimit -n, LimitNOFILE=)"
            ) from error
        raise
    sock = socket.socket(fileno=descriptor)
    sock.settimeout(0)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER // 2)  # Linux doubles it
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, EXPEDITED_FORWARDING)
    return sock
