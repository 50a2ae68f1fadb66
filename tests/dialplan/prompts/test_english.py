"""How English speaks numbers, times, dates and telephone numbers."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialplan.prompts.english import English
from dialplan.prompts.spoken import LARGEST_NUMBER, LONGEST_MINUTES

RULES = English()


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "zero"),
        (1, "one"),
        (11, "eleven"),
        (19, "nineteen"),
        (20, "twenty"),
        (21, "twenty-one"),
        (40, "forty"),
        (99, "ninety-nine"),
        (100, "one hundred"),
        (101, "one hundred one"),
        (112, "one hundred twelve"),
        (300, "three hundred"),
        (1000, "one thousand"),
        (2021, "two thousand twenty-one"),
        (21_000, "twenty-one thousand"),
        (999_999, "nine hundred ninety-nine thousand nine hundred ninety-nine"),
    ],
)
def test_numbers_in_words(number: int, text: str) -> None:
    """A number is written as an American says it."""
    assert RULES.number_text(number) == text


@given(number=st.integers(0, LARGEST_NUMBER))
def test_number_clips_say_the_number_in_words(number: int) -> None:
    """The clips of any number, read one after the other, are the number in words."""
    texts = RULES.clips()
    said = " ".join(texts[clip].strip(".,") for clip in RULES.number(number))
    assert said == RULES.number_text(number)


@pytest.mark.parametrize("number", range(100))
def test_numbers_below_a_hundred_are_one_recording(number: int) -> None:
    """What is heard most is not put together."""
    assert RULES.number(number) == [f"number.{number}"]


@pytest.mark.parametrize(
    ("minutes", "text"),
    [
        (1, "one minute"),
        (2, "two minutes"),
        (60, "one hour"),
        (61, "one hour and one minute"),
        (90, "one hour and thirty minutes"),
        (150, "two hours and thirty minutes"),
        (1440, "twenty-four hours"),
    ],
)
def test_lengths_of_time_in_words(minutes: int, text: str) -> None:
    """From an hour on, a length of time is told in hours and minutes."""
    assert RULES.minutes_text(minutes) == text


@given(minutes=st.integers(1, LONGEST_MINUTES), final=st.booleans())
def test_length_clips_say_the_length_in_words(minutes: int, *, final: bool) -> None:
    """The clips of a length of time say it, and only the last one may end the sentence."""
    clips = RULES.minutes(minutes, final=final)
    texts = RULES.clips()
    assert " ".join(texts[clip].strip(".,") for clip in clips) == RULES.minutes_text(minutes)
    assert [clip.endswith(".end") for clip in clips] == [False] * (len(clips) - 1) + [final]


@pytest.mark.parametrize(
    ("time", "said"),
    [
        ("00:00", "midnight"),
        ("00:30", "twelve thirty A.M"),
        ("09:00", "nine A.M"),
        ("09:05", "nine oh five A.M"),
        ("09:30", "nine thirty A.M"),
        ("11:59", "eleven fifty-nine A.M"),
        ("12:00", "noon"),
        ("12:15", "twelve fifteen P.M"),
        ("13:00", "one P.M"),
        ("21:45", "nine forty-five P.M"),
    ],
)
def test_times_of_day(time: str, said: str) -> None:
    """A time of day is told by the twelve-hour clock; noon and midnight have their names."""
    texts = RULES.clips()
    clips = RULES.time(dt.time.fromisoformat(time))
    assert " ".join(texts[clip].strip(".,") for clip in clips) == said


def test_date() -> None:
    """A date is told as weekday, month and day."""
    assert RULES.date(dt.date(2026, 3, 3)) == ["weekday.2", "pause.80", "month.3", "ordinal.3"]


def test_telephone_number_is_read_in_groups() -> None:
    """A North American number is read three, three, four, and falls at its end."""
    clips = RULES.digits("2025550143")
    assert [clip for clip in clips if clip.startswith("pause.")] == ["pause.220"] * 2
    assert clips[3] == clips[7] == "pause.220"
    assert clips[-1] == "digit.3.end"


def test_counts_agree() -> None:
    """One person, but zero, two and twenty-one people."""
    forms = [RULES.plural(count) for count in (0, 1, 2, 21, 101)]
    assert forms == ["other", "one", "other", "other", "other"]
