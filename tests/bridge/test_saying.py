"""`conference.say`: a phrase or a sound, to a room or to one, on a bridge without SIP and media."""

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bridge.admin.live import LIVE_OPERATIONS
from bridge.errors import AdminError
from bridge.media.messages import Play, PlayFinished
from bridge.media.names_area import NAMES
from bridge.sounds import BAYS, LONGEST_SAMPLES
from dialplan.rules import ConferenceRules
from tests.support.stage import Stage, perform

SOUND = base64.b64encode(np.arange(800, dtype="<i2").tobytes()).decode()


def come(stage: Stage, pin: str) -> int:
    """Call, key a PIN, and hear out what is said; return the leg."""
    leg = stage.answer(stage.invite())
    stage.press(leg, pin)
    stage.finish_plays(leg)
    return leg


async def say(stage: Stage, **arguments: Any) -> Any:  # noqa: ANN401 - any JSON
    """Have something said in the only conference."""
    return await LIVE_OPERATIONS["conference.say"](stage.bridge, conference="demo", **arguments)


def room_plays(stage: Stage) -> list[Play]:
    """Return the sounds that were played to a room."""
    return [
        each
        for each in stage.media.sent
        if isinstance(each, Play) and each.room is not None and each.clips[0][0] >= NAMES
    ]


def test_a_phrase_is_said_to_everybody_or_to_one(tmp_path: Path) -> None:
    """Through the rules, so that it waits its turn."""

    async def scene(stage: Stage) -> None:
        host, guest = come(stage, stage.host_pin), come(stage, stage.guest_pin)
        done = await say(stage, phrase="ending_soon", arguments={"minutes": 5})
        assert done == {"conference": "demo", "listeners": 2, "seconds": None}
        assert stage.said(host)[-1] == stage.said(guest)[-1] == "ending_soon"
        stage.finish_plays(guest)
        done = await say(stage, phrase="alone", person=guest)
        assert done["listeners"] == 1
        assert stage.said(guest)[-1] == "alone"
        assert "alone" not in stage.said(host)

    perform(tmp_path, scene, ConferenceRules(chimes=False))


def test_a_sound_for_the_room_is_mixed_into_its_talk_and_erased_when_it_is_over(
    tmp_path: Path,
) -> None:
    """One play for all of them, from the area that the media processes share."""

    async def scene(stage: Stage) -> None:
        for pin in (stage.host_pin, stage.guest_pin):
            come(stage, pin)
        done = await say(stage, sound=SOUND)
        assert done == {"conference": "demo", "listeners": 2, "seconds": 0.1}
        (play,) = room_plays(stage)
        assert play.mode == "mix"
        (running,) = stage.bridge.conferences.values()
        assert list(stage.bridge.sounds.of(running.room).values()) == play.clips
        stage.bridge.on_media(PlayFinished(play=play.play, completed=True, room=play.room))
        assert stage.bridge.sounds.of(running.room) == {}

    perform(tmp_path, scene)


@pytest.mark.parametrize("way", ["heard", "hung up"])
def test_a_sound_for_one_person_is_erased_when_they_have_heard_it(tmp_path: Path, way: str) -> None:
    """Or when the conference is over."""

    async def scene(stage: Stage) -> None:
        host, guest = come(stage, stage.host_pin), come(stage, stage.guest_pin)
        done = await say(stage, sound=SOUND, person=guest)
        assert done["listeners"] == 1
        (running,) = stage.bridge.conferences.values()
        assert len(stage.bridge.sounds.of(running.room)) == 1
        assert room_plays(stage) == []
        assert stage.said(guest)[-1] == "caller_name"
        assert "caller_name" not in stage.said(host)
        if way == "heard":
            stage.finish_plays(guest)
        else:
            for call in list(stage.bridge.calls):
                stage.end(call)
        assert stage.bridge.sounds.of(running.room) == {}

    perform(tmp_path, scene, ConferenceRules(chimes=False))


def test_what_cannot_be_said_is_refused_with_the_reason(tmp_path: Path) -> None:
    """And nothing is heard."""

    async def scene(stage: Stage) -> None:
        guest = come(stage, stage.guest_pin)
        before = len(stage.media.sent)
        odd = base64.b64encode(bytes(321)).decode()
        long = base64.b64encode(bytes(2 * LONGEST_SAMPLES + 2)).decode()
        refused: list[tuple[dict[str, Any], str]] = [
            ({}, "either a phrase"),
            ({"phrase": "alone", "sound": SOUND}, "either a phrase"),
            ({"phrase": "nonsense"}, "no phrase 'nonsense'"),
            ({"phrase": "ending_soon"}, "takes the arguments"),
            ({"phrase": "ending_soon", "arguments": {"minutes": "5"}}, "takes int"),
            ({"phrase": "ending_soon", "arguments": {"minutes": -5}}, "minutes|number|count"),
            ({"phrase": "left_name", "arguments": {"name": guest}}, "own voice"),
            ({"phrase": "alone", "person": guest + 1000}, "nobody with the number"),
            ({"sound": "?"}, "not in base64"),
            ({"sound": odd}, "321 octets"),
            ({"sound": long}, "octets"),
            ({"sound": ""}, "0 octets"),
        ]
        for arguments, why in refused:
            with pytest.raises(AdminError, match=why):
                await say(stage, **arguments)
        with pytest.raises(AdminError, match="is running"):
            await LIVE_OPERATIONS["conference.say"](
                stage.bridge, conference="nowhere", phrase="alone"
            )
        assert len(stage.media.sent) == before

    perform(tmp_path, scene)


def test_a_room_in_which_nobody_is_together_hears_nothing(tmp_path: Path) -> None:
    """Who waits for the host can be spoken to, by number."""

    async def scene(stage: Stage) -> None:
        guest = come(stage, stage.guest_pin)
        with pytest.raises(AdminError, match="nobody is together"):
            await say(stage, phrase="alone")
        await say(stage, phrase="still_waiting", person=guest)
        stage.finish_plays(guest)
        assert stage.said(guest)[-1] == "still_waiting"

    perform(tmp_path, scene, ConferenceRules(start="on_host"))


def test_more_sounds_than_the_bridge_holds_are_refused(tmp_path: Path) -> None:
    """In words, until one is over."""

    async def scene(stage: Stage) -> None:
        for pin in (stage.host_pin, stage.guest_pin):
            come(stage, pin)
        for _ in range(BAYS):
            await say(stage, sound=SOUND)
        with pytest.raises(AdminError, match="as many sounds"):
            await say(stage, sound=SOUND)
        play = room_plays(stage)[0]
        stage.bridge.on_media(PlayFinished(play=play.play, completed=True, room=play.room))
        await say(stage, sound=SOUND)

    perform(tmp_path, scene)
