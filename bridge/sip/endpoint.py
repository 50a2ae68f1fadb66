"""The SIP endpoint: one thread that makes every PJSIP call, and commands to it from any other.

Commands are queued and return at once; the queue is emptied before each
``pjsip_endpt_handle_events``, and a command ends that call's sleep through a socket pair. Events
come by calling ``on_event`` in the SIP thread, which must not wait
(``loop.call_soon_threadsafe`` is what it is for).

PJSIP is global to a process: one endpoint at a time, which may be started again after a stop.
"""

from __future__ import annotations

import contextlib
import ipaddress
import itertools
import os
import resource
import secrets
import socket
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from functools import partial
from pathlib import Path

import structlog

from bridge.sip._agent import Agent
from bridge.sip._dials import Dials
from bridge.sip._invites import Invites
from bridge.sip._library import load
from bridge.sip._listening import bind_tcp, bind_udp
from bridge.sip._questions import Questions
from bridge.sip._registrations import Registrations
from bridge.sip.errors import NotRunningError, SettingsError, SipError
from bridge.sip.layout import check_layout
from bridge.sip.messages import (
    Answer,
    Dial,
    EndpointFailed,
    LocalMedia,
    Rejection,
    SipEvent,
    SipSettings,
    SipStatistics,
    TcpRoom,
    Transport,
)
from bridge.sip.switchboard import Switchboard
from bridge.sip.trace import Trace
from bridge.sip.trunks import Admission, TrunkTable

__all__ = ["SipEndpoint", "look_for_port"]

_POLL_MS = 250  # the wake-up ends it sooner; PJSIP's own timers bound it too
_HOUSE_S = 1.0
_RESOLVER_FILE = Path("/etc/resolv.conf")
_START_S = 30.0

log = structlog.get_logger(__name__)

_in_use = threading.Lock()


def look_for_port(settings: SipSettings) -> None:
    """See that the port can be bound, before anything else of a bridge is begun.

    Raises:
        PortTakenError: somebody has it.
        SettingsError: the address is none of this machine, or the port is not ours to take.
    """
    with bind_udp(settings.bind_ip, settings.port):
        if settings.tcp and settings.port:
            bind_tcp(settings.bind_ip, settings.port).close()


class SipEndpoint:
    """Own the SIP thread.

    Args:
        settings: where and how to listen.
        on_event: takes each event, in the SIP thread; must return at once and not raise.
        trunks: the trunks from the start on.
        nameservers: DNS servers for names in Contact, Route and of registrars; None reads
            ``/etc/resolv.conf``.
    """

    def __init__(
        self,
        settings: SipSettings,
        on_event: Callable[[SipEvent], None],
        trunks: TrunkTable | None = None,
        nameservers: list[tuple[str, int]] | None = None,
    ) -> None:
        self.settings = settings
        self._on_event = on_event
        self._nameservers = nameservers
        self._commands: deque[Callable[[], object]] = deque()
        self._started = threading.Event()
        self._fault: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._agent: Agent | None = None
        self._stopping: float | None = None
        self._trace_numbers = itertools.count(1)
        self._addresses: OrderedDict[str, str] = OrderedDict()
        self._counts = {"transactions": 0, "dialogs": 0}
        self._first_trunks = trunks or TrunkTable()
        self._admission = Admission(
            secrets.token_bytes(32),
            open_to_private=settings.open_admission and settings.public_address is None,
        )
        self._switchboard = Switchboard(
            settings, self._admission, self._emit, self._address_towards
        )

    @property
    def port(self) -> int:
        """Return the port that is really bound, 0 before start."""
        return self._agent.port if self._agent is not None else 0

    @property
    def running(self) -> bool:
        """Tell whether the SIP thread is alive."""
        return self._thread is not None and self._thread.is_alive()

    # -- life ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the SIP thread and return when it listens.

        Raises:
            SettingsError: an address of the settings is none, or an endpoint is running already.
            LibraryError: PJSIP is not installed, or not the one we know.
            PortTakenError: the port cannot be bound.
        """
        for name in ("bind_ip", "public_address"):
            value = getattr(self.settings, name)
            if value is not None and not _is_ipv4(value):
                raise SettingsError(
                    f"sip.{name} is {value!r}; expected an IPv4 address such as 203.0.113.7"
                )
        if self._thread is not None:
            raise SettingsError("this SIP endpoint was started before; make a new one")
        if not _in_use.acquire(blocking=False):
            raise SettingsError("another SIP endpoint is running in this process; stop it first")
        self._thread = threading.Thread(target=self._run, name="sip", daemon=True)
        self._thread.start()
        self._started.wait(_START_S)
        if self._fault is not None:
            self._thread.join()
            raise self._fault
        if not self._started.is_set():
            raise SipError(f"the SIP thread did not start within {_START_S:.0f} s")

    def stop(self, timeout: float = 5.0) -> None:
        """End every call with BYE or 503, unregister, and end the thread.

        Args:
            timeout: seconds to wait for answers to BYE and REGISTER.
        """
        thread = self._thread
        if thread is None or not thread.is_alive():
            return
        deadline = time.monotonic() + timeout
        self._post(partial(self._begin_stop, deadline))
        thread.join(timeout + _START_S)
        if thread.is_alive():
            raise SipError("the SIP thread does not end; it is stuck inside PJSIP or in on_event")

    # -- commands ------------------------------------------------------------------------------

    def ring(self, call: int) -> None:
        """Send 180."""
        self._post(partial(self._switchboard.ring, call))

    def accept(self, call: int, media: LocalMedia) -> None:
        """Send 200 with our answer, or our offer when the INVITE had none."""
        self._post(partial(self._switchboard.accept, call, media))

    def refuse(
        self,
        call: int,
        status: int,
        phrase: str | None = None,
        retry_after: int | None = None,
        q850: int | None = None,
    ) -> None:
        """Send a final response that is not 200.

        Args:
            call: our number for the call.
            status: 300 to 699.
            phrase: reason phrase instead of the usual one.
            retry_after: seconds for ``Retry-After``.
            q850: cause for ``Reason`` (RFC 3326).
        """
        if not 300 <= status <= 699:  # noqa: PLR2004 - RFC 3261 section 7.2
            raise SettingsError(f"a call is refused with a status from 300 to 699, not {status}")
        self._post(partial(self._switchboard.refuse, call, status, phrase, retry_after, q850))

    def dial(self, dial: Dial) -> int:
        """Call somebody: ``OutgoingRinging``, ``MediaNegotiated`` and ``CallConfirmed`` follow.

        Or ``CallEnded``, in any case once at the end. A call that rings is given up by ``hangup``.

        Returns:
            Our number for the call.
        """
        call = next(self._switchboard.numbers)
        self._post(partial(self._switchboard.dial, call, dial))
        return call

    def hangup(self, call: int, q850: int = 16, text: str = "") -> None:
        """Send BYE with ``Reason``; ``CallEnded`` comes at once, not with the answer to BYE."""
        self._post(partial(self._switchboard.hangup, call, q850, text))

    def reoffer(self, call: int, media: LocalMedia) -> None:
        """Move our media by a re-INVITE; ``ReofferAnswered`` or ``CallEnded`` follows.

        Until then the other side may send to either place, and what was agreed on holds. Should
        both sides offer at once, it is tried again (RFC 3261 section 14.1); what the other side
        refuses leaves all as it was.
        """
        self._post(partial(self._switchboard.reoffer, call, media))

    def probe(self, call: int) -> None:
        """Send OPTIONS in the dialog; ``ProbeAnswered`` or ``CallEnded`` follows."""
        self._post(partial(self._switchboard.probe, call))

    def ask(
        self,
        target: str,
        on_answer: Callable[[Answer], None],
        transport: Transport = "udp",
        timeout_s: float = 4.0,
    ) -> None:
        """Ask another user agent by OPTIONS, outside any dialog, whether it is there.

        Args:
            target: host, or host and port with a colon between them.
            on_answer: called once, in the SIP thread; must return at once and not raise.
            transport: transport to ask by.
            timeout_s: seconds to wait for an answer, to the nearest second.
        """
        self._post(partial(self._switchboard.ask, target, transport, timeout_s, on_answer))

    def set_trunks(self, table: TrunkTable) -> None:
        """Replace the trunks; running calls keep theirs, registrations follow."""
        self._post(partial(self._switchboard.set_trunks, table))

    def drain(self, retry_after: int = 30) -> None:
        """Refuse every new call from now on (503, or the trunk's ``refuse_status``)."""
        self._post(partial(self._switchboard.drain, retry_after))

    def begin_trace(
        self,
        on_lines: Callable[[list[str]], None],
        call_id: str | None = None,
        trunk: str | None = None,
    ) -> int:
        """Hand the masked header lines of a call or a trunk to ``on_lines``, in the SIP thread.

        Returns:
            The number to end it with.
        """
        number = next(self._trace_numbers)
        self._post(partial(self._switchboard.trace, number, Trace(on_lines, call_id, trunk)))
        return number

    def end_trace(self, trace: int) -> None:
        """End a trace."""
        self._post(partial(self._switchboard.trace, trace, None))

    # -- queries -------------------------------------------------------------------------------

    def rejections(self) -> list[Rejection]:
        """Return what was refused in the last 24 hours, the latest first."""
        return self._admission.rejections.list(time.time())

    def restore_rejections(self, rejections: list[Rejection]) -> None:
        """Remember what was refused before this start; to be called before it."""
        self._admission.rejections.restore(rejections, time.time())

    def statistics(self) -> SipStatistics:
        """Return counters since the start and gauges of about now."""
        agent = self._agent
        counters = dict(self._switchboard.counters)
        counters["callback_faults"] = agent.faults if agent is not None else 0
        return SipStatistics(counters, {**self._switchboard.gauges(), **self._counts})

    def room(self) -> TcpRoom:
        """Return how much room is left for TCP."""
        connections = self._switchboard.connections
        return TcpRoom(
            connections=len(connections),
            limit=connections.limit,
            refused_full=connections.refused["tcp_full"],
            refused_source=connections.refused["tcp_source_limit"],
            idle_closed=connections.idle_closed,
            highest_fd=_highest_descriptor(),
            fd_limit=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        )

    # -- the SIP thread ------------------------------------------------------------------------

    def _post(self, command: Callable[[], object]) -> None:
        agent = self._agent
        if agent is None or not self.running:
            raise NotRunningError("the SIP endpoint is not running; start it first")
        self._commands.append(command)
        agent.wake()

    def _emit(self, event: SipEvent) -> None:
        try:
            self._on_event(event)
        except Exception:
            # The event is lost, the SIP thread is not: it carries every other call.
            log.exception("sip event handler failed", event_type=type(event).__name__)

    def _run(self) -> None:
        try:
            self._set_up()
        except BaseException as fault:  # noqa: BLE001 - handed to the thread that called start
            self._fault = fault
            self._tear_down()
            self._started.set()
            return
        self._started.set()
        try:
            self._loop()
        except BaseException as fault:
            log.exception("sip thread failed")
            self._emit(EndpointFailed(f"the SIP thread ended by {type(fault).__name__}"))
        finally:
            self._tear_down()

    def _set_up(self) -> None:
        agent = Agent(load(), self._switchboard)
        self._agent = agent
        invites = Invites(agent, self._switchboard)
        dials = Dials(agent)
        registrations = Registrations(agent, self._registered)
        questions = Questions(agent)
        self._switchboard.attach(agent, invites, dials, registrations, questions)
        settings = self.settings
        here = _own_address(settings.bind_ip)
        agent.start(
            settings.bind_ip,
            settings.port,
            settings.public_address or here,
            self._nameservers if self._nameservers is not None else _system_nameservers(),
            tcp=settings.tcp,
        )
        invites.start()
        registrations.start()
        questions.start()
        check_layout(agent, "127.0.0.1" if _is_any(settings.bind_ip) else settings.bind_ip)
        self._switchboard.providers.address = settings.public_address or here
        self._switchboard.set_trunks(self._first_trunks)
        log.info("sip endpoint listens", port=agent.port, tcp=settings.tcp)

    def _loop(self) -> None:
        agent, switchboard = self._agent, self._switchboard
        assert agent is not None  # noqa: S101 - set up before the loop
        house = 0.0
        while True:
            while self._commands:
                self._guard(self._commands.popleft())
            now = time.monotonic()
            if self._stopping is not None and (
                now >= self._stopping or (not len(switchboard) and not self._pending(agent))
            ):
                return
            if now >= house:
                house = now + _HOUSE_S
                self._guard(partial(switchboard.keep_house, now))
                self._counts = agent.counts()
            hurried = self._stopping is not None or switchboard.reoffers.waiting
            agent.poll(20 if hurried else _POLL_MS)
            self._guard(switchboard.after_poll)

    def _guard(self, step: Callable[[], object]) -> None:
        """Run one step; its fault costs that step, not every other call."""
        try:
            step()
        except Exception as fault:  # noqa: BLE001 - counted and said by the agent
            assert self._agent is not None  # noqa: S101 - set up before the loop
            self._agent.callback_failed(type(fault), fault, fault.__traceback__)

    def _pending(self, agent: Agent) -> bool:
        """Tell whether REGISTERs of ours wait for their answer."""
        return self._switchboard.providers.waiting and agent.counts()["transactions"] > 0

    def _begin_stop(self, deadline: float) -> None:
        self._stopping = deadline
        self._switchboard.end_all()
        self._switchboard.providers.end_all()

    def _registered(self, number: int, status: int, expires_s: int | None) -> None:
        self._switchboard.providers.outcome(number, status, expires_s)

    def _tear_down(self) -> None:
        agent = self._agent
        try:
            if agent is not None:
                if agent.endpoint is not None and self._started.is_set():
                    self._switchboard.terminate_all()
                    self._switchboard.providers.close_all()
                agent.stop()
        except Exception:
            log.exception("sip endpoint did not close cleanly")
        finally:
            _in_use.release()

    def _address_towards(self, source: str) -> str:
        """Return the local address from which ``source`` is reached, without sending anything."""
        if not _is_any(self.settings.bind_ip):
            return self.settings.bind_ip
        known = self._addresses.get(source)
        if known is None:
            known = _route_source(source)
            self._addresses[source] = known
            while len(self._addresses) > 1000:  # noqa: PLR2004 - sources remembered
                self._addresses.popitem(last=False)
        return known


def _is_ipv4(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


def _is_any(address: str) -> bool:
    return address == "0.0.0.0"  # noqa: S104 - comparing, not binding


def _route_source(towards: str) -> str:
    """Ask the kernel for the source address of a route."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
        probe.connect((towards, 9))  # UDP: nothing is sent
        return str(probe.getsockname()[0])
    return "127.0.0.1"


def _own_address(bind_ip: str) -> str:
    """Return the address to publish where none is configured."""
    if not _is_any(bind_ip):
        return bind_ip
    found = "127.0.0.1"
    with contextlib.suppress(Exception):
        found = _route_source("192.0.2.1")  # RFC 5737: the default route, whatever it is
    return found


def _system_nameservers() -> list[tuple[str, int]]:
    """Return the IPv4 name servers of the system; without any, a local one."""
    found = []
    with contextlib.suppress(OSError):
        for line in _RESOLVER_FILE.read_text("utf-8", "replace").splitlines():
            words = line.split()
            if len(words) >= 2 and words[0] == "nameserver" and _is_ipv4(words[1]):  # noqa: PLR2004
                found.append((words[1], 53))
    return found[:4] or [("127.0.0.1", 53)]


def _highest_descriptor() -> int:
    """Return the highest descriptor number in use in this process."""
    # Not by pathlib: with thousands of legs it took the event loop several milliseconds.
    with os.scandir("/proc/self/fd") as entries:
        return max((int(entry.name) for entry in entries), default=-1)
