"""What is done to media processes, and what is measured of it: small, and not timed."""

import json
import socket
import struct
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.bench import faults, soak
from tests.bench.__main__ import main
from tests.bench.programs import LoadProgram

ROOT = Path(__file__).parents[2]
HOST = "127.0.0.1"


@pytest.fixture(scope="module", autouse=True)
def programs() -> None:
    """Compile the load programs."""
    subprocess.run(
        [ROOT / "scripts" / "bench", "--install"],
        check=True,
        timeout=100,
        stdin=subprocess.DEVNULL,
    )


def rtp(sequence: int, ssrc: int) -> bytes:
    """Return a packet."""
    return struct.pack("!BBHII", 0x80, 0, sequence, 160 * sequence, ssrc) + bytes(160)


def test_generator_tells_each_legs_longest_gap_and_another_source(tmp_path: Path) -> None:
    """Two legs: one is left alone for a while and goes on as another stream, one hears nothing."""
    (tmp_path / "sound").write_bytes(bytes([0xFF]) * 640)
    far = (HOST, 2, tmp_path / "sound", 0, tmp_path / "heard", 20, 0)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bridge,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as elsewhere,
        LoadProgram("rtpgen", *far) as program,
    ):
        for each in (bridge, elsewhere):
            each.bind((HOST, 0))
            each.settimeout(10)
        ports = program.answer(10)["ports"]
        program.tell(f"{bridge.getsockname()[1]} {bridge.getsockname()[1]}")
        bridge.recv(2048)
        bridge.sendto(rtp(0, 7), (HOST, ports[0]))
        time.sleep(0.3)
        bridge.sendto(rtp(1, 8), (HOST, ports[0]))
        while program.mark()["received"] < 2:
            time.sleep(0.01)
        program.tell("gaps")
        told = program.answer(10)
        assert told["gaps_ms"][0] > 250
        assert told["gaps_ms"][1] == 0
        assert (told["silent"], told["sources_changed"]) == (1, 1)
        # Sent elsewhere, a leg begins anew: the time until then is no gap, the source not changed.
        program.tell(f"to 0 {elsewhere.getsockname()[1]}")
        elsewhere.recv(2048)
        elsewhere.sendto(rtp(99, 9), (HOST, ports[0]))
        while program.mark()["received"] < 3:
            time.sleep(0.01)
        program.tell("gaps")
        told = program.answer(10)
        assert (told["gaps_ms"][0], told["sources_changed"]) == (0, 1)


@pytest.mark.parametrize("kind", ["storm", "late", "fast"])
def test_a_leg_behaves_as_badly_as_is_said(kind: str) -> None:
    """Before it begins, as any other; then by number and sequence."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bridge,
        LoadProgram("oddgen", HOST, kind, 20) as program,
    ):
        bridge.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        bridge.bind((HOST, 0))
        bridge.settimeout(10)
        program.answer(10)
        program.tell(str(bridge.getsockname()[1]))
        first, second = (struct.unpack_from("!HI", bridge.recv(2048), 2) for _ in range(2))
        assert second[0] - first[0] == 1
        assert second[1] - first[1] == 160
        program.tell("b")
        behind: Counter[int] = Counter()
        highest = second[0]
        for _ in range(400):
            number, stamp = struct.unpack_from("!HI", bridge.recv(2048), 2)
            step = (number - highest + 0x8000 & 0xFFFF) - 0x8000
            assert stamp == (second[1] + 160 * (highest + step - second[0])) & 0xFFFF_FFFF
            highest = max(highest, number) if step < 0x4000 else highest
            behind[min(step, 1)] += 1
        program.tell("e")
        assert program.answer(10)["odd"] > 0
    if kind == "late":
        late = sum(count for step, count in behind.items() if step < -40)
        assert late > 0.9 * 400
    else:
        assert behind == {1: 400}


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settle and wait less: nothing here is timed."""
    monkeypatch.setattr(faults, "ODD_S", 0.5)
    monkeypatch.setattr(faults, "BETWEEN_S", 0.2)


@pytest.mark.usefixtures("brief")
def test_no_leg_is_lost_whatever_is_done_to_its_process(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each harm is done, and what the legs noticed is told."""
    code = main(["faults", "--legs", "6", "--rooms", "2", "--kills", "2", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert code == 0, found
    for case in faults.CASES:
        assert found[case]["calls_lost"] == 0
        assert found[case]["gap_ms"]["p50"] <= found[case]["gap_ms"]["max"]
        assert found[case]["machine_stall_ms"] >= 0
    for case in ("kill", "stop"):
        assert found[case]["kills"] == 2
        assert found[case]["streams_changed"] == 0
        # At most the one packet of each leg that was written down and not sent.
        assert found[case]["numbers_missing"] <= 1
        assert found[case]["gap_ms"]["max"] > 20
    assert found["stop"]["gap_ms"]["p50"] > found["stop"]["heartbeat_ms"]
    assert found["storm"]["odd_packets"] > found["fast"]["odd_packets"]


def test_a_soak_counts_who_came_and_went(capsys: pytest.CaptureFixture[str]) -> None:
    """And looks at memory and descriptors meanwhile; so short a time says nothing about growth."""
    found = soak.measure(0.1, 4)
    assert found["came_and_went"] > 10
    assert found["calls_lost"] == found["replaced"] == found["stage_faults"] == 0
    assert found["memory_mb"]["first"] > 10
    assert found["descriptors"]["media"]["last"] >= 4 * 2
    assert not capsys.readouterr().out
