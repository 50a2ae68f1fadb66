"""A running conference: what one event costs, however many people are in it."""

import asyncio
from collections import Counter
from pathlib import Path

from bridge.media.messages import Place, Play
from dialplan.rules import ConferenceRules
from tests.support.stage import Stage, perform

PEOPLE = 300


def fill(stage: Stage, people: int) -> list[int]:
    """Let people come in within a moment, a host first; return their legs."""
    legs = []
    for number in range(people):
        leg = stage.answer(stage.invite())
        stage.press(leg, stage.guest_pin if number else stage.host_pin)
        legs.append(leg)
    return legs


def test_a_mode_is_one_place_and_one_prompt_for_each_of_three_hundred(tmp_path: Path) -> None:
    """All places come before the first prompt, so that they hold in the same tick."""

    async def scene(stage: Stage) -> None:
        host, *guests = fill(stage, PEOPLE)
        for leg in (host, *guests):
            stage.finish_plays(leg)
        stage.press(host, "*")
        said_before = len(stage.media.sent)
        stage.press(host, "7")
        said = stage.media.sent[said_before:]
        assert [type(each) for each in said] == [Place] * len(guests) + [Play] * PEOPLE
        places, plays = said[: len(guests)], said[len(guests) :]
        assert [each.leg for each in places if isinstance(each, Place)] == guests
        assert not any(each.speaks for each in places if isinstance(each, Place))
        heard = Counter(each.leg for each in plays if isinstance(each, Play))
        assert heard == Counter((host, *guests))
        await asyncio.sleep(0)

    perform(tmp_path, scene, ConferenceRules(capacity=PEOPLE, chimes=False))


def test_three_hundred_who_come_at_once_are_told_of_by_few_words(tmp_path: Path) -> None:
    """Each newcomer is told something; the others hear one tone for all of them."""

    async def scene(stage: Stage) -> None:
        few = 20
        fill(stage, few)
        before = len(stage.media.sent)
        fill(stage, 1)
        each = len(stage.media.sent) - before
        before = len(stage.media.sent)
        fill(stage, PEOPLE - few - 1)
        assert len(stage.media.sent) - before <= each * (PEOPLE - few - 1)
        chimes = [play for play in stage.media.sent if isinstance(play, Play) and play.room]
        assert len(chimes) == 1
        await asyncio.sleep(0)

    perform(tmp_path, scene, ConferenceRules(capacity=PEOPLE + 2))
