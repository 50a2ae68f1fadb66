"""Operations on PINs: issuing, resetting, revoking, and codes for a single use."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from config.database import utc_now
from dialplan import pins
from dialplan._values import Context, choice, find_conference, limit, text
from dialplan.errors import RefusedError
from dialplan.tables import Conference, Pin
from privacy.vault import Vault

__all__ = ["PIN_OPERATIONS", "guess_chance", "issue", "revoke", "shown"]


def pin_reset(
    context: Context, conference: int | str, role: str = "both", pin_length: object = None
) -> dict[str, Any]:
    """Revoke the PINs of a role and issue a new one; single-use codes stay."""
    roles = (
        ("host", "guest") if choice("role", role, ("host", "guest", "both")) == "both" else (role,)
    )
    with context.database.session() as session:
        row = find_conference(session, conference)
        for pin in row.pins:
            if pin.role in roles and not pin.single_use:
                revoke(pin)
        session.flush()
        issued = {each: issue(session, context, row, each, pin_length)[1] for each in roles}
        return {
            "id": row.id,
            "name": row.name,
            "pins": issued,
            **guess_chance(session, issued),
        }


def pin_invite(
    context: Context, conference: int | str, holder: str, pin_length: object = None
) -> dict[str, Any]:
    """Issue a code that lets one named guest in, once."""
    holder = text("name of the guest", holder, 80)
    with context.database.session() as session:
        row = find_conference(session, conference)
        pin, code = issue(session, context, row, "guest", pin_length)
        pin.single_use = True
        pin.holder_sealed = context.vault.seal_secret(holder, f"holder:{pin.pin_hash.hex()}")
        return {
            "id": row.id,
            "name": row.name,
            "pin": pin.id,
            "holder": holder,
            "code": code,
            **guess_chance(session, {"guest": code}),
        }


def pin_revoke(context: Context, pin: int) -> dict[str, Any]:
    """Revoke one PIN or code, by its id."""
    with context.database.session() as session:
        row = session.get(Pin, pin)
        if row is None or row.revoked_at is not None:
            raise RefusedError(
                f"there is no PIN with the id {pin}",
                "`dialin conference show CONFERENCE` lists a conference's PINs with their ids.",
            )
        revoke(row)
        return {"revoked": row.id, "conference": row.conference_id}


class _Taken:
    """The PINs that are out, asked for by hash; revoked ones never come again either."""

    def __init__(self, session: Session, vault: Vault) -> None:
        self._session = session
        self._vault = vault

    def __contains__(self, pin: object) -> bool:
        wanted = select(Pin.id).where(Pin.pin_hash == self._vault.pin_hash(str(pin)))
        return self._session.scalar(wanted) is not None


def issue(
    session: Session, context: Context, conference: Conference, role: str, length: object
) -> tuple[Pin, str]:
    """Issue a PIN of that role; the row, and the PIN in clear.

    Args:
        session: A session that may write.
        context: Vault and settings.
        conference: What it opens.
        role: ``host`` or ``guest``.
        length: Its digits; as many as the policy wants where not given.

    Raises:
        PinError: No PIN has this length, or none of it is left.
    """
    wanted = limit("PIN length", length, min(pins.LENGTHS), max(pins.LENGTHS))
    digits = wanted or context.settings.entry.pin_length or pins.length_for(_live(session) + 1)
    taken = _Taken(session, context.vault)
    code = pins.generate(random.SystemRandom(), digits, taken)
    hashed = context.vault.pin_hash(code)
    row = Pin(
        conference=conference,
        role=role,
        pin_hash=hashed,
        pin_sealed=context.vault.seal_secret(code, f"pin:{hashed.hex()}"),
        length=digits,
        single_use=False,
        created_at=utc_now(),
    )
    session.add(row)
    session.flush()
    return row, code


def _live(session: Session) -> int:
    return (
        session.scalar(
            select(func.count())
            .select_from(Pin)
            .where(Pin.revoked_at.is_(None), Pin.used_at.is_(None))
        )
        or 0
    )


def revoke(pin: Pin) -> None:
    """Revoke a PIN; its hash stays, so that it is never issued again."""
    if pin.revoked_at is None:
        pin.revoked_at = utc_now()
        pin.pin_sealed = None
        pin.holder_sealed = None


def guess_chance(session: Session, issued: Mapping[str, str]) -> dict[str, Any]:
    """State the chance of guessing where a PIN that was issued is shorter than the policy wants."""
    if min(map(len, issued.values())) >= pins.length_for(_live(session)):
        return {}
    return {"guess_chance": _chance_of_any(session)}


def pin_chance(context: Context) -> dict[str, Any]:
    """State the chance that guessing finds any room, over all PINs and codes that are out.

    Returns:
        ``chance`` of 10,000 check-valid guesses, 0 to 1; ``pins``, how many are out; ``most``, the
        chance that the policy allows to the PINs of one length; ``guessable``, the names of the
        conferences with PINs of a length whose chance is larger.
    """
    with context.database.reading() as session:
        short = [length for length, count in _by_length(session) if _is_too_short(length, count)]
        wanted = (
            select(Conference.name)
            .join(Pin)
            .where(Pin.length.in_(short), Pin.revoked_at.is_(None), Pin.used_at.is_(None))
            .distinct()
            .order_by(Conference.name)
        )
        return {
            "chance": _chance_of_any(session),
            "pins": _live(session),
            "most": pins.MAX_CHANCE,
            "guessable": list(session.scalars(wanted)),
        }


def _is_too_short(length: int, count: int) -> bool:
    """Tell whether that many PINs of a length are easier to guess than the policy would have it.

    The chances of several lengths add up, to 3.6 % at 100,000 PINs: a bridge that has grown holds
    some of each, all issued by the policy. So each length is measured by its own share.
    """
    return length in pins.SHORT_LENGTHS or pins.length_for(count) > length


def _by_length(session: Session) -> list[tuple[int, int]]:
    """Count the PINs and codes that are out, by their length."""
    counted = (
        select(Pin.length, func.count())
        .where(Pin.revoked_at.is_(None), Pin.used_at.is_(None))
        .group_by(Pin.length)
    )
    return [(length, count) for length, count in session.execute(counted)]


def _chance_of_any(session: Session) -> float:
    """Add up, over all lengths, what one guess hits; short PINs count for more."""
    hit = sum(pins.chance(length, count, guesses=1) for length, count in _by_length(session))
    return float(1.0 - (1.0 - min(1.0, hit)) ** pins.GUESSES)


def shown(vault: Vault, row: Pin, *, reveal: bool) -> dict[str, Any]:
    """Return what is shown of a PIN, itself in clear only where asked for."""
    state = "revoked" if row.revoked_at else "used" if row.used_at else "live"
    result: dict[str, Any] = {
        "id": row.id,
        "role": row.role,
        "digits": row.length,
        "single_use": row.single_use,
        "state": state,
        "created_at": row.created_at.isoformat(),
    }
    about = row.pin_hash.hex()
    if row.single_use:
        sealed = row.holder_sealed
        result["holder"] = None if sealed is None else vault.open_secret(sealed, f"holder:{about}")
    if reveal:
        sealed = row.pin_sealed
        result["pin"] = None if sealed is None else vault.open_secret(sealed, f"pin:{about}")
    return result


PIN_OPERATIONS: Final[dict[str, Callable[..., Any]]] = {
    "pin.reset": pin_reset,
    "pin.invite": pin_invite,
    "pin.revoke": pin_revoke,
    "pin.chance": pin_chance,
}
