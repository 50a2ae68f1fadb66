"""Why there is no connection to the broker, in a word, for status, log and doctor alike."""

from __future__ import annotations

from typing import Final, Literal

__all__ = ["BAD_LOGIN", "Problem"]

Problem = Literal["unreachable", "tls", "login", "files", "no_answer", "refused", "lost"]

BAD_LOGIN: Final = frozenset({134, 135, 138, 140})
"""MQTT 5, 3.2.2.2: bad user name or password, not authorized, banned, bad authentication."""
