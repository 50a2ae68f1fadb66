"""OPTIONS outside a dialog, ours: what ``dialin trunk test`` asks and what it makes of answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import msgspec
import pytest

from bridge.admin.live import LIVE_OPERATIONS
from bridge.errors import AdminError
from bridge.sip.messages import Answer, RegistrationChanged, RegistrationState, Transport
from dialplan import store
from tests.sip.caller import Caller, Response
from tests.sip.desk import Desk
from tests.support.stage import Stage, perform


class Answerer:
    """Somebody at the far end who answers every OPTIONS with one status, or not at all."""

    def __init__(self, status: int | None = 200) -> None:
        self.status = status
        self.heard: list[Response] = []
        self._mouth = Caller(("127.0.0.1", 9))  # whom it speaks to is set by each request
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.target = f"127.0.0.1:{self._mouth.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()
        self._mouth.socket.close()

    def _serve(self) -> None:
        mouth = self._mouth
        while not self._ending.is_set():
            mouth.socket.settimeout(0.05)
            try:
                raw, mouth.server = mouth.socket.recvfrom(65535)
            except TimeoutError:
                continue
            request = Response.of(raw)
            self.heard.append(request)
            if self.status is not None:
                mouth.answer(request, self.status)


@pytest.fixture
def answerer() -> Iterator[Answerer]:
    """Somebody who answers 200."""
    with Answerer() as made:
        yield made


def ask(desk: Desk, target: str, transport: Transport = "udp", timeout_s: float = 4.0) -> Answer:
    """Ask and wait for what comes of it."""
    answers: list[Answer] = []
    came = threading.Event()

    def take(answer: Answer) -> None:
        answers.append(answer)
        came.set()

    desk.endpoint.ask(target, take, transport, timeout_s)
    assert came.wait(10)
    return answers[0]


def test_somebody_who_answers_is_there(desk: Desk, answerer: Answerer) -> None:
    """The status comes back with the time it took; the request is outside any dialog."""
    answer = ask(desk, answerer.target)
    assert (answer.status, answer.outcome) == (200, "answered")
    assert 0 < answer.milliseconds < 4000
    asked = answerer.heard[0]
    assert asked.method == "OPTIONS"
    assert "tag=" not in asked.get("to")
    assert f":{desk.endpoint.port}" in asked.get("contact")
    assert asked.get("user-agent") == "dialin-bridge"


@pytest.mark.parametrize("status", [404, 401, 503])
def test_a_refusal_is_an_answer_too(desk: Desk, status: int) -> None:
    """Whoever refuses OPTIONS speaks SIP: its status is told as it came."""
    with Answerer(status) as answerer:
        assert ask(desk, answerer.target).status == status


def test_nobody_answers_in_time(desk: Desk) -> None:
    """Silence is told after the time that was given, not after PJSIP's 32 s; once."""
    with Answerer(None) as answerer:
        answer = ask(desk, answerer.target, timeout_s=0.5)
    assert (answer.status, answer.outcome) == (None, "timeout")
    assert 500 <= answer.milliseconds < 5000


def test_an_answer_that_comes_too_late_is_nobodys(desk: Desk) -> None:
    """A question that was given up stays given up, and the next one is answered."""
    with Answerer(None) as answerer:
        assert ask(desk, answerer.target, timeout_s=0.1).outcome == "timeout"
        answerer.status = 200  # PJSIP still repeats the first one
        assert ask(desk, answerer.target).status == 200
        desk.until(lambda: len({each.get("call-id") for each in answerer.heard}) == 2)


def test_an_address_that_is_none_is_told(desk: Desk) -> None:
    """What is no host cannot be asked; the endpoint is none the worse for it."""
    for target in ("", "a b", "[", "127.0.0.1:port", "<>", 'x";'):
        answer = ask(desk, target, timeout_s=0.5)
        assert answer.status is None
    with Caller(desk.address) as caller:
        caller.dial()
        caller.hang_up()


def test_a_closed_tcp_port_is_told_at_once(desk: Desk) -> None:
    """A connection refused is no timeout."""
    with Caller(desk.address) as unused:
        target = f"127.0.0.1:{unused.port}"  # bound for UDP: nobody listens on TCP
        answer = ask(desk, target, transport="tcp")
    assert (answer.status, answer.outcome) == (None, "not_sent")


def test_the_stop_answers_what_is_open() -> None:
    """Nobody waits for a question after the endpoint's end."""
    answers: list[Answer] = []
    with Desk() as desk, Answerer(None) as answerer:
        desk.endpoint.ask(answerer.target, answers.append, timeout_s=30.0)
        desk.until(lambda: answerer.heard)
    assert [each.outcome for each in answers] == ["stopped"]


# -- dialin trunk test ---------------------------------------------------------------------------


def trunk(
    addresses: tuple[str, ...] = (), server: str | None = None, transport: str = "udp"
) -> store.TrunkEntry:
    """Return a trunk's entry in the directory."""
    return store.TrunkEntry(
        name="carrier",
        addresses=addresses,
        digest=None,
        register=(server, "alice", "secret", 300, transport) if server is not None else None,
        asserts_identity=True,
        call_limit=None,
        refuse_status=503,
    )


def examine(
    folder: Path, entry: store.TrunkEntry, state: RegistrationState | None = None
) -> dict[str, Any]:
    """Run the live operation ``trunk.test`` on a bridge with one trunk and a real endpoint."""
    found: dict[str, Any] = {}

    async def scene(stage: Stage) -> None:
        bridge = stage.bridge
        bridge.directory.replace(
            msgspec.structs.replace(bridge.directory._now, trunks={entry.name: entry})
        )
        if state is not None:
            bridge.registrations[entry.name] = RegistrationChanged(entry.name, state, None, None)
        with Desk() as desk:
            bridge.sip = desk.endpoint
            found.update(await LIVE_OPERATIONS["trunk.test"](bridge, name=entry.name))

    perform(folder, scene)
    return found


def test_trunk_test_tells_who_answered(tmp_path: Path) -> None:
    """The provider's answer stands with status and milliseconds, and all is well."""
    with Answerer() as answerer:
        found = examine(tmp_path, trunk(server=answerer.target), "registered")
    (asked,) = found.pop("asked")
    assert found == {"trunk": "carrier", "calls": 0, "registration": "registered", "well": True}
    assert (asked["target"], asked["answer"]) == (answerer.target, "200")
    assert 0 < asked["milliseconds"] < 4000


def test_trunk_test_of_a_registration_that_does_not_stand(tmp_path: Path) -> None:
    """A provider that answers and refuses our registration is not well."""
    with Answerer() as answerer:
        found = examine(tmp_path, trunk(server=answerer.target), "refused")
    assert found["asked"][0]["answer"] == "200"
    assert not found["well"]


def test_trunk_test_of_somebody_who_is_not_there(tmp_path: Path) -> None:
    """A provider that cannot be reached is told by a word, and is not well."""
    with Caller(("127.0.0.1", 9)) as unused:
        target = f"127.0.0.1:{unused.port}"
        found = examine(tmp_path, trunk(server=target, transport="tcp"))
    assert found["asked"][0]["answer"] == "not sent"
    assert not found["well"]


def test_trunk_test_asks_single_addresses_and_no_networks(tmp_path: Path) -> None:
    """A host is asked at the port of SIP; of a network nobody is, and that is no fault."""
    found = examine(tmp_path, trunk(addresses=("127.77.0.0/16",)))
    assert (found["asked"], found["registration"], found["well"]) == ([], None, True)
    found = examine(tmp_path, trunk(addresses=("127.77.0.0/16", "127.77.0.5/32")))
    assert [each["target"] for each in found["asked"]] == ["127.77.0.5"]


def test_trunk_test_of_a_trunk_that_is_not(tmp_path: Path) -> None:
    """The name is said, and what lists the right ones."""
    entry = trunk()

    async def scene(stage: Stage) -> None:
        with pytest.raises(AdminError, match=entry.name):
            await LIVE_OPERATIONS["trunk.test"](stage.bridge, name=entry.name)

    perform(tmp_path, scene)
