"""The order in which a tick goes through the legs.

Rows of the tables never move; the *seating* lists them sorted, and every array of a tick is in
that order, so that rooms are contiguous and sums need no index::

    position 0 ..                     speakers | unheard by the room |      neither
    ┌─────────────┬──────────┬───────┬──────────┬──────────┬───────────────────────┐
    │ room 3      │ room 5   │ room 8│ room 3   │ room 8   │ alone, or deaf, mute  │
    └─────────────┴──────────┴───────┴──────────┴──────────┴───────────────────────┘

A room here is a group of control's rooms: its legs hear each other and nobody else.
Speakers are in a room and heard by it; each hears the sum without itself. Whom the room does not
hear, muted or whispering, is followed like a speaker all the same, to be told of speaking unheard.
All of them hear the same of their room, which is encoded once per codec. A seating is made when
someone joins, leaves, is placed or changes; a tick only reads it.

Legs that speak G.722 have their place in the order like everybody, but are decoded and encoded
apart (`wideband`).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bridge.media.codecs import CODECS, G722, PCMU, TABLED
from bridge.media.legs import ALONE, Legs

__all__ = ["Seating", "seat"]

_Index = npt.NDArray[np.intp]


@dataclass(slots=True)
class Seating:
    """Who sits where; every array intp.

    Args:
        order: `(n,)`: the row at each position.
        position: `(capacity,)`: the position of each row, -1 for rows without a leg.
        speakers: how many positions from 0 on are speakers.
        talkers: how many positions from 0 on are speakers or, behind those, are in a room that
            does not hear them, muted or whispering to one leg, or say their name.
        speaker_room: `(speakers,)`: room of each.
        spoken: `(s,)`: rooms with speakers, in the order in which they sit.
        first: `(s + 1,)`: position of the first speaker of each, and `speakers`.
        rooms: `(r,)`: all rooms with somebody in them, ascending.
        room_whole: `(r,)`: index of control's room that each is a group of.
        whisperers: `(w,)`: positions of those who whisper to somebody who hears them.
        whisper_ear: `(w,)`: to whom, by place in `ears`.
        ears: positions that are whispered to, ascending.
        ear_room: as long as `ears`: room of each.
        codec: the G.711 codec that most legs speak; legs of the other one are *strange* here.
        strange_in: positions of talkers with another codec, by codec index.
        strange_out: positions with another codec, to be encoded apart.
        listening_to: per codec of G.711: the rooms that have listeners of it, the listeners'
            positions, and for each of them the index of its room in the first array.
        deaf: positions that hear no room: they hear silence, if nothing is played to them.
        deaf_code: uint8, as long as `deaf`: the code of silence for each.
        silent_rows: rows of legs that are in no room, or have no part in it, and say no name.
        wide: positions of legs that speak G.722, ascending.
        wide_speakers: how many of them are speakers; they come first.
    """

    order: _Index
    position: _Index
    speakers: int
    talkers: int
    speaker_room: _Index
    spoken: _Index
    first: _Index
    rooms: _Index
    room_whole: _Index
    whisperers: _Index
    whisper_ear: _Index
    ears: _Index
    ear_room: _Index
    codec: int
    strange_in: list[tuple[int, _Index]]
    strange_out: _Index
    listening_to: list[tuple[int, _Index, _Index, _Index]]
    deaf: _Index
    deaf_code: npt.NDArray[np.uint8]
    silent_rows: _Index
    wide: _Index
    wide_speakers: int

    def __len__(self) -> int:
        return len(self.order)


def seat(legs: Legs, silence: npt.NDArray[np.uint8]) -> Seating:
    """Seat all open legs.

    Args:
        legs: the legs.
        silence: uint8, `(codecs,)`: the code of silence of each codec.

    Returns:
        The seating, good until the legs change.
    """
    rows = np.flatnonzero(legs.open)
    inside = legs.room[rows] != ALONE
    talks = inside & (legs.speaks[rows] | legs.hears[rows])
    # Whose name is recorded is listened to, and heard by nobody for it.
    talks |= legs.recorded[rows]
    whispers = inside & legs.speaks[rows] & (legs.whispers_to[rows] > 0)
    speaks = inside & legs.speaks[rows] & ~whispers
    group = np.select((speaks, talks), (0, 1), 2)
    order = rows[np.lexsort((rows, legs.room[rows], group))]
    speakers = int(speaks.sum())
    talkers = int(talks.sum())
    position = np.full(legs.capacity, -1, np.intp)
    position[order] = np.arange(len(order))

    speaker_room = legs.room[order[:speakers]]
    spoken, first = np.unique(speaker_room, return_index=True)

    codecs = legs.codec[order]
    counts = np.bincount(codecs, minlength=len(CODECS))[:TABLED]
    codec = int(counts.argmax()) if counts.any() else PCMU
    strange = np.flatnonzero((codecs != codec) & (codecs < TABLED))
    wide = np.flatnonzero(codecs == G722)
    hearing = (legs.room[order] != ALONE) & legs.hears[order]
    deaf = np.flatnonzero(~hearing)
    listening = np.flatnonzero(hearing & (np.arange(len(order)) >= speakers))
    listening_to = []
    for index in range(TABLED):
        chosen = listening[codecs[listening] == index]
        if len(chosen):
            heard, which = np.unique(legs.room[order[chosen]], return_inverse=True)
            listening_to.append((index, heard, chosen, which))
    rooms, one = np.unique(legs.room[rows[inside]], return_index=True)
    whisperers, ear_of = _whispers(legs, order, np.sort(position[rows[whispers]]), hearing)
    ears, whisper_ear = np.unique(ear_of, return_inverse=True)
    return Seating(
        order=order,
        position=position,
        speakers=speakers,
        talkers=talkers,
        speaker_room=speaker_room,
        spoken=spoken,
        first=np.append(first, speakers),
        rooms=rooms,
        room_whole=legs.whole[rows[inside]][one],
        whisperers=whisperers,
        whisper_ear=whisper_ear,
        ears=ears,
        ear_room=legs.room[order[ears]],
        codec=codec,
        strange_in=[
            (index, strange[(codecs[strange] == index) & (strange < talkers)])
            for index in range(TABLED)
            if index != codec
        ],
        strange_out=strange[strange < speakers],
        listening_to=listening_to,
        deaf=deaf,
        deaf_code=silence[codecs[deaf]],
        silent_rows=order[talkers:],
        wide=wide,
        wide_speakers=int((wide < speakers).sum()),
    )


def _whispers(
    legs: Legs, order: _Index, whispering: _Index, hearing: npt.NDArray[np.bool_]
) -> tuple[_Index, _Index]:
    """Find whom each whisperer is heard by.

    Args:
        legs: the legs.
        order: intp, `(n,)`: the row at each position.
        whispering: intp, `(w,)`: positions of all who whisper.
        hearing: bool, `(n,)`: positions that hear a room.

    Returns:
        Positions of those who are heard, and for each the position that hears it.
    """
    if not len(whispering):
        return whispering, whispering
    names = legs.leg[order]
    sorter = np.argsort(names)
    wanted = legs.whispers_to[order[whispering]]
    place = np.searchsorted(names, wanted, sorter=sorter)
    ear = sorter[np.minimum(place, len(order) - 1)]
    whole = legs.whole[order]
    heard = (names[ear] == wanted) & hearing[ear] & (whole[ear] == whole[whispering])
    heard &= ear != whispering
    return whispering[heard], ear[heard]
