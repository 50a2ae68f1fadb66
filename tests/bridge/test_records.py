"""What calls become in the records: who called, and what is left out."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random
from typing import Any

import pytest
from structlog.testing import capture_logs

from bridge.media.messages import LegGuarded, QualityDropped, QualityRecovered
from cdr.records import AttemptRefused, Caller, LegClosed, LegOpened
from config.settings import EntrySettings, Settings
from dialplan.pins import generate
from tests.support.stage import NUMBER, Stage, perform

PERSON = "+46701234567"
KNOWN: dict[str, Any] = {"number": PERSON, "country": "SE", "kind": "mobile"}


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ({"asserted": PERSON}, Caller(asserted=True, **KNOWN)),
        ({"asserted": PERSON, "claimed": "alice"}, Caller(asserted=True, **KNOWN)),
        ({"asserted": PERSON, "privacy": True}, Caller(asserted=True, privacy=True, **KNOWN)),
        ({"asserted": "alice"}, Caller(number="alice", asserted=True)),
        ({"asserted": "a", "privacy": True}, Caller(number="a", asserted=True, privacy=True)),
        ({"claimed": PERSON}, Caller(**KNOWN)),
        ({"claimed": "x" * 500}, Caller(number="x" * 32)),
        ({"claimed": PERSON, "privacy": True}, Caller(privacy=True)),
        ({"claimed": None}, Caller()),
        ({"claimed": None, "privacy": True}, Caller(privacy=True)),
    ],
)
def test_who_called_is_kept_as_far_as_they_let_us(
    said: dict[str, Any], kept: Caller, tmp_path: Path
) -> None:
    """A trunk's word before a claim; privacy asked for is noted, and a mere claim then dropped."""

    async def scene(stage: Stage) -> None:
        stage.invite(**said)
        assert stage.of(LegOpened)[0].caller == kept
        stage.invite(dialled=("404",), **said)
        assert stage.of(AttemptRefused)[0].caller == kept

    perform(tmp_path, scene)


def test_what_is_refused_in_a_call_names_the_call_alone(tmp_path: Path) -> None:
    """Who called and by which trunk is in the leg's row, once."""

    async def scene(stage: Stage) -> None:
        call = stage.invite(asserted=PERSON, trunk="carrier")
        leg = stage.answer(call)
        await asyncio.sleep(0.02)
        stage.press(leg, generate(Random(99), 9))
        await asyncio.sleep(1.2)
        (record,) = stage.of(AttemptRefused)
        assert record.leg == stage.of(LegOpened)[0].leg
        assert (record.caller, record.trunk, record.sip_status) == (Caller(), None, None)
        assert record.dialled == NUMBER

    settings = Settings(data_dir=tmp_path, entry=EntrySettings(greeting_delay_ms=0))
    perform(tmp_path, scene, settings=settings)


def test_a_number_of_nobodys_is_kept_apart(tmp_path: Path) -> None:
    """What was dialled may be a person's: it goes to the vault, where our own stand in clear."""

    async def scene(stage: Stage) -> None:
        stage.invite(dialled=(PERSON, NUMBER + "9"))
        stage.invite(codecs_ok=False)
        unknown, known = stage.of(AttemptRefused)
        assert (unknown.dialled, unknown.dialled_unknown) == (None, PERSON)
        assert (known.dialled, known.dialled_unknown) == (NUMBER, None)

    perform(tmp_path, scene)


def test_the_longest_wait_for_playout_is_kept(tmp_path: Path) -> None:
    """Not how long the last packet waited; and nothing where no packet came."""

    async def scene(stage: Stage) -> None:
        for worst in (98.6, None):
            call = stage.invite()
            stage.answer(call)
            await asyncio.sleep(0.02)
            stage.end(call, playout_ms=20.0, playout_ms_worst=worst)
            await asyncio.sleep(0.02)
        assert [each.quality.playout_ms for each in stage.of(LegClosed)] == [99, None]

    perform(tmp_path, scene)


def test_how_a_leg_sounded_is_kept_both_ways(tmp_path: Path) -> None:
    """Every figure of the last statistics, as fine as it is worth; none where none is known."""

    async def scene(stage: Stage) -> None:
        figures: dict[str, Any] = {
            "lost": 7,
            "bursts": 3,
            "late": 1,
            "remote_lost": -2,
            "remote_jitter_ms": 2.345,
            "jitter_ms": 99.0,
            "jitter_ms_mean": 1.256,
            "jitter_ms_worst": 4.0,
            "rtt_ms": 30.128,
            "rtt_ms_worst": 44.0,
            "playout_ms_median": 40.0,
            "playout_ms_worst": 80.0,
            "r_factor": 91.26,
            "mos": 4.377,
            "mos_worst": 3.9,
            "remote_r_factor": 88.0,
            "remote_mos": 4.3,
        }
        unmeasured: dict[str, Any] = {}
        for each in (figures, unmeasured):
            call = stage.invite()
            stage.answer(call)
            await asyncio.sleep(0.02)
            stage.end(call, **each)
            await asyncio.sleep(0.02)
        kept, unknown = (each.quality for each in stage.of(LegClosed))
        assert (kept.lost, kept.bursts, kept.late, kept.remote_lost) == (7, 3, 1, -2)
        assert (kept.jitter_ms, kept.jitter_max_ms, kept.remote_jitter_ms) == (1.26, 4.0, 2.35)
        assert (kept.rtt_ms, kept.rtt_max_ms) == (30.13, 44.0)
        assert (kept.playout_median_ms, kept.playout_ms) == (40, 80)
        assert (kept.r_factor, kept.mos, kept.mos_worst) == (91.3, 4.38, 3.9)
        assert (kept.remote_r_factor, kept.remote_mos) == (88.0, 4.3)
        # Nobody told of none lost who told nothing.
        assert unknown.remote_lost is unknown.mos is unknown.jitter_ms is unknown.rtt_ms is None

    perform(tmp_path, scene)


def test_a_line_that_becomes_bad_is_in_the_log(tmp_path: Path) -> None:
    """With its figures and which way; nothing of who it is but the call's name."""

    async def scene(stage: Stage) -> None:
        call = stage.invite()
        stage.answer(call)
        await asyncio.sleep(0.02)
        leg = stage.bridge.calls[call].leg
        with capture_logs() as lines:
            stage.bridge.on_media(
                QualityDropped(
                    leg=leg,
                    direction="tx",
                    mos=2.456,
                    lost_percent=12.34,
                    jitter_ms=None,
                    rtt_ms=9.99,
                )
            )
            stage.bridge.on_media(QualityRecovered(leg=leg, direction="tx", mos=4.2))
        bad, good = (line for line in lines if "line" in str(line["event"]))
        assert (bad["event"], bad["log_level"]) == ("line has become bad", "warning")
        assert (bad["direction"], bad["mos"], bad["lost_percent"]) == ("tx", 2.46, 12.3)
        assert (bad["jitter_ms"], bad["rtt_ms"]) == (None, 10.0)
        assert (good["event"], good["mos"]) == ("line is good again", 4.2)
        assert stage.bridge.counters["quality_dropped"] == 1

    perform(tmp_path, scene)


def test_a_line_that_is_held_down_is_in_the_log(tmp_path: Path) -> None:
    """With what is wrong and what was done; nothing of who it is but the call's name."""

    async def scene(stage: Stage) -> None:
        call = stage.invite()
        stage.answer(call)
        await asyncio.sleep(0.02)
        leg = stage.bridge.calls[call].leg
        with capture_logs() as lines:
            for event in (
                LegGuarded(leg=leg, guard="leak", action="muted", sound="music"),
                LegGuarded(
                    leg=leg, guard="echo", action="ducked", delay_ms=220, return_loss_db=9.5
                ),
                LegGuarded(leg=leg, guard="leak", action="released"),
            ):
                stage.bridge.on_media(event)
        leak, echo, free = (line for line in lines if "line" in str(line["event"]))
        assert (leak["event"], leak["log_level"]) == ("line is held down", "warning")
        assert (leak["guard"], leak["action"], leak["sound"]) == ("leak", "muted", "music")
        assert (echo["guard"], echo["delay_ms"], echo["return_loss_db"]) == ("echo", 220, 9.5)
        assert (free["event"], free["guard"]) == ("line is held down no more", "leak")
        assert stage.bridge.counters["line_held_down"] == 2

    perform(tmp_path, scene)
