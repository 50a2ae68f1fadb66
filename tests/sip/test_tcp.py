"""SIP over TCP: framing, limits, connections that come, go, stall and are lost."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.sip import _streams
from bridge.sip.connections import Connections
from bridge.sip.errors import PortTakenError, SettingsError
from bridge.sip.framing import LONGEST_MESSAGE, Framer, FramingError
from bridge.sip.messages import (
    CallConfirmed,
    CallEnded,
    Digest,
    DigitByInfo,
    IncomingCall,
    ProbeAnswered,
    Trunk,
)
from tests.sip.caller import OFFER, Caller, Response
from tests.sip.desk import Desk

STRANGERS_MAY_PROVE = Trunk("phones", digest=Digest("realm", "alice", "0" * 32))


def closed(caller: Caller, timeout: float = 5.0) -> bool:
    """Tell whether the other side closes the connection in time."""
    caller.socket.settimeout(timeout)
    try:
        while caller.socket.recv(65535):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a message one second to come."""
    monkeypatch.setattr(_streams, "_MESSAGE_S", 1.0)


# -- framing -------------------------------------------------------------------------------------


def test_a_call_in_fragments_of_one_octet(desk: Desk) -> None:
    """TCP keeps no borders: each octet may come alone."""
    with Caller(desk.address, tcp=True) as caller:
        caller.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for octet in caller.request("INVITE", OFFER).encode():
            caller.socket.sendall(bytes([octet]))
        ok = caller.expect(200, "INVITE")
        caller.acknowledge(ok)
        desk.call_is_up()
        caller.hang_up()
    assert desk.ended().reason == "bye"


def test_pipelined_messages_are_taken_one_by_one(desk: Desk) -> None:
    """ACK, three INFO and BYE in one segment, with blank lines between them."""
    with Caller(desk.address, tcp=True) as caller:
        caller.say("INVITE", OFFER)
        ok = caller.expect(200, "INVITE")
        caller.remote_target = ok.get("contact").strip("<>").partition(";")[0]
        parts = [caller.request("ACK", cseq=1)]
        parts += [caller.request("INFO", key, content_type="application/dtmf") for key in "123"]
        parts.append(caller.request("BYE"))
        caller.send("\r\n".join(parts))
        seen = [caller.receive().cseq for _ in range(4)]
    assert [event.digit for event in desk.wait(DigitByInfo, 3)] == ["1", "2", "3"]
    assert desk.ended().reason == "bye"
    assert seen == ["2 INFO", "3 INFO", "4 INFO", "5 BYE"]


def test_two_calls_over_one_connection(desk: Desk) -> None:
    """A connection is a way, not a call."""
    with Caller(desk.address, tcp=True) as first, Caller(desk.address) as second:
        second.socket.close()
        second.socket, second.tcp, second.port = first.socket, True, first.port
        first.dial()
        second.dial()
        desk.wait(CallConfirmed, 2)
        first.hang_up()
        second.hang_up()
        assert len(desk.wait(CallEnded, 2)) == 2


def test_keep_alive_pings_get_their_pong(desk: Desk) -> None:
    """Two line breaks are answered by one (RFC 5626 section 4.4.1); calls go on meanwhile."""
    with Caller(desk.address, tcp=True) as caller:
        caller.dial()
        for ping in (b"\r\n\r\n", b"\r\n", b"\r\n"):
            caller.send(ping)
            time.sleep(0.05)
        caller.socket.settimeout(5.0)
        pong = b""
        while len(pong) < 4:
            pong += caller.socket.recv(100)
        assert pong == b"\r\n\r\n"
        caller.hang_up()


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"A" * (LONGEST_MESSAGE + 100), "tcp_overflow"),
        (b"OPTIONS sip:a@b SIP/2.0\r\nX: " + b"y" * 70_000, "tcp_overflow"),
        (b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 999999\r\n\r\n", "tcp_overflow"),
        (b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 999999999999999999\r\n\r\n", "tcp_no_length"),
        (b"OPTIONS sip:a@b SIP/2.0\r\nVia: x\r\n\r\n", "tcp_no_length"),
        (b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: -1\r\n\r\n", "tcp_no_length"),
        (b"OPTIONS sip:a@b SIP/2.0\r\nl: 0\r\nContent-Length: 5\r\n\r\n", "tcp_no_length"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "tcp_no_length"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(5000), "tcp_overflow"),
    ],
)
def test_a_stream_that_lost_its_place_is_closed(desk: Desk, raw: bytes, reason: str) -> None:
    """What cannot be cut into messages ends the connection and is counted; others go on."""
    with Caller(desk.address, tcp=True) as caller, Caller(desk.address, tcp=True) as other:
        with contextlib.suppress(OSError):
            caller.send(raw)
        assert closed(caller)
        assert desk.count(f"fault_{reason}") == 1
        other.dial()
        other.hang_up()


def test_the_longest_message_is_taken(desk: Desk) -> None:
    """Up to PJSIP's 4,000 octets, and not one more."""
    for extra, taken in ((0, True), (1, False)):
        with Caller(desk.address, tcp=True) as caller:
            text = caller.request("OPTIONS", headers=("Subject: ",))
            caller.cseq = 0
            filler = "y" * (LONGEST_MESSAGE + extra - len(text))
            caller.say("OPTIONS", headers=(f"Subject: {filler}",))
            if taken:
                caller.expect(200, "OPTIONS")
            else:
                assert closed(caller)


@given(st.lists(st.integers(1, 60), max_size=80), st.integers(0, 3))
@settings(max_examples=150, deadline=None)
def test_framing_is_the_same_however_the_stream_is_cut(cuts: list[int], blanks: int) -> None:
    """Whole or piece by piece, the messages are the same."""
    messages = [
        b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 0\r\n\r\n",
        b"INFO sip:a@b SIP/2.0\r\nl : 12\r\nX: y\r\n\r\n\r\n\r\n0123\r\n\r\n",
        b"SIP/2.0 200 OK\r\nCONTENT-LENGTH:3\r\n\r\nabc",
    ]
    stream = (b"\r\n" * blanks).join(messages)
    framer, found, place = Framer(), [], 0
    for cut in [*cuts, len(stream)]:
        found += framer.feed(stream[place : place + cut])
        place += cut
    assert found == messages
    assert not framer.waiting


@given(st.lists(st.binary(max_size=300), max_size=30))
@settings(max_examples=200, deadline=None)
def test_any_stream_is_cut_or_refused(chunks: list[bytes]) -> None:
    """Any octets become messages or one documented error, and never more memory than a message."""
    framer = Framer()
    for chunk in chunks:
        try:
            for message in framer.feed(chunk):
                assert b"\r\n\r\n" in message
        except FramingError:
            return
        assert len(framer._buffer) <= LONGEST_MESSAGE + 300


# -- who stays -----------------------------------------------------------------------------------


def test_a_connection_that_says_nothing_is_closed(patient: None, desk: Desk) -> None:
    """Nobody keeps a place by silence."""
    with Caller(desk.address, tcp=True) as caller:
        assert closed(caller)
    assert desk.count("fault_tcp_silent") == 1


def test_a_message_that_trickles_in_is_not_waited_for(patient: None, desk: Desk) -> None:
    """Slow loris: after a first good message too, a message must end within its time."""
    with Caller(desk.address, tcp=True) as caller:
        caller.say("OPTIONS")
        caller.expect(200, "OPTIONS")
        began = time.monotonic()
        with contextlib.suppress(OSError):
            for octet in caller.request("OPTIONS").encode():
                caller.socket.sendall(bytes([octet]))
                time.sleep(0.1)
                if time.monotonic() - began > 8:
                    break
        assert closed(caller)
    assert desk.count("fault_tcp_slow") == 1


def test_idle_connections_are_closed_unless_a_call_uses_them() -> None:
    """The idle time does not count while a call is up, and counts from its end again."""
    with (
        Desk(tcp_idle_s=1.0) as desk,
        Caller(desk.address, tcp=True) as idle,
        Caller(desk.address, tcp=True) as busy,
    ):
        busy.dial()
        idle.say("OPTIONS")
        idle.expect(200, "OPTIONS")
        assert closed(idle)
        desk.until(lambda: desk.endpoint.room().connections == 1)
        assert desk.endpoint.room().idle_closed == 1
        assert not closed(busy, 1.5)
        busy.hang_up()
        assert closed(busy)
        desk.until(lambda: desk.endpoint.room().connections == 0)


def test_connections_from_one_address_are_limited() -> None:
    """An address that is not trusted gets few; another one is not hurt; what is closed is free."""
    with contextlib.ExitStack() as stack:
        desk = stack.enter_context(Desk(trunks=(STRANGERS_MAY_PROVE,), max_tcp_per_source=3))
        first = [
            stack.enter_context(Caller(desk.address, tcp=True, ip="127.0.0.9")) for _ in range(3)
        ]
        for good in first:
            good.say("OPTIONS")
            good.expect(401, "OPTIONS")
        with Caller(desk.address, tcp=True, ip="127.0.0.9") as fourth:
            assert closed(fourth)
        with Caller(desk.address, tcp=True, ip="127.0.0.10") as other:
            other.say("OPTIONS")
            other.expect(401, "OPTIONS")
        room = desk.endpoint.room()
        assert (room.refused_source, room.refused_full) == (1, 0)
        assert desk.count("fault_tcp_source_limit") == 1
        first[0].socket.close()
        desk.until(lambda: desk.endpoint.room().connections == 2)
        with Caller(desk.address, tcp=True, ip="127.0.0.9") as again:
            again.say("OPTIONS")
            again.expect(401, "OPTIONS")


def test_too_many_connections_are_refused_and_none_is_lost() -> None:
    """The one too many is closed and counted, those that are there go on."""
    with contextlib.ExitStack() as stack:
        desk = stack.enter_context(Desk(max_tcp=5))
        callers = [stack.enter_context(Caller(desk.address, tcp=True)) for _ in range(5)]
        for caller in callers:
            caller.dial()
        with Caller(desk.address, tcp=True) as sixth:
            assert closed(sixth)
        room = desk.endpoint.room()
        assert (room.connections, room.limit, room.refused_full) == (5, 5, 1)
        for caller in callers:
            caller.hang_up()
        assert len(desk.wait(CallEnded, 5)) == 5


def test_connections_that_come_and_go_in_a_storm(desk: Desk) -> None:
    """PJSIP's own transport would assert at the 64th within half a second; ours does not."""
    for _ in range(3):
        storm = [Caller(desk.address, tcp=True) for _ in range(100)]
        for number, caller in enumerate(storm):
            if number % 3:
                caller.say("OPTIONS")
            caller.socket.close()
    desk.until(lambda: desk.endpoint.room().connections == 0)
    with Caller(desk.address, tcp=True) as caller:
        caller.dial()
        caller.hang_up()


def test_who_reads_nothing_is_dropped(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers for somebody who does not read them are not kept without limit."""
    monkeypatch.setattr(_streams, "_UNSENT_LIMIT", 20_000)
    agent = desk.endpoint._agent
    assert agent is not None
    assert agent.streams._listener is not None
    agent.streams._listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    with Caller(desk.address, tcp=True) as caller:
        caller.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with contextlib.suppress(OSError):
            for _ in range(30_000):
                caller.say("OPTIONS")
                if desk.count("fault_tcp_unread"):
                    break
        desk.until(lambda: desk.count("fault_tcp_unread") == 1)
    with Caller(desk.address, tcp=True) as caller:
        caller.dial()
        caller.hang_up()


# -- calls whose connection goes -----------------------------------------------------------------


@contextlib.contextmanager
def listening() -> Iterator[socket.socket]:
    """Return a listening socket of a phone's."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(5.0)
        yield listener


def test_our_bye_finds_another_way_when_the_connection_is_gone(desk: Desk) -> None:
    """The phone's Contact is called where its connection was lost (RFC 3261 section 18.1.1)."""
    with listening() as listener:
        port = listener.getsockname()[1]
        with Caller(desk.address, tcp=True) as caller:
            caller.dial(contact=f"<sip:phone@127.0.0.1:{port};transport=tcp>")
            incoming, _ = desk.call_is_up()
        desk.until(lambda: desk.endpoint.room().connections == 0)
        desk.endpoint.hangup(incoming.call)
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(5.0)
            bye = Response.of(connection.recv(65535))
            assert bye.method == "BYE"
            lines = ["SIP/2.0 200 OK"]
            lines += [f"{k}: {v}" for k, v in bye.headers if k in _ECHOED]
            connection.sendall("\r\n".join([*lines, "Content-Length: 0", "", ""]).encode())
            desk.settle()
    assert desk.ended().by == "bridge"


_ECHOED = ("via", "from", "to", "call-id", "cseq")


def test_a_phone_goes_on_over_a_new_connection(desk: Desk) -> None:
    """A request inside the dialog may come by another connection."""
    with Caller(desk.address, tcp=True) as caller:
        caller.dial()
        desk.call_is_up()
        caller.socket.close()
        caller.socket = socket.create_connection(desk.address, 5.0)
        caller.port = caller.socket.getsockname()[1]
        caller.say("UPDATE")
        caller.expect(200, "UPDATE")
        caller.hang_up()
    assert desk.ended().reason == "bye"


def test_a_phone_that_is_gone_for_good_does_not_answer(desk: Desk) -> None:
    """Nobody listens at the Contact any more: the probe says so, and nothing stays of the call."""
    with Caller(desk.address, tcp=True) as caller:
        caller.dial()
        incoming, _ = desk.call_is_up()
    desk.until(lambda: desk.endpoint.room().connections == 0)
    desk.endpoint.probe(incoming.call)
    assert not desk.one(ProbeAnswered).alive
    desk.endpoint.hangup(incoming.call)
    desk.ended()
    desk.settle()


def test_a_connection_lost_before_the_answer(quick_desk: Desk) -> None:
    """The caller vanishes while the bridge decides: after 64 T1 nothing stays."""
    desk = quick_desk
    with Caller(desk.address, tcp=True) as caller:
        desk._policy = lambda *_: None
        caller.say("INVITE", OFFER)
        call = desk.one(IncomingCall)
    desk.until(lambda: desk.endpoint.room().connections == 0)
    desk.accept(call)
    assert desk.ended(20.0).by == "network"
    desk.settle(20.0)


# -- descriptors ---------------------------------------------------------------------------------


@contextlib.contextmanager
def many_descriptors(count: int = 1100) -> Iterator[None]:
    """Hold so many descriptors that new ones lie above those of ``select``."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + 400
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
    held = [os.open("/dev/null", os.O_RDONLY) for _ in range(count)]
    try:
        yield
    finally:
        for fd in held:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_calls_over_tcp_with_descriptors_above_1024(desk: Desk) -> None:
    """Fifty phones call while 1,100 descriptors are open: select's limit is not ours."""
    with many_descriptors(), contextlib.ExitStack() as stack:
        phones = [stack.enter_context(Caller(desk.address, tcp=True)) for _ in range(50)]
        assert phones[-1].socket.fileno() > 1024
        for phone in phones:
            phone.dial()
        desk.wait(CallConfirmed, 50)
        assert desk.endpoint.room().highest_fd > 1100
        assert desk.endpoint.room().connections == 50
        for phone in phones:
            phone.hang_up()
        assert {event.reason for event in desk.wait(CallEnded, 50)} == {"bye"}


def test_without_a_free_descriptor_nobody_spins_and_who_waits_is_taken_later(desk: Desk) -> None:
    """A connection that waits in the kernel does not keep the SIP thread awake; calls go on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with Caller(desk.address, tcp=True) as first, socket.socket() as sock:
        first.dial()
        highest = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
        polls, agent = 0, desk.endpoint._agent
        assert agent is not None
        poll = agent.poll

        def count_polls(timeout_ms: int) -> None:
            nonlocal polls
            polls += 1
            poll(timeout_ms)

        with contextlib.ExitStack() as held:
            resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
            held.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
            try:
                while True:
                    held.callback(os.close, os.open("/dev/null", os.O_RDONLY))
            except OSError:
                pass
            sock.connect(desk.address)
            desk.until(lambda: desk.count("fault_tcp_no_descriptor"))
            agent.poll = count_polls  # type: ignore[method-assign] # counted
            time.sleep(1.5)
            assert 1 <= desk.count("fault_tcp_no_descriptor") <= 3
            assert polls < 50
            first.say("OPTIONS")
            first.expect(200, "OPTIONS")
        late = Caller(desk.address)
        with late:
            late.socket.close()
            late.socket, late.tcp, late.port = sock, True, sock.getsockname()[1]
            late.dial()
            late.hang_up()
            first.hang_up()
        assert len(desk.wait(CallEnded, 2)) == 2


def test_starting_with_too_many_descriptors_says_what_to_do() -> None:
    """PJSIP's own UDP socket must lie below 1024; the endpoint is started first."""
    with many_descriptors():
        desk = Desk()
        with pytest.raises(SettingsError, match="start the SIP endpoint before opening RTP"):
            desk.endpoint.start()
    with Desk() as later, Caller(later.address) as caller:
        caller.dial()
        caller.hang_up()


# -- ports ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_a_taken_port_is_named(kind: socket.SocketKind) -> None:
    """The message says transport, address, port, and how to find who holds it."""
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            taken.listen()
        port = taken.getsockname()[1]
        transport = "UDP" if kind == socket.SOCK_DGRAM else "TCP"
        with pytest.raises(PortTakenError, match=rf"{transport} 127\.0\.0\.1:{port}") as caught:
            Desk(port=port).endpoint.start()
    assert "ss -lnp" in caught.value.hint
    with Desk(port=port) as desk, Caller(desk.address, tcp=True) as caller:
        caller.say("OPTIONS")
        caller.expect(200, "OPTIONS")


def test_tcp_can_be_left_out() -> None:
    """With tcp off nothing listens there, and UDP works."""
    with Desk(tcp=False) as desk:
        with pytest.raises(ConnectionRefusedError):
            Caller(desk.address, tcp=True)
        with Caller(desk.address) as caller:
            caller.dial()
            caller.hang_up()


def test_a_source_that_left_costs_no_memory() -> None:
    """Counts per source go with the last connection."""
    connections = Connections(limit=10, per_source=2, idle_s=1.0)
    for key in range(1000):
        connections.opened(key, f"10.0.{key >> 8}.{key & 255}", 0.0)
        connections.closed(key)
        connections.closed(key)
    assert (len(connections), len(connections._sources)) == (0, 0)
