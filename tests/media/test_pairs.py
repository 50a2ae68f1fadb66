"""The table of remote pairs against a dictionary."""

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.media._compiled import compiled
from bridge.media._pairs import PORT_SHIFT, PairTable, find

PAIRS = st.tuples(st.integers(-1, 63), st.integers(0, 3) | st.integers(0, 2**48 - 1))
"""Port of ours and remote pair of a leg: some are nowhere, some the same as another's."""


@compiled("int64(int64, int64[::1], int64[::1], uint64, uint64)")
def _find(
    key: int,
    keys: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    multiplier: np.uint64,
    shift: np.uint64,
) -> int:
    return int(find(key, keys, rows, multiplier, shift))


@given(st.lists(st.lists(PAIRS, min_size=1, max_size=60), min_size=1, max_size=3))
@settings(max_examples=100)
def test_each_key_has_the_lowest_leg_that_has_it(fillings: list[list[tuple[int, int]]]) -> None:
    """Whatever was there before; who has it too is counted, and no other key is found."""
    table = PairTable()
    for legs in fillings:
        expected: dict[int, int] = {}
        doubled = 0
        for row, (port, remote) in enumerate(legs):
            if port >= 0 and remote:
                key = port << PORT_SHIFT | remote
                doubled += key in expected
                expected.setdefault(key, row)
        port_of, remotes = np.array(legs, np.int64).T.copy()
        assert table.fill(port_of, remotes) == doubled
        for port, remote in (pair for legs in fillings for pair in legs):
            for key in (max(port, 0) << PORT_SHIFT | remote, remote, remote + 1):
                found = _find(key, table.keys, table.rows, table.multiplier, table.shift)
                assert found == expected.get(key, -1)
