"""The database locked, or its disk full, while calls run: the calls do not notice."""

import contextlib
import resource
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from tests.support.bridge_under_test import BridgeUnderTest

pytestmark = pytest.mark.e2e


@contextlib.contextmanager
def locked(bridge: BridgeUnderTest) -> Iterator[None]:
    """Hold the database's write lock, as a backup program gone wrong does."""
    database = sqlite3.connect(bridge.folder / "bridge.sqlite", isolation_level=None)
    try:
        database.execute("BEGIN IMMEDIATE")
        yield
        database.execute("ROLLBACK")
    finally:
        database.close()


@contextlib.contextmanager
def no_file_may_grow(bridge: BridgeUnderTest) -> Iterator[None]:
    """Let no file of the control process grow past the database's log of writes, as it is now.

    To the process it is what a full disk is: a write that the kernel refuses. Only what lies
    beyond the limit is refused, so its log and the journal's reserved room are still written.
    """
    size = (bridge.folder / "bridge.sqlite-wal").stat().st_size
    pid = bridge.running.pid
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    assert size > 2 * bridge.log_path.stat().st_size, "the process could not even log"
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("fault", [locked, no_file_may_grow], ids=["locked", "disk full"])
def test_calls_go_on_and_their_records_catch_up(
    bridge: BridgeUnderTest, fault: Callable[[BridgeUnderTest], AbstractContextManager[None]]
) -> None:
    """Two talk and hang up meanwhile; afterwards every row is there, and it was said once."""
    room = bridge.room(chimes=False)
    before, during = bridge.caller("before"), bridge.caller("during")
    bridge.bring_in(room, before)
    said = len(bridge.log())
    with fault(bridge):
        bridge.bring_in(room, during)
        assert before.heard_of(*during.speak()).match.heard
        assert during.heard_of(*before.speak()).match.heard
        during.hang_up()
        bridge.wait_until(
            lambda: bridge.operate("status")["records"]["writing_to"] == "journal",
            15,
            "records to go to the journal",
        )
        assert bridge.operate("status")["records"]["waiting"] > 0
        # The heartbeat's writes fail again and again meanwhile; that is not said again.
        time.sleep(2.5)
        before.hang_up()
    bridge.wait_until(
        lambda: bridge.operate("status")["records"]["writing_to"] == "database",
        20,
        "the records to catch up",
    )
    legs = [bridge.leg_of(person) for person in (before, during)]
    assert [leg["hung_up_by"] for leg in legs] == ["caller", "caller"]
    assert legs[0]["session"] == legs[1]["session"] is not None
    assert legs[1]["dtmf_method"] == "rfc4733"
    records = bridge.operate("status")["records"]
    assert (records["dropped"], records["failed"], records["waiting"]) == (0, 0, 0)
    events = [line["event"] for line in bridge.log()[said:]]
    assert events.count("the database is away and records wait in the journal") == 1
    assert events.count("the database is back and records caught up") == 1
