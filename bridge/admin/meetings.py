"""Operations on conferences that run: who is in one, and what a host could do, done from outside.

An administrator steers the same meeting as its hosts, by the same rules: `Steered` goes to the
conference, which decides. What it would silently leave undone is refused here with a reason, so
that nobody believes it was done.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, cast, get_args

from bridge.errors import AdminError
from dialplan.dial_out import DialRefusal
from dialplan.events import Order
from dialplan.floor import Mode, Where

if TYPE_CHECKING:
    from bridge.conferences import RunningConference
    from bridge.dialling import AskedBy
    from bridge.server import Bridge
    from dialplan.people import PersonView

__all__ = [
    "conference_dial",
    "conference_end",
    "conference_people",
    "conference_steer",
    "find_running",
]

_NEEDS_HOST: Final = frozenset({"mute", "mute_all", "lock", "mode"})
_OF_ONE: Final = frozenset(
    {"mute", "unmute", "give_floor", "remove", "promote", "admit", "refuse", "volume"}
)
_GUESTS_IN_THE_ROOM: Final = frozenset({"mute", "unmute", "give_floor"})
_KNOCKING: Final = frozenset({"admit", "refuse"})


async def conference_people(bridge: Bridge, conference: str) -> dict[str, Any]:
    """List who is in a running conference: no number, no name.

    Args:
        bridge: the house.
        conference: its name or id.

    Raises:
        AdminError: it does not run.
    """
    running = find_running(bridge, conference)
    view = running.rules.view()
    census = running.rules.census
    return {
        "conference": running.entry.name,
        "id": running.entry.id,
        "started_at": running.started_at.isoformat() if running.started_at is not None else None,
        "mode": view.mode.value,
        "locked": view.locked,
        "muted_all": view.muted_all,
        "sounds": view.sounds,
        "breakouts": view.breakouts,
        "speakers": census.speakers,
        "listeners": census.listeners,
        "waiting": census.waiting,
        "people": [_person(running, each) for each in running.rules.people()],
    }


def _person(running: RunningConference, person: PersonView) -> dict[str, Any]:
    call = running.calls.get(person.leg)
    quality = call.statistics.mos_now if call is not None else None
    since = call.invited_at if call is not None else None
    return {
        "person": person.leg,
        "call": call.uid if call is not None else None,
        "role": person.role,
        "where": person.where.value,
        "heard": person.speaks,
        "talking": person.leg in running.talkers,  # heard by the others or not
        "self_muted": person.self_muted,
        "host_muted": person.host_muted,
        "floor": person.floor,
        "hand": person.hand,
        "room": person.group,
        "mos": None if quality is None else round(quality, 2),
        "minutes": None if since is None else (datetime.now(UTC) - since) // timedelta(minutes=1),
    }


async def conference_steer(
    bridge: Bridge,
    conference: str,
    order: str,
    person: int | None = None,
    mode: str | None = None,
) -> dict[str, Any]:
    """Do in a running conference what a host could.

    Args:
        bridge: the house.
        conference: its name or id.
        order: one of `dialplan.events.Order`.
        person: to whom, as `conference_people` numbers them, where it is about one.
        mode: which, for the order `mode`.

    Returns:
        The conference as it is then.

    Raises:
        AdminError: it does not run, there is no such order, person or mode, or it would do nothing.
    """
    running = find_running(bridge, conference)
    if order not in get_args(Order):
        orders = ", ".join(get_args(Order))
        raise AdminError(f"there is no order {order!r}", f"There are: {orders}.")
    if (person is not None) is not (order in _OF_ONE):
        raise AdminError(
            f"{order} is about {'one person' if order in _OF_ONE else 'the whole conference'}",
            "`dialin conference people` shows who is in, and by which number.",
        )
    if order == "mode" and mode not in tuple(Mode):
        raise AdminError(f"there is no mode {mode!r}", f"There are: {', '.join(Mode)}.")
    if order in _NEEDS_HOST and mode != Mode.CONVERSATION and not _has_host(running):
        raise AdminError(
            "no host is in the conference, and only a host could take that back",
            "Let a host call in first, or end the conference.",
        )
    if person is not None:
        _check_person(running, order, person)
    running.steer(cast("Order", order), person, mode)
    return await conference_people(bridge, conference)


async def conference_end(bridge: Bridge, conference: str) -> dict[str, Any]:
    """End a running conference politely: everybody hears that it has ended, and goodbye.

    Raises:
        AdminError: it does not run.
    """
    running = find_running(bridge, conference)
    people = len(running.calls)
    running.end("administrator")
    return {"conference": running.entry.name, "people": people}


async def conference_dial(
    bridge: Bridge, conference: str, number: str, by: AskedBy = "administrator"
) -> dict[str, Any]:
    """Call somebody into a running conference, and say what came of it.

    Args:
        bridge: the running bridge.
        conference: its name or id.
        number: with its country code.
        by: who wants it, for the log.

    Raises:
        AdminError: it does not run, or the number may not be called.
    """
    running = find_running(bridge, conference)
    call = bridge.dialling.dial_out(running.entry.id, number, by)
    if isinstance(call, DialRefusal):
        raise AdminError(call.message, "`dialin config keys` lists the settings of [dial_out].")
    outcome = await asyncio.shield(call.outcome)
    return {"conference": running.entry.name, "outcome": outcome}


def find_running(bridge: Bridge, conference: str | int) -> RunningConference:
    """Find a running conference by name or id.

    Args:
        bridge: the house.
        conference: its name, or its id in digits, the name first; a number is always the id.

    Raises:
        AdminError: it does not run.
    """
    running = list(bridge.conferences.values())
    found = [each for each in running if each.entry.name == conference]
    found = found or [each for each in running if str(each.entry.id) == str(conference)]
    if not found:
        raise AdminError(
            f"no conference {conference!r} is running", "`dialin status` shows those that do."
        )
    return found[0]


def _has_host(running: RunningConference) -> bool:
    return any(each.role == "host" and each.where is Where.ROOM for each in running.rules.people())


def _check_person(running: RunningConference, order: str, person: int) -> None:
    """Refuse what would be left undone."""
    found = next((each for each in running.rules.people() if each.leg == person), None)
    if found is None or found.where is Where.PARTING:
        raise AdminError(
            f"nobody with the number {person} is in the conference",
            "`dialin conference people` shows who is.",
        )
    if order in _GUESTS_IN_THE_ROOM and (found.role == "host" or found.where is not Where.ROOM):
        raise AdminError(f"{order} is for guests who are in the room", "That is none.")
    if order == "give_floor" and running.rules.view().mode is Mode.HOSTS_ONLY:
        raise AdminError("only hosts can be heard in this mode", "Change the mode first.")
    if order in _KNOCKING and found.where is not Where.KNOCKING:
        raise AdminError(f"{order} is for who knocks", "That person does not.")
    if order == "volume" and found.where is not Where.ROOM:
        raise AdminError("volume is for who is in the room", "That person is not.")
    if order == "promote" and found.role == "host":
        raise AdminError("that person is a host already", "There is nothing to do.")
