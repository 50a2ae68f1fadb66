"""How long each leg's sound waits, and how that follows its jitter.

A packet's *transit* is the tick in which it came less the row it lies in; its *ahead*, how many
ticks before its row is played it came, is the leg's depth less that. Of the last seconds' transits
a histogram is kept, a circle of `BINS` rows that needs no zero. Four times a second it is read::

    packets   ▂ █ █ ▄ ▂ . .              slow: all but one in 64 come this early or earlier
      ahead   5 4 3 2 1 0 -1             fast: one in 16 comes this early or earlier

    slow < 0              late packets: wait longer
    fast < 1              all come in the last moment, a clock is drifting away: wait longer
    slow > 0, half > 1    all come with a row to spare: wait less
    fast > CAP_ROWS       wait less, whatever the jitter

So on a clean line sound waits 20 to 40 ms, the wait for the tick included, and a row is there to
look ahead to. A leg whose next row has not come, while nothing behind it has either, waits a row
longer at once (`hold`); if it turns out that the row was lost, the wait is taken back, which costs
nothing that could be heard.

What is to be changed otherwise is the leg's `excess`, in octets of the stream (1/8000 s). `streams`
takes it out or puts it in by whole pitch periods or in pauses, and tells `edited`. What does not
make up a row stays as `lag`: decoded sound that waits behind the row being played.

A row too much or too little hurts nobody for a while: a clock that drifts by 200 ppm takes 100 s
for it. So while no packet is late and none waits for the longest, the leg waits for a pause
(`hear`), in which nothing of the change can be heard; in vain, it is changed within speech.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media._compiled import compiled
from bridge.media._rows import Rows
from bridge.media.codecs import FRAME
from bridge.media.levels import level

__all__ = [
    "CAP_ROWS",
    "EDITS_PER_TICK",
    "JUDGED_EVERY",
    "JUDGED_SHARE",
    "QUIET_RMS",
    "START_ROWS",
    "Depth",
]

CAP_ROWS: Final = 5
"""Rows sound may wait: 100 ms, and up to a tick more for the tick."""

START_ROWS: Final = 1
"""Rows the first packet of a stream waits."""

BINS: Final = 32
"""Rows of the histogram's circle; a power of two."""

JUDGED_EVERY: Final = 4
JUDGED_SHARE: Final = 3
"""In every fourth tick a third of the legs is judged, each leg four times a second: two thirds of
the time that it takes do not grow with the legs."""

EDITS_PER_TICK: Final = 32
"""Legs that are shortened or lengthened in a tick at most; the others have their turn soon."""

EDIT_TICKS: Final = 3
"""Ticks from one edit of a leg to the next: speech is never faster than by a quarter or so."""

QUIET_RMS: Final = 32768.0 * 10 ** (-46.0 / 20)
"""Below speech: what is taken out or put in here is not missed."""

_QUIET_RMS: Final = np.float32(QUIET_RMS)

LONG_PAUSE_TICKS: Final = 8
SHORT_PAUSE_TICKS: Final = 3
"""Quiet ticks in a row before a pause is used: between two sentences where there is one within half
of a leg's patience, then between two words. At its very beginning a sound dies away."""

PATIENCE_SHORTER: Final = 100
PATIENCE_LONGER: Final = 500
"""Ticks for which a leg waits for a pause: two seconds, for after a burst all is to be as before
within five; ten where all packets come in the last moment, which costs no delay."""

_SLOWEST: Final = -BINS // 2
_NOTED: Final = (-5, 10)  # rows ahead; the rest of the circle is room for the depth to change
_FEWEST: Final = 8  # packets from which on there is something to judge
_SLOW_SHARE: Final = 64
_FAST_SHARE: Final = 16
_HALF_WINDOW: Final = 60  # ticks; the histogram covers one to two of them, 1.2 to 2.4 s

_Rows = npt.NDArray[np.intp]
_Ints = npt.NDArray[np.int64]


class Depth(Rows):
    """Transits of each leg's packets, and what is to be done about its depth.

    Args:
        capacity: rows to begin with.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.tick = 0
        # Ticks were left out: how late packets are now says nothing of their path.
        self.disturbed = False
        self.running: npt.NDArray[np.int16] = self.column("running", np.int16, BINS)
        self.before: npt.NDArray[np.int16] = self.column("before", np.int16, BINS)
        self.turned: _Ints = self.column("turned", np.int64)
        # How early the fastest packets come; how much of that is owed to waiting for a row.
        self.fast: _Ints = self.column("fast", np.int64, fill=START_ROWS)
        self.holds: _Ints = self.column("holds", np.int64)
        self.lag: _Ints = self.column("lag", np.int64)
        self.excess: _Ints = self.column("excess", np.int64)
        # Since when there is any; whether it can wait for a pause, and does; how long it is quiet.
        self.since: _Ints = self.column("since", np.int64)
        self.can_wait: npt.NDArray[np.bool_] = self.column("can_wait", np.bool_)
        self.patient: npt.NDArray[np.bool_] = self.column("patient", np.bool_)
        self.quiet: _Ints = self.column("quiet", np.int64)

    def begin(self, rows: _Rows) -> None:
        """Forget the transits of legs that are anchored anew; decoded sound still waits."""
        self.running[rows] = 0
        self.before[rows] = 0
        self.turned[rows] = self.tick
        self.fast[rows] = START_ROWS
        self.holds[rows] = 0
        self.excess[rows] = self.lag[rows]

    def note(self, rows: _Rows, play_row: _Ints, ahead: _Ints) -> None:
        """Count packets by their transit.

        Args:
            rows: intp, `(k,)`: the legs, each at most once.
            play_row: int64, `(k,)`: where they are played.
            ahead: int64, `(k,)`: how far ahead of that the packets are; negative when late.
        """
        if self.disturbed:
            return
        least, most = _NOTED
        transit = self.tick - play_row - np.minimum(np.maximum(ahead, least), most)
        self.running.reshape(-1)[rows * BINS + (transit & (BINS - 1))] += 1

    # --- waiting for a row ------------------------------------------------------------------------

    def hold(self, rows: _Rows) -> npt.NDArray[np.bool_]:
        """Say which of some legs whose row has not come wait for it, and count that.

        Args:
            rows: intp, `(k,)`: the legs.

        Returns:
            bool, `(k,)`: those that may wait longer.
        """
        may: npt.NDArray[np.bool_] = self.fast[rows] < CAP_ROWS
        waiting = rows[may]
        self.holds[waiting] += 1
        self.fast[waiting] += 1
        return may

    def may_leap(self, rows: _Rows, missing: _Ints, *, faded: int) -> _Ints:
        """Return how many rows that did not come may be left out, int64 `(k,)`.

        Args:
            rows: intp, `(k,)`: the legs.
            missing: int64, `(k,)`: frames missing in a row.
            faded: so many missing, and nothing is heard that a leap could break.
        """
        spare = np.where(missing > faded, np.maximum(self.excess[rows], 0) // FRAME, 0)
        may: _Ints = self.holds[rows] + spare
        return may

    def leapt(self, rows: _Rows, leap: _Ints) -> None:
        """Take note that rows were left out: first what waiting had cost, then excess."""
        self.fast[rows] -= leap
        spent = np.maximum(leap - self.holds[rows], 0)
        self.excess[rows] -= spent * FRAME
        self.holds[rows] = 0

    # --- excess -----------------------------------------------------------------------------------

    def judge(self, rows: _Rows, play_row: _Ints) -> None:
        """Read the histograms of some legs and say what they have too much or too little.

        Args:
            rows: intp, `(k,)`: the legs.
            play_row: int64, `(k,)`: where they are played.
        """
        _judge(
            rows,
            play_row,
            self.tick,
            self.running,
            self.before,
            self.turned,
            self.holds,
            self.fast,
            self.lag,
            self.excess,
            self.since,
            self.can_wait,
            self.quiet,
        )

    def hear(self, rows: _Rows, pcm: npt.NDArray[np.float32]) -> None:
        """See for how long those are quiet that have an excess.

        Args:
            rows: intp, `(n,)`: the legs.
            pcm: float32, `(n, 160)`: what is heard of them, on the 16-bit scale.
        """
        _hear(rows, self.excess, pcm, self.quiet)

    def due(self, rows: _Rows) -> _Rows:
        """Return the places, in `rows`, of legs to shorten or lengthen in this tick."""
        due = np.empty(len(rows), np.intp)
        due = due[
            : _due(
                rows,
                self.tick,
                self.excess,
                self.since,
                self.can_wait,
                self.quiet,
                self.patient,
                due,
            )
        ]
        if len(due) > EDITS_PER_TICK:
            due = np.roll(due, EDITS_PER_TICK * (self.tick // EDIT_TICKS))[:EDITS_PER_TICK]
        return due

    def edited(self, rows: _Rows, taken_out: _Ints, extra: npt.NDArray[np.bool_]) -> None:
        """Take note of edits.

        Args:
            rows: intp, `(k,)`: the legs.
            taken_out: int64, `(k,)`: octets taken out, negative where put in.
            extra: bool, `(k,)`: two rows were taken for it.
        """
        self.excess[rows] -= taken_out
        self.lag[rows] += np.where(extra, FRAME, 0) - taken_out
        self.fast[rows] -= extra

    def keep(self, rows: _Rows) -> None:
        """Take note that legs play what lags, and no row."""
        self.lag[rows] -= FRAME
        self.fast[rows] += 1

    def let_go(self, rows: _Rows) -> None:
        """Forget what lags of legs that nobody hears."""
        self.lag[rows] = 0

    def silent_excess(self, rows: _Rows) -> _Ints:
        """Return by how many rows legs that nobody hears wait too long, and consider it done."""
        moved = self.excess[rows] // FRAME
        self.excess[rows] = 0
        self.fast[rows] -= moved
        return moved


@compiled("void(int64[::1], int64[::1], float32[:, ::1], int64[::1])")
def _hear(rows: _Rows, excess: _Ints, pcm: npt.NDArray[np.float32], quiet: _Ints) -> None:
    for i in range(rows.size):
        row = rows[i]
        if excess[row] != 0:
            quiet[row] = quiet[row] + 1 if level(pcm[i]) < _QUIET_RMS else 0


@compiled(
    "int64(int64[::1], int64, int64[::1], int64[::1], boolean[::1], int64[::1], boolean[::1],"
    " int64[::1])"
)
def _due(
    rows: _Rows,
    tick: int,
    excess: _Ints,
    since: _Ints,
    can_wait: npt.NDArray[np.bool_],
    quiet: _Ints,
    patient: npt.NDArray[np.bool_],
    due: _Rows,
) -> int:
    count = 0
    for i in range(rows.size):
        row = rows[i]
        if excess[row] == 0:
            continue
        patience = PATIENCE_SHORTER if excess[row] > 0 else PATIENCE_LONGER
        waited = tick - since[row]
        patient[row] = can_wait[row] and waited < patience
        pause = LONG_PAUSE_TICKS if 2 * waited < patience else SHORT_PAUSE_TICKS
        if (row + tick) % EDIT_TICKS == 0 and (not patient[row] or quiet[row] >= pause):
            due[count] = i
            count += 1
    return count


@compiled(
    "void(int64[::1], int64[::1], int64, int16[:, ::1], int16[:, ::1], int64[::1], int64[::1],"
    " int64[::1], int64[::1], int64[::1], int64[::1], boolean[::1], int64[::1])"
)
def _judge(  # noqa: C901 - counted and judged in one go
    rows: _Rows,
    play_row: _Ints,
    tick: int,
    running: npt.NDArray[np.int16],
    before: npt.NDArray[np.int16],
    turned: _Ints,
    holds: _Ints,
    fastest: _Ints,
    lag: _Ints,
    excess: _Ints,
    since: _Ints,
    can_wait: npt.NDArray[np.bool_],
    quiet: _Ints,
) -> None:
    for i in range(rows.size):
        row = rows[i]
        total = np.int64(0)
        for k in range(BINS):
            total += running[row, k] + before[row, k]
        if total >= _FEWEST:
            # How many rows ahead the first packets are of which more than so many come as late or
            # later. Whether waiting for a row was worth it shows when it comes: it does not count.
            few, most, middle = total // _SLOW_SHARE, total - total // _FAST_SHARE - 1, total // 2
            zero = tick - play_row[i] - holds[row]
            slow = fast = half = _SLOWEST
            below = np.int64(0)
            for ahead in range(_SLOWEST, _SLOWEST + BINS):
                k = (zero - ahead) & (BINS - 1)
                below += running[row, k] + before[row, k]
                if below <= few:
                    slow += 1
                if below <= middle:
                    half += 1
                if below <= most:
                    fast += 1
            longer = min(max(-slow, 1 - fast, 0), max(CAP_ROWS - fast, 0))
            shorter = max(min(slow, half - 1), fast - CAP_ROWS, 0)
            fastest[row] = fast + holds[row]
            wanted = FRAME * (shorter - longer) + lag[row]
            if excess[row] == 0 and wanted != 0:
                since[row] = tick
                quiet[row] = 0
            excess[row] = wanted
            can_wait[row] = slow >= 0 and fast < CAP_ROWS and abs(wanted) <= FRAME
        if tick - turned[row] >= _HALF_WINDOW:
            for k in range(BINS):
                before[row, k] = running[row, k]
                running[row, k] = 0
            turned[row] = tick
