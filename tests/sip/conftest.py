"""Fixtures of the SIP room's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sip.desk import Desk


@pytest.fixture
def desk() -> Iterator[Desk]:
    """An endpoint that answers every call from loopback."""
    with Desk() as made:
        yield made


@pytest.fixture
def quick_desk() -> Iterator[Desk]:
    """An endpoint that answers every call, with the timers of RFC 3261 ten times as fast."""
    with Desk() as made, made.quick_timers():
        yield made
