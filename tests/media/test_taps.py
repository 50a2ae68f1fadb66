"""What is recorded: each leg's sound as its room hears it, and nothing else."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.media.codecs import FRAME, codec_index
from bridge.media.companding import encode
from bridge.media.messages import (
    CloseLeg,
    Codec,
    Command,
    Configure,
    EngineError,
    Place,
    Play,
    StartTap,
    StopTap,
    UseTaps,
)
from bridge.media.tap_ring import GAP, MUTED, TALKING, WIDE, TapReader, TapRing, TapRows
from bridge.media.taps import Taps
from tests.media.engine import PCM, PLAIN, Engine, Sender, coded, find, loud, still
from tests.media.speech import recorded
from tests.media.wide import WidePhone, error_db, tone
from tests.support.dtmf import tones

SILENCE = np.zeros((4, FRAME), np.int16)


@pytest.fixture
def ring() -> Iterator[TapRing]:
    """Return a ring that holds more than a test says."""
    made = TapRing(rows=1000)
    yield made
    made.close()


def hand(engine: Engine, command: Command, *descriptors: int) -> None:
    """Say something to the engine, with descriptors."""
    socket.send_fds(engine._ours, [msgspec.msgpack.encode(command)], list(descriptors))


def tapped(engine: Engine, ring: TapRing, *taps: tuple[int, int]) -> TapReader:
    """Let an engine tap groups of rooms; return a reader."""
    hand(engine, UseTaps(), ring.descriptor)
    for room, group in taps or ((1, 0),):
        engine.command(StartTap(room=room, group=group))
    engine.run()
    reader = TapReader.of(ring)
    reader.read()
    return reader


def say(engine: Engine, said: dict[int, tuple[Sender, PCM]]) -> None:
    """Let legs say frames, all at once, and silence until all has been played."""
    frames = {leg: np.concatenate((sound, SILENCE)) for leg, (_, sound) in said.items()}

    def each(number: int) -> None:
        for leg, (sender, _) in said.items():
            engine.feed(leg, sender.say(frames[leg][number]))

    engine.run(max(map(len, frames.values())), each)


def track(rows: TapRows, leg: int) -> PCM:
    """Return what of a leg is on rows, in one piece."""
    sound: PCM = rows.of(leg).samples.reshape(-1)
    return sound


def test_each_talkers_track_is_what_it_said(ring: TapRing) -> None:
    """To the sample, a row a tick, with time, room and leg; another room is not there."""
    with Engine() as engine:
        senders = {leg: engine.open(leg, room=1 + leg // 3) for leg in (1, 2, 3)}
        reader = tapped(engine, ring)
        said = {leg: (senders[leg], loud(leg, 6)) for leg in senders}
        say(engine, said)
        rows = reader.read()
        assert set(rows.leg.tolist()) == {1, 2}
        assert set(rows.room.tolist()) == {1}
        assert not rows.group.any()
        for leg in (1, 2):
            mine = rows.of(leg)
            assert find(track(rows, leg), said[leg][1].reshape(-1)) >= 0
            assert np.diff(mine.tick).tolist() == [1] * 9
            assert (np.diff(mine.at) > 0).all()
        assert np.array_equal(rows.of(1).tick, rows.of(2).tick)
        assert reader.lost == 0


@pytest.mark.parametrize("codec", ["PCMU", "PCMA"])
def test_a_track_is_what_the_room_hears_with_all_stages_on(ring: TapRing, codec: Codec) -> None:
    """Gated and levelled: the only listener's packets are the track, encoded."""
    with Engine(options=Configure(limiter=False)) as engine:
        talker = engine.open(1, room=1, codec=codec)
        engine.open(2, room=1, codec=codec, speaks=False)
        reader = tapped(engine, ring)
        engine.sent(2)
        say(engine, {1: (talker, recorded(3.0).reshape(-1, FRAME) // 8)})
        rows = reader.read().of(1)
        codes = np.empty(rows.samples.shape, np.uint8)
        encode(codec_index(codec), rows.samples.astype(np.float32), codes)
        assert codes.tobytes() == b"".join(packet.payload for packet in engine.sent(2))
        assert (rows.flags & TALKING).any()
        assert np.abs(rows.samples).max() > 1000


def test_flags_say_what_was_made_up_and_who_talks(ring: TapRing) -> None:
    """A frame that did not come is marked, wherever it lies."""
    with Engine(options=PLAIN) as engine:
        sender = engine.open(1, room=1)
        reader = tapped(engine, ring)
        sound = recorded(1.0, skip=1).reshape(-1, FRAME)

        def each(number: int) -> None:
            packet = sender.say(sound[number])
            if number not in {20, 21}:
                engine.feed(1, packet)

        engine.run(40, each)
        flags = reader.read().flags
        gaps = np.flatnonzero(flags[10:] & GAP) + 10
        assert gaps.tolist() == [21, 22]
        assert (flags[30:] & TALKING).all()
        assert not flags[0] & TALKING
        assert not (flags & (MUTED | WIDE)).any()


def test_a_muted_leg_has_one_row_that_says_so(ring: TapRing) -> None:
    """Nothing that it says meanwhile is recorded, not even the frame that was on its way."""
    with Engine() as engine:
        sender = engine.open(1, room=1)
        engine.open(2, room=1, speaks=False)
        reader = tapped(engine, ring)
        first, second, third = (loud(seed, 5) for seed in (1, 2, 3))
        say(engine, {1: (sender, first)})
        before = reader.read()
        assert before.of(2).flags.tolist() == []
        engine.command(Place(leg=1, room=1, speaks=False))
        say(engine, {1: (sender, second)})
        rows = reader.read()
        assert rows.leg.tolist() == [1]
        assert rows.flags.tolist() == [MUTED]
        assert not rows.samples.any()
        assert rows.tick[0] == before.tick[-1] + 1
        engine.command(Place(leg=1, room=1))
        say(engine, {1: (sender, third)})
        rows = reader.read()
        assert find(track(rows, 1), third.reshape(-1)) >= 0
        assert find(track(rows, 1), second[-1]) < 0
        assert not (rows.flags & MUTED).any()


def test_who_is_mute_from_the_start_is_told_once(ring: TapRing) -> None:
    """With the tap, or when it comes; not again when others come and go."""
    with Engine() as engine:
        engine.open(1, room=1, speaks=False)
        hand(engine, UseTaps(), ring.descriptor)
        engine.command(StartTap(room=1))
        reader = TapReader.of(ring)
        engine.run(3)
        engine.open(2, room=1, speaks=False)
        engine.run(2)
        engine.command(CloseLeg(leg=2))
        engine.run(2)
        rows = reader.read()
        assert rows.leg.tolist() == [1, 2]
        assert rows.flags.tolist() == [MUTED, MUTED]


def test_a_whisper_is_on_no_tap_of_the_room(ring: TapRing) -> None:
    """One ear hears it, the record does not."""
    with Engine() as engine:
        senders = {leg: engine.open(leg, room=1) for leg in (1, 2, 3)}
        engine.command(Place(leg=1, room=1, whispers_to=2))
        reader = tapped(engine, ring)
        word, aloud = loud(1, 5), loud(2, 5)
        say(engine, {1: (senders[1], word), 3: (senders[3], aloud)})
        assert find(engine.heard(2), g711_sum(word, aloud)) >= 0
        rows = reader.read()
        assert track(rows, 1).size == 0
        assert find(track(rows, 3), aloud.reshape(-1)) >= 0
        engine.command(Place(leg=1, room=1))
        say(engine, {1: (senders[1], aloud)})
        assert find(track(reader.read(), 1), aloud.reshape(-1)) >= 0


def g711_sum(one: PCM, other: PCM) -> PCM:
    """Return what is heard of two sounds at once."""
    total = one.reshape(-1).astype(np.int64) + other.reshape(-1)
    return coded(np.clip(total, -32768, 32767).astype(np.int16))


@dataclass(frozen=True)
class Person:
    """Somebody with a place in a house."""

    room: int | None
    group: int
    speaks: bool
    hears: bool
    whispers_to: int | None
    codec: Codec


PEOPLE = st.lists(
    st.builds(
        Person,
        room=st.sampled_from([1, 1, 2, None]),
        group=st.integers(0, 1),
        speaks=st.booleans(),
        hears=st.booleans(),
        whispers_to=st.one_of(st.none(), st.integers(1, 6)),
        codec=st.sampled_from(["PCMU", "PCMA"]),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=60, deadline=None)
@given(
    first=PEOPLE,
    then=PEOPLE,
    taps=st.sets(st.tuples(st.integers(1, 3), st.integers(0, 1)), min_size=1, max_size=4),
)
def test_on_the_taps_is_exactly_who_may_be_heard_there(
    first: list[Person], then: list[Person], taps: set[tuple[int, int]]
) -> None:
    """For any rooms, groups, whispers and taps, after some have changed places."""
    ring = TapRing(rows=500)
    with Engine(capacity=2) as engine:
        people = dict(enumerate(first, 1))
        senders = {leg: engine.open(leg, codec=person.codec) for leg, person in people.items()}
        reader = tapped(engine, ring, *sorted(taps))
        for places in (first, then):
            for leg, person in zip(people, places, strict=False):
                people[leg] = person
                engine.command(
                    Place(
                        leg=leg,
                        room=person.room,
                        speaks=person.speaks,
                        hears=person.hears,
                        group=person.group,
                        whispers_to=person.whispers_to,
                    )
                )
            say(engine, {leg: (sender, SILENCE[:0]) for leg, sender in senders.items()})
            reader.read()
            said = {leg: (senders[leg], loud(leg, 3)) for leg in senders}
            say(engine, said)
            rows = reader.read()
            columns = (rows.leg.tolist(), rows.room.tolist(), rows.group.tolist())
            assert {*zip(*columns, strict=True)} == {
                (leg, person.room, person.group)
                for leg, person in people.items()
                if (person.room, person.group) in taps
                and person.speaks
                and person.whispers_to is None
            }
            for leg in set(rows.leg.tolist()):
                spoken = coded(said[leg][1].reshape(-1), senders[leg].payload_type)
                assert find(track(rows, leg), spoken) >= 0
    ring.close()


def test_keys_are_on_no_tap(ring: TapRing) -> None:
    """Neither as events with their leaking tone, nor as tones."""
    with Engine() as engine:
        events = engine.open(1, room=1)
        inband = engine.open(2, room=1, dtmf_payload_type=None)
        reader = tapped(engine, ring)
        frames = np.round(tones("5", 100)).astype(np.int16).reshape(-1, FRAME)

        def each(number: int) -> None:
            if number < len(frames):
                engine.feed(2, inband.say(frames[number]))
                if number == 0:
                    engine.feed(1, events.say(frames[0]))
                else:
                    engine.feed(1, events.key(5, 160 * number, ended=number == len(frames) - 1))

        engine.run(10, each)
        rows = reader.read()
        assert len(track(rows, 1)) == len(track(rows, 2)) == 10 * FRAME
        assert not track(rows, 1).any()
        assert np.abs(track(rows, 2).astype(int)).max() < 100


def test_a_wideband_leg_is_recorded_in_wideband(ring: TapRing) -> None:
    """A tone of 5 kHz is on its track, at 16 kHz, two rows a tick; beside it a narrow one."""
    with Engine() as engine:
        phone = WidePhone(engine, 1, room=1)
        narrow = engine.open(2, room=1)
        reader = tapped(engine, ring)
        high, low = tone(5000, 30), loud(2, 30)

        def each(number: int) -> None:
            engine.feed(1, phone.packet(high[number]))
            engine.feed(2, narrow.say(low[number]))

        engine.run(30, each)
        rows = reader.read()
        wide = rows.of(1)
        assert (wide.flags & WIDE).all()
        assert np.array_equal(wide.tick[::2], wide.tick[1::2])
        assert np.diff(wide.tick[::2]).tolist() == [1] * 29
        assert error_db(track(rows, 1), high[5:25].reshape(-1)) < -15
        assert not (rows.of(2).flags & WIDE).any()
        assert find(track(rows, 2), low[:28].reshape(-1)) >= 0


def test_what_is_played_is_on_no_track(ring: TapRing) -> None:
    """A chime and a prompt are heard, and are nobody's voice."""
    bank = loud(3, 20).reshape(-1)
    with Engine(bank=bank) as engine:
        sender = engine.open(1, room=1)
        engine.open(2, room=1)
        reader = tapped(engine, ring)
        engine.command(Play(play=1, clips=[(0, 1600)], room=1, mode="mix"))
        engine.command(Play(play=2, clips=[(0, 1600)], leg=2))
        engine.run(12, lambda _: engine.feed(1, sender.audio(still())))
        assert engine.heard(2).any()
        assert not reader.read().samples.any()


def test_a_tap_ends_when_it_is_told_to(ring: TapRing) -> None:
    """And begins anew; a tap on another room goes on."""
    with Engine() as engine:
        engine.open(1, room=1)
        engine.open(2, room=2)
        reader = tapped(engine, ring, (1, 0), (2, 0))
        engine.command(StopTap(room=1))
        engine.run()
        reader.read()
        engine.run(2)
        assert reader.read().leg.tolist() == [2, 2]
        engine.command(StopTap(room=2))
        engine.command(StopTap(room=9))
        engine.run()
        reader.read()
        engine.run(2)
        assert len(reader.read()) == 0
        engine.command(StartTap(room=1))
        engine.run(2)
        assert reader.read().leg.tolist() == [1, 1]


def test_nothing_is_done_while_nothing_is_tapped(
    ring: TapRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the legs do: it costs an `if`."""

    def never(*_: object, **__: object) -> None:
        raise AssertionError("not while nothing is tapped")

    with Engine() as engine:
        sender = engine.open(1, room=1)
        reader = tapped(engine, ring)
        engine.command(StopTap(room=1))
        engine.run()
        monkeypatch.setattr(Taps, "write", never)
        monkeypatch.setattr(Taps, "plan", never)
        engine.open(2, room=1)
        engine.run(5, lambda _: engine.feed(1, sender.audio(still())))
        reader.read()
        assert len(reader.read()) == 0


def test_ticks_left_out_are_seen_on_the_tap(ring: TapRing) -> None:
    """Time runs on for a recording as it does for the legs."""
    with Engine() as engine:
        engine.open(1, room=1)
        reader = tapped(engine, ring)
        engine.run()
        engine.state.jump(7)
        engine.run()
        assert np.diff(reader.read().tick).tolist() == [8]


def test_a_successor_goes_on_in_the_same_ring(ring: TapRing) -> None:
    """What was missed is seen as ticks without rows; samples are those of the new process."""
    with Engine() as dead, Engine() as successor:
        senders = [engine.open(1, room=1) for engine in (dead, successor)]
        reader = tapped(dead, ring)
        say(dead, {1: (senders[0], loud(1, 5))})
        last = reader.read()
        hand(successor, UseTaps(), ring.descriptor)
        successor.command(StartTap(room=1))
        successor.run()
        say(successor, {1: (senders[1], loud(2, 5))})
        rows = reader.read()
        assert find(track(rows, 1), loud(2, 5).reshape(-1)) >= 0
        passed = round((rows.at[0] - last.at[-1]) / 0.02)
        assert abs(rows.tick[0] - last.tick[-1] - max(passed, 1)) <= 1
        assert rows.tick[0] > last.tick[-1]
        assert reader.writers == 2
        assert reader.lost == 0


def test_a_ring_too_small_for_a_tick_drops_it_and_the_mix_goes_on() -> None:
    """Nothing is written over that a reader could not see."""
    ring = TapRing(rows=2)
    with Engine() as engine:
        senders = {leg: engine.open(leg, room=1) for leg in (1, 2, 3)}
        reader = tapped(engine, ring)
        said = loud(1, 4)
        say(engine, {1: (senders[1], said)})
        assert len(reader.read()) == 0
        assert engine.counters.tap_rows_dropped >= 3 * 8
        assert find(engine.heard(2), said.reshape(-1)) >= 0
    ring.close()


def test_a_tap_without_a_ring_is_refused() -> None:
    """And a ring that is none, or comes alone, or with too many."""
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    with Engine() as engine:
        engine.open(1, room=1)
        engine.command(StartTap(room=1))
        engine.command(UseTaps())
        engine.command(UseTaps(), fds=2)
        engine.command(UseTaps(), fds=1)
        engine.run(3)
        told = [error.what.split(":")[0] for error in engine.told(EngineError)]
        assert told == [
            "StartTap came before UseTaps",
            "UseTaps came with 0 descriptors, needs one",
            "UseTaps came with 2 descriptors, needs one",
            "UseTaps",
        ]
    assert len(list(Path("/proc/self/fd").iterdir())) <= descriptors
