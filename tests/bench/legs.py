"""Measure a media process alone: so many legs in so many conferences, all loud or a few of them.

It is driven through `bridge.media.client.MediaClient` as the control process drives it; the far
ends of the legs are one C program with a socket each. The media process has one core to itself, the
far ends the other. Right before and right after, a C program that only receives and sends the same
packets, one socket per leg, shows on the same core what the kernel's part of it costs: the floor.

  expected        packets that receivers should have had in the measured time, by RTP time stamps;
  received        those that came; the difference is also in `lost_share`.
  lost_by_bridge  what the media process counts itself: overflow of its receive buffers, ticks left
                  out times legs, send errors; from the first leg to the last.
  tick_ms         of all ticks of the measured time, to a quarter of a millisecond; what the 99th
                  percentile of its worst ten seconds was is in tick_p99_ms_worst.
  interarrival_ms between two packets of a leg, as the receivers saw it, to a millisecond.
  cores           of the media process; control_cores of what stands for the control process.
  floor_cores     mean of the floor before and after; ratio is cores to it. Judge by the ratio.
  generator       what the far ends failed at themselves: packets sent over 10 ms late, not sent, or
                  dropped by their receive buffers; generator_limited where they used over 80 % of
                  their core.
  missing_rx      packets that the far ends sent, less those that the legs' counters say were taken,
                  and those that came late: what waits in a socket when its leg is connected is.
  missing_tx      packets that the legs' counters say were sent, less those that came, or that the
                  far ends' own receive buffers dropped.
  packets_a_leg   fewest and most that a leg got while `ticks` ticks were made.
  heard           a sample of legs was recorded: in how many everybody else who talks in the room
                  was found and the leg itself was not. 1.0 is what one voice of an even mix
                  correlates with.
  largest         with --find: legs that the media process holds (see `largest.py`).
"""

import dataclasses
import resource
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from bridge.media.messages import (
    CloseLeg,
    LegMedia,
    LegStatistics,
    OpenLeg,
    Place,
    SharePort,
)
from bridge.media.ports import open_pair, widen
from bridge.media.telling import COUNTS_PER_MS
from tests.bench.codings import CODINGS
from tests.bench.cores import limited, machine
from tests.bench.floor import HOST, FarEnds, measure_floor
from tests.bench.media_process import MediaProcess, media_process
from tests.bench.programs import raise_file_limit, say
from tests.bench.sounds import hush, judge, period, speech

__all__ = ["Trial", "measure", "run", "spread"]

PORTS: Final = (16384, 32767)
"""Below the kernel's ports for clients, which the load generator takes."""

WARM_S = 3.0
"""Not measured: sources latch, rooms settle."""

FLOOR_S = 10.0
"""Longest measurement of the floor, before and after."""

DRAIN_S: Final = 0.5
"""From the last packet sent to the closing of the legs: what is under way arrives."""

WINDOW_S: Final = 10.0
"""The media process keeps the times of ten seconds of ticks: it is asked as often."""

SAMPLE: Final = 20
"""Legs that are recorded and listened to."""

SHARED_PORTS: Final = 8
"""As many as the bridge opens by default."""

FEW: Final = 3
"""Who talks in a room where few do."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One load.

    Args:
        legs: legs, at least two a room.
        rooms: rooms; legs go into them in turns.
        seconds: how long is measured, after some seconds to settle.
        codec: a name of `CODINGS`.
        talking: everybody, or three in a room.
        sockets: one a leg, or shared ports.
        sample: so many legs are listened to.
    """

    legs: int
    rooms: int
    seconds: float
    codec: str = "pcmu"
    talking: Literal["all", "few"] = "all"
    sockets: Literal["own", "shared"] = "own"
    sample: int = SAMPLE

    @property
    def talkers(self) -> int:
        """How many talk in the fullest room."""
        fullest = -(-self.legs // self.rooms)
        return fullest if self.talking == "all" else min(FEW, fullest)

    def room(self, leg: int) -> list[int]:
        """Return who talks in a leg's room, by row from 0."""
        return list(range(leg % self.rooms, self.legs, self.rooms))[: self.talkers]


def measure(trial: Trial) -> dict[str, Any]:
    """Measure one load, the floor before and after it.

    Args:
        trial: the load.

    Returns:
        What `scripts/bench legs --json` prints.

    Raises:
        LoadError: it could not be measured.
    """
    raise_file_limit(6 * trial.legs + 2048)
    with tempfile.TemporaryDirectory(prefix="dialin-bench-") as name:
        far_ends, sounds = prepare(trial, Path(name))
        silent = dataclasses.replace(far_ends, sample=0)
        floor_s = min(trial.seconds, FLOOR_S)
        say(f"the floor, {trial.legs} legs for {floor_s:.0f} s")
        before = measure_floor(silent, floor_s)
        say(f"the bridge, {trial.legs} legs in {trial.rooms} rooms for {trial.seconds:.0f} s")
        result = run(trial, far_ends)
        say("the floor again")
        after = measure_floor(silent, floor_s)
        result["heard"] = _listen(far_ends, sounds, trial)
    floor_cores = (before["cores"] + after["cores"]) / 2
    result["floor_cores"] = round(floor_cores, 3)
    result["ratio"] = round(result["cores"] / max(floor_cores, 1e-3), 2)
    result["floor"] = {"before": before, "after": after}
    result["machine"] = machine()
    result["ok"] = (
        result["lost_by_bridge"] == 0
        and result["missing_rx"] == result["missing_tx"] == 0
        and not result["errors"]
        and result["heard"]["right"] == result["heard"]["sample"]
    )
    return result


def prepare(trial: Trial, folder: Path) -> tuple[FarEnds, npt.NDArray[np.int16]]:
    """Make the sound of every leg.

    Args:
        trial: the load.
        folder: for its files.

    Returns:
        The far ends, and the sounds: int16, `(legs, samples)`.
    """
    samples = period(trial.talkers)
    # Too short a time to hear a whole period in, or a room too full to be told apart.
    heard = trial.sample and samples <= 8000 * trial.seconds
    sounds = speech(trial.legs, samples if heard else period(1))
    if trial.talking == "few":
        talkers = {row for leg in range(trial.rooms) for row in trial.room(leg)}
        hush(sounds, [row for row in range(trial.legs) if row not in talkers])
    coding = CODINGS[trial.codec]
    with (folder / "sound").open("wb") as file:
        for sound in sounds:
            file.write(coding.encode(sound).tobytes())
    sample = min(trial.sample, trial.legs) if heard else 0
    return FarEnds(
        trial.legs, folder / "sound", coding.payload_type, sample, folder / "heard"
    ), sounds


def run(trial: Trial, far_ends: FarEnds, module: str = "bridge.media") -> dict[str, Any]:
    """Measure the bridge alone.

    Args:
        trial: the load.
        far_ends: its far ends.
        module: what the media process runs.

    Returns:
        The part of the result that is about the bridge.

    Raises:
        LoadError: it could not be measured.
    """
    legs, seconds = trial.legs, trial.seconds
    longest = seconds + WARM_S + DRAIN_S + 40
    with media_process(module) as media, far_ends.program(longest, idle=media.hear) as far:
        media.wait(lambda: media.ready, "a sign of life")
        ports = _open(media, trial, far.answer(20.0)["ports"])
        media.asked()  # all commands before it are carried out
        far.tell(" ".join(map(str, ports)))
        media.hear(WARM_S)
        before, far_before = media.asked(), far.mark()
        began, control_before = time.monotonic(), _own_cpu_seconds()
        while (left := began + seconds - time.monotonic()) > 0:
            media.hear(min(left, WINDOW_S))
            if left > WINDOW_S:
                media.asked()
        after, far_after = media.asked(), far.mark()
        control = _own_cpu_seconds() - control_before
        took = far_after["at"] - far_before["at"]
        far.tell("stop")
        media.hear(DRAIN_S)
        for leg in range(1, legs + 1):
            media.tell(CloseLeg(leg=leg))
        media.wait(lambda: len(media.closed) == legs, "the last words of every leg")
        last = media.asked()
        media.hear(DRAIN_S)
        told = far.finish()
    windows = [each for each in media.statistics if each.ticks > before.ticks]
    rx = _total(media.closed, "packets_rx")
    tx = _total(media.closed, "packets_tx")
    expected, received = far_after["window_expected"], far_after["window_received"]
    generator_cores = (far_after["cpu_seconds"] - far_before["cpu_seconds"]) / took
    return {
        "legs": legs,
        "conferences": trial.rooms,
        "seconds": round(took, 1),
        "codec": trial.codec,
        "talking": trial.talking,
        "sockets": trial.sockets,
        "expected": expected,
        "received": received,
        "lost_share": round(1 - received / max(1, expected), 6),
        "lost_by_bridge": last.lost_by_bridge,
        "tick_ms": {
            **spread(np.array(after.tick_counts) - np.array(before.tick_counts)),
            "max": round(max(each.tick_ms_max for each in windows), 2),
        },
        "tick_p99_ms_worst": round(max(each.tick_ms_p99 for each in windows), 2),
        "interarrival_ms": far_after["interarrival_ms"],
        "cores": round((after.cpu_seconds - before.cpu_seconds) / took, 3),
        "control_cores": round(control / took, 3),
        "generator_cores": round(generator_cores, 3),
        "generator_limited": limited(generator_cores),
        "stages_ms": {name: round(value, 2) for name, value in after.stages_ms.items()},
        "rxq_overflow": last.counters["rxq_overflow"],
        "jumped_ticks": last.counters["jumped_ticks"],
        "jumped_leg_ticks": last.counters["jumped_leg_ticks"],
        "send_errors": last.counters["send_errors"],
        "late_ticks": last.counters["late_ticks"],
        "stage_faults": last.counters["stage_faults"],
        "sent_to_bridge": told["sent"],
        "taken_by_bridge": rx,
        "missing_rx": max(0, told["sent"] - rx - last.counters["late"]),
        "sent_by_bridge": tx,
        "received_from_bridge": told["received"],
        "missing_tx": tx - told["received"] - told["dropped"],
        "sequence_gaps": told["missing"],
        "heard_late": last.counters["late"],
        "concealed_frames": _total(media.closed, "concealed_frames"),
        "ticks": after.ticks - before.ticks,
        "packets_a_leg": [far_after["received_least"], far_after["received_most"]],
        "generator": {
            "late": told["late"],
            "latest_ms": far_after["latest_ms"],
            "send_errors": told["send_errors"],
            "refused": told["refused"],
            "dropped": told["dropped"],
        },
        "errors": media.errors[:10],
    }


def spread(counts: npt.NDArray[np.int64]) -> dict[str, float]:
    """Return percentiles of ticks that were counted by the time they took.

    Args:
        counts: int64, by `telling.COUNTS_PER_MS`.

    Returns:
        `p50` and `p99`, each the end of the step that it lies in [ms].
    """
    up_to = np.cumsum(counts)
    return {
        name: float(np.searchsorted(up_to, share * up_to[-1]) + 1) / COUNTS_PER_MS
        for name, share in (("p50", 0.5), ("p99", 0.99))
    }


def _open(media: MediaProcess, trial: Trial, far_ports: list[int]) -> list[int]:
    """Open a leg for each far port, room by room in turns; return the bridge's ports."""
    coding = CODINGS[trial.codec]
    shared = _share(media) if trial.sockets == "shared" else []
    ports = []
    for leg, far_port in enumerate(far_ports, 1):
        description = LegMedia(
            codec=coding.codec,
            payload_type=coding.payload_type,
            dtmf_payload_type=101,
            remote_rtp=(HOST, far_port),
        )
        opening = OpenLeg(leg=leg, media=description, ssrc=leg, cname=f"bench{leg}")
        if shared:
            index = leg % len(shared)
            media.tell(msgspec.structs.replace(opening, shared_port=index))
            ports.append(shared[index])
        else:
            pair = open_pair(HOST, *PORTS)
            media.tell(opening, (pair.rtp.fileno(), pair.rtcp.fileno()))
            pair.close()
            ports.append(pair.port)
        media.tell(Place(leg=leg, room=1 + (leg - 1) % trial.rooms))
    return ports


def _share(media: MediaProcess) -> list[int]:
    """Hand shared ports over; return their numbers."""
    ports = []
    for index in range(SHARED_PORTS):
        pair = open_pair(HOST, *PORTS)
        widen(pair)
        media.tell(SharePort(port=index), (pair.rtp.fileno(), pair.rtcp.fileno()))
        pair.close()
        ports.append(pair.port)
    return ports


def _own_cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _total(closed: dict[int, LegStatistics], name: str) -> int:
    return sum(int(getattr(each, name)) for each in closed.values())


def _listen(far_ends: FarEnds, sounds: npt.NDArray[np.int16], trial: Trial) -> dict[str, Any]:
    """Compare what some legs received in the middle of the measurement with what all sent."""
    sample, samples = far_ends.sample, sounds.shape[1]
    found = []
    if sample:
        recordings = np.fromfile(far_ends.heard, np.uint8).reshape(sample, -1)
        start = int(8000 * (WARM_S + max(0.0, trial.seconds - samples / 8000) / 2))
        decode = CODINGS[trial.codec].decode
        for leg in range(sample):
            recording = decode(recordings[leg, start : start + samples])
            found.append(judge(recording, sounds, leg, trial.room(leg)))
    return {
        "sample": sample,
        "right": sum(each.right for each in found),
        "others": sum(each.others for each in found),
        "others_missed": sum(each.missed for each in found),
        "weakest_other": min((each.weakest for each in found), default=None),
        "loudest_self": max((each.own for each in found), default=None),
    }
