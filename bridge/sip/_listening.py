"""Bind the SIP port: UDP and TCP on one number, with errors that say what to do."""

from __future__ import annotations

import errno
import socket
from typing import Any

from bridge.sip._library import Library
from bridge.sip.errors import LayoutMismatchError, PjError, PortTakenError, SettingsError

__all__ = ["SELECT_LIMIT", "bind_udp", "listen"]

SELECT_LIMIT = 1024
"""FD_SETSIZE: PJSIP's ``select`` cannot watch a descriptor at or above it."""

_UDP_RECEIVE_BUFFER = 4 * 1024 * 1024
_FIRST_MESSAGE_S = 10  # a TCP connection that says nothing valid for this long is closed
_OS_ERROR_BASE = 120000  # PJ_ERRNO_START_SYS
_FREE_PORT_ATTEMPTS = 20


def bind_udp(bind_ip: str, port: int) -> socket.socket:
    """Bind a UDP socket with a receive buffer for bursts of calls.

    Raises:
        PortTakenError: it cannot be bound.
    """
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _UDP_RECEIVE_BUFFER)
        udp.bind((bind_ip, port))
    except OSError as fault:
        udp.close()
        why = fault.strerror or str(fault)
        raise PortTakenError("UDP", bind_ip, port, why) from fault
    return udp


def listen(
    library: Library, endpoint: Any, bind_ip: str, port: int, published: str, *, tcp: bool
) -> int:
    """Listen on UDP and TCP; with port 0 on one that is free for both.

    Returns:
        The port.

    Raises:
        PortTakenError: it cannot be bound.
        SettingsError: the socket's descriptor is too high for PJSIP's ``select``.
    """
    attempts = 1 if port else _FREE_PORT_ATTEMPTS
    while True:
        attempts -= 1
        udp = bind_udp(bind_ip, port)
        bound = int(udp.getsockname()[1])
        try:
            if tcp:
                _listen_tcp(library, endpoint, bind_ip, bound, published)
        except PortTakenError:
            udp.close()
            if not attempts:
                raise
            continue
        _attach_udp(library, endpoint, udp, published, bound)
        return bound


def _attach_udp(
    library: Library, endpoint: Any, udp: socket.socket, published: str, port: int
) -> None:
    if udp.fileno() >= SELECT_LIMIT:
        number = udp.fileno()
        udp.close()
        raise SettingsError(
            f"the SIP socket got descriptor {number}, PJSIP's select takes those below"
            f" {SELECT_LIMIT}; start the SIP endpoint before opening RTP sockets"
        )
    ffi = library.ffi
    name = ffi.new("pjsip_host_port *")
    host, kept = library.string(published)
    name.host, name.port = host[0], port
    library.check(
        "pjsip_udp_transport_attach",
        library.lib.pjsip_udp_transport_attach(endpoint, udp.detach(), name, 1, ffi.NULL),
    )
    del kept


def _listen_tcp(library: Library, endpoint: Any, bind_ip: str, port: int, published: str) -> None:
    ffi, lib = library.ffi, library.lib
    room = ffi.new("char[]", 1024)  # more than the struct, whose end we do not trust
    lib.pjsip_tcp_transport_cfg_default(room, socket.AF_INET)
    config = ffi.cast("pjsip_tcp_transport_cfg *", room)
    if config.af != socket.AF_INET or config.async_cnt != 1 or config.initial_timeout:
        raise LayoutMismatchError("pjsip_tcp_transport_cfg does not lie as declared")
    config.bind_addr.sin_family = socket.AF_INET
    config.bind_addr.sin_port = socket.htons(port)
    config.bind_addr.sin_addr = int.from_bytes(socket.inet_aton(bind_ip), "little")
    config.reuse_addr = 1  # else a restart fails while old connections are in TIME_WAIT
    host, kept = library.string(published)
    config.addr_name.host, config.addr_name.port = host[0], port
    config.initial_timeout = _FIRST_MESSAGE_S
    out = ffi.new("void **")
    try:
        library.check(
            "pjsip_tcp_transport_start3", lib.pjsip_tcp_transport_start3(endpoint, config, out)
        )
    except PjError as fault:
        if fault.status == _OS_ERROR_BASE + errno.EADDRINUSE:
            raise PortTakenError("TCP", bind_ip, port, "the address is in use") from fault
        raise
    del kept
