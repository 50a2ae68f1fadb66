"""scripts/run, as the README has it: a card with what to dial and key, Ctrl-C, and again."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import time
from pathlib import Path

import pytest

from dialplan import pins
from tests.support.bridge_under_test import free_port

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
STARTS_S = 60.0


def run_once(folder: Path, port: int) -> str:
    """Start it, wait for the card, interrupt it as a terminal does, and return the card."""
    plain = {key: value for key, value in os.environ.items() if not key.startswith("DIALIN_")}
    process = subprocess.Popen(
        [ROOT / "scripts" / "run", "--data", str(folder), "--port", str(port)],
        cwd="/",
        env=plain
        | {"DIALIN_SIP__BIND_IP": "127.0.0.1", "DIALIN_METRICS__PORT": "0", "COLUMNS": "160"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    card = b""
    try:
        assert process.stdout is not None
        deadline = time.monotonic() + STARTS_S
        while b"Ctrl-C" not in card and time.monotonic() < deadline:
            if select.select([process.stdout], [], [], 1.0)[0]:
                read = os.read(process.stdout.fileno(), 65536)
                if not read:
                    break
                card += read
        assert b"Ctrl-C" in card, process.communicate(timeout=5)[1][-3000:]
        os.killpg(process.pid, signal.SIGINT)  # a terminal's Ctrl-C is for all of them
        _, log = process.communicate(timeout=20)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    assert process.returncode == 0, log[-3000:]
    assert b"bridge stopped" in log
    assert b"Traceback" not in log
    return card.decode()


def pins_of(card: str) -> dict[str, str]:
    """Return what the card says to key, by role."""
    found = re.findall(r"(Guest|Host) PIN\s+([0-9 ]+?)\s*│", card)
    return {role.lower(): pin.replace(" ", "") for role, pin in found}


def test_card_says_what_to_dial_and_a_second_run_changes_nothing(tmp_path: Path) -> None:
    """Address, number and both PINs; Ctrl-C ends it with 0; the next card is the same."""
    folder, port = tmp_path / "my data", free_port()
    first = run_once(folder, port)
    assert f"sip:1000@127.0.0.1:{port}" in first
    keyed = pins_of(first)
    assert set(keyed) == {"guest", "host"}
    assert {pins.check(pin) for pin in keyed.values()} == {pins.Verdict.COMPLETE}
    assert f"dialin status --data '{folder}'" in first
    assert (folder / "master.key").stat().st_mode & 0o777 == 0o600
    assert not (folder / "admin.sock").exists()
    assert pins_of(run_once(folder, port)) == keyed
