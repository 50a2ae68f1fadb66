"""Keys in INFO requests: ``application/dtmf-relay`` and ``application/dtmf`` (RFC 6086)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from bridge.sip.wire import Message

__all__ = ["InfoDigit", "read_digit"]

_KEYS = "0123456789*#ABCD"
_NAMES = {"10": "*", "11": "#", "12": "A", "13": "B", "14": "C", "15": "D"}  # RFC 4733's numbers
_SIGNAL = re.compile(r"^\s*signal\s*=\s*(\S+)\s*$", re.IGNORECASE | re.MULTILINE)
_DURATION = re.compile(r"^\s*duration\s*=\s*(\d{1,5})\s*$", re.IGNORECASE | re.MULTILINE)
_DEFAULT_MS = 250
_SHORTEST_MS, _LONGEST_MS = 40, 6000


@dataclass(frozen=True, slots=True)
class InfoDigit:
    """A key and how long it was held."""

    digit: str = field(repr=False)
    duration_ms: int


def read_digit(message: Message) -> InfoDigit | int:
    """Return the key in an INFO request, or the status to answer it with.

    Returns:
        200 for an INFO without a body (a keep-alive), 415 for a body that is no key's, 400 for one
        that should be and cannot be read.
    """
    kind = message.content_type
    if not message.body.strip():
        return 200
    text = message.body[:200].decode("latin-1")
    if kind == "application/dtmf-relay":
        found = _SIGNAL.search(text)
        key = found[1].upper() if found else ""
        held = _DURATION.search(text)
        duration = int(held[1]) if held else _DEFAULT_MS
    elif kind == "application/dtmf":
        key, duration = text.strip().upper(), _DEFAULT_MS
    else:
        return 415
    key = _NAMES.get(key, key)
    if len(key) != 1 or key not in _KEYS:
        return 400
    return InfoDigit(key, min(max(duration, _SHORTEST_MS), _LONGEST_MS))
