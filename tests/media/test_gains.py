"""One factor a leg and sample: what each stage wants, without a step, at any rate."""

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from bridge.media.agc import Agc
from bridge.media.gains import QUICK, Gains
from bridge.media.gate import Gate
from bridge.media.levels import Levels
from bridge.media.messages import Configure
from tests.media.engine import PLAIN, Engine, find, loud

ROWS = np.arange(3)
FACTORS = st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.floats(0.1, 10), st.floats(0, 1))


class Stages:
    """The stages before, whose columns a test sets."""

    def __init__(self) -> None:
        self.levels, self.gate, self.agc, self.gains = Levels(3), Gate(3), Agc(3), Gains(3)

    def follow(self, options: Configure) -> None:
        """Make the gains of a tick."""
        self.gains.follow(self.levels, self.gate, self.agc, options)


@given(st.lists(FACTORS, min_size=1, max_size=12), st.booleans(), st.booleans())
def test_gains_are_the_product_and_run_on_from_frame_to_frame(
    factors: list[tuple[float, float, float]],
    gate: bool,  # noqa: FBT001 - parameters
    agc: bool,  # noqa: FBT001 - the same
) -> None:
    """The last sample of a frame has what is wanted, the first of the next is one step on."""
    stages, before = Stages(), 1.0
    options = Configure(gate=gate, agc=agc)
    for opened, gain, duck in factors:
        stages.gate.gain[:], stages.agc.gain[:], stages.levels.duck[:] = opened, gain, duck
        stages.follow(options)
        wanted = duck * (opened if gate else 1) * (gain if agc else 1)
        for samples in (160, 320):
            curve = stages.gains.curves(ROWS, samples)[1]
            assert np.isclose(curve[-1], wanted, atol=1e-5)
            step = (wanted - before) / samples
            assert np.allclose(np.diff(curve, prepend=before), step, atol=1e-5)
        before = wanted


def test_a_sudden_opening_takes_a_part_of_the_frame() -> None:
    """From nothing to all in 2.5 ms; both rates have the same curve."""
    stages = Stages()
    stages.follow(Configure())
    stages.gate.gain[1], stages.gate.sudden[1] = 1, True
    stages.follow(Configure())
    curve, wide = (stages.gains.curves(ROWS, samples) for samples in (160, 320))
    assert np.allclose(curve[1, : 160 // QUICK], np.arange(1, 21) / 20)
    assert (curve[1, 160 // QUICK :] == 1).all()
    assert np.allclose(wide[:, 1::2], curve, atol=1e-6)
    assert not curve[[0, 2]].any()
    assert stages.gains.silent(ROWS).tolist() == [True, False, True]


def test_a_gain_of_one_changes_no_sample() -> None:
    """Where nothing is wanted the frame is not touched, and a steady one is exactly one."""
    stages = Stages()
    pcm = np.random.default_rng(1).standard_normal((3, 160)).astype(np.float32)
    before = pcm.copy()
    stages.follow(PLAIN)
    stages.gains.apply(ROWS, pcm)
    assert (pcm == before).all()
    stages.levels.duck[2] = 0.25
    for _ in range(2):
        pcm = before.copy()
        stages.follow(PLAIN)
        stages.gains.apply(ROWS, pcm)
    assert (pcm[:2] == before[:2]).all()
    assert (pcm[2] == before[2] / 4).all()


def test_a_guards_duck_is_heard_by_the_room_and_by_rows_not_places() -> None:
    """A quarter of one talker, all of the other, whatever their order; mute is silence."""
    with Engine() as engine:
        senders = {leg: engine.open(leg, room=1, speaks=leg != 3) for leg in (3, 1, 2)}
        engine.run()
        said: dict[int, npt.NDArray[np.int16]] = {leg: loud(leg, 30) for leg in (1, 2)}

        def talk(number: int) -> None:
            for leg, sound in said.items():
                engine.feed(leg, senders[leg].say(sound[number]))

        engine.state.levels.duck[engine.row(1)] = 0.0
        engine.run(30, talk)
        engine.run(2)
        assert find(engine.heard(3), said[2][3:].reshape(-1)) >= 0
        engine.state.levels.duck[engine.row(2)] = 0.0
        engine.run()
        engine.heard(3)
        engine.run(30, talk)
        assert not engine.heard(3).any()
