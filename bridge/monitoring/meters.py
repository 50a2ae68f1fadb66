"""What is counted as it happens, for Prometheus: calls, prompts, keys, ticks, how legs sounded.

Everything here is a count over all callers: no number, no conference and no call has a series of
its own, so that nothing about anybody can be read from them and none are ever forgotten. The
registry is the bridge's own; the library's global one would publish what other packages put there.

Who feeds these is the event loop alone, a few times per call; what is only true at a moment is read
when it is asked for (`bridge.monitoring.readings`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

from bridge.media.messages import DigitPressed, Direction, DtmfMethod, Heartbeat
from config.settings import LANGUAGES
from dialplan.causes import Refusal

if TYPE_CHECKING:
    from bridge.media.messages import Event as MediaEvent
    from bridge.media.messages import LegStatistics

__all__ = ["Meters"]

TICK_S: Final = (0.002, 0.004, 0.008, 0.012, 0.016, 0.02, 0.04, 0.06, 0.1, 0.5)
"""Up to 20 ms a tick is in time; three are made up, 60 ms, and what is longer makes time jump."""

LOST: Final = (0.0, 0.001, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2)

JITTER_S: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.04, 0.06, 0.1, 0.2)

ROUND_TRIP_S: Final = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 1.0)
"""ITU-T G.114: up to 0.3 s, both ways, most people notice nothing; above 0.8 s it is too much."""

MOS: Final = (1.0, 1.5, 2.0, 2.58, 3.1, 3.6, 4.03, 4.2, 4.34)
"""From 2.58 on the scores of ITU-T G.107 Annex B for ratings R of 50, 60, 70, 80 and 90, but for
4.2: below 3.6 many are dissatisfied, below 3.1 nearly all."""

CALL_S: Final = (10, 30, 60, 300, 900, 1800, 3600, 7200, 14400)

_MS: Final = 1e-3


class Meters:
    """The bridge's registry, and what feeds it."""

    def __init__(self) -> None:
        # A second series beside each, with the time it was made, that nobody asks for.
        disable_created_metrics()  # type: ignore[no-untyped-call] # it takes and returns nothing
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._prompts = self._counter(
            "dialin_prompts_played", "Prompts that were begun, by language.", "language", LANGUAGES
        )
        self._prompts_in: dict[str, Counter] = {}
        self._digits = self._counter(
            "dialin_digits", "Keys that callers pressed.", "method", get_args(DtmfMethod)
        )
        self._attempts = self._counter(
            "dialin_attempts_refused",
            "Attempts of answered callers that were refused.",
            "reason",
            [reason.value for reason in Refusal],
        )
        self._tick = Histogram(
            "dialin_media_tick_longest_seconds",
            "The longest tick of each second, of all media processes; 20 ms are in time.",
            buckets=TICK_S,
            registry=self.registry,
        )
        self._calls = Histogram(
            "dialin_call_seconds",
            "How long calls lasted, from the invitation to the end.",
            buckets=CALL_S,
            registry=self.registry,
        )
        self._lost = self._of_legs(
            "dialin_leg_lost_ratio", "Share of RTP packets that never came, by leg.", LOST
        )
        self._jitter = self._of_legs(
            "dialin_leg_jitter_seconds", "Interarrival jitter of a leg; its mean for rx.", JITTER_S
        )
        self._mos = self._of_legs(
            "dialin_leg_mos", "Mean opinion score of a leg, estimated by ITU-T G.107.", MOS
        )
        self._round_trip = Histogram(
            "dialin_leg_round_trip_seconds",
            "Round trip by RTCP at the end of a leg.",
            buckets=ROUND_TRIP_S,
            registry=self.registry,
        )

    def _counter(
        self, name: str, about: str, label: str, values: list[str] | tuple[str, ...]
    ) -> Counter:
        """Make a counter that begins at nought for each value: rates need a beginning."""
        made = Counter(name, about, (label,), registry=self.registry)
        for value in values:
            made.labels(value)
        return made

    def _of_legs(self, name: str, about: str, buckets: tuple[float, ...]) -> Histogram:
        """Make a histogram by direction: what is heard of a leg, what it reports to hear."""
        made = Histogram(name, about, ("direction",), buckets=buckets, registry=self.registry)
        for direction in get_args(Direction):
            made.labels(direction)
        return made

    def heard(self, event: MediaEvent) -> None:
        """Take note of what a media process says."""
        match event:
            case Heartbeat(tick_ms_max=longest):
                self._tick.observe(longest * _MS)
            case DigitPressed(method=method):
                self._digits.labels(method).inc()
            case _:
                pass

    def prompt(self, language: str) -> None:
        """Count a prompt that begins."""
        # One key can begin hundreds, and to look the series up takes longer than to count.
        if language not in self._prompts_in:
            self._prompts_in[language] = self._prompts.labels(language)
        self._prompts_in[language].inc()

    def attempt_refused(self, reason: str) -> None:
        """Count something that an answered caller was refused."""
        self._attempts.labels(reason).inc()

    def call_ended(self, seconds: float, statistics: LegStatistics) -> None:
        """Take note of how a call was.

        Args:
            seconds: how long it lasted [s].
            statistics: its leg's last counters; one that never had media says nothing of quality.
        """
        self._calls.observe(seconds)
        seen = statistics
        if seen.packets_rx:
            self._lost.labels("rx").observe(_share(seen.lost, seen.packets_rx + seen.lost))
        if seen.jitter_ms_mean is not None:
            self._jitter.labels("rx").observe(seen.jitter_ms_mean * _MS)
        if seen.mos is not None:
            self._mos.labels("rx").observe(seen.mos)
        if seen.remote_mos is not None:
            self._mos.labels("tx").observe(seen.remote_mos)
        if seen.remote_jitter_ms is not None:
            self._lost.labels("tx").observe(_share(seen.remote_lost, seen.packets_tx))
            self._jitter.labels("tx").observe(seen.remote_jitter_ms * _MS)
        if seen.rtt_ms is not None:
            self._round_trip.observe(seen.rtt_ms * _MS)


def _share(part: int, whole: int) -> float:
    """Return a part of a whole; doubled packets may make a loss less than nought (RFC 3550 A.3)."""
    return min(max(part, 0) / whole, 1.0) if whole else 0.0
