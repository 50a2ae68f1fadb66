"""The phones that the other tests call with: what they say of themselves must be true."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.support.reactor import reactor
from tests.support.rtp import Digits, Packet, RtpStream

EVENT = 101


@pytest.fixture
def ears() -> Iterator[socket.socket]:
    """A socket that a phone sends to."""
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(5)
        yield sock


def test_no_key_goes_out_before_the_time_that_is_told(ears: socket.socket) -> None:
    """A phone held up for 0.3 s catches up; what answers its key is looked for from that time."""
    phone = RtpStream(event_type=EVENT)
    begun, free = threading.Event(), threading.Event()
    arrived: list[tuple[float, Packet]] = []

    def listen() -> None:
        while len(arrived) < 2:
            packet = Packet.parse(ears.recv(2048))
            if packet is not None and packet.payload_type == EVENT and packet.marker:
                arrived.append((time.monotonic(), packet))

    def held_up() -> None:
        begun.set()
        free.wait(5)

    listener = threading.Thread(target=listen)
    listener.start()
    try:
        phone.start(ears.getsockname())
        reactor().call_at(time.monotonic(), held_up)
        assert begun.wait(5)
        time.sleep(0.3)
        told = phone.press("*1", Digits(on_ms=60, off_ms=40))
        free.set()
        listener.join(5)
    finally:
        free.set()
        phone.close()
        listener.join(6)
    assert [packet.payload[0] for _, packet in arrived] == [10, 1]
    assert told <= arrived[1][0]


def test_a_stream_that_is_closed_while_it_makes_a_packet_is_no_fault(ears: socket.socket) -> None:
    """The test hangs up in its own thread, between the packet and the socket."""
    stream = RtpStream()
    closed = threading.Event()

    def close(packet: Packet) -> list[Packet]:
        stream.close()
        closed.set()
        return [packet]

    stream.fault = close
    reactor().faults.clear()
    stream.start(ears.getsockname())
    assert closed.wait(5)
    time.sleep(0.05)
    assert reactor().faults == []
