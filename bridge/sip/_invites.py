"""PJSIP's invite sessions: creation, answers, ends, and the callbacks they make.

PJSIP keeps the states of transaction, dialog, offer and answer (RFC 3261, 3262, 3264, 3311, 4028);
this layer only carries text and numbers across. Session descriptions cross as text in both
directions, so that no struct of pjmedia has to be declared.

This wheel of PJSIP is compiled with assertions, and a failed one ends the process. Each operation
therefore asks for the state first that PJSIP would assert.
"""

from __future__ import annotations

import enum
from typing import Any, Protocol

import structlog

from bridge.sip._agent import Agent, Headers, Received
from bridge.sip.errors import PjError, SipError

__all__ = ["InviteHandler", "InviteState", "Invites", "RefusedByPjsipError"]

_SDP_SIZE = 8192
_POOL_SIZE = 4000
_STATUS_NEGOTIATION_DONE = 4  # PJMEDIA_SDP_NEG_STATE_DONE
_STATUS_LOCAL_OFFER = 1  # PJMEDIA_SDP_NEG_STATE_LOCAL_OFFER
_SUPPORT_100REL = 1
_SUPPORT_TIMER = 2
_SUPPORT_UPDATE = 4
_ROLE_UAC = 0  # PJSIP_ROLE_UAC
_TRYING = 2  # PJSIP_TSX_STATE_TRYING
_EVENT_RX_MSG = 3  # PJSIP_EVENT_RX_MSG
_OWN_METHODS = ("INVITE", "ACK", "BYE", "CANCEL", "UPDATE", "PRACK")
_SELECT_TRANSPORT = 1  # PJSIP_TPSELECTOR_TRANSPORT

log = structlog.get_logger(__name__)


class InviteState(enum.IntEnum):
    """States of ``pjsip_inv_state``."""

    NULL = 0
    CALLING = 1
    INCOMING = 2
    EARLY = 3
    CONNECTING = 4
    CONFIRMED = 5
    DISCONNECTED = 6


class RefusedByPjsipError(SipError):
    """PJSIP has answered the INVITE itself, with a final status."""


class InviteHandler(Protocol):
    """What invite sessions call; ``invite`` is the session's key, valid until DISCONNECTED."""

    def invite_state(self, invite: int, state: InviteState, cause: int) -> None:
        """Take note of a new state."""

    def invite_offer(self, invite: int, offer: str) -> str | None:
        """Return the answer to a later offer, None to decline it."""

    def invite_create_offer(self, invite: int) -> str | None:
        """Return an offer for a re-INVITE without one."""

    def invite_media(self, invite: int, local: str, remote: str) -> None:
        """Take note of a finished negotiation."""

    def invite_request(self, invite: int, dialog: int, rx: Received) -> None:
        """Answer a request inside the dialog that is none of the invite usage's own."""

    def bye_started(self, invite: int, cause: int) -> None:
        """Take note of a BYE going out, ours or one that PJSIP sends of itself."""

    def reoffer_result(self, invite: int, status: int) -> None:
        """Take note of the final status of a re-INVITE of ours; its answer has come before."""

    def probe_result(self, invite: int, status: int, *, received: bool) -> None:
        """Take note of the final status of an in-dialog OPTIONS of ours.

        Without an answer it is PJSIP's own word: 408 for no reply, 503 for no way to send.
        """


class Invites:
    """Invite sessions of one agent."""

    def __init__(self, agent: Agent, handler: InviteHandler) -> None:
        self._agent = agent
        self._library = agent.library
        self._handler = handler

    def start(self) -> None:
        """Register PJSIP's invite usage and session timers with our callbacks."""
        ffi, lib, check = self._library.ffi, self._library.lib, self._library.check
        agent = self._agent
        session, event = "pjsip_inv_session *", "pjsip_event *"
        callbacks = agent.keep(ffi.new("pjsip_inv_callback *"))
        callbacks.on_state_changed = agent.callback(f"void({session}, {event})", self._state, None)
        callbacks.on_new_session = agent.callback(
            f"void({session}, {event})", self._new_session, None
        )
        callbacks.on_tsx_state_changed = agent.callback(
            f"void({session}, pjsip_transaction *, {event})", self._transaction, None
        )
        callbacks.on_rx_offer = agent.callback(f"void({session}, const void *)", self._offer, None)
        callbacks.on_create_offer = agent.callback(
            f"void({session}, void **)", self._create_offer, None
        )
        callbacks.on_media_update = agent.callback(
            f"void({session}, pj_status_t)", self._media, None
        )
        check("pjsip_inv_usage_init", lib.pjsip_inv_usage_init(agent.endpoint, callbacks))
        check("pjsip_timer_init_module", lib.pjsip_timer_init_module(agent.endpoint))

    # -- operations ----------------------------------------------------------------------------

    def create(
        self, rx: Received, contact: str, *, session_s: int, min_session_s: int
    ) -> tuple[int, int]:
        """Make dialog and invite session of an INVITE and send 100.

        Returns:
            Keys of the invite session and of its dialog.

        Raises:
            RefusedByPjsipError: an extension is required that we lack, or the request makes no
                dialog; the answer has been sent.
        """
        ffi, lib = self._library.ffi, self._library.lib
        agent = self._agent
        options = ffi.new("unsigned *", _SUPPORT_100REL | _SUPPORT_TIMER | _SUPPORT_UPDATE)
        tdata = ffi.new("pjsip_tx_data **")
        status = lib.pjsip_inv_verify_request(
            rx.pointer, options, ffi.NULL, ffi.NULL, agent.endpoint, tdata
        )
        if status:
            if not tdata[0]:
                agent.reply(rx, 400)
            elif lib.pjsip_endpt_send_response2(
                agent.endpoint, rx.pointer, tdata[0], ffi.NULL, ffi.NULL
            ):
                lib.pjsip_tx_data_dec_ref(tdata[0])
            raise RefusedByPjsipError(f"pjsip_inv_verify_request says {status}")
        agent.stir()
        text, kept = self._library.string(contact)
        out = ffi.new("pjsip_dialog **")
        status = lib.pjsip_dlg_create_uas_and_inc_lock(
            lib.pjsip_ua_instance(), rx.pointer, text, out
        )
        del kept
        if status:
            agent.reply(rx, 400)
            raise RefusedByPjsipError(f"pjsip_dlg_create_uas_and_inc_lock says {status}")
        dialog = out[0]
        try:
            return self._create_in(dialog, rx, options[0], (min_session_s, session_s))
        finally:
            lib.pjsip_dlg_dec_lock(dialog)

    def _create_in(
        self, dialog: Any, rx: Received, options: int, timers: tuple[int, int]
    ) -> tuple[int, int]:
        ffi, lib, check = self._library.ffi, self._library.lib, self._library.check
        out = ffi.new("pjsip_inv_session **")
        status = lib.pjsip_inv_create_uas(dialog, rx.pointer, ffi.NULL, options, out)
        if status:
            lib.pjsip_dlg_respond(dialog, rx.pointer, 500, ffi.NULL, ffi.NULL, ffi.NULL)
            raise RefusedByPjsipError(f"pjsip_inv_create_uas says {status}")
        invite = out[0]
        if invite.dlg != dialog:
            raise SipError("pjsip_inv_session does not lie as declared; see layout.py")
        setting = ffi.new("pjsip_timer_setting *", {"min_se": timers[0], "sess_expires": timers[1]})
        check("pjsip_timer_init_session", lib.pjsip_timer_init_session(invite, setting))
        if invite.neg:
            # Our answers hold one codec already; this keeps comfort noise in them.
            lib.pjmedia_sdp_neg_set_answer_multiple_codecs(invite.neg, 1)
        key = self._library.address(invite), self._library.address(dialog)
        tdata = ffi.new("pjsip_tx_data **")
        status = lib.pjsip_inv_initial_answer(invite, rx.pointer, 100, ffi.NULL, ffi.NULL, tdata)
        if status:
            # Session timer too small (422) and the like: PJSIP made the answer, we send it.
            if tdata[0]:
                lib.pjsip_inv_send_msg(invite, tdata[0])
            else:
                lib.pjsip_inv_terminate(invite, 500, 0)
            raise RefusedByPjsipError(f"pjsip_inv_initial_answer says {status}")
        check("100", lib.pjsip_inv_send_msg(invite, tdata[0]))
        return key

    def provisional(self, invite: int, status: int) -> None:
        """Send a provisional response without a description."""
        ffi, lib = self._library.ffi, self._library.lib
        session = self._session(invite)
        if session.state not in (InviteState.INCOMING, InviteState.EARLY) or not _pending(session):
            return
        tdata = ffi.new("pjsip_tx_data **")
        self._library.check(
            "pjsip_inv_answer", lib.pjsip_inv_answer(session, status, ffi.NULL, ffi.NULL, tdata)
        )
        lib.pjsip_inv_send_msg(session, tdata[0])

    def accept(self, invite: int, description: str) -> bool:
        """Send 200 with our answer, or with our offer where the INVITE had none.

        Returns:
            False when the call is no longer waiting for it.

        Raises:
            PjError: PJSIP's negotiator refuses the description.
        """
        ffi, lib, check = self._library.ffi, self._library.lib, self._library.check
        session = self._session(invite)
        if session.state not in (InviteState.INCOMING, InviteState.EARLY) or not _pending(session):
            return False
        fresh = not session.neg
        sdp = self._parse(session.pool_prov, description)
        tdata = ffi.new("pjsip_tx_data **")
        check("pjsip_inv_answer", lib.pjsip_inv_answer(session, 200, ffi.NULL, sdp, tdata))
        if fresh:
            lib.pjmedia_sdp_neg_set_answer_multiple_codecs(session.neg, 1)
        check("pjsip_inv_send_msg", lib.pjsip_inv_send_msg(session, tdata[0]))
        return True

    def end(
        self, invite: int, status: int, phrase: str | None = None, headers: Headers = ()
    ) -> None:
        """Send a final response before the answer, BYE after it."""
        ffi, lib = self._library.ffi, self._library.lib
        session = self._session(invite)
        if session.role == _ROLE_UAC:
            early = session.state < InviteState.CONNECTING
            possible = session.invite_tsx or not early
        else:
            early = session.state in (InviteState.NULL, InviteState.INCOMING, InviteState.EARLY)
            possible = _pending(session) or not early
        if session.state == InviteState.DISCONNECTED or not possible:
            return
        if phrase and early:
            text, kept = self._library.string(phrase)
        else:
            text, kept = ffi.NULL, None
        tdata = ffi.new("pjsip_tx_data **")
        outcome = lib.pjsip_inv_end_session(session, status, text, tdata)
        del kept
        if outcome or not tdata[0]:
            return
        self._agent.add_headers(tdata[0], headers)
        # PJSIP waits for ever for what becomes of a BYE that it could not even begin to send.
        lib.pjsip_inv_add_ref(session)
        outcome = lib.pjsip_inv_send_msg(session, tdata[0])
        if outcome and not early:
            log.warning("sip bye not sent", status=outcome)
            self.terminate(invite)
        lib.pjsip_inv_dec_ref(session)

    def end_stuck(self, invite: int) -> bool:
        """Send BYE where PJSIP 2.15.1 waits for an ACK that it has had; tell whether it did.

        An ACK with the INVITE's own branch and without the answer to our offer makes it want to end
        the call, and its BYE wait for the ACK for ever.
        """
        ffi, lib = self._library.ffi, self._library.lib
        session = self._session(invite)
        if session.state != InviteState.CONNECTING or session.invite_tsx:
            return False
        tdata = ffi.new("pjsip_tx_data **")
        if not lib.pjsip_dlg_create_request(session.dlg, lib.pjsip_get_bye_method(), -1, tdata):
            lib.pjsip_dlg_send_request(session.dlg, tdata[0], -1, ffi.NULL)
        return True

    def terminate(self, invite: int) -> None:
        """End a session without a word to the other side."""
        session = self._session(invite)
        if session.state != InviteState.DISCONNECTED:
            self._library.lib.pjsip_inv_terminate(session, 500, 1)

    def state(self, invite: int) -> InviteState:
        """Return the state of a living session."""
        return InviteState(self._session(invite).state)

    def probe(self, invite: int, headers: Headers = ()) -> bool:
        """Send OPTIONS within the dialog; False when there is none to send it in."""
        ffi, lib = self._library.ffi, self._library.lib
        session = self._session(invite)
        if session.state != InviteState.CONFIRMED:
            return False
        tdata = ffi.new("pjsip_tx_data **")
        if lib.pjsip_dlg_create_request(session.dlg, lib.pjsip_get_options_method(), -1, tdata):
            return False
        self._agent.add_headers(tdata[0], headers)
        return not lib.pjsip_dlg_send_request(session.dlg, tdata[0], -1, ffi.NULL)

    def reoffer(self, invite: int, description: str) -> bool:
        """Send a re-INVITE with an offer of ours.

        Returns:
            False while it cannot be sent: before the ACK, or while another offer is under way.

        Raises:
            PjError: PJSIP refuses the description.
        """
        ffi, lib, check = self._library.ffi, self._library.lib, self._library.check
        session = self._session(invite)
        if session.state != InviteState.CONFIRMED or session.invite_tsx or not session.neg:
            return False
        if lib.pjmedia_sdp_neg_get_state(session.neg) != _STATUS_NEGOTIATION_DONE:
            return False
        sdp = self._parse(session.pool_prov, description)
        tdata = ffi.new("pjsip_tx_data **")
        try:
            check("pjsip_inv_reinvite", lib.pjsip_inv_reinvite(session, ffi.NULL, sdp, tdata))
            check("pjsip_inv_send_msg", lib.pjsip_inv_send_msg(session, tdata[0]))
        except PjError:
            self._take_back_offer(session)
            raise
        return True

    def cancel_reoffer(self, invite: int) -> None:
        """Send CANCEL for a re-INVITE that was answered by nothing but provisional responses."""
        ffi, lib = self._library.ffi, self._library.lib
        session = self._session(invite)
        if session.state != InviteState.CONFIRMED or not session.invite_tsx:
            return
        tdata = ffi.new("pjsip_tx_data **")
        if not lib.pjsip_inv_cancel_reinvite(session, tdata) and tdata[0]:
            lib.pjsip_inv_send_msg(session, tdata[0])

    def _take_back_offer(self, session: Any) -> None:
        """Let later offers be made again where ours came to nothing."""
        lib = self._library.lib
        if session.neg and lib.pjmedia_sdp_neg_get_state(session.neg) == _STATUS_LOCAL_OFFER:
            lib.pjmedia_sdp_neg_cancel_offer(session.neg)

    def route_to_source(self, dialog: int, host: str, port: int, transport: str) -> None:
        """Send the dialog's requests to where its INVITE came from (NAT, names in Contact)."""
        ffi, lib = self._library.ffi, self._library.lib
        suffix = ";transport=tcp" if transport == "tcp" else ""
        name, kept_name = self._library.string("Route")
        raw = f"<sip:{host}:{port}{suffix};lr>".encode()
        line = ffi.new("char[]", raw)
        pool = lib.pjsip_endpt_create_pool(self._agent.endpoint, b"route", 1000, 1000)
        try:
            route = lib.pjsip_parse_hdr(pool, name, line, len(raw), ffi.NULL)
            if not route:
                return
            head = ffi.new("pjsip_hdr *")
            head.prev = head.next = head
            lib.pj_list_insert_before(head, route)
            lib.pjsip_dlg_set_route_set(ffi.cast("void *", dialog), head)
        finally:
            lib.pjsip_endpt_release_pool(self._agent.endpoint, pool)
            del kept_name

    def pin_connection(self, dialog: int, connection: int | None) -> None:
        """Send the dialog's requests over one TCP connection; None lets PJSIP choose again."""
        ffi = self._library.ffi
        selector = ffi.new("pjsip_tpselector *")
        if connection is not None:
            selector.type = _SELECT_TRANSPORT
            selector.transport = ffi.cast("void *", connection)
        self._library.lib.pjsip_dlg_set_transport(ffi.cast("void *", dialog), selector)

    # -- callbacks from C ----------------------------------------------------------------------

    def _state(self, session: Any, _event: Any) -> None:
        self._handler.invite_state(
            self._library.address(session), InviteState(session.state), session.cause
        )

    def _new_session(self, session: Any, _event: Any) -> None:
        """Do nothing: without a callback for them PJSIP makes no session of a fork."""

    def _transaction(self, session: Any, transaction: Any, event: Any) -> None:
        name = self._library.text(transaction.method.name)
        if transaction.role != _ROLE_UAC:
            # Only now can it be answered: while usages are asked, the transaction has not begun.
            fresh = transaction.state == _TRYING and event.body.tsx_state.type == _EVENT_RX_MSG
            if fresh and name not in _OWN_METHODS:
                rdata = self._library.ffi.cast("pjsip_rx_data *", event.body.tsx_state.src)
                key, dialog = self._library.address(session), self._library.address(session.dlg)
                self._handler.invite_request(key, dialog, self._agent.received(rdata))
            return
        final = transaction.status_code >= 200  # noqa: PLR2004 - RFC 3261 section 7.2
        if name == "BYE" and not final:
            self._handler.bye_started(self._library.address(session), session.cause)
        elif name == "INVITE" and final:
            self._reinvited(session, transaction)
        elif name == "OPTIONS" and final:
            self._handler.probe_result(
                self._library.address(session),
                transaction.status_code,
                received=event.body.tsx_state.type == _EVENT_RX_MSG,
            )

    def _reinvited(self, session: Any, transaction: Any) -> None:
        """Say what came of a re-INVITE, unless PJSIP has just sent it again itself.

        That is what it does with credentials (401, 407) or a longer session timer (422). Without
        credentials it leaves the offer open, and every later one would be refused.
        """
        again = session.invite_tsx and session.invite_tsx != transaction
        if session.state != InviteState.CONFIRMED or again:
            return
        if transaction.status_code >= 300:  # noqa: PLR2004 - RFC 3261 section 7.2
            self._take_back_offer(session)
        self._handler.reoffer_result(self._library.address(session), transaction.status_code)

    def _offer(self, session: Any, offer: Any) -> None:
        text = self._print(offer)
        answer = self._handler.invite_offer(self._library.address(session), text)
        if answer is None:
            return
        sdp = self._parse(session.pool_prov, answer)
        self._library.check(
            "pjsip_inv_set_sdp_answer", self._library.lib.pjsip_inv_set_sdp_answer(session, sdp)
        )

    def _create_offer(self, session: Any, out: Any) -> None:
        text = self._handler.invite_create_offer(self._library.address(session))
        if text is not None:
            out[0] = self._parse(session.pool_prov, text)

    def _media(self, session: Any, status: int) -> None:
        if status or not session.neg:
            return
        ffi, lib = self._library.ffi, self._library.lib
        if lib.pjmedia_sdp_neg_get_state(session.neg) != _STATUS_NEGOTIATION_DONE:
            return
        local, remote = ffi.new("void **"), ffi.new("void **")
        check = self._library.check
        check("active local", lib.pjmedia_sdp_neg_get_active_local(session.neg, local))
        check("active remote", lib.pjmedia_sdp_neg_get_active_remote(session.neg, remote))
        self._handler.invite_media(
            self._library.address(session), self._print(local[0]), self._print(remote[0])
        )

    # -- help ----------------------------------------------------------------------------------

    def _session(self, invite: int) -> Any:
        return self._library.ffi.cast("pjsip_inv_session *", invite)

    def _parse(self, pool: Any, text: str) -> Any:
        """Return a ``pjmedia_sdp_session *`` whose strings lie in ``pool`` like itself."""
        ffi, lib, check = self._library.ffi, self._library.lib, self._library.check
        raw = text.encode("ascii")
        buffer = lib.pj_pool_alloc(pool, len(raw) + 1)
        ffi.memmove(buffer, raw + b"\0", len(raw) + 1)
        out = ffi.new("void **")
        check("pjmedia_sdp_parse", lib.pjmedia_sdp_parse(pool, buffer, len(raw), out))
        check("pjmedia_sdp_validate", lib.pjmedia_sdp_validate(out[0]))
        return out[0]

    def _print(self, sdp: Any) -> str:
        ffi = self._library.ffi
        buffer = ffi.new("char[]", _SDP_SIZE)
        size = self._library.lib.pjmedia_sdp_print(sdp, buffer, _SDP_SIZE)
        return str(ffi.buffer(buffer, max(size, 0))[:], "ascii", "replace")


def _pending(session: Any) -> bool:
    """Tell whether the INVITE still waits for a final answer that PJSIP could build."""
    return bool(session.invite_tsx and session.last_answer)
