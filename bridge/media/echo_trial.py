"""Proof that a leg returns what it is sent, and nothing that only sounds alike.

Two telephones in one room hear the same talker: what one of them sends is what the other is sent,
at nearly the same time, and no correlation can tell that from an echo. So what a suspect is sent
is *marked*: its sign changes every 160 ms, which nobody hears. An echo has the marks, in its time,
and whatever comes another way has not::

    sent, unmarked   u  + + + + + + + + + + + +
    sent, marked     v  + + + + - - - - + + + +
    came, an echo         . . . + + + + - - - - +      correlates with v
    came, another way       + + + + + + + + + + + +    correlates with u

Both sounds are brought to 4 kHz and to their differences from sample to sample, so that low voices
do not hide the rest. Each frame is correlated with what was sent over 60 ms of delays around the
one that levels spoke for (`echo_screen`), each frame counts alike however loud, and the frames'
correlations are averaged. That of chance falls with their number; an echo's does not.
"""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media.codecs import FRAME
from bridge.media.echo_screen import DELAYS, Suspicion

__all__ = ["PLACES", "Trials", "Verdict"]

PLACES: Final = 4
"""Suspects at a time."""

MARK_TICKS: Final = 8

FRAMES: Final = 48
"""Frames in which something loud was sent, before a suspect is found to return it."""

FRAMES_DISMISSED: Final = 112
TICKS_DISMISSED: Final = 500
"""So many of them, or so many ticks, and it is let go."""

CORRELATED: Final = 0.2
"""Least mean correlation with what was sent, over the frames sent as they are and over those sent
with their sign changed, each for itself. Of 16 frames of chance it is 0.04, 0.12 at the greatest of
240 delays; of what came another way it has the wrong sign in one of the two."""

LEAST_EACH: Final = 16
"""Frames of either kind."""

LOUD: Final = 0.1
"""Of the greatest mean square of late, from which on a frame counts."""

SAMPLES: Final = FRAME // 2
RATE: Final = 4000
_SPAN: Final = 3 * SAMPLES
_RING: Final = (DELAYS + 3) * SAMPLES
_NOBODY: Final = -1
_TURN: Final = 20  # samples at 8 kHz over which the sign changes, on either side of zero
_FORGOTTEN: Final = 0.995

_Floats = npt.NDArray[np.float32]
_Index = npt.NDArray[np.intp]


def _turns() -> _Floats:
    """Return the curve that leads from one sign to the other at the beginning of a frame."""
    return np.clip((np.arange(FRAME) + 0.5) / _TURN - 1, -1, 1).astype(np.float32)


_CURVE: Final = _turns()


class Verdict:
    """What became of suspects.

    Args:
        guilty: intp: rows of those that return what they are sent.
        delay: float64: of the echo of each [s].
        loss_db: float64: by how much it is softer [dB].
        cleared: intp: rows of those that do not, as far as can be told.
    """

    __slots__ = ("cleared", "delay", "guilty", "loss_db")

    def __init__(self) -> None:
        self.guilty: list[int] = []
        self.delay: list[float] = []
        self.loss_db: list[float] = []
        self.cleared: list[int] = []

    def __bool__(self) -> bool:
        return bool(self.guilty or self.cleared)


class Trials:
    """The suspects, by place."""

    def __init__(self) -> None:
        self.legs: _Index = np.full(PLACES, _NOBODY, np.intp)
        self._delay = np.zeros(PLACES, np.int64)
        self._loss_db = np.zeros(PLACES)
        self._began = np.zeros(PLACES, np.int64)
        self._frames = np.zeros(PLACES, np.int64)
        self._power = np.zeros(PLACES)
        self._last = np.zeros((PLACES, 2), np.float32)
        # What was sent, and its sign.
        self._sent: _Floats = np.zeros((PLACES, 2, _RING), np.float32)
        self._filled = np.zeros(PLACES, np.int64)
        self._sums: _Floats = np.zeros((PLACES, 3, _SPAN), np.float32)

    @property
    def active(self) -> bool:
        """Anybody is suspected."""
        return bool((self.legs >= 0).any())

    def begin(self, suspicion: Suspicion, tick: int) -> None:
        """Try suspects, as far as there is place."""
        free = np.flatnonzero(self.legs < 0)
        new = np.flatnonzero(~np.isin(suspicion.legs, self.legs))[: len(free)]
        free = free[: len(new)]
        self.legs[free] = suspicion.legs[new]
        self._delay[free] = suspicion.delay[new]
        self._loss_db[free] = suspicion.loss_db[new]
        self._began[free] = tick
        self._frames[free] = 0
        self._power[free] = 0
        self._last[free] = 0
        self._sent[free] = 0
        self._filled[free] = 0
        self._sums[free] = 0

    def end(self, rows: _Index) -> None:
        """Try legs no more."""
        self.legs[np.isin(self.legs, rows)] = _NOBODY

    def mark(self, tick: int, rows: _Index, samples: int) -> _Floats:
        """Return what to multiply by what suspects are sent.

        Args:
            tick: now.
            rows: intp, `(k,)`: suspects.
            samples: in a frame.

        Returns:
            float32, `(k, samples)`: 1 or -1, or from one to the other.
        """
        began = self._began[self._places(rows)]
        since = tick - began
        sign = np.where(since // MARK_TICKS % 2 == 0, 1, -1).astype(np.float32)
        curve = np.repeat(_CURVE, samples // FRAME)
        turns = (since % MARK_TICKS == 0) & (since > 0)
        marks: _Floats = sign[:, None] * np.where(turns[:, None], curve, np.float32(1))
        return marks

    def _places(self, rows: _Index) -> _Index:
        return np.array(
            [int(np.flatnonzero(self.legs == row)[0]) for row in rows.tolist()], np.intp
        )

    def sent(self, rows: _Index, unmarked: _Floats, marks: _Floats) -> None:
        """Take note of what suspects are sent in this tick.

        Args:
            rows: intp, `(k,)`: suspects.
            unmarked: float32, `(k, 160)`: what they would be sent.
            marks: float32, `(k, 160)`: of `mark`.
        """
        places = self._places(rows)
        halved, last = _halved(unmarked * marks, self._last[places, 1])
        self._last[places, 1] = last
        self._sent[places, :, :-SAMPLES] = self._sent[places, :, SAMPLES:]
        self._sent[places, 0, -SAMPLES:] = halved
        self._sent[places, 1, -SAMPLES:] = np.sign(marks[:, -1:])
        self._filled[places] += 1

    def came(self, rows: _Index, frames: _Floats) -> None:
        """Take note of what came of suspects, before what they are sent in this tick is known.

        Args:
            rows: intp, `(k,)`: suspects.
            frames: float32, `(k, 160)`: what came.
        """
        places = self._places(rows)
        halved, last = _halved(frames, self._last[places, 0])
        self._last[places, 0] = last
        for place, frame in zip(places.tolist(), halved, strict=True):
            self._correlate(place, frame)

    def _first(self, place: int) -> int:
        """Return the least delay that is looked at [samples]: it has been sent for sure."""
        return max(SAMPLES, int(self._delay[place]) * SAMPLES - _SPAN // 2)

    def _correlate(self, place: int, frame: _Floats) -> None:
        first = self._first(place)
        if self._filled[place] * SAMPLES < first + _SPAN + SAMPLES:
            return
        end = _RING + SAMPLES - first
        begin = end - _SPAN - SAMPLES + 1
        part = self._sent[place, 0, begin:end]
        power = float(np.vecdot(part, part)) / len(part)
        self._power[place] = max(power, _FORGOTTEN * self._power[place])
        own = float(np.vecdot(frame, frame))
        if power <= LOUD * self._power[place] or own <= 0:
            return
        alike = np.correlate(part, frame)
        alike *= np.float32(1 / math.sqrt(own * power * SAMPLES))
        self._sums[place, 0] += alike
        # What it would be without the marks: by the sign in the middle of each window.
        sign = self._sent[place, 1, begin + SAMPLES // 2 : begin + SAMPLES // 2 + _SPAN]
        self._sums[place, 1] += alike * sign
        self._sums[place, 2] += sign
        self._frames[place] += 1

    def judge(self, tick: int) -> Verdict:
        """Judge those of whom enough is known; they are tried no more."""
        verdict = Verdict()
        # Where the last frame was sent with its sign changed, the next would not go on from it.
        plain = (tick - 1 - self._began) // MARK_TICKS % 2 == 0
        for place in np.flatnonzero((self.legs >= 0) & plain).tolist():
            frames = int(self._frames[place])
            over = frames >= FRAMES_DISMISSED or tick - self._began[place] > TICKS_DISMISSED
            row = int(self.legs[place])
            if frames >= FRAMES and self._returns(place, frames):
                delay = self._first(place) + _SPAN - 1 - int(np.abs(self._sums[place, 0]).argmax())
                verdict.guilty.append(row)
                verdict.delay.append(delay / RATE)
                verdict.loss_db.append(float(self._loss_db[place]))
            elif over:
                verdict.cleared.append(row)
            else:
                continue
            self.legs[place] = _NOBODY
        return verdict

    def _returns(self, place: int, frames: int) -> bool:
        at = int(np.abs(self._sums[place, 0]).argmax())
        marked, unmarked, signs = self._sums[place, :, at].tolist()
        plain, turned = (frames + signs) / 2, (frames - signs) / 2
        if min(plain, turned) < LEAST_EACH:
            return False
        first, second = (marked + unmarked) / (2 * plain), (marked - unmarked) / (2 * turned)
        least = min(first, second) if marked > 0 else min(-first, -second)
        return bool(least >= CORRELATED)


def _halved(sound: _Floats, last: _Floats) -> tuple[_Floats, _Floats]:
    """Bring frames to 4 kHz and to differences: `(k, 160)` to `(k, 80)`, and their ends."""
    mean = sound[:, 0::2] + sound[:, 1::2]
    difference = mean.copy()
    difference[:, 1:] -= mean[:, :-1]
    difference[:, 0] -= last
    return difference, mean[:, -1]
