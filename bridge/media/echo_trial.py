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

from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media._compiled import compiled, inlined
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
_Doubles = npt.NDArray[np.float64]
_Numbers = npt.NDArray[np.int64]
_Index = npt.NDArray[np.intp]

# Which of the sums of a trial.
_ALIKE: Final = 0
_UNMARKED: Final = 1
_SIGNS: Final = 2

# What came and what was sent, where both are kept.
_CAME: Final = 0
_SENT: Final = 1


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
        # The least delay that is looked at [samples]: it has been sent for sure.
        self._first = np.zeros(PLACES, np.int64)
        self._loss_db = np.zeros(PLACES)
        self._began = np.zeros(PLACES, np.int64)
        # Frames that were loud enough.
        self.frames = np.zeros(PLACES, np.int64)
        self._power = np.zeros(PLACES)
        self._last = np.zeros((PLACES, 2), np.float32)
        # What was sent, and its sign: a ring written twice, one behind the other, so that the last
        # of it stands in one piece wherever it ends.
        self._sent: _Floats = np.zeros((PLACES, 2, 2 * _RING), np.float32)
        self._filled = np.zeros(PLACES, np.int64)
        # Over those frames: correlation with what was sent, that without the marks, and the signs.
        self.sums: _Floats = np.zeros((PLACES, 3, _SPAN), np.float32)
        # Anybody is suspected.
        self.active = False
        self._rows: _Index = np.empty(PLACES, np.intp)
        self._positions: _Index = np.empty(PLACES, np.intp)

    def untried(self, rows: _Index) -> _Index:
        """Return those of some legs that could be tried: nobody while there is no place."""
        if (self.legs >= 0).all():
            return rows[:0]
        tried = (rows[:, None] == self.legs).any(axis=1)
        untried: _Index = rows[~tried]
        return untried

    def begin(self, suspicion: Suspicion, tick: int) -> None:
        """Try suspects, as far as there is place."""
        free = np.flatnonzero(self.legs < 0)
        new = ~(suspicion.legs[:, None] == self.legs).any(axis=1)
        new = np.flatnonzero(new)[: len(free)]
        free = free[: len(new)]
        if not len(free):
            return
        self.legs[free] = suspicion.legs[new]
        self._first[free] = np.maximum(SAMPLES, suspicion.delay[new] * SAMPLES - _SPAN // 2)
        self._loss_db[free] = suspicion.loss_db[new]
        self._began[free] = tick
        self.frames[free] = 0
        self._power[free] = 0
        self._last[free] = 0
        self._sent[free] = 0
        self._filled[free] = 0
        self.sums[free] = 0
        self.active = bool((self.legs >= 0).any())

    def end(self, rows: _Index) -> None:
        """Try legs no more."""
        if self.active and len(rows):
            self.legs[(rows[:, None] == self.legs).any(axis=0)] = _NOBODY
            self.active = bool((self.legs >= 0).any())

    def among(self, position: _Index, speakers: int) -> tuple[_Index, _Index]:
        """Find the suspects who speak in a room.

        Args:
            position: intp, `(capacity,)`: where each row sits.
            speakers: positions below are of speakers.

        Returns:
            Rows and positions, intp `(k,)` each; good until the next call.
        """
        count = _among(self.legs, position, speakers, self._rows, self._positions)
        return self._rows[:count], self._positions[:count]

    def mark(self, tick: int, rows: _Index, samples: int) -> _Floats:
        """Return what to multiply by what suspects are sent.

        Args:
            tick: now.
            rows: intp, `(k,)`: suspects.
            samples: in a frame.

        Returns:
            float32, `(k, samples)`: 1 or -1, or from one to the other.
        """
        marks = np.empty((len(rows), samples), np.float32)
        _mark(tick, rows, self.legs, self._began, _CURVE, marks)
        return marks

    def sent(self, rows: _Index, unmarked: _Floats, marks: _Floats) -> None:
        """Take note of what suspects are sent in this tick.

        Args:
            rows: intp, `(k,)`: suspects.
            unmarked: float32, `(k, 160)`: what they would be sent.
            marks: float32, `(k, 160)`: of `mark`.
        """
        _take_sent(rows, self.legs, unmarked, marks, self._last, self._sent, self._filled)

    def came(self, rows: _Index, frames: _Floats) -> None:
        """Take note of what came of suspects, before what they are sent in this tick is known.

        Args:
            rows: intp, `(k,)`: suspects.
            frames: float32, `(k, 160)`: what came.
        """
        _take_came(
            rows,
            self.legs,
            frames,
            self._first,
            self._last,
            self._sent,
            self._filled,
            self._power,
            self.sums,
            self.frames,
        )

    def judge(self, tick: int) -> Verdict:
        """Judge those of whom enough is known; they are tried no more."""
        verdict = Verdict()
        # Where the last frame was sent with its sign changed, the next would not go on from it.
        plain = (tick - 1 - self._began) // MARK_TICKS % 2 == 0
        for place in np.flatnonzero((self.legs >= 0) & plain).tolist():
            frames = int(self.frames[place])
            over = frames >= FRAMES_DISMISSED or tick - self._began[place] > TICKS_DISMISSED
            row = int(self.legs[place])
            if frames >= FRAMES and self._returns(place, frames):
                at = int(np.abs(self.sums[place, _ALIKE]).argmax())
                delay = int(self._first[place]) + _SPAN - 1 - at
                verdict.guilty.append(row)
                verdict.delay.append(delay / RATE)
                verdict.loss_db.append(float(self._loss_db[place]))
            elif over:
                verdict.cleared.append(row)
            else:
                continue
            self.legs[place] = _NOBODY
        self.active = bool((self.legs >= 0).any())
        return verdict

    def _returns(self, place: int, frames: int) -> bool:
        at = int(np.abs(self.sums[place, _ALIKE]).argmax())
        marked, unmarked, signs = self.sums[place, :, at].tolist()
        plain, turned = (frames + signs) / 2, (frames - signs) / 2
        if min(plain, turned) < LEAST_EACH:
            return False
        first, second = (marked + unmarked) / (2 * plain), (marked - unmarked) / (2 * turned)
        least = min(first, second) if marked > 0 else min(-first, -second)
        return bool(least >= CORRELATED)


@inlined
def _place(legs: _Index, row: int) -> int:
    """Return where a suspect is tried, -1 where that is nowhere."""
    for place in range(legs.size):
        if legs[place] == row:
            return place
    return _NOBODY


@inlined
def _halve(sound: _Floats, last: np.float32, out: _Floats) -> np.float32:
    """Bring a frame to 4 kHz and to differences, and return its end, where the next begins."""
    for k in range(out.size):
        mean = sound[2 * k] + sound[2 * k + 1]
        out[k] = mean - last
        last = mean
    return last


@compiled("int64(int64[::1], int64[::1], int64, int64[::1], int64[::1])")
def _among(legs: _Index, position: _Index, speakers: int, rows: _Index, positions: _Index) -> int:
    count = 0
    for place in range(legs.size):
        row = legs[place]
        if row >= 0 and 0 <= position[row] < speakers:
            rows[count], positions[count] = row, position[row]
            count += 1
    return count


@compiled("void(int64, int64[::1], int64[::1], int64[::1], float32[::1], float32[:, ::1])")
def _mark(
    tick: int, rows: _Index, legs: _Index, began: _Numbers, curve: _Floats, out: _Floats
) -> None:
    step = out.shape[1] // curve.size
    for i in range(rows.size):
        place, marks = _place(legs, rows[i]), out[i]
        marks[:] = np.float32(1)
        if place < 0:
            continue
        since = tick - began[place]
        sign = np.float32(1) if since // MARK_TICKS % 2 == 0 else np.float32(-1)
        if since % MARK_TICKS == 0 and since > 0:
            for k in range(marks.size):
                marks[k] = sign * curve[k // step]
        else:
            marks[:] = sign


@compiled(
    "void(int64[::1], int64[::1], float32[:, ::1], float32[:, ::1], float32[:, ::1],"
    " float32[:, :, ::1], int64[::1])"
)
def _take_sent(
    rows: _Index,
    legs: _Index,
    unmarked: _Floats,
    marks: _Floats,
    last: _Floats,
    sent: _Floats,
    filled: _Numbers,
) -> None:
    marked = np.empty(FRAME, np.float32)
    for i in range(rows.size):
        place = _place(legs, rows[i])
        if place < 0:
            continue
        for k in range(marked.size):
            marked[k] = unmarked[i, k] * marks[i, k]
        at = filled[place] * SAMPLES % _RING
        sound, sign = sent[place, 0], sent[place, 1]
        last[place, _SENT] = _halve(marked, last[place, _SENT], sound[at : at + SAMPLES])
        sign[at : at + SAMPLES] = np.sign(marks[i, -1])
        for k in range(at, at + SAMPLES):
            sound[k + _RING] = sound[k]
            sign[k + _RING] = sign[k]
        filled[place] += 1


@compiled(
    "void(int64[::1], int64[::1], float32[:, ::1], int64[::1], float32[:, ::1],"
    " float32[:, :, ::1], int64[::1], float64[::1], float32[:, :, ::1], int64[::1])"
)
def _take_came(
    rows: _Index,
    legs: _Index,
    came: _Floats,
    least: _Numbers,
    last: _Floats,
    sent: _Floats,
    filled: _Numbers,
    powers: _Doubles,
    sums: _Floats,
    frames: _Numbers,
) -> None:
    frame = np.empty(SAMPLES, np.float32)
    for i in range(rows.size):
        place = _place(legs, rows[i])
        if place < 0:
            continue
        last[place, _CAME] = _halve(came[i], last[place, _CAME], frame)
        first = least[place]
        if filled[place] * SAMPLES < first + _SPAN + SAMPLES:
            continue
        end = filled[place] * SAMPLES % _RING + _RING + SAMPLES - first
        begin = end - _SPAN - SAMPLES + 1
        part, sign = sent[place, 0, begin:end], sent[place, 1, begin:end]
        total = np.float32(0)
        for k in range(part.size):
            total += part[k] * part[k]
        power = np.float64(total) / part.size
        powers[place] = max(power, _FORGOTTEN * powers[place])
        own = np.float32(0)
        for k in range(frame.size):
            own += frame[k] * frame[k]
        if power <= LOUD * powers[place] or own <= 0:
            continue
        scale = np.float32(1 / np.sqrt(own * power * SAMPLES))
        for lag in range(_SPAN):
            alike = np.float32(0)
            for k in range(frame.size):
                alike += part[lag + k] * frame[k]
            alike *= scale
            sums[place, _ALIKE, lag] += alike
            # What it would be without the marks: by the sign in the middle of each window.
            sums[place, _UNMARKED, lag] += alike * sign[lag + SAMPLES // 2]
            sums[place, _SIGNS, lag] += sign[lag + SAMPLES // 2]
        frames[place] += 1
