"""Start and end: what refuses to start says what to do and changes nothing; Ctrl-C is polite."""

import hashlib
import os
import signal
import socket
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.bridge_under_test import BridgeUnderTest
from tests.support.caller import Caller

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> BridgeUnderTest:
    """A data folder that was set up, its bridge not running."""
    bridge = BridgeUnderTest(tmp_path_factory.mktemp("made") / "data")
    bridge.dialin("setup", "--seed-demo")
    return bridge


@pytest.fixture
def stopped(made: BridgeUnderTest, tmp_path: Path) -> BridgeUnderTest:
    """A copy of that folder, for a fault of its own."""
    subprocess.run(["cp", "-a", str(made.folder), str(tmp_path / "data")], check=True)
    return BridgeUnderTest(tmp_path / "data")


def state(folder: Path) -> dict[str, str]:
    """Return the hash of every file of a data folder, but for the lock."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".lock" and "cache" not in path.parts
    }


def refuses(bridge: BridgeUnderTest, *words: str, options: tuple[str, ...] = ()) -> None:
    """See that it ends with 1 or 2 at once, says what it should, and leaves all as it was."""
    before = state(bridge.folder)
    finished = bridge.dialin("serve", "--port", str(bridge.port), *options, code=None)
    assert finished.returncode in {1, 2}, finished.stdout + finished.stderr
    for word in words:
        assert word in finished.stderr, finished.stderr
    assert "Traceback" not in finished.stderr
    assert state(bridge.folder) == before
    assert bridge.processes() == []


def test_wrong_master_key_refuses_to_start(stopped: BridgeUnderTest) -> None:
    """Another key in the file: named, with what to do."""
    key = stopped.folder / "master.key"
    original = key.read_bytes()
    other = BridgeUnderTest(stopped.folder.with_name("other"))
    other.dialin("setup")
    key.write_bytes((other.folder / "master.key").read_bytes())
    assert key.read_bytes() != original
    refuses(stopped, "master key")


def test_database_newer_than_the_code_refuses_to_start(stopped: BridgeUnderTest) -> None:
    """A revision that this code does not know: it was written by a later release."""
    database = sqlite3.connect(stopped.folder / "bridge.sqlite")
    with database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    refuses(stopped, "9999")


def test_half_written_configuration_refuses_to_start(stopped: BridgeUnderTest) -> None:
    """A file cut short while it was written, and one with an unknown key: file, line, what."""
    file = stopped.folder.with_name("dialin.toml")
    file.write_text('[sip]\nuser_agent = "x"\nport = 50')
    refuses(stopped, "dialin.toml:3", options=("--config", str(file)))
    file.write_text('[sip]\nuser_agent = "x\n')
    refuses(stopped, "dialin.toml:2", options=("--config", str(file)))
    file.write_text("[sip]\nprot = 5060\n")
    refuses(stopped, "dialin.toml:2", "prot", "sip.port", options=("--config", str(file)))


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM], ids=["udp", "tcp"])
def test_port_that_is_taken_is_named_with_what_to_do(
    stopped: BridgeUnderTest, kind: socket.SocketKind
) -> None:
    """Somebody else has the SIP port: which one, and how to take another."""
    with socket.socket(socket.AF_INET, kind) as holder:
        holder.bind(stopped.address)
        if kind is socket.SOCK_STREAM:
            holder.listen()
        refuses(stopped, str(stopped.port), "--port")


def test_metrics_port_that_is_taken_is_named_with_what_to_do(stopped: BridgeUnderTest) -> None:
    """Another bridge, say, serves metrics there: which port, and how to have another or none."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = str(holder.getsockname()[1])
        stopped.environment["DIALIN_METRICS__PORT"] = port
        refuses(stopped, port, "metrics.port", "metrics.enabled")
        stopped.environment["DIALIN_METRICS__ENABLED"] = "false"
        with stopped:
            assert stopped.operate("status")["health"]["metrics"] is None


def test_second_bridge_on_a_folder_is_refused(stopped: BridgeUnderTest) -> None:
    """The first one is named by what to do, and goes on."""
    with stopped:
        finished = stopped.dialin("serve", "--port", "0", code=None)
        assert finished.returncode == 1
        assert "Traceback" not in finished.stderr
        assert stopped.operate("status")["calls"] == 0


def test_interrupt_says_goodbye_hangs_up_and_leaves_nothing(stopped: BridgeUnderTest) -> None:
    """Ctrl-C: inside and at the door they hear it, get a BYE, rows close, new calls get 503."""
    stopped.start()
    try:
        stopped.add_number()
        room, lobby = stopped.room(), stopped.room(start="on_host")
        inside, waits, door = (stopped.caller(name) for name in ("inside", "waits", "door"))
        stopped.bring_in(room, inside)
        waits.dial(stopped.number)
        since = waits.press(lobby.guest_pin)
        waits.hears("first_in", since=since)
        door.dial(stopped.number)
        door.greeted()
        late = Caller(stopped.address, "+46701740698")
        began = time.monotonic()
        stopped.running.send_signal(signal.SIGINT)
        time.sleep(0.3)
        answer = late.try_to_dial(stopped.number, timeout=5)
        assert answer.status == 503
        assert int(answer.get("Retry-After")) > 0
        late.close()
        for person in (inside, waits, door):
            person.hears("service_stops", since=began)
            person.hears("goodbye", since=began)
            assert person.wait_end() == "bridge"
        stopped.stop()
        assert time.monotonic() - began < 20
        assert not (stopped.folder / "admin.sock").exists()
        legs = stopped.ask("cdr", "legs")
        assert sorted(leg["cause"] for leg in legs) == ["shutdown"] * 3
        sessions = stopped.ask("cdr", "sessions")
        assert [each["end_reason"] for each in sessions] == ["shutdown"]
        stopped.judge_log()
    finally:
        stopped.hang_up_all()
        stopped.clear_away()


def test_second_start_finds_everything_as_it_was(stopped: BridgeUnderTest) -> None:
    """Numbers, conference and PINs are the same after a stop and a start; nothing is made anew."""
    with stopped:
        first = stopped.operate("conference.list")
        numbers = stopped.operate("number.list")
    stopped.dialin("setup", "--seed-demo")
    with stopped:
        assert stopped.operate("conference.list") == first
        assert stopped.operate("number.list") == numbers
    mode = (stopped.folder / "master.key").stat().st_mode & 0o777
    assert mode == 0o600
    assert os.stat(stopped.folder).st_mode & 0o007 == 0  # noqa: PTH116 - as an operator looks
