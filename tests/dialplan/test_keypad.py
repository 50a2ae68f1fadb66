"""Keys in a conference."""

import pytest

from dialplan.errors import RulesError
from dialplan.keypad import KEY_MAP, STRAY, Command, Key, Keypad, Stray, commands_of, key_map
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
    listed = commands_of(role)
    assert set(listed) == {key.command for key in KEY_MAP.values() if role in key.roles}
    assert len(set(listed)) == len(listed)


HOST_KEYS = {
    "*5": Command.LOCK,
    "*7": Command.MODE,
    "*8": Command.SOUNDS,
    "*9": Command.RECORD,
    "#9": Command.RECORD,
    "#1": Command.ROLL_CALL,
    "#2": Command.TAKE_HAND,
    "#3": Command.BREAKOUT,
    "#6": Command.MUTE_ALL,
    "#7": Command.DIAL_OUT,
    "#8": Command.COACH,
    "#0": Command.END_ALL,
}


@pytest.mark.parametrize(("keys", "command"), HOST_KEYS.items())
def test_what_is_a_hosts_is_a_hosts_alone(keys: str, command: Command) -> None:
    """The same keys mean nothing to a guest."""
    for role in ROLES:
        keypad = Keypad()
        keypad.press(0.0, keys[0], role)
        assert keypad.press(0.1, keys[1], role) is (command if role == "host" else STRAY)


def test_a_host_has_no_key_to_become_one() -> None:
    """It is for the others."""
    keypad = Keypad()
    keypad.press(0.0, "*", "host")
    assert keypad.press(0.1, "3", "host") is STRAY


def test_an_administrator_moves_a_command_or_takes_it_away() -> None:
    """What is not named stays as it ships, and so does the order of `*4`."""
    keys = key_map({"mute": "*0", "record": "", "lock": "*5 #9"})
    assert keys["*0"] == KEY_MAP["*6"]
    assert "*6" not in keys
    assert "*9" not in keys
    assert keys["#9"] == keys["*5"] == Key(Command.LOCK, ("host",))
    assert keys["*2"] == KEY_MAP["*2"]
    assert commands_of("guest", keys) == commands_of("guest")
    keypad = Keypad(keys)
    keypad.press(0.0, "*", "guest")
    assert keypad.press(0.1, "0", "guest") is Command.MUTE


@pytest.mark.parametrize(
    ("sequences", "names"),
    [
        ({"mtue": "*6"}, ("mtue", "roll_call")),
        ({"mute": "6"}, ("mute", "'6'")),
        ({"mute": "*66"}, ("mute", "'*66'")),
        ({"mute": "*A"}, ("mute", "'*A'")),
        ({"mute": "*2"}, ("*2", "mute", "hand")),
    ],
)
def test_an_unknown_action_or_key_is_refused_by_name(
    sequences: dict[str, str], names: tuple[str, ...]
) -> None:
    """A mistyped action silently ignored is the fault that users report."""
    with pytest.raises(RulesError) as caught:
        key_map(sequences)
    assert all(name in str(caught.value) for name in names)
