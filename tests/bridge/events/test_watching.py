"""What a running conference tells the stream, against what its people did."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bridge.admin.live import LIVE_OPERATIONS
from bridge.events import messages, watching
from bridge.events.messages import (
    Ended,
    Event,
    Hand,
    Joined,
    Left,
    Moved,
    Muted,
    Quality,
    RoleChanged,
    Room,
    Speaking,
    Started,
)
from bridge.media.messages import QualityDropped, QualityRecovered, TalkSpurt
from cdr.records import LegAdmitted, LegClosed, LegOpened, SessionClosed, SessionOpened
from dialplan.floor import Mode
from tests.support.stage import CONFERENCE, Stage, perform


class Follower:
    """Keeps events, and how often each conference changed."""

    def __init__(self, stage: Stage) -> None:
        self.events: list[Event] = []
        self.changes: list[int] = []
        self.gone: list[bool] = []
        self._stream = stage.bridge.events
        self._stream.listen(self)

    def happened(self, event: Event) -> None:
        """Keep it."""
        self.events.append(event)

    def changed(self, conference: int) -> None:
        """Keep it."""
        self.changes.append(conference)
        self.gone.append(self._stream.state(conference) is None)

    def of(self, kind: type[Event]) -> list[Any]:
        """Return the events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]


def come(stage: Stage, pin: str, **facts: object) -> int:
    """Call, key a PIN, and hear out what is said; return the leg."""
    leg = stage.answer(stage.invite(**facts))
    stage.press(leg, pin)
    stage.finish_plays(leg)
    return leg


def go(stage: Stage, leg: int) -> None:
    """Hang up."""
    stage.end(next(call.call for call in stage.bridge.calls.values() if call.leg == leg))


async def settle() -> None:
    """Let what is due be compared."""
    await asyncio.sleep(watching.SETTLE_S * 1.5)


async def steer(stage: Stage, **arguments: Any) -> None:  # noqa: ANN401 - any JSON
    """Do what a host could."""
    await LIVE_OPERATIONS["conference.steer"](stage.bridge, conference="demo", **arguments)


def test_events_tell_the_story_that_the_records_tell(tmp_path: Path) -> None:
    """The same people, ids, roles, causes and order from start to end, without a gap."""

    async def scene(stage: Stage) -> None:
        follower = Follower(stage)
        host, guest = come(stage, stage.host_pin), come(stage, stage.guest_pin)
        go(stage, guest)
        go(stage, host)
        await settle()
        assert [type(event) for event in follower.events] == [
            Started,
            Joined,
            Joined,
            Left,
            Left,
            Ended,
        ]
        assert [event.number for event in follower.events] == [1, 2, 3, 4, 5, 6]
        (opened,), (closed,) = stage.of(SessionOpened), stage.of(SessionClosed)
        assert {event.session for event in follower.events} == {opened.session}
        assert {event.conference for event in follower.events} == {CONFERENCE}
        joined = [(each.leg, each.role) for each in follower.of(Joined)]
        assert joined == [(each.leg, each.role) for each in stage.of(LegAdmitted)]
        assert [(each.person, each.called) for each in follower.of(Joined)] == [
            (host, False),
            (guest, False),
        ]
        left = [(each.leg, each.reason) for each in follower.of(Left)]
        assert left == [(each.leg, each.cause) for each in stage.of(LegClosed)]
        assert len(stage.of(LegOpened)) == 2
        (ended,) = follower.of(Ended)
        assert (ended.reason, ended.peak) == (closed.reason, closed.peak)

    perform(tmp_path, scene)


def test_mutes_hands_roles_and_the_room_are_told_once_each(tmp_path: Path) -> None:
    """By key and from outside; a burst that ends where it began is nothing."""

    async def scene(stage: Stage) -> None:
        follower = Follower(stage)
        host, guest = come(stage, stage.host_pin), come(stage, stage.guest_pin)
        await settle()
        stage.press(guest, "*6")
        await settle()
        (muted,) = follower.of(Muted)
        assert (muted.person, muted.by_self, muted.by_host, muted.heard) == (
            guest,
            True,
            False,
            False,
        )
        stage.press(guest, "*6")
        stage.press(guest, "*6")
        await settle()
        assert len(follower.of(Muted)) == 1
        stage.press(guest, "*2")
        await settle()
        (hand,) = follower.of(Hand)
        assert (hand.person, hand.raised, hand.place) == (guest, True, 1)
        stage.press(guest, "*2")
        await settle()
        assert [(each.raised, each.place) for each in follower.of(Hand)] == [
            (True, 1),
            (False, None),
        ]
        await steer(stage, order="mode", mode="presentation")
        await steer(stage, order="lock")
        await settle()
        (room,) = follower.of(Room)  # two changes at once are one event
        assert (room.mode, room.locked, room.muted_all) == (Mode.PRESENTATION, True, False)
        await steer(stage, order="mute_all")
        await settle()
        assert follower.of(Room)[-1].muted_all
        await steer(stage, order="promote", person=guest)
        await settle()
        (role,) = follower.of(RoleChanged)
        assert (role.person, role.role, role.by) == (guest, "host", "administrator")
        assert host not in {each.person for each in follower.of(Muted)}

    perform(tmp_path, scene)


def test_breakout_rooms_are_told(tmp_path: Path) -> None:
    """Who goes into which, how many are open, and the way back."""

    async def scene(stage: Stage) -> None:
        follower = Follower(stage)
        host = come(stage, stage.host_pin)
        guests = [come(stage, stage.guest_pin) for _ in range(4)]
        await settle()
        for keys in ("##3", "2", "1"):  # the first # still belongs to the PIN
            for _ in range(4):  # one after the other
                stage.finish_plays(host)
            stage.press(host, keys)
        await settle()
        assert follower.of(Room)[-1].breakouts == 2
        moved = {each.person: each.room for each in follower.of(Moved)}
        assert set(moved) == set(guests)
        assert sorted(moved.values()) == [1, 1, 2, 2]

    perform(tmp_path, scene)


def test_speaking_is_throttled_and_says_who_is_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many talk spurts are one event; who is muted is not among the speakers."""
    monkeypatch.setattr(watching, "SPEAKING_S", 0.2)

    async def scene(stage: Stage) -> None:
        follower = Follower(stage)
        host, guest, quiet = (
            come(stage, pin) for pin in (stage.host_pin, stage.guest_pin, stage.guest_pin)
        )
        stage.press(quiet, "*6")
        await settle()
        for leg in (host, guest, quiet):
            stage.bridge.on_media(TalkSpurt(leg=leg, talking=True))
        await asyncio.sleep(0.02)
        assert [each.people for each in follower.of(Speaking)] == [(host, guest)]
        for _ in range(20):
            for talking in (False, True):
                stage.bridge.on_media(TalkSpurt(leg=guest, talking=talking))
                await asyncio.sleep(0)
        stage.bridge.on_media(TalkSpurt(leg=host, talking=False))
        await asyncio.sleep(0.02)
        assert len(follower.of(Speaking)) == 1
        await asyncio.sleep(0.25)
        assert [each.people for each in follower.of(Speaking)] == [(host, guest), (guest,)]
        for talking in (False, True):
            stage.bridge.on_media(TalkSpurt(leg=guest, talking=talking))
        await asyncio.sleep(0.25)
        assert len(follower.of(Speaking)) == 2

    perform(tmp_path, scene)


def test_the_quality_of_a_line_is_told_of_who_is_in(tmp_path: Path) -> None:
    """Bad and good again, with the direction; of a caller before the conference nothing."""

    async def scene(stage: Stage) -> None:
        follower = Follower(stage)
        host = come(stage, stage.host_pin)
        come(stage, stage.guest_pin)
        outside = stage.answer(stage.invite())
        bad = QualityDropped(leg=host, direction="rx", mos=2.345, lost_percent=8.0)
        stage.bridge.on_media(bad)
        stage.bridge.on_media(QualityDropped(leg=outside, direction="rx", mos=2, lost_percent=8))
        await steer(stage, order="lock")
        knocking = come(stage, stage.guest_pin)
        stage.bridge.on_media(QualityDropped(leg=knocking, direction="tx", mos=2, lost_percent=8))
        stage.bridge.on_media(QualityRecovered(leg=host, direction="rx", mos=4.1))
        told = [(e.person, e.direction, e.good, e.mos) for e in follower.of(Quality)]
        assert told == [(host, "rx", False, 2.35), (host, "rx", True, 4.1)]

    perform(tmp_path, scene)


def test_the_state_is_that_of_the_conference_and_gone_with_it(tmp_path: Path) -> None:
    """People with places, mutes and hands; listeners are told of every change, and of the end."""

    async def scene(stage: Stage) -> None:
        follower = Follower(stage)
        guest = come(stage, stage.guest_pin)
        await settle()
        before = stage.bridge.events.state(CONFERENCE)
        assert before is not None
        assert (before.session is None, before.waiting) == (False, 0)
        host = come(stage, stage.host_pin)
        stage.press(guest, "*6")
        stage.press(guest, "*2")
        await settle()
        follower.changes.clear()
        await steer(stage, order="lock")
        await settle()
        assert follower.changes == [CONFERENCE]
        state = stage.bridge.events.states()[CONFERENCE]
        assert (state.locked, state.speakers, state.listeners) == (True, 1, 1)
        people = {person.person: person for person in state.people}
        assert (people[host].role, people[host].heard) == ("host", True)
        assert (people[guest].self_muted, people[guest].hand, people[guest].where) == (
            True,
            1,
            "room",
        )
        assert state.number == follower.events[-1].number
        go(stage, guest)
        go(stage, host)
        await settle()
        assert stage.bridge.events.state(CONFERENCE) is None
        assert follower.changes[-1] == CONFERENCE
        assert follower.gone[-1]  # whoever looks then finds nothing

    perform(tmp_path, scene)


def test_nobody_compares_what_nobody_wants_to_know(tmp_path: Path) -> None:
    """Without a listener nothing is scheduled, and numbers go on all the same."""

    async def scene(stage: Stage) -> None:
        come(stage, stage.host_pin)
        guest = come(stage, stage.guest_pin)
        (running,) = stage.bridge.conferences.values()
        stage.press(guest, "*6")
        assert running.watcher._due is None
        follower = Follower(stage)
        go(stage, guest)
        assert [(type(event), event.number) for event in follower.events] == [(Left, 4)]
        await settle()

    perform(tmp_path, scene)


def test_what_is_told_names_nobody(tmp_path: Path) -> None:
    """No number, name, PIN or key, in no event and no state, however it is written."""

    async def scene(stage: Stage) -> None:
        follower = Follower(stage)
        caller = "+46701740605"
        host = come(stage, stage.host_pin, asserted=caller, claimed="Astrid Quillfeather")
        guest = come(stage, stage.guest_pin, asserted=None, claimed=caller)
        stage.press(guest, "*6")
        await settle()
        states = stage.bridge.events.states()
        go(stage, host)
        go(stage, guest)
        await settle()
        told = msgspec.json.encode((follower.events, states)).decode()
        secrets = (caller, "46701740605", "Quillfeather", stage.host_pin, stage.guest_pin, "demo")
        assert [secret for secret in secrets if secret in told] == []
        assert len(follower.events) >= 7

    perform(tmp_path, scene)


def test_every_event_is_listed_and_has_a_word_of_its_own() -> None:
    """The list that the schema is made of is the union that the stream carries."""
    assert set(messages.EVENTS) == set(messages.Event.__args__)
    tags = [msgspec.inspect.type_info(kind) for kind in messages.EVENTS]
    words = [tag.tag for tag in tags if isinstance(tag, msgspec.inspect.StructType)]
    assert len(set(words)) == len(messages.EVENTS)
