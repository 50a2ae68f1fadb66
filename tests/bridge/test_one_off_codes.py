"""Codes that let one named guest in, once: when exactly is one used up?"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from bridge.media.messages import Place
from config.settings import EntrySettings, Settings
from dialplan import pins, store
from dialplan.guesses import GuessLimits
from dialplan.rules import ConferenceRules, Window
from tests.support.stage import CONFERENCE, Stage, perform

CODE = pins.generate(Random(77), 9)
ROW = 42


def settings(folder: Path) -> Settings:
    """Return settings without the wait before the greeting."""
    return Settings(data_dir=folder, entry=EntrySettings(greeting_delay_ms=0))


def issue(stage: Stage) -> list[int]:
    """Give out the code; return the rows that the database is told were used."""
    now = stage.bridge.directory._now
    entry = store.PinEntry(ROW, CONFERENCE, "guest", single_use=True, holder="Ada")
    found = {**now.pins, stage.bridge.vault.pin_hash(CODE): entry}
    stage.bridge.directory.replace(store.Directory(now.numbers, now.conferences, found, now.trunks))
    told: list[int] = []
    stage.bridge.on_code_used = told.append
    return told


async def key(stage: Stage, pin: str = CODE) -> tuple[int, int]:
    """Dial and key a PIN; return call and leg."""
    call = stage.invite()
    leg = stage.answer(call)
    await asyncio.sleep(0.02)
    stage.press(leg, pin)
    await asyncio.sleep(0.02)
    return call, leg


def in_room(stage: Stage, leg: int) -> bool:
    """Tell whether the mixer has the leg in a room."""
    place = stage.media.place(leg)
    return isinstance(place, Place) and place.room is not None


def test_code_lets_in_once_and_the_database_is_told(tmp_path: Path) -> None:
    """The first who keys it is in; the second hears what a stranger hears."""

    async def scene(stage: Stage) -> None:
        told = issue(stage)
        _, first = await key(stage)
        assert in_room(stage, first)
        assert told == [ROW]
        _, second = await key(stage)
        await asyncio.sleep(1.1)
        assert not in_room(stage, second)
        assert "pin_not_recognised" in stage.said(second)
        assert told == [ROW]

    perform(tmp_path, scene, settings=settings(tmp_path))


@pytest.mark.parametrize("why", ["closed", "full"])
def test_code_is_not_used_up_by_a_door_that_stays_shut(why: str, tmp_path: Path) -> None:
    """Who is told to call again later can: the code still opens then."""
    rules = ConferenceRules(capacity=1)
    if why == "closed":
        rules = ConferenceRules(window=Window(datetime.now(UTC) + timedelta(hours=1)))

    async def scene(stage: Stage) -> None:
        told = issue(stage)
        inside = None
        if why == "full":
            inside, _ = await key(stage, stage.guest_pin)
        _, leg = await key(stage)
        assert f"conference_{why}" in stage.said(leg)
        assert told == []
        if inside is not None:
            stage.end(inside)
        opened = {CONFERENCE: store.ConferenceEntry(CONFERENCE, "demo", ConferenceRules(), "UTC")}
        now = stage.bridge.directory._now
        stage.bridge.directory.replace(store.Directory(now.numbers, opened, now.pins, now.trunks))
        _, again = await key(stage)
        assert in_room(stage, again)
        assert told == [ROW]

    perform(tmp_path, scene, settings=settings(tmp_path), rules=rules)


def test_used_code_stays_used_when_the_directory_is_read_again(tmp_path: Path) -> None:
    """A database that has not noted it yet does not bring a used code back to life."""

    async def scene(stage: Stage) -> None:
        issue(stage)
        unaware = stage.bridge.directory._now
        _, first = await key(stage)
        assert in_room(stage, first)
        stage.bridge.directory.replace(unaware)
        _, second = await key(stage)
        await asyncio.sleep(1.1)
        assert not in_room(stage, second)

    perform(tmp_path, scene, settings=settings(tmp_path))


def test_hanging_up_at_the_door_does_not_use_the_code_up(tmp_path: Path) -> None:
    """Between the last digit and the door the line breaks: the guest calls again and is in."""

    async def scene(stage: Stage) -> None:
        told = issue(stage)
        for _ in range(80):  # failures of strangers: now everybody's answer is delayed
            stage.bridge.guesses.verdict(stage.bridge.loop.time(), None, "1000", None)
        call, leg = await key(stage)
        assert not in_room(stage, leg)
        stage.end(call)
        assert told == []
        stage.bridge.guesses = GuessLimits()  # the storm is over
        _, again = await key(stage)
        assert in_room(stage, again)
        assert told == [ROW]

    perform(tmp_path, scene, settings=settings(tmp_path))
