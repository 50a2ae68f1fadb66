"""What is counted as it happens."""

import pytest

from bridge.media.messages import DigitPressed, Heartbeat, LegStatistics
from bridge.monitoring.meters import Meters


def value(meters: Meters, name: str, **labels: str) -> float:
    """Read one sample; a series that is not there is a failure, not a nought."""
    found = meters.registry.get_sample_value(name, labels)
    assert found is not None, f"no {name} {labels}"
    return found


def test_every_series_is_there_before_anything_has_happened() -> None:
    """A rate needs a first sample to rise from: an alert on the first refusal must not sleep."""
    meters = Meters()
    for method in ("rfc4733", "info", "inband"):
        assert value(meters, "dialin_digits_total", method=method) == 0
    assert value(meters, "dialin_prompts_played_total", language="sv") == 0
    assert value(meters, "dialin_attempts_refused_total", reason="pin_unknown") == 0
    assert value(meters, "dialin_leg_jitter_seconds_count", direction="tx") == 0


def test_registry_is_the_bridges_own_and_says_nothing_twice() -> None:
    """Two bridges in one process do not meet, and no series tells when it was made."""
    one, other = Meters(), Meters()
    one.prompt("en")
    assert value(one, "dialin_prompts_played_total", language="en") == 1
    assert value(other, "dialin_prompts_played_total", language="en") == 0
    names = [sample.name for family in one.registry.collect() for sample in family.samples]
    assert not [name for name in names if name.endswith("_created")]


def test_digits_are_counted_by_method_and_by_nothing_else() -> None:
    """Which key it was leaves no trace."""
    meters = Meters()
    for digit in "1234":
        meters.heard(DigitPressed(leg=7, digit=digit, method="inband", at=1.0))
    meters.heard(DigitPressed(leg=8, digit="#", method="info", at=1.0))
    assert value(meters, "dialin_digits_total", method="inband") == 4
    assert value(meters, "dialin_digits_total", method="info") == 1
    labels = {
        key
        for family in meters.registry.collect()
        for sample in family.samples
        for key in sample.labels
    }
    assert labels == {"direction", "language", "le", "method", "reason"}


def test_the_longest_tick_of_each_second_is_not_missed_between_two_scrapes() -> None:
    """A histogram of them: one late second in a quarter of an hour stays visible."""
    meters = Meters()
    for longest in [3.0] * 14 + [47.0]:
        meters.heard(Heartbeat(1, 1.0, 2.0, longest, 0, 0, 0, 0, 0))
    name = "dialin_media_tick_longest_seconds_bucket"
    assert value(meters, name, le="0.02") == 14
    assert value(meters, name, le="0.06") == 15


def test_quality_of_a_leg_goes_into_its_bins_by_direction() -> None:
    """Loss by share of what was to come, jitter and round trip in seconds."""
    meters = Meters()
    seen = LegStatistics(
        leg=1,
        packets_rx=990,
        packets_tx=1000,
        lost=10,
        jitter_ms=40.0,
        jitter_ms_mean=3.0,
        mos=4.1,
        remote_mos=3.0,
        rtt_ms=180.0,
        remote_lost=40,
        remote_jitter_ms=15.0,
    )
    meters.call_ended(200.0, seen)
    rx, tx = {"direction": "rx"}, {"direction": "tx"}
    lost, jitter = "dialin_leg_lost_ratio_bucket", "dialin_leg_jitter_seconds_bucket"
    assert value(meters, lost, le="0.005", **rx) == 0
    assert value(meters, lost, le="0.01", **rx) == 1
    assert value(meters, lost, le="0.03", **tx) == 0
    assert value(meters, lost, le="0.05", **tx) == 1
    assert value(meters, jitter, le="0.002", **rx) == 0
    assert value(meters, jitter, le="0.005", **rx) == 1
    assert value(meters, jitter, le="0.01", **tx) == 0
    assert value(meters, jitter, le="0.02", **tx) == 1
    assert value(meters, "dialin_leg_mos_bucket", le="4.03", **rx) == 0
    assert value(meters, "dialin_leg_mos_bucket", le="4.2", **rx) == 1
    assert value(meters, "dialin_leg_mos_bucket", le="2.58", **tx) == 0
    assert value(meters, "dialin_leg_mos_bucket", le="3.1", **tx) == 1
    assert value(meters, "dialin_leg_round_trip_seconds_bucket", le="0.2") == 1
    assert value(meters, "dialin_call_seconds_bucket", le="60.0") == 0
    assert value(meters, "dialin_call_seconds_bucket", le="300.0") == 1


def test_a_leg_without_media_says_nothing_of_quality() -> None:
    """Who hung up before the first packet is a call, and no perfect line."""
    meters = Meters()
    meters.call_ended(2.0, LegStatistics(leg=1))
    assert value(meters, "dialin_call_seconds_count") == 1
    for name in ("lost_ratio_count", "jitter_seconds_count", "mos_count"):
        for direction in ("rx", "tx"):
            assert value(meters, f"dialin_leg_{name}", direction=direction) == 0
    assert value(meters, "dialin_leg_round_trip_seconds_count") == 0


@pytest.mark.parametrize(("lost", "sent"), [(-3, 100), (5, 0), (900, 100)])
def test_a_report_that_cannot_be_stays_within_nought_and_one(lost: int, sent: int) -> None:
    """Doubled packets make a loss negative (RFC 3550 A.3); a peer may report anything."""
    meters = Meters()
    meters.call_ended(
        1.0, LegStatistics(leg=1, remote_lost=lost, packets_tx=sent, remote_jitter_ms=1.0)
    )
    total = value(meters, "dialin_leg_lost_ratio_sum", direction="tx")
    assert total in {0.0, 1.0}
