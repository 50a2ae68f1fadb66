"""Calls from the first INVITE to BYE: offer and answer, hold, resume, moved media (RFC 3264)."""

from __future__ import annotations

import re
from ipaddress import IPv4Network

import pytest

from bridge.sip.messages import (
    CallConfirmed,
    CallEnded,
    DigitByInfo,
    IncomingCall,
    LocalMedia,
    MediaNegotiated,
    Trunk,
)
from tests.sip.caller import OFFER, Caller, Response, sdp
from tests.sip.desk import RTP_PORT, Desk


def _version(body: str) -> int:
    found = re.search(r"^o=\S+ \d+ (\d+) ", body, re.MULTILINE)
    assert found
    return int(found[1])


def test_a_call_is_answered_confirmed_and_ended_by_the_caller(desk: Desk) -> None:
    """An INVITE with an offer gets 180, 200 with our answer, and its BYE ends it."""
    with Caller(desk.address) as caller:
        caller.say("INVITE", OFFER)
        caller.expect(100, "INVITE")
        caller.expect(180, "INVITE")
        ok = caller.expect(200, "INVITE")
        caller.acknowledge(ok)
        incoming, negotiated = desk.call_is_up()
        caller.say("BYE", headers=('Reason: Q.850;cause=31;text="Normal, unspecified"',))
        caller.expect(200, "BYE")
    assert incoming.has_offer
    assert incoming.codecs_ok
    assert incoming.dialled == ("+46812345678",)
    assert incoming.claimed == "+46701234567"
    assert incoming.asserted is None
    media = negotiated.media
    assert (media.codec, media.payload_type, media.dtmf_payload_type) == ("PCMU", 0, 101)
    assert (media.remote_ip, media.remote_port) == ("127.0.0.1", 41000)
    assert media.remote_rtcp == ("127.0.0.1", 41001)
    assert media.tx
    assert media.rx
    assert not media.on_hold
    assert f"m=audio {RTP_PORT} RTP/AVP 0 101" in ok.body
    assert "a=fmtp:101 0-16" in ok.body
    assert "tag=" in ok.get("to")
    ended = desk.ended()
    assert (ended.by, ended.reason, ended.q850) == ("caller", "bye", 31)
    gauges = desk.settle()
    assert gauges["calls"] == 0


def test_events_of_a_call_come_in_order_and_its_end_once(desk: Desk) -> None:
    """IncomingCall, MediaNegotiated, CallConfirmed and one CallEnded, in this order."""
    with Caller(desk.address) as caller:
        caller.dial()
        desk.call_is_up()
        caller.hang_up()
        caller.say("BYE")
        desk.ended()
        desk.settle()
    kinds = [type(event) for event in desk.events]
    assert kinds == [IncomingCall, MediaNegotiated, CallConfirmed, CallEnded]


def test_an_invite_without_an_offer_gets_ours_in_the_200(desk: Desk) -> None:
    """A late offer has all our codecs, telephone-event and comfort noise; the ACK answers it."""
    with Caller(desk.address) as caller:
        caller.say("INVITE")
        ok = caller.expect(200, "INVITE")
        caller.acknowledge(ok, sdp(41002, "8 101"))
        incoming, negotiated = desk.call_is_up()
        caller.hang_up()
    assert not incoming.has_offer
    assert incoming.codecs_ok
    assert f"m=audio {RTP_PORT} RTP/AVP 9 0 8 101 13" in ok.body
    assert negotiated.media.codec == "PCMA"
    assert negotiated.media.remote_port == 41002
    assert negotiated.media.dtmf_payload_type == 101


@pytest.mark.parametrize("same_branch", [False, True])
@pytest.mark.parametrize("body", ["", "v=0\r\nnonsense\r\n"])
def test_an_ack_without_the_answer_to_our_offer_ends_the_call(
    desk: Desk, body: str, *, same_branch: bool
) -> None:
    """Without an answer there is no media: we hang up, and the bridge is told."""
    with Caller(desk.address) as caller:
        caller.say("INVITE")
        ok = caller.expect(200, "INVITE")
        caller.remote_target = ok.get("contact").strip("<>")
        branch = caller.branch if same_branch else None
        caller.send(caller.request("ACK", body, cseq=1, branch=branch))
        bye = caller.expect_request("BYE")
        caller.answer(bye)
    ended = desk.ended()
    assert (ended.by, ended.reason) == ("network", "no_answer_to_offer")
    assert not desk.of(CallConfirmed)
    desk.settle()


def test_the_callers_first_codec_of_ours_is_taken(desk: Desk) -> None:
    """The offerer's order decides (RFC 3264 section 6.1); what we do not know is left out."""
    offer = sdp(
        formats="18 3 8 0 97",
        lines=("a=rtpmap:97 telephone-event/8000", "a=rtpmap:3 GSM/8000"),
    )
    with Caller(desk.address) as caller:
        ok = caller.dial(offer)
        _, negotiated = desk.call_is_up()
        caller.hang_up()
    assert f"m=audio {RTP_PORT} RTP/AVP 8 97" in ok.body
    assert negotiated.media.codec == "PCMA"
    assert negotiated.media.dtmf_payload_type == 97


@pytest.mark.parametrize("late", [False, True])
def test_g722_is_agreed_on_wherever_the_caller_has_it(desk: Desk, *, late: bool) -> None:
    """Before G.711 though offered last (RFC 3551, table 4); in answer to a late offer too."""
    wideband = ("a=rtpmap:101 telephone-event/8000", "a=rtpmap:9 G722/8000")
    with Caller(desk.address) as caller:
        if late:
            caller.say("INVITE")
            ok = caller.expect(200, "INVITE")
            caller.acknowledge(ok, sdp(formats="9 101", lines=wideband))
        else:
            ok = caller.dial(sdp(formats="8 0 9 101", lines=wideband))
        _, negotiated = desk.call_is_up()
        caller.hang_up()
    assert f"m=audio {RTP_PORT} RTP/AVP 9 " in ok.body
    assert (negotiated.media.codec, negotiated.media.payload_type) == ("G722", 9)
    assert negotiated.media.dtmf_payload_type == 101


def test_a_reinvite_changes_between_g711_and_g722_and_back(desk: Desk) -> None:
    """Each change is told once, with the payload type that belongs to it."""
    wideband = ("a=rtpmap:101 telephone-event/8000", "a=rtpmap:9 G722/8000")
    with Caller(desk.address) as caller:
        caller.dial(sdp(formats="0 101"))
        desk.call_is_up()
        caller.dial(sdp(formats="9 101", lines=wideband, version=2))
        caller.dial(sdp(formats="0 101", version=3))
        desk.wait(MediaNegotiated, 3)
        caller.hang_up()
    told = [(event.media.codec, event.media.payload_type) for event in desk.of(MediaNegotiated)]
    assert told == [("PCMU", 0), ("G722", 9), ("PCMU", 0)]


def test_comfort_noise_is_answered_where_it_is_offered(desk: Desk) -> None:
    """Payload type 13 stays in the answer, so that a gateway may send it (RFC 3389)."""
    with Caller(desk.address) as caller:
        ok = caller.dial(sdp(formats="0 13 101"))
        _, negotiated = desk.call_is_up()
        caller.hang_up()
    assert f"m=audio {RTP_PORT} RTP/AVP 0 13 101" in ok.body
    assert negotiated.media.cn_payload_type == 13


def test_a_codec_on_a_dynamic_payload_type_is_known_by_its_name(desk: Desk) -> None:
    """PCMU on payload type 100 is answered on payload type 100."""
    with Caller(desk.address) as caller:
        caller.dial(sdp(formats="100", lines=("a=rtpmap:100 PCMU/8000",)))
        _, negotiated = desk.call_is_up()
        caller.hang_up()
    assert negotiated.media.payload_type == 100
    assert negotiated.media.dtmf_payload_type is None


def test_maxptime_below_20_makes_packets_of_10_ms(desk: Desk) -> None:
    """A caller that takes no more than 10 ms in a packet gets 10 ms."""
    with Caller(desk.address) as caller:
        caller.dial(sdp(more=("a=ptime:10", "a=maxptime:10")))
        _, negotiated = desk.call_is_up()
        caller.hang_up()
    assert negotiated.media.ptime_ms == 10


def test_ptime_from_10_to_60_is_taken(desk: Desk) -> None:
    """The caller may send packets of any usual length; we send 20 ms."""
    for ptime in (10, 20, 30, 40, 60):
        with Caller(desk.address) as caller:
            ok = caller.dial(sdp(more=(f"a=ptime:{ptime}",)))
            caller.hang_up()
        assert "a=ptime:20" in ok.body
    assert {item.media.ptime_ms for item in desk.wait(MediaNegotiated, 5)} == {20}


def test_rtcp_goes_where_the_offer_says(desk: Desk) -> None:
    """``a=rtcp`` (RFC 3605) names port and address of RTCP."""
    with Caller(desk.address) as caller:
        caller.dial(sdp(more=("a=rtcp:53020 IN IP4 127.0.0.9",)))
        _, negotiated = desk.call_is_up()
        caller.hang_up()
    assert negotiated.media.remote_rtcp == ("127.0.0.9", 53020)


def test_video_is_answered_with_port_0_and_audio_goes_on(desk: Desk) -> None:
    """Every m= line gets an answer in its place (RFC 3264 section 6)."""
    offer = sdp(more=("m=video 41010 RTP/AVP 99", "a=rtpmap:99 H264/90000"))
    with Caller(desk.address) as caller:
        ok = caller.dial(offer)
        desk.call_is_up()
        caller.hang_up()
    assert "m=video 0 RTP/AVP 99" in ok.body
    assert ok.body.index("m=audio") < ok.body.index("m=video")


def test_a_declined_line_without_address_is_harmless(desk: Desk) -> None:
    """``m=video 0`` without ``c=``, where only the audio line has one, is legal and common."""
    offer = (
        "v=0\r\no=caller 1 1 IN IP4 127.0.0.1\r\ns=call\r\nt=0 0\r\n"
        "m=audio 41000 RTP/AVP 0\r\nc=IN IP4 127.0.0.1\r\nm=video 0 RTP/AVP 31\r\n"
    )
    with Caller(desk.address) as caller:
        caller.dial(offer)
        desk.call_is_up()
        caller.hang_up()


def test_a_secure_line_beside_a_plain_one_is_declined(desk: Desk) -> None:
    """RTP/SAVP gets port 0, the RTP/AVP line after it is taken."""
    offer = sdp(protocol="RTP/SAVP", more=("m=audio 41020 RTP/AVP 8",))
    with Caller(desk.address) as caller:
        ok = caller.dial(offer)
        _, negotiated = desk.call_is_up()
        caller.hang_up()
    assert "m=audio 0 RTP/SAVP" in ok.body
    assert negotiated.media.remote_port == 41020


def test_hold_and_resume_by_reinvite(desk: Desk) -> None:
    """``sendonly`` is hold, ``sendrecv`` resume; our description's version counts up."""
    with Caller(desk.address) as caller:
        first = caller.dial()
        desk.call_is_up()
        held = caller.dial(sdp(more=("a=sendonly",), version=2))
        desk.wait(MediaNegotiated, 2)
        back = caller.dial(sdp(version=3))
        desk.wait(MediaNegotiated, 3)
        caller.hang_up()
    assert "a=recvonly" in held.body
    assert "a=sendrecv" in back.body
    assert _version(held.body) == _version(first.body) + 1
    assert _version(back.body) == _version(held.body) + 1
    media = [item.media for item in desk.of(MediaNegotiated)]
    assert [item.on_hold for item in media] == [False, True, False]
    assert [item.tx for item in media] == [True, False, True]
    assert [item.rx for item in media] == [True, True, True]


def test_inactive_is_hold_both_ways(desk: Desk) -> None:
    """``inactive`` is answered with ``inactive``: nobody sends."""
    with Caller(desk.address) as caller:
        caller.dial()
        held = caller.dial(sdp(more=("a=inactive",), version=2))
        media = desk.wait(MediaNegotiated, 2)[1].media
        caller.hang_up()
    assert "a=inactive" in held.body
    assert (media.tx, media.rx, media.on_hold) == (False, False, True)


def test_the_null_address_is_hold(desk: Desk) -> None:
    """0.0.0.0 is how RFC 2543 put a call on hold: there is nowhere to send to."""
    with Caller(desk.address) as caller:
        caller.dial()
        caller.dial(sdp(address="0.0.0.0", version=2))  # noqa: S104 - said, not bound
        media = desk.wait(MediaNegotiated, 2)[1].media
        caller.hang_up()
    assert (media.tx, media.on_hold) == (False, True)


def test_media_moves_by_update(desk: Desk) -> None:
    """UPDATE with a new offer moves the media (RFC 3311)."""
    with Caller(desk.address) as caller:
        caller.dial()
        desk.call_is_up()
        caller.say("UPDATE", sdp(41500, version=2))
        ok = caller.expect(200, "UPDATE")
        media = desk.wait(MediaNegotiated, 2)[1].media
        caller.hang_up()
    assert media.remote_port == 41500
    assert f"m=audio {RTP_PORT}" in ok.body


def test_update_without_a_description_is_a_refresh(desk: Desk) -> None:
    """UPDATE without a body is answered with 200 and changes nothing."""
    with Caller(desk.address) as caller:
        caller.dial()
        desk.call_is_up()
        caller.say("UPDATE")
        assert not caller.expect(200, "UPDATE").body
        caller.hang_up()
    assert len(desk.of(MediaNegotiated)) == 1


def test_a_reinvite_that_changes_nothing_is_not_reported_again(desk: Desk) -> None:
    """The same media twice is one MediaNegotiated; the version stays as it was."""
    with Caller(desk.address) as caller:
        first = caller.dial()
        again = caller.dial()
        caller.hang_up()
    desk.ended()
    assert len(desk.of(MediaNegotiated)) == 1
    assert _version(first.body) == _version(again.body)


def test_a_reinvite_without_an_offer_gets_one(desk: Desk) -> None:
    """A later offer of ours holds every codec again and may end a hold."""
    with Caller(desk.address) as caller:
        caller.dial(sdp(more=("a=sendonly",)))
        desk.call_is_up()
        caller.say("INVITE")
        ok = caller.expect(200, "INVITE")
        caller.acknowledge(ok, sdp(41700, "8 101"))
        media = desk.wait(MediaNegotiated, 2)[1].media
        caller.hang_up()
    assert "RTP/AVP 9 0 8 101" in ok.body
    assert (media.codec, media.remote_port, media.on_hold) == ("PCMA", 41700, False)


def test_t38_and_srtp_offers_are_declined_and_the_call_goes_on(desk: Desk) -> None:
    """488 to a re-INVITE leaves the session as it was (RFC 3261 section 14.1)."""
    fax = sdp(media="image", protocol="udptl", formats="t38", lines=(), version=2)
    secure = sdp(protocol="RTP/SAVP", version=3)
    nothing = sdp(0, version=4)
    with Caller(desk.address) as caller:
        caller.dial()
        desk.call_is_up()
        for offer in (fax, secure, nothing):
            for method in ("INVITE", "UPDATE"):
                caller.say(method, offer)
                answer = caller.expect(488, method)
                if method == "INVITE":
                    caller.acknowledge(answer)
        held = caller.dial(sdp(more=("a=sendonly",), version=5))
        caller.hang_up()
    assert "a=recvonly" in held.body
    assert desk.ended().reason == "bye"


def test_keys_by_info_in_both_ways_of_writing(desk: Desk) -> None:
    """``application/dtmf-relay`` and ``application/dtmf`` give the key; others get 415."""
    with Caller(desk.address) as caller:
        caller.dial()
        desk.call_is_up()
        relay = "application/dtmf-relay"
        caller.say("INFO", "Signal=5\r\nDuration=160\r\n", content_type=relay)
        caller.expect(200, "INFO")
        caller.say("INFO", "Signal= 11\r\nDuration= 90\r\n", content_type=relay)
        caller.expect(200, "INFO")
        caller.say("INFO", "*", content_type="application/dtmf")
        caller.expect(200, "INFO")
        caller.say("INFO", "Signal=77\r\n", content_type=relay)
        caller.expect(400, "INFO")
        caller.say("INFO", "x", content_type="text/plain")
        refused = caller.expect(415, "INFO")
        caller.say("INFO")
        caller.expect(200, "INFO")
        caller.hang_up()
    assert "application/dtmf-relay" in refused.get("accept")
    keys = [(event.digit, event.duration_ms) for event in desk.wait(DigitByInfo, 3)]
    assert keys == [("5", 160), ("#", 90), ("*", 250)]


def test_a_repeated_info_presses_its_key_once(desk: Desk) -> None:
    """A retransmission is the transaction's business: the key comes once."""
    with Caller(desk.address) as caller:
        caller.dial()
        desk.call_is_up()
        text = caller.say("INFO", "7", content_type="application/dtmf")
        caller.expect(200, "INFO")
        caller.send(text)
        caller.expect(200, "INFO")
        caller.hang_up()
    desk.ended()
    assert len(desk.of(DigitByInfo)) == 1


def test_public_address_stands_in_contact_and_description() -> None:
    """Behind NAT the caller is told the public address, in Contact and in ``c=``."""
    trunk = Trunk("carrier", (IPv4Network("127.0.0.0/8"),))
    with (
        Desk(public_address="203.0.113.7", trunks=(trunk,)) as desk,
        Caller(desk.address) as caller,
    ):
        caller.say("INVITE", OFFER)
        ok = caller.expect(200, "INVITE")
        assert "<sip:dialin@203.0.113.7:" in ok.get("contact")
        assert "c=IN IP4 203.0.113.7" in ok.body
        caller.send(caller.request("ACK", cseq=1))
        desk.call_is_up()
        caller.hang_up()


def test_the_bridge_may_choose_another_address_for_media(desk: Desk) -> None:
    """``LocalMedia.ip`` overrides the endpoint's address in the description."""
    desk._policy = lambda on, call: on.endpoint.accept(
        call.call, LocalMedia(RTP_PORT, ip="127.0.0.77", codecs=("PCMA",))
    )
    with Caller(desk.address) as caller:
        ok = caller.dial()
        caller.hang_up()
    assert "c=IN IP4 127.0.0.77" in ok.body
    assert f"m=audio {RTP_PORT} RTP/AVP 8 101" in ok.body


def test_reliable_provisional_responses_where_they_are_required(desk: Desk) -> None:
    """``Require: 100rel`` makes our 180 reliable, and PRACK is answered (RFC 3262)."""
    with Caller(desk.address) as caller:
        caller.say("INVITE", OFFER, headers=("Require: 100rel",))
        ringing = caller.expect(180, "INVITE")
        assert "100rel" in ringing.get("require")
        caller.remote_target = ringing.get("contact").strip("<>")
        number = caller.cseq
        caller.say("PRACK", headers=(f"RAck: {ringing.get('rseq')} {number} INVITE",))
        statuses: dict[str, Response] = {}
        while len(statuses) < 2:
            answer = caller.receive()
            if answer.status == 200:
                statuses[answer.cseq.split()[1]] = answer
        caller.acknowledge(statuses["INVITE"])
        desk.call_is_up()
        caller.hang_up()


def test_an_unknown_required_extension_is_refused(desk: Desk) -> None:
    """``Require: teleport`` gets 420 that names it (RFC 3261 section 8.2.2.3)."""
    with Caller(desk.address) as caller:
        caller.say("INVITE", OFFER, headers=("Require: teleport",))
        answer = caller.expect(420, "INVITE")
        caller.acknowledge(answer)
    assert "teleport" in answer.get("unsupported")
    assert not desk.of(IncomingCall)


def test_options_gets_200_and_says_what_we_can(desk: Desk) -> None:
    """A trunk's keep-alive is answered with Allow, Accept and Supported."""
    with Caller(desk.address) as caller:
        caller.say("OPTIONS")
        answer = caller.expect(200, "OPTIONS")
    for method in ("INVITE", "OPTIONS", "INFO", "UPDATE", "PRACK"):
        assert method in answer.get("allow")
    assert "application/sdp" in answer.get("accept")
    assert "timer" in answer.get("supported")


def test_methods_that_we_do_not_serve_are_answered_sensibly(desk: Desk) -> None:
    """Each unknown wish gets its own refusal, outside a dialog and inside one."""
    outside = {
        "SUBSCRIBE": 489,
        "PUBLISH": 489,
        "NOTIFY": 481,
        "MESSAGE": 405,
        "REFER": 405,
        "REGISTER": 405,
        "TELEPORT": 501,
    }
    inside = {"REFER": 603, "SUBSCRIBE": 489, "NOTIFY": 489, "MESSAGE": 405, "OPTIONS": 200}
    for method, status in outside.items():
        with Caller(desk.address) as caller:
            caller.say(method, headers=("Event: x",))
            caller.expect(status, method)
    with Caller(desk.address) as caller:
        caller.dial()
        desk.call_is_up()
        for method, status in inside.items():
            caller.say(method, headers=("Event: x", "Refer-To: <sip:x@127.0.0.1>"))
            caller.expect(status, method)
        caller.hang_up()
    assert desk.ended().reason == "bye"
