"""The connection to the broker: made, kept, lost, and made again.

::

    ┌─► connecting ──► connected: status, subscriptions, states, then events ──► lost ─┐
    └──── waiting, longer each time, with jitter so that bridges do not come at once ◄─┘

Calls know nothing of it. What is published waits in `Outbox`; a broker that accepts and says
nothing, or stops reading, is given up after `ANSWER_S` as if it were gone. Connections are clean:
commands that came to the broker while we were away are not for us.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import ssl
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Final, Literal

import aiomqtt
import msgspec
import structlog
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from bridge.mqtt import credentials
from bridge.mqtt.commands import LARGEST
from bridge.mqtt.errors import BrokerFilesError
from bridge.mqtt.problems import BAD_LOGIN, Problem
from bridge.mqtt.publisher import Message, Outbox
from bridge.mqtt.schema import Status

if TYPE_CHECKING:
    from bridge.mqtt.topics import Topics
    from config.settings import MqttSettings

__all__ = [
    "BAD_LOGIN",
    "Connection",
    "Problem",
    "State",
    "client_properties",
    "problem_of",
    "wait_s",
]

State = Literal["connecting", "connected", "waiting", "stopped"]
ANSWER_S: Final = 5.0
KEEPALIVE_S: Final = 20
FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 60.0
SETTLED_S: Final = 30.0
"""A connection that has held so long was a good one; the next wait is short again."""

AT_ONCE: Final = 16
"""Messages on their way at a time; brokers take 20 or more (Receive Maximum)."""

MOST_INCOMING: Final = 256
QUEUED: Final = 1
RESTED_S: Final = 30.0
FLOOD: Final = 500
"""Commands thrown away in a row after which none is taken for `RESTED_S`: reading them costs."""

Receive = Callable[[int, str, bytes, bool], None]


def wait_s(failures: int, dice: Callable[[], float]) -> float:
    """Return how long to wait before the next attempt.

    Args:
        failures: attempts that failed in a row, from 1.
        dice: returns a number from 0 to 1.

    Returns:
        Half a second, doubled with each failure up to a minute, of which half is chance [s].
    """
    whole = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(failures, 20))
    return whole * (0.5 + 0.5 * dice())


def client_properties() -> Properties:
    """Return what a connection says of itself: no packet larger than a command may come."""
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # it takes a number
    properties.MaximumPacketSize = 2 * LARGEST
    properties.ReceiveMaximum = AT_ONCE
    return properties


class Connection:
    """Keeps the connection.

    Args:
        settings: where the broker is, and who we are.
        topics: those of this bridge.
        outbox: what is to be published.
        receive: told of each message: conference, last word of the topic, payload, retained.
        takes_commands: whether commands are subscribed to.
    """

    def __init__(
        self,
        settings: MqttSettings,
        topics: Topics,
        outbox: Outbox,
        receive: Receive,
        *,
        takes_commands: bool,
    ) -> None:
        self.state: State = "connecting"
        self.problem: Problem | None = None
        self.connections = 0
        self.thrown_away: Callable[[], int] = lambda: 0
        self._settings = settings
        self._topics = topics
        self._outbox = outbox
        self._receive = receive
        self._takes_commands = takes_commands
        self._more = asyncio.Event()
        self._leaving = asyncio.Event()
        self._log = structlog.get_logger("bridge.mqtt")
        outbox.on_more = self._more.set

    async def run(self) -> None:
        """Connect, and connect again, until `leave`."""
        loop = asyncio.get_running_loop()
        failures = 0
        while not self._leaving.is_set():
            self.state = "connecting"
            began = loop.time()
            problem = await self._attempt()
            if self._leaving.is_set():
                break
            failures = 1 if loop.time() - began > SETTLED_S else failures + 1
            if failures == 1 or problem != self.problem:
                self._log.warning("no connection to the broker", problem=problem)
            self.problem, self.state = problem, "waiting"
            seconds = wait_s(failures, random.random)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._leaving.wait(), seconds)
        self.state = "stopped"

    def leave(self) -> None:
        """Publish what waits, as far as it goes at once, say goodbye, and end."""
        self._leaving.set()
        self._more.set()

    async def _attempt(self) -> Problem:
        """Hold one connection for as long as it lasts; return why there is none any more."""
        connected = False
        try:
            client = await self._client()
            async with _closed_at_last(client), client:
                connected = True
                await self._introduce(client)
                await self._serve(client)
        except BrokerFilesError as error:
            if self.problem != "files":
                self._log.error("broker's files cannot be used", problem="files", hint=error.hint)
            return "files"
        except (aiomqtt.MqttError, OSError, ValueError) as error:
            return problem_of(error, connected=connected)
        finally:
            self._outbox.disconnected()
        return "lost"

    async def _client(self) -> aiomqtt.Client:
        settings = self._settings
        context = await asyncio.to_thread(credentials.tls_context, settings)
        password = await asyncio.to_thread(credentials.password, settings)
        will = aiomqtt.Will(self._topics.status, _status("offline"), qos=1, retain=True)
        client = aiomqtt.Client(
            settings.host,
            credentials.port(settings),
            username=settings.user,
            password=password,
            identifier=f"dialin-{settings.node}",
            protocol=aiomqtt.ProtocolVersion.V5,
            will=will,
            timeout=ANSWER_S,
            keepalive=KEEPALIVE_S,
            properties=client_properties(),
            tls_context=context,
            max_queued_incoming_messages=MOST_INCOMING,
            max_inflight_messages=AT_ONCE,
            logger=_SILENT,
        )
        client.pending_calls_threshold = 4 * AT_ONCE
        return client

    async def _introduce(self, client: aiomqtt.Client) -> None:
        """Say that we are here, and let all states be due."""
        await client.publish(self._topics.status, _status("online"), qos=1, retain=True)
        # Retained states of conferences that ended while nobody could say so come back to us.
        own = SubscribeOptions(qos=QUEUED, noLocal=True, retainAsPublished=True)
        await _subscribe(client, self._topics.states, own)
        if self._takes_commands:
            await self._take_commands(client)
        self.state, self.problem = "connected", None
        self.connections += 1
        self._outbox.connected()
        self._log.info("connected to the broker", attempts=self.connections)

    async def _take_commands(self, client: aiomqtt.Client) -> None:
        never_kept = SubscribeOptions(
            qos=QUEUED,
            retainAsPublished=True,
            retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND,
        )
        await _subscribe(client, self._topics.commands, never_kept)

    async def _serve(self, client: aiomqtt.Client) -> None:
        """Publish and receive until one of them ends."""
        tasks = [
            asyncio.ensure_future(self._publish_all(client)),
            asyncio.ensure_future(self._receive_all(client)),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()

    async def _publish_all(self, client: aiomqtt.Client) -> None:
        while True:
            self._more.clear()
            while taken := self._outbox.take(AT_ONCE):
                await self._publish(client, taken)
            if self._leaving.is_set():
                await client.publish(self._topics.status, _status("offline"), qos=1, retain=True)
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._more.wait(), self._outbox.next_due_s())

    async def _publish(self, client: aiomqtt.Client, messages: list[Message]) -> None:
        """Publish some at once, in order, and take back those that nobody has acknowledged."""
        done = await asyncio.gather(
            *(client.publish(*each[:2], qos=1, retain=each.retain) for each in messages),
            return_exceptions=True,
        )
        errors = [result for result in done if isinstance(result, BaseException)]
        self._outbox.published += len(messages) - len(errors)
        if errors:
            pairs = zip(messages, done, strict=True)
            self._outbox.give_back([each for each, result in pairs if result is not None])
            raise errors[0]

    async def _receive_all(self, client: aiomqtt.Client) -> None:
        before, seen = self.thrown_away(), 0
        resting: asyncio.Task[None] | None = None
        try:
            async for message in client.messages:
                found = self._topics.parse(str(message.topic))
                if found is not None:
                    self._receive(*found, bytes(message.payload), bool(message.retain))
                seen += 1
                if seen % FLOOD == 0:
                    flooded = self.thrown_away() - before >= FLOOD
                    before = self.thrown_away()
                    if flooded and (resting is None or resting.done()):
                        resting = asyncio.create_task(self._rest(client))
        finally:
            if resting is not None:
                resting.cancel()

    async def _rest(self, client: aiomqtt.Client) -> None:
        """Take no commands for a while; what is on its way already is still read."""
        self._log.warning("flooded with commands over MQTT", seconds=RESTED_S)
        with contextlib.suppress(aiomqtt.MqttError):  # the connection is lost, and made anew
            await client.unsubscribe(self._topics.commands)
            await asyncio.sleep(RESTED_S)
            await self._take_commands(client)


@contextlib.asynccontextmanager
async def _closed_at_last(client: aiomqtt.Client) -> AsyncIterator[None]:
    """Close the socket of a client that could not be entered, or left: aiomqtt keeps it open."""
    try:
        yield
    finally:
        client._client.disconnect()  # noqa: SLF001 - there is no other way to it


async def _subscribe(client: aiomqtt.Client, topic: str, options: SubscribeOptions) -> None:
    for code in await client.subscribe(topic, options=options):
        if isinstance(code, ReasonCode) and code.is_failure:
            raise aiomqtt.MqttCodeError(code)


def problem_of(error: Exception, *, connected: bool) -> Problem:
    """Return in a word why there is no connection.

    Args:
        error: of aiomqtt, which hides the one behind it.
        connected: whether the broker had let us in.
    """
    if isinstance(error, aiomqtt.MqttCodeError) and isinstance(error.rc, ReasonCode):
        return "login" if error.rc.value in BAD_LOGIN else "lost" if connected else "refused"
    behind = error.__context__ or error
    if isinstance(behind, ssl.SSLError):
        return "tls"
    if "timed out" in str(error).lower():
        return "no_answer"
    if connected:
        return "lost"
    return "unreachable"


def _status(state: Literal["online", "offline"]) -> bytes:
    return msgspec.json.encode(Status(state=state))


_SILENT: Final = logging.getLogger("bridge.mqtt.silent")
"""The library logs topics and more; what is to be said of a connection we say ourselves."""
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False
_SILENT.setLevel(logging.CRITICAL + 1)
