"""Names that callers speak, recorded: what a leg says goes into its slot of the area for names.

A leg that is recorded is decoded like one that speaks, though nobody hears it: the same gaps are
filled, the same keys are taken out, and the gate keeps its line's noise away. What comes of it is
written frame by frame, all such legs at once. When it ends, the name is cut out of the silence
around it, brought to the level that prompts have, and moved to the slot's beginning::

    recorded   ......:.....|name ...... name|.......:..
    played                 |name ...... name|

A sound shorter than `SHORTEST` frames, alone before or after the name, is none of it: a click, or
what a gateway lets through of a key. One name is finished in a tick, so that a tick with many of
them is as short as others.

Nothing is done while nobody is recorded.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media._rows import Rows
from bridge.media.codecs import FRAME, SAMPLE_RATE
from bridge.media.levels import frame_rms, from_dbov
from bridge.media.limiter import CEILING
from bridge.media.mix import clip
from bridge.media.names_area import SLOT_FRAMES, NamesView, start_of
from bridge.media.seating import Seating

__all__ = ["LEVEL_DBOV", "Naming", "cut_out"]

LEVEL_DBOV: Final = -24.0
"""Active speech level of prompts: a name stands within one."""

MOST_GAIN: Final = 10 ** (20 / 20)

BELOW_LOUDEST: Final = 10 ** (-30 / 20)
"""A talker's range: what is fainter than the loudest frame by more than 30 dB is a pause."""

FAINTEST: Final = from_dbov(-58.0)
"""Nothing below is speech (`levels`)."""

SHORTEST: Final = 3
"""Frames: 60 ms. No syllable is shorter; a key that leaks is 40 ms at most."""

APART: Final = 5
"""Frames of silence that part a click from the name."""

BEFORE: Final = 2
AFTER: Final = 4
"""Frames kept around the name: a soft onset, and how it dies away."""

FADE: Final = 40
"""Samples, 5 ms, at either end."""

_NO_SLOT: Final = -1

Finished = Callable[[int, int, int, int, float], None]
"""Told row, slot, start, samples and seconds of speech."""


class Naming(Rows):
    """Recordings of names.

    Args:
        capacity: rows to begin with.
        finished: told of each that is over.
    """

    def __init__(self, capacity: int, finished: Finished) -> None:
        super().__init__(capacity)
        self.slot: npt.NDArray[np.int64] = self.column("slot", np.int64, fill=_NO_SLOT)
        self.written: npt.NDArray[np.int64] = self.column("written", np.int64)
        self.running: npt.NDArray[np.bool_] = self.column("running", np.bool_)
        self.area: NamesView | None = None
        self._finished = finished
        # Rows whose recording has ended and is not finished.
        self._ended: deque[int] = deque()
        # Somebody is recorded, or a recording is to be finished.
        self.active = False

    def start(self, row: int, slot: int) -> bool:
        """Record a leg; say whether that can be. What was recorded of it before is dropped."""
        area = self.area
        if area is None or not 0 <= slot < len(area.slots):
            return False
        self._drop(row)
        self.slot[row] = slot
        self.running[row] = True
        self.active = True
        return True

    def stop(self, row: int) -> None:
        """End a leg's recording; it is finished in this tick or one of the next."""
        if self.running[row]:
            self.running[row] = False
            self._ended.append(row)

    def reset(self, row: int) -> None:
        """Make a row as new; what was recorded of its leg is erased."""
        self._drop(row)
        super().reset(row)

    def _drop(self, row: int) -> None:
        slot = int(self.slot[row])
        if slot == _NO_SLOT:
            return
        if self.area is not None:
            self.area.slots[slot, : self.written[row]] = 0
        self._end(row, 0, 0.0)

    def _end(self, row: int, samples: int, seconds: float) -> None:
        slot = int(self.slot[row])
        if row in self._ended:
            self._ended.remove(row)
        super().reset(row)
        self.active = bool((self.slot != _NO_SLOT).any())
        self._finished(row, slot, start_of(slot), samples, seconds)

    def write(self, seating: Seating, pcm: npt.NDArray[np.float32]) -> None:
        """Write what is said in this tick, and finish a recording that has ended.

        Args:
            seating: who sits where; all that are recorded are talkers.
            pcm: float32, `(talkers, 160)`, by position: what would go into the mix.
        """
        area = self.area
        if area is None:
            return
        rows = np.flatnonzero(self.running)
        # Who came in this very tick has no seat as a talker yet.
        rows = rows[seating.position[rows] < seating.talkers]
        if len(rows):
            samples = np.empty((len(rows), FRAME), np.int16)
            clip(pcm[seating.position[rows]], samples)
            area.slots[self.slot[rows], self.written[rows]] = samples
            self.written[rows] += 1
            for row in rows[self.written[rows] == SLOT_FRAMES].tolist():
                self.stop(row)
        if self._ended:
            self._finish(self._ended[0], area)

    def _finish(self, row: int, area: NamesView) -> None:
        """Leave the name in its slot, from the beginning on, and nothing else."""
        recorded = area.slots[self.slot[row], : self.written[row]]
        name, seconds = cut_out(recorded.astype(np.float32))
        recorded[len(name) :] = 0
        recorded[: len(name)] = name
        self._end(row, name.size, seconds)


def cut_out(frames: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int16], float]:
    """Cut a name out of the silence around it and bring it to the level of prompts.

    Args:
        frames: float32, `(n, 160)`, 16-bit scale.

    Returns:
        int16, `(k, 160)`, and the seconds of speech in it; nothing where nobody spoke.
    """
    nothing = np.empty((0, FRAME), np.int16)
    if not len(frames):
        return nothing, 0.0
    rms = frame_rms(frames)
    loud = rms > max(FAINTEST, float(rms.max()) * BELOW_LOUDEST)
    # Runs of loud frames, pauses of less than `APART` frames counted in.
    at = np.flatnonzero(loud)
    if not len(at):
        return nothing, 0.0
    parts = np.split(at, np.flatnonzero(np.diff(at) > APART) + 1)
    kept = [part for part in parts if len(part) >= SHORTEST]
    if not kept:
        return nothing, 0.0
    first = max(0, int(kept[0][0]) - BEFORE)
    last = min(len(frames), int(kept[-1][-1]) + 1 + AFTER)
    # What was left out does not come back in with the frames kept around the name.
    before = [int(part[-1]) + 1 for part in parts if part[-1] < kept[0][0]]
    after = [int(part[0]) for part in parts if part[0] > kept[-1][-1]]
    first, last = max([first, *before]), min([last, *after])
    speech = np.concatenate(kept)
    level = float(np.sqrt(np.mean(np.square(rms[speech]))))
    name = frames[first:last]
    peak = float(np.abs(name).max())
    name = name * min(from_dbov(LEVEL_DBOV) / level, MOST_GAIN, CEILING / peak)
    ramp = np.arange(1, FADE + 1, dtype=np.float32) / FADE
    name[0, :FADE] *= ramp
    name[-1, -FADE:] *= ramp[::-1]
    samples = np.empty(name.shape, np.int16)
    clip(name, samples)
    return samples, len(speech) * FRAME / SAMPLE_RATE
