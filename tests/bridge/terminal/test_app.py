"""The live view in textual, without a terminal: keys, requests, and little written again."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from textual.geometry import Region

from bridge.terminal.app import LiveApp, Page
from bridge.terminal.model import View

ROOM = {"name": "Board", "people": 2, "heard": 2, "mode": "conversation"}
PEOPLE = {
    "1": {"role": "host", "where": "room", "heard": True},
    "2": {"role": "guest", "where": "room", "heard": True},
}


class FakeBridge:
    """A bridge that tells of one conference and keeps what it is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.asked: list[dict[str, Any]] = []
        self.refuses = ""
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection."""
        request = json.loads(await reader.readline())
        self.asked.append(request)
        if request["operation"] == "watch":
            self.writers.append(writer)
            tables: dict[str, Any] = {"bridge": {"": {"calls": 2}}, "conferences": {"3": ROOM}}
            if "conference" in request["arguments"]:
                tables["people"] = PEOPLE
            self.tell(writer, {name: {"rows": rows} for name, rows in tables.items()})
            await reader.read()
        elif self.refuses:
            fault = {"message": self.refuses, "hint": ""}
            writer.write(json.dumps({"id": 1, "error": fault}).encode() + b"\n")
        else:
            writer.write(b'{"id": 1, "result": {}}\n')
        writer.close()

    @staticmethod
    def tell(writer: asyncio.StreamWriter, update: dict[str, Any]) -> None:
        """Send an update."""
        writer.write(json.dumps({"id": 1, "update": update}).encode() + b"\n")

    def operations(self) -> list[str]:
        """Return what was asked for."""
        return [each["operation"] for each in self.asked]


Scene = Callable[[LiveApp, Any, FakeBridge], Awaitable[None]]


def play(tmp_path: Path, scene: Scene, size: tuple[int, int] = (80, 24)) -> LiveApp:
    """Run a scene with the view and a bridge."""
    app: list[LiveApp] = []

    async def run() -> None:
        bridge = FakeBridge(tmp_path / "s")
        async with await asyncio.start_unix_server(bridge.serve, bridge.path):
            app.append(LiveApp(bridge.path, View()))
            async with app[0].run_test(size=size) as pilot:
                await until(lambda: app[0].view.away is None)
                await scene(app[0], pilot, bridge)
            for writer in bridge.writers:
                writer.transport.abort()
            await asyncio.sleep(0.05)  # the loop closes what was cut off

    asyncio.run(run())
    return app[0]


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something, at most five seconds."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - a test's patience
            await asyncio.sleep(0.01)


def texts(app: LiveApp) -> list[str]:
    """Return what is on the screen."""
    page = app.query_one(Page)
    return [page.render_line(y).text.rstrip() for y in range(page.size.height)]


def test_keys_open_a_conference_and_mute_in_it(tmp_path: Path) -> None:
    """Enter follows its people, `m` asks for one order, and what was done is said."""

    async def scene(app: LiveApp, pilot: Any, bridge: FakeBridge) -> None:  # noqa: ANN401 - textual's own
        assert "Board" in texts(app)[3]
        await pilot.press("enter")
        await until(lambda: bool(app.view.board.table("people")))
        await pilot.press("down", "m")
        await until(lambda: app.view.message != "")
        assert bridge.asked[-1]["arguments"] == {"conference": "3", "order": "mute", "person": 2}
        assert texts(app)[-3] == "2 is muted by the host."
        bridge.refuses = "that cannot be"
        await pilot.press("M")
        await until(lambda: "that cannot be" in app.view.message)
        await pilot.press("x")
        assert "Remove 2" in "\n".join(texts(app))
        asked = len(bridge.asked)
        await pilot.press("n")
        assert len(bridge.asked) == asked
        await pilot.press("e", "y")
        await until(lambda: bridge.operations()[-1] == "conference.end")
        await pilot.press("q")

    assert play(tmp_path, scene).return_code == 0


@pytest.mark.parametrize("key", ["q", "ctrl+c", "ctrl+q"])
def test_quitting_leaves_with_nought(tmp_path: Path, key: str) -> None:
    """Whichever way."""

    async def scene(app: LiveApp, pilot: Any, _bridge: FakeBridge) -> None:  # noqa: ANN401 - textual's own
        await pilot.press(key)
        await until(lambda: not app.is_running)

    assert play(tmp_path, scene).return_code == 0


def test_only_lines_that_have_changed_are_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One person of many begins to talk: the lines of the others stay as they are."""
    written: list[tuple[Region, ...]] = []

    async def scene(app: LiveApp, pilot: Any, bridge: FakeBridge) -> None:  # noqa: ANN401 - textual's own
        await pilot.press("enter")
        await until(lambda: bool(app.view.board.table("people")))
        page = app.query_one(Page)
        plain = page.refresh

        def refresh(*regions: Region) -> Page:
            written.append(regions)
            return plain(*regions)

        monkeypatch.setattr(page, "refresh", refresh)
        talking = {**PEOPLE["2"], "talking": True}
        bridge.tell(bridge.writers[-1], {"people": {"rows": {"2": talking}}})
        await until(lambda: bool(app.view.board.table("people")["2"].get("talking")))
        await pilot.pause()
        assert "talks" in texts(app)[4]
        page.redraw()
        assert written == [(Region(0, 4, 80, 1),)]

    play(tmp_path, scene)


def test_resize_draws_for_the_new_size(tmp_path: Path) -> None:
    """Wider and narrower, at once."""

    async def scene(app: LiveApp, pilot: Any, _bridge: FakeBridge) -> None:  # noqa: ANN401 - textual's own
        for width, height in ((200, 50), (30, 8), (80, 24)):
            await pilot.resize_terminal(width, height)
            await pilot.pause()
            page = app.query_one(Page)
            lines = [page.render_line(y) for y in range(page.size.height)]
            assert len(lines) == height
            assert {strip.cell_length for strip in lines} == {width}
            assert texts(app)[-1].endswith("quit")

    play(tmp_path, scene)


def test_bridge_that_goes_is_said_and_orders_wait_for_it(tmp_path: Path) -> None:
    """A key pressed meanwhile is refused, not kept for later; the view comes back by itself."""

    async def scene(app: LiveApp, pilot: Any, bridge: FakeBridge) -> None:  # noqa: ANN401 - textual's own
        await pilot.press("enter")
        await until(lambda: bool(app.view.board.table("people")))
        bridge.path.rename(tmp_path / "away")
        for writer in bridge.writers:
            writer.transport.abort()
        await until(lambda: app.view.away is not None)
        assert "Trying again" in texts(app)[0]
        asked = len(bridge.asked)
        await pilot.press("M")
        assert "Nothing was done" in app.view.message
        assert len(bridge.asked) == asked
        (tmp_path / "away").rename(bridge.path)
        await until(lambda: app.view.away is None)
        assert "Trying again" not in texts(app)[0]

    play(tmp_path, scene)
