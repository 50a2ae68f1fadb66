"""Who may speak and who hears: one pure function of a person's state.

Masks of the mix follow from here and from nowhere else. The conference computes them after each
change and sends what differs; it never sets a mask by itself.

=========== =========== ======== =======
place       own mute    speaks   hears
=========== =========== ======== =======
waiting     any         no       no
room        no          yes      yes
room        yes         no       yes
parting     any         no       no
=========== =========== ======== =======
"""

from enum import Enum

from msgspec import Struct

__all__ = ["Masks", "Where", "masks"]


class Where(Enum):
    """Where a person is; everybody is in exactly one place.

    Attributes:
        WAITING: Alone with music, until the conference starts.
        ROOM: In the conference's room.
        PARTING: Alone, hearing last words.
    """

    WAITING = "waiting"
    ROOM = "room"
    PARTING = "parting"


class Masks(Struct, frozen=True):
    """A leg's place in the mix.

    Attributes:
        in_room: Whether the leg is in the room at all.
        speaks: Whether the others hear it.
        hears: Whether it hears the others.
    """

    in_room: bool
    speaks: bool
    hears: bool


def masks(where: Where, *, self_muted: bool) -> Masks:
    """Say what a person may do.

    Args:
        where: Where the person is.
        self_muted: Whether the person has muted their own line.

    Returns:
        The masks, as the table at the top of this module has them.
    """
    in_room = where is Where.ROOM
    return Masks(in_room=in_room, speaks=in_room and not self_muted, hears=in_room)
