"""Keys in a conference: which sequence means what, for whom.

A command is a prefix, `*` or `#`, and one more key, within 2 s; a prefix alone expires without
effect, which needs no timer: the next key notices. A prefix after a prefix begins anew where the
pair is no command (`**6` is `*6`). Any other key or pair is a stray one; whoever pressed it gets a
short tone, never a lecture. `COMMANDS` is the whole key map; what it lists for a role is what
`*4` explains.
"""

from enum import Enum
from typing import Final

from msgspec import Struct

from dialplan.rules import Role

__all__ = ["COMMANDS", "PAIR_S", "STRAY", "Command", "Key", "Keypad", "Stray", "commands_of"]

PAIR_S: Final = 2.0
"""Longest time from a command's first key to its second, s."""

_PREFIXES: Final = frozenset("*#")
_EVERYBODY: Final[tuple[Role, ...]] = ("host", "guest")


class Command(Enum):
    """What a caller can do by keys."""

    MUTE = "mute"
    HELP = "help"
    COUNT = "count"


class Stray(Enum):
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


COMMANDS: Final[dict[str, Key]] = {
    "*6": Key(Command.MUTE, _EVERYBODY),
    "*#": Key(Command.COUNT, _EVERYBODY),
    "*4": Key(Command.HELP, _EVERYBODY),
}
"""The key map, in the order in which `*4` reads it out."""


def commands_of(role: Role) -> tuple[Command, ...]:
    """List what a role can do by keys, in the order of the key map."""
    return tuple(key.command for key in COMMANDS.values() if role in key.roles)


class Keypad:
    """Puts one person's keys together to commands."""

    def __init__(self) -> None:
        self._prefix = ""
        self._prefix_at = 0.0

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
        found = COMMANDS.get(prefix + key)
        if found is not None and role in found.roles:
            return found.command
        if key in _PREFIXES:
            self._prefix = key
            self._prefix_at = at
            return None
        return STRAY
