"""Who may call: trunks by address, network and digest; silence, memory of refusals, limits."""

from __future__ import annotations

import contextlib
import hashlib
import re
import time
from collections import Counter
from ipaddress import IPv4Network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.sip import digest as digest_module
from bridge.sip.errors import SettingsError
from bridge.sip.messages import CallConfirmed, Digest, IncomingCall, SipSettings, Trunk
from bridge.sip.trunks import Admission, RateLimit, Rejections, TrunkTable, admitting_line
from bridge.sip.wire import parse_message
from tests.sip.caller import OFFER, Caller, Response
from tests.sip.desk import Desk

REALM, PASSWORD = "bridge.example", "secret"


def md5(text: str) -> str:
    """Return the hexadecimal MD5 of a text."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def digest(user: str = "alice", password: str = PASSWORD, realm: str = REALM) -> Digest:
    """Return the credentials of a trunk."""
    return Digest(realm, user, md5(f"{user}:{realm}:{password}"))


def authorization(
    challenge: Response,
    method: str,
    uri: str,
    *,
    user: str = "alice",
    password: str = PASSWORD,
    realm: str = REALM,
    nc: int = 1,
    qop: bool = True,
) -> str:
    """Return the Authorization header that answers a 401 (RFC 2617 section 3.2.2)."""
    offered = next(
        value
        for name, value in challenge.headers
        if name == "www-authenticate" and f'realm="{realm}"' in value
    )
    found = re.search(r'nonce="([^"]+)"', offered)
    assert found
    nonce = found[1]
    ha1, ha2 = md5(f"{user}:{realm}:{password}"), md5(f"{method}:{uri}")
    middle = f"{nonce}:{nc:08x}:c0ffee:auth" if qop else nonce
    fields = [
        f'username="{user}"',
        f'realm="{realm}"',
        f'nonce="{nonce}"',
        f'uri="{uri}"',
        f'response="{md5(f"{ha1}:{middle}:{ha2}")}"',
        "algorithm=MD5",
    ]
    if qop:
        fields += ["qop=auth", f"nc={nc:08x}", 'cnonce="c0ffee"']
    return "Authorization: Digest " + ", ".join(fields)


def networks(*texts: str) -> tuple[IPv4Network, ...]:
    """Return networks of their texts."""
    return tuple(IPv4Network(text) for text in texts)


CARRIER = Trunk("carrier", networks("127.0.0.2/32"))
OFFICE = Trunk("office", networks("127.0.3.0/24"))
FLOOR = Trunk("floor", networks("127.0.3.16/28"))
PHONES = Trunk("phones", digest=digest())


# -- by address ----------------------------------------------------------------------------------


def test_a_trunk_is_known_by_its_address_or_network() -> None:
    """The longest prefix says which trunk it is."""
    with Desk(trunks=(CARRIER, OFFICE, FLOOR)) as desk:
        for ip in ("127.0.0.2", "127.0.3.5", "127.0.3.17"):
            with Caller(desk.address, ip=ip) as caller:
                caller.dial()
                caller.hang_up()
        names = [call.trunk for call in desk.wait(IncomingCall, 3)]
    assert names == ["carrier", "office", "floor"]


@pytest.mark.parametrize("tcp", [False, True])
def test_trunks_call_over_udp_and_tcp_on_one_port(*, tcp: bool) -> None:
    """The same port takes both; Contact and transport are the caller's."""
    with (
        Desk(trunks=(CARRIER,)) as desk,
        Caller(desk.address, ip="127.0.0.2", tcp=tcp) as caller,
    ):
        ok = caller.dial()
        incoming, _ = desk.call_is_up()
        caller.hang_up()
        assert incoming.transport == ("tcp" if tcp else "udp")
        assert incoming.trunk == "carrier"
        assert ("transport=tcp" in ok.get("contact")) == tcp
        assert desk.ended().reason == "bye"


def test_strangers_get_silence_and_are_remembered() -> None:
    """With no digest trunk there is no answer at all, whatever the method (scanners go away)."""
    with Desk(trunks=(CARRIER,)) as desk:
        with Caller(desk.address, ip="127.0.0.9") as stranger:
            for method in ("INVITE", "OPTIONS", "REGISTER", "BYE", "CANCEL", "ACK", "NONSENSE"):
                stranger.say(method, OFFER if method == "INVITE" else "")
            stranger.silence()
            stranger.to_tag = "guessed"
            for method in ("INVITE", "BYE", "INFO"):
                stranger.say(method)
            stranger.silence()
        (rejection,) = desk.endpoint.rejections()
        with Caller(desk.address, ip="127.0.0.2") as caller:
            caller.dial()
            caller.hang_up()
        assert len(desk.of(IncomingCall)) == 1
        assert desk.count("fault_unknown_dialog") == 3
    assert (rejection.source, rejection.reason) == ("127.0.0.9", "unknown_source")
    assert (rejection.count, rejection.transport) == (7, "udp")
    assert time.time() - 60 < rejection.first <= rejection.last <= time.time()
    assert admitting_line(rejection) == "dialin trunk add from-127-0-0-9 --address 127.0.0.9"


def test_a_strangers_tcp_connection_is_closed_and_remembered() -> None:
    """Without digest trunks nobody unknown keeps a connection."""
    with Desk(trunks=(CARRIER,)) as desk, Caller(desk.address, ip="127.0.0.9", tcp=True) as caller:
        with pytest.raises(OSError, match=r"closed|reset|pipe"):
            caller.receive()
        (rejection,) = desk.endpoint.rejections()
        assert (rejection.source, rejection.transport) == ("127.0.0.9", "tcp")
        assert desk.count("fault_tcp_stranger") == 1


def test_the_address_list_judges_requests_outside_dialogs_only() -> None:
    """A carrier's other host may send the BYE of a call that is up (its own dialog)."""
    with (
        Desk(trunks=(CARRIER,)) as desk,
        Caller(desk.address, ip="127.0.0.2") as caller,
        Caller(desk.address, ip="127.0.0.99") as other,
    ):
        caller.dial()
        desk.call_is_up()
        other.call_id, other.tag, other.to_tag = caller.call_id, caller.tag, caller.to_tag
        other.remote_target, other.cseq = caller.remote_target, caller.cseq
        other.say("OPTIONS")
        other.expect(200, "OPTIONS")
        other.hang_up()
        assert desk.ended().reason == "bye"


def test_a_carriers_other_host_may_send_the_bye_over_tcp() -> None:
    """A connection from outside the list is taken while a call is up, and its request matches."""
    with Desk(trunks=(CARRIER,)) as desk, Caller(desk.address, ip="127.0.0.2") as caller:
        caller.dial()
        desk.call_is_up()
        with Caller(desk.address, ip="127.0.0.99", tcp=True) as other:
            other.call_id, other.tag, other.to_tag = caller.call_id, caller.tag, caller.to_tag
            other.remote_target, other.cseq = caller.remote_target, caller.cseq
            other.hang_up()
        assert desk.ended().reason == "bye"
        assert desk.endpoint.rejections() == []


@pytest.mark.parametrize(
    ("method", "to_tag"), [("INVITE", ""), ("OPTIONS", ""), ("BYE", "guessed")]
)
def test_a_stranger_over_tcp_while_a_call_is_up_says_one_thing(method: str, to_tag: str) -> None:
    """It is judged like anybody's, answered by silence, and its connection is closed."""
    with Desk(trunks=(CARRIER,)) as desk, Caller(desk.address, ip="127.0.0.2") as caller:
        caller.dial()
        desk.call_is_up()
        with Caller(desk.address, ip="127.0.0.9", tcp=True) as stranger:
            stranger.to_tag = to_tag
            stranger.say(method)
            with pytest.raises(OSError, match=r"closed|reset|pipe"):
                stranger.receive()
        if not to_tag:
            (rejection,) = desk.endpoint.rejections()
            assert (rejection.source, rejection.method) == ("127.0.0.9", method)
        caller.hang_up()
        assert len(desk.of(IncomingCall)) == 1


def test_a_stranger_gets_few_connections_while_a_call_is_up() -> None:
    """The limit for one source holds."""
    with (
        Desk(trunks=(CARRIER,), max_tcp_per_source=2) as desk,
        Caller(desk.address, ip="127.0.0.2") as caller,
        contextlib.ExitStack() as stack,
    ):
        caller.dial()
        desk.call_is_up()
        for _ in range(4):
            stack.enter_context(Caller(desk.address, ip="127.0.0.9", tcp=True))
        desk.until(lambda: desk.count("fault_tcp_source_limit") == 2)
        assert desk.endpoint.room().connections == 2


def test_a_changed_list_takes_effect_on_the_next_request() -> None:
    """A trunk added while running is admitted at once, one removed is not; calls go on."""
    with Desk(trunks=(CARRIER,)) as desk:
        with (
            Caller(desk.address, ip="127.0.0.2") as first,
            Caller(desk.address, ip="127.0.3.4") as late,
        ):
            first.dial()
            desk.call_is_up()
            late.say("OPTIONS")
            late.silence(0.2)
            desk.endpoint.set_trunks(TrunkTable((OFFICE,)))
            desk.until(lambda: desk.endpoint._admission.table.named("office"))
            late.say("OPTIONS")
            late.expect(200, "OPTIONS")
            first.say("UPDATE")
            first.expect(200, "UPDATE")
            first.hang_up()
        assert desk.ended().reason == "bye"
        with Caller(desk.address, ip="127.0.0.2") as removed:
            removed.say("INVITE", OFFER)
            removed.silence(0.3)


# -- as it ships ---------------------------------------------------------------------------------


def test_private_networks_may_call_until_there_is_a_trunk() -> None:
    """Open admission ends with the first trunk and comes back when the last one goes."""
    with Desk() as desk, Caller(desk.address, ip="127.0.0.9") as caller:
        caller.say("OPTIONS")
        caller.expect(200, "OPTIONS")
        desk.endpoint.set_trunks(TrunkTable((CARRIER,)))
        desk.until(lambda: desk.endpoint._admission.table.named("carrier"))
        caller.say("OPTIONS")
        caller.silence(0.3)
        desk.endpoint.set_trunks(TrunkTable())
        desk.until(lambda: not desk.endpoint._admission.table.trunks)
        caller.say("OPTIONS")
        caller.expect(200, "OPTIONS")


@pytest.mark.parametrize("changed", [{"public_address": "203.0.113.7"}, {"open_admission": False}])
def test_a_public_address_ends_open_admission(changed: dict[str, Any]) -> None:
    """Behind NAT or a proxy everybody looks private, so nobody is let in for that."""
    with Desk(**changed) as desk, Caller(desk.address) as caller:
        caller.say("INVITE", OFFER)
        caller.silence(0.3)
        assert [item.reason for item in desk.endpoint.rejections()] == ["unknown_source"]


@pytest.mark.parametrize(
    ("source", "may"),
    [
        ("127.0.0.1", True),
        ("10.255.255.255", True),
        ("172.16.0.1", True),
        ("172.32.0.1", False),
        ("192.168.7.7", True),
        ("169.254.1.1", True),
        ("100.64.0.1", False),
        ("203.0.113.9", False),
        ("8.8.8.8", False),
        ("::1", False),
        ("", False),
    ],
)
def test_what_is_private(source: str, *, may: bool) -> None:
    """RFC 1918, loopback and link-local; shared address space (RFC 6598) is a carrier's."""
    admission = Admission(b"secret", open_to_private=True)
    assert admission.trusts(source) == may


# -- by digest -----------------------------------------------------------------------------------


def test_a_digest_trunk_proves_itself() -> None:
    """401 with our realm, then the same request with credentials is the trunk's call."""
    with Desk(trunks=(PHONES,)) as desk, Caller(desk.address) as phone:
        phone.say("INVITE", OFFER)
        challenge = phone.expect(401, "INVITE")
        phone.acknowledge(challenge)
        assert f'realm="{REALM}"' in challenge.get("www-authenticate")
        assert 'qop="auth"' in challenge.get("www-authenticate")
        proof = authorization(challenge, "INVITE", phone.remote_target)
        phone.dial(headers=(proof,))
        incoming, _ = desk.call_is_up()
        phone.hang_up()
        assert incoming.trunk == "phones"
        assert desk.ended().reason == "bye"
        assert len(desk.of(IncomingCall)) == 1


def test_credentials_of_the_old_kind_are_taken() -> None:
    """RFC 2069 without qop is what old telephones send."""
    with Desk(trunks=(PHONES,)) as desk, Caller(desk.address) as phone:
        phone.say("OPTIONS")
        challenge = phone.expect(401, "OPTIONS")
        proof = authorization(challenge, "OPTIONS", phone.remote_target, qop=False)
        phone.say("OPTIONS", headers=(proof,))
        phone.expect(200, "OPTIONS")


def test_an_address_needs_no_digest_where_both_kinds_exist() -> None:
    """A trunk known by its address is not challenged because another one is."""
    with (
        Desk(trunks=(CARRIER, PHONES)) as desk,
        Caller(desk.address, ip="127.0.0.2") as carrier,
        Caller(desk.address, ip="127.0.0.5") as phone,
    ):
        carrier.dial()
        carrier.hang_up()
        phone.say("INVITE", OFFER)
        phone.expect(401, "INVITE")


def test_every_realm_is_offered_once() -> None:
    """Two trunks of one realm make one challenge, another realm a second (RFC 3261 22.3)."""
    trunks = (
        PHONES,
        Trunk("more", digest=digest("bob")),
        Trunk("other", digest=digest("carol", "pw", "other.example")),
    )
    with Desk(trunks=trunks) as desk, Caller(desk.address) as phone:
        phone.say("OPTIONS")
        challenge = phone.expect(401, "OPTIONS")
        realms = [value for name, value in challenge.headers if name == "www-authenticate"]
        assert len(realms) == 2
        proof = authorization(
            challenge,
            "OPTIONS",
            phone.remote_target,
            user="carol",
            password="pw",
            realm="other.example",
        )
        phone.say("OPTIONS", headers=(proof,))
        phone.expect(200, "OPTIONS")


@pytest.mark.parametrize("wrong", [{"password": "guess"}, {"user": "mallory"}])
def test_wrong_credentials_are_challenged_again_and_remembered(wrong: dict[str, str]) -> None:
    """A wrong password and an unknown user look the same from outside."""
    with Desk(trunks=(PHONES,)) as desk, Caller(desk.address, ip="127.0.0.9") as phone:
        phone.say("INVITE", OFFER)
        challenge = phone.expect(401, "INVITE")
        proof = authorization(challenge, "INVITE", phone.remote_target, **wrong)  # type: ignore[arg-type]  # texts only
        phone.say("INVITE", OFFER, headers=(proof,))
        again = phone.expect(401, "INVITE")
        assert "stale" not in again.get("www-authenticate")
        reasons = {item.reason: item.count for item in desk.endpoint.rejections()}
        assert reasons == {"challenged": 1, "wrong_credentials": 1}
        # Admitting its address would let it in without a password.
        lines = {item.reason: admitting_line(item) for item in desk.endpoint.rejections()}
        assert lines["wrong_credentials"] is None
        assert not desk.of(IncomingCall)


def test_a_stale_nonce_is_told_apart_from_a_wrong_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """stale=true lets the phone try again without asking its user (RFC 2617 section 3.2.1)."""
    with Desk(trunks=(PHONES,)) as desk, Caller(desk.address) as phone:
        phone.say("OPTIONS")
        challenge = phone.expect(401, "OPTIONS")
        proof = authorization(challenge, "OPTIONS", phone.remote_target)
        with monkeypatch.context() as patched:
            patched.setattr(digest_module, "_NONCE_LIFE_S", -1.0)
            phone.say("OPTIONS", headers=(proof,))
            fresh = phone.expect(401, "OPTIONS")
        assert "stale=true" in fresh.get("www-authenticate")
        phone.say("OPTIONS", headers=(authorization(fresh, "OPTIONS", phone.remote_target),))
        phone.expect(200, "OPTIONS")
        assert desk.endpoint.rejections() == []


def test_a_phone_that_proves_itself_was_not_refused() -> None:
    """The challenge before each call is how digest works; who never answers one is remembered."""
    with (
        Desk(trunks=(PHONES,)) as desk,
        Caller(desk.address) as phone,
        Caller(desk.address, ip="127.0.0.9") as stranger,
    ):
        for caller in (phone, stranger):
            caller.say("INVITE", OFFER)
            challenge = caller.expect(401, "INVITE")
            if caller is phone:
                phone.dial(headers=(authorization(challenge, "INVITE", phone.remote_target),))
        (rejection,) = desk.endpoint.rejections()
        assert (rejection.source, rejection.reason) == ("127.0.0.9", "challenged")
        assert admitting_line(rejection) == "dialin trunk add from-127-0-0-9 --address 127.0.0.9"
        phone.hang_up()


def test_a_nonce_counts_once_and_belongs_to_its_source() -> None:
    """Listening to one right request does not let another one in."""
    with (
        Desk(trunks=(PHONES,)) as desk,
        Caller(desk.address) as phone,
        Caller(desk.address, ip="127.0.0.9") as thief,
    ):
        phone.say("OPTIONS")
        challenge = phone.expect(401, "OPTIONS")
        proof = authorization(challenge, "OPTIONS", phone.remote_target)
        text = phone.say("OPTIONS", headers=(proof,))
        phone.expect(200, "OPTIONS")
        phone.send(text)  # a retransmission is the same request
        phone.expect(200, "OPTIONS")
        phone.say("OPTIONS", headers=(proof,))  # a new request with a used count is not
        assert "stale=true" in phone.expect(401, "OPTIONS").get("www-authenticate")
        second = authorization(challenge, "OPTIONS", phone.remote_target, nc=2)
        phone.say("OPTIONS", headers=(second,))
        phone.expect(200, "OPTIONS")
        third = authorization(challenge, "OPTIONS", thief.remote_target, nc=3)
        thief.say("OPTIONS", headers=(third,))
        assert "stale=true" in thief.expect(401, "OPTIONS").get("www-authenticate")


def test_a_nonce_of_ones_own_making_is_worth_nothing() -> None:
    """The nonce must carry our mark."""
    with Desk(trunks=(PHONES,)) as desk, Caller(desk.address) as phone:
        made_up = Response(
            b"", headers=[("www-authenticate", f'Digest realm="{REALM}", nonce="abc.def"')]
        )
        proof = authorization(made_up, "INVITE", phone.remote_target)
        phone.say("INVITE", OFFER, headers=(proof,))
        phone.expect(401, "INVITE")
        assert not desk.of(IncomingCall)


def test_challenges_are_limited_by_source() -> None:
    """A flood is answered at first, then with silence; others and the right password get in."""
    with (
        Desk(trunks=(PHONES,)) as desk,
        Caller(desk.address, ip="127.0.0.9") as scanner,
        Caller(desk.address, ip="127.0.0.8") as phone,
    ):
        scanner.say("OPTIONS")
        challenge = scanner.expect(401, "OPTIONS")
        for _ in range(150):
            scanner.say("REGISTER")
        answered = 0
        while True:
            try:
                answered += scanner.receive(0.5).status == 401
            except TimeoutError:
                break
        assert 40 <= answered <= 75
        rate_limited = [
            item.count for item in desk.endpoint.rejections() if item.reason == "rate_limited"
        ]
        assert sum(rate_limited) == 150 - answered
        phone.say("OPTIONS")
        phone.expect(401, "OPTIONS")
        right = authorization(challenge, "OPTIONS", scanner.remote_target)
        scanner.say("OPTIONS", headers=(right,))
        scanner.expect(200, "OPTIONS")


def test_a_wrong_password_costs_more_than_a_challenge() -> None:
    """Six guesses in a row empty the bucket that holds sixty challenges."""
    limit = RateLimit()
    assert sum(limit.take("a", 0.0, Admission.WRONG_COST) for _ in range(20)) == 6
    assert not limit.take("a", 0.0)
    assert limit.take("b", 0.0)
    assert limit.take("a", 5.0, Admission.WRONG_COST)


# -- memory, tables ------------------------------------------------------------------------------


def test_rejections_are_kept_for_a_day_in_bounded_memory() -> None:
    """The latest stand first; what is a day old is gone; a scan does not fill the memory."""
    memory = Rejections()
    memory.add("192.0.2.1", "unknown_source", "INVITE", "udp", 0.0)
    memory.add("192.0.2.2", "unknown_source", "OPTIONS", "udp", 5.0)
    memory.add("192.0.2.1", "unknown_source", "REGISTER", "tcp", 10.0)
    first, second = memory.list(20.0)
    assert (first.source, first.count, first.method) == ("192.0.2.1", 2, "REGISTER")
    assert (first.first, first.last) == (0.0, 10.0)
    assert second.source == "192.0.2.2"
    assert [item.source for item in memory.list(5.0 + Rejections.KEPT_S + 1)] == ["192.0.2.1"]
    memory.expire(10.0 + Rejections.KEPT_S + 1)
    assert memory.list(10.0) == []
    for number in range(Rejections.ENTRIES + 500):
        memory.add(f"198.51.{number >> 8}.{number & 255}", "unknown_source", "INVITE", "udp", 20.0)
    assert len(memory.list(20.0)) == Rejections.ENTRIES


def test_rejections_go_over_a_restart_but_not_over_a_day() -> None:
    """Who tried again keeps its better place, and counts on."""
    before = Rejections()
    before.add("192.0.2.9", "unknown_source", "INVITE", "udp", 0.0)
    for _ in range(2):
        before.add("192.0.2.1", "unknown_source", "INVITE", "udp", 50_000.0)
    after = Rejections()
    after.restore(before.list(50_000.0), Rejections.KEPT_S + 1)
    assert [(each.source, each.count) for each in after.list(50_000.0)] == [("192.0.2.1", 2)]
    for number in range(10_000):
        after.add(f"10.0.{number >> 8}.{number & 255}", "unknown_source", "INVITE", "udp", 6e4)
    after.add("192.0.2.1", "unknown_source", "INVITE", "udp", 7e4)
    first = after.list(7e4)[0]
    assert (first.source, first.count, first.first) == ("192.0.2.1", 3, 50_000.0)


def test_a_carrier_is_not_pushed_out_by_a_spray_of_sources() -> None:
    """It tries again; each of ten thousand invented addresses comes once."""
    memory = Rejections()
    for _ in range(2):
        memory.add("192.0.2.1", "unknown_source", "INVITE", "udp", 0.0)
    for number in range(10_000):
        memory.add(f"198.51.{number >> 8}.{number & 255}", "unknown_source", "INVITE", "udp", 1.0)
    assert memory.list(2.0)[-1].source == "192.0.2.1"
    for number in range(10_000):  # sprayed twice, they push out each other's first tries no more
        for _ in range(2):
            memory.add(f"10.0.{number >> 8}.{number & 255}", "unknown_source", "INVITE", "udp", 3.0)
    memory.add("192.0.2.2", "unknown_source", "INVITE", "udp", 4.0)
    assert memory.list(4.0)[0].source == "192.0.2.2"
    assert len(memory.list(4.0)) == 2 * Rejections.ENTRIES
    memory.forget("192.0.2.2", "unknown_source")
    assert memory.list(4.0)[0].source != "192.0.2.2"


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xy"), st.booleans()), max_size=40)
)
def test_refusals_are_counted_as_they_come(steps: list[tuple[str, str, bool]]) -> None:
    """Any order of refusals and of taking them back: the count is of those since."""
    memory, counts = Rejections(), Counter[tuple[str, str]]()
    for now, (source, reason, taken_back) in enumerate(steps):
        if taken_back:
            memory.forget(source, reason)
            del counts[source, reason]
        else:
            memory.add(source, reason, "INVITE", "udp", float(now))
            counts[source, reason] += 1
    found = {(item.source, item.reason): item.count for item in memory.list(50.0)}
    assert found == dict(counts)


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (Trunk("carrier"), "same name"),
        (Trunk("b", networks("127.0.0.2/32")), "belongs to two trunks, carrier and b"),
    ],
)
def test_trunks_that_cannot_be_told_apart_are_refused(second: Trunk, said: str) -> None:
    """A source must say which trunk it is."""
    with pytest.raises(SettingsError, match=said):
        TrunkTable((CARRIER, second))


def test_two_trunks_with_the_same_user_are_refused() -> None:
    """Credentials must say which trunk it is."""
    with pytest.raises(SettingsError, match="phones and b have the same digest user"):
        TrunkTable((PHONES, Trunk("b", digest=digest())))


def test_a_cancel_or_ack_is_never_challenged() -> None:
    """Neither can carry credentials of its own (RFC 3261 section 22.1)."""
    admission = Admission(b"secret", open_to_private=False)
    admission.table = TrunkTable((PHONES,))
    for method in ("ACK", "CANCEL"):
        text = f"{method} sip:1@x SIP/2.0\r\nFrom: <sip:a@b>;tag=1\r\n\r\n"
        message = parse_message(text.encode())
        assert message is not None
        assert admission.decide(message, "203.0.113.9", "udp", 0.0, 0.0).action == "silence"


def test_settings_that_are_no_address_are_refused() -> None:
    """The message names the setting and shows an address."""
    with pytest.raises(SettingsError, match=r"sip\.public_address is 'bridge\.example'"):
        Desk(public_address="bridge.example").endpoint.start()
    assert SipSettings().open_admission


def test_a_call_in_progress_survives_its_trunks_removal_over_digest() -> None:
    """In-dialog requests match their dialog, not the list."""
    with Desk(trunks=(PHONES,)) as desk, Caller(desk.address) as phone:
        phone.say("INVITE", OFFER)
        challenge = phone.expect(401, "INVITE")
        phone.dial(headers=(authorization(challenge, "INVITE", phone.remote_target),))
        desk.one(CallConfirmed)
        desk.endpoint.set_trunks(TrunkTable((CARRIER,)))
        desk.until(lambda: desk.endpoint._admission.table.named("carrier"))
        phone.hang_up()
        assert desk.ended().reason == "bye"
