"""The people of a conference, and how many they are."""

from collections.abc import Iterable

from msgspec import Struct

from dialplan.causes import EndCause
from dialplan.floor import Masks, Where, masks
from dialplan.keypad import Keypad
from dialplan.rules import Role
from dialplan.speech import Listener

__all__ = ["Census", "Person", "PersonView", "census"]


class Census(Struct, frozen=True):
    """How many people there are, by what they may do.

    Attributes:
        speakers: In the room, and heard.
        listeners: In the room, and not heard.
        waiting: Outside, until the conference starts.
    """

    speakers: int
    listeners: int
    waiting: int


class PersonView(Struct, frozen=True):
    """One person as others may know them.

    Attributes:
        leg: Number of the leg.
        role: As it is now.
        where: In which of the places.
        speaks: Whether the others hear this person.
        hears: Whether this person hears the others.
        self_muted: Whether the person muted their own line.
    """

    leg: int
    role: Role
    where: Where
    speaks: bool
    hears: bool
    self_muted: bool


class Person(Listener):
    """One leg in the conference.

    Args:
        leg: Its number.
        role: From the PIN that was entered.
    """

    def __init__(self, leg: int, role: Role) -> None:
        super().__init__(leg)
        self.role: Role = role
        self.where = Where.WAITING
        self.self_muted = False
        self.music = False
        self.gives_up_at = float("inf")
        self.cause = EndCause.CONFERENCE_ENDED
        self.keypad = Keypad()
        self.sent_masks: Masks | None = None

    @property
    def masks(self) -> Masks:
        """What this person may do now."""
        return masks(self.where, self_muted=self.self_muted)

    def view(self) -> PersonView:
        """Describe this person."""
        now = self.masks
        return PersonView(
            leg=self.leg,
            role=self.role,
            where=self.where,
            speaks=now.speaks,
            hears=now.hears,
            self_muted=self.self_muted,
        )


def census(people: Iterable[Person]) -> Census:
    """Count people; those who are being told goodbye count nowhere."""
    speakers = listeners = waiting = 0
    for person in people:
        if person.where is Where.WAITING:
            waiting += 1
        elif person.masks.speaks:
            speakers += 1
        elif person.where is Where.ROOM:
            listeners += 1
    return Census(speakers=speakers, listeners=listeners, waiting=waiting)
