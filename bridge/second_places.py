"""Second places of legs, in whichever process each leg is: added, taken, left.

What a successor must know stands in the leg (`held_legs`), so nothing of this is said twice: a leg
that is on its way between processes is opened at its first place on arrival, and heard at its
second.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from bridge.media.place_messages import DropPlace, TakePlace

if TYPE_CHECKING:
    from bridge.held_legs import HeldLeg
    from bridge.media.messages import Command
    from bridge.media.ports import MediaPair
    from bridge.port_sharing import SharedPlace

__all__ = ["SecondPlaces"]


class SecondPlaces:
    """The second places of all legs.

    Args:
        legs: the legs, by number; they stay the caller's.
    """

    def __init__(self, legs: Mapping[int, HeldLeg]) -> None:
        self._legs = legs

    def add(self, leg: int, place: MediaPair | SharedPlace) -> None:
        """Hear a leg at a second place, which is the leg's from now on; `PlaceAdded` follows.

        Args:
            leg: the leg; where it is gone, or has two places, the place is closed.
            place: sockets, or a place of `MediaSupervisor.reserve`.
        """
        held = self._legs.get(leg)
        if held is None or held.second is not None:
            place.close()
            return
        held.second = place
        self.hear(held)

    def hear(self, held: HeldLeg) -> None:
        """Have the process that has the leg hear it at its second place, if there is one."""
        if held.second is not None:
            _say(held, held.adding(), held.second.descriptors)

    def take(self, leg: int) -> None:
        """Send to a leg from its second place, and only hear it at the first."""
        held = self._legs.get(leg)
        if held is not None and held.second is not None:
            held.take_second()
            _say(held, TakePlace(leg=leg))

    def drop(self, leg: int) -> None:
        """Leave the place that a leg is not sent to from."""
        held = self._legs.get(leg)
        if held is not None and held.second is not None:
            _say(held, DropPlace(leg=leg))
            held.second.close()
            held.second = None


def _say(held: HeldLeg, command: Command, descriptors: tuple[int, ...] = ()) -> None:
    process = held.post.process
    if held.moves_to is None and process is not None:
        process.send(command, descriptors)
