"""A media process seen from control: what it is told together, and whether it hangs."""

import asyncio
import socket
from typing import Any, cast

import msgspec
import numpy as np
import pytest

from bridge.media.client import MediaClient
from bridge.media.forks import Forks
from bridge.media.messages import CloseLeg, Configure
from bridge.media_process import LOOK_S, TOGETHER, MediaProcess, Silence

HANG_S = 0.3


def test_what_is_said_in_one_turn_of_the_loop_goes_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A key's hundreds of commands are a packet; more than a thousand are not kept back."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(0)
    theirs.settimeout(0)
    client = MediaClient(cast("Any", None), ours)

    def legs() -> list[int]:
        some = msgspec.msgpack.decode(theirs.recv(1 << 17), type=CloseLeg | list[CloseLeg])
        return [each.leg for each in (some if isinstance(some, list) else [some])]

    async def scene() -> None:
        monkeypatch.setattr(MediaClient, "fork", lambda *_: client)
        process = MediaProcess(np.zeros(8, np.int16), Configure(), print, print, Forks())
        await asyncio.sleep(0)
        theirs.recv(1 << 17)  # its page
        for leg in range(600):
            process.send(CloseLeg(leg=leg))
        with pytest.raises(BlockingIOError):
            theirs.recv(1 << 17)
        await asyncio.sleep(0)
        assert legs() == list(range(600))
        for leg in range(TOGETHER + 1):
            process.send(CloseLeg(leg=leg))
        assert legs() == list(range(TOGETHER))
        await asyncio.sleep(0)
        assert legs() == [TOGETHER]
        assert process.listens
        process._unwatch()
        process._view.close()

    asyncio.run(scene())
    for end in (ours, theirs):
        end.close()


def silence_of(looks: list[tuple[float, float, float]]) -> float:
    """Return the silence after looks: time passed, of the last tick, waited for a core."""
    silence, now = Silence(0.0), 0.0
    found = 0.0
    for passed, ticked_at, waited in looks:
        now += passed
        found = silence.look(now, ticked_at, waited)
    return found


def test_a_process_that_ticks_is_not_silent() -> None:
    """However long it takes."""
    assert silence_of([(LOOK_S, at * LOOK_S, 0.0) for at in range(100)]) == 0


def test_a_process_that_stops_is_seen() -> None:
    """After as long as it may."""
    looks = [(LOOK_S, 1.0, 0.0)] * 8
    assert abs(silence_of(looks) - 7 * LOOK_S) < 1e-9


def test_a_stall_of_who_looks_is_not_the_process_s() -> None:
    """The machine stood for five seconds: that proves nothing."""
    looks = [(LOOK_S, 1.0, 0.0), (5.0, 1.0, 0.0)]
    assert silence_of(looks) == 2 * LOOK_S
    assert silence_of([*looks, (LOOK_S, 1.1, 0.0)]) == 0


def test_who_waits_for_a_core_does_not_hang() -> None:
    """The kernel says so; a stopped process waits for nothing."""
    starved = [(LOOK_S, 1.0, at * LOOK_S) for at in range(100)]
    assert silence_of(starved) < LOOK_S
    half = [(LOOK_S, 1.0, at * LOOK_S / 2) for at in range(100)]
    assert silence_of(half) > HANG_S


def test_the_tick_that_opens_hundreds_of_legs_is_forgiven() -> None:
    """And no more than that one."""
    silence = Silence(0.0)
    silence.look(LOOK_S, 1.0, 0.0)
    silence.forgive(1.0)
    seen = [silence.look((2 + at) * LOOK_S, 1.0, 0.0) for at in range(40)]
    assert [each > HANG_S for each in seen] == [
        (at + 1) * LOOK_S - 1.0 > HANG_S for at in range(40)
    ]
