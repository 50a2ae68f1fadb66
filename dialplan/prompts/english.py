"""English as the recorded voice speaks it: American, twelve-hour clock, "twenty-one"."""

import datetime as dt
from typing import Final

from dialplan.prompts.spoken import Spoken, checked_minutes, checked_number, digit_clips, words

__all__ = ["English"]

_UNITS: Final = words(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
)
_TENS: Final = words("zero ten twenty thirty forty fifty sixty seventy eighty ninety")
_WEEKDAYS: Final = words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
_MONTHS: Final = words(
    "January February March April May June July August September October November December"
)
_ORDINALS: Final = words(
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth "
    "fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth twenty-first "
    "twenty-second twenty-third twenty-fourth twenty-fifth twenty-sixth twenty-seventh "
    "twenty-eighth twenty-ninth thirtieth thirty-first"
)
# North America's plan, with and without its country code.
_GROUPS: Final = {10: (3, 3, 4), 11: (1, 3, 3, 4)}
_NOON: Final = 12
_HALF_HOURS: Final = (0, 30)


class English:
    """The rules of English."""

    code = "en"

    def plural(self, number: int) -> str:
        """Return ``"one"`` for 1 alone: "zero people", "one person", "twenty-one people"."""
        return "one" if number == 1 else "other"

    def number_text(self, number: int, gender: str = "") -> str:
        """Return a number in words: ``121`` is "one hundred twenty-one"."""
        del gender  # English numbers have none
        number = checked_number(number)
        said: list[str] = []
        thousands, number = divmod(number, 1000)
        if thousands:
            said += [self.number_text(thousands), "thousand"]
        hundreds, number = divmod(number, 100)
        if hundreds:
            said += [_UNITS[hundreds], "hundred"]
        if number or not said:
            said.append(_below_hundred(number))
        return " ".join(said)

    def number(self, number: int, gender: str = "") -> Spoken:
        """Return the clips of a number; what is below a hundred is recorded whole."""
        del gender
        number = checked_number(number)
        clips: Spoken = []
        thousands, number = divmod(number, 1000)
        if thousands:
            clips += [*self.number(thousands), "number.thousand"]
        hundreds, number = divmod(number, 100)
        if hundreds:
            clips += [f"number.{hundreds}", "number.hundred"]
        if number or not clips:
            clips.append(f"number.{number}")
        return clips

    def minutes_text(self, minutes: int) -> str:
        """Return a length of time in words: "one hour and five minutes"."""
        hours, rest = checked_minutes(minutes)
        parts = []
        if hours:
            parts.append(f"{self.number_text(hours)} hour{'s' if hours > 1 else ''}")
        if rest:
            parts.append(f"{self.number_text(rest)} minute{'s' if rest > 1 else ''}")
        return " and ".join(parts)

    def minutes(self, minutes: int, *, final: bool) -> Spoken:
        """Return the clips of a length of time: hours, then minutes."""
        hours, rest = checked_minutes(minutes)
        clips: Spoken = []
        if hours:
            clips += ["hours.1"] if hours == 1 else [*self.number(hours), "hours"]
        if hours and rest:
            clips.append("and")
        if rest:
            clips += ["minutes.1"] if rest == 1 else [*self.number(rest), "minutes"]
        if final:
            clips[-1] += ".end"
        return clips

    def digits(self, digits: str) -> Spoken:
        """Return the clips of a telephone number: three, three and four in North America."""
        return digit_clips(digits, _GROUPS)

    def time(self, time: dt.time) -> Spoken:
        """Return the clips of a time: "nine thirty a.m.", "noon", "nine oh five p.m."."""
        if time.minute in _HALF_HOURS:
            return [f"time.{time.hour:02}{time.minute:02}"]
        minute = f"time.minute.{time.minute}" if time.minute < 10 else f"number.{time.minute}"  # noqa: PLR2004 two digits
        return [f"number.{time.hour % 12 or 12}", minute, f"time.{_half_of_day(time.hour)}"]

    def weekday(self, date: dt.date) -> Spoken:
        """Return the clip of a weekday, in the middle of a sentence."""
        return [f"weekday.{date.isoweekday()}"]

    def date(self, date: dt.date) -> Spoken:
        """Return the clips of a date: "Tuesday, March third"."""
        return [*self.weekday(date), "pause.80", f"month.{date.month}", f"ordinal.{date.day}"]

    def clips(self) -> dict[str, str]:
        """Return what is to be recorded, as name and text."""
        clips = {f"number.{number}": f"{self.number_text(number)}," for number in range(100)}
        clips["number.hundred"] = "hundred,"
        clips["number.thousand"] = "thousand,"
        clips["digit.plus"] = "plus,"
        for digit in range(10):
            clips[f"digit.{digit}"] = f"{_UNITS[digit]},"
            clips[f"digit.{digit}.end"] = f"{_UNITS[digit]}."
        for key in ("star", "hash"):
            clips[f"digit.{key}"] = f"{key},"
            clips[f"digit.{key}.end"] = f"{key}."
        lengths = {"hours.1": "one hour", "hours": "hours"}
        lengths |= {"minutes.1": "one minute", "minutes": "minutes"}
        for name, text in lengths.items():
            clips[name] = f"{text},"
            clips[f"{name}.end"] = f"{text}."
        clips["and"] = "and"
        for hour in range(24):
            for minute in _HALF_HOURS:
                clips[f"time.{hour:02}{minute:02}"] = f"{_clock(hour, minute)}."
        for minute in range(1, 10):
            clips[f"time.minute.{minute}"] = f"oh {_UNITS[minute]},"
        clips["time.am"] = "A.M."
        clips["time.pm"] = "P.M."
        clips |= {f"weekday.{day}": f"{name}," for day, name in enumerate(_WEEKDAYS, 1)}
        clips |= {f"month.{month}": f"{name}," for month, name in enumerate(_MONTHS, 1)}
        return clips | {f"ordinal.{day}": f"{name}," for day, name in enumerate(_ORDINALS, 1)}


def _below_hundred(number: int) -> str:
    if number < len(_UNITS):
        return _UNITS[number]
    tens, unit = divmod(number, 10)
    return f"{_TENS[tens]}-{_UNITS[unit]}" if unit else _TENS[tens]


def _half_of_day(hour: int) -> str:
    return "am" if hour < _NOON else "pm"


def _clock(hour: int, minute: int) -> str:
    if not minute and hour in {0, _NOON}:
        return "noon" if hour else "midnight"
    words = [_below_hundred(hour % 12 or 12), "A.M" if hour < _NOON else "P.M"]
    if minute:
        words.insert(1, _below_hundred(minute))
    return " ".join(words)
