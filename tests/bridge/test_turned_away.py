"""The file of refused sources."""

import stat
import time
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from bridge.sip.endpoint import SipEndpoint
from bridge.sip.messages import Rejection, SipSettings
from bridge.turned_away import TurnedAway


def refused(source: str = "198.51.100.7", ago_s: float = 10.0, count: int = 1) -> Rejection:
    """Return somebody who was turned away."""
    then = time.time() - ago_s
    return Rejection(source, "unknown_source", "INVITE", "udp", count, then, then)


def endpoint() -> SipEndpoint:
    """Return an endpoint that never starts."""
    return SipEndpoint(SipSettings(), lambda _event: None)


def test_what_one_run_refused_the_next_one_lists(tmp_path: Path) -> None:
    """In a file of the owner's alone."""
    first, second = endpoint(), endpoint()
    entries = [refused(count=4), refused("198.51.100.8", 20.0)]
    first.restore_rejections(entries)
    path = tmp_path / "cache" / "file.json"
    TurnedAway(first, path).write()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]
    TurnedAway(second, path).restore()
    assert second.rejections() == entries


def test_nothing_older_than_a_day_stays_on_disk(tmp_path: Path) -> None:
    """And no file where there is nothing to say."""
    sip: Any = endpoint()
    path = tmp_path / "file.json"
    sip.restore_rejections([refused()])
    keeper = TurnedAway(sip, path)
    keeper.write()
    assert path.exists()
    sip.rejections = list
    keeper.write()
    assert not path.exists()
    sip = endpoint()
    sip.restore_rejections([refused(ago_s=25 * 3600)])
    TurnedAway(sip, path).write()
    assert not path.exists()


@pytest.mark.parametrize(
    "text",
    [b"", b"\xff\xfe", b"[{}]", b'{"a": 1}', b'[{"source": 7}]', b"["],
    ids=["empty", "octets", "empty entry", "another shape", "wrong type", "cut"],
)
def test_a_file_that_is_not_ours_is_said_and_replaced(tmp_path: Path, text: bytes) -> None:
    """The bridge starts all the same."""
    path = tmp_path / "file.json"
    path.write_bytes(text)
    sip = endpoint()
    keeper = TurnedAway(sip, path)
    with capture_logs() as said:
        keeper.restore()
    assert sip.rejections() == []
    assert [each["log_level"] for each in said] == ["warning"]
    sip.restore_rejections([refused()])
    keeper.write()
    other = endpoint()
    TurnedAway(other, path).restore()
    assert other.rejections() == sip.rejections()


def test_a_source_that_is_no_address_does_not_reach_a_line_to_paste(tmp_path: Path) -> None:
    """The line goes into a shell."""
    path = tmp_path / "file.json"
    first, second = endpoint(), endpoint()
    first.restore_rejections([refused("1; rm -rf /")])
    TurnedAway(first, path).write()
    TurnedAway(second, path).restore()
    assert second.rejections() == []


def test_a_full_disk_is_said_once_and_loses_nothing(tmp_path: Path) -> None:
    """What could not be written is written when it can be."""
    blocked = tmp_path / "cache"
    blocked.write_text("in the way")
    sip = endpoint()
    sip.restore_rejections([refused()])
    keeper = TurnedAway(sip, blocked / "file.json")
    with capture_logs() as said:
        keeper.write()
        keeper.write()
    assert [each["log_level"] for each in said] == ["warning"]
    blocked.unlink()
    keeper.write()
    assert (blocked / "file.json").exists()
