"""Operations on PINs: how short ones are told from those that the policy issued."""

from __future__ import annotations

import pytest

from dialplan import pins
from dialplan._pins import _is_too_short


@pytest.mark.parametrize(
    ("length", "count", "short"),
    [
        (6, 1, True),
        (8, 1, True),
        (9, 100, False),
        (9, 101, True),
        (10, 999, False),
        (12, 99_000, False),
        (13, 10_000_000, False),
    ],
)
def test_each_length_has_its_own_share(length: int, count: int, *, short: bool) -> None:
    """A bridge that has grown holds some of each length, and their chances add up past 1 %."""
    assert _is_too_short(length, count) is short


def test_bridge_that_grew_by_the_policy_has_no_short_pins() -> None:
    """Issued one by one, as `issue` does it, up to 20,000."""
    by_length: dict[int, int] = {}
    for number in range(1, 20_001):
        length = pins.length_for(number)
        by_length[length] = by_length.get(length, 0) + 1
    assert len(by_length) == 4
    assert not [length for length, count in by_length.items() if _is_too_short(length, count)]
