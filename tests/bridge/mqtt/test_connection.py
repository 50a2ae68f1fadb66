"""The connection: what keeps it from being made, in a word; and it never holds anything up."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from bridge.mqtt import connection as subject
from bridge.mqtt.connection import Connection, wait_s
from bridge.mqtt.publisher import Outbox
from bridge.mqtt.topics import Topics
from config.settings import MqttSettings
from tests.bridge.mqtt.test_publisher import House, event
from tests.support.broker import PASSWORDS, Authority, Broker, Client, Relay, SilentBroker

# paho leaves the socket of a failed handshake to the collector, which closes it at once.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")


@pytest.fixture(scope="module", name="broker")
def real_broker(tmp_path_factory: pytest.TempPathFactory) -> Any:  # noqa: ANN401 - a generator's
    """A mosquitto that asks for a password and a certificate."""
    with Broker(tmp_path_factory.mktemp("broker"), ask_certificate=True) as made:
        yield made


def settings_for(broker: Broker, **changes: Any) -> MqttSettings:  # noqa: ANN401 - of the settings
    """Return settings that the broker lets in."""
    certificate, key = broker.authority.issue("bridge")
    password = broker.folder / "secret"
    password.write_text(PASSWORDS["bridge"])
    password.chmod(0o600)
    good: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": broker.port,
        "ca_file": broker.authority.file,
        "certificate_file": certificate,
        "key_file": key,
        "user": "bridge",
        "password_file": password,
    }
    return MqttSettings(**{**good, **changes})


@asynccontextmanager
async def connecting(
    settings: MqttSettings, outbox: Outbox | None = None, received: list[Any] | None = None
) -> AsyncIterator[Connection]:
    """Keep a connection while the test looks."""
    heard: list[Any] = [] if received is None else received
    made = Connection(
        settings,
        Topics("main"),
        outbox or House().outbox,
        lambda *what: heard.append(what),
        takes_commands=True,
    )
    task = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        made.leave()
        await asyncio.wait_for(task, 10.0)


async def until(condition: Callable[[], object]) -> None:
    """Wait for something, ten seconds at the longest."""
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    pytest.fail("waited in vain")


def run(scene: Callable[[], Awaitable[None]]) -> None:
    """Run a scene."""

    async def play() -> None:
        await scene()

    asyncio.run(play())


def problem_with(settings: MqttSettings) -> str | None:
    """Return what keeps a connection from being made."""
    problems: list[str | None] = []

    async def scene() -> None:
        async with connecting(settings) as made:
            await until(lambda: made.problem is not None or made.state == "connected")
            problems.append(made.problem)

    run(scene)
    return problems[0]


def test_a_broker_that_is_as_it_should_be_has_no_problem(broker: Broker) -> None:
    """With the right authority, certificate and password."""
    assert problem_with(settings_for(broker)) is None


def test_what_is_wrong_is_said_in_a_word(broker: Broker, tmp_path: Path) -> None:
    """Port, authority, host, password, certificate, files: never a connection all the same."""
    wrong = tmp_path / "wrong"
    wrong.write_text("no")
    wrong.chmod(0o600)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        closed = nobody.getsockname()[1]
        assert problem_with(settings_for(broker, port=closed)) == "unreachable"
    stranger = Authority(tmp_path, "stranger")
    assert problem_with(settings_for(broker, ca_file=stranger.file)) == "tls"
    assert problem_with(settings_for(broker, host="localhost")) == "tls"
    assert problem_with(settings_for(broker, password_file=wrong)) == "login"
    assert problem_with(settings_for(broker, user=None, password_file=None)) == "login"
    assert problem_with(settings_for(broker, ca_file=tmp_path / "gone")) == "files"
    without = settings_for(broker, certificate_file=None, key_file=None)
    assert problem_with(without) in ("tls", "lost", "no_answer", "unreachable")


def test_no_tls_is_spoken_to_who_speaks_none_and_no_password_sent(tmp_path: Path) -> None:
    """A listener in clear at the other end gets a hello it does not know, and nothing more."""
    heard = bytearray()

    def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Any:  # noqa: ANN401 - a coroutine
        async def keep() -> None:
            heard.extend(await reader.read(65536))
            writer.write(b"\x20\x03\x00\x00\x00")  # an MQTT CONNACK, in clear
            heard.extend(await reader.read(65536))
            writer.close()

        return keep()

    async def scene() -> None:
        server = await asyncio.start_server(listen, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        password = tmp_path / "password"
        password.write_text("correct-horse")
        password.chmod(0o600)
        settings = MqttSettings(host="127.0.0.1", port=port, user="bridge", password_file=password)
        async with connecting(settings) as made:
            await until(lambda: made.problem is not None)
            assert made.problem == "tls"
            assert made.connections == 0
        server.close()

    run(scene)
    assert heard[:1] == b"\x16"  # a TLS handshake record
    assert b"correct-horse" not in heard


def test_a_broker_that_accepts_and_never_answers_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each time the socket is closed; attempts grow rarer; descriptors do not grow."""
    monkeypatch.setattr(subject, "ANSWER_S", 0.2)
    monkeypatch.setattr(subject, "FIRST_WAIT_S", 0.01)

    async def scene() -> None:
        with SilentBroker() as silent:
            settings = MqttSettings(host="127.0.0.1", port=silent.port, tls=False)
            async with connecting(settings) as made:
                await until(lambda: len(silent.accepted) >= 2)
                before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - only their number
                await until(lambda: len(silent.accepted) >= 5)
                assert made.problem == "no_answer"
                await until(lambda: silent.ended >= 4)
                now = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - only their number
                # The silent one's own ends count here as well, one for each attempt.
                assert now - before <= 5

    run(scene)


def test_waits_double_to_a_minute_and_half_of_each_is_chance() -> None:
    """Bridges that lost one broker do not come back at once."""
    assert [wait_s(failures, lambda: 1.0) for failures in (1, 2, 3, 7, 50)] == [1, 2, 4, 60, 60]
    assert [wait_s(failures, lambda: 0.0) for failures in (1, 2, 3, 7, 50)] == [
        0.5,
        1,
        2,
        30,
        30,
    ]


def test_the_status_is_that_of_the_connection(broker: Broker) -> None:
    """Online while connected, retained; offline at its end."""

    async def scene() -> None:
        with Client(broker, "onlooker") as onlooker:
            async with connecting(settings_for(broker)) as made:
                await until(lambda: made.state == "connected")
                await until(lambda: onlooker.of("status"))

            def heard() -> list[str]:
                # What the broker kept of other bridges of this module is marked as retained.
                return [each.said["state"] for each in onlooker.of("status") if not each.retain]

            await until(lambda: len(heard()) >= 2)
            assert heard() == ["online", "offline"]

    run(scene)


def test_the_last_will_speaks_when_the_bridge_cannot(broker: Broker) -> None:
    """The way to the broker breaks, without a goodbye: offline, said by the broker."""

    async def scene() -> None:
        with Client(broker, "onlooker") as onlooker, Relay(broker.port) as way:

            def heard() -> list[str]:
                return [each.said["state"] for each in onlooker.of("status") if not each.retain]

            async with connecting(settings_for(broker, port=way.port)) as made:
                await until(lambda: made.state == "connected")
                await until(lambda: heard() == ["online"])
                await asyncio.to_thread(way.close)
                await until(lambda: heard() == ["online", "offline"])

    run(scene)


class Forgetful:
    """Takes messages, and acknowledges only the first few."""

    def __init__(self, most: int) -> None:
        self.left = most

    async def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> None:
        """Take one."""
        assert (topic.startswith("dialin/"), qos, retain, payload != b"") == (True, 1, False, True)
        self.left -= 1
        if self.left < 0:
            raise aiomqtt.MqttError("Operation timed out")


def test_what_was_not_acknowledged_is_published_again() -> None:
    """Those that were are not; order and number stay."""
    house = House(capacity=50)
    for number in range(1, 11):
        house.outbox.happened(event(number))

    async def scene() -> None:
        made = Connection(
            MqttSettings(), Topics("n"), house.outbox, lambda *_: None, takes_commands=False
        )
        client: Any = Forgetful(3)
        with pytest.raises(aiomqtt.MqttError):
            await made._publish(client, house.outbox.take(6))

    run(scene)
    assert house.outbox.published == 3
    assert [number for _, number, _ in house.taken()] == [4, 5, 6, 7, 8, 9, 10]


def test_events_that_waited_arrive_after_the_connection(broker: Broker) -> None:
    """What waited before the first connection comes in order, and all of it."""
    house = House(capacity=1000, node="main")
    for number in range(1, 301):
        house.outbox.happened(event(number))

    async def scene() -> None:
        with Client(broker, "onlooker", "dialin/main/conference/1/hand") as onlooker:
            async with connecting(settings_for(broker), house.outbox):
                await until(lambda: len(onlooker.of("hand")) >= 300)
            numbers = [each.said["number"] for each in onlooker.of("hand")]
            assert numbers == list(range(1, 301))

    run(scene)


def test_commands_that_the_broker_kept_do_not_come_and_later_ones_are_marked(
    broker: Broker,
) -> None:
    """Kept before the connection: not sent to us. To be kept, while it holds: said to be so."""
    topic = "dialin/main/conference/7/command"
    received: list[Any] = []

    async def scene() -> None:
        with Client(broker) as client:
            client.publish(topic, b"old", retain=True)
            async with connecting(settings_for(broker), received=received) as made:
                await until(lambda: made.state == "connected")
                await asyncio.to_thread(client.publish, topic, b"kept", retain=True)
                await asyncio.to_thread(client.publish, topic, b"new")
                await until(lambda: len(received) >= 2)
            client.publish(topic, b"", retain=True)
        assert received == [(7, "command", b"kept", True), (7, "command", b"new", False)]

    run(scene)


def test_a_flood_of_commands_is_not_even_read_for_a_while(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After so many that were thrown away we take no more, and then again."""
    monkeypatch.setattr(subject, "FLOOD", 50)
    monkeypatch.setattr(subject, "RESTED_S", 0.5)
    topic = "dialin/main/conference/7/command"
    received: list[Any] = []

    async def scene() -> None:
        with Client(broker) as client:
            async with connecting(settings_for(broker), received=received) as made:
                made.thrown_away = lambda: len(received)
                await until(lambda: made.state == "connected")
                for _ in range(20):
                    await asyncio.to_thread(client.flood, topic, b"x", 50)
                    await asyncio.sleep(0.02)
                assert 50 <= len(received) < 900
                await asyncio.sleep(0.8)
                await asyncio.to_thread(client.publish, topic, b"after")
                await until(lambda: received[-1][2] == b"after")
                assert made.connections == 1

    run(scene)


def test_a_broker_that_stops_reading_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """It lets us in and then neither reads nor answers: nothing waits for it, nothing is lost."""
    monkeypatch.setattr(subject, "ANSWER_S", 0.3)
    monkeypatch.setattr(subject, "FIRST_WAIT_S", 0.01)
    house = House(capacity=50)
    connected: list[asyncio.StreamWriter] = []

    async def let_in(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        writer.write(b"\x20\x03\x00\x00\x00")
        connected.append(writer)
        await asyncio.sleep(30)

    async def scene() -> None:
        server = await asyncio.start_server(let_in, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        for number in range(1, 11):
            house.outbox.happened(event(number))
        async with connecting(MqttSettings(host="127.0.0.1", port=port, tls=False), house.outbox):
            await until(lambda: len(connected) >= 3)
            assert house.outbox.waiting == 10
        for writer in connected:
            writer.close()
        server.close()

    run(scene)
