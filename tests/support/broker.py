"""A real mosquitto with TLS, passwords and rights made for the test, and programs that use it.

Three users: the bridge, which may do below its node what it needs and no more; an operator, who may
publish commands and read everything; an onlooker, who may only read. Everything is on loopback.
"""

import contextlib
import ipaddress
import json
import os
import selectors
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, Self

import paho.mqtt.client as paho
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from paho.mqtt.enums import CallbackAPIVersion

from tests.support.bridge_under_test import free_port

__all__ = ["PASSWORDS", "Authority", "Broker", "Client", "Published", "Relay", "SilentBroker"]

PASSWORDS = {
    "bridge": "correct-horse-of-bridge",
    "operator": "correct-horse-of-operator",
    "onlooker": "correct-horse-of-onlooker",
}
_RIGHTS = """\
user bridge
topic readwrite dialin/main/#
user operator
topic read dialin/#
topic write dialin/main/conference/+/command
topic write dialin/main/conference/+/state
user onlooker
topic read dialin/#
"""


class Published(NamedTuple):
    """A message as somebody received it."""

    topic: str
    payload: bytes
    retain: bool
    at: float

    @property
    def word(self) -> str:
        """The last word of the topic."""
        return self.topic.rpartition("/")[2]

    @property
    def said(self) -> Any:  # noqa: ANN401 - any JSON
        """What was said; None where a retained message was cleared."""
        return json.loads(self.payload) if self.payload else None


class Authority:
    """Signs certificates.

    Args:
        folder: Where files go.
        name: Of the authority.
    """

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.file = folder / f"{name}.pem"
        made = self._builder(self._name, self._key, authority=True)
        signed = made.sign(self._key, hashes.SHA256())
        self.file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, address: str = "127.0.0.1") -> tuple[Path, Path]:
        """Issue a certificate.

        Args:
            name: Common name, and of the files.
            address: Good for this address alone.

        Returns:
            Files of certificate and key.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        made = self._builder(subject, key).add_extension(alternative, critical=False)
        signed = made.sign(self._key, hashes.SHA256())
        certificate, key_file = self._folder / f"{name}.crt", self._folder / f"{name}.key"
        certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        key_file.chmod(0o600)
        return certificate, key_file

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, authority: bool = False
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )


class Broker:
    """One mosquitto.

    Args:
        folder: Of its own.
        tls: Speak TLS on the port.
        ask_certificate: Ask clients for a certificate of the authority's.
    """

    def __init__(self, folder: Path, *, tls: bool = True, ask_certificate: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = free_port()
        self.tls = tls
        self.authority = Authority(folder)
        self._process: subprocess.Popen[bytes] | None = None
        self._log = folder / "mosquitto.log"
        passwords = folder / "passwords"
        passwords.touch(0o600)
        for user, password in PASSWORDS.items():
            subprocess.run(["mosquitto_passwd", "-b", passwords, user, password], check=True)
        (folder / "rights").write_text(_RIGHTS)
        (folder / "rights").chmod(0o600)
        lines = [
            f"listener {self.port} 127.0.0.1",
            "allow_anonymous false",
            f"password_file {passwords}",
            f"acl_file {folder / 'rights'}",
            "persistence false",
            "user root" if os.geteuid() == 0 else "",
        ]
        if tls:
            certificate, key = self.authority.issue("broker")
            lines += [f"certfile {certificate}", f"keyfile {key}", "tls_version tlsv1.2"]
        if ask_certificate:
            lines += [f"cafile {self.authority.file}", "require_certificate true"]
        (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")

    def settings(self, **more: str) -> dict[str, str]:
        """Return the settings of a bridge that uses it, as variables.

        Args:
            more: Others of the section, by key.
        """
        password = self.folder / "password"
        password.write_text(PASSWORDS["bridge"] + "\n")
        password.chmod(0o600)
        settings = {
            "host": "127.0.0.1",
            "port": str(self.port),
            "user": "bridge",
            "password_file": str(password),
            "tls": "true" if self.tls else "false",
            **({"ca_file": str(self.authority.file)} if self.tls else {}),
            **more,
        }
        return {f"DIALIN_MQTT__{key.upper()}": value for key, value in settings.items()}

    def start(self) -> Self:
        """Start it, and wait until it listens."""
        program = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin")
        assert program is not None, "mosquitto is not installed; scripts/test installs it"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [program, "-c", self.folder / "mosquitto.conf"], stdout=log, stderr=log
            )
        deadline = time.monotonic() + 10.0
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return self
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline, "mosquitto does not listen"
            time.sleep(0.05)

    def kill(self) -> None:
        """Kill it at once: nothing is said to anybody, and nothing is kept."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.kill()


class Client:
    """A program at the broker: it keeps all that it may read, and publishes.

    Args:
        broker: Where.
        user: As whom.
        topics: What it subscribes to.
    """

    def __init__(self, broker: Broker, user: str = "operator", topics: str = "#") -> None:
        self.received: list[Published] = []
        self._subscribed = threading.Event()
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5, reconnect_on_failure=False
        )
        self._client.username_pw_set(user, PASSWORDS[user])
        if broker.tls:
            context = ssl.create_default_context(cafile=broker.authority.file)
            context.load_cert_chain(*broker.authority.issue(user))
            self._client.tls_set_context(context)
        self._client.on_message = self._keep
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()
        deadline = time.monotonic() + 5.0
        while not self._client.is_connected() and time.monotonic() < deadline:
            time.sleep(0.01)
        self._client.subscribe(topics, qos=1)
        assert self._subscribed.wait(5.0), "no subscription"

    def _keep(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        self.received.append(
            Published(message.topic, bytes(message.payload), message.retain, time.monotonic())
        )

    def publish(self, topic: str, payload: Any, **options: Any) -> None:  # noqa: ANN401 - JSON or bytes
        """Publish something, and wait until the broker has it.

        Args:
            topic: Where.
            payload: Bytes as they are, or JSON.
            options: As of paho's `publish`.
        """
        text = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self._client.publish(topic, text, **{"qos": 1, **options}).wait_for_publish(10.0)

    def flood(self, topic: str, payload: bytes, times: int) -> None:
        """Publish the same many times, and wait for nothing."""
        for _ in range(times):
            self._client.publish(topic, payload, qos=0)

    def of(self, word: str) -> list[Published]:
        """Return what came to topics that end with a word."""
        return [each for each in list(self.received) if each.word == word]

    def wait_for(
        self, word: str, fits: Callable[[Any], bool] = bool, *, timeout: float = 10.0
    ) -> Published:
        """Wait for a message.

        Args:
            word: The last of its topic.
            fits: Asked of what each says.
            timeout: After which it is a failure [s].

        Returns:
            The first that fits.
        """
        deadline = time.monotonic() + timeout
        while True:
            for each in self.of(word):
                if fits(each.said):
                    return each
            assert time.monotonic() < deadline, (
                f"waited {timeout:g} s in vain for {word}; there were"
                f" {[each.topic for each in self.received][-20:]}"
            )
            time.sleep(0.02)

    def close(self) -> None:
        """Leave."""
        self._client.disconnect()
        self._client.loop_stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


@dataclass
class _Pair:
    near: socket.socket
    far: socket.socket


class Relay:
    """Passes octets on between clients and a broker without TLS, and keeps every one of them.

    Args:
        port: The broker's.
    """

    def __init__(self, port: int) -> None:
        self.seen = bytearray()
        self._far = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._listening, selectors.EVENT_READ)
            while not self._ending.is_set():
                for key, _ in selector.select(0.1):
                    if key.fileobj is self._listening:
                        near, _ = self._listening.accept()
                        far = socket.create_connection(("127.0.0.1", self._far))
                        selector.register(near, selectors.EVENT_READ, _Pair(near, far))
                        selector.register(far, selectors.EVENT_READ, _Pair(far, near))
                    elif not self._pass_on(key.data):
                        for each in (key.data.near, key.data.far):
                            selector.unregister(each)
                            each.close()
                        break
            for key in list(selector.get_map().values()):
                sock = key.fileobj
                if isinstance(sock, socket.socket):
                    sock.close()

    def _pass_on(self, pair: _Pair) -> bool:
        try:
            octets = pair.near.recv(65536)
            pair.far.sendall(octets)
        except OSError:
            return False
        self.seen += octets
        return bool(octets)

    def close(self) -> None:
        """End it, with every connection."""
        self._ending.set()
        self._thread.join(5.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class SilentBroker:
    """Accepts connections, and never says a word."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.accepted: list[socket.socket] = []
        self.ended = 0
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="silent-broker", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._listening, selectors.EVENT_READ)
            while not self._ending.is_set():
                for key, _ in selector.select(0.05):
                    if key.fileobj is self._listening:
                        accepted, _ = self._listening.accept()
                        self.accepted.append(accepted)
                        selector.register(accepted, selectors.EVENT_READ)
                    elif isinstance(key.fileobj, socket.socket) and not _read(key.fileobj):
                        selector.unregister(key.fileobj)
                        self.ended += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._ending.set()
        self._thread.join(5.0)
        for each in (*self.accepted, self._listening):
            each.close()


def _read(sock: socket.socket) -> bytes:
    try:
        return sock.recv(65536)
    except OSError:
        return b""
