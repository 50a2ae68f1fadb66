"""What can happen in a conference, and how one is: the words of the stream and of its schema.

Every message says which conference, which session of it, when, and the how-manieth of that
conference it is, so that whoever follows sees what they missed. People are the numbers of their
legs, as `dialin conference people` shows them, and ``leg`` is the id of their call detail record.
There is no place here for a telephone number, a name, a PIN or a pressed key, and none may come.

A published format: fields may be added, and readers pass over what they do not know. Whatever else
changes gives the format another `VERSION`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from msgspec import Struct

from dialplan.floor import Mode
from dialplan.rules import Role

__all__ = [
    "EVENTS",
    "VERSION",
    "Ended",
    "Event",
    "Hand",
    "Happening",
    "Joined",
    "Left",
    "Moved",
    "Muted",
    "PersonState",
    "Quality",
    "Recording",
    "RoleChanged",
    "Room",
    "Speaking",
    "Started",
    "State",
]

VERSION: Final = 1


class Happening(Struct, frozen=True, kw_only=True, tag_field="event"):
    """Something that happened in a conference.

    Attributes:
        conference: The conference's id.
        session: The session's id, as the call detail records have it.
        at: When, in UTC.
        number: The how-manieth event of this session, from 1, without a gap.
        version: Of the format.
    """

    conference: int
    session: UUID
    at: datetime
    number: int
    version: Literal[1] = 1


class Started(Happening, frozen=True, kw_only=True, tag="started"):
    """The conference has begun: those who waited are together."""


class Ended(Happening, frozen=True, kw_only=True, tag="ended"):
    """The conference is over.

    Attributes:
        reason: Why, as in the records.
        peak: The most people who were together.
    """

    reason: str
    peak: int


class Joined(Happening, frozen=True, kw_only=True, tag="joined"):
    """Somebody has come into the room.

    Attributes:
        person: The number of the leg.
        leg: The id of its call detail record.
        role: Host or guest.
        called: Whether the bridge called them.
    """

    person: int
    leg: UUID
    role: Role
    called: bool = False


class Left(Happening, frozen=True, kw_only=True, tag="left"):
    """Somebody who had joined has left.

    Attributes:
        person: The number of the leg.
        leg: The id of its call detail record.
        reason: The cause in their record: ``bye`` where they hung up, else why they were let go.
    """

    person: int
    leg: UUID
    reason: str


class RoleChanged(Happening, frozen=True, kw_only=True, tag="role"):
    """Somebody has become host.

    Attributes:
        person: The number of the leg.
        role: The new role.
        by: By the host PIN, by another host, or by an administrator or a program.
    """

    person: int
    role: Role
    by: Literal["pin", "host", "administrator"]


class Muted(Happening, frozen=True, kw_only=True, tag="muted"):
    """Somebody was muted, or unmuted, by whomever; a change of mode is `Room`.

    Attributes:
        person: The number of the leg.
        by_self: Whether they have muted themselves.
        by_host: Whether a host has muted them.
        floor: Whether a host has given them the floor.
        heard: Whether the others hear them, which the mode decides too.
    """

    person: int
    by_self: bool
    by_host: bool
    floor: bool
    heard: bool


class Hand(Happening, frozen=True, kw_only=True, tag="hand"):
    """Somebody has raised a hand, or it is down again.

    Attributes:
        person: The number of the leg.
        raised: Whether it is up.
        place: In the line of raised hands, from 1; none where it is down.
    """

    person: int
    raised: bool
    place: int | None = None


class Moved(Happening, frozen=True, kw_only=True, tag="moved"):
    """Somebody has gone into a breakout room, or back.

    Attributes:
        person: The number of the leg.
        room: The breakout room, 0 for the main room.
    """

    person: int
    room: int


class Room(Happening, frozen=True, kw_only=True, tag="room"):
    """The room itself has changed.

    Attributes:
        mode: Who may speak.
        locked: Whether newcomers have to knock.
        muted_all: Whether hosts have muted everybody, later joiners too.
        breakouts: How many breakout rooms are open.
    """

    mode: Mode
    locked: bool
    muted_all: bool
    breakouts: int


class Speaking(Happening, frozen=True, kw_only=True, tag="speaking"):
    """Others speak than before; at most once a second.

    Attributes:
        people: Who speaks and is heard.
    """

    people: tuple[int, ...]


class Recording(Happening, frozen=True, kw_only=True, tag="recording"):
    """Recording has begun, pauses, or is over.

    Attributes:
        state: What it does now.
    """

    state: Literal["on", "paused", "off"]


class Quality(Happening, frozen=True, kw_only=True, tag="quality"):
    """Somebody's line has become bad, or is good again.

    Attributes:
        person: The number of the leg.
        direction: Of the sound: from the caller (``rx``) or to the caller (``tx``).
        good: How it is now.
        mos: Mean opinion score of the last seconds (ITU-T G.107).
    """

    person: int
    direction: Literal["rx", "tx"]
    good: bool
    mos: float


Event = (
    Started
    | Joined
    | Left
    | RoleChanged
    | Muted
    | Hand
    | Moved
    | Room
    | Speaking
    | Recording
    | Quality
    | Ended
)

EVENTS: Final[tuple[type[Happening], ...]] = (
    Started,
    Joined,
    Left,
    RoleChanged,
    Muted,
    Hand,
    Moved,
    Room,
    Speaking,
    Recording,
    Quality,
    Ended,
)


class PersonState(Struct, frozen=True, kw_only=True):
    """Somebody who is in a conference, or on the way in.

    Attributes:
        person: The number of the leg.
        leg: The id of its call detail record.
        role: Host or guest.
        where: In which place.
        since: When the call came in.
        heard: Whether the others hear them.
        self_muted: Whether they have muted themselves.
        host_muted: Whether a host has muted them.
        floor: Whether a host has given them the floor.
        hand: Place in the line of raised hands; none where it is down.
        room: Breakout room, 0 for the main room.
    """

    person: int
    leg: UUID
    role: Role
    where: Literal["entrance", "knocking", "waiting", "room", "parting"]
    since: datetime
    heard: bool
    self_muted: bool
    host_muted: bool
    floor: bool
    hand: int | None
    room: int


class State(Struct, frozen=True, kw_only=True):
    """A conference as it is now.

    Attributes:
        conference: Its id.
        session: The session's id; none before it has started.
        started_at: When it started, in UTC.
        at: When it was so, in UTC.
        number: Of the last event that is in it.
        mode: Who may speak.
        locked: Whether newcomers have to knock.
        muted_all: Whether hosts have muted everybody, later joiners too.
        breakouts: How many breakout rooms are open.
        speakers: In the room, and may be heard.
        listeners: In the room, and may not.
        waiting: Outside, until the conference starts or a host lets them in.
        people: Everybody, in the order of coming in.
        version: Of the format.
    """

    conference: int
    session: UUID | None
    started_at: datetime | None
    at: datetime
    number: int
    mode: Mode
    locked: bool
    muted_all: bool
    breakouts: int
    speakers: int
    listeners: int
    waiting: int
    people: tuple[PersonState, ...]
    version: Literal[1] = 1
