"""The live view's way to the bridge: refusals, half answers, and a bridge that goes and comes."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from bridge.terminal import link
from bridge.terminal.link import Refused, ask, follow

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody wait long."""
    monkeypatch.setattr(link, "SILENT_S", 0.3)
    monkeypatch.setattr(link, "ANSWER_S", 0.3)
    monkeypatch.setattr(link, "_FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(link, "_LONGEST_WAIT_S", 0.02)


def says(*lines: bytes, stay: bool = False) -> Serve:
    """Return what answers a request by these lines."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.writelines(lines)
        if stay:
            await reader.read()
        writer.close()

    return serve


@pytest.mark.parametrize(
    ("lines", "raises"),
    [
        ((b'{"id": 1, "error": {"message": "no", "hint": "why"}}\n',), Refused),
        ((b'{"id": 1, "res',), OSError),
        ((b"nonsense\n",), OSError),
        ((), OSError),
    ],
)
def test_request_that_is_not_answered_well_raises(
    tmp_path: Path, lines: tuple[bytes, ...], raises: type[Exception]
) -> None:
    """A refusal with its words; everything else as a connection that was lost."""

    async def play() -> None:
        async with await asyncio.start_unix_server(says(*lines), tmp_path / "s"):
            with pytest.raises(raises):
                await ask(tmp_path / "s", "x", {})

    asyncio.run(play())


def test_request_that_nobody_answers_is_given_up(tmp_path: Path) -> None:
    """And so is one to a socket that is not there."""

    async def play() -> None:
        async with await asyncio.start_unix_server(says(stay=True), tmp_path / "s"):
            with pytest.raises(TimeoutError):
                await ask(tmp_path / "s", "x", {})
            await asyncio.sleep(0.05)
        with pytest.raises(OSError, match="No such file"):
            await ask(tmp_path / "nobody", "x", {})

    asyncio.run(play())


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something, at most five seconds."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - a test's patience
            await asyncio.sleep(0.01)


def update(number: int) -> bytes:
    """Return a line of the stream."""
    return json.dumps({"id": 1, "update": {"n": number}}).encode() + b"\n"


def test_bridge_that_goes_and_comes_is_followed_again(tmp_path: Path) -> None:
    """It says why it is away, and the first update of each connection is told as such."""
    path = tmp_path / "s"
    updates: list[tuple[Any, bool]] = []
    away: list[str] = []

    async def play() -> None:
        following = asyncio.create_task(
            follow(path, None, lambda new, first: updates.append((new, first)), away.append)
        )
        await until(lambda: len(away) > 1)
        assert "does not run" in away[0]
        async with await asyncio.start_unix_server(says(update(1), update(2)), path):
            await until(lambda: len(updates) >= 4)
        assert updates[:4] == [({"n": 1}, True), ({"n": 2}, False)] * 2
        assert "has gone" in " ".join(away)
        following.cancel()
        await asyncio.sleep(0.05)  # the loop closes what was cut off

    asyncio.run(play())


def test_bridge_that_falls_silent_is_left(tmp_path: Path) -> None:
    """One that runs would say so every few seconds."""
    away: list[str] = []

    async def play() -> None:
        async with await asyncio.start_unix_server(says(update(1), stay=True), tmp_path / "s"):
            following = asyncio.create_task(
                follow(tmp_path / "s", "3", lambda _new, _first: None, away.append)
            )
            await until(lambda: bool(away))
            following.cancel()
            await asyncio.sleep(0.05)
        assert away[0] == "The bridge does not answer. Trying again."

    asyncio.run(play())


def test_refusal_ends_following(tmp_path: Path) -> None:
    """Where too many watch, nobody is to ask again and again."""
    refusal = b'{"id": 1, "error": {"message": "too many", "hint": ""}}\n'

    async def play() -> None:
        async with await asyncio.start_unix_server(says(refusal), tmp_path / "s"):
            with pytest.raises(Refused, match="too many"):
                await follow(tmp_path / "s", "3", lambda _new, _first: None, print)

    asyncio.run(play())
