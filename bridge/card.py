"""The card that a started bridge prints: whom to dial, what to key, what to try next."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

__all__ = ["CardFacts", "card"]


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What is on the card.

    Attributes:
        address: how SIP phones on the network reach the bridge.
        port: the SIP port.
        number: the demo number; empty where the demo was removed, and then there are no PINs.
        guest_pin: lets in as a guest; empty where it was revoked.
        host_pin: lets in as a host; likewise.
        data: the `--data` argument for further commands, empty where the default serves.
        is_open: whether phones of private networks may call, and not trunks alone.
    """

    address: str
    port: int
    number: str
    guest_pin: str
    host_pin: str
    data: str
    is_open: bool = True


def card(facts: CardFacts) -> RenderableType:
    """Return the card, to be printed."""
    where = facts.address if facts.port == 5060 else f"{facts.address}:{facts.port}"  # noqa: PLR2004 - RFC 3261's default port
    table = Table.grid(padding=(0, 2))
    option = f" --data {shlex.quote(facts.data)}" if facts.data else ""
    following = Table.grid(padding=(0, 2))
    if facts.number:
        table.add_row("Dial", Text(f"sip:{facts.number}@{where}", style="bold"))
        table.add_row("Number", facts.number)
        for name, pin in (("Guest PIN", facts.guest_pin), ("Host PIN", facts.host_pin)):
            if pin:
                table.add_row(name, Text(_grouped(pin), style="bold"))
    else:
        table.add_row("Dial", Text(f"sip:NUMBER@{where}", style="bold"))
        following.add_row(Text(f".venv/bin/dialin number list{option}"), "the numbers there are")
    phones = (
        "Any SIP phone of a private network will do, on UDP or TCP, without an account."
        if facts.is_open
        else "Calls are taken from trunks alone (dialin trunk list): phones call through them."
    )
    advice = Text.from_markup(
        f"\n{phones} Key the PIN after the greeting; in the conference [bold]*4[/] tells the"
        " keys.\n"
    )
    following.add_row(Text(f".venv/bin/dialin status{option}", style="cyan"), "what it does now")
    following.add_row(Text(f".venv/bin/dialin conference add{option} --help"), "a room of your own")
    following.add_row(Text(f".venv/bin/dialin doctor{option}"), "if nobody is heard")
    following.add_row(Text(".venv/bin/dialin demo"), "three phones call in by themselves")
    following.add_row("Ctrl-C", "ends calls politely and stops")
    return Panel(Group(table, advice, following), title="dialin-bridge answers calls", expand=False)


def _grouped(pin: str) -> str:
    """Split a PIN for the eye; the hand keys it in one go."""
    return " ".join(pin[start : start + 3] for start in range(0, len(pin), 3))
