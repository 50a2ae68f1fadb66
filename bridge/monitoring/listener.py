"""The listener for Prometheus and health probes: three pages over HTTP, in the event loop.

======== ==========================================================================================
/metrics the metrics, in Prometheus' text format
/live    200 as long as the event loop turns and nothing is lost that the bridge cannot live without
/ready   200 when the next call would be answered, else 503; both with a JSON object that says why
======== ==========================================================================================

It listens before anything else of the bridge is begun, so that a probe sees a start as one. There
is no thread: a page takes milliseconds of the loop in all, and other work goes on between any two
families of metrics. Whoever asks is let wait no longer, and told no more, than a few bounds allow;
nobody is asked who they are, so it listens on loopback unless told otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import structlog
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, Metric, generate_latest

from bridge.errors import StartError
from bridge.monitoring.health import unready
from bridge.monitoring.readings import readings

if TYPE_CHECKING:
    from bridge.server import Bridge

__all__ = ["Monitor"]

LONGEST_REQUEST: Final = 8192
"""Bytes of a request's head; a probe's has a few hundred."""

SLOWEST_S: Final = 5.0
"""How long a request may take to come, and its answer to go."""

MOST_CONNECTIONS: Final = 16
"""At once; Prometheus uses one, a probe another."""

JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class _Answer:
    status: HTTPStatus
    body: bytes
    content_type: str = JSON
    more: str = ""


class _One:
    """A registry of one family, for the library's own encoder."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterable[Metric]:
        """Return the family."""
        return (self._family,)


class Monitor:
    """Listen, and answer about the bridge once it is there.

    Args:
        address: to listen on.
        port: likewise; 0 takes a free one.
    """

    bridge: Bridge | None = None

    def __init__(self, address: str, port: int) -> None:
        self._address = address
        self._port = port
        self._server: asyncio.AbstractServer | None = None
        self._busy: set[asyncio.Task[None]] = set()
        self._log = structlog.get_logger("bridge.monitoring")

    @property
    def port(self) -> int:
        """The port that is really bound, 0 before the start."""
        sockets = self._server.sockets if isinstance(self._server, asyncio.Server) else ()
        return int(sockets[0].getsockname()[1]) if sockets else 0

    async def start(self) -> None:
        """Listen.

        Raises:
            StartError: the port is taken, or the address is none of this machine.
        """
        try:
            self._server = await asyncio.start_server(
                self._connected, self._address, self._port, limit=LONGEST_REQUEST
            )
        except OSError as error:
            raise _not_bound(self._address, self._port, error) from error

    async def stop(self) -> None:
        """Close the port and what is still connected."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in self._busy:
            task.cancel()
        if self._busy:
            await asyncio.wait(self._busy)

    # -- requests -------------------------------------------------------------------------------

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._busy) >= MOST_CONNECTIONS:
            writer.transport.abort()
            return
        task = asyncio.create_task(self._serve(reader, writer), name="monitor")
        self._busy.add(task)
        task.add_done_callback(self._busy.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(SLOWEST_S):
                head = await _head(reader)
                if head is None:
                    return
                method, _, rest = head.partition(b" ")
                answer = await self._answer(method, rest)
                writer.write(_encoded(answer, with_body=method != b"HEAD"))
                await writer.drain()
        except (ConnectionError, TimeoutError):
            self._log.debug("a probe's connection was lost or too slow")
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, method: bytes, rest: bytes) -> _Answer:
        target, _, protocol = rest.partition(b" ")
        if not protocol.startswith(b"HTTP/1."):
            return _plain(HTTPStatus.BAD_REQUEST)
        if method not in {b"GET", b"HEAD"}:
            return _plain(HTTPStatus.METHOD_NOT_ALLOWED, "Allow: GET, HEAD\r\n")
        match target.partition(b"?")[0]:
            case b"/metrics":
                return await self._metrics()
            case b"/live":
                return self._live()
            case b"/ready":
                return self._ready()
            case _:
                return _plain(HTTPStatus.NOT_FOUND)

    async def _metrics(self) -> _Answer:
        parts: list[bytes] = []
        if self.bridge is not None:
            for families in (self.bridge.meters.registry.collect(), readings(self.bridge)):
                for family in families:
                    parts.append(generate_latest(_One(family)))
                    await asyncio.sleep(0)
        return _Answer(HTTPStatus.OK, b"".join(parts), CONTENT_TYPE_PLAIN_0_0_4)

    def _live(self) -> _Answer:
        alive = self.bridge is None or not self.bridge.failed.done()
        return _health({"live": alive}, well=alive)

    def _ready(self) -> _Answer:
        reasons = ["starting"] if self.bridge is None else unready(self.bridge)
        return _health({"ready": not reasons, "reasons": reasons}, well=not reasons)


async def _head(reader: asyncio.StreamReader) -> bytes | None:
    """Read a request's head; return its first line, None where it is too long or breaks off."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return None
    return head.partition(b"\r\n")[0]


def _health(said: dict[str, object], *, well: bool) -> _Answer:
    status = HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE
    return _Answer(status, json.dumps(said).encode() + b"\n")


def _plain(status: HTTPStatus, more: str = "") -> _Answer:
    return _Answer(status, f"{status.phrase}\n".encode(), "text/plain; charset=utf-8", more)


def _encoded(answer: _Answer, *, with_body: bool) -> bytes:
    head = (
        f"HTTP/1.1 {answer.status.value} {answer.status.phrase}\r\n"
        f"Content-Type: {answer.content_type}\r\n"
        f"Content-Length: {len(answer.body)}\r\n"
        f"{answer.more}"
        "Cache-Control: no-store\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode() + (answer.body if with_body else b"")


def _not_bound(address: str, port: int, error: OSError) -> StartError:
    """Tell a taken port from an address of another machine: what to do differs."""
    if error.errno == errno.EADDRINUSE:
        return StartError(
            f"metrics.port {port} on {address} is taken",
            "Another bridge on this machine, perhaps: `ss -ltnp` shows by whom. Give metrics.port"
            " another one, 0 for a free one, or switch it off with metrics.enabled = false.",
        )
    return StartError(
        f"metrics cannot be served on {address}:{port}: {error.strerror}",
        "metrics.bind_ip must be an address of this machine, metrics.port one that this user may"
        " take.",
    )
