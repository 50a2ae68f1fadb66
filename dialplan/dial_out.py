"""Whom the bridge may call, as whom, and for how much: the policy of outgoing calls. Pure.

Nothing is called until an administrator allows it, and then only what is surely meant: a valid
number of a country on the list, of a kind that costs what calls cost. Emergency numbers and short
codes are never called, whatever the settings say: nobody at a bridge can tell where help is needed.
Numbers of ours would be a call to ourselves.

What a call may cost is set aside when it begins, for its longest time, so that a cap holds however
many calls are under way; what it did not use is given back at its end. An hour and a day are the
last 60 minutes and 24 hours. The ledger tells of each cost as it is set aside and as it is settled,
and takes those of earlier runs back, so that a restart does not reset a cap.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Final

import phonenumbers
from msgspec import Struct
from msgspec.structs import replace
from phonenumbers import PhoneNumber, PhoneNumberFormat, PhoneNumberType, shortnumberinfo

__all__ = [
    "DAY_S",
    "Allowed",
    "Cost",
    "DialOutRules",
    "DialRefusal",
    "Ledger",
    "Rate",
    "judge",
]

HOUR_S: Final = 3600.0
DAY_S: Final = 86400.0
LONGEST_SHORT: Final = 6
"""Digits of the longest short codes (ITU-T E.164 leaves them to each country)."""

_PENNY: Final = 1e-9
"""What binary fractions get wrong."""

_KINDS: Final = frozenset(
    {
        PhoneNumberType.FIXED_LINE,
        PhoneNumberType.MOBILE,
        PhoneNumberType.FIXED_LINE_OR_MOBILE,
        PhoneNumberType.VOIP,
        PhoneNumberType.TOLL_FREE,
    }
)
_DEAR: Final = frozenset({PhoneNumberType.PREMIUM_RATE, PhoneNumberType.SHARED_COST})


class DialRefusal(StrEnum):
    """Why a number is not called; the value is what records, logs and answers say."""

    OFF = "dial_out_off"
    OVERLOAD = "overload"
    NO_TRUNK = "no_trunk"
    NO_CALLER_ID = "no_caller_id"
    NOT_A_NUMBER = "not_a_number"
    EMERGENCY = "emergency_number"
    SHORT_CODE = "short_code"
    OWN_NUMBER = "own_number"
    COUNTRY = "country_not_allowed"
    PREMIUM = "premium_rate"
    KIND = "kind_not_allowed"
    NO_RATE = "no_rate"
    CONFERENCE_SPENT = "conference_spent"
    DAY_SPENT = "day_spent"
    CONFERENCE_HOURLY = "conference_hourly_limit"
    HOURLY = "hourly_limit"

    @property
    def message(self) -> str:
        """What to tell an administrator, and what can be done."""
        return _MESSAGES[self]


_MESSAGES: Final[dict[DialRefusal, str]] = {
    DialRefusal.OFF: "calling out is off; dial_out.allowed = true allows it",
    DialRefusal.OVERLOAD: "the bridge is full, or about to stop",
    DialRefusal.NO_TRUNK: "there is nowhere to send a call; set dial_out.trunk to a trunk that"
    " registers, or dial_out.proxy",
    DialRefusal.NO_CALLER_ID: "dial_out.caller must be one of the bridge's own numbers",
    DialRefusal.NOT_A_NUMBER: "that is no telephone number; it takes its country code",
    DialRefusal.EMERGENCY: "emergency numbers are never called by a conference",
    DialRefusal.SHORT_CODE: "short codes are never called by a conference",
    DialRefusal.OWN_NUMBER: "that number is the bridge's own",
    DialRefusal.COUNTRY: "that country is not in dial_out.countries",
    DialRefusal.PREMIUM: "premium-rate and shared-cost numbers are not called",
    DialRefusal.KIND: "numbers of that kind are not called",
    DialRefusal.NO_RATE: "dial_out.rates has no price for that number",
    DialRefusal.CONFERENCE_SPENT: "the conference has spent dial_out.conference_cap",
    DialRefusal.DAY_SPENT: "dial_out.day_cap is spent for today",
    DialRefusal.CONFERENCE_HOURLY: "the conference has made dial_out.conference_per_hour calls",
    DialRefusal.HOURLY: "the bridge has made dial_out.per_hour calls",
}


class Rate(Struct, frozen=True):
    """What a minute to some numbers costs.

    Attributes:
        prefix: Digits that a number begins with, from the country code on; empty for all.
        per_minute: In the currency of the caps.
    """

    prefix: str
    per_minute: float


class DialOutRules(Struct, frozen=True):
    """What an administrator allows.

    Attributes:
        allowed: Anything at all.
        countries: ISO 3166-1 alpha-2.
        rates: Prices; the longest prefix counts, and a number without one is not called.
        conference_cap: What one conference may spend.
        day_cap: What all may spend in a day.
        conference_per_hour: Calls that one conference may make in an hour.
        per_hour: Calls that all may make in an hour.
        longest_s: Longest call, s.
    """

    allowed: bool = False
    countries: frozenset[str] = frozenset()
    rates: tuple[Rate, ...] = ()
    conference_cap: float = 5.0
    day_cap: float = 50.0
    conference_per_hour: int = 20
    per_hour: int = 60
    longest_s: float = HOUR_S


class Allowed(Struct, frozen=True):
    """A call that may be made; the number is shown in no `repr`.

    Attributes:
        number: E.164 with `+`.
        country: ISO 3166-1 alpha-2.
        per_minute: What a minute costs.
        longest_s: When it must end, s.
    """

    number: str
    country: str
    per_minute: float
    longest_s: float

    def __repr__(self) -> str:
        return f"Allowed(country={self.country!r}, longest_s={self.longest_s!r})"


class Cost(Struct, frozen=True):
    """What one call has cost, or may cost while it runs.

    Attributes:
        conference: Whose it is.
        began: Monotonic time, s.
        per_minute: What a minute costs.
        set_aside: What it may cost at most.
        spent: What it has cost; None while it runs.
    """

    conference: int
    began: float
    per_minute: float
    set_aside: float
    spent: float | None = None

    @property
    def counts(self) -> float:
        """What counts against a cap."""
        return self.set_aside if self.spent is None else self.spent


class Ledger:
    """What calls have cost, and how many were made: of the last day, and of each conference.

    Attributes:
        told: Is told of each cost, with the call's number, when it is set aside and when settled.
    """

    def __init__(self) -> None:
        self.told: Callable[[int, Cost], None] = lambda _call, _cost: None
        self._calls: dict[int, Cost] = {}
        self._order: deque[int] = deque()

    def restore(self, costs: Iterable[Cost]) -> None:
        """Take what earlier runs have spent, before any call begins.

        Args:
            costs: Oldest first. One without an end was cut short: what was set aside is spent.
        """
        for number, cost in enumerate(costs, 1):
            self._calls[-number] = cost
            self._order.append(-number)

    def began(self, call: int, conference: int, allowed: Allowed, now: float) -> None:
        """Set aside what a call may cost.

        Args:
            call: Its number, 0 or more, never used twice.
            conference: Whose it is.
            allowed: What `judge` said.
            now: Monotonic time, s.
        """
        aside = allowed.per_minute * allowed.longest_s / 60
        self._calls[call] = cost = Cost(conference, now, allowed.per_minute, aside)
        self._order.append(call)
        self.told(call, cost)

    def ended(self, call: int, talked_s: float) -> None:
        """Give back what a call did not use; carriers count begun minutes.

        Args:
            call: Its number; an unknown one is fine.
            talked_s: From its answer to its end, 0 where nobody answered.
        """
        cost = self._calls.get(call)
        if cost is not None and cost.spent is None:
            spent = min(-(-talked_s // 60) * cost.per_minute, cost.set_aside)
            self._calls[call] = cost = replace(cost, spent=spent)
            self.told(call, cost)

    def spent(self, now: float, conference: int | None = None) -> float:
        """Return what was spent or set aside in the last day, by all or by one conference."""
        return sum(call.counts for call in self._recent(now, DAY_S, conference))

    def made(self, now: float, conference: int | None = None) -> int:
        """Return how many calls were begun in the last hour, by all or by one conference."""
        return len(self._recent(now, HOUR_S, conference))

    def _recent(self, now: float, seconds: float, conference: int | None) -> list[Cost]:
        while self._order and self._calls[self._order[0]].began <= now - DAY_S:
            del self._calls[self._order.popleft()]
        return [
            call
            for call in self._calls.values()
            if call.began > now - seconds and conference in {None, call.conference}
        ]


def judge(
    text: str,
    rules: DialOutRules,
    *,
    own: frozenset[str],
    ledger: Ledger,
    conference: int,
    now: float,
    region: str | None = None,
) -> Allowed | DialRefusal:
    """Decide about a number that somebody wants to be called.

    Args:
        text: As it was keyed or typed: with its country code, with or without `+` or `00`; in
            `region`, as one dials there.
        rules: What is allowed.
        own: Numbers of ours, E.164.
        ledger: What was spent.
        conference: Whose call it would be.
        now: Monotonic time, s.
        region: Country of numbers without country code, None for none.

    Returns:
        The call, or why it is refused.
    """
    if not rules.allowed:
        return DialRefusal.OFF
    digits = "".join(letter for letter in text if letter.isascii() and letter.isdigit())
    places = rules.countries | ({region} if region else frozenset())
    if any(shortnumberinfo.connects_to_emergency_number(digits, place) for place in places):
        return DialRefusal.EMERGENCY
    parsed = _parse(text.strip(), digits, region)
    if parsed is not DialRefusal.EMERGENCY and 0 < len(digits) <= LONGEST_SHORT:
        return DialRefusal.SHORT_CODE
    if isinstance(parsed, DialRefusal):
        return parsed
    number = phonenumbers.format_number(parsed, PhoneNumberFormat.E164)
    if number in own:
        return DialRefusal.OWN_NUMBER
    return _of_kind(parsed, rules.countries) or _priced(
        number, parsed, rules, ledger, conference, now
    )


def _parse(text: str, digits: str, region: str | None) -> PhoneNumber | DialRefusal:
    """Read a number; one that is short behind its country code is a short code."""
    writings: list[tuple[str, str | None]] = [(f"+{digits.removeprefix('00')}", None)]
    if region and not text.startswith(("+", "00")):
        writings.insert(0, (digits, region))
    refusal = DialRefusal.NOT_A_NUMBER
    for writing, place in writings:
        try:
            parsed = phonenumbers.parse(writing, place)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(parsed):
            return parsed
        national = str(parsed.national_number)
        country = phonenumbers.region_code_for_country_code(parsed.country_code or 0)
        if shortnumberinfo.connects_to_emergency_number(national, country):
            return DialRefusal.EMERGENCY
        if len(national) <= LONGEST_SHORT:
            refusal = DialRefusal.SHORT_CODE
    return refusal


def _of_kind(parsed: PhoneNumber, countries: frozenset[str]) -> DialRefusal | None:
    kind = phonenumbers.number_type(parsed)
    if kind in _DEAR:
        return DialRefusal.PREMIUM
    if phonenumbers.region_code_for_number(parsed) not in countries:
        return DialRefusal.COUNTRY
    return None if kind in _KINDS else DialRefusal.KIND


def _priced(
    number: str,
    parsed: PhoneNumber,
    rules: DialOutRules,
    ledger: Ledger,
    conference: int,
    now: float,
) -> Allowed | DialRefusal:
    fitting = [rate for rate in rules.rates if number[1:].startswith(rate.prefix)]
    if not fitting:
        return DialRefusal.NO_RATE
    if ledger.made(now, conference) >= rules.conference_per_hour:
        return DialRefusal.CONFERENCE_HOURLY
    if ledger.made(now) >= rules.per_hour:
        return DialRefusal.HOURLY
    per_minute = max(fitting, key=lambda rate: len(rate.prefix)).per_minute
    left = rules.conference_cap - ledger.spent(now, conference)
    if left < per_minute - _PENNY:
        return DialRefusal.CONFERENCE_SPENT
    left_today = rules.day_cap - ledger.spent(now)
    if left_today < per_minute - _PENNY:
        return DialRefusal.DAY_SPENT
    longest = rules.longest_s
    if per_minute:
        # Whole minutes: the last one is not begun where it cannot be paid.
        minutes = math.floor(min(left, left_today) / per_minute + _PENNY)
        longest = min(longest, 60.0 * minutes)
    country = phonenumbers.region_code_for_number(parsed)
    return Allowed(number, country or "", per_minute, longest)
