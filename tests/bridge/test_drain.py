"""Draining: what runs goes on, who drops gets back, nothing begins, and then the bridge ends."""

import asyncio
from pathlib import Path

import pytest

from bridge import drain
from bridge.errors import AdminError
from bridge.monitoring.health import unready
from cdr.records import AttemptRefused, SessionOpened
from dialplan.rules import ConferenceRules
from tests.support.stage import Stage, perform


def watched(stage: Stage) -> list[str]:
    """Note when the bridge is told to end."""
    ends: list[str] = []
    stage.bridge.drain.on_end = lambda: ends.append("end")
    return ends


def come(stage: Stage, pin: str) -> tuple[int, int]:
    """Call, key a PIN, and hear out what is said; return call and leg."""
    call = stage.invite()
    leg = stage.answer(call)
    stage.press(leg, pin)
    stage.finish_plays(leg)
    return call, leg


def test_who_drops_gets_back_and_the_end_of_the_last_conference_ends_it(tmp_path: Path) -> None:
    """Answered, let in by the PIN, placed in the same room; gone when the last one is."""

    async def scene(stage: Stage) -> None:
        ends = watched(stage)
        first, leg = come(stage, stage.guest_pin)
        second, _ = come(stage, stage.guest_pin)
        place = stage.media.place(leg)
        assert place is not None
        room = place.room
        state = stage.bridge.drain.begin()
        assert (state["draining"], state["conferences"], state["calls"]) == (True, 1, 2)
        stage.end(first)
        back, leg = come(stage, stage.guest_pin)
        place = stage.media.place(leg)
        assert place is not None
        assert place.room == room
        assert ends == []
        stage.end(second)
        assert not stage.bridge.stopping
        stage.end(back)
        assert list(ends) == ["end"]
        late = stage.invite()
        assert stage.sip.said[-1] == ("refuse", late, 503, 10)
        assert len(stage.of(SessionOpened)) == 1

    perform(tmp_path, scene)


def test_no_other_conference_starts(tmp_path: Path) -> None:
    """A right PIN of one that does not run: told so, recorded, hung up; the code is given back."""

    async def scene(stage: Stage) -> None:
        watched(stage)
        held, _ = come(stage, stage.guest_pin)
        running = stage.bridge.conferences.pop(1)  # as if it were another one
        stage.bridge.conferences[2] = running
        stage.bridge.drain.begin()
        call, leg = come(stage, stage.guest_pin)
        assert stage.said(leg)[-2:] == ["service_maintenance", "goodbye"]
        stage.finish_plays(leg)
        assert stage.sip.verbs(call)[-1] == "hangup"
        assert stage.bridge.calls[call].end_cause == "maintenance"
        assert [each.reason for each in stage.of(AttemptRefused)] == ["maintenance"]
        assert list(stage.bridge.conferences) == [2]
        assert stage.sip.verbs(held) == ["accept"]

    perform(tmp_path, scene)


def test_people_who_wait_for_their_host_are_not_sent_home(tmp_path: Path) -> None:
    """Somebody was there before: the host still starts it."""

    async def scene(stage: Stage) -> None:
        ends = watched(stage)
        come(stage, stage.guest_pin)
        stage.bridge.drain.begin()
        assert ends == []
        _, host = come(stage, stage.host_pin)
        assert len(stage.of(SessionOpened)) == 1
        assert "maintenance_begins" in stage.said(host)

    perform(tmp_path, scene, ConferenceRules(start="on_host"))


def test_hosts_are_warned_and_guests_are_not(tmp_path: Path) -> None:
    """Those inside at once, with the time limit; one who comes later on coming in."""

    async def scene(stage: Stage) -> None:
        watched(stage)
        _, guest = come(stage, stage.guest_pin)
        _, host = come(stage, stage.host_pin)
        before = len(stage.said(guest))
        stage.bridge.drain.begin(1800)
        assert stage.said(host)[-2:] == ["maintenance_begins", "maintenance_within"]
        said = stage.bank.phrases[-1]
        assert said.arguments == (("minutes", 30),)
        _, late = come(stage, stage.host_pin)
        stage.finish_plays(late)
        assert stage.said(late)[-2:] == ["maintenance_begins", "maintenance_within"]
        assert stage.said(host).count("maintenance_begins") == 1
        assert len(stage.said(guest)) == before

    perform(tmp_path, scene)


def test_who_becomes_host_meanwhile_is_warned(tmp_path: Path) -> None:
    """By the host PIN from inside, or by an administrator: told what the other hosts were told."""

    async def scene(stage: Stage) -> None:
        watched(stage)
        _, guest = come(stage, stage.guest_pin)
        _, other = come(stage, stage.guest_pin)
        stage.bridge.drain.begin(1800)
        assert "maintenance_begins" not in stage.said(guest)
        stage.press(guest, "*3")
        stage.press(guest, stage.host_pin)
        await asyncio.sleep(0.01)
        stage.finish_plays(guest)
        assert stage.said(guest)[-2:] == ["maintenance_begins", "maintenance_within"]
        stage.bridge.conferences[1].steer("promote", other, None)
        stage.finish_plays(other)
        assert stage.said(other)[-2:] == ["maintenance_begins", "maintenance_within"]
        assert stage.said(guest).count("maintenance_begins") == 1

    perform(tmp_path, scene)


def test_an_empty_bridge_ends_at_once(tmp_path: Path) -> None:
    """Who stands at the door counts for nothing: they are told by the end itself."""

    async def scene(stage: Stage) -> None:
        ends = watched(stage)
        stage.answer(stage.invite())
        assert stage.bridge.drain.begin()["stopping"]
        assert ends == ["end"]
        stage.bridge.drain.look()
        assert ends == ["end"]

    perform(tmp_path, scene)


def test_a_drain_taken_back_lets_conferences_start(tmp_path: Path) -> None:
    """As if it had not been; what was to come of its time limit does not."""

    async def scene(stage: Stage) -> None:
        ends = watched(stage)
        call, _ = come(stage, stage.guest_pin)
        with pytest.raises(AdminError, match="does not drain"):
            stage.bridge.drain.undo()
        stage.bridge.drain.begin(0.05)
        assert unready(stage.bridge) == ["draining"]
        assert not stage.bridge.drain.undo()["draining"]
        stage.end(call)
        come(stage, stage.guest_pin)
        await asyncio.sleep(0.1)
        assert ends == []
        assert len(stage.of(SessionOpened)) == 2
        assert unready(stage.bridge) == []

    perform(tmp_path, scene)


def test_it_is_too_late_to_take_back_an_end_that_is_under_way(tmp_path: Path) -> None:
    """Goodbye is being said; and nothing else is promised."""

    async def scene(stage: Stage) -> None:
        watched(stage)
        stage.bridge.drain.begin()
        with pytest.raises(AdminError, match="too late"):
            stage.bridge.drain.undo()

    perform(tmp_path, scene)


def test_time_limit_ends_it_after_warning_everybody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guests too hear it before; a later drain replaces the limit of an earlier one."""
    monkeypatch.setattr(drain, "WARNINGS_S", (0.2, 0.1))

    async def scene(stage: Stage) -> None:
        ends = watched(stage)
        _, guest = come(stage, stage.guest_pin)
        stage.bridge.drain.begin(0.05)
        stage.bridge.drain.begin(0.3)
        await asyncio.sleep(0.12)
        assert ends == []
        assert stage.said(guest)[-1] != "ending_soon"
        await asyncio.sleep(0.13)
        assert stage.said(guest).count("ending_soon") == 1
        await asyncio.sleep(0.15)
        assert ends == ["end"]
        assert stage.bridge.stopping

    perform(tmp_path, scene)


@pytest.mark.parametrize("wrong", [-1, drain.LONGEST_S + 1, float("nan")])
def test_a_time_limit_that_is_none_is_refused(tmp_path: Path, wrong: float) -> None:
    """And nothing has begun."""

    async def scene(stage: Stage) -> None:
        with pytest.raises(AdminError, match="time limit"):
            stage.bridge.drain.begin(wrong)
        assert not stage.bridge.drain.active

    perform(tmp_path, scene)


@pytest.mark.parametrize(
    ("seconds", "said"), [(None, None), (0.0, 1), (89.0, 1), (1800.0, 30), (86_400.0, 1440)]
)
def test_minutes_left_are_what_a_prompt_can_say(
    tmp_path: Path, seconds: float | None, said: int | None
) -> None:
    """Whole ones, 1 to 1,440."""

    async def scene(stage: Stage) -> None:
        watched(stage)
        come(stage, stage.guest_pin)
        stage.bridge.drain.begin(seconds)
        assert stage.bridge.drain.minutes_left == said
        stage.bridge.drain._forget_timers()

    perform(tmp_path, scene)
