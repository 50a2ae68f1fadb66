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

from bridge.media._compiled import compiled, inlined_exactly
from bridge.media._rows import Rows
from bridge.media.emodel import G711, G722, rate, ratio_of, score
from bridge.media.messages import Direction

__all__ = ["BAD_R", "FEWEST_PACKETS", "FIGURES", "GOOD_R", "WAYS", "Change", "Line", "Quality"]

BAD_R: Final = 70.0
"""Below it many users are dissatisfied (G.107 Annex B, table B.1)."""

GOOD_R: Final = 80.0
"""From it on they are satisfied."""

FEWEST_PACKETS: Final = 50
"""A second of them; fewer say nothing of a line."""

WAYS: Final[tuple[Direction, ...]] = ("rx", "tx")

FIGURES: Final = (
    "r_factor",
    "remote_r_factor",
    "mos",
    "mos_now",
    "remote_mos",
    "remote_mos_now",
    "mos_worst",
)
"""What `Quality.figures` returns, as `LegStatistics` names it."""

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
        k = len(rows)
        changed, loss = np.empty((k, len(WAYS)), np.bool_), np.empty((k, 2 * len(WAYS)))
        any_changed = _look(
            rows,
            line.codec,
            line.expected,
            line.lost,
            line.late,
            line.bursts,
            line.rtt,
            line.wait,
            line.wait_now,
            line.sent,
            line.remote_lost,
            line.remote_fraction,
            line.remote_jitter,
            self.counted,
            self.r,
            self.worst,
            self.bad,
            loss,
            changed,
        )
        if not any_changed:
            return []
        return [
            Change(
                row=int(rows[at]),
                way=way,
                bad=bool(self.bad[rows[at], way]),
                loss=float(loss[at, 2 * way + 1]),
            )
            for at, way in np.argwhere(changed).tolist()
        ]

    def figures(self, rows: npt.NDArray[np.intp]) -> F:
        """Return figures of legs: float64, `(k, figures)`, as in `FIGURES`, NaN where not known.

        Args:
            rows: intp, `(k,)`: the legs.
        """
        figures = np.empty((len(rows), len(FIGURES)))
        _figures(rows, self.r, self.worst, figures)
        return figures


@inlined_exactly
def _percent(share: float) -> float:
    return 100 * min(max(share, 0.0), 1.0)


@compiled(
    "boolean(int64[::1], uint8[::1], int64[::1], int64[::1], int64[::1], int64[::1], float64[::1],"
    " float64[::1], float64[::1], int64[::1], int64[::1], float64[::1], float64[::1],"
    " int64[:, ::1], float64[:, ::1], float64[::1], boolean[:, ::1], float64[:, ::1],"
    " boolean[:, ::1])",
    exact=True,
)
def _look(
    rows: npt.NDArray[np.intp],
    codec: npt.NDArray[np.uint8],
    expected: _Ints,
    lost: _Ints,
    late: _Ints,
    bursts: _Ints,
    rtt: F,
    wait: F,
    wait_now: F,
    sent: _Ints,
    remote_lost: _Ints,
    remote_fraction: F,
    remote_jitter: F,
    counted: _Ints,
    ratings: F,
    worst: F,
    bad: npt.NDArray[np.bool_],
    losses: F,
    changed: npt.NDArray[np.bool_],
) -> bool:
    any_changed = False
    for i in range(rows.size):
        row: int = rows[i]
        kind: int = codec[i]
        ie, bpl = _IE[kind], _BPL[kind]
        r, loss = ratings[row], losses[i]
        unheard = lost[i] + late[i]
        since_expected = max(expected[i] - counted[row, 0], 0)
        since_unheard = max(unheard - counted[row, 1], 0)
        since_bursts = max(bursts[i] - counted[row, 2], 0)
        enough = since_expected >= FEWEST_PACKETS
        if enough:
            counted[row, 0], counted[row, 1], counted[row, 2] = expected[i], unheard, bursts[i]
        # Ppl of rx and tx, of all the time and of the last interval.
        loss[0] = _percent(unheard / max(expected[i], 1))
        loss[1] = _percent(since_unheard / max(since_expected, 1))
        # A report may say anything: no more was lost than was sent.
        known = not np.isnan(remote_fraction[i])
        loss[2] = _percent(remote_lost[i] / max(sent[i], 1)) if known else _UNKNOWN
        loss[3] = _percent(remote_fraction[i]) if known else _UNKNOWN
        half = _PACKET_MS + (0.0 if np.isnan(rtt[i]) else rtt[i]) / 2
        here, there = half + _TICK_MS, half + _TELEPHONE_MS
        if 2 * remote_jitter[i] > _TELEPHONE_MS:
            there = half + 2 * remote_jitter[i]
        ratio = ratio_of(lost[i], bursts[i], expected[i])
        since_ratio = ratio_of(min(since_unheard, since_expected), since_bursts, since_expected)
        r[0] = r[1] = _UNKNOWN
        if expected[i] >= FEWEST_PACKETS:
            r[0] = rate(here + wait[i], loss[0], ratio, ie, bpl)
        if enough:
            r[1] = rate(here + wait_now[i], loss[1], since_ratio, ie, bpl)
            if not worst[row] <= r[1]:  # it is not known, or better
                worst[row] = r[1]
        r[2] = rate(there, loss[2], 1.0, ie, bpl)
        r[3] = rate(there, loss[3], 1.0, ie, bpl)
        for way in range(2):
            now = r[2 * way + 1]
            changed[i, way] = now >= GOOD_R if bad[row, way] else now < BAD_R
            if changed[i, way]:
                bad[row, way] = not bad[row, way]
                any_changed = True
    return any_changed


@compiled("void(int64[::1], float64[:, ::1], float64[::1], float64[:, ::1])", exact=True)
def _figures(rows: npt.NDArray[np.intp], ratings: F, worst: F, figures: F) -> None:
    for i in range(rows.size):
        row: int = rows[i]
        r, figure = ratings[row], figures[i]
        figure[0], figure[1] = r[0], r[2]
        for k in range(4):
            figure[2 + k] = score(r[k])
        figure[6] = score(worst[row])
