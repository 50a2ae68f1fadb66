"""SIP over TCP by a transport of our own, instead of PJSIP's.

PJSIP's TCP transport lives in an I/O queue of 64 handles watched by ``select``: about 60
connections, none with a descriptor from 1024 on, and its queue **asserts**, ending the process,
when 64 connections come and go within half a second (``pj_ioqueue_register_sock2``, the closed ones
wait for 500 ms). So the sockets are ours, watched by epoll, and PJSIP is given a
``pjsip_transport`` for each, whose ``send_msg`` and ``destroy`` are callbacks, and a
``pjsip_tpfactory`` for connections that it wants to open.

The epoll descriptor lies in PJSIP's ``select`` (see ``_agent``), so that there still is one sleep.
"""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from bridge.sip._library import Library
from bridge.sip._listening import bind_tcp
from bridge.sip.errors import PortTakenError
from bridge.sip.framing import Framer, FramingError

__all__ = ["StreamHandler", "Streams"]

_TCP = 2  # PJSIP_TRANSPORT_TCP
_RELIABLE = 1  # PJSIP_TRANSPORT_RELIABLE
_OUTGOING, _INCOMING = 1, 2  # pjsip_transport_dir
_STATE_DISCONNECTED = 1  # PJSIP_TP_STATE_DISCONNECTED
_ADDRESS_SIZE = 16  # sockaddr_in
_OS_ERROR_BASE = 120000  # PJ_ERRNO_START_SYS
_TOO_MANY = 70010  # PJ_ETOOMANY
_UNSENT_LIMIT = 256 * 1024
_ACCEPTS_AT_ONCE = 64
_BACKLOG = 256
_CONNECT_S = 20.0
_MESSAGE_S = 10.0
_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_RDATA_EXTRA = 2048  # what pjsip_rx_data has after the fields that we declare


class StreamHandler(Protocol):
    """What streams ask and tell; a connection is named by its key."""

    def connection_wanted(self, source: str) -> str | None:
        """Return why a connection must not be taken, None where it may."""

    def connection_opened(self, connection: int, source: str) -> None:
        """Take note of a connection."""

    def connection_lost(self, connection: int) -> None:
        """Take note that nothing goes over it any more."""

    def connection_touched(self, connection: int) -> None:
        """Take note that something came."""

    def stream_fault(self, reason: str) -> None:
        """Count a stream that could not be read."""


@dataclass(slots=True)
class _Stream:
    """One connection.

    ``heard`` is set by the first whole message, ``begun`` is when the message that waits for its
    end began.
    """

    sock: socket.socket
    transport: Any
    pool: Any
    remote: tuple[str, int]
    incoming: bool
    connecting: bool
    opened: float
    framer: Framer = field(default_factory=Framer)
    unsent: bytearray = field(default_factory=bytearray)
    heard: bool = False
    begun: float | None = None
    lost: bool = False
    kept: list[Any] = field(default_factory=list)


class Streams:
    """TCP connections of one endpoint.

    Args:
        library: PJSIP.
        epoll: watches our sockets.
        handler: asked and told.
        callback: makes and keeps a C callback.
    """

    def __init__(
        self,
        library: Library,
        epoll: select.epoll,
        handler: StreamHandler,
        callback: Callable[[str, Any, int | None], Any],
    ) -> None:
        self._library = library
        self._epoll = epoll
        self.handler = handler
        self._make = callback
        self._listener: socket.socket | None = None
        self._deaf = False
        self._by_fd: dict[int, _Stream] = {}
        self._by_key: dict[int, _Stream] = {}
        self._buried: list[Any] = []
        self._kept: list[Any] = []
        self._endpoint: Any = None
        self._published: tuple[str, int] = ("127.0.0.1", 0)
        self._bind_ip = "127.0.0.1"

    # -- life ----------------------------------------------------------------------------------

    def start(self, endpoint: Any, bind_ip: str, port: int, published: str) -> None:
        """Listen, and give PJSIP its factory.

        Raises:
            PortTakenError: the port cannot be bound.
        """
        listener = bind_tcp(bind_ip, port)
        try:
            listener.listen(_BACKLOG)
        except OSError as fault:
            listener.close()
            raise PortTakenError("TCP", bind_ip, port, fault.strerror or str(fault)) from fault
        listener.settimeout(0.0)
        self._listener = listener
        self._endpoint, self._bind_ip, self._published = endpoint, bind_ip, (published, port)
        self._epoll.register(listener.fileno(), select.EPOLLIN)
        self._send = self._make(
            "pj_status_t(pjsip_transport *, pjsip_tx_data *, const void *, int, void *, void *)",
            self._send_message,
            _OS_ERROR_BASE + errno.EIO,
        )
        self._destroy = self._make("pj_status_t(pjsip_transport *)", self._destroyed, 0)
        self._make_factory()
        self._make_rdata()

    def stop_listening(self) -> None:
        """Take no more connections."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._epoll.unregister(self._listener.fileno())
            self._listener.close()
            self._listener = None

    def close(self) -> None:
        """Close what PJSIP has not destroyed, and release the memory of messages."""
        self.stop_listening()
        for stream in list(self._by_fd.values()):
            self._close_socket(stream)
        if self._rdata_pool is not None and self._endpoint is not None:
            self._library.lib.pjsip_endpt_release_pool(self._endpoint, self._rdata_pool)
            self._rdata_pool = None

    _rdata_pool: Any = None

    @property
    def listening(self) -> bool:
        """Tell whether connections are taken."""
        return self._listener is not None

    # -- events of sockets ---------------------------------------------------------------------

    def serve(self, fd: int, events: int) -> None:
        """Handle an epoll event of one of our descriptors."""
        if self._listener is not None and fd == self._listener.fileno():
            self._accept()
            return
        stream = self._by_fd.get(fd)
        if stream is None:
            return
        if stream.connecting:
            self._connected(stream)
        elif events & select.EPOLLOUT:
            self._flush(stream)
        if not stream.lost and not stream.connecting and events & ~select.EPOLLOUT:
            self._read(stream)

    def keep_house(self, now: float) -> None:
        """Drop connections that never said anything, or never came about."""
        self._buried.clear()
        if self._deaf and self._listener is not None:
            self._deaf = False
            self._epoll.register(self._listener.fileno(), select.EPOLLIN)
        for stream in list(self._by_fd.values()):
            if stream.connecting and now - stream.opened > _CONNECT_S:
                self._lose(stream, errno.ETIMEDOUT)
            elif stream.incoming and not stream.heard and now - stream.opened > _MESSAGE_S:
                self.handler.stream_fault("tcp_silent")
                self._lose(stream, errno.ETIMEDOUT)
            elif stream.begun is not None and now - stream.begun > _MESSAGE_S:
                # Octet by octet a connection could be held for ever (slow loris).
                self.handler.stream_fault("tcp_slow")
                self._lose(stream, errno.ETIMEDOUT)

    def drop(self, connection: int) -> None:
        """Close a connection."""
        stream = self._by_key.get(connection)
        if stream is not None:
            self._lose(stream, errno.ECONNABORTED)

    def _accept(self) -> None:
        listener = self._listener
        for _ in range(_ACCEPTS_AT_ONCE):
            if listener is None:
                return
            try:
                sock, remote = listener.accept()
            except OSError as fault:
                if fault.errno in _NO_ROOM:
                    self._stop_hearing(listener)
                return  # else nobody waits any more
            reason = self.handler.connection_wanted(remote[0])
            if reason is not None:
                self.handler.stream_fault(reason)
                sock.close()
                continue
            sock.settimeout(0.0)
            self._adopt(sock, remote, incoming=True, connecting=False)

    def _stop_hearing(self, listener: socket.socket) -> None:
        """Look away until the next housekeeping: who waits would wake us without end meanwhile."""
        self.handler.stream_fault("tcp_no_descriptor")
        self._epoll.unregister(listener.fileno())
        self._deaf = True

    def _connected(self, stream: _Stream) -> None:
        code = stream.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._lose(stream, code)
            return
        stream.connecting = False
        self._flush(stream)

    def _read(self, stream: _Stream) -> None:
        try:
            data = stream.sock.recv(16384)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as fault:
            self._lose(stream, fault.errno or errno.EIO)
            return
        if not data:
            self._lose(stream, errno.ECONNRESET)
            return
        self.handler.connection_touched(self._library.address(stream.transport))
        try:
            messages = stream.framer.feed(data)
        except FramingError as fault:
            self.handler.stream_fault(fault.reason)
            self._lose(stream, errno.EPROTO)
            return
        if stream.framer.pings:
            self._write(stream, b"\r\n" * min(stream.framer.pings, 8))
            stream.framer.pings = 0
        if messages or not stream.framer.waiting:
            stream.begun = None
        if stream.framer.waiting and stream.begun is None:
            stream.begun = time.monotonic()
        for message in messages:
            if stream.lost:
                return
            stream.heard = True
            self._receive(stream, message)

    def _receive(self, stream: _Stream, message: bytes) -> None:
        """Give PJSIP one whole message."""
        ffi, lib = self._library.ffi, self._library.lib
        rdata = self._rdata
        ffi.memmove(self._rdata_room, self._rdata_blank, len(self._rdata_blank))
        rdata.tp_info.pool = self._rdata_pool
        rdata.tp_info.transport = stream.transport
        packet = rdata.pkt_info
        ffi.memmove(packet.packet, message, len(message))
        packet.len = len(message)
        packet.timestamp.sec = int(time.time())
        _fill(packet.src_addr, stream.remote)
        packet.src_addr_len = _ADDRESS_SIZE
        ffi.memmove(packet.src_name, stream.remote[0].encode("ascii"), len(stream.remote[0]))
        packet.src_port = stream.remote[1]
        # The transport must outlive the message, whatever the message does to it.
        lib.pjsip_transport_add_ref(stream.transport)
        lib.pjsip_tpmgr_receive_packet(lib.pjsip_endpt_get_tpmgr(self._endpoint), rdata)
        lib.pj_pool_reset(self._rdata_pool)
        lib.pjsip_transport_dec_ref(stream.transport)

    def _write(self, stream: _Stream, data: bytes) -> bool:
        """Send or keep; False where the connection is lost by it."""
        stream.unsent += data
        if len(stream.unsent) > _UNSENT_LIMIT:
            self.handler.stream_fault("tcp_unread")
            return False
        return stream.connecting or self._flush(stream)

    def _flush(self, stream: _Stream) -> bool:
        try:
            while stream.unsent:
                count = stream.sock.send(stream.unsent)
                del stream.unsent[:count]
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as fault:
            self._lose(stream, fault.errno or errno.EIO)
            return False
        wanted = select.EPOLLIN | (select.EPOLLOUT if stream.unsent else 0)
        self._epoll.modify(stream.sock.fileno(), wanted)
        return True

    # -- transports of PJSIP -------------------------------------------------------------------

    def _adopt(
        self, sock: socket.socket, remote: tuple[str, int], *, incoming: bool, connecting: bool
    ) -> _Stream:
        """Make PJSIP's transport for a socket, register both."""
        ffi, lib, check = self._library.ffi, self._library.lib, self._library.check
        pool = lib.pjsip_endpt_create_pool(self._endpoint, b"tcp", 512, 512)
        transport = ffi.new("pjsip_transport *")
        stream = _Stream(
            sock, transport, pool, remote, incoming, connecting, opened=time.monotonic()
        )
        transport.obj_name = b"tcp"
        transport.pool = pool
        out = ffi.new("void **")
        check("pj_atomic_create", lib.pj_atomic_create(pool, 0, out))
        transport.ref_cnt = out[0]
        check("pj_lock_create", lib.pj_lock_create_recursive_mutex(pool, b"tcp", out))
        transport.lock = out[0]
        transport.key.type = _TCP
        _fill(transport.key.rem_addr, remote)
        transport.type_name = self._keep(stream, "TCP")
        transport.flag = _RELIABLE
        transport.info = self._keep(stream, "TCP")
        transport.addr_len = _ADDRESS_SIZE
        _fill(transport.local_addr, self._published)
        transport.local_name.host = self._keep_string(stream, self._published[0])
        transport.local_name.port = self._published[1]
        transport.remote_name.host = self._keep_string(stream, remote[0])
        transport.remote_name.port = remote[1]
        transport.dir = _INCOMING if incoming else _OUTGOING
        transport.endpt = self._endpoint
        transport.send_msg = self._send
        transport.destroy = self._destroy
        check(
            "pjsip_transport_register",
            lib.pjsip_transport_register(lib.pjsip_endpt_get_tpmgr(self._endpoint), transport),
        )
        self._by_fd[sock.fileno()] = stream
        key = self._library.address(transport)
        self._by_key[key] = stream
        self._epoll.register(sock.fileno(), select.EPOLLIN | (select.EPOLLOUT if connecting else 0))
        self.handler.connection_opened(key, remote[0])
        return stream

    def _lose(self, stream: _Stream, code: int) -> None:
        """Close the socket at once and tell PJSIP, whose users let go of the transport in time."""
        if stream.lost:
            return
        lib, ffi = self._library.lib, self._library.ffi
        self._close_socket(stream)
        transport = stream.transport
        key = self._library.address(transport)
        self.handler.connection_lost(key)
        if transport.is_shutdown or transport.is_destroying:
            return
        # As PJSIP's own transport does: nobody may destroy it while users are told.
        lib.pjsip_transport_add_ref(transport)
        info = ffi.new("pjsip_transport_state_info *")
        info.status = _OS_ERROR_BASE + code
        tell = lib.pjsip_tpmgr_get_state_cb(lib.pjsip_endpt_get_tpmgr(self._endpoint))
        if tell:
            tell(transport, _STATE_DISCONNECTED, info)
        lib.pjsip_transport_shutdown(transport)
        lib.pjsip_transport_dec_ref(transport)

    def _close_socket(self, stream: _Stream) -> None:
        stream.lost = True
        if self._by_fd.pop(stream.sock.fileno(), None) is not None:
            with contextlib.suppress(OSError):
                self._epoll.unregister(stream.sock.fileno())
        stream.sock.close()

    # -- callbacks from C ----------------------------------------------------------------------

    def _send_message(
        self, transport: Any, tdata: Any, _address: Any, _size: int, _token: Any, _done: Any
    ) -> int:
        stream = self._by_key.get(self._library.address(transport))
        if stream is None or stream.lost:
            return _OS_ERROR_BASE + errno.ENOTCONN
        size = tdata.buf.cur - tdata.buf.start
        data = bytes(self._library.ffi.buffer(tdata.buf.start, size))
        if self._write(stream, data):
            return 0
        self._lose(stream, errno.EPIPE)
        return _OS_ERROR_BASE + errno.EPIPE

    def _destroyed(self, transport: Any) -> int:
        key = self._library.address(transport)
        stream = self._by_key.pop(key, None)
        if stream is None:
            return 0
        if not stream.lost:
            self._close_socket(stream)
            self.handler.connection_lost(key)
        lib = self._library.lib
        lib.pj_atomic_destroy(transport.ref_cnt)
        lib.pj_lock_destroy(transport.lock)
        lib.pjsip_endpt_release_pool(self._endpoint, stream.pool)
        self._buried.append(stream)  # C may still look at it on its way out of here
        return 0

    def _create_transport(
        self, _factory: Any, _manager: Any, _endpoint: Any, address: Any, _size: int, out: Any
    ) -> int:
        remote = _address_of(self._library.ffi.cast("pj_sockaddr *", address))
        if self.handler.connection_wanted("") is not None:
            return _TOO_MANY
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.settimeout(0.0)
        try:
            sock.bind((self._bind_ip, 0))
            code = sock.connect_ex(remote)
        except OSError as fault:
            code = fault.errno or errno.EIO
        if code not in (0, errno.EINPROGRESS):
            sock.close()
            return _OS_ERROR_BASE + code
        stream = self._adopt(sock, remote, incoming=False, connecting=bool(code))
        out[0] = stream.transport
        return 0

    def _factory_destroyed(self, _factory: Any) -> int:
        return 0

    # -- parts ---------------------------------------------------------------------------------

    def _make_factory(self) -> None:
        ffi, lib, check = self._library.ffi, self._library.lib, self._library.check
        factory = ffi.new("pjsip_tpfactory_struct *")
        factory.obj_name = b"tcplis"
        factory.type = _TCP
        name = ffi.new("char[]", b"TCP")
        host, buffer = self._library.string(self._published[0])
        factory.type_name = factory.info = name
        factory.flag = _RELIABLE
        _fill(factory.local_addr, self._published)
        factory.addr_name.host, factory.addr_name.port = host[0], self._published[1]
        factory.create_transport = self._make(
            "pj_status_t(void *, void *, void *, const void *, int, pjsip_transport **)",
            self._create_transport,
            _OS_ERROR_BASE + errno.EIO,
        )
        factory.destroy = self._make("pj_status_t(void *)", self._factory_destroyed, 0)
        self._kept += [factory, name, buffer]
        check(
            "pjsip_tpmgr_register_tpfactory",
            lib.pjsip_tpmgr_register_tpfactory(lib.pjsip_endpt_get_tpmgr(self._endpoint), factory),
        )

    def _make_rdata(self) -> None:
        """Make the one pjsip_rx_data that every message over TCP is handed to PJSIP in."""
        ffi = self._library.ffi
        size = ffi.sizeof("pjsip_rx_data") + _RDATA_EXTRA
        self._rdata_room = ffi.new("char[]", size)
        self._rdata_blank = bytes(size)
        self._rdata = ffi.cast("pjsip_rx_data *", self._rdata_room)
        self._rdata_pool = self._library.lib.pjsip_endpt_create_pool(
            self._endpoint, b"rtcp", 4000, 4000
        )

    def _keep(self, stream: _Stream, text: str) -> Any:
        buffer = self._library.ffi.new("char[]", text.encode("ascii"))
        stream.kept.append(buffer)
        return buffer

    def _keep_string(self, stream: _Stream, text: str) -> Any:
        string, buffer = self._library.string(text)
        stream.kept += [string, buffer]
        return string[0]


def _fill(sockaddr: Any, address: tuple[str, int]) -> None:
    sockaddr.sin_family = socket.AF_INET
    sockaddr.sin_port = socket.htons(address[1])
    sockaddr.sin_addr = int.from_bytes(socket.inet_aton(address[0]), "little")


def _address_of(sockaddr: Any) -> tuple[str, int]:
    packed = int(sockaddr.sin_addr).to_bytes(4, "little")
    return socket.inet_ntoa(packed), socket.ntohs(sockaddr.sin_port)
