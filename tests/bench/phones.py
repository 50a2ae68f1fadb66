"""Measure phones that call over SIP/TCP while many RTP legs are up.

The legs come by calls over UDP and stay; then phones come, a TCP connection each, enter a PIN and
stay too, and the legs are watched meanwhile. At the end more phones come than the bridge takes
connections: it must refuse those, keep all others, and `dialin doctor` must say so.

  closed         connections of admitted phones that were closed while their call was up.
  legs.missing   packets that the legs missed since the first phone came, less those that their own
                 receive buffers dropped; `missed_by_bridge` is the same the other way round, by
                 the legs' call detail records.
  beyond         phones above sip.max_tcp (set to phones + 10 here): how many there were, how many
                 got in, and what `dialin doctor` says about the rest.
"""

import json
from typing import Any, Final

from tests.bench.programs import LoadError
from tests.bench.whole import Load, WholeBridge, start_calls, whole_bridge

__all__ = ["measure"]

SPARE = 10
"""Connections that the bridge takes beyond the phones'."""

BEYOND = 20
"""Phones above them."""

LEG_RATE: Final = 50
PHONE_RATE: Final = 10
UNDER_WAY_S: Final = 60.0


def measure(phones: int, legs: int) -> dict[str, Any]:
    """Measure.

    Args:
        phones: over TCP.
        legs: over UDP, 0 for none.

    Returns:
        What `scripts/bench phones --json` prints.

    Raises:
        LoadError: it could not be measured.
    """
    callers = legs + phones + SPARE + BEYOND
    settings = {
        "LIMITS__CALLS": str(callers + 100),
        "SIP__MAX_TCP": str(phones + SPARE),
    }
    with whole_bridge(callers, **settings) as whole:
        quiet = _Legs(whole, legs)
        try:
            load = Load(whole)
            with start_calls(whole, phones, PHONE_RATE, "tcp", legs, idle=load.watch) as desk:
                desk.answer(phones / PHONE_RATE + UNDER_WAY_S)
                up = desk.mark()
                connections = whole.status()["sip"]["tcp"]
                many = SPARE + BEYOND
                with start_calls(
                    whole, many, PHONE_RATE, "tcp", legs + phones, idle=load.watch
                ) as others:
                    others.answer(many / PHONE_RATE + UNDER_WAY_S)
                    beyond = others.mark()
                    doctor = _doctor(whole.bridge.dialin("doctor", "--json", code=None).stdout)
                    others.finish(UNDER_WAY_S)
                later = desk.mark()
                gone = desk.finish(UNDER_WAY_S)
            cores = load.cores()
            hurt = quiet.since()
        finally:
            quiet.end()
        records = whole.records(legs + phones + SPARE)
        status = whole.status()
    refused = beyond["calls"] - beyond["live"]
    lost = sum(1 for *_, over in gone["rows"] if not over)
    missing = max(0, hurt["missing"] - hurt["dropped"])
    missed = sum(row["lost"] or 0 for row in records if row["transport"] == "udp")
    result = {
        "phones": phones,
        "phones_up": up["live"],
        "phones_heard_in": up["heard"],
        "phones_lost": lost,
        "closed": gone["closed"],
        "connections": connections["connections"],
        "phones_still_up_after_refusals": later["live"],
        "phones_rtp_missing": max(0, gone["rtp_missing"] - gone["dropped"]),
        "legs": {**hurt, "wanted": legs, "missing": missing, "missed_by_bridge": missed},
        "beyond": {
            "connections_allowed": phones + SPARE,
            "more_phones": beyond["calls"],
            "got_in": beyond["live"],
            "refused": refused,
            "doctor": doctor,
        },
        "rtp_lost_by_bridge": status["media"]["lost_by_bridge"],
        **cores,
    }
    result["ok"] = (
        up["live"] == up["heard"] == later["live"] == phones
        and lost == gone["closed"] == missing == missed == 0
        and hurt["live"] == legs
        and refused == BEYOND
        and doctor["verdict"] != "ok"
        and bool(doctor["advice"])
        and status["media"]["lost_by_bridge"] == 0
    )
    return result


class _Legs:
    """Calls over UDP that stay, and what they miss."""

    def __init__(self, whole: WholeBridge, legs: int) -> None:
        self._program = start_calls(whole, legs, LEG_RATE, "udp", 0) if legs else None
        self._before: dict[str, Any] = {}
        if self._program is not None:
            try:
                self._program.answer(legs / LEG_RATE + UNDER_WAY_S)
                self._before = self._program.mark()
            except LoadError:
                self._program.__exit__()
                raise

    def since(self) -> dict[str, Any]:
        """Return what they missed since they are up."""
        if self._program is None:
            return {"live": 0, "heard": 0, "missing": 0, "dropped": 0, "longest_gap_ms": 0.0}
        now, before = self._program.mark(), self._before
        return {
            "live": now["live"],
            "heard": now["heard"],
            "received": now["rtp_received"] - before["rtp_received"],
            "missing": now["rtp_missing"] - before["rtp_missing"],
            "dropped": now["dropped"] - before["dropped"],
            "longest_gap_ms": now["longest_gap_ms"],
            "late_sent": now["late"] - before["late"],
        }

    def end(self) -> None:
        """Hang up."""
        if self._program is not None:
            with self._program as program:
                program.finish(UNDER_WAY_S)


def _doctor(text: str) -> dict[str, str]:
    """Return what doctor says about room for TCP."""
    found: list[dict[str, str]] = json.loads(text)
    return next(each for each in found if each["check"] == "SIP over TCP")
