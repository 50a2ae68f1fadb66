"""sipp, the load generator of the trade, as a strict SIP caller: one scenario a file.

A scenario under `tests/e2e/sipp` says what must be sent and what must come back; sipp's exit code
is the verdict, and what it saw of unexpected messages is the failure's text.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.rtp import Address

__all__ = ["SippResult", "run_sipp"]

_SCENARIOS = Path(__file__).parents[1] / "e2e" / "sipp"


@dataclass(frozen=True)
class SippResult:
    """How a run ended.

    Attributes:
        code: sipp's exit code; 0 where every call went as the scenario says.
        said: The ends of its error file and of its output.
    """

    code: int
    said: str

    @property
    def ok(self) -> bool:
        """Whether every call went as the scenario says."""
        return self.code == 0


def run_sipp(  # noqa: PLR0913 - sipp's own options, by keyword
    scenario: str,
    bridge: Address,
    number: str,
    folder: Path,
    *,
    keys: dict[str, str] | None = None,
    calls: int = 1,
    rate: int = 5,
    stay: float = 4.0,
    transport: str = "udp",
    timeout: float = 60.0,
) -> SippResult:
    """Run a scenario against the bridge.

    Args:
        scenario: File name in `tests/e2e/sipp`, without `.xml`.
        bridge: Where the bridge listens.
        number: The number to dial (`[service]`).
        folder: An empty folder for sipp's files.
        keys: Further keywords, written `[name]` in the scenario.
        calls: How many calls.
        rate: New calls a second.
        stay: How long a `<pause />` without a length takes [s].
        transport: "udp" or "tcp" (one connection for all calls).
        timeout: After which sipp gives up [s].

    Returns:
        The verdict.
    """
    program = shutil.which("sipp")
    if program is None:
        message = "sipp is missing: apt-get install sip-tester (scripts/test does it)"
        raise FileNotFoundError(message)
    folder.mkdir(parents=True, exist_ok=True)
    errors = folder / "errors.log"
    command = [
        program,
        f"{bridge[0]}:{bridge[1]}",
        *("-sf", str(_SCENARIOS / f"{scenario}.xml")),
        *("-s", number),
        *("-i", "127.0.0.1"),
        *("-mi", "127.0.0.1"),
        *("-t", "t1" if transport == "tcp" else "u1"),
        *("-m", str(calls)),
        *("-r", str(rate)),
        *("-d", str(round(stay * 1000))),
        *("-timeout", f"{round(timeout)}s"),
        "-timeout_error",
        "-trace_err",
        *("-error_file", str(errors)),
        "-nostdin",
    ]
    for name, value in (keys or {}).items():
        command += ["-key", name, value]
    finished = subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=timeout + 20,
        check=False,
        env={**os.environ, "TERM": "dumb"},
    )
    said = errors.read_text(errors="replace")[-3000:] if errors.exists() else ""
    output = (finished.stdout + finished.stderr).decode(errors="replace")
    return SippResult(finished.returncode, f"{said}\n{output[-1500:]}")
