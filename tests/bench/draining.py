"""Measure `dialin drain` under calls that go on: an upgrade must cut none of them.

Calls come and stay, in conferences of up to twenty, each with RTP both ways. Then the bridge is
drained. One more caller, who was in before, drops out and calls back; another one keys the PIN of a
conference in which nobody is. At the end all hang up, and the bridge has to end by itself.

  cut            calls that the bridge or a fault ended while it drained.
  rtp_missing    packets that the callers missed from the drain on, less those that their own
                 receive buffers dropped.
  back_in        the caller who dropped out is in the conference again, and everybody else still is.
  other_started  conferences that began during the drain; the stranger must hear of maintenance.
  end_s          from the last hang-up to the end of the bridge's process [s].
  processes_left of the bridge after that.
"""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from tests.bench.programs import LoadError
from tests.bench.whole import WholeBridge, start_calls, whole_bridge
from tests.support.rtp import Digits

__all__ = ["measure"]

RATE: Final = 20
UNDER_WAY_S: Final = 60.0
GOES_ON_S: Final = 5.0
ENDS_S: Final = 60.0
QUICK: Final = Digits(on_ms=60, off_ms=20, ends=1)


def measure(calls: int) -> dict[str, Any]:
    """Measure.

    Args:
        calls: that are up when the drain begins; one of them drops out.

    Returns:
        What `scripts/bench drain --json` prints.

    Raises:
        LoadError: it could not be measured.
    """
    with whole_bridge(calls + 20, LIMITS__CALLS=str(calls + 100)) as whole:
        bridge = whole.bridge
        spare = bridge.room()
        pin = whole.pins.read_text(encoding="ascii").split()[0]
        with start_calls(whole, calls - 1, RATE, "udp", 0) as callers:
            callers.answer(calls / RATE + UNDER_WAY_S)
            dropping = bridge.caller("dropping").slip_in(bridge.number, pin, settle=False)
            up = callers.mark()
            sessions = len(bridge.operate("cdr.sessions"))
            drain = _begin(whole)
            dropping.hang_up()
            stranger = bridge.caller("stranger").dial(bridge.number)
            keyed = stranger.press(spare.guest_pin, QUICK)
            stranger.hears("service_maintenance", since=keyed)
            turned_away = stranger.wait_end() == "bridge"
            back = bridge.caller("back").slip_in(bridge.number, pin, settle=False)
            time.sleep(GOES_ON_S)
            during = callers.mark()
            now = whole.status()
            people = sum(each["people"] for each in now["running_conferences"])
            # Sessions are written at their start: what began during the drain stands there by now.
            started = len(bridge.operate("cdr.sessions")) - sessions
            gone = callers.finish(UNDER_WAY_S)
        still_up = bridge.running.poll() is None and back.ended_by is None
        still_up = still_up and people == up["live"] + 1
        back.hang_up()
        began = time.monotonic()
        code = _wait(bridge.running)
        ended = time.monotonic()
        waited = _wait(drain)
        left = len(bridge.processes())
        bridge.hang_up_all()
    missing = during["rtp_missing"] - up["rtp_missing"]
    dropped = during["dropped"] - up["dropped"]
    cut = up["live"] - during["live"] + sum(not row[-1] for row in gone["rows"])
    result = {
        "calls": up["live"] + 1,
        "conferences": now["drain"]["conferences"],
        "cut": cut,
        "rtp_missing": max(0, missing - dropped),
        "rtp_lost_by_bridge": now["media"]["lost_by_bridge"],
        "longest_gap_ms": during["longest_gap_ms"],
        "back_in": still_up,
        "other_heard_maintenance": turned_away,
        "other_started": started,
        "exit_code": code,
        "drain_exit_code": waited,
        "end_s": round(ended - began, 1),
        "processes_left": left,
    }
    result["ok"] = (
        result["calls"] == calls
        and cut == started == code == waited == left == 0
        and result["rtp_lost_by_bridge"] == 0
        and still_up
        and turned_away
    )
    return result


def _begin(whole: WholeBridge) -> subprocess.Popen[bytes]:
    """Start `dialin drain`, which waits for the end, and return when the bridge drains."""
    command = subprocess.Popen(
        [sys.executable, "-m", "bridge.cli", "drain"],
        cwd=Path(__file__).parents[2],
        env=whole.bridge.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + UNDER_WAY_S
    while not whole.status()["drain"]["draining"]:
        if command.poll() is not None or time.monotonic() > deadline:
            command.kill()
            raise LoadError(f"`dialin drain` ended with {command.wait()} and the bridge goes on")
        time.sleep(0.1)
    return command


def _wait(process: subprocess.Popen[bytes]) -> int | None:
    """Return a process's exit code, None for one that does not end."""
    try:
        return process.wait(ENDS_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return None
