"""Where the master key comes from: a file of mode 0600, an environment variable or a command.

It is 32 random bytes in base64, on one line. It is needed once, at start, to unwrap other keys.
"""

from __future__ import annotations

import base64
import binascii
import os
import shlex
import stat
import subprocess
from typing import TYPE_CHECKING

from privacy.errors import MasterKeyError
from privacy.vault._seal import KEY_BYTES, new_key

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from config.settings import Settings

__all__ = ["create_master_key", "read_master_key"]

_COMMAND_TIMEOUT_S = 30
_MOST_BYTES = 4096


def create_master_key(path: Path) -> None:
    """Write a fresh master key to a new file of mode 0600.

    Raises:
        MasterKeyError: The file exists already, or cannot be written.
    """
    text = base64.b64encode(new_key()) + b"\n"
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
    except OSError as error:
        raise MasterKeyError(
            f"{path}: the master key cannot be written: {error.strerror}"
        ) from error


def read_master_key(settings: Settings, environ: Mapping[str, str] | None = None) -> bytes:
    """Return the master key, 32 bytes.

    Args:
        settings: Say where it comes from (``privacy.master_key``).
        environ: Environment variables; those of the process where not given.

    Raises:
        MasterKeyError: There is none, others may read it, or it is not a key.
    """
    privacy = settings.privacy
    if privacy.master_key == "env":
        where = f"environment {privacy.master_key_env}"
        text = (os.environ if environ is None else environ).get(privacy.master_key_env, "")
        if not text:
            raise MasterKeyError(f"{where}: is not set; it should hold the master key")
    elif privacy.master_key == "command":
        where = "privacy.master_key_command"
        text = _run(privacy.master_key_command or "")
    else:
        where = str(settings.master_key_path)
        text = _read_private(settings.master_key_path)
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise MasterKeyError(
            f"{where}: is not a master key: expected {KEY_BYTES} bytes in base64",
            hint="Restore it from where you keep it. `openssl rand -base64 32` makes one for a new "
            "data folder, and for that alone.",
        )
    return key


def _read_private(path: Path) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise MasterKeyError(
            f"{path}: the master key cannot be read: {error.strerror}",
            hint="Restore it from where you keep it; without it nothing in the vault can be read.",
        ) from error
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise MasterKeyError(f"{path}: the master key must be an ordinary file")
        if found.st_mode & 0o077:
            raise MasterKeyError(
                f"{path}: has mode {stat.S_IMODE(found.st_mode):04o}, so others than its owner may "
                "read the master key; expected 0600",
                hint=f"chmod 600 {shlex.quote(str(path))}   (and ask who may have read it)",
            )
        return file.read(_MOST_BYTES).decode("ascii", "replace")


def _run(command: str) -> str:
    try:
        finished = subprocess.run(
            shlex.split(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            check=True,
            timeout=_COMMAND_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        # "from None": the exception's text would repeat what the command had printed.
        raise MasterKeyError(
            f"privacy.master_key_command: did not end within {_COMMAND_TIMEOUT_S} s"
        ) from None
    except subprocess.CalledProcessError as error:
        raise MasterKeyError(
            f"privacy.master_key_command: ended with status {error.returncode}"
        ) from None
    except (OSError, ValueError) as error:
        raise MasterKeyError(f"privacy.master_key_command: cannot be run: {error}") from None
    return finished.stdout[:_MOST_BYTES].decode("ascii", "replace")
