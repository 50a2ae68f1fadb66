"""The limiter: one gain a room, down before the peak, and nothing clips."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.media.limiter import ATTACK, BLOCKS, CEILING, RELEASE, Limiter, block_peaks
from bridge.media.messages import Configure, Place
from tests.media.engine import Engine, loud

ONE = np.array([1], np.intp)
LIMITED = Configure(gate=False, agc=False)


def limit(limiter: Limiter, sound: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return a frame of room 1 with its gain: the gain itself, `(samples,)`."""
    limiter.begin()
    limiter.hear(ONE, block_peaks(sound[None]))
    limiter.follow()
    gain: npt.NDArray[np.float32] = limiter.curves(ONE, len(sound))[0]
    return gain


@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 159), st.floats(0, 2e6)), max_size=4),
        min_size=1,
        max_size=12,
    ),
    st.sampled_from([160, 320]),
)
def test_nothing_is_above_the_ceiling_and_the_gain_is_a_line(
    frames: list[list[tuple[int, float]]], samples: int
) -> None:
    """Whatever comes, and the gain leaps only at a frame that begins above what it allows."""
    limiter, before = Limiter(2), 1.0
    for peaks in frames:
        sound = np.zeros(samples, np.float32)
        for at, peak in peaks:
            sound[at * samples // 160] = peak
        gain = limit(limiter, sound)
        assert (sound * gain <= CEILING * 1.0001).all()
        assert (gain > 0).all()
        assert (gain <= 1.00001).all()
        first = min(1.0, CEILING / max(1.0, float(sound[: samples // BLOCKS].max())))
        begin = min(before, first)
        steps = np.diff(gain, prepend=begin) * (samples // BLOCKS)
        assert steps.max() <= RELEASE * 1.01 + 1e-5
        assert steps[samples // BLOCKS :].min() >= -ATTACK * 1.01 - 1e-5
        before = float(gain[-1])
    assert limiter.gain[0] == 1


def test_the_gain_is_down_before_the_peak_and_comes_back_slowly() -> None:
    """A peak of twice the ceiling in the middle: down in the 5 ms before it, back in 750 ms."""
    limiter = Limiter(2)
    sound = np.zeros(160, np.float32)
    sound[100] = 2 * CEILING
    gain = limit(limiter, sound)
    assert (gain[:50] == 1).all()
    assert np.isclose(gain[100], 0.5, atol=RELEASE)
    ticks = 0
    quiet = np.zeros(160, np.float32)
    while limiter.limits[1]:
        gain = limit(limiter, quiet)
        ticks += 1
    assert (gain == 1).all()
    assert abs(20 * ticks - 750) < 60


@pytest.mark.parametrize("samples", [160, 320])
def test_lines_go_through_their_knots(samples: int) -> None:
    """The last sample of a block is the knot behind it, and both rates draw one line."""
    limiter = Limiter(3)
    limiter.knots[1:] = np.random.default_rng(1).random((2, BLOCKS + 1), np.float32)
    rooms = np.array([2, 1])
    curves = limiter.curves(rooms, samples)
    place = np.arange(1, samples + 1) * (BLOCKS / samples)
    for room, curve in zip(rooms.tolist(), curves, strict=True):
        drawn = np.interp(place, np.arange(BLOCKS + 1), limiter.knots[room])
        assert np.allclose(curve, drawn, atol=1e-6)
    limiter.limits[1] = True
    limited, lines = np.ones(5, np.bool_), np.full((5, samples), 7, np.float32)
    limiter.draw(limited, lines)
    assert limited.tolist() == [False, True, False, False, False]
    assert (lines[1] == curves[1]).all()
    assert (lines[[0, 2, 3, 4]] == 7).all()
    sound = np.arange(samples, dtype=np.float32)[None] * -1
    per_block = samples // BLOCKS
    assert block_peaks(sound)[0].tolist() == [per_block * (k + 1) - 1 for k in range(BLOCKS)]


@pytest.mark.parametrize("codec", ["PCMU", "G722"])
def test_fifty_loud_talkers_are_heard_whole_but_for_oneself(codec: str) -> None:
    """No sample of the float mix clips, and each hears (total - own) x gain to -90 dB.

    Fifty narrowband talkers near full scale, and one leg more of either band, who listens.
    """
    peak = 0.0
    with Engine(options=LIMITED) as engine:
        senders = {leg: engine.open(leg, room=1) for leg in range(1, 51)}
        number = {"PCMU": 0, "G722": 9}[codec]
        engine.open(51, room=1, codec=codec, payload_type=number, speaks=False)
        engine.run()
        state = engine.state
        rng = np.random.default_rng(50)
        said = {leg: loud(leg, 40, peak=int(rng.integers(4_000, 32_000))) for leg in senders}
        clipped, worst = 0, -200.0

        def talk(number: int) -> None:
            for leg, sender in senders.items():
                engine.feed(leg, sender.say(said[leg][number]))

        for tick in range(40):
            talk(tick)
            engine.run()
            n = state.seating.speakers
            own = state.hearing.pcm[:n].astype(np.float64)
            heard = state.hearing.others(state.seating, np.arange(n))
            gain = state.limiter.curves(np.zeros(1, np.intp), 160)[0].astype(np.float64)
            expected = (own.sum(axis=0) - own) * gain
            if not own.any():
                continue
            sounds = [heard, state.hearing.whole(np.array([0])), state.wideband.mixed]
            clipped += sum(int((np.abs(each) > 32767).sum()) for each in sounds)
            peak = max(peak, float(np.abs(heard).max()))
            error = np.sqrt(np.mean((heard - expected) ** 2) / np.mean(expected**2))
            worst = max(worst, 20 * np.log10(error))
        assert clipped == 0
        assert 20_000 < peak <= CEILING * 1.0001
        assert worst < -90
        assert state.limiter.gain[0] < 0.5


def test_one_loud_room_is_no_other_rooms_matter() -> None:
    """Rooms have gains of their own, and a room that ends leaves none to the next."""
    with Engine(options=LIMITED) as engine:
        senders = {leg: engine.open(leg, room=1 + leg // 10) for leg in range(1, 14)}
        engine.run()
        said = loud(1, 20)

        def talk(number: int) -> None:
            for leg, sender in senders.items():
                if leg != 13:
                    engine.feed(leg, sender.say(said[number] // (1 if leg < 10 else 8)))

        engine.run(20, talk)
        rooms = engine.state.rooms.index_of
        gains = engine.state.limiter.gain
        assert gains[rooms[1]] < 0.3
        assert gains[rooms[2]] == 1
        seating, hearing = engine.state.seating, engine.state.hearing
        inside = (seating.speaker_room == rooms[2]).nonzero()[0]
        own = hearing.pcm[: seating.speakers][inside]
        assert own.any()
        assert (hearing.others(seating, inside) == own.sum(axis=0) - own).all()
        for leg in range(1, 10):
            engine.state.leave(engine.row(leg))
        assert gains[0] == 1


def test_a_room_that_recovers_lends_its_gain_to_no_other() -> None:
    """One room was too loud and is muted now; one voice in the other is heard as it is."""
    with Engine(options=LIMITED) as engine:
        senders = {leg: engine.open(leg, room=1 + leg // 10) for leg in (1, 2, 3, 10, 11)}
        engine.run()
        said = loud(1, 20)

        def talk(number: int) -> None:
            for leg, sender in senders.items():
                engine.feed(leg, sender.say(said[number] // (1 if leg < 10 else 8)))

        engine.run(20, talk)
        for leg in (1, 2, 3):
            engine.command(Place(leg=leg, room=1, speaks=False))
        engine.run(3, talk)
        assert engine.state.limiter.limits.sum() == 1
        n = engine.state.seating.speakers
        own = engine.state.hearing.pcm[:n]
        assert own.any()
        heard = engine.state.hearing.others(engine.state.seating, np.arange(n))
        assert (heard == own[::-1]).all()
