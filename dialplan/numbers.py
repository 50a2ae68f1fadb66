"""Telephone numbers: from what SIP carries to E.164, what kind they are, how they are shown.

Carriers write the number dialled in every way there is: `+46850550000`, `0046850550000`,
`46850550000`, `0850550000`, with separators or parameters, in the Request-URI or only in `To` or
`Diversion`. `candidates` lists what a user part can mean, the likeliest first, and `first_known`
takes the first that is ours. Digits that are no public number, such as `1000`, are extensions and
stay as they are.

Kinds and plausibility come from `phonenumbers` (Google's metadata). A number of ours need not be
valid by that data, only possible: ranges are opened faster than metadata is released.
"""

import re
from collections.abc import Container, Iterable
from typing import Final, Literal

import phonenumbers
from msgspec import Struct
from phonenumbers import PhoneNumber, PhoneNumberFormat, PhoneNumberType

from dialplan.errors import NumberError

__all__ = [
    "EXTENSION",
    "KINDS",
    "NumberKind",
    "TelephoneNumber",
    "candidates",
    "first_known",
    "mask",
    "normalise",
]

NumberKind = Literal["local", "national", "mobile", "toll_free", "shared_cost", "extension"]

KINDS: Final[tuple[NumberKind, ...]] = (
    "local",
    "national",
    "mobile",
    "toll_free",
    "shared_cost",
    "extension",
)
"""Kinds of numbers, as the inventory knows them."""

EXTENSION: Final[NumberKind] = "extension"

# What phonenumbers tells apart and the inventory does not: numbers without a place (UAN, VoIP,
# personal) are national; premium rate is no kind of a conference bridge's number.
_KINDS: Final[dict[int, NumberKind]] = {
    PhoneNumberType.FIXED_LINE: "local",
    PhoneNumberType.FIXED_LINE_OR_MOBILE: "local",
    PhoneNumberType.MOBILE: "mobile",
    PhoneNumberType.TOLL_FREE: "toll_free",
    PhoneNumberType.SHARED_COST: "shared_cost",
}

# Longest user part looked at, with room for separators: E.164 has 15 digits.
_MAX_USER: Final = 64
_MAX_EXTENSION: Final = 10
# Nobody writes a public number in so few digits.
_SHORT: Final = 5
_MAX_E164: Final = 15
_MASK_TAIL: Final = 2
_SEPARATORS: Final = re.compile(r"[\s().\-/\u00a0\u2010-\u2015]")
_DIGITS: Final = re.compile(r"\+?[0-9]+")


class TelephoneNumber(Struct, frozen=True):
    """A number, normalised.

    Attributes:
        number: E.164 with `+`, or the bare digits of an extension.
        kind: As far as the metadata knows; the inventory may say otherwise.
        country: ISO 3166-1 alpha-2; empty for an extension and for numbers of no one country.
    """

    number: str
    kind: NumberKind
    country: str


def normalise(text: str, region: str | None = None) -> TelephoneNumber:
    """Understand a number as a person or a carrier wrote it.

    Args:
        text: User part of a SIP or tel URI, or what an administrator typed.
        region: ISO 3166-1 alpha-2 of the country in which a number without country code is; None
            if there is none.

    Returns:
        The likeliest reading.

    Raises:
        NumberError: It holds no number.
    """
    found = _readings(text, region)
    if not found:
        raise NumberError(
            f"{mask(text[:_MAX_E164])!r} is not a telephone number; write it as +46850550000, or "
            "as the bare digits of an extension"
        )
    return found[0]


def candidates(users: Iterable[str], region: str | None = None) -> tuple[str, ...]:
    """List what the user parts of a call's URIs can mean.

    Args:
        users: User parts in the order of their weight: Request-URI, `To`, `Diversion`,
            `History-Info`.
        region: As for `normalise`.

    Returns:
        Normalised numbers, the likeliest first, none twice.
    """
    readings = (reading.number for user in users for reading in _readings(user, region))
    return tuple(dict.fromkeys(readings))


def first_known(
    users: Iterable[str], known: Container[str], region: str | None = None
) -> str | None:
    """Find which number of ours was dialled.

    Args:
        users: As for `candidates`.
        known: Our numbers, normalised.
        region: As for `normalise`.

    Returns:
        The first candidate that is ours, or None.
    """
    return next((number for number in candidates(users, region) if number in known), None)


def mask(number: str) -> str:
    """Hide a number for display: country code and last two digits stay.

    Args:
        number: Normalised or not.

    Returns:
        For example `+46*******00`; anything that is no E.164 number keeps its last two
        characters, and at most half of them.
    """
    head = ""
    if number.startswith("+"):
        try:
            head = f"+{phonenumbers.parse(number, None).country_code}"
        except phonenumbers.NumberParseException:
            head = "+"
    body = number[len(head) :]
    shown = min(_MASK_TAIL, len(body) // 2)
    return head + "*" * (len(body) - shown) + body[len(body) - shown :]


def _readings(text: str, region: str | None) -> list[TelephoneNumber]:
    digits = _plain(text)
    if digits is None:
        return []
    if digits.startswith("+"):
        return [number for number, _ in _public(digits, None)]
    # In the country's own writing, with its international prefix too; then a plus sign short.
    public = _public(digits, region)
    public += _public(f"+{digits.removeprefix('00')}", None)
    extension = [TelephoneNumber(digits, EXTENSION, "")] if len(digits) <= _MAX_EXTENSION else []
    likely = [number for number, valid in public if valid]
    unlikely = [number for number, valid in public if not valid]
    if len(digits) <= _SHORT:
        return extension + likely + unlikely
    return likely + (unlikely + extension if digits.startswith("0") else extension + unlikely)


def _plain(text: str) -> str | None:
    """Strip scheme, parameters and separators; None if what is left is not digits."""
    if len(text) > _MAX_USER:
        return None
    user = text.strip().removeprefix("tel:").removeprefix("sip:").split("@")[0].split(";")[0]
    digits = _SEPARATORS.sub("", user)
    return digits if _DIGITS.fullmatch(digits) else None


def _public(digits: str, region: str | None) -> list[tuple[TelephoneNumber, bool]]:
    """Read digits as a public number.

    Returns:
        The number and whether it lies in a range that the metadata knows; an empty list if the
        digits cannot be one.
    """
    try:
        parsed = phonenumbers.parse(digits, region)
    except phonenumbers.NumberParseException:
        return []
    if not phonenumbers.is_possible_number(parsed):
        return []
    e164 = phonenumbers.format_number(parsed, PhoneNumberFormat.E164)
    if len(e164) > _MAX_E164 + 1:
        return []
    number = TelephoneNumber(e164, _kind(parsed), _country(parsed))
    return [(number, phonenumbers.is_valid_number(parsed))]


def _kind(parsed: PhoneNumber) -> NumberKind:
    return _KINDS.get(phonenumbers.number_type(parsed), "national")


def _country(parsed: PhoneNumber) -> str:
    """Country of a number; for one of no known range, the main country of its code."""
    region = phonenumbers.region_code_for_number(parsed)
    if region is None and parsed.country_code is not None:
        region = phonenumbers.region_code_for_country_code(parsed.country_code)
    return "" if region in {None, "001", "ZZ"} else str(region)
