"""`dialin conference say`: what it asks the bridge for, and what it refuses by itself."""

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.support.office import Office, bridge_that_answers

DONE: dict[str, Any] = {"conference": "Board", "listeners": 2, "seconds": None}


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        (("alone",), {"phrase": "alone", "arguments": {}, "person": None}),
        (
            ("ending_soon", "--with", "minutes=5", "--person", "17"),
            {"phrase": "ending_soon", "arguments": {"minutes": 5}, "person": 17},
        ),
        (
            ("opens_on", "--with", "date=2026-11-27", "--with", "time=09:30"),
            {
                "phrase": "opens_on",
                "arguments": {"date": "2026-11-27", "time": "09:30"},
                "person": None,
            },
        ),
        (
            ("ending_soon", "--with", "minutes=soon"),
            {"phrase": "ending_soon", "arguments": {"minutes": "soon"}, "person": None},
        ),
    ],
)
def test_a_phrase_goes_to_the_bridge_by_its_name(
    office: Office, words: tuple[str, ...], arguments: dict[str, Any]
) -> None:
    """Numbers as numbers; whether they make sense is the bridge's to say."""
    with bridge_that_answers(office.settings.admin_socket, **{"conference.say": DONE}) as asked:
        said = office.dialin("conference", "say", "Board", *words)
    assert said.code == 0, said
    assert said.out == "Board: 2 people hear it.\n"
    assert asked[0]["arguments"] == {"conference": "Board", **arguments}


def test_a_file_goes_to_the_bridge_as_telephone_sound(office: Office, tmp_path: Path) -> None:
    """Read here, as who typed the command; in less than a request may hold."""
    noise = np.random.default_rng(1).uniform(-1, 1, 45 * 48000)
    soundfile.write(tmp_path / "a.wav", noise, 48000)
    done = {**DONE, "listeners": 1, "seconds": 45.0}
    with bridge_that_answers(office.settings.admin_socket, **{"conference.say": done}) as asked:
        said = office.dialin("conference", "say", "Board", str(tmp_path / "a.wav"), "--json")
    assert said.code == 0, said
    sound = asked[0]["arguments"]["sound"]
    assert len(base64.b64decode(sound)) == 2 * 45 * 8000
    assert len(sound) < (1 << 20) - 1000


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("nonsense",), "neither a phrase 'nonsense' nor a file"),
        (("pyproject.toml",), "is no sound file"),
        (("pyproject.toml", "--with", "a=1"), "--with is for phrases"),
        (("ending_soon", "--with", "5"), "NAME=VALUE"),
    ],
)
def test_what_cannot_be_said_is_refused_before_the_bridge_is_asked(
    office: Office, words: tuple[str, ...], why: str
) -> None:
    """With 2, and what to do."""
    said = office.dialin("conference", "say", "Board", *words)
    assert said.code == 2
    assert why in said.err


def test_phrases_are_listed_with_what_they_take(office: Office) -> None:
    """Those with a caller's own voice in them are left out."""
    said = office.dialin("conference", "say", "--phrases")
    assert said.code == 0, said
    assert "minutes=MINUTES" in said.out
    assert "The conference ends in one minute." in said.out
    assert "left_name" not in said.out
