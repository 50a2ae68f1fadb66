"""Which address of this machine others reach it by."""

from __future__ import annotations

import socket

__all__ = ["outward_address"]

ELSEWHERE = ("192.0.2.1", 9)
"""Documentation's own network (RFC 5737): nobody's, so the default route leads there."""


def outward_address() -> str:
    """Return the local address of the default route; no packet is sent to find it.

    Returns:
        The address, loopback where the machine has no route out.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(ELSEWHERE)
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])
