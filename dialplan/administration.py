"""Operations on what is configured: numbers, conferences, PINs and trunks.

Each takes the context and plain arguments, works in one transaction, and returns what JSON can
hold. Wrong values are refused with what is allowed, and then nothing is changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from dialplan._conferences import CONFERENCE_OPERATIONS, add_conference
from dialplan._numbers import NUMBER_OPERATIONS, add_number
from dialplan._pins import PIN_OPERATIONS
from dialplan._trunks import TRUNK_OPERATIONS

__all__ = ["CHANGING", "OPERATIONS", "add_conference", "add_number"]

OPERATIONS: Final[dict[str, Callable[..., Any]]] = {
    **NUMBER_OPERATIONS,
    **CONFERENCE_OPERATIONS,
    **PIN_OPERATIONS,
    **TRUNK_OPERATIONS,
}
"""By the name that administrators' commands ask for."""

CHANGING: Final = frozenset(
    name for name in OPERATIONS if not name.endswith((".list", ".show", ".chance"))
)
"""Those after which a running bridge reads its directory anew."""
