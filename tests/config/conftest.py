"""What tests of the log stand on: a log of their own, and all as it was afterwards."""

from __future__ import annotations

import io
import logging
import sys
import threading
from collections.abc import Iterator

import pytest

from config import logging as log
from config._log_keys import published
from config.settings import LogSettings


@pytest.fixture(name="stream")
def log_to_a_stream() -> Iterator[io.StringIO]:
    """Log everything as JSON to a stream, which is handed to the test."""
    root = logging.getLogger()
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    state = {name: vars(log._State)[name] for name in ("format", "level", "stream", "pseudonym")}
    handlers, level, names = list(root.handlers), root.level, dict(published)
    stream = io.StringIO()
    log.configure(LogSettings(format="json", level="debug"), stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
    for name, value in state.items():
        setattr(log._State, name, value)
    published.clear()
    published.update(names)
