"""The ``subject`` table: one row per person (strictly: per number that called or was called)."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from config.database import Base, UtcDateTime

__all__ = ["Subject"]


class Subject(Base):
    """A person, known by a number: the only place where the number stands.

    The key that ``number_sealed`` is sealed under has the row's id and lies in the key store. Once
    it is destroyed the row stays, so that records still add up, and says when.
    """

    __tablename__ = "subject"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    number_hash: Mapped[bytes | None] = mapped_column(
        LargeBinary, unique=True, info={"personal": "operations"}
    )
    """HMAC-SHA256 of the number under the look-up key, 32 bytes; None once erased."""
    number_sealed: Mapped[bytes | None] = mapped_column(
        LargeBinary, info={"personal": "operations"}
    )
    """The number under the person's own key; None once erased."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    erased_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
