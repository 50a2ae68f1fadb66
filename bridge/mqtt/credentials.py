"""Secrets and certificates: who the broker must be, and who we are.

Everything is read anew for each connection, so that a renewed certificate is used at the next one.
With `mqtt.tls` nothing but TLS 1.2 or later is spoken, with a certificate that is good for the
host; where that fails there is no connection, and never one without.
"""

from __future__ import annotations

import base64
import binascii
import os
import ssl
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bridge.mqtt.errors import BrokerFilesError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from config.settings import MqttSettings

__all__ = ["dial_key", "password", "port", "tls_context"]

_MOST_BYTES: Final = 4096
_KEY_BYTES: Final = 32
_TLS_PORT: Final = 8883
_PLAIN_PORT: Final = 1883


def port(settings: MqttSettings) -> int:
    """Return the broker's port."""
    return settings.port or (_TLS_PORT if settings.tls else _PLAIN_PORT)


def tls_context(settings: MqttSettings) -> ssl.SSLContext | None:
    """Return how TLS is spoken; none where it is switched off.

    Raises:
        BrokerFilesError: a file cannot be read, or is no certificate or key.
    """
    if not settings.tls:
        return None
    ca_file = settings.ca_file
    try:
        context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except (OSError, ssl.SSLError) as error:
        raise BrokerFilesError(
            f"mqtt.ca_file: {ca_file} cannot be used: {_why(error)}",
            "It has the certificates of who signs the broker's, in PEM.",
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.certificate_file is not None and settings.key_file is not None:
        _check_mode("mqtt.key_file", settings.key_file)
        try:
            context.load_cert_chain(
                settings.certificate_file, settings.key_file, password=_no_passphrase
            )
        except (OSError, ssl.SSLError) as error:
            raise BrokerFilesError(
                f"mqtt.certificate_file: {settings.certificate_file} and its key cannot be used:"
                f" {_why(error)}",
                "Both are in PEM and belong together, and the key has no passphrase.",
            ) from error
    return context


def password(settings: MqttSettings, environ: Mapping[str, str] | None = None) -> str | None:
    """Return the password, none where there is none.

    Args:
        settings: say where it is.
        environ: environment variables; those of the process where not given.

    Raises:
        BrokerFilesError: its file cannot be read, or may be read by others.
    """
    if settings.password_file is None:
        return (os.environ if environ is None else environ).get(settings.password_env)
    return _secret("mqtt.password_file", settings.password_file).rstrip("\r\n")


def dial_key(settings: MqttSettings) -> bytes | None:
    """Return the key that seals numbers, none where there is none.

    Raises:
        BrokerFilesError: its file cannot be read, may be read by others, or holds no key.
    """
    if settings.dial_key_file is None:
        return None
    text = _secret("mqtt.dial_key_file", settings.dial_key_file)
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != _KEY_BYTES:
        raise BrokerFilesError(
            f"mqtt.dial_key_file: {settings.dial_key_file} holds no 32 bytes in base64",
            "Make one with `umask 077; head -c 32 /dev/urandom | base64 > FILE`.",
        )
    return key


def _secret(name: str, path: Path) -> str:
    _check_mode(name, path)
    try:
        with path.open("rb") as file:
            return file.read(_MOST_BYTES).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise BrokerFilesError(f"{name}: {path} cannot be read: {_why(error)}") from error


def _check_mode(name: str, path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise BrokerFilesError(f"{name}: {path} cannot be read: {_why(error)}") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise BrokerFilesError(
            f"{name}: {path} may be read or changed by others", f"Do `chmod 600 {path}`."
        )


def _no_passphrase() -> str:
    """Answer OpenSSL, which would ask at a terminal and wait."""
    return ""


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "it is not PEM").replace("_", " ").lower()
    return error.strerror or "it cannot" if isinstance(error, OSError) else "it is not text"
