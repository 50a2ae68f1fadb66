"""Watching a bridge: what Prometheus and probes see of real calls."""

import http.client
import json

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.bridge_under_test import BridgeUnderTest

pytestmark = pytest.mark.e2e


def page(bridge: BridgeUnderTest, path: str) -> tuple[int, str]:
    """Ask a running bridge's listener for a page."""
    host, _, port = bridge.operate("status")["health"]["metrics"].partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def metrics(bridge: BridgeUnderTest) -> dict[tuple[str, tuple[str, ...]], float]:
    """Return every sample, by its name and its labels' values."""
    status, text = page(bridge, "/metrics")
    assert status == 200
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_call_is_seen_while_it_lasts_and_when_it_is_over(bridge: BridgeUnderTest) -> None:
    """Answered, in a conference, keys and prompts; then how long it was and how it sounded."""
    assert page(bridge, "/live")[0] == 200
    assert json.loads(page(bridge, "/ready")[1]) == {"ready": True, "reasons": []}
    room = bridge.room()
    people = [bridge.caller(name) for name in ("one", "two")]
    bridge.bring_in(room, *people)
    people[0].speak()
    now = metrics(bridge)
    assert now["dialin_calls", ()] == 2
    assert now["dialin_calls_answered_total", ()] == 2
    assert now["dialin_conferences", ("running",)] == 1
    assert now["dialin_people", ("room",)] == 2
    assert now["dialin_pin_lookups_total", ("succeeded",)] == 2
    assert now["dialin_digits_total", ("rfc4733",)] >= 2 * len(room.guest_pin)
    assert now["dialin_prompts_played_total", ("en",)] >= 2
    assert now["dialin_media_legs", ("0",)] == 2
    assert 0 < now["dialin_media_tick_share", ("0",)] < 1
    assert now["dialin_media_tick_longest_seconds_count", ()] > 0
    assert now["dialin_ready", ()] == 1
    assert now["dialin_call_seconds_count", ()] == 0
    for person in people:
        person.hang_up()
        bridge.leg_of(person)
    now = metrics(bridge)
    assert now["dialin_calls", ()] == 0
    assert now["dialin_call_seconds_count", ()] == 2
    for name in ("dialin_leg_lost_ratio", "dialin_leg_jitter_seconds", "dialin_leg_mos"):
        assert now[f"{name}_count", ("rx",)] == 2
    assert now["dialin_leg_lost_ratio_bucket", ("rx", "0.05")] == 2
    assert bridge.private.isdisjoint(word for _, labels in now for word in labels)


def test_who_is_turned_away_is_counted_by_reason(bridge: BridgeUnderTest) -> None:
    """Before the answer and after it."""
    before = metrics(bridge)
    assert bridge.caller("astray").try_to_dial("+12025550199").status == 404
    person = bridge.caller("mistyped").dial(bridge.number)
    since = person.press("12#")
    person.hears("pin_mistyped", since=since)
    now = metrics(bridge)
    for series in (
        ("dialin_calls_refused_total", ("unknown_number",)),
        ("dialin_attempts_refused_total", ("pin_mistyped",)),
    ):
        assert now[series] == before[series] + 1
