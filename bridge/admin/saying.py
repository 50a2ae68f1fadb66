"""Have something said in a conference that runs: a phrase of the catalogue, or a sound.

A phrase is said to each listener in their own language, when their turn to be told something comes.
A sound that is for the room is mixed into its talk, as tones are; one that is for one person is
told to them as phrases are. A newer word of an administrator takes the place of one that somebody
has not heard yet.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bridge.admin.meetings import find_running
from bridge.errors import AdminError
from bridge.media.codecs import FRAME
from bridge.sounds import HOLD_S, LONGEST_SAMPLES
from dialplan.errors import PhraseError
from dialplan.floor import Where
from dialplan.phrases import CATALOGUE, PhraseKey
from dialplan.phrases import phrase as make_phrase
from dialplan.prompts.catalogue import DEFAULT_LANGUAGE, render
from dialplan.prompts.errors import PromptError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from bridge.conferences import RunningConference
    from bridge.server import Bridge
    from dialplan.phrases import Phrase

__all__ = ["conference_say"]

_RATE: Final = 8000
_LISTENS: Final = frozenset({Where.ROOM, Where.WAITING, Where.KNOCKING})


async def conference_say(
    bridge: Bridge,
    conference: str,
    *,
    phrase: str | None = None,
    arguments: Mapping[str, int | str] | None = None,
    sound: str | None = None,
    person: int | None = None,
) -> dict[str, Any]:
    """Say a phrase or play a sound, to the room or to one person.

    Args:
        bridge: the running bridge.
        conference: its name or id.
        phrase: key of `dialplan.phrases.CATALOGUE`; this or a sound.
        arguments: of the phrase, by name.
        sound: int16, little endian, 8 kHz, in base64.
        person: to whom, as `conference_people` numbers them; None for everybody in the room.

    Returns:
        The conference, how many will hear it, and how long a sound is [s].

    Raises:
        AdminError: it does not run, nobody is there to hear it, or it cannot be said.
    """
    running = find_running(bridge, conference)
    if (phrase is None) is (sound is None):
        raise AdminError("either a phrase is said or a sound is played, and one of them")
    listeners = _listeners(running, person)
    seconds = None
    if phrase is not None:
        running.announce((_phrase(phrase, arguments or {}),), person)
    else:
        samples = _samples(sound or "")
        seconds = round(len(samples) / _RATE, 2)
        if not running.sound(samples, person):
            raise AdminError(
                "as many sounds as the bridge can hold are being played already",
                f"Try again when one is over, after {HOLD_S / 60:g} minutes at the latest.",
            )
    return {"conference": running.entry.name, "listeners": listeners, "seconds": seconds}


def _listeners(running: RunningConference, person: int | None) -> int:
    """Return how many will hear it, one at least."""
    people = running.rules.people()
    if person is None:
        listeners = sum(each.where is Where.ROOM for each in people)
        if not listeners:
            raise AdminError(
                "nobody is together in that conference yet",
                "`dialin conference people` shows who waits; give --person to speak to one.",
            )
        return listeners
    found = next((each for each in people if each.leg == person), None)
    if found is None or found.where is Where.PARTING:
        raise AdminError(
            f"nobody with the number {person} is in the conference",
            "`dialin conference people` shows who is.",
        )
    if found.where not in _LISTENS:
        raise AdminError("that person is saying a name at this moment", "Try again in a while.")
    return 1


def _phrase(key: str, arguments: Mapping[str, int | str]) -> Phrase:
    """Make a phrase that can be said."""
    if key not in CATALOGUE:
        raise AdminError(
            f"there is no phrase {key!r}", "`dialin conference say --phrases` lists them."
        )
    spec = CATALOGUE[PhraseKey(key)]
    if any(kind == "name" for _, kind in spec.arguments):
        raise AdminError(f"the phrase {key} needs a caller's own voice", "Choose another one.")
    try:
        made = make_phrase(PhraseKey(key), **arguments)
        render(DEFAULT_LANGUAGE, made)
    except (PhraseError, PromptError) as error:
        raise AdminError(str(error), "`dialin conference say --phrases` lists them.") from error
    return made


def _samples(sound: str) -> npt.NDArray[np.int16]:
    """Decode a sound."""
    try:
        octets = base64.b64decode(sound, validate=True)
    except (binascii.Error, ValueError) as error:
        raise AdminError("the sound is not in base64") from error
    samples = len(octets) // 2
    if len(octets) % 2 or not FRAME <= samples <= LONGEST_SAMPLES:
        raise AdminError(
            f"the sound has {len(octets)} octets; expected an even number,"
            f" {2 * FRAME} to {2 * LONGEST_SAMPLES}"
        )
    return np.frombuffer(octets, "<i2").astype(np.int16)
