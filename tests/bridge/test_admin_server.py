"""The administration socket over a real Unix socket."""

from __future__ import annotations

import asyncio
import grp
import json
import os
import socket
import stat
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import structlog

from bridge.admin.server import AdminServer
from bridge.errors import AdminError, AlreadyRunning, StartError

Scene = Callable[[Path], Awaitable[None]]


async def echo(operation: str, arguments: Mapping[str, Any]) -> object:
    """Carry out one of the operations these tests ask for."""
    if operation == "refuse":
        raise AdminError("that cannot be", "do otherwise")
    if operation == "who":
        return await asyncio.to_thread(structlog.contextvars.get_contextvars)
    if operation == "rows":
        return [{"row": row, "name": "å"} for row in range(arguments["count"])]
    if operation == "break":
        raise ZeroDivisionError("a secret that must not leave the bridge")
    return {"operation": operation, **arguments}


def group_of(path: Path) -> int:
    """Return the group that a file belongs to."""
    return path.stat().st_gid


def mode_of(path: Path) -> int:
    """Return a file's mode."""
    return stat.S_IMODE(path.stat().st_mode)


def serve(path: Path, scene: Scene, group: str | None = None) -> None:
    """Run a scene beside a listening server."""

    async def play() -> None:
        server = AdminServer(path, group, echo)
        await server.start()
        try:
            await scene(path)
        finally:
            await server.stop()

    asyncio.run(play())


async def ask(path: Path, *lines: bytes) -> list[dict[str, Any]]:
    """Send lines on one connection and return an answer for each."""
    reader, writer = await asyncio.open_unix_connection(path)
    answers = []
    for line in lines:
        writer.write(line + b"\n")
        answers.append(json.loads(await reader.readline()))
    writer.close()
    await writer.wait_closed()
    return answers


def test_operation_is_carried_out_and_answered(tmp_path: Path) -> None:
    """Each line gets one answer with its own id; the socket is not open to everybody."""

    async def scene(path: Path) -> None:
        assert mode_of(path) == 0o660
        request = {"id": 7, "operation": "number.list", "arguments": {"country": "SE"}}
        first, second = await ask(path, json.dumps(request).encode(), b'{"id":8,"operation":"x"}')
        assert first == {"id": 7, "result": {"operation": "number.list", "country": "SE"}}
        assert second == {"id": 8, "result": {"operation": "x"}}

    serve(tmp_path / "admin.sock", scene)
    assert not (tmp_path / "admin.sock").exists()


@pytest.mark.parametrize(
    "line",
    [b"", b"nonsense", b"[]", b"{}", b'{"operation": 3}', b'{"operation":"x","arguments":[1]}'],
)
def test_malformed_request_is_answered_and_the_next_one_works(line: bytes, tmp_path: Path) -> None:
    """What is no request gets an error in words; the connection stays usable."""

    async def scene(path: Path) -> None:
        bad, good = await ask(path, line, b'{"id":1,"operation":"x"}')
        assert "operation" in bad["error"]["message"]
        assert good["result"] == {"operation": "x"}

    serve(tmp_path / "admin.sock", scene)


def test_refusal_carries_message_hint_and_exit_code(tmp_path: Path) -> None:
    """An error of ours reaches the administrator whole."""

    async def scene(path: Path) -> None:
        (answer,) = await ask(path, b'{"id":1,"operation":"refuse"}')
        assert answer["error"] == {
            "message": "that cannot be",
            "hint": "do otherwise",
            "exit_code": 1,
        }

    serve(tmp_path / "admin.sock", scene)


def test_log_of_what_is_done_knows_who_asked(tmp_path: Path) -> None:
    """The kernel says who is at the other end; what is logged meanwhile has it."""

    async def scene(path: Path) -> None:
        (answer,) = await ask(path, b'{"id":1,"operation":"who"}')
        assert answer["result"] == {"uid": os.geteuid()}
        assert structlog.contextvars.get_contextvars() == {}

    serve(tmp_path / "admin.sock", scene)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_list_that_is_encoded_row_by_row_is_the_same_list(tmp_path: Path, count: int) -> None:
    """One line of JSON, with its id."""

    async def scene(path: Path) -> None:
        request = {"id": [7], "operation": "rows", "arguments": {"count": count}}
        (answer,) = await ask(path, json.dumps(request).encode())
        assert answer == {"id": [7], "result": [{"row": n, "name": "å"} for n in range(count)]}

    serve(tmp_path / "admin.sock", scene)


def test_fault_inside_the_bridge_shows_no_inner_text(tmp_path: Path) -> None:
    """A programming error is named as one; its text stays in the log."""

    async def scene(path: Path) -> None:
        (answer,) = await ask(path, b'{"id":1,"operation":"break"}')
        assert "secret" not in json.dumps(answer)
        assert "break failed inside the bridge" in answer["error"]["message"]

    serve(tmp_path / "admin.sock", scene)


def test_second_bridge_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    """A socket that somebody answers is left alone."""

    async def scene(path: Path) -> None:
        with pytest.raises(AlreadyRunning, match="already running"):
            await AdminServer(path, None, echo).start()
        (answer,) = await ask(path, b'{"id":1,"operation":"x"}')
        assert "result" in answer

    serve(tmp_path / "admin.sock", scene)


def test_socket_left_by_a_crash_is_replaced(tmp_path: Path) -> None:
    """A socket file that nobody listens on does not keep the bridge from starting."""
    path = tmp_path / "admin.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))

    async def scene(where: Path) -> None:
        (answer,) = await ask(where, b'{"id":1,"operation":"x"}')
        assert "result" in answer

    serve(path, scene)


def test_unknown_group_refuses_to_start(tmp_path: Path) -> None:
    """admin.group must exist on the machine."""
    with pytest.raises(StartError, match="no group 'no-such-group'"):
        AdminServer(tmp_path / "admin.sock", "no-such-group", echo)


def test_client_that_stops_reading_holds_up_nobody(tmp_path: Path) -> None:
    """While one client's answers pile up unread, another one is answered."""

    async def scene(path: Path) -> None:
        _reader, lazy = await asyncio.open_unix_connection(path)
        request = json.dumps({"id": 1, "operation": "x", "arguments": {"pad": "y" * 200_000}})
        for _ in range(20):
            lazy.write(request.encode() + b"\n")
        (answer,) = await asyncio.wait_for(ask(path, b'{"id":2,"operation":"x"}'), 5)
        assert answer["id"] == 2
        lazy.transport.abort()
        await asyncio.sleep(0.05)

    serve(tmp_path / "admin.sock", scene)


def test_client_that_does_not_read_is_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what waited for it: closing alone would wait for a reader that never comes."""
    monkeypatch.setattr("bridge.admin.server.SLOWEST_READER_S", 0.2)

    async def scene(path: Path) -> None:
        _reader, lazy = await asyncio.open_unix_connection(path, limit=1)
        lazy.transport.pause_reading()  # type: ignore[attr-defined] # a Unix socket's transport can
        request = json.dumps({"id": 1, "operation": "x", "arguments": {"pad": "y" * 900_000}})
        lazy.write(request.encode() + b"\n")
        before = asyncio.all_tasks()
        for _ in range(100):
            await asyncio.sleep(0.05)
            if any("_serve" in repr(task) for task in before) and not serving():
                break
        assert not serving()
        lazy.transport.abort()

    serve(tmp_path / "admin.sock", scene)


def serving() -> list[str]:
    """Return what serves a connection now."""
    return [repr(task) for task in asyncio.all_tasks() if "AdminServer._serve" in repr(task)]


async def counting(limit: int = 1 << 40, fail: str = "") -> AsyncGenerator[dict[str, Any], None]:
    """Count, with much around it, as fast as somebody reads."""
    if fail:
        raise AdminError(fail)
    for number in range(limit):
        yield {"number": number, "pad": "y" * 50_000}


def stream(path: Path, scene: Scene) -> None:
    """Run a scene beside a server with a stream."""

    async def play() -> None:
        server = AdminServer(path, None, echo, {"count": counting})
        await server.start()
        try:
            await scene(path)
        finally:
            await server.stop()

    asyncio.run(play())


def test_stream_goes_on_until_its_asker_hangs_up(tmp_path: Path) -> None:
    """Update after update with the id of the request; then nothing of it is left."""

    async def scene(path: Path) -> None:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b'{"id": 5, "operation": "count"}\n')
        for number in range(20):
            answer = json.loads(await reader.readline())
            assert (answer["id"], answer["update"]["number"]) == (5, number)
        writer.close()
        await writer.wait_closed()
        for _ in range(100):
            await asyncio.sleep(0.02)
            if not serving():
                break
        assert not serving()

    stream(tmp_path / "admin.sock", scene)


def test_stream_that_nobody_reads_waits_and_is_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It neither fills memory nor holds up another administrator; others can go on meanwhile."""
    monkeypatch.setattr("bridge.admin.server.SLOWEST_READER_S", 0.3)
    made: list[int] = []

    async def endless() -> AsyncGenerator[dict[str, Any], None]:
        while True:
            made.append(1)
            yield {"pad": "y" * 50_000}

    async def scene(path: Path) -> None:
        with socket.socket(socket.AF_UNIX) as lazy:
            lazy.connect(str(path))
            lazy.sendall(b'{"id": 5, "operation": "count"}\n')
            for _ in range(200):
                (answer,) = await ask(path, b'{"id":1,"operation":"x"}')
                assert answer["result"] == {"operation": "x"}
                if len(made) > 1 and not [each for each in serving() if "_stream" in each]:
                    await asyncio.sleep(0.02)
                if made and not serving():
                    break
            assert not serving()
            assert len(made) * 50_000 < 2_000_000

    async def play() -> None:
        server = AdminServer(tmp_path / "admin.sock", None, echo, {"count": endless})
        await server.start()
        try:
            await scene(tmp_path / "admin.sock")
        finally:
            await server.stop()

    asyncio.run(play())


@pytest.mark.parametrize(
    ("arguments", "why"), [({"fail": "not now"}, "not now"), ({"wrong": 1}, "other arguments")]
)
def test_stream_that_cannot_be_is_refused_in_words(
    tmp_path: Path, arguments: dict[str, Any], why: str
) -> None:
    """As any operation."""

    async def scene(path: Path) -> None:
        request = {"id": 5, "operation": "count", "arguments": arguments}
        (answer,) = await ask(path, json.dumps(request).encode())
        assert why in answer["error"]["message"]
        assert answer["id"] == 5

    stream(tmp_path / "admin.sock", scene)


def test_administrators_group_gets_through_a_folder_that_is_closed_to_others(
    tmp_path: Path,
) -> None:
    """The group may pass to the socket; it may not list the folder, others may do neither."""
    group = grp.getgrgid(os.getegid())
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)

    async def scene(path: Path) -> None:
        assert (mode_of(path), group_of(path)) == (0o660, group.gr_gid)
        assert (mode_of(folder), group_of(folder)) == (0o710, group.gr_gid)

    serve(folder / "admin.sock", scene, group.gr_name)


def test_folder_stays_closed_where_no_group_is_named(tmp_path: Path) -> None:
    """Nothing is opened that nobody asked for."""
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)

    async def scene(_path: Path) -> None:
        assert mode_of(folder) == 0o700

    serve(folder / "admin.sock", scene)
