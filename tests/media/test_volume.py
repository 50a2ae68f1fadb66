"""How loud one leg hears its room: to the sample, and for nobody else."""

import numpy as np
import pytest

from bridge.media.limiter import CEILING
from bridge.media.messages import (
    Configure,
    HandedLeg,
    OpenLeg,
    OpenLegs,
    Place,
    Play,
    PlayMode,
    SetVolume,
)
from bridge.media.volume import MOST_DB, Volume
from tests.media.engine import PCM, Engine, find, loud
from tests.media.wide import WidePhone, band_dbov, tone

FRAMES = 6


def hears(heard: PCM, said: PCM, gain_db: float) -> bool:
    """Say whether sound in G.711 is heard at a volume, every sample to the step of its code."""
    wanted = said.reshape(-1) * 10 ** (gain_db / 20)
    windows = np.lib.stride_tricks.sliding_window_view(heard, len(wanted))
    steps = np.maximum(8, np.abs(wanted) / 16)
    return bool((np.abs(windows - wanted) <= steps).all(axis=1).any())


def say(engine: Engine, sound: PCM, leg: int = 1) -> None:
    """Let a leg, who has been opened first, say frames, and let them be heard."""
    sender = engine.open(leg, room=5)
    engine.run(2)
    engine.run(len(sound), lambda number: engine.feed(leg, sender.say(sound[number])))
    engine.run(3)


@pytest.mark.parametrize("speaks", [True, False])
@pytest.mark.parametrize("gain_db", [6.0, -6.0])
def test_one_hears_the_room_louder_or_softer_and_the_others_as_it_is(
    gain_db: float,
    speaks: bool,  # noqa: FBT001 - a case
) -> None:
    """A leg with a volume hears each sample times its gain; who listens beside it, as said."""
    with Engine() as engine:
        for leg in (2, 3):
            engine.open(leg, room=5, speaks=speaks)
        engine.command(SetVolume(leg=2, gain_db=gain_db))
        said = loud(1, FRAMES, peak=8000)
        say(engine, said)
        assert hears(engine.heard(2), said, gain_db)
        assert find(engine.heard(3), said.reshape(-1)) >= 0


def test_what_is_played_to_a_leg_stays_as_it_is() -> None:
    """A prompt in place of the room, or beside it, is not turned up."""
    prompt = loud(3, 4, peak=8000).reshape(-1)
    with Engine(bank=prompt) as engine:
        engine.open(2, room=5)
        engine.command(SetVolume(leg=2, gain_db=6))
        engine.run()
        engine.heard(2)
        modes: tuple[PlayMode, ...] = ("replace", "mix")
        for play, mode in enumerate(modes, 1):
            engine.command(Play(play=play, clips=[(0, len(prompt))], leg=2, mode=mode))
            engine.run(5)
            assert find(engine.heard(2), prompt) >= 0


def test_a_volume_is_reached_within_a_frame_without_a_step() -> None:
    """The gain goes in a straight line over one frame, at the place where the last one ended."""
    volume = Volume(2)
    rows = np.array([1])
    steady = np.full((1, 160), 1000, np.float32)
    volume.set(1, 6)
    first = steady.copy()
    volume.turn(rows, first)
    volume.settle()
    end = 1000 * 10 ** (6 / 20)
    assert np.allclose(first[0], 1000 + (end - 1000) * np.arange(1, 161) / 160, atol=0.01)
    second = steady.copy()
    volume.turn(rows, second)
    assert np.allclose(second, end)
    volume.settle()
    volume.set(1, 0)
    volume.turn(rows, second := steady.copy())
    assert second[0, -1] == pytest.approx(1000)
    volume.settle()
    assert not volume.active


def test_nobody_hears_more_than_so_much_louder_or_softer() -> None:
    """What is beyond 12 dB is taken for 12 dB, and a word about nobody changes nothing."""
    volume = Volume(2)
    for gain_db in (200.0, -200.0):
        volume.set(0, gain_db)
        assert abs(20 * np.log10(volume.gain[0])) == pytest.approx(MOST_DB)
    with Engine() as engine:
        engine.command(SetVolume(leg=9, gain_db=6))
        engine.run()
        assert engine.counters.commands_refused == 1
        assert not engine.state.volume.active


def test_what_one_hears_louder_does_not_clip() -> None:
    """A room near full scale, turned up by 12 dB, is held under the limiter's ceiling."""
    volume = Volume(1)
    volume.set(0, 12)
    wave = (20_000 * np.sin(np.arange(1600) * 0.3)).astype(np.float32).reshape(-1, 160)
    for frame in wave:
        sound = frame[None].copy()
        volume.turn(np.array([0]), sound)
        volume.settle()
        assert np.abs(sound).max() <= CEILING + 1


def test_an_ear_that_is_whispered_to_hears_that_at_its_volume() -> None:
    """What a coach whispers is of the room, and turned up with it."""
    with Engine() as engine:
        engine.open(2, room=5)
        engine.command(SetVolume(leg=2, gain_db=6))
        whisperer = engine.open(1, room=5)
        engine.command(Place(leg=1, room=5, whispers_to=2))
        engine.run(2)
        said = loud(1, FRAMES, peak=8000)
        engine.run(FRAMES, lambda number: engine.feed(1, whisperer.say(said[number])))
        engine.run(3)
        assert hears(engine.heard(2), said, 6)


def test_wideband_legs_that_share_an_encoding_part_with_it_without_a_click() -> None:
    """One of six who listen turns the room up: it hears it louder, and nothing but the room."""
    with Engine(capacity=8) as engine:
        phones = [WidePhone(engine, leg, room=1) for leg in range(1, 7)]
        engine.run(40)  # a pause: they come to share
        assert engine.state.wideband.sharing.shared.any()
        said = tone(1000, 60, peak=3000)
        for phone in phones:
            phone.hear()

        def talk(number: int) -> None:
            phones[0].say(said[number])
            if number == 30:
                engine.command(SetVolume(leg=2, gain_db=6))

        engine.run(60, talk)
        heard, other = phones[1].hear(), phones[2].hear()
        before, after = heard[6400:9600], heard[-3200:]
        level = band_dbov(before, 900, 1100)
        assert abs(band_dbov(after, 900, 1100) - level - 6) < 0.3
        assert abs(band_dbov(other[-3200:], 900, 1100) - level) < 0.3
        # A click is wide: nothing far from the tone at the change.
        change = heard[9600:-3200]
        assert band_dbov(change, 2500, 7000) < level - 40


@pytest.mark.parametrize("recorded", [True, False])
def test_a_volume_goes_with_the_leg_to_another_process(recorded: bool) -> None:  # noqa: FBT001 - a case
    """A successor makes the room as loud, whether the leg left a record or not."""
    with Engine() as old, Engine() as new:
        old.open(2, room=5)
        old.command(SetVolume(leg=2, gain_db=-6))
        old.run(2)
        record = old.state.records(np.array([old.row(2)]))[0].tobytes() if recorded else b""
        media = old.state.legs.media[old.row(2)]
        opened = OpenLeg(leg=2, media=media, ssrc=2, cname="c")
        handed = HandedLeg(opened=opened, record=record, place=Place(leg=2, room=5), volume_db=-6.0)
        new.command(OpenLegs(legs=[handed]), fds=2)
        said = loud(1, FRAMES, peak=8000)
        say(new, said)
        assert hears(new.heard(2), said, -6)


def test_who_has_no_volume_costs_nothing() -> None:
    """Nothing is looked at while everybody hears the room as it is."""
    with Engine(options=Configure()) as engine:
        engine.open(2, room=5)
        engine.run()
        engine.state.volume.turn = None  # type: ignore[method-assign, assignment]  # not called
        say(engine, loud(1, FRAMES))
        assert not engine.state.volume.active
