"""What calls become in the records: who called, and what is left out."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random
from typing import Any

import pytest

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
