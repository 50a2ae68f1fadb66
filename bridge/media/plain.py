"""Plain packets: header, sequence number and place in the playout store in one go.

Nearly every packet is a frame of 20 ms of the codec that was negotiated, follows the one before,
and comes in time. Such a one is done with right behind the call that read it, while its octets are
in the cache and its numbers in registers: what `rtp`, `sequence` and `playout` do with it, no more
and no less. Nothing is left of it, so that others are read into the same few rows. Those that are
not plain, and what comes behind one of them from the same leg in the same tick, are left to those
three, which know every case.
"""

from typing import Any, Final, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from bridge.media._compiled import LINE, compiled, prefetch
from bridge.media._rows import Rows
from bridge.media._store_loops import WAIT_STEPS, WAITS
from bridge.media.codecs import FRAME, SAMPLE_RATE
from bridge.media.concealment import ComfortNoise
from bridge.media.depth import BINS, CAP_ROWS
from bridge.media.legs import Legs
from bridge.media.playout import PlayoutStore
from bridge.media.ring import SLOTS
from bridge.media.rtp import HEADER, four_octets
from bridge.media.sequence import MAX_DROPOUT, Sequences, advance, note_transit

__all__ = ["MOMENT", "PLAIN", "Moment", "Plain", "PlainPackets", "take"]

_FIRST_OCTET: Final = 0x80
"""Version 2, no padding, no extension, no contributing source."""

_AHEAD: Final = 6
"""Packets whose places are on their way into the cache while one is taken."""

_Index = npt.NDArray[np.intp]
_Ints = npt.NDArray[np.int64]
_Times = npt.NDArray[np.float64]
_Flags = npt.NDArray[np.bool_]

# To type checkers numba does not say what these are.
_types: Any = numba.types


class Plain(NamedTuple):
    """Columns that a plain packet is judged by, and goes to: numbers, times, flags, others."""

    left_in: _Ints
    quiet: _Ints
    audio: _Ints
    event: _Ints
    comfort: _Ints
    ssrc: _Ints
    highest: _Ints
    received: _Ints
    bursts: _Ints
    leapt_to: _Ints
    candidate: _Ints
    taken: _Ints
    anchor_timestamp: _Ints
    anchor_position: _Ints
    play_row: _Ints
    ahead: _Ints
    newest: _Ints
    late_ticks: _Ints
    stamp_leapt_to: _Ints
    heard_at: _Times
    transit: _Times
    jitter: _Times
    timings: _Times
    jitter_sum: _Times
    jitter_worst: _Times
    traced: _Flags
    wanted: _Flags
    anchored: _Flags
    seen: npt.NDArray[np.uint64]
    paused_level: npt.NDArray[np.float32]
    waits: npt.NDArray[np.int32]
    stored: npt.NDArray[np.uint8]
    filled: npt.NDArray[np.int16]
    transits: npt.NDArray[np.int16]


class Moment(NamedTuple):
    """What is the same for all packets of a tick.

    Args:
        turn: number of the tick.
        now: monotonic time [s].
        tick: of `Depth`.
        noted: how late packets are says something of their path.
    """

    turn: int
    now: float
    tick: int
    noted: bool


PLAIN: Final = _types.NamedTuple(
    [
        *19 * [_types.int64[::1]],
        *6 * [_types.float64[::1]],
        *3 * [_types.boolean[::1]],
        _types.uint64[::1],
        _types.float32[::1],
        _types.int32[:, ::1],
        _types.uint8[:, :, ::1],
        _types.int16[:, ::1],
        _types.int16[:, ::1],
    ],
    Plain,
)
"""What numba calls `Plain`."""

MOMENT: Final = _types.NamedTuple(
    [_types.int64, _types.float64, _types.int64, _types.boolean], Moment
)
"""What numba calls `Moment`."""


class PlainPackets(Rows):
    """Plain packets of a tick, for those who read packets.

    Args:
        capacity: rows (legs) to begin with.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        # The last turn in which a packet of the leg was left.
        self.left_in: _Ints = self.column("left_in", np.int64)
        self.moment = Moment(0, 0.0, 0, noted=False)

    def lay_out(
        self,
        *,
        legs: Legs,
        heard_at: _Times,
        quiet: _Ints,
        traced: _Flags,
        sequences: Sequences,
        noise: ComfortNoise,
        store: PlayoutStore,
    ) -> None:
        """Take note of where columns lie, which is so until they grow.

        Args:
            legs: what was negotiated.
            heard_at: float64, `(legs,)`: gets the time for legs whose packets are taken.
            quiet: int64, `(legs,)`: above 0 where control was told that a leg is quiet; nothing of
                it is plain.
            traced: bool, `(legs,)`: legs whose headers are told; nothing of them is plain either.
            sequences: of the streams.
            noise: pauses end here.
            store: gets the sound.
        """
        self._depth = store.depth
        self.columns = Plain(
            left_in=self.left_in,
            quiet=quiet,
            audio=legs.payload_type,
            event=legs.dtmf_payload_type,
            comfort=legs.cn_payload_type,
            ssrc=sequences.ssrc,
            highest=sequences.highest,
            received=sequences.received,
            bursts=sequences.bursts,
            leapt_to=sequences.leapt_to,
            candidate=sequences.candidate,
            taken=sequences.octets,
            anchor_timestamp=store.anchor_timestamp,
            anchor_position=store.anchor_position,
            play_row=store.play_row,
            ahead=store.ahead,
            newest=store.newest,
            late_ticks=store.late_ticks,
            stamp_leapt_to=store.leapt_to,
            heard_at=heard_at,
            transit=sequences.transit,
            jitter=sequences.jitter,
            timings=sequences.timings,
            jitter_sum=sequences.jitter_sum,
            jitter_worst=sequences.jitter_worst,
            traced=traced,
            wanted=legs.rx,
            anchored=store.anchored,
            seen=sequences.seen,
            paused_level=noise.paused_level,
            waits=store.waits,
            stored=store.octets,
            filled=store.filled,
            transits=store.depth.running,
        )

    def begin(self, now: float) -> None:
        """Begin a tick.

        Args:
            now: monotonic time [s].
        """
        depth = self._depth
        self.moment = Moment(self.moment.turn + 1, now, depth.tick, not depth.disturbed)

    def leave(self, row: int) -> None:
        """Leave what comes of a leg in this tick: a packet of it was left."""
        self.left_in[row] = self.moment.turn


@compiled(
    _types.int64(
        PLAIN,
        MOMENT,
        _types.uint8[:, ::1],
        *2 * [_types.int64[::1]],
        _types.float64[::1],
        *2 * [_types.int64],
    )
)
def take(  # noqa: C901 - what is plain, and all that becomes of it
    plain: Plain,
    moment: Moment,
    packets: npt.NDArray[np.uint8],
    lengths: _Ints,
    rows: _Index,
    arrived: _Times,
    begin: int,
    end: int,
) -> int:
    """Take what is plain of some packets; the others move up to the front.

    Args:
        plain: the columns.
        moment: of the tick.
        packets: uint8, `(n, octets)`: packets as received, a row each.
        lengths: int64, `(n,)`: octets of each.
        rows: intp, `(n,)`: the leg of each, -1 for strangers, which are dropped.
        arrived: float64, `(n,)`: when each came, by the wall clock [s]; below 0 where that is not
            known.
        begin: the first of them.
        end: behind the last.

    Returns:
        Behind the last that is left.
    """
    # Before the loop: numba counts who holds an array whenever it is taken out of a tuple, which
    # within it takes ten times as long as all else.
    (
        left_in,
        quiet,
        audio,
        event,
        comfort,
        ssrc,
        highest,
        received,
        bursts,
        leapt_to,
        candidate,
        taken,
        anchor_timestamp,
        anchor_position,
        play_row,
        ahead,
        newest,
        late_ticks,
        stamp_leapt_to,
        heard_at,
        transit,
        jitter,
        timings,
        jitter_sum,
        jitter_worst,
        traced,
        wanted,
        anchored,
        seen,
        paused_level,
        waits,
        stored,
        filled,
        transits,
    ) = plain
    left = begin
    for i in range(begin, end):
        coming = rows[min(i + _AHEAD, end - 1)]
        if coming >= 0:
            # Where it will be written, if it comes like the one before.
            slot = (play_row[coming] + ahead[coming]) & (SLOTS - 1)
            place = stored.ctypes.data + (coming * SLOTS + slot) * FRAME
            for line in range(0, FRAME, LINE):
                prefetch(place + line)
            prefetch(waits[coming].ctypes.data)
            prefetch(transits[coming].ctypes.data)
        row, packet, length = rows[i], packets[i], lengths[i]
        if row < 0:
            continue
        payload_type = np.int64(packet[1]) & 0x7F
        number = np.int64(packet[2]) << 8 | packet[3]
        stamp = four_octets(packet, 4)
        source = four_octets(packet, 8)
        step = (number - highest[row]) & 0xFFFF
        since = stamp - anchor_timestamp[row]
        since = ((since + 0x8000_0000) & 0xFFFF_FFFF) - 0x8000_0000
        position = anchor_position[row] + since
        frame = position // FRAME
        wait = frame - play_row[row]
        if not (
            packet[0] == _FIRST_OCTET
            and length == HEADER + FRAME
            and payload_type == audio[row]
            and payload_type != event[row]
            and payload_type != comfort[row]
            and wanted[row]
            and quiet[row] == 0
            and not traced[row]
            and left_in[row] != moment.turn
            and source == ssrc[row]
            and 1 <= step < MAX_DROPOUT
            and anchored[row]
            and position == frame * FRAME
            and 0 <= wait <= CAP_ROWS
        ):
            left_in[row] = moment.turn
            if left != i:
                lengths[left], rows[left], arrived[left] = length, row, arrived[i]
                for k in range(min(length, packet.size)):
                    packets[left, k] = packet[k]
            left += 1
            continue
        heard_at[row] = moment.now
        advance(
            row,
            step,
            highest,
            seen,
            received,
            bursts,
            leapt_to,
            candidate,
        )
        taken[row] += FRAME
        if arrived[i] >= 0:
            way = arrived[i] * SAMPLE_RATE - stamp
            note_transit(
                row,
                way,
                transit,
                jitter,
                timings,
                jitter_sum,
                jitter_worst,
            )
        paused_level[row] = -1
        if moment.noted:
            transits[row, (moment.tick - frame) & (BINS - 1)] += 1
        ahead[row] = wait
        waits[row, min(wait * WAIT_STEPS, WAITS - 1)] += 1
        newest[row] = max(newest[row], frame)
        late_ticks[row] = 0
        stamp_leapt_to[row] = -1
        slot = frame & (SLOTS - 1)
        target = stored[row, slot]
        for k in range(FRAME):
            target[k] = packet[HEADER + k]
        filled[row, slot] = FRAME
    return left
