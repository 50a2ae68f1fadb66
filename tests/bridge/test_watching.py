"""The stream that `dialin live` reads: everything once, and then what changes."""

import asyncio
import json
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.admin.live import LIVE_OPERATIONS
from bridge.admin.watching import KEEP_ALIVE_S, MOST_WATCHERS, PERIOD_S, Tables, Watching, changes
from bridge.errors import AdminError
from bridge.media.messages import LegStatistics, TalkSpurt
from tests.support.stage import CONFERENCE, Stage, perform

ROWS = st.dictionaries(
    st.sampled_from("abc"), st.dictionaries(st.sampled_from("xy"), st.integers(0, 2), max_size=2)
)


def come(stage: Stage, pin: str, **changes: Any) -> int:  # noqa: ANN401 - those of the invitation
    """Call, key a PIN, and hear out what is said; return the leg."""
    leg = stage.answer(stage.invite(**changes))
    stage.press(leg, pin)
    stage.finish_plays(leg)
    return leg


def take(told: Tables, update: dict[str, Any]) -> Tables:
    """Apply an update, as who watches does."""
    return {
        name: {
            key: row
            for key, row in {**told.get(name, {}), **update.get(name, {}).get("rows", {})}.items()
            if key not in update.get(name, {}).get("gone", [])
        }
        for name in {**told, **update}
    }


@given(st.lists(st.dictionaries(st.sampled_from(["people", "bridge"]), ROWS), min_size=1))
def test_updates_lead_from_one_state_to_the_next(states: list[Tables]) -> None:
    """Whatever comes and goes; a table that is not told of stays."""
    told: Tables = {}
    seen: Tables = {}
    for state in states:
        now = {**seen, **state}
        told = take(told, changes(seen, now))
        assert told == now
        assert changes(now, now) == {}
        seen = now


def test_a_watcher_is_told_all_and_then_what_changes(tmp_path: Path) -> None:
    """People with their mutes told apart, talk, hand and quality; nothing where nothing happens."""

    async def scene(stage: Stage) -> None:
        host = come(stage, stage.host_pin, claimed="+46701740605")
        guest = come(stage, stage.guest_pin, claimed="+46701740607")
        slept: list[float] = []

        async def sleep(seconds: float) -> None:
            slept.append(seconds)
            await asyncio.sleep(0)

        watching = Watching(stage.bridge, sleep)
        async with aclosing(watching.watch(CONFERENCE)) as updates:
            first = await anext(updates)
            assert first["bridge"]["rows"][""]["calls"] == 2
            (conference,) = first["conferences"]["rows"].values()
            assert (conference["name"], conference["people"]) == ("demo", 2)
            rows = first["people"]["rows"]
            assert set(rows) == {str(host), str(guest)}
            assert rows[str(host)]["number"] == "+46*******05"
            assert rows[str(guest)]["role"] == "guest"

            for order, leg in (("mute", guest), ("volume", host)):
                await LIVE_OPERATIONS["conference.steer"](
                    stage.bridge, "demo", order=order, person=leg
                )
            stage.bridge.on_media(TalkSpurt(leg=guest, talking=True))
            seen = LegStatistics(leg=guest, packets_rx=99, lost=1, mos_now=4.06)
            stage.bridge.on_media(seen)
            rows = (await anext(updates))["people"]["rows"]
            row = rows[str(guest)]
            assert (row["host_muted"], row["self_muted"], row["mode_muted"]) == (True, False, False)
            assert (row["talking"], row["heard"]) == (True, False)
            assert (row["mos"], row["lost_percent"]) == (4.1, 1.0)
            assert rows[str(host)]["volume_db"] == 6.0

            slept.clear()
            assert await anext(updates) == {}
            assert sum(slept) == pytest.approx(KEEP_ALIVE_S)
            assert set(slept) == {PERIOD_S}

            await LIVE_OPERATIONS["conference.steer"](
                stage.bridge, "demo", order="mode", mode="presentation"
            )
            row = (await anext(updates))["people"]["rows"][str(guest)]
            assert (row["host_muted"], row["self_muted"], row["mode_muted"]) == (True, False, True)
            assert watching.watchers == 1
            stage.end(stage.bridge.legs[guest].call)
            update = await anext(updates)
            assert update["people"]["gone"] == [str(guest)]
        assert watching.watchers == 0

    perform(tmp_path, scene)


def test_who_asks_for_privacy_is_not_even_masked(tmp_path: Path) -> None:
    """No digit of any caller's number is in the stream, but country and the last two."""

    async def scene(stage: Stage) -> None:
        hidden = come(stage, stage.guest_pin, claimed="+46701740605", privacy=True)
        named = come(stage, stage.guest_pin, claimed="Alice Testperson")
        plain = come(stage, stage.guest_pin, asserted="+46701740699", claimed="+46701740607")
        (running,) = stage.bridge.conferences
        tables = Watching(stage.bridge).tables(running)
        people = tables["people"]
        assert people[str(hidden)]["number"] == ""
        assert people[str(plain)]["number"] == "+46*******99"
        text = json.dumps(tables)
        for secret in ("70174", "Alice", "Testperson", stage.guest_pin):
            assert secret not in text
        assert set(people[str(named)]["number"].rstrip("on")) == {"*"}

    perform(tmp_path, scene)


def test_conference_that_ends_is_told_as_gone_and_too_many_watchers_are_refused(
    tmp_path: Path,
) -> None:
    """One that does not run has nobody in it."""

    async def scene(stage: Stage) -> None:
        watching = Watching(stage.bridge)
        async with aclosing(watching.watch(CONFERENCE)) as updates:
            first = await anext(updates)
            assert first["people"] == first["conferences"] == {"rows": {}, "gone": []}
        come(stage, stage.guest_pin)
        several = [watching.watch() for _ in range(MOST_WATCHERS)]
        for each in several:
            await anext(each)
        with pytest.raises(AdminError, match="are watching"):
            await anext(watching.watch())
        for each in several:
            await each.aclose()
        async with aclosing(watching.watch(CONFERENCE)) as updates:
            first = await anext(updates)
            (key,) = first["conferences"]["rows"]
            stage.end(1)
            update = await anext(updates)
            assert update["conferences"]["gone"] == [key]
            assert len(update["people"]["gone"]) == 1

    perform(tmp_path, scene)
