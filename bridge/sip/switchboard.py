"""What happens in the SIP thread: messages through the gate, calls, commands, housekeeping.

The switchboard owns every :class:`~bridge.sip.session.Session`. It is called by PJSIP's callbacks
and by the endpoint's commands, always in the one SIP thread, and never waits.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import time
from collections import Counter
from collections.abc import Callable

import structlog

from bridge.sip._agent import Agent, Passage, Received
from bridge.sip._dials import Dials
from bridge.sip._invites import Invites, InviteState, RefusedByPjsipError
from bridge.sip._questions import Questions
from bridge.sip._registrations import Registrations
from bridge.sip.connections import Connections
from bridge.sip.errors import BadDescriptionError, PjError
from bridge.sip.gate import CallBook, CallEntry, Gate, Verdict, media_source, usable_codecs
from bridge.sip.identity import read_identity, reason_q850
from bridge.sip.info import read_digit
from bridge.sip.messages import (
    Answer,
    CallConfirmed,
    CallEnded,
    Dial,
    DigitByInfo,
    IncomingCall,
    LocalMedia,
    MediaNegotiated,
    ProbeAnswered,
    SipEvent,
    SipSettings,
    Transport,
)
from bridge.sip.outgoing import OutgoingCalls
from bridge.sip.providers import Providers
from bridge.sip.reoffers import Reoffers
from bridge.sip.sdp import negotiated
from bridge.sip.session import Session, cause_header, needs_source_route
from bridge.sip.trace import Trace, masked_lines
from bridge.sip.trunks import Admission, TrunkTable
from bridge.sip.wire import Message, parse_message, parse_name_address

__all__ = ["Switchboard"]

_ALLOW = ("Allow", "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK")
_INFO_TYPES = (("Accept", "application/dtmf-relay, application/dtmf"),)
_RETRY_S = 30

# What is answered to methods that we do not serve: outside a dialog, inside one.
_OUTSIDE = {"SUBSCRIBE": 489, "PUBLISH": 489, "NOTIFY": 481, "BYE": 481, "INFO": 481, "UPDATE": 481}
_INSIDE = {"REFER": 603, "SUBSCRIBE": 489, "NOTIFY": 489, "PUBLISH": 489, "OPTIONS": 200}
_KNOWN_METHODS = {"REGISTER", "MESSAGE", "REFER", "PRACK"}

log = structlog.get_logger(__name__)


class Switchboard:
    """Sessions of one endpoint.

    Args:
        settings: the endpoint's settings.
        admission: who may call.
        emit: takes each event.
        local_address: returns our IPv4 address towards another one.
    """

    def __init__(
        self,
        settings: SipSettings,
        admission: Admission,
        emit: Callable[[SipEvent], None],
        local_address: Callable[[str], str],
    ) -> None:
        self.settings = settings
        self.admission = admission
        self.counters: Counter[str] = Counter()
        self.connections = Connections(
            settings.max_tcp, settings.max_tcp_per_source, settings.tcp_idle_s
        )
        self.traces: dict[int, Trace] = {}
        self._emit = emit
        self._local_address = local_address
        self._book = CallBook()
        self._gate = Gate(admission, self._book)
        self.numbers = itertools.count(1)
        self._by_invite: dict[int, Session] = {}
        self._by_call: dict[int, Session] = {}
        self._by_id: dict[tuple[str, str], Session] = {}
        self._arrived: tuple[Received, Message, Verdict] | None = None
        self._acknowledged: list[tuple[str, str]] = []
        self._draining: int | None = None

    def attach(
        self,
        agent: Agent,
        invites: Invites,
        dials: Dials,
        registrations: Registrations,
        questions: Questions,
    ) -> None:
        """Take the layer below, before it starts."""
        self._agent = agent
        self._invites = invites
        self._questions = questions
        self._outgoing = OutgoingCalls(dials, invites, self._book, self._emit, self._over)
        self.providers = Providers(registrations, self._contact, self._emit)
        # Spread in time, not a secret.
        self.reoffers = Reoffers(invites, self._emit, random.Random().random)  # noqa: S311

    def __len__(self) -> int:
        return len(self._by_invite)

    # -- messages: Handler ---------------------------------------------------------------------

    def request_arrived(self, rx: Received) -> Passage:
        """Judge any request, before PJSIP's transaction layer sees it."""
        message = parse_message(rx.raw)
        self.counters["requests"] += 1
        now = time.monotonic()
        if message is None:
            self._count_fault("start_line")
            return Passage(on=False)
        verdict = self._gate.judge(message, rx.source[0], rx.transport, now, time.time())
        if verdict.reason:
            self._count_fault(verdict.reason)
        if self.traces:
            self._trace(message, verdict.trunk.name if verdict.trunk else None)
        if verdict.action == "reply" and message.method != "ACK":
            self._agent.reply(rx, verdict.status, verdict.headers)
        if verdict.action != "pass":
            if verdict.hang_up:
                self._agent.close_connection(rx.connection)
            return Passage(on=False)
        self._note_end(message)
        if message.method == "ACK":
            self._acknowledged.append((message.call_id, message.from_tag))
        self._arrived = (rx, message, verdict)
        return Passage(on=True, body=verdict.body, sdp=verdict.sdp)

    def response_arrived(self, rx: Received) -> Passage:
        """Judge any response, before PJSIP's transaction layer sees it."""
        message = parse_message(rx.raw)
        self.counters["responses"] += 1
        if message is None:
            self._count_fault("start_line")
            return Passage(on=False)
        verdict = self._gate.judge_response(message, rx.source[0])
        if verdict.reason:
            self._count_fault(verdict.reason)
        if self.traces:
            self._trace(message, None)
        if verdict.action == "pass":
            self._outgoing.answered(message, self._by_id)
        return Passage(on=verdict.action == "pass", body=verdict.body, sdp=verdict.sdp)

    def request_outside_dialog(self, rx: Received) -> None:
        """Answer a request that belongs to no dialog."""
        arrived = self._arrived
        if arrived is None or arrived[0].raw != rx.raw:
            return
        _, message, verdict = arrived
        method = message.method
        if method == "INVITE" and not message.to_tag:
            self._new_call(rx, message, verdict)
        elif method == "OPTIONS":
            if self._draining is not None:
                self._agent.reply(rx, 503, (("Retry-After", str(self._draining)),))
            else:
                self._agent.reply_capabilities(rx, (("Server", self.settings.user_agent),))
        elif method in _OUTSIDE:
            self._agent.reply(rx, _OUTSIDE[method])
        elif method not in ("ACK", "CANCEL"):
            self._agent.reply(rx, 405 if method in _KNOWN_METHODS else 501, (_ALLOW,))

    def message_sent(self, raw: bytes) -> None:
        """Take note of a message going out; only while tracing."""
        message = parse_message(raw)
        if message is not None:
            self._trace(message, None, outgoing=True)

    def connection_wanted(self, source: str) -> str | None:
        """Say why a TCP connection must not be taken, None where it may; "" is one of our own.

        While a call is up, its BYE may come from another host of its carrier: then a stranger is
        taken, within the limit for one source, and each of its requests is judged at the gate.
        """
        if not source:
            return self.connections.refusal("", trusted=True)
        trusted = self.admission.trusts(source)
        welcome = trusted or self.admission.challenges_strangers() or bool(self._by_invite)
        if not welcome:
            self.admission.rejections.add(source, "unknown_source", "connect", "tcp", time.time())
            return "tcp_stranger"
        return self.connections.refusal(source, trusted=trusted)

    def connection_opened(self, connection: int, source: str) -> None:
        """Take note of a TCP connection."""
        self.connections.opened(connection, source, time.monotonic())

    def connection_lost(self, connection: int) -> None:
        """Let calls that used a TCP connection find another way."""
        self.connections.closed(connection)
        for session in list(self._by_invite.values()):
            if session.connection == connection and session.transport == "tcp":
                session.connection = 0
                self._invites.pin_connection(session.dialog, None)

    def connection_touched(self, connection: int) -> None:
        """Note that something came."""
        self.connections.touched(connection, time.monotonic())

    def stream_fault(self, reason: str) -> None:
        """Count a TCP connection refused or lost by a fault."""
        self._count_fault(reason)

    def data_dropped(self, kind: str) -> None:
        """Count bytes that PJSIP could not parse."""
        if kind != "keep_alive":
            self._count_fault(kind)

    # -- calls: InviteHandler ------------------------------------------------------------------

    def invite_state(self, invite: int, state: InviteState, cause: int) -> None:
        """Take note of a new state."""
        session = self._by_invite.get(invite)
        if session is None:
            return
        if session.outgoing and state != InviteState.DISCONNECTED:
            self._outgoing.state(session, state)
            return
        answered = session.phase == "answered" and session.agreed is not None
        if state == InviteState.CONFIRMED and answered:
            session.phase = "confirmed"
            self._enter(session, "confirmed")
            self._emit(CallConfirmed(session.call))
        elif state == InviteState.CONFIRMED:
            self._enter(session, "confirmed")
        elif state == InviteState.DISCONNECTED:
            self._over(session, session.ended_by_other(cause))
            self._forget(session)

    def invite_request(self, invite: int, dialog: int, rx: Received) -> None:
        """Answer a request inside a dialog that is none of the invite usage's own."""
        message = parse_message(rx.raw)
        session = self._by_invite.get(invite)
        if message is None:
            return
        headers: tuple[tuple[str, str], ...] = ()
        if message.method == "INFO":
            status = self._info(session, message)
            if status == 415:  # noqa: PLR2004 - Unsupported Media Type
                headers = _INFO_TYPES
        else:
            status = _INSIDE.get(message.method, 405)
            if status in (200, 405):
                headers = (_ALLOW,)
        self._agent.respond_in_dialog(dialog, rx, status, headers)

    def bye_started(self, invite: int, cause: int) -> None:
        """Take note that PJSIP itself ends a call: expiry, no ACK, 481."""
        session = self._by_invite.get(invite)
        if session is not None:
            self._over(session, session.ended_by_other(cause))

    def invite_offer(self, invite: int, offer: str) -> str | None:
        """Return the answer to a later offer, None to decline it."""
        session = self._by_invite.get(invite)
        return session.later_answer(offer) if session is not None else None

    def invite_create_offer(self, invite: int) -> str | None:
        """Return an offer for a re-INVITE without one."""
        session = self._by_invite.get(invite)
        return session.later_offer() if session is not None else None

    def invite_media(self, invite: int, local: str, remote: str) -> None:
        """Report a finished negotiation, unless it changed nothing."""
        session = self._by_invite.get(invite)
        if session is None or session.phase == "over":
            return
        try:
            media = negotiated(local, remote)
        except BadDescriptionError as fault:
            self._count_fault(fault.reason)
            return
        ours = self.reoffers.answered(session)
        if media != session.agreed:
            session.agreed = media
            if session.phase != "calling":
                self._emit(MediaNegotiated(session.call, media))
        if ours:
            self.reoffers.accepted(session)

    def reoffer_result(self, invite: int, status: int) -> None:
        """Note what came of a re-INVITE of ours."""
        session = self._by_invite.get(invite)
        if session is not None:
            self.reoffers.result(session, status)

    def probe_result(self, invite: int, status: int, *, received: bool) -> None:
        """Report whether the other side still knows the call: any other answer is life."""
        session = self._by_invite.get(invite)
        if session is not None and session.probing:
            if received and status not in (408, 481):
                session.probing = False
            if session.phase == "confirmed":
                self._emit(ProbeAnswered(session.call, not session.probing))

    # -- commands ------------------------------------------------------------------------------

    def ring(self, call: int) -> None:
        """Send 180."""
        session = self._waiting(call)
        if session is not None:
            self._invites.provisional(session.invite, 180)

    def accept(self, call: int, media: LocalMedia) -> None:
        """Send 200 with our half of the description."""
        session = self._waiting(call)
        if session is None:
            return
        self._enter(session, "waiting", offered=True)
        try:
            description = session.description(media)
            session.phase = "answered"
            accepted = self._invites.accept(session.invite, description)
        except (BadDescriptionError, PjError) as fault:
            session.phase = "waiting"
            self._count_fault("no_common_codec")
            log.info("sip answer refused", error=type(fault).__name__, call_id=session.call_id)
            self._refuse(session, 488, "no_common_codec")
            return
        if accepted:
            self._enter(session, "answered")
        else:
            session.phase = "waiting"

    def dial(self, call: int, dial: Dial) -> None:
        """Send an INVITE."""
        if self._draining is not None:
            self._emit(CallEnded(call, "bridge", None, None, "stopped"))
            return
        address, contact = self._here(dial.proxy, dial.transport)
        session = self._outgoing.dial(call, dial, address, contact, self.settings)
        if session is not None:
            self._by_invite[session.invite] = self._by_call[call] = session
            self._by_id[session.call_id, session.tag] = session
            self.counters["calls_made"] += 1
            self._outgoing.send(session)

    def refuse(
        self,
        call: int,
        status: int,
        phrase: str | None,
        retry_after: int | None,
        q850: int | None,
    ) -> None:
        """Send a final response that is not 200."""
        session = self._waiting(call)
        if session is not None:
            self._refuse(session, status, "refused", phrase, retry_after, q850)

    def hangup(self, call: int, q850: int, text: str, reason: str = "bye") -> None:
        """Send BYE with ``Reason``; before the answer, 480."""
        session = self._by_call.get(call)
        if session is None or session.phase == "over":
            return
        if session.phase == "waiting":
            self._refuse(session, 480, reason, q850=q850)
            return
        cancelled = session.phase == "calling" and reason == "bye"
        ended = session.ended_by_bridge(None, q850, "cancelled" if cancelled else reason)
        self._over(session, ended)
        self._invites.end(session.invite, 200, headers=(cause_header(q850, text),))

    def probe(self, call: int) -> None:
        """Send OPTIONS in the dialog."""
        session = self._by_call.get(call)
        if session is None or session.phase != "confirmed" or session.probing:
            return
        session.probing = True
        if not self._invites.probe(session.invite):
            session.probing = False
            self._emit(ProbeAnswered(call, alive=False))

    def reoffer(self, call: int, media: LocalMedia) -> None:
        """Offer another half of ours in a re-INVITE."""
        session = self._by_call.get(call)
        if session is not None and session.phase in ("answered", "confirmed"):
            self.reoffers.begin(session, media)

    def ask(
        self,
        target: str,
        transport: Transport,
        timeout_s: float,
        on_answer: Callable[[Answer], None],
    ) -> None:
        """Send OPTIONS outside any dialog."""
        _, contact = self._here(target, transport)
        headers = (("User-Agent", self.settings.user_agent),)
        self._questions.ask(target, transport, contact, timeout_s, on_answer, headers)

    def set_trunks(self, table: TrunkTable) -> None:
        """Replace the trunks; running calls keep theirs."""
        self.admission.table = table
        self.providers.set_trunks(table)

    def drain(self, retry_after: int) -> None:
        """Refuse every new call with 503 from now on."""
        self._draining = retry_after

    def end_all(self) -> None:
        """End every call politely."""
        self._questions.end_all()
        self._draining = self._draining or _RETRY_S
        for session in list(self._by_call.values()):
            if session.phase == "waiting":
                trunk = self.admission.table.named(session.trunk)
                status = trunk.refuse_status if trunk is not None else 503
                self._refuse(session, status, "stopped", retry_after=self._draining)
            else:
                self.hangup(session.call, 16, "", "stopped")

    def terminate_all(self) -> None:
        """Give up sessions whose BYE is still without an answer."""
        for session in list(self._by_invite.values()):
            self._invites.terminate(session.invite)

    def trace(self, number: int, trace: Trace | None) -> None:
        """Begin or end a trace."""
        if trace is None:
            self.traces.pop(number, None)
        else:
            self.traces[number] = trace
        self._agent.trace(on=bool(self.traces))

    def after_poll(self) -> None:
        """Look after offers that are due, and calls whose ACK has come, once PJSIP has it."""
        if self.reoffers.waiting:
            self.reoffers.keep(time.monotonic())
        for key in self._acknowledged:
            session = self._by_id.get(key)
            if session is None or session.agreed is not None:
                continue
            unanswered = CallEnded(session.call, "network", 488, None, "no_answer_to_offer")
            if self._invites.end_stuck(session.invite):
                self._over(session, unanswered)
            elif self._invites.state(session.invite) == InviteState.CONFIRMED:
                self._over(session, unanswered)
                self._invites.end(session.invite, 488, headers=(cause_header(88),))
        self._acknowledged.clear()
        self._outgoing.after_poll()

    def keep_house(self, now: float) -> None:
        """Do what is due each second: idle connections, undecided calls, old memories."""
        for key in self.connections.idle(now):
            self._agent.close_connection(key)
        self._agent.keep_house(now)
        for session in list(self._by_call.values()):
            if session.phase == "waiting" and now - session.created > self.settings.unanswered_s:
                self._count_fault("no_answer_from_bridge")
                self._refuse(session, 503, "no_answer_from_bridge", retry_after=_RETRY_S)
        self._outgoing.keep_house(now, self._by_call.values(), self.hangup)
        self._book.expire(now)
        self.admission.rejections.expire(time.time())
        self.providers.keep_house(now)
        self._questions.keep_house(now)

    def gauges(self) -> dict[str, int]:
        """Return what there is now."""
        return {
            "calls": len(self._by_call),
            "sessions": len(self._by_invite),
            "remembered_calls": len(self._book),
            "tcp_connections": len(self.connections),
            "draining": int(self._draining is not None),
        }

    # -- parts ---------------------------------------------------------------------------------

    def _new_call(self, rx: Received, message: Message, verdict: Verdict) -> None:
        if self._draining is not None:
            self._count_fault("draining")
            status = verdict.trunk.refuse_status if verdict.trunk else 503
            self._agent.reply(rx, status, (("Retry-After", str(self._draining)),))
            return
        address = self.settings.public_address or self._local_address(rx.source[0])
        try:
            invite, dialog = self._invites.create(
                rx,
                self._contact(address, rx.transport, "dialin"),
                session_s=self.settings.session_timer_s,
                min_session_s=self.settings.min_session_s,
            )
        except RefusedByPjsipError:
            self._count_fault("refused_by_pjsip")
            return
        number, trunk = next(self.numbers), verdict.trunk
        session = Session(
            call=number,
            call_id=message.call_id,
            tag=message.from_tag,
            trunk=trunk.name if trunk is not None else None,
            source=rx.source,
            transport=rx.transport,
            connection=rx.connection,
            invite=invite,
            dialog=dialog,
            address=address,
            offer=verdict.offer,
            has_offer=verdict.has_offer,
            created=time.monotonic(),
        )
        self._by_invite[invite] = self._by_call[number] = session
        self._by_id[session.call_id, session.tag] = session
        entry = CallEntry(number, message.cseq[0], message.branch, offered=verdict.has_offer)
        self._book.open(session.call_id, session.tag, entry)
        self._way_back(session, message)
        identity = read_identity(message, trusted=trunk is not None and trunk.asserts_identity)
        self.counters["calls"] += 1
        self._emit(
            IncomingCall(
                call=number,
                call_id=session.call_id,
                trunk=session.trunk,
                source=rx.source,
                transport=rx.transport,
                dialled=identity.dialled,
                asserted=identity.asserted,
                claimed=identity.claimed,
                privacy=identity.privacy,
                has_offer=verdict.has_offer,
                codecs_ok=usable_codecs(verdict),
                media_source=media_source(verdict),
            )
        )

    def _way_back(self, session: Session, message: Message) -> None:
        """See to it that requests of ours reach the caller without DNS and through NAT."""
        if session.transport == "tcp":
            self.connections.hold(session.connection)
            self._invites.pin_connection(session.dialog, session.connection)
        if message.get("record-route") is not None:
            return
        contact = parse_name_address(message.get("contact") or "").uri
        if needs_source_route(contact.host, session.source[0]):
            self._invites.route_to_source(session.dialog, *session.source, session.transport)

    def _contact(self, address: str, transport: str, user: str) -> str:
        suffix = ";transport=tcp" if transport == "tcp" else ""
        return f"<sip:{user}@{address}:{self._agent.port}{suffix}>"

    def _here(self, target: str, transport: str) -> tuple[str, str]:
        """Return our address towards a host, with or without a port, and our Contact there."""
        host = target.rpartition(":")[0] or target
        address = self.settings.public_address or self._local_address(host)
        return address, self._contact(address, transport, "dialin")

    def _waiting(self, call: int) -> Session | None:
        session = self._by_call.get(call)
        return session if session is not None and session.phase == "waiting" else None

    def _enter(self, session: Session, phase: str, *, offered: bool = False) -> None:
        entry = self._book.find(session.call_id, session.tag)
        if entry is None or entry.phase == "over":
            return
        entry.offered = entry.offered or offered
        if phase == "answered":
            entry.phase = "answered"
        elif phase == "confirmed":
            entry.phase = "confirmed"

    def _refuse(
        self,
        session: Session,
        status: int,
        reason: str,
        phrase: str | None = None,
        retry_after: int | None = None,
        q850: int | None = None,
    ) -> None:
        headers = [] if retry_after is None else [("Retry-After", str(retry_after))]
        if q850 is not None:
            headers.append(cause_header(q850))
        self._over(session, session.ended_by_bridge(status, q850, reason))
        self._invites.end(session.invite, status, phrase, headers)

    def _over(self, session: Session, event: CallEnded) -> None:
        """Tell the bridge, once, that a call is over."""
        if session.phase == "over":
            return
        session.phase = "over"
        self._by_call.pop(session.call, None)
        self.reoffers.forget(session)
        self.counters[f"ended_{event.reason}"] += 1
        self._emit(event)

    def _forget(self, session: Session) -> None:
        now = time.monotonic()
        self._by_invite.pop(session.invite, None)
        with contextlib.suppress(KeyError):
            if self._by_id[session.call_id, session.tag] is session:
                del self._by_id[session.call_id, session.tag]
        self._book.close(session.call_id, session.tag, now)
        if session.transport == "tcp":
            self.connections.release(session.connection, now)

    def _note_end(self, message: Message) -> None:
        """Remember a CANCEL or BYE, so that the end of the call can be told by it."""
        if message.method not in ("CANCEL", "BYE"):
            return
        session = self._by_id.get((message.call_id, message.from_tag))
        if session is not None:
            session.cancelled = session.cancelled or (
                message.method == "CANCEL" and session.phase == "waiting"
            )
            session.bye = session.bye or message.method == "BYE"
            session.q850 = reason_q850(message) or session.q850

    def _info(self, session: Session | None, message: Message) -> int:
        """Take a key out of an INFO request; return the status to answer with."""
        found = read_digit(message)
        if isinstance(found, int):
            return found
        if session is not None and session.phase == "confirmed":
            self._emit(DigitByInfo(session.call, found.digit, found.duration_ms))
        return 200

    def _count_fault(self, reason: str) -> None:
        self.counters[f"fault_{reason}"] += 1

    def _trace(self, message: Message, trunk: str | None, *, outgoing: bool = False) -> None:
        if trunk is None:
            session = self._by_id.get((message.call_id, message.from_tag)) or self._by_id.get(
                (message.call_id, message.to_tag)
            )
            trunk = session.trunk if session is not None else None
        for trace in list(self.traces.values()):
            if trace.wants(message, trunk):
                arrow = ">>> sent" if outgoing else "<<< received"
                trace.on_lines([arrow, *masked_lines(message, outgoing=outgoing)])
