"""The roll call: a host goes through everybody, alone, and acts on the one just named.

After each name: `1` mutes or lifts the host's mute, `2` gives the floor, `3` removes and `4` makes
host (both ask for `1` again), `5` speaks to that one alone, `#` goes on, `*` stops. It goes on by
itself after a few seconds. A `*` with a second key within a second is a command, as anywhere; the
roll call stays open. In choosing mode it only finds whom to speak to alone, with `1`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dialplan.dialogue import Dialogue
from dialplan.floor import Mode, Where
from dialplan.phrases import PhraseKey, phrase

if TYPE_CHECKING:
    from collections.abc import Callable

    from dialplan.meeting import Meeting
    from dialplan.people import Person
    from dialplan.phrases import Phrase

__all__ = ["RollCall", "RollCallHands"]

STAR_S: Final = 1.0
"""A star with no second key for so long stops the roll call, s."""

_K: Final = PhraseKey


class RollCallHands:
    """What a roll call can do to people; the conference gives it the means.

    Args:
        mute: Sets or lifts the host's mute of a guest.
        give_floor: Gives a guest the floor.
        remove: Sends somebody out.
        promote: Makes somebody host.
        coach: Lets the host speak to one alone.
        command: Carries out a command's two keys.
    """

    def __init__(
        self,
        mute: Callable[[Person], None],
        give_floor: Callable[[Person], None],
        remove: Callable[[Person], None],
        promote: Callable[[Person], None],
        coach: Callable[[Person, Person], None],
        command: Callable[[Person, str], None],
    ) -> None:
        self.mute = mute
        self.give_floor = give_floor
        self.remove = remove
        self.promote = promote
        self.coach = coach
        self.command = command


class RollCall(Dialogue):
    """One roll call.

    Args:
        meeting: Whose.
        person: The host.
        hands: What it can do.
        choosing: It only finds whom to speak to alone.
    """

    def __init__(
        self, meeting: Meeting, person: Person, hands: RollCallHands, *, choosing: bool = False
    ) -> None:
        super().__init__(meeting, person)
        self._hands = hands
        self._choosing = choosing
        self._waiting = [other.leg for other in meeting.room if other is not person]
        self._current: Person | None = None
        self._confirming: str | None = None
        self._star = False

    def begin(self) -> None:
        """Say how it goes, once; with nobody there, say that."""
        if not self._waiting:
            self.close(phrase(_K.ROLL_NOBODY))
            return
        self.say(phrase(_K.COACH_KEYS if self._choosing else _K.ROLL_KEYS))

    def said(self) -> None:
        """Give time for a key."""
        if self._star:
            return
        confirming = self._confirming is not None
        times = self.meeting.times
        self.wait(times.dialogue_s if confirming else times.next_s)

    def timer(self) -> None:
        """Go on, or stop where a star stood alone."""
        if self._star:
            self.close(phrase(_K.ROLL_END))
        else:
            self._next()

    def left(self, other: Person) -> None:
        """Say so where the one just named is gone."""
        if other is self._current:
            self._current = None
            self._confirming = None
            self.say(phrase(_K.ROLL_GONE))

    def press(self, key: str) -> None:
        """Act on the one just named."""
        if self._star:
            self._star = False
            self._hands.command(self.person, f"*{key}")
            if self.person.dialogue is self:
                self.wait(self.meeting.times.next_s)
        elif key == "*":
            self._star = True
            self.wait(STAR_S)
        elif key == "#":
            self._next()
        elif self._confirming is not None:
            self._confirmed(key)
        elif self._current is None:
            self._next()
        else:
            self._act(key, self._current)

    def _next(self) -> None:
        self._confirming = None
        while self._waiting:
            person = self.meeting.people.get(self._waiting.pop(0))
            if person is not None and person.where is Where.ROOM:
                self._current = person
                self.say(*self._entry(person))
                return
        self._current = None
        self.close(phrase(_K.ROLL_END))

    def _entry(self, person: Person) -> tuple[Phrase, ...]:
        """Name somebody, and what a host should know of them."""
        words = [name_of(person)]
        if person.role == "host":
            words.append(phrase(_K.ROLL_IS_HOST))
        if not self.meeting.is_heard(person):
            words.append(phrase(_K.ROLL_IS_MUTED))
        if person.hand is not None:
            words.append(phrase(_K.ROLL_HAND))
        return tuple(words)

    def _act(self, key: str, person: Person) -> None:
        if self._choosing:
            key = "5" if key == "1" else ""
        guest = person.role != "host"
        if key == "1" and guest:
            self._hands.mute(person)
            self.say(phrase(_K.ROLL_IS_MUTED if person.host_muted else _K.ROLL_UNMUTED))
        elif key == "2" and guest:
            if self.meeting.mode is Mode.HOSTS_ONLY:
                self.say(phrase(_K.MODE_HOSTS_ONLY))
                return
            self._hands.give_floor(person)
            self.say(phrase(_K.ROLL_FLOOR))
        elif key == "3" or (key == "4" and guest):
            self._confirming = key
            self.say(phrase(_K.CONFIRM_REMOVE if key == "3" else _K.CONFIRM_HOST))
        elif key == "5":
            self.close()
            self._hands.coach(self.person, person)
        else:
            self.meeting.refuse(self.person)
            self.wait(self.meeting.times.next_s)

    def _confirmed(self, key: str) -> None:
        wanted, self._confirming = self._confirming, None
        person = self._current
        if person is None or key != "1":
            self.say(*(self._entry(person) if person is not None else (phrase(_K.ROLL_GONE),)))
        elif wanted == "3":
            self._current = None
            self._hands.remove(person)
            self.say(phrase(_K.ROLL_REMOVED))
        else:
            self._hands.promote(person)
            self.say(phrase(_K.ROLL_NOW_HOST))


def name_of(person: Person) -> Phrase:
    """Call somebody something: by the name they spoke, else by the order of coming."""
    if person.named:
        return phrase(_K.CALLER_NAME, name=person.leg)
    return phrase(_K.CALLER_NUMBER, number=person.ordinal)
