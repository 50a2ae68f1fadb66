"""The kinds of value a setting may have: how each is read, checked and described.

A kind takes a TOML value, or the text of an environment variable, and gives back the typed value
or raises :class:`ValueError` with what was wrong. What is allowed stands in ``allowed``, once, for
messages and for ``dialin config keys``.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_PORTS = range(1024, 65536)
"""What RTP may use: not the ports of the system."""

__all__ = [
    "Kind",
    "PortRange",
    "address",
    "boolean",
    "choice",
    "choices",
    "integer",
    "key_pairs",
    "number",
    "one_number",
    "optional",
    "path",
    "port_range",
    "text",
    "word",
    "words",
]

T = TypeVar("T")


class PortRange(NamedTuple):
    """UDP ports from ``low`` to ``high``, both included."""

    low: int
    high: int

    def __str__(self) -> str:
        """Return the range as it is written in the settings."""
        return f"{self.low}-{self.high}"


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """How one kind of value is read.

    Attributes:
        allowed: What is allowed, as words that follow "allowed:".
        accept: Turns a TOML value into the typed value, or raises :class:`ValueError`.
        read: Turns the text of an environment variable or option into a TOML value.
    """

    allowed: str
    accept: Callable[[Any], T]
    read: Callable[[str], Any] = str


def _read_integer(value: str) -> int | str:
    return int(value) if re.fullmatch(r"[+-]?[0-9]{1,18}", value) else value


def _read_number(value: str) -> float | str:
    try:
        return float(value)
    except ValueError:
        return value


def _read_boolean(value: str) -> bool | str:
    return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}.get(
        value.lower(), value
    )


def integer(low: int, high: int) -> Kind[int]:
    """Return the kind of whole numbers from ``low`` to ``high``, both included."""

    def accept(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError
        return value

    return Kind(f"a whole number from {low} to {high}", accept, _read_integer)


def key_pairs() -> Kind[str]:
    """Return the kind of a command's keys: pairs with blanks between them, or none."""

    def accept(value: object) -> str:
        if not isinstance(value, str) or not all(
            re.fullmatch(r"[*#][0-9*#]", pair) for pair in value.split()
        ):
            raise ValueError
        return " ".join(value.split())

    return Kind('star or hash and one more key ("*6"), several with blanks, "" for none', accept)


def one_number(*numbers: int) -> Kind[int]:
    """Return the kind of one of ``numbers``."""

    def accept(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value not in numbers:
            raise ValueError
        return value

    return Kind("one of " + ", ".join(map(str, numbers)), accept, _read_integer)


def number(low: float, high: float) -> Kind[float]:
    """Return the kind of numbers from ``low`` to ``high``, both included."""

    def accept(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError  # noqa: TRY004 - every wrong value is the same error to the loader
        if not low <= value <= high:
            raise ValueError
        return float(value)

    return Kind(f"a number from {low:g} to {high:g}", accept, _read_number)


def boolean() -> Kind[bool]:
    """Return the kind of yes and no."""

    def accept(value: object) -> bool:
        if not isinstance(value, bool):
            raise ValueError  # noqa: TRY004 - every wrong value is the same error to the loader
        return value

    return Kind("true or false", accept, _read_boolean)


def text(most: int = 200) -> Kind[str]:
    """Return the kind of one line of text, of at most ``most`` characters."""

    def accept(value: object) -> str:
        if not isinstance(value, str) or not 1 <= len(value) <= most or not value.isprintable():
            raise ValueError
        return value

    return Kind(f"one line of text, 1 to {most} characters", accept)


def choice(*words: str) -> Kind[str]:
    """Return the kind of one of ``words``."""

    def accept(value: object) -> str:
        if value not in words:
            raise ValueError
        return str(value)

    return Kind("one of " + ", ".join(f'"{word}"' for word in words), accept)


def choices(*words: str) -> Kind[tuple[str, ...]]:
    """Return the kind of a list, not empty and without repeats, of ``words``."""

    def accept(value: object) -> tuple[str, ...]:
        if not isinstance(value, list) or not value:
            raise ValueError
        chosen: Sequence[object] = value
        if len(set(map(str, chosen))) != len(chosen) or any(word not in words for word in chosen):
            raise ValueError
        return tuple(str(word) for word in chosen)

    def read(value: str) -> list[str]:
        return [word.strip() for word in value.split(",")]

    return Kind("a list of " + ", ".join(f'"{word}"' for word in words), accept, read)


def words(allowed: str, pattern: str) -> Kind[tuple[str, ...]]:
    """Return the kind of a list of words of one form, without repeats; it may be empty."""

    def accept(value: object) -> tuple[str, ...]:
        if not isinstance(value, list) or len(set(map(str, value))) != len(value):
            raise ValueError
        found = tuple(str(word) for word in value)
        if not all(re.fullmatch(pattern, word) for word in found):
            raise ValueError
        return found

    def read(value: str) -> list[str]:
        return [word.strip() for word in value.split(",") if word.strip()]

    return Kind(allowed, accept, read)


def word(allowed: str, pattern: str) -> Kind[str]:
    """Return the kind of one word of one form."""

    def accept(value: object) -> str:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise ValueError
        return value

    return Kind(allowed, accept)


def address() -> Kind[str]:
    """Return the kind of an IPv4 address (PJSIP's build has no IPv6)."""

    def accept(value: object) -> str:
        if not isinstance(value, str):
            raise ValueError  # noqa: TRY004 - every wrong value is the same error to the loader
        return str(ipaddress.IPv4Address(value))

    return Kind('an IPv4 address, such as "192.0.2.10"', accept)


def path() -> Kind[Path]:
    """Return the kind of a path; the loader makes it absolute."""

    def accept(value: object) -> Path:
        if not isinstance(value, str) or not value or "\0" in value:
            raise ValueError
        return Path(value).expanduser()

    return Kind("a path; in a file, a relative one begins at the file's folder", accept)


def port_range(fewest: int) -> Kind[PortRange]:
    """Return the kind of a range of UDP ports, written ``"16384-32767"``.

    Args:
        fewest: The least number of ports the range may have.
    """

    def accept(value: object) -> PortRange:
        match = re.fullmatch(r"([0-9]{1,5})-([0-9]{1,5})", value if isinstance(value, str) else "")
        if match is None:
            raise ValueError
        chosen = PortRange(int(match[1]), int(match[2]))
        if chosen.low not in _PORTS or chosen.high not in _PORTS:
            raise ValueError
        if chosen.high - chosen.low + 1 < fewest:
            raise ValueError
        return chosen

    return Kind(f'"LOW-HIGH" within 1024 to 65535, at least {fewest} ports', accept)


def optional(kind: Kind[T]) -> Kind[T | None]:
    """Return ``kind``, or nothing where the text is empty."""

    def accept(value: object) -> T | None:
        return None if value == "" else kind.accept(value)

    return Kind(f'{kind.allowed}, or "" for none', accept, kind.read)
