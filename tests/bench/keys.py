"""Measure how soon a host's command is heard or applied, while hundreds of legs talk.

A whole bridge, and calls over real SIP: people who talk all along, and a host in each conference
who says nothing and presses keys as telephone-events (RFC 4733), as soon as what the others hear
has been the same for a while. Every talker repeats a sound of one second, so that what anybody
hears repeats after a second too, and a change can be told from everything else.

Without `--room`, conferences of twenty and a host, and `#6`: "all muted" in place of a loud room,
and "all unmuted" after a silent one, in turn. With `--room N`, one conference of N and `*7`: the
next mode, heard by all N, the first of four out of a loud room.

  effect_ms    from the first packet of the command's last key, as its host sends it, to the first
               changed packet at each other person of the conference: one that differs from that of
               a second ago by over half of its energy, from silence by more than -72 dBFS, and of
               which the next four agree but for one. Silence, other voices and a prompt all count
               as heard or applied.
  of_loud_ms, of_silence_ms   of those, by what was heard before.
  command_ms   the same by command: when the last one of its conference had heard it.
  speech_ms    the floor: a host says something into a silent room, from the first packet of it to
               the first changed one at the others. It takes the same wait for a tick and the same
               way out, and playout in place of the way through the control process.
  measured     pairs of a command and a listener; `missed` are those where no change came within a
               second, `unsettled` those left out because no change could have been seen.

Fails where anything was missed, or `effect_ms` is above 60 ms at its median or 150 ms at its 99th
percentile; in one conference where anybody heard it after more than 100 ms.
"""

import tempfile
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from tests.bench.cores import limited
from tests.bench.programs import LoadError, LoadProgram, percentile
from tests.bench.sounds import speech
from tests.bench.whole import Load, WholeBridge, call_arguments, whole_bridge
from tests.support import g711

__all__ = ["measure"]

PEOPLE: Final = 20
"""In a conference, besides its host."""

RATE: Final = 50
PERIOD: Final = 8000
"""Samples after which what is said repeats; ear.h counts them in packets."""

VOICES: Final = 40
"""Different sounds: two conferences full."""

UNDER_WAY_S: Final = 60.0
COMMAND_S: Final = 20.0
"""Longest time from one command to the next in a conference: prompts, a second, patience."""

MEDIAN_MS: Final = 60.0
WORST_MS: Final = 150.0
ROOM_MS: Final = 100.0
MISSED: Final = -1
UNSETTLED: Final = -2

Row = tuple[int, float, int]
"""Command, effect [ms], whether the room was loud before."""


def measure(legs: int, room: int | None, times: int) -> dict[str, Any]:
    """Measure.

    Args:
        legs: people who talk, in conferences of twenty; of no account with `room`.
        room: people in one conference, None for conferences of twenty.
        times: commands in each conference.

    Returns:
        What `scripts/bench keys --json` prints.

    Raises:
        LoadError: it could not be measured.
    """
    talking = legs if room is None else room
    hosts = -(-legs // PEOPLE) if room is None else 1
    calls = talking + hosts
    people = PEOPLE + 1 if room is None else calls
    with (
        whole_bridge(calls, people, LIMITS__CALLS=str(calls + 100)) as whole,
        tempfile.NamedTemporaryFile(prefix="dialin-bench-", suffix=".pcmu") as sound,
    ):
        sound.write(_voices())
        sound.flush()
        load = Load(whole)
        with _start(whole, talking, hosts, Path(sound.name), load) as callers:
            callers.answer(calls / RATE + UNDER_WAY_S)
            before = callers.mark()
            keys = "#6" if room is None else "*7"
            rows = _press(callers, keys, 1)
            floor = _press(callers, "!", 1 if room is None else 3)
            more = _press(callers, keys, times - 1)
            rows += [(hosts + press, ms, loud) for press, ms, loud in more]
            after = callers.mark()
            callers.finish(UNDER_WAY_S)
        cores = load.cores()
        status = whole.status()
    result = {
        "legs": talking,
        "hosts": hosts,
        "conferences": hosts,
        "keys": keys,
        **_judge(rows, floor),
        **_generator(before, after),
        **cores,
        "tick_ms": status["media"]["tick_ms"],
        "rtp_lost_by_bridge": status["media"]["lost_by_bridge"],
        "delivery_failed": status["counters"].get("delivery_failed", 0),
    }
    effect = result["effect_ms"]
    result["ok"] = (
        before["live"] == after["live"] == calls
        and result["measured"] > 0
        and result["missed"] == result["delivery_failed"] == 0
        and (_soon_enough(effect) if room is None else effect["max"] <= ROOM_MS)
    )
    return result


def _voices() -> bytes:
    """Return what is said, in PCMU, one sound after the other."""
    return b"".join(g711.encode(each, g711.PCMU) for each in speech(VOICES, PERIOD))


def _start(whole: WholeBridge, talking: int, hosts: int, sound: Path, load: Load) -> LoadProgram:
    """Let hosts and everybody else call: the first calls are the hosts', one a conference."""
    rooms = whole.rooms[:hosts]
    pins = [room.host_pin for room in rooms]
    pins += [rooms[each % hosts].guest_pin for each in range(talking)]
    whole.pins.write_text("\n".join(pins), encoding="ascii")
    arguments = call_arguments(whole, talking + hosts, RATE, 0, "udp", 0)
    return LoadProgram("callgen", *arguments, hosts, sound, idle=load.watch)


def _press(callers: LoadProgram, keys: str, times: int) -> list[Row]:
    if times < 1:
        return []
    callers.tell(f"press {times} {keys}")
    return [tuple(row) for row in callers.answer(times * COMMAND_S + UNDER_WAY_S)["rows"]]


def _judge(rows: list[Row], floor: list[Row]) -> dict[str, Any]:
    if not any(ms >= 0 for _, ms, _ in rows):
        raise LoadError("no command was heard by anybody: the bridge or the far ends are broken")
    loud = [ms for _, ms, was_loud in rows if ms >= 0 and was_loud]
    silent = [ms for _, ms, was_loud in rows if ms >= 0 and not was_loud]
    whole = [
        max(ms for _, ms, _ in listeners)
        for _, group in groupby(sorted(rows), key=lambda row: row[0])
        if (listeners := [row for row in group if row[1] >= 0])
    ]
    return {
        "effect_ms": _spread(loud + silent),
        "of_loud_ms": _spread(loud),
        "of_silence_ms": _spread(silent),
        "command_ms": _spread(whole),
        "speech_ms": _spread([ms for _, ms, _ in floor if ms >= 0]),
        "commands": len(whole),
        "measured": len(loud) + len(silent),
        "missed": sum(ms == MISSED for _, ms, _ in rows),
        "unsettled": sum(ms == UNSETTLED for _, ms, _ in rows),
    }


def _soon_enough(effect: dict[str, float]) -> bool:
    return effect["p50"] <= MEDIAN_MS and effect["p99"] <= WORST_MS


def _generator(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Say what the far ends took, and whether they may have been the limit."""
    took = after["seconds"] - before["seconds"]
    cores = (after["cpu_seconds"] - before["cpu_seconds"]) / took
    late = (after["late"] - before["late"]) / max(1, after["rtp_sent"] - before["rtp_sent"])
    return {
        "seconds": round(took, 1),
        "generator": {
            "cores": round(cores, 3),
            "late_share": round(late, 5),
            "latest_ms": after["latest_ms"],
            "missing": after["rtp_missing"] - before["rtp_missing"],
            "dropped": after["dropped"] - before["dropped"],
        },
        "generator_limited": limited(cores),
    }


def _spread(values: list[float]) -> dict[str, float | None]:
    return {
        "p50": percentile(values, 0.5),
        "p95": percentile(values, 0.95),
        "p99": percentile(values, 0.99),
        "max": percentile(values, 1.0),
    }
