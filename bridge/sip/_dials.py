"""PJSIP's side of calls that we make: a dialog, an invite session, and the first INVITE.

What comes afterwards is the same as for calls that come in (``_invites``).
"""

from __future__ import annotations

from typing import Any

from bridge.sip._agent import Agent, Headers
from bridge.sip.errors import PjError
from bridge.sip.messages import Dial

__all__ = ["Dials"]

_SUPPORT_TIMER = 2
_SUPPORT_UPDATE = 4
_PASSWORD = 0  # PJSIP_CRED_DATA_PLAIN_PASSWD


class Dials:
    """Calls that one agent makes."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._library = agent.library

    def create(
        self, dial: Dial, address: str, contact: str, description: str, timers: tuple[int, int]
    ) -> tuple[int, int, str]:
        """Make dialog and invite session of a call; nothing is sent.

        Args:
            dial: whom to call, and as whom.
            address: IPv4 address of ours.
            contact: our Contact, with brackets.
            description: our offer.
            timers: smallest and usual session interval, seconds.

        Returns:
            Keys of the invite session and of its dialog, and the Call-ID.

        Raises:
            PjError: PJSIP refuses an address or the description, which then is malformed.
        """
        ffi, lib, check = self._library.ffi, self._library.lib, self._library.check
        kept: list[Any] = []

        def string(text: str) -> Any:
            pointer, buffer = self._library.string(text)
            kept.extend((pointer, buffer))
            return pointer

        self._agent.stir()
        host = dial.proxy.rpartition(":")[0] or dial.proxy
        suffix = ";transport=tcp" if dial.transport == "tcp" else ""
        out = ffi.new("pjsip_dialog **")
        check(
            "pjsip_dlg_create_uac",
            lib.pjsip_dlg_create_uac(
                lib.pjsip_ua_instance(),
                string(f"<sip:{dial.caller}@{address}>"),
                string(contact),
                string(f"<sip:{dial.number}@{host}>"),
                string(f"sip:{dial.number}@{dial.proxy}{suffix}"),
                out,
            ),
        )
        dialog = out[0]
        session = ffi.new("pjsip_inv_session **")
        try:
            if dial.credentials is not None:
                credential = ffi.new("pjsip_cred_info *")
                credential.realm = string("*")[0]
                credential.scheme = string("digest")[0]
                credential.username = string(dial.credentials[0])[0]
                credential.data_type = _PASSWORD
                credential.data = string(dial.credentials[1])[0]
                auth = ffi.addressof(dialog, "auth_sess")
                check(
                    "pjsip_auth_clt_set_credentials",
                    lib.pjsip_auth_clt_set_credentials(auth, 1, credential),
                )
            sdp = self._parse(dialog.pool, description)
            options = _SUPPORT_TIMER | _SUPPORT_UPDATE
            check("pjsip_inv_create_uac", lib.pjsip_inv_create_uac(dialog, sdp, options, session))
        except PjError:
            lib.pjsip_dlg_terminate(dialog)
            raise
        setting = ffi.new("pjsip_timer_setting *", {"min_se": timers[0], "sess_expires": timers[1]})
        check("pjsip_timer_init_session", lib.pjsip_timer_init_session(session[0], setting))
        if session[0].neg:
            lib.pjmedia_sdp_neg_set_answer_multiple_codecs(session[0].neg, 1)
        call_id = self._library.text(dialog.call_id.id)
        return self._library.address(session[0]), self._library.address(dialog), call_id

    def send(self, invite: int, headers: Headers) -> bool:
        """Send the INVITE; False where it cannot be sent, and the session is over.

        Once it is sent, what becomes of it comes by the callbacks, perhaps from inside.
        """
        ffi, lib = self._library.ffi, self._library.lib
        session = ffi.cast("pjsip_inv_session *", invite)
        tdata = ffi.new("pjsip_tx_data **")
        if lib.pjsip_inv_invite(session, tdata):
            lib.pjsip_inv_terminate(session, 500, 1)
            return False
        self._agent.add_headers(tdata[0], headers)
        return not lib.pjsip_inv_send_msg(session, tdata[0])

    def _parse(self, pool: Any, text: str) -> Any:
        ffi, lib, check = self._library.ffi, self._library.lib, self._library.check
        raw = text.encode("ascii")
        buffer = lib.pj_pool_alloc(pool, len(raw) + 1)
        ffi.memmove(buffer, raw + b"\0", len(raw) + 1)
        out = ffi.new("void **")
        check("pjmedia_sdp_parse", lib.pjmedia_sdp_parse(pool, buffer, len(raw), out))
        return out[0]
