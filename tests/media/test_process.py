"""The real media process, started as control starts it, with phones on real sockets."""

import os
import resource
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest

from bridge.media.__main__ import say_where
from bridge.media.client import MediaClient
from bridge.media.errors import MediaProcessEnded
from bridge.media.messages import (
    CloseLeg,
    Command,
    DigitPressed,
    EngineError,
    EngineStatistics,
    Event,
    Heartbeat,
    LegClosed,
    LegMedia,
    OpenLeg,
    Place,
    Play,
    PlayFinished,
    Ready,
    SourceLatched,
    Statistics,
)
from bridge.media.ports import open_pair
from tests.media.engine import PCM, Rtp, find, loud
from tests.support import g711
from tests.support.rtp import Digits, RtpStream
from tests.support.signals import heard, not_heard, voice

HOST = "127.0.0.1"
PATIENCE_S = 20.0
E = TypeVar("E")
BANK = loud(11, 100, peak=8000).reshape(-1)
"""Two seconds of noise, which µ-law carries exactly: heard, it can be found to the sample."""


class Process:
    """A media process, what it said, and its phones."""

    def __init__(self, bank: PCM | None = BANK) -> None:
        self.client = MediaClient.start(bank=bank)
        self.events: list[Event] = []
        self.phones: list[RtpStream] = []
        self.ports: dict[int, int] = {}

    def hear(self, seconds: float = 0.0) -> None:
        """Take what it says, for so long."""
        deadline = time.monotonic() + seconds
        while True:
            left = deadline - time.monotonic()
            if select.select([self.client], [], [], max(0.0, min(left, 0.05)))[0]:
                self.events += self.client.receive()
            if left <= 0:
                return

    def until(self, holds: Callable[[], object]) -> None:
        """Hear it until something holds."""
        deadline = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < deadline, [type(event).__name__ for event in self.events]
            self.hear(0.02)

    def told(self, kind: type[E]) -> list[E]:
        """Return the events of a kind."""
        return [event for event in self.events if isinstance(event, kind)]

    def wait(self, kind: type[E]) -> E:
        """Wait for the first event of a kind."""
        self.until(lambda: self.told(kind))
        return self.told(kind)[0]

    def leg(self, leg: int, room: int | None = None, *, payload_type: int = 0) -> RtpStream:
        """Open a leg to a new phone, which sends silence from now on."""
        phone = RtpStream(payload_type=payload_type)
        self.phones.append(phone)
        pair = open_pair(HOST, 30_000, 39_999)
        media = LegMedia(
            codec="PCMA" if payload_type else "PCMU",
            payload_type=payload_type,
            dtmf_payload_type=101,
            remote_rtp=(HOST, phone.port),
            remote_rtcp=(HOST, phone.port + 1),
        )
        command = OpenLeg(leg=leg, media=media, ssrc=leg, cname="test")
        self.client.send(command, (pair.rtp.fileno(), pair.rtcp.fileno()))
        pair.close()
        if room is not None:
            self.client.send(Place(leg=leg, room=room))
        self.ports[leg] = pair.port
        phone.start((HOST, pair.port))
        return phone

    def send(self, command: Command) -> None:
        """Say something to it."""
        self.client.send(command)

    def statistics(self) -> EngineStatistics:
        """Ask for its counters."""
        have = len(self.told(EngineStatistics))
        self.send(Statistics())
        self.until(lambda: len(self.told(EngineStatistics)) > have)
        return self.told(EngineStatistics)[-1]

    def close(self) -> None:
        """End everything."""
        for phone in self.phones:
            phone.close()
        self.client.close()


@pytest.fixture
def process() -> Iterator[Process]:
    """A process that ticks."""
    process = Process()
    try:
        process.wait(Ready)
        yield process
    finally:
        process.close()


def test_three_legs_hear_each_other_and_not_themselves(process: Process) -> None:
    """Each says something of its own, µ-law and A-law mixed; each hears the two others."""
    phones = {leg: process.leg(leg, 1, payload_type=8 * (leg == 2)) for leg in (1, 2, 3)}
    said = {leg: voice(f"speaker {leg}", 3.0) for leg in phones}
    process.until(lambda: len(process.told(SourceLatched)) == 3)
    for leg, phone in phones.items():
        phone.say(said[leg])
    for phone in phones.values():
        phone.drain()
    process.hear(0.5)
    for leg, phone in phones.items():
        recording = phone.recording().samples
        for other, words in said.items():
            if other == leg:
                assert not_heard(recording, words)
            else:
                assert heard(recording, words).heard
    assert process.statistics().counters["stage_faults"] == 0
    assert process.told(EngineError) == []


def test_the_process_is_not_told_our_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The master key may be among them, and whoever reads sound has no use for it."""
    monkeypatch.setenv("DIALIN_MASTER_KEY", "of the house")
    monkeypatch.setenv("OTHER", "stays")
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=7")
    process = Process()
    try:
        told = Path(f"/proc/{process.client.pid}/environ").read_bytes().split(b"\0")
    finally:
        process.close()
    assert b"OTHER=stays" in told
    assert b"OPENBLAS_NUM_THREADS=1" in told
    # glibc has cut it into its parts where it lies.
    assert any(each.startswith(b"GLIBC_TUNABLES=glibc.malloc.hugetlb=1") for each in told)
    assert not [each for each in told if each.startswith(b"DIALIN")]


def test_a_prompt_is_heard_to_the_sample(process: Process) -> None:
    """What the bank holds arrives whole and without a gap, and its end is told."""
    phone = process.leg(1)
    process.send(Play(play=4, clips=[(0, 8000), (8000, 8000)], leg=1))
    done = process.wait(PlayFinished)
    assert (done.play, done.completed, done.leg) == (4, True, 1)
    process.until(lambda: find(phone.recording().samples, BANK) >= 0)


@pytest.mark.parametrize(
    "how",
    [Digits(), Digits(markers=False), Digits(ends=0), Digits(first_lost=2), Digits(leak_ms=40)],
    ids=["plain", "no marker", "lost ends", "lost beginning", "leak"],
)
def test_keys_are_told_once_each_in_order(process: Process, how: Digits) -> None:
    """A row of keys with repeats, however the phone or the network treats the events."""
    phone = process.leg(1)
    process.wait(SourceLatched)
    phone.press("1122#*0", how)
    phone.drain()
    process.until(lambda: len(process.told(DigitPressed)) >= 7)
    process.hear(0.3)
    assert "".join(event.digit for event in process.told(DigitPressed)) == "1122#*0"


def test_a_strangers_flood_is_not_heard(process: Process) -> None:
    """Loud packets from elsewhere to a leg's port: neither leg hears them, the talk goes on."""
    first, second = process.leg(1, 1), process.leg(2, 1)
    process.until(lambda: len(process.told(SourceLatched)) == 2)
    words = voice("true", 3.0)
    noise = g711.encode(BANK[:160], g711.PCMU)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        first.say(words)
        number = 0
        while first.busy:
            for _ in range(30):
                packet = Rtp(number, 160 * number, noise)
                stranger.sendto(packet.pack(), (HOST, process.ports[1]))
                number += 1
            process.hear(0.01)
    process.hear(0.3)
    assert number > 1000
    recording = second.recording().samples
    match = heard(recording, words)
    assert match.heard
    assert match.correlation > 0.8
    closed = process.statistics()
    assert closed.counters["rxq_overflow"] == 0


def test_a_closed_leg_gets_nothing_more_and_says_what_it_counted(process: Process) -> None:
    """`LegClosed` with the counters; the other leg goes on; the port is free again."""
    first, second = process.leg(1, 1), process.leg(2, 1)
    process.until(lambda: len(process.told(SourceLatched)) == 2)
    process.hear(0.3)
    process.send(CloseLeg(leg=1))
    statistics = process.wait(LegClosed).statistics
    assert statistics.packets_rx >= 5
    assert statistics.packets_tx >= 5
    process.hear(0.2)
    had, had_second = len(first.arrived), len(second.arrived)
    process.until(lambda: len(second.arrived) >= had_second + 10)
    assert len(first.arrived) == had
    assert first.rtcp_arrived[-1][1].endswith(bytes([0x81, 203, 0, 1, 0, 0, 0, 1]))  # BYE
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
        again.bind((HOST, process.ports[1]))


def test_a_killed_process_is_seen(process: Process) -> None:
    """After kill -9 the client says that it is gone, and by which signal."""
    os.kill(process.client.pid, signal.SIGKILL)
    with pytest.raises(MediaProcessEnded) as caught:
        process.hear(PATIENCE_S)
    assert str(process.client.pid) in str(caught.value)
    assert process.client.kill() == -signal.SIGKILL


def test_the_end_of_the_channel_ends_the_process() -> None:
    """Control is gone, killed perhaps: the media process leaves by itself, in order."""
    process = Process()
    process.wait(Ready)
    process.leg(1, 1)
    process.hear(0.2)
    process.client._channel.close()
    try:
        assert process.client._process.wait(PATIENCE_S) == 0
    finally:
        process.client.kill()
        for phone in process.phones:
            phone.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_to_the_group_belong_to_the_control_process(
    process: Process, number: signal.Signals
) -> None:
    """Ctrl-C and a service manager reach every process; this one stays for the goodbyes."""
    os.kill(process.client.pid, number)
    beats = len(process.told(Heartbeat))
    process.until(lambda: len(process.told(Heartbeat)) >= beats + 2)
    assert process.client.close() == 0


def test_an_unexpected_end_says_where_and_quotes_nobody(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The kind and the place of an exception, never its message; the exit status is not zero."""
    try:
        int("+46701234567 pressed 123456")
    except ValueError as error:
        say_where(ValueError, error, error.__traceback__)
    said = capsys.readouterr().err
    assert "ValueError" in said
    assert "test_process.py" in said
    assert "123456" not in said
    command = [sys.executable, "-m", "bridge.media", "--control-fd", "0"]
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert ended.returncode == 1
    assert b"media process ended by OSError" in ended.stderr


def test_a_process_that_was_stopped_jumps_and_counts(process: Process) -> None:
    """Frozen for a second and a half: time jumps, each leg's loss is counted, calls go on."""
    phone = process.leg(1)
    process.wait(SourceLatched)
    process.hear(0.2)
    os.kill(process.client.pid, signal.SIGSTOP)
    time.sleep(1.5)
    os.kill(process.client.pid, signal.SIGCONT)
    process.hear(0.5)
    counters = process.statistics().counters
    assert counters["jumped_ticks"] >= 60
    assert counters["jumped_leg_ticks"] == counters["jumped_ticks"]
    stamps = [item.packet.timestamp for item in phone.arrived]
    steps = np.diff(np.array(stamps)) % 2**32 // 160
    assert int(steps.max()) == counters["jumped_ticks"] + 1
    sequences = np.diff([item.packet.sequence for item in phone.arrived]) % 2**16
    assert set(sequences.tolist()) == {1}


def test_what_is_no_command_is_counted_and_ends_nothing(process: Process) -> None:
    """Rubbish on the control channel, and legs without sockets: the process ticks on."""
    process.client._channel.send(b"\xc1rubbish")
    media = LegMedia(codec="PCMU", payload_type=0)
    process.send(OpenLeg(leg=5, media=media, ssrc=5, cname="test"))
    assert process.wait(EngineError).leg == 5
    statistics = process.statistics()
    assert statistics.counters["commands_malformed"] == 1
    assert statistics.counters["commands_refused"] == 1
    assert statistics.legs == 0


def test_a_process_without_descriptors_refuses_new_legs_and_keeps_the_others(
    process: Process,
) -> None:
    """Control is told of the leg that cannot be opened; when there is room again, it can."""
    one = process.leg(1, 9)
    process.wait(SourceLatched)
    pid = process.client.pid
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, limits[1]))
    process.leg(2, 9)
    process.until(lambda: process.told(EngineError))
    (error,) = process.told(EngineError)
    assert (error.leg, error.unopened) == (2, True)
    statistics = process.statistics()
    assert statistics.legs == 1
    assert statistics.counters["descriptors_lost"] > 0
    assert statistics.counters["stage_faults"] == 0
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    three = process.leg(3, 9)
    process.until(lambda: len(process.told(SourceLatched)) == 2)
    said = voice("speaks when there is room again")
    one.say(said)
    one.drain()
    process.hear(0.5)
    assert heard(three.recording().samples, said).heard
