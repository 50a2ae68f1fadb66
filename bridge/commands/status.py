"""``dialin status``: what the running bridge does at this moment."""

from __future__ import annotations

from typing import Any

import click

from bridge.monitoring.health import REASONS
from config.administration import Administration
from config.console import (
    Command,
    json_option,
    pass_administration,
    show_json,
    show_record,
    show_table,
)

__all__ = ["status"]


@click.command(cls=Command)
@json_option
@pass_administration
def status(administration: Administration[Any], /, *, as_json: bool) -> None:
    """Show calls, conferences, trunks and the media process of the running bridge.

    Examples:
      dialin status
      dialin status --json
    """
    now = administration.perform("status")
    if as_json:
        show_json(now)
        return
    media, tcp = now["media"], now["sip"]["tcp"]
    show_record(
        {
            "process": now["pid"],
            "up": f"{now['uptime_s'] // 3600} h {now['uptime_s'] % 3600 // 60} min",
            "SIP port": now["sip"]["port"],
            "ready": _ready(now["health"]["reasons"]),
            "calls": now["calls"],
            "conferences": now["conferences"],
            "tick": _tick(media["tick_ms"]),
            "new calls": _new_calls(now),
            "lost by the bridge": media["lost_by_bridge"],
            "media process replaced": media["replaced"],
            "records go to": now["records"]["writing_to"],
            "TCP connections": f"{tcp['connections']} of {tcp['limit']}",
            "metrics": now["health"]["metrics"] or "not served",
            "broker": _broker(now["mqtt"]),
        }
    )
    columns = [
        ("Media process", "pid"),
        ("Legs", "legs"),
        ("Rooms", "rooms"),
        ("Tick", "tick"),
        ("Of 20 ms", "share"),
        ("Full", "busy"),
    ]
    show_table(columns, [_process(each) for each in media["processes"]], empty="")
    if now["registrations"]:
        columns = [("Trunk", "trunk"), ("Registration", "state"), ("SIP", "status")]
        show_table(columns, now["registrations"], empty="")
    columns = [
        ("Conference", "name"),
        ("Started", "started_at"),
        ("People", "people"),
        ("Waiting", "waiting"),
        ("Talking", "talking"),
    ]
    show_table(columns, now["running_conferences"], empty="No conference is running.")
    if now["running_calls"]:
        columns = [
            ("Call", "call"),
            ("Number", "number"),
            ("Trunk", "trunk"),
            ("Conference", "conference"),
            ("Role", "role"),
            ("Codec", "codec"),
            ("Hold", "on_hold"),
            ("Lost", "lost"),
            ("Jitter ms", "jitter_ms"),
            ("MOS", "mos"),
            ("MOS there", "remote_mos"),
        ]
        show_table(columns, now["running_calls"], empty="")


def _process(process: dict[str, Any]) -> dict[str, Any]:
    share = process["tick_share"]
    return {
        **process,
        "tick": _tick(process["tick_ms"]),
        "share": "-" if share is None else f"{share:.0%}",
    }


def _new_calls(now: dict[str, Any]) -> str:
    media, drain = now["media"], now["drain"]
    if media["overloaded"]:
        return "refused, the media processes are full"
    if drain["draining"]:
        left = drain["seconds_left"]
        limit = "" if left is None else f", which ends in {left} s"
        return f"for conferences that run only: the bridge drains{limit}"
    return f"taken up to {media['tick_share_limit']:.0%} of a tick"


def _broker(mqtt: dict[str, Any] | None) -> str:
    """Say in a line how the broker is."""
    if mqtt is None:
        return "none"
    words = f"{mqtt['broker']} {mqtt['state']}"
    if mqtt["problem"] is not None:
        words += f" ({mqtt['problem'].replace('_', ' ')})"
    return f"{words}, {mqtt['buffered']} wait, {mqtt['dropped']} dropped"


def _ready(reasons: list[str]) -> str:
    return "no: " + "; ".join(REASONS.get(each, each) for each in reasons) if reasons else "yes"


def _tick(tick: dict[str, float | None]) -> str:
    if tick["p95"] is None:
        return "-"
    return f"{tick['p50']:.1f} ms median, {tick['p95']:.1f} ms p95, of 20 ms"
