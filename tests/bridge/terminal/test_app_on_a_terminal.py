"""The live view on a terminal in memory: sizes that change in a hurry, and faults of its own."""

import asyncio
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bridge.terminal.test_app import FakeBridge
from tests.support.terminal import Terminal

ROOT = str(Path(__file__).parents[3])
VIEW = "from pathlib import Path; from bridge.terminal.app import LiveApp\n"
RUN = (
    "import sys; app = LiveApp(Path(sys.argv[1])); app.run(mouse=False); sys.exit(app.return_code)"
)


@pytest.fixture(name="path")
def bridge_that_runs(tmp_path: Path) -> Iterator[Path]:
    """Have a bridge on a socket of its own, in a thread of its own."""
    path = tmp_path / "s"
    ready = threading.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        bridge = FakeBridge(path)
        server = await asyncio.start_unix_server(bridge.serve, path)
        ready.set()
        try:
            await asyncio.Event().wait()
        finally:
            server.close()
            for writer in bridge.writers:
                writer.transport.abort()

    task = loop.create_task(serve())

    def run() -> None:
        try:
            loop.run_until_complete(task)
        except asyncio.CancelledError:
            for rest in asyncio.all_tasks(loop):
                rest.cancel()
            loop.run_until_complete(asyncio.sleep(0.05))
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(5)
    yield path
    loop.call_soon_threadsafe(task.cancel)
    thread.join(10)


def start(path: Path, program: str = RUN, size: tuple[int, int] = (80, 24)) -> Terminal:
    """Start the view."""
    command = [sys.executable, "-c", VIEW + program, str(path)]
    # As where a shell exports what its window once was.
    env = {**os.environ, "COLUMNS": "80", "LINES": "24"}
    return Terminal(command, *size, env=env, cwd=ROOT)


def test_screen_is_whole_after_sizes_that_change_faster_than_it_is_drawn(path: Path) -> None:
    """A window that was smaller for a moment has lost lines, whatever size it has in the end."""
    with start(path) as screen:
        screen.wait_for("Board")
        screen.type("\r")
        screen.wait_for("Muted by")
        for _ in range(5):
            for columns, rows in ((38, 12), (200, 50), (100, 30), (200, 50)):
                screen.resize(columns, rows)
            screen.wait_for(
                lambda text: text.startswith("Board") and text.endswith("q quit") and "Hold" in text
            )
            screen.resize(80, 24)
            screen.wait_for(
                lambda text: (
                    text.startswith("Board") and text.endswith("q quit") and "Volume" not in text
                )
            )
        screen.type("q")
        assert screen.ends() == 0
        assert screen.is_as_before()


def test_view_that_breaks_leaves_the_terminal_as_it_was(path: Path) -> None:
    """Its own fault ends it with 1 and a traceback below what stood there before."""
    program = (
        "import bridge.terminal.app as app_module\n"
        "def broken(*_): raise ZeroDivisionError('by hand')\n"
        "app_module.press = broken\n"
    )
    with start(path, program + RUN) as screen:
        screen.wait_for("Board")
        screen.type("j")
        assert screen.ends() == 1
        assert screen.is_as_before()
        assert "by hand" in screen.text


def test_output_that_waits_for_nobody_is_bounded(path: Path) -> None:
    """While nothing happens nothing is written: a slow line stays free."""
    with start(path) as screen:
        screen.wait_for("Board")
        screen.watch(0.5)
        before = len(screen.output)
        screen.watch(2.5)
        assert len(screen.output) == before
