"""Where one call's media is, and its way to another place while people talk.

Most calls stay where they began. Two kinds move: a call on a trunk with shared media for which we
made the offer, once it is known where its media comes from; and a call on a shared port whose media
has moved to where another call's comes from. The far end is asked by a re-INVITE of ours, and may
decline::

    here ──► heard at both ──► asked ──agrees──► sent to from the new place ──a second──► there
                                 └──declines──► here, as it was

So no packet is lost on the way: the new place is open before the far end knows of it, and the old
one until what was under way has come.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import structlog

from bridge.media.errors import DescriptorsExhausted, PortsExhausted
from bridge.port_sharing import SharedPlace
from bridge.sip.errors import NotRunningError

if TYPE_CHECKING:
    from bridge.calls import Call
    from bridge.media.latching import Source
    from bridge.media.ports import MediaPair
    from bridge.sip.messages import ReofferAnswered

__all__ = ["LINGER_S", "PLACE_TIMER", "MediaPlace"]

PLACE_TIMER: Final = "bridge:place"

LINGER_S: Final = 1.0
"""How long the old place is heard after the new one is agreed on: longer than any packet takes."""


class MediaPlace:
    """The place of one call's media.

    Args:
        call: the call.
        place: where it begins: sockets of its own, or a place on a shared port.
        shares: it may have a place on a shared port, once it is known where its media comes from.
    """

    def __init__(self, call: Call, place: MediaPair | SharedPlace, *, shares: bool) -> None:
        self.place = place
        self._call = call
        self._remote: Source | None = None
        self._waits_to_share = shares and not isinstance(place, SharedPlace)
        self._wanted: Literal["shared", "own"] | None = None
        self._next: MediaPair | SharedPlace | None = None
        self._step: Literal["here", "opening", "asked", "leaving"] = "here"
        self._log = structlog.get_logger("bridge.media_place").bind(call=call.uid)

    @property
    def shared_port(self) -> int | None:
        """The shared port, None with sockets of its own."""
        return self.place.index if isinstance(self.place, SharedPlace) else None

    # -- what happens ---------------------------------------------------------------------------

    def follow(self, remote: Source | None) -> None:
        """Keep account of where the media comes from, by what was negotiated."""
        self._remote = remote
        for place in (self.place, self._next):
            if isinstance(place, SharedPlace) and remote is not None and not place.move(remote):
                # Only a carrier that gives two calls one port does that.
                self._call.bridge.count("shared_pair_taken")
                self._log.warning("media moved to where another leg's comes from")
                self._wanted = "own"
        self.go_on()

    def latched(self, *, own_sdp: bool) -> None:
        """Take note that media comes, from where the description says or from elsewhere."""
        if self._waits_to_share and own_sdp:
            self._waits_to_share = False
            self._wanted = "shared"
            self.go_on()

    def go_on(self) -> None:
        """Begin to move where that is wanted and possible now; a call on hold is left in peace."""
        call = self._call
        if self._wanted is None or self._step != "here" or not call.talks:
            return
        wanted, self._wanted = self._wanted, None
        place = self._open_shared() if wanted == "shared" else self._open_own()
        if place is None:
            return
        self._next, self._step = place, "opening"
        call.bridge.media.places.add(call.leg, place)

    def heard(self, *, heard: bool) -> None:
        """Ask the far end, now that it will be heard at the new place."""
        if self._step != "opening" or self._next is None:
            return  # a media process that came in another one's place says it again
        self._step = "asked"
        if not heard:
            self._decline("not_opened")
            return
        call = self._call
        try:
            call.bridge.sip.reoffer(call.call, call.bridge.local_media(self._next.port))
        except NotRunningError:
            self._decline("not_running")

    def answered(self, event: ReofferAnswered) -> None:
        """Take the far end's word."""
        if self._step != "asked" or self._next is None or event.rtp_port != self._next.port:
            return
        if not event.accepted:
            self._decline("refused", event.status)
            return
        call = self._call
        call.bridge.media.places.take(call.leg)
        self.place, self._next = self._next, self.place
        self._step = "leaving"
        call.bridge.count("media_moved")
        self._log.debug("media moved", kind="own" if self.shared_port is None else "shared")
        call.start_timer(PLACE_TIMER, LINGER_S)

    def left(self) -> None:
        """Leave the old place: what was under way to it has come."""
        if self._step == "leaving":
            self._drop()

    def close(self) -> None:
        """Close what was never handed to a media process."""
        self.place.close()

    # -- parts ----------------------------------------------------------------------------------

    def _decline(self, reason: str, status: int | None = None) -> None:
        self._call.bridge.count("media_stays")
        self._log.info("media stays where it is", reason=reason, status=status)
        self._drop()

    def _drop(self) -> None:
        self._step, self._next = "here", None
        self._call.bridge.media.places.drop(self._call.leg)
        self.go_on()

    def _open_shared(self) -> SharedPlace | None:
        call = self._call
        if self._remote is None:
            return None
        try:
            place = call.bridge.media.reserve(self._remote, call.leg)
        except (DescriptorsExhausted, OSError) as error:
            self._log.error("no media port", problem=type(error).__name__)
            return None
        if place is None:
            call.bridge.count("shared_ports_full")
        return place

    def _open_own(self) -> MediaPair | None:
        try:
            return self._call.bridge.open_pair()
        except (PortsExhausted, DescriptorsExhausted, OSError) as error:
            self._log.error("no media port", problem=type(error).__name__)
            return None
