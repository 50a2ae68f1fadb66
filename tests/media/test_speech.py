"""Players over a bank: clips without a gap, queues, loops, silence, and who is told what."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.media.messages import SILENCE
from bridge.media.speech import LONGEST_QUEUE, MIX, REPLACE, Bank, Players, Playing
from tests.media.engine import PCM

LENGTH = 3000
SAMPLES: PCM = np.concatenate(
    (np.random.default_rng(1).integers(1, 9000, LENGTH), np.zeros(160))
).astype(np.int16)


class Booth:
    """Players of two rows, of which row 1 plays, and what was told."""

    def __init__(self) -> None:
        self.finished: list[tuple[int, int, bool]] = []
        self.players = Players(2, Bank(SAMPLES, LENGTH), self._tell)

    def _tell(self, row: int, playing: Playing, completed: bool) -> None:  # noqa: FBT001 - `Finished`
        self.finished.append((row, playing.play, completed))

    def play(self, number: int, *clips: tuple[int, int], loop: bool = False) -> bool:
        """Play clips."""
        return self.players.start(1, Playing(number, list(clips), loop, REPLACE, 1.0))

    def hear(self, frames: int) -> list[int]:
        """Return what is heard in so many ticks; zeros where nothing plays."""
        heard: list[int] = []
        for _ in range(frames):
            active = np.flatnonzero(self.players.active)
            assert active.tolist() in ([], [1])
            frame = self.players.render(active)
            heard += frame[0].astype(int).tolist() if len(active) else [0] * 160
        return heard


def expected(clips: list[tuple[int, int]]) -> list[int]:
    """Return the samples of clips, one after the other."""
    sound: list[int] = []
    for start, length in clips:
        silent = start == SILENCE
        sound += [0] * length if silent else SAMPLES[start : start + length].tolist()
    return sound


CLIPS = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 2000), st.integers(1, 1000)),
        st.tuples(st.integers(0, 2990), st.integers(1, 10)),
        st.tuples(st.just(SILENCE), st.integers(1, 500)),
        st.tuples(st.sampled_from([0, 160, 320]), st.sampled_from([160, 320])),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=200)
@given(st.lists(CLIPS, min_size=1, max_size=5))
def test_queued_plays_follow_without_a_gap(plays: list[list[tuple[int, int]]]) -> None:
    """Every sample of every clip in order, then silence; each play told completed, in order."""
    booth = Booth()
    for number, clips in enumerate(plays):
        assert booth.play(number, *clips)
    sound = [sample for clips in plays for sample in expected(clips)]
    frames = -(-len(sound) // 160)
    assert booth.hear(frames + 2) == sound + [0] * ((frames + 2) * 160 - len(sound))
    assert booth.finished == [(1, number, True) for number in range(len(plays))]
    assert not booth.players.active.any()


@settings(max_examples=100)
@given(CLIPS, st.integers(1, 30))
def test_a_loop_begins_again_at_its_very_end(clips: list[tuple[int, int]], frames: int) -> None:
    """Without a gap, for as long as nobody stops it; it never ends by itself."""
    booth = Booth()
    booth.play(1, *clips, loop=True)
    once = expected(clips)
    times = frames * 160 // len(once) + 1
    assert booth.hear(frames) == (once * times)[: frames * 160]
    assert booth.finished == []


def test_stopping_one_lets_the_next_begin_at_once() -> None:
    """The current play is cut, the one behind it is heard from its first sample."""
    booth = Booth()
    booth.play(1, (0, 2000))
    booth.play(2, (500, 160))
    booth.play(3, (700, 160))
    booth.hear(1)
    assert booth.players.stop(1, 1)
    assert booth.hear(1) == expected([(500, 160)])
    assert not booth.players.stop(1, 9)
    assert booth.players.plays(1) == [3]
    assert booth.players.stop(1, None)
    assert booth.hear(1) == [0] * 160
    assert booth.finished == [(1, 1, False), (1, 2, True), (1, 3, False)]


def test_a_waiting_play_that_is_stopped_is_never_heard() -> None:
    """The current one goes on without a seam."""
    booth = Booth()
    booth.play(1, (0, 320))
    booth.play(2, (900, 320))
    first = booth.hear(1)
    booth.players.stop(1, 2)
    assert first + booth.hear(3) == expected([(0, 320)]) + [0] * 320
    assert booth.finished == [(1, 2, False), (1, 1, True)]


def test_gain_and_mode_are_the_plays_own() -> None:
    """A softer play behind a loud one; each has its mode while it plays, in a spliced frame too."""
    booth = Booth()
    booth.players.start(1, Playing(1, [(0, 200)], False, REPLACE, 1.0))  # noqa: FBT003 - positional
    booth.players.start(1, Playing(2, [(400, 280)], False, MIX, 0.5))  # noqa: FBT003 - positional
    assert booth.players.mode[1] == REPLACE
    heard = booth.hear(1)
    frame = booth.players.render(np.array([1]))[0]
    assert booth.players.mode[1] == MIX
    assert heard + frame[:40].astype(int).tolist() == expected([(0, 200)])
    assert np.allclose(frame[40:], 0.5 * SAMPLES[400:520])


def test_a_full_queue_refuses() -> None:
    """What waits is bounded; the refused play is not told finished by the player."""
    booth = Booth()
    assert all(booth.play(number, (0, 160)) for number in range(LONGEST_QUEUE))
    assert not booth.play(99, (0, 160))
    assert booth.finished == []


def test_the_bank_says_what_it_holds() -> None:
    """Clips inside the bank, and silence of any length; nothing empty or beyond the end."""
    bank = Bank(SAMPLES, LENGTH)
    assert bank.holds(0, LENGTH)
    assert bank.holds(LENGTH - 1, 1)
    assert bank.holds(SILENCE, 100_000)
    for clip in ((0, LENGTH + 1), (LENGTH, 1), (0, 0), (-2, 10), (5, -1), (SILENCE, 0)):
        assert not bank.holds(*clip)
