"""Who is called and by whom: Request-URI, To, Diversion, History-Info, P-Asserted-Identity."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest

from bridge.sip.identity import Identity, read_identity, reason_q850
from bridge.sip.messages import IncomingCall, Trunk
from bridge.sip.wire import Message, parse_message
from dialplan.numbers import candidates
from tests.sip.caller import OFFER, Caller
from tests.sip.desk import Desk

TRUNK = Trunk("carrier", (IPv4Network("127.0.0.0/8"),))
DOUBTED = Trunk("doubted", (IPv4Network("127.0.0.0/8"),), asserts_identity=False)


def invite(*headers: str, target: str = "sip:1000@bridge", caller: str = "<sip:2000@x>") -> Message:
    """Return an INVITE with headers."""
    lines = (f"INVITE {target} SIP/2.0", f"From: {caller};tag=1", *headers, "", "")
    message = parse_message("\r\n".join(lines).encode())
    assert message is not None
    return message


def read(*headers: str, trusted: bool = True, **more: str) -> Identity:
    """Read who is called and by whom."""
    return read_identity(invite(*headers, **more), trusted=trusted)


def received(*headers: str, trunks: tuple[Trunk, ...] = (TRUNK,), dialled: str) -> IncomingCall:
    """Call a bridge and return what it is told of the call."""
    with Desk(trunks=trunks) as desk, Caller(desk.address, dialled=dialled) as caller:
        caller.dial(OFFER, headers=headers)
        caller.hang_up()
        return desk.one(IncomingCall)


def test_the_number_dialled_is_looked_for_in_four_places() -> None:
    """Request-URI first, then To, Diversion and History-Info, the newest first, none twice."""
    found = read(
        "To: <sip:+46811111111@x>",
        "Diversion: <sip:+46822222222@x>;reason=unconditional, <tel:+46833333333>",
        "History-Info: <sip:+46844444444@x>;index=1, <sip:+46855555555@x>;index=1.1",
        "History-Info: <sip:+46811111111@x>;index=1.2",
        target="sip:gateway@bridge",
    )
    assert found.dialled == (
        "gateway",
        "+46811111111",
        "+46822222222",
        "+46833333333",
        "+46855555555",
        "+46844444444",
    )


@pytest.mark.parametrize(
    ("target", "number"),
    [
        ("sip:+46812345678@bridge", "+46812345678"),
        ("sip:%2B46812345678@bridge:5060;user=phone", "+46812345678"),
        ("sip:+46812345678;phone-context=example.com@bridge", "+46812345678"),
        ("sip:+46-8-12345678;npdi;rn=+4680000@bridge", "+46812345678"),
        ("tel:+46-8-123-456-78", "+46812345678"),
        ("sip:0046812345678@bridge", "+46812345678"),
        ("sip:0812345678@bridge", "+46812345678"),
        ("sips:+46812345678:password@bridge", "+46812345678"),
    ],
)
def test_numbers_as_carriers_write_them(target: str, number: str) -> None:
    """What the headers give is what the dial plan makes the same E.164 number of."""
    assert number in candidates(read(target=target).dialled, "SE")


def test_a_number_in_the_diversion_reaches_the_bridge() -> None:
    """A carrier that sends every call to one user part, with the DID beside it."""
    call = received("Diversion: <sip:+46898765432@10.0.0.1>;reason=unknown", dialled="trunk7")
    assert call.dialled == ("trunk7", "+46898765432")


def test_asserted_identity_of_a_trunk() -> None:
    """P-Asserted-Identity is believed from a trunk; From is only what is claimed."""
    call = received('P-Asserted-Identity: "A" <sip:+46709999999@x>', dialled="1000")
    assert (call.asserted, call.claimed) == ("+46709999999", "+46701234567")
    assert call.trunk == "carrier"


@pytest.mark.parametrize("trunks", [(), (DOUBTED,)])
def test_asserted_identity_of_anybody_else_is_nothing(trunks: tuple[Trunk, ...]) -> None:
    """A phone on the network, or a trunk that is not believed, asserts nothing."""
    header = "P-Asserted-Identity: <sip:+46709999999@x>"
    call = received(header, trunks=trunks, dialled="1000")
    assert (call.asserted, call.claimed) == (None, "+46701234567")


@pytest.mark.parametrize(
    ("values", "asserted"),
    [
        (("<sip:alice@x>, <tel:+46701111111>",), "+46701111111"),
        (("<sip:alice@x>", "<tel:+46701111111>"), "+46701111111"),
        (("<sip:alice@x>",), "alice"),
        (("<sip:anonymous@anonymous.invalid>",), None),
        (("<sip:@x>",), None),
        (("nonsense",), None),
        (("<sip:" + "9" * 200 + "@x>",), None),
        (("<sip:%00%01@x>",), None),
    ],
)
def test_which_asserted_identity_counts(values: tuple[str, ...], asserted: str | None) -> None:
    """A telephone number before a name (RFC 3325 section 9.1 allows one of each)."""
    headers = (f"P-Asserted-Identity: {value}" for value in values)
    assert read(*headers).asserted == asserted


@pytest.mark.parametrize(
    "header", ["Privacy: id", "Privacy: user;id", "privacy: HEADER", "Privacy: none, id"]
)
def test_privacy_is_heard(header: str) -> None:
    """Any of the words that ask for it; what the trunk asserted stays, for guess limits."""
    found = read(header, "P-Asserted-Identity: <tel:+46701111111>")
    assert found.privacy
    assert found.asserted == "+46701111111"


def test_privacy_none_asks_for_nothing() -> None:
    """``none`` is the caller's wish to be shown (RFC 3323 section 4.2)."""
    assert not read("Privacy: none").privacy


@pytest.mark.parametrize(
    "caller",
    [
        '"Anonymous" <sip:anonymous@anonymous.invalid>',
        "<sip:Anonymous@gateway.example>",
        "<sip:+46701@anonymous.invalid>",
        "<sip:restricted@x>",
        "<sip:gateway.example>",
        "<>",
    ],
)
def test_anonymous_callers_claim_nothing(caller: str) -> None:
    """An anonymous From is a wish for privacy and no number."""
    found = read(caller=caller)
    assert (found.claimed, found.privacy) == (None, True)


def test_anonymous_over_the_wire() -> None:
    """The bridge is told that the caller wants privacy, and no claimed number."""
    with Desk() as desk, Caller(desk.address, caller="anonymous") as caller:
        caller.dial(headers=("Privacy: id",))
        caller.hang_up()
        call = desk.one(IncomingCall)
    assert (call.claimed, call.asserted, call.privacy) == (None, None, True)


def test_who_calls_stays_out_of_repr() -> None:
    """A value that lands in a log or a traceback says nothing about anybody."""
    call = received("P-Asserted-Identity: <tel:+46709999999>", dialled="1000")
    said = repr(call)
    for secret in ("+46709999999", "+46701234567", "1000", "127.0.0.1'"):
        assert secret not in said


@pytest.mark.parametrize(
    ("value", "cause"),
    [
        ("Q.850;cause=31", 31),
        ('SIP;cause=200;text="a, b;cause=5", Q.850 ;cause="16"', 16),
        ("q.850;text=x;cause=102", 102),
        ("Q.850;cause=999", None),
        ("Q.850;cause=-1", None),
        ("Q.850;cause=²", None),
        ("Q.850", None),
        ("SIP;cause=487", None),
        ("", None),
    ],
)
def test_reason(value: str, cause: int | None) -> None:
    """RFC 3326: only Q.850 has the cause that goes into the record."""
    assert reason_q850(invite(f"Reason: {value}")) == cause
