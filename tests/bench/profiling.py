"""Say where a tick's time goes: by stage, and within each by line, system calls among them.

The load is that of `scripts/bench legs`; the media process looks a thousand times a second what it
is at (`profiled.py`), which costs it a few hundredths. No floor is measured:
for figures to compare, see `legs`.

  stages_ms   mean share of a tick by stage, by the media process's own clock [ms].
  user_share  of the CPU time that is spent in Python and numpy; the rest is the kernel's.
  stages      by stage: its share of what was seen, and the lines in it that take the most.
"""

import json
import linecache
import os
import tempfile
from pathlib import Path
from typing import Any, Final

import bridge.media
from tests.bench.cores import machine
from tests.bench.legs import Trial, prepare, run
from tests.bench.profiled import FILE
from tests.bench.programs import LoadError, raise_file_limit, say

__all__ = ["measure"]

LINES: Final = 6
"""Lines told of each stage."""

LEAST_SHARE: Final = 0.003
"""Of all that was seen, below which a line is left out."""


def measure(trial: Trial) -> dict[str, Any]:
    """Measure.

    Args:
        trial: the load.

    Returns:
        What `scripts/bench profile --json` prints.

    Raises:
        LoadError: it could not be measured.
    """
    raise_file_limit(6 * trial.legs + 2048)
    with tempfile.TemporaryDirectory(prefix="dialin-bench-") as name:
        folder = Path(name)
        os.environ[FILE] = str(folder / "profile")
        try:
            far_ends, _ = prepare(trial, folder)
            say(f"the bridge, {trial.legs} legs in {trial.rooms} rooms for {trial.seconds:.0f} s")
            result = run(trial, far_ends, module="tests.bench.profiled")
            text = (folder / "profile").read_text(encoding="ascii")
        except FileNotFoundError as error:
            raise LoadError("the media process ended without its profile") from error
        finally:
            del os.environ[FILE]
    seen = json.loads(text)
    kept = ("legs", "conferences", "seconds", "codec", "talking", "sockets", "cores", "tick_ms")
    return {
        **{name: result[name] for name in kept},
        "stages_ms": result["stages_ms"],
        "user_share": round(seen["user_s"] / max(1e-9, seen["user_s"] + seen["system_s"]), 3),
        "stages": by_stage(seen["seen"]),
        "machine": machine(),
        "ok": not result["errors"],
    }


def by_stage(seen: list[tuple[str, str, int]]) -> dict[str, dict[str, Any]]:
    """Sum up what was seen.

    Args:
        seen: stage, place and how often, most often first.

    Returns:
        By stage, the largest first: its share, and its lines with their shares and their text.
    """
    total = max(1, sum(count for _, _, count in seen))
    stages: dict[str, dict[str, Any]] = {}
    for stage, place, count in seen:
        entry = stages.setdefault(stage, {"share": 0.0, "lines": {}})
        entry["share"] += count / total
        if len(entry["lines"]) < LINES and count >= LEAST_SHARE * total:
            entry["lines"][f"{place}: {_text(place)}"] = round(count / total, 3)
    for entry in stages.values():
        entry["share"] = round(entry["share"], 3)
    return dict(sorted(stages.items(), key=lambda item: -item[1]["share"]))


def _text(place: str) -> str:
    """Return the line of source that a place names."""
    file, _, line = place.split(" ", maxsplit=1)[0].partition(":")
    path = Path(bridge.media.__file__).parent / file
    return linecache.getline(str(path), int(line)).strip()
