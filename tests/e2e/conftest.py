"""Fixtures of the stories: one bridge a module, and nothing left in it after each story."""

from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import cast

import pytest

from tests.support.bridge_under_test import BridgeUnderTest
from tests.support.reactor import reactor

LINES_TOLD = 40


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show with a failure what the bridge had logged: it may fail once in a hundred times."""
    report = yield
    bridge = item.funcargs.get("bridge") if isinstance(item, pytest.Function) else None
    if report.failed and isinstance(bridge, BridgeUnderTest):
        said = bridge.log_path.read_text(errors="replace").splitlines()[-LINES_TOLD:]
        report.sections.append((f"the bridge's log, at the end of {report.when}", "\n".join(said)))
    return report


@pytest.fixture(scope="module")
def bridge(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BridgeUnderTest]:
    """A running bridge with one number; a module's SETTINGS are its environment.

    At the end it is interrupted, and judged: exit code, processes left behind, its whole log.
    """
    settings: dict[str, str] = getattr(request.module, "SETTINGS", {})
    folder = tmp_path_factory.mktemp("bridge") / "data"
    with BridgeUnderTest(folder, settings) as made:
        made.add_number()
        yield made


Story = Callable[[BridgeUnderTest], None]


@pytest.fixture(scope="module")
def told(
    request: pytest.FixtureRequest, bridge: BridgeUnderTest
) -> Iterator[Mapping[Story, "Future[None]"]]:
    """Tell stories of conferences at the same time, `AT_ONCE` of them, each in one of its own.

    People in a conference mostly listen: one story after the other is a long wait. Those of the
    module's tests that run, by their parameter `story`.
    """
    stories = [
        cast("Story", item.callspec.params["story"])
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.module is request.module
    ]

    def tell(story: Story) -> None:
        try:
            story(bridge)
        finally:
            bridge.hang_up_mine()

    with ThreadPoolExecutor(request.module.AT_ONCE) as threads:
        yield {story: threads.submit(tell, story) for story in stories}
        threads.shutdown(cancel_futures=True)
    bridge.hang_up_all()
    bridge.wait_until(lambda: bridge.calls() == 0, 15, "all calls to be over")


@pytest.fixture(autouse=True)
def nothing_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Hang up whoever still talks, and see that the bridge has no call left."""
    reactor().faults.clear()
    yield
    if "bridge" in request.fixturenames and "told" not in request.fixturenames:
        bridge: BridgeUnderTest = request.getfixturevalue("bridge")
        bridge.hang_up_all()
        if bridge.running.poll() is None:
            stay: int = getattr(request.module, "CALLS_THAT_STAY", 0)
            bridge.wait_until(lambda: bridge.calls() <= stay, 15, "all calls to be over")
    assert reactor().faults == []
