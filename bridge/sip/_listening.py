"""Bind the SIP port, with errors that say what to do, and hand UDP's socket to PJSIP."""

from __future__ import annotations

import errno
import socket
from typing import Any

from bridge.sip._library import Library
from bridge.sip.errors import PortTakenError, SettingsError, SipError

__all__ = ["SELECT_LIMIT", "attach_udp", "bind_tcp", "bind_udp"]

SELECT_LIMIT = 1024
"""FD_SETSIZE: PJSIP's ``select`` cannot watch a descriptor at or above it."""

_UDP_RECEIVE_BUFFER = 4 * 1024 * 1024


def bind_udp(bind_ip: str, port: int) -> socket.socket:
    """Bind a UDP socket with a receive buffer for bursts of calls.

    Raises:
        PortTakenError: somebody has the port.
        SettingsError: the address is none of this machine, or the port is not ours to take.
    """
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _UDP_RECEIVE_BUFFER)
        udp.bind((bind_ip, port))
    except OSError as fault:
        udp.close()
        raise _not_bound("UDP", bind_ip, port, fault) from fault
    return udp


def bind_tcp(bind_ip: str, port: int) -> socket.socket:
    """Bind a TCP socket, not yet listening.

    Raises:
        PortTakenError: somebody has the port.
        SettingsError: the address is none of this machine, or the port is not ours to take.
    """
    tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        tcp.bind((bind_ip, port))
    except OSError as fault:
        tcp.close()
        raise _not_bound("TCP", bind_ip, port, fault) from fault
    return tcp


def _not_bound(transport: str, bind_ip: str, port: int, fault: OSError) -> SipError:
    """Tell a taken port from settings that fit another machine: what to do differs."""
    if fault.errno == errno.EADDRNOTAVAIL:
        return SettingsError(
            f"sip.bind_ip is {bind_ip}, which is no address of this machine",
            "`ip -4 address` lists those there are; 0.0.0.0 listens on all. Where NAT shows the"
            " world another address, that one belongs into sip.public_address.",
        )
    if fault.errno in {errno.EACCES, errno.EPERM}:
        return SettingsError(
            f"cannot listen on {transport} {bind_ip}:{port}: this user may not",
            "Ports below 1024 are the system's: choose another with --port or sip.port (5060 is"
            " usual), or set AmbientCapabilities=CAP_NET_BIND_SERVICE in the unit file.",
        )
    return PortTakenError(transport, bind_ip, port, fault.strerror or str(fault))


def attach_udp(library: Library, endpoint: Any, udp: socket.socket, published: str) -> None:
    """Hand a bound socket to PJSIP, which owns it from then on.

    Raises:
        SettingsError: its descriptor is too high for PJSIP's ``select``.
    """
    number, port = udp.fileno(), int(udp.getsockname()[1])
    if number >= SELECT_LIMIT:
        udp.close()
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
