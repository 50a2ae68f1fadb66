"""What the playout store does with every frame, compiled.

Packets are written to it by `plain`, nearly all of them; what else there is, `playout` does with
arrays.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media._compiled import compiled, inlined
from bridge.media.codecs import FRAME
from bridge.media.ring import SLOTS

__all__ = [
    "WAITS",
    "WAIT_STEPS",
    "WAIT_STEP_MS",
    "look",
    "median_step",
    "move_on",
    "settle_anchors",
    "worst_step",
]

WAIT_STEP_MS: Final = 10
"""Resolution of what is told of waiting."""

WAITS: Final = 32
"""Steps that are told apart."""

WAIT_STEPS: Final = 20 // WAIT_STEP_MS
"""Of a frame."""


@compiled(
    "UniTuple(boolean, 3)(int64[::1], int64[::1], int64[::1], int64[::1], int16[::1], int64[::1],"
    " int64[::1], int64[::1], boolean[::1], boolean[::1])"
)
def look(
    order: npt.NDArray[np.intp],
    at: npt.NDArray[np.int64],
    lag: npt.NDArray[np.int64],
    excess: npt.NDArray[np.int64],
    filled: npt.NDArray[np.int16],
    play_row: npt.NDArray[np.int64],
    index: npt.NDArray[np.intp],
    step: npt.NDArray[np.int64],
    came: npt.NDArray[np.bool_],
    kept: npt.NDArray[np.bool_],
) -> tuple[bool, bool, bool]:
    """Look which frames have come; say if some have not, some are kept, and some have an excess."""
    some_gone = some_kept = some_excess = False
    for i in range(order.size):
        row = order[i]
        play_row[i] = at[row]
        index[i] = row * SLOTS + (at[row] & (SLOTS - 1))
        kept[i] = lag[row] >= FRAME
        came[i] = filled[index[i]] > 0 and not kept[i]
        step[i] = 0 if kept[i] else 1
        some_gone = some_gone or not (came[i] or kept[i])
        some_kept = some_kept or kept[i]
        some_excess = some_excess or excess[row] != 0
    return some_gone, some_kept, some_excess


@compiled(
    "void(int64[::1], boolean[::1], boolean[::1], int64[::1], int64[::1], int64[::1], int64[::1],"
    " int64[::1], int64[::1], int16[::1], int64[::1], int64[::1], int64[::1], int64[::1],"
    " boolean[::1], boolean[::1], int64)"
)
def move_on(
    order: npt.NDArray[np.intp],
    came: npt.NDArray[np.bool_],
    kept: npt.NDArray[np.bool_],
    index: npt.NDArray[np.intp],
    step: npt.NDArray[np.int64],
    play_row: npt.NDArray[np.int64],
    at: npt.NDArray[np.int64],
    without: npt.NDArray[np.int64],
    blank_until: npt.NDArray[np.int64],
    filled: npt.NDArray[np.int16],
    holds: npt.NDArray[np.int64],
    lagging: npt.NDArray[np.int64],
    missing: npt.NDArray[np.int64],
    lag: npt.NDArray[np.int64],
    blanked: npt.NDArray[np.bool_],
    wanted: npt.NDArray[np.bool_],
    speakers: int,
) -> None:
    """Let go of the frames that are heard, count those that are missing, and go on."""
    for i in range(order.size):
        row = order[i]
        if came[i]:
            filled[index[i]] = 0
            holds[row] = 0
        missing[i] = 0 if came[i] or kept[i] else without[row] + 1
        blanked[i] = play_row[i] <= blank_until[row]
        # A tone must not be repeated by concealment after it was blanked.
        if blanked[i] and not kept[i]:
            missing[i] = 1 << 30
        blanked[i] = blanked[i] or (i < speakers and not wanted[row])
        without[row] = missing[i]
        at[row] = play_row[i] + step[i]
        lag[i] = lagging[row]


@compiled("void(int64[::1], int64[::1], int64[::1], int64[::1])")
def settle_anchors(
    rows: npt.NDArray[np.intp],
    play_row: npt.NDArray[np.int64],
    anchor_position: npt.NDArray[np.int64],
    anchor_timestamp: npt.NDArray[np.int64],
) -> None:
    """Keep anchors near, for 32 bits of time stamp are only 74 hours either way."""
    for i in range(rows.size):
        row = rows[i]
        frames = play_row[row] - anchor_position[row] // FRAME
        if frames > SLOTS:
            anchor_position[row] += frames * FRAME
            anchor_timestamp[row] = (anchor_timestamp[row] + frames * FRAME) & 0xFFFF_FFFF


@inlined
def median_step(waits: npt.NDArray[np.int32]) -> int:
    """Return the median of a leg's waits, int32 `(WAITS,)`, in steps; 0 before its first packet.

    A wait is counted from the tick that took the packet in to the one that plays it; in its socket
    a packet has waited up to a tick before.
    """
    total = 0
    for step in range(WAITS):
        total += waits[step]
    below = 0
    for step in range(WAITS):
        below += waits[step]
        if 2 * below >= total:
            return step
    return 0


@inlined
def worst_step(waits: npt.NDArray[np.int32]) -> int:
    """Return the longest of a leg's waits, in steps; -1 before its first packet."""
    worst = -1
    for step in range(WAITS):
        if waits[step] > 0:
            worst = step
    return worst
