"""The people of a conference, and how many they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from dialplan.causes import EndCause
from dialplan.floor import Masks, Mode, Standing, Where, masks, unheard
from dialplan.keypad import KEY_MAP, KeyMap, Keypad
from dialplan.speech import Listener

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dialplan.dialogue import Dialogue
    from dialplan.entry import NumberEntry
    from dialplan.rules import Role

__all__ = ["Census", "Person", "PersonView", "census"]

LOUDNESS_DB = (0.0, 6.0, -6.0)
"""What `*1` goes through: normal, louder, softer [dB]."""


class Census(Struct, frozen=True):
    """How many people there are, by what they may do.

    Attributes:
        speakers: In the room, and heard.
        listeners: In the room, and not heard.
        waiting: Outside, until the conference starts or a host lets them in.
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
        host_muted: Whether a host muted them.
        floor: Whether a host gave them the floor.
        hand: Place in the line of raised hands, from 1; None where it is down.
        group: Breakout room, 0 for the main room.
        coaching: The leg that this host speaks to alone.
        named: Whether they have spoken a name.
        mode_muted: Whether the mode alone would keep them from being heard, mutes or not.
        volume_db: How much louder than normal they hear the others, dB.
    """

    leg: int
    role: Role
    where: Where
    speaks: bool
    hears: bool
    self_muted: bool = False
    host_muted: bool = False
    floor: bool = False
    hand: int | None = None
    group: int = 0
    coaching: int | None = None
    named: bool = False
    mode_muted: bool = False
    volume_db: float = 0.0


class Person(Listener):
    """One leg in the conference.

    Args:
        leg: Its number.
        role: From the PIN that was entered.
        ordinal: The how-manieth to come, for whoever must be called something.
        keys: The key map.
        caller: Pseudonym of the caller's asserted number, None where there is none.
        pin: Which PIN was used, as a pseudonym; empty where none was.
    """

    def __init__(
        self,
        leg: int,
        role: Role,
        ordinal: int = 1,
        keys: KeyMap = KEY_MAP,
        caller: str | None = None,
        pin: str = "",
    ) -> None:
        super().__init__(leg)
        self.role: Role = role
        self.ordinal = ordinal
        self.caller = caller
        self.pin = pin
        self.where = Where.WAITING
        self.self_muted = False
        self.host_muted = False
        self.floor = False
        self.opened = False
        self.hand: float | None = None
        self.group = 0
        self.whispers_to: int | None = None
        self.named = False
        self.loudness = 0
        # Guards of the mixer that hold the line down.
        self.held_down: set[str] = set()
        self.music = False
        self.gives_up_at = float("inf")
        self.cause = EndCause.CONFERENCE_ENDED
        self.keypad = Keypad(keys)
        self.entry: NumberEntry | None = None
        self.dialogue: Dialogue | None = None
        self.sent_masks: Masks | None = None

    @property
    def standing(self) -> Standing:
        """What decides whether this person is heard, the mode apart."""
        return Standing(self.role, self.self_muted, self.host_muted, self.floor, self.opened)

    def masks(self, mode: Mode) -> Masks:
        """Say what this person may do now."""
        return masks(
            self.where, mode, self.standing, group=self.group, whispers_to=self.whispers_to
        )

    def view(self, mode: Mode, hand: int | None = None) -> PersonView:
        """Describe this person.

        Args:
            mode: Of the room.
            hand: Place in the line of raised hands.
        """
        now = self.masks(mode)
        own = Standing(self.role, floor=self.floor, opened=self.opened)
        return PersonView(
            leg=self.leg,
            role=self.role,
            where=self.where,
            speaks=now.speaks,
            hears=now.hears,
            self_muted=self.self_muted,
            host_muted=self.host_muted,
            floor=self.floor,
            hand=hand,
            group=self.group,
            coaching=self.whispers_to,
            named=self.named,
            mode_muted=self.where is Where.ROOM and unheard(mode, own) is not None,
            volume_db=LOUDNESS_DB[self.loudness],
        )


def census(people: Iterable[Person], mode: Mode) -> Census:
    """Count people; those who are being told goodbye count nowhere."""
    speakers = listeners = waiting = 0
    for person in people:
        if person.where is Where.ROOM:
            if person.masks(mode).speaks:
                speakers += 1
            else:
                listeners += 1
        elif person.where is not Where.PARTING:
            waiting += 1
    return Census(speakers=speakers, listeners=listeners, waiting=waiting)
