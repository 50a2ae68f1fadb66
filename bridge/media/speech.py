"""Prompts, tones and music: one gather over a bank of int16 samples.

A *player* row is a leg's foreground, a leg's background or a room. What it plays now is a position
in the bank and what is left of the clip; a tick copies a frame at each position. Only where a clip
ends within a frame does Python look at the single play, to go on with the next clip at that very
sample.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media._rows import Rows
from bridge.media.codecs import FRAME
from bridge.media.messages import SILENCE
from bridge.media.names_area import NAMES, NamesView

__all__ = ["MIX", "REPLACE", "Bank", "Players", "Playing"]

REPLACE: Final = 1
MIX: Final = 2
"""What a play does to the room: takes its place, or is added to it."""

LONGEST_QUEUE: Final = 64
"""Plays that wait in one player."""

Finished = Callable[[int, "Playing", bool], None]


class Bank:
    """The samples, and a frame of zeros behind them where silence is read.

    Args:
        samples: int16, `(n + at least 160,)`, ending in a frame of zeros.
        length: n.
        names: what callers have said their names are, from `NAMES` on; none where not given.
    """

    def __init__(
        self, samples: npt.NDArray[np.int16], length: int, names: NamesView | None = None
    ) -> None:
        self.length = length
        self.names = names
        self.samples = samples
        # Row p is the frame that begins at sample p; no copy.
        self.frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME)

    @classmethod
    def empty(cls) -> "Bank":
        """Return a bank without a sample."""
        return cls(np.zeros(FRAME, np.int16), 0)

    def holds(self, start: int, length: int) -> bool:
        """Say whether a clip lies inside the bank or the names; silence always does."""
        inside = start == SILENCE or 0 <= start <= start + length <= self.length
        if self.names is not None:
            inside |= NAMES <= start <= start + length <= NAMES + self.names.length
        return length > 0 and inside

    def gather(self, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Return the frame at each position, float32 `(k, 160)`, for positions int64, `(k,)`."""
        if self.names is None or positions.max(initial=0) < NAMES:
            return self.frames[positions].astype(np.float32)
        named = positions >= NAMES
        frames = np.empty((len(positions), FRAME), np.float32)
        frames[~named] = self.frames[positions[~named]]
        frames[named] = self.names.frames[positions[named] - NAMES]
        return frames

    def part(self, start: int, count: int) -> npt.NDArray[np.int16]:
        """Return so many samples from a position on, int16; no copy."""
        if self.names is not None and start >= NAMES:
            return self.names.samples[start - NAMES : start - NAMES + count]
        return self.samples[start : start + count]


@dataclass(slots=True)
class Playing:
    """One play.

    Args:
        play: its identifier.
        clips: start and length of each clip.
        loop: begins again at its end.
        mode: `REPLACE` or `MIX`.
        gain: factor.
        next_clip: index of the clip behind the current one.
    """

    play: int
    clips: list[tuple[int, int]]
    loop: bool
    mode: int
    gain: float
    next_clip: int = 0


class Players(Rows):
    """Players of one kind, a row per leg or per room.

    Args:
        capacity: rows to begin with.
        bank: the samples.
        finished: called with row, play and whether it was completed.
    """

    def __init__(self, capacity: int, bank: Bank, finished: Finished) -> None:
        super().__init__(capacity)
        self.bank = bank
        self._finished = finished
        self.active: npt.NDArray[np.bool_] = self.column("active", np.bool_)
        self.mode: npt.NDArray[np.uint8] = self.column("mode", np.uint8)
        self.position: npt.NDArray[np.int64] = self.column("position", np.int64)
        # Samples to move on per sample played: 1, or 0 within silence.
        self.pace: npt.NDArray[np.int64] = self.column("pace", np.int64)
        self.left: npt.NDArray[np.int64] = self.column("left", np.int64, kept=True)
        # What plays, and which of its clips: only for who has to go on with it elsewhere.
        self.play: npt.NDArray[np.int64] = self.column("play", np.int64, kept=True)
        self.clip: npt.NDArray[np.int64] = self.column("clip", np.int64, kept=True)
        self.gain: npt.NDArray[np.float32] = self.column("gain", np.float32, fill=1)
        self._queues: dict[int, deque[Playing]] = {}

    def start(self, row: int, playing: Playing, skip: int = 0) -> bool:
        """Play, behind what the player already plays.

        Args:
            row: the player.
            playing: the play.
            skip: samples of it to leave out, if it begins now.

        Returns:
            Whether there was room for it.
        """
        queue = self._queues.setdefault(row, deque())
        if len(queue) >= LONGEST_QUEUE:
            return False
        queue.append(playing)
        if len(queue) == 1:
            self._next_clip(row)
            self._pass_over(row, playing, skip)
        return True

    def _pass_over(self, row: int, playing: Playing, samples: int) -> None:
        """Leave out so much of the play that has just begun."""
        if playing.loop:
            samples %= sum(length for _, length in playing.clips)
        while samples > 0 and self.active[row]:
            count = min(samples, int(self.left[row]))
            self.position[row] += count * self.pace[row]
            self.left[row] -= count
            samples -= count
            if not self.left[row]:
                self._next_clip(row)

    def stop(self, row: int, play: int | None) -> bool:
        """Stop one play or (`None`) all; return whether there was one."""
        queue = self._queues.get(row, deque())
        stopped = [playing for playing in queue if play in {None, playing.play}]
        if not stopped:
            return False
        current = queue[0]
        kept = deque(playing for playing in queue if playing not in stopped)
        self._queues[row] = kept
        if current in stopped:
            self._begin_first(row)
        for playing in stopped:
            self._finished(row, playing, False)  # noqa: FBT003 - the callback's own meaning
        return True

    def reset(self, row: int) -> None:
        """Make a row as new; what it played ends unheard."""
        self.stop(row, None)
        self._queues.pop(row, None)
        super().reset(row)

    def drop(self, row: int) -> None:
        """Forget what a player plays without a word: another process goes on with it."""
        self._queues.pop(row, None)
        super().reset(row)

    def plays(self, row: int) -> list[int]:
        """Return what a player plays and has waiting."""
        return [playing.play for playing in self._queues.get(row, ())]

    def render(self, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
        """Return a frame of each player and move on.

        Args:
            rows: intp, `(k,)`: active players.

        Returns:
            float32, `(k, 160)`.
        """
        frames = self.bank.gather(self.position[rows])
        frames *= self.gain[rows][:, None]
        left = self.left[rows] - FRAME
        self.left[rows] = left
        self.position[rows] += FRAME * self.pace[rows]
        for index in (left < 0).nonzero()[0].tolist():
            self._splice(int(rows[index]), frames[index])
        for index in (left == 0).nonzero()[0].tolist():
            self._next_clip(int(rows[index]))
        return frames

    def _splice(self, row: int, frame: npt.NDArray[np.float32]) -> None:
        """Fill the rest of a frame in which a clip ends with what follows it."""
        at = FRAME + int(self.left[row])
        frame[at:] = 0
        self._next_clip(row)
        while at < FRAME and self.active[row]:
            count = min(FRAME - at, int(self.left[row]))
            start = int(self.position[row])
            if self.pace[row]:
                frame[at : at + count] = self.bank.part(start, count)
                frame[at : at + count] *= self.gain[row]
            at += count
            self.position[row] += count * self.pace[row]
            self.left[row] -= count
            if not self.left[row]:
                self._next_clip(row)

    def _next_clip(self, row: int) -> None:
        """Go to the next clip of the play, or to the next play."""
        playing = self._queues[row][0]
        if playing.next_clip == len(playing.clips):
            if not playing.loop:
                self._queues[row].popleft()
                self._begin_first(row)
                self._finished(row, playing, True)  # noqa: FBT003 - the callback's own meaning
                return
            playing.next_clip = 0
        start, length = playing.clips[playing.next_clip]
        self.play[row] = playing.play
        self.clip[row] = playing.next_clip
        playing.next_clip += 1
        silent = start == SILENCE
        self.active[row] = True
        self.mode[row] = playing.mode
        self.gain[row] = playing.gain
        self.position[row] = self.bank.length if silent else start
        self.pace[row] = not silent
        self.left[row] = length

    def _begin_first(self, row: int) -> None:
        if self._queues[row]:
            self._next_clip(row)
        else:
            self.active[row] = False
            self.left[row] = 0
            self.play[row] = 0
