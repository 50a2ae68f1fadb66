"""`dialin demo`: three ordinary softphones, and a verdict that says what it measured."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.demo.hearing import heard, read_wav, voice

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]


def test_demo_says_ok_and_its_recordings_bear_it_out(tmp_path: Path) -> None:
    """Each of the three heard both others and not themselves; `--keep` leaves the proof."""
    kept = tmp_path / "kept"
    finished = subprocess.run(
        [sys.executable, "-m", "bridge.cli", "demo", "--json", "--keep", str(kept)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout[-3000:] + finished.stderr[-3000:]
    found = json.loads(finished.stdout)
    assert found["ok"] is True
    assert found["seconds"] < 60
    assert len(found["heard"]) == 9
    assert {(row["speaker"] != row["listener"]) is row["heard"] for row in found["heard"]} == {True}
    assert len(found["legs"]) == 3
    assert {leg["codec"] for leg in found["legs"]} == {"PCMU", "PCMA"}
    recording = read_wav(kept / "ada-heard.wav")
    assert heard(recording, voice("ben", 2.4)).heard
    assert heard(recording, voice("cleo", 2.4)).heard
    assert not heard(recording, voice("ada", 2.4)).heard


def test_folder_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    """`--keep` never mixes its files with others."""
    (tmp_path / "something").write_text("of somebody")
    finished = subprocess.run(
        [sys.executable, "-m", "bridge.cli", "demo", "--keep", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert finished.returncode == 2
    assert "not empty" in finished.stderr
