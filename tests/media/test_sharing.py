"""Wideband legs that share an encoding, and no click when one begins or ends to do so."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.media.g722 import Coder
from bridge.media.messages import CloseLeg, Configure, Place
from bridge.media.sharing import FEWEST, PATIENCE_TICKS, PAUSE_TICKS, SPARES
from tests.media.engine import PCM, Engine
from tests.media.test_wideband import noise
from tests.media.wide import CODEC_DELAY, WidePhone

F = npt.NDArray[np.float64]
STILL = np.zeros(320, np.int16)
LISTENERS = range(3, 3 + FEWEST + 2)
FIRST = LISTENERS[0]


def speech(seed: int, frames: int, peak: float = 9000.0) -> PCM:
    """Return noise that swells as speech does and is duller than white, `(frames, 320)`."""
    sound = noise(seed, frames, peak).reshape(-1).astype(float)
    sound = np.convolve(sound, np.ones(6) / 3)[: len(sound)]
    swell = 0.02 + 0.98 * np.sin(2 * np.pi * 2.3 * np.arange(len(sound)) / 16_000) ** 2
    samples: PCM = (sound * swell).astype(np.int16).reshape(frames, 320)
    return samples


class Conference:
    """Two talkers, so that what is heard is no sound that was coded before, and listeners."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.talkers = [WidePhone(engine, leg, room=1) for leg in (1, 2)]
        self.listeners = {leg: WidePhone(engine, leg, room=1) for leg in LISTENERS}
        engine.run()
        self.meant: list[F] = []
        self.got: dict[int, list[bytes]] = {leg: [] for leg in LISTENERS}
        self.shared: list[bool] = []
        for phone in self.listeners.values():
            phone.hear()

    def run(self, frames: Sequence[Sequence[PCM]], said: dict[int, PCM] | None = None) -> None:
        """Let the talkers say these frames, and listeners what `said` has for them."""
        state = self.engine.state
        for number, each in enumerate(frames):
            for phone, frame in zip(self.talkers, each, strict=True):
                phone.say(frame)
            for leg, sound in (said or {}).items():
                self.listeners[leg].say(sound[number])
            self.engine.run()
            rows = state.seating.order[state.seating.wide].tolist()
            row = self.engine.row(FIRST)
            self.meant.append(state.wideband.mixed[rows.index(row)].astype(np.float64))
            self.shared.append(bool(state.wideband.sharing.shared[row]))
            for leg, phone in self.listeners.items():
                self.got[leg] += phone.payloads()

    def talk(self, seed: int, frames: int, said: dict[int, PCM] | None = None) -> None:
        """Let both talkers talk."""
        both = [speech(seed + k, frames) for k in (0, 1)]
        self.run(list(zip(*both, strict=True)), said)

    def pause(self, frames: int) -> None:
        """Let nobody talk."""
        self.run([(STILL, STILL)] * frames)

    def heard(self) -> tuple[F, F]:
        """Return, of each 5 ms that the first listener heard, the error and the sound [RMS]."""
        heard = self.listeners[FIRST].hear(self.got[FIRST]).astype(np.float64)
        meant = np.concatenate(self.meant)
        error = heard[CODEC_DELAY:] - meant[:-CODEC_DELAY]
        windows = len(error) // 80
        return (
            np.sqrt((error[: 80 * windows].reshape(-1, 80) ** 2).mean(axis=1)),
            np.sqrt((meant[: 80 * windows].reshape(-1, 80) ** 2).mean(axis=1)),
        )


def decibels(error: F, sound: F) -> F:
    """Return errors in proportion to the sound around them [dB]."""
    around = np.sqrt(np.convolve(sound**2, np.ones(9) / 9, "same"))
    ratio: F = 20 * np.log10((error + 0.1) / (around + 1))
    return ratio


def test_who_hears_the_same_shares_from_the_next_pause_on() -> None:
    """In talk each has an encoding of its own; after a pause all get the same octets."""
    with Engine() as engine:
        conference = Conference(engine)
        conference.talk(1, 30)
        assert not any(conference.shared)
        conference.pause(PAUSE_TICKS + 15)
        conference.talk(2, 30)
        assert all(conference.shared[-30:])
        last = {leg: payloads[-30:] for leg, payloads in conference.got.items()}
        assert all(payloads == last[FIRST] for payloads in last.values())
        assert len(engine.state.wideband.sharing.streams) == 1


def test_a_conference_that_never_pauses_shares_all_the_same() -> None:
    """After five seconds, in a gap between words: the error stays 9 dB below the sound around."""
    with Engine() as engine:
        conference = Conference(engine)
        conference.talk(1, PATIENCE_TICKS + 100)
        shared = conference.shared
        assert not any(shared[:PATIENCE_TICKS])
        assert shared[-1]
        joined = shared.index(True)
        ratio = decibels(*conference.heard())
        at = 4 * joined
        assert ratio[at : at + 40].max() < -9
        assert ratio[at + 60 :].mean() < ratio[at - 100 : at].mean() + 1


def test_who_shares_hears_a_loud_room_turned_down_as_everybody_does() -> None:
    """With the limiter on, what is encoded once is what each of its listeners hears, unclipped."""
    with Engine(options=Configure(gate=False, agc=False)) as engine:
        conference = Conference(engine)
        conference.pause(PAUSE_TICKS + 15)
        both = [speech(seed, 40, 40_000.0) for seed in (1, 2)]
        conference.run(list(zip(*both, strict=True)))
        assert conference.shared[-1]
        error, sound = conference.heard()
        assert sound[-60:].max() > 5000
        assert decibels(error, sound)[-100:].max() < -12


def test_few_legs_do_not_share() -> None:
    """Below `FEWEST`, spares would cost more than is saved."""
    with Engine() as engine:
        conference = Conference(engine)
        for leg in LISTENERS[FEWEST - 1 :]:
            engine.command(Place(leg=leg, room=2))
        conference.pause(PAUSE_TICKS + 15)
        assert not any(conference.shared)
        assert not engine.state.wideband.sharing.streams


def into_the_talk(taken: int, speech_at: int = 40) -> tuple[Conference, int]:
    """Let the first listener, who shares, speak amid the talk of others.

    Args:
        taken: so many others begin to speak shortly before, and take the spares.
        speech_at: frames of talk before.

    Returns:
        The conference, and the tick in which the listener got an encoding of its own.
    """
    with Engine() as engine:
        conference = Conference(engine)
        conference.talk(10, 60)
        conference.pause(PAUSE_TICKS + 15)
        conference.talk(20, speech_at)
        others = {leg: speech(leg, 80, 2000.0) for leg in LISTENERS[1 : 1 + taken]}
        conference.talk(30, 3, {leg: sound[:3] for leg, sound in others.items()})
        said = {leg: sound[3:] for leg, sound in others.items()}
        conference.talk(40, 60, {FIRST: speech(99, 60, 2000.0), **said})
        conference.pause(60)
        shared = np.array(conference.shared)
        begin = 60 + PAUSE_TICKS + 15 + speech_at
        assert shared[begin]
        left = begin + int(np.argmin(shared[begin:]))
        assert left < begin + 8
        return conference, left


@pytest.mark.parametrize("taken", [0, SPARES - 1])
def test_a_leg_that_begins_to_speak_gets_its_own_encoding_without_a_click(taken: int) -> None:
    """What it hears at the change is as near to what was meant as ever before and after."""
    conference, left = into_the_talk(taken)
    error, sound = conference.heard()
    ratio = decibels(error, sound)
    at = 4 * left
    before, after = ratio[at - 100 : at], ratio[at : at + 100]
    assert ratio[at : at + 8].mean() < before.mean() + 2
    assert after.max() < before.max() + 2
    assert abs(after.mean() - before.mean()) < 1


def test_more_speakers_at_once_than_spares_hear_little_of_the_change() -> None:
    """Without a spare the error stays 9 dB or more below the sound, and is over in 100 ms."""
    conference, left = into_the_talk(SPARES)
    ratio = decibels(*conference.heard())
    at = 4 * left
    assert ratio[at : at + 20].max() < -9
    assert ratio[at + 20 : at + 100].mean() < ratio[at - 80 : at].mean() + 1


def test_a_leg_comes_back_to_the_shared_encoding_in_a_pause_and_nothing_is_heard_of_it() -> None:
    """In the pauses of the room the error stays below -60 dBov, and speech is coded as before."""
    with Engine() as engine:
        conference = Conference(engine)
        conference.talk(10, 60)
        conference.pause(40)
        conference.talk(20, 30)
        conference.talk(25, 30, {FIRST: speech(99, 30, 2000.0)})
        engine.command(Place(leg=FIRST, room=1, speaks=False))
        conference.pause(60)
        back = len(conference.shared)
        conference.talk(20, 60)
        shared = conference.shared
        assert shared[back:] == [True] * 60
        changes = [k for k in range(1, len(shared)) if shared[k] != shared[k - 1]]
        assert [shared[k] for k in changes] == [True, False, True]
        error, sound = conference.heard()
        for change in (changes[0], changes[2]):
            around = error[4 * change - 4 : 4 * change + 40]
            assert 20 * np.log10(around.max() / 32_768) < -60
        ratio = decibels(error, sound)
        assert ratio[4 * back : 4 * back + 200].max() < ratio[: 4 * 60].max() + 2


def test_spares_that_were_taken_are_replaced_in_a_pause() -> None:
    """All who share go over to the new encoder at once, and its spares are complete."""
    with Engine() as engine:
        conference = Conference(engine)
        conference.pause(PAUSE_TICKS + 15)
        conference.talk(20, 10, {FIRST: speech(99, 10)})
        sharing = engine.state.wideband.sharing
        index = next(iter(sharing.streams))
        before = sharing.streams[index]
        assert len(before.spares) == SPARES - 1
        engine.command(Place(leg=FIRST, room=1, speaks=False))
        conference.pause(PAUSE_TICKS + 15)
        assert sharing.streams[index] is not before
        assert len(sharing.streams[index].spares) == SPARES


def test_spares_are_in_step_to_the_bit() -> None:
    """A spare gives the very octets that the shared encoder gives."""
    with Engine() as engine:
        conference = Conference(engine)
        conference.pause(PAUSE_TICKS + 15)
        conference.talk(20, 25)
        stream = next(iter(engine.state.wideband.sharing.streams.values()))
        frame = speech(5, 1)[0]
        expected = stream.encoder.encode(frame)
        assert [spare.encode(frame) for spare in stream.spares] == [expected] * SPARES
        assert Coder().encode(frame) != expected


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["speak", "still", "away", "home", "mute", "close", "pause"]),
        st.sampled_from(list(LISTENERS[1:])),
    ),
    max_size=25,
)


@settings(max_examples=15, deadline=None)
@given(EVENTS)
def test_whoever_comes_and_goes_everybody_hears_what_is_meant(
    events: list[tuple[str, int]],
) -> None:
    """Legs speak, leave, return, are muted or closed at random: no tick fails, none is cut off."""
    with Engine() as engine:
        conference = Conference(engine)
        conference.pause(PAUSE_TICKS + 5)
        speaking: set[int] = set()
        for number, (event, leg) in enumerate(events):
            if leg in conference.listeners:
                if event == "speak":
                    speaking.add(leg)
                elif event == "still":
                    speaking.discard(leg)
                elif event == "close":
                    speaking.discard(leg)
                    engine.command(CloseLeg(leg=leg))
                    del conference.listeners[leg]
                elif event in {"away", "home", "mute"}:
                    room = 2 if event == "away" else 1
                    engine.command(Place(leg=leg, room=room, speaks=event != "mute"))
            if event == "pause":
                conference.pause(PAUSE_TICKS + 5)
            else:
                said = {each: speech(each + number, 4, 3000.0) for each in speaking}
                conference.talk(100 + number, 4, said)
        conference.pause(10)
        conference.talk(7, 20)
        assert engine.counters.stage_faults == 0
        error, sound = conference.heard()
        ratio = decibels(error, sound)
        loud = sound > 300
        assert ratio[loud].max() < -5
        assert ratio[loud].mean() < -17
