"""Opening hours."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from dialplan.errors import RulesError
from dialplan.events import Closed
from dialplan.hours import closed_for, closed_phrases
from dialplan.phrases import PhraseKey, phrase
from dialplan.rules import ConferenceRules, Role, Window

STOCKHOLM = ZoneInfo("Europe/Stockholm")
NINE = datetime(2026, 3, 2, 9, 0, tzinfo=STOCKHOLM)
RULES = ConferenceRules(window=Window(NINE, NINE + timedelta(hours=1)))


@pytest.mark.parametrize(
    ("role", "minutes_before", "open_"),
    [("host", 15, True), ("host", 16, False), ("guest", 5, True), ("guest", 6, False)],
)
def test_doors_open_early(role: Role, minutes_before: int, *, open_: bool) -> None:
    """Hosts are let in 15 minutes before, guests 5."""
    wall = (NINE - timedelta(minutes=minutes_before)).astimezone(UTC)
    assert (closed_for(RULES, role, wall, running=True) is None) is open_


def test_doors_open_as_early_when_the_clocks_change() -> None:
    """A quarter of an hour is one, also over the hour that a spring night lacks or autumn doubles.

    Two times of one zone are compared by the hands of the clock, so this is asked in UTC.
    """
    spring = ConferenceRules(window=Window(datetime(2026, 3, 29, 3, 5, tzinfo=STOCKHOLM)))
    for wall, open_ in (("00:49", False), ("00:51", True)):
        moment = datetime.fromisoformat(f"2026-03-29T{wall}+00:00")
        assert (closed_for(spring, "host", moment, running=False) is None) is open_
    second = datetime(2026, 10, 25, 2, 30, tzinfo=STOCKHOLM, fold=1)
    autumn = ConferenceRules(window=Window(second - timedelta(hours=5), second))
    still = datetime.fromisoformat("2026-10-25T00:45+00:00")
    assert closed_for(autumn, "guest", still, running=False) is None
    assert closed_for(autumn, "guest", still + timedelta(hours=1), running=False) is not None


def test_after_hours_a_conference_is_over_unless_it_runs() -> None:
    """The closing time keeps out who would start it, not who comes back to it."""
    late = NINE + timedelta(hours=1)
    closed = closed_for(RULES, "host", late, running=False)
    assert closed is not None
    assert closed.opens_at is None
    assert closed_for(RULES, "guest", late, running=True) is None


def test_without_hours_a_conference_is_always_open() -> None:
    """No window keeps nobody out, and an open end none who comes late."""
    assert closed_for(ConferenceRules(), "guest", NINE, running=False) is None
    endless = ConferenceRules(window=Window(NINE))
    assert closed_for(endless, "guest", NINE + timedelta(days=400), running=False) is None


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (NINE - timedelta(hours=2), phrase(PhraseKey.OPENS_TODAY, time="09:00")),
        (NINE - timedelta(hours=10), phrase(PhraseKey.OPENS_TOMORROW, time="09:00")),
        (
            NINE - timedelta(hours=40),
            phrase(PhraseKey.OPENS_ON, date="2026-03-02", time="09:00"),
        ),
    ],
)
def test_the_opening_is_said_in_the_conferences_time_zone(now: datetime, said: object) -> None:
    """Today, tomorrow or on a day; the hour as on the conference's own clock."""
    closed = closed_for(RULES, "guest", now.astimezone(UTC), running=False)
    assert closed is not None
    assert closed_phrases(closed) == (phrase(PhraseKey.CONFERENCE_CLOSED), said)


def test_a_conference_that_never_opens_again_is_over() -> None:
    """Without another opening there is no time to call back at."""
    assert closed_phrases(Closed(NINE, None)) == (phrase(PhraseKey.CONFERENCE_OVER),)


def test_contradicting_rules_are_refused() -> None:
    """A window needs a zone and an end after its beginning; figures their range."""
    with pytest.raises(RulesError, match="time zone"):
        Window(NINE.replace(tzinfo=None))
    with pytest.raises(RulesError, match="not after"):
        Window(NINE, NINE)
    with pytest.raises(RulesError, match="capacity"):
        ConferenceRules(capacity=0)
    with pytest.raises(RulesError, match="grace_s"):
        ConferenceRules(grace_s=-1.0)
    with pytest.raises(RulesError, match="max_length_s"):
        ConferenceRules(max_length_s=0.0)
