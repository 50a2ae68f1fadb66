"""PINs: check digit, length, how one is issued and how long it has to be.

A PIN is a string of decimal digits with two properties:

* **The first digit tells its length** (`LENGTHS`). No PIN is a prefix of another, so entry is
  complete at the last digit without a timer, and a room's PIN never opens another room on the way.
* **The last digit is Damm's check digit** over all before it (H. M. Damm, *Total
  anti-symmetrische Quasigruppen*, 2004): every single wrong digit and every swap of neighbours is
  found, so that a slip is told from a stranger without a look-up.

How long. A guesser who knows the check digit, but not which lengths are in use, picks any first
digit and finds one of `m` PINs of length `n` with chance `m / 10**(n - 1)` a guess. New PINs are
issued just long enough that 10,000 such guesses have less than 1 % chance: 9 digits up to 100
PINs, 10 up to 1,000, 11 up to 10,000, 12 up to 100,000, 13 up to a million. Someone who holds an
invitation knows a first digit too and aims better: ten times where one first digit stands for
the length, two and a half times for 9 digits, which have four (so up to 40 PINs the 1 % holds
even for them). `chance(..., knows_length=True)` states that figure; against such a guesser stand
the limits across calls in `dialplan.guesses`.

Lengths 6 and 8 exist for an administrator who accepts the chance, and are never chosen otherwise.
"""

from collections.abc import Container
from enum import Enum
from itertools import pairwise
from random import Random
from typing import Final

from dialplan.errors import NoPinLeftError, PinError

__all__ = [
    "GUESSES",
    "LENGTHS",
    "MAX_CHANCE",
    "SHORT_LENGTHS",
    "Verdict",
    "chance",
    "check",
    "check_digit",
    "generate",
    "is_guessable",
    "length_for",
    "space",
]

LENGTHS: Final = (6, 8, 9, 9, 9, 9, 10, 11, 12, 13)
"""Length of the PINs that begin with each digit, 0 to 9. Never change it: PINs are out there."""

SHORT_LENGTHS: Final = (6, 8)
"""Lengths that only an administrator chooses."""

GUESSES: Final = 10_000
"""Check-valid guesses that a new PIN has to withstand."""

MAX_CHANCE: Final = 0.01
"""Chance that they find any room, at most."""

# The totally anti-symmetric quasigroup of order 10 from Damm's thesis, as it is in common use.
_DAMM: Final = (
    (0, 3, 1, 7, 5, 9, 8, 6, 4, 2),
    (7, 0, 9, 2, 1, 5, 4, 8, 6, 3),
    (4, 2, 0, 6, 8, 7, 1, 3, 5, 9),
    (1, 7, 5, 0, 9, 8, 3, 4, 2, 6),
    (6, 1, 2, 3, 0, 4, 5, 9, 7, 8),
    (3, 6, 7, 4, 2, 0, 9, 5, 8, 1),
    (5, 8, 6, 9, 7, 2, 0, 1, 3, 4),
    (8, 9, 4, 5, 3, 6, 2, 0, 1, 7),
    (9, 4, 3, 8, 6, 1, 7, 2, 0, 5),
    (2, 5, 8, 1, 4, 3, 6, 7, 9, 0),
)

_MIN_DISTINCT: Final = 3
_LONG_RUN: Final = 6
_MAX_PERIOD: Final = 3
_PLAIN_STEPS: Final = (0, 1, 9)  # standing still, up, down (modulo 10)
_ATTEMPTS: Final = 10_000


class Verdict(Enum):
    """What a string of digits is, decided without a look-up."""

    INCOMPLETE = "incomplete"
    COMPLETE = "complete"
    MISTYPED = "mistyped"


def check_digit(digits: str) -> str:
    """Compute Damm's check digit.

    Args:
        digits: Decimal digits, without the check digit.

    Returns:
        The digit to append.
    """
    interim = 0
    for digit in digits:
        interim = _DAMM[interim][ord(digit) - 48]
    return str(interim)


def check(digits: str) -> Verdict:
    """Judge what has been keyed so far.

    Args:
        digits: Decimal digits, the first one first.

    Returns:
        `INCOMPLETE` while digits are missing, `COMPLETE` at full length with a right check digit,
        `MISTYPED` otherwise.
    """
    if not digits or len(digits) < LENGTHS[ord(digits[0]) - 48]:
        return Verdict.INCOMPLETE
    if len(digits) > LENGTHS[ord(digits[0]) - 48] or check_digit(digits) != "0":
        return Verdict.MISTYPED
    return Verdict.COMPLETE


def space(length: int) -> int:
    """Count the check-valid PINs of a length.

    Args:
        length: One of `LENGTHS`.

    Returns:
        Their number; the few that `is_guessable` keeps from being issued are counted in.

    Raises:
        PinError: No PIN has this length.
    """
    first_digits = LENGTHS.count(length)
    if not first_digits:
        raise PinError(f"a PIN has one of {sorted(set(LENGTHS))} digits, got {length}")
    return first_digits * int(10 ** (length - 2))


def chance(length: int, pins: int, guesses: int = GUESSES, *, knows_length: bool = False) -> float:
    """State the chance that guessing finds any room.

    Args:
        length: Digits of the PINs.
        pins: How many of them are out.
        guesses: Check-valid guesses made.
        knows_length: Whether the guesser knows the first digits that stand for this length;
            otherwise each guess begins with any of the ten.

    Returns:
        Probability that at least one guess is right, 0 to 1.

    Raises:
        PinError: No PIN has this length.
    """
    candidates = space(length)
    if not knows_length:
        candidates = candidates * 10 // LENGTHS.count(length)
    hit = min(1.0, pins / candidates)
    return float(1.0 - (1.0 - hit) ** guesses)


def length_for(pins: int) -> int:
    """Choose the length of a new PIN.

    Args:
        pins: How many PINs there are, the new one included.

    Returns:
        The shortest length that is not an administrator's choice and keeps `chance` under
        `MAX_CHANCE`; the longest there is beyond a million.
    """
    lengths = sorted(set(LENGTHS) - set(SHORT_LENGTHS))
    return next((n for n in lengths if chance(n, pins) < MAX_CHANCE), lengths[-1])


def is_guessable(pin: str) -> bool:
    """Tell whether people would try this PIN first.

    That is: fewer than three different digits; six or more in a row (all, of a shorter PIN) that
    count up, down or stand still; a pattern of up to three digits repeated throughout. The check
    digit is left aside. Fewer than 3 in 10,000 PINs of 9 digits are guessable, so that the
    figures of the length policy hold.

    Args:
        pin: A complete PIN.

    Returns:
        Whether it is not to be issued.
    """
    body = pin[:-1]
    if len(set(body)) < _MIN_DISTINCT:
        return True
    if any(body == (body[:n] * len(body))[: len(body)] for n in range(1, _MAX_PERIOD + 1)):
        return True
    run = longest = 2
    steps = [(ord(after) - ord(before)) % 10 for before, after in pairwise(body)]
    for before, step in pairwise(steps):
        run = run + 1 if step == before and step in _PLAIN_STEPS else 2
        longest = max(longest, run)
    return longest >= min(_LONG_RUN, len(body))


def generate(rng: Random, length: int, taken: Container[str] = ()) -> str:
    """Make a new PIN.

    Args:
        rng: Source of randomness: `random.SystemRandom()` outside tests.
        length: Its number of digits.
        taken: PINs that are out already; asked for each candidate, so that a look-up by hash may
            stand behind it.

    Returns:
        A check-valid PIN that is neither taken nor guessable, all such equally likely.

    Raises:
        PinError: No PIN has this length.
        NoPinLeftError: None was found in 10,000 attempts: the length is as good as used up.
    """
    space(length)
    first_digits = [str(digit) for digit, n in enumerate(LENGTHS) if n == length]
    for _ in range(_ATTEMPTS):
        body = rng.choice(first_digits) + "".join(str(rng.randrange(10)) for _ in range(length - 2))
        pin = body + check_digit(body)
        if not is_guessable(pin) and pin not in taken:
            return pin
    raise NoPinLeftError(
        f"no free PIN of {length} digits was found in {_ATTEMPTS} attempts; use longer ones"
    )
