"""Whom the bridge may call: numbers, countries, kinds, prices, caps."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialplan.dial_out import Allowed, DialOutRules, DialRefusal, Ledger, Rate, judge

MOBILE = "+46701740605"
OWN = frozenset({"+18005550100"})
RULES = DialOutRules(
    allowed=True,
    countries=frozenset({"SE", "US", "CA"}),
    rates=(Rate("46", 0.10), Rate("4670", 0.20), Rate("1", 0.02)),
    conference_cap=5.0,
    day_cap=8.0,
    conference_per_hour=3,
    per_hour=5,
    longest_s=1800.0,
)


def ask(
    text: str,
    rules: DialOutRules = RULES,
    *,
    ledger: Ledger | None = None,
    conference: int = 1,
    now: float = 1000.0,
    region: str | None = None,
) -> Allowed | DialRefusal:
    """Ask for a number."""
    return judge(
        text,
        rules,
        own=OWN,
        ledger=ledger or Ledger(),
        conference=conference,
        now=now,
        region=region,
    )


def test_nothing_is_called_until_it_is_allowed() -> None:
    """As shipped, calling out is off, whatever the number."""
    assert ask(MOBILE, DialOutRules()) is DialRefusal.OFF
    assert ask("112", DialOutRules()) is DialRefusal.OFF


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("+46701740605", None),
        ("46701740605", None),
        ("0046701740605", None),
        ("+46 70-174 06 05", None),
        ("0701740605", "SE"),
        ("46701740605", "SE"),
    ],
)
def test_a_number_is_understood_however_it_is_keyed(text: str, region: str | None) -> None:
    """With its country code, or as one dials at home; the dearest fitting prefix is the longest."""
    assert ask(text, region=region) == Allowed(MOBILE, "SE", 0.20, 1500.0)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("112", DialRefusal.EMERGENCY),
        ("911", DialRefusal.EMERGENCY),
        ("+46112", DialRefusal.EMERGENCY),
        ("46 112", DialRefusal.EMERGENCY),
        ("+1911", DialRefusal.EMERGENCY),
        ("118118", DialRefusal.SHORT_CODE),
        ("1177", DialRefusal.SHORT_CODE),
        ("+461177", DialRefusal.SHORT_CODE),
        ("7", DialRefusal.SHORT_CODE),
        ("", DialRefusal.NOT_A_NUMBER),
        ("nobody", DialRefusal.NOT_A_NUMBER),
        ("99999999999", DialRefusal.NOT_A_NUMBER),
        ("+4670174060512345678", DialRefusal.NOT_A_NUMBER),
        ("+18005550100", DialRefusal.OWN_NUMBER),
        ("18005550100", DialRefusal.OWN_NUMBER),
        ("+469001234567", DialRefusal.PREMIUM),
        ("+19005551234", DialRefusal.PREMIUM),
        ("+447911123456", DialRefusal.COUNTRY),
        ("+37251234567", DialRefusal.COUNTRY),
    ],
)
def test_each_refusal_has_its_reason(text: str, reason: DialRefusal) -> None:
    """A constant word, and a message that says what can be done."""
    assert ask(text) is reason
    assert len(reason.message) > 20


def test_emergency_numbers_of_home_are_refused_too() -> None:
    """Where the country of the settings is not on the list."""
    rules = msgspec.structs.replace(RULES, countries=frozenset({"US"}))
    assert ask("999", rules, region="GB") is DialRefusal.EMERGENCY


def test_a_number_without_a_price_is_not_called() -> None:
    """An allowed country alone is no permission to spend."""
    rules = msgspec.structs.replace(RULES, rates=(Rate("1", 0.02),))
    assert ask(MOBILE, rules) is DialRefusal.NO_RATE
    assert isinstance(ask(MOBILE, msgspec.structs.replace(RULES, rates=(Rate("", 0.0),))), Allowed)


def test_every_reason_can_be_told() -> None:
    """None without words."""
    assert all(reason.message for reason in DialRefusal)


def test_the_caps_hold_with_calls_under_way() -> None:
    """What a call may cost is set aside, and given back where it was not used."""
    ledger = Ledger()
    first = ask(MOBILE, ledger=ledger)
    assert isinstance(first, Allowed)
    ledger.began(1, 1, first, 1000.0)
    assert ledger.spent(1000.0, 1) == pytest.approx(5.0)
    assert ask(MOBILE, ledger=ledger) is DialRefusal.CONFERENCE_SPENT
    second = ask(MOBILE, ledger=ledger, conference=2)
    assert isinstance(second, Allowed)
    assert second.longest_s == pytest.approx(900.0)
    ledger.began(2, 2, second, 1001.0)
    assert ask(MOBILE, ledger=ledger, conference=3) is DialRefusal.DAY_SPENT
    ledger.ended(1, 61.0)
    assert ledger.spent(1002.0, 1) == pytest.approx(0.40)
    assert isinstance(ask(MOBILE, ledger=ledger), Allowed)
    ledger.ended(2, 0.0)
    assert ledger.spent(1002.0, 2) == 0
    ledger.ended(1, 5000.0)
    assert ledger.spent(1002.0) == pytest.approx(0.40)
    assert ledger.spent(1000.0 + 86401) == 0


def test_calls_are_counted_by_the_hour() -> None:
    """Also those that nobody answered: a redial of a hundred times is no fun for who is called."""
    ledger = Ledger()
    call = Allowed(MOBILE, "SE", 0.0, 60.0)
    for number in range(3):
        ledger.began(number, 1, call, 1000.0 + number)
        ledger.ended(number, 0.0)
    assert ask(MOBILE, ledger=ledger, now=1003.0) is DialRefusal.CONFERENCE_HOURLY
    for number in range(3, 5):
        ledger.began(number, 2, call, 1000.0 + number)
    assert ask(MOBILE, ledger=ledger, conference=3, now=1006.0) is DialRefusal.HOURLY
    assert isinstance(ask(MOBILE, ledger=ledger, now=1000.0 + 3601), Allowed)


@given(text=st.text("0123456789+# -*a", max_size=24), region=st.sampled_from([None, "SE", "US"]))
def test_only_what_is_on_the_list_is_ever_called(text: str, region: str | None) -> None:
    """Whatever is keyed: nothing raises, and what is allowed is of a country that is."""
    verdict = ask(text, region=region)
    if isinstance(verdict, Allowed):
        assert verdict.country in RULES.countries
        assert verdict.number not in OWN
        assert 0 < verdict.longest_s <= RULES.longest_s


@given(
    st.lists(
        st.tuples(st.integers(1, 3), st.floats(0, 4000), st.booleans()), min_size=1, max_size=60
    )
)
def test_no_order_of_calls_spends_more_than_the_caps(steps: list[tuple[int, float, bool]]) -> None:
    """Calls begin and end in any order, each talked out or not."""
    ledger, now, going = Ledger(), 0.0, []
    rules = msgspec.structs.replace(RULES, conference_per_hour=1000, per_hour=1000)
    for number, (conference, talked, ends) in enumerate(steps):
        now += 10.0
        verdict = ask(MOBILE, rules, ledger=ledger, conference=conference, now=now)
        if isinstance(verdict, Allowed):
            ledger.began(number, conference, verdict, now)
            going.append((number, verdict.longest_s))
        if ends and going:
            call, longest = going.pop(0)
            ledger.ended(call, min(talked, longest))
        for each in (1, 2, 3):
            assert ledger.spent(now, each) <= rules.conference_cap + 1e-9
        assert ledger.spent(now) <= rules.day_cap + 1e-9


def test_a_call_shows_no_number() -> None:
    """Its `repr` ends up in logs."""
    assert "1740605" not in repr(ask(MOBILE))
