"""Recordings' taps: told to the process that has the room, whichever that is, and after a death."""

from __future__ import annotations

import asyncio
import itertools
import signal

import numpy as np
import pytest

from bridge.media.messages import EngineError, Place
from bridge.media.tap_ring import MUTED, TapReader
from tests.bridge.test_supervisor import House, Phone, open_leg, perform

HEARD = 500
"""Loudest sample from which on a row is somebody's voice."""


async def talk(phones: dict[Phone, int], packets: int) -> None:
    """Let phones speak for so many packets."""
    for _ in range(packets):
        for phone, port in phones.items():
            phone.say(port)
        await asyncio.sleep(0.02)


def voiced(reader: TapReader) -> dict[int, list[int]]:
    """Return, by leg, the ticks of new rows with a voice in them."""
    rows = reader.read()
    loud = np.abs(rows.samples.astype(int)).max(axis=1, initial=0) > HEARD
    legs = set(rows.leg.tolist())
    return {leg: rows.tick[loud & (rows.leg == leg)].tolist() for leg in legs}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_taps_go_on_in_the_same_ring_after_a_death(number: int) -> None:
    """Who talks is on it again; the gap is ticks without rows; who is mute stays off it."""

    async def scene(house: House) -> None:
        supervisor = house.supervisor
        assert supervisor.tap_rings == []
        talker, mute = house.phone(), house.phone()
        ports = [open_leg(house, leg, each) for leg, each in ((1, talker), (2, mute))]
        both = {talker: ports[0], mute: ports[1]}
        for leg in (1, 2):
            supervisor.send(Place(leg=leg, room=9, speaks=leg == 1))
        supervisor.start_tap(9)
        (ring,) = supervisor.tap_rings
        reader = TapReader.of(ring, from_start=True)
        await talk(both, 30)
        before = voiced(reader)
        assert len(before[1]) > 15
        await house.until(lambda: supervisor.spares)
        await talk(both, 10)  # so that what is read next has both sides of the gap
        house.kill(number)
        await house.until(lambda: supervisor.replaced)
        await talk(both, 60)
        after = reader.read()
        assert set(after.leg.tolist()) == {1, 2}
        assert (after.flags[after.leg == 2] == MUTED).all()
        mine = after.of(1)
        steps = np.diff(mine.tick)
        assert (steps >= 1).all()
        gap = int(steps.argmax())
        missed = mine.at[gap + 1] - mine.at[gap]
        # A process that is killed may be followed within a tick; one that hangs is waited for.
        assert steps[gap] > (number == signal.SIGSTOP)
        assert abs(steps[gap] * 0.02 - missed) < 0.03
        loud = np.abs(mine.samples[gap + 1 :].astype(int)).max(axis=1) > HEARD
        assert loud.sum() > 30
        assert reader.writers == 2
        assert reader.lost == 0
        assert house.heard(EngineError) == []

    perform(scene)


def test_a_tap_is_told_to_the_post_of_its_room_and_ends_when_told() -> None:
    """Two posts, a ring each; a tap may come before the room and stays when that begins anew."""

    async def scene(house: House) -> None:
        supervisor = house.supervisor
        supervisor.start_tap(9)
        supervisor.start_tap(9, group=1)
        readers = [TapReader.of(ring) for ring in supervisor.tap_rings]
        assert len(readers) == 2
        phones = {house.phone(): 0 for _ in range(3)}
        for leg, phone in enumerate(phones, 1):
            phones[phone] = open_leg(house, leg, phone)
        for leg, room in ((1, 8), (2, 9), (3, 9)):
            supervisor.send(Place(leg=leg, room=room, group=leg % 2))

        def came() -> set[int]:
            return set(itertools.chain.from_iterable(voiced(reader) for reader in readers))

        await talk(phones, 30)
        assert came() == {2, 3}
        supervisor.send(Place(leg=2, room=None))
        supervisor.send(Place(leg=3, room=None))
        await talk(phones, 5)
        came()
        await talk(phones, 10)
        assert came() == set()
        supervisor.send(Place(leg=2, room=9))
        await talk(phones, 20)
        assert came() == {2}
        supervisor.stop_tap(9)
        await talk(phones, 5)
        came()
        await talk(phones, 10)
        assert came() == set()
        assert house.heard(EngineError) == []

    perform(scene, processes=2)


def test_a_bridge_without_memory_for_a_ring_says_so_and_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No ring is left behind; the next attempt may succeed."""

    async def scene(house: House) -> None:
        made: list[int] = []

        def fails(self: object, rows: int = 0) -> None:
            del self, rows
            made.append(1)
            raise OSError(24, "Too many open files")

        with monkeypatch.context() as patch:
            patch.setattr("bridge.media.tap_ring.TapRing.__init__", fails)
            with pytest.raises(OSError, match="Too many"):
                house.supervisor.start_tap(9)
        assert made
        assert house.supervisor.tap_rings == []
        house.supervisor.start_tap(9)
        assert len(house.supervisor.tap_rings) == 1

    perform(scene)
