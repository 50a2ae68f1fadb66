"""`dialin serve`: what is left to close when the loop has ended is closed, whoever is impatient."""

from __future__ import annotations

import os
import signal

import pytest

from bridge.commands import serve
from config.database import Database
from tests.support.office import Office


@pytest.mark.parametrize("number", serve.ENDING)
def test_signal_after_the_loop_does_not_interrupt_the_closing(
    office: Office, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    """Between the end of the calls and that of the process nothing is cut short."""
    seen: list[str] = []
    close = Database.close

    def interrupted(database: Database) -> None:
        if seen[:1] == ["ran"]:
            os.kill(os.getpid(), number)
        close(database)
        seen.append("closed")

    async def run_house(*_: object) -> None:
        seen[:] = ["ran"]

    monkeypatch.setattr(Database, "close", interrupted)
    monkeypatch.setattr("bridge.commands.serve.run_house", run_house)
    monkeypatch.setattr("bridge.commands.serve.raise_descriptor_limit", lambda: None)
    monkeypatch.setattr("bridge.commands.serve.Forks.start", lambda _forks: None)
    before = {each: signal.getsignal(each) for each in serve.ENDING}
    monkeypatch.setattr("bridge.commands.serve.log.configure", lambda _settings: None)
    try:
        assert office.dialin("serve").code == 0
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    assert seen == ["ran", "closed"]
