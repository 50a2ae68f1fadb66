"""Bad RTP on one leg: counted, dropped or re-anchored, and nobody else hears it."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from tests.support import g711
from tests.support.bridge_under_test import BridgeUnderTest
from tests.support.caller import Caller
from tests.support.rtp import Packet
from tests.support.signals import heard, level_dbfs, voice

pytestmark = pytest.mark.e2e

NOISE_S = 1.5


class Pair:
    """Two people in one conference: what happens on one's leg, the other must not hear."""

    def __init__(self, speaker: Caller, listener: Caller) -> None:
        self.speaker = speaker
        self.listener = listener

    def still_talk(self) -> None:
        """See that both hear each other as before."""
        assert self.listener.heard_of(*self.speaker.speak()).match.clear
        assert self.speaker.heard_of(*self.listener.speak()).match.clear


@pytest.fixture
def pair(bridge: BridgeUnderTest) -> Pair:
    """Two people inside, everything said."""
    room = bridge.room(chimes=False)
    speaker, listener = bridge.caller("speaker"), bridge.caller("listener")
    bridge.bring_in(room, speaker, listener)
    return Pair(speaker, listener)


def rubbish(person: Caller) -> Iterator[Packet]:
    """Yield loud packets that continue a phone's stream as it is now."""
    loud = voice("rubbish", NOISE_S, rms_dbfs=-10)
    stream = person.stream
    sequence, timestamp = stream.sequence, stream.timestamp
    for index, part in enumerate(loud[: loud.size // 160 * 160].reshape(-1, 160)):
        yield Packet(
            0,
            (sequence + index) & 0xFFFF,
            (timestamp + 160 * index) & 0xFFFFFFFF,
            stream.ssrc,
            g711.encode(part, g711.PCMU),
        )


def spoil(packet: Packet, how: str) -> bytes:
    """Return a packet with one fault."""
    data = bytearray(packet.pack())
    if how == "wrong payload type":
        data[1] = 77
    elif how == "version 0":
        data[0] &= 0x3F
    elif how == "version 3":
        data[0] |= 0xC0
    elif how == "truncated":
        del data[7:]
    elif how == "extension without its words":
        data[0] |= 0x10
        data[12:16] = b"\xbe\xde\xff\xff"
    elif how == "padding longer than the packet":
        data[0] |= 0x20
        data[-1] = 255
    elif how == "more sources than bytes":
        data[0] |= 0x0F
        del data[40:]
    return bytes(data)


@pytest.mark.parametrize(
    "how",
    [
        "wrong payload type",
        "version 0",
        "version 3",
        "truncated",
        "extension without its words",
        "padding longer than the packet",
        "more sources than bytes",
    ],
)
def test_malformed_packets_are_heard_by_nobody(pair: Pair, how: str) -> None:
    """Loud packets with a fault, sent from the phone's own socket, change nothing for the other."""
    began = time.monotonic()
    for packet in rubbish(pair.speaker):
        pair.speaker.stream.send_raw(spoil(packet, how))
        time.sleep(0.005)
    time.sleep(1.0)
    assert level_dbfs(pair.listener.recording(began).samples) < -50
    pair.still_talk()


def test_stranger_is_not_heard(pair: Pair) -> None:
    """Good RTP from another address, while the phone sends, never reaches the room."""
    target = pair.speaker.stream.remote
    assert target is not None
    began = time.monotonic()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("127.0.0.1", 0))
        for packet in rubbish(pair.speaker):
            stranger.sendto(replace(packet, ssrc=packet.ssrc ^ 1).pack(), target)
            time.sleep(0.02)
        time.sleep(0.5)
        assert level_dbfs(pair.listener.recording(began).samples) < -50
        stranger.settimeout(0)
        with pytest.raises(BlockingIOError):
            stranger.recv(2048)
    pair.still_talk()


def test_replayed_packets_are_heard_once(pair: Pair) -> None:
    """Somebody who sends a sentence again, packet by packet, repeats nothing to the room."""
    sent: list[Packet] = []

    def keep(packet: Packet) -> list[Packet]:
        sent.append(packet)
        return [packet]

    pair.speaker.stream.fault = keep
    words = pair.speaker.speak()
    pair.speaker.stream.fault = None
    assert pair.listener.heard_of(*words).match.clear
    again = time.monotonic()
    for packet in sent:
        pair.speaker.stream.send_raw(packet.pack())
        time.sleep(0.01)
    time.sleep(0.8)
    assert not heard(pair.listener.recording(again).samples, words[1]).heard
    pair.still_talk()


def test_changed_source_and_leaping_time_stamp_are_followed(pair: Pair) -> None:
    """A gateway that starts its stream anew in mid-sentence is heard on, after a moment at most."""
    stream = pair.speaker.stream
    leaps: list[Callable[[], None]] = [
        lambda: setattr(stream, "ssrc", stream.ssrc ^ 0x5A5A5A5A),
        lambda: setattr(stream, "timestamp", (stream.timestamp + 1_000_000) & 0xFFFFFFFF),
        lambda: setattr(stream, "timestamp", (stream.timestamp - 3_000_000) & 0xFFFFFFFF),
        lambda: setattr(stream, "sequence", (stream.sequence + 20_000) & 0xFFFF),
    ]
    for leap in leaps:
        pair.speaker.speak(0.4)
        leap()
        pair.speaker.speak(0.6)
        words = pair.speaker.speak()
        assert pair.listener.heard_of(*words).match.clear


def test_time_stamp_and_sequence_wrap_unheard(pair: Pair) -> None:
    """Both counters pass their end in mid-sentence, and the sentence is whole."""
    stream = pair.speaker.stream
    stream.sequence = 65535 - 40
    pair.speaker.speak(0.5)
    words = pair.speaker.speak(2.0)
    assert pair.listener.heard_of(*words).match.clear
    stream.timestamp = 2**32 - 160 * 60
    pair.speaker.speak(0.8)
    words = pair.speaker.speak(2.0)
    assert pair.listener.heard_of(*words).match.clear


def test_flood_is_heard_by_nobody_else(bridge: BridgeUnderTest, pair: Pair) -> None:
    """3,000 packets a second on one leg: people in another room, and in the same, talk on."""
    room = bridge.room(chimes=False)
    flooder = bridge.caller("flooder")
    third = bridge.caller("third")
    bridge.bring_in(room, flooder, third)
    target = flooder.stream.remote
    assert target is not None
    over = threading.Event()
    sent = 0

    def flood() -> None:
        nonlocal sent
        packets = [packet.pack() for packet in rubbish(flooder)]
        start = time.monotonic()
        while not over.is_set():
            due = int((time.monotonic() - start) * 3000)
            while sent < due:
                # Random time stamps and sequences: worse than any phone's own fault.
                data = bytearray(packets[sent % len(packets)])
                data[2:8] = np.random.default_rng(sent).bytes(6)
                flooder.stream.send_raw(bytes(data), to=target)
                sent += 1
            time.sleep(0.002)

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        time.sleep(0.5)
        words = pair.speaker.speak(2.0)
        assert pair.listener.heard_of(*words).match.clear
    finally:
        over.set()
        thread.join()
    assert sent > 3000
    third.silent_for(0.8)
    assert flooder.heard_of(*third.speak()).match.heard
    assert third.heard_of(*flooder.speak()).match.heard
    flooder.hang_up()
    assert bridge.leg_of(flooder)["cause"] == "bye"
    assert bridge.operate("status")["media"]["replaced"] == 0


def test_caller_behind_nat_is_heard_from_another_port(bridge: BridgeUnderTest) -> None:
    """The SDP names a port behind NAT; what really arrives latches after some packets."""
    room = bridge.room(chimes=False)
    other = bridge.caller("other").slip_in(bridge.number, room.guest_pin)
    behind = bridge.caller("behind")
    offer = behind.offer(port=9)
    behind.dial(bridge.number, offer=offer)
    behind.greeted()
    began = behind.press(room.guest_pin)
    behind.hears("joining", since=began)
    behind.silent_for(0.8)
    assert other.heard_of(*behind.speak()).match.heard
    assert behind.heard_of(*other.speak()).match.heard
