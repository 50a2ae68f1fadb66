"""Operations that administrators ask for, and the way they take.

An operation is a function ``(context, **arguments)`` that returns what JSON can hold. Every package
exports its own as ``OPERATIONS``; :class:`Registry` holds them all. An operation is performed

- by the running bridge, over its local socket (``admin.sock``), which then takes the change up
  without a restart; or
- where no bridge runs, by the command itself, directly on the database, as the data folder's owner
  and as the only one who works in the folder.

The socket speaks lines of JSON::

    → {"id": 1, "operation": "number.add", "arguments": {"number": "+46101234567"}}
    ← {"id": 1, "result": {...}}
    ← {"id": 1, "error": {"message": "...", "hint": "...", "exit_code": 2}}

:func:`answer` is the bridge's half of a line, :class:`Administration` the command's.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import itertools
import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from config.data_folder import DataFolder
from config.database import told_if_unusable
from config.errors import (
    AdministrationError,
    BridgeDown,
    BridgeUnreachable,
    ConfigError,
    ExitCode,
    UnknownOperation,
)
from config.logging import bound

if TYPE_CHECKING:
    from pathlib import Path

    from config.database import Database
    from config.settings import Settings

__all__ = [
    "AdminContext",
    "Administration",
    "Operation",
    "Registry",
    "answer",
    "call_bridge",
    "describe",
    "perform",
]

Operation = Callable[..., Any]
Registry = Mapping[str, Operation]

V = TypeVar("V")

_ANSWER_TIMEOUT_S = 30.0
_HANDOVER_S = 5.0
"""How long a bridge may take from its lock to its socket, or from closing that to its end."""
_CHUNK = 65536
_LONGEST_PATH = 107
"""Bytes of a Unix socket's path (sun_path holds 108, the last one nought)."""
_NOT_A_REQUEST = {
    "message": "a line that is not a request: expected id, operation and arguments as JSON",
    "hint": "",
    "exit_code": int(ExitCode.USAGE),
}


@dataclass(frozen=True, slots=True)
class AdminContext(Generic[V]):
    """What an operation works on.

    Attributes:
        database: The main database, migrated.
        vault: The vault, open (``privacy.vault.Vault``; this package does not know it).
        settings: The settings in force.
    """

    database: Database
    vault: V
    settings: Settings


def answer(registry: Registry, context: object, line: bytes | str) -> bytes:
    """Perform the operation that one line asks for.

    Args:
        registry: The operations there are.
        context: What they work on.
        line: One line of JSON.

    Returns:
        The line to send back, with its line break. Errors of ours become its ``error``; a fault of
        the program is raised, for the caller to log.
    """
    number: object = None
    try:
        request = json.loads(line)
        number = request["id"]
        operation, arguments = request["operation"], request.get("arguments", {})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return _line({"id": number, "error": _NOT_A_REQUEST})
    if not isinstance(operation, str) or not isinstance(arguments, dict):
        return _line({"id": number, "error": _NOT_A_REQUEST})
    try:
        result = perform(registry, context, operation, arguments)
    except Exception as error:
        described = describe(error)
        if described is None:
            raise
        return _line({"id": number, "error": described})
    return _line({"id": number, "result": result})


def perform(
    registry: Registry, context: object, operation: str, arguments: Mapping[str, Any]
) -> Any:  # noqa: ANN401 - what JSON can hold
    """Perform one operation.

    Raises:
        UnknownOperation: There is none of that name.
        AdministrationError: It takes other arguments.
        DatabaseError: The database is locked, full, read-only or damaged.
    """
    function = registry.get(operation)
    if function is None:
        raise UnknownOperation(operation)
    try:
        inspect.signature(function).bind(context, **arguments)
    except TypeError as error:
        raise AdministrationError(
            f"{operation}: {error}",
            hint="The bridge that runs may be of another release than this command; restart it.",
            exit_code=ExitCode.USAGE,
        ) from error
    if not isinstance(context, AdminContext):
        return function(context, **arguments)
    with told_if_unusable(context.database.where):
        return function(context, **arguments)


def describe(error: BaseException) -> dict[str, Any] | None:
    """Put an error of ours into words for an administrator.

    Args:
        error: Any exception.

    Returns:
        ``message``, ``hint`` and ``exit_code``; None for a fault of the program, whose text is for
        nobody's eyes.
    """
    hint = getattr(error, "hint", None)
    if hint is None:
        return None
    return {
        "message": str(error),
        "hint": str(hint),
        "exit_code": int(getattr(error, "exit_code", ExitCode.FAILED)),
    }


def call_bridge(
    path: Path,
    operation: str,
    arguments: Mapping[str, Any],
    *,
    timeout_s: float = _ANSWER_TIMEOUT_S,
) -> Any:  # noqa: ANN401 - what JSON can hold
    """Ask the running bridge to perform an operation.

    Args:
        path: Its administration socket.
        operation: The operation's name.
        arguments: Its arguments, as JSON can hold them.
        timeout_s: How long to wait for the answer, in seconds.

    Returns:
        What the operation returned.

    Raises:
        FileNotFoundError: There is no socket, and can be none: no bridge runs here.
        ConnectionRefusedError: Nobody listens on it: the bridge died.
        BridgeUnreachable: It does not let us in, or does not answer.
        AdministrationError: The bridge refused the operation.
    """
    if len(os.fsencode(path)) > _LONGEST_PATH:
        raise FileNotFoundError(f"{path}: a socket's path may have {_LONGEST_PATH} bytes")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        try:
            connection.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            raise
        except NotADirectoryError as error:
            raise FileNotFoundError(*error.args) from error
        except PermissionError as error:
            raise BridgeUnreachable(
                path,
                "you may not administer it",
                "Run the command as the bridge's own user, or join the group of admin.group.",
            ) from error
        except OSError as error:
            raise BridgeUnreachable(path, error.strerror or str(error)) from error
        number = next(_NUMBERS)
        request = {"id": number, "operation": operation, "arguments": dict(arguments)}
        try:
            connection.sendall(_line(request))
            reply = json.loads(_read_line(connection))
        except TimeoutError as error:
            raise BridgeUnreachable(path, f"no answer within {timeout_s:g} s") from error
        except (OSError, ValueError) as error:
            raise BridgeUnreachable(path, "it broke off in the middle of its answer") from error
    if "error" in reply:
        fault = reply["error"]
        raise AdministrationError(
            fault["message"], hint=fault.get("hint", ""), exit_code=fault.get("exit_code", 1)
        )
    return reply.get("result")


class Administration(Generic[V]):
    """What the commands ask: the bridge where it runs, else the database itself.

    Args:
        load: Reads the settings, when they are asked for: what needs none works with wrong ones.
        registry: Operations that may be performed without a running bridge.
        open_context: Opens the database and the vault, as the data folder's owner.
    """

    def __init__(
        self,
        load: Callable[[], Settings],
        registry: Registry,
        open_context: Callable[[Settings], AbstractContextManager[AdminContext[V]]],
    ) -> None:
        self.by_bridge = False
        """Whether a running bridge performed the last operation, which then is in force."""
        self._load = load
        self.registry = registry
        self._open_context = open_context

    @functools.cached_property
    def settings(self) -> Settings:
        """The settings as this command was given them; a running bridge may have others.

        Raises:
            SettingsError: Something is wrong with them; it names every fault.
        """
        return self._load()

    @property
    def folder(self) -> DataFolder:
        """The data folder."""
        return DataFolder(self.settings.data_dir)

    def ask_bridge(
        self,
        operation: str,
        *,
        timeout_s: float = _ANSWER_TIMEOUT_S,
        **arguments: Any,  # noqa: ANN401 - JSON both ways
    ) -> Any:  # noqa: ANN401 - JSON both ways
        """Ask the running bridge, and nobody else.

        Args:
            operation: The operation's name.
            timeout_s: How long to wait for the answer, in seconds.
            arguments: Its arguments, as JSON can hold them.

        Raises:
            BridgeDown: No bridge runs on this data folder.
            BridgeUnreachable: It does not let us in, or does not answer.
            AdministrationError: The bridge refused the operation.
        """
        path = self.settings.admin_socket
        try:
            return call_bridge(path, operation, arguments, timeout_s=timeout_s)
        except (FileNotFoundError, ConnectionRefusedError):
            raise BridgeDown(path) from None

    def perform(self, operation: str, **arguments: Any) -> Any:  # noqa: ANN401 - JSON both ways
        """Perform an operation, wherever it can be performed now.

        Args:
            operation: Its name, such as ``number.add``.
            arguments: Its arguments, as JSON can hold them.

        Returns:
            What the operation returned.

        Raises:
            ConfigError: It was refused, or could be performed nowhere.
        """
        self.by_bridge = True
        try:
            return self.ask_bridge(operation, **arguments)
        except BridgeDown:
            if operation not in self.registry:
                raise
        return self._perform_here(operation, arguments)

    def _perform_here(self, operation: str, arguments: Mapping[str, Any]) -> Any:  # noqa: ANN401
        with self.folder.as_owner(), contextlib.ExitStack() as stack:
            try:
                stack.enter_context(self.folder.locked(wait_s=_HANDOVER_S))
            except ConfigError:
                # The one who holds the folder may be a bridge that has opened its socket by now.
                with contextlib.suppress(BridgeDown):
                    return self.ask_bridge(operation, **arguments)
                raise
            self.by_bridge = False
            stack.enter_context(bound(uid=os.getuid()))
            context = stack.enter_context(self._open_context(self.settings))
            return perform(self.registry, context, operation, arguments)


_NUMBERS: Iterator[int] = itertools.count(1)


def _line(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _read_line(connection: socket.socket) -> bytes:
    received = bytearray()
    while not received.endswith(b"\n"):
        chunk = connection.recv(_CHUNK)
        if not chunk:
            raise ConnectionResetError
        received += chunk
    return bytes(received)
