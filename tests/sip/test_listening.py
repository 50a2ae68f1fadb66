"""Binding the SIP port: a taken one, a foreign address and a port of the system are told apart."""

from __future__ import annotations

import errno
import os
import socket

import pytest

from bridge.sip._listening import bind_udp
from bridge.sip.errors import PortTakenError, SettingsError


def test_free_port_is_bound() -> None:
    """Port 0 takes a free one."""
    with bind_udp("127.0.0.1", 0) as udp:
        assert udp.getsockname()[1] > 0


def test_taken_port_says_how_to_find_its_holder() -> None:
    """And how to take another."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        with pytest.raises(PortTakenError, match=f"UDP 127.0.0.1:{port}") as caught:
            bind_udp("127.0.0.1", port)
    assert f"'sport = :{port}'" in caught.value.hint
    assert "--port" in caught.value.hint


def test_address_of_another_machine_is_no_taken_port() -> None:
    """Nobody holds the port: the setting is of another machine (RFC 5737's address is nobody's)."""
    with pytest.raises(SettingsError, match=r"sip\.bind_ip is 192\.0\.2\.1") as caught:
        bind_udp("192.0.2.1", 0)
    assert "ss -lnp" not in caught.value.hint
    assert "ip -4 address" in caught.value.hint


def test_port_of_the_system_says_that_it_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may take it, so the kernel's refusal is played."""

    def refuse(_self: socket.socket, _address: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(socket.socket, "bind", refuse, raising=False)
    with pytest.raises(SettingsError, match=r"127\.0\.0\.1:53") as caught:
        bind_udp("127.0.0.1", 53)
    assert "below 1024" in caught.value.hint
