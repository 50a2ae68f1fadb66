"""Who may speak and who hears."""

import pytest

from dialplan.floor import Masks, Where, masks


@pytest.mark.parametrize(
    ("where", "self_muted", "in_room", "speaks", "hears"),
    [
        (Where.WAITING, False, False, False, False),
        (Where.WAITING, True, False, False, False),
        (Where.ROOM, False, True, True, True),
        (Where.ROOM, True, True, False, True),
        (Where.PARTING, False, False, False, False),
        (Where.PARTING, True, False, False, False),
    ],
)
def test_truth_table(
    where: Where,
    *,
    self_muted: bool,
    in_room: bool,
    speaks: bool,
    hears: bool,
) -> None:
    """Masks follow from place and own mute, as the module's table has them."""
    assert masks(where, self_muted=self_muted) == Masks(in_room, speaks, hears)
