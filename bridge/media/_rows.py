"""Columns of a structure of arrays, one row per leg, that grow when a leg joins.

A stage derives its table from `Rows` and names its columns once; the engine then grows all tables
together, and resets a row when a leg takes it. Columns that are *kept* are what another media
process needs to go on with the leg: `page` writes them out in every tick.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Rows"]


class Rows:
    """A table of columns of equal length.

    Args:
        capacity: rows to begin with.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._fills: dict[str, Any] = {}
        self.kept: list[str] = []

    def column(
        self, name: str, dtype: npt.DTypeLike, *shape: int, fill: float = 0, kept: bool = False
    ) -> npt.NDArray[Any]:
        """Add a column; the caller assigns it to the attribute of the same name.

        Args:
            name: the attribute's name.
            dtype: type of an element.
            shape: shape of one row, none for a scalar.
            fill: what a new row holds.
            kept: a successor of this process goes on with it.

        Returns:
            The array, `(capacity, *shape)`.
        """
        self._fills[name] = fill
        if kept:
            self.kept.append(name)
        return np.full((self.capacity, *shape), fill, dtype)

    def grow(self, capacity: int) -> None:
        """Reallocate every column to `capacity` rows, old rows first."""
        for name, fill in self._fills.items():
            old: npt.NDArray[Any] = getattr(self, name)
            new = np.full((capacity, *old.shape[1:]), fill, old.dtype)
            new[: len(old)] = old
            setattr(self, name, new)
        self.capacity = capacity

    def renew(self, rows: npt.NDArray[np.intp]) -> None:
        """Make the columns of rows as new that no leg has now; what else it had went with it."""
        for name, fill in self._fills.items():
            getattr(self, name)[rows] = fill

    def reset(self, row: int) -> None:
        """Make a row as new."""
        for name, fill in self._fills.items():
            getattr(self, name)[row] = fill
