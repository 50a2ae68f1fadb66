"""Prove at start that PJSIP's structs lie where ``declarations.py`` says.

A wrong offset would read rubbish or write over something else, long after the cause. So each struct
is compared with values that PJSIP itself put there, and the endpoint does not start where one
differs:

- ``pjsip_cfg_t``: the timers of RFC 3261;
- ``pjsip_tpfactory``: ours, asked for its address by PJSIP;
- ``pjsip_inv_session`` and ``pjsip_dialog``: a session that is made and thrown away, nothing sent;
- ``pjsip_tx_data``, ``pjsip_rx_data``, ``pjsip_msg``, ``pjsip_transport``, ``pjsip_event`` and
  ``pjsip_transaction``: an OPTIONS that the endpoint sends to itself.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, TypeAlias

from bridge.sip._agent import Agent, Passage, Received
from bridge.sip._library import load, wheel_version
from bridge.sip.declarations import WHEEL_VERSION
from bridge.sip.errors import LayoutMismatchError

__all__ = ["build_report", "check_layout"]

Pointer: TypeAlias = Any
"""A cffi pointer to a struct, for which Python has no type."""

_PATIENCE_S = 3.0
_BODY = "layout"
_OFFER = (
    "v=0\r\no=- 7 7 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio 4000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
)
_TIMERS = (500, 4000, 5000, 32000)  # T1, T2, T4 and timer D in milliseconds
_LOCAL_OFFER = 1  # PJMEDIA_SDP_NEG_STATE_LOCAL_OFFER
_TSX_STATE = 5  # PJSIP_EVENT_TSX_STATE
_UDP, _TCP = 1, 2  # PJSIP_TRANSPORT_UDP and _TCP


def build_report() -> str:
    """Say in one line which PJSIP is installed; opens the library, starts nothing.

    Raises:
        LibraryError: it is missing, or not the one that the declarations are of.
    """
    library = load()
    wheel = wheel_version() or "an unknown wheel"
    return f"{library.version} of pjsua2-python {wheel}, I/O queue select, no IPv6, no TLS offered"


def check_layout(agent: Agent, address: str) -> None:
    """Check every struct; must be called in the SIP thread, before anything else is handled.

    Args:
        agent: a started agent.
        address: IPv4 address at which it can be reached from here.

    Raises:
        LayoutMismatchError: a struct does not lie as declared.
    """
    _check_config(agent)
    _check_factory(agent)
    _check_invite(agent)
    handler = agent.handler
    echo = _Echo(agent)
    agent.handler = agent.streams.handler = echo
    try:
        echo.run(address)
    finally:
        agent.handler = agent.streams.handler = handler
        agent.trace(on=False)


def _demand(holds: object, struct: str, what: str) -> None:
    if not holds:
        raise LayoutMismatchError(
            f"{struct} of the installed PJSIP does not lie as declared ({what} is not what PJSIP"
            f" put there); install pjsua2-python=={WHEEL_VERSION} and nothing else"
        )


def _check_config(agent: Agent) -> None:
    timers = agent.library.lib.pjsip_sip_cfg_var.tsx
    found = (timers.t1, timers.t2, timers.t4, timers.td)
    _demand(found == _TIMERS, "pjsip_cfg_t", "tsx.t1")


def _check_factory(agent: Agent) -> None:
    if not agent.streams.listening:
        return
    library = agent.library
    ffi, lib = library.ffi, library.lib
    pool = lib.pjsip_endpt_create_pool(agent.endpoint, b"layout", 1000, 1000)
    host, port = ffi.new("pj_str_t *"), ffi.new("int *")
    manager = lib.pjsip_endpt_get_tpmgr(agent.endpoint)
    status = lib.pjsip_tpmgr_find_local_addr(manager, pool, _TCP, ffi.NULL, host, port)
    found = not status and port[0] == agent.port and library.text(host[0]).count(".") == 3  # noqa: PLR2004 - IPv4
    lib.pjsip_endpt_release_pool(agent.endpoint, pool)
    _demand(found, "pjsip_tpfactory", "addr_name")


def _code_range(path: Path) -> range:
    """Return the addresses at which a library's code is mapped (proc(5), maps)."""
    for line in Path("/proc/self/maps").read_text("ascii", "replace").splitlines():
        words = line.split()
        if "x" in words[1] and words[-1] == str(path.resolve()):
            first, _, last = words[0].partition("-")
            return range(int(first, 16), int(last, 16))
    raise LayoutMismatchError(f"{path.name} is not mapped; its functions cannot be checked")


def _check_invite(agent: Agent) -> None:
    library = agent.library
    ffi, lib, check = library.ffi, library.lib, library.check
    who, kept_who = library.string("<sip:layout@127.0.0.1>")
    target, kept_target = library.string("sip:layout@127.0.0.1:9")
    dialog = ffi.new("pjsip_dialog **")
    check(
        "pjsip_dlg_create_uac",
        lib.pjsip_dlg_create_uac(lib.pjsip_ua_instance(), who, who, who, target, dialog),
    )
    pool = lib.pjsip_endpt_create_pool(agent.endpoint, b"layout", 4000, 4000)
    raw = _OFFER.encode()
    buffer = lib.pj_pool_alloc(pool, len(raw) + 1)
    ffi.memmove(buffer, raw + b"\0", len(raw) + 1)
    sdp = ffi.new("void **")
    check("pjmedia_sdp_parse", lib.pjmedia_sdp_parse(pool, buffer, len(raw), sdp))
    out = ffi.new("pjsip_inv_session **")
    check("pjsip_inv_create_uac", lib.pjsip_inv_create_uac(dialog[0], sdp[0], 0, out))
    session = out[0]
    name = "pjsip_inv_session"
    try:
        _demand(session.dlg == dialog[0], name, "dlg")
        _demand(session.state == 0 and session.cause == 0 and session.role == 0, name, "state")
        _check_dialog(agent, dialog[0])
        _demand(session.pool and session.pool_prov and session.pool_active, name, "pool_prov")
        _demand(session.notify == 1 and not session.invite_tsx, name, "notify")
        state = lib.pjmedia_sdp_neg_get_state(session.neg) if session.neg else -1
        _demand(state == _LOCAL_OFFER, name, "neg")
        _demand(not session.last_answer, name, "last_answer")
    finally:
        lib.pjsip_inv_terminate(session, 500, 0)
        lib.pjsip_endpt_release_pool(agent.endpoint, pool)
        del kept_who, kept_target


def _check_dialog(agent: Agent, dialog: Pointer) -> None:
    library, name = agent.library, "pjsip_dialog"
    _demand(dialog.endpt == agent.endpoint and dialog.pool, name, "endpt")
    _demand(dialog.role == 0 and dialog.add_allow == 1, name, "role")
    _demand(dialog.call_id and len(library.text(dialog.call_id.id)) > 8, name, "call_id")  # noqa: PLR2004 - characters
    auth = dialog.auth_sess
    whole = auth.pool == dialog.pool and auth.endpt == agent.endpoint
    cached = library.ffi.addressof(auth, "cached_prev")
    _demand(whole and not auth.cred_cnt and not auth.cred_info, name, "auth_sess")
    _demand(auth.cached_prev == auth.cached_next == cached, name, "auth_sess.cached_auth")


class _Echo:
    """Send an OPTIONS to the endpoint itself and look at it on each of its ways."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._fault: LayoutMismatchError | None = None
        self._sent = self._received = self._done = False

    def run(self, address: str) -> None:
        """Send it and wait for its answer."""
        agent = self._agent
        library = agent.library
        ffi, lib = library.ffi, library.lib
        callback = agent.callback("void(void *, pjsip_event *)", self._finished, None)
        agent.trace(on=True)
        kept: list[Pointer] = []

        def string(text: str) -> Pointer:
            pointer, buffer = library.string(text)
            kept.extend((pointer, buffer))
            return pointer

        here = f"sip:layout@{address}:{agent.port}"
        tdata = ffi.new("pjsip_tx_data **")
        library.check(
            "pjsip_endpt_create_request",
            lib.pjsip_endpt_create_request(
                agent.endpoint,
                lib.pjsip_get_options_method(),
                string(here),
                string(f"<{here}>"),
                string(f"<{here}>"),
                ffi.NULL,
                ffi.NULL,
                -1,
                string(_BODY),
                tdata,
            ),
        )
        name = library.text(tdata[0].msg.line.req.method.name) if tdata[0].msg else ""
        _demand(name == "OPTIONS" and tdata[0].msg.type == 0, "pjsip_tx_data", "msg")
        body = tdata[0].msg.body
        _demand(body and body.len == len(_BODY), "pjsip_msg", "body")
        _demand(bytes(ffi.buffer(body.data, body.len)) == _BODY.encode(), "pjsip_msg_body", "data")
        agent.add_headers(tdata[0], (("X-Layout", "1"),))
        library.check(
            "pjsip_endpt_send_request",
            lib.pjsip_endpt_send_request(agent.endpoint, tdata[0], -1, ffi.NULL, callback),
        )
        deadline = time.monotonic() + _PATIENCE_S
        while not self._done and self._fault is None and time.monotonic() < deadline:
            agent.poll(20)
        kept.clear()
        if self._fault is not None:
            raise self._fault
        if not (self._sent and self._received and self._done):
            raise LayoutMismatchError(
                f"an OPTIONS sent to ourselves at {address}:{agent.port} did not come back within"
                f" {_PATIENCE_S:.0f} s, so that PJSIP's structs cannot be checked; is loopback"
                " traffic filtered?"
            )

    # -- Handler -------------------------------------------------------------------------------

    def connection_wanted(self, source: str) -> str | None:
        """Take no TCP connection yet."""
        del source
        return "starting"

    def connection_opened(self, connection: int, source: str) -> None:
        """There is none."""

    def connection_lost(self, connection: int) -> None:
        """There is none."""

    def connection_touched(self, connection: int) -> None:
        """There is none."""

    def stream_fault(self, reason: str) -> None:
        """Count nothing yet."""

    def request_arrived(self, rx: Received) -> Passage:
        """Look at what came in; strangers that come meanwhile are swallowed."""
        if b"X-Layout: 1" not in rx.raw:
            return Passage(on=False)
        try:
            self._look_at(rx)
        except LayoutMismatchError as fault:
            self._fault = fault
            return Passage(on=False)
        self._received = True
        return Passage(on=True)

    def response_arrived(self, rx: Received) -> Passage:
        """Let the answer through."""
        return Passage(on=b"OPTIONS" in rx.raw)

    def request_outside_dialog(self, rx: Received) -> None:
        """Answer it."""
        self._agent.reply(rx, 200)

    def message_sent(self, raw: bytes) -> None:
        """Look at the buffer of what goes out."""
        if raw.startswith(b"OPTIONS sip:layout@") and b"X-Layout: 1\r\n" in raw:
            self._sent = True
        elif not raw.startswith(b"SIP/2.0"):
            self._fault = LayoutMismatchError("pjsip_tx_data does not lie as declared (buf)")

    def data_dropped(self, kind: str) -> None:
        """Count nothing yet."""

    def _look_at(self, rx: Received) -> None:
        ffi, library = self._agent.library.ffi, self._agent.library
        rdata = rx.pointer
        name = "pjsip_rx_data"
        packet = library.address(rdata.pkt_info.packet)
        _demand(library.address(rdata.msg_info.msg_buf) == packet, name, "msg_info.msg_buf")
        _demand(rdata.msg_info.len == rdata.pkt_info.len, name, "pkt_info.len")
        _demand(rx.raw.startswith(b"OPTIONS sip:layout@"), name, "pkt_info.packet")
        _demand(rx.source[1] == self._agent.port, name, "pkt_info.src_port")
        _demand(rx.source[0].count(".") == 3, name, "pkt_info.src_name")  # noqa: PLR2004 - IPv4
        _demand(rdata.msg_info.ctype, name, "msg_info.ctype")
        message = rdata.msg_info.msg
        _demand(message and message.type == 0, "pjsip_msg", "type")
        _demand(library.text(message.line.req.method.name) == "OPTIONS", "pjsip_msg", "line")
        _demand(message.body and message.body.len == len(_BODY), "pjsip_msg", "body")
        transport = rdata.tp_info.transport
        name = "pjsip_transport"
        _demand(ffi.string(transport.type_name) == b"UDP", name, "type_name")
        _demand(transport.key.type == _UDP and not transport.flag & 1, name, "flag")
        _demand(transport.local_name.port == self._agent.port, name, "local_name")
        _demand(library.text(transport.remote_name.host) == "0.0.0.0", name, "remote_name")  # noqa: S104 - PJSIP's own word
        agent = self._agent
        manager = library.lib.pjsip_endpt_get_tpmgr(agent.endpoint)
        _demand(transport.endpt == agent.endpoint and transport.tpmgr == manager, name, "tpmgr")
        _demand(transport.idle_timer.user_data == transport, name, "idle_timer")
        _demand(transport.last_recv_len == rdata.pkt_info.len, name, "last_recv_len")
        code = _code_range(library.path)
        for field in ("send_msg", "do_shutdown", "destroy"):
            _demand(library.address(getattr(transport, field)) in code, name, field)

    def _finished(self, _token: Pointer, event: Pointer) -> None:
        library = self._agent.library
        transaction = event.body.tsx_state.tsx
        try:
            _demand(event.type == _TSX_STATE and transaction, "pjsip_event", "tsx_state")
            name = library.text(transaction.method.name)
            _demand(name == "OPTIONS" and transaction.role == 0, "pjsip_transaction", "method")
            _demand(transaction.status_code == 200, "pjsip_transaction", "status_code")  # noqa: PLR2004
        except LayoutMismatchError as fault:
            self._fault = fault
        self._done = True
