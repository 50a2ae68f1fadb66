"""RTP headers read as arrays agree with a reader that takes one packet at a time."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.media.counters import LegCounters
from bridge.media.legs import Legs
from bridge.media.messages import LegMedia
from bridge.media.rtp import LARGEST_PAYLOAD, PACKET_ROW, Headers, Kind, parse
from tests.media.engine import EVENT, NOISE, Rtp, arrivals, still


def legs_of(count: int = 3, *, rx: bool = True) -> Legs:
    """Return legs that negotiated PCMU, events as 101 and comfort noise as 13."""
    legs = Legs(4)
    for leg in range(1, count + 1):
        media = LegMedia(codec="PCMU", payload_type=0, dtmf_payload_type=EVENT, rx=rx)
        legs.take(leg, media)
    return legs


def parsed(packets: list[bytes], *, rx: bool = True) -> tuple[Headers, dict[str, int]]:
    """Parse packets of the first leg; return the headers and the leg's counters."""
    counters = LegCounters(4)
    headers = parse(arrivals([(0, data) for data in packets]), legs_of(rx=rx), counters)
    return headers, counters.of(0)


def one_by_one(data: bytes) -> tuple[int, int, int] | str:
    """Read one packet as RFC 3550 section 5.1 says: kind, offset and length, or what is wrong."""
    if len(data) <= 12 or len(data) >= PACKET_ROW or data[0] >> 6 != 2:
        return "malformed"
    offset, end = 12 + 4 * (data[0] & 15), len(data)
    if data[0] & 0x10:
        if offset + 4 > len(data):
            return "malformed"
        offset += 4 + 4 * int.from_bytes(data[offset + 2 : offset + 4], "big")
    if data[0] & 0x20:
        if data[-1] == 0:
            return "malformed"
        end -= data[-1]
    if not 0 < end - offset <= LARGEST_PAYLOAD:
        return "malformed"
    kinds = {0: Kind.AUDIO, EVENT: Kind.EVENT, NOISE: Kind.COMFORT_NOISE}
    kind = kinds.get(data[1] & 0x7F)
    if kind is None:
        return "rtcp_on_rtp" if 64 <= data[1] & 0x7F <= 95 else "wrong_payload"
    return kind, offset, end - offset


PACKETS = st.builds(
    lambda first, second, rest: bytes([first, second]) + rest,
    st.sampled_from([0x80, 0x81, 0x8F, 0x90, 0x9F, 0xA0, 0xB0, 0xBF, 0x40, 0x00, 0xC0]),
    st.sampled_from([0, 128, 8, EVENT, EVENT | 128, NOISE, 200, 72]),
    st.binary(max_size=700),
)


@settings(max_examples=300)
@given(st.lists(PACKETS | st.binary(min_size=1, max_size=60), min_size=1, max_size=12))
def test_any_packets_are_judged_as_one_by_one(packets: list[bytes]) -> None:
    """Kinds, payloads and counters are those of a slow reader, whatever the octets say."""
    headers, counts = parsed(packets)
    wrong = {"malformed": 0, "rtcp_on_rtp": 0, "wrong_payload": 0}
    for index, data in enumerate(packets):
        expected = one_by_one(data)
        if isinstance(expected, str):
            wrong[expected] += 1
            assert headers.kind[index] == Kind.DROPPED
        else:
            got = (headers.kind[index], headers.offset[index], headers.length[index])
            assert got == expected
    assert {name: counts[name] for name in wrong} == wrong


@given(st.integers(0, 65_535), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.booleans())
def test_fields_are_read(sequence: int, timestamp: int, ssrc: int, marker: bool) -> None:  # noqa: FBT001 - a bit
    """Sequence number, time stamp, SSRC and marker come out as they went in."""
    headers, _ = parsed([Rtp(sequence, timestamp, still(), 0, ssrc, marker).pack()])
    fields = (headers.sequence[0], headers.timestamp[0], headers.ssrc[0], headers.marker[0])
    assert fields == (sequence, timestamp, ssrc, marker)


def test_padding_extension_and_sources_are_skipped() -> None:
    """All three at once: the payload between them is found."""
    sources, extension = bytes(8), b"\xbe\xde\x00\x02" + bytes(8)
    body = sources + extension + b"sound" + b"\0\0\3"
    headers, counts = parsed([Rtp(1, 2, body, first=0x80 | 0x20 | 0x10 | 2).pack()])
    assert headers.kind.tolist() == [Kind.AUDIO]
    assert (headers.offset[0], headers.length[0]) == (12 + 8 + 12, 5)
    assert not any(counts.values())


def test_a_leg_that_may_not_send_is_counted() -> None:
    """On hold its packets are unwanted, not malformed."""
    headers, counts = parsed([Rtp(1, 2, still()).pack()] * 3, rx=False)
    assert headers.kind.tolist() == [Kind.DROPPED] * 3
    assert {name: count for name, count in counts.items() if count} == {"unwanted": 3}


def test_each_packet_is_judged_by_its_own_leg() -> None:
    """The same payload type is audio for one leg and unknown for another."""
    legs = legs_of(1)
    legs.take(2, LegMedia(codec="PCMA", payload_type=8, cn_payload_type=None))
    counters = LegCounters(4)
    packet, noise = Rtp(1, 2, still()).pack(), Rtp(1, 2, b"\x40", NOISE).pack()
    headers = parse(arrivals([(0, packet), (1, packet), (0, noise), (1, noise)]), legs, counters)
    assert headers.kind.tolist() == [Kind.AUDIO, 0, Kind.COMFORT_NOISE, 0]
    assert counters.of(1)["wrong_payload"] == 2
    assert np.array_equal(headers.ssrc, [0x1234_5678] * 4)
