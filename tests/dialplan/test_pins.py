"""PINs: check digit, length, how they are made."""

from itertools import product
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialplan.errors import NoPinLeftError, PinError
from dialplan.pins import (
    _DAMM,
    LENGTHS,
    SHORT_LENGTHS,
    Verdict,
    chance,
    check,
    check_digit,
    generate,
    is_guessable,
    length_for,
    space,
)

pins = st.builds(
    lambda seed, length: generate(Random(seed), length),
    st.integers(0, 2**32),
    st.sampled_from(sorted(set(LENGTHS))),
)


def test_damm_check_digit_of_the_published_example() -> None:
    """The check digit of 572 is 4, as in Damm's own example."""
    assert check_digit("572") == "4"
    assert check_digit("5724") == "0"


def test_the_check_digit_finds_every_slip_of_its_two_kinds() -> None:
    """Damm's two conditions, over the whole table, so for numbers of every length.

    A wrong digit changes the interim digit for good because rows and columns hold each digit
    once; a swap does because (c * x) * y = (c * y) * x only where x = y.
    """
    digits = range(10)
    for row in range(10):
        assert set(_DAMM[row]) == set(digits)
        assert {_DAMM[other][row] for other in digits} == set(digits)
        assert _DAMM[row][row] == 0
    for interim, x, y in product(digits, repeat=3):
        swapped = _DAMM[_DAMM[interim][x]][y] == _DAMM[_DAMM[interim][y]][x]
        assert swapped is (x == y)


@given(pins, st.data())
def test_one_wrong_digit_is_mistyped(pin: str, data: st.DataObject) -> None:
    """Any one wrong digit after the first is told from a stranger without a look-up."""
    place = data.draw(st.integers(1, len(pin) - 1))
    wrong = data.draw(st.sampled_from([d for d in "0123456789" if d != pin[place]]))
    assert check(pin[:place] + wrong + pin[place + 1 :]) is Verdict.MISTYPED


@given(pins, st.data())
def test_swapped_neighbours_are_mistyped(pin: str, data: st.DataObject) -> None:
    """Two neighbours keyed in the wrong order are found, the first digit's length allowing."""
    place = data.draw(st.integers(1, len(pin) - 2))
    swapped = pin[:place] + pin[place + 1] + pin[place] + pin[place + 2 :]
    expected = Verdict.COMPLETE if swapped == pin else Verdict.MISTYPED
    assert check(swapped) is expected


@given(pins)
def test_no_pin_is_complete_before_its_last_digit(pin: str) -> None:
    """Every proper prefix is incomplete, so no PIN is a prefix of another."""
    assert check(pin) is Verdict.COMPLETE
    assert all(check(pin[:n]) is Verdict.INCOMPLETE for n in range(len(pin)))
    assert check(pin + "0") is Verdict.MISTYPED


@given(pins, pins)
def test_no_pin_is_a_prefix_of_another(one: str, other: str) -> None:
    """A room's PIN never opens another room on the way, whatever lengths are in use."""
    assert one == other or not other.startswith(one)


def test_every_first_digit_tells_a_length() -> None:
    """No key begins a number that would never be complete."""
    assert len(LENGTHS) == 10
    assert set(SHORT_LENGTHS) < set(LENGTHS)


@pytest.mark.parametrize(
    ("pins_out", "length"),
    [
        (1, 9),
        (100, 9),
        (101, 10),
        (1_000, 10),
        (10_000, 11),
        (100_000, 12),
        (101_000, 13),
        (1_000_000, 13),
        (50_000_000, 13),
    ],
)
def test_new_pins_are_just_long_enough(pins_out: int, length: int) -> None:
    """Nine digits do up to 100 PINs and twelve at 100,000; never a short one."""
    assert length_for(pins_out) == length


@pytest.mark.parametrize("pins_out", [1, 2, 99, 100, 101, 5_000, 100_000, 1_000_000])
def test_ten_thousand_guesses_stay_under_one_per_cent(pins_out: int) -> None:
    """At the length chosen, 10,000 check-valid guesses find any room with under 1 % chance."""
    length = length_for(pins_out)
    assert chance(length, pins_out, 10_000) < 0.01
    shorter = [n for n in set(LENGTHS) - set(SHORT_LENGTHS) if n < length]
    assert all(chance(n, pins_out, 10_000) >= 0.01 for n in shorter)


def test_chance_is_stated_for_short_pins_and_knowing_guessers() -> None:
    """An administrator who chooses six digits is told what that costs."""
    assert chance(6, 2, 10_000) == pytest.approx(0.181, abs=0.001)
    assert chance(9, 40, 10_000, knows_length=True) < 0.01
    assert chance(9, 100, 10_000, knows_length=True) == pytest.approx(0.0247, abs=0.0001)
    assert chance(9, 0, 10_000) == 0.0
    assert chance(6, 10**9, 1) == 1.0


def test_chance_agrees_with_counting() -> None:
    """The formula's space is the number of check-valid PINs of that length."""
    body = ("".join(digits) for digits in product("0123456789", repeat=5))
    six = sum(LENGTHS[int(b[0])] == 6 for b in body)
    assert six == space(6)


def test_an_unknown_length_is_refused() -> None:
    """A length that no first digit tells names those that there are."""
    with pytest.raises(PinError, match="one of"):
        space(7)
    with pytest.raises(PinError):
        generate(Random(1), 5)


@given(pins)
def test_issued_pins_are_not_guessable(pin: str) -> None:
    """No issued PIN is one that people would try first."""
    assert not is_guessable(pin)


@pytest.mark.parametrize(
    "body", ["22222222", "23456789", "43210987", "23232323", "45645645", "55555551", "25252525"]
)
def test_patterns_are_guessable(body: str) -> None:
    """Repeats, runs and patterns are never issued."""
    assert is_guessable(body + check_digit(body))


def test_few_pins_are_lost_to_being_guessable() -> None:
    """The rule takes less than 3 in 10,000 nine-digit PINs, so that the chances hold."""
    rng = Random(7)
    bodies = ("2345"[rng.randrange(4)] + f"{rng.randrange(10**7):07}" for _ in range(60_000))
    guessable = sum(is_guessable(body + check_digit(body)) for body in bodies)
    assert guessable / 60_000 < 0.0005


def test_generate_avoids_taken_pins_and_says_when_none_is_left() -> None:
    """What is out already is not issued twice; a length that is used up says so."""
    rng = Random(3)
    first = generate(rng, 9)
    assert generate(Random(3), 9, taken={first}) != first

    class Everything:
        def __contains__(self, pin: object) -> bool:
            return True

    with pytest.raises(NoPinLeftError, match="longer"):
        generate(rng, 6, taken=Everything())


def test_generate_is_repeatable_with_a_seed() -> None:
    """The same seed makes the same PINs, for demonstrations and tests."""
    assert [generate(Random(5), 12) for _ in range(2)] == [generate(Random(5), 12)] * 2
