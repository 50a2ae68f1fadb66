"""Sentences of a conference: what one caller is told about the others, the keys, the start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dialplan.keypad import Command
from dialplan.phrases import Phrase, PhraseKey, phrase

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dialplan.meeting import Meeting
    from dialplan.people import Census, Person

__all__ = ["count_sentence", "keys_sentence", "welcome_sentence"]

_K: Final = PhraseKey


def welcome_sentence(person: Person, *, others: int, waited: int) -> tuple[Phrase, ...]:
    """Say to somebody who comes into the room whom they meet there.

    Args:
        person: Who comes in.
        others: How many are in the room already.
        waited: How many of those waited for this one.

    Returns:
        Phrases; a host is told who waited, anybody else who is there.
    """
    if person.role == "host" and waited:
        met = phrase(_K.PEOPLE_WAITED, count=waited)
    elif others:
        met = phrase(_K.OTHERS_HERE, count=others)
    else:
        met = phrase(_K.FIRST_IN)
    return (phrase(_K.JOINING), met)


def count_sentence(census: Census) -> tuple[Phrase, ...]:
    """Say how many people there are; what there is none of is left out."""
    counts = (
        (_K.COUNT_SPEAKERS, census.speakers),
        (_K.COUNT_LISTENERS, census.listeners),
        (_K.COUNT_WAITING, census.waiting),
    )
    return tuple(phrase(key, count=count) for key, count in counts if count)


def keys_sentence(
    meeting: Meeting, person: Person, commands: Iterable[Command]
) -> tuple[Phrase, ...]:
    """Say what somebody's keys do now.

    Args:
        meeting: Whose.
        person: Whose keys.
        commands: Those that do something now, in order.
    """
    said: list[Phrase] = [phrase(_K.KEYS_ARE)]
    for command in commands:
        key = _key_phrase(meeting, person, command)
        if key is not None:
            said += meeting.key(command, key)
    return tuple(said)


def _key_phrase(meeting: Meeting, person: Person, command: Command) -> PhraseKey | None:
    """Say what one command does now; None for one that does nothing."""
    other = {
        Command.MUTE: (not meeting.is_heard(person), _K.KEY_UNMUTE),
        Command.HAND: (person.hand is not None, _K.KEY_LOWER_HAND),
        Command.LOCK: (meeting.locked, _K.KEY_UNLOCK),
        Command.MUTE_ALL: (meeting.muted_all, _K.KEY_UNMUTE_ALL),
        Command.COACH: (person.whispers_to is not None, _K.KEY_END_COACH),
    }
    turned, key = other.get(command, (False, None))
    return key if turned else _KEYS.get(command)


_KEYS: Final = {
    Command.MUTE: _K.KEY_MUTE,
    Command.HAND: _K.KEY_RAISE_HAND,
    Command.LOCK: _K.KEY_LOCK,
    Command.MUTE_ALL: _K.KEY_MUTE_ALL,
    Command.COACH: _K.KEY_COACH,
    Command.VOLUME: _K.KEY_VOLUME,
    Command.COUNT: _K.KEY_COUNT,
    Command.BECOME_HOST: _K.KEY_BECOME_HOST,
    Command.MODE: _K.KEY_MODE,
    Command.TAKE_HAND: _K.KEY_TAKE_HAND,
    Command.ROLL_CALL: _K.KEY_ROLL_CALL,
    Command.SOUNDS: _K.KEY_SOUNDS,
    Command.BREAKOUT: _K.KEY_BREAKOUT,
    Command.DIAL_OUT: _K.KEY_DIAL_OUT,
    Command.END_ALL: _K.KEY_END_ALL,
    Command.HELP: _K.KEY_HELP,
}
"""What each key does; it is another thing while it would undo what it has done."""
