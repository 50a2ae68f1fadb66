"""The playout store: payload octets, addressed by RTP time stamp.

For every codec of one octet per 1/8000 s a leg has a ring of `SLOTS` rows of 160 octets, a frame
of 20 ms each. Its *anchor* ties a time stamp to a position, counted in octets since the leg was
opened; row `position // 160` is played when the leg's play row gets there::

        played            play_row                            not yet come
    ─────────────────┬───┬───┬───┬───┬───┬───────────────────────────────────
    repeated if lost │ 7 │ 8 │ 9 │10 │   │     a packet of time stamp T lies at
    ─────────────────┴───┴───┴───┴───┴───┘     anchor_position + T - anchor_timestamp
                       ahead = row - play_row (0 is the last moment, below is late)

So reordering, duplicates and bursts are no special cases, and how long sound waits is only where
the play row stands. It moves on by a row a tick; by none where `depth` has a leg wait or play what
lags, by two where it is to wait less. Packets of other lengths than 20 ms, or off the grid of rows,
are split on writing. `filled` is the validity mask: octets written per row.

Time stamps that leave the ring in either direction anchor the leg anew, but only once the next
packet bears them out or the marker bit announces them.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media._store_loops import WAIT_STEPS, WAITS, look, move_on, settle_anchors
from bridge.media.codecs import FRAME
from bridge.media.counters import LegCounters
from bridge.media.depth import CAP_ROWS, JUDGED_EVERY, JUDGED_SHARE, START_ROWS, Depth
from bridge.media.ring import SLOTS, Ring

__all__ = ["MAX_AHEAD", "PlayoutStore", "Reading"]

MAX_AHEAD: Final = SLOTS - 8
"""Rows ahead that are written. Four more belong to a long packet, and behind the play row the last
rows played must stay for `inband`."""

_LATE_TICKS: Final = 4
"""Ticks in which all packets were late before the leg is anchored anew: not for one burst."""

_FADED: Final = 3  # frames missing in a row, after which a leap is not heard
_NEVER: Final = -(1 << 40)
_NOTHING: Final = np.empty(0, np.intp)


@dataclass(slots=True)
class Reading:
    """What the store gives for one tick, each array `(n,)` in the order asked for.

    Args:
        index: intp: the row of `store` that is this frame, where one came.
        came: bool: it came, and is taken.
        missing: int64: 0 where it came or none was wanted, else how many in a row have not come.
        blanked: bool: nothing of this frame may be heard (a key is pressed).
        kept: bool: none was wanted, for a whole frame of the leg lags; it is still to come.
        lag: int64: octets that lag behind this frame.
        bridged: intp, `(k,)`: positions of missing frames behind which the next one waits already.
        behind: intp, `(k,)`: the rows of `store` that these are; they are read again.
        edited: intp, `(e,)`: positions of legs to shorten or lengthen in this tick.
        extra: bool, `(e,)`: a second frame is taken for it.
        extra_index: intp, `(e,)`: the row of `store` that it is.
    """

    index: npt.NDArray[np.intp]
    came: npt.NDArray[np.bool_]
    missing: npt.NDArray[np.int64]
    blanked: npt.NDArray[np.bool_]
    kept: npt.NDArray[np.bool_]
    lag: npt.NDArray[np.int64]
    bridged: npt.NDArray[np.intp]
    behind: npt.NDArray[np.intp]
    edited: npt.NDArray[np.intp]
    extra: npt.NDArray[np.bool_]
    extra_index: npt.NDArray[np.intp]

    def part(self, positions: npt.NDArray[np.intp]) -> "Reading":
        """Return what there is of some positions, which count from 0 in it.

        Args:
            positions: intp, `(m,)`, ascending.
        """
        place = np.full(len(self.index), -1, np.intp)
        place[positions] = np.arange(len(positions))
        bridged, edited = place[self.bridged] >= 0, place[self.edited] >= 0
        return Reading(
            index=self.index[positions],
            came=self.came[positions],
            missing=self.missing[positions],
            blanked=self.blanked[positions],
            kept=self.kept[positions],
            lag=self.lag[positions],
            bridged=place[self.bridged[bridged]],
            behind=self.behind[bridged],
            edited=place[self.edited[edited]],
            extra=self.extra[edited],
            extra_index=self.extra_index[edited],
        )

    def without(self, positions: npt.NDArray[np.intp]) -> "Reading":
        """Return the same with nothing to be done at some positions: they are done already.

        Args:
            positions: intp, `(m,)`.
        """
        rest = np.ones(len(self.index), np.bool_)
        rest[positions] = False
        bridged, edited = rest[self.bridged], rest[self.edited]
        return Reading(
            index=self.index,
            came=self.came,
            missing=np.where(rest, self.missing, 0),
            blanked=self.blanked,
            kept=self.kept & rest,
            lag=np.where(rest, self.lag, 0),
            bridged=self.bridged[bridged],
            behind=self.behind[bridged],
            edited=self.edited[edited],
            extra=self.extra[edited],
            extra_index=self.extra_index[edited],
        )


def _wrapped(difference: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return differences of 32-bit time stamps as signed numbers."""
    return ((difference + 0x8000_0000) & 0xFFFF_FFFF) - 0x8000_0000


class PlayoutStore(Ring):
    """Rings of all legs and where each is played.

    Args:
        capacity: rows (legs) to begin with.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.play_row: npt.NDArray[np.int64] = self.column("play_row", np.int64)
        self.anchored: npt.NDArray[np.bool_] = self.column("anchored", np.bool_)
        self.anchor_timestamp: npt.NDArray[np.int64] = self.column("anchor_timestamp", np.int64)
        self.anchor_position: npt.NDArray[np.int64] = self.column("anchor_position", np.int64)
        self.missing: npt.NDArray[np.int64] = self.column("missing", np.int64, fill=1 << 30)
        self.blank_until: npt.NDArray[np.int64] = self.column("blank_until", np.int64, fill=_NEVER)
        self.leapt_to: npt.NDArray[np.int64] = self.column("leapt_to", np.int64, fill=-1)
        self.late_ticks: npt.NDArray[np.int64] = self.column("late_ticks", np.int64)
        self.late_at: npt.NDArray[np.int64] = self.column("late_at", np.int64, fill=_NEVER)
        self.newest: npt.NDArray[np.int64] = self.column("newest", np.int64, fill=_NEVER)
        self.ahead: npt.NDArray[np.int64] = self.column("ahead", np.int64)
        # How many packets waited so many steps, since the leg was opened.
        self.waits: npt.NDArray[np.int32] = self.column("waits", np.int32, WAITS)
        self.depth = Depth(capacity)
        # Some leg is to be shortened or lengthened.
        self.some_excess = False

    def grow(self, capacity: int) -> None:
        """Add rows."""
        super().grow(capacity)
        self.depth.grow(capacity)

    def reset(self, row: int) -> None:
        """Make a row as new."""
        super().reset(row)
        self.depth.reset(row)

    def write(
        self,
        rows: npt.NDArray[np.intp],
        timestamp: npt.NDArray[np.int64],
        packets: npt.NDArray[np.uint8],
        index: npt.NDArray[np.intp],
        offset: npt.NDArray[np.int64],
        length: npt.NDArray[np.int64],
        *,
        begins: npt.NDArray[np.bool_],
        announced: npt.NDArray[np.bool_],
        codec: npt.NDArray[np.uint8],
        counters: LegCounters,
    ) -> None:
        """Write one audio packet of each of some legs where its time stamp says.

        Args:
            rows: intp, `(k,)`: the legs, each at most once.
            timestamp: int64, `(k,)`: RTP time stamps.
            packets: uint8, `(n, PACKET_ROW)`: packets as received.
            index: intp, `(k,)`: which of them each leg's packet is, ascending.
            offset: int64, `(k,)`: where its payload begins.
            length: int64, `(k,)`: octets of payload, 1 to 480.
            begins: bool, `(k,)`: a stream begins with it.
            announced: bool, `(k,)`: newest of its leg, with marker bit: a talk spurt begins.
            codec: uint8, `(legs,)`: codec of every leg.
            counters: counts late, early, leapt and re-anchored packets.
        """
        play_row = self.play_row[rows]
        position = self.anchor_position[rows] + _wrapped(timestamp - self.anchor_timestamp[rows])
        ahead = position // FRAME - play_row
        late = ahead < 0
        anchor = begins | ~self.anchored[rows]
        outside = (late | (ahead > MAX_AHEAD)) & ~anchor
        if outside.any():
            again = self._judge(rows, timestamp, length, late, outside, announced)
            counters.add("reanchored", rows[again])
            dropped = outside & ~again
            counters.add("late", rows[dropped & late])
            counters.add("leapt", rows[dropped & ~late])
            anchor |= again
        else:
            dropped = outside
        if anchor.any():
            self._anchor(rows[anchor], timestamp[anchor])
            position[anchor] = (play_row[anchor] + START_ROWS) * FRAME
            ahead[anchor] = START_ROWS
        self.depth.note(rows, play_row, ahead)
        if dropped.any():
            used = ~dropped
            rows, position, ahead = rows[used], position[used], ahead[used]
            index, offset, length = index[used], offset[used], length[used]
        self.ahead[rows] = ahead
        self.waits[rows, np.minimum(ahead * WAIT_STEPS, WAITS - 1)] += 1
        early = ahead > CAP_ROWS
        if early.any():
            counters.add("early", rows[early])
        self.newest[rows] = np.maximum(self.newest[rows], (position + length - 1) // FRAME)
        self.late_ticks[rows] = 0
        self.leapt_to[rows] = -1
        self.put(rows, position, packets, index, offset, length, codec)

    def _judge(
        self,
        rows: npt.NDArray[np.intp],
        timestamp: npt.NDArray[np.int64],
        length: npt.NDArray[np.int64],
        late: npt.NDArray[np.bool_],
        outside: npt.NDArray[np.bool_],
        announced: npt.NDArray[np.bool_],
    ) -> npt.NDArray[np.bool_]:
        """Say which packets outside the ring anchor their leg anew."""
        again = outside & announced
        # A time stamp that leapt is believed when the next packet follows it.
        far = outside & (~late | (self._behind(rows, timestamp) > SLOTS * FRAME))
        again |= far & (self.leapt_to[rows] == timestamp)
        self.leapt_to[rows[far]] = (timestamp[far] + length[far]) & 0xFFFF_FFFF
        # Late by little again and again: the sender's clock is slower, or its path longer now.
        near = outside & late & ~far
        legs = rows[near]
        now = self.play_row[legs]
        self.late_ticks[legs] += now != self.late_at[legs]
        self.late_at[legs] = now
        again |= near & (self.late_ticks[rows] > _LATE_TICKS)
        return again

    def _behind(
        self, rows: npt.NDArray[np.intp], timestamp: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64]:
        position = self.anchor_position[rows] + _wrapped(timestamp - self.anchor_timestamp[rows])
        return self.play_row[rows] * FRAME - position

    def _anchor(self, rows: npt.NDArray[np.intp], timestamp: npt.NDArray[np.int64]) -> None:
        self.anchored[rows] = True
        self.anchor_timestamp[rows] = timestamp
        self.anchor_position[rows] = (self.play_row[rows] + START_ROWS) * FRAME
        self.filled[rows] = 0
        self.newest[rows] = _NEVER
        self.blank_until[rows] = _NEVER
        self.late_ticks[rows] = 0
        self.depth.begin(rows)

    def blank(
        self,
        rows: npt.NDArray[np.intp],
        timestamp: npt.NDArray[np.int64],
        *,
        margin: npt.NDArray[np.int64],
    ) -> None:
        """Let nothing be heard up to a time stamp, from the rows not yet played on.

        Args:
            rows: intp, `(k,)`: the legs, each at most once.
            timestamp: int64, `(k,)`: where the event ends as far as is known.
            margin: int64, `(k,)`: rows to blank behind it.
        """
        position = self.anchor_position[rows] + _wrapped(timestamp - self.anchor_timestamp[rows])
        # Time stamps are the peer's: none may silence its leg for longer than the ring.
        last = np.minimum(position // FRAME + margin, self.play_row[rows] + SLOTS)
        until = np.maximum(self.blank_until[rows], last)
        self.blank_until[rows] = np.where(self.anchored[rows], until, _NEVER)

    def read(
        self, order: npt.NDArray[np.intp], speakers: int, wanted: npt.NDArray[np.bool_]
    ) -> Reading:
        """Take each leg's frame of this tick out of the store and move on.

        Args:
            order: intp, `(n,)`: all open legs, in the order wanted.
            speakers: how many of them, from the first on, are heard by somebody.
            wanted: bool, `(legs,)`: legs of which something may be heard (they are not on hold).

        Returns:
            Which rows of `octets` (seen as `(legs * SLOTS, 160)`) to hear.
        """
        depth, filled = self.depth, self.filled.reshape(-1)
        n = len(order)
        play_row, index, step = np.empty((3, n), np.int64)
        came, kept = np.empty((2, n), np.bool_)
        some_gone, some_kept, self.some_excess = look(
            order, self.play_row, depth.lag, depth.excess, filled, play_row, index, step, came, kept
        )
        gone = (~(came | kept)).nonzero()[0] if some_gone else _NOTHING
        if len(gone):
            legs = order[gone]
            play_row[gone], step[gone] = self._leap_or_wait(legs, play_row[gone])
            index[gone] = legs * SLOTS + (play_row[gone] & (SLOTS - 1))
            came[gone] = filled[index[gone]] > 0
        if some_kept:
            depth.keep(order[kept])
        bridged, behind = self._look_behind(order, speakers, gone, came, play_row)
        edited, extra, extra_index = _NOTHING, _NOTHING.astype(np.bool_), _NOTHING
        if self.some_excess:
            edited, extra, extra_index = self._edit(order[:speakers], came, play_row, index)
        if len(edited):
            step[edited] += extra
            filled[extra_index[extra]] = 0
        missing, lag = np.empty((2, n), np.int64)
        blanked = np.empty(n, np.bool_)
        move_on(
            order,
            came,
            kept,
            index,
            step,
            play_row,
            self.play_row,
            self.missing,
            self.blank_until,
            filled,
            depth.holds,
            depth.lag,
            missing,
            lag,
            blanked,
            wanted,
            speakers,
        )
        depth.tick += 1
        depth.disturbed = False
        self._judge_some(order, speakers)
        return Reading(
            index=index,
            came=came,
            missing=missing,
            blanked=blanked,
            kept=kept,
            lag=lag,
            bridged=bridged,
            behind=behind,
            edited=edited,
            extra=extra,
            extra_index=extra_index,
        )

    def _judge_some(self, order: npt.NDArray[np.intp], speakers: int) -> None:
        """Judge a share of the legs, and move at once those that nobody hears."""
        turn, between = divmod(self.depth.tick, JUDGED_EVERY)
        if not between:
            legs = order[turn % JUDGED_SHARE :: JUDGED_SHARE].copy()
            self.depth.judge(legs, self.play_row[legs])
            settle_anchors(legs, self.play_row, self.anchor_position, self.anchor_timestamp)
        silent = order[speakers:]
        if not len(silent):
            return
        self.depth.let_go(silent)
        moved = self.depth.silent_excess(silent)
        for step in range(int(moved.max(initial=0))):
            self._skip(silent[moved > step])
        self.play_row[silent] += np.minimum(moved, 0)

    def _leap_or_wait(
        self, legs: npt.NDArray[np.intp], play_row: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Say where legs are played whose frame has not come.

        Args:
            legs: intp, `(k,)`: the legs.
            play_row: int64, `(k,)`: the rows that have not come.

        Returns:
            The rows to play, and by how much to move on behind them, each int64 `(k,)`.
        """
        depth = self.depth
        step = np.ones(len(legs), np.int64)
        behind = self.newest[legs] > play_row
        waits = (~behind & self.anchored[legs]).nonzero()[0]
        step[waits] -= depth.hold(legs[waits])
        may = depth.may_leap(legs, self.missing[legs], faded=_FADED)
        leaps = (behind & (may > 0)).nonzero()[0]
        if len(leaps):
            rows = legs[leaps]
            ahead = (play_row[leaps, None] + np.arange(1, SLOTS)) & (SLOTS - 1)
            waiting = self.filled.reshape(-1)[rows[:, None] * SLOTS + ahead] > 0
            first = np.where(waiting.any(axis=1), waiting.argmax(axis=1) + 1, 0)
            leap = np.minimum(first, may[leaps])
            play_row[leaps] += leap
            depth.leapt(rows, leap)
        return play_row, step

    def _look_behind(
        self,
        order: npt.NDArray[np.intp],
        speakers: int,
        gone: npt.NDArray[np.intp],
        came: npt.NDArray[np.bool_],
        play_row: npt.NDArray[np.int64],
    ) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """Return positions of missing frames whose next one waits, and where that is."""
        if not len(gone):
            return _NOTHING, _NOTHING
        gone = gone[(gone < speakers) & ~came[gone]]
        places = gone[self.missing[order[gone]] < _FADED]
        behind = order[places] * SLOTS + ((play_row[places] + 1) & (SLOTS - 1))
        waits = self.filled.reshape(-1)[behind] == FRAME
        return places[waits], behind[waits]

    def _edit(
        self,
        legs: npt.NDArray[np.intp],
        came: npt.NDArray[np.bool_],
        play_row: npt.NDArray[np.int64],
        index: npt.NDArray[np.intp],
    ) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_], npt.NDArray[np.intp]]:
        """Return positions of legs to edit, whether a second row is taken, and which one."""
        places = self.depth.due(legs)
        if not len(places):
            return _NOTHING, _NOTHING.astype(np.bool_), _NOTHING
        places = places[came[places]]
        rows = legs[places]
        extra = self.depth.excess[rows] > self.depth.lag[rows]
        second = rows * SLOTS + ((play_row[places] + 1) & (SLOTS - 1))
        # What is blanked is not to slip in between two rows that are heard.
        heard = play_row[places] + 1 > self.blank_until[rows]
        there = ~extra | (heard & (self.filled.reshape(-1)[second] > 0))
        places, extra, second = places[there], extra[there], second[there]
        return places, extra, np.where(extra, second, index[places])

    def jump(self, rows: npt.NDArray[np.intp], ticks: int) -> None:
        """Leave frames out, because the tick was too late to play them."""
        for _ in range(min(ticks, SLOTS)):
            self._skip(rows)
        self.play_row[rows] += ticks - min(ticks, SLOTS)
        self.missing[rows] += ticks
        self.depth.tick += ticks
        self.depth.disturbed = True

    def _skip(self, rows: npt.NDArray[np.intp]) -> None:
        self.filled[rows, self.play_row[rows] & (SLOTS - 1)] = 0
        self.play_row[rows] += 1
