"""The floor: a C program that only receives and sends the same packets, a socket per leg."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.bench.cores import load_core, tested_core
from tests.bench.programs import LoadProgram

__all__ = ["HOST", "FarEnds", "measure_floor"]

HOST: Final = "127.0.0.1"

WARM_S = 1.0
"""Not measured."""

DRAIN_S: Final = 0.3
"""From the last packet sent to the count of those received."""


@dataclass(frozen=True, slots=True)
class FarEnds:
    """What `rtpgen` needs to know.

    Args:
        legs: so many.
        sound: file of their sound.
        payload_type: what it is.
        sample: so many legs are recorded.
        heard: file for the recordings.
    """

    legs: int
    sound: Path
    payload_type: int
    sample: int = 0
    heard: Path = Path("/dev/null")

    def program(self, seconds: float, **options: Any) -> LoadProgram:  # noqa: ANN401 - as LoadProgram takes
        """Start it, for at most so long, on the core of the load."""
        arguments = (HOST, self.legs, self.sound, self.sample, self.heard)
        return LoadProgram(
            "rtpgen", *arguments, int(seconds), self.payload_type, core=load_core(), **options
        )


def measure_floor(far_ends: FarEnds, seconds: float) -> dict[str, Any]:
    """Measure the floor with so many legs.

    Args:
        far_ends: its load.
        seconds: how long.

    Returns:
        Its share of a core, what it received and sent, and the time of its ticks.
    """
    legs = far_ends.legs
    with (
        LoadProgram("floor", HOST, legs, int(seconds) + 40, core=tested_core()) as floor,
        far_ends.program(seconds + 40) as far,
    ):
        ports, far_ports = floor.answer(20.0)["ports"], far.answer(20.0)["ports"]
        floor.tell(" ".join(map(str, far_ports)))
        far.tell(" ".join(map(str, ports)))
        time.sleep(WARM_S)
        before, far_before = floor.mark(), far.mark()
        time.sleep(seconds)
        after, far_after = floor.mark(), far.mark()
        far.tell("stop")
        time.sleep(DRAIN_S)
        last, far_last = floor.mark(), far.mark()
    took = after["at"] - before["at"]
    far_took = far_after["at"] - far_before["at"]
    missing = max(
        far_last["sent"] - last["received"],
        # By the time the second is asked, the first has sent a few more.
        last["sent"] - far_last["received"] - far_last["dropped"],
    )
    return {
        "cores": round((after["cpu_seconds"] - before["cpu_seconds"]) / took, 3),
        "seconds": round(took, 1),
        "received": after["received"] - before["received"],
        "sent": after["sent"] - before["sent"],
        "lost": last["dropped"] + last["errors"] + legs * last["jumped"],
        "lost_share": round(max(missing, legs * last["jumped"]) / max(1, last["sent"]), 6),
        "tick_ms": after["tick_ms"],
        "generator_cores": round(
            (far_after["cpu_seconds"] - far_before["cpu_seconds"]) / far_took, 3
        ),
    }
