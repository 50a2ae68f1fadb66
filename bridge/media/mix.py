"""Who hears whom: the sum of a room, minus oneself, then clipped, in that order.

Sums are float32 over samples that are whole numbers of at most 32,256 (the largest of G.711), so
they are exact up to 2**24 / 32256 = 520 speakers at full scale at once in a room, whatever the
order of summation; beyond that they are off by at most one step of float32.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media._compiled import compiled
from bridge.media.seating import Seating

__all__ = ["HIGHEST", "LOWEST", "clip", "hear_others", "loudest", "sum_rooms"]

LOWEST: Final = -32768
HIGHEST: Final = 32767
"""The one place that says where samples are clipped."""

_Sound = npt.NDArray[np.float32]
_Index = npt.NDArray[np.intp]


def sum_rooms(seating: Seating, pcm: _Sound, rooms: _Sound, least: _Sound, most: _Sound) -> None:
    """Sum what is said in each room, and find its extremes, sample by sample.

    Args:
        seating: who sits where.
        pcm: float32, `(>= speakers, 160)`: what each speaker says, by position.
        rooms: float32, `(rooms, 160)`: gets the sum of each room; zero where nobody speaks.
        least: float32, `(rooms, 160)`: gets the least that anybody says; zero as well.
        most: float32, `(rooms, 160)`: gets the most.
    """
    rooms[:], least[:], most[:] = 0, 0, 0
    _sum(pcm, seating.first, seating.spoken, rooms, least, most)


@compiled(
    "void(float32[:, ::1], int64[::1], int64[::1], float32[:, ::1], float32[:, ::1],"
    " float32[:, ::1])"
)
def _sum(
    pcm: _Sound, first: _Index, spoken: _Index, rooms: _Sound, least: _Sound, most: _Sound
) -> None:
    for place in range(spoken.size):
        room = spoken[place]
        total, low, high = rooms[room], least[room], most[room]
        low[:] = pcm[first[place]]
        high[:] = low
        for position in range(first[place], first[place + 1]):
            frame = pcm[position]
            for k in range(frame.size):
                total[k] += frame[k]
                low[k] = min(low[k], frame[k])
                high[k] = max(high[k], frame[k])


def loudest(rooms: _Sound, least: _Sound, most: _Sound, chosen: _Index, blocks: int) -> _Sound:
    """Find the greatest magnitude that anybody in some rooms hears: all, or all but oneself.

    Of all that is heard, total - own, the extremes are total - least and total - most.

    Args:
        rooms: float32, `(rooms, 160)`: the rooms' sums.
        least: float32, `(rooms, 160)`: of `sum_rooms`.
        most: float32, `(rooms, 160)`: of `sum_rooms`.
        chosen: intp, `(k,)`: which rooms.
        blocks: of a frame.

    Returns:
        float32, `(k, blocks)`: of each block.
    """
    peaks = np.empty((len(chosen), blocks), np.float32)
    _peaks(rooms, least, most, chosen, peaks)
    return peaks


@compiled("void(float32[:, ::1], float32[:, ::1], float32[:, ::1], int64[::1], float32[:, ::1])")
def _peaks(rooms: _Sound, least: _Sound, most: _Sound, chosen: _Index, peaks: _Sound) -> None:
    size = rooms.shape[1] // peaks.shape[1]
    for place in range(chosen.size):
        total, low, high = rooms[chosen[place]], least[chosen[place]], most[chosen[place]]
        for block in range(peaks.shape[1]):
            peak = np.float32(0)
            for k in range(block * size, (block + 1) * size):
                peak = max(peak, abs(total[k]), total[k] - low[k], high[k] - total[k])
            peaks[place, block] = peak


def hear_others(
    seating: Seating,
    positions: _Index,
    pcm: _Sound,
    rooms: _Sound,
    limited: npt.NDArray[np.bool_],
    curves: _Sound,
) -> _Sound:
    """Give speakers their room without themselves, turned down where it is too loud, unclipped.

    Args:
        seating: who sits where.
        positions: intp, `(k,)`: of the speakers.
        pcm: float32, `(>= speakers, 160)`: what each speaker says, by position.
        rooms: float32, `(rooms, 160)`: the rooms' sums.
        limited: bool, `(rooms,)`: rooms that are turned down.
        curves: float32, `(rooms, 160)`: by what, sample by sample; other rooms' is not looked at.

    Returns:
        float32, `(k, 160)`: what each of them hears.
    """
    heard = np.empty((len(positions), pcm.shape[1]), np.float32)
    _take_out(pcm, seating.speaker_room, positions, rooms, limited, curves, heard)
    return heard


@compiled(
    "void(float32[:, ::1], int64[::1], int64[::1], float32[:, ::1], boolean[::1],"
    " float32[:, ::1], float32[:, ::1])"
)
def _take_out(
    pcm: _Sound,
    room_of: _Index,
    positions: _Index,
    rooms: _Sound,
    limited: npt.NDArray[np.bool_],
    curves: _Sound,
    out: _Sound,
) -> None:
    for i in range(positions.size):
        room = room_of[positions[i]]
        total, curve, own, heard = rooms[room], curves[room], pcm[positions[i]], out[i]
        for k in range(own.size):
            heard[k] = total[k] - own[k]
        if limited[room]:
            for k in range(own.size):
                heard[k] *= curve[k]


def clip(sums: _Sound, out: npt.NDArray[np.int16]) -> None:
    """Clip sums, in place, and give them as 16-bit samples.

    Args:
        sums: float32, `(n, 160)`; changed.
        out: int16, `(n, 160)`: fractions are cut towards zero.
    """
    np.clip(sums, LOWEST, HIGHEST, out=sums)
    np.copyto(out, sums, casting="unsafe")
