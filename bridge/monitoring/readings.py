"""What is true at this moment, read when Prometheus asks: calls, ticks, room, what waits.

Counts that other parts keep already are published here as they are; nothing is counted twice. A
label is a constant word of ours or a media process's number, never anything of a caller's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Final, get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from bridge.admission import REASONS
from bridge.monitoring.health import unready
from bridge.mqtt.commands import RESULTS
from bridge.sip.messages import RegistrationState

if TYPE_CHECKING:
    from bridge.posts import Post
    from bridge.server import Bridge

__all__ = ["readings"]

PLACES: Final = ("database", "journal", "memory")
"""Where records may go to."""

ODD: Final = (
    "delivery_failed",
    "late_leg_closed",
    "media_errors",
    "shared_pair_taken",
    "shared_ports_full",
    "sip_silent",
    "unexpected_event",
)
"""What `Bridge.count` counts; from nought on, for a rate needs a beginning."""

_MS: Final = 1e-3
_ELSEWHERE: Final = frozenset({"calls_offered", "calls_answered", "media_losses_said"})
"""Entries of the bridge's counters that are families of their own, or no counts."""


def readings(bridge: Bridge) -> Iterator[Metric]:
    """Read everything.

    Args:
        bridge: the house; read in its event loop.

    Yields:
        A family of metrics at a time, so that other work may come between two.
    """
    yield _gauge("dialin_build", "The release that runs.", {version("dialin-bridge"): 1}, "version")
    yield from _calls(bridge)
    yield from _media(bridge)
    yield from _sip(bridge)
    yield from _records(bridge)
    yield from _guesses(bridge)
    yield from _mqtt(bridge)


def _calls(bridge: Bridge) -> Iterator[Metric]:
    counters, running = bridge.counters, list(bridge.conferences.values())
    started = sum(each.started for each in running)
    in_rooms = sum(len(each.placed) for each in running)
    yield _gauge(
        "dialin_ready", "Whether the next call would be answered.", {"": not unready(bridge)}
    )
    yield _gauge(
        "dialin_draining",
        "Whether no new conference may start, because the bridge is to stop.",
        {"": bridge.drain.active},
    )
    yield _counter("dialin_calls_offered", "Calls that came.", {"": counters["calls_offered"]})
    yield _counter(
        "dialin_calls_answered", "Calls that were answered.", {"": counters["calls_answered"]}
    )
    yield _counter(
        "dialin_calls_refused",
        "Calls that were not answered.",
        {reason: counters[f"refused_{reason}"] for reason in REASONS},
        "reason",
    )
    yield _gauge("dialin_calls", "Calls now.", {"": len(bridge.calls)})
    yield _gauge("dialin_calls_limit", "Calls allowed at once.", {"": bridge.settings.limits.calls})
    yield _gauge(
        "dialin_conferences",
        "Conferences now: those that run, those whose people wait for the start.",
        {"running": started, "gathering": len(running) - started},
        "state",
    )
    yield _gauge(
        "dialin_people",
        "Callers in conferences now.",
        {"room": in_rooms, "waiting": sum(len(each.calls) for each in running) - in_rooms},
        "place",
    )
    odd = {
        name: count
        for name, count in counters.items()
        if name not in _ELSEWHERE and not name.startswith("refused_")
    }
    yield _counter(
        "dialin_odd_outcomes", "What should be rare.", {**dict.fromkeys(ODD, 0), **odd}, "what"
    )


def _media(bridge: Bridge) -> Iterator[Metric]:
    media = bridge.media
    posts = {str(post.number): post for post in media.posts}

    def of_each(name: str, about: str, values: Mapping[str, float]) -> Metric:
        return _gauge(name, about, values, "process")

    def counted(name: str, about: str, field: str) -> Metric:
        return _counter(name, about, _of_beats(posts, field), "process")

    yield of_each(
        "dialin_media_process_up",
        "Whether the media process is there.",
        {number: post.process is not None for number, post in posts.items()},
    )
    yield of_each(
        "dialin_media_legs", "Legs.", {number: len(post.legs) for number, post in posts.items()}
    )
    yield of_each(
        "dialin_media_rooms", "Rooms.", {number: len(post.rooms) for number, post in posts.items()}
    )
    yield of_each(
        "dialin_media_tick_share",
        "Share of its 20 ms that the 95th percentile of the last second's ticks took.",
        {number: post.share for number, post in posts.items() if post.beat is not None},
    )
    yield _ticks(posts)
    yield _gauge(
        "dialin_media_tick_share_limit",
        "Share from which new calls are refused.",
        {"": bridge.settings.limits.tick_share},
    )
    yield _gauge(
        "dialin_media_overloaded",
        "Whether new calls are refused for want of room in the media processes.",
        {"": media.overloaded},
    )
    yield counted("dialin_media_ticks_late", "Ticks begun late and made up.", "late_ticks")
    yield counted("dialin_media_ticks_jumped", "Ticks left out altogether.", "jumped_ticks")
    yield counted(
        "dialin_media_receive_overflow", "Packets that receive buffers dropped.", "rxq_overflow"
    )
    yield counted("dialin_media_send_errors", "Packets that could not be sent.", "send_errors")
    yield _counter(
        "dialin_media_packets_lost",
        "Packets lost by fault of the bridge: dropped on receipt, never made, not sent.",
        {"": media.lost_by_bridge},
    )
    yield _counter(
        "dialin_media_processes_replaced", "Media processes replaced.", {"": media.replaced}
    )
    yield _gauge("dialin_media_spares", "Spare processes that are ready.", {"": len(media.spares)})


def _of_beats(posts: Mapping[str, Post], field: str) -> dict[str, float]:
    """Read a field of each last heartbeat; it begins anew when the process is replaced."""
    return {
        number: getattr(post.beat, field) for number, post in posts.items() if post.beat is not None
    }


def _ticks(posts: Mapping[str, Post]) -> Metric:
    family = GaugeMetricFamily(
        "dialin_media_tick_seconds",
        "How long the ticks of the last second took; 1 is the longest.",
        labels=("process", "quantile"),
    )
    for number, post in posts.items():
        if post.beat is not None:
            family.add_metric((number, "0.5"), post.beat.tick_ms_p50 * _MS)
            family.add_metric((number, "0.95"), post.beat.tick_ms_p95 * _MS)
            family.add_metric((number, "1"), post.beat.tick_ms_max * _MS)
    return family


def _sip(bridge: Bridge) -> Iterator[Metric]:
    room = bridge.sip.room()
    yield _gauge("dialin_sip_up", "Whether the SIP thread runs.", {"": bridge.sip.running})
    yield _gauge("dialin_sip_tcp_connections", "SIP connections now.", {"": room.connections})
    yield _gauge("dialin_sip_tcp_limit", "SIP connections allowed at once.", {"": room.limit})
    yield _counter(
        "dialin_sip_tcp_refused",
        "SIP connections closed at once: no room, or too many of one address.",
        {"full": room.refused_full, "source": room.refused_source},
        "reason",
    )
    yield _counter(
        "dialin_sip_tcp_idle_closed", "Idle SIP connections closed.", {"": room.idle_closed}
    )
    yield _counter(
        "dialin_sip_events",
        "What the SIP thread counts.",
        bridge.sip.statistics().counters,
        "event",
    )
    states = dict.fromkeys(get_args(RegistrationState), 0)
    for each in bridge.registrations.values():
        states[each.state] += 1
    yield _gauge("dialin_registrations", "Trunks that we register with.", states, "state")


def _records(bridge: Bridge) -> Iterator[Metric]:
    status = bridge.records.status()
    yield _gauge(
        "dialin_records_to",
        "Where records go: 1 for the place.",
        {place: status["writing_to"] == place for place in PLACES},
        "place",
    )
    yield _gauge(
        "dialin_records_waiting", "Records not in the database yet.", {"": status["waiting"]}
    )
    yield _gauge(
        "dialin_records_in_memory",
        "Those of them that are on no disk either.",
        {"": status["in_memory"]},
    )
    for name, about in (
        ("written", "Records written to the database."),
        ("dropped", "Records lost because memory was full."),
        ("failed", "Records that the database refused."),
    ):
        yield _counter(f"dialin_records_{name}", about, {"": status[name]})


def _guesses(bridge: Bridge) -> Iterator[Metric]:
    counts = bridge.guesses.counts
    outcomes = ("succeeded", "failed", "throttled", "withdrawn")
    yield _counter(
        "dialin_pin_lookups",
        "PINs that were keyed: right, wrong, not looked up for too many wrong ones, not possible.",
        {outcome: getattr(counts, outcome) for outcome in outcomes},
        "outcome",
    )
    yield _counter(
        "dialin_pin_lookups_delayed", "Answers held back for wrong ones.", {"": counts.delayed}
    )
    yield _gauge(
        "dialin_guess_limits_remembered",
        "Callers, numbers and trunks whose wrong or good PINs are remembered.",
        {"": bridge.guesses.remembered},
    )


def _mqtt(bridge: Bridge) -> Iterator[Metric]:
    mqtt = bridge.mqtt
    outbox = mqtt.outbox if mqtt is not None else None
    connected = mqtt is not None and mqtt.connection.state == "connected"
    counts = mqtt.commands.counts if mqtt is not None else {}
    yield _gauge(
        "dialin_mqtt_enabled", "Whether events are to go to a broker.", {"": mqtt is not None}
    )
    yield _gauge("dialin_mqtt_connected", "Whether they do.", {"": connected})
    yield _gauge(
        "dialin_mqtt_buffered",
        "Events that wait for the broker.",
        {"": outbox.waiting if outbox is not None else 0},
    )
    yield _counter(
        "dialin_mqtt_dropped",
        "Events lost because too many waited.",
        {"": outbox.dropped if outbox is not None else 0},
    )
    yield _counter(
        "dialin_mqtt_published",
        "Messages that the broker has taken.",
        {"": outbox.published if outbox is not None else 0},
    )
    yield _counter(
        "dialin_mqtt_connections",
        "Connections that were made.",
        {"": mqtt.connection.connections if mqtt is not None else 0},
    )
    yield _counter(
        "dialin_mqtt_commands",
        "Commands that came, by what became of them.",
        {result: counts.get(result, 0) for result in RESULTS},
        "outcome",
    )


def _gauge(name: str, about: str, values: Mapping[str, float], label: str = "") -> Metric:
    return _filled(GaugeMetricFamily(name, about, labels=(label,) if label else ()), values.items())


def _counter(name: str, about: str, values: Mapping[str, float], label: str = "") -> Metric:
    return _filled(
        CounterMetricFamily(name, about, labels=(label,) if label else ()), values.items()
    )


def _filled(
    family: GaugeMetricFamily | CounterMetricFamily, values: Iterable[tuple[str, float]]
) -> Metric:
    """Fill a family; the label's value is empty where there is no label."""
    for value, number in values:
        family.add_metric((value,) if value else (), float(number))
    return family
