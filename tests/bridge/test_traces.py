"""Traces: asked for by call or trunk, in files of one reader, that end and are deleted in time."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bridge import traces as module
from bridge.errors import AdminError
from bridge.media.messages import BeginTrace, EndTrace
from bridge.traces import Traces

CALL_A, CALL_B = "4fa2c91d0312", "4fb7000000aa"


def call(leg: int, uid: str, trunk: str | None) -> Any:  # noqa: ANN401 - stands in for bridge.calls.Call
    """Return a call that runs."""
    incoming = SimpleNamespace(call_id=f"{uid}@example.net")
    return SimpleNamespace(leg=leg, uid=uid, trunk=trunk, incoming=incoming)


class House:
    """What traces need of a bridge: calls, trunks, and what is said to SIP and media."""

    def __init__(self) -> None:
        self.calls = {1: call(11, CALL_A, "acme"), 2: call(12, CALL_B, None)}
        self.legs = {each.leg: each for each in self.calls.values()}
        self.directory = SimpleNamespace(trunk={"acme": object()}.get)
        self.sent: list[Any] = []
        self.media = SimpleNamespace(send=self.sent.append)
        self.sip = self
        self.begun: dict[int, tuple[Callable[[list[str]], None], str | None, str | None]] = {}
        self.loop = SimpleNamespace(call_soon_threadsafe=lambda call, *words: call(*words))

    def begin_trace(
        self, on_lines: Callable[[list[str]], None], call_id: str | None, trunk: str | None
    ) -> int:
        """Keep what is to be traced."""
        self.begun[len(self.begun) + 1] = (on_lines, call_id, trunk)
        return len(self.begun)

    def end_trace(self, trace: int) -> None:
        """Forget it."""
        del self.begun[trace]


@pytest.fixture(name="house")
def house_with_two_calls() -> House:
    """One call by the trunk acme, one by none."""
    return House()


@pytest.fixture(name="traces")
def traces_of_the_house(house: House, tmp_path: Path) -> Iterator[Traces]:
    """No trace runs yet; the files of those that will are closed in the end."""
    made = Traces(house, tmp_path / "traces")  # type: ignore[arg-type]  # stands in for the bridge
    yield made
    made.close()


def test_trace_of_a_trunk_takes_its_calls_and_those_to_come(house: House, traces: Traces) -> None:
    """SIP by the trunk's name, RTP of each of its legs; nobody else's."""
    begun = traces.begin(None, "acme", 600)
    assert house.begun[1][1:] == (None, "acme")
    traces.call_begun(call(13, "0d0d", "acme"))
    traces.call_begun(call(14, "0e0e", None))
    assert [each.leg for each in house.sent if isinstance(each, BeginTrace)] == [11, 13]
    house.begun[1][0](["INVITE sip:x SIP/2.0", "Via: \x1b[2J"])
    traces.media_lines(house.calls[1], ["seq 1"])
    traces.media_lines(house.calls[2], ["seq 2"])
    path = Path(begun["file"])
    text = path.read_text()
    assert "INVITE sip:x" in text
    assert "\\x1b[2J" in text
    assert f"{CALL_A[:8]} RTP seq 1" in text
    assert "seq 2" not in text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_beginning_of_a_call_is_enough_where_it_means_one(house: House, traces: Traces) -> None:
    """Two calls that begin alike, none, or too few characters are refused."""
    traces.begin("4fa2", None, 600)
    assert house.begun[1][1:] == (f"{CALL_A}@example.net", None)
    for beginning, words in (("4f", "no running call"), ("9999", "no running call")):
        with pytest.raises(AdminError, match=words):
            traces.begin(beginning, None, 600)
    house.calls[2].uid = "4fa2ffff"
    with pytest.raises(AdminError, match="more than one running call"):
        traces.begin("4fa2", None, 600)
    for one, other in ((None, None), ("4fa2", "acme")):
        with pytest.raises(AdminError, match="either a call or a trunk"):
            traces.begin(one, other, 600)
    with pytest.raises(AdminError, match="no trunk 'other'"):
        traces.begin(None, "other", 600)


def test_running_traces_are_listed_and_ended_by_number(house: House, traces: Traces) -> None:
    """The file stays, the number is free of it, and the media process stops telling."""
    first = traces.begin(CALL_A, None, 600)
    traces.begin(None, "acme", 60)
    listed = {row["trace"]: (row["call"], row["trunk"]) for row in traces.running()}
    assert listed == {1: (CALL_A, None), 2: (None, "acme")}
    assert 590 <= traces.running()[0]["seconds_left"] <= 600
    assert traces.end(1) == {"trace": 1, "file": first["file"]}
    assert [each.leg for each in house.sent if isinstance(each, EndTrace)] == [11]
    assert Path(first["file"]).exists()
    assert [row["trace"] for row in traces.running()] == [2]
    with pytest.raises(AdminError, match="trace 1 does not run"):
        traces.end(1)
    traces.close()
    assert traces.running() == []
    assert house.begun == {}


def test_trace_ends_with_its_call_and_with_its_time(
    house: House, traces: Traces, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a call when that is over; of a trunk when the minutes are."""
    traces.begin(CALL_A, None, 600)
    traces.begin(None, "acme", 60)
    traces.call_ended(house.calls[1])
    assert [row["trace"] for row in traces.running()] == [2]
    now = time.monotonic()
    monkeypatch.setattr("bridge.traces.time.monotonic", lambda: now + 59)
    traces.sweep()
    assert len(traces.running()) == 1
    monkeypatch.setattr("bridge.traces.time.monotonic", lambda: now + 61)
    traces.sweep()
    assert traces.running() == []


def test_files_are_deleted_after_a_day_whoever_wrote_them(traces: Traces) -> None:
    """Those of an earlier run of the bridge too; other files are somebody else's."""
    begun = Path(traces.begin(CALL_A, None, 600)["file"])
    traces.end(1)
    old = begun.with_name("trace-20260101T000000Z-7.txt")
    other = begun.with_name("notes.txt")
    for path in (old, other):
        path.write_text("x")
        a_day_ago = time.time() - module.EXPIRES_S - 10
        os.utime(path, (a_day_ago, a_day_ago))
    traces.sweep()
    assert begun.exists()
    assert other.exists()
    assert not old.exists()


def test_no_more_than_so_many_at_once_and_no_file_without_an_end(
    house: House, traces: Traces, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What nobody ends must not fill the disk."""
    for _ in range(module.AT_ONCE):
        traces.begin(None, "acme", 600)
    with pytest.raises(AdminError, match="traces are running already"):
        traces.begin(None, "acme", 600)
    monkeypatch.setattr(module, "LARGEST_FILE", 100)
    house.begun[1][0](["x" * 200])
    assert 1 not in [row["trace"] for row in traces.running()]


def test_folder_that_cannot_be_written_is_said(house: House, tmp_path: Path) -> None:
    """With what may be the matter."""
    (tmp_path / "traces").touch()
    traces = Traces(house, tmp_path / "traces")  # type: ignore[arg-type]  # as above
    with pytest.raises(AdminError, match="cannot be created") as caught:
        traces.begin(CALL_A, None, 600)
    assert "full or read-only" in caught.value.hint
