"""What the playout store does with every packet and every frame, compiled.

Nearly all packets are a whole row of a stream that runs and come in time; they are done with here.
What else there is, `playout` does with arrays.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media._compiled import compiled
from bridge.media.codecs import FRAME
from bridge.media.depth import BINS, CAP_ROWS
from bridge.media.ring import SLOTS

__all__ = ["WAITS", "WAIT_STEP_MS", "look", "move_on", "write"]

WAIT_STEP_MS: Final = 10
"""Resolution of what is told of waiting."""

WAITS: Final = 32
"""Steps that are told apart."""

_WAIT_STEPS: Final = 20 // WAIT_STEP_MS  # of a frame


@compiled(
    "boolean(int64[::1], int64[::1], uint8[:, ::1], int64[::1], int64[::1], int64[::1],"
    " boolean[::1], boolean[::1], int64[::1], int64[::1], int64[::1], int64[::1], int64[::1],"
    " int64[::1], int64[::1], int32[:, ::1], uint8[:, :, ::1], int16[:, ::1], int16[:, ::1],"
    " int64, boolean, boolean[::1])"
)
def write(
    rows: npt.NDArray[np.intp],
    timestamp: npt.NDArray[np.int64],
    packets: npt.NDArray[np.uint8],
    index: npt.NDArray[np.intp],
    offset: npt.NDArray[np.int64],
    length: npt.NDArray[np.int64],
    begins: npt.NDArray[np.bool_],
    anchored: npt.NDArray[np.bool_],
    anchor_timestamp: npt.NDArray[np.int64],
    anchor_position: npt.NDArray[np.int64],
    play_row: npt.NDArray[np.int64],
    ahead: npt.NDArray[np.int64],
    newest: npt.NDArray[np.int64],
    late_ticks: npt.NDArray[np.int64],
    leapt_to: npt.NDArray[np.int64],
    waits: npt.NDArray[np.int32],
    octets: npt.NDArray[np.uint8],
    filled: npt.NDArray[np.int16],
    transits: npt.NDArray[np.int16],
    tick: int,
    noted: bool,  # noqa: FBT001 - one of the columns
    plain: npt.NDArray[np.bool_],
) -> bool:
    """Write packets that are a whole row, in time, of a stream that runs; say if others are left.

    Arguments are those of `PlayoutStore.write`, its columns, and what `Depth.note` needs; `plain`
    gets which packets were written.
    """
    odd = False
    for i in range(rows.size):
        row = rows[i]
        since = timestamp[i] - anchor_timestamp[row]
        since = ((since + 0x8000_0000) & 0xFFFF_FFFF) - 0x8000_0000
        position = anchor_position[row] + since
        frame = position // FRAME
        wait = frame - play_row[row]
        plain[i] = (
            anchored[row]
            and not begins[i]
            and length[i] == FRAME
            and position == frame * FRAME
            and 0 <= wait <= CAP_ROWS
        )
        if not plain[i]:
            odd = True
            continue
        if noted:
            transits[row, (tick - play_row[row] - wait) & (BINS - 1)] += 1
        ahead[row] = wait
        waits[row, min(wait * _WAIT_STEPS, WAITS - 1)] += 1
        newest[row] = max(newest[row], frame)
        late_ticks[row] = 0
        leapt_to[row] = -1
        slot = frame & (SLOTS - 1)
        packet, begin, target = packets[index[i]], offset[i], octets[row, slot]
        for k in range(FRAME):
            target[k] = packet[begin + k]
        filled[row, slot] = FRAME
    return odd


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
    " boolean[::1])"
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
        without[row] = missing[i]
        at[row] = play_row[i] + step[i]
        lag[i] = lagging[row]
