"""Fixtures of the stories: one bridge a module, and nothing left in it after each story."""

from collections.abc import Iterator

import pytest

from tests.support.bridge_under_test import BridgeUnderTest
from tests.support.reactor import reactor


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


@pytest.fixture(autouse=True)
def nothing_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Hang up whoever still talks, and see that the bridge has no call left."""
    reactor().faults.clear()
    yield
    if "bridge" in request.fixturenames:
        bridge: BridgeUnderTest = request.getfixturevalue("bridge")
        bridge.hang_up_all()
        if bridge.running.poll() is None:
            stay: int = getattr(request.module, "CALLS_THAT_STAY", 0)
            bridge.wait_until(lambda: bridge.calls() <= stay, 15, "all calls to be over")
    assert reactor().faults == []
