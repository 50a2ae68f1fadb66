"""Guards through the whole engine: what is told, what others hear, what a successor holds on to."""

import numpy as np
import pytest

from bridge.media.codecs import FRAME
from bridge.media.companding import encode
from bridge.media.echo_screen import Suspicion
from bridge.media.echo_trial import MARK_TICKS
from bridge.media.messages import (
    Configure,
    GiveLegs,
    LegGiven,
    LegGuarded,
    Place,
    Play,
    PlayMode,
    SetVolume,
)
from tests.media.engine import PCM, Engine, Sender, coded, find, loud
from tests.support import g711
from tests.support.clips import noise, scaled
from tests.support.sentences import at_level, talk

GUARDED = Configure(gate=False, agc=False, limiter=False)

WORDS = loud(7, 4, peak=8000)
STEADY = coded(np.full(20 * FRAME, 1500, np.int16))
"""What is played or whispered beside them: always the same, so that it does not matter when."""


def frames(sound: np.ndarray) -> PCM:
    """Return a sound as frames."""
    return np.asarray(sound[: len(sound) // FRAME * FRAME], np.int16).reshape(-1, FRAME)


def run(engine: Engine, senders: dict[int, Sender], sounds: dict[int, PCM]) -> None:
    """Let legs say their sounds, all of them as long."""

    def before(number: int) -> None:
        for leg, sender in senders.items():
            engine.feed(leg, sender.say(sounds[leg][number]))

    engine.run(len(next(iter(sounds.values()))), before)


@pytest.mark.parametrize("codec", ["PCMU", "PCMA"])
def test_a_noisy_leg_is_muted_for_the_others_and_told_once(codec: str) -> None:
    """The other one hears the noise, then nothing; the noisy one hears the other all the time."""
    with Engine(options=GUARDED) as engine:
        senders = {leg: engine.open(leg, room=1, codec=codec) for leg in (1, 2)}
        engine.run()
        loud = frames(scaled(noise("white", 1, 16.0), -20))
        words = frames(at_level(talk("en", 16.0), -24))
        run(engine, senders, {1: loud, 2: words})
        (told,) = engine.told(LegGuarded)
        assert told == LegGuarded(leg=1, guard="leak", action="muted", sound="noise")
        heard = engine.heard(2).astype(float)
        assert heard[: 8 * 8000].std() > 2000
        assert np.abs(heard[-8000:]).max() <= 8
        assert engine.heard(1).astype(float)[-16000:].std() > 300


def test_a_far_too_loud_leg_is_ducked_then_muted() -> None:
    """By the engine too; and let go when it leaves the room."""
    with Engine(options=Configure(leak=False)) as engine:
        senders = {leg: engine.open(leg, room=1) for leg in (1, 2)}
        engine.run()
        time = np.arange(10 * 8000)
        tone = frames(32000 * np.sin(2 * np.pi * 440 / 8000 * time))
        run(engine, senders, {1: tone, 2: np.zeros_like(tone)})
        assert [told.action for told in engine.told(LegGuarded)] == ["ducked", "muted"]
        engine.command(Place(leg=1, room=None))
        engine.run(3)
        assert [told.action for told in engine.told(LegGuarded)][2:] == ["released"]


@pytest.mark.parametrize("codec", ["PCMU", "G722"])
def test_an_echo_is_named_by_what_was_really_sent(codec: str) -> None:
    """What the leg was sent, coded and marked, comes back 8 dB softer and 200 ms later."""
    words = frames(at_level(talk("en", 14.0), -22))
    with Engine(options=Configure()) as engine:
        echoing, talking = engine.open(1, room=1, codec=codec), engine.open(2, room=1)
        engine.run()
        back: list[bytes] = [echoing.audio(b"\xff" * FRAME).payload] * 10

        def before(number: int) -> None:
            back.extend(packet.payload for packet in engine.sent(1))
            if codec == "PCMU":
                sound = g711.decode(back[number], g711.PCMU) * 10 ** (-8 / 20)
                engine.feed(1, echoing.say(sound.astype(np.int16)))
            else:  # as loud as it was sent: octets of G.722 cannot be made softer
                engine.feed(1, echoing.audio(back[number]))
            engine.feed(2, talking.say(words[number]))

        engine.run(len(words), before)
        named = [told for told in engine.told(LegGuarded) if told.guard == "echo"]
        if codec == "PCMU":
            assert [(told.leg, told.action) for told in named] == [(1, "ducked")]
            assert named[0].return_loss_db == pytest.approx(8, abs=2)
            assert named[0].delay_ms is not None
            assert 180 <= named[0].delay_ms <= 320
        else:  # no telephone returns more than it is sent: that is a loop, not an echo
            assert [told.leg for told in named if told.leg != 1] == []


@pytest.mark.parametrize("besides", ["nothing", "A-law", "prompt", "whisper", "volume", "replaced"])
def test_a_suspect_is_sent_its_room_marked_and_all_else_as_it_is(besides: str) -> None:
    """To the sample: what is played or whispered to it has no marks, and nobody else's room has."""
    with Engine(bank=STEADY) as engine:
        number = g711.PCMA if besides == "A-law" else g711.PCMU
        engine.open(1, room=1, codec="PCMA" if besides == "A-law" else "PCMU", payload_type=number)
        senders = {leg: engine.open(leg, room=1) for leg in (2, 3)}
        engine.open(4, room=1)
        if besides == "volume":
            engine.command(SetVolume(leg=1, gain_db=6))
        if besides == "whisper":
            engine.command(Place(leg=3, room=1, whispers_to=1))
        engine.run(2)
        silence = np.zeros((8, FRAME), np.int16)
        third = STEADY.reshape(-1, FRAME) if besides == "whisper" else np.zeros_like(STEADY)
        third = third.reshape(-1, FRAME)
        run(engine, senders, {2: silence, 3: third[:8]})
        if besides in {"prompt", "replaced"}:
            mode: PlayMode = "mix" if besides == "prompt" else "replace"
            engine.command(Play(play=1, clips=[(0, len(STEADY))], leg=1, mode=mode))
        guards = engine.state.guards
        # The sign has been turned in this tick, and will be for seven more.
        began = guards.history.tick - MARK_TICKS
        rows = np.array([engine.row(1)])
        suspicion = Suspicion(rows, np.array([10]), np.array([12], np.float32))
        guards.echo.trials.begin(suspicion, began)
        for leg in (1, 4):
            engine.heard(leg)
        said = np.concatenate((WORDS, silence[:3]))
        run(engine, senders, {2: said, 3: third[: len(said)]})
        room = WORDS.reshape(-1)
        wanted = {
            "prompt": STEADY[0] - room,
            "replaced": STEADY[: len(room)],
            "whisper": STEADY[0] - room,
            "volume": -room * np.float32(10 ** (6 / 20)),
        }.get(besides, -room)
        codes = np.empty((4, FRAME), np.uint8)
        encode(besides == "A-law", wanted.reshape(4, FRAME).astype(np.float32), codes)
        assert find(engine.heard(1), g711.decode(codes.tobytes(), number)) >= 0
        assert find(engine.heard(4), room) >= 0


def test_a_successor_goes_on_holding() -> None:
    """A leg that is muted stays so in the process it is given to, and is let go there."""
    with Engine(options=GUARDED) as engine:
        senders = {leg: engine.open(leg, room=1) for leg in (1, 2)}
        engine.run()
        loud = frames(scaled(noise("white", 1, 15.0), -20))
        run(engine, senders, {1: loud, 2: np.zeros_like(loud)})
        rows = np.array([engine.row(1)])
        record = engine.state.records(rows)
        engine.command(GiveLegs(legs=[1]))
        engine.run()
        assert engine.told(LegGiven)
    with Engine(options=GUARDED) as engine:
        senders = {leg: engine.open(leg, room=1) for leg in (1, 2)}
        engine.run()
        engine.state.restore(np.array([engine.row(1)]), record)
        engine.heard(2)
        run(engine, senders, {1: loud[:200], 2: np.zeros_like(loud[:200])})
        assert engine.told(LegGuarded) == []
        assert np.abs(engine.heard(2).astype(int)[1600:]).max() <= 8
        words = frames(at_level(talk("en", 6.0), -20))
        run(engine, senders, {1: words, 2: np.zeros_like(words)})
        assert [told.action for told in engine.told(LegGuarded)] == ["released"]
        assert engine.heard(2).astype(float)[-16000:].std() > 300
