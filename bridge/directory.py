"""The directory: numbers, PINs, conferences and trunks, looked up in memory.

`dialplan.store` reads it from the database, at the start and again after every change, whole: a
snapshot is replaced, never patched, so that a call sees one state of things. Looking somebody up
costs a dictionary access and needs no database, so a database that is locked, slow or gone keeps
nobody out.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

import structlog

from bridge.sip import messages as sip
from bridge.sip.errors import SettingsError
from bridge.sip.trunks import TrunkTable
from config import logging as log
from dialplan import numbers, store
from dialplan.call_flow import FlowTimes
from dialplan.errors import NumberError
from dialplan.events import PinFound, PinResult, PinRevoked, PinUnknown

if TYPE_CHECKING:
    from config.database import Database
    from config.settings import Settings
    from privacy.vault import Vault

__all__ = ["Directory"]

_log = structlog.get_logger("bridge.directory")


class Directory:
    """What can be dialled and entered at this moment.

    Args:
        database: the main database.
        vault: opens the trunks' secrets.
        settings: the settings in force.
    """

    def __init__(self, database: Database, vault: Vault, settings: Settings) -> None:
        self._database = database
        self._vault = vault
        self._settings = settings
        self._region = settings.entry.default_region or None
        self._now = store.Directory(numbers={}, conferences={}, pins={}, trunks={})
        # Outlives the snapshots: one may be read before the database was told of a code's use.
        self._codes_used: set[int] = set()
        entry = settings.entry
        self.flow_times = FlowTimes(
            settle_s=entry.greeting_delay_ms / 1000,
            refusals=entry.tries,
            unfinished_s=entry.between_digits_s,
            patience_s=entry.give_up_s,
        )

    def read(self) -> store.Directory:
        """Read everything; blocks on the database, so call it in a thread.

        Returns:
            What to hand to `replace` in the event loop.
        """
        with self._database.reading() as session:
            return store.load_directory(session, self._vault)

    def replace(self, snapshot: store.Directory) -> None:
        """Make a snapshot the present one; trunks' names are the configuration's, so logged."""
        self._now = snapshot
        log.publish("trunk", snapshot.trunks)

    # -- numbers and callers --------------------------------------------------------------------

    def dialled(self, users: tuple[str, ...]) -> store.NumberEntry | None:
        """Return which of our numbers was dialled, None where it is none of ours."""
        known = self._now.numbers
        number = numbers.first_known(users, known, self._region)
        return known[number] if number is not None else None

    def own_numbers(self) -> frozenset[str]:
        """Return our numbers, E.164 and extensions."""
        return frozenset(self._now.numbers)

    def normalise(self, user: str) -> numbers.TelephoneNumber | None:
        """Return a caller's number in its normal form, None where it is none."""
        try:
            return numbers.normalise(user, self._region)
        except NumberError:
            return None

    # -- PINs and conferences -------------------------------------------------------------------

    def find_pin(self, pin_hash: bytes) -> PinResult:
        """Look a PIN up by its keyed hash."""
        pin = self._now.pins.get(pin_hash)
        if pin is None:
            return PinUnknown()
        if not pin.live or pin.id in self._codes_used:
            return PinRevoked()
        return PinFound(conference=pin.conference, role=pin.role, name=pin.holder)

    def use_up(self, pin_hash: bytes) -> int | None:
        """Use a single-use code up in memory, at once: of two callers, one gets in.

        Returns:
            Its row, for the database to be told; None for a PIN that may be used again.
        """
        pin = self._now.pins.get(pin_hash)
        if pin is None or not pin.single_use:
            return None
        self._codes_used.add(pin.id)
        return pin.id

    def give_back(self, row: int) -> None:
        """Let a single-use code open again: its holder did not get in."""
        self._codes_used.discard(row)

    def conference(self, conference: int) -> store.ConferenceEntry | None:
        """Return a conference, None where there is none."""
        return self._now.conferences.get(conference)

    # -- trunks ---------------------------------------------------------------------------------

    def trunk(self, name: str | None) -> store.TrunkEntry | None:
        """Return a trunk, None where there is none of that name."""
        return self._now.trunks.get(name) if name is not None else None

    def overload_status(self, name: str | None) -> int:
        """Return the status that says "overloaded" to a trunk."""
        trunk = self.trunk(name)
        return trunk.refuse_status if trunk is not None else self._settings.sip.overload_status

    def trunk_table(self) -> TrunkTable:
        """Return the trunks as the SIP room takes them.

        `trunk add` refuses what clashes. Should two trunks clash all the same (a database edited by
        hand, or written by an earlier release), the later one admits nobody, and the log says so:
        the calls of all the others must not end for it. It keeps its place in the table, because an
        empty table would open the door to private networks.
        """
        trunks: list[sip.Trunk] = []
        for entry in self._now.trunks.values():
            try:
                trunk = _sip_trunk(entry)
                TrunkTable((*trunks, trunk))
            except (SettingsError, ValueError) as error:
                _log.error(
                    "trunk admits nobody, it clashes with another", trunk=entry.name, error=error
                )
                trunk = sip.Trunk(name=entry.name)
            trunks.append(trunk)
        return TrunkTable(trunks)

    def sizes(self) -> dict[str, int]:
        """Return how many there are of each."""
        now = self._now
        return {
            "numbers": len(now.numbers),
            "conferences": len(now.conferences),
            "trunks": len(now.trunks),
        }


def _sip_trunk(entry: store.TrunkEntry) -> sip.Trunk:
    digest = register = None
    if entry.digest is not None:
        realm, user, ha1 = entry.digest
        digest = sip.Digest(realm=realm, user=user, ha1=ha1)
    if entry.register is not None:
        server, user, password, expires_s, transport = entry.register
        register = sip.Register(
            server=server,
            user=user,
            password=password,
            expires_s=expires_s,
            transport="tcp" if transport == "tcp" else "udp",
        )
    return sip.Trunk(
        name=entry.name,
        addresses=tuple(ipaddress.IPv4Network(each) for each in entry.addresses),
        digest=digest,
        register=register,
        asserts_identity=entry.asserts_identity,
        limit=entry.call_limit,
        refuse_status=entry.refuse_status,
    )
