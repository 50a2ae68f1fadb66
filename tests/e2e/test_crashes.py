"""A process dies without a word: what callers notice, and what the next start puts right."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.support.bridge_under_test import BridgeUnderTest

pytestmark = pytest.mark.e2e


def test_media_process_killed_and_the_callers_talk_on(tmp_path: Path) -> None:
    """SIGKILL in the middle of a sentence: no call ends, after a gap the two hear each other."""
    with BridgeUnderTest(tmp_path / "data") as bridge:
        bridge.add_number()
        room, lobby = bridge.room(chimes=False), bridge.room(start="on_host")
        one, two, waits = (bridge.caller(name) for name in ("one", "two", "waits"))
        bridge.bring_in(room, one, two)
        waits.dial(bridge.number)
        since = waits.press(lobby.guest_pin)
        waits.hears("first_in", since=since)
        old = bridge.operate("status")["media"]["pid"]
        one.speak(0.5)
        killed = time.monotonic()
        os.kill(old, signal.SIGKILL)

        def is_replaced() -> bool:
            media = bridge.operate("status")["media"]
            return media["pid"] not in {old, None} and media["replaced"] == 1

        bridge.wait_until(is_replaced, 10, "another media process")
        bridge.wait_until(
            lambda: one.stream.arrived[-1].at > killed + 0.1, 15, "sound of the new process"
        )
        time.sleep(0.5)
        assert two.heard_of(*one.speak()).match.correlation > 0.8
        assert one.heard_of(*two.speak()).match.correlation > 0.8
        # Who waits goes on hearing the music, and can still key and hang up.
        waits.hears_music(since=time.monotonic())
        assert [person.ended_by for person in (one, two, waits)] == [None] * 3
        assert bridge.people(room) == 2
        since = two.press("*#")
        two.hears("count_speakers.2", since=since)
        for person in (one, two, waits):
            person.hang_up()
        leg = bridge.leg_of(one)
        # What the dead process had counted is in the record too: over ten seconds of packets.
        assert leg["packets_rx"] > 400
        assert [line["reason"] for line in bridge.log() if line["event"].startswith("media proc")]


def test_control_process_killed_and_the_next_start_puts_the_records_right(tmp_path: Path) -> None:
    """SIGKILL: no media process stays; the next start closes the rows, says so, and answers."""
    first = BridgeUnderTest(tmp_path / "data").start()
    try:
        first.add_number()
        room = first.room()
        inside, door = first.caller("inside"), first.caller("door")
        first.bring_in(room, inside)
        door.dial(first.number)
        time.sleep(2.5)
        first.kill()
        first.wait_until(lambda: not first.processes(), 10, "the media process to follow")
    finally:
        first.clear_away()
    second = BridgeUnderTest(tmp_path / "data")
    second.private |= first.private
    with second:
        said = [line for line in second.log() if "left open" in line["event"]]
        assert [(line["legs"], line["sessions"]) for line in said] == [(2, 1)]
        for person in (inside, door):
            leg = second.leg_of(person)
            assert leg["cause"] == "bridge_crashed"
            # The last heartbeat, a second or two before the kill.
            assert 0 < leg["duration_s"] < 15
        assert second.operate("cdr.sessions")[0]["ended_at"] is not None
        assert second.operate("cdr.legs", still_open=True) == []
        again = second.caller("again").slip_in(second.number, room.guest_pin)
        assert second.people(room) == 1
        again.hang_up()
    # The dead bridge's callers still have their sockets.
    for person in (inside, door):
        person.vanish()
        person.stream.close()
