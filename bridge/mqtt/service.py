"""The bridge at the broker: outbox, commands and connection under one roof."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from bridge.mqtt import credentials
from bridge.mqtt.commands import RESULTS, Commands
from bridge.mqtt.connection import Connection
from bridge.mqtt.publisher import Outbox
from bridge.mqtt.topics import Topics
from config.administration import perform

if TYPE_CHECKING:
    from bridge.admin.live import LiveOperation
    from bridge.server import Bridge

__all__ = ["Mqtt"]

FAREWELL_S: Final = 2.0
"""How long the end of the bridge waits for a broker to take the last words."""

_THROWN_AWAY: Final = ("retained", "flooded", "oversized", "malformed")


class Mqtt:
    """Publishes what happens, and takes commands.

    Args:
        bridge: the house.
        operations: those of the administration socket.

    Raises:
        BrokerFilesError: a certificate, a key or a password cannot be used as it is.
    """

    def __init__(self, bridge: Bridge, operations: Mapping[str, LiveOperation]) -> None:
        settings = bridge.settings.mqtt
        # Said at the start, where somebody reads it; later it is a reason not to connect.
        credentials.tls_context(settings)
        credentials.password(settings)
        self._bridge = bridge
        self._operations = operations
        self._host = settings.host
        topics = Topics(settings.node)
        self.outbox = Outbox(
            topics, settings.buffer, bridge.events.states, bridge.events.state, time.monotonic
        )
        self.commands = Commands(
            topics,
            frozenset(settings.commands),
            self._perform,
            bridge.events.state,
            self.outbox.reply,
            credentials.dial_key(settings),
        )
        self.connection = Connection(
            settings,
            topics,
            self.outbox,
            self._received,
            takes_commands=bool(settings.commands),
        )
        self.connection.thrown_away = self._thrown_away
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Follow the stream, and go to the broker."""
        self._bridge.events.listen(self.outbox)
        self._task = asyncio.create_task(self.connection.run(), name="mqtt")

    async def stop(self) -> None:
        """Publish what waits, say goodbye to the broker, and do not wait long for either."""
        self._bridge.events.forget(self.outbox)
        await self.commands.stop()
        self.connection.leave()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=FAREWELL_S)
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def status(self) -> dict[str, Any]:
        """Say how it goes, as `dialin status` shows it."""
        connection, outbox = self.connection, self.outbox
        return {
            "broker": self._host,
            "state": connection.state,
            "problem": connection.problem,
            "connections": connection.connections,
            "published": outbox.published,
            "buffered": outbox.waiting,
            "dropped": outbox.dropped,
            "commands": {result: self.commands.counts[result] for result in RESULTS},
        }

    def _received(self, conference: int, word: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001 - as the broker says it
        if word == "command":
            self.commands.take(conference, payload, retained=retained)
        elif word == "state" and payload:
            self.outbox.stale(conference)

    def _thrown_away(self) -> int:
        return sum(self.commands.counts[result] for result in _THROWN_AWAY)

    async def _perform(self, operation: str, arguments: Mapping[str, Any]) -> Any:  # noqa: ANN401 - what JSON can hold
        return await perform(self._operations, self._bridge, operation, arguments)
