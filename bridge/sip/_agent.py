"""PJSIP's endpoint and modules; with the other underscored modules all that touches cffi.

Every method except :meth:`Agent.wake` must be called in the one SIP thread. Callbacks from C come
in the same thread, inside :meth:`Agent.poll`; each copies what it needs, calls the
:class:`Handler`, and names what C gets should Python raise. Pointers leave this layer only as
numbers (:class:`Received` excepted, which is valid during the callback that brought it).

The SIP thread sleeps in PJSIP's ``select``, with our own sockets in it (``_watch``).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import structlog

from bridge.sip._library import Library
from bridge.sip._listening import attach_udp, bind_udp
from bridge.sip._streams import StreamHandler, Streams
from bridge.sip._watch import Watch
from bridge.sip.errors import PortTakenError
from bridge.sip.messages import Transport

__all__ = ["Agent", "Handler", "Headers", "Passage", "Received"]

Headers = Iterable[tuple[str, str]]

_EDGE_PRIORITY = 4  # below PJSIP_MOD_PRIORITY_TRANSPORT_LAYER (8): first to receive, last to send
_APPLICATION_PRIORITY = 64
_HEADER_ALLOW = 4  # pjsip_hdr_e
_HEADER_ACCEPT = 0
_HEADER_SUPPORTED = 36
_FREE_PORT_ATTEMPTS = 20
_LOG_SENDER_ONLY = 64  # PJ_LOG_HAS_SENDER
_POOL_CACHE_BYTES = 64 * 1024 * 1024
_CACHING_POOL_SIZE = 4096  # pj_caching_pool is about 2 kB; PJLIB fills it in
_TRANSACTION_BUCKETS = 8191  # hash buckets; 100 calls a second leave 3,200 BYE transactions
_IGNORED = 70020  # PJ_EIGNORED

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Received:
    """One message that PJSIP has parsed, valid during the callback only.

    Attributes:
        raw: the message as it came.
        source: address and port it came from.
        transport: transport it came by.
        connection: key of the transport, to recognise a TCP connection.
        pointer: PJSIP's ``pjsip_rx_data *``.
    """

    raw: bytes
    source: tuple[str, int]
    transport: Transport
    connection: int
    pointer: Any


@dataclass(frozen=True, slots=True)
class Passage:
    """What the edge decides about a message.

    Attributes:
        on: pass it on to PJSIP's layers; False swallows it.
        body: what becomes of its body: left alone, removed, or replaced by ``sdp``.
        sdp: session description that replaces the body.
    """

    on: bool
    body: Literal["keep", "remove", "replace"] = "keep"
    sdp: str = ""


class Handler(StreamHandler, Protocol):
    """What the agent calls; implemented by the switchboard and by the layout check."""

    def request_arrived(self, rx: Received) -> Passage:
        """Judge any request, before PJSIP's transaction layer sees it."""
        ...

    def response_arrived(self, rx: Received) -> Passage:
        """Judge any response, before PJSIP's transaction layer sees it."""
        ...

    def request_outside_dialog(self, rx: Received) -> None:
        """Answer a request that belongs to no dialog."""

    def message_sent(self, raw: bytes) -> None:
        """Take note of a message going out; only while tracing."""

    def data_dropped(self, kind: str) -> None:
        """Count bytes that PJSIP could not parse: ``keep_alive`` or ``malformed``."""


class Agent:
    """One PJSIP endpoint with UDP and TCP on one port."""

    def __init__(self, library: Library, handler: Handler) -> None:
        self.library = library
        self.handler = handler
        self.endpoint: Any = None
        self.application: Any = None
        self.port = 0
        self.faults = 0
        self._kept: list[Any] = []
        self._pool: Any = None
        self._caching_pool: Any = None
        self._watch = Watch(library, self._ready)
        self.streams = Streams(library, self._watch.epoll, handler, self._callback)
        self._timeout = library.ffi.new("pj_time_val *")
        self._edge: Any = None
        self._tracers: tuple[Any, Any] = (None, None)
        self._initialised = False
        self._reported: set[str] = set()

    # -- life ----------------------------------------------------------------------------------

    def start(
        self,
        bind_ip: str,
        port: int,
        published: str,
        nameservers: list[tuple[str, int]],
        *,
        tcp: bool,
    ) -> None:
        """Initialise PJSIP and listen.

        Args:
            bind_ip: IPv4 address to listen on.
            port: port for UDP and TCP, 0 for a free one.
            published: IPv4 address that goes into Via and Contact.
            nameservers: address and port of DNS servers for PJSIP's own, asynchronous resolver.
            tcp: listen on TCP too.

        Raises:
            PortTakenError: the port cannot be bound.
            PjError: PJSIP refused something else.
        """
        ffi, lib, check = self.library.ffi, self.library.lib, self.library.check
        lib.pj_log_set_level(2)
        lib.pj_log_set_decor(_LOG_SENDER_ONLY)
        lib.pj_log_set_log_func(self._callback("void(int, const char *, int)", self._logged, None))
        check("pj_init", lib.pj_init())
        self._initialised = True
        check("pjlib_util_init", lib.pjlib_util_init())
        # Without it OpenSSL 1.0.2 knows no MD5 by name, and no challenge can be answered.
        lib.OpenSSL_add_all_digests()
        self.stir()
        lib.pjsip_sip_cfg_var.endpt.disable_tcp_switch = 1
        lib.pjsip_sip_cfg_var.tsx.max_count = _TRANSACTION_BUCKETS
        self._caching_pool = ffi.new("char[]", _CACHING_POOL_SIZE)
        lib.pj_caching_pool_init(self._caching_pool, ffi.NULL, _POOL_CACHE_BYTES)
        out = ffi.new("void **")
        check("pjsip_endpt_create", lib.pjsip_endpt_create(self._caching_pool, b"dialin", out))
        self.endpoint = out[0]
        self._pool = lib.pjsip_endpt_create_pool(self.endpoint, b"dialin", 4000, 4000)
        self._listen(bind_ip, port, published, tcp=tcp)
        self._resolve_with(nameservers)
        for name in ("pjsip_tsx_layer_init_module", "pjsip_100rel_init_module"):
            if name == "pjsip_100rel_init_module":
                check("pjsip_ua_init_module", lib.pjsip_ua_init_module(self.endpoint, ffi.NULL))
            check(name, getattr(lib, name)(self.endpoint))
        self._register_modules()
        self._count_dropped()
        self._watch.start(self.endpoint, self._pool, self._callback)

    def stop(self) -> None:
        """Destroy the endpoint and give everything back."""
        lib = self.library.lib
        self.streams.stop_listening()
        if self.endpoint is not None:
            self.streams.close()
            if self._pool is not None:
                lib.pjsip_endpt_release_pool(self.endpoint, self._pool)
                self._pool = None
            self._watch.stop()
            lib.pjsip_endpt_destroy(self.endpoint)
            self.endpoint = None
        else:
            self._watch.stop()
        if self._caching_pool is not None:
            lib.pj_caching_pool_destroy(self._caching_pool)
            self._caching_pool = None
        if self._initialised:
            lib.pj_shutdown()
            self._initialised = False

    def poll(self, timeout_ms: int) -> None:
        """Handle what has come, sleeping up to ``timeout_ms`` where nothing has."""
        self._timeout.sec, self._timeout.msec = divmod(timeout_ms, 1000)
        self.library.lib.pjsip_endpt_handle_events(self.endpoint, self._timeout)

    def stir(self) -> None:
        """Seed PJLIB's random numbers, of which it makes tags, branches and Call-IDs.

        It never does so itself: they would be the same after each start, and could be guessed. Done
        again for each call, so that its tag says nothing about another one's.
        """
        self.library.lib.pj_srand(secrets.randbits(32))

    def wake(self) -> None:
        """End the sleep of :meth:`poll`; may be called from any thread."""
        self._watch.wake()

    # -- sending -------------------------------------------------------------------------------

    def reply(
        self, rx: Received, status: int, headers: Headers = (), phrase: str | None = None
    ) -> None:
        """Answer a request without a transaction."""
        listed, kept = self.header_list(rx.pointer.tp_info.pool, headers)
        text, kept_text = self._phrase(phrase)
        outcome = self.library.lib.pjsip_endpt_respond_stateless(
            self.endpoint, rx.pointer, status, text, listed, self.library.ffi.NULL
        )
        del kept, kept_text
        if outcome:
            log.debug("sip reply not sent", status=status)

    def reply_capabilities(self, rx: Received, headers: Headers = ()) -> None:
        """Answer OPTIONS with 200 and what we can do (RFC 3261 section 11.2)."""
        ffi, lib = self.library.ffi, self.library.lib
        out = ffi.new("pjsip_tx_data **")
        code = lib.pjsip_endpt_create_response(self.endpoint, rx.pointer, 200, ffi.NULL, out)
        if code:
            return
        for kind in (_HEADER_ALLOW, _HEADER_ACCEPT, _HEADER_SUPPORTED):
            known = lib.pjsip_endpt_get_capability(self.endpoint, kind, ffi.NULL)
            if known:
                clone = lib.pjsip_hdr_clone(out[0].pool, known)
                lib.pj_list_insert_before(ffi.addressof(out[0].msg, "hdr"), clone)
        self.add_headers(out[0], headers)
        if lib.pjsip_endpt_send_response2(self.endpoint, rx.pointer, out[0], ffi.NULL, ffi.NULL):
            lib.pjsip_tx_data_dec_ref(out[0])

    def respond_in_dialog(
        self, dialog: int, rx: Received, status: int, headers: Headers = ()
    ) -> None:
        """Answer a request within its dialog and transaction."""
        ffi = self.library.ffi
        listed, kept = self.header_list(rx.pointer.tp_info.pool, headers)
        self.library.lib.pjsip_dlg_respond(
            ffi.cast("void *", dialog), rx.pointer, status, ffi.NULL, listed, ffi.NULL
        )
        del kept

    def add_headers(self, tdata: Any, headers: Headers) -> None:
        """Append headers to a message that goes out."""
        ffi, lib = self.library.ffi, self.library.lib
        for name, value in headers:
            header = self._header(tdata.pool, name, value)
            lib.pj_list_insert_before(ffi.addressof(tdata.msg, "hdr"), header)

    def header_list(self, pool: Any, headers: Headers) -> tuple[Any, Any]:
        """Return a ``pjsip_hdr`` list of headers made in ``pool``, and what must be kept."""
        ffi = self.library.ffi
        head = ffi.new("pjsip_hdr *")
        head.prev = head.next = head
        empty = True
        for name, value in headers:
            self.library.lib.pj_list_insert_before(head, self._header(pool, name, value))
            empty = False
        return (ffi.NULL if empty else head), head

    def replace_body(self, rx: Received, sdp: str) -> None:
        """Give PJSIP our canonical session description instead of what came."""
        lib, ffi = self.library.lib, self.library.ffi
        raw = sdp.encode("ascii", "replace") + b"\0"  # PJSIP's scanner likes its zero
        kind, kept_kind = self.library.string("application")
        sub, kept_sub = self.library.string("sdp")
        text, kept_text = self.library.string(raw)
        body = lib.pjsip_msg_body_create(rx.pointer.tp_info.pool, kind, sub, text)
        body.len = len(raw) - 1
        rx.pointer.msg_info.msg.body = body
        # A multipart Content-Type would send PJSIP looking for parts; the body says what it is.
        rx.pointer.msg_info.ctype = ffi.NULL
        del kept_kind, kept_sub, kept_text

    def close_connection(self, connection: int) -> None:
        """Close a TCP connection."""
        self.streams.drop(connection)

    def keep_house(self, now: float) -> None:
        """Drop connections that came to nothing."""
        self.streams.keep_house(now)

    def trace(self, *, on: bool) -> None:
        """Hand outgoing messages to the handler, or stop doing so."""
        null = self.library.ffi.NULL
        self._edge.on_tx_request = self._tracers[0] if on else null
        self._edge.on_tx_response = self._tracers[1] if on else null

    def counts(self) -> dict[str, int]:
        """Return the number of transactions and dialog sets alive."""
        lib = self.library.lib
        return {
            "transactions": int(lib.pjsip_tsx_layer_get_tsx_count()),
            "dialogs": int(lib.pjsip_ua_get_dlg_set_count()),
        }

    def received(self, rdata: Any) -> Received:
        """Copy what Python needs of a ``pjsip_rx_data``."""
        ffi = self.library.ffi
        info, packet = rdata.msg_info, rdata.pkt_info
        transport = rdata.tp_info.transport
        reliable = bool(transport.flag & 1)  # PJSIP_TRANSPORT_RELIABLE
        return Received(
            raw=bytes(ffi.buffer(info.msg_buf, info.len)),
            source=(ffi.string(packet.src_name).decode("ascii", "replace"), packet.src_port),
            transport="tcp" if reliable else "udp",
            connection=self.library.address(transport),
            pointer=rdata,
        )

    # -- parts of start ------------------------------------------------------------------------

    def keep(self, thing: Any) -> Any:
        """Keep a reference for as long as C may use it."""
        self._kept.append(thing)
        return thing

    def _callback(self, signature: str, function: Any, error: int | None) -> Any:
        ffi = self.library.ffi
        if error is None:
            made = ffi.callback(signature, function, onerror=self.callback_failed)
        else:
            made = ffi.callback(signature, function, error=error, onerror=self.callback_failed)
        return self.keep(made)

    callback = _callback

    def callback_failed(self, kind: type[BaseException], _value: object, traceback: Any) -> None:
        """Count and log a fault of ours in the SIP thread; C gets a callback's error value."""
        self.faults += 1
        where = ""
        while traceback is not None:
            code = traceback.tb_frame.f_code
            where = f"{os.path.basename(code.co_filename)}:{traceback.tb_lineno}"  # noqa: PTH119 - a name, no file
            traceback = traceback.tb_next
        log.error("sip step failed", error=kind.__name__, where=where)

    def _header(self, pool: Any, name: str, value: str) -> Any:
        key, kept_key = self.library.string(name)
        text, kept_text = self.library.string(value)
        header = self.library.lib.pjsip_generic_string_hdr_create(pool, key, text)
        del kept_key, kept_text
        return header

    def _phrase(self, phrase: str | None) -> tuple[Any, Any]:
        if not phrase:
            return self.library.ffi.NULL, None
        return self.library.string(phrase)

    def _resolve_with(self, nameservers: list[tuple[str, int]]) -> None:
        """Use PJSIP's asynchronous resolver: without one it would block in getaddrinfo."""
        ffi, lib, check = self.library.ffi, self.library.lib, self.library.check
        out = ffi.new("void **")
        check("pjsip_endpt_create_resolver", lib.pjsip_endpt_create_resolver(self.endpoint, out))
        names = ffi.new("pj_str_t[]", len(nameservers))
        ports = ffi.new("uint16_t[]", [port for _, port in nameservers])
        kept = []
        for index, (address, _) in enumerate(nameservers):
            text, buffer = self.library.string(address)
            names[index] = text[0]
            kept.append(buffer)
        check(
            "pj_dns_resolver_set_ns",
            lib.pj_dns_resolver_set_ns(out[0], len(nameservers), names, ports),
        )
        check("pjsip_endpt_set_resolver", lib.pjsip_endpt_set_resolver(self.endpoint, out[0]))

    def _register_modules(self) -> None:
        ffi, lib, check = self.library.ffi, self.library.lib, self.library.check
        receive = "pj_bool_t(pjsip_rx_data *)"
        send = "pj_status_t(pjsip_tx_data *)"
        edge = self._module("mod-dialin-edge", _EDGE_PRIORITY)
        # A message that our own code stumbles over is swallowed: error value 1, "handled".
        edge.on_rx_request = self._callback(receive, self._edge_request, 1)
        edge.on_rx_response = self._callback(receive, self._edge_response, 1)
        tracer = self._callback(send, self._edge_sent, 0)
        self._tracers = (tracer, tracer)
        check("register edge", lib.pjsip_endpt_register_module(self.endpoint, edge))
        self._edge = edge
        application = self._module("mod-dialin", _APPLICATION_PRIORITY)
        application.on_rx_request = self._callback(receive, self._application_request, 1)
        check("register module", lib.pjsip_endpt_register_module(self.endpoint, application))
        self.application = application
        for kind, values in (
            (_HEADER_ALLOW, ("OPTIONS", "INFO")),
            (_HEADER_ACCEPT, ("application/dtmf-relay", "application/dtmf")),
        ):
            array = ffi.new("pj_str_t[]", len(values))
            for index, value in enumerate(values):
                text, buffer = self.library.string(value)
                array[index] = text[0]
                self.keep(buffer)
            check(
                "pjsip_endpt_add_capability",
                lib.pjsip_endpt_add_capability(
                    self.endpoint, application, kind, ffi.NULL, len(values), array
                ),
            )

    def _module(self, name: str, priority: int) -> Any:
        module = self.keep(self.library.ffi.new("pjsip_module *"))
        text, buffer = self.library.string(name)
        self.keep(buffer)
        module.name, module.id, module.priority = text[0], -1, priority
        return module

    def _listen(self, bind_ip: str, port: int, published: str, *, tcp: bool) -> None:
        """Listen on UDP and TCP; with port 0 on one that is free for both."""
        attempts = 1 if port else _FREE_PORT_ATTEMPTS
        while True:
            attempts -= 1
            udp = bind_udp(bind_ip, port)
            bound = int(udp.getsockname()[1])
            try:
                if tcp:
                    self.streams.start(self.endpoint, bind_ip, bound, published)
            except PortTakenError:
                udp.close()
                if not attempts:
                    raise
                continue
            attach_udp(self.library, self.endpoint, udp, published)
            self.port = bound
            return

    def _count_dropped(self) -> None:
        lib, check = self.library.lib, self.library.check
        manager = lib.pjsip_endpt_get_tpmgr(self.endpoint)
        dropped = self._callback("void(pjsip_tp_dropped_data *)", self._dropped, None)
        check("pjsip_tpmgr_set_drop_data_cb", lib.pjsip_tpmgr_set_drop_data_cb(manager, dropped))

    def _ready(self, fd: int, events: int) -> None:
        try:
            self.streams.serve(fd, events)
        except Exception as fault:  # noqa: BLE001 - one connection's fault must not stop the others
            self.callback_failed(type(fault), fault, fault.__traceback__)

    # -- callbacks from C ----------------------------------------------------------------------

    def _edge_request(self, rdata: Any) -> int:
        rx = self.received(rdata)
        return self._apply(rx, self.handler.request_arrived(rx))

    def _edge_response(self, rdata: Any) -> int:
        rx = self.received(rdata)
        return self._apply(rx, self.handler.response_arrived(rx))

    def _apply(self, rx: Received, passage: Passage) -> int:
        if not passage.on:
            return 1
        if passage.body == "remove":
            rx.pointer.msg_info.msg.body = self.library.ffi.NULL
        elif passage.body == "replace":
            self.replace_body(rx, passage.sdp)
        return 0

    def _edge_sent(self, tdata: Any) -> int:
        size = tdata.buf.cur - tdata.buf.start
        self.handler.message_sent(bytes(self.library.ffi.buffer(tdata.buf.start, size)))
        return 0

    def _application_request(self, rdata: Any) -> int:
        if self.library.lib.pjsip_rdata_get_dlg(rdata):
            return 0  # inside a dialog the invite sessions answer, once there is a transaction
        self.handler.request_outside_dialog(self.received(rdata))
        return 1

    def _dropped(self, data: Any) -> None:
        # PJ_EIGNORED marks the blank lines that keep NAT bindings alive.
        kind = "keep_alive" if data.status == _IGNORED else "malformed"
        self.handler.data_dropped(kind)

    def _logged(self, level: int, data: Any, length: int) -> None:
        """Say that PJSIP logged something, and where in PJSIP; what may be personal."""
        text = self.library.ffi.buffer(data, length)[:40].decode("ascii", "replace")
        origin = text.split()[0] if text.split() else ""
        if not origin.endswith(".c"):
            origin = "object"
        if (key := f"{level} {origin}") not in self._reported:
            self._reported.add(key)
            log.info("pjsip logged", level_of_pjsip=level, origin=origin)
