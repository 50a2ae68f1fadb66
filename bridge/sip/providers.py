"""Keep the trunks' registrations up: which there are, when the next attempt is due."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable

import structlog

from bridge.sip._registrations import Registrations
from bridge.sip.errors import PjError
from bridge.sip.messages import SipEvent
from bridge.sip.registration import Registration
from bridge.sip.trunks import TrunkTable

__all__ = ["Providers"]

log = structlog.get_logger(__name__)


class Providers:
    """Registrations of the trunks that have one.

    Args:
        registrations: PJSIP's side of it.
        contact: makes our Contact from address, transport and user.
        emit: takes each change.
    """

    def __init__(
        self,
        registrations: Registrations,
        contact: Callable[[str, str, str], str],
        emit: Callable[[SipEvent], None],
    ) -> None:
        self.address = ""
        self._registrations = registrations
        self._contact = contact
        self._emit = emit
        self._numbers = itertools.count(1)
        self._open: dict[int, Registration] = {}
        # Spread in time, not a secret.
        self._chance = random.Random().random  # noqa: S311

    def set_trunks(self, table: TrunkTable) -> None:
        """Open what is new, close what is gone, leave what is the same."""
        wanted = {
            (trunk.name, trunk.register): trunk.register
            for trunk in table.trunks
            if trunk.register is not None
        }
        for number, registration in list(self._open.items()):
            if wanted.pop((registration.trunk, registration.register), None) is None:
                self._close(number, registration)
        for (name, _), register in wanted.items():
            registration = Registration(name, register, self._chance)
            number = next(self._numbers)
            user = register.contact_user or register.user
            contact = self._contact(self.address, register.transport, user)
            try:
                self._registrations.open(number, register, contact)
            except PjError as fault:
                log.warning("sip registration impossible", trunk=name, status=fault.status)
                self._report(registration.impossible())
                continue
            self._open[number] = registration
        self.keep_house(time.monotonic())

    @property
    def waiting(self) -> bool:
        """Tell whether there are registrations whose last REGISTER may still be answered."""
        return bool(self._open)

    def outcome(self, number: int, status: int, expires_s: int | None) -> None:
        """Note what came of a REGISTER."""
        registration = self._open.get(number)
        if registration is not None:
            self._report(registration.outcome(status, expires_s, time.monotonic()))

    def keep_house(self, now: float) -> None:
        """Make the attempts that are due."""
        for number, registration in list(self._open.items()):
            if registration.is_due(now):
                self._report(registration.sent())
                if not self._registrations.send(number, register=True):
                    self._report(registration.outcome(0, None, now))

    def end_all(self) -> None:
        """Unregister everywhere; the answers are not waited for here."""
        for number, registration in list(self._open.items()):
            if registration.state == "registered":
                self._registrations.send(number, register=False)
            self._report(registration.ended())

    def close_all(self) -> None:
        """Destroy every registration."""
        for number in list(self._open):
            self._registrations.close(number)
        self._open.clear()

    def _close(self, number: int, registration: Registration) -> None:
        if registration.state == "registered":
            self._registrations.send(number, register=False)
        self._report(registration.ended())
        self._registrations.close(number)
        del self._open[number]

    def _report(self, change: SipEvent | None) -> None:
        if change is not None:
            self._emit(change)
