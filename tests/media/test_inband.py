"""Keys as tones in the sound: told once a press, whoever has them, and heard by nobody else."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from bridge.media import inband
from bridge.media.messages import (
    ChangeLeg,
    DigitInfo,
    DigitPressed,
    LegMedia,
    LegStatistics,
    Place,
)
from bridge.media.tones import Pairs, find_pairs
from tests.bench.talkoff import count, recorded
from tests.media.engine import PCM, Engine, Sender, find, loud
from tests.media.wide import WidePhone
from tests.support import dtmf
from tests.support.dtmf import KEYS, loudest_bin, tones

QUIET_DBOV = -50.0
"""What others may hear of any tone at most."""


def frames(sound: dtmf.Sound) -> PCM:
    """Cut a sound into frames, the last one filled up."""
    whole = np.zeros(-(-len(sound) // 160) * 160)
    whole[: len(sound)] = sound
    return np.clip(np.round(whole), -32768, 32767).astype(np.int16).reshape(-1, 160)


def keyed(keys: str, rng: np.random.Generator, *, on: float = 80, off: float = 80) -> dtmf.Sound:
    """Return keys as tones, each with a phase of its own, begun anywhere in a frame."""
    parts = [np.zeros(int(rng.integers(640, 800)))]
    for key in keys:
        parts += [tones(key, on, phase=rng.uniform(0, 6)), np.zeros(round(8 * off))]
    return np.concatenate(parts)


def say(engine: Engine, leg: int, sender: Sender, sound: dtmf.Sound, more: int = 6) -> None:
    """Let a leg say something, then nothing for a while."""
    cut = frames(np.concatenate((sound, np.zeros(160 * more))))
    engine.run(len(cut), lambda number: engine.feed(leg, sender.say(cut[number])))


def digits(engine: Engine, method: str | None = None) -> str:
    """Return the keys told."""
    told = engine.told(DigitPressed)
    return "".join(event.digit for event in told if method in {None, event.method})


def test_keys_are_told_once_and_heard_by_nobody() -> None:
    """A leg without telephone-event: all sixteen keys, in both laws, to the last millisecond."""
    rng = np.random.default_rng(23)
    for codec in ("PCMU", "PCMA"):
        for level in (-3, -12, -25):
            with Engine() as engine:
                leg = engine.open(1, room=1, codec=codec, dtmf_payload_type=None)
                engine.open(2, room=1)
                engine.open(3, room=1, speaks=False)
                engine.run()
                sound = keyed(KEYS, rng, on=rng.uniform(40, 90), off=rng.uniform(40, 90))
                say(engine, 1, leg, sound * 10 ** ((level + 12) / 20))
                assert digits(engine, "inband") == KEYS
                assert loudest_bin(engine.heard(2)) < QUIET_DBOV
                assert loudest_bin(engine.heard(3)) < QUIET_DBOV


@settings(max_examples=120, deadline=None)
@given(
    keys=st.text(alphabet=KEYS, min_size=1, max_size=5),
    level=st.floats(-25, -3),
    twist=st.floats(-8, 4),
    off=st.tuples(st.floats(-0.015, 0.015), st.floats(-0.015, 0.015)),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_key_within_the_limits_is_told(
    keys: str, level: float, twist: float, off: tuple[float, float], seed: int
) -> None:
    """Level -3 to -25 dBm0 of each tone, twist, frequency, 40 ms on and off, noise at 15 dB."""
    rng = np.random.default_rng(seed)
    loudest = min(-3.0, level + abs(twist))
    parts = [np.zeros(int(rng.integers(320, 480)))]
    for key in keys:
        tone = tones(
            key,
            rng.uniform(40, 70),
            loudest,
            twist_db=twist,
            off=off,
            phase=rng.uniform(0, 6),
        )
        parts += [tone, np.zeros(int(8 * rng.uniform(40, 70)))]
    sound = np.concatenate(parts)
    rms = np.sqrt(np.mean(parts[1] ** 2)) * 10 ** (-15 / 20)
    with Engine() as engine:
        leg = engine.open(1, dtmf_payload_type=None)
        engine.run()
        say(engine, 1, leg, dtmf.with_noise(sound, rms, rng))
        assert digits(engine) == keys


def test_what_is_outside_the_limits_is_no_key() -> None:
    """Q.24 as AT&T has it: 23 ms, 3.5 % off, -55 dBm0; and single tones, and far too much twist."""
    rng = np.random.default_rng(55)
    high = dtmf.sine(1336, 800, -10)
    refused: list[Callable[[], dtmf.Sound]] = [
        lambda: tones("5", 23, phase=rng.uniform(0, 6)),
        lambda: tones("5", off=(0.035, 0)),
        lambda: tones("5", off=(0, -0.035)),
        lambda: tones("5", dbm0=-55),
        lambda: tones("5", twist_db=-14),
        lambda: tones("5", twist_db=10),
        lambda: high,
        lambda: dtmf.sine(770, 800, -10),
        lambda: dtmf.sine(697, 800, -10) + dtmf.sine(852, 800, -10),
        lambda: tones("5") + dtmf.sine(2672, 800, -18),
        lambda: dtmf.with_noise(tones("5"), 6000, rng),
    ]
    for make in refused:
        with Engine() as engine:
            leg = engine.open(1, dtmf_payload_type=None)
            engine.run()
            for _ in range(12):
                say(engine, 1, leg, np.concatenate((np.zeros(rng.integers(1, 160)), make())))
            assert digits(engine) == ""


def test_prompts_and_hold_music_press_no_keys() -> None:
    """A quarter of an hour, loud; `scripts/bench talkoff` hears other voices for longer."""
    for sound in recorded():
        sounds = np.resize(sound, (24, -(-sound.size // (24 * 160)) * 160))
        assert count(sounds).keys.sum() == 0


def test_an_interruption_does_not_make_two_of_one_press() -> None:
    """Q.24: 10 ms without tone, wherever they fall, and then the tone goes on."""
    rng = np.random.default_rng(10)
    for _ in range(30):
        with Engine() as engine:
            leg = engine.open(1, dtmf_payload_type=None)
            engine.run()
            tone = tones("8", 120)
            cut = int(rng.integers(400, 480))
            tone[cut : cut + 80] = 0
            say(engine, 1, leg, np.concatenate((np.zeros(rng.integers(1, 160)), tone)))
            assert digits(engine) == "8"


def test_a_long_press_is_one_press_and_lost_packets_do_not_split_it() -> None:
    """Two seconds of `9`, of which every seventh packet, and once three in a row, are lost."""
    with Engine() as engine:
        leg = engine.open(1, room=1, dtmf_payload_type=None)
        engine.open(2, room=1)
        engine.run()
        cut = frames(np.concatenate((np.zeros(700), tones("9", 2000), np.zeros(1600))))

        def arrive(number: int) -> None:
            packet = leg.say(cut[number])
            if number % 7 and number not in {51, 52, 53}:
                engine.feed(1, packet)

        engine.run(len(cut), arrive)
        assert digits(engine) == "9"
        assert loudest_bin(engine.heard(2)) < QUIET_DBOV


def test_what_is_no_key_is_heard_a_frame_later_and_unchanged() -> None:
    """To the sample; a leg with telephone-event is not delayed."""
    said = loud(3, 40)
    places = []
    for payload_type in (None, 101):
        with Engine() as engine:
            leg = engine.open(1, room=1, dtmf_payload_type=payload_type)
            engine.open(2, room=1)
            engine.run()
            engine.run(44, lambda n: engine.feed(1, leg.say(said[n] if n < 40 else said[0] * 0)))  # noqa: B023 - run at once
            places.append(find(engine.heard(2), said.reshape(-1)))
    assert places[0] == places[1] + 160


def test_muted_and_lonely_legs_press_keys_too() -> None:
    """Nothing of them is decoded for the mix: a muted caller must still be able to key `*6`."""
    with Engine() as engine:
        muted = engine.open(1, room=1, speaks=False, dtmf_payload_type=None)
        engine.open(2, room=1)
        alone = engine.open(3, codec="PCMA", dtmf_payload_type=None)
        engine.run()
        say(engine, 1, muted, keyed("*6", np.random.default_rng(1)))
        say(engine, 3, alone, keyed("42", np.random.default_rng(2)))
        assert [(each.leg, each.digit) for each in engine.told(DigitPressed)] == [
            (1, "*"),
            (1, "6"),
            (3, "4"),
            (3, "2"),
        ]


def test_tones_open_the_door_to_a_leg_that_negotiated_events() -> None:
    """Telephone-event is off on its trunk: its tones are taken, at the door and then inside."""
    with Engine() as engine:
        leg = engine.open(1)
        engine.open(2, room=1)
        engine.run()
        rng = np.random.default_rng(4)
        say(engine, 1, leg, keyed("1234", rng))
        engine.command(Place(leg=1, room=1))
        say(engine, 1, leg, keyed("*6", rng))
        assert digits(engine, "inband") == "1234*6"
        assert loudest_bin(engine.heard(2)) < QUIET_DBOV


def test_in_a_conference_legs_with_events_are_not_listened_to() -> None:
    """Neither one that keyed by events nor one that never keyed: speech presses no keys there."""
    with Engine() as engine:
        by_events, silent = engine.open(1), engine.open(2, room=1)
        engine.run()
        engine.feed(1, by_events.key(3, 160), by_events.key(3, 320, ended=True))
        by_events.timestamp += 800
        engine.run()
        engine.command(Place(leg=1, room=1))
        rng = np.random.default_rng(6)
        say(engine, 1, by_events, keyed("55", rng))
        say(engine, 2, silent, keyed("66", rng))
        assert digits(engine) == "3"


def test_a_key_by_tone_and_by_event_is_one_press() -> None:
    """The gateway sends both, the tone from its beginning on and beside the events."""
    with Engine() as engine:
        leg = engine.open(1)
        engine.run()
        for key in "5512":
            cut = frames(np.concatenate((tones(key, 100), np.zeros(1280))))
            for number, frame in enumerate(cut):
                packet = leg.say(frame)
                engine.feed(1, packet)
                if 3 <= number < 8:
                    leg.timestamp -= 160 * (number + 1)
                    engine.feed(1, leg.key(int(key), 160 * (number + 1), ended=number > 5))
                    leg.timestamp += 160 * (number + 1)
                engine.run()
        assert digits(engine) == "5512"


@pytest.mark.parametrize("leak", [20, 30, 40])
def test_a_tone_that_leaks_before_its_event_is_heard_by_nobody(leak: int) -> None:
    """The first key, at the door, shows that the gateway leaks; inside nothing of it is heard."""
    with Engine() as engine:
        leg = engine.open(1)
        engine.open(2, room=1)
        engine.run()

        def press(key: str) -> None:
            lead = np.zeros(160 * (5 + (leak % 20 > 0)) - 8 * (leak % 20))
            for frame in frames(np.concatenate((lead, tones(key, leak, -3)))):
                engine.feed(1, leg.say(frame))
                engine.run()
            for number in range(5):
                engine.feed(1, leg.key(int(key), 160 * (number + 1)))
                engine.run()
            for _ in range(3):
                engine.feed(1, leg.key(int(key), 800, ended=True))
                engine.run()
            leg.timestamp += 8 * 160

        press("1")
        engine.command(Place(leg=1, room=1))
        engine.run()
        engine.heard(2)
        for key in "6644":
            press(key)
        say(engine, 1, leg, np.zeros(0), more=10)
        assert digits(engine) == digits(engine, "rfc4733") == "16644"
        assert loudest_bin(engine.heard(2)) < QUIET_DBOV


def test_a_key_by_info_with_its_tone_is_one_press_and_heard_by_nobody() -> None:
    """The tone goes before INFO and beside it."""
    with Engine() as engine:
        leg = engine.open(1, room=1, dtmf_payload_type=None)
        engine.open(2, room=1)
        engine.run()
        for after, key in ((0, "7"), (3, "7"), (12, "1")):
            cut = frames(np.concatenate((np.zeros(70), tones(key, 120, -5), np.zeros(1500))))
            for number, frame in enumerate(cut):
                if number == after:
                    engine.command(DigitInfo(leg=1, digit=key))
                engine.feed(1, leg.say(frame))
                engine.run()
        assert digits(engine) == "771"
        assert loudest_bin(engine.heard(2)) < QUIET_DBOV


def test_keys_of_wideband_legs_are_told_and_heard_by_nobody_at_either_rate() -> None:
    """G.722 without telephone-event, at the door and inside; another wideband leg listens."""
    with Engine() as engine:
        phone = WidePhone(engine, 1, dtmf_payload_type=None)
        engine.open(2, room=1)
        wide = WidePhone(engine, 3, room=1)
        engine.run()

        def key(keys: str, seed: int) -> None:
            sound = keyed(keys, np.random.default_rng(seed), on=60, off=60)
            sound = np.concatenate((sound, np.zeros(-len(sound) % 160 + 960)))
            samples = signal.resample_poly(sound, 2, 1).astype(np.int16).reshape(-1, 320)
            engine.run(len(samples), lambda number: phone.say(samples[number]))

        key("147*", 1)
        assert digits(engine, "inband") == "147*"
        engine.command(Place(leg=1, room=1))
        engine.run()
        engine.heard(2)
        wide.hear()
        key("2580369#ABCD", 2)
        assert digits(engine, "inband") == "147*2580369#ABCD"
        assert loudest_bin(engine.heard(2)) < QUIET_DBOV
        assert loudest_bin(wide.hear(), 16_000) < QUIET_DBOV


def test_wideband_speech_is_delayed_alike_at_both_rates() -> None:
    """What a narrow leg hears and what a wide one hears are one another's copies in time."""
    with Engine() as engine:
        phone = WidePhone(engine, 1, room=1, dtmf_payload_type=None)
        engine.open(2, room=1)
        wide = WidePhone(engine, 3, room=1)
        engine.run()
        rng = np.random.default_rng(4)
        sound = signal.resample_poly(2000 * rng.standard_normal(50 * 160), 2, 1)
        said = sound.astype(np.int16).reshape(-1, 320)
        engine.run(60, lambda n: phone.say(said[n] if n < 50 else said[0] * 0))
        narrow = engine.heard(2).astype(np.float64)
        heard = signal.resample_poly(wide.hear().astype(np.float64), 1, 2)
        shift = int(signal.correlate(narrow, heard, method="fft").argmax()) - len(heard) + 1
        assert abs(shift) < 32  # the filter's and the codec's own delays
        assert np.sqrt(np.mean(heard**2)) == pytest.approx(np.sqrt(np.mean(narrow**2)), rel=0.1)


def test_the_record_says_that_keys_came_in_band() -> None:
    """`LegStatistics`, from which the call detail record is written, names the method."""
    with Engine() as engine:
        leg = engine.open(1, dtmf_payload_type=None)
        engine.run()
        say(engine, 1, leg, keyed("1", np.random.default_rng(3)), more=260)
        assert engine.told(LegStatistics)[-1].dtmf_method == "inband"


def test_who_negotiates_events_anew_is_listened_to_no_more_inside() -> None:
    """A re-INVITE with telephone-event: what was heard before is gone, and no frame comes twice."""
    with Engine() as engine:
        leg = engine.open(1, room=1, dtmf_payload_type=None)
        engine.open(2, room=1)
        engine.run()
        said = loud(9, 30)
        engine.run(15, lambda n: engine.feed(1, leg.say(said[n])))
        media = LegMedia(
            codec="PCMU", payload_type=0, dtmf_payload_type=101, remote_rtp=("192.0.2.1", 4000)
        )
        engine.command(ChangeLeg(leg=1, media=media))
        engine.run(15, lambda n: engine.feed(1, leg.say(said[15 + n])))
        engine.run(4)
        heard = engine.heard(2)
        assert find(heard, said[:11].reshape(-1)) >= 0
        assert find(heard, said[15:].reshape(-1)) >= 0


def test_many_may_press_at_once() -> None:
    """More than are verified in a tick: the others have their turn while the tone lasts."""
    legs = 3 * inband.MOST_VERIFIED
    with Engine(capacity=256) as engine:
        senders = []
        for leg in range(1, legs + 1):
            senders.append(engine.open(leg, dtmf_payload_type=None))
            if leg % 48 == 0:
                engine.run()
        cut = frames(np.concatenate((np.zeros(650), tones("4", 80), np.zeros(1600))))

        def arrive(number: int) -> None:
            for leg, sender in enumerate(senders, 1):
                engine.feed(leg, sender.say(cut[number]))

        engine.run(len(cut), arrive)
        assert sorted(event.leg for event in engine.told(DigitPressed)) == [*range(1, legs + 1)]


def test_nothing_is_computed_where_nobody_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Legs with telephone-event in rooms: not a frame is looked at."""

    def look(pcm: inband._Floats) -> tuple[Pairs, inband._Floats]:
        looked.append(len(pcm))
        return find_pairs(pcm)

    looked: list[int] = []
    monkeypatch.setattr(inband, "find_pairs", look)
    with Engine() as engine:
        legs = [engine.open(leg, room=1) for leg in (1, 2)]
        engine.run()
        for leg, sender in enumerate(legs, 1):
            say(engine, leg, sender, np.zeros(1600))
        assert looked == []
        engine.open(3, dtmf_payload_type=None)
        engine.run(3)
        assert looked == [1, 1, 1]
