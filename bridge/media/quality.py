"""How good each leg sounds: R and MOS of the E-model (`emodel`), both ways.

::

    rx   what the others hear of the leg     what we counted: lost, too late, how long it waited
    tx   what the leg hears                  what its reports say of our packets

Each way is rated twice: over all the time, for the record, and over the last five seconds, to tell
when a line becomes bad. The delay is that of the leg's own line, from mouth to bridge or from the
bridge to the ear::

    rx   packetisation 20 ms + half the round trip + 10 ms until a tick comes + wait for playout
    tx   packetisation 20 ms + half the round trip + what the telephone waits

What the telephone waits nobody tells: twice the jitter that it reports is assumed, 40 ms at least,
and that it conceals what is lost as we do.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media._rows import Rows
from bridge.media.emodel import G711, G722, burst_ratio, mos, rating
from bridge.media.messages import Direction

__all__ = ["BAD_R", "FEWEST_PACKETS", "GOOD_R", "WAYS", "Change", "Line", "Quality"]

BAD_R: Final = 70.0
"""Below it many users are dissatisfied (G.107 Annex B, table B.1)."""

GOOD_R: Final = 80.0
"""From it on they are satisfied."""

FEWEST_PACKETS: Final = 50
"""A second of them; fewer say nothing of a line."""

WAYS: Final[tuple[Direction, ...]] = ("rx", "tx")

_PACKET_MS: Final = 20.0
_TICK_MS: Final = 10.0  # half a tick, at the mean
_TELEPHONE_MS: Final = 40.0
_UNKNOWN: Final = np.nan

F = npt.NDArray[np.float64]
_Ints = npt.NDArray[np.int64]

_IE: Final = np.array([G711.ie, G711.ie, G722.ie])
_BPL: Final = np.array([G711.bpl, G711.bpl, G722.bpl])


@dataclass(slots=True)
class Line:
    """What is known of some legs' lines, each array `(k,)`; counts are since they were opened.

    Args:
        codec: uint8: `codecs.codec_index`.
        expected: int64: packets that should have come.
        lost: int64: that did not.
        late: int64: that came too late to be heard.
        bursts: int64: runs that they were lost in.
        rtt: float64: round trip [ms], NaN where not known.
        wait: float64: how long sound waited at the median [ms].
        wait_now: float64: how long it waits now [ms].
        sent: int64: packets that were sent to the leg.
        remote_lost: int64: of which its reports miss so many.
        remote_fraction: float64: share of them in its last report, NaN before one.
        remote_jitter: float64: jitter it reports [ms], NaN before a report.
    """

    codec: npt.NDArray[np.uint8]
    expected: _Ints
    lost: _Ints
    late: _Ints
    bursts: _Ints
    rtt: F
    wait: F
    wait_now: F
    sent: _Ints
    remote_lost: _Ints
    remote_fraction: F
    remote_jitter: F


@dataclass(frozen=True, slots=True)
class Change:
    """A way has become bad, or is good again.

    Args:
        row: the leg.
        way: 0 for rx, 1 for tx.
        bad: it has become bad.
        loss: packets not heard of the last interval [%].
    """

    row: int
    way: int
    bad: bool
    loss: float


class Quality(Rows):
    """Ratings of each leg.

    Args:
        capacity: rows to begin with.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        # Expected, unheard and bursts when the leg was looked at last.
        self.counted: _Ints = self.column("counted", np.int64, 3, kept=True)
        # R of the whole time and of the last interval, of rx and of tx.
        self.r: F = self.column("r", np.float64, 4, fill=_UNKNOWN, kept=True)
        self.worst: F = self.column("worst", np.float64, fill=_UNKNOWN, kept=True)
        self.bad: npt.NDArray[np.bool_] = self.column("bad", np.bool_, 2, kept=True)

    def look(self, rows: npt.NDArray[np.intp], line: Line) -> list[Change]:
        """Rate some legs.

        Args:
            rows: intp, `(k,)`: the legs, each once.
            line: what is known of them.

        Returns:
            What has changed for the worse, or back.
        """
        counts = np.stack((line.expected, line.lost + line.late, line.bursts), axis=1)
        since = np.maximum(counts - self.counted[rows], 0)
        enough = since[:, 0] >= FEWEST_PACKETS
        self.counted[rows[enough]] = counts[enough]
        loss = self._losses(line, counts, since)
        half = _PACKET_MS + np.nan_to_num(line.rtt) / 2
        there = half + np.fmax(2 * line.remote_jitter, _TELEPHONE_MS)
        here = half + _TICK_MS
        delay = np.stack((here + line.wait, here + line.wait_now, there, there))
        ratio = np.ones_like(loss)
        for at, (each, lost) in enumerate(
            ((counts, line.lost), (since, np.minimum(since[:, 1], since[:, 0])))
        ):
            ratio[at] = burst_ratio(
                lost.astype(np.float64),
                each[:, 2].astype(np.float64),
                each[:, 0].astype(np.float64),
            )
        r = rating(delay, loss, ratio, _IE[line.codec], _BPL[line.codec])
        r[0, line.expected < FEWEST_PACKETS] = _UNKNOWN
        r[1, ~enough] = _UNKNOWN
        self.r[rows] = r.T
        self.worst[rows] = np.fmin(self.worst[rows], r[1])
        return self._changes(rows, r[1::2].T, loss[1::2].T)

    @staticmethod
    def _losses(line: Line, counts: _Ints, since: _Ints) -> F:
        """Return Ppl of rx and tx, of all the time and of the last interval, `(4, k)` [%]."""
        sent = np.maximum(line.sent, 1)
        unknown = np.isnan(line.remote_fraction)
        # A report may say anything: no more was lost than was sent.
        remote = np.where(unknown, _UNKNOWN, line.remote_lost / sent)
        parts = (
            counts[:, 1] / np.maximum(counts[:, 0], 1),
            since[:, 1] / np.maximum(since[:, 0], 1),
            remote,
            line.remote_fraction,
        )
        loss: F = 100 * np.clip(np.stack(parts), 0, 1)
        return loss

    def _changes(self, rows: npt.NDArray[np.intp], r: F, loss: F) -> list[Change]:
        """Return which ways, `(k, 2)`, have become bad or are good again."""
        bad = self.bad[rows]
        changed = np.where(bad, r >= GOOD_R, r < BAD_R)
        if not changed.any():
            return []
        self.bad[rows] = bad ^ changed
        return [
            Change(int(rows[at]), way, not bad[at, way], float(loss[at, way]))
            for at, way in np.argwhere(changed).tolist()
        ]

    def figures(self, rows: npt.NDArray[np.intp]) -> dict[str, F]:
        """Return figures of legs, `(k,)` each, NaN where not known, as `LegStatistics` names them.

        Args:
            rows: intp, `(k,)`: the legs.
        """
        r = self.r[rows].T
        scores = mos(np.vstack((r, self.worst[rows])))
        names = ("mos", "mos_now", "remote_mos", "remote_mos_now", "mos_worst")
        return {"r_factor": r[0], "remote_r_factor": r[2], **dict(zip(names, scores, strict=True))}
