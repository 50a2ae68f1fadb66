"""Telephone numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialplan.errors import NumberError
from dialplan.numbers import candidates, first_known, mask, normalise


@pytest.mark.parametrize(
    ("text", "region", "number", "kind", "country"),
    [
        ("+46850550000", None, "+46850550000", "local", "SE"),
        ("0046850550000", "SE", "+46850550000", "local", "SE"),
        ("0046850550000", None, "+46850550000", "local", "SE"),
        ("46850550000", "SE", "+46850550000", "local", "SE"),
        ("08-505 500 00", "SE", "+46850550000", "local", "SE"),
        ("tel:+46-8-505-500-00;phone-context=example.org", None, "+46850550000", "local", "SE"),
        ("sip:+46850550000@203.0.113.5", None, "+46850550000", "local", "SE"),
        ("0771123456", "SE", "+46771123456", "shared_cost", "SE"),
        ("020123456", "SE", "+4620123456", "toll_free", "SE"),
        ("2025550123", "US", "+12025550123", "local", "US"),
        ("12025550123", "US", "+12025550123", "local", "US"),
        ("01146850550000", "US", "+46850550000", "local", "SE"),
        ("+18005550199", "US", "+18005550199", "toll_free", "US"),
        ("+4915112345678", None, "+4915112345678", "mobile", "DE"),
        ("+80012345678", None, "+80012345678", "toll_free", ""),
        ("1000", "SE", "1000", "extension", ""),
        ("1000", "US", "1000", "extension", ""),
        ("1000", None, "1000", "extension", ""),
        ("123456", "SE", "123456", "extension", ""),
    ],
)
def test_numbers_as_carriers_write_them(
    text: str, region: str | None, number: str, kind: str, country: str
) -> None:
    """Every writing of a number comes to the same E.164, with kind and country."""
    found = normalise(text, region)
    assert (found.number, found.kind, found.country) == (number, kind, country)


@pytest.mark.parametrize("text", ["", "+", "alice", "anonymous", "9" * 200, "12a4", "٣٤٥٦"])
def test_what_is_no_number_is_refused(text: str) -> None:
    """A name or nonsense is an error that shows how to write a number."""
    with pytest.raises(NumberError, match="write it as"):
        normalise(text, "SE")


def test_a_refusal_masks_what_was_written() -> None:
    """The message of the error holds no number that could be told."""
    with pytest.raises(NumberError) as caught:
        normalise("+999123456789")
    assert "123456" not in str(caught.value)


def test_candidates_keep_their_order_and_none_comes_twice() -> None:
    """The Request-URI weighs more than `To`, and `To` more than `Diversion`."""
    users = ("service", "0850550000", "+46850550000", "1000")
    assert candidates(users, "SE") == ("+46850550000", "0850550000", "1000")


def test_the_first_known_number_wins() -> None:
    """What was dialled may stand behind a trunk's own account number."""
    known = {"+46850550000", "1000"}
    assert first_known(("trunk-7", "46850550000", "1000"), known, "SE") == "+46850550000"
    assert first_known(("5551234",), known, "SE") is None


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("+46850550000", "+46*******00"),
        ("+12025550123", "+1********23"),
        ("1000", "**00"),
        ("100", "**0"),
        ("7", "*"),
        ("", ""),
        ("+x", "+*"),
    ],
)
def test_masked_for_display(number: str, shown: str) -> None:
    """Country code and two digits stay."""
    assert mask(number) == shown


@given(st.text(max_size=80), st.sampled_from([None, "SE", "US", "XX"]))
def test_any_text_is_a_number_or_a_documented_error(text: str, region: str | None) -> None:
    """Whatever stands in a user part is read or refused, and masks without an error."""
    candidates((text,), region)
    assert len(mask(text)) == len(text)
    try:
        found = normalise(text, region)
    except NumberError:
        return
    assert found.number.lstrip("+").isascii()
    assert found.number.lstrip("+").isdecimal()
