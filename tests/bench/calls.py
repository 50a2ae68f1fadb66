"""Measure a whole bridge: calls at a rate, with a PIN and RTP both ways on each.

Every call sends an INVITE over UDP, loud RTP all along, the PIN as telephone-events (RFC 4733) from
600 ms after the 200 on, stays in a conference of up to twenty, and hangs up so that as many as
wished are up at once.

  answer_ms  INVITE sent to 200 received, as the caller sees it.
  admit_ms   first packet of the PIN's last key sent, by the caller's clock, to the time at which
             the bridge put the leg into its conference, which is `admitted_at` of the call detail
             record [ms]. Both are the wall clock of this one machine.
  heard_ms   that packet to the first sound afterwards, as the caller hears it ("you are joining");
             the bridge is silent while a PIN is keyed.
  lost       calls that were not answered, were hung up on, did not get in (no `admitted_at`), whose
             BYE nobody answered, or whose record is missing or was not closed.
  rtp_lost   packets missing in sequence, seen by the bridge or by the callers, less those that the
             callers' own receive buffers dropped.
  cores      CPU time of all processes of the bridge per second, from the first call to the last.
"""

from datetime import datetime
from typing import Any, Final

from tests.bench.programs import LoadProgram, percentile
from tests.bench.whole import Load, call_arguments, whole_bridge

__all__ = ["measure"]

LEAST_STAY_S = 5.0
"""Greeting, twelve keys and the joining take half of it."""

MARGIN_CALLS: Final = 5
"""Calls overlap so that the peak is reached although answering takes time."""

AREAS: Final = 20
"""Numbers for fiction are 100 in each of the area codes that callgen knows."""


def measure(calls: int, rate: int, peak: int) -> dict[str, Any]:
    """Measure.

    Args:
        calls: in all, 2000 at most: each has a number of its own.
        rate: new calls a second.
        peak: calls at once.

    Returns:
        What `scripts/bench calls --json` prints.

    Raises:
        LoadError: it could not be measured.
    """
    stay = max(LEAST_STAY_S, (min(peak, calls) + MARGIN_CALLS) / rate)
    limit = str(max(1000, peak + 200))
    with whole_bridge(peak, LIMITS__CALLS=limit) as whole:
        load = Load(whole)
        arguments = call_arguments(whole, calls, rate, int(1000 * stay), "udp", 0)
        with LoadProgram("callgen", *arguments, idle=load.watch) as callers:
            said = callers.answer(calls / rate + stay + 90)
        cores = load.cores()
        records = {row["caller"]: row for row in whole.records(calls)}
        status = whole.status()
    return _judge(calls, rate, said, records, status) | cores


def _judge(
    calls: int,
    rate: int,
    said: dict[str, Any],
    records: dict[str, dict[str, Any]],
    status: dict[str, Any],
) -> dict[str, Any]:
    answer, admit, heard, statuses = [], [], [], dict[str, int]()
    lost = 0
    for number, answer_ms, last_key_us, heard_ms, refusal, over in said["rows"]:
        record = records.get(_caller(number))
        admitted = None if record is None else record["admitted_at"]
        lost += not (over and answer_ms >= 0 and admitted)
        if answer_ms >= 0:
            answer.append(answer_ms)
        if heard_ms >= 0:
            heard.append(heard_ms)
        if admitted and last_key_us > 0:
            at = datetime.fromisoformat(admitted).timestamp()
            admit.append(1000 * at - last_key_us / 1000)
        if refusal:
            statuses[str(refusal)] = statuses.get(str(refusal), 0) + 1
    missed = sum(record["lost"] or 0 for record in records.values())
    media = status["media"]
    return {
        "calls": calls,
        "lost": lost,
        "peak": said["peak"],
        "rate": rate,
        "seconds": round(said["seconds"], 1),
        "answer_ms": _spread(answer),
        "admit_ms": _spread(admit),
        "heard_ms": _spread(heard),
        "answered": said["answered"],
        "admitted": sum(record["admitted_at"] is not None for record in records.values()),
        "heard": said["heard"],
        "refused": statuses,
        "hung_up_by_bridge": said["hung_up"],
        "records_closed": len(records),
        "rtp_lost": missed + max(0, said["rtp_missing"] - said["dropped"]),
        "rtp_lost_by_bridge": media["lost_by_bridge"],
        "media_replaced": media["replaced"],
        "media_counters": {
            name: value for name, value in sorted(media["counters"].items()) if value
        },
        "bridge_counters": status["counters"],
        "generator": {
            name: said[name]
            for name in (
                *("rtp_sent", "rtp_received", "rtp_missing", "dropped", "late", "latest_ms"),
                *("send_errors", "refused", "retransmits", "longest_gap_ms"),
            )
        }
        | {"cores": round(said["cpu_seconds"] / said["seconds"], 3)},
        "ok": lost == 0 and media["lost_by_bridge"] == 0,
    }


def _caller(number: int) -> str:
    """Return a call's number as callgen makes it up."""
    areas = "202 203 205 206 207 208 209 210 212 213 214 215 216 217 218 219 224 225 228 229"
    return f"+1{areas.split()[number // 100 % AREAS]}55501{number % 100:02d}"


def _spread(values: list[float]) -> dict[str, float | None]:
    return {
        "p50": percentile(values, 0.5),
        "p95": percentile(values, 0.95),
        "p99": percentile(values, 0.99),
        "max": percentile(values, 1.0),
    }
