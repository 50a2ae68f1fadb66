"""PJSIP's client registrations (``pjsip_regc``, RFC 3261 section 10)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bridge.sip._agent import Agent
from bridge.sip.errors import PjError
from bridge.sip.messages import Register

__all__ = ["Registrations"]

_PASSWORD = 0  # PJSIP_CRED_DATA_PLAIN_PASSWD
_REFUSALS = 300
_NOT_SPECIFIED = 0xFFFFFFFF  # PJSIP_REGC_EXPIRATION_NOT_SPECIFIED


class Registrations:
    """Registrations of one agent, named by a number of the caller's choice.

    Args:
        agent: the endpoint.
        on_outcome: called with number, status (0 where nothing was sent or came back) and the
            seconds until expiry.
    """

    def __init__(self, agent: Agent, on_outcome: Callable[[int, int, int | None], None]) -> None:
        self._agent = agent
        self._library = agent.library
        self._on_outcome = on_outcome
        self._open: dict[int, Any] = {}
        self._callback: Any = None

    def start(self) -> None:
        """Make the callback."""
        self._callback = self._agent.callback("void(pjsip_regc_cbparam *)", self._finished, None)

    def open(self, number: int, register: Register, contact: str) -> None:
        """Prepare a registration.

        Args:
            number: chosen by the caller, not in use.
            register: where and as whom.
            contact: our Contact, with brackets.

        Raises:
            PjError: PJSIP refuses an address, which then is malformed.
        """
        ffi, lib, check = self._library.ffi, self._library.lib, self._library.check
        token = ffi.cast("void *", number)
        out = ffi.new("void **")
        check(
            "pjsip_regc_create",
            lib.pjsip_regc_create(self._agent.endpoint, token, self._callback, out),
        )
        kept: list[Any] = []

        def string(text: str) -> Any:
            pointer, buffer = self._library.string(text)
            kept.extend((pointer, buffer))
            return pointer

        suffix = ";transport=tcp" if register.transport == "tcp" else ""
        who = string(f"<sip:{register.user}@{register.server}>")
        contacts = ffi.new("pj_str_t[1]")
        contacts[0] = string(contact)[0]
        credential = ffi.new("pjsip_cred_info *")
        credential.realm = string(register.realm)[0]
        credential.scheme = string("digest")[0]
        credential.username = string(register.user)[0]
        credential.data_type = _PASSWORD
        credential.data = string(register.password)[0]
        try:
            check(
                "pjsip_regc_init",
                lib.pjsip_regc_init(
                    out[0],
                    string(f"sip:{register.server}{suffix}"),
                    who,
                    who,
                    1,
                    contacts,
                    register.expires_s,
                ),
            )
            check(
                "pjsip_regc_set_credentials",
                lib.pjsip_regc_set_credentials(out[0], 1, credential),
            )
        except PjError:
            lib.pjsip_regc_destroy(out[0])
            raise
        self._open[number] = out[0]

    def send(self, number: int, *, register: bool) -> bool:
        """Send REGISTER, or one with expiry 0; False where PJSIP cannot send it."""
        ffi, lib = self._library.ffi, self._library.lib
        regc = self._open.get(number)
        if regc is None:
            return False
        tdata = ffi.new("pjsip_tx_data **")
        if register:
            status = lib.pjsip_regc_register(regc, 1, tdata)  # 1: refresh by itself
        else:
            status = lib.pjsip_regc_unregister(regc, tdata)
        return not status and not lib.pjsip_regc_send(regc, tdata[0])

    def close(self, number: int) -> None:
        """Destroy a registration; nothing is sent."""
        regc = self._open.pop(number, None)
        if regc is not None:
            self._library.lib.pjsip_regc_destroy(regc)

    def _finished(self, parameter: Any) -> None:
        number = self._library.address(parameter.token)
        if number not in self._open:
            return
        # A challenge that cannot be answered, or not again, fails with the 401 or 407 beside it.
        status = 0 if parameter.status and parameter.code < _REFUSALS else parameter.code
        expires = parameter.expiration
        self._on_outcome(number, status, None if expires == _NOT_SPECIFIED else int(expires))
