"""The state page: what of each leg a successor goes on with, readable after a process has died.

Control makes a memfd and hands it over; the media process lays it out and writes the columns that
its tables keep (`_rows`) in every tick. After a death, or before it kills a process that hangs,
control reads from it where each leg stood::

    header   magic | where the region is | when the last tick began
    region   size of its description | rows | which copy is whole | description (JSON)
             copy 0: time, then one column after the other
             copy 1: the same

Ticks write the two copies in turns and say last which one is whole: a process can be killed between
any two stores. When tables grow, a larger region is laid out and written behind the old one before
the header points to it. x86-64 and, by the kernel's barriers when a process is reaped, others show
the stores of a dead process in their order.
"""

import contextlib
import json
import math
import mmap
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from bridge.media._rows import Rows

__all__ = ["Records", "StatePage", "StateView", "record_type"]

_MAGIC: Final = 0x44_49_41_4C_49_4E_31
_HEADER: Final = struct.Struct("@qqd")
_REGION: Final = struct.Struct("@qqq")
_TICKED: Final = 16
_WHOLE: Final = 16
_NO_COPY: Final = -1
_ALIGNMENT: Final = 4096
_TIME: Final = 8

Tables = Mapping[str, Rows]


def record_type(tables: Tables) -> np.dtype[np.void]:
    """Return the type of one leg's record: a field `table.column` for each column that is kept."""
    fields: list[Any] = []
    for name, table in tables.items():
        for column in table.kept:
            array: npt.NDArray[Any] = getattr(table, column)
            fields.append((f"{name}.{column}", array.dtype.str, array.shape[1:]))
    return np.dtype(fields)


def _aligned(octets: int) -> int:
    return -(-octets // _ALIGNMENT) * _ALIGNMENT


class StatePage:
    """The media process's end: writes.

    Args:
        descriptor: the memfd, which belongs to this object from now on.

    Raises:
        OSError: it cannot be mapped.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._end = _ALIGNMENT
        os.ftruncate(descriptor, self._end)
        self._header = mmap.mmap(descriptor, _ALIGNMENT)
        self._region: mmap.mmap | None = None
        self._copies: list[list[tuple[npt.NDArray[Any], Rows, str]]] = []
        self._times: list[npt.NDArray[np.float64]] = []
        self._turn = 0

    def lay_out(self, tables: Tables, now: float) -> None:
        """Make place for the columns of tables as large as they are now, and write them.

        Args:
            tables: by name; all of the same capacity.
            now: the time of what they say [s].
        """
        description = json.dumps(
            [
                [name, kind.base.str, kind.shape]
                for name, (kind, _) in _fields(record_type(tables)).items()
            ]
        ).encode()
        columns = [(name, table, column) for name, table in tables.items() for column in table.kept]
        rows = next(iter(tables.values())).capacity
        start = _aligned(_REGION.size + len(description))
        copy = _aligned(_TIME + sum(getattr(table, column).nbytes for _, table, column in columns))
        size = start + 2 * copy
        os.ftruncate(self._descriptor, self._end + size)
        region = mmap.mmap(self._descriptor, size, offset=self._end)
        region[: _REGION.size] = _REGION.pack(len(description), rows, _NO_COPY)
        region[_REGION.size : _REGION.size + len(description)] = description
        self._copies, self._times = [], []
        for index in range(2):
            at = start + index * copy
            self._times.append(np.frombuffer(region, np.float64, count=1, offset=at))
            at += _TIME
            places = []
            for _, table, column in columns:
                array: npt.NDArray[Any] = getattr(table, column)
                view = np.frombuffer(region, array.dtype, count=array.size, offset=at)
                places.append((view.reshape(array.shape), table, column))
                at += array.nbytes
            self._copies.append(places)
        self._region = region
        for _ in self._copies:
            self.save(now, rows)
        self._header[:_TICKED] = struct.pack("@qq", _MAGIC, self._end)
        self._end += size

    def beat(self, now: float) -> None:
        """Note that a tick begins: time of the monotonic clock [s]."""
        struct.pack_into("@d", self._header, _TICKED, now)

    def save(self, now: float, rows: int) -> None:
        """Write every column; nothing counts before all of them are written.

        Args:
            now: the time of what they say [s].
            rows: so many from the first on; those behind have not changed since `lay_out`.
        """
        region = self._region
        if region is None:
            return
        self._turn ^= 1
        for place, table, column in self._copies[self._turn]:
            place[:rows] = getattr(table, column)[:rows]
        self._times[self._turn][0] = now
        struct.pack_into("@q", region, _WHOLE, self._turn)


def _fields(kind: np.dtype[np.void]) -> dict[str, tuple[np.dtype[Any], int]]:
    return {name: (each[0], each[1]) for name, each in (kind.fields or {}).items()}


@dataclass(slots=True)
class Records:
    """What a page says.

    Args:
        at: when that was so, on the monotonic clock [s].
        legs: a record of each open leg, by the number of the leg; their fields are columns.
    """

    at: float
    legs: dict[int, np.void]

    @classmethod
    def none(cls) -> Self:
        """Return that nothing is known."""
        return cls(math.nan, {})


class StateView:
    """Control's end: makes the memfd and reads."""

    def __init__(self) -> None:
        self.descriptor = os.memfd_create("dialin-state", os.MFD_CLOEXEC)
        os.ftruncate(self.descriptor, _ALIGNMENT)
        self._header = mmap.mmap(self.descriptor, _ALIGNMENT, access=mmap.ACCESS_READ)

    def ticked_at(self) -> float:
        """Return when the last tick began, on the monotonic clock [s]; 0 before the first."""
        at: float = _HEADER.unpack_from(self._header)[2]
        return at

    def record_type(self) -> np.dtype[np.void]:
        """Return the type of a record, as the writer has it; an empty one before it wrote."""
        return self._look()[0]

    def _look(self) -> tuple[np.dtype[np.void], bytes]:
        """Return the type of a record and the region; nothing where nothing was written."""
        magic, start, _ = _HEADER.unpack_from(self._header)
        if magic != _MAGIC:
            return np.dtype([]), b""
        size = os.fstat(self.descriptor).st_size - start
        with contextlib.closing(
            mmap.mmap(self.descriptor, size, access=mmap.ACCESS_READ, offset=start)
        ) as mapped:
            region = bytes(mapped)
        length = _REGION.unpack_from(region)[0]
        described = json.loads(region[_REGION.size : _REGION.size + length])
        return np.dtype([(name, of, tuple(shape)) for name, of, shape in described]), region

    def read(self) -> Records:
        """Return the records of all legs; none where nothing was written."""
        kind, region = self._look()
        return _read(kind, region) if region else Records.none()

    def close(self) -> None:
        """Let go of it."""
        self._header.close()
        os.close(self.descriptor)


def _read(kind: np.dtype[np.void], region: bytes) -> Records:
    length, rows, whole = _REGION.unpack_from(region)
    begin = _aligned(_REGION.size + length)
    copy = _aligned(_TIME + rows * kind.itemsize)
    if whole == _NO_COPY:
        return Records.none()
    at = begin + whole * copy
    time = float(np.frombuffer(region, np.float64, count=1, offset=at)[0])
    at += _TIME
    records = np.zeros(rows, kind)
    for name, (field, _) in _fields(kind).items():
        count = rows * math.prod(field.shape)
        column = np.frombuffer(region, field.base, count=count, offset=at)
        records[name] = column.reshape(rows, *field.shape)
        at += column.nbytes
    open_rows = np.flatnonzero(records["legs.leg"] >= 0)
    return Records(time, {int(records["legs.leg"][row]): records[row] for row in open_rows})
