"""Swedish: twenty-four hours, "tjugoen personer" but "klockan tjugoett"."""

import datetime as dt
from typing import Final

from dialplan.prompts.spoken import Spoken, checked_minutes, checked_number, digit_clips, words

__all__ = ["Swedish"]

_UNITS: Final = words(
    "noll ett två tre fyra fem sex sju åtta nio tio elva tolv tretton fjorton femton sexton "
    "sjutton arton nitton"
)
_TENS: Final = words("noll tio tjugo trettio fyrtio femtio sextio sjuttio åttio nittio")
_WEEKDAYS: Final = words("måndag tisdag onsdag torsdag fredag lördag söndag")
_MONTHS: Final = words(
    "januari februari mars april maj juni juli augusti september oktober november december"
)
_ORDINALS: Final = words(
    "första andra tredje fjärde femte sjätte sjunde åttonde nionde tionde elfte tolfte trettonde "
    "fjortonde femtonde sextonde sjuttonde artonde nittonde tjugonde tjugoförsta tjugoandra "
    "tjugotredje tjugofjärde tjugofemte tjugosjätte tjugosjunde tjugoåttonde tjugonionde "
    "trettionde trettioförsta"
)
# Area code, then threes and twos: 08-123 456 78, 070-123 45 67; with 46 in front alike.
_GROUPS: Final = {
    8: (3, 3, 2),
    9: (2, 3, 2, 2),
    10: (3, 3, 2, 2),
    11: (2, 2, 3, 2, 2),
    12: (2, 3, 3, 2, 2),
}
_COMMON: Final = "common"
# Minutes that are recorded as the end of a sentence: those with a zero, and those of appointments.
_WHOLE_MINUTES: Final = (*range(1, 10), *range(10, 60, 5))


class Swedish:
    """The rules of Swedish.

    Swedish numbers that end in one agree with what they count: *en* person, *ett* samtal. The
    gender ``"common"`` asks for the first; numbers by themselves, digits and times take the
    second.
    """

    code = "sv"

    def plural(self, number: int) -> str:
        """Return ``"one"`` for 1 alone: "noll personer", "en person", "tjugoen personer"."""
        return "one" if number == 1 else "other"

    def number_text(self, number: int, gender: str = "") -> str:
        """Return a number in words: ``121`` is "etthundratjugoett", or "…tjugoen"."""
        number = checked_number(number)
        thousands, number = divmod(number, 1000)
        # Of three equal consonants in a row Swedish writes two: ett + tusen is "ettusen".
        text = f"{self.number_text(thousands)}tusen".replace("ttt", "tt") if thousands else ""
        hundreds, number = divmod(number, 100)
        if hundreds:
            text += f"{_UNITS[hundreds]}hundra"
        if number or not text:
            text += _below_hundred(number, gender)
        return text

    def number(self, number: int, gender: str = "") -> Spoken:
        """Return the clips of a number; what is below a hundred is recorded whole."""
        number = checked_number(number)
        clips: Spoken = []
        thousands, number = divmod(number, 1000)
        if thousands:
            clips += [*self.number(thousands), "number.thousand"]
        hundreds, number = divmod(number, 100)
        if hundreds:
            clips += [f"number.{hundreds}", "number.hundred"]
        if number or not clips:
            clips.append(f"number.{number}{_suffix(number, gender)}")
        return clips

    def minutes_text(self, minutes: int) -> str:
        """Return a length of time in words: "en timme och fem minuter"."""
        hours, rest = checked_minutes(minutes)
        parts = []
        if hours:
            parts.append(f"{self.number_text(hours, _COMMON)} {'timmar' if hours > 1 else 'timme'}")
        if rest:
            parts.append(f"{self.number_text(rest, _COMMON)} minut{'er' if rest > 1 else ''}")
        return " och ".join(parts)

    def minutes(self, minutes: int, *, final: bool) -> Spoken:
        """Return the clips of a length of time: hours, then minutes."""
        hours, rest = checked_minutes(minutes)
        clips: Spoken = []
        if hours:
            clips += ["hours.1"] if hours == 1 else [*self.number(hours, _COMMON), "hours"]
        if hours and rest:
            clips.append("and")
        if rest:
            clips += ["minutes.1"] if rest == 1 else [*self.number(rest, _COMMON), "minutes"]
        if final:
            clips[-1] += ".end"
        return clips

    def digits(self, digits: str) -> Spoken:
        """Return the clips of a telephone number, in threes and twos."""
        return digit_clips(digits, _GROUPS)

    def time(self, time: dt.time) -> Spoken:
        """Return the clips of a time: "klockan nio", "klockan femton trettio"."""
        if not time.minute:
            return [f"time.{time.hour:02}00"]
        minute = f"time.minute.{time.minute}"
        if time.minute not in _WHOLE_MINUTES:
            minute = f"number.{time.minute}"
        return ["time.at", f"number.{time.hour}", minute]

    def weekday(self, date: dt.date) -> Spoken:
        """Return the clip of a weekday, in the middle of a sentence."""
        return [f"weekday.{date.isoweekday()}"]

    def date(self, date: dt.date) -> Spoken:
        """Return the clips of a date: "tisdag den tredje mars"."""
        return [*self.weekday(date), f"ordinal.{date.day}", f"month.{date.month}"]

    def clips(self) -> dict[str, str]:
        """Return what is to be recorded, as name and text."""
        clips = {f"number.{number}": f"{self.number_text(number)}," for number in range(100)}
        for number in range(100):
            if suffix := _suffix(number, _COMMON):
                clips[f"number.{number}{suffix}"] = f"{self.number_text(number, _COMMON)},"
        clips["number.hundred"] = "hundra,"
        clips["number.thousand"] = "tusen,"
        clips["digit.plus"] = "plus,"
        for digit in range(10):
            clips[f"digit.{digit}"] = f"{_UNITS[digit]},"
            clips[f"digit.{digit}.end"] = f"{_UNITS[digit]}."
        for key, word in (("star", "stjärna"), ("hash", "fyrkant")):
            clips[f"digit.{key}"] = f"{word},"
            clips[f"digit.{key}.end"] = f"{word}."
        lengths = {"hours.1": "en timme", "hours": "timmar"}
        lengths |= {"minutes.1": "en minut", "minutes": "minuter"}
        for name, text in lengths.items():
            clips[name] = f"{text},"
            clips[f"{name}.end"] = f"{text}."
        clips["and"] = "och"
        for hour in range(24):
            clips[f"time.{hour:02}00"] = f"klockan {_below_hundred(hour)}."
        # Midnight as a zero alone leaves a listener waiting for more.
        clips["time.0000"] = "vid midnatt."
        clips["time.at"] = "klockan"
        for minute in _WHOLE_MINUTES:
            zero = "noll " if minute < 10 else ""  # noqa: PLR2004 two digits
            clips[f"time.minute.{minute}"] = f"{zero}{_below_hundred(minute)}."
        clips |= {f"weekday.{day}": f"{name}," for day, name in enumerate(_WEEKDAYS, 1)}
        clips |= {f"month.{month}": f"{name}," for month, name in enumerate(_MONTHS, 1)}
        return clips | {f"ordinal.{day}": f"den {name}," for day, name in enumerate(_ORDINALS, 1)}


def _below_hundred(number: int, gender: str = "") -> str:
    if _suffix(number, gender):
        return f"{_TENS[number // 10]}en" if number > 1 else "en"
    if number < len(_UNITS):
        return _UNITS[number]
    tens, unit = divmod(number, 10)
    return f"{_TENS[tens]}{_UNITS[unit]}" if unit else _TENS[tens]


def _suffix(number: int, gender: str) -> str:
    ends_in_one = number % 10 == 1 and number != 11  # noqa: PLR2004 elva
    return f".{_COMMON}" if gender == _COMMON and ends_in_one else ""
