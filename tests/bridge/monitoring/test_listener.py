"""The listener: what is served, and what whoever misuses it gets."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bridge.errors import StartError
from bridge.monitoring import listener
from bridge.monitoring.listener import MOST_CONNECTIONS, Monitor
from tests.support.stage import Stage, perform


@contextlib.asynccontextmanager
async def listening(stage: Stage | None = None) -> AsyncIterator[Monitor]:
    """Listen on a free port of loopback."""
    monitor = Monitor("127.0.0.1", 0)
    await monitor.start()
    monitor.bridge = stage.bridge if stage is not None else None
    try:
        yield monitor
    finally:
        await monitor.stop()


async def send(monitor: Monitor, request: bytes) -> bytes:
    """Send bytes, and return all that comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", monitor.port)
    try:
        writer.write(request)
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()


async def get(monitor: Monitor, path: str, method: str = "GET") -> tuple[int, str, str]:
    """Ask for a page; return status, head and body."""
    answer = await send(monitor, f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    head, _, body = answer.decode().partition("\r\n\r\n")
    return int(head.split()[1]), head, body


def test_metrics_are_what_prometheus_reads(tmp_path: Path) -> None:
    """Its own parser takes the page; both halves are on it, each family once."""

    async def scene(stage: Stage) -> None:
        async with listening(stage) as monitor:
            leg = stage.answer(stage.invite())
            stage.press(leg, "1")
            status, head, body = await get(monitor, "/metrics?name=x")
        assert status == 200
        assert "Content-Type: text/plain; version=0.0.4" in head
        found = {family.name: family for family in text_string_to_metric_families(body)}
        assert body.count("# TYPE dialin_calls gauge") == 1
        assert found["dialin_calls"].samples[0].value == 1
        digits = {
            sample.labels["method"]: sample.value for sample in found["dialin_digits"].samples
        }
        assert digits == {"rfc4733": 1, "info": 0, "inband": 0}
        assert found["process_open_fds"].samples[0].value > 0

    perform(tmp_path, scene)


def test_other_work_goes_on_while_a_page_is_made(tmp_path: Path) -> None:
    """The event loop turns between any two families: nothing waits for the whole page."""

    async def scene(stage: Stage) -> None:
        turns = 0

        async def work() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        async with listening(stage) as monitor:
            answer = asyncio.create_task(monitor._metrics())
            worker = asyncio.create_task(work())
            body = (await answer).body
            worker.cancel()
        assert turns >= body.count(b"# TYPE") // 2

    perform(tmp_path, scene)


def test_a_probe_sees_a_start_a_ready_bridge_and_an_end(tmp_path: Path) -> None:
    """Alive from the first moment; ready when calls are answered; neither when all is lost."""

    async def scene(stage: Stage) -> None:
        async with listening() as monitor:
            assert (await get(monitor, "/live"))[0] == 200
            status, _, body = await get(monitor, "/ready")
            assert status == 503
            assert json.loads(body) == {"ready": False, "reasons": ["starting"]}
            assert (await get(monitor, "/metrics"))[::2] == (200, "")
            monitor.bridge = stage.bridge
            status, _, body = await get(monitor, "/ready")
            assert status == 200
            assert json.loads(body) == {"ready": True, "reasons": []}
            stage.bridge.stopping = True
            assert (await get(monitor, "/ready"))[0] == 503
            assert (await get(monitor, "/live"))[0] == 200
            stage.bridge.fail("the SIP thread ended")
            assert (await get(monitor, "/live"))[0] == 503

    perform(tmp_path, scene)


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("GET / HTTP/1.1", 404),
        ("GET /metrics/../etc HTTP/1.0", 404),
        ("POST /metrics HTTP/1.1", 405),
        ("OPTIONS sip:nobody@127.0.0.1 SIP/2.0", 400),
        ("GET /metrics", 400),
        ("\x16\x03\x01", 400),
    ],
)
def test_what_is_no_request_of_ours_is_refused(request_line: str, status: int) -> None:
    """Other pages, other methods, other protocols; the next probe is answered."""

    async def scene() -> None:
        async with listening() as monitor:
            answer = await send(monitor, request_line.encode() + b"\r\n\r\n")
            assert int(answer.split()[1]) == status
            assert (await get(monitor, "/live"))[0] == 200

    asyncio.run(scene())


def test_head_has_no_body() -> None:
    """A probe that asks by HEAD is told the length, and nothing more."""

    async def scene() -> None:
        async with listening() as monitor:
            status, head, body = await get(monitor, "/live", "HEAD")
            assert (status, body) == (200, "")
            assert "Content-Length: 15" in head

    asyncio.run(scene())


@pytest.mark.parametrize("request_", [b"GET /live HTTP/1.1\r\nX: " + b"y" * 20_000, b""])
def test_a_request_too_long_or_broken_off_is_dropped(request_: bytes) -> None:
    """Nothing is answered, nothing is kept, no fault is raised."""

    async def scene() -> None:
        async with listening() as monitor:
            reader, writer = await asyncio.open_connection("127.0.0.1", monitor.port)
            writer.write(request_)
            if not request_:
                writer.write_eof()
            with contextlib.suppress(ConnectionError):
                assert await asyncio.wait_for(reader.read(), 10) == b""
            writer.close()
            assert (await get(monitor, "/live"))[0] == 200

    asyncio.run(scene())


def test_who_says_nothing_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that sends half a request does not stay."""
    monkeypatch.setattr(listener, "SLOWEST_S", 0.2)

    async def scene() -> None:
        async with listening() as monitor:
            assert await send(monitor, b"GET /live HTTP/1.1\r\n") == b""

    asyncio.run(scene())


def test_more_connections_than_anybody_needs_are_closed() -> None:
    """Somebody who opens hundreds holds a few; when they go, probes are answered again."""

    async def scene() -> None:
        async with listening() as monitor:
            held = [
                await asyncio.open_connection("127.0.0.1", monitor.port)
                for _ in range(MOST_CONNECTIONS + 5)
            ]
            await asyncio.sleep(0.1)
            assert len(monitor._busy) == MOST_CONNECTIONS
            for _, writer in held:
                writer.close()
            await asyncio.wait(set(monitor._busy), timeout=10)
            assert (await get(monitor, "/live"))[0] == 200

    asyncio.run(scene())


def test_a_port_that_is_taken_is_named_with_what_to_do() -> None:
    """Which one, how to see by whom, and how to take another or none."""

    async def scene() -> None:
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", 0))
            holder.listen()
            port = holder.getsockname()[1]
            with pytest.raises(StartError) as caught:
                await Monitor("127.0.0.1", port).start()
        assert str(caught.value) == f"metrics.port {port} on 127.0.0.1 is taken"
        for word in ("ss -ltnp", "metrics.port", "metrics.enabled = false"):
            assert word in caught.value.hint

    asyncio.run(scene())


def test_an_address_of_another_machine_is_named() -> None:
    """192.0.2.1 is nobody's (RFC 5737)."""

    async def scene() -> None:
        with pytest.raises(StartError, match=r"192\.0\.2\.1") as caught:
            await Monitor("192.0.2.1", 0).start()
        assert "metrics.bind_ip" in caught.value.hint

    asyncio.run(scene())


def test_stopping_lets_go_of_who_is_connected() -> None:
    """An end of the bridge does not wait for a probe that hangs."""

    async def scene() -> None:
        monitor = Monitor("127.0.0.1", 0)
        await monitor.start()
        reader, writer = await asyncio.open_connection("127.0.0.1", monitor.port)
        writer.write(b"GET")
        await asyncio.sleep(0.05)
        await asyncio.wait_for(monitor.stop(), 5)
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        assert monitor.port == 0

    asyncio.run(scene())
