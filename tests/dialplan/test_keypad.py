"""Keys in a conference."""

import pytest

from dialplan.keypad import COMMANDS, STRAY, Command, Keypad, Stray, commands_of
from dialplan.rules import Role

ROLES: tuple[Role, ...] = ("host", "guest")


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    ("keys", "command"), [("*6", Command.MUTE), ("*4", Command.HELP), ("*#", Command.COUNT)]
)
def test_commands_for_everybody(keys: str, command: Command, role: Role) -> None:
    """Each line of the key map does what it says."""
    keypad = Keypad()
    assert keypad.press(0.0, keys[0], role) is None
    assert keypad.press(0.5, keys[1], role) is command


def test_the_second_key_comes_within_two_seconds() -> None:
    """Two seconds are in time; later the first key has expired and the second stands alone."""
    keypad = Keypad()
    keypad.press(0.0, "*", "guest")
    assert keypad.press(2.0, "6", "guest") is Command.MUTE
    keypad.press(10.0, "*", "guest")
    assert keypad.press(12.1, "6", "guest") is STRAY


@pytest.mark.parametrize("prefix", ["*", "#"])
def test_a_lone_prefix_expires_without_effect(prefix: str) -> None:
    """A prefix and nothing more does nothing, and spoils nothing later."""
    keypad = Keypad()
    assert keypad.press(0.0, prefix, "guest") is None
    assert keypad.press(60.0, "*", "guest") is None
    assert keypad.press(60.5, "6", "guest") is Command.MUTE


def test_a_prefix_after_a_prefix_begins_anew() -> None:
    """`**6` and `#*6` are `*6`."""
    keypad = Keypad()
    outcomes = [keypad.press(n / 10, key, "guest") for n, key in enumerate("**6#*6")]
    assert outcomes == [None, None, Command.MUTE, None, None, Command.MUTE]


@pytest.mark.parametrize("keys", ["5", "*9", "#1", "##8", "A", "0"])
def test_unknown_keys_are_stray(keys: str) -> None:
    """What means nothing is stray, and the next command is understood."""
    keypad = Keypad()
    outcome: Command | Stray | None = None
    for n, key in enumerate(keys):
        outcome = keypad.press(n / 10, key, "guest")
    assert outcome is STRAY
    keypad.press(1.0, "*", "guest")
    assert keypad.press(1.1, "4", "guest") is Command.HELP


@pytest.mark.parametrize("role", ROLES)
def test_the_key_map_lists_what_a_role_has(role: Role) -> None:
    """`*4` and the keypad read the same table."""
    listed = set(commands_of(role))
    assert listed == {key.command for key in COMMANDS.values() if role in key.roles}
