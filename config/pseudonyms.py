"""Pseudonyms: the names that logs, limits and records know people by.

A pseudonym is a keyed hash (HMAC-SHA256, cut short): equal for equal values, reversible for nobody,
and of no use to who lacks the key. It has a type of its own, so that the log can tell one from a
number that somebody passed by mistake.
"""

from __future__ import annotations

import hashlib
import hmac

__all__ = ["Pseudonym", "pseudonym"]

_DIGITS = 10
"""40 bits: among ten thousand people, one time in twenty thousand two share one."""


class Pseudonym(str):
    """A pseudonym, in hexadecimal."""

    __slots__ = ()


def pseudonym(key: bytes, kind: str, value: str) -> Pseudonym:
    """Return the pseudonym of a value.

    Args:
        key: Secret; 32 bytes.
        kind: ``number``, ``address``, ``call``, ...: equal values of two kinds differ.
        value: In its normal form.
    """
    return Pseudonym(
        hmac.new(key, f"{kind}:{value}".encode(errors="replace"), hashlib.sha256).hexdigest()[
            :_DIGITS
        ]
    )
