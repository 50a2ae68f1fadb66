"""The administration socket: one JSON object a line, each answered by one.

A request is ``{"id": 1, "operation": "number.add", "arguments": {...}}``; the answer is
``{"id": 1, "result": ...}`` or ``{"id": 1, "error": {"message", "hint", "exit_code"}}``. An
operation that is a stream is answered by ``{"id": 1, "update": ...}`` again and again, until the
asker hangs up; its connection is for nothing else from then on.

The socket is a file of mode 0660 that belongs to the owner of the data folder and to the
administrators' group. The kernel says who is at the other end (SO_PEERCRED): root, the owner and
members of the group may speak, everybody else is told why not.
"""

from __future__ import annotations

import asyncio
import contextlib
import grp
import json
import os
import pwd
import socket
import stat
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

import structlog

from bridge.errors import AlreadyRunning, StartError
from config.administration import describe
from config.errors import ExitCode
from config.logging import bound

__all__ = ["AdminServer", "Perform", "Stream"]

LARGEST_REQUEST: Final = 1 << 20
"""Bytes of one line; an operation's arguments are a few hundred."""

SLOWEST_READER_S: Final = 10.0
"""An administrator's program that stops reading is let go; the bridge never waits for it."""

CREDENTIALS: Final = struct.Struct("3i")

Perform = Callable[[str, Mapping[str, Any]], Awaitable[Any]]
"""Carries out one operation; raises what `config.administration.describe` puts in words."""

Stream = Callable[..., AsyncGenerator[Any, None]]
"""An operation whose answers go on: an asynchronous generator function."""


class AdminServer:
    """Listen on the administration socket.

    Args:
        path: where the socket goes.
        group: name of the administrators' group; None for the owner's alone.
        perform: carries out an operation.
        streams: operations whose answers go on, by name.
    """

    def __init__(
        self,
        path: Path,
        group: str | None,
        perform: Perform,
        streams: Mapping[str, Stream] | None = None,
    ) -> None:
        self._path = path
        self._perform = perform
        self._streams = streams or {}
        self._log = structlog.get_logger("bridge.admin")
        self._server: asyncio.AbstractServer | None = None
        self._group = _group_id(group)
        self._owner = os.geteuid()

    async def start(self) -> None:
        """Create the socket.

        Raises:
            AlreadyRunning: a bridge answers on it already.
            StartError: it cannot be created.
        """
        if self._path.exists():
            if _answers(self._path):
                raise AlreadyRunning(
                    f"{self._path}: a bridge is already running on this data folder",
                    "Stop it first (`dialin status` shows its process), or give --data another.",
                )
            self._path.unlink()
        try:
            before = os.umask(0o117)
            try:
                self._server = await asyncio.start_unix_server(
                    self._serve, path=self._path, limit=LARGEST_REQUEST
                )
            finally:
                os.umask(before)
            if self._group is not None:
                os.chown(self._path, -1, self._group)
                _let_through(self._path.parent, self._group, self._owner)
        except OSError as error:
            raise StartError(
                f"{self._path}: cannot create the administration socket: {error.strerror}",
                "A socket's path may have 107 characters; set admin.socket to a shorter one."
                if "too long" in str(error)
                else "Check the folder's owner and mode, and admin.group.",
            ) from error

    async def stop(self) -> None:
        """Close the socket and remove its file."""
        if self._server is not None:
            self._server.close()
            self._server = None
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            uid = self._admitted(writer)
            if uid is None:
                await _answer(writer, _refusal(None, "you may not administer this bridge"))
                return
            while True:
                try:
                    line = await reader.readline()
                except ValueError:
                    await _answer(writer, _refusal(None, "the request is longer than 1 MiB"))
                    return
                if not line:
                    return
                request = _parse(line)
                if request is not None and request[1] in self._streams:
                    await self._stream(reader, writer, *request)
                    return
                with bound(uid=uid):  # what is revealed and changed is logged with who did it
                    answer = await self._request(request)
                await _answer(writer, answer)
        except TimeoutError:
            self._log.info("administrator's program does not read, and is let go")
            writer.transport.abort()  # what waits for it would wait for ever
        except ConnectionError:
            self._log.debug("administrator's connection lost")
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def _admitted(self, writer: asyncio.StreamWriter) -> int | None:
        """Return the user at the other end, None for one who may not administer."""
        sock = writer.get_extra_info("socket")
        raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
        _pid, uid, gid = CREDENTIALS.unpack(raw)
        if uid in (0, self._owner):
            return int(uid)
        if self._group is not None and (gid == self._group or _in_group(uid, self._group)):
            return int(uid)
        self._log.warning("administrator refused", uid=uid)
        return None

    async def _stream(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        identifier: object,
        operation: str,
        arguments: dict[str, Any],
    ) -> None:
        """Send updates until the asker hangs up, says anything more, or does not read.

        One update at most is under way: what happens while it waits is in the next.
        """
        try:
            stream = self._streams[operation](**arguments)
        except TypeError:
            await _answer(writer, _refusal(identifier, f"{operation} takes other arguments"))
            return
        hung_up = asyncio.ensure_future(reader.read(1))
        try:
            async with contextlib.aclosing(stream) as updates:
                async for update in updates:
                    if hung_up.done():
                        return
                    await _answer(writer, {"id": identifier, "update": update})
        except (ConnectionError, TimeoutError):
            raise
        except Exception as error:  # noqa: BLE001 - as of `_request`
            await _answer(writer, self._fault(identifier, operation, error))
        finally:
            hung_up.cancel()

    async def _request(self, request: tuple[object, str, dict[str, Any]] | None) -> dict[str, Any]:
        if request is None:
            return _refusal(None, "a request is a JSON object with operation and arguments")
        identifier, operation, arguments = request
        try:
            result = await self._perform(operation, arguments)
        except Exception as error:  # noqa: BLE001 - whatever it is, the asker is told and the bridge goes on
            return self._fault(identifier, operation, error)
        return {"id": identifier, "result": result}

    def _fault(self, identifier: object, operation: str, error: Exception) -> dict[str, Any]:
        described = describe(error)
        if described is None:
            self._log.exception("operation failed", operation=operation)
            return _refusal(identifier, f"{operation} failed inside the bridge; see its log")
        return {"id": identifier, "error": described}


def _parse(line: bytes) -> tuple[object, str, dict[str, Any]] | None:
    """Return id, operation and arguments of a request, None where it is none."""
    try:
        request = json.loads(line)
        operation = request["operation"]
        arguments = request.get("arguments") or {}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    if not isinstance(operation, str) or not isinstance(arguments, dict):
        return None
    return request.get("id"), operation, arguments


def _refusal(identifier: object, message: str) -> dict[str, Any]:
    error = {"message": message, "hint": "", "exit_code": int(ExitCode.FAILED)}
    return {"id": identifier, "error": error}


async def _answer(writer: asyncio.StreamWriter, answer: Mapping[str, Any]) -> None:
    writer.write(await asyncio.to_thread(_encoded, answer))
    await asyncio.wait_for(writer.drain(), SLOWEST_READER_S)


def _encoded(answer: Mapping[str, Any]) -> bytes:
    """Encode an answer; a long list row by row, so that calls are not held up meanwhile."""
    rows = answer.get("result")
    if not isinstance(rows, list):
        return json.dumps(answer).encode() + b"\n"
    # One call of the encoder keeps the interpreter to itself until it has done everything.
    inside = ", ".join(json.dumps(row) for row in rows)
    return f'{{"id": {json.dumps(answer["id"])}, "result": [{inside}]}}\n'.encode()


def _let_through(folder: Path, group: int, owner: int) -> None:
    """Let the group pass through the socket's folder: to pass, not to list; files keep their modes.

    The data folder is made for its owner alone, and the socket lies in it. A folder of somebody
    else's is that one's business.
    """
    found = folder.stat()
    if found.st_uid != owner or found.st_mode & stat.S_IXOTH:
        return
    os.chown(folder, -1, group)
    folder.chmod(stat.S_IMODE(found.st_mode) | stat.S_IXGRP)


def _group_id(group: str | None) -> int | None:
    if group is None:
        return None
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise StartError(
            f"admin.group: there is no group {group!r} on this machine",
            "Create it (groupadd) or name one that `getent group` lists.",
        ) from None


def _in_group(uid: int, gid: int) -> bool:
    try:
        user = pwd.getpwuid(uid)
    except KeyError:
        return False
    return gid in os.getgrouplist(user.pw_name, user.pw_gid)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True
