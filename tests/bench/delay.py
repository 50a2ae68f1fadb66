"""Measure the delay from mouth to ear through a real media process, over real sockets.

Talkers who never pause send PCMU every 20 ms over lines of their own, all at once, each in a room
with one listener: a clean line, lines with evenly spread jitter of 20 to 100 ms, and one that
stands still for 400 ms, after which everything comes at once. What a listener gets is found in what
was said by cross-correlation, 100 ms at a time.

  ..._ms      from when the packet is sent (before the line delays it) to when the packet with the
              same sound reaches the listener's socket, and the 20 ms of packetisation.
  burst       delay before it, the longest after it, and after how long it was back for good within
              10 ms of what it had been.

Fails where the clean median is above 60 ms, anything above 160 ms at a jitter of up to 100 ms, or
the delay not back within 5 s after the burst.
"""

import heapq
import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bridge.media.messages import LegMedia, OpenLeg, Place
from bridge.media.ports import open_pair
from tests.bench.media_process import MediaProcess, media_process
from tests.bench.programs import LoadError
from tests.media.engine import PCM, Sender
from tests.media.network import FRAME_S, bursts, voice
from tests.support import g711

__all__ = ["measure"]

HOST: Final = "127.0.0.1"
PORTS: Final = (16384, 32767)
JITTERS_MS: Final = (20, 40, 60, 100)
SETTLED_S: Final = 3.0
"""From the first packet on, not judged: a line's jitter is not known before it was seen."""

BURST_S: Final = 8.0
STALL_S: Final = 0.4
WINDOW: Final = 800
LONGEST: Final = 4000
FOUND: Final = 0.9
"""Likeness from which on a window has been found: where frames were made up, none is."""

MEDIAN_MS: Final = 60.0
WORST_MS: Final = 160.0
BACK_S: Final = 5.0
BACK_MS: Final = 10.0

F = npt.NDArray[np.float64]


@dataclass
class _Pair:
    """A talker and its listener.

    Args:
        name: of the line.
        late: seconds that packet `k` takes on it.
        said: what the talker says.
    """

    name: str
    late: Callable[[int], float]
    said: PCM
    talker: socket.socket = field(init=False)
    listener: socket.socket = field(init=False)
    got: list[tuple[float, bytes]] = field(default_factory=list)

    def open(self, media: MediaProcess, number: int) -> None:
        """Open both legs, in a room of their own."""
        self.talker, self.listener = (_far_end() for _ in range(2))
        for leg, sock in ((2 * number + 1, self.talker), (2 * number + 2, self.listener)):
            pair = open_pair(HOST, *PORTS)
            remote = LegMedia(
                codec="PCMU",
                payload_type=0,
                dtmf_payload_type=101,
                remote_rtp=sock.getsockname(),
            )
            opened = OpenLeg(leg=leg, media=remote, ssrc=leg, cname=f"bench{leg}")
            media.tell(opened, (pair.rtp.fileno(), pair.rtcp.fileno()))
            pair.close()
            media.tell(Place(leg=leg, room=number + 1))
            sock.connect((HOST, pair.port))

    def close(self) -> None:
        """Close the far ends."""
        self.talker.close()
        self.listener.close()


def _far_end() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((HOST, 0))
    sock.setblocking(False)  # noqa: FBT003 - as the method has it
    return sock


def _talk(pairs: list[_Pair], media: MediaProcess, seconds: float) -> float:
    """Let all talk; return when packet 0 was sent, of `time.monotonic`."""
    began = time.monotonic() + 0.2
    queue: list[tuple[float, int, int, bytes]] = []
    for number, pair in enumerate(pairs):
        sender = Sender(ssrc=1000 + number)
        coded = g711.encode(pair.said, g711.PCMU)
        # Packets of different lines fall differently between two ticks.
        phase = began + FRAME_S * number / len(pairs)
        for packet in range(int(seconds / FRAME_S)):
            data = sender.audio(coded[160 * packet : 160 * packet + 160]).pack()
            due = phase + FRAME_S * packet + pair.late(packet)
            queue.append((due, number, packet, data))
    heapq.heapify(queue)
    listeners = {pair.listener.fileno(): pair for pair in pairs}
    end, heard = began + seconds + 0.3, 0.0
    while (now := time.monotonic()) < end:
        while queue and queue[0][0] <= now:
            _, number, _, data = heapq.heappop(queue)
            pairs[number].talker.send(data)
        if now - heard > 1.0:
            media.hear()
            heard = now
        wait = min(queue[0][0] if queue else end, now + 0.02) - time.monotonic()
        ready, _, _ = select.select(list(listeners), [], [], max(0.0, wait))
        now = time.monotonic()
        for descriptor in ready:
            pair = listeners[descriptor]
            pair.got.append((now, pair.listener.recv(2048)[12:]))
    return began


def _delays(pair: _Pair, sent_at: float) -> F:
    """Return when [s] and how long the delay was [ms], `(windows, 2)`.

    Args:
        pair: a talker and what its listener got.
        sent_at: when its packet 0 was sent.
    """
    said = pair.said.astype(np.float64)
    heard = g711.decode(b"".join(data for _, data in pair.got), g711.PCMU).astype(np.float64)
    found = []
    for index in range(0, len(pair.got) - WINDOW // 160, WINDOW // 160):
        at = pair.got[index][0]
        part = heard[160 * index : 160 * index + WINDOW]
        latest = int(8000 * (at - sent_at))
        first = max(0, latest - LONGEST)
        around = said[first : latest + WINDOW]
        if latest < LONGEST or len(around) < LONGEST + WINDOW:
            continue
        product = np.correlate(around, part, "valid")
        energy = np.convolve(around**2, np.ones(WINDOW), "valid")
        likeness = product / np.sqrt(np.maximum(energy * (part**2).sum(), 1.0))
        best = int(likeness.argmax())
        if likeness[best] > FOUND:
            delay = 1000 * (at - sent_at - (first + best) / 8000) + 1000 * FRAME_S
            found.append((at - sent_at, delay))
    if not found:
        raise LoadError(f"nothing of what was said over line {pair.name} was heard")
    return np.array(found)


def _spread(delays: F) -> dict[str, float]:
    values = delays[delays[:, 0] > SETTLED_S, 1]
    return {
        "p50": round(float(np.median(values)), 1),
        "p99": round(float(np.quantile(values, 0.99)), 1),
        "max": round(float(values.max()), 1),
    }


def _burst(delays: F) -> dict[str, float]:
    ended = BURST_S + STALL_S
    calm = delays[(delays[:, 0] > SETTLED_S) & (delays[:, 0] < BURST_S - 0.2), 1]
    after = delays[delays[:, 0] > ended]
    usual = float(np.median(calm))
    longer = after[after[:, 1] > usual + BACK_MS, 0]
    return {
        "before_ms": round(usual, 1),
        "worst_ms": round(float(after[:, 1].max()), 1),
        "back_after_s": round(float(longer.max()) - ended, 2) if len(longer) else 0.0,
    }


def measure(seconds: float) -> dict[str, Any]:
    """Measure.

    Args:
        seconds: how long all talk, at least 15.

    Returns:
        What `scripts/bench delay --json` prints.

    Raises:
        LoadError: it could not be measured.
    """
    frames = int(seconds / FRAME_S) + 1
    pairs = [_Pair("clean", lambda _: 0.0, voice(frames, 1))]
    for milliseconds in JITTERS_MS:
        times = np.random.default_rng(milliseconds).uniform(0, milliseconds / 1000, frames)
        pairs.append(
            _Pair(
                f"jitter_{milliseconds}",
                lambda packet, times=times: float(times[packet]),  # type: ignore[misc]
                voice(frames, milliseconds),
            )
        )
    pairs.append(_Pair("burst", bursts(BURST_S, STALL_S), voice(frames, 7)))
    with media_process() as media:
        media.wait(lambda: media.ready, "a sign of life")
        try:
            for number, pair in enumerate(pairs):
                pair.open(media, number)
            media.asked()
            began = _talk(pairs, media, seconds)
            statistics = media.asked()
        finally:
            for pair in pairs:
                if hasattr(pair, "talker"):
                    pair.close()
    result: dict[str, Any] = {"seconds": seconds}
    delays = [
        _delays(pair, began + FRAME_S * number / len(pairs)) for number, pair in enumerate(pairs)
    ]
    for pair, each in zip(pairs[:-1], delays[:-1], strict=True):
        result[f"{pair.name}_ms"] = _spread(each)
    result["burst"] = _burst(delays[-1])
    result["lost_by_bridge"] = statistics.lost_by_bridge
    result["late_ticks"] = statistics.counters["late_ticks"]
    worst = max(result[name]["max"] for name in result if name.endswith("_ms"))
    result["ok"] = (
        result["clean_ms"]["p50"] <= MEDIAN_MS
        and worst <= WORST_MS
        and result["burst"]["back_after_s"] <= BACK_S
    )
    return result
