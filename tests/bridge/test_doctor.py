"""The doctor's checks, each against a thing that is really so on this machine."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from bridge import doctor
from bridge.doctor import Finding, examine
from bridge.mqtt import probe
from config.settings import (
    LimitSettings,
    MediaSettings,
    MqttSettings,
    PortRange,
    Settings,
    SipSettings,
)
from tests.support.broker import PASSWORDS, Authority, Broker, SilentBroker


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the default route lead nowhere: tests may not even point a socket outside."""
    monkeypatch.setattr("bridge.doctor.outward_address", lambda: "127.0.0.1")


LIVE: dict[str, Any] = {
    "calls": 3,
    "conferences": 1,
    "media": {"replaced": 0, "lost_by_bridge": 0},
    "records": {"writing_to": "database", "waiting": 0, "written": 9, "dropped": 0, "failed": 0},
    "mqtt": None,
    "registrations": [],
    "sip": {
        "port": 5060,
        "sources_rejected": 0,
        "tcp": {
            "connections": 2,
            "limit": 1000,
            "refused": 0,
            "refused_full": 0,
            "refused_source": 0,
            "idle_closed": 0,
            "highest_fd": 40,
            "fd_limit": 1024,
        },
    },
}


def found(settings: Settings, check: str, live: dict[str, Any] | None = None) -> list[Finding]:
    """Return the findings of one check."""
    return [finding for finding in examine(settings, live) if finding.check == check]


def test_port_that_is_taken_is_named_with_the_way_to_find_its_holder(tmp_path: Path) -> None:
    """A UDP port that somebody holds is a fault; free ones are not."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        settings = Settings(data_dir=tmp_path, sip=SipSettings(bind_ip="127.0.0.1", port=port))
        udp, tcp = found(settings, "SIP port")
    assert udp.verdict == "fault"
    assert str(port) in udp.text
    assert "ss -lnp" in udp.advice
    assert tcp.verdict == "ok"


def test_range_of_ports_smaller_than_the_limit_on_calls_is_a_fault(tmp_path: Path) -> None:
    """Each call takes an even port and the odd one above it."""
    settings = Settings(
        data_dir=tmp_path,
        media=MediaSettings(rtp_ports=PortRange(20000, 20019)),
        limits=LimitSettings(calls=11),
    )
    assert found(settings, "RTP ports")[0].verdict == "fault"


def test_more_calls_than_descriptors_is_a_fault(tmp_path: Path) -> None:
    """The limit on open files is compared with what that many calls need."""
    many = Settings(data_dir=tmp_path, limits=LimitSettings(calls=20000))
    (finding,) = found(many, "open files")
    assert finding.verdict == "fault"
    assert "LimitNOFILE=41280" in finding.advice
    few = Settings(data_dir=tmp_path, limits=LimitSettings(calls=100))
    assert found(few, "open files")[0].verdict == "ok"


def test_master_key_that_others_can_read_is_a_fault(tmp_path: Path) -> None:
    """The mode is looked at, the key is not."""
    key = tmp_path / "master.key"
    key.write_text("x")
    key.chmod(0o644)
    (finding,) = found(Settings(data_dir=tmp_path), "master key")
    assert finding.verdict == "fault"
    assert finding.advice == f"chmod 0600 {key}"
    key.chmod(0o600)
    assert found(Settings(data_dir=tmp_path), "master key")[0].verdict == "ok"


def test_loopback_address_in_sdp_is_warned_of_and_a_public_one_is_not(tmp_path: Path) -> None:
    """What callers are told to send their sound to is the commonest cause of silence."""
    local = Settings(data_dir=tmp_path, sip=SipSettings(bind_ip="127.0.0.1"))
    assert found(local, "address in SDP")[0].verdict == "warning"
    public = Settings(data_dir=tmp_path, sip=SipSettings(public_address="192.0.2.10"))
    assert found(public, "address in SDP")[0].verdict == "ok"


@pytest.mark.parametrize(
    ("limit", "remedy"),
    [("refused_full", "Kamailio"), ("refused_source", "sip.max_tcp_per_source")],
)
def test_refused_tcp_connections_are_explained(tmp_path: Path, limit: str, remedy: str) -> None:
    """Where phones were turned away, the limit that was met and the remedy are said."""
    tcp = {**LIVE["sip"]["tcp"], "refused": 4, limit: 4}
    full = {**LIVE, "sip": {**LIVE["sip"], "tcp": tcp}}
    (finding,) = found(Settings(data_dir=tmp_path), "SIP over TCP", full)
    assert finding.verdict == "fault"
    assert ": 4" in finding.text
    assert remedy in finding.advice


def test_running_bridge_is_asked_instead_of_its_ports(tmp_path: Path) -> None:
    """Beside a running bridge its own port is no fault."""
    findings = found(Settings(data_dir=tmp_path), "SIP port", LIVE)
    assert [finding.verdict for finding in findings] == ["ok"]


def test_pjsip_build_is_named(tmp_path: Path) -> None:
    """The exact PJSIP that struct layouts were measured on is shown."""
    (finding,) = found(Settings(data_dir=tmp_path), "PJSIP")
    assert finding.verdict == "ok"
    assert "2.15.1" in finding.text


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ({"writing_to": "journal", "waiting": 12}, "go to the journal, 12 wait"),
        ({"writing_to": "memory", "waiting": 12}, "go to the memory, 12 wait"),
        ({"dropped": 3, "failed": 1}, "4 could not be kept"),
    ],
)
def test_records_that_wait_or_are_lost_are_a_fault(
    tmp_path: Path, records: dict[str, Any], words: str
) -> None:
    """Calls go on, so that nobody would notice."""
    live = {**LIVE, "records": {**LIVE["records"], **records}}
    (finding,) = found(Settings(data_dir=tmp_path), "records", live)
    assert finding.verdict == "fault"
    assert words in finding.text
    assert found(Settings(data_dir=tmp_path), "records", LIVE)[0].verdict == "ok"


def test_registration_that_does_not_stand_is_a_fault(tmp_path: Path) -> None:
    """A provider that does not know where we are sends no calls."""
    rows = [
        {"trunk": "one", "state": "registered", "status": 200, "expires_s": 300},
        {"trunk": "two", "state": "refused", "status": 403, "expires_s": None},
        {"trunk": "three", "state": "trying", "status": None, "expires_s": None},
    ]
    findings = found(Settings(data_dir=tmp_path), "registration", {**LIVE, "registrations": rows})
    assert [finding.verdict for finding in findings] == ["ok", "fault", "fault"]
    assert "answered 403" in findings[1].text
    assert "password" in findings[1].advice
    assert "dialin trunk test three" in findings[2].advice


def test_sources_that_were_turned_away_are_counted(tmp_path: Path) -> None:
    """A carrier's new address is the commonest fault of all; strangers from everywhere are none."""
    live = {**LIVE, "sip": {**LIVE["sip"], "sources_rejected": 5}}
    (finding,) = found(Settings(data_dir=tmp_path), "sources rejected", live)
    assert finding.verdict == "ok"
    assert "5 in the last 24 hours" in finding.text
    assert "dialin trunk rejected" in finding.advice


def test_address_of_another_machine_is_named_with_its_key(tmp_path: Path) -> None:
    """RFC 5737's address is nobody's: no port of it is taken, and no sound comes out of it."""
    sip = Settings(data_dir=tmp_path, sip=SipSettings(bind_ip="192.0.2.1", port=0))
    for finding in found(sip, "SIP port"):
        assert finding.verdict == "fault"
        assert "sip.bind_ip is 192.0.2.1" in finding.text
    media = Settings(data_dir=tmp_path, media=MediaSettings(bind_ip="192.0.2.1"))
    assert "media.bind_ip is 192.0.2.1" in found(media, "RTP ports")[0].text


@pytest.mark.parametrize(
    ("limit", "effective", "verdict"),
    [(0, "0", "warning"), (0, "800000", "ok"), (0, "7fffff", "warning"), (20, "0", "ok")],
)
def test_the_right_to_real_time_comes_by_limit_or_by_capability(
    monkeypatch: pytest.MonkeyPatch, limit: int, effective: str, verdict: str
) -> None:
    """CAP_SYS_NICE of the unit file counts without LimitRTPRIO; root without either does not."""
    status = f"Name:\tpython\nCapInh:\tffffff\nCapEff:\t{effective:>016}\n"
    monkeypatch.setattr(doctor, "_read", lambda _path: status)
    monkeypatch.setattr("resource.getrlimit", lambda _which: (limit, limit))
    (found,) = doctor._realtime()
    assert found.verdict == verdict


def test_a_broker_is_asked_step_by_step(tmp_path: Path) -> None:
    """Way, TLS, login, files: each with its own word and advice; one that is fine is fine."""
    stranger = Authority(tmp_path, "stranger")
    with Broker(tmp_path / "broker") as broker, socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        password = tmp_path / "password"
        password.write_text(PASSWORDS["bridge"])
        password.chmod(0o600)
        good: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": broker.port,
            "ca_file": broker.authority.file,
            "user": "bridge",
            "password_file": password,
        }

        def judged(**changes: Any) -> Finding:  # noqa: ANN401 - of the settings
            mqtt = MqttSettings(**{**good, **changes})
            (finding,) = found(Settings(data_dir=tmp_path, mqtt=mqtt), "broker")
            return finding

        assert judged().verdict == "ok"
        for changes, words in (
            ({"port": nobody.getsockname()[1]}, "unreachable"),
            ({"ca_file": stranger.file}, "tls"),
            ({"host": "localhost"}, "tls"),
            ({"user": "stranger"}, "login"),
            ({"ca_file": tmp_path / "gone"}, "mqtt.ca_file"),
        ):
            finding = judged(**changes)
            assert (finding.verdict, words in finding.text) == ("fault", True), finding
            assert PASSWORDS["bridge"] not in finding.text + finding.advice
        password.chmod(0o644)
        assert "chmod 600" in judged().text


def test_a_broker_that_never_answers_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With TLS and without; without it on the way to another machine is warned of."""
    monkeypatch.setattr(probe, "TIMEOUT_S", 0.2)
    with SilentBroker() as silent:
        for tls in (True, False):
            mqtt = MqttSettings(host="127.0.0.1", port=silent.port, tls=tls)
            (finding,) = found(Settings(data_dir=tmp_path, mqtt=mqtt), "broker")
            assert (finding.verdict, "no answer" in finding.text) == ("fault", True)
    monkeypatch.setattr(doctor, "probe", lambda _mqtt: probe.Found(None))
    mqtt = MqttSettings(host="192.0.2.10", tls=False)
    fine, warned = found(Settings(data_dir=tmp_path, mqtt=mqtt), "broker")
    assert (fine.verdict, warned.verdict) == ("ok", "warning")


def test_a_running_bridge_says_itself_how_its_broker_is(tmp_path: Path) -> None:
    """Connected is fine, and nobody is asked again; dropped events are warned of."""
    now = {"state": "connected", "published": 12, "dropped": 0}
    settings = Settings(data_dir=tmp_path, mqtt=MqttSettings(host="127.0.0.1", port=1))
    (finding,) = found(settings, "broker", {**LIVE, "mqtt": now})
    assert finding.verdict == "ok"
    dropped, _ = found(settings, "broker", {**LIVE, "mqtt": {**now, "dropped": 3}})
    assert dropped.verdict == "warning"
