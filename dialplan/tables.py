"""Tables of what is configured: accounts, numbers, trunks, conferences, PINs."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import JSON, ForeignKey, LargeBinary, String, false
from sqlalchemy.orm import Mapped, mapped_column, relationship

from config.database import Base, UtcDateTime

__all__ = ["Account", "Conference", "Number", "OutgoingCost", "Pin", "Trunk"]

_OWN_NUMBER = {"personal": None, "why": "a number of the bridge's own"}
_OWN_NAME = {"personal": None, "why": "a name from the bridge's own configuration"}


class Account(Base):
    """A customer: the controller of what is held about the callers of its conferences."""

    __tablename__ = "account"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True, info={"personal": "account"})
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Conference(Base):
    """A conference; a removed one keeps its row, because records name it."""

    __tablename__ = "conference"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey(Account.id), index=True)
    name: Mapped[str] = mapped_column(String(80), info={"personal": "account"})
    capacity: Mapped[int]
    start_rule: Mapped[str] = mapped_column(String(16))
    end_rule: Mapped[str] = mapped_column(String(16))
    grace_s: Mapped[int]
    max_minutes: Mapped[int | None]
    wait_minutes: Mapped[int]
    opens_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    closes_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    time_zone: Mapped[str] = mapped_column(String(64))
    """IANA name; the zone that times are spoken in."""
    host_early_minutes: Mapped[int]
    guest_early_minutes: Mapped[int]
    chimes: Mapped[bool]
    pinless: Mapped[bool]
    """Whether a number bound to it lets asserted callers in as guests without a PIN."""
    names: Mapped[str] = mapped_column(String(16), server_default="none")
    """Whether who comes is asked for a spoken name: "none", "ask" or "ask_until_given"."""
    waiting_room: Mapped[bool] = mapped_column(server_default=false())
    """Whether every guest needs a host's word to come in."""
    host_places: Mapped[int] = mapped_column(server_default="0")
    """Places that are kept for hosts as long as no host is there."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    removed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    account: Mapped[Account] = relationship()
    pins: Mapped[list[Pin]] = relationship(back_populates="conference", order_by="Pin.id")


class Pin(Base):
    """A PIN, or a code for a single use; a revoked one keeps its hash, so that it never returns."""

    __tablename__ = "pin"

    id: Mapped[int] = mapped_column(primary_key=True)
    conference_id: Mapped[int] = mapped_column(ForeignKey(Conference.id), index=True)
    role: Mapped[str] = mapped_column(String(8))
    pin_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True, info={"personal": "account"})
    """HMAC-SHA256 under the vault's PIN key, 32 bytes."""
    pin_sealed: Mapped[bytes | None] = mapped_column(LargeBinary, info={"personal": "account"})
    """For those who may see it again; None once revoked or used."""
    length: Mapped[int]
    """Digits, the check digit included."""
    holder_sealed: Mapped[bytes | None] = mapped_column(LargeBinary, info={"personal": "account"})
    """Whom a single-use code was made out to."""
    single_use: Mapped[bool]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    conference: Mapped[Conference] = relationship(back_populates="pins")


class Number(Base):
    """A number that can be dialled: E.164 with ``+``, or a bare extension."""

    __tablename__ = "number"

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(String(32), unique=True, info=_OWN_NUMBER)
    kind: Mapped[str] = mapped_column(String(16))
    country: Mapped[str] = mapped_column(String(2))
    """ISO 3166-1 alpha-2; empty for an extension."""
    language: Mapped[str] = mapped_column(String(8))
    greeting: Mapped[str | None] = mapped_column(String(40))
    conference_id: Mapped[int | None] = mapped_column(ForeignKey(Conference.id), index=True)
    """The conference it is bound to, for entry without a PIN where that allows it."""
    call_limit: Mapped[int | None]
    refuses_anonymous: Mapped[bool]
    """Whether callers who withhold their number are refused (403)."""
    enabled: Mapped[bool]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Trunk(Base):
    """A carrier or a switch whose calls are taken; its secrets are sealed."""

    __tablename__ = "trunk"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(32), unique=True, info=_OWN_NAME)
    addresses: Mapped[list[str]] = mapped_column(
        JSON, info={"personal": None, "why": "addresses of a carrier"}
    )
    """Networks in CIDR form whose calls belong to it."""
    digest_realm: Mapped[str | None] = mapped_column(String(80))
    digest_user: Mapped[str | None] = mapped_column(
        String(80), info={"personal": None, "why": "a carrier's user name"}
    )
    digest_ha1_sealed: Mapped[bytes | None] = mapped_column(
        LargeBinary, info={"personal": None, "why": "a carrier's password"}
    )
    """MD5 of user:realm:password, in hexadecimal, sealed."""
    register_server: Mapped[str | None] = mapped_column(String(255))
    register_user: Mapped[str | None] = mapped_column(
        String(80), info={"personal": None, "why": "the bridge's user name at a provider"}
    )
    register_password_sealed: Mapped[bytes | None] = mapped_column(
        LargeBinary, info={"personal": None, "why": "the bridge's password at a provider"}
    )
    register_expires_s: Mapped[int]
    register_transport: Mapped[str] = mapped_column(String(8))
    asserts_identity: Mapped[bool]
    media: Mapped[str] = mapped_column(String(8), server_default="own")
    """Which ports its calls' RTP has: "own", a pair a leg, or "shared" ones."""
    call_limit: Mapped[int | None]
    refuse_status: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class OutgoingCost(Base):
    """What a call that the bridge made has cost, for as long as a cap looks back: a day."""

    __tablename__ = "outgoing_cost"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    conference_id: Mapped[int]
    began_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    per_minute: Mapped[float]
    set_aside: Mapped[float]
    spent: Mapped[float | None]
    """None while it runs, and for good where a crash cut it: then what was set aside counts."""
