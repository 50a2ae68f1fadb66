"""Hold music and noise are muted, speech never is; who is muted is let go by speaking.

A hundred clips of each are measured by `scripts/bench guards`; here are a few, the same every time.
"""

import numpy as np

from bridge.media.leak import Spread
from bridge.media.messages import Configure
from tests.media.guarded import Conferences
from tests.support.clips import MUSIC, NOISES, music, noise, scaled
from tests.support.sentences import Sound, at_level, talk

SECOND = 8000


def told(conference: Conferences, leg: int = 1) -> list[tuple[float, str, str | None]]:
    """Return when, in seconds, and what the guard has said of a leg."""
    events = conference.events("leak", leg)
    return [(each.tick / 50, each.event.action, each.event.sound) for each in events]


def run(*sounds: Sound, options: Configure | None = None) -> Conferences:
    """Let legs make sounds in rooms of their own kind, two to a room."""
    conference = Conferences([row // 2 for row in range(len(sounds))], options or Configure())
    conference.run(np.stack(sounds))
    return conference


def test_music_of_every_style_is_muted() -> None:
    """Within half a minute each, and it stays so."""
    styles = list(MUSIC)
    conference = run(*(scaled(music(style, 11, 30.0), -24) for style in styles))
    for row, style in enumerate(styles):
        assert [what for _, what, _ in told(conference, row + 1)] == ["muted"], style
    assert (conference.levels.duck == 0).all()


def test_noise_of_every_kind_is_muted_as_noise() -> None:
    """In 10 s and the 4 s that a judgement needs."""
    kinds = list(NOISES)
    conference = run(*(scaled(noise(kind, 12, 16.0), -24) for kind in kinds))
    for row, kind in enumerate(kinds):
        ((when, what, sound),) = told(conference, row + 1)
        assert (what, sound) == ("muted", "noise"), kind
        assert 10 <= when <= 14.5, kind


def test_speech_is_never_muted() -> None:
    """Soft, loud, and in the noises of lines at 10 dB."""
    sounds = [
        at_level(talk(language, 40.0, first=9), level)
        for language in ("en", "sv")
        for level in (-36, -14)
    ]
    for row, kind in enumerate(NOISES):
        spoken = at_level(talk(("en", "sv")[row % 2], 40.0, first=3 * row), -22)
        sounds.append(spoken + scaled(noise(kind, row, 40.0), -32))
    conference = run(*sounds)
    assert conference.events("leak") == []


def test_soft_noise_is_left_to_the_gate() -> None:
    """What others do not hear needs no guard, and nobody is told of it."""
    conference = run(scaled(noise("pink", 3, 20.0), -50), scaled(noise("fan", 3, 20.0), -45))
    assert conference.events("leak") == []
    assert (conference.gate.gain == 0).all()


def test_who_comes_back_from_hold_is_heard_after_a_sentence() -> None:
    """Music for 20 s, muted; then a voice, heard within four seconds, and not muted again."""
    back = at_level(talk("en", 20.0), -24)
    sound = np.concatenate((scaled(music("piano", 4, 20.0), -24), np.zeros(SECOND), back))
    conference = Conferences([0, 0])
    heard = conference.run(np.stack((sound, np.zeros(len(sound)))))[0]
    (muted, _, _), (free, what, _) = told(conference)
    assert muted < 19
    assert what == "released"
    assert 21 < free < 25
    assert not heard[int((muted + 0.1) * SECOND) : int((free - 0.1) * SECOND)].any()
    assert np.abs(heard[int((free + 0.5) * SECOND) :]).max() > 1000


def test_music_that_pauses_for_long_is_let_go() -> None:
    """Five seconds of silence: there is nothing to keep out any more."""
    sound = np.concatenate((scaled(noise("white", 4, 16.0), -24), np.zeros(8 * SECOND)))
    conference = run(sound, np.zeros(len(sound)))
    (muted, _, _), (free, what, _) = told(conference)
    assert what == "released"
    assert muted < 15
    assert 20.5 < free < 22.5


def test_the_time_is_the_one_set_and_the_guard_can_be_off() -> None:
    """Twenty seconds instead of ten; never; and who is muted is let go when it is switched off."""
    sound = scaled(noise("white", 4, 26.0), -24)
    silent = np.zeros(len(sound))
    ((when, _, _),) = told(run(sound, silent, options=Configure(leak_s=20)))
    assert 20 <= when <= 24.5
    assert told(run(sound, silent, options=Configure(leak=False))) == []
    conference = run(sound, silent)
    conference.options = Configure(leak=False)
    conference.run(np.stack((sound, silent))[:, :160])
    assert [what for _, what, _ in told(conference)] == ["muted", "released"]
    assert conference.levels.duck[0] == 1


def test_levels_spread_as_they_say() -> None:
    """Range between tenths and share of what is 10 dB below the loud, by hand."""
    levels = np.array([[1000] * 6 + [100] * 4, [500] * 10], np.float32)
    found = Spread(levels)
    np.testing.assert_allclose(found.range, [20, 0], atol=1e-4)
    np.testing.assert_allclose(found.low, [0.4, 0])
    np.testing.assert_array_equal(found.loud, [1000, 500])
