"""The media process, and the server that it is forked from: `python -m bridge.media`.

Control starts `--forks-fd N` once (`forks`, `fork_server`); a measurement, or a test of a single
process, runs `--control-fd N`. Either way a media process is `live`.

One loop: a tick each 20 ms on the monotonic clock. A tick that comes late is made up at once, up to
three in a burst; beyond that time jumps, and the jump is counted. Garbage is not collected: what is
made in a tick is freed by its count of references.
"""

import argparse
import contextlib
import gc
import os
import signal
import socket
import sys
import time
import traceback
from types import TracebackType
from typing import Final

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy: threads would fight for the core

from bridge.media import _libc, fork_server
from bridge.media.control import ControlChannel
from bridge.media.counters import Counters
from bridge.media.messages import Ready
from bridge.media.state import State
from bridge.media.tick import Tick

TICK: Final = 0.02
HALF: Final = TICK / 2
MOST_MADE_UP: Final = 3
COMMANDS_S: Final = 0.004
"""A fifth of a tick: 400 legs a second are opened beside the calls that are up."""
NAME: Final = "dialin-media"
"""What `ps` and `top` call it."""

PRIORITY: Final = 10
NICE: Final = -15


def ask_for_priority() -> bool:
    """Ask for real-time scheduling, else for a better nice value; go on without either."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    except OSError:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, NICE)
        return False
    return True


def say_where(kind: type[BaseException], _: BaseException, place: TracebackType | None) -> None:
    """Write what ended the process and where, without its message: that may quote somebody."""
    sys.stderr.write(f"media process ended by {kind.__name__}\n")
    for frame in traceback.extract_tb(place):
        sys.stderr.write(f"  {frame.filename}:{frame.lineno} in {frame.name}\n")


def run(tick: Tick, state: State) -> None:
    """Make ticks until control ends or says so."""
    due = time.monotonic()
    while not state.ended:
        owed = int((time.monotonic() - due) / TICK)
        if owed:
            state.counters.late_ticks += 1
        if owed > MOST_MADE_UP:
            jumped = owed - MOST_MADE_UP
            state.jump(jumped)
            due += jumped * TICK
        idle = tick.idle
        tick.run()
        if idle:
            due = tick.began  # legs that have just come are owed nothing
        if tick.has_second_halves:
            tick.rest(due + HALF)
            tick.send_second_halves()
        due += TICK
        tick.rest(due)


def live(control: socket.socket) -> None:
    """Be a media process until control ends or says so.

    Args:
        control: our end of the channel.
    """
    _libc.name_process(NAME)
    counters = Counters()
    channel = ControlChannel(control, counters)
    state = State(channel.put, counters)
    tick = Tick(state, channel, COMMANDS_S)
    tick.run()  # warm: tables are touched, code paths compiled, before anybody listens
    realtime = ask_for_priority()
    gc.collect()
    gc.freeze()
    gc.disable()
    channel.put(Ready(pid=os.getpid(), realtime=realtime))
    run(tick, state)
    tick.close()


def main() -> int:
    """Run a media process, or the server that forks them.

    Returns:
        The exit status.
    """
    parser = argparse.ArgumentParser(prog="python -m bridge.media", description=__doc__)
    one = parser.add_mutually_exclusive_group(required=True)
    one.add_argument("--control-fd", type=int, help="be one: our end of its channel")
    one.add_argument("--forks-fd", type=int, help="fork them: where channels of theirs come from")
    arguments = parser.parse_args()
    sys.excepthook = say_where
    # Ctrl-C goes to the whole group, and so does a service manager's SIGTERM. Who ends this process
    # is control, by closing the channel, when goodbyes have been said.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    if arguments.forks_fd is not None:
        fork_server.serve(socket.socket(fileno=arguments.forks_fd), live)
    else:
        live(socket.socket(fileno=arguments.control_fd))
    return 0


if __name__ == "__main__":
    sys.exit(main())
