"""The gate: open for speech before it begins, shut for all else, and never a click."""

import numpy as np
import numpy.typing as npt
import pytest

from bridge.media.codecs import DECODED_VALUES, FRAME
from bridge.media.depth import START_ROWS
from bridge.media.gate import (
    CLOSING,
    LOOK_AHEAD,
    NOISE_HANG_TICKS,
    SPEECH_HANG_TICKS,
    Gate,
)
from bridge.media.levels import Levels, from_dbov
from bridge.media.messages import Configure, Place
from bridge.media.playout import PlayoutStore
from tests.media.engine import PCM, Engine, Sender, loud
from tests.media.line import Line
from tests.support import g711
from tests.support.sentences import at_level, hiss, sentences

GATED = Configure(agc=False, limiter=False)
ONE = np.array([1], np.intp)


def gains(loud_frames: set[int], ticks: int, *, ahead: int = LOOK_AHEAD) -> list[float]:
    """Return the gate's gain in each tick, for a leg of row 1 loud in some frames."""
    levels, gate = Levels(2), Gate(2)
    found = []
    for tick in range(ticks):
        level = {True: from_dbov(-20), False: from_dbov(-65)}
        rms = np.array([level[tick in loud_frames]], np.float32)
        levels.follow(ONE, rms, np.ones(1, np.bool_))
        gate.coming[1] = max(
            (level[tick + k in loud_frames] for k in range(1, ahead + 1)), default=0.0
        )
        gate.follow(levels)
        assert gate.gain[0] == 0
        found.append(float(gate.gain[1]))
    return found


def test_the_gate_opens_two_frames_before_what_it_sees_coming() -> None:
    """Shut at first, open from 40 ms before speech to 400 ms after it, then down in four steps."""
    found = gains(set(range(50, 80)), 140)
    opened, shut = 50 - LOOK_AHEAD, 79 + SPEECH_HANG_TICKS
    assert found[:opened] == [0] * opened
    assert found[opened:shut] == [1] * (shut - opened)
    assert found[shut : shut + 4] == [1 - CLOSING * k for k in (1, 2, 3, 4)]
    assert set(found[shut + 4 :]) == {0}


def test_the_gate_opens_in_the_frame_itself_when_nothing_was_seen() -> None:
    """Without look-ahead (a packet just in time) the frame in which speech begins is open."""
    found = gains(set(range(50, 80)), 100, ahead=0)
    assert found[49:52] == [0, 1, 1]


def test_a_knock_passes_and_is_over() -> None:
    """40 ms of noise hold the gate open for 60 ms more, where speech would for 400."""
    found = gains({50, 51}, 100)
    assert sum(found) < 2 + LOOK_AHEAD + NOISE_HANG_TICKS + 2
    assert set(found[51 + NOISE_HANG_TICKS + 4 :]) == {0}


@pytest.mark.parametrize("codec", [0, 1])
def test_a_level_is_known_of_frames_not_decoded(codec: int) -> None:
    """From one sample in four, within 1.5 dB for noise and for a voice's harmonics."""
    time = np.arange(160) / 8000
    tones: npt.NDArray[np.float64] = sum(
        (np.sin(2 * np.pi * 131 * k * time + k) / k for k in range(1, 20)), np.zeros(160)
    )
    for sound in (np.random.default_rng(codec).standard_normal(160), tones):
        for dbov in (-50, -30, -12):
            samples = sound / np.sqrt(np.mean(sound**2)) * from_dbov(dbov)
            octets = g711.encode(np.clip(samples, -32768, 32767).astype(np.int16), 8 * codec)
            frame = np.frombuffer(octets, np.uint8)[None]
            true = np.sqrt(np.mean(DECODED_VALUES[codec][frame].astype(float) ** 2))
            store, gate = PlayoutStore(1), Gate(1)
            store.octets[0, 1], store.filled[0, 1] = frame, FRAME
            gate.look_ahead(np.array([0]), store, np.array([codec], np.uint8))
            found = gate.coming[0]
            assert abs(20 * np.log10(found / true)) < 1.5


def line_noise(seed: int, frames: int) -> PCM:
    """Return a line's noise at -60 dBov."""
    sound = np.random.default_rng(seed).standard_normal((frames, 160)) * from_dbov(-60)
    return sound.astype(np.int16)


def talk(engine: Engine, sender: Sender, sound: PCM, leg: int = 1) -> None:
    """Say frame after frame."""
    engine.run(len(sound), lambda number: engine.feed(leg, sender.say(sound[number])))


@pytest.mark.parametrize("codec", ["PCMU", "PCMA"])
def test_a_line_is_silent_and_words_are_heard_whole(codec: str) -> None:
    """Nothing of the noise is heard once it is known, and every sample of the word is."""
    with Engine(options=GATED) as engine:
        speaker = engine.open(1, room=1, codec=codec)
        engine.open(2, room=1, speaks=False)
        engine.run()
        talk(engine, speaker, line_noise(1, 200))
        engine.heard(2)
        talk(engine, speaker, line_noise(2, 50))
        assert not engine.heard(2).any()
        word = loud(3, 20, peak=12_000)
        talk(engine, speaker, np.concatenate((word, line_noise(4, 60))))
        heard = engine.heard(2)
        said = word.reshape(-1) if codec == "PCMU" else None
        if said is None:
            said = g711.decode(g711.encode(g711.decode(g711.encode(word.reshape(-1), 8), 8), 0), 0)
        at = START_ROWS * 160  # what waits is looked at
        begin = int(np.flatnonzero(np.abs(heard.astype(int)) > 1000)[0])
        first = int(np.flatnonzero(np.abs(said.astype(int)) > 1000)[0])
        assert (heard[begin - first :][: len(said)] == said).all()
        assert np.abs(heard[begin - first - at : begin - first]).max() > 0
        assert not heard[-160 * 20 :].any()


@pytest.mark.parametrize("late", [False, True])
def test_a_gate_never_steps(late: bool) -> None:  # noqa: FBT001 - a parameter
    """Opening ahead of a word or just in time, and shutting: no more than 5 % a sample."""
    said = np.zeros((200, 160), np.int16)
    said[120:130] = loud(7, 10, peak=8000)
    with Engine(options=GATED) as engine:
        speaker = engine.open(1, room=1)
        engine.open(2, room=1, speaks=False)
        engine.run()
        if late:
            engine.state.gate.look_ahead = lambda *_: None  # type: ignore[method-assign]
        curves = []
        for frame in said:
            talk(engine, speaker, frame[None])
            curves.append(engine.state.gains.curves(np.array([engine.row(1)]), 160)[0])
        curve = np.concatenate(curves[1:])
        assert curve.max() == 1
        assert curve[0] == curve[-1] == 0
        steps = np.diff(curve)
        assert np.isclose(steps.max(), 1 / 20 if late else 1 / 160, rtol=1e-3)
        assert np.isclose(steps.min(), -CLOSING / 160, rtol=1e-3)


def test_a_muted_leg_is_shut_and_opens_again_with_its_next_word() -> None:
    """Unmuted while it talks it is heard at once; what it said muted is not."""
    with Engine(options=GATED) as engine:
        speaker = engine.open(1, room=1)
        engine.open(2, room=1, speaks=False)
        engine.run()
        word = loud(5, 30, peak=8000)
        talk(engine, speaker, word)
        engine.command(Place(leg=1, room=1, speaks=False))
        engine.run()
        engine.heard(2)
        talk(engine, speaker, word)
        assert not engine.heard(2).any()
        engine.command(Place(leg=1, room=1))
        talk(engine, speaker, word)
        assert engine.heard(2)[3 * 160 : 4 * 160].any()


@pytest.mark.parametrize(("noise", "least"), [(-65.0, -36.0), (-58.0, -30.0)])
def test_the_first_syllable_of_200_sentences_is_kept(noise: float, least: float) -> None:
    """Out of a line's noise, soft and loud talkers: 40 ms whole to 1 dB in 99 % of sentences."""
    rng = np.random.default_rng(40)
    chosen = sorted(sentences(), key=lambda each: -len(each[1]))[:200]
    quiet = 4 * 8000
    sounds = np.stack([hiss(quiet + 8000, noise, seed) for seed, _ in enumerate(chosen)])
    begins = quiet + rng.integers(0, 160, len(chosen))
    for row, (begin, (_, said)) in enumerate(zip(begins, chosen, strict=True)):
        levelled = at_level(said, float(rng.uniform(least, -14)))[:4000]
        sounds[row, begin : begin + len(levelled)] += levelled
    line = Line(len(chosen), GATED)
    heard = line.hear(sounds).astype(np.float64)
    coded = sounds.astype(np.int16).astype(np.float64)
    kept = 0
    for row, begin in enumerate(begins):
        part = slice(int(begin), int(begin) + 320)
        share = np.sum(heard[row, part] ** 2) / np.sum(coded[row, part] ** 2)
        kept += int(share > 10 ** (-1 / 10))
    assert kept >= 0.99 * len(chosen)
    assert not heard[:, 3 * 8000 : quiet - 3 * 160].any()
