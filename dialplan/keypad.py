"""Keys in a conference: which sequence means what, for whom.

A command is a prefix, `*` or `#`, and one more key, within 2 s; a prefix alone expires without
effect, which needs no timer: the next key notices. A prefix after a prefix begins anew where the
pair is no command (`**6` is `*6`). Any other key or pair is a stray one; whoever pressed it gets a
short tone, never a lecture. `KEY_MAP` is the map as it ships; an administrator's is made of it by
`key_map`. What a map lists for a role is what `*4` explains, and nothing else works.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from msgspec import Struct

from dialplan.errors import RulesError
from dialplan.rules import Role

__all__ = [
    "KEY_MAP",
    "PAIR_S",
    "STRAY",
    "Command",
    "Key",
    "KeyMap",
    "Keypad",
    "Stray",
    "commands_of",
    "key_map",
]

PAIR_S: Final = 2.0
"""Longest time from a command's first key to its second, s."""

_PREFIXES: Final = frozenset("*#")
_SECOND: Final = frozenset("0123456789*#")
_EVERYBODY: Final[tuple[Role, ...]] = ("host", "guest")
_HOST: Final[tuple[Role, ...]] = ("host",)
_GUEST: Final[tuple[Role, ...]] = ("guest",)
_LENGTH: Final = 2


class Command(StrEnum):
    """What a caller can do by keys; the value is its name in the configuration."""

    MUTE = "mute"
    HAND = "hand"
    HELP = "help"
    COUNT = "count"
    BECOME_HOST = "become_host"
    VOLUME = "volume"
    LOCK = "lock"
    MODE = "mode"
    SOUNDS = "sounds"
    RECORD = "record"
    ROLL_CALL = "roll_call"
    TAKE_HAND = "take_hand"
    BREAKOUT = "breakout"
    MUTE_ALL = "mute_all"
    DIAL_OUT = "dial_out"
    COACH = "coach"
    END_ALL = "end_all"


_ROLES: Final[dict[Command, tuple[Role, ...]]] = {
    Command.MUTE: _EVERYBODY,
    Command.HAND: _EVERYBODY,
    Command.HELP: _EVERYBODY,
    Command.COUNT: _EVERYBODY,
    Command.BECOME_HOST: _GUEST,
    Command.VOLUME: _EVERYBODY,
}
"""Who may have a command at all; a host's alone where it is not listed."""


class Stray(StrEnum):
    """A key, or a pair of keys, that means nothing to this role."""

    STRAY = "stray"


STRAY: Final = Stray.STRAY


class Key(Struct, frozen=True):
    """One line of the key map.

    Attributes:
        command: What it does.
        roles: Who has it.
    """

    command: Command
    roles: tuple[Role, ...]


KeyMap = Mapping[str, Key]
"""Commands by their two keys, in the order in which `*4` reads them out."""


def _line(command: Command) -> Key:
    return Key(command, _ROLES.get(command, _HOST))


KEY_MAP: Final[KeyMap] = {
    "*6": _line(Command.MUTE),
    "*2": _line(Command.HAND),
    "*1": _line(Command.VOLUME),
    "*#": _line(Command.COUNT),
    "*3": _line(Command.BECOME_HOST),
    "*5": _line(Command.LOCK),
    "*7": _line(Command.MODE),
    "#6": _line(Command.MUTE_ALL),
    "#2": _line(Command.TAKE_HAND),
    "#1": _line(Command.ROLL_CALL),
    "*8": _line(Command.SOUNDS),
    "#3": _line(Command.BREAKOUT),
    "#7": _line(Command.DIAL_OUT),
    "#8": _line(Command.COACH),
    "#0": _line(Command.END_ALL),
    "*9": _line(Command.RECORD),
    "#9": _line(Command.RECORD),
    "*4": _line(Command.HELP),
}
"""The key map as it ships."""


def key_map(sequences: Mapping[str, str]) -> KeyMap:
    """Make an administrator's key map.

    Args:
        sequences: By the name of a `Command`, the keys that give it: none, one or more pairs with
            blanks between them. A command that is not named keeps those it ships with.

    Returns:
        The map, in the order in which `*4` reads it out.

    Raises:
        RulesError: An action is unknown, a sequence is none, or two actions have the same one;
            the message names all of it.
    """
    shipped: dict[Command, list[str]] = {}
    for pair, key in KEY_MAP.items():
        shipped.setdefault(key.command, []).append(pair)
    known = tuple(Command)
    for name in sequences:
        if name not in known:
            raise RulesError(f"keys: {name!r} is no action; there are: {', '.join(known)}")
    made: dict[str, Key] = {}
    for command, pairs in shipped.items():
        for pair in sequences[command].split() if command in sequences else pairs:
            if len(pair) != _LENGTH or pair[0] not in _PREFIXES or pair[1] not in _SECOND:
                raise RulesError(
                    f"keys: {command} = {pair!r} is no command's keys: star or hash, and one more "
                    "key (0 to 9, star, hash)"
                )
            if pair in made:
                raise RulesError(
                    f"keys: {pair} is given to both {made[pair].command} and {command}"
                )
            made[pair] = _line(command)
    return made


def commands_of(role: Role, keys: KeyMap = KEY_MAP) -> tuple[Command, ...]:
    """List what a role can do by keys, once each, in the order of the key map."""
    return tuple(dict.fromkeys(key.command for key in keys.values() if role in key.roles))


class Keypad:
    """Puts one person's keys together to commands.

    Args:
        keys: The key map.
    """

    def __init__(self, keys: KeyMap = KEY_MAP) -> None:
        self._keys = keys
        self._prefix = ""
        self._prefix_at = 0.0

    def awaits(self, at: float) -> bool:
        """Say whether the next key may be the second of a command."""
        return bool(self._prefix) and at - self._prefix_at <= PAIR_S

    def press(self, at: float, key: str, role: Role) -> Command | Stray | None:
        """Take a key.

        Args:
            at: Monotonic time, s.
            key: One of `0-9*#A-D`.
            role: Of the person, as it is now.

        Returns:
            The command that is complete with this key, `STRAY`, or None while a second key is
            awaited.
        """
        prefix = self._prefix if at - self._prefix_at <= PAIR_S else ""
        self._prefix = ""
        found = self._keys.get(prefix + key)
        if found is not None and role in found.roles:
            return found.command
        if key in _PREFIXES:
            self._prefix = key
            self._prefix_at = at
            return None
        return STRAY
