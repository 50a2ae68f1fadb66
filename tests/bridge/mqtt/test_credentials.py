"""Certificates, passwords and keys: read strictly, and every fault says what to do."""

import base64
import ssl
from pathlib import Path

import pytest

from bridge.mqtt import credentials
from bridge.mqtt.errors import BrokerFilesError
from config.settings import MqttSettings
from tests.support.broker import Authority


def secret(path: Path, text: str, mode: int = 0o600) -> Path:
    """Write a file."""
    path.write_text(text)
    path.chmod(mode)
    return path


def test_tls_checks_certificate_and_host_and_speaks_nothing_old(tmp_path: Path) -> None:
    """Only the named authority counts."""
    settings = MqttSettings(host="b", ca_file=Authority(tmp_path).file)
    context = credentials.tls_context(settings)
    assert context is not None
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert len(context.get_ca_certs()) == 1
    assert credentials.port(settings) == 8883


def test_without_tls_only_where_it_is_switched_off() -> None:
    """And then on the port for that."""
    assert credentials.tls_context(MqttSettings(host="b")) is not None
    plain = MqttSettings(host="b", tls=False)
    assert credentials.tls_context(plain) is None
    assert credentials.port(plain) == 1883


def test_the_password_is_in_a_file_or_a_variable(tmp_path: Path) -> None:
    """The file stands above the variable, and its line break is not part of it."""
    environ = {"DIALIN_MQTT_PASSWORD": "from variable", "OTHER": "from other"}
    assert credentials.password(MqttSettings(), environ) == "from variable"
    assert credentials.password(MqttSettings(password_env="OTHER"), environ) == "from other"
    assert credentials.password(MqttSettings(), {}) is None
    file = secret(tmp_path / "password", " with blanks \n")
    settings = MqttSettings(password_file=file)
    assert credentials.password(settings, environ) == " with blanks "


def test_a_secret_that_others_can_read_is_refused_without_saying_it(tmp_path: Path) -> None:
    """The message says what to do."""
    file = secret(tmp_path / "password", "correct-horse", 0o640)
    settings = MqttSettings(password_file=file, dial_key_file=file)
    for read in (credentials.password, credentials.dial_key):
        with pytest.raises(BrokerFilesError) as refused:
            read(settings)
        assert "correct-horse" not in str(refused.value)
        assert "chmod 600" in refused.value.hint


def test_files_that_are_not_there_or_are_something_else_are_named(tmp_path: Path) -> None:
    """CA, certificate, key and password."""
    authority = Authority(tmp_path)
    certificate, key = authority.issue("bridge")
    other, _ = authority.issue("other")
    text = secret(tmp_path / "text", "no certificate")
    gone = tmp_path / "gone"
    for settings, word in (
        (MqttSettings(ca_file=gone), "mqtt.ca_file"),
        (MqttSettings(ca_file=text), "mqtt.ca_file"),
        (MqttSettings(certificate_file=gone, key_file=key), "mqtt.certificate_file"),
        (MqttSettings(certificate_file=other, key_file=key), "mqtt.certificate_file"),
        (MqttSettings(certificate_file=certificate, key_file=text), "mqtt.certificate_file"),
        (MqttSettings(certificate_file=certificate, key_file=gone), "mqtt.key_file"),
    ):
        with pytest.raises(BrokerFilesError, match=word):
            credentials.tls_context(settings)
    with pytest.raises(BrokerFilesError, match=r"mqtt\.password_file"):
        credentials.password(MqttSettings(password_file=gone))
    assert credentials.tls_context(MqttSettings(certificate_file=certificate, key_file=key))


def test_the_dial_key_is_32_bytes_in_base64(tmp_path: Path) -> None:
    """Anything else is refused, with how to make one."""
    assert credentials.dial_key(MqttSettings()) is None
    good = secret(tmp_path / "good", base64.b64encode(bytes(32)).decode() + "\n")
    assert credentials.dial_key(MqttSettings(dial_key_file=good)) == bytes(32)
    for number, text in enumerate(("", "x", base64.b64encode(bytes(31)).decode(), "ä" * 44)):
        bad = secret(tmp_path / f"bad{number}", text)
        with pytest.raises(BrokerFilesError) as refused:
            credentials.dial_key(MqttSettings(dial_key_file=bad))
        assert "urandom" in refused.value.hint
