"""What control and a media process say of names that callers speak.

::

    control ──RecordName──► what the leg says goes into the slot
            ──StopName────► ──NameRecorded──► where the name lies, how long it is

Each `RecordName` is answered by one `NameRecorded`: when it was stopped, when the slot is full,
when the leg has gone, or at once where it cannot be recorded. Only a process that dies answers
nothing.
"""

import msgspec

__all__ = ["NameRecorded", "RecordName", "StopName", "UseNames"]


class UseNames(msgspec.Struct, frozen=True, tag=True):
    """Use an area for names (`names_area`). Descriptor: its memfd."""


class RecordName(msgspec.Struct, frozen=True, tag=True):
    """Record what a leg says from the next frame on, until `StopName` or until the slot is full.

    Args:
        leg: the leg, which need not be in a room.
        slot: of the area for names, 0 to `names_area.SLOTS` - 1; it is empty.
    """

    leg: int
    slot: int


class StopName(msgspec.Struct, frozen=True, tag=True):
    """End the recording of a leg's name; nothing is said where there is none."""

    leg: int


class NameRecorded(msgspec.Struct, frozen=True, tag=True):
    """The answer to `RecordName`: the name lies in the slot, and nothing else does.

    Args:
        leg: the leg.
        slot: of `RecordName`.
        start: where it begins, as a clip of `Play` has it.
        samples: how long it is with the pauses in it; 0 where nobody spoke.
        seconds: of speech in it [s].
    """

    leg: int
    slot: int
    start: int = 0
    samples: int = 0
    seconds: float = 0.0
