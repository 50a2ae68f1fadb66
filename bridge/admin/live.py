"""Operations that only a running bridge can perform: what it does at this moment.

They stand beside the operations on the database, which every package brings along as OPERATIONS;
these work on the `Bridge` itself and run in its event loop. What they show of people is masked:
no numbers, no addresses.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from bridge import doctor
from bridge.admin.meetings import (
    conference_dial,
    conference_end,
    conference_people,
    conference_steer,
)
from bridge.admin.saying import conference_say
from bridge.errors import AdminError
from bridge.monitoring.health import unready
from bridge.sip.messages import Answer, Transport
from bridge.sip.trunks import admitting_line
from config.commands import effective

if TYPE_CHECKING:
    from bridge.server import Bridge

__all__ = ["LIVE_OPERATIONS", "LiveOperation"]

LiveOperation = Callable[..., Awaitable[Any]]

ASKED_AT_MOST: Final = 16
"""Far ends of one trunk that ``trunk test`` asks."""


async def status(bridge: Bridge) -> dict[str, Any]:
    """Say how the bridge does: calls, conferences, trunks, the tick."""
    media = await bridge.media.report()
    sip = bridge.sip.statistics()
    room = bridge.sip.room()
    return {
        "pid": os.getpid(),
        "started_at": bridge.started_at.isoformat(),
        "uptime_s": round((datetime.now(UTC) - bridge.started_at).total_seconds()),
        "stopping": bridge.stopping,
        "drain": bridge.drain.state(),
        "calls": len(bridge.calls),
        "conferences": len(bridge.conferences),
        "running_calls": [_call(call) for call in bridge.calls.values()],
        "running_conferences": [_conference(each) for each in bridge.conferences.values()],
        "sip": {
            "port": bridge.sip.port,
            "counters": dict(sip.counters),
            "gauges": dict(sip.gauges),
            "sources_rejected": len({each.source for each in bridge.sip.rejections()}),
            "tcp": {
                "connections": room.connections,
                "limit": room.limit,
                "refused": room.refused,
                "refused_full": room.refused_full,
                "refused_source": room.refused_source,
                "idle_closed": room.idle_closed,
                "highest_fd": room.highest_fd,
                "fd_limit": room.fd_limit,
            },
        },
        "media": media,
        "records": bridge.records.status(),
        "mqtt": bridge.mqtt.status() if bridge.mqtt is not None else None,
        "health": {
            "ready": not (reasons := unready(bridge)),
            "reasons": reasons,
            "metrics": f"{bridge.settings.metrics.bind_ip}:{bridge.metrics_port}"
            if bridge.metrics_port
            else None,
        },
        "registrations": [
            {
                "trunk": each.trunk,
                "state": each.state,
                "status": each.status,
                "expires_s": each.expires_s,
            }
            for each in bridge.registrations.values()
        ],
        "counters": dict(bridge.counters),
    }


def _call(call: Any) -> dict[str, Any]:  # noqa: ANN401 - bridge.calls.Call, which would be a cycle at run time
    return {
        "call": call.uid,
        "trunk": call.trunk,
        "number": call.number.info.number,
        "conference": call.conference.entry.name if call.conference is not None else None,
        "role": call.role,
        "codec": call.codec,
        "on_hold": call.on_hold,
        "dtmf_method": call.statistics.dtmf_method,
        "lost": call.statistics.lost,
        "jitter_ms": round(call.statistics.jitter_ms, 1),
        "rtt_ms": _round(call.statistics.rtt_ms, 1),
        "mos": _round(call.statistics.mos_now, 2),
        "remote_mos": _round(call.statistics.remote_mos_now, 2),
    }


def _round(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _conference(running: Any) -> dict[str, Any]:  # noqa: ANN401 - bridge.conferences.RunningConference, likewise
    return {
        "conference": running.entry.id,
        "name": running.entry.name,
        "session": str(running.id) if running.started else None,
        "started_at": running.started_at.isoformat() if running.started_at else None,
        "people": len(running.placed),
        "waiting": len(running.calls) - len(running.placed),
        "talking": len(running.heard_talkers()),
    }


async def examination(bridge: Bridge) -> list[dict[str, Any]]:
    """Examine this very process, under its own settings and limits, as `dialin doctor` shows it."""
    now = await status(bridge)
    found = await asyncio.to_thread(doctor.examine, bridge.settings, now)
    return [dataclasses.asdict(finding) for finding in found]


async def drain_begin(bridge: Bridge, seconds: float | None = None) -> dict[str, Any]:
    """Let no new conference start, and end the bridge after the last one or the time limit."""
    return {"pid": os.getpid(), **bridge.drain.begin(seconds)}


async def drain_undo(bridge: Bridge) -> dict[str, Any]:
    """Let conferences start again."""
    return bridge.drain.undo()


async def drain_state(bridge: Bridge) -> dict[str, Any]:
    """Say whether the bridge drains, and what it still waits for."""
    return bridge.drain.state()


async def config_show(bridge: Bridge) -> list[dict[str, Any]]:
    """List the settings that this bridge runs with: key, value, and where each comes from."""
    return effective(bridge.settings)


async def trunk_rejected(bridge: Bridge) -> list[dict[str, Any]]:
    """List who was not let in during the last 24 hours, and the line that would change that."""
    return [
        {
            "source": each.source,
            "reason": each.reason,
            "method": each.method,
            "transport": each.transport,
            "count": each.count,
            "first": datetime.fromtimestamp(each.first, UTC).isoformat(timespec="seconds"),
            "last": datetime.fromtimestamp(each.last, UTC).isoformat(timespec="seconds"),
            "admit_with": admitting_line(each),
        }
        for each in sorted(bridge.sip.rejections(), key=lambda each: -each.last)
    ]


async def trunk_state(bridge: Bridge, name: str) -> dict[str, Any]:
    """Say what the running bridge knows of a trunk.

    Raises:
        AdminError: there is no such trunk.
    """
    if not bridge.directory.trunk(name):
        raise AdminError(f"there is no trunk {name!r}", "`dialin trunk list` shows them.")
    registration = bridge.registrations.get(name)
    return {
        "trunk": name,
        "calls": sum(call.trunk == name for call in bridge.calls.values()),
        "registration": registration.state if registration is not None else None,
        "registration_status": registration.status if registration is not None else None,
    }


async def trunk_test(bridge: Bridge, name: str) -> dict[str, Any]:
    """Ask a trunk's single addresses and its provider by OPTIONS whether they are there.

    Any answer counts, a refusal too: it is somebody who speaks SIP. Of a wider network nobody can
    be asked; ``asked`` is empty then, and what is known of the trunk is all that there is to say.

    Raises:
        AdminError: there is no such trunk.
    """
    state = await trunk_state(bridge, name)
    asked = await asyncio.gather(*(_ask(bridge, *each) for each in _whom_to_ask(bridge, name)))
    registering = state["registration"] is not None
    return {
        "trunk": name,
        "calls": state["calls"],
        "registration": state["registration"],
        "asked": list(asked),
        "well": all(each["status"] is not None for each in asked)
        and (not registering or state["registration"] == "registered"),
    }


def _whom_to_ask(bridge: Bridge, name: str) -> list[tuple[str, Transport]]:
    """Return host, or host and port, and transport of each far end of a trunk that is known."""
    trunk = next(each for each in bridge.directory.trunk_table().trunks if each.name == name)
    hosts: list[tuple[str, Transport]] = [
        (str(network.network_address), "udp")
        for network in trunk.addresses
        if network.num_addresses == 1
    ]
    if trunk.register is not None:
        hosts.append((trunk.register.server, trunk.register.transport))
    return list(dict.fromkeys(hosts))[:ASKED_AT_MOST]


async def _ask(bridge: Bridge, target: str, transport: Transport) -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    waiting: asyncio.Future[Answer] = loop.create_future()

    def answered(answer: Answer) -> None:
        if not waiting.done():  # whoever asked may have gone meanwhile
            waiting.set_result(answer)

    def in_the_loop(answer: Answer) -> None:
        loop.call_soon_threadsafe(answered, answer)

    bridge.sip.ask(target, in_the_loop, transport)
    answer = await waiting
    said = str(answer.status) if answer.status is not None else answer.outcome.replace("_", " ")
    return {
        "target": target,
        "transport": transport,
        "answer": said,
        "status": answer.status,
        "milliseconds": answer.milliseconds,
    }


async def trace_begin(
    bridge: Bridge, call: str | None = None, trunk: str | None = None, seconds: float = 3600.0
) -> dict[str, Any]:
    """Begin a trace of a call or a trunk."""
    return bridge.traces.begin(call, trunk, seconds)


async def trace_end(bridge: Bridge, trace: int) -> dict[str, Any]:
    """End a trace."""
    return bridge.traces.end(trace)


async def trace_list(bridge: Bridge) -> list[dict[str, Any]]:
    """List the traces that run."""
    return bridge.traces.running()


LIVE_OPERATIONS: Mapping[str, LiveOperation] = {
    "conference.dial": conference_dial,
    "conference.end": conference_end,
    "conference.people": conference_people,
    "conference.say": conference_say,
    "conference.steer": conference_steer,
    "config.show": config_show,
    "doctor": examination,
    "drain.begin": drain_begin,
    "drain.state": drain_state,
    "drain.undo": drain_undo,
    "status": status,
    "trunk.rejected": trunk_rejected,
    "trunk.state": trunk_state,
    "trunk.test": trunk_test,
    "trace.begin": trace_begin,
    "trace.end": trace_end,
    "trace.list": trace_list,
}
