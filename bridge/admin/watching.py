"""What runs at this moment, as a stream: all of it once, and from then on what has changed.

`dialin live` asks for it and shows it. An update is a table by name, each with the rows that are
new or other than before, by their key, and the keys of those that are gone::

    {"bridge":      {"rows": {"": {...}}},
     "conferences": {"rows": {"3": {...}}, "gone": ["2"]},
     "people":      {"rows": {"17": {...}}, "gone": []}}       of the one that was asked for

One that is empty says that the bridge is still there. Whoever watches is told `PERIOD_S` apart at
the shortest, however much goes on, and nothing piles up for who is slow: an update is made when the
one before has been taken, and says how things are then. Of people there is what others may know: no
name, and a number with its country code and two last digits.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from bridge.errors import AdminError
from bridge.monitoring.health import unready
from dialplan.numbers import mask

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from datetime import datetime

    from bridge.calls import Call
    from bridge.conferences import RunningConference
    from bridge.server import Bridge
    from dialplan.people import PersonView

__all__ = ["KEEP_ALIVE_S", "MOST_WATCHERS", "PERIOD_S", "Tables", "Watching", "changes"]

PERIOD_S: Final = 0.25
"""Between two updates: as fast as a reader's eye can make something of it."""

KEEP_ALIVE_S: Final = 5.0

MOST_WATCHERS: Final = 16
"""Each costs a look at all people, four times a second."""

_FEW: Final = 64

Tables = dict[str, dict[str, dict[str, Any]]]
"""Rows by table and key."""


def changes(before: Tables, now: Tables) -> dict[str, Any]:
    """Say what has changed.

    Args:
        before: what was told.
        now: what is.

    Returns:
        The update that leads from one to the other; empty where they are the same.
    """
    update: dict[str, Any] = {}
    for name, rows in now.items():
        told = before.get(name, {})
        fresh = {key: row for key, row in rows.items() if told.get(key) != row}
        gone = [key for key in told if key not in rows]
        if fresh or gone or name not in before:
            update[name] = {"rows": fresh, "gone": gone}
    return update


class Watching:
    """Who watches the bridge.

    Args:
        bridge: the running bridge.
        sleep: waits, for tests.
    """

    def __init__(self, bridge: Bridge, sleep: Callable[[float], Any] = asyncio.sleep) -> None:
        self._bridge = bridge
        self._sleep = sleep
        self._masked: dict[int, str] = {}
        self.watchers = 0

    async def watch(self, conference: int | None = None) -> AsyncGenerator[dict[str, Any], None]:
        """Tell what runs, and from then on what has changed.

        Args:
            conference: id of the one whose people are told of too, as long as it runs.

        Yields:
            Updates, the first of them with everything.

        Raises:
            AdminError: too many are watching.
        """
        if self.watchers >= MOST_WATCHERS:
            raise AdminError(
                f"{self.watchers} are watching the bridge already", "Close one of them."
            )
        self.watchers += 1
        try:
            told: Tables = {}
            quiet_s = 0.0
            while True:
                now = self.tables(conference)
                update = changes(told, now)
                if update or quiet_s >= KEEP_ALIVE_S:
                    yield update
                    told, quiet_s = now, 0.0
                await self._sleep(PERIOD_S)
                quiet_s += PERIOD_S
        finally:
            self.watchers -= 1

    def tables(self, conference: int | None) -> Tables:
        """Describe everything as it is now.

        Args:
            conference: id of the one whose people are described too.
        """
        running = self._bridge.conferences
        made: Tables = {
            "bridge": {"": self._house()},
            "conferences": {str(key): _conference(each) for key, each in running.items()},
        }
        if conference is not None:
            chosen = running.get(conference)
            made["people"] = {} if chosen is None else self._people(chosen)
        return made

    def _house(self) -> dict[str, Any]:
        bridge = self._bridge
        drain = bridge.drain.state()
        return {
            "started": _moment(bridge.started_at),
            "calls": len(bridge.calls),
            "draining": drain["draining"] or bridge.stopping,
            "unready": unready(bridge),
            "tick_share": round(max(post.share for post in bridge.media.posts), 2),
            "lost": bridge.media.lost_by_bridge,
        }

    def _people(self, running: RunningConference) -> dict[str, dict[str, Any]]:
        rows = {}
        for person in running.rules.people():
            call = running.calls.get(person.leg)
            if call is not None:
                rows[str(person.leg)] = self._person(running, person, call)
        return rows

    def _person(self, running: RunningConference, person: PersonView, call: Call) -> dict[str, Any]:
        statistics = call.statistics
        expected = statistics.packets_rx + statistics.lost
        return {
            "role": person.role,
            "where": person.where.value,
            "number": self._number(call),
            "talking": person.leg in running.talkers,
            "heard": person.speaks,
            "self_muted": person.self_muted,
            "host_muted": person.host_muted,
            "mode_muted": person.mode_muted,
            "floor": person.floor,
            "hand": person.hand,
            "room": person.group,
            "volume_db": person.volume_db,
            "on_hold": call.on_hold,
            "mos": None if statistics.mos_now is None else round(statistics.mos_now, 1),
            "lost_percent": round(100 * statistics.lost / expected, 1) if expected else None,
            "since": _moment(call.invited_at),
        }

    def _number(self, call: Call) -> str:
        """Return who calls, masked; nothing of who asks for privacy."""
        found = self._masked.get(call.leg)
        if found is None:
            incoming = call.incoming
            user = incoming.asserted if incoming.asserted is not None else incoming.claimed
            number = self._bridge.directory.normalise(user) if user else None
            found = mask(number.number if number is not None else user or "")
            if incoming.privacy or not user:
                found = ""
            legs = self._bridge.legs
            if len(self._masked) > 2 * len(legs) + _FEW:
                self._masked = {leg: each for leg, each in self._masked.items() if leg in legs}
            self._masked[call.leg] = found
        return found


def _conference(running: RunningConference) -> dict[str, Any]:
    view, census = running.rules.view(), running.rules.census
    return {
        "name": running.entry.name,
        "since": _moment(running.started_at),
        "people": census.speakers + census.listeners,
        "heard": census.speakers,
        "waiting": census.waiting,
        "talking": len(running.heard_talkers()),
        "hands": len(view.hands),
        "mode": view.mode.value,
        "locked": view.locked,
        "muted_all": view.muted_all,
        "breakouts": view.breakouts,
    }


def _moment(when: datetime | None) -> int | None:
    """Return a moment as seconds of the epoch."""
    return None if when is None else int(when.timestamp())
