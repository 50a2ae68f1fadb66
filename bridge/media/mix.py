"""Who hears whom: the sum of a room, minus oneself, then clipped, in that order.

Sums are float32 over samples that are whole numbers of at most 32,256 (the largest of G.711), so
they are exact up to 2**24 / 32256 = 520 speakers at full scale at once in a room, whatever the
order of summation; beyond that they are off by at most one step of float32.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media.seating import Seating

__all__ = ["HIGHEST", "LOWEST", "clip", "hear_others", "loudest_others", "sum_rooms"]

LOWEST: Final = -32768
HIGHEST: Final = 32767
"""The one place that says where samples are clipped."""


def sum_rooms(
    seating: Seating,
    pcm: npt.NDArray[np.float32],
    rooms: npt.NDArray[np.float32],
) -> None:
    """Sum what is said in each room.

    Args:
        seating: who sits where.
        pcm: float32, `(>= speakers, 160)`: what each speaker says, by position.
        rooms: float32, `(rooms, 160)`: gets the sum of each room; zero where nobody speaks.
    """
    rooms[:] = 0
    for alike in seating.alike:
        ones = np.ones((1, alike.size), np.float32)
        # A matrix product: BLAS reads the frames once, `reduceat` takes ten times as long.
        rooms[alike.rooms] = np.matmul(ones, alike.of(pcm))[:, 0]


def loudest_others(
    seating: Seating,
    pcm: npt.NDArray[np.float32],
    rooms: npt.NDArray[np.float32],
    out: npt.NDArray[np.float32],
) -> None:
    """Find the greatest magnitude that any speaker of each room hears, sample by sample.

    Of all that is heard, total - own, the extremes are total - least and total - most.

    Args:
        seating: who sits where.
        pcm: float32, `(>= speakers, 160)`: what each speaker says, by position.
        rooms: float32, `(rooms, 160)`: the rooms' sums.
        out: float32, `(rooms, 160)`: gets it for rooms with speakers, where it has not more.
    """
    for alike in seating.alike:
        spoken, total = alike.of(pcm), rooms[alike.rooms]
        loudest = total - np.minimum.reduce(spoken, axis=1)
        np.maximum(loudest, np.maximum.reduce(spoken, axis=1) - total, out=loudest)
        out[alike.rooms] = np.maximum(out[alike.rooms], loudest)


def hear_others(
    seating: Seating,
    pcm: npt.NDArray[np.float32],
    rooms: npt.NDArray[np.float32],
    out: npt.NDArray[np.float32],
) -> None:
    """Give each speaker its room without itself, unclipped.

    Args:
        seating: who sits where.
        pcm: float32, `(>= speakers, 160)`: what each speaker says, by position.
        rooms: float32, `(rooms, 160)`: the rooms' sums.
        out: float32, `(>= speakers, 160)`: gets what each speaker hears.
    """
    heard = out[: seating.speakers]
    np.take(rooms, seating.speaker_room, axis=0, out=heard, mode="clip")
    np.subtract(heard, pcm[: seating.speakers], out=heard)


def clip(sums: npt.NDArray[np.float32], out: npt.NDArray[np.int16]) -> None:
    """Clip sums, in place, and give them as 16-bit samples.

    Args:
        sums: float32, `(n, 160)`; changed.
        out: int16, `(n, 160)`: fractions are cut towards zero.
    """
    np.clip(sums, LOWEST, HIGHEST, out=sums)
    np.copyto(out, sums, casting="unsafe")
