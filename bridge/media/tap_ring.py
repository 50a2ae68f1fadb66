"""The ring that recordings are taken from: rows of sound in shared memory, one writer, any readers.

Control makes a memfd and hands it to a media process, and to whoever records. The media process
appends rows in every tick in which something is tapped (`taps`), and never waits: a reader that
falls behind by a whole ring loses rows, and sees how many::

    header    what it is, how many rows │ written, begun │ last tick and its time │ writers
    columns   tick, time, leg, room, group, flags of each row
    samples   160 of each row, int16

Rows are numbered from 0 on and never again; row `n` lies in place `n % rows`. The writer raises
`begun` before it touches a place and `written` when all rows of a tick are whole. A reader copies
rows below `written`, then looks at `begun`: what is older than `begun - rows` may have been written
over meanwhile, is torn, and is not given. So neither end needs a lock, and a writer that is killed
in the middle of a tick leaves nothing half-written that could be read. x86-64 shows stores in their
order; others need the kernel's barriers, which come with the system calls of either end.

Where the writer is replaced, its successor goes on in the same ring: `tick` goes on by the time
that has passed, so what was missed is seen as ticks without rows.
"""

import contextlib
import fcntl
import mmap
import os
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from bridge.media.codecs import FRAME, SAMPLE_RATE

__all__ = [
    "GAP",
    "MUTED",
    "ROWS",
    "TALKING",
    "WIDE",
    "TapReader",
    "TapRing",
    "TapRows",
    "TapWriter",
]

TALKING: Final = 1
"""The leg speaks (`levels`)."""

MUTED: Final = 2
"""The room does not hear the leg from here on: it is muted, whispers, or is in another group. Told
once; its next row with sound ends it."""

GAP: Final = 4
"""The frame did not come, or must not be heard (a key): it is made up, or silence."""

WIDE: Final = 8
"""Sound at 16 kHz: this row and the next one of the leg, of the same tick, are a frame."""

ROWS: Final = 1 << 17
"""Rows of a ring, 47 MB: 2.6 s of 1,000 narrowband legs that are all recorded."""

VERSION: Final = 1
TICK_S: Final = FRAME / SAMPLE_RATE

_MAGIC: Final = 0x44_49_41_4C_54_41_50
_HEADER: Final = 4096
_FIELDS: Final = 16
_MAGIC_AT, _VERSION_AT, _RATE_AT, _FRAME_AT, _ROWS_AT = range(5)
_WRITTEN, _BEGUN, _WRITERS, _TICK = range(5, 9)
_TIME: Final = 9  # a float64
_COLUMNS: Final[tuple[tuple[str, str, int], ...]] = (
    ("tick", "<i8", 1),
    ("at", "<f8", 1),
    ("leg", "<i8", 1),
    ("room", "<i8", 1),
    ("group", "<i4", 1),
    ("flags", "<i4", 1),
    ("samples", "<i2", FRAME),
)
_ROW: Final = sum(np.dtype(kind).itemsize * width for _, kind, width in _COLUMNS)
_SEALS: Final = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL

_Ints = npt.NDArray[np.int64]


@dataclass(slots=True)
class TapRows:
    """Rows of a ring, in their order.

    Args:
        tick: int64, `(n,)`: 20 ms each; goes on by the time that passed where writers change.
        at: float64, `(n,)`: when the tick began, on the monotonic clock [s].
        leg: int64, `(n,)`: whose.
        room: int64, `(n,)`: where it was heard.
        group: int32, `(n,)`: in which group there.
        flags: int32, `(n,)`: `TALKING`, `MUTED`, `GAP`, `WIDE`.
        samples: int16, `(n, 160)`: 20 ms at 8 kHz, or 10 ms at 16 kHz where `WIDE`.
    """

    tick: npt.NDArray[np.int64]
    at: npt.NDArray[np.float64]
    leg: npt.NDArray[np.int64]
    room: npt.NDArray[np.int64]
    group: npt.NDArray[np.int32]
    flags: npt.NDArray[np.int32]
    samples: npt.NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.tick)

    def of(self, leg: int) -> "TapRows":
        """Return one leg's rows."""
        chosen = self.leg == leg
        return TapRows(*(getattr(self, name)[chosen] for name, _, _ in _COLUMNS))


def _map(descriptor: int, *, write: bool) -> tuple[npt.NDArray[np.int64], TapRows]:
    """Map a ring; return its header as int64 and its columns.

    Raises:
        OSError: it cannot be mapped.
        ValueError: it is no ring, or smaller than it says.
    """
    size = os.fstat(descriptor).st_size
    if size < _HEADER:
        raise ValueError(f"a ring of rows is larger than {_HEADER} octets, got {size}")
    access = mmap.ACCESS_WRITE if write else mmap.ACCESS_READ
    mapped = mmap.mmap(descriptor, size, access=access)
    header = np.frombuffer(mapped, np.int64, count=_FIELDS)
    expected = [_MAGIC, VERSION, SAMPLE_RATE, FRAME]
    found = header[: len(expected)].tolist()
    if found != expected:
        raise ValueError(f"a ring of rows begins with {expected}, got {found}")
    rows = int(header[_ROWS_AT])
    if rows < 1 or size < _HEADER + rows * _ROW:
        raise ValueError(f"a ring of {rows} rows does not fit into {size} octets")
    columns: list[npt.NDArray[Any]] = []
    at = _HEADER
    for _, kind, width in _COLUMNS:
        column = np.frombuffer(mapped, kind, count=rows * width, offset=at)
        columns.append(column.reshape(rows, width) if width > 1 else column)
        at += column.nbytes
    return header, TapRows(*columns)


class TapRing:
    """Control's end: makes the memfd. Who records gets it handed, and reads with a `TapReader`.

    Args:
        rows: how many it holds.
    """

    def __init__(self, rows: int = ROWS) -> None:
        self.descriptor = os.memfd_create("dialin-tap", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.descriptor, _HEADER + rows * _ROW)
        fcntl.fcntl(self.descriptor, fcntl.F_ADD_SEALS, _SEALS)
        with contextlib.closing(mmap.mmap(self.descriptor, _HEADER)) as mapped:
            head = np.array([_MAGIC, VERSION, SAMPLE_RATE, FRAME, rows], np.int64)
            mapped[: head.nbytes] = head.tobytes()

    def close(self) -> None:
        """Let go of it."""
        os.close(self.descriptor)


class TapWriter:
    """The media process's end: appends.

    Args:
        descriptor: the memfd; the caller keeps and closes its own.

    Raises:
        OSError: it cannot be mapped.
        ValueError: it is no ring.
    """

    def __init__(self, descriptor: int) -> None:
        self._header, self._columns = _map(descriptor, write=True)
        self._times = self._header.view(np.float64)
        self.rows = len(self._columns)
        self._next = int(self._header[_WRITTEN])
        self._header[_WRITERS] += 1

    def goes_on_at(self, now: float) -> int:
        """Return the number of a tick that begins now: on from the last writer's [s]."""
        if not self._next:
            return 0
        passed = round((now - float(self._times[_TIME])) / TICK_S)
        return int(self._header[_TICK]) + max(passed, 1)

    def begin(self, count: int, tick: int, now: float) -> list[tuple[slice, TapRows]]:
        """Make place for the rows of a tick; nothing of them is seen before `end`.

        Args:
            count: rows, at most as many as the ring has.
            tick: its number.
            now: when it began [s].

        Returns:
            One or two stretches: which of the rows they are, and where those go; the columns
            `tick` and `at` are filled in.
        """
        header = self._header
        first = self._next
        # A writer that was killed may have touched more places than this tick does.
        header[_BEGUN] = max(int(header[_BEGUN]), first + count)
        start = first % self.rows
        upto = min(count, self.rows - start)
        stretches = []
        for part, at in ((slice(0, upto), start), (slice(upto, count), 0)):
            size = part.stop - part.start
            if size:
                place = slice(at, at + size)
                views = TapRows(*(getattr(self._columns, name)[place] for name, _, _ in _COLUMNS))
                views.tick[:] = tick
                views.at[:] = now
                stretches.append((part, views))
        self._next = first + count
        return stretches

    def end(self, tick: int, now: float) -> None:
        """Show the rows of a tick."""
        self._header[_TICK] = tick
        self._times[_TIME] = now
        self._header[_WRITTEN] = self._next


class TapReader:
    """A recorder's end: reads on from where it stands; at first, from what is written next.

    Args:
        descriptor: the memfd; the caller keeps and closes its own.
        from_start: begin with the oldest rows that there are.

    Raises:
        OSError: it cannot be mapped.
        ValueError: it is no ring.
    """

    def __init__(self, descriptor: int, *, from_start: bool = False) -> None:
        self._header, self._columns = _map(descriptor, write=False)
        self._rows = len(self._columns)
        self._next = 0 if from_start else self.written
        self.lost = 0

    @classmethod
    def of(cls, ring: TapRing, *, from_start: bool = False) -> Self:
        """Return a reader of a ring that was made here."""
        return cls(ring.descriptor, from_start=from_start)

    @property
    def written(self) -> int:
        """Rows that have been written since the ring was made."""
        return int(self._header[_WRITTEN])

    @property
    def writers(self) -> int:
        """Media processes that have written to it, one after the other."""
        return int(self._header[_WRITERS])

    def read(self) -> TapRows:
        """Return the rows that have come since the last call, copied; never waits.

        Those that were written over before they were read are missing and counted in `lost`, by
        whole ticks.
        """
        upto = self.written
        first = max(self._next, upto - self._rows)
        places = np.arange(first, upto) % self._rows
        copied = [self._copy(name, places) for name, _, _ in _COLUMNS]
        safe = int(self._header[_BEGUN]) - self._rows
        torn = min(max(safe - first, 0), upto - first)
        if torn < upto - first and first + torn > self._next:
            # Of the tick that it would begin with, some rows may be among those that are gone.
            ticks = copied[0][torn:]
            torn += len(ticks) if (ticks == ticks[0]).all() else int(np.argmax(ticks != ticks[0]))
        self.lost += first + torn - self._next
        self._next = upto
        return TapRows(*(column[torn:] for column in copied))

    def _copy(self, name: str, places: _Ints) -> npt.NDArray[Any]:
        column: npt.NDArray[Any] = getattr(self._columns, name)
        return column[places]
