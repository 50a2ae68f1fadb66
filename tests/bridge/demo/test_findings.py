"""The verdict of the demo: ok only where everything was measured and is as it has to be."""

import io
from itertools import product
from typing import Any

import msgspec
import pytest
from rich.console import Console

from bridge.demo.findings import Findings, Greeted, Heard
from bridge.demo.view import Stage, report

CAST = ("ada", "ben", "cleo")


def leg(number: int) -> dict[str, Any]:
    """Return a record as it should be."""
    return {
        "call": f"call-{number}",
        "session": "one",
        "hung_up_by": "caller",
        "dtmf_method": "rfc4733",
        "ended_at": "2026-03-02T09:00:00.000+00:00",
        "answered_at": "2026-03-02T08:59:40.000+00:00",
        "duration_s": 20.0,
        "caller": "a**",
        "role": "guest",
        "cause": "bye",
        "codec": "PCMU",
        "packets_rx": 1000,
        "lost": 0,
        "talk_ms": 2400,
    }


def good() -> Findings:
    """Return findings of a demo that went well, not judged yet."""
    return Findings(
        greeted=[Greeted(name, "PCMU", 0.97, 400, 2600) for name in CAST],
        heard=[
            Heard(speaker, listener, heard=True, correlation=0.99, level_db=0.0, delay_ms=110)
            if speaker != listener
            else Heard(
                speaker, listener, heard=False, correlation=0.05, level_db=None, delay_ms=None
            )
            for speaker, listener in product(CAST, CAST)
        ],
        legs=[leg(number) for number in range(3)],
        sessions=[{"peak_legs": 3}],
    )


def test_all_well_is_ok() -> None:
    """Everybody heard the others, nobody themselves, the records are complete."""
    findings = good()
    findings.judge(3)
    assert findings.faults == []
    assert findings.as_json()["ok"] is True


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda f: f.heard.pop(), "8 of 9"),
        (
            lambda f: f.heard.__setitem__(
                1, msgspec.structs.replace(f.heard[1], heard=False, correlation=0.1)
            ),
            "ben did not hear ada",
        ),
        (
            lambda f: f.heard.__setitem__(0, msgspec.structs.replace(f.heard[0], heard=True)),
            "its own voice",
        ),
        (
            lambda f: f.greeted.__setitem__(
                0, msgspec.structs.replace(f.greeted[0], correlation=0.3)
            ),
            "greeting",
        ),
        (lambda f: f.legs.pop(), "2 of 3"),
        (lambda f: f.legs[0].update(dtmf_method=None), "dtmf_method"),
        (lambda f: f.legs[0].update(ended_at=None), "not complete"),
        (lambda f: f.sessions.clear(), "single session"),
    ],
)
def test_whatever_is_not_as_it_should_be_is_a_fault(spoil: Any, words: str) -> None:  # noqa: ANN401 - changes findings in any way
    """Each kind of failure is named, and `ok` is false."""
    findings = good()
    spoil(findings)
    findings.judge(3)
    assert findings.as_json()["ok"] is False
    assert any(words in fault for fault in findings.faults)


def test_report_and_stage_show_the_telephones() -> None:
    """The tables name everybody; a fault stands in words."""
    out = io.StringIO()
    console = Console(file=out, width=200)
    stage = Stage(CAST)
    stage.step("ada speaks")
    stage.phone("ada", {"event": "state", "state": "confirmed"})
    stage.phone("ada", {"event": "level", "heard": 3, "said": 40})
    console.print(stage)
    findings = good()
    findings.judge(3)
    report(findings, console)
    findings.faults.append("something is wrong")
    report(findings, console)
    shown = out.getvalue()
    for words in (*CAST, "confirmed", "ada speaks", "110 ms", "97% like", "something is wrong"):
        assert words in shown
