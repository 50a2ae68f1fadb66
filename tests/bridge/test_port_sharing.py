"""Who is on which shared port: remote pairs are unique there, rest after use, and may move."""

import socket
from collections.abc import Iterator
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.media.ports import MediaPair, open_shared
from bridge.port_sharing import REST_S, PortSharing, SharedPlace, SharedPorts

HOST: Final = "127.0.0.1"
CARRIER: Final = ("192.0.2.1", 4000)


class Clock:
    """A clock that stands until it is put on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def pairs() -> Iterator[list[MediaPair]]:
    """Two shared pairs."""
    pairs = open_shared(HOST, 28_000, 29_999, 2)
    yield pairs
    for pair in pairs:
        pair.close()


def test_each_remote_pair_is_on_a_port_once(pairs: list[MediaPair]) -> None:
    """A carrier with one port gets a leg on each of ours, then none."""
    ports = SharedPorts(pairs)
    places = [ports.reserve(CARRIER) for _ in range(3)]
    assert [place and place.port for place in places] == [pairs[0].port, pairs[1].port, None]


def test_legs_are_spread_evenly(pairs: list[MediaPair]) -> None:
    """Ten far ends: five on each port."""
    ports = SharedPorts(pairs)
    places = [ports.reserve((CARRIER[0], 4000 + 2 * leg)) for leg in range(10)]
    assert sorted(place.index for place in places if place) == [0] * 5 + [1] * 5


def test_a_pair_rests_after_its_leg(pairs: list[MediaPair]) -> None:
    """The next call from there is on another port, until ten seconds have passed."""
    clock = Clock()
    ports = SharedPorts(pairs, clock)
    first = ports.reserve(CARRIER)
    assert first is not None
    first.close()
    first.close()
    second = ports.reserve(CARRIER)
    assert second is not None
    assert second.index != first.index
    assert ports.reserve(CARRIER) is None
    clock.now += REST_S
    third = ports.reserve(CARRIER)
    assert third is not None
    assert third.index == first.index


def test_media_may_move_but_not_onto_another_leg(pairs: list[MediaPair]) -> None:
    """To a free pair; to one that a leg of the same port has not, and then nothing changes."""
    ports = SharedPorts(pairs[:1])
    one, other = ports.reserve(CARRIER), ports.reserve(("192.0.2.1", 5000))
    assert one is not None
    assert other is not None
    assert not other.move(CARRIER)
    assert other.remote == ("192.0.2.1", 5000)
    assert other.move(("192.0.2.9", 6000))
    assert ports.reserve(("192.0.2.9", 6000)) is None
    assert one.move(CARRIER)


def test_no_two_processes_have_the_same_ports() -> None:
    """They would be handed each other's packets by turns; the next free ones are taken."""
    sharing = PortSharing(HOST, 28_000, 29_999, 3)
    try:
        ports = [pair.port for post in (0, 1) for pair in sharing.of(post).pairs]
        assert len(set(ports)) == 6
        assert sharing.number(sharing.of(1)) == 1
        assert sharing.of(0) is sharing.of(0)
    finally:
        sharing.close()


def test_a_place_does_not_show_where_its_far_end_is(pairs: list[MediaPair]) -> None:
    """Addresses of people stay out of every repr."""
    place = SharedPorts(pairs).reserve(CARRIER)
    assert "192.0.2" not in repr(place)


def test_a_leg_that_parts_takes_its_packets_along(pairs: list[MediaPair]) -> None:
    """Its own socket on the shared port gets what its far end sends, and nobody else's."""
    far, other = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    with far, other:
        for sock in (far, other):
            sock.bind((HOST, 0))
        place = SharedPorts(pairs).reserve(far.getsockname())
        assert place is not None
        counts = [len(place.descriptors)]
        for _ in range(2):
            place.part(None)
            counts.append(len(place.descriptors))
        assert counts == [0, 2, 2]
        for sock in (far, other):
            sock.sendto(b"1", (HOST, place.port))
        assert place.own is not None
        assert place.own.rtp.recvfrom(9) == (b"1", far.getsockname())
        shared = pairs[place.index].rtp
        assert shared.recvfrom(9) == (b"1", other.getsockname())
        with pytest.raises(BlockingIOError):
            shared.recv(9)
        with pytest.raises(BlockingIOError):
            place.own.rtp.recv(9)
        place.close()
        far.sendto(b"2", (HOST, place.port))
        assert shared.recvfrom(9) == (b"2", far.getsockname())


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["come", "go", "move", "wait"]), st.integers(0, 4), st.integers(0, 9)
        ),
        max_size=60,
    )
)
def test_no_pair_is_ever_on_a_port_twice(steps: list[tuple[str, int, int]]) -> None:
    """Whatever comes, goes and moves."""
    with socket.socket() as unused, socket.socket() as unused_too:
        clock = Clock()
        ports = SharedPorts([MediaPair(unused, unused_too, 2 * k) for k in range(3)], clock)
        places: list[SharedPlace] = []
        for step, remote, which in steps:
            source = ("192.0.2.1", 4000 + remote)
            if step == "come":
                place = ports.reserve(source)
                if place is not None:
                    places.append(place)
            elif step == "wait":
                clock.now += remote
            elif places:
                place = places[which % len(places)]
                if step == "go":
                    place.close()
                    places.remove(place)
                else:
                    place.move(source)
            here = [(place.index, place.remote) for place in places]
            assert len(set(here)) == len(here)
