"""How a line sounded stands in the call's record: what was lost, and what a phone reports."""

import struct
import threading
import time
from collections.abc import Iterable
from typing import Self

import numpy as np
import pytest

from bridge.media.emodel import G711, burst_ratio, mos, rating
from bridge.media.rtcp import read_compound
from tests.support.bridge_under_test import BridgeUnderTest
from tests.support.caller import Caller
from tests.support.rtp import Packet

pytestmark = pytest.mark.e2e

BAD_S = 11.0
"""More than two looks of five seconds."""

RUN = 3
EVERY = 30
"""Every so many packets a run of three is lost: 10 %."""


class Losing:
    """A line that loses runs of packets by a written pattern."""

    def __init__(self) -> None:
        self.begun: int | None = None
        self.lost = 0
        self.bursts = 0

    def __call__(self, packet: Packet) -> Iterable[Packet]:
        """Let a packet through, or not."""
        if self.begun is None:
            self.begun = packet.sequence
        place = ((packet.sequence - self.begun) & 0xFFFF) % EVERY
        if EVERY // 2 <= place < EVERY // 2 + RUN:
            self.lost += 1
            self.bursts += place == EVERY // 2
            return []
        return [packet]


class Reporting:
    """A phone's RTCP: every second it says that it lost a twentieth of what came."""

    def __init__(self, person: Caller) -> None:
        self._person = person
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.told_lost = 0

    def _run(self) -> None:
        stream = self._person.stream
        while not self._ended.wait(1.0):
            if not stream.arrived or stream.remote is None:
                continue
            heard = stream.arrived[-1].packet
            self.told_lost = len(stream.arrived) // 20
            stamp, delay = 0, 0
            if stream.rtcp_arrived:
                at, data = stream.rtcp_arrived[-1]
                stamp, delay = read_compound(data).ntp or 0, round((time.monotonic() - at) * 65536)
            said = struct.pack("!BBHI", 0x81, 201, 7, stream.ssrc) + struct.pack(
                "!IIIIII", heard.ssrc, 13 << 24 | self.told_lost, heard.sequence, 40, stamp, delay
            )
            stream.rtcp.sendto(said, (stream.remote[0], stream.remote[1] + 1))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()


def test_a_bad_line_is_in_its_record_and_not_in_the_others(bridge: BridgeUnderTest) -> None:
    """Loss and its runs to the packet, a rating of just that, the log once; the other is clean."""
    room = bridge.room(chimes=False)
    bad, good = bridge.caller("bad"), bridge.caller("good")
    bridge.bring_in(room, bad, good)
    line = Losing()
    bad.stream.fault = line
    with Reporting(bad) as reports:
        time.sleep(BAD_S)
        shown = {each["mos"] is not None for each in bridge.operate("status")["running_calls"]}
        told = reports.told_lost
    bad.stream.fault = None
    time.sleep(0.5)
    for person in (bad, good):
        person.hang_up()
    worse, better = bridge.leg_of(bad), bridge.leg_of(good)
    assert line.bursts > 10
    assert (worse["lost"], worse["bursts"]) == (line.lost, line.bursts)
    expected = worse["packets_rx"] + worse["lost"]
    ratio = burst_ratio(*(np.array([float(x)]) for x in (line.lost, line.bursts, expected)))
    loss = np.array([100 * (line.lost + worse["late"]) / expected])
    delay = np.array([20 + 10 + worse["playout_median_ms"] + worse["rtt_ms"] / 2])
    r = rating(delay, loss, ratio, np.array([G711.ie]), np.array([G711.bpl]))
    assert worse["r_factor"] == pytest.approx(float(r[0]), abs=0.2)
    assert worse["mos"] == pytest.approx(float(mos(r)[0]), abs=0.02)
    assert worse["mos_worst"] < worse["mos"] - 0.1
    assert worse["remote_lost"] >= told > 0
    assert worse["remote_jitter_ms"] == 5.0
    assert 3.5 < worse["remote_mos"] < 4.2  # 5 % lost
    assert 0 <= worse["rtt_ms"] <= worse["rtt_max_ms"]
    assert worse["jitter_max_ms"] >= worse["jitter_ms"] >= 0
    assert worse["playout_ms"] >= worse["playout_median_ms"] > 0
    # Nothing of it is the other's, whose phone reports nothing.
    assert (better["lost"], better["bursts"]) == (0, 0)
    assert better["mos"] > 4.1
    assert better["remote_mos"] is better["remote_lost"] is better["rtt_ms"] is None
    assert shown == {True}
    table = bridge.dialin("cdr", "legs", "--call", worse["call"]).stdout
    assert "MOS there" in table
    assert f"{worse['mos']:.1f}" in table.split()
    lines = [each for each in bridge.log() if each["event"] == "line has become bad"]
    assert [(each["direction"], each["call"]) for each in lines] == [("rx", worse["call"])]
    assert 5 < lines[0]["lost_percent"] < 15


def test_a_phone_gets_reports_and_a_goodbye(bridge: BridgeUnderTest) -> None:
    """SR with a block about it, SDES with a name of chance, BYE when it hangs up (RFC 3550)."""
    person, other = bridge.caller("one"), bridge.caller("two")
    room = bridge.room(chimes=False)
    bridge.bring_in(room, person, other)
    person.wait_for(lambda: bool(person.stream.rtcp_arrived), 12, "a report")
    other.wait_for(lambda: bool(other.stream.rtcp_arrived), 12, "a report")
    names = set()
    for each in (person, other):
        data = each.stream.rtcp_arrived[0][1]
        report = read_compound(data)
        assert data[1] == 200
        assert [block.ssrc for block in report.blocks] == [each.stream.ssrc]
        assert report.ssrc == each.stream.arrived[-1].packet.ssrc
        at = 4 * (struct.unpack_from("!H", data, 2)[0] + 1)
        assert data[at + 1] == 202
        assert data[at + 8] == 1  # CNAME, and nothing else
        length = data[at + 9]
        names.add(data[at + 10 : at + 10 + length])
        assert data[at + 10 + length] == 0
        assert length == 16
    assert len(names) == 2
    person.hang_up()
    person.wait_for(
        lambda: bool(read_compound(person.stream.rtcp_arrived[-1][1]).left), 5, "an RTCP BYE"
    )
