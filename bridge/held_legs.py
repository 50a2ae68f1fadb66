"""What control knows of each leg: enough to open it in another media process.

Control keeps a duplicate of a leg's sockets and the last word it said about the leg; where the leg
stood when its process died, or was asked to give it away, is in its record (`bridge.media.page`).
Together they are a `HandedLeg`.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from bridge.media.messages import (
    BeginTrace,
    ChangeLeg,
    Command,
    EndTrace,
    HandedLeg,
    LegGiven,
    LegStatistics,
    OpenLeg,
    Place,
    Play,
    PlayFinished,
    SetVolume,
    StopPlay,
)
from bridge.media.page import Records
from bridge.media.place_messages import AddPlace
from bridge.media.ports import MediaPair

if TYPE_CHECKING:
    from bridge.port_sharing import SharedPlace
    from bridge.posts import Post

__all__ = ["HeldLeg"]

ADDED_UP: Final = tuple(
    each.name
    for each in msgspec.structs.fields(LegStatistics)
    if each.type is int and each.name != "leg"
)
"""Fields of `LegStatistics` that count from the start of the process, not of the call, where a leg
had to be opened without a record."""

WORST: Final[dict[str, Callable[[float, float], float]]] = {
    "jitter_ms_worst": max,
    "rtt_ms_worst": max,
    "playout_ms_worst": max,
    "mos_worst": min,
}
"""Fields that say how it was at the worst; the other figures are of the last process alone."""


@dataclass(slots=True)
class HeldLeg:
    """One leg.

    Args:
        opened: how it was opened, and what was negotiated last.
        sockets: its own, or its place on a shared port.
        second: where it is heard too, while its media moves.
        post: the post whose process has it.
        moves_to: the post that it is on its way to.
        record: where it stood, `None` where no process has had it.
        at: when that was so [s].
        place: where it is.
        volume_db: how loud it hears its room, against normal [dB].
        background: what loops for it.
        foreground: what is said to it, in order.
        stopped: plays that were stopped, and not yet told to be over.
        before: what processes had counted that left no record.
        latest: what was counted in all, as heard last.
        closing: its end was asked for.
        traced: its headers are reported.
        waiting: what was said meanwhile to a leg that moves.
    """

    opened: OpenLeg
    sockets: MediaPair | SharedPlace
    post: Post
    second: MediaPair | SharedPlace | None = None
    moves_to: Post | None = None
    record: np.void | None = None
    at: float = 0.0
    place: Place | None = None
    volume_db: float = 0.0
    background: Play | None = None
    foreground: dict[int, Play] = field(default_factory=dict)
    stopped: set[int] = field(default_factory=set)
    before: LegStatistics | None = None
    latest: LegStatistics | None = None
    closing: bool = False
    traced: bool = False
    waiting: list[Command] = field(default_factory=list)

    @property
    def leg(self) -> int:
        """The leg's number."""
        return self.opened.leg

    @property
    def descriptors(self) -> tuple[int, ...]:
        """The descriptors that a media process needs, in their order."""
        return self.sockets.descriptors

    def part(self) -> None:
        """Let a leg on a shared port have sockets of its own there: those can go elsewhere.

        Raises:
            DescriptorsExhausted: this process may not open more files.
            OSError: the kernel does not allow it.
        """
        for place in (self.sockets, self.second):
            if place is not None and not isinstance(place, MediaPair):
                place.part(self.opened.media.remote_rtcp)
        self.opened = msgspec.structs.replace(self.opened, shared_port=_port(self.sockets))

    def adding(self) -> AddPlace:
        """Return what has a process hear the leg at its second place."""
        return AddPlace(leg=self.leg, shared_port=_port(self.second))

    def take_second(self) -> None:
        """Let the second place be the one that the leg is sent to from."""
        if self.second is not None:
            self.sockets, self.second = self.second, self.sockets
            self.opened = msgspec.structs.replace(self.opened, shared_port=_port(self.sockets))

    def close(self) -> None:
        """Close its sockets, and give its places on shared ports back."""
        self.sockets.close()
        if self.second is not None:
            self.second.close()

    def remember(self, command: Command) -> bool:
        """Keep what another process would have to know.

        Returns:
            Whether it is kept; what is not must be said again to another process.
        """
        match command:
            case ChangeLeg(media=media):
                self.opened = msgspec.structs.replace(self.opened, media=media)
            case Place():
                self.place = command
            case SetVolume(gain_db=gain_db):
                self.volume_db = gain_db
            case Play(loop=True):
                self.background = command
            case Play():
                self.foreground[command.play] = command
            case StopPlay(play=play):
                self._stop(play)
            case BeginTrace():
                self.traced = True
            case EndTrace():
                self.traced = False
            case _:
                return False
        return True

    def _stop(self, play: int | None) -> None:
        if self.background is not None and play in {None, self.background.play}:
            self.stopped.add(self.background.play)
            self.background = None
        for each in [each for each in self.foreground if play in {None, each}]:
            self.stopped.add(each)
            del self.foreground[each]

    def forget_play(self, play: int) -> None:
        """Forget a play that is over."""
        if self.background is not None and self.background.play == play:
            self.background = None
        self.foreground.pop(play, None)
        self.stopped.discard(play)

    def total(self, now: LegStatistics) -> LegStatistics:
        """Add what processes had counted that left no record."""
        before = self.before
        if before is None:
            if now.dtmf_method is None and self.latest is not None:
                return msgspec.structs.replace(now, dtmf_method=self.latest.dtmf_method)
            return now
        sums = {name: getattr(before, name) + getattr(now, name) for name in ADDED_UP}
        worst = {
            name: _worst(choose, getattr(before, name), getattr(now, name))
            for name, choose in WORST.items()
        }
        method = now.dtmf_method or before.dtmf_method
        return msgspec.structs.replace(now, **sums, **worst, dtmf_method=method)

    def given(self, event: LegGiven, kind: np.dtype[np.void]) -> None:
        """Take in where the leg stood when its process let go of it.

        Args:
            event: what the process said.
            kind: type of its records.
        """
        known = bool(event.record) and len(event.record) == kind.itemsize
        self.record = np.frombuffer(event.record, kind)[0] if known else None
        self.at = event.at

    def died(self, records: Records) -> None:
        """Take in where the leg stood when its process died.

        A process that left records, but none of this leg, never came to open it: what was handed to
        it still holds.

        Args:
            records: what is left of the process.
        """
        record = records.legs.get(self.leg)
        if record is not None:
            self.record, self.at = record, records.at
        elif math.isnan(records.at) and self.latest is not None:
            # Where its sequence stood is not known, and a receiver takes a new synchronisation
            # source at once where it distrusts a leap of a known one.
            self.record = None
            self.before = self.latest
            self.opened = msgspec.structs.replace(
                self.opened,
                ssrc=secrets.randbelow(2**32 - 1) + 1,
                sequence=None,
                timestamp=None,
                former_ssrc=self.opened.ssrc,
            )

    def over(self) -> list[PlayFinished]:
        """Return the plays that are over and were not told to be; they are forgotten.

        A player goes through its plays in order: those before the one that it was at were heard to
        their end.
        """
        told = [PlayFinished(play=play, completed=False, leg=self.leg) for play in self.stopped]
        self.stopped.clear()
        current = int(self.record["foreground.play"]) if self.record is not None else 0
        if current in self.foreground:
            order = list(self.foreground)
            for play in order[: order.index(current)]:
                del self.foreground[play]
                told.append(PlayFinished(play=play, completed=True, leg=self.leg))
        return told

    def handed(self) -> HandedLeg:
        """Return all that another process needs."""
        plays = [self._resumed(play, "foreground") for play in self.foreground.values()]
        if self.background is not None:
            plays.append(self._resumed(self.background, "background"))
        return HandedLeg(
            opened=self.opened,
            record=self.record.tobytes() if self.record is not None else b"",
            at=self.at,
            place=self.place,
            volume_db=self.volume_db,
            plays=plays,
            traced=self.traced,
            descriptors=len(self.descriptors),
        )

    def _resumed(self, play: Play, player: str) -> Play:
        """Return a play from where it stood."""
        record = self.record
        if record is None or int(record[f"{player}.play"]) != play.play:
            return play
        clip, left = int(record[f"{player}.clip"]), int(record[f"{player}.left"])
        heard = sum(length for _, length in play.clips[: clip + 1]) - left
        return msgspec.structs.replace(play, skip=heard)


def _worst(
    choose: Callable[[float, float], float], before: float | None, now: float | None
) -> float | None:
    if before is None or now is None:
        return now if before is None else before
    return choose(before, now)


def _port(place: MediaPair | SharedPlace | None) -> int | None:
    """Return the shared port of a place that has no sockets of its own."""
    return None if place is None or isinstance(place, MediaPair) or place.own else place.index
