"""Seating and rooms: everybody has one place, and rooms are contiguous."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.media.codecs import SILENCE_CODES
from bridge.media.companding import encode, encode_others
from bridge.media.legs import Legs, Rooms
from bridge.media.messages import Codec, LegMedia
from bridge.media.mix import clip, hear_others, loudest, sum_rooms
from bridge.media.outgoing import PACKET
from bridge.media.rtp import HEADER
from bridge.media.seating import Seating, seat

CODECS = st.sampled_from(["PCMU", "PCMA", "G722"])
PEOPLE = st.lists(
    st.tuples(st.integers(-1, 3), st.booleans(), st.booleans(), CODECS, st.booleans()), max_size=30
)
Person = tuple[int, bool, bool, Codec, bool]


def house(people: list[Person]) -> tuple[Legs, Seating]:
    """Open legs, close those whose last field says so, and seat the others."""
    legs = Legs(max(32, len(people)))
    for leg, (room, speaks, hears, codec, _) in enumerate(people):
        row = legs.take(leg, LegMedia(codec=codec, payload_type=0))
        legs.room[row], legs.speaks[row], legs.hears[row] = room, speaks, hears
    for leg, (*_, closed) in enumerate(people):
        if closed:
            legs.release(legs.row_of[leg])
    return legs, seat(legs, SILENCE_CODES)


def check_rooms(seating: Seating) -> None:
    """Speakers, from the first to the last, by room: each room once, as a whole."""
    sizes = np.diff(seating.first)
    assert seating.first[0] == 0
    assert seating.first[-1] == seating.speakers
    assert (sizes > 0).all()
    assert np.repeat(seating.spoken, sizes).tolist() == seating.speaker_room.tolist()
    assert len(set(seating.spoken.tolist())) == len(seating.spoken)


@settings(max_examples=200)
@given(PEOPLE)
def test_everybody_has_one_place_and_rooms_are_contiguous(people: list[Person]) -> None:
    """Speakers first, by room; then whom it does not hear; then the rest. Every leg once."""
    legs, seating = house(people)
    rows = [legs.row_of[leg] for leg, person in enumerate(people) if not person[4]]
    assert sorted(seating.order.tolist()) == sorted(rows)
    assert (seating.position[seating.order] == np.arange(len(rows))).all()
    speaking = [row for row in rows if people[row][0] >= 0 and people[row][1]]
    assert set(seating.order[: seating.speakers].tolist()) == set(speaking)
    check_rooms(seating)
    taking_part = [row for row in rows if people[row][0] >= 0 and any(people[row][1:3])]
    assert set(seating.silent_rows.tolist()) == set(rows) - set(taking_part)
    listening = [
        row
        for row in rows
        if people[row][0] >= 0
        and people[row][2]
        and not people[row][1]
        and people[row][3] != "G722"
    ]
    told = [
        (int(seating.order[position]), int(rooms[which_room]), codec)
        for codec, rooms, chosen, which in seating.listening_to
        for position, which_room in zip(chosen, which, strict=True)
    ]
    assert sorted(told) == sorted(
        (row, people[row][0], ("PCMU", "PCMA").index(people[row][3])) for row in listening
    )
    deaf = {row for row in rows if people[row][0] < 0 or not people[row][2]}
    assert set(seating.order[seating.deaf].tolist()) == deaf
    silence = {"PCMU": 0xFF, "PCMA": 0xD5, "G722": 0xFE}
    codes = [silence[people[row][3]] for row in seating.order[seating.deaf]]
    assert seating.deaf_code.tolist() == codes
    wide = seating.order[seating.wide].tolist()
    assert set(wide) == {row for row in rows if people[row][3] == "G722"}
    assert set(wide[: seating.wide_speakers]) == set(speaking) & set(wide)
    assert seating.codec < 2


@settings(max_examples=200)
@given(PEOPLE, st.integers(0, 1000))
def test_minus_self_equals_the_slow_sum_of_the_others(people: list[Person], seed: int) -> None:
    """Exactly: the sums are whole numbers that float32 holds."""
    _, seating = house(people)
    n = seating.speakers
    pcm = np.random.default_rng(seed).integers(-32_124, 32_125, (n, 160)).astype(np.float32)
    rooms = np.full((4, 160), 7, np.float32)
    least, most = np.full((2, 4, 160), 7, np.float32)
    sum_rooms(seating, pcm, rooms, least, most)
    nowhere, curves = np.zeros(4, np.bool_), np.ones((4, 160), np.float32)
    everybody = np.arange(n)
    out = hear_others(seating, everybody, pcm, rooms, nowhere, curves)
    peaks = loudest(rooms, least, most, np.arange(4), 20)
    whole = pcm.astype(np.int64)
    for position in range(n):
        others = [
            k
            for k in range(n)
            if k != position and seating.speaker_room[k] == seating.speaker_room[position]
        ]
        assert (out[position] == whole[others].sum(axis=0)).all()
    for room in range(4):
        assert (rooms[room] == whole[seating.speaker_room == room].sum(axis=0)).all()
        heard = np.abs(out[seating.speaker_room == room]).max(axis=0, initial=0)
        heard = np.maximum(heard, np.abs(rooms[room]))
        assert (peaks[room] == heard.reshape(20, 8).max(axis=1)).all()
    limited = np.array([False, True, False, True])
    curves = np.linspace(1, 0.5, 4 * 160, dtype=np.float32).reshape(4, 160)
    turned = hear_others(seating, everybody, pcm, rooms, limited, curves)
    gain = np.where(limited[:, None], curves, 1)[seating.speaker_room]
    assert (turned == out * gain.astype(np.float32)).all()
    some = everybody[::-2].copy()
    assert (hear_others(seating, some, pcm, rooms, limited, curves) == turned[some]).all()
    one_by_one, packets = np.zeros((n, 160), np.uint8), np.full((32, PACKET), 7, np.uint8)
    encode(seating.codec, turned, one_by_one)
    encode_others(seating, pcm, rooms, limited, curves, packets)
    assert (one_by_one == packets[:n, HEADER:]).all()
    assert (packets[:, :HEADER] == 7).all()
    assert (packets[n:] == 7).all()


def test_samples_are_clipped_at_both_edges() -> None:
    """-32768 and 32767 stay, one beyond does not wrap."""
    sums = np.array([[-1e6, -32_769, -32_768, -32_767, 0, 32_766, 32_767, 32_768, 1e6]], np.float32)
    out = np.empty(sums.shape, np.int16)
    clip(sums, out)
    low, high = -32_768, 32_767
    assert out[0].tolist() == [low, low, low, -32_767, 0, 32_766, high, high, high]


@given(st.lists(st.tuples(st.integers(1, 5), st.booleans()), max_size=60))
def test_rooms_exist_from_their_first_leg_to_their_last(steps: list[tuple[int, bool]]) -> None:
    """Indices are dense, distinct while rooms live, and used again afterwards."""
    rooms: Rooms[int] = Rooms()
    inside = dict.fromkeys(range(1, 6), 0)
    most = 0
    for room, enters in steps:
        if enters:
            index = rooms.enter(room)
            inside[room] += 1
            assert rooms.room_of[index] == room
        elif inside[room]:
            index = rooms.index_of[room]
            assert rooms.is_last(index) == (inside[room] == 1)
            inside[room] -= 1
            assert rooms.leave(index) == (inside[room] == 0)
        living = {room for room, count in inside.items() if count}
        most = max(most, len(living))
        assert set(rooms.index_of) == living
        assert len(set(rooms.index_of.values())) == len(living) == len(rooms)
    assert rooms.capacity == most
