"""Measure a media process alone: so many legs, all loud, in so many rooms.

It is driven through `bridge.media.client.MediaClient` as the control process drives it; the far
ends of the legs are one C program with a socket each. Afterwards, in the same run, a C program that
only receives and sends the same packets shows what the kernel's part of it costs: the floor.

  lost_by_bridge  what the media process counts itself: overflow of its receive buffers, ticks left
                  out times legs, send errors; from the first leg to the last.
  missing_rx      packets that the far ends sent, less those that the legs' counters say were taken.
  missing_tx      packets that the legs' counters say were sent, less those that came, or that the
                  far ends' own receive buffers dropped.
  generator       what the far ends failed at themselves: packets sent over 10 ms late, not sent, or
                  dropped by their receive buffers.
  tick_ms         of the worst ten seconds.
  packets_a_leg   fewest and most that a leg got while `ticks` ticks were made.
  heard           a sample of legs was recorded: in how many everybody else in the room was found
                  and the leg itself was not. 1.0 is what one voice of an even mix correlates with.
  cores, ratio    of the media process, and in proportion to the floor's.
"""

import contextlib
import select
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from bridge.media.client import MediaClient
from bridge.media.messages import (
    CloseLeg,
    Command,
    EngineError,
    EngineStatistics,
    Event,
    LegClosed,
    LegMedia,
    LegStatistics,
    OpenLeg,
    Place,
    Ready,
    Statistics,
)
from bridge.media.ports import MediaPair, open_pair
from tests.bench.programs import LoadError, LoadProgram, raise_file_limit
from tests.bench.sounds import PERIOD, judge, speech
from tests.support import g711

__all__ = ["measure"]

HOST: Final = "127.0.0.1"
PORTS: Final = (16384, 32767)
"""Below the kernel's ports for clients, which the load generator takes."""

WARM_S = 3.0
"""Not measured: sources latch, rooms settle."""

FLOOR_WARM_S = 1.0
FLOOR_S = 20.0
"""Longest measurement of the floor."""

DRAIN_S: Final = 0.5
"""From the last packet sent to the closing of the legs: what is under way arrives."""

WINDOW_S: Final = 10.0
"""The media process keeps the times of ten seconds of ticks: it is asked as often."""

SAMPLE: Final = 20
"""Legs that are recorded and listened to."""


class _Media:
    """A media process and what it said."""

    def __init__(self) -> None:
        self.client = MediaClient.start()
        self.ready = False
        self.statistics: list[EngineStatistics] = []
        self.closed: dict[int, LegStatistics] = {}
        self.errors: list[str] = []

    def hear(self, seconds: float = 0.0) -> None:
        """Take what it says, for so long."""
        deadline = time.monotonic() + seconds
        while True:
            left = max(0.0, deadline - time.monotonic())
            select.select([self.client], [], [], min(left, 0.05))
            for event in self.client.receive():
                self._take(event)
            if not left:
                return

    def _take(self, event: Event) -> None:
        match event:
            case Ready():
                self.ready = True
            case EngineStatistics():
                self.statistics.append(event)
            case LegClosed(leg=leg, statistics=statistics):
                self.closed[leg] = statistics
            case EngineError(what=what):
                self.errors.append(what)
            case _:
                pass

    def tell(self, command: Command, pair: MediaPair | None = None) -> None:
        """Send a command, hearing the process while its queue is long."""
        while self.client.pending > 64:
            self.hear(0.02)
        fds = () if pair is None else (pair.rtp.fileno(), pair.rtcp.fileno())
        self.client.send(command, fds)

    def asked(self) -> EngineStatistics:
        """Return its counters of this moment."""
        have = len(self.statistics)
        self.tell(Statistics())
        self.wait(lambda: len(self.statistics) > have, "its statistics")
        return self.statistics[-1]

    def wait(self, done: Any, what: str, timeout: float = 20.0) -> None:  # noqa: ANN401 - a callable
        """Hear it until something is so."""
        deadline = time.monotonic() + timeout
        while not done():
            if time.monotonic() > deadline:
                raise LoadError(f"the media process did not give {what} in {timeout:.0f} s")
            self.hear(0.02)


@contextlib.contextmanager
def _media() -> Iterator[_Media]:
    media = _Media()
    try:
        yield media
    finally:
        media.client.close()


def measure(legs: int, rooms: int, seconds: float, *, sample: int = SAMPLE) -> dict[str, Any]:
    """Measure.

    Args:
        legs: legs, at least two a room.
        rooms: rooms; legs go into them in turns.
        seconds: how long is measured, after some seconds to settle.
        sample: so many legs are listened to.

    Returns:
        What `scripts/bench legs --json` prints.

    Raises:
        LoadError: it could not be measured.
    """
    raise_file_limit(6 * legs + 2048)
    sounds = speech(legs)
    with tempfile.TemporaryDirectory(prefix="dialin-bench-") as name:
        folder = Path(name)
        (folder / "sound").write_bytes(g711.encode(sounds.reshape(-1), g711.PCMU))
        sample = min(sample, legs)
        most = int(seconds + WARM_S + DRAIN_S) + 40
        far_end = (HOST, legs, folder / "sound", sample, folder / "heard", most)
        result = _bridge(far_end, legs, rooms, seconds)
        result["heard"] = _listen(folder / "heard", sounds, sample, rooms, seconds)
        result["floor"] = _floor((*far_end[:3], 0, *far_end[4:]), legs, min(seconds, FLOOR_S))
    result["ratio"] = round(result["cores"] / max(result["floor"]["cores"], 1e-3), 2)
    result["ok"] = (
        result["lost_by_bridge"] == 0
        and result["missing_rx"] == result["missing_tx"] == 0
        and not result["errors"]
        and result["heard"]["right"] == result["heard"]["sample"]
    )
    return result


def _bridge(far_end: tuple[object, ...], legs: int, rooms: int, seconds: float) -> dict[str, Any]:
    with _media() as media, LoadProgram("rtpgen", *far_end, idle=media.hear) as far:
        media.wait(lambda: media.ready, "a sign of life")
        ports = _open(media, far.answer(20.0)["ports"], rooms)
        media.asked()  # all commands before it are carried out
        far.tell(" ".join(map(str, ports)))
        media.hear(WARM_S)
        before, far_before = media.asked(), far.mark()
        began = time.monotonic()
        while (left := began + seconds - time.monotonic()) > 0:
            media.hear(min(left, WINDOW_S))
            if left > WINDOW_S:
                media.asked()
        after, far_after = media.asked(), far.mark()
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
    return {
        "legs": legs,
        "rooms": rooms,
        "seconds": round(took, 1),
        "lost_by_bridge": last.lost_by_bridge,
        "rxq_overflow": last.counters["rxq_overflow"],
        "jumped_ticks": last.counters["jumped_ticks"],
        "jumped_leg_ticks": last.counters["jumped_leg_ticks"],
        "send_errors": last.counters["send_errors"],
        "late_ticks": last.counters["late_ticks"],
        "stage_faults": last.counters["stage_faults"],
        "sent_to_bridge": told["sent"],
        "taken_by_bridge": rx,
        "missing_rx": told["sent"] - rx,
        "sent_by_bridge": tx,
        "received_from_bridge": told["received"],
        "missing_tx": tx - told["received"] - told["dropped"],
        "sequence_gaps": told["missing"],
        "heard_late": last.counters["late"],
        "concealed_frames": _total(media.closed, "concealed_frames"),
        "ticks": after.ticks - before.ticks,
        "packets_a_leg": [far_after["received_least"], far_after["received_most"]],
        "tick_ms": {
            name: round(max(getattr(each, f"tick_ms_{name}") for each in windows), 2)
            for name in ("p50", "p95", "p99", "max")
        },
        "stages_ms": {name: round(value, 2) for name, value in after.stages_ms.items()},
        "cores": round((after.cpu_seconds - before.cpu_seconds) / took, 3),
        "generator": {
            "late": told["late"],
            "latest_ms": far_after["latest_ms"],
            "send_errors": told["send_errors"],
            "refused": told["refused"],
            "dropped": told["dropped"],
            "longest_gap_ms": far_after["longest_gap_ms"],
            "cores": round((far_after["cpu_seconds"] - far_before["cpu_seconds"]) / took, 3),
        },
        "errors": media.errors[:10],
    }


def _open(media: _Media, far_ports: list[int], rooms: int) -> list[int]:
    """Open a leg for each far port, room by room in turns; return the bridge's ports."""
    ports = []
    for leg, far_port in enumerate(far_ports, 1):
        pair = open_pair(HOST, *PORTS)
        description = LegMedia(codec="PCMU", payload_type=0, remote_rtp=(HOST, far_port))
        media.tell(OpenLeg(leg=leg, media=description, ssrc=leg, cname=f"bench{leg}"), pair)
        pair.close()
        media.tell(Place(leg=leg, room=1 + (leg - 1) % rooms))
        ports.append(pair.port)
    return ports


def _total(closed: dict[int, LegStatistics], name: str) -> int:
    return sum(int(getattr(each, name)) for each in closed.values())


def _listen(
    path: Path, sounds: np.ndarray[Any, np.dtype[np.int16]], sample: int, rooms: int, seconds: float
) -> dict[str, Any]:
    """Compare what some legs received in the middle of the measurement with what all sent."""
    recordings = (
        np.fromfile(path, np.uint8).reshape(sample, -1) if sample else np.empty((0, 0), np.uint8)
    )
    start = int(8000 * (WARM_S + max(0.0, seconds - PERIOD / 8000) / 2))
    found = [
        judge(
            recordings[leg, start : start + PERIOD],
            sounds,
            leg,
            list(range(leg % rooms, len(sounds), rooms)),
        )
        for leg in range(sample)
    ]
    return {
        "sample": sample,
        "right": sum(each.right for each in found),
        "others": sum(each.others for each in found),
        "others_missed": sum(each.missed for each in found),
        "weakest_other": min((each.weakest for each in found), default=None),
        "loudest_self": max((each.own for each in found), default=None),
    }


def _floor(far_end: tuple[object, ...], legs: int, seconds: float) -> dict[str, Any]:
    with (
        LoadProgram("floor", HOST, legs, int(seconds) + 40) as floor,
        LoadProgram("rtpgen", *far_end) as far,
    ):
        ports, far_ports = floor.answer(20.0)["ports"], far.answer(20.0)["ports"]
        floor.tell(" ".join(map(str, far_ports)))
        far.tell(" ".join(map(str, ports)))
        time.sleep(FLOOR_WARM_S)
        before = floor.mark()
        time.sleep(seconds)
        after = floor.mark()
        took = after["at"] - before["at"]
        return {
            "cores": round((after["cpu_seconds"] - before["cpu_seconds"]) / took, 3),
            "seconds": round(took, 1),
            "received": after["received"] - before["received"],
            "sent": after["sent"] - before["sent"],
            "lost": after["dropped"] + after["errors"] + legs * after["jumped"],
        }
