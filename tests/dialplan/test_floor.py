"""Who may speak and who hears: the whole truth table."""

import itertools

import pytest

from dialplan.floor import Masks, Mode, Standing, Unheard, Where, masks, unheard
from dialplan.rules import Role

ROLES: tuple[Role, ...] = ("host", "guest")
YES_NO = (False, True)


def expected(mode: Mode, standing: Standing) -> bool:
    """Say in other words who is heard: by what the issue says of each mode and mute."""
    if standing.self_muted:
        return False
    if standing.role == "host":
        return True
    given = standing.floor and mode is not Mode.HOSTS_ONLY
    may_open = {
        Mode.CONVERSATION: True,
        Mode.QUESTIONS: standing.opened,
        Mode.PRESENTATION: False,
        Mode.HOSTS_ONLY: False,
    }[mode]
    return given or (may_open and not standing.host_muted)


ALL = [
    (mode, Standing(role, own, host, floor, opened))
    for mode, role, own, host, floor, opened in itertools.product(
        Mode, ROLES, YES_NO, YES_NO, YES_NO, YES_NO
    )
]


def test_truth_table_of_everybody_in_the_room() -> None:
    """128 rows: mode, role, own mute, host's mute, floor, opened."""
    assert len(ALL) == 128
    wrong = [row for row in ALL if (unheard(*row) is None) is not expected(*row)]
    assert wrong == []


def test_a_host_is_silenced_by_nobody_but_themselves() -> None:
    """Whatever the mode, and whatever was done to them before they were host."""
    for mode, standing in ALL:
        if standing.role == "host":
            assert unheard(mode, standing) is (Unheard.OWN if standing.self_muted else None)


@pytest.mark.parametrize("where", [place for place in Where if place is not Where.ROOM])
def test_outside_the_room_nobody_speaks_or_hears(where: Where) -> None:
    """Waiting, knocking, at the entrance and parting are alone, whatever else holds."""
    for mode, standing in ALL:
        assert masks(where, mode, standing, group=3, whispers_to=7) == Masks(
            in_room=False, speaks=False, hears=False
        )


def test_in_the_room_everybody_hears_in_their_group() -> None:
    """Group and whisper are the masks' own; who speaks is the table's."""
    for mode, standing in ALL:
        assert masks(Where.ROOM, mode, standing, group=2, whispers_to=9) == Masks(
            in_room=True,
            speaks=unheard(mode, standing) is None,
            hears=True,
            group=2,
            whispers_to=9,
        )


@pytest.mark.parametrize(
    ("mode", "standing", "why"),
    [
        (Mode.CONVERSATION, Standing(self_muted=True, host_muted=True), Unheard.OWN),
        (Mode.CONVERSATION, Standing(host_muted=True), Unheard.HOST),
        (Mode.QUESTIONS, Standing(host_muted=True, opened=True), Unheard.HOST),
        (Mode.QUESTIONS, Standing(), Unheard.QUESTIONS),
        (Mode.PRESENTATION, Standing(opened=True), Unheard.PRESENTATION),
        (Mode.HOSTS_ONLY, Standing(floor=True), Unheard.HOSTS_ONLY),
    ],
)
def test_the_reason_is_the_one_whose_key_helps(
    mode: Mode, standing: Standing, why: Unheard
) -> None:
    """One's own mute first: that key is one's own."""
    assert unheard(mode, standing) is why
