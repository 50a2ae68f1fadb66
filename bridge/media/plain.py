"""Plain packets: header, sequence number and place in the playout store in one go.

Nearly every packet is a frame of 20 ms of the codec that was negotiated, follows the one before,
and comes in time. Such a one is done with here while it is in the processor's registers: what
`rtp`, `sequence` and `playout` do with it, no more and no less. All others, and what comes behind
one of them from the same leg in the same tick, are left to those three, which know every case.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media._compiled import LINE, compiled, inlined, prefetch
from bridge.media._rows import Rows
from bridge.media._store_loops import WAIT_STEPS, WAITS
from bridge.media.codecs import FRAME, SAMPLE_RATE
from bridge.media.concealment import ComfortNoise
from bridge.media.depth import BINS, CAP_ROWS
from bridge.media.legs import Legs
from bridge.media.playout import PlayoutStore
from bridge.media.ring import SLOTS
from bridge.media.rtp import HEADER, Arrivals, four_octets
from bridge.media.sequence import MAX_DROPOUT, Sequences, advance, note_transit

__all__ = ["PlainPackets"]

_FIRST_OCTET: Final = 0x80
"""Version 2, no padding, no extension, no contributing source."""

_AHEAD: Final = 6
"""Packets that are on their way into the cache while one is taken."""

_Index = npt.NDArray[np.intp]
_Ints = npt.NDArray[np.int64]
_Times = npt.NDArray[np.float64]
_Flags = npt.NDArray[np.bool_]


class PlainPackets(Rows):
    """Takes plain packets.

    Args:
        capacity: rows (legs) to begin with.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        # The last turn in which a packet of the leg was left.
        self.left_in: _Ints = self.column("left_in", np.int64)
        self._turn = 0
        self._arrived = np.zeros(0, np.float64)
        self._left = np.zeros(0, np.intp)

    def take(
        self,
        arrivals: Arrivals,
        now: float,
        *,
        legs: Legs,
        heard_at: _Times,
        quiet: _Ints,
        traced: _Flags,
        sequences: Sequences,
        noise: ComfortNoise,
        store: PlayoutStore,
    ) -> _Index:
        """Take what is plain of a tick's packets.

        Args:
            arrivals: the packets.
            now: monotonic time [s].
            legs: what was negotiated.
            heard_at: float64, `(legs,)`: gets `now` for legs whose packets are taken.
            quiet: int64, `(legs,)`: above 0 where control was told that a leg is quiet; nothing of
                it is plain.
            traced: bool, `(legs,)`: legs whose headers are told; nothing of them is plain either.
            sequences: of the streams.
            noise: pauses end here.
            store: gets the sound.

        Returns:
            Packets that are left, intp `(k,)`, ascending.
        """
        count = len(arrivals.rows)
        if count > len(self._left):
            self._arrived = np.zeros(2 * count, np.float64)
            self._left = np.zeros(2 * count, np.intp)
        self._turn += 1
        depth = store.depth
        left = _take(
            arrivals.octets,
            arrivals.lengths,
            arrivals.rows,
            arrivals.timed,
            arrivals.times,
            self._arrived,
            self._left,
            self.left_in,
            self._turn,
            now,
            heard_at,
            quiet,
            traced,
            legs.payload_type,
            legs.dtmf_payload_type,
            legs.cn_payload_type,
            legs.rx,
            sequences.ssrc,
            sequences.highest,
            sequences.seen,
            sequences.received,
            sequences.bursts,
            sequences.leapt_to,
            sequences.candidate,
            sequences.octets,
            sequences.transit,
            sequences.jitter,
            sequences.timings,
            sequences.jitter_sum,
            sequences.jitter_worst,
            noise.paused_level,
            store.anchored,
            store.anchor_timestamp,
            store.anchor_position,
            store.play_row,
            store.ahead,
            store.newest,
            store.late_ticks,
            store.leapt_to,
            store.waits,
            store.octets,
            store.filled,
            depth.running,
            depth.tick,
            not depth.disturbed,
        )
        return self._left[:left]


@inlined
def _fetch(
    octets: npt.NDArray[np.uint8],
    rows: _Index,
    stored: npt.NDArray[np.uint8],
    waits: npt.NDArray[np.int32],
    transits: npt.NDArray[np.int16],
    play_row: _Ints,
    ahead: _Ints,
    i: int,
) -> None:
    i = min(i, rows.size - 1)
    row = rows[i]
    packet = octets.ctypes.data + i * octets.shape[1]
    # Where it will be written, if it comes like the one before.
    slot = (play_row[row] + ahead[row]) & (SLOTS - 1)
    frame = stored.ctypes.data + (row * SLOTS + slot) * FRAME
    for line in range(0, HEADER + FRAME, LINE):
        prefetch(packet + line)
        prefetch(frame + line)
    prefetch(waits[row].ctypes.data)
    prefetch(transits[row].ctypes.data)


@compiled(
    "int64(uint8[:, ::1], int64[::1], int64[::1], int64[::1], float64[::1], float64[::1],"
    " int64[::1], int64[::1], int64, float64, float64[::1], int64[::1], boolean[::1], int64[::1],"
    " int64[::1], int64[::1], boolean[::1], int64[::1], int64[::1], uint64[::1], int64[::1],"
    " int64[::1], int64[::1], int64[::1], int64[::1], float64[::1], float64[::1], float64[::1],"
    " float64[::1], float64[::1], float32[::1], boolean[::1], int64[::1], int64[::1], int64[::1],"
    " int64[::1], int64[::1], int64[::1], int64[::1], int32[:, ::1], uint8[:, :, ::1], int16[:,"
    " ::1], int16[:, ::1], int64, boolean)"
)
def _take(
    octets: npt.NDArray[np.uint8],
    lengths: _Ints,
    rows: _Index,
    timed: _Index,
    times: _Times,
    arrived: _Times,
    left: _Index,
    left_in: _Ints,
    turn: int,
    now: float,
    heard_at: _Times,
    quiet: _Ints,
    traced: _Flags,
    audio: _Ints,
    event: _Ints,
    comfort: _Ints,
    wanted: _Flags,
    ssrc: _Ints,
    highest: _Ints,
    seen: npt.NDArray[np.uint64],
    received: _Ints,
    bursts: _Ints,
    leapt_to: _Ints,
    candidate: _Ints,
    taken: _Ints,
    transit: _Times,
    jitter: _Times,
    timings: _Times,
    jitter_sum: _Times,
    jitter_worst: _Times,
    paused_level: npt.NDArray[np.float32],
    anchored: _Flags,
    anchor_timestamp: _Ints,
    anchor_position: _Ints,
    play_row: _Ints,
    ahead: _Ints,
    newest: _Ints,
    late_ticks: _Ints,
    stamp_leapt_to: _Ints,
    waits: npt.NDArray[np.int32],
    stored: npt.NDArray[np.uint8],
    filled: npt.NDArray[np.int16],
    transits: npt.NDArray[np.int16],
    tick: int,
    noted: bool,  # noqa: FBT001 - one of the columns
) -> int:
    for i in range(rows.size):
        arrived[i] = -1.0
    for k in range(timed.size):
        arrived[timed[k]] = times[k]
    count = 0
    for i in range(rows.size):
        _fetch(octets, rows, stored, waits, transits, play_row, ahead, i + _AHEAD)
        row, packet = rows[i], octets[i]
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
        plain = (
            packet[0] == _FIRST_OCTET
            and lengths[i] == HEADER + FRAME
            and payload_type == audio[row]
            and payload_type != event[row]
            and payload_type != comfort[row]
            and wanted[row]
            and quiet[row] == 0
            and not traced[row]
            and left_in[row] != turn
            and source == ssrc[row]
            and 1 <= step < MAX_DROPOUT
            and anchored[row]
            and position == frame * FRAME
            and 0 <= wait <= CAP_ROWS
        )
        if not plain:
            left_in[row] = turn
            left[count] = i
            count += 1
            continue
        heard_at[row] = now
        advance(row, step, highest, seen, received, bursts, leapt_to, candidate)
        taken[row] += FRAME
        if arrived[i] >= 0:
            way = arrived[i] * SAMPLE_RATE - stamp
            note_transit(row, way, transit, jitter, timings, jitter_sum, jitter_worst)
        paused_level[row] = -1
        if noted:
            transits[row, (tick - frame) & (BINS - 1)] += 1
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
    return count
