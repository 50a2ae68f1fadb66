"""Who may speak and who hears: one pure function of a person's standing and the room's mode.

Masks of the mix follow from here and from nowhere else. The conference computes them after each
change and sends what differs; it never sets a mask by itself.

Whoever is not in the room (at the entrance, waiting, knocking, parting) neither speaks nor hears.
In the room everybody hears. Whether they speak is decided by the first line that fits:

===================================================== ============
the person, the mode                                  not heard as
===================================================== ============
has muted their own line                              OWN
is a host                                             heard
any other, in the mode hosts only                     HOSTS_ONLY
has been given the floor                              heard
was muted by a host                                   HOST
has opened themselves, in the mode questions          heard
any other, in the mode questions                      QUESTIONS
any other, in the mode presentation                   PRESENTATION
any other                                             heard
===================================================== ============

A host changes only what is a host's: the mode, the host's mute, the floor. A caller's own mute is
nobody else's, so that nobody is ever opened unawares.
"""

from enum import Enum, StrEnum

from msgspec import Struct

from dialplan.rules import Role

__all__ = ["Masks", "Mode", "Standing", "Unheard", "Where", "masks", "unheard"]


class Where(Enum):
    """Where a person is; everybody is in exactly one place.

    Attributes:
        ENTRANCE: Alone, saying a name.
        KNOCKING: Alone with music, until a host says whether they may come in.
        WAITING: Alone with music, until the conference starts.
        ROOM: In the conference's room, or in one of its breakout rooms.
        PARTING: Alone, hearing last words.
    """

    ENTRANCE = "entrance"
    KNOCKING = "knocking"
    WAITING = "waiting"
    ROOM = "room"
    PARTING = "parting"


class Mode(StrEnum):
    """Who may speak; `*7` goes from one to the next in this order.

    Attributes:
        CONVERSATION: Everybody.
        QUESTIONS: Hosts, and callers who open themselves.
        PRESENTATION: Hosts, and whom a host gives the floor.
        HOSTS_ONLY: Hosts.
    """

    CONVERSATION = "conversation"
    QUESTIONS = "questions"
    PRESENTATION = "presentation"
    HOSTS_ONLY = "hosts_only"


class Unheard(Enum):
    """Why somebody in the room is not heard; each is told with the key that helps."""

    OWN = "own"
    HOST = "host"
    QUESTIONS = "questions"
    PRESENTATION = "presentation"
    HOSTS_ONLY = "hosts_only"


class Standing(Struct, frozen=True):
    """What decides whether a person in the room is heard, the mode apart.

    Attributes:
        role: As it is now.
        self_muted: The person has muted their own line.
        host_muted: A host has muted them.
        floor: A host has given them the floor.
        opened: They have opened themselves since the mode came to be questions.
    """

    role: Role = "guest"
    self_muted: bool = False
    host_muted: bool = False
    floor: bool = False
    opened: bool = False


class Masks(Struct, frozen=True):
    """A leg's place in the mix.

    Attributes:
        in_room: Whether the leg is in the room at all.
        speaks: Whether the others hear it.
        hears: Whether it hears the others.
        group: The breakout room it is in, 0 for the main room.
        whispers_to: The one leg that hears it in place of the others, if any.
    """

    in_room: bool
    speaks: bool
    hears: bool
    group: int = 0
    whispers_to: int | None = None


def unheard(mode: Mode, standing: Standing) -> Unheard | None:  # noqa: PLR0911 - a line of the table each
    """Say why somebody in the room is not heard.

    Args:
        mode: Of the room.
        standing: Of the person.

    Returns:
        The reason, None where they are heard: the table at the top of this module.
    """
    if standing.self_muted:
        return Unheard.OWN
    if standing.role == "host":
        return None
    if mode is Mode.HOSTS_ONLY:
        return Unheard.HOSTS_ONLY
    if standing.floor:
        return None
    if standing.host_muted:
        return Unheard.HOST
    if mode is Mode.QUESTIONS:
        return None if standing.opened else Unheard.QUESTIONS
    return Unheard.PRESENTATION if mode is Mode.PRESENTATION else None


def masks(
    where: Where,
    mode: Mode,
    standing: Standing,
    *,
    group: int = 0,
    whispers_to: int | None = None,
) -> Masks:
    """Say what a person may do.

    Args:
        where: Where the person is.
        mode: Of the room.
        standing: Of the person.
        group: Breakout room, 0 for the main room.
        whispers_to: The leg that a coaching host speaks to.
    """
    if where is not Where.ROOM:
        return Masks(in_room=False, speaks=False, hears=False)
    return Masks(
        in_room=True,
        speaks=unheard(mode, standing) is None,
        hears=True,
        group=group,
        whispers_to=whispers_to,
    )
