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
the play row stands: `adjust` moves it by whole rows. Packets of other lengths than 20 ms, or off
the grid of rows, are split on writing. `filled` is the validity mask: octets written per row.

Time stamps that leave the ring in either direction anchor the leg anew, but only once the next
packet bears them out or the marker bit announces them.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media._rows import Rows
from bridge.media.codecs import FRAME, SILENCE_CODES
from bridge.media.counters import LegCounters
from bridge.media.rtp import HEADER

__all__ = ["CAP_ROWS", "DEPTH_ROWS", "MAX_AHEAD", "SLOTS", "PlayoutStore", "Reading"]

SLOTS: Final = 32
"""Rows of a leg's ring, 640 ms. A power of two."""

DEPTH_ROWS: Final = 2
"""Frames a packet waits at the start of a stream: 40 ms, and up to a tick more by phase."""

CAP_ROWS: Final = 5
"""Frames sound may wait (100 ms) before waiting is cut short at once."""

MAX_AHEAD: Final = SLOTS - 8
"""Rows ahead that are written. Four more belong to a long packet, and behind the play row the last
rows heard must stay for concealment."""

WINDOW_TICKS: Final = 50
"""Ticks over which `adjust` judges a leg: one second."""

WAIT_STEP_MS: Final = 10
"""Resolution of what is told of waiting."""

_WAITS: Final = 32
_LATE_TICKS: Final = 4
"""Ticks in which all packets were late before the leg is anchored anew: not for one burst."""

_FRAME_MS: Final = 20
_HALF: Final = FRAME // 2
_NEVER: Final = -(1 << 40)


@dataclass(slots=True)
class Reading:
    """What the store gives for one tick, each array `(n,)` in the order asked for.

    Args:
        index: intp: the row of `store` to hear: this frame's, or the last one heard before it.
        missing: int64: 0 where this frame came, else how many in a row have not.
        blanked: bool: nothing of this frame may be heard (a key is pressed).
        came: bool: this frame came, blanked or not.
    """

    index: npt.NDArray[np.intp]
    missing: npt.NDArray[np.int64]
    blanked: npt.NDArray[np.bool_]
    came: npt.NDArray[np.bool_]


def _wrapped(difference: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return differences of 32-bit time stamps as signed numbers."""
    return ((difference + 0x8000_0000) & 0xFFFF_FFFF) - 0x8000_0000


class PlayoutStore(Rows):
    """Rings of all legs and where each is played.

    Args:
        capacity: rows (legs) to begin with.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.octets: npt.NDArray[np.uint8] = self.column("octets", np.uint8, SLOTS, FRAME)
        self.filled: npt.NDArray[np.int16] = self.column("filled", np.int16, SLOTS)
        self.play_row: npt.NDArray[np.int64] = self.column("play_row", np.int64)
        self.anchored: npt.NDArray[np.bool_] = self.column("anchored", np.bool_)
        self.anchor_timestamp: npt.NDArray[np.int64] = self.column("anchor_timestamp", np.int64)
        self.anchor_position: npt.NDArray[np.int64] = self.column("anchor_position", np.int64)
        self.heard_slot: npt.NDArray[np.int64] = self.column("heard_slot", np.int64)
        self.missing: npt.NDArray[np.int64] = self.column("missing", np.int64, fill=1 << 30)
        self.blank_until: npt.NDArray[np.int64] = self.column("blank_until", np.int64, fill=_NEVER)
        self.leapt_to: npt.NDArray[np.int64] = self.column("leapt_to", np.int64, fill=-1)
        self.late_ticks: npt.NDArray[np.int64] = self.column("late_ticks", np.int64)
        self.late_at: npt.NDArray[np.int64] = self.column("late_at", np.int64, fill=_NEVER)
        # Of the running window of `adjust`.
        self.least_ahead: npt.NDArray[np.int64] = self.column("least_ahead", np.int64, fill=SLOTS)
        self.late_in_window: npt.NDArray[np.int64] = self.column("late_in_window", np.int64)
        self.ahead: npt.NDArray[np.int64] = self.column("ahead", np.int64)
        # How many packets waited so many steps, since the leg was opened.
        self.waits: npt.NDArray[np.int32] = self.column("waits", np.int32, _WAITS)

    def write(  # noqa: PLR0913 - the columns of one packet a leg
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
            index: intp, `(k,)`: which of them each leg's packet is.
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
            position[anchor] = (play_row[anchor] + DEPTH_ROWS) * FRAME
            ahead[anchor] = DEPTH_ROWS
        if dropped.any():
            used = ~dropped
            rows, position, ahead = rows[used], position[used], ahead[used]
            index, offset, length = index[used], offset[used], length[used]
        self.ahead[rows] = ahead
        self.waits[rows, np.minimum(ahead * (_FRAME_MS // WAIT_STEP_MS), _WAITS - 1)] += 1
        early = ahead > CAP_ROWS
        if early.any():
            counters.add("early", rows[early])
        self.least_ahead[rows] = np.minimum(self.least_ahead[rows], ahead)
        self.late_ticks[rows] = 0
        self.leapt_to[rows] = -1
        self._store(rows, position, packets, index, offset, length, codec)

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
        self.late_in_window[legs] += 1
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
        self.anchor_position[rows] = (self.play_row[rows] + DEPTH_ROWS) * FRAME
        self.filled[rows] = 0
        self.blank_until[rows] = _NEVER
        self.late_ticks[rows] = 0
        self.least_ahead[rows] = SLOTS
        self.late_in_window[rows] = 0

    def _store(
        self,
        rows: npt.NDArray[np.intp],
        position: npt.NDArray[np.int64],
        packets: npt.NDArray[np.uint8],
        index: npt.NDArray[np.intp],
        offset: npt.NDArray[np.int64],
        length: npt.NDArray[np.int64],
        codec: npt.NDArray[np.uint8],
    ) -> None:
        plain = (length == FRAME) & (offset == HEADER) & (position % FRAME == 0)
        if not plain.all():
            odd = np.flatnonzero(~plain)
            aligned = (
                (length[odd] % _HALF == 0) & (offset[odd] == HEADER) & (position[odd] % _HALF == 0)
            )
            self._prepare(rows[odd], position[odd], length[odd], codec)
            halves = odd[aligned]
            self._store_halves(
                rows[halves], position[halves], packets, index[halves], length[halves]
            )
            single = odd[~aligned]
            self._store_octets(
                rows[single],
                position[single],
                packets,
                index[single],
                offset[single],
                length[single],
            )
            chosen = np.flatnonzero(plain)
            rows, position, index = rows[chosen], position[chosen], index[chosen]
        target = rows * SLOTS + (position // FRAME & (SLOTS - 1))
        self.octets.reshape(-1, FRAME)[target] = packets[:, HEADER : HEADER + FRAME][index]
        self.filled.reshape(-1)[target] = FRAME

    def _prepare(
        self,
        rows: npt.NDArray[np.intp],
        position: npt.NDArray[np.int64],
        length: npt.NDArray[np.int64],
        codec: npt.NDArray[np.uint8],
    ) -> None:
        """Count the octets that each row gets, and put silence into rows not yet begun."""
        octets = self.octets.reshape(-1, FRAME)
        filled = self.filled.reshape(-1)
        first = position // FRAME
        end = position + length
        for step in range(int(((end - 1) // FRAME - first).max()) + 1):
            row = first + step
            share = np.minimum(end, (row + 1) * FRAME) - np.maximum(position, row * FRAME)
            touched = share > 0
            target = (rows * SLOTS + (row & (SLOTS - 1)))[touched]
            fresh = target[filled[target] == 0]
            octets[fresh] = SILENCE_CODES[codec[fresh // SLOTS]][:, None]
            filled[target] = np.minimum(filled[target] + share[touched], FRAME)

    def _store_halves(
        self,
        rows: npt.NDArray[np.intp],
        position: npt.NDArray[np.int64],
        packets: npt.NDArray[np.uint8],
        index: npt.NDArray[np.intp],
        length: npt.NDArray[np.int64],
    ) -> None:
        """Write packets of 10 to 60 ms that lie on the grid of 10 ms."""
        if not len(rows):
            return
        octets = self.octets.reshape(-1, _HALF)
        half = position // _HALF
        for step in range(int(length.max()) // _HALF):
            has = length > step * _HALF
            target = rows[has] * (2 * SLOTS) + ((half[has] + step) & (2 * SLOTS - 1))
            begin = HEADER + step * _HALF
            octets[target] = packets[:, begin : begin + _HALF][index[has]]

    def _store_octets(
        self,
        rows: npt.NDArray[np.intp],
        position: npt.NDArray[np.int64],
        packets: npt.NDArray[np.uint8],
        index: npt.NDArray[np.intp],
        offset: npt.NDArray[np.int64],
        length: npt.NDArray[np.int64],
    ) -> None:
        """Write packets at any place, octet by octet."""
        if not len(rows):
            return
        column = np.arange(int(length.max()))
        has = column < length[:, None]
        ring = SLOTS * FRAME
        target = rows[:, None] * ring + (position[:, None] + column) % ring
        source = index[:, None] * packets.shape[1] + offset[:, None] + column
        self.octets.reshape(-1)[target[has]] = packets.reshape(-1)[source[has]]

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

    def read(self, order: npt.NDArray[np.intp]) -> Reading:
        """Take each leg's frame of this tick out of the store and move on by a row.

        Args:
            order: intp, `(n,)`: all open legs, in the order wanted.

        Returns:
            Which rows of `octets` (seen as `(legs * SLOTS, 160)`) to hear.
        """
        play_row = self.play_row[order]
        slot = play_row & (SLOTS - 1)
        index = order * SLOTS + slot
        filled = self.filled.reshape(-1)
        came = filled[index] > 0
        filled[index] = 0
        heard = np.where(came, slot, self.heard_slot[order])
        missing = np.where(came, 0, self.missing[order] + 1)
        blanked = play_row <= self.blank_until[order]
        # A tone must not be repeated by concealment after it was blanked.
        missing[blanked] = 1 << 30
        self.heard_slot[order] = heard
        self.missing[order] = missing
        self.play_row[order] = play_row + 1
        return Reading(order * SLOTS + heard, missing, blanked, came)

    def waited(self, row: int) -> tuple[float, float] | None:
        """Return the median and the longest wait of a leg's packets [ms], None before the first.

        A wait is counted from the tick that took the packet in to the one that plays it; in its
        socket a packet has waited up to a tick before.
        """
        counted = np.cumsum(self.waits[row])
        if not counted[-1]:
            return None
        median = int(np.searchsorted(counted, (int(counted[-1]) + 1) // 2))
        worst = int(np.searchsorted(counted, counted[-1]))
        return float(WAIT_STEP_MS * median), float(WAIT_STEP_MS * worst)

    def coming(
        self, rows: npt.NDArray[np.intp], step: int
    ) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.uint8]]:
        """Look at frames that wait to be played.

        Args:
            rows: intp, `(n,)`: legs.
            step: how many frames before its time, 1 for the one that the next `read` gives.

        Returns:
            intp, `(k,)`, those legs that have such a frame, whole, and its octets, uint8,
            `(k, 160)`.
        """
        index = rows * SLOTS + ((self.play_row[rows] + step - 1) & (SLOTS - 1))
        whole = self.filled.reshape(-1)[index] >= FRAME
        return rows[whole], self.octets.reshape(-1, FRAME)[index[whole]]

    def jump(self, rows: npt.NDArray[np.intp], ticks: int) -> None:
        """Leave frames out, because the tick was too late to play them."""
        for _ in range(min(ticks, SLOTS)):
            self._skip(rows)
        self.play_row[rows] += ticks - min(ticks, SLOTS)
        self.missing[rows] += ticks

    def _skip(self, rows: npt.NDArray[np.intp]) -> None:
        self.filled[rows, self.play_row[rows] & (SLOTS - 1)] = 0
        self.play_row[rows] += 1

    def adjust(self, rows: npt.NDArray[np.intp], talking: npt.NDArray[np.bool_]) -> None:
        """Shorten or lengthen how long sound waits; call once in `WINDOW_TICKS`.

        A leg whose every packet of the window came with more than `DEPTH_ROWS` to spare loses
        a row while it is silent (two to spare: while it talks too; beyond `CAP_ROWS` all at
        once). A leg that had packets late waits a row longer, up to the cap. That also follows
        clocks that drift.

        Args:
            rows: intp, `(n,)`: all open legs.
            talking: bool, `(legs,)`: who is speaking.
        """
        least = self.least_ahead[rows]
        heard = least < SLOTS
        spare = np.where(heard, least - DEPTH_ROWS, 0)
        shorten = np.where(spare > CAP_ROWS - DEPTH_ROWS, spare, np.minimum(spare, 1))
        shorten[(spare < 2) & talking[rows]] = 0  # noqa: PLR2004 - one row too many can wait
        for step in range(int(shorten.max(initial=0))):
            self._skip(rows[shorten > step])
        lengthen = (self.late_in_window[rows] > 1) & (spare <= 0) & (self.ahead[rows] < CAP_ROWS)
        self.play_row[rows[lengthen]] -= 1
        self.least_ahead[rows] = SLOTS
        self.late_in_window[rows] = 0
        self._settle_anchors(rows)

    def _settle_anchors(self, rows: npt.NDArray[np.intp]) -> None:
        """Keep anchors near, for 32 bits of time stamp are only 74 hours either way."""
        frames = self.play_row[rows] - self.anchor_position[rows] // FRAME
        frames = np.where(frames > SLOTS, frames, 0)
        self.anchor_position[rows] += frames * FRAME
        self.anchor_timestamp[rows] = (self.anchor_timestamp[rows] + frames * FRAME) & 0xFFFF_FFFF
