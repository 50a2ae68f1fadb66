"""Groups of a room and whispers: nobody speaks or whispers into a wrong ear."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.media.depth import START_ROWS
from bridge.media.limiter import CEILING
from bridge.media.messages import CloseLeg, Configure, Place, Play
from tests.media.engine import PCM, Engine, Sender, coded, find, loud
from tests.support import g711

FRAMES = 5
LIMITED = Configure(gate=False, agc=False)


@dataclass(frozen=True)
class Person:
    """Somebody with a place in a house."""

    room: int | None
    group: int
    speaks: bool
    hears: bool
    whispers_to: int | None
    codec: str


PEOPLE = st.lists(
    st.builds(
        Person,
        room=st.sampled_from([1, 1, 1, 2, None]),
        group=st.integers(0, 2),
        speaks=st.booleans(),
        hears=st.booleans(),
        whispers_to=st.one_of(st.none(), st.integers(1, 9)),
        codec=st.sampled_from(["PCMU", "PCMA"]),
    ),
    min_size=2,
    max_size=9,
)


def hears(listener: int, talker: int, people: dict[int, Person]) -> bool:
    """Say whether one hears the other, as `Place` says it, one pair at a time."""
    ear, mouth = people[listener], people[talker]
    if listener == talker or ear.room is None or ear.room != mouth.room:
        return False
    if not (mouth.speaks and ear.hears):
        return False
    if mouth.whispers_to is not None:
        return mouth.whispers_to == listener
    return ear.group == mouth.group


def place(engine: Engine, leg: int, person: Person) -> None:
    """Put a leg where a person is."""
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


def talk(engine: Engine, senders: dict[int, Sender], said: dict[int, PCM]) -> None:
    """Let everybody say their frames, all at once."""

    def each(number: int) -> None:
        for leg, sender in senders.items():
            engine.feed(leg, sender.say(said[leg][number]))

    engine.run(len(next(iter(said.values()))), each)


def check(engine: Engine, people: dict[int, Person], senders: dict[int, Sender]) -> None:
    """Compare what everybody hears with the slow sum over whom they may hear."""
    said = {leg: loud(leg, FRAMES) for leg in senders}
    for leg in senders:
        engine.sent(leg)
    quiet = np.zeros((START_ROWS, 160), np.int16)
    talk(engine, senders, {leg: np.concatenate((sound, quiet)) for leg, sound in said.items()})
    for leg, sender in senders.items():
        total = np.zeros(FRAMES * 160, np.float64)
        for other, its in senders.items():
            if hears(leg, other, people):
                total += coded(said[other].reshape(-1), its.payload_type)
        reference = np.clip(total, -32768, 32767)
        number = sender.payload_type
        got = b"".join(packet.payload for packet in engine.sent(leg))[-FRAMES * 160 :]
        best = g711.decode(g711.encode(reference.astype(np.int16), number), number)
        error = np.abs(g711.decode(got, number) - reference)
        assert (error == np.abs(best - reference)).all(), (leg, people)


@settings(max_examples=60, deadline=None)
@given(first=PEOPLE, then=PEOPLE)
def test_each_leg_hears_exactly_whom_it_may(first: list[Person], then: list[Person]) -> None:
    """To the sample, for any groups and whispers, after some have changed places."""
    with Engine(capacity=2) as engine:
        people = dict(enumerate(first, 1))
        senders = {leg: engine.open(leg, codec=person.codec) for leg, person in people.items()}
        for leg, person in people.items():
            place(engine, leg, person)
        engine.run()
        for leg, person in zip(people, then, strict=False):
            people[leg] = Person(
                person.room, person.group, person.speaks, person.hears, person.whispers_to, ""
            )
            place(engine, leg, people[leg])
        engine.run()
        check(engine, people, senders)
        groups = {(p.room, p.group) for p in people.values() if p.room is not None}
        assert set(engine.state.groups.index_of) == groups
        assert set(engine.state.rooms.index_of) == {room for room, _ in groups}


def test_a_whisper_ends_with_the_ear_it_is_for() -> None:
    """The one who is coached hangs up: nobody hears the coach, until the whisper is taken back."""
    with Engine() as engine:
        senders = {leg: engine.open(leg, room=1) for leg in (1, 2, 3)}
        engine.command(Place(leg=1, room=1, whispers_to=2))
        engine.run()
        word = np.concatenate((loud(1, FRAMES), np.zeros((3, 160), np.int16)))
        said = {leg: word * (leg == 1) for leg in senders}
        talk(engine, senders, said)
        assert find(engine.heard(2), word.reshape(-1)[: FRAMES * 160]) >= 0
        assert not engine.heard(3).any()
        engine.command(CloseLeg(leg=2))
        del senders[2]
        talk(engine, senders, said)
        assert not engine.heard(3).any()
        engine.command(Place(leg=1, room=1))
        talk(engine, senders, said)
        assert find(engine.heard(3), word.reshape(-1)[: FRAMES * 160]) >= 0


def test_what_is_played_to_a_room_is_heard_in_all_its_groups() -> None:
    """A chime goes to every group of its room, once, and to no other room."""
    bank = loud(3, 10).reshape(-1)
    with Engine(bank=bank) as engine:
        for leg, room in ((1, 1), (2, 1), (3, 1), (4, 2)):
            engine.open(leg, room=room)
            engine.command(Place(leg=leg, room=room, group=leg % 3))
        engine.run()
        engine.command(Play(play=1, clips=[(0, 1600)], room=1, mode="mix"))
        engine.run(12)
        for leg in (1, 2, 3):
            assert find(engine.heard(leg), bank) >= 0
        assert not engine.heard(4).any()


@pytest.mark.parametrize("speaks", [True, False])
def test_a_whisper_on_top_of_a_loud_room_does_not_clip(speaks: bool) -> None:  # noqa: FBT001 - a parameter
    """The gain of the room counts the ear that is whispered to as well."""
    with Engine(options=LIMITED) as engine:
        senders = {leg: engine.open(leg, room=1) for leg in range(1, 8)}
        engine.command(Place(leg=1, room=1, whispers_to=2))
        engine.command(Place(leg=2, room=1, speaks=speaks))
        engine.run()
        top: dict[int, npt.NDArray[np.int16]] = {
            leg: np.full((FRAMES, 160), 32124 if leg in {1, 3} else 0, np.int16) for leg in senders
        }
        talk(engine, senders, top)
        engine.run()
        hearing, seating = engine.state.hearing, engine.state.seating
        heard = hearing.others(seating, seating.ears) if speaks else hearing.whole(seating.ear_room)
        heard = heard + hearing.whispers
        assert 0.99 * CEILING < np.abs(heard).max() <= CEILING * 1.0001
        assert np.abs(engine.heard(2)).max() < 30_000


def test_wideband_ears_and_mouths_whisper_too() -> None:
    """From G.711 to G.722 and back, heard by the one and by nobody else."""
    with Engine() as engine:
        narrow = {leg: engine.open(leg, room=1) for leg in (1, 2)}
        for leg in (3, 4):
            engine.open(leg, room=1, codec="G722", payload_type=9)
        engine.command(Place(leg=1, room=1, whispers_to=3))
        engine.run()
        said = {leg: loud(leg, FRAMES) * (leg == 1) for leg in narrow}
        talk(engine, narrow, said)
        engine.run(1)
        wideband, seating = engine.state.wideband, engine.state.seating
        ear = seating.order[seating.ears].tolist()
        assert ear == [engine.row(3)]
        assert not wideband.mixed.any() or np.abs(wideband.mixed).max() < 1
        quiet = {bytes(packet.payload) for packet in engine.sent(4)[-3:]}
        told = {bytes(packet.payload) for packet in engine.sent(3)[-3:]}
        assert not quiet & told
        assert not engine.heard(2).any()
