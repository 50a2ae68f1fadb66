"""Keys pressed: RFC 4733 telephone events, and SIP INFO in the same order.

An event is known by its time stamp: the packets of one key press share it, however many of them
come, with or without marker bit, with or without the three end packets. A key is told at the first
packet seen of it, once.

::

    key      ┌──────────────1──────────────┐            ┌──────1─────
    packets  ts=800 d=160 │ ts=800 d=320 │ ts=800 d=320 E (three times) │ ts=4000 d=160

Two things share a press in spite of another time stamp, as long as its end was not seen: the next
segment of a very long press (RFC 4733 section 2.5.1.3), and gateways that let the time stamp run
on within a press. Both begin inside the duration already told; a new press cannot.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media._rows import Rows
from bridge.media.messages import DigitPressed, DtmfMethod
from bridge.media.rtp import Arrivals, Headers

__all__ = ["DIGITS", "EventPackets", "Keys"]

DIGITS: Final = "0123456789*#ABCD"
"""By event code (RFC 4733 section 3.2)."""

PAIRING_SECONDS: Final = 1.5
"""The same key by two methods is one press when it comes within this time."""

END_MARGIN: Final = 1
RUNNING_MARGIN: Final = 3
"""Rows blanked behind an event that ended, and behind one that still runs: 60 ms, so that a lost
packet of it does not let the tone through."""

_PAYLOAD: Final = 4
_LONGEST: Final = 0xFFFF
_NEARLY_LONGEST: Final = _LONGEST - 4000  # half a second of lost packets before a segment's end
_STALE: Final = 80_000  # ten seconds: further back it is a new clock, not an old packet
_NONE: Final = -1


@dataclass(slots=True)
class EventPackets:
    """RFC 4733 payloads of some packets, each array `(k,)`.

    Args:
        rows: intp: the legs.
        timestamp: int64: when the event began.
        code: int64: which event.
        ended: bool: the E bit.
        duration: int64: how long so far [time stamp units].
    """

    rows: npt.NDArray[np.intp]
    timestamp: npt.NDArray[np.int64]
    code: npt.NDArray[np.int64]
    ended: npt.NDArray[np.bool_]
    duration: npt.NDArray[np.int64]

    @classmethod
    def parse(
        cls, arrivals: Arrivals, headers: Headers, chosen: npt.NDArray[np.intp]
    ) -> tuple["EventPackets", npt.NDArray[np.intp]]:
        """Read event payloads (RFC 4733 section 2.3).

        Args:
            arrivals: packets.
            headers: their headers.
            chosen: intp, `(k,)`: the packets of telephone events among them.

        Returns:
            The events that are digits, and the legs whose events are not.
        """
        rows = arrivals.rows[chosen]
        enough = headers.length[chosen] >= _PAYLOAD
        at = np.where(enough, headers.offset[chosen], 0)[:, None] + np.arange(_PAYLOAD)
        payload = arrivals.octets[chosen[:, None], at].astype(np.int64)
        digit = enough & (payload[:, 0] < len(DIGITS))
        events = cls(
            rows=rows[digit],
            timestamp=headers.timestamp[chosen[digit]],
            code=payload[digit, 0],
            ended=(payload[digit, 1] & 0x80) != 0,
            duration=payload[digit, 2] << 8 | payload[digit, 3],
        )
        return events, rows[~digit]


class Keys(Rows):
    """The last event of each leg, and what is needed to tell each press once.

    Args:
        capacity: rows to begin with.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.timestamp: npt.NDArray[np.int64] = self.column(
            "timestamp", np.int64, fill=_NONE, kept=True
        )
        self.code: npt.NDArray[np.int64] = self.column("code", np.int64, fill=_NONE, kept=True)
        self.duration: npt.NDArray[np.int64] = self.column("duration", np.int64, kept=True)
        self.ended: npt.NDArray[np.bool_] = self.column("ended", np.bool_, kept=True)
        self._unpaired: dict[int, deque[tuple[str, DtmfMethod, float]]] = {}
        self._method: dict[int, DtmfMethod] = {}

    def press(self, events: EventPackets) -> npt.NDArray[np.bool_]:
        """Take events of different legs in; return which of them begin a press.

        Args:
            events: one of each of some legs.

        Returns:
            bool, `(k,)`.
        """
        rows = events.rows
        last = self.timestamp[rows]
        known = last != _NONE
        later = ((events.timestamp - last + 0x8000_0000) & 0xFFFF_FFFF) - 0x8000_0000
        same = known & (later == 0)
        old = known & (later < 0) & (later > -_STALE)
        reach = np.where(self.duration[rows] >= _NEARLY_LONGEST, _LONGEST, self.duration[rows])
        running = (
            known
            & ~same
            & ~old
            & (self.code[rows] == events.code)
            & ~self.ended[rows]
            & (later > 0)
            & (later <= reach)
        )
        begins: npt.NDArray[np.bool_] = ~same & ~old & ~running
        fresh = begins | running
        changed = rows[fresh]
        self.timestamp[changed] = events.timestamp[fresh]
        self.code[changed] = events.code[fresh]
        self.duration[changed] = 0
        self.ended[changed] = False
        current = fresh | same
        chosen = rows[current]
        self.duration[chosen] = np.maximum(self.duration[chosen], events.duration[current])
        self.ended[chosen] |= events.ended[current]
        return begins

    def forget(self, rows: npt.NDArray[np.intp]) -> None:
        """Forget the last event of legs whose time stamps begin anew."""
        self.timestamp[rows] = _NONE

    def tell(
        self, row: int, leg: int, digit: str, method: DtmfMethod, now: float
    ) -> DigitPressed | None:
        """Say that a key was pressed, unless it is the same press by another method.

        Some phones send a key both as an event and by INFO. The two are paired one to one, so that
        a key pressed twice is told twice however the four messages interleave.

        Args:
            row: the leg's row.
            leg: the leg.
            digit: the key.
            method: how it came.
            now: when [s].

        Returns:
            The event for control, or `None`.
        """
        waiting = self._unpaired.setdefault(row, deque())
        while waiting and now - waiting[0][2] > PAIRING_SECONDS:
            waiting.popleft()
        for other in waiting:
            if other[0] == digit and other[1] != method:
                waiting.remove(other)
                return None
        waiting.append((digit, method, now))
        self._method[row] = method
        return DigitPressed(leg=leg, digit=digit, method=method, at=now)

    def method(self, row: int) -> DtmfMethod | None:
        """Return how the leg's last key came."""
        return self._method.get(row)

    def reset(self, row: int) -> None:
        """Make a row as new."""
        super().reset(row)
        self._unpaired.pop(row, None)
        self._method.pop(row, None)
