"""A host and guests in a conference, and who of them hears whom."""

import contextlib
import functools

from tests.support.bridge_under_test import BridgeUnderTest, Room
from tests.support.caller import Caller, all_at_once
from tests.support.ear import ear
from tests.support.rtp import Digits

__all__ = ["QUICK", "heard_by", "heard_tone", "hush", "meeting", "settle"]

QUICK = Digits(on_ms=60, off_ms=40, ends=1)
"""Keys as somebody presses them who knows the way."""

_CUT = Digits(on_ms=40, off_ms=0, ends=1)
_MESSAGES = 6
"""More than anybody is told in a row here."""


def meeting(
    bridge: BridgeUnderTest, *names: str, **rules: object
) -> tuple[Room, Caller, list[Caller]]:
    """Bring a host and guests into a conference without tones; nobody is being told anything.

    Args:
        bridge: Where.
        names: Of the guests.
        rules: As of `conference.add`.

    Returns:
        The conference, the host, the guests.
    """
    rules.setdefault("chimes", False)
    room = bridge.room(None, **rules)
    host = bridge.caller("host")
    guests = [bridge.caller(name) for name in names]
    host.slip_in(bridge.number, room.host_pin, settle=False)
    come = functools.partial(Caller.slip_in, settle=False)
    all_at_once(*(functools.partial(come, each, bridge.number, room.guest_pin) for each in guests))
    settle(host, *guests)
    return room, host, guests


def settle(*people: Caller) -> None:
    """Wait until nobody is being told anything."""
    for person in people:
        person.silent_for(0.8)


def hush(*people: Caller) -> None:
    """Cut what anybody is being told, and what waits to be told, by a key that does nothing.

    A listener's own key cuts a prompt. `D` belongs to no command, so that the next key means what
    it meant; where nothing is being said, it is answered by a short tone.
    """

    def cut(person: Caller) -> None:
        for _ in range(_MESSAGES):
            person.press("D", _CUT)
            with contextlib.suppress(AssertionError):
                person.silent_for(0.4, timeout=0.8)
                return
        person.silent_for(0.4)

    all_at_once(*(functools.partial(cut, person) for person in people))


def heard_by(speaker: Caller, *listeners: Caller) -> list[bool]:
    """Let somebody speak, and say who of the others heard it."""
    began, words = speaker.speak(1.0)
    return [each.heard_of(began, words).match.heard for each in listeners]


def heard_tone(person: Caller, since: float) -> list[str]:
    """Return the chimes that somebody heard."""
    tones = ("tone.enter", "tone.exit")
    said = ear(person.language).said(person.recording(since).samples, only=tones)
    return [each.clip for each in said]
