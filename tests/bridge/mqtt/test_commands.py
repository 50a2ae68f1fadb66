"""Commands: what is done, what is refused, and what is not even read."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import AdminError
from bridge.mqtt import commands as subject
from bridge.mqtt.commands import LARGEST, LONGEST_S, RESULTS, Commands
from bridge.mqtt.schema import Reply
from bridge.mqtt.sealing import seal
from bridge.mqtt.topics import Topics
from config.settings import MQTT_COMMANDS
from tests.bridge.mqtt.test_publisher import SESSION, state

KEY = bytes(range(32))
NUMBER = "+46701740605"
WALL = 1_800_000_000.0


class Desk:
    """Commands on a desk: what was done and replied is kept, clocks are the test's."""

    def __init__(self, allowed: tuple[str, ...] = MQTT_COMMANDS) -> None:
        self.done: list[tuple[str, dict[str, Any]]] = []
        self.replies: list[tuple[str, Reply]] = []
        self.time = 0.0
        self.error: Exception | None = None
        self.commands = Commands(
            Topics("n"),
            frozenset(allowed),
            self.perform,
            lambda conference: state(conference) if conference == 7 else None,
            lambda topic, reply: self.replies.append((topic, reply)),
            KEY,
            clock=lambda: self.time,
            wall=lambda: WALL + self.time,
        )

    async def perform(self, operation: str, arguments: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any JSON
        """Keep the operation."""
        if self.error is not None:
            raise self.error
        self.done.append((operation, dict(arguments)))
        return {"outcome": "joined", "conference": "Board of Astrid"}

    def wants(self, command: str, identifier: str = "a-1", **more: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
        """Return a command that is in order."""
        return {
            "command": command,
            "id": identifier,
            "expires": datetime.fromtimestamp(WALL + self.time + 60, UTC).isoformat(),
            "reply": "dialin/n/reply/desk",
            **more,
        }

    async def take(self, what: object, *, retained: bool = False, conference: int = 7) -> str:
        """Take a command, let it be done, and return in a word what became of it."""
        before = self.commands.counts.copy()
        payload = what if isinstance(what, bytes) else json.dumps(what).encode()
        self.commands.take(conference, payload, retained=retained)
        await asyncio.sleep(0)
        await asyncio.gather(*self.commands._running)
        (result,) = self.commands.counts - before
        assert result in RESULTS
        return result


def at_the_desk(scene: Callable[[Desk], Awaitable[None]], **options: Any) -> None:  # noqa: ANN401 - of `Desk`
    """Play a scene."""

    async def play() -> None:
        await scene(Desk(**options))

    asyncio.run(play())


@pytest.mark.parametrize(
    ("command", "more", "operation", "arguments"),
    [
        ("mute", {"person": 5}, "conference.steer", {"order": "mute", "person": 5}),
        ("mute", {}, "conference.steer", {"order": "mute_all"}),
        ("unmute", {"person": 5}, "conference.steer", {"order": "unmute", "person": 5}),
        ("unmute", {}, "conference.steer", {"order": "unmute_all"}),
        ("remove", {"person": 5}, "conference.steer", {"order": "remove", "person": 5}),
        ("lock", {}, "conference.steer", {"order": "lock"}),
        ("unlock", {}, "conference.steer", {"order": "unlock"}),
        ("mode", {"mode": "questions"}, "conference.steer", {"order": "mode", "mode": "questions"}),
        ("end", {}, "conference.end", {}),
        (
            "dial",
            {"number": seal(KEY, "a-1", NUMBER)},
            "conference.dial",
            {"number": NUMBER, "by": "program"},
        ),
        (
            "say",
            {"phrase": "host_returned", "person": 5},
            "conference.say",
            {"phrase": "host_returned", "arguments": {}, "sound": None, "person": 5},
        ),
    ],
)
def test_each_command_is_the_socket_s_operation(
    command: str, more: dict[str, Any], operation: str, arguments: dict[str, Any]
) -> None:
    """The same operation, on the conference of the topic, by its number and not by its name."""

    async def scene(desk: Desk) -> None:
        assert await desk.take(desk.wants(command, **more)) == "done"
        assert desk.done == [(operation, {"conference": 7, **arguments})]
        outcome = "joined" if command == "dial" else None
        assert desk.replies == [
            ("dialin/n/reply/desk", Reply(id="a-1", result="done", outcome=outcome))
        ]

    at_the_desk(scene)


def test_what_is_not_allowed_is_not_done() -> None:
    """Each command alone allowed, all others are forbidden; with none allowed, none is done."""
    kinds: dict[str, dict[str, Any]] = {
        "remove": {"person": 5},
        "mode": {"mode": "questions"},
        "dial": {"number": "x"},
    }
    for allowed in MQTT_COMMANDS:

        async def scene(desk: Desk, allowed: str = allowed) -> None:
            for number, word in enumerate(MQTT_COMMANDS):
                wanted = desk.wants(word, f"a-{number}", **kinds.get(word, {}))
                assert (await desk.take(wanted) == "forbidden") is (word != allowed)
            assert len(desk.done) <= 1

        at_the_desk(scene, allowed=(allowed,))

    async def none(desk: Desk) -> None:
        assert await desk.take(desk.wants("end")) == "forbidden"
        assert desk.replies[0][1].reason != ""
        assert desk.done == []

    at_the_desk(none, allowed=())


def test_what_is_late_kept_or_repeated_is_not_done() -> None:
    """Each with a word of its own; a retained one gets not even a reply."""

    async def scene(desk: Desk) -> None:
        late = datetime.fromtimestamp(WALL - 1, UTC).isoformat()
        far = datetime.fromtimestamp(WALL + LONGEST_S + 5, UTC).isoformat()
        assert await desk.take(desk.wants("end", expires=late)) == "expired"
        assert await desk.take(desk.wants("end", expires=far)) == "expired"
        assert len(desk.replies) == 2
        assert await desk.take(desk.wants("end"), retained=True) == "retained"
        assert len(desk.replies) == 2
        assert desk.done == []
        assert await desk.take(desk.wants("end")) == "done"
        assert await desk.take(desk.wants("end")) == "repeated"
        assert await desk.take(desk.wants("lock"), conference=8) == "repeated"
        desk.time += 30
        assert await desk.take(desk.wants("end")) == "repeated"
        assert len(desk.done) == 1

    at_the_desk(scene)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\0\xff\xfe",
        b"[" * 60_000,
        b'{"command": "end"}',
        b'"end"',
        {"command": "explode"},
        {"command": "end", "surplus": 1},
        {"command": "remove"},
        {"command": "remove", "person": "5"},
        {"command": "remove", "person": -5},
        {"command": "remove", "person": True},
        {"command": "mode", "mode": "shouting"},
        {"command": "end", "id": ""},
        {"command": "end", "id": "a/b"},
        {"command": "end", "id": "x" * 65},
        {"command": "end", "id": "a\n"},
        {"command": "end", "expires": "tomorrow"},
        {"command": "end", "expires": "2027-01-15T08:00:00"},
        {"command": "end", "version": 2},
        {"command": "end", "session": "x"},
        {"command": "say", "phrase": "host_returned", "arguments": {"minutes": 46701740605}},
    ],
)
def test_what_is_not_of_the_schema_is_thrown_away(payload: Any) -> None:  # noqa: ANN401 - any JSON
    """Nothing is done, nothing is said, and the next command is."""

    async def scene(desk: Desk) -> None:
        wanted = payload if isinstance(payload, bytes) else {**desk.wants("end"), **payload}
        assert await desk.take(wanted) == "malformed"
        assert (desk.done, desk.replies) == ([], [])
        assert await desk.take(desk.wants("end")) == "done"

    at_the_desk(scene)


def test_what_is_longer_than_any_command_is_not_read() -> None:
    """One octet too many is enough."""

    async def scene(desk: Desk) -> None:
        wanted = json.dumps(desk.wants("end")).encode()
        assert await desk.take(wanted + b" " * (LARGEST - len(wanted) + 1)) == "oversized"
        assert await desk.take(wanted + b" " * (LARGEST - len(wanted))) == "done"

    at_the_desk(scene)


def test_a_flood_is_thrown_away_and_ten_a_second_are_done() -> None:
    """A burst of twenty, then ten in a second; after a rest the burst again."""

    async def scene(desk: Desk) -> None:
        for number in range(1000):
            await desk.take(desk.wants("lock", f"a-{number}"))
        assert len(desk.done) == subject.BURST
        assert desk.commands.counts["flooded"] == 1000 - subject.BURST
        assert len(desk.replies) == len(desk.done)
        for number in range(1000):
            desk.time += 0.01
            await desk.take(desk.wants("lock", f"b-{number}"))
        assert len(desk.done) == pytest.approx(subject.BURST + 10 * subject.PER_S, abs=2)

    at_the_desk(scene)


def test_ids_are_remembered_as_long_as_their_commands_are_good_and_no_longer() -> None:
    """At the highest rate for half an hour: bounded, and none done twice while it is good."""

    async def scene(desk: Desk) -> None:
        most, first = 0, list[tuple[float, dict[str, Any]]]()
        for number in range(18_000):
            desk.time += 1 / subject.PER_S
            expires = datetime.fromtimestamp(WALL + desk.time + LONGEST_S - 1, UTC).isoformat()
            wanted = desk.wants("lock", f"a-{number}", expires=expires)
            if number % 100 == 0:
                assert await desk.take(wanted) == "done"
                first.append((desk.time, wanted))
                good = [each for at, each in first if desk.time - at < LONGEST_S - 5]
                desk.time += 1 / subject.PER_S
                assert await desk.take(good[0]) == "repeated"
            else:
                desk.commands.take(7, json.dumps(wanted).encode(), retained=False)
                await asyncio.sleep(0)
            most = max(most, desk.commands.remembered)
        assert desk.commands.counts["busy"] == 0
        assert most <= subject.MOST_IDS

    at_the_desk(scene)


def test_a_refusal_is_told_and_a_fault_keeps_its_secrets() -> None:
    """What the conference refuses has its reason; what breaks is for the log."""

    async def scene(desk: Desk) -> None:
        desk.error = AdminError("nobody with the number 5 is in the conference")
        assert await desk.take(desk.wants("remove", person=5)) == "refused"
        assert desk.replies[-1][1].reason == "nobody with the number 5 is in the conference"
        desk.error = RuntimeError(NUMBER)
        assert await desk.take(desk.wants("lock", "a-2")) == "failed"
        assert NUMBER not in str(desk.replies)

    at_the_desk(scene)


def test_a_number_that_is_not_sealed_for_this_command_is_not_called() -> None:
    """In clear, for another command, with another key."""

    async def scene(desk: Desk) -> None:
        for number, what in enumerate(
            (NUMBER, seal(KEY, "other", NUMBER), seal(bytes(32), "a-2", NUMBER))
        ):
            wanted = desk.wants("dial", f"a-{number}", number=what)
            assert await desk.take(wanted) == "refused"
        assert desk.done == []
        assert NUMBER not in str(desk.replies)

    at_the_desk(scene)


def test_a_command_for_another_session_is_refused() -> None:
    """Whoever names the session does not reach into the next one."""

    async def scene(desk: Desk) -> None:
        assert await desk.take(desk.wants("end", session=str(UUID(int=5)))) == "refused"
        assert desk.done == []
        assert await desk.take(desk.wants("end", "a-2", session=str(SESSION))) == "done"

    at_the_desk(scene)


def test_a_reply_goes_where_replies_go_or_nowhere() -> None:
    """The command is done all the same."""

    async def scene(desk: Desk) -> None:
        for number, topic in enumerate(("dialin/n/status", "dialin/m/reply/x", "x", None)):
            assert await desk.take(desk.wants("lock", f"a-{number}", reply=topic)) == "done"
        assert desk.replies == []

    at_the_desk(scene)


def test_calls_that_ring_for_long_do_not_pile_up() -> None:
    """Beyond so many, more are refused until some have come to something."""

    async def scene(desk: Desk) -> None:
        ringing = asyncio.Event()

        async def ring(_operation: str, _arguments: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any JSON
            await ringing.wait()
            return {"outcome": "no_answer"}

        desk.commands._perform = ring
        for number in range(subject.MOST_RUNNING + 5):
            desk.time += 1.0
            wanted = desk.wants("dial", f"a-{number}", number=seal(KEY, f"a-{number}", NUMBER))
            desk.commands.take(7, json.dumps(wanted).encode(), retained=False)
            await asyncio.sleep(0)
        assert desk.commands.counts["busy"] == 5
        ringing.set()
        await asyncio.gather(*desk.commands._running)
        assert desk.commands.counts["done"] == subject.MOST_RUNNING

    at_the_desk(scene)


@given(st.binary(max_size=300))
def test_any_octets_are_judged(payload: bytes) -> None:
    """Any payload has a result and does no harm."""

    async def scene(desk: Desk) -> None:
        assert await desk.take(payload) in RESULTS
        assert desk.done == []

    at_the_desk(scene)


@given(
    st.dictionaries(
        st.sampled_from(("command", "id", "expires", "person", "mode", "number", "session")),
        st.none() | st.integers() | st.text(max_size=20) | st.lists(st.integers(), max_size=2),
    )
)
def test_any_object_is_judged(change: dict[str, Any]) -> None:
    """A command with anything in any field has a result."""

    async def scene(desk: Desk) -> None:
        assert await desk.take(msgspec.json.encode({**desk.wants("remove"), **change})) in RESULTS

    at_the_desk(scene)
