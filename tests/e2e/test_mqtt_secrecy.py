"""What goes over the wire to a broker, octet by octet: nobody's number, name or PIN is in it."""

from __future__ import annotations

import base64
import os
import re
import secrets
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from bridge.mqtt.sealing import seal
from tests.support.bridge_under_test import BridgeUnderTest, free_port
from tests.support.broker import PASSWORDS, Broker, Client, Relay, SilentBroker
from tests.support.caller import Caller, hears_each_other
from tests.support.reactor import reactor
from tests.support.rtp import Digits
from tests.support.sip_text import parameter, uri_in

pytestmark = pytest.mark.e2e

QUICK = Digits(on_ms=60, off_ms=60)
PROXY = free_port()
MOBILE = "+46701740699"
KEY = os.urandom(32)
COMMANDS = "mute,unmute,remove,lock,unlock,mode,end,dial,say"


class Callee(Caller):
    """A phone that is called."""

    def _open(self, host: str) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((host, PROXY))
        sock.settimeout(0)
        reactor().add(sock, self._read)
        return sock

    def is_called(self) -> None:
        """Wait for the INVITE, and learn the dialog from it."""
        self.wait_for(lambda: bool(self.requests_seen("INVITE")), 5.0, "an INVITE")
        self.answered_at, invite = self.requests_seen("INVITE")[0]
        self.call_id = invite.get("Call-ID")
        self._remote_tag = parameter(invite.get("From"), "tag")
        self._target = uri_in(invite.get("Contact"))


@pytest.fixture(scope="module", name="broker")
def broker_in_clear(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A mosquitto without TLS, so that every octet can be read on the way."""
    with Broker(tmp_path_factory.mktemp("broker"), tls=False) as made:
        yield made


@pytest.fixture(scope="module", name="wire")
def wire_to_the_broker(broker: Broker) -> Iterator[Relay]:
    """What the bridge and the broker say to each other."""
    with Relay(broker.port) as made:
        yield made


@pytest.fixture(scope="module", name="bridge")
def bridge_at_the_wire(
    broker: Broker, wire: Relay, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BridgeUnderTest]:
    """A bridge that speaks to the broker over the wire, and may call out."""
    key = tmp_path_factory.mktemp("key") / "dial.key"
    key.write_text(base64.b64encode(KEY).decode())
    key.chmod(0o600)
    settings = {
        **broker.settings(port=str(wire.port), commands=COMMANDS, dial_key_file=str(key)),
        "DIALIN_DIAL_OUT__ALLOWED": "true",
        "DIALIN_DIAL_OUT__CALLER": "+12025550100",
        "DIALIN_DIAL_OUT__COUNTRIES": "SE",
        "DIALIN_DIAL_OUT__RATES": "46=0.02",
        "DIALIN_DIAL_OUT__CONFERENCE_PER_HOUR": "1",
        "DIALIN_DIAL_OUT__PROXY": f"127.0.0.1:{PROXY}",
    }
    with BridgeUnderTest(tmp_path_factory.mktemp("bridge") / "data", settings) as made:
        made.add_number()
        yield made


def ask(client: Client, conference: int, command: str, identifier: str, **more: object) -> str:
    """Publish a command that asks for a reply; return the topic's last word."""
    expires = (datetime.now(UTC) + timedelta(seconds=60)).isoformat()
    wanted = {"command": command, "id": identifier, "expires": expires, **more}
    topic = f"dialin/main/conference/{conference}/command"
    client.publish(topic, {**wanted, "reply": f"dialin/main/reply/{identifier}"})
    return identifier


def found_in(octets: bytes, secret: str) -> list[str]:
    """Return where a secret stands: as it is, without its plus, and in base64."""
    plain = secret.lstrip("+").encode()
    text = octets.decode("latin-1")
    pattern = rf"(?<![0-9A-Za-z]){re.escape(plain.decode())}(?![0-9A-Za-z])"
    places = re.finditer(pattern, text, re.IGNORECASE)
    coded = [base64.b64encode(plain)[:-4].decode()] if len(plain) > 8 else []
    return [text[max(0, each.start() - 60) : each.end() + 20] for each in places] + [
        each for each in coded if each in text
    ]


def test_no_number_name_or_pin_goes_over_the_wire(
    bridge: BridgeUnderTest, broker: Broker, wire: Relay
) -> None:
    """A whole meeting: names, keys, PINs, a call out by a sealed number, every kind of event."""
    room = bridge.room(name="Quarterly Quillfeather Review", chimes=False, names="ask")
    host, guest = bridge.caller("hjalmar"), bridge.caller("gunnel")
    with Client(broker) as client:
        for person, pin in ((host, room.host_pin), (guest, room.guest_pin)):
            person.dial(bridge.number)
            person.press(pin, QUICK)
            person.silent_for(1.5, timeout=40.0)
        bridge.wait_until(lambda: bridge.people(room) == 2, 30.0, "both in the room")
        running = bridge.operate("status")["running_conferences"]
        number = int(running[0]["conference"])
        guest.press("*2", QUICK)
        guest.press("*6", QUICK)
        guest.press("*3", QUICK)
        time.sleep(1.0)
        guest.press(f"{room.host_pin}#", QUICK)
        client.wait_for("role", timeout=20.0)
        callee = Callee(bridge.address, MOBILE, name="callee")
        callee.answers["INVITE"] = 200
        bridge.private.add(MOBILE)
        bridge.callers.append(callee)
        sealed = seal(KEY, "call-1", MOBILE)
        answer = ask(client, number, "dial", "call-1", number=sealed)
        callee.is_called()
        callee.hears("dial_invited")
        callee.press("1")
        assert client.wait_for(answer, timeout=20.0).said["outcome"] == "joined"
        # The limits of keys and commands are one: the conference has had its call of this hour.
        again = seal(KEY, "call-2", MOBILE)
        refused = client.wait_for(ask(client, number, "dial", "call-2", number=again)).said
        assert (refused["result"], "per_hour" in refused["reason"]) == ("refused", True)
        emergency = seal(KEY, "call-3", "112")
        refused = client.wait_for(ask(client, number, "dial", "call-3", number=emergency)).said
        assert (refused["result"], "emergency" in refused["reason"]) == ("refused", True)
        client.wait_for(ask(client, number, "lock", secrets.token_hex(8)))
        client.wait_for(ask(client, number, "end", secrets.token_hex(8)))
        client.wait_for("ended", timeout=30.0)
        client.wait_for("state", lambda said: said is None, timeout=30.0)
        topics = "\n".join(each.topic for each in client.received)
        payloads = b"\n".join(each.payload for each in client.received)
    octets = bytes(wire.seen)
    private = {*bridge.private, room.name, "hjalmar", "gunnel", bridge.number}
    assert {room.host_pin, room.guest_pin, host.caller, guest.caller, MOBILE} <= private
    for place in (octets, payloads, topics.encode()):
        assert {secret: found for secret in private if (found := found_in(place, secret))} == {}
    words = {b"started", b"joined", b"muted", b"hand", b"role", b"room", b"left", b"ended"}
    assert [word for word in words if b'"event":"' + word not in octets] == []
    assert topics.encode().splitlines()[0] in octets
    assert PASSWORDS["bridge"].encode() in octets  # the search does find what is there
    assert found_in(payloads + MOBILE.encode(), MOBILE)


def test_calls_need_no_broker_that_answers(tmp_path_factory: pytest.TempPathFactory) -> None:
    """One that accepts and says nothing: people talk, the bridge says so, and ends in time."""
    with SilentBroker() as silent:
        settings = {
            "DIALIN_MQTT__HOST": "127.0.0.1",
            "DIALIN_MQTT__PORT": str(silent.port),
            "DIALIN_MQTT__TLS": "false",
        }
        folder = tmp_path_factory.mktemp("silent") / "data"
        with BridgeUnderTest(folder, settings) as bridge:
            bridge.add_number()
            room = bridge.room(chimes=False)
            people = [bridge.caller(name) for name in ("hanna", "gota")]
            bridge.bring_in(room, *people)
            assert hears_each_other(people) == {"hanna": ["gota"], "gota": ["hanna"]}
            bridge.wait_until(
                lambda: bridge.operate("status")["mqtt"]["problem"] == "no_answer", 15.0, "a word"
            )
            now = bridge.operate("status")["mqtt"]
            assert (now["connections"], now["buffered"] >= 3) == (0, True)
            assert "no answer" in bridge.dialin("status").stdout
            said = bridge.dialin("doctor", code=None).stdout
            assert "no answer" in said
