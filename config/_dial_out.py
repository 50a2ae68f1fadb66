"""``[dial_out]``: calls that conferences make."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from config import _kinds as kinds
from config._kinds import Kind

__all__ = ["DialOutSettings"]

T = TypeVar("T")

_RATE = r"[0-9]{0,15}=[0-9]{1,5}(\.[0-9]{1,4})?"


def _setting(kind: Kind[T], default: T, about: str) -> T:
    return field(default=default, metadata={"kind": kind, "about": about})


@dataclass(frozen=True, slots=True, kw_only=True)
class DialOutSettings:
    """``[dial_out]``: calls that conferences make; off until ``allowed``."""

    allowed: bool = _setting(kinds.boolean(), False, "let hosts and administrators call out")  # noqa: FBT003 - the default of a setting
    trunk: str = _setting(
        kinds.text(32), "", "trunk that calls go out by: to its registrar, as its user"
    )
    proxy: str = _setting(
        kinds.text(200), "", "host or host:port that calls go to, where not to the registrar"
    )
    caller: str = _setting(
        kinds.text(20),
        "",
        "number of the bridge's own that is shown to who is called",
    )
    assert_caller: bool = _setting(
        kinds.boolean(),
        False,  # noqa: FBT003 - the default of a setting
        "say it in P-Asserted-Identity too, where the trunk wants it",
    )
    countries: tuple[str, ...] = _setting(
        kinds.words('a list of countries, as ["SE", "NO"]', "[A-Z]{2}"),
        (),
        "countries that may be called",
    )
    rates: tuple[str, ...] = _setting(
        kinds.words(
            'a list of prefix=price, as ["46=0.02", "4670=0.15"]',
            r"[0-9]{0,15}=[0-9]{1,5}(\.[0-9]{1,4})?",
        ),
        (),
        "price of a minute by the beginning of the number, the longest one counts; what has none is"
        " not called",
    )
    conference_cap: float = _setting(
        kinds.number(0, 1_000_000), 5.0, "what one conference may spend in a day"
    )
    day_cap: float = _setting(kinds.number(0, 1_000_000), 50.0, "what all may spend in a day")
    conference_per_hour: int = _setting(
        kinds.integer(0, 10_000), 20, "calls that one conference may make in an hour"
    )
    per_hour: int = _setting(kinds.integer(0, 100_000), 60, "calls that all may make in an hour")
    longest_min: int = _setting(kinds.integer(1, 1440), 60, "longest outgoing call, minutes")
    ring_s: float = _setting(kinds.number(5, 180), 45.0, "how long it may ring")
    press_s: float = _setting(
        kinds.number(5, 120), 25.0, "how long who has answered may take to press 1"
    )
