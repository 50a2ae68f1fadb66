"""Whether a broker would let us in: asked step by step, for `dialin doctor`.

The way there, TLS, then one CONNECT of MQTT 5 under a name of its own, so that a bridge that is
connected is not thrown out. What it finds is said with the step at which it was found.
"""

from __future__ import annotations

import socket
import ssl
import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from bridge.mqtt import credentials
from bridge.mqtt.errors import BrokerFilesError
from bridge.mqtt.problems import BAD_LOGIN, Problem

if TYPE_CHECKING:
    from config.settings import MqttSettings

__all__ = ["Found", "probe"]

TIMEOUT_S: Final = 3.0

_CONNECT: Final = 0x10
_CONNACK: Final = 0x20
_DISCONNECT: Final = b"\xe0\x00"
_CLEAN_START: Final = 0x02
_HAS_PASSWORD: Final = 0x40
_HAS_USER: Final = 0x80
_SHORTEST_CONNACK: Final = 4
_VERSION_5: Final = 5
_OLD_VERSION: Final = 1
"""What a broker of MQTT 3.1.1 answers to version 5 (3.2.2.3)."""


class Found(NamedTuple):
    """What was found.

    Attributes:
        problem: Why we would not be let in; none where we would.
        detail: What the other end, or this machine, said.
    """

    problem: Problem | None
    detail: str = ""


def probe(settings: MqttSettings) -> Found:
    """Ask the broker that the settings name.

    Args:
        settings: where it is, and who we are.
    """
    try:
        context = credentials.tls_context(settings)
        password = credentials.password(settings)
    except BrokerFilesError as error:
        return Found("files", f"{error}. {error.hint}".strip())
    address = (settings.host, credentials.port(settings))
    try:
        sock = socket.create_connection(address, timeout=TIMEOUT_S)
    except OSError as error:
        return Found("unreachable", error.strerror or str(error))
    with sock:
        return _shake_hands(sock, context, settings, password)


def _shake_hands(
    sock: socket.socket,
    context: ssl.SSLContext | None,
    settings: MqttSettings,
    password: str | None,
) -> Found:
    try:
        if context is None:
            return _log_in(sock, settings, password)
        with context.wrap_socket(sock, server_hostname=settings.host) as encrypted:
            return _log_in(encrypted, settings, password)
    except TimeoutError:
        return Found("no_answer")
    except ssl.SSLCertVerificationError as error:
        return Found("tls", error.verify_message)
    except ssl.SSLError as error:
        return Found("tls", (error.reason or str(error)).replace("_", " ").lower())
    except OSError as error:
        return Found("refused", error.strerror or "it closed the connection")


def _log_in(sock: socket.socket, settings: MqttSettings, password: str | None) -> Found:
    sock.sendall(_connect_packet(f"dialin-{settings.node}-doctor", settings.user, password))
    answer = b""
    while len(answer) < _SHORTEST_CONNACK:
        octets = sock.recv(64)
        if not octets:
            return Found("refused", "it closed the connection")
        answer += octets
    if answer[0] != _CONNACK:
        return Found("refused", "it does not speak MQTT")
    code = answer[3]
    if code == 0:
        sock.sendall(_DISCONNECT)
        return Found(None)
    if code == _OLD_VERSION:
        return Found("refused", "it speaks no MQTT 5")
    return Found("login" if code in BAD_LOGIN else "refused", f"reason code {code}")


def _connect_packet(client: str, user: str | None, password: str | None) -> bytes:
    """Return a CONNECT (MQTT 5, 3.1), without properties and will."""
    flags, payload = _CLEAN_START, _string(client.encode())
    if user is not None:
        flags |= _HAS_USER
        payload += _string(user.encode())
    if password is not None:
        flags |= _HAS_PASSWORD
        payload += _string(password.encode())
    body = _string(b"MQTT") + struct.pack(">BBHB", _VERSION_5, flags, 10, 0) + payload
    length, left = bytearray(), len(body)
    while True:  # a variable byte integer (1.5.5)
        left, digit = divmod(left, 128)
        length.append(digit | (0x80 if left else 0))
        if not left:
            return bytes([_CONNECT]) + length + body


def _string(octets: bytes) -> bytes:
    return struct.pack(">H", len(octets)) + octets
