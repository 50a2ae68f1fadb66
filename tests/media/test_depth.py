"""How long sound waits in the bridge, by what the line does to it."""

import numpy as np
import pytest

from bridge.media.codecs import FRAME
from bridge.media.depth import CAP_ROWS, QUIET_RMS, START_ROWS, Depth
from tests.media.engine import find, loud
from tests.media.network import FRAME_S, Carried, Line, bursts, carry, delays_ms, voice
from tests.support import g711

Windows = np.ndarray[tuple[int, int], np.dtype[np.float64]]


def frames_of(said: np.ndarray[tuple[int], np.dtype[np.int16]]) -> list[bytes]:
    """Return a sound as packets of PCMU."""
    coded = g711.encode(said, g711.PCMU)
    return [coded[at : at + 160] for at in range(0, len(coded), 160)]


def through(seconds: float, line: Line) -> tuple[Windows, Carried]:
    """Let a talker who never pauses talk over a line; return the delays, mouth to ear.

    From the sending of a packet to the sending of the one with its sound, and the 20 ms that the
    packet's sound took: a tick takes no time here.
    """
    said = voice(int(seconds / FRAME_S))
    carried = carry(frames_of(said), line)
    heard = g711.decode(b"".join(carried.payloads), g711.PCMU)
    windows = delays_ms(heard, said)
    # Packet k, sent `phase` of a frame after tick k, begins with the sound of tick k here.
    windows[:, 1] += 20 * (1 - line.phase)
    return windows, carried


@pytest.mark.parametrize("phase", [0.05, 0.5, 0.95])
def test_on_a_clean_line_sound_waits_twenty_to_forty_ms(phase: float) -> None:
    """Wherever packets fall between two ticks; mouth to ear 40 to 60 ms, and nothing is changed."""
    windows, carried = through(5, Line(phase=phase))
    assert 40 <= windows[:, 1].min() == windows[:, 1].max() <= 60
    assert windows[:, 2].min() > 0.99
    assert (carried.counts, carried.concealed) == ({}, 0)


@pytest.mark.parametrize("jitter_ms", [20, 40, 60, 100])
def test_whatever_the_jitter_sound_is_never_older_than_160_ms(jitter_ms: int) -> None:
    """Packets of a line of evenly spread jitter are waited for, nearly all of them, up to a cap."""
    delays = np.random.default_rng(jitter_ms).uniform(0, jitter_ms / 1000, 5000).tolist()
    windows, carried = through(20, Line(late=lambda k: delays[k]))
    assert windows[:, 1].max() <= 160
    assert np.median(windows[:, 1]) <= 60 + jitter_ms
    assert np.median(windows[:, 2]) > 0.99
    late = carried.counts.get("late", 0)
    assert late <= 10
    assert carried.concealed <= 20


@pytest.mark.parametrize("stall_ms", [100, 300, 1000])
def test_after_a_burst_the_delay_is_back_within_five_seconds(stall_ms: int) -> None:
    """The line stands still, then all comes at once; the talker never pauses."""
    windows, _ = through(14, Line(late=bursts(4, stall_ms / 1000)))
    before = windows[windows[:, 0] < 3.8]
    during = windows[(windows[:, 0] > 4.2 + stall_ms / 1000) & (windows[:, 2] > 0.9)]
    after = windows[windows[:, 0] > 9 + stall_ms / 1000]
    assert before[:, 1].max() <= 60
    assert during[:, 1].max() <= 160
    assert after[:, 1].max() <= before[:, 1].max() + 10
    assert after[:, 2].min() > 0.99


def test_bunches_of_packets_lose_none() -> None:
    """A line that delivers five packets at a time, every 100 ms: every frame is heard."""
    windows, carried = through(10, Line(late=lambda k: FRAME_S * (4 - k % 5)))
    assert carried.counts == {}
    settled = windows[windows[:, 0] > 1]
    assert settled[:, 1].max() <= 160
    assert settled[:, 2].min() > 0.99


@pytest.mark.parametrize("ppm", [-200, 200])
def test_a_clock_that_drifts_is_followed_without_a_gap(ppm: int) -> None:
    """For four minutes of a talker who never pauses: by whole periods, so that no seam is heard."""
    windows, carried = through(240, Line(drift=ppm * 1e-6))
    # Against our own clock the talker's sound moves by so much.
    moved = windows[:, 1] + windows[:, 0] * ppm * 1e-3
    assert moved.min() >= 35
    assert moved.max() <= 85
    assert carried.concealed == 0
    assert carried.counts == {}
    assert np.quantile(windows[:, 2], 0.02) > 0.9
    assert max(carried.ahead) <= START_ROWS + 1


def test_a_path_that_became_shorter_is_used() -> None:
    """The first seconds come 120 ms late, then none: within three seconds the delay is usual."""
    windows, carried = through(12, Line(late=lambda k: 0.12 if k < 200 else 0.0))
    assert windows[windows[:, 0] > 8][:, 1].max() <= 70
    assert carried.ahead[-1] <= START_ROWS + 1
    assert max(carried.ahead[250:]) <= CAP_ROWS + 2


def phrases(pause: int) -> np.ndarray[tuple[int, int], np.dtype[np.int16]]:
    """Return half-second phrases with pauses of so many frames between them, `(frames, 160)`."""
    parts = []
    for number in range(20):
        parts += [loud(number, 25, peak=8000), np.zeros((pause, 160), np.int16)]
    return np.concatenate(parts)


@pytest.mark.parametrize("pause", [7, 12])
@pytest.mark.parametrize("ppm", [-200, 200])
def test_a_clock_that_drifts_is_followed_in_pauses(ppm: int, pause: int) -> None:
    """Between words or sentences, whichever there are: no phrase loses or gains a sample."""
    said = phrases(pause)
    middle = abs(ppm) * 1e-6 * len(said) / 3
    line = Line(drift=ppm * 1e-6, phase=middle if ppm > 0 else 1 - middle)
    carried = carry(frames_of(said.reshape(-1)), line)
    heard = g711.decode(b"".join(carried.payloads), g711.PCMU)
    starts = []
    for number in range(20):
        near = max(0, 160 * (25 + pause) * number - 500)
        phrase = loud(number, 25, peak=8000).reshape(-1)
        found = find(heard[near : near + len(phrase) + 1500], phrase)
        assert found >= 0, number
        starts.append(near + found)
    apart = np.diff(starts) - 160 * (25 + pause)
    # One frame in all, taken out or put in; whole, for a pause has no period.
    assert sorted(set(apart.tolist())) == sorted({0, -160 * int(np.sign(ppm))})
    assert np.abs(apart).sum() == 160


def test_a_pause_is_as_long_as_frames_in_a_row_are_quiet() -> None:
    """One that is not begins it anew; of legs without an excess nothing is counted."""
    depth = Depth(4)
    depth.excess[:] = [0, FRAME, -FRAME, FRAME]
    rows, just = np.array([3, 1, 0, 2]), QUIET_RMS
    pcm = np.repeat(
        np.array([[0.9], [1.1], [0], [0]], np.float32) * np.float32(just), FRAME, axis=1
    )
    for _ in range(3):
        depth.hear(rows, pcm)
    assert depth.quiet.tolist() == [0, 0, 3, 3]
    depth.hear(rows[::-1].copy(), pcm)
    assert depth.quiet.tolist() == [0, 1, 4, 4]
    depth.hear(rows, pcm[[1, 0, 2, 3]])
    assert depth.quiet.tolist() == [0, 2, 5, 0]


def test_a_talker_who_never_pauses_is_not_waited_for_long() -> None:
    """Two seconds and what it takes to see: then the delay is shortened within speech."""
    middle = 2e-4 * 4 / FRAME_S
    windows, _ = through(12, Line(drift=2e-4, phase=middle))
    early, late = windows[windows[:, 0] < 4], windows[windows[:, 0] > 9]
    assert late[:, 1].max() < early[:, 1].min() - 10
