"""``dialin number``, ``dialin conference`` and ``dialin pin``; ``dialin trunk`` stands beside."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from config.administration import Administration
from config.console import (
    NUMBER_OR_NONE,
    CommandGroup,
    json_option,
    pass_administration,
    printable,
    show_json,
    show_record,
    show_table,
)
from dialplan._trunk_commands import trunk_group
from dialplan.numbers import KINDS
from dialplan.phrases import GREETINGS

__all__ = ["COMMANDS"]

F = TypeVar("F", bound=Callable[..., Any])


def _given(values: dict[str, Any]) -> dict[str, Any]:
    """Leave out what was not given on the command line."""
    return {key: value for key, value in values.items() if value is not None}


def _changes(values: dict[str, Any]) -> dict[str, Any]:
    """Return what was given on the command line, which must be something."""
    given = _given(values)
    if not given:
        raise click.UsageError("nothing to change: give at least one option")
    return given


def _options(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Put several options on a command, in the order of its help."""

    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


# -- numbers ---------------------------------------------------------------------------------------

_number_options = _options(
    click.option("--kind", type=click.Choice(KINDS), help="What callers pay; found out by itself."),
    click.option("--country", metavar="CC", help="Two letters, such as SE; found out by itself."),
    click.option("--language", metavar="LANG", help="Of the prompts, such as en or sv."),
    click.option("--greeting", type=click.Choice(list(GREETINGS)), help="What is said at first."),
    click.option(
        "--conference",
        metavar="NAME",
        help='Conference that callers enter without a PIN, if it allows that; "" for none.',
    ),
    click.option(
        "--call-limit", type=NUMBER_OR_NONE, metavar="N", help='Calls at once, or "none".'
    ),
    click.option(
        "--refuse-anonymous/--accept-anonymous",
        "refuses_anonymous",
        default=None,
        help="Refuse callers who withhold their number (403).",
    ),
)


@click.group("number", cls=CommandGroup)
def number_group() -> None:
    """Manage the numbers that can be dialled."""


@number_group.command("add")
@click.argument("number")
@_number_options
@json_option
@pass_administration
def number_add(
    administration: Administration[Any],
    /,
    number: str,
    *,
    as_json: bool,
    **values: Any,  # noqa: ANN401 - handed on as click checked it
) -> None:
    """Add a number: E.164, or the bare digits of an extension.

    Examples:
      dialin number add +46101234567 --language sv
      dialin number add 1000
      dialin number add +18005550100 --kind toll_free --call-limit 30
    """
    added = administration.perform("number.add", number=number, **_given(values))
    _show_one(added, as_json=as_json, done=f"Added {added['number']}.")


@number_group.command("change")
@click.argument("number")
@_number_options
@json_option
@pass_administration
def number_change(
    administration: Administration[Any],
    /,
    number: str,
    *,
    as_json: bool,
    **values: Any,  # noqa: ANN401 - handed on as click checked it
) -> None:
    """Change what is said about a number; what is not given stays.

    Examples:
      dialin number change +46101234567 --language en --call-limit 50
      dialin number change +46101234567 --call-limit none
    """
    changed = administration.perform("number.change", number=number, **_changes(values))
    _show_one(changed, as_json=as_json, done=f"Changed {changed['number']}.")


@number_group.command("enable")
@click.argument("number")
@pass_administration
def number_enable(administration: Administration[Any], /, number: str) -> None:
    """Let a disabled number answer calls again.

    Example:
      dialin number enable +46101234567
    """
    changed = administration.perform("number.change", number=number, enabled=True)
    click.echo(f"{changed['number']} answers calls.")


@number_group.command("disable")
@click.argument("number")
@pass_administration
def number_disable(administration: Administration[Any], /, number: str) -> None:
    """Answer no more calls to a number (480); those that run go on.

    Example:
      dialin number disable +46101234567
    """
    changed = administration.perform("number.change", number=number, enabled=False)
    click.echo(f"{changed['number']} answers no more calls; `dialin number enable` reverses it.")


@number_group.command("list")
@json_option
@pass_administration
def number_list(administration: Administration[Any], /, *, as_json: bool) -> None:
    """List all numbers.

    Examples:
      dialin number list
      dialin number list --json
    """
    rows = administration.perform("number.list")
    if as_json:
        show_json(rows)
        return
    columns = [
        (key.replace("_", " ").capitalize(), key)
        for key in ("number", "kind", "country", "language", "greeting")
    ]
    columns += [("Limit", "call_limit"), ("Conference", "conference"), ("Enabled", "enabled")]
    show_table(columns, rows, empty="There are no numbers; `dialin number add` makes one.")


@number_group.command("show")
@click.argument("number")
@json_option
@pass_administration
def number_show(administration: Administration[Any], /, number: str, *, as_json: bool) -> None:
    """Show one number.

    Example:
      dialin number show +46101234567
    """
    _show_one(administration.perform("number.show", number=number), as_json=as_json)


@number_group.command("remove")
@click.argument("number")
@pass_administration
def number_remove(administration: Administration[Any], /, number: str) -> None:
    """Remove a number; calls that run go on, records stay.

    Example:
      dialin number remove +46101234567
    """
    removed = administration.perform("number.remove", number=number)
    click.echo(f"Removed {removed['removed']}.")


# -- conferences -----------------------------------------------------------------------------------

_conference_options = _options(
    click.option("--capacity", type=int, metavar="N", help="Most people at once."),
    click.option(
        "--start",
        type=click.Choice(["at_once", "on_host", "on_second"]),
        help="When people are put together.",
    ),
    click.option("--end", type=click.Choice(["last_leaves", "host_leaves"]), help="What ends it."),
    click.option(
        "--grace", "grace_s", type=int, metavar="S", help="Seconds for a host to come back."
    ),
    click.option("--wait", "wait_minutes", type=int, metavar="MIN", help="Longest wait for it."),
    click.option(
        "--max-length",
        "max_minutes",
        type=NUMBER_OR_NONE,
        metavar="MIN",
        help='Longest time, or "none".',
    ),
    click.option("--opens", "opens_at", metavar="TIME", help='ISO 8601; "" for always open.'),
    click.option("--closes", "closes_at", metavar="TIME", help='ISO 8601; "" for open-ended.'),
    click.option("--time-zone", metavar="ZONE", help="Of these times and of what is spoken."),
    click.option(
        "--host-early", "host_early_minutes", type=int, metavar="MIN", help="Let hosts in before."
    ),
    click.option(
        "--guest-early", "guest_early_minutes", type=int, metavar="MIN", help="And guests."
    ),
    click.option("--chimes/--no-chimes", default=None, help="Sound when somebody comes or goes."),
    click.option(
        "--pinless/--no-pinless",
        default=None,
        help="Let callers of a number bound to it in without a PIN, as guests.",
    ),
    click.option(
        "--names",
        type=click.Choice(["none", "ask", "ask_until_given"]),
        help="Ask who comes to say a name.",
    ),
    click.option(
        "--waiting-room/--no-waiting-room",
        default=None,
        help="Let guests in by a host's word only.",
    ),
    click.option(
        "--host-places", type=int, metavar="N", help="Places kept for hosts until one is there."
    ),
)
_PIN_LENGTH = click.option(
    "--pin-length", type=int, metavar="N", help="Digits; as many as safety wants where not given."
)


@click.group("conference", cls=CommandGroup)
def conference_group() -> None:
    """Manage conferences."""


@conference_group.command("add")
@click.argument("name")
@_conference_options
@click.option("--account", metavar="NAME", help="Account that it belongs to.")
@_PIN_LENGTH
@json_option
@pass_administration
def conference_add(
    administration: Administration[Any],
    /,
    name: str,
    *,
    as_json: bool,
    **values: Any,  # noqa: ANN401 - handed on as click checked it
) -> None:
    """Add a conference; prints its PINs.

    Examples:
      dialin conference add "Board"
      dialin conference add "Weekly" --capacity 20 --start on_host
      dialin conference add "Launch" --opens 2026-03-02T09:00 --time-zone Europe/Stockholm
    """
    added = administration.perform("conference.add", name=name, **_given(values))
    if as_json:
        show_json(added)
        return
    click.echo(f"Added conference {printable(added['name'])} (id {added['id']}).")
    _show_pins(added)


@conference_group.command("change")
@click.argument("conference")
@click.option("--name", metavar="NAME", help="A new name.")
@_conference_options
@json_option
@pass_administration
def conference_change(
    administration: Administration[Any],
    /,
    conference: str,
    *,
    as_json: bool,
    **values: Any,  # noqa: ANN401 - handed on as click checked it
) -> None:
    """Change the rules of CONFERENCE (name or id), also while it runs; the rest stays.

    Examples:
      dialin conference change "Board" --capacity 30
      dialin conference change "Board" --names ask --waiting-room --host-places 2
      dialin conference change 2 --opens "" --closes ""
    """
    changed = administration.perform("conference.change", conference=conference, **_changes(values))
    _show_one(changed, as_json=as_json, done=f"Changed {printable(changed['name'])}.")


@conference_group.command("list")
@click.option("--removed", is_flag=True, help="Those too that were removed.")
@json_option
@pass_administration
def conference_list(
    administration: Administration[Any], /, *, removed: bool, as_json: bool
) -> None:
    """List conferences.

    Examples:
      dialin conference list
      dialin conference list --removed --json
    """
    rows = administration.perform("conference.list", removed=removed)
    if as_json:
        show_json(rows)
        return
    columns = [
        (key.replace("_", " ").capitalize(), key)
        for key in ("id", "name", "account", "capacity", "start", "end", "opens_at", "closes_at")
    ]
    show_table(columns, rows, empty="There are no conferences; `dialin conference add` makes one.")


@conference_group.command("show")
@click.argument("conference")
@click.option("--reveal", is_flag=True, help="Show its PINs in clear.")
@json_option
@pass_administration
def conference_show(
    administration: Administration[Any], /, conference: str, *, reveal: bool, as_json: bool
) -> None:
    """Show CONFERENCE (name or id) and its PINs, masked unless --reveal.

    Examples:
      dialin conference show "Board"
      dialin conference show "Board" --reveal
    """
    found = administration.perform("conference.show", conference=conference, reveal=reveal)
    if as_json:
        show_json(found)
        return
    show_record(found)
    rows = [{"pin": "*" * each["digits"], **each} for each in found["pins"]]
    columns = [("Id", "id"), ("Role", "role"), ("PIN", "pin"), ("State", "state")]
    columns += [("Once", "single_use"), ("For", "holder"), ("Issued", "created_at")]
    show_table(columns, rows, empty="It has no PINs.")


@conference_group.command("remove")
@click.argument("conference")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_administration
def conference_remove(
    administration: Administration[Any], /, conference: str, *, yes: bool
) -> None:
    """Remove CONFERENCE (name or id): its PINs are revoked, its records stay.

    Examples:
      dialin conference remove "Board"
      dialin conference remove "Board" --yes
    """
    if not yes:
        found = administration.perform("conference.show", conference=conference)
        _confirm(f"Remove {printable(found['name'])} and revoke its PINs?")
    removed = administration.perform("conference.remove", conference=conference)
    click.echo(f"Removed {printable(removed['removed'])}; its PINs are revoked.")


# -- PINs ------------------------------------------------------------------------------------------


@click.group("pin", cls=CommandGroup)
def pin_group() -> None:
    """Manage PINs."""


@pin_group.command("reset")
@click.argument("conference")
@click.option(
    "--role",
    type=click.Choice(["host", "guest", "both"]),
    default="both",
    show_default=True,
    help="Whose PIN.",
)
@_PIN_LENGTH
@json_option
@pass_administration
def pin_reset(
    administration: Administration[Any],
    /,
    conference: str,
    *,
    role: str,
    pin_length: int | None,
    as_json: bool,
) -> None:
    """Revoke PINs of CONFERENCE (name or id) and issue new ones.

    Examples:
      dialin pin reset "Board"
      dialin pin reset "Board" --role guest
    """
    issued = administration.perform(
        "pin.reset", conference=conference, role=role, pin_length=pin_length
    )
    if as_json:
        show_json(issued)
        return
    click.echo(f"The old PINs of {printable(issued['name'])} are revoked.")
    _show_pins(issued)


@pin_group.command("invite")
@click.argument("conference")
@click.argument("guest")
@_PIN_LENGTH
@json_option
@pass_administration
def pin_invite(
    administration: Administration[Any],
    /,
    conference: str,
    guest: str,
    *,
    pin_length: int | None,
    as_json: bool,
) -> None:
    """Issue a code that lets one named GUEST into CONFERENCE, once.

    Example:
      dialin pin invite "Board" "Kim Larsson"
    """
    issued = administration.perform(
        "pin.invite", conference=conference, holder=guest, pin_length=pin_length
    )
    if as_json:
        show_json(issued)
        return
    click.echo(f"Code for {printable(issued['holder'])}, once: {_grouped(issued['code'])}")
    _warn_of_guessing(issued)


@pin_group.command("revoke")
@click.argument("pin", type=int, metavar="ID")
@pass_administration
def pin_revoke(administration: Administration[Any], /, pin: int) -> None:
    """Revoke one PIN or code, by the id that `conference show` lists.

    Example:
      dialin pin revoke 3
    """
    administration.perform("pin.revoke", pin=pin)
    click.echo(f"PIN {pin} is revoked.")


def _confirm(question: str) -> None:
    """Ask before what cannot be taken back."""
    try:
        click.confirm(question, abort=True)
    except click.Abort:
        if sys.stdin.isatty():
            raise
        raise click.UsageError("nothing was removed: nobody said yes; --yes asks nobody") from None


def _show_one(record: dict[str, Any], *, as_json: bool, done: str = "") -> None:
    if as_json:
        show_json(record)
        return
    if done:
        click.echo(done)
    show_record(record)


def _show_pins(issued: dict[str, Any]) -> None:
    for role, pin in issued["pins"].items():
        click.echo(f"  {role:<6}PIN  {click.style(_grouped(pin), bold=True)}")
    click.echo("`dialin conference show --reveal` shows them again.")
    _warn_of_guessing(issued)


def _warn_of_guessing(issued: dict[str, Any]) -> None:
    chance = issued.get("guess_chance")
    if chance is not None:
        click.echo(
            f"PINs this short can be guessed: 10,000 tries find a room with {chance:.0%} chance.",
            err=True,
        )


def _grouped(pin: str) -> str:
    return " ".join(pin[start : start + 3] for start in range(0, len(pin), 3))


COMMANDS: Final[list[click.Command]] = [number_group, conference_group, pin_group, trunk_group]
"""What ``dialin`` takes in from this package."""
