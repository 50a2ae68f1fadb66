"""What every language's rules share: arguments that can be spoken, and groups of digits."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialplan.prompts import spoken
from dialplan.prompts.errors import PhraseArgumentError


@pytest.mark.parametrize("value", [-1, 1_000_000, True, 1.5, "7", None])
def test_what_is_no_number_is_refused(value: object) -> None:
    """Only integers from 0 to 999,999 are numbers; True is not one."""
    with pytest.raises(PhraseArgumentError, match="expected an integer from 0"):
        spoken.checked_number(value)


@pytest.mark.parametrize("value", [0, 1441, True, "10"])
def test_what_is_no_length_of_time_is_refused(value: object) -> None:
    """Only integers from 1 to 1,440 are minutes."""
    with pytest.raises(PhraseArgumentError, match="expected an integer from 1"):
        spoken.checked_minutes(value)


@pytest.mark.parametrize(
    "value",
    [
        "09:30",
        "2026-03-03T09:30:00+01:00",
        dt.time(9, 30),
        dt.datetime(2026, 3, 3, 9, 30, tzinfo=dt.UTC),
    ],
)
def test_times_of_every_type(value: object) -> None:
    """A time is taken as an object or in ISO 8601, and stays the local one that it says."""
    assert spoken.parse_time(value).replace(tzinfo=None) == dt.time(9, 30)


@pytest.mark.parametrize("value", ["25:00", "noon", 930, None])
def test_what_is_no_time_is_refused(value: object) -> None:
    """What is no time is refused, with what was expected."""
    with pytest.raises(PhraseArgumentError, match="such as 09:30"):
        spoken.parse_time(value)


@pytest.mark.parametrize(
    "value",
    [
        "2026-03-03",
        "2026-03-03T23:30:00-08:00",
        dt.date(2026, 3, 3),
        dt.datetime(2026, 3, 3, 9, 30, tzinfo=dt.UTC),
    ],
)
def test_dates_of_every_type(value: object) -> None:
    """A date is taken as an object or in ISO 8601, and stays the local one that it says."""
    assert spoken.parse_date(value) == dt.date(2026, 3, 3)


@pytest.mark.parametrize("value", ["2026-02-30", "today", 20260303, None])
def test_what_is_no_date_is_refused(value: object) -> None:
    """What is no date is refused, with what was expected."""
    with pytest.raises(PhraseArgumentError, match="such as 2026-03-03"):
        spoken.parse_date(value)


@pytest.mark.parametrize("digits", ["", "+", "12a", "1  2", "-12", "12-", "1+2", "1\n"])
def test_refused_digits_are_not_repeated(digits: str) -> None:
    """What is no telephone number is refused, and the message keeps it to itself."""
    with pytest.raises(PhraseArgumentError, match="cannot speak this as digits") as refusal:
        spoken.group_digits(digits, {})
    assert not digits or digits not in str(refusal.value).replace("0 to 9, * and #, with +", "")


def test_written_groups_are_kept() -> None:
    """Spaces and hyphens in a number say how it is read."""
    assert spoken.group_digits("+46 8-123 45", {}) == ["46", "8", "123", "45"]


@given(digits=st.text("0123456789*#", min_size=1, max_size=32))
def test_groups_lose_no_digit(digits: str) -> None:
    """Whatever its length, a number is cut into groups of one to four with nothing lost."""
    groups = spoken.group_digits(digits, {10: (3, 3, 4)})
    assert "".join(groups) == digits
    assert all(1 <= len(group) <= 4 for group in groups)


def test_digits_say_plus_and_keys() -> None:
    """A leading plus is said, and so are star and hash."""
    assert spoken.digit_clips("+1", {}) == ["digit.plus", "digit.1.end"]
    assert spoken.digit_clips("*6#", {}) == ["digit.star", "digit.6", "digit.hash.end"]
