"""A process dies without a word: what callers notice, and what the next start puts right."""

import itertools
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.bridge_under_test import BridgeUnderTest

pytestmark = pytest.mark.e2e

FEW = "1017"
"""A number that takes one call at once."""


@pytest.mark.parametrize(
    ("number", "reason"), [(signal.SIGKILL, "died"), (signal.SIGSTOP, "hangs")]
)
@pytest.mark.parametrize("processes", ["1", "2"])
def test_media_process_lost_and_the_callers_talk_on(
    tmp_path: Path, number: int, reason: str, processes: str
) -> None:
    """Killed or stopped in the middle of a sentence: no call ends, the same streams go on."""
    settings = {"DIALIN_MEDIA__PROCESSES": processes}
    with BridgeUnderTest(tmp_path / "data", settings) as bridge:
        bridge.add_number()
        room, lobby = bridge.room(chimes=False), bridge.room(start="on_host")
        one, two, waits = (bridge.caller(name) for name in ("one", "two", "waits"))
        # With two processes the first and the second begin in different ones, and meet in one.
        bridge.bring_in(room, one, two)
        waits.dial(bridge.number)
        since = waits.press(lobby.guest_pin)
        waits.hears("first_in", since=since)

        def media() -> dict[str, Any]:
            found: dict[str, Any] = bridge.operate("status")["media"]
            return found

        bridge.wait_until(lambda: media()["spares"], 10, "a spare process")
        processes_now = media()["processes"]
        assert len(processes_now) == int(processes)
        busiest = max(processes_now, key=lambda each: (each["rooms"], each["legs"]))
        assert busiest["legs"] >= 2
        one.speak(0.5)
        lost = time.monotonic()
        os.kill(busiest["pid"], number)
        bridge.wait_until(lambda: media()["replaced"] == 1, 10, "another media process")
        assert busiest["pid"] not in bridge.processes()
        bridge.wait_until(
            lambda: one.stream.arrived[-1].at > lost + 0.1, 15, "sound of the new process"
        )
        time.sleep(0.5)
        assert two.heard_of(*one.speak()).match.clear
        assert one.heard_of(*two.speak()).match.clear
        # Who waits goes on hearing the music, and can still key and hang up.
        waits.hears_music(since=time.monotonic())
        assert [person.ended_by for person in (one, two, waits)] == [None] * 3
        assert bridge.people(room) == 2
        since = two.press("*#")
        two.hears("count_speakers.2", since=since)
        for person in (one, two, waits):
            packets = [arrived.packet for arrived in person.stream.arrived]
            assert len({packet.ssrc for packet in packets}) == 1
            steps = [(b.sequence - a.sequence) & 0xFFFF for a, b in itertools.pairwise(packets)]
            # One number may be left out: of a packet that was never sent.
            assert set(steps) <= {1, 2}
            person.hang_up()
        leg = bridge.leg_of(one)
        # What the lost process had counted is in the record too: over ten seconds of packets.
        assert leg["packets_rx"] > 400
        said = [line for line in bridge.log() if line["event"] == "media process replaced"]
        assert [line["reason"] for line in said] == [reason]


def test_control_process_killed_and_the_next_start_puts_the_records_right(tmp_path: Path) -> None:
    """SIGKILL: no media process stays; the next start closes the rows, says so, and answers."""
    first = BridgeUnderTest(tmp_path / "data").start()
    try:
        first.add_number()
        room = first.room()
        inside, door = first.caller("inside"), first.caller("door")
        first.bring_in(room, inside)
        door.dial(first.number)
        # This one takes no more calls.
        first.operate("number.add", number=FEW, language="en", call_limit=1)
        few = first.caller("few").dial(FEW)
        busy = first.caller("busy")
        assert busy.try_to_dial(FEW).status == 486
        time.sleep(2.5)
        first.kill()
        first.wait_until(lambda: not first.processes(), 10, "the media process to follow")
    finally:
        first.clear_away()
    second = BridgeUnderTest(tmp_path / "data")
    second.private |= first.private
    with second:
        said = [line for line in second.log() if "left open" in line["event"]]
        assert [(line["legs"], line["sessions"]) for line in said] == [(3, 1)]
        for person in (inside, door, few):
            leg = second.leg_of(person)
            assert leg["cause"] == "bridge_crashed"
            # The last heartbeat, a second or two before the kill.
            assert 0 < leg["duration_s"] < 15
        assert second.operate("cdr.sessions")[0]["ended_at"] is not None
        assert second.operate("cdr.legs", still_open=True) == []
        again = second.caller("again").slip_in(second.number, room.guest_pin)
        assert second.people(room) == 1
        # The dead bridge's calls hold no place at their numbers.
        other = second.caller("other").dial(FEW)
        for person in (again, other):
            person.hang_up()
    # The dead bridge's callers still have their sockets.
    for person in (inside, door, few):
        person.vanish()
        person.stream.close()
