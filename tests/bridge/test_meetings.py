"""Steering a conference that runs, from outside: the same rules, and a clear refusal."""

from pathlib import Path
from typing import Any

import pytest

from bridge.admin.live import LIVE_OPERATIONS
from bridge.errors import AdminError
from tests.support.stage import Stage, perform


def come(stage: Stage, pin: str) -> int:
    """Call, key a PIN, and hear out what is said; return the leg."""
    leg = stage.answer(stage.invite())
    stage.press(leg, pin)
    stage.finish_plays(leg)
    return leg


async def do(stage: Stage, operation: str, **arguments: Any) -> Any:  # noqa: ANN401 - any JSON
    """Perform a live operation on the only conference."""
    (running,) = stage.bridge.conferences.values()
    return await LIVE_OPERATIONS[operation](
        stage.bridge, conference=running.entry.name, **arguments
    )


def test_an_administrator_sees_and_steers_what_a_host_could(tmp_path: Path) -> None:
    """Mute of one and of all, lock, mode, promotion: each in the mixer and in what is shown."""

    async def scene(stage: Stage) -> None:
        host, guest = come(stage, stage.host_pin), come(stage, stage.guest_pin)
        now = await do(stage, "conference.people")
        assert [(each["person"], each["role"]) for each in now["people"]] == [
            (host, "host"),
            (guest, "guest"),
        ]
        await do(stage, "conference.steer", order="mute", person=guest)
        place = stage.media.place(guest)
        assert place is not None
        assert not place.speaks
        now = await do(stage, "conference.steer", order="unmute", person=guest)
        assert now["people"][1]["heard"]
        now = await do(stage, "conference.steer", order="mode", mode="presentation")
        assert (now["mode"], now["people"][1]["heard"]) == ("presentation", False)
        now = await do(stage, "conference.steer", order="lock")
        assert now["locked"]
        late = come(stage, stage.guest_pin)
        now = await do(stage, "conference.steer", order="admit", person=late)
        assert now["people"][2]["where"] == "room"
        now = await do(stage, "conference.steer", order="promote", person=late)
        assert now["people"][2]["role"] == "host"
        for _ in range(4):  # one after the other
            stage.finish_plays(guest)
        await do(stage, "conference.steer", order="remove", person=guest)
        assert stage.said(guest)[-2:] == ["removed", "goodbye"]

    perform(tmp_path, scene)


def test_what_would_be_left_undone_is_refused_with_a_reason(tmp_path: Path) -> None:
    """Nobody is to believe that it was done."""

    async def scene(stage: Stage) -> None:
        guest = come(stage, stage.guest_pin)
        refused: list[tuple[dict[str, Any], str]] = [
            ({"order": "lock"}, "no host"),
            ({"order": "mute_all"}, "no host"),
            ({"order": "mode", "mode": "presentation"}, "no host"),
            ({"order": "mode", "mode": "nonsense"}, "no mode 'nonsense'"),
            ({"order": "jump"}, "no order 'jump'"),
            ({"order": "promote"}, "about one person"),
            ({"order": "lock", "person": guest}, "about the whole"),
            ({"order": "admit", "person": guest}, "for who knocks"),
            ({"order": "promote", "person": guest + 1000}, "nobody with the number"),
        ]
        for arguments, why in refused:
            with pytest.raises(AdminError, match=why):
                await do(stage, "conference.steer", **arguments)
        with pytest.raises(AdminError, match="is running"):
            await LIVE_OPERATIONS["conference.people"](stage.bridge, conference="nowhere")

    perform(tmp_path, scene)


def test_an_end_from_outside_is_polite(tmp_path: Path) -> None:
    """Everybody hears why, and goodbye."""

    async def scene(stage: Stage) -> None:
        legs = [come(stage, stage.guest_pin) for _ in range(2)]
        done = await do(stage, "conference.end")
        assert done["people"] == 2
        assert all(stage.said(leg)[-2:] == ["conference_ended", "goodbye"] for leg in legs)

    perform(tmp_path, scene)
