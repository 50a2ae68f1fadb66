"""Mutated SIP over UDP and TCP, before, inside and after calls, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROUNDS = 150
"""About eight seconds each; more, with other seeds, by hand: `python -m tests.sip.fuzz`."""


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_endpoint_survives_what_it_gets(seed: int, tmp_path: Path) -> None:
    """No assertion of PJSIP ends the process, no callback fails, and the next call works."""
    journal = tmp_path / "last-messages"
    done = subprocess.run(
        [sys.executable, "-m", "tests.sip.fuzz", str(seed), str(ROUNDS), str(journal)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stdout[-9:]) == (0, "survived\n"), done.stderr[-2000:]
