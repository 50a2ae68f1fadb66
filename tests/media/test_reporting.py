"""RTCP through whole ticks: what is taken, what is counted and dropped, what is said."""

import struct
import time
from types import SimpleNamespace

import numpy as np
import pytest

from bridge.media import reporting
from bridge.media.messages import (
    CloseLeg,
    HandedLeg,
    LegClosed,
    LegMedia,
    LegStatistics,
    OpenLeg,
    OpenLegs,
    QualityDropped,
    QualityRecovered,
)
from bridge.media.reporting import TURN_TICKS
from bridge.media.rtcp import ntp_time, read_compound
from tests.media.engine import Engine, Rtp, Sender, still

ROUND = 250
"""Ticks in which each leg is looked at and told once."""


def report(
    ssrc: int, about: int, *, lost: int = 0, fraction: int = 0, jitter: int = 0, left: bool = False
) -> bytes:
    """Return a receiver's report with one block, packed without the bridge's help."""
    block = struct.pack("!IIIIII", about, fraction << 24 | lost & 0xFFFFFF, 0, jitter, 0, 0)
    data = struct.pack("!BBHI", 0x81, 201, 7, ssrc) + block
    return data + (struct.pack("!BBHI", 0x81, 203, 1, ssrc) if left else b"")


def talk(engine: Engine, sender: Sender, ticks: int, *, lost: int = 0, leg: int = 1) -> None:
    """Let a leg send a packet a tick, of which one in so many is lost."""

    def arrive(number: int) -> None:
        packet = sender.audio(still())
        if not lost or number % lost:
            engine.feed(leg, packet)

    engine.run(ticks, arrive)


def test_rtp_on_the_rtcp_port_is_counted_and_dropped() -> None:
    """It is neither heard nor read as a report, and is not taken for a broken one."""
    with Engine() as engine:
        sender = engine.open(1, room=1)
        engine.run()
        talk(engine, sender, 3)
        before = engine.state.sequences.received[engine.row(1)]
        for _ in range(3):
            engine.wires.rtcp_waiting.append((engine.row(1), sender.audio(still()).pack()))
        engine.run(TURN_TICKS)
        assert (engine.counters.rtp_on_rtcp, engine.counters.rtcp_malformed) == (3, 0)
        assert engine.state.sequences.received[engine.row(1)] == before


def test_rtcp_on_the_rtp_port_is_counted_and_dropped() -> None:
    """Nobody hears it, and it disturbs no sequence."""
    with Engine() as engine:
        sender = engine.open(1, room=1)
        engine.run()
        talk(engine, sender, 3)
        for data in (report(sender.ssrc, 1), report(sender.ssrc, 1, left=True)):
            engine.feed(1, data)
        engine.run()
        row = engine.row(1)
        counts = engine.state.leg_counters.of(row)
        assert (counts["rtcp_on_rtp"], counts["malformed"], counts["wrong_payload"]) == (2, 0, 0)
        assert engine.state.sequences.received[row] == 3
        assert not engine.state.reports.remote_fraction[row] >= 0


@pytest.mark.parametrize("words", [0, 1, 6, 8, 9, 0x7FFF, 0xFFFF])
def test_a_report_whose_length_lies_changes_nothing(words: int) -> None:
    """Too long, too short for its block, or not at the end of the datagram."""
    with Engine() as engine:
        sender = engine.open(1)
        engine.run()
        data = report(sender.ssrc, 1, lost=5, fraction=9)
        engine.wires.rtcp_waiting.append(
            (engine.row(1), data[:2] + struct.pack("!H", words) + data[4:])
        )
        engine.run(TURN_TICKS)
        assert engine.counters.rtcp_malformed == 1
        assert engine.state.reports.remote_lost[engine.row(1)] == 0


def test_who_sends_with_our_source_gets_a_bye_and_another_source_once() -> None:
    """RFC 3550 section 8.2; the number goes on, marked, and a circle does not turn for ever."""
    with Engine() as engine:
        sender = engine.open(1)
        sender.ssrc = 1  # what the engine was told to send with
        engine.run(3)
        engine.sent(1)
        talk(engine, sender, 3)
        goodbyes = [read_compound(data) for data in engine.wires.rtcp_sent[engine.row(1)]]
        assert [each.left for each in goodbyes] == [(1,)]
        *_, old, new = engine.sent(1)
        assert old.ssrc == new.ssrc != 1
        own = new.ssrc
        # Whatever is sent comes back: told once, then left alone.
        sender.ssrc = own
        talk(engine, sender, 10)
        assert {packet.ssrc for packet in engine.sent(1)} == {own}
        assert len(engine.wires.rtcp_sent[engine.row(1)]) == 1
        assert engine.counters.ssrc_collisions >= 2
        engine.command(CloseLeg(leg=1))
        row = engine.row(1)
        engine.run()
        assert read_compound(engine.wires.rtcp_sent[row][-1]).left == (own,)


def test_our_own_report_that_comes_back_is_no_report() -> None:
    """It would have us measure ourselves; it is a collision too."""
    with Engine() as engine:
        engine.open(1)
        engine.run()
        engine.wires.rtcp_waiting.append((engine.row(1), report(1, 1, lost=77, fraction=200)))
        engine.run(TURN_TICKS)
        assert engine.state.reports.remote_lost[engine.row(1)] == 0
        assert engine.counters.ssrc_collisions == 1
        assert engine.state.outgoing.ssrc[engine.row(1)] != 1


def test_a_source_changed_once_is_what_a_successor_sends_with() -> None:
    """The record, not what the leg was opened with, says the SSRC."""
    with Engine() as old, Engine() as new:
        sender = old.open(4)
        sender.ssrc = 4
        old.run()
        talk(old, sender, 3, leg=4)
        own = old.sent(4)[-1].ssrc
        assert own != 4
        media = LegMedia(codec="PCMU", payload_type=0, remote_rtp=("192.0.2.1", 4000))
        record = old.state.records(np.array([old.row(4)])).tobytes()
        opened = OpenLeg(leg=4, media=media, ssrc=4, cname="c")
        new.command(OpenLegs(legs=[HandedLeg(opened=opened, record=record)]), fds=2)
        new.run(2)
        assert {packet.ssrc for packet in new.sent(4)} == {own}


def test_a_source_that_died_without_a_record_gets_its_bye() -> None:
    """The far end need not wait for it to time out."""
    with Engine() as engine:
        media = LegMedia(codec="PCMU", payload_type=0, remote_rtp=("192.0.2.1", 4000))
        opened = OpenLeg(leg=1, media=media, ssrc=22, cname="c", former_ssrc=21)
        engine.command(OpenLegs(legs=[HandedLeg(opened=opened)]), fds=2)
        engine.run()
        (said,) = engine.wires.rtcp_sent[engine.row(1)]
        assert read_compound(said).left == (21,)


def test_nobody_says_goodbye_who_never_sent() -> None:
    """A leg that closes before its first packet, for its address was not known."""
    with Engine() as engine:
        engine.open(1, remote_rtp=None)
        engine.run()
        row = engine.row(1)
        engine.command(CloseLeg(leg=1))
        engine.run()
        assert engine.wires.rtcp_sent[row] == []


def test_reports_come_with_a_random_pause_and_in_their_order() -> None:
    """A minute of a call: a dozen reports, each SR, SDES with the CNAME alone."""
    with Engine() as engine:
        sender = engine.open(1)
        engine.run()
        reports = engine.state.reports
        row = engine.row(1)
        for _ in range(12):
            reports.said_at[row] = reports.due[row] = -100.0
            talk(engine, sender, 5)
        said = engine.wires.rtcp_sent[row]
        assert len(said) == 12
        for data in said:
            (words,) = struct.unpack_from("!H", data, 2)
            assert (data[1], data[0] & 31) == (200, 1)
            description = data[4 * words + 4 :]
            assert description[1] == 202
            assert description[8:11] == b"\x01\x01c"
            assert len(description) == 12


def test_a_line_that_becomes_bad_is_told_once_and_again_when_it_is_good() -> None:
    """Every fifth packet is lost for five seconds; statistics say what the record will."""
    with Engine() as engine:
        sender = engine.open(1, room=1)
        engine.run()
        talk(engine, sender, ROUND)
        assert engine.told(QualityDropped) == []
        talk(engine, sender, 2 * ROUND, lost=5)
        (dropped,) = engine.told(QualityDropped)
        assert (dropped.leg, dropped.direction) == (1, "rx")
        assert dropped.lost_percent == pytest.approx(20, abs=2)
        assert 1 < dropped.mos < 3
        talk(engine, sender, 2 * ROUND)
        (recovered,) = engine.told(QualityRecovered)
        assert recovered.mos > 4
        now = engine.told(LegStatistics)[-1]
        assert now.mos_now is not None
        assert now.mos_worst is not None
        assert now.mos_now > 4.2
        assert now.mos_worst == pytest.approx(dropped.mos, abs=0.1)
        engine.command(CloseLeg(leg=1))
        engine.run()
        last = engine.told(LegClosed)[0].statistics
        assert last.bursts == last.lost == 2 * ROUND // 5
        assert last.r_factor is not None
        assert last.mos is not None
        assert now.mos_worst < last.mos < now.mos_now
        assert last.remote_mos is None


def test_what_the_far_end_reports_is_kept_apart_from_what_is_seen() -> None:
    """Half of our packets are lost on their way: the leg hears badly, and is heard well."""
    with Engine() as engine:
        sender = engine.open(1, room=1)
        engine.run()
        talk(engine, sender, ROUND)
        bad = report(sender.ssrc, 1, lost=125, fraction=128, jitter=80)
        engine.wires.rtcp_waiting.append((engine.row(1), bad))
        talk(engine, sender, ROUND + 2)
        (dropped,) = engine.told(QualityDropped)
        assert (dropped.direction, dropped.lost_percent) == ("tx", 50)
        assert dropped.jitter_ms == 10
        told = engine.told(LegStatistics)[-1]
        assert (told.lost, told.remote_lost, told.remote_jitter_ms) == (0, 125, 10)
        assert told.mos is not None
        assert told.remote_mos_now is not None
        assert told.mos > 4.2
        assert told.remote_mos_now < 2.5


def test_what_a_report_waited_for_the_tick_is_no_part_of_the_round_trip(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The kernel's time of arrival counts, both for the round trip and for our echo of theirs."""
    wall = 1_764_000_000.5
    monkeypatch.setattr(reporting, "time", SimpleNamespace(time=lambda: wall))
    for arrived, expected in ((wall - 0.015, 85), (wall + 3, 100), (wall - 90, 100), (np.nan, 100)):
        with Engine() as engine:
            sender = engine.open(1)
            engine.run(TURN_TICKS)
            talk(engine, sender, 3)
            row = engine.row(1)
            seconds, fraction = ntp_time(wall - 0.1)
            ours = (seconds & 0xFFFF) << 16 | fraction >> 16
            block = struct.pack("!IIIIII", 1, 0, 0, 0, ours, 0)
            head = struct.pack("!BBHIIIIII", 0x81, 200, 12, sender.ssrc, 7, 9, 0, 0, 0)
            engine.wires.rtcp_arrived = arrived
            engine.wires.rtcp_waiting.append((row, head + block))
            before = time.monotonic()
            engine.run(TURN_TICKS)
            assert engine.state.reports.rtt[row, 0] == pytest.approx(expected, abs=0.1)
            held = engine.state.reports.last_sr_at[row] - (expected - 100) / 1000
            assert before <= held <= time.monotonic()


def test_garbage_on_either_port_ends_no_stage() -> None:
    """Packets cut at every length, on both ports; `Engine` sees that no stage failed."""
    with Engine() as engine:
        sender = engine.open(1)
        engine.run()
        whole = report(sender.ssrc, 1, left=True)
        plain = Rtp(1, 160, still()).pack()
        for data in (whole, plain):
            for length in range(len(data)):
                engine.wires.rtcp_waiting.append((engine.row(1), data[:length]))
                engine.feed(1, data[:length])
            engine.run(TURN_TICKS)
        assert engine.counters.rtcp_malformed + engine.counters.rtp_on_rtcp > 100
