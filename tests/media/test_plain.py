"""Plain packets: taken in one go as one by one, whatever comes between them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.media.messages import MediaResumed
from tests.media.engine import PCM, PLAIN, Engine, Rtp, Sender, loud

LEGS = 3
# What becomes of the packet of a leg and tick: mostly it comes as it should.
FATES = st.sampled_from(
    (
        *("comes", "comes", "comes", "comes", "comes"),
        *("lost", "twice", "with the next", "behind the next", "key", "noise", "padded"),
        *("another type", "another source", "leaps", "marked", "short", "no version"),
    )
)


@contextmanager
def engine(*, plain: bool) -> Iterator[Engine]:
    """An engine that takes plain packets in one go, or each the general way."""
    with Engine(options=PLAIN) as made:
        made.wires.takes_plain = plain
        yield made


def whole(packet: Rtp) -> list[Rtp | bytes]:
    """Return it as it is."""
    return [packet]


def padded(packet: Rtp) -> bytes:
    """Return it with four octets of padding."""
    octets = bytearray(packet.pack() + bytes([0, 0, 0, 4]))
    octets[0] |= 0x20
    return bytes(octets)


CHANGES: dict[str, Callable[[Rtp], list[Rtp | bytes]]] = {
    "lost": lambda _: [],
    "twice": lambda packet: [packet, packet],
    "padded": lambda packet: [padded(packet)],
    "another type": lambda packet: [replace(packet, payload_type=96)],
    "another source": lambda packet: [replace(packet, ssrc=77)],
    "marked": lambda packet: [replace(packet, marker=True)],
    "noise": lambda packet: [replace(packet, payload_type=13, payload=bytes([40]))],
    "no version": lambda packet: [bytes([0x40, *packet.pack()[1:]])],
}


def arrive(sender: Sender, fate: str, late: list[Rtp], sound: PCM) -> list[Rtp | bytes]:
    """Return what arrives of a leg in a tick; what comes with the next one goes to `late`."""
    if fate == "key":
        return [sender.key(5, 160), sender.key(5, 320)]
    if fate == "short":
        return [sender.say(sound[:80]), sender.say(sound[80:])]
    if fate == "leaps":
        sender.timestamp = (sender.timestamp + 500_000) & 0xFFFF_FFFF
    waiting: list[Rtp | bytes] = [*late]
    late.clear()
    packet = sender.say(sound)
    if fate == "with the next":
        late.append(packet)
        return waiting
    if fate == "behind the next":
        return [*waiting, sender.say(sound), packet]
    return [*waiting, *CHANGES.get(fate, whole)(packet)]


def columns(made: Engine) -> dict[str, Any]:
    """Return all that is known of the legs' packets."""
    state = made.state
    tables = {
        "sequences": state.sequences,
        "store": state.store,
        "depth": state.store.depth,
        "noise": state.noise,
        "counters": state.leg_counters,
    }
    return {
        f"{name}.{column}": getattr(table, column).copy()
        for name, table in tables.items()
        for column in table._fills  # every one of them, whichever come
    }


def every_other(tick: int, arrived: npt.NDArray[np.float64]) -> None:
    """Say when every other packet of a tick came."""
    arrived[::2] = 0.02 * tick + 0.001 * np.arange(0, len(arrived), 2)


@settings(max_examples=60, deadline=None)
@given(ticks=st.lists(st.tuples(*[FATES] * LEGS), min_size=1, max_size=25), seed=st.integers(0, 9))
def test_nothing_tells_apart_how_a_packet_was_taken(
    ticks: list[tuple[str, ...]], seed: int
) -> None:
    """Every column of sequence, store, depth and counters, and what is heard, are the same."""
    with engine(plain=True) as quick, engine(plain=False) as slow:
        for made in (quick, slow):
            rng = np.random.default_rng(seed)
            senders = [made.open(leg, room=1) for leg in range(1, LEGS + 1)]
            made.run()
            late: list[list[Rtp]] = [[] for _ in senders]
            made.wires.timed = every_other
            for fates in ticks:
                for leg, fate in enumerate(fates):
                    sound = loud(int(rng.integers(1000)), 1, peak=4000)[0]
                    made.feed(leg + 1, *arrive(senders[leg], fate, late[leg], sound))
                made.run()
        known, wanted = columns(quick), columns(slow)
        for name, column in wanted.items():
            assert np.array_equal(known[name], column), name
        for leg in range(1, LEGS + 1):
            assert np.array_equal(quick.heard(leg), slow.heard(leg))


def test_plain_packets_do_not_take_the_long_way() -> None:
    """Of a stream that runs nothing is left."""
    with Engine(options=PLAIN) as made:
        sender = made.open(1, room=1)
        made.run()
        made.wires.left.clear()
        made.run(20, lambda number: made.feed(1, sender.say(loud(number, 1)[0])))
        assert made.wires.left == [1] + 19 * [0]


def test_columns_are_still_those_of_the_tables_when_they_have_grown() -> None:
    """Else packets would go to arrays that nobody reads, and behind their ends."""
    with Engine(options=PLAIN) as made:
        state = made.state
        capacity = state.legs.capacity + 1
        state.make_room(capacity)
        columns = state.plain.columns
        assert all(len(column) >= capacity for column in columns)
        assert columns.play_row is state.store.play_row
        assert columns.highest is state.sequences.highest


@pytest.mark.parametrize("column", ["quiet_told", "traced"])
def test_legs_that_control_waits_for_take_the_long_way(column: str) -> None:
    """Who had been told quiet is told back; whose headers are traced has every one noted."""
    with Engine(options=PLAIN) as made:
        sender = made.open(1, room=1)
        made.run()
        made.run(3, lambda number: made.feed(1, sender.say(loud(number, 1)[0])))
        if column == "traced":
            made.state.presence.trace(made.row(1), traced=True)
        else:
            made.state.presence.quiet_told[made.row(1)] = 1
        made.run(1, lambda number: made.feed(1, sender.say(loud(number, 1)[0])))
        if column == "quiet_told":
            assert [event.leg for event in made.told(MediaResumed)] == [1]
        else:
            assert len(made.tick._teller._traces[1]) == 2  # one in, one out
