"""scripts/bench measures what it says: small measurements, none of them timed."""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytest

from bridge.media.tick import Tick
from tests.bench import calls, draining, floor, keys, largest, legs, phones, rtcp
from tests.bench.__main__ import main
from tests.bench.codings import CODINGS
from tests.bench.profiled import where
from tests.bench.programs import LoadError, LoadProgram
from tests.bench.sounds import PERIOD, judge, period, speech
from tests.support import g711

ROOT = Path(__file__).parents[2]
BENCH = ROOT / "scripts" / "bench"
HOST = "127.0.0.1"


@pytest.fixture(scope="module", autouse=True)
def programs() -> None:
    """Compile the load programs."""
    subprocess.run([BENCH, "--install"], check=True, timeout=100, stdin=subprocess.DEVNULL)


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """Return a lock of the test's own: a real measurement must not hold tests up."""
    path = tmp_path / "lock"
    path.touch()
    return path


def environment(lock: Path, **more: str) -> dict[str, str]:
    """Return an environment for scripts/bench."""
    return {**os.environ, "BENCH_LOCK": str(lock), **more}


def bench(lock: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run scripts/bench to its end."""
    return subprocess.run(
        [BENCH, *arguments],
        env=environment(lock, **more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def processes(mark: str) -> Iterator[int]:
    """Find processes by a variable in their environment."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                variables = (entry / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if mark.encode() in variables:
                yield int(entry.name)


def programs_of(mark: str) -> set[str]:
    """Return the names of the programs that run with a variable in their environment."""
    found = set[str]()
    for pid in processes(mark):
        with contextlib.suppress(OSError):  # it has just gone
            found.add(Path(f"/proc/{pid}/comm").read_text(encoding="ascii").strip())
    return found


# --- the script -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "options"),
    [
        (
            "legs",
            [
                "--legs",
                "--rooms",
                "--seconds",
                "--codec",
                "--talking",
                "--sockets",
                "--find",
                "lost",
            ],
        ),
        ("profile", ["--legs", "--sockets", "stages_ms"]),
        ("calls", ["--calls", "--rate", "--peak", "admitted_at"]),
        ("phones", ["--phones", "--legs", "doctor"]),
        ("faults", ["--legs", "--rooms", "--kills", "--cases", "machine_stall_ms"]),
        ("soak", ["--minutes", "--legs", "memory_mb"]),
        ("drain", ["--calls", "back_in"]),
        ("keys", ["--legs", "--room", "--times", "effect_ms"]),
    ],
)
def test_help_says_what_is_measured(lock: Path, command: str, options: list[str]) -> None:
    """Every command has a help that names its options and where its numbers come from."""
    result = bench(lock, command, "--help")
    assert result.returncode == 0, result.stderr
    assert all(option in result.stdout for option in [*options, "--json"]), result.stdout


def test_unknown_command_is_refused(lock: Path) -> None:
    """What is not known is said, with what is."""
    result = bench(lock, "lags")
    assert result.returncode == 2
    assert (
        "lags: legs, profile, calls, phones, talkoff, guards, quality, delay, faults, rtcp, soak,"
        in result.stderr
    )


def test_second_measurement_gives_up_waiting(lock: Path) -> None:
    """Two measurements never overlap: the second waits, says so, and goes after its time."""
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        result = bench(lock, "legs", "--legs", "4", "--rooms", "2", BENCH_WAIT="1")
    assert result.returncode == 2
    assert "another measurement runs" in result.stderr
    assert "did not end in 1 s" in result.stderr
    assert not result.stdout


def test_measurement_waits_for_its_turn_and_leaves_nothing_behind(lock: Path) -> None:
    """One that waited for another goes on after it; SIGTERM ends all that it has started."""
    name, value = "BENCH_TEST", uuid.uuid4().hex
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        running = subprocess.Popen(
            [BENCH, "legs", "--legs", "4", "--rooms", "2", "--seconds", "60"],
            env=environment(lock, **{name: value}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert running.stderr is not None
        assert "another measurement runs" in running.stderr.readline()
        assert not programs_of(f"{name}={value}") & {"rtpgen", "python"}
        fcntl.flock(held, fcntl.LOCK_UN)
        deadline = time.monotonic() + 60
        while "rtpgen" not in programs_of(f"{name}={value}"):
            assert running.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=60)
    assert running.returncode == 130
    assert not programs_of(f"{name}={value}")


# --- what is counted ------------------------------------------------------------------------------


def media_process(mark: str) -> int:
    """Return the media process that this process started."""
    while True:
        for pid in processes(mark):
            if b"bridge.media" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
        time.sleep(0.05)


def sockets_of(pid: int) -> int:
    """Return how many sockets a process has open."""
    found = 0
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):  # it has just been closed
            found += link.readlink().name.startswith("socket:")
    return found


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure with as little about it as may be."""
    monkeypatch.setattr(legs, "WARM_S", 1.0)
    monkeypatch.setattr(floor, "WARM_S", 0.2)
    monkeypatch.setattr(legs, "FLOOR_S", 0.5)
    monkeypatch.setattr(largest, "TRIAL_S", 0.5)
    monkeypatch.setattr(calls, "LEAST_STAY_S", 3.5)
    monkeypatch.setattr(phones, "SPARE", 1)
    monkeypatch.setattr(phones, "BEYOND", 1)
    monkeypatch.setattr(draining, "GOES_ON_S", 0.5)


@pytest.mark.parametrize("sockets", ["own", "shared"])
def test_what_is_measured_of_legs_adds_up(
    brief: None, capsys: pytest.CaptureFixture[str], sockets: str
) -> None:
    """Every packet is accounted for, and who should be heard is looked for."""
    arguments = ["--legs", "8", "--rooms", "2", "--seconds", "2", "--sockets", sockets]
    code = main(["legs", *arguments, "--json"])
    result = json.loads(capsys.readouterr().out)
    assert code == (0 if result["ok"] else 1)
    assert result["lost_by_bridge"] == (
        result["rxq_overflow"] + result["jumped_leg_ticks"] + result["send_errors"]
    )
    not_taken = result["sent_to_bridge"] - result["taken_by_bridge"]
    assert 0 <= not_taken <= result["missing_rx"] + result["heard_late"]
    assert result["sent_to_bridge"] >= 8 * 90
    assert result["received_from_bridge"] >= 8 * 90
    assert 8 * 90 <= result["received"] <= result["expected"] <= 8 * 110
    for part in ("before", "after"):
        assert result["floor"][part]["sent"] >= 8 * 10
        assert result["floor"][part]["lost"] == 0
    assert {"legs", "conferences", "seconds", "cores", "floor_cores", "ratio"} <= set(result)
    assert (result["legs"], result["conferences"], result["sockets"]) == (8, 2, sockets)
    assert result["generator_limited"] is False
    assert set(result["interarrival_ms"]) == {"p50", "p99", "max"}
    assert 15 < result["interarrival_ms"]["p50"] < 25
    assert result["heard"]["others"] == 8 * 3
    assert set(result["tick_ms"]) == {"p50", "p99", "max"}
    assert (
        0 < result["tick_ms"]["p50"] <= result["tick_ms"]["p99"] < result["tick_ms"]["max"] + 0.25
    )
    assert {"receive", "mix", "send"} <= set(result["stages_ms"])
    assert {"late", "send_errors", "dropped"} <= set(result["generator"])


def test_percentiles_of_counted_ticks_are_those_of_the_ticks() -> None:
    """To the quarter of a millisecond by which they are counted."""
    took = np.random.default_rng(4).gamma(20, 0.35, 3000)
    counts = np.bincount((4 * took).astype(int), minlength=241)
    found = legs.spread(counts)
    assert found["p50"] == pytest.approx(np.percentile(took, 50), abs=0.25)
    assert found["p99"] == pytest.approx(np.percentile(took, 99), abs=0.25)


def test_a_place_has_a_line_where_python_knows_none() -> None:
    """An instruction that belongs to no line of the source is put down to the first of all."""

    class Frame:
        f_code = Tick.run.__code__
        f_lineno = None
        f_back = None

    stage, place = where(cast("Any", Frame())) or ("", "")
    assert (stage, place) == ("run", f"tick.py:{Tick.run.__code__.co_firstlineno} Tick.run")


def test_a_profile_names_stages_and_the_lines_that_take_their_time(
    brief: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where samples fell adds up to one, and the sockets' own lines are among them."""
    arguments = ["--legs", "60", "--rooms", "2", "--seconds", "3"]
    assert main(["profile", *arguments, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    stages = result["stages"]
    assert {"receive", "decode", "mix", "send"} <= set(stages)
    assert sum(stage["share"] for stage in stages.values()) == pytest.approx(1, abs=0.05)
    assert any("own_sockets.py" in line for line in stages["receive"]["lines"])
    assert 0 < result["user_share"] < 1


def test_ticks_that_were_not_made_are_lost_packets(
    brief: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A media process that is stopped for half a second loses what its own counters say."""
    value = uuid.uuid4().hex
    monkeypatch.setenv("BENCH_TEST", value)

    def stop_for_a_while() -> None:
        pid = media_process(f"BENCH_TEST={value}")
        # Not before it has its legs: a machine in a hurry starts it slowly.
        while sockets_of(pid) < 8:
            time.sleep(0.05)
        time.sleep(0.2)
        os.kill(pid, signal.SIGSTOP)
        time.sleep(0.5)
        os.kill(pid, signal.SIGCONT)

    hand = threading.Thread(target=stop_for_a_while, daemon=True)
    hand.start()
    result = legs.measure(legs.Trial(4, 2, 1, sample=0))
    hand.join(10)
    assert result["jumped_ticks"] >= 15
    assert result["jumped_leg_ticks"] == 4 * result["jumped_ticks"]
    assert result["lost_by_bridge"] >= result["jumped_leg_ticks"]
    assert not result["ok"]


def test_generator_counts_gaps_in_what_it_receives(tmp_path: Path) -> None:
    """Packets 0, 1, 4 are two missing, seven by time: ticks left out count. The rest is odd."""
    (tmp_path / "sound").write_bytes(bytes([0xFF]) * 320)
    far = (HOST, 1, tmp_path / "sound", 1, tmp_path / "heard", 10, 0)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bridge,
        LoadProgram("rtpgen", *far) as program,
    ):
        bridge.bind((HOST, 0))
        bridge.settimeout(10)
        (port,) = program.answer(10)["ports"]
        program.tell(str(bridge.getsockname()[1]))
        first = bridge.recv(2048)
        for sequence, tick in ((0, 0), (1, 1), (4, 6)):
            header = struct.pack("!BBHII", 0x80, 0, sequence, 160 * tick, 7)
            bridge.sendto(header + bytes(160), (HOST, port))
        others = (b"no RTP", bytes([0x80, 200, 0, 6]) + bytes(24))
        for other in others:
            bridge.sendto(other, (HOST, port))
        bridge.recv(2048)
        bridge.recv(2048)
        deadline = time.monotonic() + 10
        marks = [program.mark()]
        while marks[-1]["odd"] < len(others) and time.monotonic() < deadline:
            marks.append(program.mark())
        told = program.finish()
    assert len(first) == 172
    assert (told["received"], told["missing"], told["odd"]) == (3, 2, len(others))
    assert sum(each["window_received"] for each in marks) == 3
    assert sum(each["window_expected"] for each in marks) == 7
    heard = np.fromfile(tmp_path / "heard", np.uint8)
    assert not heard[:320].any()
    assert (heard[320:960] == 0xFF).all()
    assert not heard[960:1120].any()


@pytest.mark.parametrize(
    ("mixed", "right", "missed"),
    [([1, 2, 3], True, 0), ([1, 3], False, 1), ([0, 1, 2, 3], False, 0), ([], False, 3)],
    ids=["the others", "one is missing", "itself too", "silence"],
)
def test_who_is_heard_is_told_by_the_sound(mixed: list[int], right: bool, missed: int) -> None:  # noqa: FBT001 - a parameter of the test
    """A leg must hear everybody else and not itself, whatever the delay."""
    sounds = speech(4)
    total = np.roll(sounds[mixed].astype(np.int32).sum(axis=0), 777)
    samples = np.clip(total, -32768, 32767).astype(np.int16).reshape(PERIOD)
    recording = g711.decode(bytes(g711.encode(samples, g711.PCMU)), g711.PCMU)
    found = judge(recording, sounds, 0, [0, 1, 2, 3])
    assert (found.right, found.missed) == (right, missed), found


def test_one_missing_of_a_hundred_is_found() -> None:
    """In a full room each part is small; the longer period makes it stand out of chance."""
    sounds = speech(100, period(100))
    total = np.roll(sounds[2:].astype(np.int32).sum(axis=0), 777)
    samples = np.clip(total // 8, -32768, 32767).astype(np.int16)
    found = judge(samples, sounds, 0, list(range(100)))
    assert (found.others, found.missed) == (50, 1)
    assert found.own < 0.5


def test_few_talkers_leave_a_room_quiet_but_for_them(tmp_path: Path) -> None:
    """Three of a room's five talk, the others send the noise of a quiet room, in their codec."""
    trial = legs.Trial(10, 2, 2, codec="pcma", talking="few")
    far_ends, sounds = legs.prepare(trial, tmp_path)
    level = np.sqrt((sounds.astype(np.float64) ** 2).mean(axis=1))
    assert (level[:6] > 1000).all()
    assert (level[6:] < 30).all()
    assert far_ends.payload_type == 8
    sent = np.fromfile(far_ends.sound, np.uint8).reshape(10, PERIOD)
    assert np.array_equal(g711.decode(sent[0].tobytes(), g711.PCMA)[:100] > 0, sounds[0][:100] > 0)


@pytest.mark.parametrize("codec", sorted(CODINGS))
def test_every_codec_carries_sound_in_octets_of_eight_a_millisecond(codec: str) -> None:
    """What a far end sends can be told apart by whoever hears it, at 160 octets a frame."""
    coding, sound = CODINGS[codec], speech(1)[0]
    octets = coding.encode(sound)
    assert len(octets) == len(sound)
    found = judge(coding.decode(octets), speech(2), 1, [0, 1])
    assert found.right, found


@pytest.mark.parametrize(("limit", "first"), [(1234, 200), (1234, 3000), (55, 1000), (7999, 500)])
def test_the_largest_load_is_found_within_a_twentieth(limit: int, first: int) -> None:
    """Whatever it is and wherever the search begins; a stumble of the machine does not matter."""
    asked: list[int] = []

    def attempt(legs: int) -> tuple[bool, dict[str, int]]:
        asked.append(legs)
        stumbles = len(asked) == 2
        return legs <= limit and not stumbles, {"legs": legs}

    found, at, exhausted = largest.search(attempt, first, 10, time.monotonic() + 60)
    assert found <= limit <= found * 1.05 + 10
    assert at == {"legs": found}
    assert not exhausted
    assert len(asked) < 25


def test_a_search_ends_in_time() -> None:
    """What was found until then stands, and that time ran out is told."""
    found, _, exhausted = largest.search(lambda legs: (legs < 500, {}), 200, 10, time.monotonic())
    assert (found, exhausted) == (0, True)


# --- whole bridges --------------------------------------------------------------------------------


def test_calls_are_answered_admitted_and_recorded(
    brief: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each call gets in by its PIN, and what was measured of it is in the result."""
    code = main(["calls", "--calls", "4", "--rate", "8", "--peak", "4", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert code == (0 if found["ok"] else 1)
    assert found["calls"] == found["answered"] == found["admitted"] == found["heard"] == 4
    assert (found["lost"], found["peak"]) == (0, 4)
    for name in ("answer_ms", "admit_ms", "heard_ms"):
        assert 0 < found[name]["p50"] <= found[name]["p99"], found
    assert found["cores"] > 0
    assert found["generator"]["rtp_received"] > 4 * 100


def test_phones_above_the_limit_are_refused_and_explained(brief: None) -> None:
    """Two phones and a leg stay up while a phone too many is refused, and doctor says why."""
    found = phones.measure(2, 1)
    assert (found["phones_up"], found["closed"], found["phones_lost"]) == (2, 0, 0)
    assert (found["beyond"]["got_in"], found["beyond"]["refused"]) == (1, 1)
    assert "refused for want of room: 1" in found["beyond"]["doctor"]["text"]
    assert "sip.max_tcp" in found["beyond"]["doctor"]["advice"]
    assert found["legs"]["live"] == found["legs"]["heard"] == 1


def test_a_drain_is_judged_by_who_is_cut_and_who_gets_back(brief: None) -> None:
    """Three calls stay up, one of them drops out and returns, and the bridge ends by itself."""
    found = draining.measure(3)
    assert found["ok"], found
    assert (found["calls"], found["cut"], found["other_started"]) == (3, 0, 0)
    assert found["back_in"]
    assert found["exit_code"] == found["drain_exit_code"] == 0


def test_a_hosts_command_is_timed_at_each_of_the_others(brief: None) -> None:
    """Mute all in a conference of eleven: each of ten hears it, unless packets come too late.

    A busy machine's do, and what a listener hears then is not steady: that is told, and no fault.
    A moment may spoil it for all ten, so there are three commands.
    """
    found = keys.measure(10, None, 3)
    assert (found["legs"], found["hosts"]) == (10, 1)
    assert 1 <= found["commands"] <= 3
    assert found["measured"] >= 1
    assert (found["measured"] + found["unsettled"], found["missed"]) == (30, 0)
    assert 0 < found["effect_ms"]["p50"] <= found["effect_ms"]["p99"] < 1000
    assert found["speech_ms"].keys() == found["effect_ms"].keys()


def test_effects_that_are_missing_or_could_not_be_seen_are_told() -> None:
    """Neither counts for a time; and where nobody hears anything there is no result."""
    rows = [(0, 40.0, 1), (0, 44.0, 1), (1, 60.0, 0), (1, -1.0, 0), (2, -2.0, 0)]
    found = keys._judge(rows, [(0, 30.0, 0)])
    assert (found["measured"], found["missed"], found["unsettled"]) == (3, 1, 1)
    assert (found["effect_ms"]["max"], found["of_loud_ms"]["max"]) == (60.0, 44.0)
    assert (found["commands"], found["command_ms"]["p50"]) == (2, 60.0)
    assert found["speech_ms"]["p50"] == 30.0
    with pytest.raises(LoadError, match="no command was heard"):
        keys._judge([(0, -1.0, 1)], [])


@pytest.mark.parametrize(
    ("becomes", "changed"),
    [("0", False), ("speech", True), ("louder", False), ("one voice less", False)],
)
def test_a_change_is_told_from_what_repeats(
    tmp_path: Path,
    becomes: str,
    changed: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """The ear of the load, fed by a program of its own: what is none of its business is none."""
    program = tmp_path / "ear"
    source = tmp_path / "ear.c"
    source.write_text(EAR, encoding="ascii")
    load = Path(__file__).parent / "load"
    subprocess.run(["gcc", "-std=gnu11", f"-I{load}", "-o", program, source], check=True)
    room = speech(20, 8000).astype(np.int32)
    now = {
        "0": room.sum(axis=0),
        "speech": speech(1, 8000, seed=9)[0],
        "louder": room.sum(axis=0) * 1.2,
        "one voice less": room[1:].sum(axis=0),
    }[becomes]
    before = g711.encode(_fitting(room.sum(axis=0)), g711.PCMU)
    after = g711.encode(_fitting(now), g711.PCMU)
    told = subprocess.run(
        [program], input=before * 3 + after, capture_output=True, check=True, timeout=10
    ).stdout
    assert told == (b"1 3000000\n" if changed else b"1 0\n")


EAR = """
#include "ear.h"
#include <stdlib.h>
static struct ear ear;
int main(void) {
    static int16_t expand[256];
    uint8_t octets[FRAME];
    int could = 0;
    for (int code = 0; code < 256; code++) {
        int u = ~code & 255, value = ((((u & 15) << 3) + 132) << ((u & 112) >> 4)) - 132;
        expand[code] = (int16_t)(u & 128 ? -value : value);
    }
    for (int k = 0; fread(octets, FRAME, 1, stdin) == 1; k++) {
        if (k == 3 * PERIOD - 1) could = ear_wait(&ear);
        ear_take(&ear, (uint16_t)(65500 + k), octets, expand, k * 20000L);
    }
    printf("%d %ld\\n", could, (long)ear.at);
    return 0;
}
"""


def _fitting(samples: np.ndarray[tuple[int, ...], np.dtype[Any]]) -> npt.NDArray[np.int16]:
    """Return samples a quarter as loud, as int16."""
    return np.clip(samples / 4, -32768, 32767).astype(np.int16)


@pytest.mark.skipif(
    shutil.which("dumpcap") is None or shutil.which("tshark") is None or os.geteuid() != 0,
    reason="captures with dumpcap as root and reads with tshark",
)
def test_what_the_bridge_counts_is_what_tshark_counts() -> None:
    """Every line, in little: counts to the packet, reports whole, BYE at the end."""
    result = rtcp.measure(6)
    assert [row["line"] for row in result["rows"]] == [line.name for line in rtcp.LINES]
    for row in result["rows"]:
        for name in rtcp.EXACT:
            ours, theirs = row[name]
            assert ours == theirs, (row["line"], name)
        assert row["reports"]["sent"] == row["reports"]["whole"] > 0
        assert row["reports"]["last"] == "200,202,203"
        assert row["cname"] == {"characters": 16, "different": 1}
    assert result["rtcp_malformed"] == 0


def test_tsharks_table_of_streams_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the codec's name, and however the columns run into each other."""
    table = """
========================= RTP Streams ========================
   Start time      End time     Src IP addr  Port    Dest IP addr  Port       SSRC
 0.00 9.98 127.0.0.1 27114 127.0.0.1 16384 0x5EED g711U 990 10 (1.0%) 0.1 20.1 40.2 0.01 0.49 2.37
 0.00 9.98 127.0.0.1 16384 127.0.0.1 27114 0x1 ITU-T G.722 1000 0 (0.0%) 0.1 20 21.0 0 0.10 0.20
==============================================================
"""
    monkeypatch.setattr(rtcp, "_tshark", lambda *_: table.splitlines())
    streams = rtcp._streams(Path(), [])
    lossy, clean = streams[27114, 16384], streams[16384, 27114]
    assert (lossy.packets, lossy.lost, lossy.jitter_mean, lossy.jitter_max) == (990, 10, 0.49, 2.37)
    assert (clean.packets, clean.lost, clean.jitter_mean, clean.jitter_max) == (1000, 0, 0.1, 0.2)
