"""Session descriptions that cannot be used, and the pure half of reading and answering them."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.server import CODECS
from bridge.sip.errors import BadDescriptionError
from bridge.sip.messages import IncomingCall, LocalMedia, MediaNegotiated
from bridge.sip.sdp import (
    build_answer,
    build_offer,
    canonical,
    negotiated,
    parse,
    unusable,
    without_loopback,
)
from tests.sip.caller import OFFER, Caller, sdp
from tests.sip.desk import RTP_PORT, Desk

HEAD = "v=0\r\no=a 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
AUDIO = "m=audio 41000 RTP/AVP 0\r\n"
C4 = "c=IN IP4 127.0.0.1\r\n"

UNUSABLE = {
    "no audio": HEAD + C4 + "m=video 41000 RTP/AVP 31\r\n",
    "no media": HEAD + C4,
    "port 0": sdp(0),
    "unknown codecs": sdp(formats="18 4 98", lines=("a=rtpmap:98 opus/48000/2",)),
    "events only": sdp(formats="101"),
    "wide-band pcmu": sdp(formats="96", lines=("a=rtpmap:96 PCMU/16000",)),
    "stereo": sdp(formats="96", lines=("a=rtpmap:96 PCMU/8000/2",)),
    "static type renamed": sdp(formats="0", lines=("a=rtpmap:0 G726-32/8000",)),
    "port too high": sdp(70000),
    "port absurd": sdp(10**30),
    "port negative": sdp(-1),
    "port no number": HEAD + C4 + "m=audio 0x1000 RTP/AVP 0\r\n",
    "port in other digits": (HEAD + C4 + "m=audio ٤١ RTP/AVP 0\r\n"),
    "host name": HEAD + "c=IN IP4 phone.example.com\r\n" + AUDIO,
    "IPv6": HEAD + "c=IN IP6 ::1\r\n" + AUDIO,
    "IPv6 as IPv4": HEAD + "c=IN IP4 ::1\r\n" + AUDIO,
    "multicast": HEAD + "c=IN IP4 224.2.36.42/127\r\n" + AUDIO,
    "multicast without ttl": HEAD + "c=IN IP4 224.2.36.42\r\n" + AUDIO,
    "broadcast": HEAD + "c=IN IP4 255.255.255.255\r\n" + AUDIO,
    "number as address": HEAD + "c=IN IP4 2130706433\r\n" + AUDIO,
    "three octets": HEAD + "c=IN IP4 127.0.1\r\n" + AUDIO,
    "no c=": HEAD + AUDIO,
    "short c=": HEAD + "c=IN IP4\r\n" + AUDIO,
    "secure only": sdp(protocol="RTP/SAVP"),
    "dtls": sdp(protocol="UDP/TLS/RTP/SAVPF"),
    "tcp audio": sdp(protocol="TCP/RTP/AVP"),
    "short m=": HEAD + C4 + "m=audio 41000\r\n",
    "m= with strange words": HEAD + C4 + 'm=au"dio 41000 RTP/AVP 0\r\n',
    "many lines": HEAD + C4 + "m=audio 0 RTP/AVP 0\r\n" * 17 + AUDIO,
    "endless": HEAD + C4 + "a=x\r\n" * 600 + AUDIO,
    "not SDP": "INVITE sip:a@b SIP/2.0\r\n\r\n",
    "v missing": HEAD.partition("\r\n")[2] + C4 + AUDIO,
    "zeros": "\x00" * 300,
    "bytes": "v=0\r\n\x80\xff\r\nm=\xff 1 2 3\r\n",
}


@pytest.mark.parametrize("body", UNUSABLE.values(), ids=UNUSABLE.keys())
def test_an_offer_that_cannot_be_used_gets_488(body: str) -> None:
    """488 and no DNS; the bridge is told before that there is no codec; the next call works."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nameserver:
        nameserver.bind(("127.0.0.1", 0))
        nameserver.settimeout(0.0)
        with Desk(nameservers=[nameserver.getsockname()]) as desk:
            with Caller(desk.address) as caller:
                caller.say("INVITE", body)
                caller.acknowledge(caller.expect(488, "INVITE"))
            assert not desk.one(IncomingCall).codecs_ok
            with Caller(desk.address) as caller:
                caller.dial()
                caller.hang_up()
            desk.settle()
        with pytest.raises(BlockingIOError):
            nameserver.recv(512)


@pytest.mark.parametrize("body", UNUSABLE.values(), ids=UNUSABLE.keys())
def test_a_later_offer_that_cannot_be_used_leaves_the_call_as_it_was(desk: Desk, body: str) -> None:
    """488 to a re-INVITE or an UPDATE; what was agreed stays (RFC 3261 section 14.1)."""
    with Caller(desk.address) as caller:
        caller.dial()
        for method in ("INVITE", "UPDATE"):
            caller.say(method, body)
            answer = caller.expect(488, method)
            if method == "INVITE":
                caller.acknowledge(answer)
        caller.dial(sdp(41900, version=9))
        caller.hang_up()
    media = [item.media.remote_port for item in desk.of(MediaNegotiated)]
    assert media == [41000, 41900]


@pytest.mark.parametrize(
    ("content_type", "encoding", "status", "header"),
    [
        ("text/plain", "", 415, "accept"),
        ("application/sdp", "gzip", 415, "accept-encoding"),
    ],
)
def test_a_body_that_is_no_description(
    desk: Desk, content_type: str, encoding: str, status: int, header: str
) -> None:
    """415 says what would be taken (RFC 3261 section 8.2.3)."""
    headers = (f"Content-Encoding: {encoding}",) if encoding else ()
    with Caller(desk.address) as caller:
        caller.say("INVITE", OFFER, content_type=content_type, headers=headers)
        assert caller.expect(status, "INVITE").get(header)
    assert not desk.of(IncomingCall)


def test_a_description_inside_a_multipart_body(desk: Desk) -> None:
    """ISUP beside SDP, as SS7 gateways send it (RFC 3204)."""
    body = (
        "--here\r\nContent-Type: application/ISUP;version=itu-t92+\r\n"
        "Content-Disposition: signal;handling=optional\r\n\r\n\x01\x02\x03\r\n"
        f"--here\r\nContent-Type: application/sdp\r\n\r\n{OFFER}\r\n--here--\r\n"
    )
    with Caller(desk.address) as caller:
        ok = caller.dial(body, content_type="multipart/mixed;boundary=here")
        _, media = desk.call_is_up()
        caller.hang_up()
    assert ok.get("content-type") == "application/sdp"
    assert media.media.remote_port == 41000


def test_loopback_in_a_description_from_elsewhere_is_no_place_to_send_to() -> None:
    """A caller from outside cannot make us send RTP to ourselves."""
    description = parse(sdp())
    assert description.audio() is not None
    assert without_loopback(description).audio() is None


@pytest.mark.parametrize(
    ("offered", "answered"),
    [
        ("sendrecv", "sendrecv"),
        ("sendonly", "recvonly"),
        ("recvonly", "sendonly"),
        ("inactive", "inactive"),
    ],
)
def test_directions_are_answered_from_the_other_side(offered: str, answered: str) -> None:
    """RFC 3264 section 6.1; a direction of the session holds for the line that has none."""
    for lines in (
        HEAD + C4 + f"a={offered}\r\n" + AUDIO,
        HEAD + C4 + "a=sendrecv\r\n" + AUDIO + f"a={offered}\r\n",
    ):
        answer = build_answer(parse(lines), LocalMedia(RTP_PORT), "127.0.0.1", 7)
        assert f"a={answered}\r\n" in answer
        media = negotiated(answer, lines)
        assert media.tx == (offered in ("sendrecv", "recvonly"))
        assert media.rx == (offered in ("sendrecv", "sendonly"))
        assert media.on_hold == (not media.tx)


@pytest.mark.parametrize(
    ("maxptime", "ptime"), [(None, 20), (60, 20), (20, 20), (19, 10), (10, 10)]
)
def test_packet_time_from_maxptime(maxptime: int | None, ptime: int) -> None:
    """We send 20 ms, or 10 where the other side takes no more than that."""
    more = () if maxptime is None else (f"a=maxptime:{maxptime}",)
    offer = sdp(more=more)
    answer = build_answer(parse(offer), LocalMedia(RTP_PORT), "127.0.0.1", 7)
    assert negotiated(answer, offer).ptime_ms == ptime


@pytest.mark.parametrize(
    ("wideband", "formats", "codec"),
    [
        ("prefer", "0 8 9 101", "G722"),
        ("prefer", "9 0 8 101", "G722"),
        ("prefer", "8 0 101", "PCMA"),
        ("accept", "0 8 9 101", "PCMU"),
        ("accept", "9 0 8 101", "G722"),
        ("off", "9 8 0 101", "PCMA"),
    ],
)
def test_the_setting_says_when_wideband_is_taken(wideband: str, formats: str, codec: str) -> None:
    """Preferred wherever it is offered, or by the other side's order, or not at all."""
    offer = sdp(formats=formats, more=("a=rtpmap:9 G722/8000",))
    ours = LocalMedia(RTP_PORT, codecs=CODECS[wideband])
    answer = build_answer(parse(offer), ours, "127.0.0.1", 7)
    media = negotiated(answer, canonical(parse(offer)))
    assert media.codec == codec
    assert media.payload_type == {"PCMU": 0, "PCMA": 8, "G722": 9}[codec]
    assert len(parse(answer).media[0].codecs()) == 1


def test_g722_is_written_with_the_clock_of_8000_that_stands_in_its_rfc() -> None:
    """RFC 3551 section 4.5.2: G722/8000; another clock under that number is none of ours."""
    offer = build_offer(LocalMedia(RTP_PORT), "127.0.0.1", 5)
    assert "RTP/AVP 9 0 8 101 13\r\n" in offer
    assert "a=rtpmap:9 G722/8000\r\n" in offer
    wrong = sdp(formats="9 0", more=("a=rtpmap:9 G722/16000",))
    answer = build_answer(parse(wrong), LocalMedia(RTP_PORT), "127.0.0.1", 7)
    assert negotiated(answer, wrong).codec == "PCMU"


def test_an_offer_of_g722_alone_is_refused_where_it_is_off() -> None:
    """There is no codec in common, and nothing else is answered instead."""
    offer = parse(sdp(formats="9 101", more=("a=rtpmap:9 G722/8000",)))
    with pytest.raises(BadDescriptionError):
        build_answer(offer, LocalMedia(RTP_PORT, codecs=CODECS["off"]), "127.0.0.1", 7)


@pytest.mark.parametrize(
    ("answered", "codec"), [("9 101", "G722"), ("0 101", "PCMU"), ("8 9 101", "PCMA")]
)
def test_a_late_offer_is_answered_with_what_the_caller_chose(answered: str, codec: str) -> None:
    """An INVITE without an offer gets ours with all codecs; the answer decides."""
    offer = build_offer(LocalMedia(RTP_PORT), "127.0.0.1", 5)
    assert negotiated(offer, sdp(formats=answered)).codec == codec


def test_our_offer_can_be_answered_by_ourselves() -> None:
    """What we offer is in our own grammar, and leads to G.722 with events and comfort noise."""
    offer = build_offer(LocalMedia(RTP_PORT), "127.0.0.1", 5)
    answer = build_answer(parse(offer), LocalMedia(RTP_PORT + 2), "127.0.0.1", 6)
    media = negotiated(offer, answer)
    assert (media.codec, media.dtmf_payload_type, media.cn_payload_type) == ("G722", 101, 13)
    assert media.remote_port == RTP_PORT + 2


LINES = st.sampled_from(
    [
        "v=0",
        "c=IN IP4 127.0.0.1",
        "c=IN IP4 0.0.0.0",
        "c=IN IP6 ::1",
        "m=audio 41000 RTP/AVP 0 8 101",
        "m=audio 0 RTP/AVP 8",
        "m=video 41000/2 RTP/AVP 99",
        "m=audio 65535 RTP/AVPF 13 100",
        "m=image 1 udptl t38",
        "a=rtpmap:101 telephone-event/8000",
        "a=rtpmap:100 PCMA/8000/1",
        "a=rtpmap:0 PCMU/8000",
        "m=audio 41000 RTP/AVP 9 0",
        "a=rtpmap:9 G722/8000",
        "a=rtpmap:9 G722/16000",
        "a=rtpmap:",
        "a=ptime:20",
        "a=ptime:x",
        "a=maxptime:99999999",
        "a=rtcp:1 IN IP4 127.0.0.1",
        "a=rtcp:0",
        "a=sendonly",
        "a=inactive",
        "b=AS:64",
        "k=prompt",
        "",
        "=",
    ]
)


@given(
    st.one_of(
        st.binary(max_size=600),
        st.text(max_size=400).map(lambda text: text.encode("utf-8", "surrogatepass")),
        st.lists(st.one_of(LINES, st.text(max_size=40)), max_size=25).map(
            lambda lines: ("v=0\r\n" + "\r\n".join(lines)).encode("utf-8", "surrogatepass")
        ),
    )
)
@settings(max_examples=400, deadline=None)
def test_any_bytes_are_read_or_refused_with_a_documented_error(raw: bytes) -> None:
    """What is read has a canonical form that reads the same, and an answer where it is usable."""
    try:
        description = parse(raw)
    except BadDescriptionError:
        return
    text = canonical(description)
    again = parse(text)
    assert text.isascii()
    assert len(again.media) == len(description.media)
    taken = description.audio()
    if taken is None:
        assert again.audio() is None
        assert all(unusable(item) for item in description.media)
        return
    same = again.audio()
    assert same is not None
    assert (same.address, same.port, same.formats) == (taken.address, taken.port, taken.formats)
    answer = build_answer(description, LocalMedia(RTP_PORT), "127.0.0.1", 1)
    assert len(parse(answer).media) == len(description.media)
    assert negotiated(answer, text).remote_port == taken.port
