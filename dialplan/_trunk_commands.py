"""``dialin trunk``: the carriers and switches whose calls are taken."""

from __future__ import annotations

import ipaddress
import sys
from typing import Any, Final

import click

from config.administration import Administration
from config.console import (
    NUMBER_OR_NONE,
    CommandGroup,
    json_option,
    pass_administration,
    show_json,
    show_record,
    show_table,
)

__all__ = ["trunk_group"]

_WIDEST: Final = 8
"""Prefix length of the widest network that one operator may have."""


@click.group("trunk", cls=CommandGroup)
def trunk_group() -> None:
    """Manage trunks: the carriers and switches whose calls are taken."""


@trunk_group.command("add")
@click.argument("name")
@click.option(
    "--address",
    "addresses",
    multiple=True,
    metavar="NET",
    help="IPv4 address or network that its calls come from; may be given again.",
)
@click.option("--digest-user", metavar="USER", help="User that its requests prove to be.")
@click.option("--digest-realm", metavar="REALM", help="Realm of that.", default="dialin")
@click.option("--register", "register_server", metavar="HOST", help="Register with this provider.")
@click.option("--register-user", metavar="USER", help="As this user.")
@click.option(
    "--register-expires",
    "register_expires_s",
    type=int,
    metavar="S",
    default=300,
    show_default=True,
    help="Seconds a registration is asked for.",
)
@click.option(
    "--register-transport",
    type=click.Choice(["udp", "tcp"]),
    default="udp",
    show_default=True,
    help="How the provider is reached.",
)
@click.option(
    "--asserts-identity/--no-asserts-identity",
    default=True,
    show_default=True,
    help="Believe its P-Asserted-Identity.",
)
@click.option(
    "--media",
    type=click.Choice(["own", "shared"]),
    default="own",
    show_default=True,
    help="RTP ports: a pair for each leg, or a few shared by all, for media that comes from where"
    " its SDP says.",
)
@click.option("--call-limit", type=NUMBER_OR_NONE, metavar="N", help='Calls at once, or "none".')
@click.option(
    "--refuse-status",
    type=int,
    default=503,
    show_default=True,
    help="What it is answered when the whole bridge is full.",
)
@json_option
@pass_administration
def trunk_add(
    administration: Administration[Any],
    /,
    name: str,
    *,
    as_json: bool,
    **values: Any,  # noqa: ANN401 - handed on as click checked it
) -> None:
    r"""Add a trunk, known by address or by digest. Passwords are asked for, or read from a pipe.

    Examples:
      dialin trunk add carrier --address 192.0.2.0/28
      dialin trunk add carrier --address 192.0.2.0/28 --media shared
      dialin trunk add office --digest-user pbx
      dialin trunk add provider --address 198.51.100.7 \
        --register sip.example.net --register-user 46101234567
    """
    values["addresses"] = list(values["addresses"])
    if values["digest_user"]:
        values["digest_password"] = _password("Digest password")
    else:
        values.pop("digest_realm")
    if values["register_server"]:
        values["register_password"] = _password("Registration password")
    given = {key: value for key, value in values.items() if value is not None}
    added = administration.perform("trunk.add", name=name, **given)
    for address in added["addresses"]:
        if ipaddress.IPv4Network(address).prefixlen < _WIDEST:
            click.echo(
                f"{address} admits whoever can reach the bridge from there, and believes what they "
                "say of themselves; a carrier has narrower networks.",
                err=True,
            )
    if as_json:
        show_json(added)
        return
    since = "from now on" if administration.by_bridge else "once the bridge runs"
    click.echo(f"Added trunk {added['name']}. Its calls are taken {since}.")
    show_record(added)


@trunk_group.command("list")
@json_option
@pass_administration
def trunk_list(administration: Administration[Any], /, *, as_json: bool) -> None:
    """List trunks; passwords are never shown.

    Example:
      dialin trunk list
    """
    rows = administration.perform("trunk.list")
    if as_json:
        show_json(rows)
        return
    columns = [
        ("Name", "name"),
        ("Addresses", "addresses"),
        ("Digest user", "digest_user"),
        ("Registers with", "register_server"),
        ("Asserts identity", "asserts_identity"),
        ("Media", "media"),
        ("Limit", "call_limit"),
    ]
    empty = "There are no trunks: loopback and private networks may call. See `dialin trunk add`."
    show_table(columns, rows, empty=empty)


@trunk_group.command("show")
@click.argument("name")
@json_option
@pass_administration
def trunk_show(administration: Administration[Any], /, name: str, *, as_json: bool) -> None:
    """Show one trunk; passwords are never shown.

    Example:
      dialin trunk show carrier
    """
    found = administration.perform("trunk.show", name=name)
    if as_json:
        show_json(found)
    else:
        show_record(found)


@trunk_group.command("remove")
@click.argument("name")
@pass_administration
def trunk_remove(administration: Administration[Any], /, name: str) -> None:
    """Remove a trunk; calls that run go on, records stay.

    Example:
      dialin trunk remove carrier
    """
    removed = administration.perform("trunk.remove", name=name)
    click.echo(f"Removed trunk {removed['removed']}.")


def _password(what: str) -> str:
    """Ask for a password, or read a line: on the command line others could see it."""
    if sys.stdin.isatty():
        return str(click.prompt(what, hide_input=True))
    line = sys.stdin.readline().rstrip("\n")
    if not line:
        raise click.UsageError(f"{what}: nothing came on standard input, one line was expected")
    return line
