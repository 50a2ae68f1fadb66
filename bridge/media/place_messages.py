"""What control and a media process say of a leg's second place, while its media moves to there.

::

    control ──AddPlace──► heard at both ──► PlaceAdded          the far end is asked
            ──TakePlace─► sent to from there, heard at both     it agreed
            ──DropPlace─► the other place is left               later; or it declined
"""

import msgspec

__all__ = ["AddPlace", "DropPlace", "PlaceAdded", "TakePlace"]


class AddPlace(msgspec.Struct, frozen=True, tag=True):
    """Hear a leg at a second place too, and answer `PlaceAdded`.

    Descriptors: the bound RTP socket, the bound RTCP socket, without a shared port.

    Args:
        leg: the leg.
        shared_port: the shared port (`SharePort`) that is its second place.
    """

    leg: int
    shared_port: int | None = None


class TakePlace(msgspec.Struct, frozen=True, tag=True):
    """Send to a leg from its second place, and only hear it at the first: the same stream."""

    leg: int


class DropPlace(msgspec.Struct, frozen=True, tag=True):
    """Leave the place that a leg is not sent to from."""

    leg: int


class PlaceAdded(msgspec.Struct, frozen=True, tag=True):
    """The answer to `AddPlace`.

    Args:
        leg: the leg.
        heard: it is heard there; false where that cannot be.
    """

    leg: int
    heard: bool
