"""Sentences of a conference: what one caller is told about the others, the keys, the start."""

from dialplan.keypad import Command, commands_of
from dialplan.people import Census, Person
from dialplan.phrases import Phrase, PhraseKey, phrase

__all__ = ["count_sentence", "keys_sentence", "welcome_sentence"]

_K = PhraseKey


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


def keys_sentence(person: Person) -> tuple[Phrase, ...]:
    """Say what this person's keys do now."""
    words = {
        Command.MUTE: _K.KEY_UNMUTE if person.self_muted else _K.KEY_MUTE,
        Command.COUNT: _K.KEY_COUNT,
        Command.HELP: _K.KEY_HELP,
    }
    keys = (phrase(words[command]) for command in commands_of(person.role))
    return (phrase(_K.KEYS_ARE), *keys)
