"""Starting and ending: what the house does beside its parts."""

import asyncio
import contextlib
import gc
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bridge import house
from bridge.errors import StartError
from bridge.house import engine_options, leave_out_of_collections, serve
from bridge.media.forks import Forks
from bridge.media.messages import Configure
from bridge.operations import OPERATIONS
from bridge.server import Bridge
from bridge.sip.messages import Rejection, SipSettings
from bridge.sip.trunks import TrunkTable
from config.administration import perform
from config.data_folder import DataFolder
from config.settings import MediaSettings, load
from dialplan import seed
from privacy.vault.context import open_context


@pytest.fixture
def collector() -> Iterator[None]:
    """Give the collector back as it was."""
    gc.unfreeze()
    yield
    gc.unfreeze()


def test_what_a_start_has_made_is_not_collected_again(collector: None) -> None:
    """A full collection under load must walk calls, not modules and tables: it stops them all."""
    lasting = [object() for _ in range(10)]
    assert any(each is lasting for each in gc.get_objects())
    leave_out_of_collections()
    assert gc.get_freeze_count() > 1000
    assert not any(each is lasting for each in gc.get_objects())


def test_every_option_of_the_engine_is_a_setting() -> None:
    """Defaults are the same in both places, and each setting sets the option of its name."""
    assert engine_options(MediaSettings()) == Configure()
    for name in Configure.__struct_fields__:
        default = getattr(MediaSettings(), name)
        other: dict[str, Any] = {name: not default if isinstance(default, bool) else default - 3}
        options = engine_options(replace(MediaSettings(), **other))
        assert getattr(options, name) == other[name]
        assert options != Configure()


class _Silent:
    """Stand for the media process."""

    pid = None
    overloaded = False

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def use_names(self, descriptor: int) -> None:
        """Be told of the area for names before the start."""
        assert descriptor >= 0

    async def start(self) -> None:
        """Do nothing."""

    async def stop(self) -> None:
        """Do nothing."""


class _Door:
    """Stand for SIP: keep the trunks that are known when it begins to listen."""

    port = 5060
    opened_with: list[str]

    def __init__(
        self, _settings: SipSettings, _on_event: object, trunks: TrunkTable | None = None
    ) -> None:
        self.table = trunks or TrunkTable()
        self.remembered: list[Rejection] = []

    def restore_rejections(self, rejections: list[Rejection]) -> None:
        """Take what an earlier run refused."""
        self.remembered = rejections

    def rejections(self) -> list[Rejection]:
        """Return what was refused."""
        return self.remembered

    def start(self) -> None:
        """Listen."""
        _Door.opened_with = [trunk.name for trunk in self.table.trunks]

    def set_trunks(self, table: TrunkTable) -> None:
        """Replace the trunks."""
        self.table = table

    def stop(self) -> None:
        """Do nothing."""


@pytest.fixture
def quiet_house(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the house no ports, no media process and no prompts, and leave signals alone."""
    monkeypatch.setattr(house, "SipEndpoint", _Door)
    monkeypatch.setattr(house, "MediaSupervisor", _Silent)
    monkeypatch.setattr(house, "_load_bank", lambda _settings: SimpleNamespace(samples=None))


def run(folder: Path, on_ready: Callable[[Bridge], None]) -> None:
    """Run a house with a carrier's trunk until its bridge is ready and has been seen."""
    settings = load(None, {}, {"data_dir": str(folder), "metrics.port": "0"})
    data = DataFolder(settings.data_dir)
    data.create()

    def ready(bridge: Bridge) -> None:
        on_ready(bridge)
        bridge.fail("seen enough")

    with data.locked():
        seed.set_up(settings, {})
        with open_context(settings) as context:
            if not perform(OPERATIONS, context, "trunk.list", {}):
                trunk = {"name": "carrier", "addresses": ["192.0.2.7"]}
                perform(OPERATIONS, context, "trunk.add", trunk)
            with pytest.raises(StartError, match="seen enough"):
                asyncio.run(serve(context, settings, Forks(), ready))


def test_the_door_opens_with_its_trunks(tmp_path: Path, quiet_house: None, collector: None) -> None:
    """Not one datagram is judged as if there were no trunk, when every private source may call."""
    run(tmp_path / "data", lambda _bridge: None)
    assert _Door.opened_with == ["carrier"]


def test_who_was_turned_away_is_still_known_after_a_restart(
    tmp_path: Path, quiet_house: None, collector: None
) -> None:
    """Read before the first datagram, written at the end."""
    seen: list[list[Rejection]] = []
    now = time.time()
    refused = Rejection("198.51.100.7", "unknown_source", "INVITE", "udp", 3, now - 60, now)

    def turn_away(bridge: Bridge) -> None:
        seen.append(bridge.sip.rejections())
        door: Any = bridge.sip
        door.remembered = [refused]

    run(tmp_path / "data", turn_away)
    run(tmp_path / "data", turn_away)
    assert seen == [[], [refused]]


class Doorkeeper:
    """What the house needs of a bridge: that it can be ended, politely or at once."""

    def __init__(self) -> None:
        self.sip = SimpleNamespace(port=5060)
        self.directory = SimpleNamespace(sizes=dict)
        self.calls: dict[int, object] = {}
        self.failed = asyncio.get_running_loop().create_future()
        self.ended: list[str] = []
        self.drain = SimpleNamespace(on_end=None)

    async def close_calls(self, impatient: asyncio.Event) -> None:
        """Say goodbye until nobody has patience any longer."""
        self.ended.append("goodbye")
        await asyncio.wait_for(impatient.wait(), 10)
        self.ended.append("at once")


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_ends_politely_and_a_second_one_at_once(
    first: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A terminal that went away is no reason to cut callers off; a second Ctrl-C is meant."""
    said: list[list[str]] = []

    @contextlib.asynccontextmanager
    async def running(*_: object) -> AsyncIterator[Doorkeeper]:
        keeper = Doorkeeper()
        yield keeper
        said.append(keeper.ended)

    def ready(_bridge: object) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(0.05, os.kill, os.getpid(), first)
        loop.call_later(0.2, os.kill, os.getpid(), signal.SIGINT)

    monkeypatch.setattr(house, "_running", running)
    monkeypatch.setattr(house, "leave_out_of_collections", lambda: None)
    served: Any = house.serve
    asyncio.run(served(None, None, None, ready))
    assert said == [["goodbye", "at once"]]


def test_hang_up_of_a_terminal_is_ignored_under_nohup(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever started it so wants it to outlive the terminal."""

    @contextlib.asynccontextmanager
    async def running(*_: object) -> AsyncIterator[Doorkeeper]:
        yield Doorkeeper()

    def ready(bridge: object) -> None:
        assert isinstance(bridge, Doorkeeper)
        loop = asyncio.get_running_loop()
        os.kill(os.getpid(), signal.SIGHUP)
        loop.call_later(0.1, lambda: bridge.ended.append("still there"))
        loop.call_later(0.2, os.kill, os.getpid(), signal.SIGTERM)
        loop.call_later(0.3, os.kill, os.getpid(), signal.SIGTERM)
        seen.append(bridge.ended)

    seen: list[list[str]] = []
    monkeypatch.setattr(house, "_running", running)
    monkeypatch.setattr(house, "leave_out_of_collections", lambda: None)
    served: Any = house.serve
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        asyncio.run(served(None, None, None, ready))
    finally:
        signal.signal(signal.SIGHUP, before)
    assert seen == [["still there", "goodbye", "at once"]]
