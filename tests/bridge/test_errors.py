"""What may end a command speaks to an administrator: every error of ours has words and a code."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

import pytest

import bridge
import cdr
import config
import dialplan
import privacy
from bridge.errors import BridgeError
from bridge.media.errors import MediaError, MediaProcessEnded
from bridge.sip.errors import LayoutMismatchError, LibraryError, PjError, PortTakenError, SipError
from bridge.sip.errors import SettingsError as SipSettingsError
from cdr.errors import CdrError
from config.administration import describe
from config.errors import ConfigError
from dialplan.errors import DialplanError
from privacy.errors import PrivacyError

BASES = (BridgeError, CdrError, ConfigError, DialplanError, MediaError, PrivacyError, SipError)

PROGRAMS = ("__main__", "softphone")
"""Modules that are programs of their own: they are started, not imported."""

CAUGHT_AT_HOME = {"MalformedRtcp"}
"""Raised for the peer's packets and caught where it is raised; never about a command."""


def exceptions() -> Iterator[type[Exception]]:
    """Yield every exception class that our packages define."""
    for package in (bridge, cdr, config, dialplan, privacy):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if found.name.endswith(PROGRAMS) or ".migrations" in found.name:
                continue
            module = importlib.import_module(found.name)
            for value in vars(module).values():
                ours = isinstance(value, type) and value.__module__ == found.name
                if ours and issubclass(value, Exception):
                    yield value


def test_every_exception_of_ours_has_a_base_that_speaks() -> None:
    """One that has none would end a command without a word: the log withholds its text."""
    found = list(exceptions())
    assert len(found) > 30
    mute = {each.__qualname__ for each in found if not issubclass(each, BASES)}
    assert mute - CAUGHT_AT_HOME == set()


@pytest.mark.parametrize("base", BASES)
def test_base_is_described(base: type[Exception]) -> None:
    """What it says, and the code that the command ends with."""
    described = describe(base("what was wrong"))
    assert described is not None
    assert described["message"] == "what was wrong"
    assert described["exit_code"] in {1, 2}


@pytest.mark.parametrize(
    "error",
    [
        LayoutMismatchError("a struct lies elsewhere"),
        LibraryError("there is no PJSIP"),
        MediaProcessEnded("gone", 1),
        PjError("pjsip_endpt_create", 70001, "no memory"),
        PortTakenError("UDP", "127.0.0.1", 5060, "Address already in use"),
        SipSettingsError("sip.bind_ip is wrong"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_may_leave_serve_is_described(error: Exception) -> None:
    """Their own constructors keep what the base promises."""
    described = describe(error)
    assert described is not None
    assert described["message"] == str(error)
    assert isinstance(described["hint"], str)
