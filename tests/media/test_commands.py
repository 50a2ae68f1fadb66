"""Commands: wrong ones are answered and change nothing, descriptors are never lost."""

import gc
import os
import socket
import subprocess
from pathlib import Path
from typing import cast

import msgspec
import numpy as np
import pytest

from bridge.media.client import MediaClient
from bridge.media.codecs import FRAME
from bridge.media.messages import (
    BeginTrace,
    ChangeLeg,
    CloseLeg,
    Command,
    Configure,
    EngineError,
    LegClosed,
    LegMedia,
    LoadBank,
    OpenLeg,
    Place,
    Play,
    PlayFinished,
    StopPlay,
)
from bridge.media.rtcp import read_compound
from tests.media.engine import PCM, Engine, coded, loud, still

MEDIA = LegMedia(codec="PCMU", payload_type=0)


def open_descriptors() -> int:
    """Return how many descriptors this process has, without those that wait to be collected."""
    gc.collect()
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def load(engine: Engine, samples: PCM, said: int | None = None) -> None:
    """Hand a bank over, and say that it holds so many samples."""
    descriptor = os.memfd_create("bank")
    os.write(descriptor, samples.tobytes())
    command = LoadBank(samples=len(samples) - FRAME if said is None else said)
    socket.send_fds(engine._ours, [msgspec.msgpack.encode(command)], [descriptor])
    os.close(descriptor)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_leg_needs_exactly_two_sockets(count: int) -> None:
    """Refused with the leg's number; what came is closed."""
    with Engine() as engine:
        before = open_descriptors()
        engine.command(OpenLeg(leg=4, media=MEDIA, ssrc=4, cname="c"), fds=count)
        engine.run()
        assert [event.leg for event in engine.told(EngineError)] == [4]
        assert engine.state.legs.row_of == {}
        assert open_descriptors() == before
        assert engine.counters.descriptors_lost == count


def test_a_leg_is_opened_once() -> None:
    """The second `OpenLeg` is refused, the leg goes on as it was."""
    with Engine() as engine:
        engine.open(1)
        engine.run(3)
        before = open_descriptors()
        engine.open(1)
        engine.run()
        assert len(engine.told(EngineError)) == 1
        assert open_descriptors() == before
        assert [packet.sequence for packet in engine.sent(1)] == [7, 8, 9, 10]


@pytest.mark.parametrize(
    "command",
    [
        CloseLeg(leg=9),
        ChangeLeg(leg=9, media=MEDIA),
        Place(leg=9, room=1),
        StopPlay(leg=9),
        BeginTrace(leg=9),
    ],
)
def test_a_command_for_a_leg_that_has_ended_is_counted(command: Command) -> None:
    """Control may not know yet: no error, no room left behind."""
    with Engine() as engine:
        engine.command(command)
        engine.run(2)
        assert engine.events == engine.events[:1]
        assert engine.counters.commands_refused == 1
        assert len(engine.state.rooms) == 0


@pytest.mark.parametrize("target", [-36.1, -11.9, float("nan")])
def test_options_are_taken_whole_or_not_at_all(target: float) -> None:
    """A wrong one is answered and changes nothing, a right one replaces all that were set."""
    chosen = Configure(gate=False, target_dbov=-12.0)
    with Engine() as engine:
        engine.command(chosen)
        engine.command(Configure(agc=False, target_dbov=target))
        engine.run()
        assert engine.state.options == chosen
        assert [event.leg for event in engine.told(EngineError)] == [None]
        engine.command(Configure(limiter=False, target_dbov=-36.0))
        engine.run()
        assert engine.state.options == Configure(limiter=False, target_dbov=-36.0)


def test_a_bank_is_played_from_and_another_ends_what_plays() -> None:
    """A new bank's samples are heard; plays of the old one are told as not completed."""
    first, second = (
        np.concatenate((loud(seed, 10).reshape(-1), np.zeros(FRAME, np.int16))) for seed in (1, 2)
    )
    with Engine() as engine:
        load(engine, first)
        engine.open(1)
        engine.command(Play(play=1, clips=[(0, 1600)], leg=1))
        engine.run(2)
        assert (engine.heard(1) == first[:320]).all()
        load(engine, second)
        engine.command(Play(play=2, clips=[(160, 480)], leg=1))
        engine.run(4)
        assert (engine.heard(1)[:480] == second[160:640]).all()
        finished = [(event.play, event.completed) for event in engine.told(PlayFinished)]
        assert finished == [(1, False), (2, True)]


@pytest.mark.parametrize("said", [-1, 1601, 10**12])
def test_a_bank_smaller_than_it_says_is_refused(said: int) -> None:
    """Nothing is mapped that is not there: the old bank stays."""
    with Engine(bank=loud(3, 2).reshape(-1)) as engine:
        before = open_descriptors()
        load(engine, np.zeros(1600 + FRAME, np.int16), said)
        engine.run()
        assert len(engine.told(EngineError)) == 1
        assert engine.state.bank.length == 320
        assert open_descriptors() == before


def test_a_room_ends_with_its_last_leg_and_its_chimes_with_it() -> None:
    """What plays to a room that is left is told as not completed."""
    with Engine(bank=loud(3, 50).reshape(-1)) as engine:
        engine.open(1, room=5)
        engine.run()
        engine.command(Play(play=1, clips=[(0, 8000)], room=5))
        engine.run(2)
        engine.command(CloseLeg(leg=1))
        engine.run()
        finished = [
            (event.play, event.completed, event.room) for event in engine.told(PlayFinished)
        ]
        assert finished == [(1, False, 5)]
        assert len(engine.state.rooms) == 0
        engine.open(2, room=6)
        engine.run(3)
        assert not engine.heard(2).any()


def test_nothing_comes_from_a_leg_behind_its_last_words() -> None:
    """Its plays end before `LegClosed`, and its counters pass to the totals, not to a successor."""
    with Engine(capacity=1, bank=loud(3, 50).reshape(-1)) as engine:
        engine.open(1)
        engine.run()
        engine.command(Play(play=1, clips=[(0, 8000)], leg=1))
        engine.command(Play(play=2, clips=[(0, 8000)], leg=1, loop=True))
        engine.feed(1, b"rubbish", b"more rubbish")
        engine.run(2)
        engine.command(CloseLeg(leg=1))
        engine.run()
        last = [event for event in engine.events if isinstance(event, (PlayFinished, LegClosed))]
        assert [type(event) for event in last] == [PlayFinished, PlayFinished, LegClosed]
        assert isinstance(last[-1], LegClosed)
        assert last[-1].statistics.malformed == 2
        engine.open(2)
        engine.run()
        assert engine.state.leg_counters.of(engine.row(2))["malformed"] == 0
        assert engine.state.leg_counters.totals()["malformed"] == 2


def test_reports_are_exchanged_and_rubbish_is_counted() -> None:
    """A leg gets reports of what it sent; what is no RTCP ends nothing."""
    with Engine() as engine:
        sender = engine.open(1)
        engine.run()
        engine.run(5, lambda _: engine.feed(1, sender.audio(still())))
        engine.state.reports.due[engine.row(1)] = 0
        engine.state.reports.said_at[engine.row(1)] = -100
        engine.wires.rtcp_waiting += [(engine.row(1), b"\x80"), (engine.row(1), b"")]
        engine.run(5)
        assert engine.counters.rtcp_malformed == 2
        report = read_compound(engine.wires.rtcp_sent[engine.row(1)][0])
        assert (report.ssrc, report.blocks[0].ssrc, report.blocks[0].lost) == (1, sender.ssrc, 0)
        engine.command(CloseLeg(leg=1))
        row = engine.row(1)
        engine.run()
        assert read_compound(engine.wires.rtcp_sent[row][-1]).left


def test_a_mode_reaches_three_hundred_legs_in_one_tick() -> None:
    """A place and a prompt for each, sent as control sends them: the very next packets differ."""
    people = 300
    bank = loud(8, 10, 8000).reshape(-1)
    said = coded(np.full(FRAME, 4000, np.int16))
    with Engine(capacity=512, bank=bank) as engine:
        talker = engine.open(1, room=1)
        for leg in range(2, people + 1):
            engine.open(leg, room=1)
            if leg % 50 == 0:
                engine.run()
        engine.run(6, lambda _: engine.feed(1, talker.say(said)))
        listeners = range(2, people + 1)
        for leg in listeners:
            assert (engine.heard(leg)[-FRAME:] == said).all()
        client = MediaClient(cast("subprocess.Popen[bytes]", None), engine.control)
        client.queue(Place(leg=1, room=1, speaks=False))
        for leg in listeners:
            client.queue(Place(leg=leg, room=1, speaks=False))
        for leg in range(1, people + 1):
            clips = [(160 * (leg % 5), 480)]
            client.queue(Play(play=leg, leg=leg, clips=clips))
        client.flush()
        assert client.pending == 0
        engine.run(1, lambda _: engine.feed(1, talker.say(said)))
        for leg in range(1, people + 1):
            first = coded(bank[160 * (leg % 5) :][:FRAME])
            assert (engine.heard(leg)[-FRAME:] == first).all(), leg
        engine.run(3, lambda _: engine.feed(1, talker.say(said)))
        assert len(engine.told(PlayFinished)) == people
        for leg in listeners:
            assert not engine.heard(leg)[-FRAME:].any(), leg
