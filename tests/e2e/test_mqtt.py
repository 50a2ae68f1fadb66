"""What programs at a real broker see of real calls, and what they may do to them."""

import secrets
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.bridge_under_test import BridgeUnderTest, Room
from tests.support.broker import Broker, Client, Published
from tests.support.caller import Caller, hears_each_other
from tests.support.rtp import Digits

pytestmark = pytest.mark.e2e

QUICK = Digits(on_ms=60, off_ms=60)
BUFFER = 40
ALLOWED = "mute,unmute,remove,lock,unlock,mode,end,say"


@pytest.fixture(scope="module", name="broker")
def real_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A mosquitto with TLS that asks for a certificate and a password."""
    with Broker(tmp_path_factory.mktemp("broker"), ask_certificate=False) as made:
        yield made


@pytest.fixture(scope="module", name="bridge")
def bridge_at_the_broker(
    broker: Broker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BridgeUnderTest]:
    """A bridge that publishes to it and takes commands."""
    folder = tmp_path_factory.mktemp("bridge") / "data"
    with BridgeUnderTest(folder, broker.settings(commands=ALLOWED, buffer=str(BUFFER))) as made:
        made.add_number()
        yield made


@pytest.fixture(name="client")
def operator(broker: Broker) -> Iterator[Client]:
    """A program that reads everything and may publish commands."""
    with Client(broker) as made:
        yield made


def at_the_broker(bridge: BridgeUnderTest, *, timeout: float = 20.0) -> None:
    """Wait until the bridge is connected."""
    bridge.wait_until(
        lambda: bridge.operate("status")["mqtt"]["state"] == "connected", timeout, "the broker"
    )


def meeting(bridge: BridgeUnderTest, *names: str) -> tuple[Room, int, list[Caller]]:
    """Return a conference, its number, and who is in: the first one is host."""
    room = bridge.room(chimes=False)
    people = [bridge.caller(name) for name in names]
    for person, pin in zip(people, [room.host_pin, *[room.guest_pin] * 9], strict=False):
        person.slip_in(bridge.number, pin)
    running = bridge.operate("status")["running_conferences"]
    number = next(each["conference"] for each in running if each["name"] == room.name)
    return room, int(number), people


def order(client: Client, conference: int, command: str, **more: Any) -> Published:  # noqa: ANN401 - JSON
    """Publish a command, and return the reply."""
    identifier = secrets.token_hex(8)
    expires = datetime.now(UTC) + timedelta(seconds=30)
    wanted = {
        "command": command,
        "id": identifier,
        "expires": expires.isoformat(),
        "reply": f"dialin/main/reply/{identifier}",
        **more,
    }
    client.publish(f"dialin/main/conference/{conference}/command", wanted)
    return client.wait_for(wanted["reply"].rpartition("/")[2])


def test_a_call_is_told_from_its_start_to_its_end(bridge: BridgeUnderTest, client: Client) -> None:
    """Everything that two people do comes in order and without a gap; the state goes at the end."""
    at_the_broker(bridge)
    room, number, (host, guest) = meeting(bridge, "hilma", "gustav")
    guest.speak(1.5)
    guest.press("*6", QUICK)
    client.wait_for("muted", lambda said: said["by_self"])
    guest.press("*2", QUICK)
    client.wait_for("hand", lambda said: said["raised"])
    host.press("*5", QUICK)
    client.wait_for("room", lambda said: said["locked"])
    state = client.wait_for("state", lambda said: said is not None and said["locked"]).said
    assert [(each["role"], each["heard"], each["hand"]) for each in state["people"]] == [
        ("host", True, None),
        ("guest", False, 1),
    ]
    guest.hang_up()
    host.hang_up()
    client.wait_for("ended", lambda said: said["conference"] == number)
    client.wait_for("state", lambda said: said is None)
    told = [
        each.said
        for each in client.received
        if each.topic.startswith(f"dialin/main/conference/{number}/")
        and each.word not in ("state", "command")
    ]
    assert [each["number"] for each in told] == list(range(1, len(told) + 1))
    words = [each["event"] for each in told if each["event"] != "speaking"]
    assert words == [
        "started",
        "joined",
        "joined",
        "muted",
        "hand",
        "room",
        "left",
        "left",
        "ended",
    ]
    speakers = [each["people"] for each in told if each["event"] == "speaking"]
    joined = {each["role"]: each["person"] for each in told if each["event"] == "joined"}
    assert [joined["guest"]] in speakers
    legs = {each["leg"] for each in told if each["event"] == "left"}
    assert legs == {bridge.leg_of(person)["leg"] for person in (host, guest)}
    assert told[-1]["peak"] == 2
    assert room.name not in str(told)


def test_a_program_steers_a_meeting_as_an_administrator_does(
    bridge: BridgeUnderTest, client: Client
) -> None:
    """Mute is heard by the others, lock and mode are seen, end hangs up; each gets its reply."""
    at_the_broker(bridge)
    room, number, (host, guest) = meeting(bridge, "hedvig", "gillis")
    state = client.wait_for("state", lambda said: said is not None and len(said["people"]) == 2)
    person = state.said["people"][1]["person"]
    assert order(client, number, "mute", person=person).said["result"] == "done"
    assert not host.heard_of(*guest.speak(1.5)).match.heard
    assert order(client, number, "unmute", person=person).said["result"] == "done"
    assert host.heard_of(*guest.speak(1.5)).match.heard
    assert order(client, number, "lock").said["result"] == "done"
    assert order(client, number, "mode", mode="presentation").said["result"] == "done"
    now = bridge.operate("conference.people", conference=room.name)
    assert (now["locked"], now["mode"]) == (True, "presentation")
    since = time.monotonic()
    said = {"phrase": "host_returned"}
    assert order(client, number, "say", **said).said["result"] == "done"
    host.hears("host_returned", since=since)
    unknown = order(client, number, "remove", person=person + 1000).said
    assert (unknown["result"], "nobody" in unknown["reason"]) == ("refused", True)
    assert order(client, number, "dial", number="x").said["result"] == "forbidden"
    assert order(client, number, "end").said["result"] == "done"
    client.wait_for("ended", lambda said: said["conference"] == number)


def test_a_broker_that_dies_in_the_middle_harms_no_call_and_is_told_all_when_it_is_back(
    bridge: BridgeUnderTest, broker: Broker
) -> None:
    """People go on talking; events wait, in bounded number; the states come first, at once."""
    at_the_broker(bridge)
    room, number, people = meeting(bridge, "helga", "greta")
    before = bridge.operate("status")
    broker.kill()
    assert hears_each_other(people) == {"helga": ["greta"], "greta": ["helga"]}
    bridge.wait_until(
        lambda: bridge.operate("status")["mqtt"]["state"] != "connected", 10.0, "the loss"
    )
    for _ in range(BUFFER):
        for order_ in ("lock", "unlock"):
            bridge.operate("conference.steer", conference=room.name, order=order_)
            time.sleep(0.06)
    away = bridge.operate("status")["mqtt"]
    assert away["buffered"] == BUFFER
    assert away["dropped"] >= BUFFER - 10
    bridge.operate("conference.steer", conference=room.name, order="lock")
    broker.start()
    with Client(broker) as client:
        online = client.wait_for("status", lambda said: said["state"] == "online", timeout=70.0)
        state = client.wait_for("state", lambda said: said is not None and said["locked"])
        assert state.at - online.at < 1.0
        assert [each["role"] for each in state.said["people"]] == ["host", "guest"]
        bridge.wait_until(lambda: not bridge.operate("status")["mqtt"]["buffered"], 5.0, "events")
        last = client.wait_for("room", lambda said: said["number"] == state.said["number"])
        about = [each for each in client.received if f"/conference/{number}/" in each.topic]
        events = [each.said["number"] for each in about if each.word != "state"]
        assert about[0].word == "state"  # before the first event
        assert events == list(range(last.said["number"] - len(events) + 1, events[-1] + 1))
        assert len(events) >= BUFFER
    assert hears_each_other(people) == {"helga": ["greta"], "greta": ["helga"]}
    after = bridge.operate("status")
    assert after["calls"] == before["calls"]
    assert after["mqtt"]["connections"] > before["mqtt"]["connections"]
    assert after["media"]["replaced"] == before["media"]["replaced"]


def test_a_state_left_over_from_another_life_is_cleared(
    bridge: BridgeUnderTest, broker: Broker
) -> None:
    """Nobody sees a conference for ever that ended while nobody could say so."""
    at_the_broker(bridge)
    left_over = "dialin/main/conference/4711/state"
    with Client(broker) as client:
        client.publish(left_over, {"conference": 4711}, retain=True)
        client.wait_for("state", lambda said: said is None)
    with Client(broker) as late:
        late.wait_for("status")
        assert left_over not in [each.topic for each in late.received]


def test_commands_that_may_not_be_done_are_not(bridge: BridgeUnderTest, client: Client) -> None:
    """Kept ones, nonsense, huge ones, yesterday's, twice the same, a flood: the meeting goes on."""
    at_the_broker(bridge)
    room, number, people = meeting(bridge, "hulda", "gerda")
    topic = f"dialin/main/conference/{number}/command"
    ahead = (datetime.now(UTC) + timedelta(seconds=60)).isoformat()
    end = {"command": "end", "expires": ahead}
    client.publish(topic, {**end, "id": "kept"}, retain=True)
    client.publish(topic, b"", retain=True)
    client.publish(topic, b"\xff{")
    client.publish(topic, {**end, "id": "long", "reply": "x" * 80_000})
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    assert order(client, number, "end", expires=yesterday).said["result"] == "expired"
    assert order(client, number, "lock", id="same").said["result"] == "done"
    client.publish(topic, {"command": "unlock", "expires": ahead, "id": "same"})
    elsewhere = order(client, number + 1000, "end").said
    assert (elsewhere["result"], "is running" in elsewhere["reason"]) == ("refused", True)
    client.flood(topic, b'{"command": "end"}', 3000)
    assert hears_each_other(people) == {"hulda": ["gerda"], "gerda": ["hulda"]}
    bridge.wait_until(
        lambda: bridge.operate("status")["mqtt"]["commands"]["flooded"] > 400, 10.0, "the flood"
    )
    counts = bridge.operate("status")["mqtt"]["commands"]
    assert counts["retained"] == 2
    assert (counts["repeated"], counts["expired"]) == (1, 1)
    assert counts["oversized"] == 1
    assert counts["malformed"] >= 1
    now = bridge.operate("conference.people", conference=room.name)
    assert now["locked"]  # the repeated id did not unlock
    assert len(now["people"]) == 2
