"""What a conference is configured to be: capacity, start, end, length and opening hours."""

from datetime import datetime
from typing import Literal

from msgspec import Struct

from dialplan.errors import RulesError

__all__ = ["ConferenceRules", "EndRule", "NameRule", "Role", "StartRule", "Window"]

Role = Literal["host", "guest"]

StartRule = Literal["at_once", "on_host", "on_second"]
"""When people are put together: at once, when a host is there, or when two are there."""

EndRule = Literal["last_leaves", "host_leaves"]
"""What ends it: the last one leaving, or (after a grace period) the last host leaving."""


NameRule = Literal["none", "ask", "ask_until_given"]
"""Whether who comes is asked for a spoken name: not, once, or until there is one."""


class Window(Struct, frozen=True):
    """The hours of a conference, both aware and in the conference's own time zone.

    The zone is what the times are spoken in: give both through
    `datetime.astimezone(ZoneInfo(...))`.

    Attributes:
        opens: Beginning; roles are let in some minutes before.
        closes: End; None for open-ended. A conference that runs then goes on, and whoever drops
            out of it may come back.
    """

    opens: datetime
    closes: datetime | None = None

    def __post_init__(self) -> None:
        """Check both ends.

        Raises:
            RulesError: A time is naive, or the window closes before it opens.
        """
        for name, value in (("opens", self.opens), ("closes", self.closes)):
            if value is not None and value.utcoffset() is None:
                raise RulesError(
                    f"time window: {name} = {value.isoformat()} has no time zone; give one, "
                    "for example 2026-03-02T09:00+01:00"
                )
        if self.closes is not None and self.closes <= self.opens:
            raise RulesError(
                f"time window: it closes at {self.closes.isoformat()}, which is not after it "
                f"opens at {self.opens.isoformat()}"
            )


class ConferenceRules(Struct, frozen=True):
    """Rules of one conference.

    Attributes:
        capacity: Most people at once, waiting ones included; 1 or more.
        start: When people are put together.
        end: What ends it.
        grace_s: How long a conference that ends with its host waits for one to return, s.
        max_length_s: Longest time from its start, s; None for no limit.
        wait_limit_s: Longest time that somebody waits for the start, s.
        window: Opening hours; None for always open.
        host_early_s: How long before its window opens a host is let in, s.
        guest_early_s: The same for a guest, s.
        chimes: Whether a tone sounds when somebody comes or goes; hosts may change it by key.
        names: Whether who comes is asked for a name.
        waiting_room: Whether every guest needs a host's word to come in.
        host_places: How many of the places are kept for hosts as long as no host is there.
    """

    capacity: int = 100
    start: StartRule = "at_once"
    end: EndRule = "last_leaves"
    grace_s: float = 120.0
    max_length_s: float | None = None
    wait_limit_s: float = 1800.0
    window: Window | None = None
    host_early_s: float = 900.0
    guest_early_s: float = 300.0
    chimes: bool = True
    names: NameRule = "none"
    waiting_room: bool = False
    host_places: int = 0

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            RulesError: A value is out of its range.
        """
        if self.capacity < 1:
            raise RulesError(f"conference: capacity must be 1 or more, got {self.capacity}")
        if not 0 <= self.host_places <= self.capacity:
            raise RulesError(
                f"conference: host_places must be from 0 to the capacity, {self.capacity}, got "
                f"{self.host_places}"
            )
        for name in ("grace_s", "host_early_s", "guest_early_s"):
            if getattr(self, name) < 0:
                raise RulesError(
                    f"conference: {name} must be 0 s or more, got {getattr(self, name)}"
                )
        for name in ("max_length_s", "wait_limit_s"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise RulesError(f"conference: {name} must be more than 0 s, got {value}")
