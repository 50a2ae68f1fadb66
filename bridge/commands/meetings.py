"""``dialin conference people`` and what steers a conference that runs."""

from __future__ import annotations

from typing import Any

import click

from bridge.commands.say import say
from config.administration import Administration
from config.console import (
    Command,
    json_option,
    pass_administration,
    printable,
    show_json,
    show_record,
    show_table,
)

__all__ = ["MEETING_COMMANDS"]

_MODES = ("conversation", "questions", "presentation", "hosts_only")


@click.command("people", cls=Command)
@click.argument("conference")
@json_option
@pass_administration
def people(administration: Administration[Any], /, conference: str, *, as_json: bool) -> None:
    """Show who is in a conference that runs: roles, mutes, hands, who is talking.

    Examples:
      dialin conference people "Board"
    """
    _show(administration.ask_bridge("conference.people", conference=conference), as_json=as_json)


def _show(now: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show_json(now)
        return
    show_record({key: value for key, value in now.items() if key != "people"})
    columns = [
        (key.replace("_", " ").capitalize(), key)
        for key in (
            "person",
            "role",
            "where",
            "heard",
            "talking",
            "self_muted",
            "host_muted",
            "hand",
            "room",
            "mos",
            "minutes",
        )
    ]
    show_table(columns, now["people"], empty="Nobody is in.")


def _steer(
    administration: Administration[Any],
    conference: str,
    order: str,
    person: int | None = None,
    mode: str | None = None,
) -> dict[str, Any]:
    now: dict[str, Any] = administration.ask_bridge(
        "conference.steer", conference=conference, order=order, person=person, mode=mode
    )
    return now


def _order(name: str, order: str, about: str, example: str) -> click.Command:
    """Make the command of an order to one person."""

    @click.command(name, cls=Command, help=f"{about}\n\nExamples:\n  {example}")
    @click.argument("conference")
    @click.argument("person", type=int)
    @json_option
    @pass_administration
    def command(
        administration: Administration[Any], /, conference: str, person: int, *, as_json: bool
    ) -> None:
        _show(_steer(administration, conference, order, person), as_json=as_json)

    return command


def _mute(name: str, about: str) -> click.Command:
    """Make `mute` or `unmute`: of one, or of everybody but hosts."""

    @click.command(
        name,
        cls=Command,
        help=f"{about}\n\nExamples:\n  dialin conference {name} Board\n"
        f"  dialin conference {name} Board 17",
    )
    @click.argument("conference")
    @click.argument("person", type=int, required=False)
    @json_option
    @pass_administration
    def command(
        administration: Administration[Any],
        /,
        conference: str,
        person: int | None,
        *,
        as_json: bool,
    ) -> None:
        order = name if person is not None else f"{name}_all"
        _show(_steer(administration, conference, order, person), as_json=as_json)

    return command


@click.command("lock", cls=Command)
@click.argument("conference")
@click.option("--off", is_flag=True, help="Unlock; whom only the lock kept out comes in.")
@json_option
@pass_administration
def lock(
    administration: Administration[Any], /, conference: str, *, off: bool, as_json: bool
) -> None:
    """Lock a conference that runs: newcomers knock, and its hosts decide.

    Examples:
      dialin conference lock "Board"
      dialin conference lock "Board" --off
    """
    _show(_steer(administration, conference, "unlock" if off else "lock"), as_json=as_json)


@click.command("mode", cls=Command)
@click.argument("conference")
@click.argument("mode", type=click.Choice(_MODES))
@json_option
@pass_administration
def mode(
    administration: Administration[Any], /, conference: str, mode: str, *, as_json: bool
) -> None:
    """Change who can speak in a conference that runs.

    Examples:
      dialin conference mode "Board" presentation
    """
    _show(_steer(administration, conference, "mode", mode=mode), as_json=as_json)


@click.command("dial", cls=Command)
@click.argument("conference")
@click.argument("number")
@json_option
@pass_administration
def dial(
    administration: Administration[Any], /, conference: str, number: str, *, as_json: bool
) -> None:
    """Call NUMBER (with its country code) into a conference that runs.

    Who is called comes in after pressing 1. What may be called is a matter of the settings
    [dial_out]; until an administrator allows it, nothing. Waits for what comes of it, and ends with
    1 where nobody came in.

    Examples:
      dialin conference dial "Board" +46701740605
    """
    done = administration.ask_bridge("conference.dial", conference=conference, number=number)
    if as_json:
        show_json(done)
    else:
        click.echo(f"{printable(done['conference'])}: {done['outcome'].replace('_', ' ')}.")
    if done["outcome"] != "joined":
        raise click.exceptions.Exit(1)


@click.command("end", cls=Command)
@click.argument("conference")
@json_option
@pass_administration
def end(administration: Administration[Any], /, conference: str, *, as_json: bool) -> None:
    """End a conference that runs; everybody hears that it has ended, and goodbye.

    Examples:
      dialin conference end "Board"
    """
    done = administration.ask_bridge("conference.end", conference=conference)
    if as_json:
        show_json(done)
    else:
        click.echo(f"{printable(done['conference'])} ends: {done['people']} hear goodbye.")


MEETING_COMMANDS: tuple[click.Command, ...] = (
    people,
    _mute("mute", "Mute one guest of a conference that runs, or everybody but hosts."),
    _mute("unmute", "Lift the host's mute from one guest, or from all; never a caller's own."),
    lock,
    mode,
    _order(
        "floor",
        "give_floor",
        "Give one guest the floor, who is told and then heard.",
        "dialin conference floor Board 17",
    ),
    _order(
        "promote",
        "promote",
        "Make one person a host of the conference that runs.",
        "dialin conference promote Board 17",
    ),
    _order(
        "dismiss",
        "remove",
        "Send one person out; coming back, they knock.",
        "dialin conference dismiss Board 17",
    ),
    _order("admit", "admit", "Let in somebody who knocks.", "dialin conference admit Board 17"),
    _order(
        "refuse", "refuse", "Turn away somebody who knocks.", "dialin conference refuse Board 17"
    ),
    dial,
    say,
    end,
)
"""What is added to the group `dialin conference`."""
