"""The live view on a real terminal: textual has the terminal, this module tells it what to draw.

textual is asked for little: raw keys, the size, and lines put where they belong. Only lines that
have changed are written again, so that nothing flickers and little goes over a slow line. It puts
the terminal back as it was on every way out: quitting, a fault, and the signals taken here.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import time
from typing import TYPE_CHECKING, Any, ClassVar, Final

from rich.segment import Segment
from rich.style import Style
from textual.app import App
from textual.binding import Binding, BindingType
from textual.events import Resize
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from bridge.terminal.keys import Opened, press
from bridge.terminal.link import Refused, ask, follow
from bridge.terminal.model import Request, View
from bridge.terminal.page import Line, draw

if TYPE_CHECKING:
    from pathlib import Path

    from textual import events
    from textual.app import ComposeResult

__all__ = ["LiveApp"]

_TICK_S: Final = 1.0
"""How often minutes are looked at."""

_SETTLED_S: Final = 0.1
"""After a change of size: far longer than textual takes for it."""

_MOST_REQUESTS: Final = 8
"""Keys that wait for an answer; a held key must not pile up orders."""

_LOOKS: Final = {
    "plain": Style(),
    "title": Style(bold=True),
    "heading": Style(underline=True),
    "chosen": Style(reverse=True),
    "dim": Style(dim=True),
    "fault": Style(bold=True, color="red"),
    "talks": Style(color="green"),
    "asks": Style(bold=True, color="yellow"),
    "keys": Style(dim=True),
}


class Page(Widget):
    """All lines of the screen.

    Args:
        view: what they show.
    """

    can_focus = True

    def __init__(self, view: View) -> None:
        super().__init__()
        self._view = view
        self._lines: list[Line] = []

    def redraw(self) -> None:
        """Draw the view, and have the lines written again that are other than before."""
        width, height = self.size
        if not width or not height:
            return
        before, self._lines = self._lines, draw(self._view, width, height, time.time())
        if len(before) != len(self._lines):
            self.refresh()
            return
        changed = [y for y, line in enumerate(self._lines) if line != before[y]]
        if changed:
            self.refresh(*(Region(0, y, width, 1) for y in changed))

    def on_resize(self) -> None:
        """Draw for the new size."""
        self._lines = []
        self.redraw()

    def render_line(self, y: int) -> Strip:
        """Return one line."""
        if y >= len(self._lines):
            return Strip.blank(self.size.width)
        line = self._lines[y]
        return Strip([Segment(line.text, _LOOKS[line.look])]).adjust_cell_length(self.size.width)


class LiveApp(App[None]):
    """The live view.

    Args:
        path: the bridge's administration socket.
        view: what is shown first.
    """

    ENABLE_COMMAND_PALETTE = False
    CSS = """
    Screen { background: ansi_default; color: ansi_default; }
    Page { width: 100%; height: 100%; background: ansi_default; color: ansi_default; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c", "leave", show=False, priority=True),
        Binding("ctrl+q", "leave", show=False, priority=True),
    ]

    def __init__(self, path: Path, view: View | None = None) -> None:
        # Sizes that stand in the environment stay what they were when a window is dragged.
        for name in ("COLUMNS", "LINES"):
            os.environ.pop(name, None)
        super().__init__(ansi_color=True)
        self.view = view if view is not None else View()
        self._path = path
        self._page = Page(self.view)
        self._asking = 0

    def compose(self) -> ComposeResult:
        """Put the page on the screen."""
        yield self._page

    def on_mount(self) -> None:
        """Begin to follow the bridge, and take the signals that end a program."""
        self._page.focus()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            loop.add_signal_handler(number, self.exit, None, 128 + number)
        self.set_interval(_TICK_S, self._tick)
        self._follow()

    def on_resize(self) -> None:
        """Write everything again, though the size be the same.

        A window that was smaller for a moment has lost what did not fit in it, and by the time that
        its size is asked for it may be as large as before.
        """
        self._page.refresh()
        self.set_timer(_SETTLED_S, self._look_again)

    def _tick(self) -> None:
        """Do what time does: minutes go by."""
        self._look_again()
        self._page.redraw()

    def _look_again(self) -> None:
        """See that the screen has the size that the window has.

        Where sizes change within a millisecond, textual's signal handler may be interrupted by
        itself, and tell of the older size last.
        """
        size = self.size if self.is_headless else Size(*shutil.get_terminal_size())
        if size != self.size:
            self.post_message(Resize(size, size))
        elif size != self._page.size:
            self.screen.post_message(Resize(size, size))
            self.screen.refresh(layout=True)

    def action_leave(self) -> None:
        """Quit."""
        self.exit()

    def on_key(self, event: events.Key) -> None:
        """Take a key."""
        key = event.character if event.is_printable and event.character else event.key
        done = press(self.view, key)
        if done == "quit":
            self.exit()
        elif isinstance(done, Opened):
            self._follow()
        elif isinstance(done, Request):
            self._request(done)
        self._page.redraw()

    # -- the bridge -----------------------------------------------------------------------------

    def _follow(self) -> None:
        """Follow what is shown now, in place of what was."""
        self.run_worker(self._following(self.view.conference), group="follow", exclusive=True)

    async def _following(self, conference: str | None) -> None:
        try:
            await follow(self._path, conference, self._update, self._away)
        except Refused as refusal:
            self.view.say(_words(refusal), fault=True)
            self.view.away = "The bridge cannot be watched."
            self._page.redraw()

    def _update(self, update: dict[str, Any], first: bool) -> None:  # noqa: FBT001 - `follow` calls it so
        conference = self.view.conference
        self.view.take(update, first=first)
        if self.view.conference != conference:
            self._follow()
        self._page.redraw()

    def _away(self, why: str) -> None:
        self.view.away = why
        self._page.redraw()

    def _request(self, request: Request) -> None:
        if self.view.away is not None:
            self.view.say(f"{self.view.away} Nothing was done.", fault=True)
        elif self._asking >= _MOST_REQUESTS:
            self.view.say("The bridge has not answered the last keys yet.", fault=True)
        else:
            self._asking += 1
            self.run_worker(self._asked(request), group="ask")

    async def _asked(self, request: Request) -> None:
        try:
            await ask(self._path, request.operation, request.arguments)
        except Refused as refusal:
            self.view.say(_words(refusal), fault=True)
        except OSError:
            self.view.say("The bridge has not answered; it may have done it or not.", fault=True)
        else:
            self.view.say(request.done)
        finally:
            self._asking -= 1
        self._page.redraw()


def _words(refusal: Refused) -> str:
    """Return a refusal as one line."""
    return f"{refusal} {refusal.hint}".strip()
