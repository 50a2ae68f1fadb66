"""Posts: what one media process after the other holds, which legs and rooms, how loaded.

A post stays while its processes come and go. New legs and new rooms go where the load is least; it
is the share of its 20 ms that the median tick took in the last second, corrected by the legs that
have come or gone since.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bridge.media.messages import Heartbeat, Play

if TYPE_CHECKING:
    from bridge.media_process import MediaProcess

__all__ = ["TICK_MS", "Busy", "Post", "least_loaded"]

TICK_MS: Final = 20.0

LEG_SHARE: Final = 1 / 1500
"""What a leg takes of a tick, until the next heartbeat says it better."""

BUSY_BEATS: Final = 3
"""Seconds in a row: a machine that stumbles once is not full, nor is one whose host is busy."""

RELIEVED_BEATS: Final = 3

RELIEF: Final = 0.1
"""So much of a tick below the limit: at the limit itself, calls would be let in and refused in
turns."""


class Busy:
    """Whether ticks come too near to their deadline, with hysteresis.

    Args:
        share: of 20 ms, that the 95th percentile of a second's ticks may take.
    """

    def __init__(self, share: float) -> None:
        self._limit_ms = share * TICK_MS
        self._relieved_ms = max(share - RELIEF, share / 2) * TICK_MS
        self._beats = 0
        self.now = False

    def take(self, p95_ms: float) -> None:
        """Take a second's 95th percentile in [ms]."""
        against = p95_ms <= self._relieved_ms if self.now else p95_ms > self._limit_ms
        self._beats = self._beats + 1 if against else 0
        if self._beats >= (RELIEVED_BEATS if self.now else BUSY_BEATS):
            self.now = not self.now
            self._beats = 0


@dataclass(slots=True, eq=False)
class Post:
    """One post.

    Args:
        number: from 0 on.
        busy: whether it can take no more.
        process: who holds it; `None` until there is one.
        legs: the legs of it, those that are on their way to it too.
        rooms: the legs in each room of it.
        room_plays: what is played to each room of it.
        beat: the last heartbeat.
    """

    number: int
    busy: Busy
    process: MediaProcess | None = None
    legs: set[int] = field(default_factory=set)
    rooms: dict[int, set[int]] = field(default_factory=dict)
    room_plays: dict[int, dict[int, Play]] = field(default_factory=dict)
    beat: Heartbeat | None = None

    @property
    def share(self) -> float:
        """Share of its time that the 95th percentile of ticks takes."""
        return self.beat.tick_ms_p95 / TICK_MS if self.beat is not None else 0.0

    @property
    def load(self) -> float:
        """What it is expected to bear at this moment, as a share of its time."""
        if self.beat is None:
            return len(self.legs) * LEG_SHARE
        new = len(self.legs) - self.beat.legs
        return self.beat.tick_ms_p50 / TICK_MS + new * LEG_SHARE

    def enter(self, room: int, leg: int) -> None:
        """Put a leg into a room."""
        self.rooms.setdefault(room, set()).add(leg)

    def leave(self, room: int, leg: int) -> None:
        """Take a leg out of a room, which ends with its last one."""
        legs = self.rooms.get(room, set())
        legs.discard(leg)
        if not legs:
            self.rooms.pop(room, None)
            self.room_plays.pop(room, None)


def least_loaded(posts: list[Post]) -> Post:
    """Return the post to put something new to; one whose process is away only if all are."""
    return min(posts, key=lambda post: (post.process is None, post.load, post.number))
