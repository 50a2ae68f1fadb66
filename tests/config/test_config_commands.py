"""`dialin config`: whose settings are shown, and what wrong ones do not keep from being read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.office import Office, bridge_that_answers


def test_settings_shown_are_those_of_the_bridge_that_runs(tmp_path: Path) -> None:
    """The shell that asks may have others; whose they are is said."""
    office = Office(tmp_path)
    office.environment["DIALIN_SIP__PORT"] = "5099"
    rows = [{"key": "sip.port", "value": 5070, "origin": "option --port"}]
    with bridge_that_answers(tmp_path / "admin.sock", config__show=rows):
        said = office.dialin("config", "show", "--json")
        assert json.loads(said.out) == rows
        assert said.err == f"Of the bridge that runs on {tmp_path}:\n"
    said = office.dialin("config", "show", "--changed", "--json")
    shown = {row["key"]: (row["value"], row["origin"]) for row in json.loads(said.out)}
    assert shown["sip.port"] == (5099, "environment DIALIN_SIP__PORT")
    assert "No bridge runs here" in said.err


@pytest.mark.parametrize(
    "words", [("config", "keys"), ("config", "keys", "--json"), ("serve", "--help"), ("--help",)]
)
def test_wrong_settings_do_not_hide_what_is_allowed(tmp_path: Path, words: tuple[str, ...]) -> None:
    """The refusal sends its reader to `config keys`: that must not be refused as well."""
    office = Office(tmp_path)
    office.environment["DIALIN_SIP__PORT"] = "five thousand"
    refused = office.dialin("status")
    assert refused.code == 2
    assert "DIALIN_SIP__PORT" in refused.err
    assert "`dialin config keys` lists what is allowed" in refused.err
    said = office.dialin(*words)
    assert said.code == 0
    assert said.out


def test_secret_of_a_command_is_not_shown(tmp_path: Path) -> None:
    """Only that it is set: the command may name a password."""
    office = Office(tmp_path)
    office.environment["DIALIN_PRIVACY__MASTER_KEY"] = "command"
    office.environment["DIALIN_PRIVACY__MASTER_KEY_COMMAND"] = "pass show swordfish"
    said = office.dialin("config", "show", "--json")
    assert "swordfish" not in said.out + said.err
    assert '"(set)"' in said.out
