"""A table of remote pairs: it says whose a packet is that came to a shared port.

Keys are numbers of 54 bits::

    port of ours (6) | address of the source (32) | its port (16)

and lie in an array that is four times as large as they are many, each at the place that its hash
says or at the first free one behind it. The hash multiplies by an odd number drawn at random
(Dietzfelbinger et al., A Reliable Randomized Algorithm for the Closest-Pair Problem, 1997), because
the pairs are what SDP says: nobody who picks them can make them fall on one place.
"""

import secrets
from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.media._compiled import compiled, inlined

__all__ = ["PORT_SHIFT", "PairTable", "find"]

PORT_SHIFT: Final = 48
"""The port of ours stands above the pair."""

_FREE: Final = -1
_SPACE: Final = 4
_LEAST: Final = 16


class PairTable:
    """Rows of legs by their keys."""

    def __init__(self) -> None:
        self.multiplier = np.uint64(secrets.randbits(64) | 1)
        self._allocate(_LEAST)

    def _allocate(self, places: int) -> None:
        self.keys = np.full(places, _FREE, np.int64)
        self.rows = np.full(places, _FREE, np.int64)
        self.shift = np.uint64(64 - (places.bit_length() - 1))

    def fill(self, port_of: npt.NDArray[np.int64], remote: npt.NDArray[np.int64]) -> int:
        """Make the table anew.

        Args:
            port_of: int64, `(legs,)`: the port of ours that each leg is on, negative for none.
            remote: int64, `(legs,)`: where its packets come from, 0 for nowhere.

        Returns:
            Legs left out, because one of a lower row has their key.
        """
        places = max(_LEAST, 1 << (_SPACE * len(port_of) - 1).bit_length())
        if places != len(self.keys):
            self._allocate(places)
        else:
            self.keys[:] = _FREE
        return _fill(port_of, remote, self.keys, self.rows, self.multiplier, self.shift)


@inlined
def _place(
    key: int, keys: npt.NDArray[np.int64], multiplier: np.uint64, shift: np.uint64
) -> np.int64:
    """Return where a key lies, or the free place where it would."""
    at = np.int64(np.uint64(key) * multiplier >> shift)
    while keys[at] not in (key, _FREE):
        at = (at + 1) & (keys.size - 1)
    return at


@inlined
def find(
    key: int,
    keys: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    multiplier: np.uint64,
    shift: np.uint64,
) -> np.int64:
    """Return the row of the leg that has a key, -1 if none has."""
    at = _place(key, keys, multiplier, shift)
    return rows[at] if keys[at] == key else np.int64(_FREE)


@compiled("int64(int64[::1], int64[::1], int64[::1], int64[::1], uint64, uint64)")
def _fill(
    port_of: npt.NDArray[np.int64],
    remote: npt.NDArray[np.int64],
    keys: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    multiplier: np.uint64,
    shift: np.uint64,
) -> int:
    doubled = 0
    for row in range(port_of.size):
        if port_of[row] < 0 or remote[row] == 0:
            continue
        key = port_of[row] << PORT_SHIFT | remote[row]
        at = _place(key, keys, multiplier, shift)
        if keys[at] == key:
            doubled += 1
        else:
            keys[at] = key
            rows[at] = row
    return doubled
