"""The guard in conftest.py holds."""

import socket

import pytest


def test_guard_refuses_connection_to_a_documentation_address() -> None:
    """A connection beyond loopback is an error before a packet leaves (RFC 5737 address)."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
        pytest.raises(RuntimeError, match=r"192\.0\.2\.1"),
    ):
        sock.connect(("192.0.2.1", 9))


def test_guard_refuses_a_datagram_to_a_private_address() -> None:
    """A datagram to a private network is refused as well."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
        pytest.raises(RuntimeError, match=r"10\.0\.0\.1"),
    ):
        sock.sendto(b"", ("10.0.0.1", 9))


def test_guard_refuses_a_name_that_needs_a_name_server() -> None:
    """No test asks a name server (RFC 2606 name)."""
    with pytest.raises(RuntimeError, match="name server"):
        socket.getaddrinfo("bridge.example", 5060)


def test_guard_lets_loopback_through() -> None:
    """Loopback datagrams arrive as ever."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rx,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as tx,
    ):
        rx.bind(("127.0.0.1", 0))
        rx.settimeout(2)
        tx.sendto(b"here", rx.getsockname())
        assert rx.recv(16) == b"here"
