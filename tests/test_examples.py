"""Every command shows examples, and each of them works as it stands."""

from __future__ import annotations

import base64
import re
import shlex
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest

from bridge.commands.meetings import MEETING_COMMANDS
from cdr.tables import BridgeRun, ConferenceSession
from tests.support.office import Office, new_folder

NEED_A_BRIDGE = {
    ("status",),
    ("drain",),
    ("live",),
    ("trace",),
    ("trunk", "rejected"),
    ("trunk", "test"),
    *(("conference", str(command.name)) for command in MEETING_COMMANDS),
}
"""They speak to a running bridge; here they are understood, and say that none runs."""

RUN_ON = {("serve",), ("demo",)}
"""They end when they are told to; here their arguments are read."""

ANSWERS = "y\nsecret\nsecret\n"
"""What is asked for: a confirmation, passwords."""


def examples(text: str | None) -> list[str]:
    """Return the command lines below "Example" in a help text, those of several lines joined."""
    _, found, below = re.sub(r"\\\n\s*", "", text or "").partition("Example")
    return [line.strip() for line in below.splitlines()[1:] if line.strip()] if found else []


def leaves() -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command that is no group."""
    return (each for each in Office.commands() if not isinstance(each[1], click.Group))


ALL = [(words, line) for words, command in Office.commands() for line in examples(command.help)]


@pytest.fixture(scope="module", name="furnished")
def folder_with_what_examples_speak_of(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a number, a trunk, a conference and a session by the examples' names."""
    office = Office(new_folder(tmp_path_factory.mktemp("examples") / "data"))
    for line in (
        "number add +46101234567",
        "conference add Board",
        "trunk add carrier --address 203.0.113.0/28",
    ):
        assert office.dialin(*line.split()).code == 0
    with office.opened() as context, context.database.session() as session:
        now = datetime.now(UTC)
        run = BridgeRun(id=uuid.uuid4(), started_at=now, heartbeat_at=now)
        session.add(run)
        session.flush()
        name = uuid.UUID("6f1c2a9e-0000-4000-8000-000000000000")
        session.add(ConferenceSession(id=name, run_id=run.id, conference_id=2, started_at=now))
    return office.folder


@pytest.fixture(scope="module", name="empty")
def folder_with_nothing_in_it(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder without the demo: what examples add is not there yet."""
    office = Office(tmp_path_factory.mktemp("nothing") / "data")
    assert office.dialin("setup").code == 0
    return office.folder


@pytest.mark.parametrize("words", [words for words, _ in leaves()], ids=" ".join)
def test_every_command_shows_an_example_of_itself(words: tuple[str, ...]) -> None:
    """README: every command has `--help` with examples."""
    own = [line for path, line in ALL if path == words]
    assert own
    assert not [line for line in own if f"dialin {' '.join(words)}" not in line]


@pytest.mark.parametrize(("words", "line"), ALL, ids=[line for _, line in ALL])
def test_example_works(
    words: tuple[str, ...],
    line: str,
    furnished: Path,
    empty: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A reader who types it gets what it promises."""
    monkeypatch.setattr("bridge.doctor.outward_address", lambda: "127.0.0.1")
    given = shlex.split(line)
    assigned = given[: given.index("dialin")]
    given = given[given.index("dialin") + 1 :]
    path = tuple(given[: next((i for i, word in enumerate(given) if word[0] == "-"), None)])
    command = max(
        (each for each in leaves() if path[: len(each[0])] == each[0]), key=lambda x: len(x[0])
    )
    office = Office(tmp_path / "data", empty if command[0][-1:] == ("add",) else furnished)
    office.environment |= dict(each.split("=", 1) for each in assigned)
    if command[0] in RUN_ON:
        own = [word for word in given[len(command[0]) :] if word != "--data"]
        command[1].make_context("dialin", [word for word in own if not word.startswith("/var")])
        return
    if command[0] == ("setup",) and "--data" in given:
        given[given.index("--data") + 1] = str(tmp_path / "elsewhere")
    if command[0] == ("doctor",):
        office.environment["DIALIN_SIP__PORT"] = "0"
    if command[0] == ("mqtt", "seal"):
        key = tmp_path / "dial.key"
        key.write_text(base64.b64encode(bytes(32)).decode())
        key.chmod(0o600)
        office.environment["DIALIN_MQTT__DIAL_KEY_FILE"] = str(key)
    said = office.dialin(*given, stdin=ANSWERS.removeprefix("y\n") if "trunk" in given else ANSWERS)
    if command[0] in NEED_A_BRIDGE:
        assert said.code == 1
        assert "the bridge does not run" in said.err
    elif command[0] == ("doctor",):
        assert said.code in {0, 1}, said  # what this machine lacks is no matter of the example
    else:
        assert said.code == 0, said


def test_completion_of_a_shell_is_offered(tmp_path: Path) -> None:
    """As the README has it: the shell asks the command itself for what may follow."""
    office = Office(tmp_path)
    office.environment |= {"_DIALIN_COMPLETE": "bash_source"}
    said = office.dialin()
    assert "_dialin_completion" in said.out
    office.environment |= {
        "_DIALIN_COMPLETE": "bash_complete",
        "COMP_WORDS": "dialin conference rem",
        "COMP_CWORD": "2",
    }
    assert office.dialin().out == "plain,remove\n"
