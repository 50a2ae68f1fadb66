"""`dialin live`: what it refuses before it takes the terminal; nothing else waits for it."""

import subprocess
import sys
from typing import Any

from tests.bridge.commands.test_meetings_command import NOW
from tests.support.office import Office, bridge_that_answers

STATE: dict[str, Any] = {"draining": False}


def test_without_a_terminal_it_says_what_serves(office: Office) -> None:
    """With 2: in a pipe it is misused."""
    with bridge_that_answers(office.settings.admin_socket, **{"drain.state": STATE}):
        said = office.dialin("live")
    assert said.code == 2
    assert "needs a terminal" in said.err
    assert "dialin status" in said.err


def test_conference_that_does_not_run_is_refused_before_the_screen_is_taken(
    office: Office,
) -> None:
    """In the bridge's words; one that runs is looked for by its name."""
    with bridge_that_answers(office.settings.admin_socket, **{"conference.people": NOW}) as asked:
        said = office.dialin("live", "Board")
    assert asked[0]["arguments"] == {"conference": "Board"}
    assert "needs a terminal" in said.err


def test_no_other_command_waits_for_the_terminal_library() -> None:
    """It is imported when the view starts."""
    program = "import sys, bridge.cli; sys.exit('textual' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0
