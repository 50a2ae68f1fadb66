"""Legs that return what they are sent: found, named, and turned down while that is all they say.

In the background a few legs are compared by levels (`echo_screen`), of those of which something is
heard while something is sent to them; whoever is suspected is tried on samples (`echo_trial`), four
at a time. A leg that was cleared is left alone for a while, each time for longer.

A leg that is *named* is turned down in the frames in which it is not louder than its echo must be:
what it was sent a delay ago, less the loss. When it talks itself it is heard. It is let go when
what should have come back twice did not.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media._compiled import compiled
from bridge.media._rows import Rows
from bridge.media.echo_screen import DELAYS, LOOKED_AT, LOUD_DB, screen
from bridge.media.echo_trial import Trials, Verdict
from bridge.media.history import TICKS, History
from bridge.media.levels import Levels
from bridge.media.seating import Seating

__all__ = ["EchoGuard"]

SCREENED: Final = 8
"""Legs that are compared in one turn."""

SENT: Final = 32768.0**2 * 10 ** (-40.0 / 10)
"""Mean square of what a leg is sent from which on an echo of it would be heard."""

OFTEN: Final = 0.5
LEAST_SENT: Final = 8.0
"""A leg is compared if something is heard of it while something is sent to it, in half of the notes
and more, once there are eight: who has a good telephone is mostly silent then."""

PATIENCE: Final = 150
"""Ticks (3 s) until a leg that was cleared is looked at again; twice as long each time."""

MOST_PATIENCE: Final = 15_000

TURNED_DOWN: Final = 10 ** (-18.0 / 20)

MARGIN: Final = 10 ** (6.0 / 10)
"""Power of an echo over the one expected: frames of what was sent and of what came overlap."""

DECAY: Final = 10 ** (-2.0 / 10)
"""Of what is expected, a frame: rooms ring."""

GONE_DB: Final = 8.0
GONE_SHARE: Final = 0.5
GONE_TIMES: Final = 2
"""Gone is an echo 8 dB softer than it was in half of the frames, twice, a while apart."""

_FEWEST: Final = 30
_FRAME_S: Final = 0.02
_FADE: Final = np.float32(0.975)
_SENT: Final = np.float32(SENT)
_Floats = npt.NDArray[np.float32]
_Index = npt.NDArray[np.intp]
_NOBODY: Final = np.empty(0, np.intp)


class EchoGuard(Rows):
    """Who returns an echo, and who is looked at.

    Args:
        capacity: rows to begin with.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.named: npt.NDArray[np.bool_] = self.column("named", np.bool_, kept=True)
        # Of the echo: seconds, and decibels below what was sent.
        self.delay: _Floats = self.column("delay", np.float32, kept=True)
        self.loss_db: _Floats = self.column("loss_db", np.float32, kept=True)
        self.gone: npt.NDArray[np.int8] = self.column("gone", np.int8)
        # What is expected to come back, mean square.
        self.expected: _Floats = self.column("expected", np.float32)
        self.turned_down: npt.NDArray[np.bool_] = self.column("turned_down", np.bool_)
        # Notes, of late, that something was sent; and that something came as well.
        self.sent: _Floats = self.column("sent", np.float32)
        self.both: _Floats = self.column("both", np.float32)
        self.cleared: npt.NDArray[np.int8] = self.column("cleared", np.int8)
        self.look_again: npt.NDArray[np.int64] = self.column("look_again", np.int64)
        self.trials = Trials()
        self._turn = 0

    # --- search ---------------------------------------------------------------------------------

    def note(self, seating: Seating, levels: Levels, history: History) -> None:
        """Take note, ten times a second, of who is heard while others are."""
        slot = (history.tick - 1) & (TICKS - 1)
        _note(
            seating.order,
            seating.speakers,
            history.room,
            history.rooms[slot],
            history.said[slot],
            levels.talking,
            self.sent,
            self.both,
        )

    def search(self, history: History) -> None:
        """Compare the legs whose turn it is, by levels, if there is any reason to."""
        likely = (self.both > OFTEN * self.sent) & (self.sent > LEAST_SENT) & ~self.named
        rows = (likely & (self.look_again <= history.tick)).nonzero()[0]
        if not len(rows):
            return
        rows = rows[history.tick - history.since[rows] > LOOKED_AT + DELAYS]
        first = int(np.searchsorted(rows, self._turn))
        rows = np.concatenate((rows[first:], rows[:first]))[:SCREENED]
        if len(rows):
            self._turn = int(rows[-1]) + 1
            rows = self.trials.untried(rows)
        if len(rows):
            self.trials.begin(screen(rows, history), history.tick)

    def take(self, seating: Seating, pcm: _Floats) -> None:
        """Take what came of suspects in: float32, `(speakers, 160)`, before any gain."""
        if self.trials.active:
            rows, positions = self.suspects(seating)
            if len(rows):
                self.trials.came(rows, pcm[positions])

    def suspects(self, seating: Seating) -> tuple[_Index, _Index]:
        """Return who is tried and speaks in a room: rows and positions, intp `(k,)` each."""
        return self.trials.among(seating.position, seating.speakers)

    def mark(self, tick: int, rows: _Index, heard: _Floats) -> _Floats:
        """Mark what suspects are sent, in place.

        Args:
            tick: now.
            rows: intp, `(k,)`: of `suspects`.
            heard: float32, `(k, 160)`: what each is sent.

        Returns:
            The marks, float32 `(k, 160)`.
        """
        marks = self.trials.mark(tick, rows, heard.shape[1])
        self.trials.sent(rows, heard, marks)
        heard *= marks
        return marks

    def judge(self, tick: int) -> Verdict:
        """Name the suspects that return what they are sent, and leave those that do not."""
        verdict = self.trials.judge(tick)
        if verdict.guilty:
            rows = np.array(verdict.guilty, np.intp)
            self.named[rows] = True
            self.delay[rows] = verdict.delay
            self.loss_db[rows] = verdict.loss_db
            self.gone[rows] = 0
            self.expected[rows] = 0
        if verdict.cleared:
            rows = np.array(verdict.cleared, np.intp)
            wait = PATIENCE * (1 << self.cleared[rows].astype(np.int64))
            self.look_again[rows] = tick + np.minimum(wait, MOST_PATIENCE)
            self.cleared[rows] = np.minimum(self.cleared[rows] + 1, 7)
        return verdict

    # --- those that are named -------------------------------------------------------------------

    def follow(self, levels: Levels, history: History) -> None:
        """Turn those that are named down where only their echo is heard."""
        rows = self.named.nonzero()[0]
        if not len(rows):
            return
        back = np.rint(self.delay[rows] / _FRAME_S).astype(np.intp)
        expected = np.zeros(len(rows), np.float32)
        for around in (-1, 0, 1):
            tick = history.tick - np.maximum(back + around, 1)
            np.maximum(expected, history.sent_at(rows, tick), out=expected)
        expected *= 10 ** (-self.loss_db[rows] / 10)
        np.maximum(expected, self.expected[rows] * np.float32(DECAY), out=expected)
        self.expected[rows] = expected
        self.turned_down[rows] = np.square(levels.rms[rows]) < np.float32(MARGIN) * expected

    def release(self, history: History) -> _Index:
        """Let go those whose echo is gone; return them."""
        rows = (self.named & (history.tick - history.since > LOOKED_AT + DELAYS)).nonzero()[0]
        freed = []
        for row in rows.tolist():
            one = np.array([row])
            now = history.tick - 1
            back = max(1, round(float(self.delay[row]) / _FRAME_S))
            sent = history.sent(one, history.slots(LOOKED_AT, now - back))[0]
            came = np.square(history.level(one, history.slots(LOOKED_AT, now))[0])
            loud = sent > np.partition(sent, -LOOKED_AT // 10)[-LOOKED_AT // 10] * 10 ** (
                -LOUD_DB / 10
            )
            expected = sent * 10 ** (-(float(self.loss_db[row]) + GONE_DB) / 10)
            heard = loud & (expected > 1)
            if int(heard.sum()) < _FEWEST:
                continue
            gone = float((came < expected)[heard].mean()) >= GONE_SHARE
            self.gone[row] = self.gone[row] + 1 if gone else 0
            if self.gone[row] >= GONE_TIMES:
                freed.append(row)
        found = np.array(freed, np.intp)
        self.forget(found)
        return found

    def forget(self, rows: _Index) -> None:
        """Let legs begin anew."""
        self.named[rows] = False
        self.turned_down[rows] = False
        self.cleared[rows] = 0
        self.look_again[rows] = 0
        self.sent[rows] = 0
        self.both[rows] = 0
        self.trials.end(rows)

    def let_go(self, rows: _Index) -> _Index:
        """Forget legs that have moved or are not heard any more; return those that were named."""
        held: _Index = rows[self.named[rows]]
        self.forget(rows)
        return held

    def weigh(self, factor: _Floats) -> None:
        """Turn echoes down in factors, float32 `(capacity,)`, in place."""
        factor[self.turned_down] *= np.float32(TURNED_DOWN)


@compiled(
    "void(int64[::1], int64, int64[::1], float32[::1], float32[::1], boolean[::1], float32[::1],"
    " float32[::1])"
)
def _note(
    order: _Index,
    speakers: int,
    room: _Index,
    rooms: _Floats,
    said: _Floats,
    talking: npt.NDArray[np.bool_],
    sent: _Floats,
    both: _Floats,
) -> None:
    for row in range(sent.size):
        sent[row] *= _FADE
        both[row] *= _FADE
    for position in range(speakers):
        row = order[position]
        if rooms[room[row]] - said[row] > _SENT:
            sent[row] += np.float32(1)
            if talking[row]:
                both[row] += np.float32(1)
