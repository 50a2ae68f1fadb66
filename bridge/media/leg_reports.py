"""What a media process tells control of how a leg goes, now and then and at its end.

They are `messages.Event`s like others.
"""

from typing import Literal, TypeAlias

import msgspec

__all__ = [
    "Direction",
    "DtmfMethod",
    "LegClosed",
    "LegStatistics",
    "QualityDropped",
    "QualityRecovered",
]

Direction: TypeAlias = Literal["rx", "tx"]
DtmfMethod: TypeAlias = Literal["rfc4733", "info", "inband"]


class LegStatistics(msgspec.Struct, frozen=True, tag=True):
    """A leg's counters since it was opened; every five seconds, and once in `LegClosed`.

    Args:
        leg: the leg.
        packets_rx: RTP packets taken from the leg.
        packets_tx: RTP packets sent to it.
        bytes_rx: their payload [bytes].
        bytes_tx: payload sent [bytes].
        lost: packets that never came, by sequence number (RFC 3550 A.3).
        late: came after their time to be heard.
        early: came so long before it that waiting was cut short.
        duplicate: came twice.
        reordered: came after a later one.
        strangers: came from a source that is not the leg's.
        malformed: not RTP, truncated, wrong version.
        wrong_payload: of a payload type that was not negotiated.
        unwanted: came while the leg was not to send (hold).
        reanchored: the stream began anew: another SSRC, a leap in sequence or time stamp.
        bursts: runs that the lost ones were lost in.
        jitter_ms: interarrival jitter (RFC 3550 A.8) [ms].
        jitter_ms_mean: its mean, `None` before two packets were timed [ms].
        jitter_ms_worst: its greatest value, likewise [ms].
        rtt_ms: the last round trip by RTCP [ms], `None` before the first report.
        rtt_ms_worst: the longest one, likewise [ms].
        remote_lost: packets of ours that the peer says it lost; negative where some came twice.
        remote_jitter_ms: jitter the peer reports [ms], `None` before the first report.
        concealed_frames: frames of 20 ms that were made up.
        talk_ms: time the leg spoke [ms].
        playout_ms: how long its sound waits for playout now [ms].
        playout_ms_median: how long it waited at the median, `None` before the first packet [ms].
        playout_ms_worst: how long it waited at most [ms].
        r_factor: rating of what is heard of the leg by ITU-T G.107 (`emodel`), over all the time;
            `None` before a second of packets came. So for all that follow.
        mos: the mean opinion score of it (G.107 Annex B), 1 to 4.4.
        mos_now: that of the last five seconds.
        mos_worst: the worst of all such.
        remote_r_factor: rating of what the leg hears, by what its reports say; `None` before one.
        remote_mos: the score of it.
        remote_mos_now: that of its last report.
        dtmf_method: how its last digit came, `None` before one.
    """

    leg: int
    packets_rx: int = 0
    packets_tx: int = 0
    bytes_rx: int = 0
    bytes_tx: int = 0
    lost: int = 0
    bursts: int = 0
    late: int = 0
    early: int = 0
    duplicate: int = 0
    reordered: int = 0
    strangers: int = 0
    malformed: int = 0
    wrong_payload: int = 0
    unwanted: int = 0
    reanchored: int = 0
    jitter_ms: float = 0.0
    jitter_ms_mean: float | None = None
    jitter_ms_worst: float | None = None
    rtt_ms: float | None = None
    rtt_ms_worst: float | None = None
    remote_lost: int = 0
    remote_jitter_ms: float | None = None
    concealed_frames: int = 0
    talk_ms: int = 0
    playout_ms: float = 0.0
    playout_ms_median: float | None = None
    playout_ms_worst: float | None = None
    r_factor: float | None = None
    mos: float | None = None
    mos_now: float | None = None
    mos_worst: float | None = None
    remote_r_factor: float | None = None
    remote_mos: float | None = None
    remote_mos_now: float | None = None
    dtmf_method: DtmfMethod | None = None


class QualityDropped(msgspec.Struct, frozen=True, tag=True):
    """A leg sounds bad: many would complain (R below 70); told once, until `QualityRecovered`.

    Args:
        leg: the leg.
        direction: "rx": what is heard of it; "tx": what it hears, by its own reports.
        mos: the mean opinion score of the last five seconds, of its last report for "tx".
        lost_percent: packets not heard of them: lost, or too late [%].
        jitter_ms: of `LegStatistics`, the peer's for "tx", `None` where it said none.
        rtt_ms: of `LegStatistics`.
    """

    leg: int
    direction: Direction
    mos: float
    lost_percent: float
    jitter_ms: float | None = None
    rtt_ms: float | None = None


class QualityRecovered(msgspec.Struct, frozen=True, tag=True):
    """A leg sounds well again (R of 80 or more)."""

    leg: int
    direction: Direction
    mos: float


class LegClosed(msgspec.Struct, frozen=True, tag=True):
    """The answer to `CloseLeg`; nothing comes from the leg afterwards."""

    leg: int
    statistics: LegStatistics
