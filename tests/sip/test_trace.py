"""What a trace shows of messages: how a call is made, and of people next to nothing."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.sip.messages import CallConfirmed
from bridge.sip.trace import masked_lines
from bridge.sip.wire import parse_message
from tests.sip.caller import OFFER, Caller
from tests.sip.desk import Desk

PERSON = "+46701234567"
HOUSE = "+46101000001"
MASKED = "+467xxxxxx67"
DIGITS = PERSON[1:]


def shown(
    *headers: str,
    start: str | None = None,
    body: str = "",
    outgoing: bool = False,
    eol: str = "\r\n",
) -> list[str]:
    """Return what is shown of a message; a call of the person's to the house by itself."""
    lines = [
        start or f"INVITE sip:{HOUSE}@192.0.2.1;user=phone SIP/2.0",
        "Via: SIP/2.0/UDP 198.51.100.7:50600;branch=z9hG4bK1234567",
        "Call-ID: a84b4c76e66710",
        "CSeq: 314159 INVITE",
        *headers,
    ]
    message = parse_message((eol.join([*lines, "", ""]) + body).encode())
    assert message is not None
    return masked_lines(message, outgoing=outgoing)


def test_how_a_call_is_made_stays_readable() -> None:
    """The number of the house as it was written, the ways, the session, the description."""
    lines = shown(
        f"To: <sip:{HOUSE}@192.0.2.1;user=phone>",
        "Session-Expires: 1800;refresher=uac",
        "User-Agent: Exchange 4.2",
        "Content-Type: application/sdp",
        body=OFFER,
    )
    assert lines[:4] == [
        f"INVITE sip:{HOUSE}@192.0.2.1;user=phone SIP/2.0",
        "Via: SIP/2.0/UDP 198.51.100.7:50600;branch=z9hG4bK1234567",
        "Call-Id: a84b4c76e66710",
        "Cseq: 314159 INVITE",
    ]
    assert f"To: <sip:{HOUSE}@192.0.2.1;user=phone>" in lines
    assert "Session-Expires: 1800;refresher=uac" in lines
    assert "User-Agent: Exchange 4.2" in lines
    for line in ("c=IN IP4 127.0.0.1", "m=audio 41000 RTP/AVP 0 8 101", "a=fmtp:101 0-15"):
        assert line in lines


@pytest.mark.parametrize(
    ("header", "line"),
    [
        (f"From: <sip:{PERSON}@198.51.100.7>;tag=88", f"From: <sip:{MASKED}@198.51.100.7>;tag=88"),
        (f"f: {DIGITS} <sip:{PERSON}@x.example>", f'From: "..." <sip:{MASKED}@x.example>'),
        ('From: "Ada L" <sip:ada@x.example:5062>', 'From: "..." <sip:...@x.example:5062>'),
        ("From: Ada L <sip:12345@x.example>", 'From: "..." <sip:...@x.example>'),
        (f"From: sip:{PERSON}", "From: <sip:...>"),
        (f"From: {PERSON}", "From: <...>"),
        (f"m: <sip:{PERSON};rn={DIGITS}@x.example>", "Contact: <sip:...@x.example>"),
        (f"P-Asserted-Identity: <tel:{PERSON}>", f"P-Asserted-Identity: <tel:{MASKED}>"),
        (
            f"Diversion: <sip:{PERSON}@a.example>;reason=busy, <tel:{PERSON};ext={DIGITS}>",
            f"Diversion: <sip:{MASKED}@a.example>;reason=busy, <tel:{MASKED};ext=...>",
        ),
        (f"Record-Route: <sip:{PERSON}@p.example;lr;did={DIGITS}>",
         f"Record-Route: <sip:{MASKED}@p.example;lr;did=...>"),
        ("Identity: eyJhbGciOiJFUzI1NiIsInBwdCI6InNoYWtlbiJ9", "Identity: ..."),
        (f"X-Caller: {PERSON}", "X-Caller: ..."),
        (f"X-{DIGITS}: 1", "X-...: ..."),
        (f'Reason: Q.850;cause=16;text="{PERSON}"', 'Reason: Q.850;cause=16;text="+..."'),
        ("Subject: Your pregnancy", "Subject: ..."),
        ("Authorization: Basic YWRhOnNlY3JldA==", "Authorization: ..."),
        (
            'Authorization: Digest username="ada", realm="r", uri="sip:1@x", response="0a", nc=1',
            'Authorization: Digest username=..., realm="r", uri=..., response=..., nc=1',
        ),
    ],
)  # fmt: skip
def test_people_and_secrets_are_masked(header: str, line: str) -> None:
    """Of numbers the ends, of names nothing, of what is not known only its own name."""
    assert shown(header)[-1] == line


def test_in_requests_of_ours_the_caller_is_in_to_and_the_target() -> None:
    """BYE and OPTIONS of ours, and the answers that come to them, name the caller in `To`."""
    headers = (f"From: <sip:{HOUSE}@192.0.2.1>;tag=1", f"To: <sip:{PERSON}@198.51.100.7>;tag=2")
    wanted = [f"From: <sip:{HOUSE}@192.0.2.1>;tag=1", f"To: <sip:{MASKED}@198.51.100.7>;tag=2"]
    start = f"BYE sip:{PERSON}@198.51.100.7:5060;transport=tcp SIP/2.0"
    request = shown(*headers, start=start, outgoing=True)
    assert request[0] == f"BYE sip:{MASKED}@198.51.100.7:5060;transport=tcp SIP/2.0"
    assert request[-2:] == wanted
    answer = shown(*headers, start=f"SIP/2.0 404 No {PERSON} here")
    assert answer[0] == "SIP/2.0 404"
    assert answer[-2:] == wanted


def test_answers_of_ours_show_the_house_in_to() -> None:
    """They carry the headers of the caller's request."""
    headers = (f"From: <sip:{PERSON}@198.51.100.7>", f"To: <sip:{HOUSE}@192.0.2.1>")
    assert shown(*headers, start="SIP/2.0 200 OK", outgoing=True)[-2:] == [
        f"From: <sip:{MASKED}@198.51.100.7>",
        f"To: <sip:{HOUSE}@192.0.2.1>",
    ]


@pytest.mark.parametrize("eol", ["\r\n", "\n"])
def test_keys_pressed_are_measured_only(eol: str) -> None:
    """An INFO's body is not shown, whatever ends its lines."""
    start = f"INFO sip:{HOUSE}@192.0.2.1 SIP/2.0"
    lines = shown(
        "Content-Type: application/dtmf-relay",
        start=start,
        body="Signal=5\r\nDuration=160\r\n\r\n",
        eol=eol,
    )
    assert "Signal" not in "".join(lines)
    assert len(lines) == 7
    assert lines[-1] == "[26 octets of application/dtmf-relay]"


def test_descriptions_are_shown_without_names_and_keys() -> None:
    """Who made it, titles, mail, telephone and SRTP keys are left out (RFC 8866, RFC 4568)."""
    lines = shown(
        "Content-Type: application/sdp",
        body="v=0\r\no=ada 1 2 IN IP4 192.0.2.9\r\ns=Ada calls\r\ne=ada@x.example\r\n"
        f"p={PERSON}\r\nm=audio 4000 RTP/SAVP 0\r\na=crypto:1 AES_CM_128 inline:c2VjcmV0\r\n"
        "a=x-ada\r\na=sendrecv\r\nk=clear:secret\r\n",
    )
    at = lines.index("v=0")
    assert lines[at:] == [
        "v=0",
        "o=... 1 2 IN IP4 192.0.2.9",
        "s=...",
        "e=...",
        "p=...",
        "m=audio 4000 RTP/SAVP 0",
        "a=crypto:...",
        "a=x-ada:...",
        "a=sendrecv",
        "k=...",
    ]


_HEADERS = (
    "From f CONTACT m P-Asserted-Identity Remote-Party-ID Referred-By Diversion History-Info"
    " Reply-To Authorization Identity Subject Route X-Num"
)
_NAMES = st.sampled_from(sorted(_HEADERS.split()))
_VALUES = st.sampled_from(
    [
        f"<sip:{PERSON}@x.example>;tag=9",
        f'"{PERSON}" <tel:{PERSON};phone-context={PERSON}>',
        f"sip:{PERSON}@x.example;p={PERSON}",
        f"{PERSON} <sips:{PERSON}:{PERSON}@{PERSON}:5060>",
        f"<sip:{PERSON}?Replaces={PERSON}>, <urn:{PERSON}>",
        f'Digest username="{PERSON}", uri="sip:{PERSON}"',
        f'"{PERSON}\\" <sip:{PERSON}@x.example>',
        PERSON,
    ]
)


@given(
    headers=st.lists(st.tuples(_NAMES, _VALUES, st.booleans()), min_size=1, max_size=8),
    eol=st.sampled_from(["\r\n", "\n"]),
    outgoing=st.booleans(),
    answer=st.booleans(),
)
def test_no_writing_brings_a_number_into_a_trace(
    *, headers: list[tuple[str, str, bool]], eol: str, outgoing: bool, answer: bool
) -> None:
    """Folded or not, in long or compact form, in any place: the number is never shown whole."""
    lines = [
        f"{name}:{f'{eol} ' if folded else ' '}{value}"
        for name, value, folded in headers
        if not (name in ("From", "f") and outgoing != answer)  # there it names the house
        and not (name in ("CONTACT", "m") and outgoing)
    ]
    start = "SIP/2.0 200 OK" if answer else None
    text = "\n".join(shown(*lines, start=start, outgoing=outgoing, eol=eol))
    assert DIGITS not in re.sub(r"[\s.()-]", "", text)
    assert len(text.splitlines()) == 4 + len(lines)


def test_a_traced_call_shows_its_caller_in_no_direction() -> None:
    """A whole call, with a question and a BYE of ours: the caller's number is nowhere."""
    lines: list[str] = []
    with Desk() as desk, Caller(desk.address, caller=PERSON, dialled=HOUSE) as caller:
        desk.endpoint.begin_trace(lines.extend, call_id=caller.call_id)
        desk.until(lambda: desk.endpoint._switchboard.traces)
        caller.dial()
        desk.one(CallConfirmed)
        call = desk.call_is_up()[0].call
        desk.endpoint.probe(call)
        caller.answer(caller.expect_request("OPTIONS"))
        caller.say("INFO", "Signal=5\r\nDuration=100\r\n", content_type="application/dtmf-relay")
        caller.expect(200, "INFO")
        desk.endpoint.hangup(call)
        caller.answer(caller.expect_request("BYE"))
        desk.settle()
        desk.until(lambda: sum(line.startswith("Cseq") for line in lines) >= 10)
    text = "\n".join(lines)
    assert DIGITS not in text
    assert "Signal" not in text
    assert HOUSE in text
    assert "Contact: <sip:dialin@127.0.0.1" in text
    assert f"To: <sip:{MASKED}@127.0.0.1>" in text
