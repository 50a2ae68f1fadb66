"""Legs on shared ports, from the trunk's option to real media processes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from bridge.media.messages import ChangeLeg, LegMedia, OpenLeg, Place
from bridge.media.place_messages import PlaceAdded
from bridge.media.ports import open_pair, open_shared
from bridge.port_sharing import PortSharing, SharedPlace, SharedPorts
from bridge.sip.messages import MediaNegotiated
from dialplan import store
from tests.bridge.test_supervisor import House, Phone, follows, loud, perform
from tests.support import stage as stages
from tests.support.stage import Stage, negotiated

LOW, HIGH = 28_000, 29_999


def share(house: House, count: int = 2) -> None:
    """Give the house shared ports."""
    house.supervisor._sharing = PortSharing("127.0.0.1", LOW, HIGH, count)


def open_leg(house: House, leg: int, phone: Phone) -> int:
    """Open a leg on a shared port towards a phone and return the port."""
    place = house.supervisor.reserve(phone.address)
    assert place is not None
    media = LegMedia(codec="PCMU", payload_type=0, dtmf_payload_type=101, remote_rtp=phone.address)
    opening = OpenLeg(leg=leg, media=media, ssrc=leg, cname="test", shared_port=place.index)
    house.supervisor.open_leg(opening, place)
    return place.port


async def talk(one: Phone, to: int, two: Phone, packets: int = 60) -> int:
    """Let one speak and return how many packets with a sound the other got."""
    before = loud(two.heard)
    for _ in range(packets):
        one.say(to)
        await asyncio.sleep(0.02)
        two.listen()
    return loud(two.heard) - before


def test_a_successor_is_handed_the_shared_ports_and_goes_on_with_their_legs() -> None:
    """After a death the same ports carry the same streams, and people hear each other."""

    async def scene(house: House) -> None:
        share(house)
        one, two = house.phone(), house.phone()
        ports = open_leg(house, 1, one), open_leg(house, 2, two)
        assert ports[0] != ports[1]
        for leg in (1, 2):
            house.supervisor.send(Place(leg=leg, room=9))
        assert await talk(one, ports[0], two) > 20
        house.kill()
        await house.until(lambda: house.supervisor.replaced == 1)
        await house.until(two.goes_on(20))
        assert await talk(one, ports[0], two) > 20
        assert len({packet.ssrc for packet in two.heard}) == 1
        assert house.failures == []

    perform(scene)


def test_a_leg_leaves_its_shared_port_for_another_process_unheard() -> None:
    """Its conference is elsewhere: the stream goes on from the same port, and so for the others."""

    async def scene(house: House) -> None:
        share(house, 1)
        one, two, three = (house.phone() for _ in range(3))
        ports = [open_leg(house, leg, phone) for leg, phone in enumerate((one, two, three), 1)]
        supervisor = house.supervisor
        assert [len(post.legs) for post in supervisor._posts] == [2, 1]
        assert ports[0] == ports[2] != ports[1]
        await house.until(lambda: all(phone.goes_on(0)() and phone.heard for phone in house.phones))
        supervisor.send(Place(leg=2, room=9))
        supervisor.send(Place(leg=1, room=9))
        assert await talk(two, ports[1], one) > 20
        assert await talk(one, ports[0], two) > 20
        assert [len(post.legs) for post in supervisor._posts] == [1, 2]
        follows(one.heard, most_missing=0)
        supervisor.send(Place(leg=3, room=7))
        fourth = house.phone()
        port = open_leg(house, 4, fourth)
        supervisor.send(Place(leg=4, room=7))
        assert await talk(fourth, port, three) > 20
        follows(three.heard, most_missing=0)
        assert one.socket.getsockname() == one.address

    perform(scene, processes=2)


@pytest.mark.parametrize("taken", [False, True], ids=["asked", "agreed"])
@pytest.mark.parametrize("what", ["death", "another process"])
def test_a_leg_on_its_way_to_a_shared_port_goes_on_in_another_process(
    what: str, *, taken: bool
) -> None:
    """Both places are heard there too, and the one in force is sent from."""

    async def scene(house: House) -> None:
        share(house, 1)
        one, two = house.phone(), house.phone()
        port = open_leg(house, 2, two)
        supervisor = house.supervisor
        pair = open_pair("127.0.0.1", LOW, HIGH)
        media = LegMedia(codec="PCMU", payload_type=0, remote_rtp=one.address)
        supervisor.open_leg(OpenLeg(leg=1, media=media, ssrc=1, cname="test"), pair)
        place = supervisor.reserve(one.address, 1)
        assert place is not None
        supervisor.places.add(1, place)
        await house.until(lambda: house.heard(PlaceAdded))
        if taken:
            supervisor.places.take(1)
        for leg in (2, 1):
            supervisor.send(Place(leg=leg, room=9))
        if what == "death":
            house.kill(post=supervisor._legs[1].post.number)
            await house.until(lambda: supervisor.replaced == 1)
        await house.until(lambda: len(house.heard(PlaceAdded)) == 2)
        assert all(event.heard for event in house.heard(PlaceAdded))
        for to in (pair.port, place.port):
            assert await talk(one, to, two) > 20
        assert await talk(two, port, one) > 20
        one.socket.settimeout(1.0)
        assert one.socket.recvfrom(2000)[1][1] == (place.port if taken else pair.port)
        one.socket.settimeout(0.0)
        supervisor.places.drop(1)
        left = pair if taken else place
        assert isinstance(left, SharedPlace) or left.rtp.fileno() < 0
        one.drain()
        assert await talk(one, place.port if taken else pair.port, two) > 20
        assert await talk(two, port, one) > 20
        assert house.failures == []

    perform(scene, processes=1 if what == "death" else 2)


def test_places_come_back_when_their_legs_are_closed() -> None:
    """A leg's end frees its place, also where it never was opened."""

    async def scene(house: House) -> None:
        share(house, 1)
        phone = house.phone()
        open_leg(house, 1, phone)
        assert house.supervisor.reserve(phone.address) is None
        house.supervisor.closing(1)
        await house.until(lambda: house.supervisor.legs == 0)
        ports = house.supervisor._sharing
        assert ports is not None
        assert ports.of(0)._legs == [0]

    perform(scene)


# --- calls ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def carrier(stage: Stage, media: str = "shared", ports: int = 1) -> Iterator[None]:
    """Let calls come by a trunk, with shared ports in the house."""
    pairs = open_shared("127.0.0.1", LOW, HIGH, ports)
    stage.media.shared = SharedPorts(pairs)
    trunk = store.TrunkEntry(
        name="carrier",
        addresses=(),
        digest=None,
        register=None,
        asserts_identity=True,
        call_limit=None,
        refuse_status=503,
        media=media,
    )
    directory = stage.bridge.directory
    directory.replace(msgspec.structs.replace(directory._now, trunks={"carrier": trunk}))
    try:
        yield
    finally:
        for pair in pairs:
            pair.close()


def opened(stage: Stage) -> list[int | None]:
    """Return the shared port of each leg that was opened, None for a pair of its own."""
    return [each.shared_port for each in stage.media.sent if isinstance(each, OpenLeg)]


SOURCE = ("192.0.2.7", 4000)


@pytest.mark.parametrize(
    ("media", "trunk", "source", "ports"),
    [
        ("shared", "carrier", SOURCE, [0, None]),
        ("own", "carrier", SOURCE, [None, None]),
        ("shared", None, SOURCE, [None, None]),
        ("shared", "carrier", None, [None, None]),
    ],
    ids=["twice from one pair", "own", "no trunk", "our offer"],
)
def test_the_trunk_and_the_offer_say_which_ports_a_call_gets(
    tmp_path: Path,
    media: str,
    trunk: str | None,
    source: tuple[str, int] | None,
    ports: list[int | None],
) -> None:
    """A shared port where the trunk has shared media, the offer a source, and nobody else it."""

    async def scene(stage: Stage) -> None:
        with carrier(stage, media):
            for _ in range(2):
                call = stage.invite(trunk=trunk, media_source=source)
                stage.bridge._sip(
                    MediaNegotiated(call, negotiated(remote_ip=SOURCE[0], remote_port=SOURCE[1]))
                )
            assert opened(stage) == ports
            full = stage.bridge.counters["shared_ports_full"]
            assert full == (1 if 0 in ports else 0)

    stages.perform(tmp_path, scene)


def test_media_that_moves_takes_its_place_along(tmp_path: Path) -> None:
    """A re-INVITE to a free source; then one to a source that another leg has, which is counted."""

    async def scene(stage: Stage) -> None:
        with carrier(stage):
            calls = []
            for port in (4000, 5000):
                calls.append(stage.invite(trunk="carrier", media_source=("192.0.2.7", port)))
                media = negotiated(remote_ip="192.0.2.7", remote_port=port)
                stage.bridge._sip(MediaNegotiated(calls[-1], media))
            assert opened(stage) == [0, 0]
            for port, taken in ((6000, 0), (5000, 1)):
                media = negotiated(remote_ip="192.0.2.7", remote_port=port)
                stage.bridge._sip(MediaNegotiated(calls[0], media))
                assert stage.bridge.counters["shared_pair_taken"] == taken
            changes = [each for each in stage.media.sent if isinstance(each, ChangeLeg)]
            assert [each.media.remote_rtp for each in changes] == [
                ("192.0.2.7", 6000),
                ("192.0.2.7", 5000),
            ]
            assert stage.media.shared is not None
            assert stage.media.shared.reserve(("192.0.2.7", 6000)) is None

    stages.perform(tmp_path, scene)


def test_a_call_that_is_never_opened_gives_its_place_back(tmp_path: Path) -> None:
    """It ends before the answer to the offer is through."""

    async def scene(stage: Stage) -> None:
        with carrier(stage):
            call = stage.invite(trunk="carrier", media_source=SOURCE)
            assert stage.media.shared is not None
            assert stage.media.shared._legs == [1]
            stage.end(call)
            assert stage.media.shared._legs == [0]

    stages.perform(tmp_path, scene)
