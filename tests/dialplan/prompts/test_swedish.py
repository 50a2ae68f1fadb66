"""How Swedish speaks numbers, times, dates and telephone numbers."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialplan.prompts.spoken import LARGEST_NUMBER, LONGEST_MINUTES
from dialplan.prompts.swedish import Swedish

RULES = Swedish()


@pytest.mark.parametrize(
    ("number", "neuter", "common"),
    [
        (0, "noll", "noll"),
        (1, "ett", "en"),
        (2, "två", "två"),
        (11, "elva", "elva"),
        (12, "tolv", "tolv"),
        (18, "arton", "arton"),
        (20, "tjugo", "tjugo"),
        (21, "tjugoett", "tjugoen"),
        (31, "trettioett", "trettioen"),
        (44, "fyrtiofyra", "fyrtiofyra"),
        (91, "nittioett", "nittioen"),
        (100, "etthundra", "etthundra"),
        (101, "etthundraett", "etthundraen"),
        (111, "etthundraelva", "etthundraelva"),
        (121, "etthundratjugoett", "etthundratjugoen"),
        (1000, "ettusen", "ettusen"),
        (21_001, "tjugoettusenett", "tjugoettusenen"),
        (2099, *["tvåtusennittionio"] * 2),
    ],
)
def test_numbers_in_words(number: int, neuter: str, common: str) -> None:
    """A number ends in "ett" by itself and in "en" before a noun of the common gender."""
    assert RULES.number_text(number) == neuter
    assert RULES.number_text(number, "common") == common


@given(number=st.integers(0, LARGEST_NUMBER), gender=st.sampled_from(["", "common"]))
def test_number_clips_say_the_number_in_words(number: int, gender: str) -> None:
    """The clips of any number, read one after the other, are the number in words."""
    texts = RULES.clips()
    said = "".join(texts[clip].strip(".,") for clip in RULES.number(number, gender))
    # Before "tusen" the t of "ett" is written once and heard once.
    assert said.replace("etttusen", "ettusen") == RULES.number_text(number, gender)


@pytest.mark.parametrize(
    ("minutes", "text"),
    [
        (1, "en minut"),
        (2, "två minuter"),
        (21, "tjugoen minuter"),
        (60, "en timme"),
        (61, "en timme och en minut"),
        (1260, "tjugoen timmar"),
        (1440, "tjugofyra timmar"),
    ],
)
def test_lengths_of_time_in_words(minutes: int, text: str) -> None:
    """Minutes and hours are of the common gender."""
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
        ("00:00", "vid midnatt"),
        ("00:30", "klockan noll trettio"),
        ("01:00", "klockan ett"),
        ("09:00", "klockan nio"),
        ("09:05", "klockan nio noll fem"),
        ("12:00", "klockan tolv"),
        ("15:30", "klockan femton trettio"),
        ("21:17", "klockan tjugoett sjutton"),
        ("23:59", "klockan tjugotre femtionio"),
    ],
)
def test_times_of_day(time: str, said: str) -> None:
    """A time of day is told by the twenty-four-hour clock."""
    texts = RULES.clips()
    clips = RULES.time(dt.time.fromisoformat(time))
    assert " ".join(texts[clip].strip(".,") for clip in clips) == said


def test_date() -> None:
    """A date is told as weekday, day and month."""
    texts = RULES.clips()
    clips = RULES.date(dt.date(2026, 3, 3))
    assert " ".join(texts[clip].strip(",") for clip in clips) == "tisdag den tredje mars"


def test_telephone_number_is_read_in_groups() -> None:
    """A mobile number is read three, three, two, two."""
    clips = RULES.digits("0701740605")
    groups = " ".join(clips).split(" pause.220 ")
    assert [len(group.split()) for group in groups] == [3, 3, 2, 2]
    assert clips[-1] == "digit.5.end"


def test_counts_agree() -> None:
    """One person, but zero, two and twenty-one of them take the plural."""
    forms = [RULES.plural(count) for count in (0, 1, 2, 21, 101)]
    assert forms == ["other", "one", "other", "other", "other"]
