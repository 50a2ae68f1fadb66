"""Single-use codes that let somebody in, until the database knows of each.

The directory refuses a used code at once, from memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.unwritten import Unwritten
from dialplan import store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

__all__ = ["UsedCodes"]


class UsedCodes(Unwritten[int]):
    """Tells the database which single-use codes were used, by the ids of their rows."""

    what = "used codes"
    lost = "these codes open again"

    def put(self, session: Session, changes: Sequence[int]) -> None:
        """Write which codes were used."""
        for row in changes:
            store.use_guest_code(session, row)
