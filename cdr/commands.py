"""``dialin cdr``: call detail records."""

from __future__ import annotations

from typing import Any, Final

import click

from config.administration import Administration
from config.console import CommandGroup, json_option, pass_administration, show_json, show_table

__all__ = ["COMMANDS"]

_SINCE = click.option("--since", metavar="TIME", help="ISO 8601; from then on. UTC without a zone.")
_UNTIL = click.option("--until", metavar="TIME", help="ISO 8601; before then.")
_LIMIT = click.option("--limit", type=int, default=100, show_default=True, help="At most so many.")
_REVEAL = click.option("--reveal", is_flag=True, help="Show numbers in clear; the log notes it.")
_CONFERENCE = click.option("--conference", metavar="NAME", help="Of that conference, name or id.")


@click.group("cdr", cls=CommandGroup)
def cdr_group() -> None:
    """Show what happened: conference sessions, call legs, refused attempts."""


@cdr_group.command("sessions")
@_SINCE
@_UNTIL
@_CONFERENCE
@_LIMIT
@json_option
@pass_administration
def sessions(
    administration: Administration[Any],
    /,
    *,
    since: str | None,
    until: str | None,
    conference: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """List conference sessions, the latest first.

    Examples:
      dialin cdr sessions --since 2026-03-01
      dialin cdr sessions --conference "Board" --json
    """
    names = _names(administration)
    rows = administration.perform(
        "cdr.sessions",
        since=since,
        until=until,
        conference=_conference_id(administration, conference, names),
        limit=limit,
    )
    for row in rows:
        row["conference_name"] = names.get(row["conference"])
    if as_json:
        show_json(rows)
        return
    columns = [
        ("Started", "started_at"),
        ("Ended", "ended_at"),
        ("Seconds", "duration_s"),
        ("Conference", "conference_name"),
        ("Legs", "legs"),
        ("Peak", "peak_legs"),
        ("End", "end_reason"),
        ("Session", "session"),
    ]
    show_table(columns, rows, empty="No conference has taken place.")


@cdr_group.command("legs")
@_SINCE
@_UNTIL
@click.option("--session", metavar="ID", help="Of that conference session; its first digits do.")
@_CONFERENCE
@click.option("--caller", metavar="NUMBER", help="Of that caller; the whole number.")
@click.option("--call", metavar="ID", help="Of that call, as the log names it.")
@click.option("--open", "still_open", is_flag=True, help="Only those that have not ended.")
@_LIMIT
@_REVEAL
@json_option
@pass_administration
def legs(
    administration: Administration[Any],
    /,
    *,
    conference: str | None,
    as_json: bool,
    **narrowed: Any,  # noqa: ANN401 - handed on as click checked it
) -> None:
    """List call legs, the latest first: who called (masked), how it ended, how it was heard.

    Examples:
      dialin cdr legs --open
      dialin cdr legs --session 6f1c2a9e --reveal
      dialin cdr legs --since 2026-03-02T09:00 --json
    """
    names = _names(administration)
    rows = administration.perform(
        "cdr.legs",
        conference=_conference_id(administration, conference, names),
        **narrowed,
    )
    for row in rows:
        row["conference_name"] = names.get(row["conference"])
    if as_json:
        show_json(rows)
        return
    columns = [
        ("Answered", "answered_at"),
        ("Seconds", "duration_s"),
        ("Caller", "caller"),
        ("Dialled", "dialled"),
        ("Trunk", "trunk"),
        ("Conference", "conference_name"),
        ("Role", "role"),
        ("Cause", "cause"),
        ("By", "hung_up_by"),
        ("Codec", "codec"),
        ("DTMF", "dtmf_method"),
        ("Lost", "lost"),
        ("Jitter ms", "jitter_ms"),
        ("RTT ms", "rtt_ms"),
        ("MOS", "mos"),
        ("MOS there", "remote_mos"),
        ("Call", "call"),
    ]
    asked_for_some = any(value for key, value in narrowed.items() if key not in {"limit", "reveal"})
    empty = "No such call." if asked_for_some or conference else "No call has been answered."
    show_table(columns, rows, empty=empty)


@cdr_group.command("refused")
@_SINCE
@_UNTIL
@click.option("--reason", metavar="WORD", help="Of that reason, as the list has it.")
@_LIMIT
@_REVEAL
@json_option
@pass_administration
def refused(administration: Administration[Any], /, *, as_json: bool, **narrowed: Any) -> None:  # noqa: ANN401 - handed on as click checked it
    """List what was refused: calls before they were answered, and PINs in a call.

    Examples:
      dialin cdr refused
      dialin cdr refused --reason unknown_number --reveal
    """
    rows = administration.perform("cdr.refused", **narrowed)
    if as_json:
        show_json(rows)
        return
    columns = [
        ("At", "at"),
        ("Reason", "reason"),
        ("SIP", "sip_status"),
        ("Caller", "caller"),
        ("Dialled", "dialled"),
        ("Trunk", "trunk"),
        ("Call", "call"),
    ]
    show_table(columns, rows, empty="Nothing has been refused.")


def _names(administration: Administration[Any]) -> dict[int, str]:
    """Return the names of all conferences by id, the removed ones' too."""
    found = administration.perform("conference.list", removed=True)
    return {each["id"]: each["name"] for each in found}


def _conference_id(
    administration: Administration[Any], /, wanted: str | None, names: dict[int, str]
) -> int | None:
    if wanted is None:
        return None
    if wanted.isdigit() and int(wanted) in names:
        return int(wanted)  # a removed one too: its records are still there
    return int(administration.perform("conference.show", conference=wanted)["id"])


COMMANDS: Final[list[click.Command]] = [cdr_group]
"""What ``dialin`` takes in from this package."""
