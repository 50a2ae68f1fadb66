"""Where the master key comes from, and what is refused as one."""

from __future__ import annotations

import base64
import os
import shlex
import stat
import sys
from pathlib import Path

import pytest

from config.settings import Settings, load
from privacy.errors import MasterKeyError
from privacy.vault import create_master_key
from privacy.vault._master_key import read_master_key

KEY = bytes(range(32))
TEXT = base64.b64encode(KEY).decode()


def settings_of(folder: Path, **privacy: str) -> Settings:
    """Return settings with some of `[privacy]`."""
    options = {f"privacy.{key}": value for key, value in privacy.items()}
    return load(None, {"DIALIN_MASTER_KEY": TEXT}, {"data_dir": str(folder), **options})


def test_new_key_is_a_private_file_and_another_each_time(tmp_path: Path) -> None:
    """Mode 0600 whatever the umask, 32 random bytes, one line."""
    before = os.umask(0)
    try:
        create_master_key(tmp_path / "master.key")
        create_master_key(tmp_path / "other.key")
    finally:
        os.umask(before)
    path = tmp_path / "master.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().count("\n") == 1
    key = read_master_key(settings_of(tmp_path))
    assert len(key) == 32
    assert path.read_text() != (tmp_path / "other.key").read_text()


def test_a_key_that_is_there_is_never_overwritten(tmp_path: Path) -> None:
    """Everything would be lost."""
    (tmp_path / "master.key").write_text("precious")
    with pytest.raises(MasterKeyError, match="cannot be written: File exists"):
        create_master_key(tmp_path / "master.key")
    assert (tmp_path / "master.key").read_text() == "precious"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o622, 0o777])
def test_key_that_others_may_read_is_refused(mode: int, tmp_path: Path) -> None:
    """With the mode that it has, and the line that mends it."""
    create_master_key(tmp_path / "master.key")
    (tmp_path / "master.key").chmod(mode)
    with pytest.raises(MasterKeyError, match=f"has mode {mode:04o}") as caught:
        read_master_key(settings_of(tmp_path))
    assert caught.value.hint.startswith("chmod 600 ")
    (tmp_path / "master.key").chmod(0o400)
    assert len(read_master_key(settings_of(tmp_path))) == 32


@pytest.mark.parametrize("text", ["", "\n", "not base64!", TEXT[:-4], TEXT + TEXT, "ä" * 44])
def test_what_is_no_key_is_refused(text: str, tmp_path: Path) -> None:
    """The message says what was expected, and never what was found."""
    path = tmp_path / "master.key"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(MasterKeyError, match="expected 32 bytes in base64") as caught:
        read_master_key(settings_of(tmp_path))
    assert not text.strip() or text.strip() not in str(caught.value)


def test_absent_key_and_odd_files_are_refused(tmp_path: Path) -> None:
    """A pipe in its place must not hang the start."""
    with pytest.raises(MasterKeyError, match="cannot be read: No such file"):
        read_master_key(settings_of(tmp_path))
    os.mkfifo(tmp_path / "master.key", 0o600)
    with pytest.raises(MasterKeyError, match="must be an ordinary file"):
        read_master_key(settings_of(tmp_path))


def test_key_from_the_environment(tmp_path: Path) -> None:
    """From the variable that the settings name."""
    settings = settings_of(tmp_path, master_key="env")
    assert read_master_key(settings, {"DIALIN_MASTER_KEY": TEXT + "\n"}) == KEY
    with pytest.raises(MasterKeyError, match="DIALIN_MASTER_KEY: is not set"):
        read_master_key(settings, {})


def command_of(program: str) -> str:
    """Return a command line that runs a line of Python."""
    return shlex.join([sys.executable, "-c", program])


def test_key_from_a_command(tmp_path: Path) -> None:
    """What it prints is the key; what it prints in failing is in no message."""
    command = command_of(f"print('{TEXT}')")
    settings = settings_of(tmp_path, master_key="command", master_key_command=command)
    assert read_master_key(settings) == KEY
    command = command_of(f"print('{TEXT}'); raise SystemExit(3)")
    settings = settings_of(tmp_path, master_key="command", master_key_command=command)
    with pytest.raises(MasterKeyError, match="ended with status 3") as caught:
        read_master_key(settings)
    assert TEXT not in str(caught.value)
    assert caught.value.__cause__ is None
    settings = settings_of(tmp_path, master_key="command", master_key_command="/no/such/program")
    with pytest.raises(MasterKeyError, match="cannot be run"):
        read_master_key(settings)
