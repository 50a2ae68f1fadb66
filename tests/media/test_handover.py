"""Legs go from one process to another: what far ends notice is nothing but a marker bit."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest

from bridge.media import handover
from bridge.media._packet_rows import PacketRows
from bridge.media.codecs import FRAME
from bridge.media.messages import (
    CloseLeg,
    DigitPressed,
    EngineError,
    FirstMedia,
    GiveLegs,
    HandedLeg,
    LegClosed,
    LegGiven,
    LegMedia,
    OpenLeg,
    OpenLegs,
    Place,
    Play,
    PlayFinished,
    SourceLatched,
    StopPlay,
    UsePage,
)
from bridge.media.own_sockets import OwnSockets
from bridge.media.page import StateView
from bridge.media.ports import open_pair
from bridge.media.rtcp import read_compound
from bridge.media.telling import Teller
from tests.media.engine import Engine, Rtp, Sender, coded, loud, still
from tests.support.dtmf import tones

BANK = loud(3, 100).reshape(-1)
HOST = "127.0.0.1"


NOW = 1000.0
"""The time of every hand-over here, however long the machine takes over it."""


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no time pass while legs are handed over."""
    monkeypatch.setattr(handover, "time", SimpleNamespace(monotonic=lambda: NOW))


@pytest.fixture
def view() -> Iterator[StateView]:
    """A state page, seen from control."""
    view = StateView()
    yield view
    view.close()


def use(engine: Engine, view: StateView) -> None:
    """Let an engine write a state page."""
    socket.send_fds(engine._ours, [msgspec.msgpack.encode(UsePage())], [view.descriptor])


def handed(
    view: StateView, leg: int, ago: int = 1, plays: list[Play] | None = None, **place: object
) -> HandedLeg:
    """Return a leg as control hands it on, as if its last tick were so many ticks ago."""
    media = LegMedia(
        codec="PCMU", payload_type=0, dtmf_payload_type=101, remote_rtp=("192.0.2.1", 4000)
    )
    return HandedLeg(
        opened=OpenLeg(leg=leg, media=media, ssrc=leg, cname="c", sequence=7, timestamp=800),
        record=view.read().legs[leg].tobytes(),
        at=NOW - 0.02 * ago,
        place=msgspec.convert({"leg": leg, "room": 1, **place}, Place),
        plays=plays or [],
    )


def talk(engine: Engine, leg: int, sender: Sender, ticks: int) -> None:
    """Let a leg send a packet a tick."""
    engine.run(ticks, lambda _: engine.feed(leg, sender.audio(still())))


def test_a_leg_goes_on_where_a_dead_process_left_it(view: StateView) -> None:
    """Same SSRC, next number, the time that passed, a marker; what was counted stays counted."""
    with Engine() as dead, Engine() as successor:
        use(dead, view)
        sender = dead.open(4, room=1)
        dead.run()
        talk(dead, 4, sender, 20)
        last = dead.sent(4)[-1]
        successor.command(OpenLegs(legs=[handed(view, 4, ago=9)]), fds=2)
        successor.run()
        talk(successor, 4, sender, 5)
        first, second, *_ = successor.sent(4)
        assert first.ssrc == last.ssrc == 4
        assert first.sequence == (last.sequence + 1) & 0xFFFF
        assert first.timestamp == (last.timestamp + 9 * FRAME) & 0xFFFF_FFFF
        assert (first.marker, second.marker) == (True, False)
        assert second.sequence == (first.sequence + 1) & 0xFFFF
        counted = Teller(successor.state).leg(successor.row(4))
        assert counted.packets_rx == 25
        assert counted.packets_tx == 27
        assert counted.lost == 0
        assert successor.told(FirstMedia) == []


def test_a_key_held_down_as_a_tone_is_not_pressed_again(view: StateView) -> None:
    """The press was told by the process that died; the tone goes on in its successor."""
    with Engine() as dead, Engine() as successor:
        use(dead, view)
        sender = dead.open(4)
        dead.run()
        held = np.round(tones("9", 400)).astype(np.int16).reshape(-1, FRAME)
        dead.run(10, lambda number: dead.feed(4, sender.say(held[number])))
        successor.command(OpenLegs(legs=[handed(view, 4, room=None)]), fds=2)
        successor.run()
        successor.run(10, lambda number: successor.feed(4, sender.say(held[10 + number])))
        assert [event.digit for event in dead.told(DigitPressed)] == ["9"]
        assert successor.told(DigitPressed) == []


def test_what_was_lost_while_nobody_listened_is_counted(view: StateView) -> None:
    """By sequence numbers, over both processes."""
    with Engine() as dead, Engine() as successor:
        use(dead, view)
        sender = dead.open(4, room=1)
        dead.run()
        talk(dead, 4, sender, 10)
        sender.sequence += 3
        successor.command(OpenLegs(legs=[handed(view, 4)]), fds=2)
        successor.run()
        talk(successor, 4, sender, 5)
        counted = Teller(successor.state).leg(successor.row(4))
        assert (counted.packets_rx, counted.lost) == (15, 3)


def test_a_killed_process_leaves_a_number_out_rather_than_say_one_twice(view: StateView) -> None:
    """The page is written before the packets of its tick are sent."""
    with Engine() as dead, Engine() as successor:
        use(dead, view)
        dead.open(4, room=1)
        dead.run(3)
        last = dead.sent(4)[-1]
        dead.wires.send = lambda: None  # type: ignore[method-assign] # killed in this very tick
        dead.run()
        successor.command(OpenLegs(legs=[handed(view, 4)]), fds=2)
        successor.run()
        first = successor.sent(4)[0]
        assert first.sequence == (last.sequence + 2) & 0xFFFF
        assert first.timestamp == (last.timestamp + 2 * FRAME) & 0xFFFF_FFFF


def test_a_key_that_was_held_over_a_death_is_told_once(view: StateView) -> None:
    """The event's packets go on in the next process."""
    with Engine() as dead, Engine() as successor:
        use(dead, view)
        sender = dead.open(4, room=1)
        dead.run()
        talk(dead, 4, sender, 3)
        dead.feed(4, sender.key(5, 160, marker=True))
        dead.run()
        successor.command(OpenLegs(legs=[handed(view, 4)]), fds=2)
        successor.run()
        for duration in (320, 480):
            successor.feed(4, sender.key(5, duration))
            successor.run()
        for _ in range(3):
            successor.feed(4, sender.key(5, 640, ended=True))
        successor.run(3)
        assert len(dead.told(DigitPressed)) == 1
        assert successor.told(DigitPressed) == []


def test_a_play_goes_on_at_the_very_sample(view: StateView) -> None:
    """Prompts of several clips with silence between, and loops that were around already."""
    clips = [(0, 700), (-1, 300), (2000, 900)]
    samples = np.concatenate([BANK[:700], np.zeros(300, np.int16), BANK[2000:2900]])
    for skip in (0, 160, 699, 700, 860, 1000, 1280, 1899):
        with Engine(bank=BANK) as engine:
            engine.open(4)
            engine.command(Play(play=1, clips=clips, leg=4, skip=skip))
            engine.run(13)
            rest = samples[skip:]
            assert np.array_equal(engine.heard(4)[: len(rest)], coded(rest))
            assert [event.completed for event in engine.told(PlayFinished)] == [True]
        with Engine(bank=BANK) as engine:
            engine.open(4)
            engine.command(Play(play=1, clips=clips, leg=4, loop=True, skip=skip + 5 * 1900))
            engine.run(13)
            around = np.concatenate([samples, samples, samples])[skip:]
            heard = engine.heard(4)
            assert np.array_equal(heard, coded(around)[: len(heard)])


def test_a_play_that_was_over_is_told_so() -> None:
    """Nobody waits for it."""
    with Engine(bank=BANK) as engine:
        engine.open(4)
        engine.command(Play(play=1, clips=[(0, 700)], leg=4, skip=700))
        engine.run()
        assert [event.completed for event in engine.told(PlayFinished)] == [True]


def test_the_page_says_where_a_play_stands(view: StateView) -> None:
    """Which play, which clip, and what is left of it."""
    with Engine(bank=BANK) as engine:
        use(engine, view)
        engine.open(4)
        engine.command(Play(play=8, clips=[(0, 700), (900, 400)], leg=4))
        engine.command(Play(play=9, clips=[(0, 4000)], leg=4, loop=True))
        engine.run(6)
        record = view.read().legs[4]
        assert (record["foreground.play"], record["foreground.clip"]) == (8, 1)
        assert record["foreground.left"] == 1100 - 6 * FRAME
        assert (record["background.play"], record["background.left"]) == (9, 4000)
        engine.command(StopPlay(leg=4))
        engine.run()
        assert view.read().legs[4]["foreground.play"] == 0


def test_place_and_plays_come_with_the_leg(view: StateView) -> None:
    """In the first tick it hears what it is to hear, and is heard where it may speak."""
    with Engine(bank=BANK) as dead, Engine(bank=BANK) as successor:
        use(dead, view)
        one, two = dead.open(4, room=1), dead.open(5, room=1)
        dead.run()
        talk(dead, 4, one, 3)
        talk(dead, 5, two, 3)
        music = Play(play=6, clips=[(0, 3200)], leg=5, loop=True, mode="mix")
        legs = [
            handed(view, 4, speaks=True),
            handed(view, 5, plays=[music], speaks=False, hears=False),
        ]
        successor.command(OpenLegs(legs=legs), fds=4)
        successor.run(2)
        assert np.array_equal(successor.heard(5), coded(BANK[: 2 * FRAME]))
        assert successor.state.seating.speakers == 1


def test_a_leg_that_is_given_says_nothing_more() -> None:
    """No BYE, no word of its plays or its end, but its record; its sockets are closed."""
    with Engine(bank=BANK) as engine:
        engine.open(4, room=1)
        engine.command(Play(play=6, clips=[(0, 3200)], leg=4))
        engine.run(3)
        row = engine.row(4)
        engine.command(GiveLegs(legs=[4, 77]))
        engine.run()
        given = {event.leg: event for event in engine.told(LegGiven)}
        assert given[77].record == b""
        assert given[4].at == NOW - 0.02
        assert not engine.told(PlayFinished)
        assert not engine.told(LegClosed)
        assert engine.state.legs.row_of == {}
        assert len(engine.state.rooms) == 0
        assert not any(read_compound(packet).left for packet in engine.wires.rtcp_sent[row])


def test_a_given_leg_can_be_opened_elsewhere_from_its_record() -> None:
    """Number and time stamp go on by one frame: no far end can tell."""
    with Engine() as old, Engine() as new:
        old.open(4, room=1)
        old.run(5)
        last = old.sent(4)[-1]
        old.command(GiveLegs(legs=[4]))
        old.run()
        (given,) = old.told(LegGiven)
        media = LegMedia(codec="PCMU", payload_type=0, remote_rtp=("192.0.2.1", 4000))
        leg = HandedLeg(
            opened=OpenLeg(leg=4, media=media, ssrc=4, cname="c"),
            record=given.record,
            at=given.at,
        )
        new.command(OpenLegs(legs=[leg]), fds=2)
        new.run()
        (first,) = new.sent(4)
        assert first.sequence == last.sequence + 1
        assert first.timestamp == last.timestamp + FRAME


@pytest.mark.parametrize("record", [b"", b"of another version"])
def test_a_leg_without_a_record_is_opened_as_new(record: bytes) -> None:
    """A process that died before its first tick had sent nothing."""
    with Engine() as engine:
        media = LegMedia(codec="PCMU", payload_type=0, remote_rtp=("192.0.2.1", 4000))
        opened = OpenLeg(leg=4, media=media, ssrc=4, cname="c", sequence=7, timestamp=800)
        engine.command(OpenLegs(legs=[HandedLeg(opened=opened, record=record)]), fds=2)
        engine.run()
        (first,) = engine.sent(4)
        assert (first.sequence, first.timestamp) == (7, 800)


def test_legs_with_too_few_sockets_are_refused_and_the_sockets_closed(view: StateView) -> None:
    """All of them: whose are whose is not known."""
    with Engine() as engine:
        use(engine, view)
        engine.open(4)
        engine.run()
        legs = [handed(view, 4), handed(view, 4)]
        engine.command(OpenLegs(legs=legs), fds=3)
        engine.run()
        assert engine.counters.descriptors_lost == 3
        assert len(engine.told(EngineError)) == 2


def test_hundreds_at_once_find_room_and_a_page(view: StateView) -> None:
    """Tables and page grow once, and every leg is there in the same tick."""
    with Engine() as dead, Engine() as successor:
        use(dead, view)
        for leg in range(1, 101):
            dead.open(leg, room=leg % 7 + 1)
        dead.run(3)
        assert len(view.read().legs) == 100
        legs = [handed(view, leg, room=leg % 7 + 1) for leg in range(1, 101)]
        after = StateView()
        use(successor, after)
        successor.command(OpenLegs(legs=legs), fds=200)
        successor.run()
        assert after.read().legs.keys() == view.read().legs.keys()
        assert all(len(successor.sent(leg)) == 1 for leg in range(1, 101))
        after.close()


def test_a_successor_takes_all_legs_before_it_ticks_for_any(view: StateView) -> None:
    """Control sends them by hundreds, and may be kept from its core between two of these."""
    with Engine() as dead, Engine() as successor:
        use(dead, view)
        for leg in (4, 5):
            dead.open(leg, room=1)
        dead.run()

        def bring(leg: int, more: int) -> None:
            successor.command(OpenLegs(legs=[handed(view, leg)], more=more), fds=2)

        bring(4, 1)
        later = threading.Timer(0.05, bring, (5, 0))
        later.start()
        successor.run()
        later.join()
        assert [len(successor.sent(leg)) for leg in (4, 5)] == [1, 1]


def test_legs_that_do_not_follow_are_not_waited_for_for_ever(view: StateView) -> None:
    """Control may have died between two hundreds."""
    with Engine() as dead, Engine() as successor:
        use(dead, view)
        dead.open(4, room=1)
        dead.run()
        successor.command(OpenLegs(legs=[handed(view, 4)], more=3), fds=2)
        successor.run(2)
        assert len(successor.sent(4)) == 2
        successor.control.close()
        successor.run()
        assert successor.state.ended


def test_a_process_that_has_legs_waits_for_none(
    view: StateView, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those it has would miss their tick."""
    with Engine() as dead, Engine() as other:
        use(dead, view)
        dead.open(4, room=1)
        dead.run()
        other.open(6, room=1)
        other.run()
        waits: list[float] = []
        monkeypatch.setattr(other.channel, "wait", waits.append)
        other.command(OpenLegs(legs=[handed(view, 4)], more=3), fds=2)
        other.run(2)
        assert [len(other.sent(leg)) for leg in (4, 6)] == [2, 3]
        for leg in (4, 6):
            other.command(CloseLeg(leg=leg))
        other.run(2)  # nor when these have gone, for what was to come then
        assert waits == []


def test_a_latched_source_need_not_prove_itself_again() -> None:
    """The kernel keeps the connection; who was quiet meanwhile is believed by the record."""
    with Engine() as engine:
        pair = open_pair(HOST, 20000, 29999)
        phone = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        phone.bind((HOST, 0))
        source = (HOST, int(phone.getsockname()[1]))
        media = LegMedia(codec="PCMU", payload_type=0, remote_rtp=("192.0.2.1", 4000))
        try:
            for connected in (True, False):
                if connected:
                    pair.rtp.connect(source)
                packets = PacketRows(OwnSockets.rows_for(4))
                sockets = OwnSockets(4, engine.counters, engine.state.leg_counters, packets)
                fds = [os.dup(pair.rtp.fileno()), os.dup(pair.rtcp.fileno())]
                sockets.open(0, media, fds, None if connected else source)
                assert sockets.known(0) == source
                phone.sendto(Rtp(9, 160, still()).pack(), (HOST, pair.port))
                time.sleep(0.01)
                sockets.receive(1, engine.state.plain)
                assert packets.arrivals().rows.tolist() == [0]
                sockets._release(sockets._leg(0))
                sockets.close(0)
        finally:
            phone.close()
            pair.close()
    assert engine.told(SourceLatched) == []
