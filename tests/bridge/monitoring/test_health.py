"""Whether the next call would be answered."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bridge.monitoring.health import REASONS, unready
from cdr.journal import RecorderStatus
from config.settings import LimitSettings, Settings
from tests.support.stage import Stage, perform


def test_a_bridge_that_answers_is_ready(tmp_path: Path) -> None:
    """No reason is given where there is none."""

    async def scene(stage: Stage) -> None:
        await asyncio.sleep(0)
        assert unready(stage.bridge) == []

    perform(tmp_path, scene)


def _stop(stage: Stage) -> None:
    stage.bridge.stopping = True


def _fail(stage: Stage) -> None:
    stage.bridge.fail("the SIP thread ended")


def _drain(stage: Stage) -> None:
    stage.bridge.drain.active = True


def _lose_sip(stage: Stage) -> None:
    stage.sip.running = False


def _lose_media(stage: Stage) -> None:
    for post in stage.media.posts:
        post.process = None


def _overload(stage: Stage) -> None:
    stage.media.overloaded = True


def _lose_records(stage: Stage) -> None:
    waiting = stage.bridge.settings.records.queue // 2 + 1
    recorder: Any = stage.recorder
    recorder.status = lambda: RecorderStatus("memory", waiting, waiting, 0, 0, 0)


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (_stop, "stopping"),
        (_fail, "stopping"),
        (_drain, "draining"),
        (_lose_sip, "sip"),
        (_lose_media, "media"),
        (_overload, "overload"),
        (_lose_records, "records"),
    ],
)
def test_a_bridge_that_would_not_answer_says_why(tmp_path: Path, harm: Any, reason: str) -> None:  # noqa: ANN401 - a function on the stage
    """One reason for one fault, of those that are explained."""

    async def scene(stage: Stage) -> None:
        await asyncio.sleep(0)
        harm(stage)
        assert unready(stage.bridge) == [reason]
        assert reason in REASONS

    perform(tmp_path, scene)


def test_a_full_bridge_is_not_ready_and_a_journal_that_takes_records_is(tmp_path: Path) -> None:
    """The limit of calls counts; a database that is away for a while does not, calls go on."""
    settings = replace(Settings(data_dir=tmp_path), limits=LimitSettings(calls=1))

    async def scene(stage: Stage) -> None:
        recorder: Any = stage.recorder
        recorder.status = lambda: RecorderStatus("journal", 50_000, 10, 0, 0, 0)
        assert unready(stage.bridge) == []
        stage.answer(stage.invite())
        assert unready(stage.bridge) == ["calls"]

    perform(tmp_path, scene, settings=settings)


def test_one_media_process_of_two_is_enough(tmp_path: Path) -> None:
    """Its legs are handed on within a third of a second; nobody need be sent elsewhere for that."""

    async def scene(stage: Stage) -> None:
        await asyncio.sleep(0)
        stage.media.posts[0].process, stage.media.posts[1].process = (
            None,
            stage.media.posts[0].process,
        )
        assert unready(stage.bridge) == []

    perform(tmp_path, scene)
