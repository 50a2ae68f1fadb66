"""Names that callers speak: recorded without keys, cut out, levelled, played, gone."""

import socket
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import pytest

from bridge.media.codecs import FRAME
from bridge.media.messages import CloseLeg, Command, Configure, EngineError, GiveLegs, Play
from bridge.media.name_messages import NameRecorded, RecordName, StopName, UseNames
from bridge.media.names_area import (
    NAMES,
    SLOT_FRAMES,
    SLOT_SAMPLES,
    SLOTS,
    SOUND_SLOTS,
    NamesArea,
    NamesView,
    start_of,
)
from bridge.media.naming import APART, LEVEL_DBOV, SHORTEST, cut_out
from dialplan.prompts.speech_level import speech_level
from tests.media.engine import PCM, PLAIN, Engine, Sender, coded, find, loud, still
from tests.media.speech import recorded
from tests.media.wide import WidePhone, band_dbov
from tests.support.dtmf import tones

SLOT = 3


@pytest.fixture
def area() -> Iterator[NamesArea]:
    """Return an area for names."""
    made = NamesArea()
    yield made
    made.close()


def hand(engine: Engine, command: Command, *descriptors: int) -> None:
    """Say something to the engine, with descriptors."""
    socket.send_fds(engine._ours, [msgspec.msgpack.encode(command)], list(descriptors))


def say(engine: Engine, leg: int, sender: Sender, said: PCM) -> None:
    """Let a leg say frames."""
    engine.run(len(said), lambda number: engine.feed(leg, sender.say(said[number])))


def name_of(engine: Engine, said: PCM, *, leg: int = 1, silence: int = 20) -> NameRecorded:
    """Record what a leg says as its name, with silence around it; return the answer."""
    sender = engine.open(leg)
    engine.run(2)
    engine.command(RecordName(leg=leg, slot=SLOT))
    pause = np.zeros((silence, FRAME), np.int16)
    say(engine, leg, sender, np.concatenate((pause, said, pause)))
    engine.command(StopName(leg=leg))
    engine.run(2)
    (answer,) = engine.told(NameRecorded)
    return answer


def test_a_name_is_cut_out_of_the_silence_and_brought_to_the_level_of_prompts(
    area: NamesArea,
) -> None:
    """What lies in the slot is the name, to the sample but for its level, and nothing else."""
    with Engine() as engine:
        hand(engine, UseNames(), area.descriptor)
        said = loud(1, 40, peak=500)
        answer = name_of(engine, said)
        assert (answer.leg, answer.slot, answer.start) == (1, SLOT, start_of(SLOT))
        assert answer.seconds == pytest.approx(0.8)
        held = area.read(SLOT)
        name = held[: answer.samples].astype(np.float64)
        assert not held[answer.samples :].any()
        first = 2 * FRAME  # kept before the name
        part = said[1:-1].reshape(-1).astype(np.float64)
        heard = name[first + FRAME :][: len(part)]
        gain = float(heard @ part / (part @ part))
        assert np.abs(heard - gain * part).max() <= 1
        active = float(np.sqrt(np.mean(np.square(heard))))
        assert 20 * np.log10(active / 32768) == pytest.approx(LEVEL_DBOV, abs=0.2)


@pytest.mark.parametrize("dbov", [-38.0, -14.0])
@pytest.mark.parametrize("options", [PLAIN, Configure()])
def test_spoken_words_are_as_loud_as_prompts(
    area: NamesArea, options: Configure, dbov: float
) -> None:
    """A real voice, faint or loud, has the prompts' active speech level by ITU-T P.56."""
    with Engine(options=options) as engine:
        hand(engine, UseNames(), area.descriptor)
        voice = recorded(2.0).astype(np.float64)
        level = speech_level(voice.astype(np.int16), 8000).active_db
        said = (voice * 10 ** ((dbov - level) / 20)).astype(np.int16)
        said = said[: len(said) // FRAME * FRAME].reshape(-1, FRAME)
        answer = name_of(engine, said, silence=40)
        name = area.read(SLOT)[: answer.samples]
        assert abs(speech_level(name, 8000).active_db - LEVEL_DBOV) < 2
        assert 0.8 < answer.seconds < 2.1


def test_a_name_is_played_like_a_prompt_and_spliced_to_the_sample(area: NamesArea) -> None:
    """A sentence of a clip, a name and a clip is heard without a gap, by another leg too."""
    bank = loud(7, 5).reshape(-1)
    with Engine(bank=bank) as engine:
        hand(engine, UseNames(), area.descriptor)
        engine.run()
        view = engine.state.naming.area
        assert view is not None
        name = loud(8, 3).reshape(-1)[:401]
        view.samples[start_of(SLOT) - NAMES :][: len(name)] = name
        engine.open(2)
        engine.run()
        clips = [(0, 333), (start_of(SLOT), len(name)), (333, 300)]
        engine.command(Play(play=1, leg=2, clips=clips))
        engine.run(10)
        wanted = np.concatenate((bank[:333], name, bank[333:633]))
        assert find(engine.heard(2), coded(wanted)) >= 0


def test_a_name_in_the_last_slot_is_played_to_its_end(area: NamesArea) -> None:
    """Its last frame lies at the very end of the area."""
    with Engine() as engine:
        hand(engine, UseNames(), area.descriptor)
        engine.run()
        view = engine.state.naming.area
        assert view is not None
        name = loud(8, SLOT_FRAMES).reshape(-1)
        view.slots[SLOTS - 1] = name.reshape(-1, FRAME)
        engine.open(2)
        engine.command(Play(play=1, leg=2, clips=[(start_of(SLOTS - 1), len(name))]))
        engine.run(SLOT_FRAMES + 2)
        assert find(engine.heard(2), name) >= 0


@pytest.mark.parametrize(
    "clip",
    [
        (NAMES - 1, 160),
        (start_of(SLOTS + SOUND_SLOTS), 1),
        (start_of(SLOTS + SOUND_SLOTS - 1), SLOT_SAMPLES + 1),
    ],
)
def test_a_clip_that_is_in_no_slot_is_refused(area: NamesArea, clip: tuple[int, int]) -> None:
    """Nor is one played where there are no names at all."""
    with Engine() as engine:
        hand(engine, UseNames(), area.descriptor)
        engine.open(2)
        engine.run()
        engine.command(Play(play=1, leg=2, clips=[clip]))
        engine.run()
        assert len(engine.told(EngineError)) == 1
    with Engine() as engine:
        engine.open(2)
        engine.command(Play(play=1, leg=2, clips=[(start_of(0), 160)]))
        engine.command(RecordName(leg=2, slot=0))
        engine.run()
        assert len(engine.told(EngineError)) == 2
        assert engine.told(NameRecorded)[0].samples == 0


def test_who_says_a_name_is_heard_by_nobody_for_it(area: NamesArea) -> None:
    """The room hears nothing, and what is in it is not on the name."""
    with Engine() as engine:
        hand(engine, UseNames(), area.descriptor)
        other = engine.open(5, room=1)
        engine.open(6, room=1)
        engine.run()
        engine.feed(5, other.say(loud(9)[0]))
        answer = name_of(engine, loud(1, 30))
        assert answer.seconds > 0
        heard = engine.heard(6)
        assert find(heard, loud(1, 30)[3]) == -1
        assert not engine.state.legs.recorded.any()


@pytest.mark.parametrize("telephone_event", [True, False])
def test_no_key_gets_on_a_name(area: NamesArea, telephone_event: bool) -> None:  # noqa: FBT001 - a case
    """The tone that a gateway leaks before its event, or a key that comes as one, is not there."""
    key = tones("#", 40 if telephone_event else 120, -10).astype(np.int16)
    key = key[: len(key) // FRAME * FRAME].reshape(-1, FRAME)
    with Engine() as engine:
        hand(engine, UseNames(), area.descriptor)
        media: dict[str, Any] = {} if telephone_event else {"dtmf_payload_type": None}
        sender = engine.open(1, **media)
        engine.run(2)
        engine.command(RecordName(leg=1, slot=SLOT))
        pause = np.zeros((20, FRAME), np.int16)
        voice = loud(1, 30, peak=4000)
        say(engine, 1, sender, np.concatenate((pause, voice, pause, key)))
        if telephone_event:
            for step in range(4):
                engine.feed(1, sender.key(11, 160 * (step + 1), marker=step == 0))
                engine.run()
        else:
            say(engine, 1, sender, pause)
        engine.command(StopName(leg=1))
        engine.run(2)
        (answer,) = engine.told(NameRecorded)
        # Voice and what is kept around it: nothing half a second later.
        assert 30 * FRAME <= answer.samples <= 37 * FRAME
        assert answer.seconds == pytest.approx(0.6, abs=0.05)


def test_a_full_slot_ends_a_recording(area: NamesArea) -> None:
    """After seven seconds the answer comes by itself, and the next slot is untouched."""
    with Engine() as engine:
        hand(engine, UseNames(), area.descriptor)
        sender = engine.open(1)
        engine.run(2)
        engine.command(RecordName(leg=1, slot=SLOT))
        say(engine, 1, sender, loud(1, SLOT_FRAMES + 10))
        (answer,) = engine.told(NameRecorded)
        assert answer.samples <= SLOT_FRAMES * FRAME
        assert answer.seconds > 7
        assert not area.read(SLOT + 1).any()
        assert not engine.state.naming.active


@pytest.mark.parametrize("way", ["silence", "closed", "given", "again"])
def test_what_comes_to_nothing_leaves_nothing(area: NamesArea, way: str) -> None:
    """Who says nothing, hangs up, is moved or is asked again leaves an empty slot and an answer."""
    with Engine() as engine:
        hand(engine, UseNames(), area.descriptor)
        sender = engine.open(1)
        engine.run(2)
        engine.command(RecordName(leg=1, slot=SLOT))
        said = np.zeros((30, FRAME), np.int16) if way == "silence" else loud(1, 30)
        say(engine, 1, sender, said)
        assert area.read(SLOT).any() == (way != "silence")
        ends: dict[str, Command] = {
            "silence": StopName(leg=1),
            "closed": CloseLeg(leg=1),
            "given": GiveLegs(legs=[1]),
            "again": RecordName(leg=1, slot=SLOT + 1),
        }
        engine.command(ends[way])
        engine.run(2)
        assert engine.told(NameRecorded) == [
            NameRecorded(leg=1, slot=SLOT, start=start_of(SLOT), samples=0, seconds=0.0)
        ]
        assert not area.read(SLOT).any()


def test_many_names_end_one_a_tick(area: NamesArea) -> None:
    """Twenty who are done at once are finished one after the other."""
    with Engine(capacity=32) as engine:
        hand(engine, UseNames(), area.descriptor)
        senders = {leg: engine.open(leg) for leg in range(1, 21)}
        engine.run(2)
        for leg in senders:
            engine.command(RecordName(leg=leg, slot=leg))
        said = {leg: loud(leg, 20) for leg in senders}

        def talk(number: int) -> None:
            for leg, sender in senders.items():
                engine.feed(leg, sender.say(said[leg][number]))

        engine.run(20, talk)
        for leg in senders:
            engine.command(StopName(leg=leg))
        for done in range(1, 21):
            engine.run()
            assert len(engine.told(NameRecorded)) == done
        for leg in senders:
            held = area.read(leg)[: 30 * FRAME].astype(np.float64)
            part = said[leg][8].astype(np.float64)
            likeness = np.correlate(held, part, "valid").max()
            norms = np.linalg.norm(part) * np.linalg.norm(held[10 * FRAME : 11 * FRAME])
            assert likeness > 0.9 * norms


def test_a_wideband_phone_says_its_name(area: NamesArea) -> None:
    """G.722 is recorded at 8 kHz, outside any room."""
    with Engine() as engine:
        hand(engine, UseNames(), area.descriptor)
        phone = WidePhone(engine, 1)
        engine.run(2)
        engine.command(RecordName(leg=1, slot=SLOT))
        time = np.arange(320 * 50) / 16_000
        said = (4000 * np.sin(2 * np.pi * 1000 * time)).astype(np.int16).reshape(50, 320)
        engine.run(50, lambda number: phone.say(said[number]))
        engine.command(StopName(leg=1))
        engine.run(2)
        (answer,) = engine.told(NameRecorded)
        assert answer.seconds > 0.8
        name = area.read(SLOT)[: answer.samples]
        tone = band_dbov(name, 900, 1100, 8000)
        assert tone == pytest.approx(LEVEL_DBOV, abs=1)
        assert band_dbov(name, 1200, 4000, 8000) < tone - 30


def test_clicks_apart_from_the_name_are_none_of_it() -> None:
    """A burst shorter than a syllable is left out, before and behind; one beside the name stays."""
    voice = loud(2, 20, peak=4000).astype(np.float32)
    click = loud(3, SHORTEST - 1, peak=20_000).astype(np.float32)
    gap = np.zeros((APART + 1, FRAME), np.float32)
    name, seconds = cut_out(np.concatenate((click, gap, voice, gap, click, gap)))
    assert seconds == pytest.approx(0.4)
    assert len(name) == 20 + 2 + 4
    near = np.zeros((APART - 2, FRAME), np.float32)
    name, seconds = cut_out(np.concatenate((voice, near, click)))
    assert len(name) == 20 + len(near) + len(click)
    assert not len(cut_out(np.zeros((0, FRAME), np.float32))[0])
    assert cut_out(np.concatenate((click, gap)))[1] == 0


def test_nothing_is_done_while_nobody_is_recorded(area: NamesArea) -> None:
    """One flag is looked at."""
    with Engine() as engine:
        hand(engine, UseNames(), area.descriptor)
        sender = engine.open(1, room=1)
        engine.run()
        engine.state.naming.write = None  # type: ignore[method-assign, assignment]  # not called
        say(engine, 1, sender, loud(1, 3))
        engine.feed(1, sender.audio(still()))
        engine.run()


def test_an_area_that_is_none_is_refused() -> None:
    """A descriptor of something else changes nothing."""
    with Engine() as engine:
        engine.command(UseNames(), fds=1)
        engine.command(UseNames(), fds=2)
        engine.run()
        assert len(engine.told(EngineError)) == 2
        assert engine.state.naming.area is None


def test_an_erased_slot_takes_no_memory_and_reads_as_silence(area: NamesArea) -> None:
    """Also for who has it mapped; its neighbours stay."""
    view = NamesView(area.descriptor)
    view.slots[SLOT - 1 : SLOT + 2] = 77
    taken = area.octets
    area.erase(SLOT)
    assert area.octets <= taken * 2 / 3 + 4096
    assert not area.read(SLOT).any()
    assert not view.slots[SLOT].any()
    assert (view.slots[SLOT - 1] == 77).all()
    assert (view.slots[SLOT + 1] == 77).all()
