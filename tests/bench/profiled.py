"""A media process that looks a thousand times a second what it is at: `scripts/bench profile`.

A timer interrupts it; Python takes note between two of its own operations, so a system call counts
for the line that made it. The timer is of real time: those of CPU time go by the kernel's own
ticks, and so do ours, which would be met at the same few lines again and again. What was seen
within ticks is written at the end, as JSON, to the file that `BENCH_PROFILE_FILE` names.
"""

import json
import os
import resource
import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Final

from bridge.media.__main__ import main

FILE: Final = "BENCH_PROFILE_FILE"
INTERVAL_S: Final = 0.00103
"""No part of 20 ms: each time another point of a tick is met."""

MEDIA: Final = "bridge/media/"


def where(frame: FrameType | None) -> tuple[str, str] | None:
    """Return the stage of a tick, and module, function and line within it; None outside a tick."""
    innermost, stage = "", ""
    while frame is not None:
        code = frame.f_code
        if MEDIA in code.co_filename:
            line = frame.f_lineno or code.co_firstlineno  # an instruction may belong to no line
            place = f"{Path(code.co_filename).name}:{line}"
            innermost = innermost or f"{place} {code.co_qualname}"
            if code.co_qualname == "Tick.run":
                return (stage or "run"), innermost
            if code.co_qualname.startswith("Tick._"):
                stage = code.co_name.lstrip("_")
        frame = frame.f_back
    return None


def run() -> int:
    """Run the media process, and write down where it was."""
    seen: Counter[tuple[str, str]] = Counter()

    def look(_number: int, frame: FrameType | None) -> None:
        place = where(frame)
        if place is not None:
            seen[place] += 1

    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, INTERVAL_S, INTERVAL_S)
    status = main()
    signal.setitimer(signal.ITIMER_REAL, 0)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    result = {
        "user_s": usage.ru_utime,
        "system_s": usage.ru_stime,
        "seen": [[stage, place, count] for (stage, place), count in seen.most_common()],
    }
    Path(os.environ[FILE]).write_text(json.dumps(result), encoding="ascii")
    return status


if __name__ == "__main__":
    sys.exit(run())
