"""Registration with a provider: digest, refresh, back-off, refusals, and the polite end."""

from __future__ import annotations

from ipaddress import IPv4Network
from random import Random

import pytest

from bridge.sip import registration as registration_module
from bridge.sip.messages import (
    IncomingCall,
    Register,
    RegistrationChanged,
    RegistrationState,
    Transport,
    Trunk,
)
from bridge.sip.registration import Registration
from bridge.sip.trunks import TrunkTable
from tests.sip.caller import Caller, Response
from tests.sip.desk import Desk
from tests.sip.registrar import PASSWORD, REALM, Registrar


def trunk(
    registrar: Registrar | None, *, expires_s: int = 300, transport: Transport = "udp"
) -> Trunk:
    """Return a trunk that registers."""
    register = Register(
        server=registrar.server if registrar is not None else "127.0.0.1:9",
        user="alice",
        password=PASSWORD,
        expires_s=expires_s,
        transport=transport,
    )
    return Trunk("provider", (IPv4Network("127.0.0.1/32"),), register=register)


def states(desk: Desk) -> list[tuple[RegistrationState, int | None]]:
    """Return what was said of the registration so far."""
    return [(event.state, event.status) for event in desk.of(RegistrationChanged)]


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again soon."""
    monkeypatch.setattr(registration_module, "_FIRST_S", 0.5)
    monkeypatch.setattr(registration_module, "_REFUSED_S", 0.5)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_trunk_registers_by_digest_and_unregisters_at_the_stop(transport: Transport) -> None:
    """401, credentials, 200; at the end REGISTER with Expires 0 and an empty binding."""
    tcp = transport == "tcp"
    with Registrar(tcp=tcp) as registrar:
        desk = Desk(trunks=(trunk(registrar, transport=transport),))
        with desk:
            desk.until(lambda: ("registered", 200) in states(desk))
            assert states(desk) == [("trying", None), ("registered", 200)]
            assert desk.of(RegistrationChanged)[-1].expires_s == 300
            (contact,) = registrar.bindings
            assert f"sip:alice@127.0.0.1:{desk.endpoint.port}" in contact
            assert ("transport=tcp" in contact) == tcp
        assert registrar.bindings == {}
        last = registrar.heard[-1][1]
        assert last.get("expires") == "0"
        assert states(desk)[-1] == ("unregistered", None)
        assert len(registrar.times) <= 4


def test_the_public_address_is_registered() -> None:
    """Behind NAT the binding must lead to the outside."""
    with (
        Registrar() as registrar,
        Desk(trunks=(trunk(registrar),), public_address="203.0.113.7") as desk,
    ):
        desk.until(lambda: registrar.bindings)
        (contact,) = registrar.bindings
        assert f"sip:alice@203.0.113.7:{desk.endpoint.port}" in contact


def test_a_call_from_the_provider_is_answered_while_registered() -> None:
    """What registration is for."""
    with Registrar() as registrar, Desk(trunks=(trunk(registrar),)) as desk:
        desk.until(lambda: registrar.bindings)
        with Caller(desk.address) as caller:
            caller.remote_target = next(iter(registrar.bindings)).strip("<>")
            caller.dial()
            caller.hang_up()
        assert desk.one(IncomingCall).trunk == "provider"


def test_a_registration_is_refreshed_before_it_ends() -> None:
    """PJSIP refreshes five seconds before the end; nothing is said of it."""
    with Registrar(granted=7) as registrar, Desk(trunks=(trunk(registrar),)) as desk:
        desk.until(lambda: len(registrar.times) >= 3, 10.0)
        first, second = registrar.times[1], registrar.times[2]
        assert 1.0 < second - first < 6.0
        assert states(desk) == [("trying", None), ("registered", 200)]


def test_an_interval_that_is_too_short_is_asked_for_again() -> None:
    """423 names the least; it is asked for at once (RFC 3261 section 10.2.8)."""
    with Registrar(least=600) as registrar, Desk(trunks=(trunk(registrar, expires_s=60),)) as desk:
        desk.until(lambda: ("registered", 200) in states(desk))
        assert next(iter(registrar.bindings.values())) == 600
        assert desk.of(RegistrationChanged)[-1].expires_s == 600


def test_a_wrong_password_is_said_and_not_hammered(hasty: None) -> None:
    """Refused with 401; PJSIP believes three times that the nonce was to blame, then waits."""
    with Registrar("other") as registrar, Desk(trunks=(trunk(registrar),)) as desk:
        desk.until(lambda: ("refused", 401) in states(desk))
        proved = [item for _, item in registrar.heard if item.get("authorization")]
        assert 1 <= len(proved) <= 3
        before = len(registrar.times)
        desk.until(lambda: len(registrar.times) > before, 10.0)
        desk.until(lambda: len(registrar.times) == 2 * before)
        assert states(desk) == [("trying", None), ("refused", 401)]
        assert PASSWORD not in repr(desk.endpoint._first_trunks.trunks)


@pytest.mark.parametrize("status", [403, 404])
def test_a_refusal_is_said(status: int) -> None:
    """The provider's word reaches the state, and no credentials are sent for nothing."""
    with (
        Registrar(script=lambda _request, _number: status) as registrar,
        Desk(trunks=(trunk(registrar),)) as desk,
    ):
        desk.until(lambda: ("refused", status) in states(desk))
        assert len(registrar.times) == 1


def test_a_provider_that_comes_back_is_found_again(hasty: None) -> None:
    """503 is trouble that passes: later attempts follow, until one stands."""

    def troubled(_request: Response, number: int) -> int | None:
        return 503 if number < 2 else None

    with Registrar(script=troubled) as registrar, Desk(trunks=(trunk(registrar),)) as desk:
        desk.until(lambda: ("registered", 200) in states(desk), 15.0)
        assert states(desk) == [("trying", None), ("trying", 503), ("registered", 200)]


def test_a_refresh_that_fails_is_said_and_made_up_for(hasty: None) -> None:
    """A registration that falls is tried again."""

    def forgetful(_request: Response, number: int) -> int | None:
        return 500 if number == 2 else None

    with (
        Registrar(granted=6, script=forgetful) as registrar,
        Desk(trunks=(trunk(registrar),)) as desk,
    ):
        wanted = [("trying", None), ("registered", 200), ("trying", 500), ("registered", 200)]
        desk.until(lambda: states(desk)[:4] == wanted, 15.0)


def test_nobody_answers(hasty: None) -> None:
    """Silence is a failure after 64 T1, and is tried again."""
    with (
        Registrar(script=lambda _request, _number: 0) as registrar,
        Desk() as desk,
        desk.quick_timers(),
    ):
        desk.endpoint.set_trunks(TrunkTable((trunk(registrar),)))
        desk.until(lambda: len(registrar.times) >= 2, 15.0)
        assert states(desk)[:2] == [("trying", None), ("trying", 408)]


def test_a_server_that_refuses_the_connection(hasty: None) -> None:
    """Nothing listens: the state says so without a status, calls are none the worse."""
    with Desk(trunks=(trunk(None, transport="tcp"),)) as desk:
        desk.until(lambda: len(states(desk)) >= 2, 10.0)
        assert states(desk)[0] == ("trying", None)
        assert states(desk)[1][0] == "trying"
        with Caller(desk.address) as caller:
            caller.dial()
            caller.hang_up()


def test_a_server_name_that_is_none_is_said() -> None:
    """A malformed server leaves the other trunks and calls alone."""
    bad = Trunk("bad", (), register=Register(server="a b<>", user="alice", password=PASSWORD))
    with Registrar() as registrar, Desk(trunks=(bad, trunk(registrar))) as desk:
        desk.until(lambda: registrar.bindings)
        said = {(event.trunk, event.state) for event in desk.of(RegistrationChanged)}
        assert ("bad", "refused") in said
        desk.until(lambda: ("registered", 200) in states(desk))


def test_a_removed_trunk_unregisters_and_a_kept_one_stays() -> None:
    """A change of the trunks touches only what changed."""
    with Registrar() as first, Registrar() as second:
        kept = trunk(first)
        gone = Trunk("gone", (), register=trunk(second).register)
        with Desk(trunks=(kept, gone)) as desk:
            desk.until(lambda: first.bindings and second.bindings)
            before = len(first.times)
            desk.endpoint.set_trunks(TrunkTable((kept,)))
            desk.until(lambda: not second.bindings)
            assert len(first.times) == before
            assert ("gone", "unregistered") in {
                (event.trunk, event.state) for event in desk.of(RegistrationChanged)
            }


def test_attempts_wait_longer_each_time_and_not_all_alike() -> None:
    """Doubling from five seconds to ten minutes, with some chance in it."""
    register = Register(server=REALM, user="alice", password=PASSWORD)
    steady = Registration("t", register, lambda: 0.5)
    now, waits = 0.0, []
    for _ in range(12):
        steady.sent()
        steady.outcome(503, None, now)
        assert steady.due is not None
        waits.append(steady.due - now)
        now = steady.due
    assert waits == [5, 10, 20, 40, 80, 160, 320, 600, 600, 600, 600, 600]
    steady.outcome(200, 300, now)
    assert not steady.is_due(now + 1e9)
    steady.outcome(503, None, now)
    assert not steady.is_due(now + 4.9)
    assert steady.is_due(now + 5)
    rng = Random(3)
    spread = set()
    for _ in range(20):
        other = Registration("t", register, rng.random)
        other.outcome(503, None, 0.0)
        assert other.due is not None
        assert 3.75 <= other.due <= 6.25
        spread.add(round(other.due, 3))
    assert len(spread) > 10
