"""The commands that people start: scripts/* and .ci/run."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCED = ROOT / "scripts" / "venv.sh"
PROGRAMS = sorted(
    path
    for path in [*(ROOT / "scripts").iterdir(), ROOT / ".ci" / "run"]
    if path.is_file() and path != SOURCED
)


def bash(code: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a piece of bash with scripts/venv.sh sourced, in a folder of its own."""
    return subprocess.run(
        ["bash", "-c", f"set -euo pipefail; . '{SOURCED}'; {code}"],
        cwd=cwd,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Call scripts/run from another folder than the repository's."""
    return subprocess.run(
        [ROOT / "scripts" / "run", *arguments],
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def program(path: Path, code: str) -> Path:
    """Write a small executable that stands in for another."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{code}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.name)
def test_program_can_be_started(path: Path) -> None:
    """Every program has its run bit and a first line that finds its interpreter by PATH."""
    assert os.access(path, os.X_OK)
    assert re.match(r"#!/usr/bin/env (bash|python3)\n", path.read_text(encoding="utf-8"))


def test_run_help_names_every_option() -> None:
    """`scripts/run --help` says what can be asked of it and leaves everything alone."""
    result = run("--help")
    assert result.returncode == 0
    for option in ("--port", "--data", "--install", "--help", "DIALIN_DATA_DIR", "PYTHON"):
        assert option in result.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--prot", "5060"], "--prot"),
        (["--port"], "--port needs a value"),
        (["--port", "0"], "1 to 65535"),
        (["--port", "65536"], "1 to 65535"),
        (["--port=sip"], "1 to 65535"),
        (["--data", ""], "name a folder"),
        (["--install", "--port", "5070"], "--port is of no use with --install"),
    ],
)
def test_run_refuses_wrong_arguments(arguments: list[str], said: str) -> None:
    """A wrong argument is named and ends with code 2 before anything is made."""
    result = run(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert said in result.stderr


def test_test_help_says_where_arguments_go() -> None:
    """`scripts/test --help` tells that arguments go on to pytest and that linters run anyway."""
    result = subprocess.run(
        [ROOT / "scripts" / "test", "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "pytest" in result.stdout
    assert "linters" in result.stdout


def test_python_that_is_too_old_does_not_fit(tmp_path: Path) -> None:
    """An interpreter that answers no, as a pyenv shim of another version does, is passed over."""
    shim = program(tmp_path / "python3.12", "exit 127")
    assert bash(f"python_fits '{shim}'", tmp_path).returncode != 0


def test_named_python_comes_first(tmp_path: Path) -> None:
    """PYTHON is taken before what PATH offers."""
    named = program(tmp_path / "python", "exit 0")
    assert bash("find_python", tmp_path, PYTHON=str(named)).stdout == f"{named}\n"


def test_no_python_says_what_to_install(tmp_path: Path) -> None:
    """Where no Python fits, the packages for Debian and Ubuntu are named."""
    result = bash("python_fits() { false; }; find_python", tmp_path)
    assert result.returncode == 1
    assert "no Python 3.11 or 3.12 found" in result.stderr
    assert "apt-get install" in result.stderr


def test_missing_ensurepip_names_the_debian_package(tmp_path: Path) -> None:
    """Without root, a Python that lacks ensurepip leads to the command that mends it."""
    python = program(
        tmp_path / "python", 'case "$2" in *ensurepip*) exit 1 ;; *) echo python3.11-venv ;; esac'
    )
    result = bash(f"id() {{ echo 1000; }}; need_ensurepip '{python}'", tmp_path)
    assert result.returncode == 1
    assert "sudo apt-get install python3.11-venv" in result.stderr


def test_other_machines_are_refused_by_name(tmp_path: Path) -> None:
    """Where PJSIP has no wheel, the machine and the reason are named."""
    result = bash("uname() { echo aarch64; }; need_linux_x86_64", tmp_path)
    assert result.returncode == 1
    assert "aarch64" in result.stderr


def test_unchanged_lock_is_not_installed_again(tmp_path: Path) -> None:
    """A second run does not call pip; a changed lock does, and pip's failure is explained."""
    (tmp_path / "pyproject.toml").write_text("", encoding="utf-8")
    lock = tmp_path / "runtime.lock"
    lock.write_text("first\n", encoding="utf-8")
    program(tmp_path / ".venv/bin/python", "echo called >>calls; [ ! -e broken ]")

    assert bash("install_lock runtime.lock", tmp_path).returncode == 0
    calls = (tmp_path / "calls").read_text(encoding="utf-8")
    assert bash("install_lock runtime.lock", tmp_path).returncode == 0
    assert (tmp_path / "calls").read_text(encoding="utf-8") == calls

    lock.write_text("second\n", encoding="utf-8")
    (tmp_path / "broken").touch()
    result = bash("install_lock runtime.lock", tmp_path)
    assert result.returncode == 1
    assert "could not install runtime.lock" in result.stderr
