"""Prompts, music and chimes as legs hear them."""

import numpy as np

from bridge.media.messages import (
    EngineError,
    Play,
    PlayFinished,
    StopPlay,
)
from tests.media.engine import Engine, coded, loud


def test_prompts_queue_and_music_waits_behind_them() -> None:
    """A queue plays without a gap; the loop is heard when the foreground is silent."""
    bank = loud(6, 20).reshape(-1)
    with Engine(bank=bank) as engine:
        engine.open(1)
        engine.run()
        engine.command(Play(play=3, clips=[(2000, 400)], leg=1, loop=True))
        engine.command(Play(play=1, clips=[(0, 333), (-1, 50), (500, 200)], leg=1))
        engine.command(Play(play=2, clips=[(700, 297)], leg=1))
        engine.run(1)
        engine.heard(1)  # the tick that heard the commands began to play
        engine.command(StopPlay(leg=1))
        engine.run()
        engine.heard(1)
        engine.command(Play(play=13, clips=[(2000, 400)], leg=1, loop=True))
        engine.command(Play(play=11, clips=[(0, 333), (-1, 50), (500, 200)], leg=1))
        engine.command(Play(play=12, clips=[(700, 297)], leg=1))
        engine.run(12)
        heard = engine.heard(1)
        front = np.concatenate((bank[:333], np.zeros(50, np.int16), bank[500:700], bank[700:997]))
        assert (heard[: len(front)] == front).all()
        assert (heard[960:1360] == bank[2000:2400]).all()
        assert (heard[1360:1760] == bank[2000:2400]).all()
        finished = [(event.play, event.completed) for event in engine.told(PlayFinished)]
        assert sorted(finished) == [(1, False), (2, False), (3, False), (11, True), (12, True)]


def test_a_rooms_chime_is_heard_by_all_with_the_talk() -> None:
    """A room's play is added to what each hears, and told finished for the room."""
    bank = np.full(480, 1000, np.int16)
    with Engine(bank=bank) as engine:
        speaker = engine.open(1, room=1)
        engine.open(2, room=1)
        engine.open(3, room=2)
        engine.run()
        said = np.full(160, 4092, np.int16)
        engine.run(6, lambda _: engine.feed(1, speaker.say(said)))
        for leg in (1, 2, 3):
            engine.heard(leg)
        engine.command(Play(play=5, clips=[(0, 480)], room=1))
        engine.run(3, lambda _: engine.feed(1, speaker.say(said)))
        chime = int(coded(np.array([1000], np.int16))[0])
        both = int(coded(coded(said) + np.int16(1000))[0])
        assert set(engine.heard(1).tolist()) == {chime}
        assert set(engine.heard(2).tolist()) == {both}
        assert not engine.heard(3).any()
        finished = engine.told(PlayFinished)
        assert [(event.play, event.completed, event.room) for event in finished] == [(5, True, 1)]


def test_a_replacing_prompt_hides_the_room_and_a_mixed_one_does_not() -> None:
    """Foreground of mode replace is heard alone, of mode mix with the room."""
    bank = np.full(8000, 1000, np.int16)
    chime = int(coded(np.array([1000], np.int16))[0])
    with Engine(bank=bank) as engine:
        speaker = engine.open(1, room=1)
        engine.open(2, room=1)
        engine.run()
        said = np.full(160, 4092, np.int16)
        engine.run(6, lambda _: engine.feed(1, speaker.say(said)))
        engine.heard(2)
        engine.command(Play(play=1, clips=[(0, 320)], leg=2))
        engine.command(Play(play=2, clips=[(0, 320)], leg=2, mode="mix"))
        engine.run(4, lambda _: engine.feed(1, speaker.say(said)))
        heard = engine.heard(2)
        both = int(coded(coded(said) + np.int16(1000))[0])
        assert set(heard[:320].tolist()) == {chime}
        assert set(heard[320:].tolist()) == {both}


def test_a_wrong_play_is_answered_so_that_nobody_waits() -> None:
    """Clips outside the bank, no clips, or neither leg nor room: refused and over."""
    with Engine(bank=np.zeros(800, np.int16)) as engine:
        engine.open(1)
        engine.command(Play(play=1, clips=[(700, 200)], leg=1))
        engine.command(Play(play=2, clips=[], leg=1))
        engine.command(Play(play=3, clips=[(0, 10)]))
        engine.command(Play(play=4, clips=[(0, 10)], leg=99))
        engine.run(2)
        finished = [(event.play, event.completed) for event in engine.told(PlayFinished)]
        assert finished == [(1, False), (2, False), (3, False), (4, False)]
        assert len(engine.told(EngineError)) == 3


def test_new_music_takes_the_old_ones_place() -> None:
    """Another background is heard at once, and the old one is told as stopped."""
    bank = loud(6, 20).reshape(-1)
    with Engine(bank=bank) as engine:
        engine.open(1)
        engine.run()
        engine.command(Play(play=1, clips=[(0, 400)], leg=1, loop=True))
        engine.run(3)
        engine.command(Play(play=2, clips=[(1000, 320)], leg=1, loop=True))
        engine.heard(1)
        engine.run(4)
        assert (engine.heard(1) == np.tile(bank[1000:1320], 2)).all()
        finished = [(event.play, event.completed) for event in engine.told(PlayFinished)]
        assert finished == [(1, False)]
