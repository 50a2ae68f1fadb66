"""The live view's way to the bridge: the stream that it follows, and single requests.

It comes back by itself: when the bridge has gone, or has not said anything for so long that it must
be stuck, the stream is asked for again, at growing intervals, until somebody ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any, Final

from bridge.admin.watching import KEEP_ALIVE_S
from config.errors import AdministrationError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

__all__ = ["Refused", "ask", "follow"]

_LONGEST_LINE: Final = 1 << 24
"""A thousand people are half a megabyte."""

SILENT_S: Final = 3 * KEEP_ALIVE_S
ANSWER_S: Final = 10.0

_FIRST_WAIT_S: Final = 0.5
_LONGEST_WAIT_S: Final = 5.0


class Refused(AdministrationError):  # noqa: N818 - named for what happened
    """What was asked for cannot be; the words are the bridge's."""


async def ask(path: Path, operation: str, arguments: dict[str, Any]) -> Any:  # noqa: ANN401 - any JSON
    """Ask the bridge to do something.

    Args:
        path: its administration socket.
        operation: what.
        arguments: of the operation.

    Returns:
        The result.

    Raises:
        Refused: the bridge does not do it.
        OSError: it cannot be reached, or went away before it answered.
    """
    async with asyncio.timeout(ANSWER_S), _connected(path, operation, arguments) as reader:
        return _told(await reader.readline()).get("result")


async def follow(
    path: Path,
    conference: str | None,
    on_update: Callable[[dict[str, Any], bool], None],
    on_away: Callable[[str], None],
) -> None:
    """Follow what runs until cancelled, or until the bridge says that it cannot be followed.

    Args:
        path: the bridge's administration socket.
        conference: id of the one whose people are wanted too.
        on_update: told each update, and whether it is the first of a connection.
        on_away: told why the bridge cannot be heard.

    Raises:
        Refused: too many are watching.
    """
    wait_s = _FIRST_WAIT_S
    while True:
        why = "The bridge does not run. Trying again."
        with contextlib.suppress(OSError):
            arguments = {} if conference is None else {"conference": int(conference)}
            try:
                async with _connected(path, "watch", arguments) as reader:
                    why = "The bridge has gone. Trying again."
                    first = True
                    while True:
                        async with asyncio.timeout(SILENT_S):
                            line = await reader.readline()
                        on_update(_told(line)["update"], first)
                        first, wait_s = False, _FIRST_WAIT_S
            except TimeoutError:
                why = "The bridge does not answer. Trying again."
        on_away(why)
        await asyncio.sleep(wait_s)
        wait_s = min(2 * wait_s, _LONGEST_WAIT_S)


@contextlib.asynccontextmanager
async def _connected(
    path: Path, operation: str, arguments: dict[str, Any]
) -> AsyncIterator[asyncio.StreamReader]:
    reader, writer = await asyncio.open_unix_connection(path, limit=_LONGEST_LINE)
    try:
        request = {"id": 1, "operation": operation, "arguments": arguments}
        writer.write(json.dumps(request).encode() + b"\n")
        await writer.drain()
        yield reader
    finally:
        writer.transport.abort()


def _told(line: bytes) -> dict[str, Any]:
    """Read one answer.

    Raises:
        ConnectionResetError: there is none, or half of one.
        Refused: it is a refusal.
    """
    if not line.endswith(b"\n"):
        raise ConnectionResetError
    try:
        answer: dict[str, Any] = json.loads(line)
    except ValueError as error:
        raise ConnectionResetError from error
    if "error" in answer:
        fault = answer["error"]
        raise Refused(fault["message"], hint=fault.get("hint", ""))
    return answer
