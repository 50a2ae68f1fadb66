"""Hold and resume: who is put on hold hears nothing wrong, the others hear nothing of it at all."""

import time

import numpy as np
import pytest

from tests.support.bridge_under_test import BridgeUnderTest
from tests.support.caller import Caller
from tests.support.signals import heard, level_dbfs, voice

pytestmark = pytest.mark.e2e

SETTINGS = {"DIALIN_MEDIA__QUIET_PROBE_S": "5"}
HOLD_S = 7.0
"""Longer than the bridge's patience with silence: a call on hold is not asked and not ended."""


@pytest.mark.parametrize(
    ("direction", "old_way", "expected"),
    [
        ("sendonly", False, "recvonly"),
        ("inactive", False, "inactive"),
        ("sendrecv", True, None),
    ],
    ids=["sendonly", "inactive", "null address"],
)
def test_call_on_hold_is_silent_for_all_and_comes_back(
    bridge: BridgeUnderTest, direction: str, expected: str | None, *, old_way: bool
) -> None:
    """The leg stays, the room hears nothing of the holding phone's music, and both talk again."""
    room = bridge.room(chimes=False)
    holder, other = bridge.caller("holder"), bridge.caller("other")
    bridge.bring_in(room, holder, other)
    answer = holder.hold(direction, old_way=old_way)
    assert answer.status == 200
    if expected is not None:
        assert f"a={expected}" in answer.body
    # A private exchange goes on sending while it holds: its music, which nobody wants to hear.
    holder.stream.sending = True
    music = voice("music of the exchange", HOLD_S)
    began = time.monotonic()
    holder.say(music)
    time.sleep(1.0)
    words_began, words = other.speak()
    time.sleep(max(0.0, began + HOLD_S - time.monotonic()))
    during = other.recording(began, time.monotonic()).samples
    assert not heard(during, music[:16000]).heard
    assert level_dbfs(during) < -60
    # Nothing is sent to a phone that does not listen (RFC 3264, 8.4).
    to_holder = holder.recording(began + 0.5).samples
    assert not heard(to_holder, words).heard
    assert bridge.people(room) == 2
    assert holder.ended_by is None
    assert holder.requests_seen("OPTIONS") == []

    holder.stream.drain()
    answer = holder.resume()
    assert answer.status == 200
    assert "a=sendrecv" in answer.body
    time.sleep(0.3)
    assert holder.heard_of(*other.speak()).match.heard
    assert other.heard_of(*holder.speak()).match.heard
    # What was said during the hold is not told afterwards.
    assert not heard(holder.recording(words_began).samples, words).heard


def test_update_moves_the_sound_to_another_port(bridge: BridgeUnderTest) -> None:
    """An UPDATE with another port (RFC 3311): both directions go on from there."""
    room = bridge.room(chimes=False)
    mover, stays = bridge.caller("mover"), bridge.caller("stays")
    bridge.bring_in(room, mover, stays)
    with_new_port = Caller(bridge.address, "unused")
    try:
        mover.stream.sending = False
        moved = mover.stream = with_new_port.stream
        answer = mover.ask("UPDATE", body=mover.offer().pack())
        assert answer.status == 200
        assert mover.peer is not None
        moved.start((mover.peer.host, mover.peer.port))
        time.sleep(1.0)
        assert stays.heard_of(*mover.speak()).match.heard
        assert mover.heard_of(*stays.speak()).match.heard
        assert not np.any(np.diff([item.at for item in moved.arrived[10:]]) > 1.0)
    finally:
        with_new_port.close()


def test_muted_phone_listens_on(bridge: BridgeUnderTest) -> None:
    """`recvonly` is no hold: the caller still hears the others."""
    room = bridge.room(chimes=False)
    muted, other = bridge.caller("muted"), bridge.caller("other")
    bridge.bring_in(room, muted, other)
    answer = muted.reinvite(direction="recvonly")
    assert answer.status == 200
    assert "a=sendonly" in answer.body
    assert muted.heard_of(*other.speak()).match.heard
