"""How a language speaks numbers, digits, times and dates: the rules' interface.

A language is one module (`english`, `swedish`) with one object that follows `Language`. It names
clips and does not know sound: `clips()` says what has to be recorded, the other methods say which
of those clips, in which order, make a number or a time. Names that begin with ``pause.`` are not
recorded; the number behind the dot is a silence in milliseconds.
"""

import datetime as dt
import re
from typing import Final, Protocol

from dialplan.prompts.errors import PhraseArgumentError

__all__ = [
    "GROUP_PAUSE",
    "LARGEST_NUMBER",
    "LONGEST_MINUTES",
    "Language",
    "Spoken",
    "checked_minutes",
    "checked_number",
    "digit_clips",
    "group_digits",
    "parse_date",
    "parse_time",
    "words",
]

Spoken = list[str]
"""Names of clips and pauses, in the order in which they are heard."""

LARGEST_NUMBER: Final = 999_999
LONGEST_MINUTES: Final = 1440
GROUP_PAUSE: Final = "pause.220"
"""Between the groups of a telephone number: about the breath that a person takes there."""

_DIGITS: Final = re.compile(r"\+?[0-9*#]+(?:[ -][0-9*#]+)*")
_KEYS: Final = {"*": "star", "#": "hash"}


class Language(Protocol):
    """The rules of one language."""

    code: str

    def plural(self, number: int) -> str:
        """Return which form a count takes: ``"one"`` or ``"other"``."""
        ...

    def number_text(self, number: int, gender: str = "") -> str:
        """Return a number as it is written out in words, 0 to 999,999."""
        ...

    def number(self, number: int, gender: str = "") -> Spoken:
        """Return the clips of a number, 0 to 999,999, spoken inside a sentence."""
        ...

    def minutes_text(self, minutes: int) -> str:
        """Return a length of time in words, 1 to 1,440 minutes: "two hours and one minute"."""
        ...

    def minutes(self, minutes: int, *, final: bool) -> Spoken:
        """Return the clips of a length of time; `final` where the sentence ends with it."""
        ...

    def digits(self, digits: str) -> Spoken:
        """Return the clips of a telephone number, digit by digit and in groups."""
        ...

    def time(self, time: dt.time) -> Spoken:
        """Return the clips of a time of day, as this language says it at a sentence's end."""
        ...

    def weekday(self, date: dt.date) -> Spoken:
        """Return the clips of a date's day of the week."""
        ...

    def date(self, date: dt.date) -> Spoken:
        """Return the clips of a date: weekday, day and month."""
        ...

    def clips(self) -> dict[str, str]:
        """Return every clip that the rules use, as name and text to record."""
        ...


def words(text: str) -> tuple[str, ...]:
    """Return the words of a text; long tables of words read better without quotes."""
    return tuple(text.split())


def checked_number(value: object) -> int:
    """Return an argument as a number that can be spoken.

    Raises:
        PhraseArgumentError: It is not an integer from 0 to 999,999.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LARGEST_NUMBER:
        raise PhraseArgumentError(
            f"cannot speak {type(value).__name__} as a number: expected an integer from 0 to "
            f"{LARGEST_NUMBER}"
        )
    return value


def checked_minutes(value: object) -> tuple[int, int]:
    """Return a length of time as hours and minutes.

    Raises:
        PhraseArgumentError: It is not an integer from 1 to 1,440.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LONGEST_MINUTES:
        raise PhraseArgumentError(
            f"cannot speak {value!r} as minutes: expected an integer from 1 to {LONGEST_MINUTES}"
        )
    return divmod(value, 60)


def parse_time(value: object) -> dt.time:
    """Return an argument as a time of day, local to the listener.

    Args:
        value: A time, a datetime, or either in ISO 8601 ("09:30", "2026-03-03T09:30:00+01:00").

    Raises:
        PhraseArgumentError: It is none of these.
    """
    if isinstance(value, dt.datetime):
        return value.time()
    if isinstance(value, dt.time):
        return value
    if isinstance(value, str):
        for parse in (dt.time.fromisoformat, _time_of_datetime):
            try:
                return parse(value)
            except ValueError:
                continue
    raise PhraseArgumentError(
        f"cannot speak {value!r} as a time: expected a time or ISO 8601, such as 09:30"
    )


def parse_date(value: object) -> dt.date:
    """Return an argument as a date, local to the listener.

    Args:
        value: A date, a datetime, or either in ISO 8601.

    Raises:
        PhraseArgumentError: It is none of these.
    """
    if isinstance(value, dt.datetime):
        return value.date()
    if isinstance(value, dt.date):
        return value
    if isinstance(value, str):
        try:
            return dt.datetime.fromisoformat(value).date()
        except ValueError:
            pass
    raise PhraseArgumentError(
        f"cannot speak {value!r} as a date: expected a date or ISO 8601, such as 2026-03-03"
    )


def group_digits(digits: str, sizes: dict[int, tuple[int, ...]]) -> list[str]:
    """Return a telephone number's digits in the groups in which it is read.

    Args:
        digits: Digits and the keys ``*`` and ``#``, with a leading ``+`` or not; spaces and
            hyphens, where there are any, say the groups.
        sizes: Groups by the number of digits; threes from the left where a length is not in it,
            with a last group of two to four.

    Raises:
        PhraseArgumentError: Something else than digits is in it. The message does not repeat
            them: digits are never logged.
    """
    if not _DIGITS.fullmatch(digits):
        raise PhraseArgumentError(
            "cannot speak this as digits: expected 0 to 9, * and #, with + in front or not, in "
            "groups set apart by single spaces or hyphens"
        )
    plain = digits.removeprefix("+")
    if " " in plain or "-" in plain:
        return re.split("[ -]", plain)
    groups: list[str] = []
    for size in sizes.get(len(plain), ()):
        groups.append(plain[:size])
        plain = plain[size:]
    while len(plain) > 4:  # noqa: PLR2004 a group of five is two groups
        groups.append(plain[:3])
        plain = plain[3:]
    return [*groups, plain] if plain else groups


def digit_clips(digits: str, sizes: dict[int, tuple[int, ...]]) -> Spoken:
    """Return the clips of a telephone number: ``digit.N``, the last as ``digit.N.end``.

    Args:
        digits: As `group_digits` takes them.
        sizes: As `group_digits` takes them.
    """
    spoken: Spoken = ["digit.plus"] if digits.startswith("+") else []
    groups = group_digits(digits, sizes)
    for group in groups:
        spoken += [f"digit.{_KEYS.get(digit, digit)}" for digit in group]
        spoken.append(GROUP_PAUSE)
    spoken[-2:] = [f"{spoken[-2]}.end"]
    return spoken


def _time_of_datetime(text: str) -> dt.time:
    return dt.datetime.fromisoformat(text).time()
