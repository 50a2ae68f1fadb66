"""Any octets on one leg's ports: no exception escapes a tick, no other leg hears a sample of them.

Real sockets, both transports. Two innocent pairs talk, one of them in the room of the leg that
misbehaves; what they hear is compared to the sample with what was said.
"""

import os
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.media.messages import Codec, EngineError
from bridge.media.own_sockets import READS_PER_TICK
from tests.media.engine import Engine, Rtp, loud
from tests.media.house import EVENTS, FUZZED, HOST, FarEnd, House, Transport
from tests.support import g711

CORPUS: Final = Path(__file__).with_name("corpus")
TRANSPORTS: Final = ("own", "shared")
both = pytest.mark.parametrize("transport", TRANSPORTS)

TICKS: Final = 12


def corpus(name: str) -> list[Any]:
    """Return the lines of a file: what is wrong, what counts it, the octets as written."""
    lines = (CORPUS / name).read_text(encoding="ascii").splitlines()
    parts = [line.split(maxsplit=2) for line in lines if line and not line.startswith("#")]
    return [pytest.param(counter, octets, id=fault) for fault, counter, octets in parts]


def datagram(octets: str, far: FarEnd) -> bytes:
    """Return what a line of the corpus says, as the next datagram of a far end's stream."""
    sender = far.sender
    stands_for = {
        "SS": iter(struct.pack("!H", sender.sequence)),
        "TT": iter(struct.pack("!I", sender.timestamp)),
        "CC": iter(struct.pack("!I", sender.ssrc) * 2),
    }
    data = bytearray()
    for word in [] if octets == "-" else octets.split():
        octet, _, times = word.partition("*")
        value = next(stands_for[octet]) if octet in stands_for else int(octet, 16)
        data += bytes([value]) * int(times or 1)
    return bytes(data)


def innocents_heard(house: House, said: dict[int, Any], *legs: int) -> None:
    """Hold that listeners heard the other one of their pair, and nothing else."""
    for leg in legs or (1, 2, 3, 4):
        other = leg + 1 if leg % 2 else leg - 1
        assert house.hears(leg, said[other]), leg
    assert house.engine.told(EngineError) == []


# --- a corpus -------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize(("counter", "octets"), corpus("rtp.txt"))
def test_a_bad_packet_is_counted_and_heard_by_nobody(
    transport: Transport, counter: str, octets: str
) -> None:
    """In the middle of a stream of silence; whoever is in its room hears the others alone."""
    with House(transport) as house:
        far = house.fuzzed

        def spoil(number: int) -> None:
            far.send(far.sender.audio(b"\xff" * 160).pack())
            if number > 1:
                far.send(datagram(octets, far))

        said = house.talk(6, spoil)
        innocents_heard(house, said)
        if counter != "-":
            assert house.count(counter) == 4


@both
@pytest.mark.parametrize(("counter", "octets"), corpus("rtcp.txt"))
def test_a_bad_report_is_counted_and_believed_by_nobody(
    transport: Transport, counter: str, octets: str
) -> None:
    """Whatever its lengths say."""
    with House(transport) as house:
        far = house.fuzzed
        said = house.talk(4, lambda _: far.send_rtcp(datagram(octets, far)))
        innocents_heard(house, said)
        house.engine.run()  # the last of them may have its turn now
        reports = house.engine.state.reports
        row = house.engine.row(FUZZED)
        counters = house.engine.counters
        counts = {name: getattr(counters, name) for name in ("rtcp_malformed", "rtp_on_rtcp")}
        assert counts == {name: 4 * (name == counter) for name in counts}
        assert np.isnan(reports.rtt[row]).all()
        assert not np.any(reports.remote_lost[row])


# --- the rows of the list, by name ----------------------------------------------------------------


@both
def test_sound_behind_sources_an_extension_and_padding_is_heard(transport: Transport) -> None:
    """What RFC 3550 allows in a packet costs it nothing."""
    with House(transport) as house:
        far, sound = house.fuzzed, loud(9, 8)

        def say(number: int) -> None:
            packet = far.sender.say(sound[number]).pack()
            first, head, payload = packet[0], packet[1:12], packet[12:]
            extension = b"\xbe\xde\x00\x02" + b"\x7f" * 8
            shapes = (
                bytes([first | 0x02]) + head + b"\x7f" * 8 + payload,
                bytes([first | 0x10]) + head + extension + payload,
                bytes([first | 0x20]) + head + payload + b"\x7f\x7f\x03",
                bytes([first | 0x3F]) + head + b"\x7f" * 60 + extension + payload + b"\0\x02",
            )
            far.send(shapes[number % len(shapes)])

        said = house.talk(8, say, talkers=(3, 4))
        assert house.hears(1, sound.reshape(-1))
        assert house.hears(2, sound.reshape(-1))
        assert house.hears(3, said[4])


@both
@pytest.mark.parametrize("size", [40, 41, 172, 492, 493, 639, 640, 641, 1472, 1500])
def test_any_size_of_a_datagram_is_taken_or_refused(transport: Transport, size: int) -> None:
    """From a header with 28 octets to what Ethernet carries; sixty milliseconds are the most."""
    with House(transport) as house:
        far = house.fuzzed

        def send(_: int) -> None:
            far.send(far.sender.audio(b"\xff" * (size - 12)).pack())

        innocents_heard(house, house.talk(6, send))
        assert house.count("malformed") == (6 if size > 12 + 480 else 0)
        assert house.engine.state.sequences.packets(np.array([house.engine.row(FUZZED)]))[0] == (
            0 if size > 12 + 480 else 6
        )


@both
def test_a_payload_type_that_changes_is_refused_until_it_is_back(transport: Transport) -> None:
    """Packets of A-law amid those of µ-law that were negotiated are noise to nobody."""
    with House(transport) as house:
        far, sound = house.fuzzed, loud(9, 4, peak=8000)

        def say(number: int) -> None:
            if number % 8 < 4:
                far.send(far.sender.say(sound[number % 4]).pack())
            else:
                far.send(replace(far.sender.audio(b"\x00" * 160), payload_type=8).pack())

        house.talk(20, say, talkers=(3, 4))
        assert house.count("wrong_payload") == 8
        assert house.hears(1, sound.reshape(-1))
        # As µ-law these octets are -32,124, which is louder than anything that was said.
        assert np.abs(house.far[1].heard.astype(int)).max() <= np.abs(sound.astype(int)).max()


@both
@pytest.mark.parametrize("whose", ["another leg's", "ours", "both ends'"])
def test_a_colliding_ssrc_mixes_up_nobody(transport: Transport, whose: str) -> None:
    """A source is known by its socket or its address; SSRCs may be anybody's (RFC 3550 8.2)."""
    with House(transport) as house:
        far, sound = house.fuzzed, loud(9, 8)
        far.sender.ssrc = {
            "another leg's": house.far[1].sender.ssrc,
            "ours": 1,
            "both ends'": FUZZED,
        }[whose]
        said = house.talk(8, lambda n: far.send(far.sender.say(sound[n]).pack()), talkers=(3, 4))
        assert house.hears(1, sound.reshape(-1))
        assert house.hears(2, sound.reshape(-1))
        innocents_heard(house, said, 3, 4)


@both
def test_two_sources_on_one_leg_in_turns_are_one_stream_of_the_first(transport: Transport) -> None:
    """A second SSRC that never sends two in a row takes nothing over."""
    with House(transport) as house:
        far, sound = house.fuzzed, loud(9, 8)

        def say(number: int) -> None:
            far.send(far.sender.say(sound[number]).pack())
            far.send(Rtp(number * 3, number * 160, b"\x10" * 160, ssrc=99).pack())

        house.talk(8, say, talkers=(3, 4))
        assert house.hears(1, sound.reshape(-1))
        assert house.count("foreign_ssrc") == 8


@both
def test_rtcp_on_the_rtp_port_and_rtp_on_the_rtcp_port_are_counted(transport: Transport) -> None:
    """Neither is taken for the other."""
    with House(transport) as house:
        far = house.fuzzed
        report = struct.pack("!BBHI", 0x80, 201, 1, far.sender.ssrc) + bytes(24)

        def swap(number: int) -> None:
            if number == 0:
                far.send(far.sender.audio(b"\xff" * 160).pack())
            far.send(report)
            far.send_rtcp(far.sender.audio(b"\x10" * 160).pack())

        innocents_heard(house, house.talk(6, swap))
        house.engine.run()  # the last of them may have its turn now
        assert house.count("rtcp_on_rtp") == 6
        assert house.engine.counters.rtp_on_rtcp == 6


@both
def test_a_flood_on_one_leg_is_read_in_part_and_heard_by_nobody_else(transport: Transport) -> None:
    """On own sockets for every leg; on shared ports for those of other ports."""
    with House(transport, muted=True, ports=2) as house:
        far = house.fuzzed

        def flood(_: int) -> None:
            for _ in range(200):
                far.send(far.sender.audio(b"\x10" * 160).pack())

        innocents_heard(house, house.talk(6, flood))
        assert house.engine.counters.reads_bounded
        if transport == "own":
            came = house.engine.state.sequences.received[house.engine.row(FUZZED)]
            assert came <= READS_PER_TICK * (6 + 5)


@both
def test_a_far_end_that_is_gone_is_its_own_fault_alone(transport: Transport) -> None:
    """Its ports answer with ICMP: nobody else loses a packet."""
    with House(transport) as house:
        far = house.fuzzed

        def leave(number: int) -> None:
            if number < 2:
                far.send(far.sender.audio(b"\xff" * 160).pack())
            elif number == 2:
                far.close()

        said = house.talk(12, leave)
        innocents_heard(house, said)
        counters = house.engine.counters
        assert counters.send_errors == 0
        assert counters.read_errors == 0
        if transport == "own":
            assert counters.peer_refused > 0


@both
def test_legs_that_come_and_go_all_the_time_disturb_nobody(transport: Transport) -> None:
    """Thirty times the same leg, in the middle of its stream; no descriptor is left behind."""
    with House(transport) as house:
        house.talk(2, lambda _: None)
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - is counted

        def come_and_go(number: int) -> None:
            if number % 2:
                house.far[FUZZED].send(b"\x80" + bytes(171))
                house.hang_up(FUZZED)
            else:
                house.far[FUZZED] = FarEnd(FUZZED)
                house.open(FUZZED)

        house.hang_up(FUZZED)
        for far in house.far.values():
            far.payloads.clear()
        said = house.talk(60, come_and_go)
        innocents_heard(house, said)
        assert FUZZED not in house.engine.state.legs.row_of
        after = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        assert after == before - (4 if transport == "own" else 2) - (2 if transport == "own" else 0)


def test_a_conference_of_one_hears_silence() -> None:
    """To the sample, however loud it is."""
    with Engine() as engine:
        sender = engine.open(1, room=1)
        engine.run(20, lambda n: engine.feed(1, sender.say(loud(n)[0])) if n else None)
        assert not engine.heard(1).any()


def test_a_conference_of_five_hundred_hears_everybody_but_oneself() -> None:
    """All talk; each hears the sum of the others, exactly."""
    with Engine(capacity=512) as engine:
        senders = {}
        for leg in range(1, 501):
            senders[leg] = engine.open(leg, room=1)
            if leg % 50 == 0:
                engine.run()  # the channel holds no more commands than that
        said = {leg: loud(leg, 4, peak=60) for leg in senders}
        quiet = np.zeros(160, np.int16)

        def say(number: int) -> None:
            for leg, sender in senders.items():
                frame = said[leg][number] if number < 4 else quiet
                engine.feed(leg, sender.say(frame))

        for leg in senders:
            engine.sent(leg)
        engine.run(8, say)
        total = np.sum([sound.reshape(-1).astype(np.int64) for sound in said.values()], axis=0)
        for leg in (1, 250, 500):
            expected = np.clip(total - said[leg].reshape(-1), -32768, 32767).astype(np.int16)
            heard = engine.heard(leg)
            windows = np.lib.stride_tricks.sliding_window_view(heard.astype(np.int64), 640)[::160]
            best = np.abs(windows - expected).max(axis=1).min()
            assert best <= np.abs(g711.decode(g711.encode(expected, 0), 0) - expected).max()


# --- anything at all ------------------------------------------------------------------------------

SIZES = st.sampled_from([0, 1, 3, 4, 11, 12, 13, 79, 80, 160, 161, 240, 320, 480, 481, 700, 1488])


@st.composite
def rtp_like(draw: st.DrawFn) -> bytes:
    """Return a packet with an RTP header, of which anything may be wrong."""
    first = draw(st.sampled_from([0x80, 0x80, 0x80, 0x90, 0xA0, 0xB3, 0x8F, 0x00, 0xC0, 0x7F]))
    kind = draw(st.sampled_from([0, 0, 0, 8, 9, 13, EVENTS, EVENTS, 72, 96, 127]))
    kind |= draw(st.sampled_from([0, 0x80]))
    sequence = draw(st.sampled_from([0, 1, 65_535]) | st.integers(0, 65_535))
    timestamp = draw(st.sampled_from([0, 0xFFFF_FFFF, 0x8000_0000]) | st.integers(0, 2**32 - 1))
    ssrc = draw(st.sampled_from([1, FUZZED, 0x0100_0001, 0x0100_0005]) | st.integers(0, 2**32 - 1))
    head = struct.pack("!BBHII", first, kind, sequence, timestamp, ssrc)
    return head + draw(st.binary(max_size=24)) + b"\x10" * draw(SIZES)


@st.composite
def rtcp_like(draw: st.DrawFn) -> bytes:
    """Return packets in a row with an RTCP header, whose lengths may lie."""
    data = b""
    for _ in range(draw(st.integers(1, 3))):
        body = draw(st.binary(max_size=60))
        words = draw(st.sampled_from([len(body) // 4, 0, 1, 6, 0x7FFF, 0xFFFF]))
        first = draw(st.sampled_from([0x80, 0x81, 0x82, 0x9F, 0xA1, 0x40]))
        data += struct.pack("!BBH", first, draw(st.integers(192, 223)), words) + body
    return data


DATAGRAMS = (
    # Those of its stream, of any length and type, one after the other.
    st.tuples(st.just("stream"), st.sampled_from([0, 0, 0, EVENTS, 13]), SIZES)
    | st.tuples(st.just("rtp"), rtp_like() | rtcp_like() | st.binary(max_size=700))
    | st.tuples(st.just("rtcp"), rtcp_like() | rtp_like() | st.binary(max_size=200))
)
TURNS = st.lists(st.lists(DATAGRAMS, max_size=5), min_size=1, max_size=TICKS)


def send(far: FarEnd, what: tuple[Any, ...]) -> None:
    """Send what was drawn."""
    match what:
        case ("stream", kind, size):
            payload = struct.pack("!BBH", size % 20, 10, size) if kind == EVENTS else b"\x10" * size
            packet = far.sender.audio(payload)
            far.send(Rtp(packet.sequence, packet.timestamp, payload, kind, packet.ssrc).pack())
        case ("rtp", data):
            far.send(data)
        case ("rtcp", data):
            far.send_rtcp(data)
        case _:
            raise AssertionError(what)


@both
@settings(max_examples=60, deadline=None, derandomize=True)
@given(turns=TURNS, muted=st.booleans(), codec=st.sampled_from(["PCMU", "PCMA", "G722"]))
def test_whatever_comes_no_tick_fails_and_innocents_hear_each_other(
    transport: Transport,
    turns: list[list[tuple[Any, ...]]],
    muted: bool,  # noqa: FBT001 - drawn
    codec: Codec,
) -> None:
    """In the other room always, in the same room where nobody is to hear the leg."""
    with House(transport, codec=codec, muted=muted) as house:

        def fuzz(number: int) -> None:
            for what in turns[number] if number < len(turns) else []:
                send(house.fuzzed, what)

        said = house.talk(TICKS, fuzz)
        innocents_heard(house, said, *((1, 2, 3, 4) if muted else (3, 4)))
        assert house.engine.counters.send_errors == 0
        assert house.fuzzed.payloads, HOST
