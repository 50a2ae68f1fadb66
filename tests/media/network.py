"""A line with jitter, loss and a clock of its own, between a talker and an engine, in virtual time.

The talker sends a packet every 20 ms of its own clock; each arrives when the line says. A tick is
made every 20 ms. What the listener is sent is kept, frame by frame.
"""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media.messages import Configure
from tests.media.engine import PCM, PLAIN, Engine, Sender

__all__ = ["FRAME_S", "Carried", "Line", "bursts", "carry", "delays_ms", "losses", "voice"]

FRAME_S: Final = 0.020


@dataclass
class Line:
    """What happens to packets.

    Args:
        late: seconds that packet `k` takes.
        lost: whether packet `k` is lost.
        drift: the talker's clock is so much faster; 100 ppm is 1e-4.
        phase: of the talker's packets between two ticks, 0 to 1.
    """

    late: Callable[[int], float] = lambda _: 0.0
    lost: Callable[[int], bool] = lambda _: False
    drift: float = 0.0
    phase: float = 0.5


@dataclass
class Carried:
    """What came of it.

    Args:
        payloads: sent to the listener, one a tick.
        back: sent to the talker, one a tick.
        counts: the talker's counters that are not zero.
        concealed: frames of the talker's that were made up while it talked.
        ahead: ticks each packet waited when it came, by tick.
    """

    payloads: list[bytes] = field(default_factory=list)
    back: list[bytes] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    concealed: int = 0
    ahead: list[int] = field(default_factory=list)


def carry(
    frames: Sequence[bytes],
    line: Line,
    *,
    codec: str = "PCMU",
    other: Sequence[bytes] | None = None,
    options: Configure = PLAIN,
) -> Carried:
    """Let a talker's frames come over a line, and return what a listener is sent meanwhile.

    Args:
        frames: the talker's, encoded.
        line: the line it talks over.
        codec: of both.
        other: what the listener says itself, over a perfect line; nothing where not given.
        options: of the engine.
    """
    carried = Carried()
    waiting: list[tuple[float, int, bytes]] = []
    sent = 0
    with Engine(options=options) as engine:
        talker = engine.open(1, room=1, codec=codec)
        listener = engine.open(2, room=1, codec=codec)
        engine.run()
        for leg in (1, 2):
            engine.sent(leg)

        def arrive(tick: int, talker: Sender = talker) -> None:
            nonlocal sent
            now = tick * FRAME_S
            while sent < len(frames):
                at = (sent + line.phase) * FRAME_S / (1 + line.drift)
                if at > now:
                    break
                packet = talker.audio(frames[sent]).pack()
                if not line.lost(sent):
                    heapq.heappush(waiting, (round(at + line.late(sent), 9), sent, packet))
                sent += 1
            while waiting and waiting[0][0] <= now:
                engine.feed(1, heapq.heappop(waiting)[2])
            if other is not None and tick < len(other):
                engine.feed(2, listener.audio(other[tick]))

        row = engine.row(1)
        talks = int(len(frames) / (1 + line.drift))
        for tick in range(talks + 12):
            arrive(tick)
            engine.run()
            carried.ahead.append(int(engine.state.store.ahead[row]))
            if tick < talks:
                carried.concealed = int(engine.state.noise.concealed[row])
        carried.payloads = [packet.payload for packet in engine.sent(2)]
        carried.back = [packet.payload for packet in engine.sent(1)]
        counters = engine.state.leg_counters.of(row)
        carried.counts = {name: count for name, count in counters.items() if count}
    return carried


def losses(share: float, burst: float, seed: int) -> Callable[[int], bool]:
    """Return a written pattern of loss.

    Args:
        share: of packets that are lost.
        burst: how many in a row on average; 1 is at random.
        seed: of the pattern.
    """
    generator = np.random.default_rng(seed)
    draws = generator.random(20_000)
    pattern = draws < share
    if burst > 1:
        # Gilbert's model: two states, of which one loses everything.
        enter, leave, losing = share / burst / (1 - share), 1 / burst, False
        for index, draw in enumerate(draws.tolist()):
            losing = draw >= leave if losing else draw < enter
            pattern[index] = losing
    pattern[:10] = False
    return lambda packet: bool(pattern[packet])


def bursts(start_s: float, seconds: float) -> Callable[[int], float]:
    """Return a line that stands still once: what was sent meanwhile comes at its end, at once."""

    def late(packet: int) -> float:
        after = packet * FRAME_S - start_s
        return seconds - after if 0 <= after < seconds else 0.0

    return late


def voice(frames: int, seed: int = 1) -> PCM:
    """Return a talker who never pauses, voiced, of a changing pitch: int16, `(frames * 160,)`."""
    samples = frames * 160
    generator = np.random.default_rng(seed)
    time = np.arange(samples) / 8000
    pitch = 120 + 25 * np.sin(2 * np.pi * 0.4 * time) + 10 * np.sin(2 * np.pi * 1.3 * time)
    phase = 2 * np.pi * np.cumsum(pitch) / 8000
    waves = np.zeros(samples)
    for k in range(1, 16):
        waves += np.sin(k * phase + k * k) / k
    # A frequency that never comes again tells where in the sound one is.
    waves += 0.3 * np.sin(2 * np.pi * np.cumsum(500 + 40 * np.sqrt(time)) / 8000)
    noise = generator.standard_normal(samples)
    return (1500 * waves + 30 * noise).astype(np.int16)


def delays_ms(
    heard: PCM, said: PCM, *, window: int = 800, longest: int = 3200, step: int = 800
) -> npt.NDArray[np.float64]:
    """Return how far behind what was said each window of what was heard lies.

    Args:
        heard: int16, 8 kHz.
        said: int16, 8 kHz, both from the same moment on.
        window: samples compared.
        longest: samples that it may lie behind.
        step: samples from one window to the next.

    Returns:
        float64, `(windows, 3)`: when [s], the delay [ms], and the likeness, 0 to 1.
    """
    found = []
    for start in range(longest, min(len(heard), len(said)) - window, step):
        part = heard[start : start + window].astype(np.float64)
        around = said[start - longest : start + window].astype(np.float64)
        product = np.correlate(around, part, "valid")
        energy = np.convolve(around**2, np.ones(window), "valid")
        likeness = product / np.sqrt(np.maximum(energy * (part**2).sum(), 1.0))
        best = int(likeness.argmax())
        found.append((start / 8000, (longest - best) / 8, float(likeness[best])))
    return np.array(found)
