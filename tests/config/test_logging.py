"""The log carries nothing about a person, whatever it is given, and by whichever door."""

from __future__ import annotations

import asyncio
import contextlib
import io
import ipaddress
import json
import logging
import string
import sys
import threading
import uuid
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import cdr.journal
import cdr.reports  # noqa: F401 - phrases and words of the tests are theirs
from config import logging as log
from config._log_keys import KEYS, PSEUDONYMOUS, WITHHELD
from config.pseudonyms import Pseudonym, pseudonym
from config.settings import LogSettings

PHRASE = "numbers were revealed to an administrator"
"""A constant of our code, in `cdr.reports`; what tests say is none."""

EVERY_KEY = sorted(set(KEYS) | set(PSEUDONYMOUS) | {"error", "exc_info"})

digits = st.text(string.digits, min_size=7, max_size=15).filter(lambda text: text[0] != "0")
names = st.text("bcdfghjklmnpqrstvwxz", min_size=9, max_size=20).map(str.title)
addresses = st.ip_addresses().filter(lambda ip: len(str(ip)) > 8)


@st.composite
def secrets(draw: st.DrawFn) -> tuple[Any, str]:
    """Draw a piece of personal information, and the text that must not be seen."""
    number, name, address = draw(digits), draw(names), draw(addresses)
    pin = draw(st.text(string.digits, min_size=6, max_size=13))
    return draw(
        st.sampled_from(
            [
                (number, number),
                (f"+{number}", number),
                (f"tel:+{number}", number),
                (int(number), number),
                (number.encode(), number),
                (name, name),
                (f"Ms {name}", name),
                (f'"{name}" <sip:{number}@{name}.example;user=phone>', number),
                (f'"{name}" <sip:{number}@{name}.example;user=phone>', name),
                (address, str(address)),
                (f"{address}:5060", str(address)),
                (pin, pin),
            ]
        )
    )


def _with_cause(value: object) -> Exception:
    error = RuntimeError(value)
    error.__cause__ = KeyError(value)
    error.add_note(f"about {value}")
    return error


HIDDEN_IN: dict[str, Callable[[Any], Any]] = {
    "plain": lambda value: value,
    "list": lambda value: [value, {"caller": value}],
    "dict": lambda value: {str(value): {"deep": (value,)}},
    "error": lambda value: ValueError(f"no such caller: {value}"),
    "cause": _with_cause,
    "group": lambda value: ExceptionGroup(f"{value}", [OSError(5, f"{value}", f"/{value}")]),
    "type": lambda value: type(f"Error_{value}", (Exception,), {}),
    "object": lambda value: type("Thing", (), {"__str__": lambda _: f"{value}"})(),
}


@settings(
    max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(
    secret=secrets(),
    how=st.sampled_from(sorted(HIDDEN_IN)),
    key=st.sampled_from([*EVERY_KEY, "digits", "pin", "body", "uri", "secret key"]),
    door=st.sampled_from(["keyword", "bound", "context", "raised", "event", "key", "standard"]),
    console=st.booleans(),
)
@example(secret=(5550134, "5550134"), how="plain", key="count", door="keyword", console=False)
@example(secret=(5550134, "5550134"), how="plain", key="call", door="keyword", console=True)
def test_nothing_about_a_person_passes(
    secret: tuple[Any, str], how: str, key: str, door: str, *, console: bool, stream: io.StringIO
) -> None:
    """In any key, of any type, nested, in exceptions, as key, as phrase: never in the line."""
    value, hidden = secret
    stream.seek(0)
    stream.truncate()
    log.configure(LogSettings(format="console" if console else "json", level="debug"), stream)
    _say(HIDDEN_IN[how](value), value, key, door)
    said = stream.getvalue()
    assert said.count("\n") == 1
    assert hidden not in said
    assert hidden.lower() not in said.lower()


def _say(value: Any, plain: Any, key: str, door: str) -> None:  # noqa: ANN401 - anything
    logger = structlog.get_logger()
    match door:
        case "keyword":
            logger.info(PHRASE, **{key: value})
        case "bound":
            logger.bind(**{key: value}).warning(PHRASE)
        case "context":
            with log.bound(**{key: value}):
                logger.error(PHRASE)
        case "raised":
            logger.error(PHRASE, **{"exc_info": _with_cause(value), key: value})
        case "event":
            made_up = f"caller {plain} joined"
            logger.info(made_up)
        case "key":
            logger.info(PHRASE, **{f"{plain}": 1, f"caller_{plain}": value})
        case _:
            error = _with_cause(plain)
            library = logging.getLogger(f"lib.{plain}")
            library.error("%s joined as %s", plain, value, exc_info=error)


def line(stream: io.StringIO) -> dict[str, Any]:
    """Return the last line that was logged."""
    found = json.loads(stream.getvalue().splitlines()[-1])
    assert isinstance(found, dict)
    return found


def said_of(stream: io.StringIO, **values: Any) -> Mapping[str, Any]:  # noqa: ANN401 - anything
    """Log values and return what became of them."""
    structlog.get_logger().info(PHRASE, **values)
    found = line(stream)
    return {
        key: value for key, value in found.items() if key not in {"time", "level", "event", "at"}
    }


def test_what_is_about_nobody_is_said(stream: io.StringIO) -> None:
    """Counts, words of our own code, ids of ours: the log is of use."""
    leg = uuid.uuid4()
    assert said_of(
        stream, count=3, reason="bridge_stopped", leg=leg, rtt_ms=12.3456, asserted=True
    ) == {
        "count": 3,
        "reason": "bridge_stopped",
        "leg": leg.hex,
        "rtt_ms": 12.346,
        "asserted": True,
    }
    found = line(stream)
    assert found["event"] == PHRASE
    assert found["level"] == "info"
    assert found["time"].endswith("Z")


def test_numbers_the_size_of_a_telephone_number_are_rounded(stream: io.StringIO) -> None:
    """Seven digits or more, whatever the key that they come under."""
    said = said_of(stream, bytes=5550134, count=999_999, call=5550134, free_bytes=46701234567.0)
    assert said == {
        "bytes": "5.55e+06",
        "count": 999_999,
        "call": WITHHELD,
        "free_bytes": "4.67e+10",
    }


def test_words_that_are_not_in_our_code_are_withheld(stream: io.StringIO) -> None:
    """Also those that look harmless: who knows whom they are about."""
    said = said_of(stream, reason="quillfeather", cause="bridge_crashed", state="x" * 90)
    assert said == {"reason": WITHHELD, "cause": "bridge_crashed", "state": WITHHELD}


def test_unknown_keys_are_counted_not_said(stream: io.StringIO) -> None:
    """Neither the key nor the value; that something was held back is told."""
    assert said_of(stream, digits="1234", quillfeather=1) == {"withheld": 2}


def test_only_published_trunk_names_are_said(stream: io.StringIO) -> None:
    """A name counts as the configuration's once the configuration has it."""
    assert said_of(stream, trunk="carrier-test") == {"trunk": WITHHELD}
    log.publish("trunk", ["carrier-test"])
    assert said_of(stream, trunk="carrier-test") == {"trunk": "carrier-test"}
    log.publish("trunk", [])
    assert said_of(stream, trunk="carrier-test") == {"trunk": WITHHELD}


def test_people_are_known_by_pseudonyms(stream: io.StringIO) -> None:
    """Equal for equal numbers, with its kind, and those of the vault once it is open."""
    first = said_of(stream, caller="+46701234567", remote=ipaddress.ip_address("192.0.2.7"))
    again = said_of(stream, number="+46701234567")
    assert first["caller"] == again["number"]
    assert first["caller"].startswith("number:")
    assert first["remote"].startswith("address:")
    log.use_pseudonyms(lambda kind, value: pseudonym(b"k" * 32, kind, value))
    vaults = said_of(stream, caller="+46701234567")["caller"]
    assert vaults == f"number:{pseudonym(b'k' * 32, 'number', '+46701234567')}"
    assert vaults != first["caller"]
    assert said_of(stream, caller=Pseudonym("ab12"))["caller"] == "number:ab12"


def test_pseudonyms_depend_on_key_kind_and_value() -> None:
    """A keyed hash: without the key, no list of numbers can be tried against the log."""
    made = {
        pseudonym(key, kind, value)
        for key in (b"a" * 32, b"b" * 32)
        for kind in ("number", "name")
        for value in ("+46701234567", "+46701234568")
    }
    assert len(made) == 8
    assert {len(each) for each in made} == {10}
    one = pseudonym(b"a" * 32, "number", "+46701234567")
    assert one == pseudonym(b"a" * 32, "number", "+46701234567")


def test_a_pseudonym_that_cannot_be_made_stops_nothing(stream: io.StringIO) -> None:
    """A vault that is closed must not end a call."""

    def broken(_kind: str, _value: str) -> str:
        raise RuntimeError

    log.use_pseudonyms(broken)
    assert said_of(stream, caller="+46701234567") == {"caller": WITHHELD}


def test_a_fault_is_told_by_type_and_place(stream: io.StringIO) -> None:
    """Enough to find it; its text, which may hold anything, is not said."""
    try:
        int("+46701234567x")
    except ValueError:
        structlog.get_logger().exception(PHRASE)
    found = line(stream)
    assert found["error"] == "ValueError"
    assert found["at"][-1].endswith("test_a_fault_is_told_by_type_and_place")
    assert "4670" not in stream.getvalue()


def test_faults_that_nobody_caught_come_by_the_same_way(stream: io.StringIO) -> None:
    """The main thread's, other threads', event loops' and warnings of libraries."""
    secret = "+46701234567"

    def fail() -> None:
        raise ValueError(secret)

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    with contextlib.suppress(ValueError):
        fail()
    sys.excepthook(ValueError, ValueError(secret), None)

    async def forget() -> None:
        asyncio.get_running_loop().call_soon(fail)
        await asyncio.sleep(0.01)

    asyncio.run(forget())
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        log.configure(LogSettings(format="json", level="debug"), stream)
        warnings.warn(f"{secret} is deprecated", stacklevel=1)
    said = stream.getvalue()
    assert said.count("uncaught fault") == 2
    assert said.count("\n") == 4
    assert secret not in said


def test_level_holds_for_us_and_for_libraries(stream: io.StringIO) -> None:
    """Below it nothing is said."""
    log.configure(LogSettings(format="json", level="error"), stream)
    structlog.get_logger().warning(PHRASE)
    logging.getLogger("somebody").warning("x")
    assert stream.getvalue() == ""
    structlog.get_logger().error(PHRASE)
    assert line(stream)["level"] == "error"


def test_stream_that_cannot_be_written_stops_nothing(stream: io.StringIO) -> None:
    """A full disk under the log must not end a call."""
    stream.close()
    structlog.get_logger().error(PHRASE)


def test_filter_is_in_place_without_any_set_up() -> None:
    """Importing the package is enough; nothing that is started can forget it."""
    processors = structlog.get_config()["processors"]
    assert processors[-1] is log._finish


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400, -(10**400)])
def test_odd_numbers_are_said_somehow(value: float, stream: io.StringIO) -> None:
    """No number makes logging fail."""
    assert isinstance(said_of(stream, count=value)["count"], str)
