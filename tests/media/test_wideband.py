"""What wideband legs hear, and what is heard of them."""

import G722
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from bridge.media.messages import ChangeLeg, LegMedia, Play
from bridge.media.resample import DOWN_DELAY, UP_DELAY
from tests.media.engine import PCM, Engine, Rtp, loud
from tests.media.test_resample import half_band
from tests.media.wide import CODEC_DELAY, RATE, WidePhone, band_dbov, error_db, tone

F8 = np.float64
F = npt.NDArray[np.float64]
ADDRESS = ("192.0.2.1", 4000)


def noise(seed: int, frames: int, peak: float = 3000.0) -> PCM:
    """Return noise up to 7 kHz at 16 kHz, `(frames, 320)`: what the codec carries."""
    size = frames * 320
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(size))
    spectrum[np.fft.rfftfreq(size, 1 / RATE) > 7000] = 0
    sound = np.fft.irfft(spectrum, size)
    samples: PCM = (sound / np.abs(sound).max() * peak).astype(np.int16).reshape(frames, 320)
    return samples


def test_a_wideband_phone_hears_a_wideband_phone_in_wideband() -> None:
    """A tone of 6 kHz arrives at its level, which no 8 kHz mix could carry."""
    with Engine() as engine:
        one, two = (WidePhone(engine, leg, room=1) for leg in (1, 2))
        engine.run()
        said = tone(6000, 40)
        engine.run(40, lambda number: one.say(said[number]))
        heard = two.hear()[-6400:]
        assert abs(band_dbov(heard, 5800, 6200) - band_dbov(said.reshape(-1), 5800, 6200)) < 0.5
        assert band_dbov(one.hear(), 0, 8000) < -70


@pytest.mark.parametrize("hertz", [300, 1000, 3000])
def test_narrow_and_wide_legs_hear_each_other_at_the_same_level(hertz: float) -> None:
    """Both ways within 0.3 dB: no gain stands between G.711 and G.722."""
    with Engine() as engine:
        wide, narrow = WidePhone(engine, 1, room=1), engine.open(2, room=1)
        engine.run()
        said = tone(hertz, 40)
        slow = said.reshape(-1)[::2].reshape(40, 160)

        def talk(number: int) -> None:
            wide.say(said[number])

        engine.run(40, talk)
        level = band_dbov(said.reshape(-1), hertz - 100, hertz + 100)
        heard = engine.heard(2)[-3200:]
        assert abs(band_dbov(heard, hertz - 100, hertz + 100, 8000) - level) < 0.3
        wide.hear()
        engine.run(40, lambda number: engine.feed(2, narrow.say(slow[number])))
        heard = wide.hear()[-6400:]
        assert abs(band_dbov(heard, hertz - 100, hertz + 100) - level) < 0.3
        assert band_dbov(heard, 4600, 8000) < level - 40


def test_what_a_narrow_leg_hears_of_a_wide_one_does_not_fold() -> None:
    """A tone of 6 kHz would fold to 2 kHz: it is gone instead."""
    with Engine() as engine:
        wide = WidePhone(engine, 1, room=1)
        engine.open(2, room=1)
        engine.run()
        said = tone(6000, 30)
        engine.run(30, lambda number: wide.say(said[number]))
        assert band_dbov(engine.heard(2)[-3200:], 0, 4000, 8000) < -55


ROLES = st.tuples(st.booleans(), st.booleans(), st.booleans())


def mixes(engine: Engine) -> dict[int, F]:
    """Return what each wideband leg's row hears of its room in this tick, before encoding."""
    state = engine.state
    rows = state.seating.order[state.seating.wide].tolist()
    frames = state.wideband.mixed if len(state.wideband.mixed) else np.zeros((len(rows), 320))
    return {row: np.array(frame, F8) for row, frame in zip(rows, frames, strict=True)}


@settings(max_examples=20, deadline=None)
@given(roles=st.lists(ROLES, min_size=2, max_size=7), seed=st.integers(0, 10_000))
def test_each_wideband_leg_hears_everybody_but_itself(
    roles: list[tuple[bool, bool, bool]], seed: int
) -> None:
    """Before encoding: total minus own of float64, the narrow legs filtered once, within -90 dB."""
    frames = 5
    with Engine(capacity=2) as engine:
        phones: dict[int, WidePhone] = {}
        total, stuffed = np.zeros(frames * 320), np.zeros(frames * 320)
        own: dict[int, F] = {}
        packets: list[tuple[int, list[Rtp]]] = []
        for leg, (is_wide, speaks, hears) in enumerate(roles, 1):
            if is_wide:
                phone = WidePhone(engine, leg, room=1, speaks=speaks, hears=hears)
                packets.append((leg, [phone.packet(each) for each in noise(seed + leg, frames)]))
                own[leg] = speaks * phone.hear([each.payload for each in packets[-1][1]]).astype(F8)
                total += own[leg]
                phones[leg] = phone
            else:
                sender = engine.open(leg, room=1, speaks=speaks, hears=hears)
                said = loud(seed + leg, frames, 2000)
                packets.append((leg, [sender.say(each) for each in said]))
                stuffed[::2] += speaks * said.reshape(-1).astype(F8)
        total += np.convolve(stuffed, 2 * half_band())[: len(total)]
        engine.run()
        heard: list[dict[int, F]] = []
        for number in range(frames + 6):
            for leg, said_packets in packets:
                engine.feed(leg, *said_packets[number : number + 1])
            engine.run()
            heard.append(mixes(engine))
        for leg in phones:
            mine = np.concatenate([each[engine.row(leg)] for each in heard])
            expected = (total - own[leg]) if roles[leg - 1][2] else 0 * total
            shifts = range(0, len(mine) - len(total) + 1, 320)
            error = min(np.abs(mine[at : at + len(total)] - expected).max() for at in shifts)
            assert error <= 32_768 * 10 ** (-90 / 20)


def test_the_wide_sum_reaches_narrow_legs_and_is_taken_out_again() -> None:
    """A narrow leg in a room with two wide ones hears both, and not itself."""
    with Engine() as engine:
        phones = [WidePhone(engine, leg, room=1) for leg in (1, 2)]
        narrow = engine.open(3, room=1)
        engine.run()
        tones = [tone(500, 40, 4000), tone(1500, 40, 4000)]
        own = tone(2500, 40, 4000).reshape(-1)[::2].reshape(40, 160)

        def talk(number: int) -> None:
            for phone, said in zip(phones, tones, strict=True):
                phone.say(said[number])
            engine.feed(3, narrow.say(own[number]))

        engine.run(40, talk)
        heard = engine.heard(3)[-3200:]
        level = band_dbov(tones[0].reshape(-1), 400, 600)
        assert abs(band_dbov(heard, 400, 600, 8000) - level) < 0.5
        assert abs(band_dbov(heard, 1400, 1600, 8000) - level) < 0.5
        assert band_dbov(heard, 2400, 2600, 8000) < -60


def test_a_sweep_comes_through_with_the_codecs_own_noise_only() -> None:
    """Against the reference pass of one encoder and one decoder: a tandem of two, 6 dB at most."""
    sweep = signal.chirp(np.arange(100 * 320) / RATE, 100, 2.0, 6800, method="logarithmic")
    said = (8000 * sweep).astype(np.int16).reshape(100, 320)
    with Engine() as engine:
        one, two = (WidePhone(engine, leg, room=1) for leg in (1, 2))
        engine.run()
        # One frame more for the codec's delay, or what is made up for it counts as well.
        engine.run(101, lambda number: one.say(said[min(number, 99)]))
        engine.run(5)
        through = error_db(two.hear(), said.reshape(-1))
    coder = G722.G722(RATE, 64_000, use_numpy=False)
    octets = coder.encode(np.append(said.reshape(-1), np.zeros(320, np.int16)))
    once = error_db(np.array(coder.decode(octets)), said.reshape(-1))
    assert once < -20
    assert through < once + 6


def test_silence_is_silent_in_wideband() -> None:
    """A leg alone, a deaf one and one in a silent room hear nothing."""
    with Engine() as engine:
        alone = WidePhone(engine, 1)
        deaf = WidePhone(engine, 2, room=1, hears=False)
        still = WidePhone(engine, 3, room=2)
        talker = WidePhone(engine, 4, room=1)
        engine.run()
        said = noise(1, 20)
        engine.run(20, lambda number: talker.say(said[number]))
        for phone in (alone, deaf, still):
            assert np.abs(phone.hear()).max() <= 8


def test_a_prompt_is_heard_by_a_wideband_leg_instead_of_its_room_and_beside_it() -> None:
    """Mode "replace" and mode "mix", at the prompt's level, and the room again afterwards."""
    bank = tone(1000, 30).reshape(-1)[::2].copy()
    with Engine(bank=bank) as engine:
        talker, listener = (WidePhone(engine, leg, room=1) for leg in (1, 2))
        engine.run()
        said = tone(3000, 120)
        at = iter(range(120))

        def talk(_: int) -> None:
            talker.say(said[next(at)])

        engine.run(20, talk)
        level = band_dbov(bank, 900, 1100, 8000)
        for mode, room_level in (("replace", -70.0), ("mix", level)):
            listener.hear()
            command = Play(play=1, clips=[(0, 4800)], leg=2, mode=mode)  # type: ignore[arg-type]  # from a tuple of str
            engine.command(command)
            engine.run(25, talk)
            heard = listener.hear()[1600:]
            assert abs(band_dbov(heard, 900, 1100) - level) < 0.5
            assert band_dbov(heard, 2900, 3100) < room_level + 1
            engine.run(15, talk)
        assert abs(band_dbov(listener.hear()[-1600:], 2900, 3100) - level) < 1


def test_a_lost_frame_is_concealed_at_16_khz_and_the_decoder_goes_on() -> None:
    """One packet of a tone of 6 kHz lost: no hole in it, and right again afterwards."""
    with Engine() as engine:
        talker, listener = (WidePhone(engine, leg, room=1) for leg in (1, 2))
        engine.run()
        said = tone(6000, 60)

        def talk(number: int) -> None:
            packet = talker.packet(said[number])
            if number != 30:
                engine.feed(1, packet)

        engine.run(60, talk)
        heard = listener.hear()
        level = band_dbov(said.reshape(-1), 5500, 6500)
        frames = [band_dbov(frame, 5500, 6500) for frame in heard.reshape(-1, 320)]
        assert min(frames[10:]) > level - 6
        assert abs(min(frames[-20:]) - level) < 1
        assert engine.state.noise.concealed[engine.row(1)] == 1


@pytest.mark.parametrize("pressed", [False, True])
def test_a_decoder_follows_what_is_blanked(pressed: bool) -> None:  # noqa: FBT001 - a case
    """Frames under a key press are not heard, but decoded: what comes next is not garbled."""
    said = noise(5, 80)
    with Engine() as engine:
        talker, listener = (WidePhone(engine, leg, room=1) for leg in (1, 2))
        engine.run()
        reference = G722.G722(RATE, 64_000, use_numpy=False)
        decoded: list[PCM] = []

        def talk(number: int) -> None:
            if pressed and number == 30:
                # Audio goes on beside the event, as from gateways that send both.
                engine.feed(1, talker.sender.key(5, 160, marker=True, ended=True))
            packet = talker.packet(said[number])
            decoded.append(np.array(reference.decode(packet.payload), np.int16))
            engine.feed(1, packet)

        engine.run(80, talk)
        last = engine.state.wideband.last[engine.row(1)]
        assert any((last == frame).all() for frame in decoded[-4:])
        heard = band_dbov(listener.hear().reshape(-1, 320)[25:40].reshape(-1), 0, 8000)
        assert (heard < band_dbov(said.reshape(-1), 0, 8000) - 0.5) == pressed


def test_the_codec_changes_in_the_call_without_a_glitch_that_lasts() -> None:
    """PCMU, then G.722 by a re-INVITE, then PCMU: each time the tone is there at its level."""
    with Engine() as engine:
        narrow = engine.open(1, room=1)
        listener = WidePhone(engine, 2, room=1)
        engine.run()
        said = tone(1000, 150)
        slow = said.reshape(-1)[::2].reshape(150, 160)
        coder = G722.G722(RATE, 64_000, use_numpy=False)

        def talk(number: int) -> None:
            if number in {50, 100}:
                wide = number == 50
                narrow.payload_type = 9 if wide else 0
                media = LegMedia(
                    codec="G722" if wide else "PCMU",
                    payload_type=narrow.payload_type,
                    remote_rtp=ADDRESS,
                )
                engine.command(ChangeLeg(leg=1, media=media))
            if narrow.payload_type == 9:
                engine.feed(1, narrow.audio(coder.encode(said[number])))
            else:
                engine.feed(1, narrow.say(slow[number]))

        engine.run(150, talk)
        heard = listener.hear()[-150 * 320 :]
        level = band_dbov(said.reshape(-1), 900, 1100)
        levels = [band_dbov(tenth, 800, 1200) for tenth in heard.reshape(-1, 1600)]
        for start in (2, 12, 22):
            assert np.allclose(levels[start : start + 7], level, atol=0.5)
        assert np.abs(heard.astype(int)).max() < 12_000
        assert {packet.payload_type for packet in engine.sent(1)[-5:]} == {0}


def test_a_new_sender_on_a_leg_is_decoded_from_the_start() -> None:
    """Another SSRC is another encoder: after it proved itself it is heard at its level."""
    with Engine() as engine:
        talker, listener = (WidePhone(engine, leg, room=1) for leg in (1, 2))
        engine.run()
        said = tone(1000, 80)

        def talk(number: int) -> None:
            if number == 40:
                talker.coder = G722.G722(RATE, 64_000, use_numpy=False)
                talker.sender.ssrc += 1
            talker.say(said[number])

        engine.run(80, talk)
        heard = listener.hear()
        assert np.abs(heard.astype(int)).max() < 10_000
        assert (
            abs(band_dbov(heard[-6400:], 900, 1100) - band_dbov(said[0:20].reshape(-1), 900, 1100))
            < 0.5
        )


def test_delays_are_known() -> None:
    """Codec and filters delay by less than 4 ms together."""
    assert CODEC_DELAY + DOWN_DELAY < 64
    assert CODEC_DELAY + UP_DELAY < 64


def test_where_nobody_speaks_g722_nothing_is_done() -> None:
    """A room of narrowband legs has no wide mix, and no leg has a coder."""
    with Engine() as engine:
        for leg in (1, 2):
            engine.open(leg, room=1)
        engine.run(3)
        assert not len(engine.state.wideband.mixed)
        assert not engine.state.wideband.has_coder.any()
