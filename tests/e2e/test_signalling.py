"""Signalling that goes wrong or the other way round, and what the callers hear of it."""

import time

import pytest

from tests.support.bridge_under_test import BridgeUnderTest
from tests.support.caller import Caller, all_at_once
from tests.support.rtp import RtpStream
from tests.support.sip_text import Message, Sdp

pytestmark = pytest.mark.e2e

SESSION = "v=0\r\no=- 1 99 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
"""A session description without its media lines."""


def talk(first: Caller, second: Caller) -> None:
    """Let two people talk in turn, and see that each hears the other."""
    assert second.heard_of(*first.speak()).match.heard
    assert first.heard_of(*second.speak()).match.heard


def two_inside(bridge: BridgeUnderTest, first: Caller, second: Caller) -> None:
    """Bring two people into one conference, everything said."""
    bridge.bring_in(bridge.room(chimes=False), first, second)


def test_late_offer_and_tcp(bridge: BridgeUnderTest) -> None:
    """An INVITE without SDP gets our offer, over UDP and over TCP; both are heard."""
    room = bridge.room(chimes=False)
    late = bridge.caller("late")
    tcp = bridge.caller("tcp", transport="tcp")
    all_at_once(
        lambda: late.slip_in(bridge.number, room.guest_pin, late=True),
        lambda: tcp.slip_in(bridge.number, room.guest_pin, late=True),
    )
    late.silent_for(0.8)
    talk(late, tcp)
    answer = next(
        message for _, message in late.responses if message.status == 200 and message.body
    )
    assert "telephone-event" in answer.body
    late.hang_up()
    tcp.hang_up()
    assert bridge.leg_of(tcp)["transport"] == "tcp"
    assert bridge.leg_of(late)["transport"] == "udp"


def test_cancel_before_the_answer_or_across_it_leaves_no_call(bridge: BridgeUnderTest) -> None:
    """A CANCEL that crosses our 200 gets 200, and the call is ended by the BYE that follows."""
    person = bridge.caller("cancels")
    answer = person.cancel(person.invite(bridge.number))
    assert answer.status in {200, 487}
    if answer.status == 200:
        person.hang_up()
        assert bridge.leg_of(person)["hung_up_by"] == "caller"
    bridge.wait_until(lambda: bridge.calls() == 0, 5, "the cancelled call to be gone")


def test_requests_that_come_several_times_count_once(bridge: BridgeUnderTest) -> None:
    """Three copies of the INVITE, the re-INVITE, the INFO and the BYE: one of each."""
    room = bridge.room(chimes=False)
    other = bridge.caller("other").slip_in(bridge.number, room.guest_pin)
    person = bridge.caller("thrice", stream=RtpStream(event_type=None))
    request = person.invite(bridge.number, copies=3)
    answer = person.final(request)
    assert answer.status == 200
    person.answered_at = time.monotonic()
    person.take_answer(request, answer)
    time.sleep(0.3)
    assert bridge.calls() == 2
    began = time.monotonic()
    for key in room.guest_pin:
        info = person.build(
            "INFO",
            body=f"Signal={key}\r\nDuration=100\r\n",
            content_type="application/dtmf-relay",
        )
        assert person.final(person.send(info, copies=3)).status == 200
    person.hears("joining", since=began)
    person.silent_for(0.8)
    again = person.send(person.build("INVITE", body=person.offer().pack()), copies=3)
    answer = person.final(again)
    person.acknowledge_final(again, answer)
    assert answer.status == 200
    talk(person, other)
    bye = person.send(person.build("BYE"), copies=3)
    assert person.final(bye).status == 200
    rows = bridge.operate("cdr.legs", caller=person.caller)
    assert len(rows) == 1
    assert bridge.leg_of(person)["dtmf_method"] == "info"


def test_200_is_repeated_until_the_ack_comes(bridge: BridgeUnderTest) -> None:
    """Without an ACK the 200 comes again (RFC 3261, 13.3.1.4), the late ACK lets the call go on."""
    room = bridge.room()
    person = bridge.caller("slow")
    person.acknowledge = False
    request = person.invite(bridge.number)
    person.final(request)
    person.wait_for(lambda: request.finals() >= 3, 6, "two repeats of the 200")
    person.acknowledge = True
    answer = request.final()
    assert answer is not None
    person.answered_at = request.sent_at
    person.take_answer(request, answer)
    person.greeted()
    began = person.press(room.guest_pin)
    person.hears("joining", since=began)


def test_glare_gets_491_or_500_and_the_call_goes_on(bridge: BridgeUnderTest) -> None:
    """A second re-INVITE while the first waits for its ACK must try again (RFC 3261, 14.2)."""
    one, two = bridge.caller("one"), bridge.caller("two")
    two_inside(bridge, one, two)
    first = one.send(one.build("INVITE", body=one.offer(direction="sendonly").pack()))
    held = one.final(first)
    second = one.send(one.build("INVITE", body=one.offer().pack()))
    refused = one.final(second)
    assert refused.status in {491, 500}
    one.acknowledge_final(second, refused)
    one.acknowledge_final(first, held)
    assert one.resume().status == 200
    talk(one, two)


def test_offers_that_cannot_be_met_are_declined_and_the_call_goes_on(
    bridge: BridgeUnderTest,
) -> None:
    """T.38, SRTP and foreign codecs in a re-INVITE get 488; the two still hear each other."""
    one, two = bridge.caller("fax"), bridge.caller("two")
    two_inside(bridge, one, two)
    fax = f"{SESSION}m=image 40000 udptl t38\r\n"
    secure = one.offer().pack().replace("RTP/AVP", "RTP/SAVP")
    foreign = one.offer(payload_types=(3,), event_type=None).pack()
    for body in (fax, secure, foreign):
        request = one.send(one.build("INVITE", body=body))
        answer = one.final(request)
        assert answer.status == 488
        one.acknowledge_final(request, answer)
    talk(one, two)


def test_video_is_declined_with_port_0_beside_audio(bridge: BridgeUnderTest) -> None:
    """A video phone talks without its picture."""
    room = bridge.room()
    person = bridge.caller("video")
    offer = person.offer(extra=("m=video 40002 RTP/AVP 96", "a=rtpmap:96 H264/90000"))
    person.dial(bridge.number, offer=offer)
    assert person.peer is not None
    assert person.peer.ports[1:] == (0,)
    began = person.press(room.guest_pin)
    person.hears("joining", since=began)


def test_reliable_provisional_responses_and_session_timers(bridge: BridgeUnderTest) -> None:
    """`100rel` and `timer` are supported: the call is set up, with a Session-Expires that fits."""
    person = bridge.caller("timer", supported="timer, 100rel")
    answer = person.try_to_dial(
        bridge.number, headers=(("Session-Expires", "120;refresher=uac"), ("Min-SE", "90"))
    )
    assert answer.status == 200
    assert answer.get("Session-Expires").startswith("120")
    person.greeted()


def test_answers_mean_something(bridge: BridgeUnderTest) -> None:
    """404 unknown number, 488 no codec, 480 switched off, 486 at its limit; all in the records."""
    bridge.operate("number.add", number="+12025550140", language="en", call_limit=1)
    bridge.operate("number.add", number="+12025550141", language="en")
    bridge.operate("number.change", number="+12025550141", enabled=False)

    def answer(name: str, number: str, **sdp: object) -> int:
        person = bridge.caller(name)
        status = person.try_to_dial(number, offer=person.offer(**sdp)).status
        if status == 200:
            return status
        person.close()
        return status

    assert answer("a", "+12025550149") == 404
    assert answer("b", "+12025550141") == 480
    assert answer("c", bridge.number, payload_types=(3,), event_type=None) == 488
    assert answer("d", "+12025550140") == 200
    assert answer("e", "+12025550140") == 486
    bridge.wait_until(
        lambda: len(bridge.operate("cdr.refused", limit=4)) == 4, 10, "four rows of refusals"
    )
    rows = bridge.operate("cdr.refused", limit=4)
    assert [(row["reason"], row["sip_status"]) for row in reversed(rows)] == [
        ("unknown_number", 404),
        ("number_disabled", 480),
        ("no_common_codec", 488),
        ("number_limit", 486),
    ]


def test_number_is_found_in_to_and_diversion(bridge: BridgeUnderTest) -> None:
    """Where the Request-URI names none of our numbers, To and then Diversion are looked at."""
    diverted = bridge.caller("diverted")
    header = ("Diversion", f"<sip:{bridge.number}@carrier.test>;reason=unconditional")
    diverted.dial("trunk-user", headers=(header,))
    diverted.greeted()


@pytest.mark.parametrize(
    "sdp",
    [
        SESSION,
        f"{SESSION}m=video 4000 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n",
        f"{SESSION}m=audio 0 RTP/AVP 0\r\n",
        f"{SESSION.replace('127.0.0.1', 'phone.test')}m=audio 4000 RTP/AVP 0\r\n",
        f"{SESSION}m=audio 99999 RTP/AVP 0\r\n",
        "this is no session description\r\n",
    ],
    ids=["no audio", "video only", "port 0", "hostname", "absurd port", "no sdp"],
)
def test_description_without_usable_audio_is_refused_at_once(
    bridge: BridgeUnderTest, sdp: str
) -> None:
    """488 (400 for what is no SDP), without a question to any name server."""
    person = bridge.caller("bad-offer")
    person._to_uri = f"sip:{bridge.number}@{bridge.host}:{bridge.port}"
    request = person.send(person.build("INVITE", body=sdp))
    answer = person.final(request, 5)
    person.acknowledge_final(request, answer)
    assert answer.status in {400, 488}
    assert request.responses[-1][0] - request.sent_at < 2.0


def test_malformed_sip_does_not_touch_the_next_call(bridge: BridgeUnderTest) -> None:
    """Truncated, oversized, wrongly encoded and contradictory messages, then a call as ever."""
    person = bridge.caller("before-and-after")
    person._to_uri = f"sip:{bridge.number}@{bridge.host}:{bridge.port}"
    good = person.build("INVITE", body=person.offer().pack()).pack()
    options = person.build("OPTIONS")
    rotten = [
        good[:40],
        good[: good.index(b"\r\n\r\n")],
        good.replace(b"SIP/2.0\r\n", b"SIP/7.0\r\n", 1),
        good.replace(b"Max-Forwards: 70", b"X-Long: " + b"a" * 60_000),
        good.replace(b"test phone", b"\xff\xfe\xc0\xaf"),
        good.replace(b"Call-ID: ", b"Call-ID: \x00"),
        good.replace(b"CSeq: ", b"CSeq: 99999999999999"),
        good.replace(b"Content-Length: ", b"Content-Length: 9"),
        good.replace(b"Content-Length: ", b"Content-Length: -"),
        Message("INVITE sip: SIP/2.0", list(options.headers)).pack(),
        Message("INVITE", list(options.headers)).pack(),
        b"\r\n\r\n",
        b"",
        bytes(range(256)) * 8,
        b"SIP/2.0 200 OK\r\n\r\n",
        b"INVITE sip:x SIP/2.0\r\n" + b"Via: SIP/2.0/UDP x\r\n" * 500 + b"\r\n",
    ]
    for datagram in rotten:
        person.send_bytes(datagram)
    time.sleep(0.5)
    room = bridge.room()
    bridge.caller("next").slip_in(bridge.number, room.guest_pin)
    # Some of the messages were good enough for a call, and there is nobody at it.
    answered = {ok.get("Call-ID"): ok for _, ok in person.responses if ok.status == 200}
    for ok in answered.values():
        end_unheld_call(person, ok)
    bridge.wait_until(lambda: bridge.calls() == 1, 10, "what was no call to be over")


def end_unheld_call(person: Caller, ok: Message) -> None:
    """Send ACK and BYE for a 200 whose INVITE did not go through the phone's own bookkeeping."""
    target = ok.get("Contact").strip("<>")
    for cseq, method in ((ok.cseq, "ACK"), (ok.cseq + 1, "BYE")):
        request = person.build(method, uri=target)
        headers = {**dict(request.headers), "CSeq": f"{cseq} {method}"}
        headers |= {name: ok.get(name) for name in ("From", "To", "Call-ID")}
        person.send_bytes(Message(request.start, list(headers.items())).pack())


def test_maxptime_below_20_is_honoured(bridge: BridgeUnderTest) -> None:
    """A phone that takes 10 ms at most gets packets of 80 samples."""
    person = bridge.caller("ten")
    offer = person.offer(ptime_ms=10, max_ptime_ms=10)
    assert isinstance(offer, Sdp)
    person.dial(bridge.number, offer=offer)
    person.greeted()
    assert {len(item.packet.payload) for item in person.stream.arrived} == {80}
