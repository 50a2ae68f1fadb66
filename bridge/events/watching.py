"""What of a running conference becomes events: comings and goings at once, the rest by comparing.

Who joins or leaves, start and end are told by the conference as they happen. Mutes, hands, breakout
rooms and the room itself change by many ways, so that they are compared with what was told last,
`SETTLE_S` after a change: one comparison for a burst of them, however many people there are, and
none at all while nobody listens.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from bridge.events.messages import (
    Ended,
    Event,
    Hand,
    Happening,
    Joined,
    Left,
    Moved,
    Muted,
    PersonState,
    Quality,
    RoleChanged,
    Room,
    Speaking,
    Started,
    State,
)
from dialplan.floor import Mode
from dialplan.people import PersonView

if TYPE_CHECKING:
    from typing import Literal

    from bridge.calls import Call
    from bridge.conferences import RunningConference
    from dialplan.actions import Promotion

__all__ = ["SETTLE_S", "SPEAKING_S", "Watcher"]

SETTLE_S: Final = 0.05
"""A key and what follows from it are one change; nobody who watches sees so little a delay."""

SPEAKING_S: Final = 1.0
"""Least time between two events of who speaks."""

_Standing = tuple[bool, bool, bool]


class Watcher:
    """Watches one running conference.

    Args:
        running: the conference.
    """

    def __init__(self, running: RunningConference) -> None:
        self._running = running
        self._stream = running.bridge.events
        self._number = 0
        self._in: set[int] = set()
        self._standing: dict[int, _Standing] = {}
        self._hands: set[int] = set()
        self._groups: dict[int, int] = {}
        self._room: tuple[Mode, bool, bool, int] = (Mode.CONVERSATION, False, False, 0)
        self._talking: tuple[int, ...] = ()
        self._due: asyncio.TimerHandle | None = None
        self._speaking_due: asyncio.TimerHandle | None = None
        self._spoken_at = float("-inf")

    # -- what the conference tells --------------------------------------------------------------

    def started(self) -> None:
        """Note that the session is open."""
        self._post(Started)
        self.changed()

    def joined(self, call: Call) -> None:
        """Note that somebody has come into the room."""
        if call.leg in self._in:
            return
        self._in.add(call.leg)
        role = "host" if call.role == "host" else "guest"
        self._post(Joined, person=call.leg, leg=call.id, role=role, called=call.invited)

    def left(self, call: Call, reason: str) -> None:
        """Note that the conference has nothing to do with somebody any more."""
        if call.leg in self._in:
            self._in.discard(call.leg)
            self._post(Left, person=call.leg, leg=call.id, reason=reason)
        self._standing.pop(call.leg, None)
        self._groups.pop(call.leg, None)
        self._hands.discard(call.leg)
        self.changed()

    def role_changed(self, call: Call, by: Promotion) -> None:
        """Note that somebody has become host."""
        if call.leg in self._in:
            self._post(RoleChanged, person=call.leg, role="host", by=by)

    def quality(self, leg: int, direction: Literal["rx", "tx"], mos: float, *, good: bool) -> None:
        """Note that a line has become bad, or is good again."""
        if leg in self._in:
            self._post(Quality, person=leg, direction=direction, good=good, mos=round(mos, 2))

    def changed(self) -> None:
        """Note that something may be another than it was."""
        if self._due is None and self._stream.listened:
            self._due = self._running.bridge.loop.call_later(SETTLE_S, self._compare)

    def spoke(self) -> None:
        """Note that others may speak than before."""
        if self._speaking_due is None and self._stream.listened:
            loop = self._running.bridge.loop
            wait_s = max(0.0, self._spoken_at + SPEAKING_S - loop.time())
            self._speaking_due = loop.call_later(wait_s, self._tell_speakers)

    def ended(self, reason: str) -> None:
        """Note that the session is closed."""
        self._post(Ended, reason=reason, peak=self._running.peak)

    def gone(self) -> None:
        """Stop watching: the conference is forgotten."""
        for handle in (self._due, self._speaking_due):
            if handle is not None:
                handle.cancel()
        self._due = self._speaking_due = None
        self._stream.changed(self._running.entry.id)

    # -- what is found --------------------------------------------------------------------------

    def _compare(self) -> None:
        """Tell what is another than what was told last."""
        self._due = None
        if self._running.started:
            self._compare_room()
            for person in self._running.rules.people():
                if person.leg in self._in:
                    self._compare_person(person)
        self._stream.changed(self._running.entry.id)

    def _compare_room(self) -> None:
        view = self._running.rules.view()
        now = (view.mode, view.locked, view.muted_all, view.breakouts)
        if now != self._room:
            self._room = now
            mode, locked, muted_all, breakouts = now
            self._post(Room, mode=mode, locked=locked, muted_all=muted_all, breakouts=breakouts)

    def _compare_person(self, person: PersonView) -> None:
        leg = person.leg
        standing = (person.self_muted, person.host_muted, person.floor)
        if standing != self._standing.get(leg, (False, False, False)):
            self._standing[leg] = standing
            by_self, by_host, floor = standing
            self._post(
                Muted,
                person=leg,
                by_self=by_self,
                by_host=by_host,
                floor=floor,
                heard=person.speaks,
            )
        if (raised := person.hand is not None) is not (leg in self._hands):
            (self._hands.add if raised else self._hands.discard)(leg)
            self._post(Hand, person=leg, raised=raised, place=person.hand)
        if person.group != self._groups.get(leg, 0):
            self._groups[leg] = person.group
            self._post(Moved, person=leg, room=person.group)

    def _tell_speakers(self) -> None:
        self._speaking_due = None
        talking = tuple(sorted(self._running.heard_talkers() & self._in))
        if talking != self._talking:
            self._talking = talking
            self._spoken_at = self._running.bridge.loop.time()
            self._post(Speaking, people=talking)

    def _post(self, kind: type[Happening], **fields: Any) -> None:  # noqa: ANN401 - those of the event
        if not self._running.started:
            return
        self._number += 1
        if self._stream.listened:
            event: Any = kind(
                conference=self._running.entry.id,
                session=self._running.id,
                at=_now(),
                number=self._number,
                **fields,
            )
            posted: Event = event
            self._stream.post(posted)

    # -- how it is ------------------------------------------------------------------------------

    def state(self) -> State:
        """Describe the conference as it is now."""
        running = self._running
        view, census = running.rules.view(), running.rules.census
        return State(
            conference=running.entry.id,
            session=running.id if running.started else None,
            started_at=running.started_at,
            at=_now(),
            number=self._number,
            mode=view.mode,
            locked=view.locked,
            muted_all=view.muted_all,
            breakouts=view.breakouts,
            speakers=census.speakers,
            listeners=census.listeners,
            waiting=census.waiting,
            people=tuple(
                _person(each, call)
                for each in running.rules.people()
                if (call := running.calls.get(each.leg)) is not None
            ),
        )


def _person(person: PersonView, call: Call) -> PersonState:
    return PersonState(
        person=person.leg,
        leg=call.id,
        role=person.role,
        where=person.where.value,
        since=call.invited_at.replace(microsecond=0),
        heard=person.speaks,
        self_muted=person.self_muted,
        host_muted=person.host_muted,
        floor=person.floor,
        hand=person.hand,
        room=person.group,
    )


def _now() -> datetime:
    """Return the time, to a millisecond."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)
